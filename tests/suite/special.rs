//! `ppl::special` against 50-digit values: `tests/reference/special.jsonl`.

use crate::tolerance::close;
use ppl::special as s;
use std::collections::BTreeMap;

/// A function by its arity.
enum F {
    One(fn(f64) -> f64),
    Two(fn(f64, f64) -> f64),
    Three(fn(f64, f64, f64) -> f64),
}
use F::{One, Three, Two};

const ULP: f64 = f64::EPSILON;

fn polygamma(n: f64, x: f64) -> f64 {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "n is an order")]
    s::polygamma(n as u32, x)
}

fn log_sum_exp3(a: f64, b: f64, c: f64) -> f64 {
    s::log_sum_exp(&[a, b, c])
}

/// Name, function, relative bound, absolute bound: the bounds that the functions' comments state.
const TABLE: &[(&str, F, f64, f64)] = &[
    ("lgamma", One(s::lgamma), 8.0 * ULP, 0.0),
    ("lgamma_negative", One(s::lgamma), 16.0 * ULP, 16.0 * ULP),
    ("digamma", One(s::digamma), 8.0 * ULP, 0.0),
    ("digamma_negative", One(s::digamma), 16.0 * ULP, 16.0 * ULP),
    ("trigamma", One(s::trigamma), 8.0 * ULP, 0.0),
    ("trigamma_negative", One(s::trigamma), 16.0 * ULP, 0.0),
    ("polygamma", Two(polygamma), 56.0 * ULP, 0.0),
    ("lbeta", Two(s::lbeta), 32.0 * ULP, 32.0 * ULP),
    ("lchoose", Two(s::lchoose), 64.0 * ULP, 64.0 * ULP),
    ("erf", One(s::erf), 2.0 * ULP, 0.0),
    ("erfc", One(s::erfc), 4.0 * ULP, 1e-323),
    ("erfcx", One(s::erfcx), 8.0 * ULP, 0.0),
    ("std_normal_cdf", One(s::std_normal_cdf), 16.0 * ULP, 1e-322),
    ("std_normal_log_cdf", One(s::std_normal_log_cdf), 16.0 * ULP, 1e-322),
    ("std_normal_log_ccdf", One(s::std_normal_log_ccdf), 16.0 * ULP, 1e-322),
    ("inv_mills_ratio", One(s::inv_mills_ratio), 16.0 * ULP, 1e-322),
    ("std_normal_quantile", One(s::std_normal_quantile), 16.0 * ULP, 0.0),
    ("log1p_exp", One(s::log1p_exp), 4.0 * ULP, 0.0),
    ("log1m_exp", One(s::log1m_exp), 4.0 * ULP, 0.0),
    ("log_expm1", One(s::log_expm1), 4.0 * ULP, 4.0 * ULP),
    ("log_add_exp", Two(s::log_add_exp), 4.0 * ULP, 4.0 * ULP),
    ("log_diff_exp", Two(s::log_diff_exp), 4.0 * ULP, 4.0 * ULP),
    ("log_sum_exp", Three(log_sum_exp3), 6.0 * ULP, 6.0 * ULP),
    ("inv_logit", One(s::inv_logit), 4.0 * ULP, 0.0),
    ("logit", One(s::logit), 4.0 * ULP, 0.0),
    ("log_inv_logit", One(s::log_inv_logit), 4.0 * ULP, 0.0),
    ("xlogy", Two(s::xlogy), 2.0 * ULP, 0.0),
    ("xlog1py", Two(s::xlog1py), 2.0 * ULP, 0.0),
    ("gamma_p", Two(s::gamma_p), 1e-12, 1e-290),
    ("gamma_q", Two(s::gamma_q), 1e-12, 1e-290),
    ("inc_beta", Three(s::inc_beta), 1e-12, 1e-290),
    ("log_gamma_p", Two(s::log_gamma_p), 1e-12, 1e-12),
    ("log_gamma_q", Two(s::log_gamma_q), 1e-12, 1e-12),
    ("log_inc_beta", Three(s::log_inc_beta), 1e-12, 1e-12),
    ("log_bessel_k", Two(s::log_bessel_k), 1e-13, 1e-13),
    ("log_bessel_i0", One(s::log_bessel_i0), 16.0 * ULP, 0.0),
    ("log_bessel_i1", One(s::log_bessel_i1), 16.0 * ULP, 16.0 * ULP),
    ("bessel_i1_over_i0", One(s::bessel_i1_over_i0), 16.0 * ULP, 0.0),
];

fn number(v: &serde_json::Value) -> f64 {
    v.as_str().unwrap().parse().unwrap()
}

#[test]
fn every_function_meets_its_bound() {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    for line in include_str!("../reference/special.jsonl").lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let name = row["f"].as_str().unwrap();
        let (name, f, rtol, atol) = TABLE.iter().find(|r| r.0 == name).unwrap();
        let x: Vec<f64> = row["x"].as_array().unwrap().iter().map(number).collect();
        let want = number(&row["y"]);
        let got = match f {
            One(f) => f(x[0]),
            Two(f) => f(x[0], x[1]),
            Three(f) => f(x[0], x[1], x[2]),
        };
        *seen.entry(name).or_default() += 1;
        if !close(got, want, *rtol, *atol) {
            let ulps = (got - want).abs() / want.abs() / ULP;
            wrong.push(format!("{name}{x:?}: got {got:e}, want {want:e} ({ulps:.1} ulp)"));
        }
    }
    assert!(wrong.is_empty(), "{} values out of bounds:\n{}", wrong.len(), wrong.join("\n"));
    for (name, ..) in TABLE {
        assert!(seen.get(name).is_some_and(|&n| n >= 8), "too few reference values for {name}");
    }
}

#[test]
fn nan_goes_through() {
    for (name, f, ..) in TABLE {
        let n = f64::NAN;
        // The order of a polygamma is an integer, so only its argument can be NaN.
        let a = if *name == "polygamma" { 2.0 } else { n };
        match f {
            One(f) => assert!(f(n).is_nan(), "{name}"),
            Two(f) => assert!(f(a, 1.0).is_nan() == a.is_nan() && f(1.0, n).is_nan(), "{name}"),
            Three(f) => assert!(
                f(n, 0.5, 0.5).is_nan() && f(0.5, n, 0.5).is_nan() && f(0.5, 0.5, n).is_nan(),
                "{name}"
            ),
        }
    }
}
