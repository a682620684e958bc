//! The checker: collects declarations, checks each on demand, keeps what is known about variables.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use crate::diagnostics::{Code, Diagnostic, Outcome};
use crate::source::{SourceMap, Span};
use crate::syntax::{self, ast};

use super::interval::Interval;
use super::lagged;
use super::lints;
use super::places::Places;
use super::scope::{Names, Scope};
use super::shape::Dim;
use super::stdlib;
use super::typed::{
    Decl, DistId, Expr, FnId, LetValue, Model, Stage, Stmt, Support, Type, Var, VarId, VarKind,
};

/// A file that `import` asked for: the name to show and its text, or why there is none.
pub type Imported = Result<(String, String), String>;

/// Checks a model that imports nothing. The files of the standard library that it uses are added to
/// `sources`.
///
/// A model with errors still gives a tree, for editors; its broken parts have type
/// [`Type::Error`] or are absent.
#[must_use]
pub fn check(file: &ast::File, sources: &mut SourceMap) -> Outcome<Model> {
    let mut absent = |_: &str, _: &str| Err("imports are not available here".to_string());
    check_with(file, sources, &mut absent)
}

/// Checks a model. `import` finds the file of a path that the file of the given name imports.
#[must_use]
pub fn check_with(
    file: &ast::File,
    sources: &mut SourceMap,
    import: &mut dyn FnMut(&str, &str) -> Imported,
) -> Outcome<Model> {
    check_places(file, sources, import).0
}

/// Checks a model, and says what stands where in it.
pub(super) fn check_places(
    file: &ast::File,
    sources: &mut SourceMap,
    import: &mut dyn FnMut(&str, &str) -> Imported,
) -> (Outcome<Model>, Places) {
    let mut checker = Checker::new(sources);
    checker.add_file(Rc::new(file.clone()), import);
    checker.check_all();
    lints::lint(&mut checker, file.span.file);
    let places = checker.take_places();
    (Outcome::new(checker.model, checker.diagnostics), places)
}

/// Checks the whole standard library, which a model never needs.
#[must_use]
pub fn check_library(sources: &mut SourceMap) -> Outcome<Model> {
    let mut checker = Checker::new(sources);
    for file in 0..stdlib::FILES.len() {
        checker.load_library(file);
    }
    for id in 0..checker.entries.len() {
        checker.ensure(id, checker.entries[id].name.span);
    }
    Outcome::new(checker.model, checker.diagnostics)
}

/// Bytes of stack that the check of one declaration may take.
const STACK_LEFT: usize = 512 << 10;

/// Bytes of stack that are added when fewer are left.
const STACK_MORE: usize = 4 << 20;

/// Definitions under way at once: as many may stand in reverse of the order in which they are read.
const MOST_UNDER_WAY: usize = 2_000;

/// What to do about arrays that read each other in another way.
const ELEMENT_BY_ELEMENT: &str = "arrays may read each other's elements if each is defined element by \
    element: `let x: real[N] { for t in 2:N { x[t] = … } }`";

/// Where the check of a declaration stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Unchecked,
    InProgress,
    Done,
}

/// A declaration of the model or of the standard library.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) file: Rc<ast::File>,
    pub(super) item: usize,
    pub(super) name: ast::Ident,
    pub(super) state: State,
    pub(super) var: Option<VarId>,
    pub(super) dist: Option<DistId>,
    /// One function for each choice of functions that are passed to it.
    pub(super) fns: HashMap<Vec<FnId>, FnId>,
    /// Whether it is the standard library's.
    pub(super) library: bool,
}

/// What is known about variables beyond their types.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// Declared support of data, parameters and arguments.
    pub(super) supports: HashMap<VarId, Support>,
    /// The dimension that an integer `let` is another name for.
    pub(super) values: HashMap<VarId, Dim>,
    /// Bounds of the values of variables.
    pub(super) intervals: HashMap<VarId, Interval>,
    /// Bounds of the values of functions.
    pub(super) results: HashMap<FnId, Interval>,
    /// First and last value of a loop's index.
    pub(super) ranges: HashMap<VarId, (Dim, Dim)>,
    /// Variables that a discrete latent decides: allowed as an index, since it is summed out.
    pub(super) discrete: HashSet<VarId>,
    /// Arguments that have to be known once data is loaded: used as a size or an index.
    pub(super) needs_data: HashSet<VarId>,
    /// Functions that draw random numbers.
    pub(super) random_fns: HashSet<FnId>,
}

pub(super) struct Checker<'a> {
    pub(super) sources: &'a mut SourceMap,
    pub(super) model: Model,
    pub(super) diagnostics: Vec<Diagnostic>,
    pub(super) entries: Vec<Entry>,
    pub(super) user: Names,
    pub(super) library: Names,
    pub(super) scope: Scope,
    pub(super) facts: Facts,
    /// Entries being checked, and where each was asked for.
    pub(super) stack: Vec<(usize, Span)>,
    /// Whether more than [`MOST_UNDER_WAY`] were asked for.
    too_long: bool,
    /// Arrays that read an array whose definition is not at its end: how far down the stack that is.
    coupled: HashMap<usize, usize>,
    /// Top-level statements, in order.
    statements: Vec<(Rc<ast::File>, usize)>,
    /// Types as written, for lints: literal sizes with their places.
    pub(super) literal_sizes: Vec<(i64, Span)>,
    /// Parameters that have a prior, with its place: the distribution of a declaration, the left
    /// side of a statement.
    pub(super) priors: HashMap<VarId, Span>,
    /// How many conditions stand around the expression being checked.
    pub(super) conditions: usize,
    /// Names in items that did not parse: what these define is not unknown.
    pub(super) broken_names: HashSet<String>,
    /// Suggestions looked for so far.
    pub(super) suggested: usize,
    /// Entries that something calls or passes on.
    pub(super) called: HashSet<usize>,
    /// What stands where in the model's text.
    pub(super) places: Places,
    imported: HashSet<String>,
    loaded: HashSet<usize>,
}

impl<'a> Checker<'a> {
    fn new(sources: &'a mut SourceMap) -> Self {
        Self {
            sources,
            model: Model::default(),
            diagnostics: Vec::new(),
            entries: Vec::new(),
            user: Names::default(),
            library: Names::default(),
            scope: Scope::default(),
            facts: Facts::default(),
            stack: Vec::new(),
            too_long: false,
            coupled: HashMap::new(),
            statements: Vec::new(),
            literal_sizes: Vec::new(),
            priors: HashMap::new(),
            conditions: 0,
            broken_names: HashSet::new(),
            suggested: 0,
            called: HashSet::new(),
            places: Places::default(),
            imported: HashSet::new(),
            loaded: HashSet::new(),
        }
    }

    /// Collects the declarations of a file of the model, and of what it imports.
    fn add_file(&mut self, file: Rc<ast::File>, import: &mut dyn FnMut(&str, &str) -> Imported) {
        for (index, item) in file.items.iter().enumerate() {
            match item {
                ast::Item::Import(item) => self.import(item, import),
                ast::Item::Stmt(_) => self.statements.push((Rc::clone(&file), index)),
                ast::Item::Error(span) => self.note_broken(*span),
                ast::Item::Data(_)
                | ast::Item::Param(_)
                | ast::Item::Let(_)
                | ast::Item::Marginal(_)
                | ast::Item::Gen(_)
                | ast::Item::Fn(_)
                | ast::Item::Dist(_) => self.add_entry(&file, index, false),
            }
        }
    }

    /// Remembers the names in an item that did not parse.
    fn note_broken(&mut self, span: Span) {
        let text = self.sources.slice(span);
        let words = text.split(|c: char| !c.is_alphanumeric() && c != '_');
        self.broken_names.extend(words.filter(|word| !word.is_empty()).map(str::to_string));
    }

    fn import(&mut self, item: &ast::Import, import: &mut dyn FnMut(&str, &str) -> Imported) {
        let importer = self.sources.name(item.span.file).to_string();
        let found = import(&item.path, &importer);
        // Files that import each other are each read once, the model itself included.
        self.imported.insert(importer);
        match found {
            Ok((name, text)) => {
                if !self.imported.insert(name.clone()) {
                    return;
                }
                let id = self.sources.add(name, text.as_str());
                let parsed = syntax::parse_at_most(self.sources.most_bytes(), id, &text);
                self.diagnostics.extend(parsed.diagnostics);
                if let Some(file) = parsed.value {
                    self.add_file(Rc::new(file), import);
                }
            }
            Err(reason) => self.report(Diagnostic::error(
                Code::E0109,
                item.path_span,
                format!("cannot import `{}`", item.path),
                reason,
            )),
        }
    }

    fn add_entry(&mut self, file: &Rc<ast::File>, item: usize, library: bool) {
        let (name, kind) = match &file.items[item] {
            ast::Item::Data(d) => (&d.name, Some(VarKind::Data)),
            ast::Item::Param(d) => (&d.name, Some(VarKind::Param)),
            ast::Item::Let(d) => (&d.name, Some(VarKind::Let)),
            ast::Item::Marginal(d) => (&d.name, Some(VarKind::Marginal)),
            ast::Item::Gen(d) => (&d.name, Some(VarKind::Gen)),
            ast::Item::Fn(d) => (&d.name, None),
            ast::Item::Dist(d) => (&d.name, None),
            ast::Item::Import(_) | ast::Item::Stmt(_) | ast::Item::Error(_) => return,
        };
        let name = name.clone();
        let id = self.entries.len();
        let names = if library { &mut self.library } else { &mut self.user };
        let table = match (&file.items[item], kind) {
            (_, Some(_)) => &mut names.vars,
            (ast::Item::Fn(_), None) => &mut names.fns,
            _ => &mut names.dists,
        };
        let earlier = table.get(&name.text).copied();
        if earlier.is_none() {
            table.insert(name.text.clone(), id);
        }
        // Functions and distributions are both called, so one name for both would be ambiguous.
        let other = match &file.items[item] {
            ast::Item::Fn(_) => names.dists.get(&name.text).copied(),
            ast::Item::Dist(_) => names.fns.get(&name.text).copied(),
            _ => None,
        };
        if let Some(earlier) = earlier.or(other) {
            let first = self.entries[earlier].name.span;
            self.report(
                Diagnostic::error(
                    Code::E0101,
                    name.span,
                    format!("`{}` is defined twice", name.text),
                    "defined again here",
                )
                .with_label(first, "first defined here"),
            );
        } else if kind.is_none()
            && !library
            && super::builtins::Builtin::ALL.iter().any(|b| b.name() == name.text)
        {
            self.report(
                Diagnostic::error(
                    Code::E0101,
                    name.span,
                    format!("`{}` is a primitive of the language", name.text),
                    "cannot be defined again",
                )
                .with_help("choose another name"),
            );
        }
        let var = kind.map(|kind| {
            let stage = match kind {
                VarKind::Gen => Stage::Generated,
                VarKind::Param | VarKind::Marginal => Stage::Parameter,
                _ => Stage::Data,
            };
            self.new_var(&name, kind, Type::Error, stage)
        });
        self.entries.push(Entry {
            file: Rc::clone(file),
            item,
            name,
            state: State::Unchecked,
            var,
            dist: None,
            fns: HashMap::new(),
            library,
        });
    }

    /// Collects the declarations of a file of the standard library, once.
    pub(super) fn load_library(&mut self, index: usize) {
        if !self.loaded.insert(index) {
            return;
        }
        let (name, text) = stdlib::FILES[index];
        let id = self.sources.add(format!("stdlib/{name}"), text);
        let parsed = syntax::parse(id, text);
        self.diagnostics.extend(parsed.diagnostics);
        if let Some(file) = parsed.value {
            let file = Rc::new(file);
            for item in 0..file.items.len() {
                self.add_entry(&file, item, true);
            }
        }
    }

    /// Checks everything: data first, then parameters in order of declaration, each preceded by what
    /// it reads, then the rest.
    fn check_all(&mut self) {
        self.bind_data_sizes();
        let rank = |item: &ast::Item| match item {
            ast::Item::Data(_) => 0,
            ast::Item::Param(_) => 1,
            ast::Item::Marginal(_) => 2,
            ast::Item::Let(_) => 3,
            ast::Item::Fn(_) | ast::Item::Dist(_) => 4,
            ast::Item::Gen(_) | ast::Item::Stmt(_) | ast::Item::Import(_) | ast::Item::Error(_) => {
                5
            }
        };
        let count = self.entries.len();
        for pass in 0..=4 {
            for id in 0..count {
                if rank(&self.entries[id].file.items[self.entries[id].item]) == pass {
                    self.ensure(id, self.entries[id].name.span);
                }
            }
        }
        for (file, item) in std::mem::take(&mut self.statements) {
            if let ast::Item::Stmt(stmt) = &file.items[item]
                && let Some(stmt) = self.top_level_stmt(stmt)
            {
                self.model.decls.push(Decl::Stmt(stmt));
            }
        }
        self.place_missing();
        for id in 0..count {
            self.ensure(id, self.entries[id].name.span);
        }
    }

    fn top_level_stmt(&mut self, stmt: &ast::Stmt) -> Option<Stmt> {
        let saved = std::mem::take(&mut self.scope);
        let stmt = self.stmt(stmt, None);
        self.scope = saved;
        stmt
    }

    /// Sees to it that a declaration is checked; `at` is where it is read. Returns false, with a
    /// message, if it is read within its own definition.
    pub(super) fn ensure(&mut self, id: usize, at: Span) -> bool {
        match self.entries[id].state {
            State::Done => return true,
            State::InProgress => {
                let couples = self.couple(id);
                if !couples {
                    self.report_cycle(id, at);
                }
                return couples;
            }
            State::Unchecked if self.stack.len() == MOST_UNDER_WAY => {
                self.report_long_chain(id, at);
                return false;
            }
            State::Unchecked => {}
        }
        self.entries[id].state = State::InProgress;
        let declared = self.model.decls.len();
        self.stack.push((id, at));
        // Declarations may stand in any order, so a chain of them may be long.
        stacker::maybe_grow(STACK_LEFT, STACK_MORE, || self.check_entry(id));
        self.stack.pop();
        match self.coupled.get(&id) {
            // Its definition ends with that of the array that it reads.
            Some(&reaches) if reaches < self.stack.len() => {}
            Some(_) => self.join(declared),
            None => self.entries[id].state = State::Done,
        }
        true
    }

    /// Couples what is being checked with `id`, which is not at its end, if that has a type already (as an
    /// array defined element by element) and all in between are `let`s or `gen`s: a recursion over several
    /// arrays.
    fn couple(&mut self, id: usize) -> bool {
        let start = self.start_of(id);
        let circle: Vec<usize> = self.stack[start..].iter().map(|(entry, _)| *entry).collect();
        let typed = self.entries[id].var.is_some_and(|var| !self.model.var(var).ty.is_error());
        let defines = |entry: &usize| {
            let entry = &self.entries[*entry];
            matches!(entry.file.items[entry.item], ast::Item::Let(_) | ast::Item::Gen(_))
        };
        if !typed || !circle.iter().all(defines) {
            return false;
        }
        for entry in circle {
            let reaches = self.coupled.entry(entry).or_insert(start);
            *reaches = start.min(*reaches);
        }
        true
    }

    /// Where in the stack the definition of an entry that is not at its end begins.
    fn start_of(&self, id: usize) -> usize {
        let place = self.stack.iter().position(|(entry, _)| *entry == id);
        place.or_else(|| self.coupled.get(&id).copied()).unwrap_or(0)
    }

    /// Makes one declaration of arrays that read each other, those from `declared` on that are not under
    /// definition any more.
    fn join(&mut self, declared: usize) {
        let top = self.stack.len();
        let group: Vec<usize> = self
            .coupled
            .iter()
            .filter(|(_, reaches)| **reaches >= top)
            .map(|(id, _)| *id)
            .collect();
        let mut stage = Stage::Data;
        let mut vars = Vec::new();
        for id in group {
            self.coupled.remove(&id);
            self.entries[id].state = State::Done;
            vars.extend(self.entries[id].var);
        }
        vars.iter().for_each(|var| stage = stage.max(self.model.var(*var).stage));
        vars.iter().for_each(|var| self.raise_stage(*var, stage));
        let (mut lets, mut constraints) = (Vec::new(), Vec::new());
        for decl in self.model.decls.split_off(declared) {
            match decl {
                Decl::Let { var, value } if vars.contains(&var) => lets.push((var, value)),
                Decl::Constraint { var, .. } if vars.contains(&var) => constraints.push(decl),
                other => self.model.decls.push(other),
            }
        }
        lets.sort_by_key(|(var, _)| self.model.var(*var).span);
        for (var, value) in &mut lets {
            let span = self.model.var(*var).span;
            let whole =
                matches!(value, LetValue::Expr(e) if lagged::reads_whole(&self.model, e, &vars));
            let elements = lagged::by_elements(&mut self.model, *var, value, span);
            match elements.filter(|_| !whole) {
                Some(elements) => *value = elements,
                None => {
                    let message = format!(
                        "`{}` depends on itself, and not element by element",
                        self.model.var(*var).name
                    );
                    let mut error = Diagnostic::error(Code::E0104, span, message, "defined here")
                        .with_help(ELEMENT_BY_ELEMENT);
                    for other in vars.iter().filter(|other| *other != var) {
                        let other = self.model.var(*other);
                        error = error
                            .with_label(other.span, format!("`{}` is in the circle", other.name));
                    }
                    self.report(error);
                }
            }
        }
        self.model.decls.push(Decl::Recursion(lets));
        self.model.decls.extend(constraints);
    }

    fn check_entry(&mut self, id: usize) {
        let library = self.entries[id].library;
        let saved = std::mem::replace(&mut self.scope, Scope { library, ..Scope::default() });
        let file = Rc::clone(&self.entries[id].file);
        match &file.items[self.entries[id].item] {
            ast::Item::Data(d) => self.data(id, d),
            ast::Item::Param(d) => self.param(id, d),
            ast::Item::Let(d) | ast::Item::Gen(d) => self.top_level_let(id, d),
            ast::Item::Marginal(d) => self.marginal(id, d),
            ast::Item::Fn(d) => self.function_item(id, d),
            ast::Item::Dist(d) => self.dist_item(id, d),
            ast::Item::Import(_) | ast::Item::Stmt(_) | ast::Item::Error(_) => {}
        }
        self.scope = saved;
    }

    /// Reports that `id`, which is being checked, is read again at `at`.
    pub(super) fn report_cycle(&mut self, id: usize, at: Span) {
        let circle: Vec<(usize, Span)> = self.stack[self.start_of(id)..].to_vec();
        let name = |id: usize| self.entries[id].name.text.clone();
        let place = self.entries[id].name.span;
        let mut path: Vec<String> =
            circle.iter().map(|(id, _)| format!("`{}`", name(*id))).collect();
        path.push(format!("`{}`", name(id)));
        let message = if circle.len() == 1 {
            format!("`{}` is defined by itself", name(id))
        } else {
            format!("definitions in a circle: {}", path.join(" reads "))
        };
        let mut diagnostic = Diagnostic::error(Code::E0104, place, message, "defined here");
        // The place where each is read stands with the next; the last is read at `at`.
        for (next, read_at) in circle.iter().skip(1) {
            diagnostic = diagnostic.with_label(*read_at, format!("reads `{}`", name(*next)));
        }
        diagnostic = diagnostic.with_label(at, format!("reads `{}`", name(id)));
        let item = &self.entries[id].file.items[self.entries[id].item];
        if matches!(item, ast::Item::Fn(_) | ast::Item::Dist(_)) {
            diagnostic = diagnostic.with_note("functions are not recursive");
        } else if circle.iter().any(|(entry, _)| self.has_elements(*entry)) {
            diagnostic = diagnostic.with_help(ELEMENT_BY_ELEMENT);
        } else if circle.len() == 1 && matches!(item, ast::Item::Let(_)) {
            diagnostic = diagnostic.with_help(format!(
                "a recursion over an array is written element by element: `let {}: real[N] {{ … }}`",
                name(id)
            ));
        }
        self.report(diagnostic);
    }

    /// Reports, once, that `id` is read at `at` when as many definitions are under way as may be.
    fn report_long_chain(&mut self, id: usize, at: Span) {
        if std::mem::replace(&mut self.too_long, true) {
            return;
        }
        let name = &self.entries[id].name;
        let message = format!(
            "a chain of more than {MOST_UNDER_WAY} definitions, each of which reads one that was not defined \
             before it"
        );
        let diagnostic = Diagnostic::error(
            Code::E0111,
            at,
            message,
            format!("`{}` is the next of it", name.text),
        )
        .with_label(name.span, "defined here")
        .with_help("write a definition above those that read it");
        self.report(diagnostic);
    }

    /// Tells whether an entry is an array defined element by element.
    fn has_elements(&self, id: usize) -> bool {
        let item = &self.entries[id].file.items[self.entries[id].item];
        matches!(item, ast::Item::Let(d) | ast::Item::Gen(d)
            if matches!(d.value, ast::LetValue::Elements(_)))
    }

    pub(super) fn report(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    pub(super) fn new_var(
        &mut self,
        name: &ast::Ident,
        kind: VarKind,
        ty: Type,
        stage: Stage,
    ) -> VarId {
        let id = VarId(u32::try_from(self.model.vars.len()).unwrap_or(u32::MAX));
        let (name, span) = (name.text.clone(), name.span);
        self.model.vars.push(Var { name, kind, ty, stage, span });
        id
    }

    pub(super) fn var_mut(&mut self, id: VarId) -> &mut Var {
        &mut self.model.vars[id.0 as usize]
    }

    /// Writes a type with the names of its sizes.
    pub(super) fn show(&self, ty: &Type) -> String {
        super::print::ty(ty, &|var| self.model.var(var).name.clone())
    }

    /// Writes dimensions: `[N, 2]`.
    pub(super) fn show_dims(&self, dims: &[Dim]) -> String {
        let dims: Vec<String> = dims.iter().map(|dim| self.show_dim(dim)).collect();
        format!("[{}]", dims.join(", "))
    }

    pub(super) fn show_dim(&self, dim: &Dim) -> String {
        dim.show(&|var| self.model.var(var).name.clone())
    }

    /// Returns the dimension that an integer expression gives.
    pub(super) fn dim_of(&self, expr: &Expr) -> Dim {
        Dim::of(expr, &|var| self.facts.values.get(&var).cloned())
    }

    /// Tells whether a variable is a size that may not be assumed equal to another.
    pub(super) fn is_rigid(&self, var: VarId) -> bool {
        matches!(self.model.var(var).kind, VarKind::Size | VarKind::Data)
    }

    /// Compares two dimensions.
    pub(super) fn compare(&self, a: &Dim, b: &Dim) -> super::shape::Agreement {
        a.compare(b, &|var| self.is_rigid(var))
    }
}
