//! Derivatives by central differences, extrapolated to step 0 [ridders1982].

/// Halvings of the step.
const LEVELS: usize = 9;

/// The derivative of `f` at 0, elementwise, starting from the step `h`.
///
/// Of all extrapolated estimates the one that agrees best with its neighbours is taken, per element;
/// those that stepped out of the domain (NaN) do not take part.
pub(crate) fn derivative(f: impl Fn(f64) -> Vec<f64>, h: f64) -> Vec<f64> {
    let quotients: Vec<Vec<f64>> = (0..LEVELS)
        .map(|k| {
            let h = h * 0.5_f64.powi(i32::try_from(k).unwrap());
            f(h).iter().zip(f(-h)).map(|(plus, minus)| (plus - minus) / (2.0 * h)).collect()
        })
        .collect();
    (0..quotients[0].len())
        .map(|i| extrapolated(&quotients.iter().map(|q| q[i]).collect::<Vec<f64>>()))
        .collect()
}

fn extrapolated(quotients: &[f64]) -> f64 {
    let (mut best, mut best_error) = (f64::NAN, f64::INFINITY);
    let mut previous: Vec<f64> = Vec::new();
    for &quotient in quotients {
        let mut row = vec![quotient];
        let mut factor = 1.0;
        for (j, &before) in previous.iter().enumerate() {
            factor *= 4.0;
            let next = row[j] + (row[j] - before) / (factor - 1.0);
            let error = (next - row[j]).abs().max((next - before).abs());
            if error < best_error {
                (best, best_error) = (next, error);
            }
            row.push(next);
        }
        previous = row;
    }
    best
}

#[test]
fn agrees_with_closed_forms() {
    let d = derivative(|t| vec![(0.3 + t).ln(), (1.0 + t).sin(), 7.0], 0.2);
    assert!((d[0] - 1.0 / 0.3).abs() < 1e-10, "{d:?}");
    assert!((d[1] - 1.0_f64.cos()).abs() < 1e-11, "{d:?}");
    assert!(d[2].abs() < 1e-300);
}
