//! `ppl lsp`: the language server, over standard input and output.

use std::env;
use std::io::{IsTerminal, stdin, stdout};
use std::path::PathBuf;

use crate::lsp::{End, serve};

use super::args::LspArgs;
use super::console::Console;
use super::failure::{Exit, Failure, Outcome};

pub(super) fn run(args: &LspArgs, _: Console) -> Outcome {
    if stdin().is_terminal() && !args.stdio {
        return Err(Failure::usage(
            "`ppl lsp` is started by an editor: see docs/editors.md; `--stdio` reads from this terminal",
        ));
    }
    let cache = args.cache.clone().unwrap_or_else(cache);
    match serve(&mut stdin().lock(), &mut stdout().lock(), cache) {
        Ok(End::Orderly) => Ok(Exit::Done),
        // The protocol's exit code for a client that left without a word.
        Ok(End::Abrupt) => Ok(Exit::Model),
        Err(error) => Err(Failure::model(format!("the client cannot be reached: {error}"))),
    }
}

/// Where the platform keeps what can be made again.
fn cache() -> PathBuf {
    let from = |name: &str| env::var_os(name).filter(|dir| !dir.is_empty()).map(PathBuf::from);
    let base = if cfg!(windows) {
        from("LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        from("HOME").map(|home| home.join("Library/Caches"))
    } else {
        from("XDG_CACHE_HOME").or_else(|| from("HOME").map(|home| home.join(".cache")))
    };
    base.unwrap_or_else(env::temp_dir).join("ppl").join(env!("CARGO_PKG_VERSION"))
}
