//! `ppl methods`: the table of methods with every option, its default, meaning and symbol.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::inference::{METHODS, Method, MethodOption};

use super::args::MethodsArgs;
use super::console::Console;
use super::failure::{Exit, Outcome};
use super::settings::named;

pub(super) fn run(args: &MethodsArgs, console: Console) -> Outcome {
    let one = args.name.as_ref().map(|name| named("methods", name)).transpose()?;
    let methods: Vec<&Method> = one.map_or_else(|| METHODS.iter().collect(), |one| vec![one]);
    if args.json {
        let methods: Value = methods.into_iter().map(method_json).collect();
        console.result(&format!("{methods:#}\n"));
    } else {
        console.result(&text(&methods));
    }
    Ok(Exit::Done)
}

fn method_json(method: &Method) -> Value {
    let option = |o: &MethodOption| json!({"name": o.name, "default": o.default, "meaning": o.meaning, "symbol": o.symbol});
    json!({
        "name": method.name,
        "group": method.group,
        "summary": method.summary,
        "paper": method.paper,
        "device": method.on_device(),
        "options": method.options.iter().map(option).collect::<Value>(),
    })
}

fn text(methods: &[&Method]) -> String {
    let mut out = String::new();
    let mut group = "";
    let options = || methods.iter().flat_map(|m| m.options);
    let name = options().map(|o| o.name.len()).max().unwrap_or(0) + 2;
    let default = options().map(|o| o.default.len()).max().unwrap_or(0) + 2;
    for method in methods {
        if method.group != group {
            group = method.group;
            let _ = writeln!(out, "{group}\n");
        }
        let _ = writeln!(out, "  {:<12}{}", method.name, method.summary);
        let _ = writeln!(out, "  {:<12}[{}]", "", method.paper);
        if method.on_device() {
            let _ = writeln!(out, "  {:<12}Trains on a GPU too, with --device cuda.", "");
        }
        for o in method.options {
            let symbol =
                if o.symbol.is_empty() { String::new() } else { format!(" ({})", o.symbol) };
            let _ =
                writeln!(out, "    {:<name$}{:<default$}{}{symbol}", o.name, o.default, o.meaning);
        }
        out.push('\n');
    }
    out.push_str(
        "Set an option with --set METHOD.OPTION=VALUE, or with the flag of the same name.\n",
    );
    out
}
