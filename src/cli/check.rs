//! `ppl check`: every error and lint; with data, sizes and the layout of the parameters too.

use std::path::Path;

use serde_json::{Value, json};

use crate::diagnostics::{Diagnostic, Severity};
use crate::driver::{Applied, Session, fix};
use crate::lower::Lowered;
use crate::posterior::Posterior;
use crate::source::Span;

use super::args::CheckArgs;
use super::console::Console;
use super::failure::{Exit, Failure, Outcome};
use super::input::{Input, print_diagnostics};
use super::replace::replace_file;

pub(super) fn run(args: &CheckArgs, console: Console) -> Outcome {
    let mut input = Input::read(&args.model, console)?;
    let applied = if args.fix { apply_fixes(args, &mut input)? } else { Vec::new() };
    if !args.json {
        for Applied { at, title } in &applied {
            let line = format!("{}:{}:{}: fixed: {title}\n", input.name, at.line, at.column);
            console.result(&line);
        }
    }
    let mut session = args.model.session();
    let model = session.check(&input.name, &input.text);
    // Without data only what needs none is checked, unless the model has none to wait for.
    let with_data = input.data_path.is_some();
    // As far as a run compiles it: that the log joint lacks a derivative shows only there.
    let compiled = match &model {
        Some(model) if with_data => session.compile(model, &input.data),
        _ => None,
    };
    let lowered = compiled.as_ref().map(Posterior::lowered);
    if args.json {
        let mut report = report(&session, lowered);
        if args.fix {
            let entry =
                |a: &Applied| json!({"line": a.at.line, "column": a.at.column, "title": a.title});
            report["fixed"] = applied.iter().map(entry).collect();
        }
        console.result(&format!("{report:#}\n"));
    } else {
        print_diagnostics(&session, console);
    }
    if session.has_errors() {
        return Err(Failure::reported());
    }
    if !args.json {
        let size = match &lowered {
            Some(lowered) => format!("{} unconstrained dimensions", dim(lowered)),
            None => "checked without data".into(),
        };
        console.result(&format!("{}: ok ({size})\n", input.name));
    }
    Ok(Exit::Done)
}

/// Fixes the model's file, if there is something to fix; `input` has the new text then.
fn apply_fixes(args: &CheckArgs, input: &mut Input) -> Result<Vec<Applied>, Failure> {
    let path = &args.model.model;
    if path == Path::new("-") {
        return Err(Failure::usage("--fix changes a file; standard input is none"));
    }
    let data = input.data_path.is_some().then_some(&input.data);
    let fixed = fix(&input.name, &input.text, data);
    if fixed.text != input.text {
        replace_file(path, &fixed.text)?;
        input.text = fixed.text;
    }
    Ok(fixed.applied)
}

fn dim(lowered: &Lowered) -> usize {
    lowered.params.iter().map(|p| p.len).sum()
}

fn report(session: &Session, lowered: Option<&Lowered>) -> Value {
    let layout = lowered.map(|lowered| {
        let parameters: Value = lowered
            .params
            .iter()
            .map(|p| {
                json!({
                    "name": p.name,
                    "shape": p.shape.to_vec(),
                    "start": p.start,
                    "length": p.len,
                    "transform": p.transform,
                })
            })
            .collect();
        json!({"dim": dim(lowered), "parameters": parameters})
    });
    json!({
        "ok": !session.has_errors(),
        "diagnostics": session.diagnostics.iter().map(|d| diagnostic(session, d)).collect::<Value>(),
        "layout": layout,
    })
}

fn diagnostic(session: &Session, d: &Diagnostic) -> Value {
    let place = |span: Span| {
        let at = session.sources.location(span);
        let end = session.sources.file(span.file).location(span.end as usize);
        json!({
            "file": session.sources.name(span.file),
            "line": at.line,
            "column": at.column,
            "end_line": end.line,
            "end_column": end.column,
            "bytes": [span.start, span.end],
        })
    };
    let severity = match d.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let label = |l: &crate::diagnostics::Label| json!({"place": place(l.span), "text": l.text});
    json!({
        "code": d.code.as_str(),
        "severity": severity,
        "message": d.message,
        "place": place(d.primary.span),
        "label": d.primary.text,
        "other": d.secondary.iter().map(label).collect::<Value>(),
        "notes": d.notes,
        "help": d.help,
        "fix": d.fix.as_ref().map(|f| {
            let edit = json!({"place": place(f.span), "replacement": f.replacement});
            json!({"title": f.title, "applicable": f.certain, "edits": [edit]})
        }),
    })
}
