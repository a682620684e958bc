//! Where the numbers come from: what was run, on what, and how to run it again.

use maud::{Markup, html};

use super::ReportRun;
use super::run::{color, letter};
use crate::results::{Config, Source};

pub(super) fn section(runs: &[ReportRun]) -> Markup {
    html! {
        section #origin {
            h2 { "Where this comes from" }
            div.scroll {
                table.origin {
                    thead {
                        tr {
                            th {}
                            @for (i, run) in runs.iter().enumerate() {
                                th scope="col" {
                                    @if runs.len() > 1 { span.chip.(color(i)) { (letter(i)) } " " }
                                    code { (run.path) }
                                }
                            }
                        }
                    }
                    tbody {
                        @for (name, get) in ROWS {
                            tr {
                                th scope="row" { (name) }
                                @for run in runs { td { (get(run)) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

type Row = (&'static str, fn(&ReportRun) -> Markup);

const ROWS: [Row; 8] = [
    ("command", |run| html! { code.command { (command(&run.config)) } }),
    (
        "method",
        |run| html! { (run.summary.method) ", seed " (run.summary.seed) ", " (run.config.precision) " on " (run.config.device) },
    ),
    ("model", |run| source(&run.config.model)),
    ("data", |run| run.config.data.as_ref().map_or_else(|| html! { "none" }, source)),
    ("compiled in", |run| html! { (format!("{:.3} s", run.summary.timing.compile_s)) }),
    ("inference", |run| {
        let t = &run.summary.timing;
        html! { (t.iterations) " iterations in " (format!("{:.2} s, {:.3} ms", t.train_s, t.median_iteration_ms)) " each" }
    }),
    ("peak memory", |run| {
        let memory = run.summary.timing.peak_rss_mb;
        html! { (memory.map_or_else(|| "not known".to_owned(), |mb| format!("{mb:.0} MiB"))) }
    }),
    ("version", |run| html! { "ppl " (run.config.version) }),
];

fn source(source: &Source) -> Markup {
    html! { code { (source.path) } " " span.hash title=(source.sha256) { (source.sha256.get(..12).unwrap_or_default()) } }
}

/// The command that repeats the run.
fn command(config: &Config) -> String {
    let mut words = vec!["ppl".to_owned(), "run".to_owned(), config.model.path.clone()];
    let mut flag = |name: &str, value: &str| words.extend([format!("--{name}"), value.to_owned()]);
    if let Some(data) = &config.data {
        flag("data", &data.path);
    }
    flag("infer", &config.method);
    flag("seed", &config.seed.to_string());
    if config.precision != "f64" {
        flag("precision", &config.precision);
    }
    for (name, value) in &config.flags {
        match value {
            serde_json::Value::Bool(true) => words.push(format!("--{name}")),
            serde_json::Value::Array(values) => {
                for value in values {
                    words.extend([format!("--{name}"), text(value)]);
                }
            }
            value => words.extend([format!("--{name}"), text(value)]),
        }
    }
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

fn text(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The word as a shell reads it back.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./=,:+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_repeats_the_flags_and_survives_a_shell() {
        let config = Config {
            version: "0".into(),
            model: Source::of("my models/it's.ppl", ""),
            data: Some(Source::of("d.json", "")),
            method: "ldvi".into(),
            seed: 3,
            precision: "f64".into(),
            device: "cpu".into(),
            imports: Vec::new(),
            not_drawn: std::collections::BTreeMap::new(),
            flags: std::collections::BTreeMap::from([
                ("draws".into(), 100.into()),
                ("set".into(), serde_json::json!(["ldvi.a=1", "ldvi.b=2"])),
                ("strict".into(), true.into()),
            ]),
        };
        assert_eq!(
            command(&config),
            "ppl run 'my models/it'\\''s.ppl' --data d.json --infer ldvi --seed 3 --draws 100 \
             --set ldvi.a=1 --set ldvi.b=2 --strict"
        );
    }
}
