//! How inference went: the objective and other traces over iterations, a sampler's log joint over draws.

use maud::{Markup, html};

use super::ReportRun;
use super::density::{quantile, sorted};
use super::run::{color, letter};
use super::svg::{Frame, padded, path};
use crate::results::StoredArray;

const FRAME: Frame =
    Frame { width: 360.0, height: 190.0, left: 50.0, right: 10.0, top: 18.0, bottom: 34.0 };

/// A line of a plot: positions and values.
type Line = Vec<(f64, f64)>;

pub(super) fn section(runs: &[ReportRun]) -> Markup {
    let drawn: Vec<(usize, &str, Markup)> = runs
        .iter()
        .enumerate()
        .flat_map(|(i, run)| traces(run).into_iter().map(move |(name, plot)| (i, name, plot)))
        .collect();
    html! {
        section #trace {
            h2 { "How inference went" }
            @if drawn.is_empty() {
                p.how { "The method has no iterations to show." }
            } @else {
                p.how {
                    "An objective that has settled is level at its right end. Early iterations far off the rest \
                     are cut at the edge. A sampler shows its log joint, one line for each chain."
                }
                div.grid.wide {
                    @for (run, name, plot) in &drawn {
                        figure.(color(*run)) {
                            figcaption {
                                @if runs.len() > 1 { span.chip { (letter(*run)) } " " }
                                (name)
                            }
                            (plot)
                        }
                    }
                }
            }
        }
    }
}

/// The plots of a run, each with its caption.
fn traces(run: &ReportRun) -> Vec<(&'static str, Markup)> {
    let mut plots = Vec::new();
    // Only a sampler's draws have an order; what it leaves beside them is one number for each chain.
    if run.stat("energy").is_some() {
        let caption = "Log joint of the draws, nats";
        let lp = run.stat("lp").map(|lp| (caption, plot(caption, "draw", &chains(lp), false)));
        return lp.into_iter().collect();
    }
    for trace in &run.traces {
        let iterations = run.traces.iter().find(|t| t.name == format!("{}_iteration", trace.name));
        let varies = trace.values.windows(2).any(|w| w[0] != w[1]);
        let Some(iterations) = iterations.filter(|_| varies) else { continue };
        let line = iterations.values.iter().copied().zip(trace.values.iter().copied()).collect();
        plots.push((caption(&trace.name), plot(caption(&trace.name), "iteration", &[line], true)));
    }
    plots
}

/// What a trace is, in words.
fn caption(name: &str) -> &'static str {
    match name {
        "elbo" => "Evidence lower bound, nats",
        "fisher_divergence" => "Fisher divergence",
        "critic_gap" => "Gap that the critic sees",
        "learning_rate" => "Learning rate",
        "step_size" => "Step size",
        "log_evidence" => "Log evidence, nats",
        "loss" => "Loss",
        "ksd" => "Kernel Stein discrepancy",
        _ => "Trace",
    }
}

/// A line for each chain, with no more points than can be told apart.
fn chains(lp: &StoredArray) -> Vec<Line> {
    const POINTS: usize = 300;
    let per_chain = lp.shape.get(1).copied().unwrap_or(0).max(1);
    let step = per_chain.div_ceil(POINTS);
    let line = |chain: &[f64]| -> Line {
        let kept = chain.iter().enumerate().step_by(step);
        kept.map(|(i, &y)| ((i + 1) as f64, y)).collect()
    };
    lp.values.chunks(per_chain).map(line).collect()
}

/// The lines; with `cut`, the axis shows what the last four fifths reach.
fn plot(title: &str, label: &str, lines: &[Line], cut: bool) -> Markup {
    let lines: Vec<Line> = lines
        .iter()
        .map(|line| line.iter().copied().filter(|(_, y)| y.is_finite()).collect())
        .filter(|line: &Line| !line.is_empty())
        .collect();
    let late: Vec<f64> = lines
        .iter()
        .flat_map(|line| line[if cut { line.len() / 5 } else { 0 }..].iter().map(|(_, y)| *y))
        .collect();
    let late = sorted(&late);
    let last = lines.iter().filter_map(|line| line.last()).map(|(x, _)| *x).fold(1.0, f64::max);
    if late.is_empty() {
        return html! { p.constant { "no finite value" } };
    }
    let x = FRAME.x((0.0, last));
    let y = FRAME.y(padded(quantile(&late, 0.005), quantile(&late, 0.995)));
    FRAME.draw(
        title,
        &html! {
            (FRAME.y_axis(&y, ""))
            @for (i, line) in lines.iter().enumerate() {
                path.curve.thin.{ "chain" (i % 4) } d=(path(line.iter().map(|(at, v)| (x.at(*at), y.clamped(*v))))) {}
            }
            (FRAME.x_axis(&x, label))
        },
    )
}
