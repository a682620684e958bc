//! Why a subcommand did not do what it was asked, and the exit code that says so.

/// Exit codes, as `interface.md` promises them to scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit {
    /// Done.
    Done = 0,
    /// Error in the model or the data.
    Model = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// Done, but the verdict is FAILED and `--strict` was given.
    Failed = 3,
    /// Inference could not proceed.
    Inference = 4,
    /// A bug in ppl.
    Bug = 70,
    /// Interrupted; partial results are written.
    Interrupted = 130,
}

/// A failure that has not been printed yet.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) exit: Exit,
    /// Code for `ppl explain`, if there is a page.
    pub(super) code: Option<&'static str>,
    /// What to print; empty when everything was said already.
    pub(super) message: String,
}

impl Failure {
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Failure { exit: Exit::Usage, code: None, message: message.into() }
    }

    pub(super) fn model(message: impl Into<String>) -> Self {
        Failure { exit: Exit::Model, code: None, message: message.into() }
    }

    pub(super) fn inference(message: impl Into<String>) -> Self {
        Failure { exit: Exit::Inference, code: None, message: message.into() }
    }

    /// The diagnostics have been printed.
    pub(super) fn reported() -> Self {
        Failure { exit: Exit::Model, code: None, message: String::new() }
    }
}

/// What a subcommand returns.
pub(super) type Outcome = Result<Exit, Failure>;
