//! One message about source text, as data. `render` turns it into what people read.

use super::Code;
use crate::source::Span;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// The model works, but probably not as meant.
    Warning,
    /// The model cannot be used.
    Error,
}

/// A place in the text with what to say about it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Label {
    /// The place.
    pub span: Span,
    /// What to say; a phrase without capital or full stop.
    pub text: String,
}

/// A change of the text that repairs the problem.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Fix {
    /// What the change does, as an instruction: "remove the semicolon".
    pub title: String,
    /// The text to replace; empty for an insertion.
    pub span: Span,
    /// The new text; empty for a deletion.
    pub replacement: String,
    /// Whether `ppl check --fix` may apply it unasked; the others need a decision.
    pub certain: bool,
}

/// One message: what is wrong, where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Diagnostic {
    /// Stable code; `ppl explain CODE` prints its page.
    pub code: Code,
    /// Error or warning.
    pub severity: Severity,
    /// What is wrong, in one line.
    pub message: String,
    /// The place the message is about.
    pub primary: Label,
    /// Other places involved.
    pub secondary: Vec<Label>,
    /// Facts that help to understand.
    pub notes: Vec<String>,
    /// What to do.
    pub help: Option<String>,
    /// The repair, where it is known.
    pub fix: Option<Fix>,
}

impl Diagnostic {
    /// Makes an error with its primary place.
    #[must_use]
    pub fn error(
        code: Code,
        span: Span,
        message: impl Into<String>,
        label: impl Into<String>,
    ) -> Self {
        Self {
            code,
            severity: Severity::Error,
            message: message.into(),
            primary: Label { span, text: label.into() },
            secondary: Vec::new(),
            notes: Vec::new(),
            help: None,
            fix: None,
        }
    }

    /// Makes a warning with its primary place.
    #[must_use]
    pub fn warning(
        code: Code,
        span: Span,
        message: impl Into<String>,
        label: impl Into<String>,
    ) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, span, message, label) }
    }

    /// Adds another place.
    #[must_use]
    pub fn with_label(mut self, span: Span, text: impl Into<String>) -> Self {
        self.secondary.push(Label { span, text: text.into() });
        self
    }

    /// Adds a fact.
    #[must_use]
    pub fn with_note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds the repair: replace the text of `span` by `replacement`.
    #[must_use]
    pub fn with_fix(
        mut self,
        title: impl Into<String>,
        span: Span,
        replacement: impl Into<String>,
    ) -> Self {
        let (title, replacement) = (title.into(), replacement.into());
        self.fix = Some(Fix { title, span, replacement, certain: true });
        self
    }

    /// Adds a change that may be the repair, or show its form: it is not applied unasked.
    #[must_use]
    pub fn with_suggestion(
        self,
        title: impl Into<String>,
        span: Span,
        replacement: impl Into<String>,
    ) -> Self {
        let mut diagnostic = self.with_fix(title, span, replacement);
        if let Some(fix) = &mut diagnostic.fix {
            fix.certain = false;
        }
        diagnostic
    }

    /// Returns the place the message is about.
    #[must_use]
    pub fn span(&self) -> Span {
        self.primary.span
    }

    /// Tells whether this is an error rather than a warning.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}
