//! The table on the terminal: summaries, the fit's numbers, the verdict and what to do next.

use std::fmt::Write;

use crate::inference::{KhatKind, VerdictLevel};
use crate::results::draws::element_name;
use crate::results::{Statistics, Summary, VariableSummary};

/// Lines are at most this wide.
const WIDTH: usize = 80;
/// Arrays with more scalars than this are elided...
const LONGEST: usize = 12;
/// ... to this many.
const SHOWN: usize = 6;
/// Longest name; what is longer is cut.
const NAME: usize = 20;

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

fn rows(text: &mut String, summary: &Summary, style: Style, out: &str) {
    let names = summary
        .variables
        .iter()
        .flat_map(|v| (0..shown(v).0).map(|i| element_name(&v.name, &v.shape, i).chars().count()));
    let width = names.max().unwrap_or(0).clamp(4, NAME);
    let with_rhat = summary.variables.iter().flat_map(|v| &v.scalars).any(|s| s.rhat.is_some());
    let mut header = format!("{:width$}", "");
    for name in ["mean", "sd", "5%", "50%", "95%"] {
        let _ = write!(header, "{name:>10}");
    }
    header.push_str("     ess");
    if with_rhat {
        header.push_str("  rhat");
    }
    let _ = writeln!(text, "{}", style.paint("2", &header));
    let mut elided = false;
    for variable in &summary.variables {
        let (first, rest) = shown(variable);
        for (i, s) in variable.scalars.iter().take(first).enumerate() {
            let name = clip(&element_name(&variable.name, &variable.shape, i), width);
            row(text, &name, s, with_rhat, width);
        }
        if rest > 0 {
            elided = true;
            let _ = writeln!(text, "{}", style.paint("2", &format!("  ... {rest} more")));
        }
    }
    if elided {
        let _ = writeln!(text, "\nall scalars: {out}");
    }
}

fn row(text: &mut String, name: &str, s: &Statistics, with_rhat: bool, width: usize) {
    let _ = write!(text, "{name:width$}");
    for x in [s.mean, s.sd, s.q5, s.q50, s.q95] {
        let _ = write!(text, "{:>10}", format_number(x));
    }
    let ess = if s.ess.is_finite() { format!("{:.0}", s.ess) } else { "-".into() };
    let _ = write!(text, "{ess:>8}");
    if with_rhat {
        let known = s.rhat.filter(|r| r.is_finite());
        let rhat = known.map_or_else(|| "-".into(), |r| format!("{r:.2}"));
        let _ = write!(text, "{rhat:>6}");
    }
    text.push('\n');
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
    fn long_reasons_are_wrapped() {
        let text = wrap(&"word ".repeat(40), "    ");
        assert!(text.lines().all(|l| l.chars().count() <= WIDTH));
        assert_eq!(text.split_whitespace().count(), 40);
    }
}
