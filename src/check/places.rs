//! What stands where in a text: the meaning of each name, the type of each expression, what each
//! distribution is the distribution of. The checker notes it on its way, for editors.
//!
//! Only the model's own files are noted, not the standard library. What a function given as an
//! argument makes the checker read twice is noted once.

use std::collections::HashMap;
use std::rc::Rc;

use crate::source::Span;
use crate::syntax::ast;

use super::builtins::Builtin;
use super::checker::Checker;
use super::scope::{Binding, Callee, Combinator};
use super::typed::{Expr, Stage, Support, Type, VarId};

/// Everything that was noted.
#[derive(Debug, Default)]
pub struct Places {
    /// Names with their meanings, in order of their places.
    pub uses: Vec<Use>,
    /// Expressions in order of their ends: an expression stands after its parts.
    pub exprs: Vec<Typed>,
    /// Distributions.
    pub dists: Vec<Drawn>,
    /// Declarations of the model's files, then those of the standard library that it reads.
    pub items: Vec<Declared>,
    /// What variables may be, as far as it is declared or follows from a prior.
    pub supports: HashMap<VarId, Support>,
}

/// A name in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Use {
    /// Its place.
    pub span: Span,
    /// What it stands for.
    pub means: Means,
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Means {
    /// A variable; it is declared at its own span.
    Var(VarId),
    /// A function or distribution, or a member of a distribution: an index of [`Places::items`].
    Item(usize),
    /// A primitive.
    Builtin(Builtin),
    /// A combinator of distributions.
    Combinator(Combinator),
}

/// An expression in the text.
#[derive(Clone, Debug)]
pub struct Typed {
    /// Its place.
    pub span: Span,
    /// Its type.
    pub ty: Type,
    /// When it is known.
    pub stage: Stage,
}

/// A distribution in the text.
#[derive(Clone, Debug)]
pub struct Drawn {
    /// Its place.
    pub span: Span,
    /// The type of what it is the distribution of, where that is declared.
    pub ty: Option<Type>,
    /// What that may be, where a declaration gives it.
    pub support: Option<Support>,
}

/// A declaration.
#[derive(Clone, Debug)]
pub struct Declared {
    /// Its name.
    pub name: ast::Ident,
    /// Whether it is the standard library's.
    pub library: bool,
    file: Rc<ast::File>,
    index: usize,
}

impl Declared {
    /// The declaration as parsed.
    #[must_use]
    pub fn item(&self) -> &ast::Item {
        &self.file.items[self.index]
    }
}

impl Places {
    /// The name that the byte at `offset` of a file belongs to, or that ends there.
    #[must_use]
    pub fn name_at(&self, at: Span) -> Option<Use> {
        self.uses.iter().find(|found| found.span.contains(at)).copied()
    }
}

impl Checker<'_> {
    /// Notes what a name stands for.
    pub(super) fn note_use(&mut self, span: Span, means: Means) {
        if !self.scope.library {
            self.places.uses.push(Use { span, means });
        }
    }

    /// Notes what is called.
    pub(super) fn note_callee(&mut self, callee: &ast::Ident, found: &Callee) {
        let means = match found {
            Callee::Local(_) => match self.scope.find(&callee.text) {
                Some(Binding::Fn(_, param)) => Means::Var(*param),
                _ => return,
            },
            Callee::Fn(entry) | Callee::Member(entry, _) | Callee::Dist(entry) => {
                Means::Item(*entry)
            }
            Callee::Builtin(builtin) => Means::Builtin(*builtin),
            Callee::Combinator(combinator) => Means::Combinator(*combinator),
        };
        self.note_use(callee.span, means);
    }

    /// Notes the type of an expression.
    pub(super) fn note_expr(&mut self, e: &Expr) {
        if !self.scope.library {
            self.places.exprs.push(Typed { span: e.span, ty: e.ty.clone(), stage: e.stage });
        }
    }

    /// Notes what a distribution is the distribution of.
    pub(super) fn note_dist(&mut self, span: Span, ty: Option<&Type>, support: Option<&Support>) {
        if !self.scope.library {
            self.places.dists.push(Drawn { span, ty: ty.cloned(), support: support.cloned() });
        }
    }

    /// Everything noted, in order.
    pub(super) fn take_places(&mut self) -> Places {
        let mut places = std::mem::take(&mut self.places);
        places.uses.sort_by_key(|found| found.span);
        places.uses.dedup_by_key(|found| found.span);
        places.supports = std::mem::take(&mut self.facts.supports);
        places.items = self
            .entries
            .iter()
            .map(|entry| Declared {
                name: entry.name.clone(),
                library: entry.library,
                file: Rc::clone(&entry.file),
                index: entry.item,
            })
            .collect();
        places
    }
}
