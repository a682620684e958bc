//! Integrals by adaptive bisection with the Gauss–Kronrod rules of 10 and 21 points.
//!
//! Reference: [piessens1983], rule QK21. The error is controlled relative to the integral of the modulus
//! of each component, so that the unit of the integrand does not matter.

use crate::ir::Tolerance;

use super::System;

/// Half of the nodes in (−1, 1), with their weights in both rules.
const NODES: [(f64, f64, f64); 11] = [
    (0.995_657_163_025_808_1, 0.011_694_638_867_371_874, 0.0),
    (0.973_906_528_517_171_7, 0.032_558_162_307_964_725, 0.066_671_344_308_688_14),
    (0.930_157_491_355_708_2, 0.054_755_896_574_351_995, 0.0),
    (0.865_063_366_688_984_5, 0.075_039_674_810_919_96, 0.149_451_349_150_580_6),
    (0.780_817_726_586_416_9, 0.093_125_454_583_697_6, 0.0),
    (0.679_409_568_299_024_4, 0.109_387_158_802_297_64, 0.219_086_362_515_982_04),
    (0.562_757_134_668_604_7, 0.123_491_976_262_065_84, 0.0),
    (0.433_395_394_129_247_2, 0.134_709_217_311_473_34, 0.269_266_719_309_996_35),
    (0.294_392_862_701_460_2, 0.142_775_938_577_060_09, 0.0),
    (0.148_874_338_981_631_22, 0.147_739_104_901_338_49, 0.295_524_224_714_752_87),
    (0.0, 0.149_445_554_002_916_9, 0.0),
];

/// Intervals to begin with, so that narrow peaks are seen.
const FIRST: u32 = 12;

/// The integral over an interval, with the integral of the modulus and an error estimate.
struct Piece {
    from: f64,
    to: f64,
    integral: Vec<f64>,
    modulus: Vec<f64>,
    error: Vec<f64>,
}

impl Piece {
    fn new(system: &mut dyn System, y: &[f64], from: f64, to: f64) -> Self {
        let n = y.len();
        let (centre, half) = (0.5 * (from + to), 0.5 * (to - from));
        let (mut integral, mut modulus, mut coarse) = (vec![0.0; n], vec![0.0; n], vec![0.0; n]);
        let mut slope = vec![0.0; n];
        for (x, kronrod, gauss) in NODES {
            let points = [centre - half * x, centre + half * x];
            for &t in &points[if x == 0.0 { 1 } else { 0 }..] {
                system.slope(t, y, &mut slope);
                for (i, f) in slope.iter().enumerate() {
                    integral[i] += half * kronrod * f;
                    modulus[i] += (half * kronrod * f).abs();
                    coarse[i] += half * gauss * f;
                }
            }
        }
        let error = integral.iter().zip(&coarse).map(|(a, b)| (a - b).abs()).collect();
        Piece { from, to, integral, modulus, error }
    }
}

/// Calls `reached` with `y` plus the integral up to each of `times`, until one is not found.
pub(super) fn solve(
    system: &mut dyn System,
    y: &mut [f64],
    times: &[f64],
    tolerance: Tolerance,
    reached: &mut dyn FnMut(&[f64]),
) {
    let mut t = 0.0;
    for &end in times {
        if !end.is_finite() || !integrate(system, y, (t, end), tolerance) {
            return;
        }
        t = end;
        reached(y);
    }
}

/// Adds the integral to `y`; whether it was found.
fn integrate(
    system: &mut dyn System,
    y: &mut [f64],
    (from, to): (f64, f64),
    tolerance: Tolerance,
) -> bool {
    let width = (to - from) / f64::from(FIRST);
    let mut pieces: Vec<Piece> = (0..FIRST)
        .map(|k| {
            let start = from + width * f64::from(k);
            let end = if k + 1 == FIRST { to } else { from + width * f64::from(k + 1) };
            Piece::new(system, y, start, end)
        })
        .collect();
    loop {
        let sum = |part: &dyn Fn(&Piece) -> f64| pieces.iter().map(part).sum::<f64>();
        let allowed: Vec<f64> = (0..y.len())
            .map(|i| tolerance.absolute + tolerance.relative * sum(&|p| p.modulus[i]))
            .collect();
        if allowed.iter().any(|x| !x.is_finite()) {
            return false;
        }
        if (0..y.len()).all(|i| sum(&|p| p.error[i]) <= allowed[i]) {
            for (i, y) in y.iter_mut().enumerate() {
                *y += sum(&|p| p.integral[i]);
            }
            return true;
        }
        if pieces.len() >= tolerance.most_steps {
            return false;
        }
        let share = |p: &Piece| {
            p.error.iter().zip(&allowed).map(|(e, a)| e / a).fold(0.0, |m: f64, x| m.max(x))
        };
        let worst = (0..pieces.len())
            .max_by(|&i, &j| share(&pieces[i]).total_cmp(&share(&pieces[j])))
            .unwrap_or(0);
        let Piece { from, to, .. } = pieces[worst];
        let middle = 0.5 * (from + to);
        if middle <= from.min(to) || middle >= from.max(to) {
            return false;
        }
        pieces[worst] = Piece::new(system, y, from, middle);
        pieces.insert(worst + 1, Piece::new(system, y, middle, to));
    }
}
