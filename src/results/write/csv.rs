//! `draws.csv` as CmdStan writes it: comment lines, a header, one row per draw.
//!
//! The first column is `lp__`, the log joint. Scalars of an array are named `theta.1.2` and stand in
//! column-major order, first index fastest. Missing numbers are `nan`, infinite ones `inf`.

use std::io::{self, Write};

use crate::data::unravel;
use crate::results::{Config, Draws, Variable};

/// Row-major positions of a variable's scalars in column-major order, each with its name.
fn columns(variable: &Variable) -> Vec<(usize, String)> {
    let mut named: Vec<(Vec<usize>, usize)> =
        (0..variable.size()).map(|i| (unravel(&variable.shape, i), i)).collect();
    named.sort_by(|(a, _), (b, _)| a.iter().rev().cmp(b.iter().rev()));
    let name =
        |index: &[usize]| index.iter().fold(variable.name.clone(), |name, i| format!("{name}.{i}"));
    named.into_iter().map(|(index, i)| (i, name(&index))).collect()
}

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
    rows(out, Some(log_p), draws)
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

fn comments(out: &mut dyn Write, config: &Config, draws: &Draws) -> io::Result<()> {
    writeln!(out, "# ppl = {}", config.version)?;
    writeln!(out, "# model = {} (sha256 {})", config.model.path, config.model.sha256)?;
    if let Some(data) = &config.data {
        writeln!(out, "# data = {} (sha256 {})", data.path, data.sha256)?;
    }
    writeln!(out, "# method = {}", config.method)?;
    writeln!(out, "# seed = {}", config.seed)?;
    writeln!(out, "# precision = {}", config.precision)?;
    writeln!(out, "# device = {}", config.device)?;
    writeln!(out, "# chains = {}", draws.chains)?;
    writeln!(out, "# draws_per_chain = {}", draws.draws_per_chain)?;
    for (name, value) in &config.flags {
        writeln!(out, "# {name} = {value}")?;
    }
    Ok(())
}

fn number(out: &mut dyn Write, x: f64) -> io::Result<()> {
    if x.is_finite() {
        // The shortest text that reads back as the same number; an exponent where that is shorter.
        let plain = (1e-5..1e16).contains(&x.abs()) || x == 0.0;
        if plain { write!(out, "{x}") } else { write!(out, "{x:e}") }
    } else if x.is_nan() {
        out.write_all(b"nan")
    } else {
        out.write_all(if x > 0.0 { b"inf" } else { b"-inf" })
    }
}
