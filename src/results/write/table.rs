//! The table on the terminal: summaries, the fit's numbers, the verdict and what to do next.

use std::fmt::Write;

use crate::inference::{KhatKind, VerdictLevel};
use crate::results::summary::interval_axis;
use crate::results::{Statistics, Summary, VariableSummary};

/// Lines are at most this wide.
const WIDTH: usize = 80;
/// Arrays with more scalars than this are elided...
const LONGEST: usize = 12;
/// ... to this many.
const SHOWN: usize = 6;
/// Longest name; what is longer is cut.
const NAME: usize = 20;
/// Narrowest and widest drawing of an interval.
const INTERVAL: (usize, usize) = (9, 24);
/// What the columns of numbers are called.
const HEADINGS: [&str; 5] = ["mean", "sd", "5%", "50%", "95%"];

/// Colours: what is said beside the numbers, a doubt, a failure.
const DIM: &str = "2";
const YELLOW: &str = "33";
const RED: &str = "31";

/// How a table looks.
#[derive(Debug, Clone, Copy, Default)]
pub struct Style {
    /// Whether to use terminal colours.
    pub color: bool,
}

impl Style {
    fn paint(self, code: &str, text: &str) -> String {
        if self.color { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// The summary as text. `rerun` is what the next command starts with, such as `ppl run model.ppl`;
/// `out` is where all numbers can be found, for the note on elided arrays.
#[must_use]
pub fn table(summary: &Summary, style: Style, rerun: &str, out: &str) -> String {
    let mut text = String::new();
    head(&mut text, summary);
    rows(&mut text, summary, style, out);
    fit_line(&mut text, summary);
    verdict(&mut text, summary, style, rerun);
    text
}

fn head(text: &mut String, summary: &Summary) {
    let chains = match summary.chains {
        0 | 1 => String::new(),
        n => format!(" in {n} chains"),
    };
    let Summary { model, method, draws, seed, .. } = summary;
    let _ = writeln!(text, "{model}, {method}: {draws} draws{chains}, seed {seed}\n");
}

/// The scalars of a variable that are shown, and how many are not.
fn shown(variable: &VariableSummary) -> (usize, usize) {
    let n = variable.scalars.len();
    if n > LONGEST { (SHOWN, n - SHOWN) } else { (n, 0) }
}

/// A row as text, ready to be aligned.
struct Row {
    name: String,
    numbers: [String; 5],
    ess: String,
    rhat: String,
    /// The 5 %, 50 % and 95 % quantiles and the axis of their variable.
    interval: Option<([f64; 3], (f64, f64))>,
    /// Colours of `ess` and `rhat`, where they are beyond their limits.
    warnings: [Option<&'static str>; 2],
}

/// A line of the table's body.
enum Line {
    Scalar(Box<Row>),
    /// So many elements of the array are not shown.
    More(usize),
}

fn rows(text: &mut String, summary: &Summary, style: Style, out: &str) {
    let lines = lines(summary);
    let scalars = || {
        lines.iter().filter_map(|line| match line {
            Line::Scalar(row) => Some(&**row),
            Line::More(_) => None,
        })
    };
    let widest =
        |get: &dyn Fn(&Row) -> usize, least: usize| scalars().map(get).fold(least, usize::max);
    let columns: [usize; 5] =
        std::array::from_fn(|i| widest(&|row: &Row| row.numbers[i].len(), HEADINGS[i].len()) + 2);
    let ess = widest(&|row: &Row| row.ess.len(), 3) + 2;
    let with_rhat = scalars().any(|row| !row.rhat.is_empty());
    let rhat = if with_rhat { widest(&|row: &Row| row.rhat.len(), 4) + 2 } else { 0 };
    let fixed = columns.iter().sum::<usize>() + ess + rhat;
    let width = widest(&|row: &Row| row.name.chars().count(), 4).min(NAME).min(WIDTH - fixed);
    // The interval takes what is left, or goes.
    let picture = (WIDTH - fixed - width).saturating_sub(2).min(INTERVAL.1);
    let picture = if picture < INTERVAL.0 { 0 } else { picture };

    let gap = if picture > 0 { picture + 2 } else { 0 };
    let mut header = " ".repeat(width + gap);
    for (name, column) in HEADINGS.iter().zip(columns) {
        let _ = write!(header, "{name:>column$}");
    }
    let _ = write!(header, "{:>ess$}", "ess");
    if with_rhat {
        let _ = write!(header, "{:>rhat$}", "rhat");
    }
    let _ = writeln!(text, "{}", style.paint(DIM, &header));
    for line in &lines {
        let row = match line {
            Line::Scalar(row) => row,
            Line::More(rest) => {
                let _ = writeln!(text, "{}", style.paint(DIM, &format!("  ... {rest} more")));
                continue;
            }
        };
        let _ = write!(text, "{:width$}", clip(&row.name, width));
        if picture > 0 {
            let drawn =
                row.interval.map_or_else(String::new, |(q, axis)| interval(q, axis, picture));
            let _ = write!(text, "  {drawn:picture$}");
        }
        for (number, column) in row.numbers.iter().zip(columns) {
            let _ = write!(text, "{number:>column$}");
        }
        for ((value, column), color) in
            [(&row.ess, ess), (&row.rhat, rhat)].into_iter().zip(row.warnings)
        {
            let cell = format!("{value:>column$}");
            text.push_str(&color.map_or(cell.clone(), |color| style.paint(color, &cell)));
        }
        text.push('\n');
    }
    if lines.iter().any(|line| matches!(line, Line::More(_))) {
        let _ = writeln!(text, "\nall scalars: {out}");
    }
}

/// The table's body, from the first variable to the last.
fn lines(summary: &Summary) -> Vec<Line> {
    let mut lines = Vec::new();
    for variable in &summary.variables {
        let (first, rest) = shown(variable);
        let scalars = &variable.scalars[..first];
        let axis = interval_axis(scalars);
        for (i, s) in scalars.iter().enumerate() {
            let known = s.rhat.map(|r| if r.is_finite() { format!("{r:.2}") } else { "-".into() });
            let quantiles = [s.q5, s.q50, s.q95];
            let drawable = quantiles.iter().all(|q| q.is_finite());
            lines.push(Line::Scalar(Box::new(Row {
                name: variable.element_name(i),
                numbers: [s.mean, s.sd, s.q5, s.q50, s.q95].map(format_number),
                ess: if s.ess.is_finite() { format!("{:.0}", s.ess) } else { "-".into() },
                rhat: known.unwrap_or_default(),
                interval: axis.filter(|_| drawable).map(|axis| (quantiles, axis)),
                warnings: warnings(s, summary.chains),
            })));
        }
        if rest > 0 {
            lines.push(Line::More(rest));
        }
    }
    lines
}

/// Colours where a diagnostic of chains is beyond the limits of the verdict.
fn warnings(s: &Statistics, chains: usize) -> [Option<&'static str>; 2] {
    let Some(rhat) = s.rhat else { return [None; 2] };
    let few = s.ess < (100 * chains) as f64;
    let apart = match rhat {
        r if r > 1.05 => Some(RED),
        r if r > 1.01 => Some(YELLOW),
        _ => None,
    };
    [few.then_some(YELLOW), apart]
}

/// A line from the first to the last quantile with a dot at the middle one; zero is marked.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a position in the line, not negative"
)]
fn interval([low, middle, high]: [f64; 3], (from, to): (f64, f64), width: usize) -> String {
    let last = (width - 1) as f64;
    let at = |x: f64| ((x - from) / (to - from) * last).round().clamp(0.0, last) as usize;
    let mut line = vec![' '; width];
    line[at(low)..=at(high)].fill('\u{2500}');
    if (from..=to).contains(&0.0) {
        line[at(0.0)] = if (low..=high).contains(&0.0) { '\u{253c}' } else { '\u{250a}' };
    }
    line[at(middle)] = '\u{25cf}';
    line.into_iter().collect()
}

fn clip(name: &str, width: usize) -> String {
    if name.chars().count() <= width {
        return name.to_owned();
    }
    let kept: String = name.chars().take(width - 3).collect();
    format!("{kept}...")
}

/// Four significant digits, at most nine characters; `-` for what is not a number.
#[must_use]
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small and clamped")]
pub fn format_number(x: f64) -> String {
    if x.is_nan() {
        return "-".into();
    }
    if x.is_infinite() {
        return if x > 0.0 { "inf".into() } else { "-inf".into() };
    }
    if x == 0.0 {
        return "0".into();
    }
    let magnitude = x.abs().log10().floor();
    if !(-4.0..6.0).contains(&magnitude) {
        return format!("{x:.2e}");
    }
    let decimals = (3.0 - magnitude).clamp(0.0, 5.0) as usize;
    format!("{x:.decimals$}")
}

fn fit_line(text: &mut String, summary: &Summary) {
    let mut facts = Vec::new();
    let bounds = [
        ("ELBO", summary.elbo, summary.elbo_se),
        ("IWAE bound", summary.iwae, summary.iwae_se),
        ("log evidence", summary.log_z, summary.log_z_se),
    ];
    for (name, value, se) in bounds {
        let Some(value) = value else { continue };
        let se = se.map_or_else(String::new, |se| format!(" (se {se:.2})"));
        facts.push(format!("{name} {value:.2}{se}"));
    }
    if let Some(khat) = summary.khat {
        let kind = match summary.khat_kind {
            None | Some(KhatKind::Exact) => "",
            Some(KhatKind::Augmented) => " (of paths)",
            Some(KhatKind::Estimated) => " (estimated)",
        };
        facts.push(format!("k-hat {khat:.2}{kind}"));
    }
    if let Some(fisher) = summary.fisher_divergence {
        facts.push(format!("Fisher divergence {}", format_number(fisher)));
    }
    if !facts.is_empty() {
        let _ = writeln!(text, "\n{}", wrap(&facts.join(", "), ""));
    }
    let t = &summary.timing;
    let memory = t.peak_rss_mb.map_or_else(String::new, |mb| format!(", {mb:.0} MiB"));
    let _ = writeln!(
        text,
        "{} iterations in {:.2} s, {:.3} ms each; compiled in {:.3} s{memory}",
        t.iterations, t.train_s, t.median_iteration_ms, t.compile_s
    );
}

fn verdict(text: &mut String, summary: &Summary, style: Style, rerun: &str) {
    let (word, color) = match summary.verdict {
        VerdictLevel::Ok => ("OK", "1;32"),
        VerdictLevel::Doubtful => ("DOUBTFUL", "1;33"),
        VerdictLevel::Failed => ("FAILED", "1;31"),
    };
    let stopped = if summary.interrupted { " (stopped early)" } else { "" };
    let _ = writeln!(text, "\nverdict: {}{stopped}", style.paint(color, word));
    for reason in &summary.reasons {
        let _ = writeln!(text, "  - {}", wrap(reason, "    "));
    }
    if let Some(next) = &summary.next {
        let _ = writeln!(text, "next: {rerun} {next}");
    }
}

/// Breaks a sentence into lines; all but the first start with `indent`.
fn wrap(sentence: &str, indent: &str) -> String {
    let mut out = String::new();
    let mut used = indent.len();
    for word in sentence.split_whitespace() {
        let length = word.chars().count();
        if used + length + 1 > WIDTH && !out.is_empty() {
            let _ = write!(out, "\n{indent}");
            used = indent.len();
        } else if !out.is_empty() {
            out.push(' ');
            used += 1;
        }
        out.push_str(word);
        used += length;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_four_digits_and_fit_their_column() {
        for (x, expected) in [
            (4.412_345, "4.412"),
            (-0.0123, "-0.01230"),
            (123_456.7, "123457"),
            (-12.5, "-12.50"),
            (1e-7, "1.00e-7"),
            (-1.234e12, "-1.23e12"),
            (0.0, "0"),
            (f64::NAN, "-"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(format_number(x), expected);
            assert!(expected.len() <= 9);
        }
    }

    #[test]
    fn intervals_mark_the_median_and_zero() {
        assert_eq!(interval([-1.0, 0.5, 1.0], (-2.0, 2.0), 9), "  ──┼●─  ");
        assert_eq!(interval([1.0, 1.5, 2.0], (0.0, 2.0), 9), "┊   ──●──");
        assert_eq!(interval([1.0, 1.0, 1.0], (1.0, 2.0), 9), "●        ");
    }

    #[test]
    fn long_reasons_are_wrapped() {
        let text = wrap(&"word ".repeat(40), "    ");
        assert!(text.lines().all(|l| l.chars().count() <= WIDTH));
        assert_eq!(text.split_whitespace().count(), 40);
    }
}
