//! Applies the certain fixes of a model's messages, as `ppl check --fix` does.

use crate::data::DataSet;
use crate::diagnostics::Fix;
use crate::lower::Space;
use crate::source::{FileId, Location};

use super::Session;

/// One fix that was applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Where, in the text as it was when the fix was found.
    pub at: Location,
    /// What was done.
    pub title: String,
}

/// A text with everything done to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fixed {
    /// The text after all fixes.
    pub text: String,
    /// What was done, in order.
    pub applied: Vec<Applied>,
}

/// One repair may uncover the next; a text that needs more rounds than this is not getting better.
const MOST_ROUNDS: usize = 20;

/// Applies certain fixes until none is left. A round's fixes do not overlap; after each the text is
/// checked anew, with data if there is any. Fixing a fixed text changes nothing.
#[must_use]
pub fn fix(name: &str, text: &str, data: Option<&DataSet>) -> Fixed {
    let mut fixed = Fixed { text: text.to_string(), applied: Vec::new() };
    for _ in 0..MOST_ROUNDS {
        let mut session = Session::new();
        let model = session.check(name, &fixed.text);
        if let (Some(model), Some(data)) = (model, data) {
            session.lower(&model, data, Space::Unconstrained);
        }
        let fixes = disjoint(&session);
        if fixes.is_empty() {
            break;
        }
        for fix in &fixes {
            let at = session.sources.location(fix.span);
            fixed.applied.push(Applied { at, title: fix.title.clone() });
        }
        for fix in fixes.iter().rev() {
            fixed.text.replace_range(fix.span.range(), &fix.replacement);
        }
    }
    fixed
}

/// The certain fixes of the model's own file in order, without those that touch one before.
fn disjoint(session: &Session) -> Vec<Fix> {
    let certain = session.diagnostics.iter().filter_map(|d| d.fix.as_ref());
    let mut fixes: Vec<Fix> =
        certain.filter(|fix| fix.certain && fix.span.file == FileId(0)).cloned().collect();
    fixes.sort_by_key(|fix| fix.span);
    let mut taken: Vec<Fix> = Vec::new();
    for fix in fixes {
        if taken.last().is_none_or(|before| before.span.end < fix.span.start) {
            taken.push(fix);
        }
    }
    taken
}
