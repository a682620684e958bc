//! Marginal posteriors: a density over quantile dots for each scalar, bands for long arrays.

use maud::{Markup, html};

use super::ReportRun;
use super::density::{curve, quantile, quantile_dots, shares, sorted, stacks, view};
use super::intervals::ribbon;
use super::run::{Scalar, color, letter, scalars, variables};
use super::svg::{Frame, Px, area, padded, path};

/// Arrays with more elements than this are drawn as a band.
const LONGEST: usize = 12;
/// Panels at most; a page is to be read.
const MOST: usize = 60;
/// Each dot is one in so many draws.
const DOTS: usize = 50;

const FRAME: Frame =
    Frame { width: 240.0, height: 118.0, left: 14.0, right: 14.0, top: 8.0, bottom: 20.0 };

pub(super) fn section(runs: &[ReportRun]) -> Markup {
    let variables = variables(runs).into_iter();
    let (long, short): (Vec<_>, Vec<_>) = variables.partition(|v| v.size() > LONGEST);
    let single: Vec<Scalar> = short.iter().flat_map(|v| scalars(v)).collect();
    let left_out = single.len().saturating_sub(MOST);
    html! {
        section #marginals {
            h2 { "Marginal posteriors" }
            p.how {
                "Each of the " (DOTS) " dots stands for one draw in " (DOTS) ": count dots to read a \
                 probability. The line is the density, the bar below reaches from the 5 % to the 95 % \
                 quantile with a mark at the median."
                @if runs.len() > 1 { " Runs share the axis." }
            }
            div.grid {
                @for scalar in single.iter().take(MOST) {
                    figure {
                        figcaption { code { (scalar.name) } }
                        (panels(runs, scalar))
                    }
                }
            }
            @if left_out > 0 {
                p.how { (left_out) " more scalars are not drawn; the table has them." }
            }
            @if !long.is_empty() {
                h3 { "Long arrays" }
                p.how {
                    "Medians over the elements, in row-major order, with bands from the 25 % to the 75 % and \
                     from the 5 % to the 95 % quantile."
                }
                div.grid.wide {
                    @for variable in long {
                        figure {
                            figcaption { code { (variable.name) (format!("{:?}", variable.shape)) } }
                            @let same: Vec<_> = runs.iter().enumerate().filter_map(|(i, run)| {
                                let same = |v: &&crate::results::Variable| v.name == variable.name && v.shape == variable.shape;
                                Some((i, run.posterior.iter().find(same)?))
                            }).collect();
                            (ribbon(&same))
                        }
                    }
                }
            }
        }
    }
}

/// One drawing for each run, on a common axis.
fn panels(runs: &[ReportRun], scalar: &Scalar) -> Markup {
    let draws: Vec<(usize, Vec<f64>)> = runs
        .iter()
        .enumerate()
        .filter_map(|(i, run)| Some((i, sorted(&run.scalar(scalar)?))))
        .collect();
    let views: Vec<(f64, f64)> = draws.iter().filter_map(|(_, draws)| view(draws)).collect();
    let low = views.iter().map(|v| v.0).fold(f64::INFINITY, f64::min);
    let high = views.iter().map(|v| v.1).fold(f64::NEG_INFINITY, f64::max);
    html! {
        @for (run, draws) in &draws {
            @if runs.len() > 1 { span.chip.(color(*run)) { (letter(*run)) } }
            @if low < high {
                (panel(&scalar.name, *run, draws, (low, high)))
            } @else if let Some(first) = draws.first() {
                p.constant { "always " (first) }
            } @else {
                p.constant { "no finite draw" }
            }
        }
    }
}

fn panel(name: &str, run: usize, draws: &[f64], range: (f64, f64)) -> Markup {
    if draws.is_empty() {
        return html! { p.constant { "no finite draw" } };
    }
    let title = format!("Posterior density of {name}");
    if let Some(shares) = shares(draws, 40) {
        return bars(&title, run, &shares, range);
    }
    let x = FRAME.x(range);
    let room = FRAME.base() - 8.0 - FRAME.top;
    let curve = curve(draws, range);
    // The area of a dot is its share of the probability, so that a stack is as high as the density:
    // `count d = density · DOTS · d²` with the density per pixel.
    let per_pixel = 1.0 / x.per_unit();
    let mut d = (room / (curve.peak() * per_pixel * DOTS as f64)).sqrt().min(11.5);
    let dots: Vec<f64> = quantile_dots(draws, DOTS).into_iter().map(|q| x.clamped(q)).collect();
    let mut piles = stacks(&dots, d);
    while piles.iter().any(|(_, count)| *count as f64 * d > room) {
        d *= 0.95;
        piles = stacks(&dots, d);
    }
    let base = FRAME.base() - 8.0;
    let height = |density: f64| base - density * per_pixel * DOTS as f64 * d * d;
    let points: Vec<_> =
        curve.x.iter().zip(&curve.y).map(|(&at, &y)| (x.at(at), height(y))).collect();
    let [low, middle, high] = [0.05, 0.5, 0.95].map(|p| x.clamped(quantile(draws, p)));
    FRAME.draw(
        &title,
        &html! {
            g class=(color(run)) {
                path.area d=(area(&points, base)) {}
                @for (at, count) in &piles {
                    @for i in 0..*count {
                        circle.dot cx=(Px(*at)) cy=(Px(base - (i as f64 + 0.5) * d)) r=(Px(0.44 * d)) {}
                    }
                }
                path.curve d=(path(points.iter().copied())) {}
                line.interval x1=(Px(low)) x2=(Px(high)) y1=(Px(base + 4.0)) y2=(Px(base + 4.0)) {}
                circle.median cx=(Px(middle)) cy=(Px(base + 4.0)) r="3" {}
            }
            (FRAME.x_axis(&x, ""))
        },
    )
}

/// A bar for each whole number.
fn bars(title: &str, run: usize, shares: &[(i64, f64)], (low, high): (f64, f64)) -> Markup {
    let x = FRAME.x(padded(low - 0.5, high + 0.5));
    let most = shares.iter().map(|s| s.1).fold(0.0, f64::max);
    let y = FRAME.y((0.0, most));
    let width = (0.8 * x.per_unit()).min(24.0);
    FRAME.draw(
        title,
        &html! {
            g class=(color(run)) {
                @for (k, share) in shares {
                    @let (at, top) = (x.at(*k as f64), y.at(*share));
                    rect.bar x=(Px(at - width / 2.0)) y=(Px(top)) width=(Px(width)) height=(Px(FRAME.base() - top)) {
                        title { (k) ": " (format!("{:.1} %", 100.0 * share)) }
                    }
                }
            }
            (FRAME.x_axis(&x, ""))
        },
    )
}
