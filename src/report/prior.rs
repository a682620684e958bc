//! What the data taught: the prior of each parameter beside its posterior.

use maud::{Markup, html};

use super::ReportRun;
use super::density::{Curve, curve, quantile, sorted, view};
use super::run::{Scalar, color, letter, scalars, values, variables};
use super::svg::{Frame, area, path};
use crate::results::Role;

/// Panels at most.
const MOST: usize = 24;
/// Elements of an array at most.
const ELEMENTS: usize = 4;
/// The axis is at most so many times as wide as the posterior, so that it stays in sight.
const WIDEST: f64 = 6.0;

const FRAME: Frame =
    Frame { width: 240.0, height: 104.0, left: 14.0, right: 14.0, top: 8.0, bottom: 20.0 };

pub(super) fn section(runs: &[ReportRun]) -> Markup {
    let params = variables(runs).into_iter().filter(|v| v.role == Role::Param);
    let drawn: Vec<(Scalar, Markup)> = params
        .flat_map(|v| scalars(v).take(ELEMENTS))
        .filter_map(|scalar| panel(runs, &scalar).map(|panel| (scalar, panel)))
        .take(MOST)
        .collect();
    let reasons = runs.iter().filter_map(|run| run.config.not_drawn.get("prior"));
    let reasons: Vec<&String> = reasons.flatten().collect();
    html! {
        section #prior {
            h2 { "Prior against posterior" }
            @if drawn.is_empty() {
                p.how { "There are no draws from the prior." }
            } @else {
                p.how {
                    "The dashed line is the prior. Where the posterior has hardly moved, the data say little about \
                     the parameter; below stands the width of its middle half, as a share of the prior\u{2019}s. Of \
                     arrays the first " (ELEMENTS) " elements are drawn."
                }
                div.grid {
                    @for (scalar, panel) in &drawn {
                        figure { figcaption { code { (scalar.name) } } (panel) }
                    }
                }
            }
            @for reason in reasons { p.how { "Not drawn: " (reason) } }
        }
    }
}

fn panel(runs: &[ReportRun], scalar: &Scalar) -> Option<Markup> {
    let prior = runs.iter().find_map(|run| values(&run.prior, scalar))?;
    let prior = sorted(&prior);
    let posteriors: Vec<(usize, Vec<f64>)> = runs
        .iter()
        .enumerate()
        .filter_map(|(i, run)| Some((i, sorted(&run.scalar(scalar)?))))
        .filter(|(_, draws)| view(draws).is_some())
        .collect();
    let views: Vec<(f64, f64)> = posteriors.iter().filter_map(|(_, draws)| view(draws)).collect();
    let low = views.iter().map(|v| v.0).fold(f64::INFINITY, f64::min);
    let high = views.iter().map(|v| v.1).fold(f64::NEG_INFINITY, f64::max);
    let (prior_low, prior_high) = view(&prior)?;
    if low >= high {
        return None;
    }
    let room = 0.5 * (WIDEST - 1.0) * (high - low);
    let range = (prior_low.max(low - room).min(low), prior_high.min(high + room).max(high));
    let before = curve(&prior, range);
    let after: Vec<(usize, Curve)> =
        posteriors.iter().map(|(i, draws)| (*i, curve(draws, range))).collect();
    let x = FRAME.x(range);
    let peak = after.iter().map(|(_, c)| c.peak()).fold(before.peak(), f64::max);
    let y = FRAME.y((0.0, peak));
    let points = |c: &Curve| -> Vec<(f64, f64)> {
        c.x.iter().zip(&c.y).map(|(&at, &density)| (x.at(at), y.at(density))).collect()
    };
    let half = |draws: &[f64]| quantile(draws, 0.75) - quantile(draws, 0.25);
    let title = format!("Prior and posterior density of {}", scalar.name);
    let drawing = FRAME.draw(
        &title,
        &html! {
            @for (i, curve) in &after {
                g class=(color(*i)) {
                    path.area d=(area(&points(curve), FRAME.base())) {}
                    path.curve d=(path(points(curve))) {}
                }
            }
            path.prior d=(path(points(&before))) {}
            (FRAME.x_axis(&x, ""))
        },
    );
    Some(html! {
        (drawing)
        p.detail {
            @for (i, draws) in &posteriors {
                @if runs.len() > 1 { span.chip.(color(*i)) { (letter(*i)) } " " }
                (share(half(draws) / half(&prior))) " "
            }
        }
    })
}

/// A ratio as a share, or as a multiple where it is larger.
fn share(ratio: f64) -> String {
    if !ratio.is_finite() {
        "-".into()
    } else if ratio < 0.01 {
        format!("{:.1}\u{a0}%", 100.0 * ratio)
    } else if ratio < 2.0 {
        format!("{:.0}\u{a0}%", 100.0 * ratio)
    } else {
        format!("{ratio:.1} times")
    }
}
