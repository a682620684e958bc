//! The top of the page: for each run whether to trust it, why, and what to do next.

use maud::{Markup, html};

use super::ReportRun;
use super::run::{color, letter, minus, number};
use crate::inference::{KhatKind, VerdictLevel};
use crate::results::Summary;

pub(super) fn section(runs: &[ReportRun]) -> Markup {
    html! {
        section #verdict.verdicts aria-label="Verdict" {
            @for (i, run) in runs.iter().enumerate() {
                article.verdict.(word(run.summary.verdict).to_lowercase()).(color(i)) {
                    @if runs.len() > 1 {
                        h2 { span.chip { (letter(i)) } " " (run.summary.method) }
                    }
                    p.word { (word(run.summary.verdict)) span.meaning { (meaning(run.summary.verdict)) } }
                    @if run.summary.interrupted {
                        p { "The run was stopped before it was done." }
                    }
                    ul.reasons {
                        @for reason in &run.summary.reasons { li { (reason) } }
                    }
                    @if let Some(next) = &run.summary.next {
                        p.next { "Next: " code { "ppl run " (run.config.model.path) " " (next) } }
                    }
                    dl.facts {
                        @for (name, value) in facts(&run.summary) {
                            div { dt { (name) } dd { (value) } }
                        }
                    }
                }
            }
        }
    }
}

pub(super) fn word(level: VerdictLevel) -> &'static str {
    match level {
        VerdictLevel::Ok => "OK",
        VerdictLevel::Doubtful => "DOUBTFUL",
        VerdictLevel::Failed => "FAILED",
    }
}

fn meaning(level: VerdictLevel) -> &'static str {
    match level {
        VerdictLevel::Ok => "Every check passed.",
        VerdictLevel::Doubtful => {
            "Use these draws with care: a check is borderline or could not be made."
        }
        VerdictLevel::Failed => "Do not use these draws.",
    }
}

/// What is known of a fit as a whole, in the order of importance.
pub(super) fn facts(summary: &Summary) -> Vec<(&'static str, String)> {
    let mut facts = vec![(
        "Draws",
        match summary.chains {
            0 | 1 => summary.draws.to_string(),
            n => format!("{} in {n} chains", summary.draws),
        },
    )];
    facts.push(("Unconstrained dimension", summary.dim.to_string()));
    if let Some(elbo) = summary.elbo {
        let se = summary.elbo_se.map_or_else(String::new, |se| format!(" \u{b1} {se:.2}"));
        facts.push(("ELBO", minus(&format!("{elbo:.2}{se} nats"))));
    }
    if let Some(log_z) = summary.log_z {
        facts.push(("Log evidence", minus(&format!("{log_z:.2} nats"))));
    }
    if let Some(khat) = summary.khat {
        let kind = match summary.khat_kind {
            None | Some(KhatKind::Exact) => "",
            Some(KhatKind::Augmented) => ", of paths",
            Some(KhatKind::Estimated) => ", estimated",
        };
        facts.push(("Pareto k\u{302}", minus(&format!("{khat:.2}{kind}"))));
    }
    if let Some(fisher) = summary.fisher_divergence {
        facts.push(("Fisher divergence", number(fisher)));
    }
    let scalars = || summary.variables.iter().flat_map(|v| &v.scalars);
    let worst = scalars().filter_map(|s| s.rhat).fold(f64::NAN, f64::max);
    if worst.is_finite() {
        facts.push(("Largest R\u{302}", format!("{worst:.3}")));
        let least = scalars().map(|s| s.ess).fold(f64::INFINITY, f64::min);
        facts.push(("Smallest bulk ESS", format!("{least:.0}")));
    }
    facts.push(("Time", seconds(summary.timing.train_s)));
    facts
}

fn seconds(s: f64) -> String {
    if s >= 90.0 { format!("{:.1} min", s / 60.0) } else { format!("{s:.1} s") }
}
