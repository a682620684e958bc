//! The only place that sequences stages.
//!
//! A [`Session`] holds the files of one compilation and everything the stages had to say about them.

mod calibrate;
mod fix;
mod generate;
mod stage;

use std::collections::{HashMap, HashSet};

use crate::check;
use crate::check::typed::Model;
use crate::data::DataSet;
use crate::diagnostics::{Color, Diagnostic, Outcome, render_all};
use crate::exec::device::Source;
use crate::lower::{self, Lowered, Space};
use crate::posterior::{Minibatch, Posterior};
use crate::source::{SourceMap, read_import};
use crate::syntax::Allowances;

pub use calibrate::{Calibration, Ranks, Uniformity, calibrate};
pub use fix::{Applied, Fixed, fix};
pub use generate::Generator;
pub use stage::Stage;

/// One compilation: files, and diagnostics in source order.
#[derive(Debug, Default)]
pub struct Session {
    /// The model and what it imports.
    pub sources: SourceMap,
    /// What the stages said, warnings included.
    pub diagnostics: Vec<Diagnostic>,
    /// Texts that stand for files of these names when something is imported.
    imports: HashMap<String, String>,
    /// What comments in the model allow.
    allowances: Allowances,
}

impl Session {
    /// A session without files.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same session for files of at most so many bytes, or of [`crate::source::MOST_BYTES`].
    #[must_use]
    pub fn with_most_bytes(self, bytes: Option<usize>) -> Self {
        Session { sources: SourceMap::of_at_most(bytes), ..self }
    }

    /// A session that takes imports from these texts, by name, before it looks for files.
    #[must_use]
    pub fn with_imports(imports: HashMap<String, String>) -> Self {
        Session { imports, ..Self::default() }
    }

    /// Names and texts of the files that the model imports.
    pub fn imported(&self) -> impl Iterator<Item = (&str, &str)> {
        let files = self.sources.iter().skip(1).map(|(_, file)| (file.name(), file.text()));
        files.filter(|(name, _)| !name.starts_with("stdlib/"))
    }

    /// Parses and checks a model. `None` when it has errors; then [`Session::diagnostics`] has them.
    pub fn check(&mut self, name: &str, text: &str) -> Option<Model> {
        let most_bytes = self.sources.most_bytes();
        let mut read =
            |path: &str, importer: &str| read_import(path, importer, &self.imports, most_bytes);
        match check::check_text(name, text, &mut self.sources, &mut read) {
            Ok(checked) => {
                self.diagnostics.extend(checked.diagnostics);
                self.allowances = checked.allowances;
                (!self.has_errors()).then_some(checked.model)
            }
            Err(diagnostics) => {
                self.diagnostics.extend(diagnostics);
                None
            }
        }
    }

    /// Lowers a checked model with its data.
    pub fn lower(&mut self, model: &Model, data: &DataSet, space: Space) -> Option<Lowered> {
        let lowered = self.take(lower::lower(model, data, space))?;
        let size = |var| lowered.sizes.get(&var).copied();
        let known: HashSet<Diagnostic> = self.diagnostics.iter().cloned().collect();
        let new = check::lint_with_sizes(model, &size).into_iter().filter(|w| !known.contains(w));
        self.diagnostics.extend(new);
        self.silence();
        Some(lowered)
    }

    /// Compiles a checked model with its data to a density and its draws.
    pub fn compile(&mut self, model: &Model, data: &DataSet) -> Option<Posterior> {
        let lowered = self.lower(model, data, Space::Unconstrained)?;
        let compiled = Posterior::compile(lowered, &self.sources);
        self.compiled(compiled)
    }

    /// Compiles a checked model for training on `size` random elements at a time of the dimension of
    /// that name (see [`lower::dimension`]).
    ///
    /// # Errors
    /// That the data has no such dimension, or has fewer elements.
    pub fn compile_subsampled(
        &mut self,
        model: &Model,
        data: &DataSet,
        (name, size): (&str, usize),
        seed: u64,
    ) -> Result<Option<Posterior>, String> {
        let Some(lowered) = self.lower(model, data, Space::Unconstrained) else { return Ok(None) };
        let dimension = lower::dimension(model, &lowered, name)?;
        if !(1..=dimension.length).contains(&size) {
            let (name, length) = (&dimension.name, dimension.length);
            return Err(format!("`{name}` has {length} elements with this data, not {size}"));
        }
        let minibatch = Minibatch { dimension, size, seed };
        let compiled = Posterior::compile_subsampled(lowered, minibatch, &self.sources);
        Ok(self.compiled(compiled))
    }

    /// What training on a device needs of a posterior, unless it uses an operation that has no form there.
    pub fn on_device(&mut self, posterior: &Posterior) -> Option<Source> {
        match posterior.source() {
            Ok(source) => Some(source),
            Err(error) => {
                self.diagnostics.push(*error);
                None
            }
        }
    }

    fn compiled(&mut self, compiled: Result<Posterior, Box<Diagnostic>>) -> Option<Posterior> {
        match compiled {
            Ok(posterior) => Some(posterior),
            Err(error) => {
                self.diagnostics.push(*error);
                None
            }
        }
    }

    /// The text of one stage of a model.
    pub fn emit(&mut self, stage: Stage, name: &str, text: &str, data: &DataSet) -> Option<String> {
        stage::emit(self, stage, name, text, data)
    }

    /// Whether any stage found an error.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }

    /// All diagnostics as people read them.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        let color = if color { Color::On } else { Color::Off };
        render_all(&self.diagnostics, &self.sources, color)
    }

    /// `line:column` of a place, for the keys of `log-density --terms`.
    #[must_use]
    pub fn place(&self, span: crate::source::Span) -> String {
        let at = self.sources.location(span);
        format!("{}:{}", at.line, at.column)
    }

    /// Drops the lints that comments in the model allow.
    fn silence(&mut self) {
        self.diagnostics.retain(|diagnostic| !self.allowances.allow(diagnostic));
    }

    fn take<T>(&mut self, outcome: Outcome<T>) -> Option<T> {
        self.diagnostics.extend(outcome.diagnostics);
        outcome.value
    }
}
