//! Solvers and decompositions. The second route for a differential equation is a method of fixed steps on
//! dual numbers; for a root it is one Newton step on dual numbers from the root.

use std::sync::Arc;

use ppl::autodiff::jacobian;
use ppl::exec::reference::{apply, evaluate};
use ppl::ir::{
    Builder, Function, Inst, Method, Ode, Op, Problem, Root, Search, Shape, Tensor, Tolerance,
    Type, UnaryOp, ValueId,
};

use super::dual::{self, Dual};
use super::{TIGHT, Tolerance as Allowed, check, function, noise};

/// Steps of the method of fixed steps between two times.
const STEPS: usize = 400;

fn tensor(shape: &[usize], data: Vec<f64>) -> Tensor {
    Tensor::new(Type::real(Shape::from_slice(shape)), data)
}

/// `a + h b`, both as dual numbers; `h` moves too if it is given a tangent.
fn plus(a: &Dual, h: (f64, f64), b: &Dual) -> Dual {
    let v = a.v.data.iter().zip(&*b.v.data).map(|(a, b)| a + h.0 * b).collect();
    let moved = b.v.data.iter().zip(&*b.t.data).map(|(v, t)| h.0 * t + h.1 * v);
    let t = a.t.data.iter().zip(moved).map(|(a, b)| a + b).collect();
    Dual { v: tensor(&a.v.ty.shape, v), t: tensor(&a.v.ty.shape, t) }
}

/// The classical Runge–Kutta method with Richardson's extrapolation, on dual numbers.
pub(super) fn ode(ode: &Ode, args: &[&Dual]) -> Dual {
    let solve = |steps: usize| {
        let fixed: Vec<Dual> = args[1..].iter().map(|&a| a.clone()).collect();
        let mut y = dual::evaluate(&ode.init, &fixed).swap_remove(0);
        let slope = |t: (f64, f64), y: &Dual| {
            let time = Dual { v: tensor(&[], vec![t.0]), t: tensor(&[], vec![t.1]) };
            let mut inputs = vec![time, y.clone()];
            inputs.extend(fixed.iter().cloned());
            dual::evaluate(&ode.rhs, &inputs).swap_remove(0)
        };
        let (mut v, mut t) = (Vec::new(), Vec::new());
        let mut now = (0.0, 0.0);
        for (&end, &moves) in args[0].v.data.iter().zip(&*args[0].t.data) {
            let count = steps as f64;
            let h = ((end - now.0) / count, (moves - now.1) / count);
            for k in 0..steps {
                let at = |c: f64| (now.0 + h.0 * (k as f64 + c), now.1 + h.1 * (k as f64 + c));
                let part = |c: f64| (h.0 * c, h.1 * c);
                let k1 = slope(at(0.0), &y);
                let k2 = slope(at(0.5), &plus(&y, part(0.5), &k1));
                let k3 = slope(at(0.5), &plus(&y, part(0.5), &k2));
                let k4 = slope(at(1.0), &plus(&y, part(1.0), &k3));
                for (slope, weight) in [(k1, 1.0), (k2, 2.0), (k3, 2.0), (k4, 1.0)] {
                    y = plus(&y, part(weight / 6.0), &slope);
                }
            }
            now = (end, moves);
            v.extend_from_slice(&y.v.data);
            t.extend_from_slice(&y.t.data);
        }
        (v, t)
    };
    let shape = [args[0].v.data.len(), ode.states()];
    let (coarse, fine) = (solve(STEPS / 2), solve(STEPS));
    let better = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| b + (b - a) / 15.0).collect();
    Dual {
        v: tensor(&shape, better(&coarse.0, &fine.0)),
        t: tensor(&shape, better(&coarse.1, &fine.1)),
    }
}

/// The root moves by `−J⁻¹` times what the arguments move the residuals by.
pub(super) fn root(root: &Root, args: &[&Dual]) -> Dual {
    let n = args[0].v.data.len();
    let op = Op::Root(Problem(Arc::new(root.clone())));
    let values: Vec<&Tensor> = args.iter().map(|a| &a.v).collect();
    let inst = |op, ty| Inst { op, args: Default::default(), ty, span: None };
    let x = apply(&inst(op, Type::real(Shape::from_slice(&[n]))), &values);
    let mut inputs = vec![Dual::fixed(x.clone())];
    inputs.extend(args[1..].iter().map(|&a| a.clone()));
    let at_root = dual::evaluate(&root.system, &inputs);
    let push: Vec<f64> = at_root[0].t.data.iter().map(|t| -t).collect();
    let solve = inst(Op::Solve { trans: false }, Type::real(Shape::from_slice(&[n, 1])));
    let t = apply(&solve, &[&at_root[1].v, &tensor(&[n, 1], push)]);
    Dual { v: x, t: tensor(&[n], t.data.to_vec()) }
}

fn tolerance(relative: f64) -> Tolerance {
    Tolerance { relative, absolute: 0.1 * relative, most_steps: 100_000 }
}

/// A function of a vector, built by `body`.
fn map(
    inputs: &[(&str, &[usize])],
    body: impl FnOnce(&mut Builder, &[ValueId]) -> ValueId,
) -> Function {
    let mut b = Builder::new("f");
    let args: Vec<ValueId> = inputs
        .iter()
        .map(|(name, shape)| b.input(*name, Type::real(Shape::from_slice(shape))))
        .collect();
    let value = body(&mut b, &args);
    b.output("value", value);
    b.finish()
}

fn entry(b: &mut Builder, v: ValueId, i: usize) -> ValueId {
    let one = b.slice(v, &[i], &[i + 1]);
    b.reshape(one, &[])
}

fn pair(b: &mut Builder, x: ValueId, y: ValueId) -> ValueId {
    let (x, y) = (b.reshape(x, &[1]), b.reshape(y, &[1]));
    b.concat(&[x, y], 0)
}

/// `y'' = −k sin(y) − c y' + t/4`: a damped, driven pendulum. Arguments: `y0: [2]`, `k`, `c`.
fn pendulum(method: impl Fn(&Function) -> Method) -> Ode {
    let args: [(&str, &[usize]); 3] = [("y0", &[2]), ("k", &[]), ("c", &[])];
    let init = map(&args, |_, args| args[0]);
    let inputs = [[("t", &[][..]), ("y", &[2])], [args[0], args[1]]].concat();
    let rhs = map(&[inputs, vec![args[2]]].concat(), |b, v| {
        let (angle, speed) = (entry(b, v[1], 0), entry(b, v[1], 1));
        let sine = b.unary(UnaryOp::Sin, angle);
        let pull = b.times(v[3], sine);
        let drag = b.times(v[4], speed);
        let drive = b.scaled(0.25, v[0]);
        let sum = b.plus(pull, drag);
        let push = b.minus(drive, sum);
        pair(b, speed, push)
    });
    let method = method(&rhs);
    Ode { init, rhs, method, tolerance: tolerance(1e-12) }
}

fn implicit(rhs: &Function) -> Method {
    let both = jacobian(rhs, 1).unwrap();
    Method::Implicit { jacobian: both.extract(both.outputs[1..].to_vec()) }
}

/// The pendulum, everything in it moving: times, initial state, parameters.
fn moving(ode: Ode) -> Function {
    function(6, |b, x| {
        let x = b.unary(UnaryOp::Sin, x);
        let size = b.unary(UnaryOp::Exp, x);
        let times = b.slice(size, &[0], &[2]);
        let y0 = b.slice(x, &[2], &[4]);
        let (k, c) = (entry(b, size, 4), entry(b, size, 5));
        vec![b.add(Op::Ode(Problem(Arc::new(ode))), [times, y0, k, c].as_slice())]
    })
}

/// Rows that need looser tolerances: name and function of six reals.
fn solved() -> Vec<(&'static str, Function)> {
    let integral = {
        let init = map(&[("y0", &[2]), ("k", &[]), ("c", &[])], |b, _| b.splat(0.0, &[2]));
        let inputs: [(&str, &[usize]); 5] =
            [("t", &[]), ("y", &[2]), ("y0", &[2]), ("k", &[]), ("c", &[])];
        let rhs = map(&inputs, |b, v| {
            let shape = b.times(v[0], v[3]);
            let wave = b.unary(UnaryOp::Sin, shape);
            let bump = b.times(v[4], wave);
            let bump = b.unary(UnaryOp::Exp, bump);
            b.times(bump, v[2])
        });
        Ode { init, rhs, method: Method::Quadrature, tolerance: tolerance(1e-12) }
    };
    let system = map(&[("x", &[2]), ("y0", &[2]), ("k", &[]), ("c", &[])], |b, v| {
        // x₁ + k tanh x₂ = y₁, x₂³ + x₂ + c x₁ = y₂.
        let (p, q) = (entry(b, v[0], 0), entry(b, v[0], 1));
        let t = b.unary(UnaryOp::Tanh, q);
        let t = b.times(v[2], t);
        let first = b.plus(p, t);
        let square = b.unary(UnaryOp::Square, q);
        let cube = b.times(square, q);
        let second = b.plus(cube, q);
        let mixed = b.times(v[3], p);
        let second = b.plus(second, mixed);
        let both = pair(b, first, second);
        b.minus(both, v[1])
    });
    let system = jacobian(&system, 0).unwrap();
    let root = Root { system, search: Search::Newton(tolerance(1e-13)) };
    let root = function(6, |b, x| {
        let x = b.unary(UnaryOp::Sin, x);
        let size = b.unary(UnaryOp::Exp, x);
        let guess = b.slice(x, &[0], &[2]);
        let y = b.slice(x, &[2], &[4]);
        let (k, c) = (entry(b, size, 4), entry(b, x, 5));
        let c = b.scaled(0.2, c);
        vec![b.add(Op::Root(Problem(Arc::new(root))), [guess, y, k, c].as_slice())]
    });
    vec![
        ("ode", moving(pendulum(|_| Method::Explicit))),
        ("stiff ode", moving(pendulum(implicit))),
        ("integral", moving(integral)),
        ("root", root),
    ]
}

fn matrices() -> Vec<(&'static str, Function)> {
    let square = |n: usize, far: f64, build: &dyn Fn(&mut Builder, ValueId) -> Vec<ValueId>| {
        function(n * n, |b, x| {
            let x = b.unary(UnaryOp::Sin, x);
            let x = b.reshape(x, &[n, n]);
            let grid: Vec<f64> = (0..n * n)
                .map(|k| if k / n == k % n { far * (1.0 + (k / n) as f64) } else { 0.0 })
                .collect();
            let grid = b.tensor(tensor(&[n, n], grid));
            let x = b.plus(x, grid);
            build(b, x)
        })
    };
    vec![
        (
            "solve",
            square(3, 1.0, &|b, a| {
                let right = b.slice(a, &[0, 0], &[3, 2]);
                let right = b.unary(UnaryOp::Sin, right);
                let of = |b: &mut Builder, trans| b.add(Op::Solve { trans }, [a, right].as_slice());
                vec![of(b, false), of(b, true)]
            }),
        ),
        (
            "determinant",
            square(3, 1.0, &|b, a| {
                vec![b.add(Op::Det, [a].as_slice()), b.add(Op::LogAbsDet, [a].as_slice())]
            }),
        ),
        ("eigen_sym", square(3, 2.0, &|b, a| vec![b.add(Op::EigenSym, [a].as_slice())])),
        ("matrix_exp", square(3, 0.3, &|b, a| vec![b.add(Op::MatrixExp, [a].as_slice())])),
        (
            "sort",
            function(5, |b, x| {
                let order = b.add(Op::SortIndices, [x].as_slice());
                let sorted = b.gather(x, 0, order);
                vec![b.unary(UnaryOp::Exp, sorted)]
            }),
        ),
    ]
}

pub(super) fn rows() -> Vec<(&'static str, Function)> {
    solved().into_iter().chain(matrices()).collect()
}

#[test]
fn decompositions() {
    for (name, f) in matrices() {
        check(name, &f, &noise(f.inputs[0].ty.len(), 7), TIGHT);
    }
}

#[test]
fn solutions_of_equations() {
    for (name, f) in solved() {
        check(name, &f, &noise(6, 11), Allowed { first: 1e-7, second: 1e-6 });
    }
}

#[test]
fn a_failed_solution_is_nan() {
    // y' = y² from 1 has a pole at 1.
    let init = map(&[("y0", &[1])], |_, args| args[0]);
    let rhs = map(&[("t", &[]), ("y", &[1]), ("y0", &[1])], |b, v| b.unary(UnaryOp::Square, v[1]));
    let ode = Ode { init, rhs, method: Method::Explicit, tolerance: tolerance(1e-8) };
    let mut b = Builder::new("f");
    let times = b.tensor(tensor(&[2], vec![0.5, 1.5]));
    let y0 = b.tensor(tensor(&[1], vec![1.0]));
    let y = b.add(Op::Ode(Problem(Arc::new(ode))), [times, y0].as_slice());
    b.output("y", y);
    let y = evaluate(&b.finish(), &[]).swap_remove(0);
    assert!((y.data[0] - 2.0).abs() < 1e-6, "{:?}", y.data);
    assert!(y.data[1].is_nan(), "{:?}", y.data);
}
