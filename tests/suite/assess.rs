//! k-hat, effective sample sizes and R-hat against ArviZ (`tests/reference/assess.json`).

use ppl::inference::assess;
use serde_json::Value;

use crate::tolerance::close;

/// The same sequence as `tests/reference/assess.py`: Knuth's MMIX generator, top 53 bits.
fn uniforms(seed: u64, n: usize) -> Vec<f64> {
    let mut x = seed;
    (0..n)
        .map(|_| {
            x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((x >> 11) as f64 + 0.5) / 2_f64.powi(53)
        })
        .collect()
}

fn fixture() -> Value {
    serde_json::from_str(include_str!("../reference/assess.json")).unwrap()
}

fn size(row: &Value, key: &str) -> usize {
    usize::try_from(row[key].as_u64().unwrap()).unwrap()
}

#[test]
fn pareto_smoothing_agrees_with_arviz() {
    for row in fixture()["khat"].as_array().unwrap() {
        let shape = row["shape"].as_f64().unwrap();
        let log_weights: Vec<f64> = uniforms(row["seed"].as_u64().unwrap(), size(row, "n"))
            .iter()
            .map(|u| if shape > 0.0 { -shape * (1.0 - u).ln() } else { -shape * u.ln() })
            .collect();
        let smoothed = assess::psis(&log_weights);
        let max = smoothed.log_weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let ess = 1.0 / smoothed.log_weights.iter().map(|w| (2.0 * w).exp()).sum::<f64>();
        for (name, ours) in [("khat", smoothed.khat), ("max_log_weight", max), ("ess", ess)] {
            let theirs = row[name].as_f64().unwrap();
            assert!(close(ours, theirs, 1e-9, 1e-11), "{name}: {ours} for {row}");
        }
    }
}

#[test]
fn chain_summaries_agree_with_arviz() {
    for row in fixture()["chains"].as_array().unwrap() {
        let (m, n) = (size(row, "chains"), size(row, "draws"));
        let (ar, shift) = (row["ar"].as_f64().unwrap(), row["shift"].as_f64().unwrap());
        let noise = uniforms(row["seed"].as_u64().unwrap(), m * n);
        let mut draws = Vec::with_capacity(m * n);
        for (i, chain) in noise.chunks_exact(n).enumerate() {
            let offset = f64::from(u32::try_from(i).unwrap()) * shift;
            let mut last = 0.0;
            for u in chain {
                last = ar * last + (u - 0.5);
                draws.push(last + offset);
            }
        }
        let s = assess::summarize(&draws, m);
        for (name, ours) in [
            ("ess_bulk", s.ess_bulk),
            ("ess_tail", s.ess_tail),
            ("ess_mean", assess::ess_mean(&draws, m)),
            ("rhat", s.rhat),
            ("mcse_mean", s.mcse_mean),
            ("mcse_sd", s.mcse_sd),
            ("bfmi", assess::e_bfmi(&draws[..n])),
        ] {
            let theirs = row[name].as_f64().unwrap();
            assert!(close(ours, theirs, 1e-8, 0.0), "{name}: {ours} for {row}");
        }
    }
}

#[test]
fn what_is_undefined_is_not_a_number() {
    assert!(assess::rhat(&[1.0, 2.0, 3.0], 1).is_nan());
    assert!(assess::ess_bulk(&[1.0, f64::NAN, 2.0, 3.0, 4.0, 5.0], 1).is_nan());
    assert!(assess::ess_bulk(&[], 0).is_nan());
}
