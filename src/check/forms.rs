//! Functions of the library that exist in several forms, told apart by number and ranks of arguments, and
//! distributions, told apart by the number.
//!
//! `fn distance(…)` and `fn distance__matrix(…)` are forms of `distance`. A call takes the first that fits
//! as it is, else the first that fits elementwise.

use crate::diagnostics::{Code, Diagnostic};
use crate::source::Span;
use crate::syntax::ast;

use super::checker::Checker;
use super::infer::error;
use super::stdlib;
use super::typed::Expr;

impl Checker<'_> {
    /// Checks a call of a function of the library that has further forms.
    pub(super) fn call_form(&mut self, callee: &ast::Ident, args: &[ast::Arg], span: Span) -> Expr {
        self.refuse_names(&callee.text, args);
        let args: Vec<Expr> = args.iter().map(|arg| self.expr(&arg.value)).collect();
        if args.iter().any(|arg| arg.ty.is_error()) {
            return error(span);
        }
        let ranks: Vec<usize> = args.iter().map(|arg| arg.ty.dims().len()).collect();
        let mut names = vec![callee.text.clone()];
        names.extend(stdlib::forms(&callee.text).map(str::to_string));
        let mut forms = Vec::new();
        for name in names {
            if let Some(entry) = self.library_function(&name) {
                forms.push((entry, self.parameter_ranks(entry)));
            }
        }
        let as_is = |(_, of): &&(usize, Vec<usize>)| *of == ranks;
        let lifted = |(_, of): &&(usize, Vec<usize>)| {
            of.len() == ranks.len() && of.iter().zip(&ranks).all(|(a, b)| a == b || *a == 0)
        };
        let entry = match forms.iter().find(as_is).or_else(|| forms.iter().find(lifted)) {
            Some((entry, _)) => *entry,
            None => {
                self.report_no_form(callee, &args, &forms, span);
                return error(span);
            }
        };
        match self.instance(entry, callee, &[]) {
            Some(id) => self.call_with(id, callee, args, span),
            None => error(span),
        }
    }

    /// The form of a distribution that takes that many arguments, if there is another one:
    /// `multinomial__counts` is a form of `multinomial`.
    pub(super) fn dist_form(&mut self, entry: usize, name: &str, count: usize) -> usize {
        if !self.entries[entry].library || self.parameter_count(entry) == count {
            return entry;
        }
        for name in stdlib::forms(name) {
            if let Some(file) = stdlib::file_of(name) {
                self.load_library(file);
            }
            if let Some(&form) = self.library.dists.get(name)
                && self.parameter_count(form) == count
            {
                return form;
            }
        }
        entry
    }

    fn parameter_count(&self, dist: usize) -> usize {
        let at = &self.entries[dist];
        let ast::Item::Dist(d) = &at.file.items[at.item] else { return 0 };
        d.params.len()
    }

    /// The entry of a function of the library.
    fn library_function(&mut self, name: &str) -> Option<usize> {
        self.load_library(stdlib::file_of(name)?);
        self.library.fns.get(name).copied()
    }

    fn parameter_ranks(&self, entry: usize) -> Vec<usize> {
        let at = &self.entries[entry];
        let ast::Item::Fn(f) = &at.file.items[at.item] else { return Vec::new() };
        f.params.iter().map(|p| rank(&p.ty)).collect()
    }

    fn report_no_form(
        &mut self,
        callee: &ast::Ident,
        args: &[Expr],
        forms: &[(usize, Vec<usize>)],
        span: Span,
    ) {
        let found: Vec<String> = args.iter().map(|arg| self.show(&arg.ty)).collect();
        let taken: Vec<String> = forms
            .iter()
            .filter_map(|(entry, _)| {
                let at = &self.entries[*entry];
                let ast::Item::Fn(f) = &at.file.items[at.item] else { return None };
                let params: Vec<String> = f
                    .params
                    .iter()
                    .map(|p| {
                        let shape = match rank(&p.ty) {
                            0 => "a scalar",
                            1 => "a vector",
                            2 => "a matrix",
                            _ => "an array",
                        };
                        format!("{}: {shape}", p.name.text)
                    })
                    .collect();
                Some(format!("{}({})", callee.text, params.join(", ")))
            })
            .collect();
        let arity = forms.iter().any(|(_, of)| of.len() == args.len());
        let code = if arity { Code::E0203 } else { Code::E0106 };
        let mut diagnostic = Diagnostic::error(
            code,
            span,
            format!("`{}` does not take ({})", callee.text, found.join(", ")),
            "no form fits these arguments",
        );
        for form in taken {
            diagnostic = diagnostic.with_note(form);
        }
        self.report(diagnostic);
    }
}

/// The number of dimensions of a type as written.
fn rank(ty: &ast::TypeExpr) -> usize {
    match &ty.kind {
        ast::TypeKind::Base { dims, .. } => dims.len(),
        ast::TypeKind::Array { dims, elem } => dims.len() + rank(elem),
        ast::TypeKind::Function { .. } => 0,
    }
}
