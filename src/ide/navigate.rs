//! Definition, references, renaming.

use crate::check::places::Means;
use crate::diagnostics::Diagnostic;
use crate::source::Span;
use crate::syntax::{lex, token::TokenKind};

use super::analysis::Analysis;

/// Where the name at a byte of the text is declared: in the text itself, in what it imports, or in the
/// standard library.
#[must_use]
pub fn definition(analysis: &Analysis, offset: usize) -> Option<Span> {
    let (_, means) = analysis.name_at(offset)?;
    analysis.declaration(means)
}

/// Every place that names what the byte at `offset` belongs to, in the model and in what it imports,
/// in order; with its declaration if `declaration` is set.
#[must_use]
pub fn references(analysis: &Analysis, offset: usize, declaration: bool) -> Vec<Span> {
    let Some((_, means)) = analysis.name_at(offset) else { return Vec::new() };
    let declared = analysis.declaration(means);
    let same = |other: Means| match declared {
        Some(_) => analysis.declaration(other) == declared,
        None => other == means,
    };
    let uses = analysis.checked.places.uses.iter().filter(|found| same(found.means));
    let mut places: Vec<Span> =
        uses.map(|found| own_name(analysis, found.span, declared)).collect();
    places.extend(declared);
    places.sort_unstable();
    places.dedup();
    places.retain(|place| declaration || Some(*place) != declared);
    places
}

/// The part of a name that is the declared one: `d` of `d_cdf`.
fn own_name(analysis: &Analysis, span: Span, declared: Option<Span>) -> Span {
    match declared.map(|declared| analysis.sources.slice(declared)) {
        Some(name) if analysis.sources.slice(span).starts_with(name) => {
            Span::new(span.file, span.range().start, span.range().start + name.len())
        }
        _ => span,
    }
}

/// The name at a byte of the text, if it is one that may be renamed: declared in the text or in
/// what it imports.
#[must_use]
pub fn renameable(analysis: &Analysis, offset: usize) -> Option<Span> {
    let (span, means) = analysis.name_at(offset)?;
    let declared = analysis.declaration(means)?;
    let library = analysis.sources.name(declared.file).starts_with("stdlib/");
    (!library).then(|| own_name(analysis, span, Some(declared)))
}

/// Renames what the byte at `offset` belongs to. Returns the places to change.
///
/// `again` analyses the model with each of these places replaced by the new name: the change is
/// refused if it makes an error or a place mean something else.
///
/// # Errors
/// Why the name cannot be changed, or not to this one.
pub fn rename(
    analysis: &Analysis,
    offset: usize,
    name: &str,
    again: &mut dyn FnMut(&[Span]) -> Option<Analysis>,
) -> Result<Vec<Span>, String> {
    let old =
        renameable(analysis, offset).ok_or("only names that the model declares can be renamed")?;
    let tokens = lex(old.file, name);
    if !matches!(tokens.as_slice(), [token] if token.kind == TokenKind::Ident) {
        return Err(format!("`{name}` is not a name"));
    }
    let places = references(analysis, offset, true);
    let changed = again(&places).ok_or("the changed model cannot be read")?;
    let errors =
        |analysis: &Analysis| analysis.checked.diagnostics.iter().filter(|d| d.is_error()).count();
    if errors(&changed) > errors(analysis) {
        let first = changed.checked.diagnostics.iter().find(|d| d.is_error());
        let why = first.map_or("it makes an error", |d: &Diagnostic| d.message.as_str());
        return Err(format!("`{name}` cannot be the name: {why}"));
    }
    // Each place moves by what the places before it in its file have grown.
    let moved = |place: Span| {
        let before = places.iter().filter(|p| p.file == place.file && p.start < place.start);
        let start = before.fold(place.range().start, |at, p| at + name.len() - p.len());
        Span::new(place.file, start, start + name.len())
    };
    let wanted: Vec<Span> = places.iter().map(|place| moved(*place)).collect();
    let place = places.iter().zip(&wanted).find(|(p, _)| p.file == analysis.file());
    let found = place.map(|(_, new)| references(&changed, new.range().start, true));
    if found.is_some_and(|found| found != wanted) {
        return Err(format!("`{name}` means something else already at one of these places"));
    }
    Ok(places)
}
