//! Intervals: the small ones of the table, and bands over the elements of a long array.

use maud::{Markup, html};

use super::density::{quantile, sorted};
use super::svg::{Frame, Px, Scale, padded, path};
use crate::results::Variable;

/// A line from the 5 % to the 95 % quantile with a dot at the median. Zero is marked where it is in sight.
pub(super) fn glyph(low: f64, middle: f64, high: f64, (from, to): (f64, f64)) -> Markup {
    if ![low, middle, high].iter().all(|x| x.is_finite()) {
        return html! {};
    }
    let scale = Scale { low: from, high: to, from: 4.0, to: 116.0 };
    html! {
        svg.glyph viewBox="0 0 120 14" aria-hidden="true" {
            @if scale.holds(0.0) {
                line.zero x1=(Px(scale.at(0.0))) x2=(Px(scale.at(0.0))) y1="0" y2="14" {}
            }
            line.interval x1=(Px(scale.at(low))) x2=(Px(scale.at(high))) y1="7" y2="7" {}
            circle.median cx=(Px(scale.at(middle))) cy="7" r="3" {}
        }
    }
}

/// The quantiles of each element that is drawn, by its position from 1.
type Band = Vec<(usize, [f64; 5])>;

/// Bands from the 5 % to the 95 % and from the 25 % to the 75 % quantile, and the median, over the
/// row-major position of the elements.
pub(super) fn ribbon(variables: &[(usize, &Variable)]) -> Markup {
    const FRAME: Frame =
        Frame { width: 360.0, height: 190.0, left: 44.0, right: 8.0, top: 18.0, bottom: 32.0 };
    const LEVELS: [f64; 5] = [0.05, 0.25, 0.5, 0.75, 0.95];
    /// More elements than pixels cannot be told apart.
    const MOST: usize = 400;
    let Some((_, first)) = variables.first() else { return html! {} };
    let size = first.size();
    let step = size.div_ceil(MOST);
    let bands: Vec<(usize, Band)> = variables
        .iter()
        .map(|(run, variable)| {
            let elements = (0..size).step_by(step);
            let of = |element| {
                let draws = sorted(&variable.scalar(element));
                (element + 1, LEVELS.map(|p| quantile(&draws, p)))
            };
            (*run, elements.map(of).filter(|(_, q)| q.iter().all(|x| x.is_finite())).collect())
        })
        .collect();
    let all = || bands.iter().flat_map(|(_, points)| points.iter().map(|(_, q)| q));
    let low = all().map(|q| q[0]).fold(f64::INFINITY, f64::min);
    let high = all().map(|q| q[4]).fold(f64::NEG_INFINITY, f64::max);
    if low > high {
        return html! {};
    }
    let x = FRAME.x((1.0, size.max(2) as f64));
    let y = FRAME.y(padded(low, high));
    let band = |points: &[(usize, [f64; 5])], below: usize, above: usize| {
        let at = |level: usize| {
            move |(element, q): &(usize, [f64; 5])| (x.at(*element as f64), y.at(q[level]))
        };
        path(points.iter().map(at(above)).chain(points.iter().rev().map(at(below)))) + "Z"
    };
    FRAME.draw(
        &format!("Intervals of the elements of {}", first.name),
        &html! {
            (FRAME.y_axis(&y, ""))
            @if y.holds(0.0) {
                line.zero x1=(Px(x.from)) x2=(Px(x.to)) y1=(Px(y.at(0.0))) y2=(Px(y.at(0.0))) {}
            }
            @for (run, points) in &bands {
                g class=(super::run::color(*run)) {
                    path.band d=(band(points, 0, 4)) {}
                    path.band d=(band(points, 1, 3)) {}
                    path.curve d=(path(points.iter().map(|(i, q)| (x.at(*i as f64), y.at(q[2]))))) {}
                }
            }
            (FRAME.x_axis(&x, "element"))
        },
    )
}
