//! The page: head, contents, and the sections in the order in which one reads a fit.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::run::{color, letter};
use super::{
    Listing, ReportRun, listing, marginals, origin, pairs, predictive, prior, table, trace, verdict,
};

/// The section's anchor and its name in the contents.
const CONTENTS: [(&str, &str); 8] = [
    ("model", "Model"),
    ("summary", "Summary"),
    ("trace", "Inference"),
    ("marginals", "Marginals"),
    ("pairs", "Pairs"),
    ("prior", "Prior"),
    ("predictive", "Predictive"),
    ("origin", "Origin"),
];

/// The page for these runs, of which there is at least one.
#[must_use]
pub fn page(runs: &[ReportRun]) -> String {
    let title = title(runs);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                // Nothing is loaded from anywhere, and no string of a model could make it so.
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:";
                title { (title) }
                style { (PreEscaped(include_str!("style.css"))) }
            }
            body {
                header {
                    h1 { (title) }
                    p.byline { (byline(runs)) }
                }
                (verdict::section(runs))
                nav aria-label="Contents" {
                    @for (anchor, name) in CONTENTS { a href={ "#" (anchor) } { (name) } " " }
                }
                (models(runs))
                (table::section(runs))
                (trace::section(runs))
                (marginals::section(runs))
                (pairs::section(runs))
                (prior::section(runs))
                (predictive::section(runs))
                (origin::section(runs))
                script { (PreEscaped(include_str!("script.js"))) }
            }
        }
    };
    page.into_string()
}

fn title(runs: &[ReportRun]) -> String {
    let mut models: Vec<&str> = runs.iter().map(|run| run.summary.model.as_str()).collect();
    models.dedup();
    models.join(", ")
}

fn byline(runs: &[ReportRun]) -> Markup {
    html! {
        @if let [run] = runs {
            (run.summary.method) ", " (run.summary.draws) " draws, seed " (run.summary.seed)
        } @else {
            @for (i, run) in runs.iter().enumerate() {
                span.key.(color(i)) {
                    span.chip { (letter(i)) } " " (run.summary.model) ", " (run.summary.method) ", seed " (run.summary.seed)
                }
                " "
            }
        }
    }
}

/// Each model once, with the runs that are of it.
fn models(runs: &[ReportRun]) -> Markup {
    let mut models: Vec<(&Listing, Vec<usize>)> = Vec::new();
    for (i, run) in runs.iter().enumerate() {
        match models.iter_mut().find(|(listing, _)| **listing == run.listing) {
            Some((_, of)) => of.push(i),
            None => models.push((&run.listing, vec![i])),
        }
    }
    html! {
        section #model {
            h2 { "Model" }
            @for (listing, of) in &models {
                @if models.len() > 1 {
                    h3 { @for i in of { span.chip.(color(*i)) { (letter(*i)) } " " } code { (runs[of[0]].config.model.path) } }
                }
                (listing.markup())
            }
            (listing::legend())
        }
    }
}
