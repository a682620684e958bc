//! Tokens, trees, syntax errors and formatting of the fixtures in `tests/syntax`.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use ppl::diagnostics::{Color, render_all};
use ppl::source::{FileId, SourceMap};
use ppl::syntax::token::TokenKind;
use ppl::syntax::{self, ast};
use proptest::prelude::*;

const FILE: FileId = FileId(0);

/// Reads every fixture of a folder of `tests/syntax`, in order of name.
fn fixtures(folder: &str) -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/syntax").join(folder);
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

fn short(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

/// Renders the diagnostics of a text, without colour and under a short name.
fn complaints(name: &str, text: &str) -> String {
    let mut sources = SourceMap::new();
    let file = sources.add(name, text);
    render_all(&syntax::parse(file, text).diagnostics, &sources, Color::Off)
}

fn tree(text: &str) -> String {
    syntax::emit_ast(&syntax::parse(FILE, text).value.unwrap())
}

fn snapshots(name: &str, folder: &str, show: impl Fn(&Path, &str) -> String) {
    let mut settings = insta::Settings::clone_current();
    settings.set_omit_expression(true);
    settings.set_prepend_module_to_snapshot(false);
    settings.set_snapshot_path(format!("snapshots/syntax/{folder}"));
    settings.bind(|| {
        for (path, text) in fixtures(folder) {
            let stem = path.file_stem().unwrap().to_str().unwrap().to_string();
            let shown = show(&path, &text);
            insta::assert_snapshot!(format!("{stem}.{name}"), shown);
        }
    });
}

#[test]
fn ok_fixtures_have_no_errors() {
    let fixtures = fixtures("ok");
    assert!(fixtures.len() >= 25);
    let failures: String =
        fixtures.iter().map(|(path, text)| complaints(short(path), text)).collect();
    assert!(failures.is_empty(), "{failures}");
}

#[test]
fn trees_of_ok_fixtures() {
    snapshots("ast", "ok", |_, text| tree(text));
}

#[test]
fn tokens_of_ok_fixtures() {
    snapshots("tokens", "ok", |_, text| syntax::emit_tokens(text, &syntax::lex(FILE, text)));
}

#[test]
fn canonical_forms_of_ok_fixtures() {
    snapshots("format", "ok", |_, text| syntax::format(FILE, text).unwrap());
}

#[test]
fn messages_of_err_fixtures() {
    snapshots("errors", "err", |path, text| complaints(short(path), text));
}

#[test]
fn err_fixtures_are_errors_at_real_places() {
    let fixtures = fixtures("err");
    assert!(fixtures.len() >= 35);
    for (path, text) in fixtures {
        let outcome = syntax::parse(FILE, &text);
        assert!(outcome.has_errors(), "{} has no error", short(&path));
        for diagnostic in &outcome.diagnostics {
            assert!(text.get(diagnostic.span().range()).is_some(), "{}", short(&path));
            if let Some(fix) = &diagnostic.fix {
                assert!(text.get(fix.span.range()).is_some(), "{}", short(&path));
            }
        }
        assert!(syntax::format(FILE, &text).is_err(), "{} was formatted", short(&path));
    }
}

/// Each item with exactly one mistake is repaired by the fix that its message offers.
#[test]
fn fixes_repair() {
    let broken = [
        "param mu ~ normal(0, 5;",
        "y ~ normal(mu sigma)",
        "param mu ~ normal(0, 5);",
        "let a <- 1",
        "b <- a * 2",
        "param c <- normal(0, 1)",
        "let d := 3",
        "param mu = normal(0, 5)",
        "y = normal(mu, 1)",
        "z = mu + 1",
        "param gen ~ normal(0, 1)",
        "let inside = 0 < x < 1",
        "let c = a .* b",
        "let a = 3 − mu",
        "let a = 2x",
        "/* open",
        "import \"helpers.ppl",
        "import helpers",
        "let s = if x > 0 { 1 }",
        "data x real[N]",
        "fn g(x: real) = x",
        "dist d(mu: real) { log_density(x) = x }",
        "let s { s[1] = 1 }",
        "for i = 1:N { y[i] ~ normal(0, 1) }",
        "let a = x ** 2",
        "let b = X %*% beta",
        "let d = x > 0 and y > 0",
        "let f = not x",
        "data g: real<lower=0>= 1",
        "data g: real<lower=0",
        "fn g(x: real) -> real {\n  return x\n}",
        "var x = 1",
        "parameter mu ~ normal(0, 1)",
        "target += normal_lpdf(y, mu, sigma)",
        "normal_lpdf(y, mu, sigma)",
        "param real<lower=0> beta",
        "real theta = mu + tau",
        "data y: real[N] data x: real[N]",
        "param mu ~ normal(0, 1) y ~ normal(mu, 1)",
        "let b = g(1))",
        "for i in 1:2 { y[i] ~ flat() x[i] ~ flat() }",
    ];
    for text in broken {
        let mut repaired = text.to_string();
        let mut rounds = 0;
        loop {
            let diagnostics = syntax::parse(FILE, &repaired).diagnostics;
            let Some(diagnostic) = diagnostics.first() else { break };
            let shown = || complaints("m.ppl", &repaired);
            let fix = diagnostic.fix.clone().unwrap_or_else(|| panic!("no fix: {}", shown()));
            rounds += 1;
            assert!(rounds < 4, "{text}: not repaired: {}", shown());
            repaired.replace_range(fix.span.range(), &fix.replacement);
        }
        assert!(rounds > 0, "{text} has no error");
    }
}

#[test]
fn formatting_keeps_the_tree_and_every_comment_and_is_idempotent() {
    for (path, text) in fixtures("ok") {
        let name = short(&path);
        let once = syntax::format(FILE, &text).unwrap();
        let twice = syntax::format(FILE, &once).unwrap();
        assert_eq!(once, twice, "{name}");
        assert_eq!(tree(&text), tree(&once), "{name}");
        assert_eq!(comments(&text), comments(&once), "{name}");
        for line in once.lines() {
            let code = line.split("//").next().unwrap();
            assert!(code.chars().count() <= 100, "{name}: {line}");
            assert_eq!(line, line.trim_end(), "{name}");
        }
    }
}

/// Every model there is: fixtures, examples, the standard library.
fn all_models() -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, out: &mut Vec<(PathBuf, String)>) {
        let mut entries: Vec<PathBuf> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        for path in entries {
            if path.is_dir() {
                walk(&path, out);
            } else if path.extension().is_some_and(|e| e == "ppl") {
                let text = fs::read_to_string(&path).unwrap();
                out.push((path, text));
            }
        }
    }
    let mut models = Vec::new();
    for folder in ["examples", "stdlib", "tests"] {
        walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut models);
    }
    models.retain(|(_, text)| !syntax::parse(FILE, text).has_errors());
    models
}

/// Formats a text and checks what a formatter promises.
fn check_format(name: &str, text: &str) {
    let once = syntax::format(FILE, text).unwrap();
    assert_eq!(once, syntax::format(FILE, &once).unwrap(), "{name}: not idempotent\n{text}");
    assert_eq!(tree(text), tree(&once), "{name}: another tree\n{text}");
    assert_eq!(comments(text), comments(&once), "{name}: other comments\n{text}");
    for line in once.lines() {
        let code = line.split("//").next().unwrap().split("/*").next().unwrap();
        assert!(code.chars().count() <= 100, "{name}: {line}");
        assert_eq!(line, line.trim_end(), "{name}: blanks at the end of a line");
    }
}

#[test]
fn every_model_there_is_can_be_formatted() {
    let models = all_models();
    assert!(models.len() > 150, "{} models", models.len());
    for (path, text) in &models {
        check_format(short(path), text);
    }
    // What users are shown is as `ppl fmt` leaves it.
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shown = |path: &Path| ["examples", "stdlib"].iter().any(|f| path.starts_with(root.join(f)));
    let unformatted: Vec<_> = models
        .iter()
        .filter(|(path, text)| shown(path) && syntax::format(FILE, text).unwrap() != *text)
        .map(|(path, _)| path)
        .collect();
    assert!(unformatted.is_empty(), "run `ppl fmt` on {unformatted:?}");
}

/// A comment may stand between any two tokens, on the line or on a line of its own.
#[test]
fn comments_in_every_gap_survive_formatting() {
    let mut gaps = 0;
    for (path, text) in fixtures("ok") {
        if text.len() > 2_000 {
            continue;
        }
        let ends: Vec<usize> = syntax::lex(FILE, &text)
            .iter()
            .filter(|token| !token.kind.is_trivia())
            .map(|token| token.span.range().end)
            .collect();
        for (at, end) in ends.into_iter().enumerate() {
            for comment in [" /* c */ ", " // c\n"] {
                let mut commented = text.clone();
                commented.insert_str(end, comment);
                // A line break may end an item early; then there is nothing to format.
                let whole = !syntax::parse(FILE, &commented).has_errors();
                if whole && (at % 3 == 0 || comment.contains('*')) {
                    check_format(short(&path), &commented);
                    gaps += 1;
                }
            }
        }
    }
    assert!(gaps > 1_000, "{gaps} gaps");
}

/// An unformatted text must come out different: the check that a changed tree leaves the text
/// alone must not be what made the test above pass.
#[test]
fn formatting_does_something() {
    let changed = fixtures("ok")
        .iter()
        .filter(|(_, text)| syntax::format(FILE, text).unwrap() != *text)
        .map(|(path, _)| short(path).to_string())
        .collect::<Vec<_>>();
    for name in ["comments", "line_breaks", "long_lines", "unindented", "functions"] {
        assert!(changed.contains(&format!("{name}.ppl")), "{name} is as it was");
    }
}

fn comments(text: &str) -> Vec<&str> {
    let tokens = syntax::lex(FILE, text);
    let comments = tokens.iter().filter(|token| token.kind.is_comment());
    comments.map(|token| text[token.span.range()].trim_end()).collect()
}

/// Checks that tokens cover the text without gap or overlap.
fn assert_lossless(text: &str) {
    let mut end = 0;
    for token in syntax::lex(FILE, text) {
        assert_eq!(token.span.range().start, end);
        end = token.span.range().end;
        assert!(text.is_char_boundary(end));
    }
    assert_eq!(end, text.len());
}

#[test]
fn tokens_cover_every_byte_of_every_fixture() {
    for (_, text) in fixtures("ok").into_iter().chain(fixtures("err")) {
        assert_lossless(&text);
    }
}

/// Each item of the tree spans its own text: parsed alone, it gives the same tree.
#[test]
fn items_stand_alone() {
    for (path, text) in fixtures("ok") {
        let file = syntax::parse(FILE, &text).value.unwrap();
        let mut alone = String::new();
        for item in &file.items {
            alone += &tree(&text[item.span().range()]);
        }
        let whole = tree(&text);
        let undocumented = |tree: &str| -> String {
            tree.lines().filter(|line| !line.trim_start().starts_with("doc ")).collect()
        };
        assert_eq!(undocumented(&alone), undocumented(&whole), "{}", short(&path));
    }
}

/// What one broken item leaves of the file: every other item, in place.
#[test]
fn a_broken_item_hides_no_other() {
    let (good, _) =
        fixtures("ok").into_iter().find(|(path, _)| short(path) == "garch.ppl").unwrap();
    let text = fs::read_to_string(good).unwrap();
    let whole = syntax::parse(FILE, &text).value.unwrap();
    for broken in
        ["param (", "let x = f(1,", "y ~", "data q: real[", "fn f(", "let b = {", "if a {"]
    {
        for (at, item) in whole.items.iter().enumerate() {
            let mut text = text.clone();
            text.insert_str(item.span().range().start, &format!("{broken}\n"));
            let file = syntax::parse(FILE, &text).value.unwrap();
            assert!(matches!(file.items[at], ast::Item::Error(_)), "{broken} before item {at}");
            let expected = syntax::emit_ast(&ast::File { doc: None, ..whole.clone() });
            let mut rest = file.clone();
            rest.items.remove(at);
            let found = syntax::emit_ast(&ast::File { doc: None, ..rest });
            assert_eq!(found, expected, "{broken} before item {at}");
        }
    }
}

#[test]
fn long_chains_and_deep_nests_neither_overflow_nor_pass() {
    let deep = [
        format!("let x = {}1{}", "(".repeat(10_000), ")".repeat(10_000)),
        format!("let x = {}1", "-".repeat(10_000)),
        format!("let x = 1{}", " + 1".repeat(10_000)),
        format!("let x = 2{}", "^2".repeat(10_000)),
        format!("let x = a{}", "'".repeat(10_000)),
        format!("let x = a{}", "[1]".repeat(10_000)),
        format!("let x = {} {{ 1 }}", "if a { 1 } else ".repeat(10_000)),
        format!("{} {{ }}", "if a { } else ".repeat(10_000)),
        format!("{} y ~ flat() {}", "for i in 1:N {".repeat(10_000), "}".repeat(10_000)),
        format!("data x: {} real", "array[2] ".repeat(10_000)),
        format!("let x = {}", "[".repeat(10_000)),
    ];
    for text in deep {
        let outcome = syntax::parse(FILE, &text);
        assert!(outcome.has_errors(), "{}…", &text[..40]);
    }
    // Nor do they take more than a file of that length should: each of these lines could begin an item
    // that ends nowhere.
    let lines = 20_000;
    for line in ["{\n", "let x = {\n", "if a {\n", "for i in 1:N { y[i] ~ normal(\n"] {
        assert!(syntax::parse(FILE, &line.repeat(lines)).has_errors(), "{line}");
    }
    // Long files and long lists are no nests.
    let long =
        format!("let x = [{}]\n{}", "1, ".repeat(10_000), "y ~ normal(0, 1)\n".repeat(2_000));
    assert_eq!(complaints("long.ppl", &long), "");
}

#[test]
fn classes_cover_all_but_blanks() {
    let text = "data y: real[N] // c\ny ~ normal(mu, 1.5)";
    let classes = syntax::highlight(text, &syntax::lex(FILE, text));
    let mut shown = String::new();
    for (span, class) in classes {
        writeln!(shown, "{class:?} {}", &text[span.range()]).unwrap();
    }
    let expected = [
        "Keyword data",
        "Name y",
        "Punctuation :",
        "Type real",
        "Punctuation [",
        "Name N",
        "Punctuation ]",
        "Comment // c",
        "Name y",
        "Operator ~",
        "Function normal",
        "Punctuation (",
        "Name mu",
        "Punctuation ,",
        "Literal 1.5",
        "Punctuation )",
    ];
    assert_eq!(shown.lines().collect::<Vec<_>>(), expected);
}

/// Pieces that models are made of, to build almost-right texts from.
const SOUP: &[&str] = &[
    "data",
    "param",
    "let",
    "marginal",
    "gen",
    "fn",
    "dist",
    "import",
    "factor",
    "for",
    "in",
    "if",
    "else",
    "true",
    "false",
    "on",
    "array",
    "real",
    "int",
    "simplex",
    "y",
    "mu",
    "normal",
    "x",
    "1",
    "2.5",
    "1e-3",
    ".5",
    "2x",
    "\"a.ppl\"",
    "\"a",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    ";",
    "=",
    "~",
    "->",
    "?",
    "'",
    "||",
    "&&",
    "==",
    "!=",
    "<=",
    ">=",
    "<",
    ">",
    "+",
    "-",
    "*",
    "/",
    "%",
    "@",
    "^",
    "!",
    "// c\n",
    "/// d\n",
    "/* b */",
    "/*",
    "$",
    "μ",
    "\n",
    "\n",
    "\n\n",
    " ",
    "  ",
    "\r\n",
];

proptest! {
    #![proptest_config(crate::effort::cases(256))]

    #[test]
    fn any_text_lexes_losslessly_and_parses_without_panic(text in any::<String>()) {
        assert_lossless(&text);
        check_any(&text);
    }

    #[test]
    fn any_run_of_tokens_parses_without_panic(
        pieces in prop::collection::vec((prop::sample::select(SOUP), any::<bool>()), 0..60)
    ) {
        let text: String =
            pieces.iter().flat_map(|(piece, blank)| [*piece, if *blank { " " } else { "" }]).collect();
        assert_lossless(&text);
        check_any(&text);
    }

    #[test]
    fn any_damaged_fixture_parses_without_panic(
        which in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        length in 0usize..20,
        piece in prop::sample::select(SOUP),
    ) {
        let fixtures = fixtures("ok");
        let (_, text) = which.get(&fixtures);
        let start = text.floor_char_boundary(at.index(text.len() + 1));
        let end = text.ceil_char_boundary((start + length).min(text.len()));
        check_any(&format!("{}{piece}{}", &text[..start], &text[end..]));
    }
}

/// Parses, renders and formats a text that need not be a model.
fn check_any(text: &str) {
    let mut sources = SourceMap::new();
    let file = sources.add("any.ppl", text);
    let outcome = syntax::parse(file, text);
    let rendered = render_all(&outcome.diagnostics, &sources, Color::Off);
    assert_eq!(rendered.is_empty(), outcome.diagnostics.is_empty());
    for diagnostic in &outcome.diagnostics {
        assert!(text.get(diagnostic.span().range()).is_some());
    }
    let failed =
        outcome.value.unwrap().items.iter().any(|item| matches!(item, ast::Item::Error(_)));
    assert!(!failed || outcome.diagnostics.iter().any(|found| found.is_error()), "silent failure");
    if let Ok(once) = syntax::format(file, text) {
        assert_eq!(tree(text), tree(&once));
        assert_eq!(syntax::format(file, &once).unwrap(), once, "from {text:?}");
    }
}

#[test]
fn a_text_too_long_is_refused_before_it_takes_memory() {
    let text = "let a = 1\n".repeat(220_000);
    let outcome = syntax::parse(FileId(0), &text);
    assert!(outcome.value.is_none());
    assert_eq!(outcome.diagnostics[0].code.as_str(), "E0018");
}

/// Found by the fuzz target `format`: `data` was a name to the lexer there, so formatting took two rounds.
#[test]
fn a_keyword_before_a_byte_order_mark_is_one() {
    let text = "data y: real[N]\ndata\u{feff} s: real";
    let kinds: Vec<_> = syntax::lex(FILE, text).iter().map(|token| token.kind).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == TokenKind::KwData).count(), 2, "{kinds:?}");
    let formatted = syntax::format(FILE, text).unwrap();
    assert_eq!(formatted, "data y: real[N]\ndata s: real\n");
    assert_eq!(syntax::format(FILE, &formatted).unwrap(), formatted);
}
