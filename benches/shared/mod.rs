//! A model as long as is wanted, for benches of growth.

use std::fmt::Write as _;

/// A model of `lines` lines: parameters, functions, values that refer to each other, likelihoods.
pub(crate) fn model(lines: usize) -> String {
    let mut text = String::from("data y: real[N]\ndata x: real[N]\n");
    for i in 0..lines.saturating_sub(2) / 5 {
        let before = if i % 10 == 0 { "1.0".into() } else { format!("m{}", i - 1) };
        let lines = writeln!(text, "param a{i} ~ normal(0, 1)")
            .and_then(|()| writeln!(text, "param s{i}: real<lower=0> ~ exponential(1)"))
            .and_then(|()| writeln!(text, "let m{i} = a{i} + s{i} * {before}"))
            .and_then(|()| writeln!(text, "fn f{i}(u: real) -> real = u * {i}.5 + 1"))
            .and_then(|()| writeln!(text, "y[1] ~ normal(m{i} + f{i}(a{i}) * x[1], s{i})"));
        lines.expect("a string takes any text");
    }
    text
}
