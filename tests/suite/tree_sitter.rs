//! The tree-sitter grammar of `editors/tree-sitter-ppl` accepts what the compiler's parser accepts.
//!
//! Its parser is C: the crate beside it is built with the C compiler of the machine, below `target/`.
//! Without one, or without the crates it needs, the tests say so and pass.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use ppl::diagnostics::{Code, Diagnostic};
use ppl::source::FileId;
use ppl::syntax;

use crate::blocks::{blocks, pages};
use crate::effort;
use crate::files::below;

const FILE: FileId = FileId(0);

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn crate_folder() -> PathBuf {
    root().join("editors/tree-sitter-ppl")
}

/// Whether the compiler's parser accepts a text; nothing where only a limit of the compiler speaks
/// against it, which is not the grammar's: how deep brackets nest, how large a number is.
fn accepts(text: &str) -> Option<bool> {
    let diagnostics = syntax::parse(FILE, text).diagnostics;
    let mut errors = diagnostics.iter().filter(|d| d.is_error()).peekable();
    if errors.peek().is_none() {
        return Some(true);
    }
    let is_limit = |d: &Diagnostic| d.code == Code::E0006 || d.message.ends_with("is too large");
    if errors.any(is_limit) { None } else { Some(false) }
}

/// Runs cargo on the grammar's crate; what it printed, or why it cannot run here.
fn cargo(args: &[&str]) -> Result<String, String> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tree-sitter");
    let mut command = Command::new(env!("CARGO"));
    command.args(args).current_dir(crate_folder()).env("CARGO_TARGET_DIR", target);
    // The suite's own wrapper and flags would build everything twice.
    command.env_remove("RUSTC_WORKSPACE_WRAPPER").env_remove("CARGO_INCREMENTAL");
    let output = command.output().map_err(|e| e.to_string())?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(said)
}

/// Whether the grammar's crate can be built here; where not, says why.
fn can_build() -> bool {
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    if Command::new(compiler).arg("--version").output().is_err() {
        println!("skipped: there is no C compiler");
        return false;
    }
    if let Err(said) = cargo(&["fetch", "--quiet", "--locked"]) {
        println!("skipped: crates.io does not give the crates: {said}");
        return false;
    }
    true
}

/// The models below a folder of the repository, with their names.
fn models_below(folder: &str) -> impl Iterator<Item = (String, String)> {
    below(folder, "ppl").into_iter().filter_map(|path| {
        // One fixture is not UTF-8, which is for the reader of files to say.
        let text = std::fs::read_to_string(&path).ok()?;
        Some((path.strip_prefix(root()).unwrap().display().to_string(), text))
    })
}

/// Every model of the repository: files, and blocks of the documentation.
fn models() -> Vec<(String, String)> {
    let mut models = Vec::new();
    for folder in ["examples", "stdlib", "tests"] {
        models.extend(models_below(folder));
    }
    let mut documents = pages(&root().join("docs"));
    documents.push(root().join("README.md"));
    documents.push(root().join("tests/language/rules.md"));
    for page in documents {
        models.extend(blocks(&page).into_iter().map(|block| (block.place(), block.model)));
    }
    models
}

/// A text with its name, and whether a line break was put into it. There the compiler is stricter: it
/// ends a declaration within its head, so that one that is broken hides no other.
struct Text {
    name: String,
    text: String,
    has_new_line: bool,
}

/// The fixtures of the parser with one token less, one twice, one behind a comment or a line break:
/// most of them are no models.
fn broken() -> Vec<Text> {
    let mut fixtures: Vec<_> = models_below("tests/syntax").collect();
    fixtures.retain(|(_, text)| text.len() < 1_500);
    let mut broken = Vec::new();
    for (fixture, text) in &fixtures {
        let tokens = syntax::lex(FILE, text);
        for (at, token) in tokens.iter().enumerate() {
            let (before, after) =
                (&text[..token.span.range().start], &text[token.span.range().end..]);
            let own = &text[token.span.range()];
            let mut add = |what: &str, text: String, has_new_line| {
                let name = format!("{fixture}, token {at} {own:?} {what}");
                broken.push(Text { name, text, has_new_line });
            };
            add("removed", format!("{before}{after}"), false);
            if !token.kind.is_trivia() {
                add("twice", format!("{before}{own} {own}{after}"), false);
                add("behind a comment", format!("{before}/* c */{own}{after}"), false);
                add("behind a line break", format!("{before}\n{own}{after}"), true);
            }
        }
    }
    broken
}

#[test]
fn slow_tree_sitter_agrees_with_the_compiler() {
    if !effort::slow() || !can_build() {
        return;
    }
    let models = models();
    assert!(models.len() > 500, "{} models", models.len());
    let models = models.into_iter().map(|(name, text)| Text { name, text, has_new_line: false });
    let all: Vec<Text> = models.chain(broken()).collect();
    let folder = tempfile::tempdir().unwrap();
    for (at, Text { text, .. }) in all.iter().enumerate() {
        std::fs::write(folder.path().join(format!("{at:06}.ppl")), text).unwrap();
    }
    let path = folder.path().display().to_string();
    let run = ["run", "--quiet", "--locked", "--release", "--example", "verdicts", "--", &path];
    let said = cargo(&run).unwrap();
    let verdicts: BTreeMap<&str, &str> =
        said.lines().filter_map(|line| line.split_once(' ')).collect();
    assert_eq!(verdicts.len(), all.len());
    let mut wrong = String::new();
    let (mut accepted, mut refused) = (0, 0);
    for (at, Text { name, text, has_new_line }) in all.iter().enumerate() {
        let verdict = verdicts[format!("{at:06}.ppl").as_str()];
        let Some(accepts) = accepts(text) else { continue };
        *if accepts { &mut accepted } else { &mut refused } += 1;
        let compared = accepts || !has_new_line;
        if compared && accepts != (verdict == "ok") {
            writeln!(wrong, "{name}: tree-sitter says {verdict}, the compiler {accepts}").unwrap();
        }
    }
    println!("{accepted} models, {refused} texts that are none");
    assert!(accepted > 1_000 && refused > 1_000, "{accepted}, {refused}");
    assert!(wrong.is_empty(), "{} disagree:\n{wrong}", wrong.lines().count());
}

#[test]
fn slow_tree_sitter_queries_fit_the_grammar() {
    if effort::slow() && can_build() {
        cargo(&["test", "--quiet", "--locked"]).unwrap_or_else(|said| panic!("{said}"));
    }
}

/// What is generated is what the grammar says.
#[test]
fn slow_tree_sitter_parser_is_generated_from_the_grammar() {
    if !effort::slow() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for name in ["grammar.js", "tree-sitter.json"] {
        std::fs::copy(crate_folder().join(name), folder.path().join(name)).unwrap();
    }
    let generated = Command::new("tree-sitter").arg("generate").current_dir(folder.path()).output();
    let Ok(generated) = generated else {
        println!("skipped: there is no tree-sitter (cargo install tree-sitter-cli)");
        return;
    };
    assert!(generated.status.success(), "{}", String::from_utf8_lossy(&generated.stderr));
    // Other releases of the generator write other C, but the same grammar.
    let read = |folder: &Path| std::fs::read_to_string(folder.join("src/grammar.json")).unwrap();
    assert!(read(folder.path()) == read(&crate_folder()), "run `tree-sitter generate`");
}
