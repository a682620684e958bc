//! Functions and distributions: parameters with generic sizes, bodies, members.

use crate::diagnostics::{Code, Diagnostic};
use crate::source::Span;
use crate::syntax::ast;

use super::checker::Checker;
use super::scope::{Binding, Scope, size_names};
use super::shape::Agreement;
use super::suggest;
use super::typed::{
    DistDef, DistId, Expr, FnDef, FnId, Member, MemberId, Scalar, SizeBinding, Stage, Structure,
    Support, Type, VarId, VarKind,
};

impl Checker<'_> {
    /// Checks a function that nothing calls yet; one that takes functions has no body of its own
    /// until it is given some.
    pub(super) fn function_item(&mut self, id: usize, f: &ast::FnDecl) {
        let takes_functions =
            f.params.iter().any(|p| matches!(p.ty.kind, ast::TypeKind::Function { .. }));
        if !takes_functions && let Some(function) = self.function(f, &[]) {
            self.entries[id].fns.insert(Vec::new(), function);
        }
    }

    /// Returns the function of an entry for the functions that a call passes to it.
    pub(super) fn instance(
        &mut self,
        entry: usize,
        callee: &ast::Ident,
        args: &[ast::Arg],
    ) -> Option<FnId> {
        if !self.ensure(entry, callee.span) {
            return None;
        }
        let file = std::rc::Rc::clone(&self.entries[entry].file);
        let ast::Item::Fn(f) = &file.items[self.entries[entry].item] else { return None };
        let mut given = Vec::new();
        for (position, param) in f.params.iter().enumerate() {
            if matches!(param.ty.kind, ast::TypeKind::Function { .. }) {
                let arg = args
                    .iter()
                    .find(|arg| arg.name.as_ref().is_some_and(|n| n.text == param.name.text))
                    .or(args.get(position).filter(|arg| arg.name.is_none()));
                let Some(arg) = arg else {
                    let message = format!("`{}` of `{}` is missing", param.name.text, f.name.text);
                    let label = "a function is passed by name";
                    self.report(Diagnostic::error(Code::E0106, callee.span, message, label));
                    return None;
                };
                given.push((self.function_by_name(&arg.value)?, arg.value.span));
            }
        }
        let key: Vec<FnId> = given.iter().map(|(id, _)| *id).collect();
        if let Some(known) = self.entries[entry].fns.get(&key) {
            return Some(*known);
        }
        if self.stack.iter().any(|(running, _)| *running == entry) {
            self.report_cycle(entry, callee.span);
            return None;
        }
        self.stack.push((entry, callee.span));
        let library = self.entries[entry].library;
        let saved = std::mem::replace(&mut self.scope, Scope { library, ..Scope::default() });
        let function = self.function(f, &given);
        self.scope = saved;
        self.stack.pop();
        self.entries[entry].fns.insert(key, function?);
        function
    }

    /// Checks a function; `given` are the functions passed to it, with the places of the arguments.
    /// `None` if they are not of the declared types.
    fn function(&mut self, f: &ast::FnDecl, given: &[(FnId, Span)]) -> Option<FnId> {
        self.scope.pure = Some(f.name.text.clone());
        let (params, sizes, good) = self.parameters(&f.params, given);
        let functions = params.iter().map(|p| self.model.var(*p).ty.clone());
        let functions: Vec<Type> =
            functions.filter(|ty| matches!(ty, Type::Function { .. })).collect();
        for (wanted, (id, span)) in functions.iter().zip(given) {
            if !self.function_fits(*id, wanted, *span) {
                return None;
            }
        }
        let declared = if good { self.declared(&f.result).map(|(_, ty)| ty) } else { None };
        let mut body = self.block(&f.body);
        let mut result = declared.unwrap_or(Type::Error);
        if !self.require_type(
            &body,
            &result,
            &format!("the value of `{}`", f.name.text),
            f.result.span,
        ) {
            result = Type::Error;
        }
        let random = body.stage == Stage::Generated;
        body.stage = Stage::Data;
        let id = FnId(u32::try_from(self.model.fns.len()).unwrap_or(u32::MAX));
        if random {
            self.facts.random_fns.insert(id);
        }
        self.facts.results.insert(id, self.interval(&body));
        self.model.fns.push(FnDef {
            name: f.name.text.clone(),
            params,
            sizes,
            result,
            body,
            span: f.span,
        });
        Some(id)
    }

    /// Checks that a function passed by name has the declared parameters and result.
    fn function_fits(&mut self, id: FnId, wanted: &Type, span: Span) -> bool {
        let found = self.function_type(id);
        let same_kind = |a: &Type, b: &Type| {
            a.scalar() == b.scalar() && a.rank() == b.rank() || a.is_error() || b.is_error()
        };
        let fits = match (&found, wanted) {
            (Type::Function { params: has, result: gives }, Type::Function { params, result }) => {
                has.len() == params.len()
                    && has.iter().zip(params).all(|(a, b)| same_kind(a, b))
                    && same_kind(gives, result)
            }
            _ => true,
        };
        if !fits {
            let (found, wanted) = (self.show(&found), self.show(wanted));
            self.report(Diagnostic::error(
                Code::E0201,
                span,
                format!("another kind of function is wanted: {wanted}"),
                format!("this is {found}"),
            ));
        }
        fits
    }

    /// Returns the type of a function that is passed by name.
    pub(super) fn function_type(&self, id: FnId) -> Type {
        let function = self.model.function(id);
        Type::Function {
            params: function.params.iter().map(|p| self.model.var(*p).ty.clone()).collect(),
            result: Box::new(function.result.clone()),
        }
    }

    /// Declares parameters in the current scope; sizes that first occur in their types are bound.
    fn parameters(
        &mut self,
        params: &[ast::TypedParam],
        given: &[(FnId, Span)],
    ) -> (Vec<VarId>, Vec<SizeBinding>, bool) {
        let mut vars = Vec::new();
        let mut sizes = Vec::new();
        let mut given = given.iter();
        let mut good = true;
        let named: Vec<&str> = params.iter().map(|p| p.name.text.as_str()).collect();
        for (position, param) in params.iter().enumerate() {
            if let Some(first) = params[..position].iter().find(|p| p.name.text == param.name.text)
            {
                let message = format!("`{}` is defined twice", param.name.text);
                self.report(
                    Diagnostic::error(Code::E0101, param.name.span, message, "again here")
                        .with_label(first.name.span, "first defined here"),
                );
            }
            let new_sizes = self.bind_generic_sizes(&param.ty, &named);
            if let ast::TypeKind::Function { params, result } = &param.ty.kind {
                let types: Option<Vec<Type>> =
                    params.iter().map(|ty| self.declared(ty).map(|(_, ty)| ty)).collect();
                let result = self.declared(result).map(|(_, ty)| ty);
                let ty = match (types, result) {
                    (Some(params), Some(result)) => {
                        Type::Function { params, result: Box::new(result) }
                    }
                    _ => Type::Error,
                };
                let var = self.new_var(&param.name, VarKind::Argument, ty, Stage::Data);
                vars.push(var);
                if let Some((function, _)) = given.next() {
                    self.scope.locals.push((param.name.text.clone(), Binding::Fn(*function, var)));
                }
                continue;
            }
            let declared = self.declared(&param.ty);
            good &= declared.is_some();
            let ty = declared.as_ref().map_or(Type::Error, |(_, ty)| ty.clone());
            for (axis, dim) in ty.dims().iter().enumerate() {
                if let Some(var) = dim.as_var()
                    && new_sizes.contains(&var)
                    && !sizes.iter().any(|s: &SizeBinding| s.var == var)
                {
                    sizes.push(SizeBinding { var, param: position, axis });
                }
            }
            let var = self.new_var(&param.name, VarKind::Argument, ty, Stage::Data);
            if let Some((support, _)) = declared {
                self.declare_support(var, support);
            }
            self.scope.push(&param.name.text, var);
            vars.push(var);
        }
        (vars, sizes, good)
    }

    /// Makes a size of every plain dimension that names nothing yet.
    fn bind_generic_sizes(&mut self, ty: &ast::TypeExpr, params: &[&str]) -> Vec<VarId> {
        let mut bound = Vec::new();
        for name in size_names(ty) {
            let known =
                self.scope.find(&name.text).is_some() || params.contains(&name.text.as_str());
            if !known {
                let var = self.new_var(&name, VarKind::Size, Type::INT, Stage::Data);
                self.scope.push(&name.text, var);
                bound.push(var);
            }
        }
        bound
    }

    pub(super) fn dist_item(&mut self, entry: usize, d: &ast::DistDecl) {
        self.scope.pure = Some(d.name.text.clone());
        let (params, mut sizes, mut good) = self.parameters(&d.params, &[]);
        let value_sizes = self.bind_generic_sizes(&d.support, &[]);
        let support = match self.declared(&d.support) {
            Some((support, _)) => support,
            None => {
                good = false;
                Support { array: Vec::new(), structure: real_line(), missing: false }
            }
        };
        let ty = if good { self.type_of(&support) } else { Type::Error };
        for (axis, dim) in ty.dims().iter().enumerate() {
            if let Some(var) = dim.as_var()
                && value_sizes.contains(&var)
                && !sizes.iter().any(|s| s.var == var)
            {
                sizes.push(SizeBinding { var, param: params.len(), axis });
            }
        }
        let members = self.members(d, &ty);
        if !d.members.iter().any(|m| m.name.text == MemberId::LogDensity.name()) {
            self.report(
                Diagnostic::error(
                    Code::E0110,
                    d.name.span,
                    format!("`{}` has no `log_density`", d.name.text),
                    "every distribution has one",
                )
                .with_help("add `log_density(x) = …`, normalised"),
            );
            return;
        }
        let id = DistId(u32::try_from(self.model.dists.len()).unwrap_or(u32::MAX));
        let name = d.name.text.clone();
        let domain =
            |param: &VarId| self.facts.supports.get(param).filter(|s| s.restricts()).cloned();
        let domains = params.iter().map(domain).collect();
        let span = d.span;
        let def = DistDef { name, params, domains, sizes, support, ty, members, span };
        self.model.dists.push(def);
        self.entries[entry].dist = Some(id);
    }

    fn members(&mut self, d: &ast::DistDecl, ty: &Type) -> Vec<Member> {
        let mut members: Vec<Member> = Vec::new();
        for member in &d.members {
            let Some(id) = MemberId::ALL.into_iter().find(|id| id.name() == member.name.text)
            else {
                self.report_unknown_member(member);
                continue;
            };
            if members.iter().any(|known| known.id == id) {
                let message = format!("`{}` is defined twice", id.name());
                self.report(Diagnostic::error(
                    Code::E0101,
                    member.name.span,
                    message,
                    "again here",
                ));
                continue;
            }
            if member.params.len() != id.arity() {
                self.report(Diagnostic::error(
                    Code::E0110,
                    member.name.span,
                    format!(
                        "`{}` has {} here, not {}",
                        id.name(),
                        arguments(member.params.len()),
                        id.arity()
                    ),
                    format!("takes {}", arguments(id.arity())),
                ));
                continue;
            }
            let mark = self.scope.locals.len();
            let own = if id == MemberId::Quantile { &Type::REAL } else { ty };
            let mut params = Vec::new();
            for param in &member.params {
                let var = self.new_var(param, VarKind::Argument, own.clone(), Stage::Data);
                self.scope.push(&param.text, var);
                params.push(var);
            }
            let mut body = self.block(&member.body);
            self.scope.locals.truncate(mark);
            self.check_member(d, id, &body, ty, member.name.span);
            if id != MemberId::Sample && body.stage == Stage::Generated {
                self.report(Diagnostic::error(
                    Code::E0302,
                    body.span,
                    format!("`{}` draws random numbers", id.name()),
                    "only `sample` may",
                ));
            }
            body.stage = Stage::Data;
            members.push(Member { id, params, body });
        }
        members
    }

    fn check_member(&mut self, d: &ast::DistDecl, id: MemberId, body: &Expr, ty: &Type, at: Span) {
        let what = format!("`{}` of `{}`", id.name(), d.name.text);
        let reals = Type::array(Scalar::Real, ty.dims().to_vec());
        match id {
            MemberId::LogDensity | MemberId::Cdf | MemberId::LogCdf | MemberId::LogSurvival => {
                self.require_type(body, &Type::REAL, &what, at);
            }
            MemberId::Quantile | MemberId::Sample => {
                self.require_type(body, ty, &what, d.support.span);
            }
            MemberId::Mean => {
                self.require_type(body, &reals, &what, d.support.span);
            }
            // Of a vector: the variances of its elements, or their covariance matrix.
            MemberId::Variance => {
                let covariance = ty.dims().len() == 1
                    && body.ty.dims().len() == 2
                    && body
                        .ty
                        .dims()
                        .iter()
                        .all(|n| self.compare(n, &ty.dims()[0]) != Agreement::Differ);
                if !covariance {
                    self.require_type(body, &reals, &what, d.support.span);
                }
            }
        }
    }

    fn report_unknown_member(&mut self, member: &ast::DistMember) {
        let names = MemberId::ALL.map(MemberId::name);
        let mut diagnostic = Diagnostic::error(
            Code::E0110,
            member.name.span,
            format!("a distribution has no `{}`", member.name.text),
            format!("one of: {}", names.join(", ")),
        );
        if let Some(near) = suggest::nearest(&member.name.text, names.into_iter()) {
            diagnostic = diagnostic.with_fix(format!("write `{near}`"), member.name.span, near);
        }
        self.report(diagnostic);
    }
}

fn arguments(n: usize) -> String {
    match n {
        0 => "no argument".to_string(),
        1 => "one argument".to_string(),
        n => format!("{n} arguments"),
    }
}

/// Returns the structure of an unbounded real.
pub(super) fn real_line() -> Structure {
    Structure::Scalar {
        scalar: Scalar::Real,
        lower: None,
        upper: None,
        offset: None,
        multiplier: None,
    }
}
