//! `draws.csv` as CmdStan writes it: comment lines, a header, one row per draw.
//!
//! The first column is `lp__`, the log joint; the others are named and ordered as CmdStan's (`columns`).
//! Chains stand one after the other, so that CmdStan's readers see one chain of all draws. Missing numbers
//! are `nan`, infinite ones `inf`.

use std::io::{self, Write};

use super::columns::{columns, configuration};
use crate::results::{Config, Draws};

/// Writes the draws; `log_p` is the log joint of each.
///
/// # Errors
/// What `out` reports.
pub(in crate::results) fn write(
    out: &mut dyn Write,
    config: &Config,
    log_p: &[f64],
    draws: &Draws,
) -> io::Result<()> {
    comments(out, config, draws)?;
    rows(out, Some(log_p), draws)?;
    // CmdStan's readers take this line for the end of the draws. The times themselves would make two
    // runs of the same seed differ.
    writeln!(out, "#\n#  Elapsed Time: see summary.json")
}

/// Writes draws that have no log density: the header and the rows.
///
/// # Errors
/// What `out` reports.
pub(in crate::results) fn write_draws(out: &mut dyn Write, draws: &Draws) -> io::Result<()> {
    rows(out, None, draws)
}

fn rows(out: &mut dyn Write, log_p: Option<&[f64]>, draws: &Draws) -> io::Result<()> {
    let columns: Vec<_> = draws.variables.iter().map(columns).collect();
    let names = columns.iter().flatten().map(|(_, name)| name.as_str());
    let header: Vec<&str> = log_p.map(|_| "lp__").into_iter().chain(names).collect();
    writeln!(out, "{}", header.join(","))?;
    for s in 0..draws.total() {
        let mut first = true;
        let mut cell = |out: &mut dyn Write, x: f64| {
            if !std::mem::take(&mut first) {
                out.write_all(b",")?;
            }
            number(out, x)
        };
        if let Some(log_p) = log_p {
            cell(out, log_p[s])?;
        }
        for (variable, columns) in draws.variables.iter().zip(&columns) {
            let draw = &variable.values[s * columns.len()..(s + 1) * columns.len()];
            for (i, _) in columns {
                cell(out, draw[*i])?;
            }
        }
        writeln!(out)?;
    }
    Ok(())
}

/// The configuration, and what CmdStan says of draws that nothing is known of but how many there are:
/// its readers ask for it, and for a positive number of warm-up draws, none of which are saved.
fn comments(out: &mut dyn Write, config: &Config, draws: &Draws) -> io::Result<()> {
    for (name, value) in configuration(config, draws) {
        writeln!(out, "# {name} = {value}")?;
    }
    writeln!(out, "# method = sample")?;
    writeln!(out, "#   num_samples = {}", draws.total())?;
    for line in ["num_warmup = 1", "save_warmup = false", "thin = 1", "algorithm = fixed_param"] {
        writeln!(out, "#   {line}")?;
    }
    Ok(())
}

/// A number as JSON writes it: the shortest text that reads back as the same number.
fn number(out: &mut dyn Write, x: f64) -> io::Result<()> {
    const ALL_WHOLE: f64 = (1_u64 << f64::MANTISSA_DIGITS) as f64;
    if x.is_nan() {
        out.write_all(b"nan")
    } else if x.is_infinite() {
        out.write_all(if x > 0.0 { b"inf" } else { b"-inf" })
    } else if x.fract() == 0.0 && x.abs() < ALL_WHOLE && (x != 0.0 || x.is_sign_positive()) {
        Ok(serde_json::to_writer(out, &(x as i64))?)
    } else {
        Ok(serde_json::to_writer(out, &x)?)
    }
}
