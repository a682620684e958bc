//! Small drawings: scales, axes, paths. Colours come from classes that the page's style sheet knows, so
//! that one drawing serves light and dark.

use std::fmt::Write;

use maud::{Markup, Render, html};

/// Draws `low..high` onto `from..to` pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scale {
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) from: f64,
    pub(super) to: f64,
}

impl Scale {
    /// The place of `x`, in pixels.
    pub(super) fn at(&self, x: f64) -> f64 {
        self.from + (x - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    /// The place of `x`, or the end of the scale that is nearer when it lies outside.
    pub(super) fn clamped(&self, x: f64) -> f64 {
        self.at(x.clamp(self.low, self.high))
    }

    /// Whether `x` lies on the scale.
    pub(super) fn holds(&self, x: f64) -> bool {
        (self.low..=self.high).contains(&x)
    }

    /// Pixels for one unit.
    pub(super) fn per_unit(&self) -> f64 {
        (self.to - self.from).abs() / (self.high - self.low)
    }

    /// Round numbers on the scale, about `count` of them, with their texts.
    pub(super) fn ticks(&self, count: usize) -> Vec<(f64, String)> {
        let span = self.high - self.low;
        if !(span > 0.0 && span.is_finite()) {
            return Vec::new();
        }
        let raw = span / count as f64;
        let power = 10.0_f64.powf(raw.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|m| m * power);
        let step = step.into_iter().find(|s| *s >= raw * 0.999).unwrap_or(10.0 * power);
        let mut ticks = Vec::new();
        let mut k = (self.low / step - 1e-9).ceil();
        while k * step <= self.high + 1e-9 * step {
            ticks.push((k * step, tick_text(k * step, step)));
            k += 1.0;
        }
        ticks
    }
}

/// As many digits as tell a tick from its neighbours.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small and clamped")]
fn tick_text(x: f64, step: f64) -> String {
    let decimals = (-step.log10().floor()).clamp(0.0, 6.0) as usize;
    if x.abs() < step / 2.0 {
        return "0".into();
    }
    if x.abs() >= 1e5 || step < 1e-5 {
        let text = format!("{x:.1e}").replace(".0e", "e");
        return text.replace('-', "\u{2212}");
    }
    format!("{x:.decimals$}").replace('-', "\u{2212}")
}

/// A length in pixels, to a tenth.
#[derive(Debug, Clone, Copy)]
pub(super) struct Px(pub(super) f64);

impl Render for Px {
    fn render_to(&self, out: &mut String) {
        // Whole numbers go without the fraction.
        let tenths = (self.0 * 10.0).round() / 10.0;
        let _ = write!(out, "{}", if tenths == 0.0 { 0.0 } else { tenths });
    }
}

/// The path through the points.
pub(super) fn path(points: impl IntoIterator<Item = (f64, f64)>) -> String {
    let mut text = String::new();
    for (x, y) in points {
        text.push(if text.is_empty() { 'M' } else { 'L' });
        Px(x).render_to(&mut text);
        text.push(' ');
        Px(y).render_to(&mut text);
    }
    text
}

/// The area between the points and the line `y = base`.
pub(super) fn area(points: &[(f64, f64)], base: f64) -> String {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return String::new() };
    let ends = [(last.0, base), (first.0, base)];
    path(points.iter().copied().chain(ends)) + "Z"
}

/// Size of a drawing and the room around its plot.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) top: f64,
    pub(super) bottom: f64,
}

impl Frame {
    /// The scale along the bottom.
    pub(super) fn x(&self, (low, high): (f64, f64)) -> Scale {
        Scale { low, high, from: self.left, to: self.width - self.right }
    }

    /// The scale upwards.
    pub(super) fn y(&self, (low, high): (f64, f64)) -> Scale {
        Scale { low, high, from: self.base(), to: self.top }
    }

    /// Where the plot ends below.
    pub(super) fn base(&self) -> f64 {
        self.height - self.bottom
    }

    /// The drawing; `title` is what a screen reader says.
    pub(super) fn draw(&self, title: &str, content: &Markup) -> Markup {
        html! {
            svg viewBox={ "0 0 " (Px(self.width)) " " (Px(self.height)) } role="img" {
                title { (title) }
                (content)
            }
        }
    }

    /// The axis along the bottom.
    pub(super) fn x_axis(&self, scale: &Scale, label: &str) -> Markup {
        let base = self.base();
        html! {
            line.axis x1=(Px(scale.from)) x2=(Px(scale.to)) y1=(Px(base)) y2=(Px(base)) {}
            @for (x, text) in scale.ticks(4) {
                line.axis x1=(Px(scale.at(x))) x2=(Px(scale.at(x))) y1=(Px(base)) y2=(Px(base + 3.0)) {}
                text.tick x=(Px(scale.at(x))) y=(Px(base + 14.0)) text-anchor="middle" { (text) }
            }
            @if !label.is_empty() {
                text.label x=(Px(scale.to)) y=(Px(base + 27.0)) text-anchor="end" { (label) }
            }
        }
    }

    /// The axis on the left, with faint lines across.
    pub(super) fn y_axis(&self, scale: &Scale, label: &str) -> Markup {
        let (left, right) = (self.left, self.width - self.right);
        html! {
            @for (y, text) in scale.ticks(4) {
                line.grid x1=(Px(left)) x2=(Px(right)) y1=(Px(scale.at(y))) y2=(Px(scale.at(y))) {}
                text.tick x=(Px(left - 5.0)) y=(Px(scale.at(y) + 3.5)) text-anchor="end" { (text) }
            }
            @if !label.is_empty() {
                text.label x="2" y=(Px(self.top - 6.0)) { (label) }
            }
        }
    }
}

/// `low..high` with a little room on both sides; something to see also where it is a point.
pub(super) fn padded(low: f64, high: f64) -> (f64, f64) {
    let pad = if high > low { 0.04 * (high - low) } else { 0.5 * low.abs().max(1.0) };
    (low - pad, high + pad)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(low: f64, high: f64) -> Vec<String> {
        let scale = Scale { low, high, from: 0.0, to: 100.0 };
        scale.ticks(4).into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn ticks_are_round_and_no_more_precise_than_needed() {
        assert_eq!(ticks(0.0, 10.0), ["0", "5", "10"]);
        assert_eq!(ticks(-1.3, 1.9), ["\u{2212}1", "0", "1"]);
        assert_eq!(ticks(0.0, 0.01), ["0", "0.005", "0.010"]);
        assert_eq!(ticks(-4e6, 4e6), ["\u{2212}4e6", "\u{2212}2e6", "0", "2e6", "4e6"]);
        assert!(ticks(1.0, 1.0).is_empty() && ticks(f64::NAN, 1.0).is_empty());
    }

    #[test]
    fn paths_have_tenths_of_pixels() {
        assert_eq!(path([(0.0, 1.25), (10.0, -0.04)]), "M0 1.3L10 0");
        assert_eq!(area(&[(0.0, 1.0), (2.0, 1.0)], 5.0), "M0 1L2 1L2 5L0 5Z");
    }
}
