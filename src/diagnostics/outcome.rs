//! What a stage returns: a value if there is one, and everything it has to say.

use std::collections::HashSet;

use super::Diagnostic;

/// The result of a stage that goes on after an error.
///
/// A value may be present together with errors (a tree with its broken items marked), so ask
/// [`Outcome::has_errors`] before trusting it with numbers.
#[derive(Clone, Debug)]
pub struct Outcome<T> {
    /// The result, as far as one could be made.
    pub value: Option<T>,
    /// Errors and warnings in source order.
    pub diagnostics: Vec<Diagnostic>,
}

impl<T> Outcome<T> {
    /// Makes an outcome with a value; the diagnostics are put in source order.
    #[must_use]
    pub fn new(value: T, diagnostics: Vec<Diagnostic>) -> Self {
        Self { value: Some(value), diagnostics }.sorted()
    }

    /// Makes an outcome without a value; the diagnostics are put in source order.
    #[must_use]
    pub fn failed(diagnostics: Vec<Diagnostic>) -> Self {
        Self { value: None, diagnostics }.sorted()
    }

    /// Tells whether any diagnostic is an error.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }

    /// Applies `f` to the value.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Outcome<U> {
        Outcome { value: self.value.map(f), diagnostics: self.diagnostics }
    }

    /// Runs the next stage on the value and keeps the diagnostics of both, in source order.
    pub fn and_then<U>(self, f: impl FnOnce(T) -> Outcome<U>) -> Outcome<U> {
        let mut diagnostics = self.diagnostics;
        let next = self.value.map_or_else(|| Outcome::failed(Vec::new()), f);
        diagnostics.extend(next.diagnostics);
        Outcome { value: next.value, diagnostics }.sorted()
    }

    /// Splits into the value with its warnings, or all diagnostics if any is an error or there is
    /// no value.
    ///
    /// # Errors
    /// All diagnostics, warnings included.
    pub fn into_result(self) -> Result<(T, Vec<Diagnostic>), Vec<Diagnostic>> {
        let failed = self.has_errors();
        match self.value {
            Some(value) if !failed => Ok((value, self.diagnostics)),
            Some(_) | None => Err(self.diagnostics),
        }
    }

    fn sorted(mut self) -> Self {
        // What is checked twice (a function for each function passed to it) is said once.
        let mut said = HashSet::new();
        self.diagnostics.retain(|diagnostic| said.insert(diagnostic.clone()));
        self.diagnostics.sort_by_key(Diagnostic::span);
        self
    }
}
