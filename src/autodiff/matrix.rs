//! Vector-Jacobian products of operations on square matrices: solving, determinants, eigenvalues, the
//! exponential.

use crate::ir::{BinaryOp, Builder, Op, Tensor, Type, ValueId};

/// The contributions to the operands `args` of `y = op(args)`, whose cotangent is `ct`.
pub(super) fn parts(
    b: &mut Builder,
    op: &Op,
    args: &[ValueId],
    y: ValueId,
    ct: ValueId,
) -> Vec<ValueId> {
    let n = b.ty(args[0]).shape[0];
    match op {
        // [giles2008, sec. 2.3.1]
        Op::Solve { trans } => {
            let of_b = b.add(Op::Solve { trans: !trans }, [args[0], ct].as_slice());
            let outer = if *trans {
                b.matmul(y, of_b, false, true)
            } else {
                b.matmul(of_b, y, false, true)
            };
            vec![b.negate(outer), of_b]
        }
        // [giles2008, sec. 2.2.4]: det(A) A⁻ᵀ.
        Op::Det | Op::LogAbsDet => {
            let one = identity(b, n);
            let inverse = b.add(Op::Solve { trans: true }, [args[0], one].as_slice());
            let weight = if matches!(op, Op::Det) { b.times(ct, y) } else { ct };
            vec![b.times(weight, inverse)]
        }
        Op::EigenSym => vec![eigen(b, n, y, ct)],
        // The derivative along E is the upper right block of exp [[A, E], [0, A]] [higham2008, eq. 3.16];
        // that of the transpose is its adjoint.
        Op::MatrixExp => {
            let turned = b.transpose(args[0], &[1, 0]);
            let zero = b.splat(0.0, &[n, n]);
            let top = b.concat(&[turned, ct], 1);
            let bottom = b.concat(&[zero, turned], 1);
            let both = b.concat(&[top, bottom], 0);
            let both = b.add(Op::MatrixExp, [both].as_slice());
            vec![b.slice(both, &[0, n], &[n, 2 * n])]
        }
        other => unreachable!("bug in ppl: {other:?} is no operation on a square matrix"),
    }
}

/// `V (diag w̄ + F ∘ Vᵀ V̄) Vᵀ` with `Fᵢⱼ = 1 / (wⱼ − wᵢ)` [giles2008, sec. 3.1], folded onto the lower
/// triangle, the only part that is read. Pairs of equal eigenvalues count only where their vectors are
/// used.
fn eigen(b: &mut Builder, n: usize, y: ValueId, ct: ValueId) -> ValueId {
    let row = |b: &mut Builder, x: ValueId| b.slice(x, &[0, 0], &[1, n]);
    let vectors = |b: &mut Builder, x: ValueId| b.slice(x, &[1, 0], &[n + 1, n]);
    let (w, v) = (row(b, y), vectors(b, y));
    let (ct_w, ct_v) = (row(b, ct), vectors(b, ct));
    let flat = b.reshape(w, &[n]);
    let (along, down) = (b.broadcast(flat, &[n, n], &[1]), b.broadcast(flat, &[n, n], &[0]));
    let one = identity(b, n);
    let gap = b.minus(along, down);
    // On the diagonal the gap is 0: there the vectors' cotangent has no part.
    let gap = b.plus(gap, one);
    let unit = b.scalar(1.0);
    let inverse = b.over(unit, gap);
    let off = b.minus(unit, one);
    let turn = b.matmul(v, ct_v, true, false);
    let turn = b.times(turn, off);
    let inner = b.binary(BinaryOp::ZeroMul, turn, inverse);
    let ct_w = b.reshape(ct_w, &[n]);
    let ct_w = b.broadcast(ct_w, &[n, n], &[1]);
    let diagonal = b.times(ct_w, one);
    let inner = b.plus(inner, diagonal);
    let left = b.matmul(v, inner, false, false);
    let full = b.matmul(left, v, false, true);
    let turned = b.transpose(full, &[1, 0]);
    let both = b.plus(full, turned);
    let lower = mask(b, n, |i, j| match i.cmp(&j) {
        std::cmp::Ordering::Greater => 1.0,
        std::cmp::Ordering::Equal => 0.5,
        std::cmp::Ordering::Less => 0.0,
    });
    b.times(both, lower)
}

fn identity(b: &mut Builder, n: usize) -> ValueId {
    mask(b, n, |i, j| f64::from(u8::from(i == j)))
}

fn mask(b: &mut Builder, n: usize, entry: impl Fn(usize, usize) -> f64) -> ValueId {
    let data: Vec<f64> = (0..n * n).map(|k| entry(k / n, k % n)).collect();
    b.tensor(Tensor::new(Type::real([n, n].as_slice()), data))
}
