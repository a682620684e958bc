//! What a name means at a place: local variables, the model's declarations, the standard library.

use std::collections::HashMap;

use crate::diagnostics::{Code, Diagnostic};
use crate::source::Span;
use crate::syntax::ast;

use super::builtins::Builtin;
use super::checker::Checker;
use super::places::Means;
use super::stdlib;
use super::suggest;
use super::typed::{DistId, FnId, MemberId, Stage, Type, VarId, VarKind};

/// Declarations by name; values index [`Checker::entries`].
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) vars: HashMap<String, usize>,
    pub(super) fns: HashMap<String, usize>,
    pub(super) dists: HashMap<String, usize>,
    /// Sizes that the types of data introduce.
    pub(super) sizes: HashMap<String, VarId>,
}

/// Unknown names of one model for which a suggestion is looked for.
const MOST_SUGGESTIONS: usize = 50;

/// What a local name stands for.
#[derive(Clone, Debug)]
pub(super) enum Binding {
    Var(VarId),
    /// A parameter of function type: in each instance of a function it is one known function.
    /// With the variable that the parameter is.
    Fn(FnId, VarId),
}

/// The names visible at a place besides top-level ones.
#[derive(Clone, Debug, Default)]
pub(super) struct Scope {
    /// Innermost last.
    pub(super) locals: Vec<(String, Binding)>,
    /// Name of the function or distribution whose body this is: it sees no variables of the model.
    pub(super) pure: Option<String>,
    /// Whether this is the distribution that a `gen` is drawn from: its arguments may be generated too.
    pub(super) generated: bool,
    /// Whether this is the standard library's text: it sees no functions of the model.
    pub(super) library: bool,
}

impl Scope {
    pub(super) fn find(&self, name: &str) -> Option<&Binding> {
        self.locals.iter().rev().find(|(local, _)| local == name).map(|(_, binding)| binding)
    }

    pub(super) fn push(&mut self, name: &str, var: VarId) {
        self.locals.push((name.to_string(), Binding::Var(var)));
    }
}

/// What the name in front of parentheses stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Callee {
    /// A function that was passed by name.
    Local(FnId),
    /// An entry that is a function.
    Fn(usize),
    /// A primitive.
    Builtin(Builtin),
    /// A member of the distribution of an entry.
    Member(usize, MemberId),
    /// An entry that is a distribution.
    Dist(usize),
    /// A combinator of distributions.
    Combinator(Combinator),
}

/// Distributions made of distributions, and `flat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Combinator {
    /// `flat()`
    Flat,
    /// `mixture(weights, dist…)`
    Mixture,
    /// `truncate(dist, lower=, upper=)`
    Truncate,
    /// `censor(dist, lower=, upper=)`
    Censor,
    /// `zero_inflated(p, dist)`
    ZeroInflated,
    /// `hurdle(p, dist)`
    Hurdle,
    /// `affine(dist, loc, scale)`
    Affine,
}

impl Combinator {
    /// All combinators with their names.
    pub const ALL: [(Self, &'static str); 7] = [
        (Self::Flat, "flat"),
        (Self::Mixture, "mixture"),
        (Self::Truncate, "truncate"),
        (Self::Censor, "censor"),
        (Self::ZeroInflated, "zero_inflated"),
        (Self::Hurdle, "hurdle"),
        (Self::Affine, "affine"),
    ];

    /// How it is called, and what it is, in a sentence.
    #[must_use]
    pub fn doc(self) -> (&'static str, &'static str) {
        match self {
            Self::Flat => {
                ("flat()", "No prior: a density of one everywhere, which is not normalised.")
            }
            Self::Mixture => (
                "mixture(weights, dist, …)",
                "One of several distributions, or of several choices of the parameters of one, \
                 with the probabilities `weights`.",
            ),
            Self::Truncate => (
                "truncate(dist, lower, upper)",
                "The distribution on the condition that a draw lies between the ends.",
            ),
            Self::Censor => {
                ("censor(dist, lower, upper)", "A draw beyond an end is seen as that end.")
            }
            Self::ZeroInflated => {
                ("zero_inflated(p, dist)", "0 with probability `p`, else a draw.")
            }
            Self::Hurdle => {
                ("hurdle(p, dist)", "0 with probability `p`, else a draw that is not 0.")
            }
            Self::Affine => ("affine(dist, loc, scale)", "`loc + scale * x` for a draw `x`."),
        }
    }

    fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(_, known)| *known == name).map(|(which, _)| which)
    }
}

impl Checker<'_> {
    /// Finds a variable and sees to it that its type is known. Reports an unknown name.
    pub(super) fn find_var(&mut self, name: &str, span: Span) -> Option<VarId> {
        if let Some(Binding::Var(var)) = self.scope.find(name) {
            let var = *var;
            self.note_use(span, Means::Var(var));
            return Some(var);
        }
        if let Some(function) = self.scope.pure.clone() {
            self.report_free_name(name, span, &function);
            return None;
        }
        if let Some(size) = self.user.sizes.get(name).copied() {
            self.note_use(span, Means::Var(size));
            return Some(size);
        }
        if let Some(entry) = self.user.vars.get(name).copied() {
            if let Some(var) = self.entries[entry].var {
                self.note_use(span, Means::Var(var));
            }
            return if self.ensure(entry, span) { self.entries[entry].var } else { None };
        }
        self.report_unknown_var(name, span);
        None
    }

    /// Tells whether a name stands for a variable here, without checking anything.
    pub(super) fn is_var(&self, name: &str) -> bool {
        let top_level = || self.user.vars.contains_key(name) || self.user.sizes.contains_key(name);
        match self.scope.find(name) {
            Some(binding) => matches!(binding, Binding::Var(_)),
            None => self.scope.pure.is_none() && top_level(),
        }
    }

    /// Finds what a call calls; local functions first, then the model's, primitives, the library.
    pub(super) fn find_callee(&mut self, name: &str) -> Option<Callee> {
        if let Some(Binding::Fn(id, _)) = self.scope.find(name) {
            return Some(Callee::Local(*id));
        }
        if !self.scope.library {
            if let Some(entry) = self.user.fns.get(name) {
                self.called.insert(*entry);
                return Some(Callee::Fn(*entry));
            }
            if let Some(entry) = self.user.dists.get(name) {
                self.called.insert(*entry);
                return Some(Callee::Dist(*entry));
            }
        }
        if let Some(builtin) = Builtin::parse(name) {
            return Some(Callee::Builtin(builtin));
        }
        if let Some(combinator) = Combinator::parse(name) {
            return Some(Callee::Combinator(combinator));
        }
        if let Some(file) = stdlib::file_of(name) {
            self.load_library(file);
            if let Some(entry) = self.library.fns.get(name) {
                return Some(Callee::Fn(*entry));
            }
            if let Some(entry) = self.library.dists.get(name) {
                return Some(Callee::Dist(*entry));
            }
        }
        self.find_member(name)
    }

    /// The member of a distribution that a name such as `normal_cdf` joins together.
    ///
    /// `poisson_log_cdf` could be `log_cdf` of `poisson` or `cdf` of `poisson_log`. Of those that are
    /// defined the longer member is taken: `exp(poisson_log_log_cdf(…))` still says the other one, but
    /// nothing else says the first without loss in the tail.
    fn find_member(&mut self, name: &str) -> Option<Callee> {
        let mut found: Vec<(usize, MemberId)> = Vec::new();
        for (member, suffix) in MemberId::suffixes() {
            if let Some(dist) = name.strip_suffix(suffix).and_then(|d| d.strip_suffix('_'))
                && let Some(Callee::Dist(entry)) = self.find_callee(dist)
            {
                found.push((entry, member));
            }
        }
        let rank = |&(entry, member): &(usize, MemberId)| {
            let at = &self.entries[entry];
            let ast::Item::Dist(dist) = &at.file.items[at.item] else { return (false, 0) };
            let defined = dist.members.iter().any(|m| m.name.text == member.name());
            (defined, member.name().len())
        };
        let (entry, member) = found.into_iter().max_by_key(rank)?;
        Some(Callee::Member(entry, member))
    }

    /// Introduces the sizes that the types of data mention and nothing declares: `N` in `real[N]`.
    pub(super) fn bind_data_sizes(&mut self) {
        for id in 0..self.entries.len() {
            let file = std::rc::Rc::clone(&self.entries[id].file);
            if let ast::Item::Data(data) = &file.items[self.entries[id].item] {
                for name in size_names(&data.ty) {
                    self.bind_data_size(&name);
                }
            }
        }
    }

    fn bind_data_size(&mut self, name: &ast::Ident) {
        let known = &name.text;
        if !self.user.vars.contains_key(known) && !self.user.sizes.contains_key(known) {
            let var = self.new_var(name, VarKind::Size, Type::INT, Stage::Data);
            self.user.sizes.insert(known.clone(), var);
        }
    }

    fn report_free_name(&mut self, name: &str, span: Span, function: &str) {
        let of_model = !self.scope.library
            && (self.user.vars.contains_key(name) || self.user.sizes.contains_key(name));
        if !of_model {
            self.report_unknown_var(name, span);
            return;
        }
        let mut diagnostic = Diagnostic::error(
            Code::E0107,
            span,
            format!("`{function}` reads `{name}`, which is not its parameter"),
            "a name of the model",
        )
        .with_help(format!("functions see their parameters only: pass `{name}` as an argument"));
        if let Some(entry) = self.user.vars.get(name) {
            diagnostic = diagnostic.with_label(self.entries[*entry].name.span, "declared here");
        }
        self.report(diagnostic);
    }

    fn report_unknown_var(&mut self, name: &str, span: Span) {
        if self.broken_names.contains(name) {
            return;
        }
        let mut diagnostic = Diagnostic::error(
            Code::E0102,
            span,
            format!("unknown name `{name}`"),
            "not defined anywhere",
        );
        match self.find_callee(name) {
            Some(Callee::Dist(_) | Callee::Combinator(_)) => {
                diagnostic.primary.text = "a distribution, not a variable".into();
                diagnostic = diagnostic.with_help(format!(
                    "a distribution stands to the right of `~` with its arguments: `~ {name}(…)`"
                ));
            }
            Some(_) => {
                diagnostic.primary.text = "a function, not a variable".into();
                diagnostic = diagnostic
                    .with_help(format!("a function is called with its arguments: `{name}(…)`"));
            }
            None => {
                if let Some(ours) = suggest::constant(name) {
                    diagnostic.primary.text = format!("written `{ours}` here");
                    diagnostic = diagnostic.with_fix(format!("write `{ours}`"), span, ours);
                } else if let Some(near) = self.nearest_var(name) {
                    diagnostic.primary.text = format!("did you mean `{near}`?");
                    diagnostic = diagnostic.with_fix(format!("write `{near}`"), span, near);
                } else if self.scope.pure.is_none() && is_size_like(name) {
                    diagnostic = diagnostic.with_help(
                        "a size comes from the type of data (`data y: real[N]`) or is declared: \
                         `data N: int`",
                    );
                } else if self.scope.pure.is_none() {
                    diagnostic = diagnostic.with_help(format!(
                        "declare it: known as `data {name}: real`, latent as `param {name} ~ …`, \
                         computed as `let {name} = …`"
                    ));
                }
            }
        }
        self.report(diagnostic);
    }

    /// Tells whether a suggestion may still be looked for: each compares with all names there are.
    fn may_suggest(&mut self) -> bool {
        self.suggested += 1;
        self.suggested <= MOST_SUGGESTIONS
    }

    fn nearest_var(&mut self, name: &str) -> Option<String> {
        if !self.may_suggest() {
            return None;
        }
        let locals = self.scope.locals.iter().map(|(name, _)| name.as_str());
        let in_model = self.scope.pure.is_none();
        let globals = self.user.vars.keys().chain(self.user.sizes.keys()).map(String::as_str);
        let names = locals.chain(globals.filter(|_| in_model));
        suggest::nearest(name, names).map(str::to_string)
    }

    /// Reports that nothing of that name can be called; `dist` when a distribution is wanted.
    pub(super) fn report_unknown_callee(&mut self, callee: &ast::Ident, dist: bool) {
        let name = &callee.text;
        if self.broken_names.contains(name) {
            return;
        }
        let what = if dist { "distribution" } else { "function" };
        let mut diagnostic = Diagnostic::error(
            Code::E0103,
            callee.span,
            format!("unknown {what} `{name}`"),
            "not defined anywhere",
        );
        if self.is_var(name) {
            diagnostic.primary.text = "a variable, which cannot be called".into();
            diagnostic = diagnostic.with_help(format!("an element is written `{name}[…]`"));
        } else if let Some(hint) = suggest::foreign(name) {
            diagnostic = match hint {
                suggest::Hint::Name(near) => {
                    diagnostic.primary.text = format!("called `{near}` here");
                    diagnostic.with_fix(format!("write `{near}`"), callee.span, near)
                }
                suggest::Hint::Member(ours) => {
                    diagnostic.primary.text = format!("called `{ours}` here");
                    if ours.ends_with("_log_density") {
                        diagnostic = diagnostic.with_note("densities are always normalised");
                    } else if ours.ends_with("_sample") {
                        diagnostic = diagnostic.with_note("random draws are for `gen`");
                    }
                    diagnostic.with_fix(format!("write `{ours}`"), callee.span, ours)
                }
                suggest::Hint::Advice(advice) => diagnostic.with_help(advice),
            };
        } else if let Some(near) = self.nearest_callee(name, dist) {
            diagnostic.primary.text = format!("did you mean `{near}`?");
            diagnostic = diagnostic.with_fix(format!("write `{near}`"), callee.span, near);
        }
        self.report(diagnostic);
    }

    fn nearest_callee(&mut self, name: &str, dist: bool) -> Option<String> {
        if !self.may_suggest() {
            return None;
        }
        let user = if dist { &self.user.dists } else { &self.user.fns };
        let user = user.keys().map(String::as_str);
        let fixed = if dist {
            let combinators = Combinator::ALL.into_iter().map(|(_, name)| name);
            suggest::nearest(name, combinators.chain(stdlib::dist_names()))
        } else {
            let builtins =
                Builtin::ALL.iter().map(|b| b.name()).filter(|n| Builtin::parse(n).is_some());
            suggest::nearest(name, builtins.chain(stdlib::names()))
        };
        suggest::nearest(name, user.chain(fixed)).map(str::to_string)
    }

    /// Returns the distribution of an entry, checked.
    pub(super) fn dist_of(&mut self, entry: usize, at: Span) -> Option<DistId> {
        if self.ensure(entry, at) { self.entries[entry].dist } else { None }
    }
}

/// Returns the dimensions of a type that are plain names, in order.
pub(super) fn size_names(ty: &ast::TypeExpr) -> Vec<ast::Ident> {
    let mut names = Vec::new();
    let mut from = |dims: &[ast::Expr]| {
        for dim in dims {
            if let ast::ExprKind::Name(name) = &dim.kind {
                names.push(ast::Ident { text: name.clone(), span: dim.span });
            }
        }
    };
    match &ty.kind {
        ast::TypeKind::Base { dims, .. } => from(dims),
        ast::TypeKind::Array { dims, elem } => {
            from(dims);
            names.extend(size_names(elem));
        }
        ast::TypeKind::Function { params, result } => {
            for param in params {
                names.extend(size_names(param));
            }
            names.extend(size_names(result));
        }
    }
    names
}

/// Tells whether a name looks like that of a size: one letter, and a capital.
fn is_size_like(name: &str) -> bool {
    name.len() == 1 && name.starts_with(|c: char| c.is_ascii_uppercase())
}
