//! The two streams: results on standard output, everything else on standard error.

use std::io::{self, IsTerminal, Write};

use super::args::{Cli, ColorWhen};

/// Where and how to print.
#[derive(Debug, Clone, Copy)]
pub(super) struct Console {
    /// Colours on standard output.
    pub(super) color_results: bool,
    /// Colours on standard error.
    pub(super) color_messages: bool,
    /// Whether to print errors only.
    pub(super) quiet: bool,
    /// Whether the command line leaves colours open.
    is_auto: bool,
}

impl Console {
    pub(super) fn new(cli: &Cli) -> Self {
        Self::with(cli.color, cli.quiet)
    }

    /// The console as a `--config` file wants it, where the command line says nothing.
    pub(super) fn or(self, color: Option<ColorWhen>, quiet: bool) -> Self {
        match color {
            Some(color) if self.is_auto => Self::with(color, self.quiet || quiet),
            _ => Console { quiet: self.quiet || quiet, ..self },
        }
    }

    fn with(color: ColorWhen, quiet: bool) -> Self {
        let wanted = |terminal: bool| match color {
            ColorWhen::Always => true,
            ColorWhen::Never => false,
            ColorWhen::Auto => {
                let set = |name| std::env::var_os(name).is_some_and(|v| !v.is_empty());
                let dumb = std::env::var_os("TERM").is_some_and(|v| v == "dumb");
                terminal && !set("NO_COLOR") && !dumb
            }
        };
        Console {
            color_results: wanted(io::stdout().is_terminal()),
            color_messages: wanted(io::stderr().is_terminal()),
            quiet,
            is_auto: color == ColorWhen::Auto,
        }
    }

    /// Prints a result. A reader that has gone away (`| head`) ends the program quietly.
    pub(super) fn result(self, text: &str) {
        let mut out = io::stdout().lock();
        let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        if written.is_err() {
            std::process::exit(0);
        }
    }

    /// Prints a remark, unless quiet.
    pub(super) fn note(self, text: &str) {
        if !self.quiet {
            self.message(text);
        }
    }

    /// Prints to standard error; nothing can be done if that fails.
    pub(super) fn message(self, text: &str) {
        let _ = writeln!(io::stderr().lock(), "{}", text.trim_end());
    }

    /// Prints an error in the layout of diagnostics.
    pub(super) fn error(self, code: Option<&str>, text: &str) {
        let code = code.map_or_else(String::new, |code| format!("[{code}] "));
        if self.color_messages {
            self.message(&format!("\u{1b}[31m{code}Error:\u{1b}[0m {text}"));
        } else {
            self.message(&format!("{code}Error: {text}"));
        }
    }
}
