//! One text with everything the front end says about it.

use std::collections::HashMap;

use crate::check::places::{Declared, Means};
use crate::check::typed::{Decl, Stage, Structure, Type, Var, VarId, VarKind};
use crate::check::{self, Checked, Imported};
use crate::data::{DataError, DataSet};
use crate::diagnostics::Diagnostic;
use crate::lower;
use crate::source::{FileId, SourceMap, Span};
use crate::syntax::{ast, lex, token::Token};

/// A model's text, parsed and checked. Broken parts do not hide the others.
#[derive(Debug)]
pub struct Analysis {
    /// The model, what it imports, what it uses of the standard library.
    pub sources: SourceMap,
    /// What the front end says.
    pub checked: Checked,
    /// The text's tokens.
    pub tokens: Vec<Token>,
    /// Which variable is declared at a place; the first, where a function is checked several times.
    declared: HashMap<Span, VarId>,
    /// What the data beside the model makes of its sizes.
    sizes: HashMap<VarId, i64>,
}

impl Analysis {
    /// Analyses a text; `import` finds what it imports, see [`check::check_with`].
    ///
    /// # Errors
    /// The diagnostics of a text that is too large to be parsed.
    pub fn new(
        name: &str,
        text: &str,
        import: &mut dyn FnMut(&str, &str) -> Imported,
    ) -> Result<Self, Vec<Diagnostic>> {
        let mut sources = SourceMap::new();
        let checked = check::check_text(name, text, &mut sources, import)?;
        let tokens = lex(checked.file, text);
        let mut declared = HashMap::new();
        for (id, var) in (0..).map(VarId).zip(&checked.model.vars) {
            declared.entry(var.span).or_insert(id);
        }
        Ok(Self { sources, checked, tokens, declared, sizes: HashMap::new() })
    }

    /// Fits data to a model without errors: its sizes are known then, and what is wrong with the two
    /// together, or with the data alone, is among the diagnostics.
    pub fn bind(&mut self, data: Result<&DataSet, &[DataError]>) {
        if self.checked.diagnostics.iter().any(Diagnostic::is_error) {
            return;
        }
        let found = match data {
            Ok(data) => {
                let outcome = lower::sizes(&self.checked.model, data);
                self.sizes = outcome.value.unwrap_or_default();
                outcome.diagnostics
            }
            Err(errors) => {
                let top = Span::at(self.file(), 0);
                let said = |e: &DataError| Diagnostic::error(e.code(), top, e.to_string(), "");
                errors.iter().map(said).collect()
            }
        };
        self.checked.diagnostics.extend(found);
    }

    /// A type with the sizes that the data gives, `real[400, 2]`; nothing where they are not known, or
    /// where there are none.
    #[must_use]
    pub fn show_bound(&self, ty: &Type) -> Option<String> {
        let symbolic = self.show_type(ty);
        let bound = check::print::ty(ty, &|var| match self.sizes.get(&var) {
            Some(size) => size.to_string(),
            None => self.var(var).name.clone(),
        });
        (bound != symbolic).then_some(bound)
    }

    /// The whole number that the data makes of a variable.
    #[must_use]
    pub fn size(&self, id: VarId) -> Option<i64> {
        self.sizes.get(&id).copied()
    }

    /// The model's own file.
    #[must_use]
    pub fn file(&self) -> FileId {
        self.checked.file
    }

    /// The model's own text.
    #[must_use]
    pub fn text(&self) -> &str {
        self.sources.text(self.file())
    }

    /// The empty span at a byte of the model's own text.
    #[must_use]
    pub fn at(&self, offset: usize) -> Span {
        Span::at(self.file(), offset)
    }

    /// The name at a byte of the text, or ending there, and what it stands for: where it is used or
    /// where it is declared.
    #[must_use]
    pub fn name_at(&self, offset: usize) -> Option<(Span, Means)> {
        let at = self.at(offset);
        if let Some(found) = self.checked.places.name_at(at) {
            return Some((found.span, found.means));
        }
        let vars = self.vars().filter(|(_, var)| var.span.contains(at) && !var.span.is_empty());
        let var = vars.map(|(id, var)| (var.span, Means::Var(id))).next();
        var.or_else(|| {
            let items = &self.checked.places.items;
            let found = items.iter().position(|item| item.name.span.contains(at))?;
            Some((items[found].name.span, Means::Item(found)))
        })
    }

    /// Where what a name stands for is declared; a primitive is declared nowhere.
    #[must_use]
    pub fn declaration(&self, means: Means) -> Option<Span> {
        match means {
            Means::Var(var) => Some(self.var(var).span),
            Means::Item(item) => Some(self.checked.places.items[item].name.span),
            Means::Builtin(_) | Means::Combinator(_) => None,
        }
    }

    /// All variables of the model's files and of the library that it uses.
    pub fn vars(&self) -> impl Iterator<Item = (VarId, &Var)> {
        (0..).map(VarId).zip(&self.checked.model.vars)
    }

    /// A variable's entry.
    #[must_use]
    pub fn var(&self, id: VarId) -> &Var {
        self.checked.model.var(id)
    }

    /// The variable that is declared at a place.
    #[must_use]
    pub fn var_declared_at(&self, span: Span) -> Option<VarId> {
        self.declared.get(&span).copied()
    }

    /// A parameter's declaration in the typed tree.
    #[must_use]
    pub fn param(&self, id: VarId) -> Option<&Decl> {
        let declares = |decl: &&Decl| matches!(decl, Decl::Param { var, .. } if *var == id);
        self.checked.model.decls.iter().find(declares)
    }

    /// The declaration whose name stands at a place.
    #[must_use]
    pub fn item_declared_at(&self, span: Span) -> Option<&Declared> {
        self.checked.places.items.iter().find(|item| item.name.span == span)
    }

    /// The item of the text that a byte lies in, ends included.
    #[must_use]
    pub fn item_at(&self, offset: usize) -> Option<&ast::Item> {
        let at = self.at(offset);
        self.checked.tree.items.iter().find(|item| item.span().contains(at))
    }

    /// A type with the names of its sizes: `real[N, 2]`.
    #[must_use]
    pub fn show_type(&self, ty: &Type) -> String {
        check::print::ty(ty, &|var| self.var(var).name.clone())
    }

    /// What a variable is declared or inferred to be, bounds included: `real<lower=0>[J]`.
    #[must_use]
    pub fn show_var(&self, id: VarId) -> String {
        let ty = &self.var(id).ty;
        let plain = self.show_type(ty);
        let Some(support) = self.checked.places.supports.get(&id) else { return plain };
        let names = |var: VarId| self.var(var).name.clone();
        let element = check::print::structure(&support.structure, &names);
        let missing = if support.missing { "?" } else { "" };
        match (&support.structure, ty.scalar()) {
            (Structure::Scalar { .. }, Some(scalar)) => {
                plain.replacen(scalar.name(), &format!("{element}{missing}"), 1)
            }
            // The last size is the structure's own, for a matrix twice.
            (structure, _) => {
                let dims = ty.dims();
                let own = if structure.is_matrix() { 2 } else { 1 };
                let (array, own) = dims.split_at(dims.len().saturating_sub(own));
                let shown = |dims: &[check::shape::Dim]| {
                    dims.iter().map(|dim| dim.show(&names)).collect::<Vec<_>>().join(", ")
                };
                let one = format!("{element}[{}]", shown(&own[..own.len().min(1)]));
                if array.is_empty() { one } else { format!("array[{}] {one}", shown(array)) }
            }
        }
    }
}

/// What kind of name a variable is, as models write or readers say it.
#[must_use]
pub(super) fn kind_word(kind: VarKind) -> &'static str {
    match kind {
        VarKind::Data => "data",
        VarKind::Param => "param",
        VarKind::Let | VarKind::Local => "let",
        VarKind::Gen | VarKind::Predicted => "gen",
        VarKind::Marginal => "marginal",
        VarKind::Size => "size",
        VarKind::Index => "index",
        VarKind::Argument => "argument",
    }
}

/// When a value is known, in a sentence.
#[must_use]
pub(super) fn stage_words(stage: Stage) -> &'static str {
    match stage {
        Stage::Data => "data stage: known once data is loaded",
        Stage::Parameter => "parameter stage: part of the log joint",
        Stage::Generated => "generated: known for each draw, after inference",
    }
}
