//! The table of posterior summaries: one row for each scalar and run.

use maud::{Markup, html};

use super::ReportRun;
use super::intervals::glyph;
use super::run::{color, letter, number};
use super::svg::padded;
use crate::results::{Statistics, VariableSummary, interval_axis};

/// Elements of an array that are shown at first...
const FIRST: usize = 12;
/// ... and at most.
const MOST: usize = 300;

type Column = (&'static str, &'static str, fn(&Statistics) -> f64);

/// Heading, explanation and value of the numeric columns.
const COLUMNS: [Column; 7] = [
    ("mean", "posterior mean", |s| s.mean),
    ("sd", "posterior standard deviation", |s| s.sd),
    ("5%", "5 % quantile", |s| s.q5),
    ("50%", "median", |s| s.q50),
    ("95%", "95 % quantile", |s| s.q95),
    ("ess", "bulk effective sample size", |s| s.ess),
    ("rhat", "rank-normalised split R-hat; 1.00 when chains agree", |s| s.rhat.unwrap_or(f64::NAN)),
];

/// A variable of all runs that have it with that shape.
struct Entry<'a> {
    name: &'a str,
    shape: &'a [usize],
    runs: Vec<(usize, &'a VariableSummary)>,
}

pub(super) fn section(runs: &[ReportRun]) -> Markup {
    let entries = entries(runs);
    let chains = runs.iter().flat_map(|r| &r.summary.variables);
    let with_rhat = chains.flat_map(|v| &v.scalars).any(|s| s.rhat.is_some());
    let columns = &COLUMNS[..if with_rhat { 7 } else { 6 }];
    let hidden = entries.iter().any(|e| size(e.shape) > FIRST);
    let left_out: usize = entries.iter().map(|e| size(e.shape).saturating_sub(MOST)).sum();
    html! {
        section #summary {
            h2 { "Posterior summary" }
            p.how {
                "The dot is the median, the line reaches from the 5 % to the 95 % quantile; scalars of one \
                 variable share their axis, and the faint line is zero."
            }
            div.tools {
                label { "Show " input #filter type="search" placeholder="names that contain…" autocomplete="off"; }
                @if hidden { button #all type="button" { "Show all elements" } }
            }
            div.scroll {
                table #summaries {
                    thead {
                        tr {
                            th scope="col" { button type="button" { "variable" } }
                            @if runs.len() > 1 { th scope="col" { button type="button" { "run" } } }
                            th.picture scope="col" { "interval" }
                            @for (name, help, _) in columns {
                                th.number scope="col" title=(help) { button type="button" { (name) } }
                            }
                        }
                    }
                    tbody {
                        @for entry in &entries {
                            @let axis = axis(entry);
                            @for element in 0..size(entry.shape).min(MOST) {
                                @for (run, variable) in &entry.runs {
                                    (row(element, *run, variable, axis, columns, runs.len() > 1))
                                }
                            }
                        }
                    }
                }
            }
            @if left_out > 0 {
                p.how { (left_out) " further elements are in " code { "summary.json" } "." }
            }
        }
    }
}

fn size(shape: &[usize]) -> usize {
    shape.iter().product()
}

fn entries(runs: &[ReportRun]) -> Vec<Entry<'_>> {
    let mut entries: Vec<Entry<'_>> = Vec::new();
    for (i, run) in runs.iter().enumerate() {
        for variable in &run.summary.variables {
            let same = |e: &&mut Entry<'_>| e.name == variable.name && e.shape == variable.shape;
            match entries.iter_mut().find(same) {
                Some(entry) => entry.runs.push((i, variable)),
                None => entries.push(Entry {
                    name: &variable.name,
                    shape: &variable.shape,
                    runs: vec![(i, variable)],
                }),
            }
        }
    }
    entries
}

/// The axis that all scalars of a variable share.
fn axis(entry: &Entry<'_>) -> Option<(f64, f64)> {
    let scalars = entry.runs.iter().flat_map(|(_, v)| v.scalars.iter().take(MOST));
    interval_axis(scalars).map(|(low, high)| padded(low, high))
}

fn row(
    element: usize,
    run: usize,
    variable: &VariableSummary,
    axis: Option<(f64, f64)>,
    columns: &[Column],
    with_run: bool,
) -> Markup {
    let s = &variable.scalars[element];
    let more = element >= FIRST;
    html! {
        tr.(color(run)).more[more] hidden[more] {
            th scope="row" { code { (variable.element_name(element)) } }
            @if with_run { td { span.chip { (letter(run)) } } }
            td.picture { @if let Some(axis) = axis { (glyph(s.q5, s.q50, s.q95, axis)) } }
            @for (name, _, get) in columns {
                @let x = get(s);
                td.number.bad[is_bad(name, s)] data-value=(x) {
                    @match *name {
                        "ess" if x.is_finite() => { (format!("{x:.0}")) },
                        "rhat" if x.is_finite() => { (format!("{x:.2}")) },
                        _ => { (number(x)) },
                    }
                }
            }
        }
    }
}

/// Whether a diagnostic of chains is beyond its published limit [vehtari2021].
fn is_bad(column: &str, s: &Statistics) -> bool {
    match column {
        "rhat" => s.rhat.is_some_and(|r| r > 1.01),
        "ess" => s.rhat.is_some() && s.ess < 400.0,
        _ => false,
    }
}
