//! Mistakes worth recognising.

use super::error::Stop;
use crate::diagnostics::Diagnostic;

/// Recognises a known mistake where a parse stopped.
pub(super) fn recognise(_stop: &Stop<'_>) -> Option<Diagnostic> {
    None
}
