//! Calls of functions; arguments in the order of parameters.

use crate::diagnostics::{Code, Diagnostic};
use crate::source::Span;
use crate::syntax::ast;

use super::builtins::Signature;
use super::checker::Checker;
use super::infer::{error, latest};
use super::places::Means;
use super::scope::{Binding, Callee};
use super::shape::{Agreement, Dim};
use super::stdlib;
use super::subst::Subst;
use super::typed::{Expr, ExprKind, FnId, Scalar, SizeBinding, Stage, Type, VarId};

/// What the parameters of a function or distribution look like to its callers.
pub(super) struct Formal<'p> {
    /// Its name.
    pub(super) name: &'p str,
    /// Names of the parameters, and whether each may be left out.
    pub(super) params: Vec<(String, bool)>,
    /// The parameters themselves; a combinator has none.
    pub(super) vars: &'p [VarId],
    /// Where it is declared, if that is the model's text.
    pub(super) span: Option<Span>,
}

impl Checker<'_> {
    pub(super) fn call(&mut self, callee: &ast::Ident, args: &[ast::Arg], span: Span) -> Expr {
        let found = self.find_callee(&callee.text);
        if let Some(found) = &found {
            self.note_callee(callee, found);
        }
        match found {
            Some(Callee::Builtin(builtin)) => {
                self.refuse_names(&callee.text, args);
                if matches!(builtin.signature(), Signature::Solver { .. }) {
                    return self.solver_call(builtin, args, span, callee.span);
                }
                let args: Vec<Expr> = args.iter().map(|arg| self.expr(&arg.value)).collect();
                self.primitive(builtin, args, span, callee.span)
            }
            Some(Callee::Local(id)) => self.call_fn(id, callee, args, span),
            Some(Callee::Fn(entry))
                if self.entries[entry].library && stdlib::forms(&callee.text).next().is_some() =>
            {
                self.call_form(callee, args, span)
            }
            Some(Callee::Fn(entry)) => match self.instance(entry, callee, args) {
                Some(id) => self.call_fn(id, callee, args, span),
                None => {
                    self.check_arguments(args);
                    error(span)
                }
            },
            Some(Callee::Member(entry, member)) => {
                let dist = callee.text.strip_suffix(&format!("_{}", member.name()));
                let of_dist = args.len().saturating_sub(member.arity());
                let entry = dist.map_or(entry, |dist| self.dist_form(entry, dist, of_dist));
                self.call_member(entry, member, callee, args, span)
            }
            Some(Callee::Dist(_) | Callee::Combinator(_)) => {
                self.report(
                    Diagnostic::error(
                        Code::E0105,
                        callee.span,
                        format!("`{}` is a distribution, not a function", callee.text),
                        "has no value",
                    )
                    .with_help(format!(
                        "write `x ~ {0}(…)`, or call one of its functions: `{0}_log_density(x, …)`, \
                         `{0}_cdf(x, …)`, in `gen` also `{0}_sample(…)`",
                        callee.text
                    )),
                );
                error(span)
            }
            None => {
                self.report_unknown_callee(callee, false);
                self.check_arguments(args);
                error(span)
            }
        }
    }

    /// Checks arguments whose callee is not known, for their own errors.
    pub(super) fn check_arguments(&mut self, args: &[ast::Arg]) {
        for arg in args {
            let is_function = matches!(&arg.value.kind, ast::ExprKind::Name(name)
                if !self.is_var(name) && self.find_callee(name).is_some());
            let is_dist = matches!(&arg.value.kind, ast::ExprKind::Call { callee, .. }
                if matches!(self.find_callee(&callee.text), Some(Callee::Dist(_) | Callee::Combinator(_))));
            if !is_function && !is_dist {
                self.expr(&arg.value);
            }
        }
    }

    pub(super) fn refuse_names(&mut self, callee: &str, args: &[ast::Arg]) {
        for name in args.iter().filter_map(|arg| arg.name.as_ref()) {
            let message = format!("`{callee}` has no named arguments");
            self.report(Diagnostic::error(Code::E0106, name.span, message, "named"));
        }
    }

    /// Brings arguments into the order of the parameters. `None` after an error.
    pub(super) fn match_arguments<'t>(
        &mut self,
        formal: &Formal<'_>,
        args: &'t [ast::Arg],
        at: Span,
    ) -> Option<Vec<Option<&'t ast::Expr>>> {
        let mut slots: Vec<Option<&ast::Expr>> = vec![None; formal.params.len()];
        let mut good = true;
        for (position, arg) in args.iter().enumerate() {
            let slot = match &arg.name {
                Some(name) => {
                    let slot = formal.params.iter().position(|(param, _)| *param == name.text);
                    if let Some(var) = slot.and_then(|slot| formal.vars.get(slot)) {
                        self.note_use(name.span, Means::Var(*var));
                    }
                    slot
                }
                None => Some(position),
            };
            match slot {
                Some(slot) if slot < slots.len() => {
                    if let Some(earlier) = slots[slot] {
                        let (name, _) = &formal.params[slot];
                        let message = format!("`{name}` is given twice");
                        let again = arg.value.span;
                        self.report(
                            Diagnostic::error(Code::E0106, again, message, "again here")
                                .with_label(earlier.span, "first here"),
                        );
                        good = false;
                    }
                    slots[slot] = Some(&arg.value);
                }
                Some(_) => {
                    good = false;
                    self.report_arity(formal, args.len(), at);
                    break;
                }
                None => {
                    good = false;
                    self.report_argument_name(formal, arg);
                }
            }
        }
        let missing = (0..slots.len()).any(|i| slots[i].is_none() && !formal.params[i].1);
        if good && missing {
            self.report_arity(formal, args.len(), at);
            good = false;
        }
        good.then_some(slots)
    }

    fn report_arity(&mut self, formal: &Formal<'_>, found: usize, at: Span) {
        let names: Vec<&str> = formal.params.iter().map(|(name, _)| name.as_str()).collect();
        let wanted = match names.len() {
            0 => "no arguments".to_string(),
            1 => "one argument".to_string(),
            n => format!("{n} arguments"),
        };
        let mut diagnostic = Diagnostic::error(
            Code::E0106,
            at,
            format!("`{}` takes {wanted}, found {found}", formal.name),
            format!("its parameters: {}({})", formal.name, names.join(", ")),
        );
        if let Some(span) = formal.span {
            diagnostic = diagnostic.with_label(span, "declared here");
        }
        self.report(diagnostic);
    }

    fn report_argument_name(&mut self, formal: &Formal<'_>, arg: &ast::Arg) {
        let Some(name) = &arg.name else { return };
        let names = || formal.params.iter().map(|(name, _)| name.as_str());
        let listed: Vec<&str> = names().collect();
        let mut diagnostic = Diagnostic::error(
            Code::E0106,
            name.span,
            format!("`{}` has no parameter `{}`", formal.name, name.text),
            format!("its parameters: {}({})", formal.name, listed.join(", ")),
        );
        let near = super::suggest::nearest(&name.text, names()).map(str::to_string);
        if let Some(near) = near.or_else(|| super::suggest::parameter(&name.text, &listed)) {
            diagnostic = diagnostic.with_fix(format!("write `{near}`"), name.span, near);
        }
        self.report(diagnostic);
    }

    /// Checks an argument; a parameter of function type takes a function by name.
    fn argument(&mut self, value: &ast::Expr, wanted: &Type) -> Expr {
        let Type::Function { .. } = wanted else { return self.expr(value) };
        let Some(id) = self.function_by_name(value) else { return error(value.span) };
        let found = self.function_type(id);
        Expr { kind: ExprKind::FnRef(id), ty: found, stage: Stage::Data, span: value.span }
    }

    /// Finds the function that an argument names.
    pub(super) fn function_by_name(&mut self, value: &ast::Expr) -> Option<FnId> {
        let found = match &value.kind {
            // It was said already what is wrong with it.
            ast::ExprKind::Name(name) if self.broken_names.contains(name) => return None,
            ast::ExprKind::Name(name) => match self.scope.find(name) {
                Some(Binding::Fn(id, param)) => {
                    let (id, param) = (*id, *param);
                    self.note_use(value.span, Means::Var(param));
                    return Some(id);
                }
                Some(Binding::Var(_)) => None,
                None => match self.find_callee(name) {
                    Some(Callee::Fn(entry)) => {
                        self.note_use(value.span, Means::Item(entry));
                        let name = ast::Ident { text: name.clone(), span: value.span };
                        return self.instance(entry, &name, &[]);
                    }
                    _ => None,
                },
            },
            _ => None,
        };
        if found.is_none() {
            self.report(
                Diagnostic::error(
                    Code::E0105,
                    value.span,
                    "the name of a function is wanted here",
                    "not the name of a `fn`",
                )
                .with_help("define it with `fn` and pass its name"),
            );
        }
        found
    }

    fn call_fn(&mut self, id: FnId, callee: &ast::Ident, args: &[ast::Arg], span: Span) -> Expr {
        let function = self.model.function(id).clone();
        let formal = self.formal(&callee.text, &function.params, function.span);
        let Some(slots) = self.match_arguments(&formal, args, span) else {
            self.check_arguments(args);
            return error(span);
        };
        let wanted: Vec<Type> =
            function.params.iter().map(|p| self.model.var(*p).ty.clone()).collect();
        let args: Vec<Expr> = slots
            .into_iter()
            .flatten()
            .zip(&wanted)
            .map(|(value, wanted)| self.argument(value, wanted))
            .collect();
        self.call_with(id, callee, args, span)
    }

    /// A function applied to checked arguments in the order of its parameters.
    pub(super) fn call_with(
        &mut self,
        id: FnId,
        callee: &ast::Ident,
        args: Vec<Expr>,
        span: Span,
    ) -> Expr {
        let function = self.model.function(id).clone();
        if args.iter().any(|arg| arg.ty.is_error()) || function.result.is_error() {
            return error(span);
        }
        let mut subst = Subst::default();
        let Some(lift) = self.fit_arguments(
            &callee.text,
            &function.params,
            &function.sizes,
            &args,
            &mut subst,
            span,
        ) else {
            return error(span);
        };
        if !lift.is_empty() && !function.result.dims().is_empty() {
            let (name, result) = (&callee.text, self.show(&function.result));
            self.report(Diagnostic::error(
                Code::E0203,
                span,
                format!("`{name}` gives {result}, so it does not apply elementwise"),
                "called with an array for a scalar parameter",
            ));
            return error(span);
        }
        let Type::Array { scalar, dims } = subst.ty(&function.result) else { return error(span) };
        let ty = Type::array(scalar, [lift, dims].concat());
        let random = self.facts.random_fns.contains(&id);
        let stage = if random { Stage::Generated } else { latest(&args) };
        Expr { kind: ExprKind::Call(id, args), ty, stage, span }
    }

    pub(super) fn formal<'n>(&self, name: &'n str, vars: &'n [VarId], span: Span) -> Formal<'n> {
        let params = vars.iter().map(|p| (self.model.var(*p).name.clone(), false)).collect();
        let library = self.sources.name(span.file).starts_with("stdlib/");
        Formal { name, params, vars, span: (!library).then_some(span) }
    }

    /// Checks arguments against parameters of a function, binds its sizes in `subst`, and returns
    /// the shape over which scalar parameters are lifted.
    pub(super) fn fit_arguments(
        &mut self,
        name: &str,
        params: &[VarId],
        sizes: &[SizeBinding],
        args: &[Expr],
        subst: &mut Subst,
        span: Span,
    ) -> Option<Vec<Dim>> {
        let mut lifted: Vec<&Expr> = Vec::new();
        for (param, arg) in params.iter().zip(args) {
            let wanted = self.model.var(*param).ty.clone();
            if matches!(wanted, Type::Function { .. }) {
                continue;
            }
            self.kind_fits(*param, arg, name)?;
            let rank = wanted.dims().len();
            if rank == 0 && !arg.ty.dims().is_empty() {
                lifted.push(arg);
            } else if arg.ty.dims().len() != rank {
                self.report_argument(Code::E0203, *param, arg, name);
                return None;
            }
            self.check_argument_stage(*param, arg, name)?;
        }
        let lift = self.elementwise(name, span, &lifted)?;
        self.bind_sizes(params, sizes, args, &[], None, subst);
        for (param, arg) in params.iter().zip(args) {
            if arg.ty.rank() == Some(0) && self.model.var(*param).ty.scalar() == Some(Scalar::Int) {
                subst.bind_expr(*param, arg, Some(self.dim_of(arg)));
            }
        }
        for (param, arg) in params.iter().zip(args) {
            let wanted = subst.ty(&self.model.var(*param).ty);
            if wanted.dims().is_empty() {
                continue;
            }
            if let Some(problem) = self.differing(wanted.dims(), arg.ty.dims()) {
                self.report_argument_shape(*param, arg, name, &wanted, &problem, args);
                return None;
            }
        }
        Some(lift)
    }

    /// Binds each size to the dimension of the argument (or value) that it names. `extra` counts
    /// the batch dimensions in front of each argument.
    pub(super) fn bind_sizes(
        &self,
        params: &[VarId],
        sizes: &[SizeBinding],
        args: &[Expr],
        extra: &[usize],
        event: Option<&[Dim]>,
        subst: &mut Subst,
    ) {
        for size in sizes {
            let dim = if size.param == params.len() {
                event.and_then(|dims| dims.get(size.axis))
            } else {
                let skip = extra.get(size.param).copied().unwrap_or(0);
                args.get(size.param).and_then(|arg| arg.ty.dims().get(skip + size.axis))
            };
            if let Some(dim) = dim
                && subst.dim(size.var).is_none()
            {
                subst.bind_dim(size.var, dim.clone());
            }
        }
    }

    /// Checks that an argument's elements are of the parameter's kind.
    pub(super) fn kind_fits(&mut self, param: VarId, arg: &Expr, name: &str) -> Option<()> {
        let wanted = self.model.var(param).ty.clone();
        let fits = match (arg.ty.scalar(), wanted.scalar()) {
            (Some(found), Some(wanted)) => found <= wanted,
            _ => false,
        };
        if fits {
            return Some(());
        }
        self.report_argument(Code::E0201, param, arg, name);
        None
    }

    /// Reports an argument that is of another kind (E0201) or rank (E0203) than its parameter.
    pub(super) fn report_argument(&mut self, code: Code, param: VarId, arg: &Expr, name: &str) {
        let (found, wanted) = (self.show(&arg.ty), self.show(&self.model.var(param).ty));
        let param = self.model.var(param).name.clone();
        let mut diagnostic = Diagnostic::error(
            code,
            arg.span,
            format!("`{param}` of `{name}` is {wanted}, found {found}"),
            format!("this is {found}"),
        );
        if let Some((span, text)) = self.origin(arg) {
            diagnostic = diagnostic.with_label(span, text);
        }
        self.report(diagnostic);
    }

    pub(super) fn report_argument_shape(
        &mut self,
        param: VarId,
        arg: &Expr,
        name: &str,
        wanted: &Type,
        problem: &str,
        args: &[Expr],
    ) {
        let found = self.show(&arg.ty);
        let declared = self.show(&self.model.var(param).ty);
        let param = self.model.var(param).name.clone();
        let mut diagnostic = Diagnostic::error(
            Code::E0202,
            arg.span,
            format!("`{param}` of `{name}` has the wrong shape: {problem}"),
            format!("this is {found}, wanted {}", self.show(wanted)),
        )
        .with_note(format!("`{param}` is declared {declared}"));
        for other in args {
            if let Some((span, text)) = self.origin(other) {
                diagnostic = diagnostic.with_label(span, text);
            }
        }
        self.report(diagnostic);
    }

    /// An argument that is used as a size or an index has to be known with the data.
    pub(super) fn check_argument_stage(
        &mut self,
        param: VarId,
        arg: &Expr,
        name: &str,
    ) -> Option<()> {
        // A discrete latent is summed out, so that functions may index with it.
        if !self.facts.needs_data.contains(&param) || self.is_discrete(arg) {
            return Some(());
        }
        let param = self.model.var(param).name.clone();
        self.require_data(arg, &format!("`{param}` of `{name}`")).then_some(())
    }

    /// Tells whether two dimensions are certainly equal.
    pub(super) fn certainly_equal(&self, a: &[Dim], b: &[Dim]) -> bool {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| self.compare(a, b) == Agreement::Equal)
    }
}
