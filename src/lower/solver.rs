//! Calls of solvers: what a function becomes when it is passed to one.
//!
//! The function is lowered into an IR function of its own, a parameter of a solver operation. In a loop the
//! operation is run step by step, in a scan without state.

use std::sync::Arc;

use crate::autodiff;
use crate::check::builtins::{Builtin, Signature};
use crate::check::solver::Solver;
use crate::check::typed::{Expr, ExprKind, FnId};
use crate::diagnostics::{Code, Diagnostic};
use crate::ir::{
    BinaryOp, Builder, DType, Function, Method, Ode, Op, Problem, Root, Scan, Search, Shape,
    Tensor, TernaryOp, Tolerance, Type, UnaryOp, ValueId,
};

use super::Lower;
use super::lowerer::Lowerer;
use super::value::{AxisTable, Val};

/// Tolerances where the model gives none: what keeps the relative error of a log density below 1e-6. The
/// steps are far more than a solution that data can tell takes, and few enough that the absurd parameters
/// which a method tries on its way cost milliseconds, not minutes.
const ODE: Tolerance = Tolerance { relative: 1e-8, absolute: 1e-10, most_steps: 10_000 };
const INTEGRAL: Tolerance = Tolerance { relative: 1e-10, absolute: 0.0, most_steps: 2000 };
const ROOT: Tolerance = Tolerance { relative: 1e-10, absolute: 1e-8, most_steps: 200 };

/// Integrals run over `t` in `(−REACH, REACH)` after a substitution by double exponentials: from there
/// on the weights are below 1e-60.
const REACH: f64 = 4.5;

/// An argument that a solver passes on.
#[derive(Clone)]
struct Passed {
    /// Its value, outside.
    value: Val,
    /// Its numbers, if they are integers known now: sizes and indices must be.
    known: Option<Tensor>,
}

impl Lowerer<'_> {
    /// A call of a solver; the first argument is the function.
    pub(super) fn solver(&mut self, which: Builtin, args: &[Expr]) -> Lower<Val> {
        let Signature::Solver { solver, tolerances } = which.signature() else {
            unreachable!("bug in ppl: {which:?} is no solver");
        };
        let ExprKind::FnRef(f) = args[0].kind else {
            unreachable!("bug in ppl: a solver takes a function");
        };
        let mut vals = args[1..].iter().map(|a| self.expr(a)).collect::<Lower<Vec<Val>>>()?;
        let mut passed = vals.split_off(solver.own().len());
        let given: Vec<Val> = if tolerances {
            passed.drain(..solver.tolerances().len()).collect()
        } else {
            Vec::new()
        };
        let passed = passed.into_iter().map(|value| self.passed(value)).collect::<Vec<_>>();
        let vals: Vec<Val> = vals.iter().map(|v| self.as_real(v)).collect();
        match solver {
            Solver::Ode => {
                let tolerance = self.tolerance(ODE, &given)?;
                let stiff = matches!(which, Builtin::OdeBdf | Builtin::OdeBdfTol);
                self.ode(f, stiff, &vals, &passed, tolerance)
            }
            Solver::Integral => {
                let tolerance = self.tolerance(INTEGRAL, &given)?;
                self.integral(f, &vals, &passed, tolerance)
            }
            Solver::Root => {
                let tolerance = self.tolerance(ROOT, &given)?;
                self.root(f, &vals[0], &passed, tolerance)
            }
        }
    }

    fn passed(&mut self, value: Val) -> Passed {
        let is_int = self.b.ty(value.id).dtype != DType::Real && value.axes.is_empty();
        let known = if is_int { self.numbers(value.id) } else { None };
        Passed { value, known }
    }

    /// The tolerances that a `_tol` form gives, in place of the first ones.
    fn tolerance(&mut self, default: Tolerance, given: &[Val]) -> Lower<Tolerance> {
        let mut tolerance = default;
        let positive = |l: &mut Self, v: &Val| match l.numbers(v.id) {
            Some(t) if v.axes.is_empty() && t.data[0] >= 0.0 => Ok(t.data[0]),
            _ => Err(l.error(
                Code::E0503,
                "a tolerance is a number that is not negative and known from the data",
                "used as a tolerance here",
            )),
        };
        if let Some(v) = given.first() {
            tolerance.relative = positive(self, v)?.max(1e-14);
        }
        if let Some(v) = given.get(1) {
            tolerance.absolute = positive(self, v)?;
        }
        if let Some(v) = given.get(2) {
            tolerance.most_steps = self.size(v)?;
        }
        Ok(tolerance)
    }

    /// `y' = f(t, y, …)` from `y0` at `t0` to the times `ts`. The operation starts at time 0, so `t0` is an
    /// argument of the right-hand side unless it is 0.
    fn ode(
        &mut self,
        f: FnId,
        stiff: bool,
        vals: &[Val],
        passed: &[Passed],
        tolerance: Tolerance,
    ) -> Lower<Val> {
        let (y0, t0, ts) = (&vals[0], &vals[1], &vals[2]);
        let from_zero = self.numbers(t0.id).is_some_and(|t| t.data.iter().all(|&x| x == 0.0));
        let mut args = vec![Passed { value: y0.clone(), known: None }];
        args.extend_from_slice(passed);
        let times = if from_zero {
            ts.clone()
        } else {
            args.push(Passed { value: t0.clone(), known: None });
            self.binary(BinaryOp::Sub, ts, t0)?
        };
        let state = Type::real(y0.shape(&self.b));
        let time = Type::real(Shape::new());
        let last = args.len() - 1;
        let init = self.region("init", &[], &args, |_, _, args| Ok(args[0].clone()))?;
        let rhs = self.region("rhs", &[("t", time), ("y", state)], &args, |l, own, args| {
            let (t, rest) = if from_zero {
                (own[0].clone(), &args[1..])
            } else {
                (l.binary(BinaryOp::Add, &own[0], &args[last])?, &args[1..last])
            };
            let mut call = vec![t, own[1].clone()];
            call.extend_from_slice(rest);
            l.call(f, &call)
        })?;
        let method = if stiff {
            let with_jacobian = self.jacobian(&rhs, 1)?;
            let jacobian = with_jacobian.extract(with_jacobian.outputs[1..].to_vec());
            Method::Implicit { jacobian }
        } else {
            Method::Explicit
        };
        let ode = Op::Ode(Problem(Arc::new(Ode { init, rhs, method, tolerance })));
        self.solve(&ode, &times, &args)
    }

    /// The integral of `f(x, …)` from `a` to `b`. A substitution that crowds the points towards the ends
    /// tames singularities there and makes infinite ranges finite [takahasi1974].
    fn integral(
        &mut self,
        f: FnId,
        vals: &[Val],
        passed: &[Passed],
        tolerance: Tolerance,
    ) -> Lower<Val> {
        let mut is = |i: usize, end: f64| {
            let numbers = self.numbers(vals[i].id);
            numbers.is_some_and(|t| !t.data.is_empty() && t.data.iter().all(|&x| x == end))
        };
        if is(0, f64::INFINITY) || is(1, f64::NEG_INFINITY) {
            let turned = [vals[1].clone(), vals[0].clone()];
            let value = self.integral(f, &turned, passed, tolerance)?;
            return Ok(self.unary(UnaryOp::Neg, &value));
        }
        let infinite = [is(0, f64::NEG_INFINITY), is(1, f64::INFINITY)];
        let mut args: Vec<Passed> =
            vals.iter().map(|v| Passed { value: v.clone(), known: None }).collect();
        args.extend_from_slice(passed);
        let time = Type::real(Shape::new());
        let state = Type::real([1].as_slice());
        let init =
            self.region("init", &[], &args, |l, _, _| Ok(Val::plain(l.b.splat(0.0, &[1]))))?;
        let own = [("s", time), ("integral", state)];
        let rhs = self.region("integrand", &own, &args, |l, own, args| {
            let (x, weight, inside) = l.substitute(&own[0], &args[0], &args[1], infinite)?;
            let mut call = vec![x];
            call.extend_from_slice(&args[2..]);
            let value = l.call(f, &call)?;
            let value = l.as_real(&value);
            let weighted = l.binary(BinaryOp::Mul, &value, &weight)?;
            let zero = l.real(0.0);
            let value =
                l.elementwise(Op::Ternary(TernaryOp::Select), &[&inside, &weighted, &zero])?;
            Ok(l.reshape_own(&value, &[1]))
        })?;
        let end = Tensor::new(Type::real([1].as_slice()), vec![2.0 * REACH]);
        let end = Val::plain(self.b.tensor(end));
        let method = Method::Quadrature;
        let ode = Op::Ode(Problem(Arc::new(Ode { init, rhs, method, tolerance })));
        let solution = self.solve(&ode, &end, &args)?;
        Ok(self.reshape_own(&solution, &[]))
    }

    /// Where the integrand is read at `s` in `(0, 2 REACH)`, the weight of that place, and whether it is
    /// inside of the range.
    fn substitute(
        &mut self,
        s: &Val,
        a: &Val,
        b: &Val,
        infinite: [bool; 2],
    ) -> Lower<(Val, Val, Val)> {
        use BinaryOp::{Add, And, Lt, Mul, Sub};
        let reach = self.real(REACH);
        let t = self.binary(Sub, s, &reach)?;
        let (sinh, cosh) = (self.unary(UnaryOp::Sinh, &t), self.unary(UnaryOp::Cosh, &t));
        let half_pi = self.real(std::f64::consts::FRAC_PI_2);
        let (u, du) = (self.binary(Mul, &half_pi, &sinh)?, self.binary(Mul, &half_pi, &cosh)?);
        if let [false, false] = infinite {
            // Distances from both ends, each without cancellation.
            let width = self.binary(Sub, b, a)?;
            let two = self.real(2.0);
            let u2 = self.binary(Mul, &two, &u)?;
            let minus = self.unary(UnaryOp::Neg, &u2);
            let (p, q) =
                (self.unary(UnaryOp::InvLogit, &u2), self.unary(UnaryOp::InvLogit, &minus));
            let from_a = self.binary(Mul, &width, &p)?;
            let to_b = self.binary(Mul, &width, &q)?;
            let near_a = self.binary(Add, a, &from_a)?;
            let near_b = self.binary(Sub, b, &to_b)?;
            let zero = self.real(0.0);
            let first_half = self.binary(Lt, &t, &zero)?;
            let x =
                self.elementwise(Op::Ternary(TernaryOp::Select), &[&first_half, &near_a, &near_b])?;
            let slope = self.binary(Mul, &p, &q)?;
            let slope = self.binary(Mul, &slope, &two)?;
            let slope = self.binary(Mul, &slope, &du)?;
            let weight = self.binary(Mul, &slope, &width)?;
            // Rounding may put `x` on an end, where the integrand may be infinite.
            let (left, right) =
                (self.binary(BinaryOp::Ne, &x, a)?, self.binary(BinaryOp::Ne, &x, b)?);
            let inside = self.binary(And, &left, &right)?;
            return Ok((x, weight, inside));
        }
        let e = self.unary(UnaryOp::Exp, &u);
        let (x, slope) = match infinite {
            [false, _] => (self.binary(Add, a, &e)?, e),
            [true, false] => (self.binary(Sub, b, &e)?, e),
            [true, true] => (self.unary(UnaryOp::Sinh, &u), self.unary(UnaryOp::Cosh, &u)),
        };
        let weight = self.binary(Mul, &slope, &du)?;
        let inside = match infinite {
            [false, _] => self.binary(BinaryOp::Ne, &x, a)?,
            [true, false] => self.binary(BinaryOp::Ne, &x, b)?,
            [true, true] => self.binary(BinaryOp::Eq, &x, &x)?,
        };
        Ok((x, weight, inside))
    }

    /// A root of `f(x, …)` near `guess`.
    fn root(
        &mut self,
        f: FnId,
        guess: &Val,
        passed: &[Passed],
        tolerance: Tolerance,
    ) -> Lower<Val> {
        let unknown = Type::real(guess.shape(&self.b));
        let residuals = self.region("residuals", &[("x", unknown)], passed, |l, own, args| {
            let mut call = own.to_vec();
            call.extend_from_slice(args);
            l.call(f, &call)
        })?;
        let system = self.jacobian(&residuals, 0)?;
        let search = Search::Newton(tolerance);
        let root = Op::Root(Problem(Arc::new(Root { system, search })));
        self.solve(&root, guess, passed)
    }

    /// Where an increasing function of one number and of `args` is 0, or where it jumps past 0.
    pub(super) fn crossing(
        &mut self,
        guess: &Val,
        args: &[Val],
        function: impl FnOnce(&mut Self, &Val, &[Val]) -> Lower<Val>,
    ) -> Lower<Val> {
        let passed: Vec<Passed> = args.iter().map(|arg| self.passed(arg.clone())).collect();
        let unknown = Type::real([1].as_slice());
        let residual = self.region("crossing", &[("x", unknown)], &passed, |l, own, args| {
            let x = l.reshape_own(&own[0], &[]);
            let value = function(l, &x, args)?;
            Ok(l.reshape_own(&value, &[1]))
        })?;
        let system = self.jacobian(&residual, 0)?;
        let root = Op::Root(Problem(Arc::new(Root { system, search: Search::Increasing })));
        let guess = self.reshape_own(guess, &[1]);
        let x = self.solve(&root, &guess, &passed)?;
        Ok(self.reshape_own(&x, &[]))
    }

    /// A function with its Jacobian in an input.
    fn jacobian(&self, f: &Function, wrt: usize) -> Lower<Function> {
        autodiff::jacobian(f, wrt).map_err(|e| {
            let at = e.span.unwrap_or_else(|| self.here());
            Box::new(Diagnostic::error(Code::E0509, at, e.to_string(), "the solver needs it here"))
        })
    }

    /// An IR function of the solver's own inputs and the arguments passed on.
    fn region(
        &mut self,
        name: &str,
        own: &[(&str, Type)],
        args: &[Passed],
        body: impl FnOnce(&mut Self, &[Val], &[Val]) -> Lower<Val>,
    ) -> Lower<Function> {
        let types: Vec<Type> = args
            .iter()
            .map(|arg| Type::new(self.b.ty(arg.value.id).dtype, arg.value.shape(&self.b)))
            .collect();
        let (result, mut b) = self.isolated(name, |l| -> Lower<ValueId> {
            let own: Vec<Val> =
                own.iter().map(|(name, ty)| Val::plain(l.b.input(*name, ty.clone()))).collect();
            let args: Vec<Val> = args
                .iter()
                .zip(types)
                .enumerate()
                .map(|(i, (arg, ty))| {
                    let input = l.b.input(format!("arg_{}", i + 1), ty);
                    Val::plain(arg.known.clone().map_or(input, |known| l.b.tensor(known)))
                })
                .collect();
            let value = body(l, &own, &args)?;
            Ok(l.as_real(&value).id)
        });
        b.output("value", result?);
        Ok(b.finish())
    }

    /// Adds the operation, once for each step of the loops that its operands depend on.
    fn solve(&mut self, op: &Op, first: &Val, args: &[Passed]) -> Lower<Val> {
        let operands: Vec<Val> =
            std::iter::once(first.clone()).chain(args.iter().map(|a| a.value.clone())).collect();
        let axes = AxisTable::union(&operands);
        if axes.is_empty() {
            let ids: Vec<ValueId> = operands.iter().map(|v| v.id).collect();
            return Ok(Val::plain(self.b.add(op.clone(), ids.as_slice())));
        }
        let lengths: Shape = axes.iter().map(|&a| self.axes.length(a)).collect();
        let steps: usize = lengths.iter().product();
        let mut step = Builder::new("each");
        step.set_span(self.b.span());
        let (mut rows, mut fixed) = (Vec::new(), Vec::new());
        for (i, v) in operands.iter().enumerate() {
            let own = v.shape(&self.b);
            if v.axes.is_empty() {
                fixed.push((i, v.id));
            } else {
                let id = self.axes.spread(&mut self.b, v, &axes, &own);
                let mut shape: Shape = [steps].as_slice().into();
                shape.extend_from_slice(&own);
                rows.push((i, self.b.reshape(id, &shape)));
            }
        }
        let mut inner = vec![ValueId::new(0); operands.len()];
        for &(i, id) in rows.iter().chain(&fixed) {
            let ty = Type::new(self.b.ty(id).dtype, operands[i].shape(&self.b));
            inner[i] = step.input(format!("operand_{}", i + 1), ty);
        }
        let value = step.add(op.clone(), inner.as_slice());
        step.output("value", value);
        let outer: Vec<ValueId> = rows.iter().chain(&fixed).map(|(_, id)| *id).collect();
        let scan =
            Scan { body: step.finish(), length: steps, carries: 0, xs: rows.len(), reverse: false };
        let all = self.b.scan(scan, &outer)[0];
        let mut shape = lengths;
        shape.extend_from_slice(&self.b.shape(all)[1..]);
        Ok(Val { id: self.b.reshape(all, &shape), axes })
    }
}
