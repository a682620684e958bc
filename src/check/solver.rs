//! Calls of solvers, whose first argument is a function: `ode_rk45(f, y0, t0, ts, args…)`.
//!
//! What the solver does not need itself it passes on, so that `f` takes any arguments.

use crate::diagnostics::{Code, Diagnostic};
use crate::source::Span;
use crate::syntax::ast;

use super::builtins::{Builtin, Signature};
use super::checker::Checker;
use super::infer::{error, latest};
use super::shape::Dim;
use super::subst::Subst;
use super::typed::{Expr, ExprKind, FnId, Scalar, Stage, Type};

/// What a solver solves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Solver {
    /// `solver(f, y0, t0, ts, args…)` with `f(t, y, args…)`.
    Ode,
    /// `solver(f, a, b, args…)` with `f(x, args…)`.
    Integral,
    /// `solver(f, guess, args…)` with `f(x, args…)`.
    Root,
}

impl Solver {
    /// Names of the arguments that it needs itself, after the function.
    #[must_use]
    pub fn own(self) -> &'static [&'static str] {
        match self {
            Solver::Ode => &["y0", "t0", "ts"],
            Solver::Integral => &["a", "b"],
            Solver::Root => &["guess"],
        }
    }

    /// Names of the tolerances that a `_tol` form takes after those.
    #[must_use]
    pub fn tolerances(self) -> &'static [&'static str] {
        match self {
            Solver::Ode | Solver::Root => &["rel_tol", "abs_tol", "max_num_steps"],
            Solver::Integral => &["rel_tol"],
        }
    }
}

impl Checker<'_> {
    /// Checks a call of a solver.
    pub(super) fn solver_call(
        &mut self,
        builtin: Builtin,
        args: &[ast::Arg],
        span: Span,
        at: Span,
    ) -> Expr {
        let Signature::Solver { solver, tolerances } = builtin.signature() else {
            return error(span);
        };
        let mut own = solver.own().to_vec();
        if tolerances {
            own.extend_from_slice(solver.tolerances());
        }
        let name = builtin.name();
        if args.len() <= own.len() {
            self.report(Diagnostic::error(
                Code::E0106,
                span,
                format!(
                    "`{name}` takes at least {} arguments, found {}",
                    own.len() + 1,
                    args.len()
                ),
                format!("its parameters: {name}(f, {}, …)", own.join(", ")),
            ));
            self.check_arguments(args);
            return error(span);
        }
        let function = self.function_by_name(&args[0].value);
        let given: Vec<Expr> = args[1..].iter().map(|arg| self.expr(&arg.value)).collect();
        let Some(function) = function else { return error(span) };
        if given.iter().any(|arg| arg.ty.is_error()) {
            return error(span);
        }
        let (own_args, passed) = given.split_at(own.len());
        for (arg, what) in own_args.iter().zip(&own) {
            let rank = usize::from(matches!(*what, "y0" | "ts" | "guess"));
            if arg.ty.scalar().is_none_or(|s| s == Scalar::Bool) || arg.ty.dims().len() != rank {
                let wanted = if rank == 0 { "a number" } else { "a vector of numbers" };
                self.report_solver_argument(name, what, wanted, arg);
                return error(span);
            }
            let tolerance = solver.tolerances().contains(what);
            if tolerance && !self.require_data(arg, &format!("`{what}` of `{name}`")) {
                return error(span);
            }
            if *what == "max_num_steps" && !self.require_int(arg, "a number of steps") {
                return error(span);
            }
        }
        let reals = |dims: &[Dim]| Type::array(Scalar::Real, dims.to_vec());
        let first = own_args[0].ty.dims();
        // What the solver calls the function with in front, and what it wants back.
        let (leading, wanted) = match solver {
            Solver::Ode => (vec![("t", Type::REAL), ("y", reals(first))], reals(first)),
            Solver::Integral => (vec![("x", Type::REAL)], Type::REAL),
            Solver::Root => (vec![("x", reals(first))], reals(first)),
        };
        let result = match solver {
            Solver::Ode => reals(&[own_args[2].ty.dims(), first].concat()),
            Solver::Integral | Solver::Root => wanted.clone(),
        };
        let place = args[0].value.span;
        let mut call: Vec<Expr> = leading
            .iter()
            .map(|(_, ty)| Expr {
                kind: ExprKind::Real(0.0),
                ty: ty.clone(),
                stage: Stage::Parameter,
                span: place,
            })
            .collect();
        call.extend_from_slice(passed);
        let names: Vec<&str> = leading.iter().map(|(name, _)| *name).collect();
        if self.solver_function(function, name, &names, &call, &wanted, place, at).is_none() {
            return error(span);
        }
        let stage = latest(&given);
        let ty = self.function_type(function);
        let f = Expr { kind: ExprKind::FnRef(function), ty, stage: Stage::Data, span: place };
        let args: Vec<Expr> = std::iter::once(f).chain(given).collect();
        Expr { kind: ExprKind::Builtin(builtin, args), ty: result, stage, span }
    }

    /// Checks that a function takes what the solver calls it with, and gives `wanted`.
    #[allow(clippy::too_many_arguments, reason = "one call site; the parts of one call")]
    fn solver_function(
        &mut self,
        id: FnId,
        solver: &str,
        leading: &[&str],
        call: &[Expr],
        wanted: &Type,
        place: Span,
        at: Span,
    ) -> Option<()> {
        let function = self.model.function(id).clone();
        let name = function.name.as_str();
        if function.params.len() != call.len() {
            let passed = match call.len() - leading.len() {
                0 => "nothing else".to_string(),
                1 => "one argument of the call".to_string(),
                n => format!("{n} arguments of the call"),
            };
            self.report(
                Diagnostic::error(
                    Code::E0106,
                    place,
                    format!(
                        "`{name}` takes {}, but `{solver}` calls it with {}",
                        function.params.len(),
                        call.len()
                    ),
                    format!("called with {} and {passed}", leading.join(", ")),
                )
                .with_label(function.span, "declared here"),
            );
            return None;
        }
        let mut subst = Subst::default();
        let lift =
            self.fit_arguments(name, &function.params, &function.sizes, call, &mut subst, at)?;
        if !lift.is_empty() {
            let rank = |i: &usize| self.model.var(function.params[*i]).ty.dims().len();
            let wrong = (0..call.len()).find(|i| rank(i) < call[*i].ty.dims().len())?;
            self.report_argument(Code::E0203, function.params[wrong], &call[wrong], name);
            return None;
        }
        if self.facts.random_fns.contains(&id) {
            let message =
                format!("`{name}` draws random numbers, which `{solver}` cannot solve for");
            self.report(Diagnostic::error(Code::E0302, place, message, "a random function"));
            return None;
        }
        let found = subst.ty(&function.result);
        if found.is_error() {
            return None;
        }
        let problem = match found.scalar() {
            Some(Scalar::Bool) | None => Some("another kind of value".to_string()),
            Some(_) => self.differing(found.dims(), wanted.dims()),
        };
        let Some(problem) = problem else { return Some(()) };
        let (found, wanted) = (self.show(&found), self.show(wanted));
        self.report(
            Diagnostic::error(
                Code::E0202,
                place,
                format!("`{name}` gives {found}, but `{solver}` wants {wanted}: {problem}"),
                format!("gives {found}"),
            )
            .with_label(function.span, "declared here"),
        );
        None
    }

    fn report_solver_argument(&mut self, solver: &str, what: &str, wanted: &str, arg: &Expr) {
        let found = self.show(&arg.ty);
        let mut diagnostic = Diagnostic::error(
            Code::E0201,
            arg.span,
            format!("`{what}` of `{solver}` is {wanted}, found {found}"),
            format!("this is {found}"),
        );
        if let Some((span, text)) = self.origin(arg) {
            diagnostic = diagnostic.with_label(span, text);
        }
        self.report(diagnostic);
    }
}

/// What a solver takes, in words.
pub(super) fn takes(solver: Solver) -> &'static str {
    match solver {
        Solver::Ode => "a function f(t, y, args…), y0, t0, ts, args…",
        Solver::Integral => "a function f(x, args…), two limits, args…",
        Solver::Root => "a function f(x, args…), a guess, args…",
    }
}
