//! The vector-Jacobian product of each operation: one exhaustive match.

use crate::ir::{
    BinaryOp, Builder, DType, Function, Op, Shape, Tensor, TernaryOp, Type, UnaryOp, ValueId,
};

use super::reverse::{Cotangents, Forward};
use super::slope::{self, Slope, unary_slope};
use super::{NotDifferentiable, matrix, solver};
use crate::special::ShapeDerivative;

/// Adds to the cotangents of the operands of `value`, whose cotangent is `ct`.
pub(super) fn transpose(
    b: &mut Builder,
    f: &Function,
    forward: &Forward,
    value: ValueId,
    ct: ValueId,
    cotangents: &mut Cotangents,
) -> Result<(), NotDifferentiable> {
    let inst = f.inst(value);
    let args: Vec<ValueId> = inst.args.iter().map(|&a| forward.value(a)).collect();
    let y = forward.value(value);
    let active: Vec<bool> = inst.args.iter().map(|&a| forward.is_active(a)).collect();
    let fail = |operation, operand| Err(NotDifferentiable { operation, operand, span: inst.span });
    let guarded = forward.is_guarded(value);
    let product = if guarded { BinaryOp::ZeroMul } else { BinaryOp::Mul };
    // The contribution to operand `i`, brought to its shape if it is a scalar that was spread out.
    let mut contribute = |b: &mut Builder, i: usize, ct: ValueId| {
        let operand = inst.args[i];
        let ct = if f.ty(operand).rank() == 0 && b.ty(ct).rank() > 0 { b.sum_all(ct) } else { ct };
        cotangents.add(b, operand, ct);
    };
    match &inst.op {
        Op::Input(_) | Op::Const(_) | Op::Scan(_) | Op::Proj(_) | Op::SortIndices => {}
        Op::Ode(ode) => {
            return solver::transpose_ode(b, f, forward, value, ode, ct, cotangents);
        }
        Op::Root(root) => {
            return solver::transpose_root(b, f, forward, value, root, ct, cotangents);
        }
        Op::Solve { .. } | Op::Det | Op::LogAbsDet | Op::EigenSym | Op::MatrixExp => {
            let parts = matrix::parts(b, &inst.op, &args, y, ct);
            for (i, part) in parts.into_iter().enumerate().filter(|(i, _)| active[*i]) {
                let part = if guarded { without_nan(b, ct, part) } else { part };
                contribute(b, i, part);
            }
        }
        Op::Unary(op) => {
            if let Some(slope) = unary_slope(b, *op, args[0], y) {
                let ct = match slope {
                    Slope::Minus => b.negate(ct),
                    Slope::Times(d) => b.binary(product, ct, d),
                };
                contribute(b, 0, ct);
            }
        }
        Op::Binary(op) => {
            let (x, z) = (args[0], args[1]);
            if active[0] {
                let part = match op {
                    BinaryOp::Add | BinaryOp::Sub => Some(ct),
                    BinaryOp::Mul | BinaryOp::ZeroMul => Some(b.binary(product, ct, z)),
                    BinaryOp::Div => Some(if product == BinaryOp::Mul {
                        b.over(ct, z)
                    } else {
                        let one = b.scalar(1.0);
                        let d = b.over(one, z);
                        b.binary(product, ct, d)
                    }),
                    BinaryOp::Pow => {
                        let one = b.scalar(1.0);
                        let less = b.minus(z, one);
                        let p = b.binary(BinaryOp::Pow, x, less);
                        // The power 0 is constant, also at 0, where `p` is infinite.
                        let d = b.binary(BinaryOp::ZeroMul, z, p);
                        Some(b.binary(product, ct, d))
                    }
                    BinaryOp::Min | BinaryOp::Max => {
                        let takes = if *op == BinaryOp::Min {
                            b.binary(BinaryOp::Le, x, z)
                        } else {
                            b.binary(BinaryOp::Le, z, x)
                        };
                        Some(masked(b, takes, ct, true))
                    }
                    BinaryOp::Atan2 => Some(atan2_part(b, product, ct, x, z, z)),
                    BinaryOp::LogAddExp => {
                        let gap = b.minus(x, y);
                        let d = b.unary(UnaryOp::Exp, gap);
                        Some(b.binary(product, ct, d))
                    }
                    BinaryOp::XLogY => {
                        let d = b.unary(UnaryOp::Log, z);
                        Some(b.binary(product, ct, d))
                    }
                    BinaryOp::XLog1pY => {
                        let d = b.unary(UnaryOp::Log1p, z);
                        Some(b.binary(product, ct, d))
                    }
                    BinaryOp::Lbeta => Some(lbeta_part(b, product, ct, x, z)),
                    BinaryOp::GammaP
                    | BinaryOp::GammaQ
                    | BinaryOp::LogGammaP
                    | BinaryOp::LogGammaQ => {
                        let d = slope::gamma_tail_by_shape(b, *op, x, z, y);
                        Some(b.binary(product, ct, d))
                    }
                    BinaryOp::GammaPShape(ShapeDerivative::A) => {
                        let d = slope::gamma_shape_by_shape(b, x, z, y);
                        Some(b.binary(product, ct, d))
                    }
                    BinaryOp::GammaPShape(_) => return fail("gamma_p_aa", "first"),
                    BinaryOp::LogBesselI => return fail("log_bessel_i", "first"),
                    BinaryOp::LogBesselK => return fail("log_bessel_k", "first"),
                    BinaryOp::OwensT => {
                        let d = slope::owens_t_h(b, x, z);
                        Some(b.binary(product, ct, d))
                    }
                    BinaryOp::SkewNormalCdf => {
                        let d = slope::skew_normal_density(b, x, z);
                        Some(b.binary(product, ct, d))
                    }
                    BinaryOp::Rem => Some(ct),
                    BinaryOp::RandomBits | BinaryOp::GammaDraw | BinaryOp::PoissonDraw => {
                        return fail(op.name(), "first");
                    }
                    BinaryOp::IntDiv
                    | BinaryOp::Lt
                    | BinaryOp::Le
                    | BinaryOp::Eq
                    | BinaryOp::Ne
                    | BinaryOp::And
                    | BinaryOp::Or => None,
                };
                if let Some(part) = part {
                    contribute(b, 0, part);
                }
            }
            if active[1] {
                let part = match op {
                    BinaryOp::Add => Some(ct),
                    BinaryOp::Sub => Some(b.negate(ct)),
                    BinaryOp::Mul => Some(b.binary(product, ct, x)),
                    BinaryOp::ZeroMul => Some(b.binary(BinaryOp::ZeroMul, x, ct)),
                    BinaryOp::Div => {
                        let q = b.over(y, z);
                        let part = b.binary(product, ct, q);
                        Some(b.negate(part))
                    }
                    BinaryOp::Pow => {
                        let log = b.binary(BinaryOp::XLogY, y, x);
                        Some(b.binary(product, ct, log))
                    }
                    BinaryOp::Min | BinaryOp::Max => {
                        let first = if *op == BinaryOp::Min {
                            b.binary(BinaryOp::Le, x, z)
                        } else {
                            b.binary(BinaryOp::Le, z, x)
                        };
                        Some(masked(b, first, ct, false))
                    }
                    BinaryOp::Atan2 => {
                        let part = atan2_part(b, product, ct, x, z, x);
                        Some(b.negate(part))
                    }
                    BinaryOp::LogAddExp => {
                        let gap = b.minus(z, y);
                        let d = b.unary(UnaryOp::Exp, gap);
                        Some(b.binary(product, ct, d))
                    }
                    BinaryOp::XLogY => {
                        let d = zero_over(b, x, z);
                        Some(b.binary(product, ct, d))
                    }
                    BinaryOp::XLog1pY => {
                        let one = b.scalar(1.0);
                        let bottom = b.plus(one, z);
                        let d = zero_over(b, x, bottom);
                        Some(b.binary(product, ct, d))
                    }
                    BinaryOp::Lbeta => Some(lbeta_part(b, product, ct, z, x)),
                    BinaryOp::GammaP
                    | BinaryOp::GammaQ
                    | BinaryOp::LogGammaP
                    | BinaryOp::LogGammaQ => {
                        let d = slope::gamma_tail(b, *op, x, z, y);
                        Some(b.binary(product, ct, d))
                    }
                    BinaryOp::GammaPShape(which) => {
                        let d = slope::gamma_shape(b, *which, x, z, y);
                        Some(b.binary(product, ct, d))
                    }
                    BinaryOp::LogBesselI | BinaryOp::LogBesselK => {
                        let d = slope::log_bessel(b, *op, x, z, y);
                        Some(b.binary(product, ct, d))
                    }
                    BinaryOp::OwensT => {
                        let d = slope::owens_t_a(b, x, z);
                        Some(b.binary(product, ct, d))
                    }
                    BinaryOp::SkewNormalCdf => {
                        let d = slope::owens_t_a(b, x, z);
                        let d = b.scaled(-2.0, d);
                        Some(b.binary(product, ct, d))
                    }
                    BinaryOp::Rem => return fail("%", "second"),
                    BinaryOp::RandomBits | BinaryOp::GammaDraw | BinaryOp::PoissonDraw => {
                        return fail(op.name(), "second");
                    }
                    BinaryOp::IntDiv
                    | BinaryOp::Lt
                    | BinaryOp::Le
                    | BinaryOp::Eq
                    | BinaryOp::Ne
                    | BinaryOp::And
                    | BinaryOp::Or => None,
                };
                if let Some(part) = part {
                    contribute(b, 1, part);
                }
            }
        }
        Op::Ternary(TernaryOp::Select) => {
            for (i, keep) in [(1, true), (2, false)] {
                if active[i] {
                    let part = masked(b, args[0], ct, keep);
                    contribute(b, i, part);
                }
            }
        }
        Op::Ternary(TernaryOp::BinomialDraw) => return fail("binomial_draw", "third"),
        Op::Ternary(
            op @ (TernaryOp::IncBeta | TernaryOp::LogIncBeta | TernaryOp::IncBetaShape(_)),
        ) => {
            let beta = slope::Beta { alpha: args[0], beta: args[1], x: args[2] };
            for (i, by) in [(0, ShapeDerivative::A), (1, ShapeDerivative::B)] {
                if !active[i] {
                    continue;
                }
                let Some(d) = beta.by_shape(b, *op, by, y) else {
                    return fail(op.name(), if i == 0 { "first" } else { "second" });
                };
                let part = b.binary(product, ct, d);
                contribute(b, i, part);
            }
            if active[2] {
                let d = beta.by_point(b, *op, y);
                let part = b.binary(product, ct, d);
                contribute(b, 2, part);
            }
        }
        Op::Convert(to) => {
            if *to == DType::Real {
                contribute(b, 0, ct);
            }
        }
        Op::Broadcast { shape, axes } => {
            let others: Shape = (0..shape.len()).filter(|i| !axes.contains(i)).collect();
            let part = b.sum(ct, &others);
            contribute(b, 0, part);
        }
        Op::Reshape(_) => {
            let part = b.reshape(ct, &f.ty(inst.args[0]).shape);
            contribute(b, 0, part);
        }
        Op::Transpose(perm) => {
            let mut inverse: Shape = perm.clone();
            for (i, &p) in perm.iter().enumerate() {
                inverse[p] = i;
            }
            let part = b.transpose(ct, &inverse);
            contribute(b, 0, part);
        }
        Op::Slice { start, stop } => {
            let high: Shape =
                f.ty(inst.args[0]).shape.iter().zip(stop).map(|(n, s)| n - s).collect();
            let part = b.add(Op::Pad { low: start.clone(), high }, [ct].as_slice());
            contribute(b, 0, part);
        }
        Op::Pad { low, .. } => {
            let stop: Shape =
                f.ty(inst.args[0]).shape.iter().zip(low).map(|(n, l)| n + l).collect();
            let part = b.slice(ct, low, &stop);
            contribute(b, 0, part);
        }
        Op::Concat { axis } => {
            let mut start = 0;
            for (i, &is_active) in active.iter().enumerate() {
                let stop = start + f.ty(inst.args[i]).shape[*axis];
                if is_active {
                    let part = b.slice_axis(ct, *axis, start, stop);
                    contribute(b, i, part);
                }
                start = stop;
            }
        }
        Op::Gather { axis } => {
            let size = f.ty(inst.args[0]).shape[*axis];
            let part = b.add(Op::ScatterAdd { axis: *axis, size }, [ct, args[1]].as_slice());
            contribute(b, 0, part);
        }
        Op::ScatterAdd { axis, .. } => {
            let part = b.gather(ct, *axis, args[1]);
            contribute(b, 0, part);
        }
        Op::Sum(axes) => {
            let part = unreduce(b, ct, &f.ty(inst.args[0]).shape, axes);
            contribute(b, 0, part);
        }
        Op::ReduceMax(axes) => {
            // Ties share the cotangent, so that the rule is symmetric in the elements.
            let shape = &f.ty(inst.args[0]).shape;
            let peak = unreduce(b, y, shape, axes);
            let is_peak = b.binary(BinaryOp::Eq, args[0], peak);
            let count = b.add(Op::Convert(DType::Real), [is_peak].as_slice());
            let ties = b.sum(count, axes);
            let share = b.over(ct, ties);
            let spread = unreduce(b, share, shape, axes);
            // Not a product: a maximum of NaN has no ties, and `share` is then not finite.
            let part = masked(b, is_peak, spread, true);
            contribute(b, 0, part);
        }
        Op::LogSumExp(axes) => {
            let shape = &f.ty(inst.args[0]).shape;
            let total = unreduce(b, y, shape, axes);
            let gap = b.minus(args[0], total);
            let weight = b.unary(UnaryOp::Exp, gap);
            let spread = unreduce(b, ct, shape, axes);
            let part = b.binary(product, spread, weight);
            contribute(b, 0, part);
        }
        Op::CumSum { axis, reverse } => {
            let op = Op::CumSum { axis: *axis, reverse: !reverse };
            let part = b.add(op, [ct].as_slice());
            contribute(b, 0, part);
        }
        Op::MatMul { ta, tb } => {
            if active[0] {
                let part = if *ta {
                    b.matmul(args[1], ct, *tb, true)
                } else {
                    b.matmul(ct, args[1], false, !tb)
                };
                let part = if guarded { without_nan(b, ct, part) } else { part };
                contribute(b, 0, part);
            }
            if active[1] {
                let part = if *tb {
                    b.matmul(ct, args[0], true, *ta)
                } else {
                    b.matmul(args[0], ct, !ta, false)
                };
                let part = if guarded { without_nan(b, ct, part) } else { part };
                contribute(b, 1, part);
            }
        }
        Op::Cholesky => {
            // [murray2016, eq. 10]: S = L⁻ᵀ Φ(Lᵀ L̄) L⁻¹, Ā = (S + Sᵀ) / 2, with Φ the lower triangle
            // and half the diagonal. Only the lower triangle of `a` is read, so the halves of Ā are added
            // up there.
            let n = f.ty(value).shape[0];
            let inner = b.matmul(y, ct, true, false);
            let phi = triangle(b, n, 0.5, true);
            let p = b.times(inner, phi);
            let solve = Op::TriSolve { lower: true, trans: true };
            let left = b.add(solve.clone(), [y, p].as_slice());
            let turned = b.transpose(left, &[1, 0]);
            let s = b.add(solve, [y, turned].as_slice());
            let st = b.transpose(s, &[1, 0]);
            let both = b.plus(s, st);
            let part = b.times(both, phi);
            let part = if guarded { without_nan(b, ct, part) } else { part };
            contribute(b, 0, part);
        }
        Op::TriSolve { lower, trans } => {
            let op = Op::TriSolve { lower: *lower, trans: !trans };
            let of_b = b.add(op, [args[0], ct].as_slice());
            if active[0] {
                let outer = if *trans {
                    b.matmul(y, of_b, false, true)
                } else {
                    b.matmul(of_b, y, false, true)
                };
                let n = f.ty(inst.args[0]).shape[0];
                let mask = triangle(b, n, 1.0, *lower);
                let part = b.times(outer, mask);
                let part = b.negate(part);
                let part = if guarded { without_nan(b, ct, part) } else { part };
                contribute(b, 0, part);
            }
            if active[1] {
                let of_b = if guarded { without_nan(b, ct, of_b) } else { of_b };
                contribute(b, 1, of_b);
            }
        }
    }
    Ok(())
}

/// `ct` where the condition equals `keep`, else 0.
fn masked(b: &mut Builder, condition: ValueId, ct: ValueId, keep: bool) -> ValueId {
    let zero = b.scalar(0.0);
    if keep { b.select(condition, ct, zero) } else { b.select(condition, zero, ct) }
}

/// `part`, a contribution that is linear in `ct`, but 0 instead of NaN where all of `ct` is 0: then the
/// NaN comes from the operands in a branch not taken. A finite `part` stays, for its own derivative's sake.
pub(super) fn without_nan(b: &mut Builder, ct: ValueId, part: ValueId) -> ValueId {
    let zero = b.scalar(0.0);
    let size = b.unary(UnaryOp::Abs, ct);
    let axes: Shape = (0..b.ty(size).rank()).collect();
    let size = b.add(Op::ReduceMax(axes), [size].as_slice());
    let taken = b.binary(BinaryOp::Ne, size, zero);
    let number = b.binary(BinaryOp::Eq, part, part);
    let keep = b.binary(BinaryOp::Or, taken, number);
    b.select(keep, part, zero)
}

/// `x / z`, but 0 where `x` is 0 even if `z` is.
fn zero_over(b: &mut Builder, x: ValueId, z: ValueId) -> ValueId {
    let one = b.scalar(1.0);
    let d = b.over(one, z);
    b.binary(BinaryOp::ZeroMul, x, d)
}

/// `ct · side / (x² + z²)`.
fn atan2_part(
    b: &mut Builder,
    product: BinaryOp,
    ct: ValueId,
    x: ValueId,
    z: ValueId,
    side: ValueId,
) -> ValueId {
    let (xx, zz) = (b.unary(UnaryOp::Square, x), b.unary(UnaryOp::Square, z));
    let r = b.plus(xx, zz);
    let d = b.over(side, r);
    b.binary(product, ct, d)
}

/// `ct (ψ(x) − ψ(x + z))`.
fn lbeta_part(b: &mut Builder, product: BinaryOp, ct: ValueId, x: ValueId, z: ValueId) -> ValueId {
    let total = b.plus(x, z);
    let (p, q) = (b.unary(UnaryOp::Polygamma(0), x), b.unary(UnaryOp::Polygamma(0), total));
    let d = b.minus(p, q);
    b.binary(product, ct, d)
}

/// Spreads a reduced value back over the axes that were reduced.
fn unreduce(b: &mut Builder, reduced: ValueId, shape: &Shape, axes: &Shape) -> ValueId {
    let kept: Shape = (0..shape.len()).filter(|i| !axes.contains(i)).collect();
    b.broadcast(reduced, shape, &kept)
}

/// The constant `[n, n]` mask of a triangle: 1 off the diagonal, `diagonal` on it, 0 elsewhere.
fn triangle(b: &mut Builder, n: usize, diagonal: f64, lower: bool) -> ValueId {
    let data: Vec<f64> = (0..n * n)
        .map(|i| {
            let (row, column) = (i / n, i % n);
            match row.cmp(&column) {
                std::cmp::Ordering::Equal => diagonal,
                order if (order == std::cmp::Ordering::Greater) == lower => 1.0,
                _ => 0.0,
            }
        })
        .collect();
    b.tensor(Tensor::new(Type::real([n, n].as_slice()), data))
}
