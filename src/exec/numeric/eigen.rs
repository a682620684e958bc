//! Eigenvalues and eigenvectors of symmetric matrices by Jacobi's rotations: slow for large matrices,
//! and as exact as it gets [golub2013, alg. 8.5.3].

/// Rotates until what is off the diagonal does not matter; a few sweeps do.
const MOST_SWEEPS: usize = 64;

/// `[n + 1, n]`: the eigenvalues in ascending order, then the eigenvectors in columns; NaN when `a` is
/// not finite. Reads the lower triangle of `a`.
pub(in crate::exec) fn symmetric(a: &[f64], n: usize) -> Vec<f64> {
    let mut a: Vec<f64> = (0..n * n)
        .map(|k| {
            let (i, j) = (k / n, k % n);
            a[i.max(j) * n + i.min(j)]
        })
        .collect();
    if a.iter().any(|x| !x.is_finite()) {
        return vec![f64::NAN; (n + 1) * n];
    }
    let mut v: Vec<f64> = (0..n * n).map(|k| f64::from(u8::from(k / n == k % n))).collect();
    for _ in 0..MOST_SWEEPS {
        let mut rotated = false;
        for p in 0..n {
            for q in p + 1..n {
                rotated |= rotate(&mut a, &mut v, n, p, q);
            }
        }
        if !rotated {
            break;
        }
    }
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&i, &j| a[i * (n + 1)].total_cmp(&a[j * (n + 1)]));
    let mut out: Vec<f64> = order.iter().map(|&i| a[i * (n + 1)]).collect();
    let signs: Vec<f64> = order.iter().map(|&c| sign_of_largest(&v, n, c)).collect();
    for i in 0..n {
        out.extend(order.iter().zip(&signs).map(|(&c, s)| s * v[i * n + c]));
    }
    out
}

/// Makes `a[p, q]` zero; whether it was not.
fn rotate(a: &mut [f64], v: &mut [f64], n: usize, p: usize, q: usize) -> bool {
    let off = a[p * n + q];
    let (x, y) = (a[p * n + p], a[q * n + q]);
    if off == 0.0 || off.abs() <= 0.25 * f64::EPSILON * (x.abs() * y.abs()).sqrt() {
        a[p * n + q] = 0.0;
        a[q * n + p] = 0.0;
        return false;
    }
    let tau = (y - x) / (2.0 * off);
    let t = if tau >= 0.0 { 1.0 / (tau + tau.hypot(1.0)) } else { 1.0 / (tau - tau.hypot(1.0)) };
    let c = 1.0 / t.hypot(1.0);
    let s = t * c;
    for k in 0..n {
        let (f, g) = (a[k * n + p], a[k * n + q]);
        a[k * n + p] = c * f - s * g;
        a[k * n + q] = s * f + c * g;
    }
    for k in 0..n {
        let (f, g) = (a[p * n + k], a[q * n + k]);
        a[p * n + k] = c * f - s * g;
        a[q * n + k] = s * f + c * g;
        let (f, g) = (v[k * n + p], v[k * n + q]);
        v[k * n + p] = c * f - s * g;
        v[k * n + q] = s * f + c * g;
    }
    a[p * n + q] = 0.0;
    a[q * n + p] = 0.0;
    true
}

/// The sign of the component of largest modulus of column `c`; of two nearly equal ones the first.
fn sign_of_largest(v: &[f64], n: usize, c: usize) -> f64 {
    let mut largest = 0.0_f64;
    for i in 0..n {
        let x = v[i * n + c];
        if x.abs() > largest.abs() * (1.0 + 1e-8) {
            largest = x;
        }
    }
    if largest < 0.0 { -1.0 } else { 1.0 }
}
