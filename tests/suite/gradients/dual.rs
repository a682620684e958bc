//! Forward mode by dual numbers: an interpreter of the IR over (value, tangent).
//!
//! The second route to every derivative. Nothing is shared with `autodiff`: elementary functions have
//! closed forms of their own, special functions are differentiated numerically, matrix functions by
//! running the textbook algorithm on dual numbers. Linear operations act on the tangent as on the value.

use std::ops::{Add, Div, Mul, Sub};

use ppl::exec::reference::apply;
use ppl::ir::{
    BinaryOp, DType, Function, Inst, Op, Scan, Shape, Tensor, TernaryOp, Type, UnaryOp, semantics,
};

use super::differences::derivative;

/// `v + t ε` with `ε² = 0`.
#[derive(Debug, Clone, Copy, PartialEq)]
struct D {
    v: f64,
    t: f64,
}

impl Add for D {
    type Output = D;
    fn add(self, o: D) -> D {
        D { v: self.v + o.v, t: self.t + o.t }
    }
}

impl Sub for D {
    type Output = D;
    fn sub(self, o: D) -> D {
        D { v: self.v - o.v, t: self.t - o.t }
    }
}

impl Mul for D {
    type Output = D;
    fn mul(self, o: D) -> D {
        D { v: self.v * o.v, t: self.t * o.v + self.v * o.t }
    }
}

impl Div for D {
    type Output = D;
    fn div(self, o: D) -> D {
        D { v: self.v / o.v, t: (self.t * o.v - self.v * o.t) / (o.v * o.v) }
    }
}

/// A tensor and its tangent.
#[derive(Debug, Clone)]
pub(crate) struct Dual {
    pub v: Tensor,
    pub t: Tensor,
}

impl Dual {
    /// A tensor that does not move.
    pub(crate) fn fixed(v: Tensor) -> Dual {
        let t = Tensor::new(Type::real(v.ty.shape.clone()), vec![0.0; v.data.len()]);
        Dual { v, t }
    }

    /// Element `i` of the result that this is an elementwise operand of.
    fn element(&self, i: usize) -> D {
        let i = if self.v.ty.rank() == 0 { 0 } else { i };
        D { v: self.v.data[i], t: self.t.data[i] }
    }

    fn of(ty: &Type, elements: &[D]) -> Dual {
        let v: Vec<f64> = elements.iter().map(|d| d.v).collect();
        let moves = ty.dtype == DType::Real;
        let t: Vec<f64> = elements.iter().map(|d| if moves { d.t } else { 0.0 }).collect();
        Dual { v: Tensor::new(ty.clone(), v), t: Tensor::new(Type::real(ty.shape.clone()), t) }
    }
}

/// The outputs of `f` and their tangents.
pub(crate) fn evaluate(f: &Function, inputs: &[Dual]) -> Vec<Dual> {
    let mut values: Vec<Vec<Dual>> = Vec::new();
    for inst in &f.insts {
        let args: Vec<&Dual> = inst.args.iter().map(|a| &values[a.index()][0]).collect();
        let value = match &inst.op {
            Op::Input(i) => vec![inputs[*i as usize].clone()],
            Op::Proj(i) => vec![values[inst.args[0].index()][*i as usize].clone()],
            Op::Scan(scan) => run_scan(scan, &args),
            _ => vec![instruction(inst, &args)],
        };
        values.push(value);
    }
    f.outputs.iter().map(|o| values[o.value.index()][0].clone()).collect()
}

fn instruction(inst: &Inst, args: &[&Dual]) -> Dual {
    let (ty, len) = (&inst.ty, inst.ty.len());
    let each = |f: &dyn Fn(usize) -> D| Dual::of(ty, &(0..len).map(f).collect::<Vec<D>>());
    match &inst.op {
        Op::Input(_) | Op::Proj(_) | Op::Scan(_) => unreachable!("handled by `evaluate`"),
        Op::Const(t) => Dual::fixed(t.clone()),
        Op::Unary(op) => each(&|i| unary(*op, args[0].element(i))),
        Op::Binary(op) => each(&|i| binary(*op, args[0].element(i), args[1].element(i))),
        Op::Ternary(TernaryOp::Select) => each(&|i| {
            let taken = if args[0].element(i).v == 0.0 { 2 } else { 1 };
            args[taken].element(i)
        }),
        Op::Ternary(
            op @ (TernaryOp::IncBeta | TernaryOp::LogIncBeta | TernaryOp::IncBetaShape(_)),
        ) => each(&|i| {
            let [a, b, c] = [0, 1, 2].map(|k| args[k].element(i));
            let f = |a: f64, b: f64, x: f64| semantics::ternary(*op, a, b, x);
            let in_a = moving(a.t, || slope_off_zero(|a| f(a, b.v, c.v), a.v));
            let in_b = moving(b.t, || slope_off_zero(|b| f(a.v, b, c.v), b.v));
            let in_x = moving(c.t, || slope(|x| f(a.v, b.v, x), c.v));
            D { v: f(a.v, b.v, c.v), t: in_a + in_b + in_x }
        }),
        Op::Ternary(TernaryOp::BinomialDraw) => unreachable!("random numbers have no derivative"),
        // The other operations are linear (in the first operand, for those with an index).
        Op::Convert(_)
        | Op::Broadcast { .. }
        | Op::Reshape(_)
        | Op::Transpose(_)
        | Op::Slice { .. }
        | Op::Pad { .. }
        | Op::Concat { .. }
        | Op::Gather { .. }
        | Op::ScatterAdd { .. }
        | Op::Sum(_)
        | Op::CumSum { .. } => linear(inst, args),
        Op::ReduceMax(axes) => {
            reduced(inst, args[0], axes, |y, x| if x == y { 1.0 } else { 0.0 }, true)
        }
        Op::LogSumExp(axes) => reduced(inst, args[0], axes, |y, x| (x - y).exp(), false),
        Op::MatMul { ta, tb } => {
            let (a, b) = (matrix(args[0], *ta), matrix(args[1], *tb));
            let inner = args[0].v.ty.shape[usize::from(!ta)];
            let n = ty.shape[1];
            each(&|e| {
                let zero = D { v: 0.0, t: 0.0 };
                (0..inner).fold(zero, |s, k| s + a(e / n, k) * b(k, e % n))
            })
        }
        Op::Cholesky => Dual::of(ty, &cholesky(&matrix(args[0], false), ty.shape[0])),
        Op::TriSolve { lower, trans } => {
            let a = matrix(args[0], *trans);
            Dual::of(ty, &tri_solve(&a, *lower != *trans, args[1], ty.shape[0], ty.shape[1]))
        }
        Op::Solve { .. } | Op::Det | Op::LogAbsDet | Op::EigenSym | Op::MatrixExp => {
            along_tangents(inst, args)
        }
        Op::SortIndices => Dual::fixed(apply(inst, &[&args[0].v])),
        Op::Ode(ode) => super::solvers::ode(ode, args),
        Op::Root(root) => super::solvers::root(root, args),
    }
}

/// An operation without a textbook algorithm for dual numbers, differentiated numerically.
fn along_tangents(inst: &Inst, args: &[&Dual]) -> Dual {
    let at = |h: f64| {
        let moved: Vec<Tensor> = args
            .iter()
            .map(|a| {
                let x: Vec<f64> = a.v.data.iter().zip(&*a.t.data).map(|(v, t)| v + h * t).collect();
                Tensor::new(a.v.ty.clone(), x)
            })
            .collect();
        apply(inst, &moved.iter().collect::<Vec<_>>())
    };
    let largest = args.iter().flat_map(|a| a.t.data.iter()).fold(0.0_f64, |m, t| m.max(t.abs()));
    let t = derivative(|h| at(h).data.to_vec(), 0.02 / largest.max(1e-9));
    let v = at(0.0);
    Dual { t: Tensor::new(Type::real(v.ty.shape.clone()), t), v }
}

fn linear(inst: &Inst, args: &[&Dual]) -> Dual {
    let values: Vec<&Tensor> = args.iter().map(|a| &a.v).collect();
    let mut tangents: Vec<&Tensor> = args.iter().map(|a| &a.t).collect();
    if matches!(inst.op, Op::Gather { .. } | Op::ScatterAdd { .. }) {
        tangents[1] = &args[1].v;
    }
    let ty = Type::real(inst.ty.shape.clone());
    let t = if inst.ty.dtype == DType::Real {
        apply(&Inst { ty, ..inst.clone() }, &tangents)
    } else {
        Tensor::new(ty, vec![0.0; inst.ty.len()])
    };
    Dual { v: apply(inst, &values), t }
}

/// A reduction whose tangent is `Σ weight(y, x) ẋ`, or the mean by those weights.
fn reduced(
    inst: &Inst,
    a: &Dual,
    axes: &Shape,
    weight: impl Fn(f64, f64) -> f64,
    mean: bool,
) -> Dual {
    let v = apply(inst, &[&a.v]);
    let size: usize = axes.iter().map(|&i| a.v.ty.shape[i]).product();
    let kept: Vec<usize> = (0..a.v.ty.rank()).filter(|i| !axes.contains(i)).collect();
    let shape = &a.v.ty.shape;
    let (mut t, mut total) = (vec![0.0; v.data.len()], vec![0.0; v.data.len()]);
    if size > 0 {
        for (i, (&x, &dx)) in a.v.data.iter().zip(&*a.t.data).enumerate() {
            let coordinate = |axis: usize| {
                let after: usize = shape[axis + 1..].iter().product();
                i / after % shape[axis]
            };
            let to = kept.iter().fold(0, |to, &axis| to * shape[axis] + coordinate(axis));
            let w = weight(v.data[to], x);
            t[to] += w * dx;
            total[to] += w;
        }
    }
    if mean {
        for (t, total) in t.iter_mut().zip(total) {
            *t /= total;
        }
    }
    Dual { t: Tensor::new(Type::real(v.ty.shape.clone()), t), v }
}

fn matrix(a: &Dual, transposed: bool) -> impl Fn(usize, usize) -> D {
    let columns = a.v.ty.shape[1];
    move |i, j| a.element(if transposed { j * columns + i } else { i * columns + j })
}

/// Row by row, as in any textbook.
fn cholesky(a: &impl Fn(usize, usize) -> D, n: usize) -> Vec<D> {
    let mut l = vec![D { v: 0.0, t: 0.0 }; n * n];
    for i in 0..n {
        for j in 0..=i {
            let s = (0..j).fold(a(i, j), |s, k| s - l[i * n + k] * l[j * n + k]);
            l[i * n + j] = if i == j {
                D { v: s.v.sqrt(), t: s.t / (2.0 * s.v.sqrt()) }
            } else {
                s / l[j * n + j]
            };
        }
    }
    l
}

fn tri_solve(
    a: &impl Fn(usize, usize) -> D,
    lower: bool,
    b: &Dual,
    n: usize,
    columns: usize,
) -> Vec<D> {
    let mut x: Vec<D> = (0..n * columns).map(|i| b.element(i)).collect();
    for step in 0..n {
        let i = if lower { step } else { n - 1 - step };
        let solved = if lower { 0..i } else { i + 1..n };
        for c in 0..columns {
            let rest =
                solved.clone().fold(x[i * columns + c], |s, k| s - a(i, k) * x[k * columns + c]);
            x[i * columns + c] = rest / a(i, i);
        }
    }
    x
}

fn run_scan(scan: &Scan, args: &[&Dual]) -> Vec<Dual> {
    let body = &scan.body;
    let mut state: Vec<Dual> = args[..scan.carries].iter().map(|&a| a.clone()).collect();
    let stacked = body.outputs.len() - scan.carries;
    let mut rows: Vec<Vec<D>> = (0..stacked)
        .map(|i| {
            let len = body.ty(body.outputs[scan.carries + i].value).len();
            vec![D { v: 0.0, t: 0.0 }; len * scan.length]
        })
        .collect();
    for step in 0..scan.length {
        let row = if scan.reverse { scan.length - 1 - step } else { step };
        let mut inputs = state;
        let rows_of = scan.carries..scan.carries + scan.xs;
        for (arg, input) in args[rows_of.clone()].iter().zip(&body.inputs[rows_of]) {
            let ty = &input.ty;
            let n = ty.len();
            let elements: Vec<D> = (row * n..(row + 1) * n)
                .map(|i| D { v: arg.v.data[i], t: arg.t.data[i] })
                .collect();
            inputs.push(Dual::of(ty, &elements));
        }
        inputs.extend(args[scan.carries + scan.xs..].iter().map(|&a| a.clone()));
        let mut outputs = evaluate(body, &inputs);
        for (all, one) in rows.iter_mut().zip(outputs.drain(scan.carries..)) {
            let n = one.v.data.len();
            for i in 0..n {
                all[row * n + i] = D { v: one.v.data[i], t: one.t.data[i] };
            }
        }
        state = outputs;
    }
    let stacked = rows.iter().zip(&body.outputs[scan.carries..]).map(|(row, output)| {
        let one = body.ty(output.value);
        let mut shape = Shape::from_slice(&[scan.length]);
        shape.extend_from_slice(&one.shape);
        Dual::of(&Type::new(one.dtype, shape), row)
    });
    state.into_iter().chain(stacked).collect()
}

/// `t · slope`, 0 for a tangent of 0 whatever the slope: what does not move has no derivative.
fn moving(t: f64, slope: impl FnOnce() -> f64) -> f64 {
    if t == 0.0 { 0.0 } else { t * slope() }
}

/// The derivative of a smooth function at `x`, numerically.
fn slope(f: impl Fn(f64) -> f64, x: f64) -> f64 {
    derivative(|t| vec![f(x + t)], 0.1 * x.abs().clamp(0.3, 3.0))[0]
}

/// The same for a function with a pole or an end at 0.
fn slope_off_zero(f: impl Fn(f64) -> f64, x: f64) -> f64 {
    derivative(|t| vec![f(x + t)], 0.1 * x.abs().min(3.0))[0]
}

fn unary(op: UnaryOp, a: D) -> D {
    let x = a.v;
    let f = |x: f64| semantics::unary(op, x);
    let slope = || match op {
        UnaryOp::Neg => -1.0,
        UnaryOp::Abs => {
            if x == 0.0 {
                0.0
            } else {
                x.signum()
            }
        }
        UnaryOp::Sign | UnaryOp::Floor | UnaryOp::Ceil | UnaryOp::Round | UnaryOp::Not => 0.0,
        UnaryOp::Square => x + x,
        UnaryOp::Sqrt => 0.5 * x.powf(-0.5),
        UnaryOp::Exp | UnaryOp::Expm1 => x.exp(),
        UnaryOp::Log => x.recip(),
        UnaryOp::Log1p => (1.0 + x).recip(),
        UnaryOp::Log1pExp => (1.0 + (-x).exp()).recip(),
        UnaryOp::Log1mExp => -x.exp() / -x.exp_m1(),
        UnaryOp::InvLogit => 0.25 / (0.5 * x).cosh().powi(2),
        UnaryOp::Sin => x.cos(),
        UnaryOp::Cos => -x.sin(),
        UnaryOp::Tan => x.cos().powi(-2),
        UnaryOp::Asin => ((1.0 - x) * (1.0 + x)).sqrt().recip(),
        UnaryOp::Acos => -((1.0 - x) * (1.0 + x)).sqrt().recip(),
        UnaryOp::Atan => (1.0 + x * x).recip(),
        UnaryOp::Sinh => x.cosh(),
        UnaryOp::Cosh => x.sinh(),
        UnaryOp::Tanh => x.cosh().powi(-2),
        UnaryOp::Lgamma | UnaryOp::Polygamma(_) => slope_off_zero(f, x),
        UnaryOp::Erf
        | UnaryOp::Erfc
        | UnaryOp::NormalCdf
        | UnaryOp::NormalLogCdf
        | UnaryOp::NormalQuantile
        | UnaryOp::LogBesselI0
        | UnaryOp::BesselRatio => slope(f, x),
    };
    D { v: f(x), t: moving(a.t, slope) }
}

fn binary(op: BinaryOp, a: D, b: D) -> D {
    let v = semantics::binary(op, a.v, b.v);
    let numeric = || {
        let in_a = moving(a.t, || slope_off_zero(|x| semantics::binary(op, x, b.v), a.v));
        let in_b = moving(b.t, || slope_off_zero(|x| semantics::binary(op, a.v, x), b.v));
        in_a + in_b
    };
    let t = match op {
        BinaryOp::Add => a.t + b.t,
        BinaryOp::Sub => a.t - b.t,
        BinaryOp::Mul => (a * b).t,
        BinaryOp::ZeroMul => moving(a.t, || b.v) + moving(a.v, || b.t),
        BinaryOp::Div => (a / b).t,
        BinaryOp::Pow => moving(a.t, || b.v * a.v.powf(b.v) / a.v) + moving(b.t, || v * a.v.ln()),
        BinaryOp::Min if a.v <= b.v => a.t,
        BinaryOp::Max if a.v >= b.v => a.t,
        BinaryOp::Min | BinaryOp::Max => b.t,
        BinaryOp::Atan2 => (b.v * a.t - a.v * b.t) / a.v.hypot(b.v).powi(2),
        BinaryOp::LogAddExp => {
            let share = (1.0 + (b.v - a.v).exp()).recip();
            share * a.t + (1.0 - share) * b.t
        }
        // As a factor of 0 makes the value 0 whatever the other is, so it does the slope.
        BinaryOp::XLogY => moving(a.t, || b.v.ln()) + moving(a.v, || b.t / b.v),
        BinaryOp::XLog1pY => moving(a.t, || b.v.ln_1p()) + moving(a.v, || b.t / (1.0 + b.v)),
        BinaryOp::Lbeta
        | BinaryOp::GammaP
        | BinaryOp::GammaQ
        | BinaryOp::LogGammaP
        | BinaryOp::LogGammaQ
        | BinaryOp::GammaPShape(_)
        | BinaryOp::LogBesselI
        | BinaryOp::LogBesselK
        | BinaryOp::OwensT
        | BinaryOp::SkewNormalCdf => numeric(),
        BinaryOp::RandomBits | BinaryOp::GammaDraw | BinaryOp::PoissonDraw => {
            unreachable!("random numbers have no derivative")
        }
        BinaryOp::IntDiv
        | BinaryOp::Rem
        | BinaryOp::Lt
        | BinaryOp::Le
        | BinaryOp::Eq
        | BinaryOp::Ne
        | BinaryOp::And
        | BinaryOp::Or => 0.0,
    };
    D { v, t }
}
