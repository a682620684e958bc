//! The matrix exponential by scaling, a Padé approximant of order 13, and squaring
//! [higham2008, alg. 10.20].

use super::lu;

/// Coefficients of the numerator.
const PADE: [f64; 14] = [
    64_764_752_532_480_000.0,
    32_382_376_266_240_000.0,
    7_771_770_303_897_600.0,
    1_187_353_796_428_800.0,
    129_060_195_264_000.0,
    10_559_470_521_600.0,
    670_442_572_800.0,
    33_522_128_640.0,
    1_323_241_920.0,
    40_840_800.0,
    960_960.0,
    16_380.0,
    182.0,
    1.0,
];

/// The 1-norm up to which the approximant is exact to rounding.
const REACH: f64 = 5.371_920_351_148_152;

/// `exp a` of the `n` by `n` matrix `a`; NaN when it is not finite.
pub(in crate::exec) fn exp(a: &[f64], n: usize) -> Vec<f64> {
    let norm = (0..n)
        .map(|j| (0..n).map(|i| a[i * n + j].abs()).sum::<f64>())
        .fold(0.0, |m: f64, x| if x.is_nan() { x } else { m.max(x) });
    if !norm.is_finite() {
        return vec![f64::NAN; n * n];
    }
    let mut squarings = 0;
    let mut scale = 1.0;
    while norm * scale > REACH {
        scale *= 0.5;
        squarings += 1;
    }
    let a: Vec<f64> = a.iter().map(|x| x * scale).collect();
    let one: Vec<f64> = (0..n * n).map(|k| f64::from(u8::from(k / n == k % n))).collect();
    let a2 = product(&a, &a, n);
    let a4 = product(&a2, &a2, n);
    let a6 = product(&a4, &a2, n);
    let sum = |c: [f64; 4]| -> Vec<f64> {
        (0..n * n).map(|k| c[0] * one[k] + c[1] * a2[k] + c[2] * a4[k] + c[3] * a6[k]).collect()
    };
    let add =
        |x: Vec<f64>, y: &[f64]| -> Vec<f64> { x.iter().zip(y).map(|(x, y)| x + y).collect() };
    let b = &PADE;
    let odd = product(&a6, &sum([0.0, b[9], b[11], b[13]]), n);
    let odd = product(&a, &add(odd, &sum([b[1], b[3], b[5], b[7]])), n);
    let even = product(&a6, &sum([0.0, b[8], b[10], b[12]]), n);
    let even = add(even, &sum([b[0], b[2], b[4], b[6]]));
    let below: Vec<f64> = even.iter().zip(&odd).map(|(v, u)| v - u).collect();
    let mut result = lu::solve(&below, &add(even, &odd), n, n, false);
    for _ in 0..squarings {
        result = product(&result, &result, n);
    }
    result
}

fn product(a: &[f64], b: &[f64], n: usize) -> Vec<f64> {
    let mut out = vec![0.0; n * n];
    for i in 0..n {
        for k in 0..n {
            let x = a[i * n + k];
            for j in 0..n {
                out[i * n + j] += x * b[k * n + j];
            }
        }
    }
    out
}
