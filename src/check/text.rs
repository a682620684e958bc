//! A model's text → everything the front end has to say about it.

use crate::diagnostics::Diagnostic;
use crate::source::{FileId, SourceMap};
use crate::syntax::{self, Allowances, ast};

use super::checker::{Imported, check_places};
use super::places::Places;
use super::typed::Model;

/// A model's text, parsed and checked.
#[derive(Debug)]
pub struct Checked {
    /// The model's own file.
    pub file: FileId,
    /// The tree; broken items are marked in it.
    pub tree: ast::File,
    /// The typed tree; what is in error is absent, or of type
    /// [`Error`](super::typed::Type::Error).
    pub model: Model,
    /// What stands where.
    pub places: Places,
    /// What comments in the model allow.
    pub allowances: Allowances,
    /// Errors, or if there are none warnings, in order; what a comment allows is left out.
    pub diagnostics: Vec<Diagnostic>,
}

/// Parses and checks a model. Its file, what it imports and what it uses of the standard library
/// are added to `sources`.
///
/// # Errors
/// The diagnostics of a text that is too large to be parsed.
pub fn check_text(
    name: &str,
    text: &str,
    sources: &mut SourceMap,
    import: &mut dyn FnMut(&str, &str) -> Imported,
) -> Result<Checked, Vec<Diagnostic>> {
    let file = sources.add(name, text);
    let parsed = syntax::parse_at_most(sources.most_bytes(), file, text);
    let mut diagnostics = parsed.diagnostics;
    let Some(tree) = parsed.value else { return Err(diagnostics) };
    let (checked, places) = check_places(&tree, sources, import);
    let (model, found) = (checked.value.unwrap_or_default(), checked.diagnostics);
    diagnostics.extend(found);
    let allowances = Allowances::read(file, text);
    if diagnostics.iter().any(Diagnostic::is_error) {
        // A lint says little about a file of which a part could not be read.
        diagnostics.retain(Diagnostic::is_error);
    } else {
        diagnostics.extend(allowances.diagnostics.iter().cloned());
        diagnostics.retain(|diagnostic| !allowances.allow(diagnostic));
    }
    Ok(Checked { file, tree, model, places, allowances, diagnostics })
}
