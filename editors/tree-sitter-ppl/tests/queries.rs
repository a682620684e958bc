//! The queries fit the grammar, and say of a model what an editor should show.

use tree_sitter::{Parser, Query, QueryCursor, StreamingIterator};

const MODEL: &str = "\
/// Schools.
data y: real[J] // effects
param tau: real<lower=0> ~ cauchy(0, 5)
fn f(x: real) -> real { let a = 2 * x; a + 1.5 }
for j in 1:J { y[j] ~ normal(f(tau), sigma=tau) }
";

/// `text capture` of everything that a query captures, in order; later captures win in editors.
fn captures(query: &str) -> Vec<String> {
    let language = tree_sitter_ppl::LANGUAGE.into();
    let query = Query::new(&language, query).expect("the query fits the grammar");
    let mut parser = Parser::new();
    parser.set_language(&language).expect("the versions fit");
    let tree = parser.parse(MODEL, None).expect("a tree");
    assert!(!tree.root_node().has_error(), "{}", tree.root_node().to_sexp());
    let mut cursor = QueryCursor::new();
    let mut found = cursor.captures(&query, tree.root_node(), MODEL.as_bytes());
    let mut out = Vec::new();
    while let Some((matched, index)) = found.next() {
        let capture = matched.captures[*index];
        let text = &MODEL[capture.node.byte_range()];
        out.push(format!("{text} @{}", query.capture_names()[capture.index as usize]));
    }
    out
}

fn assert_has(captures: &[String], wanted: &[&str]) {
    for wanted in wanted {
        assert!(captures.iter().any(|c| c == wanted), "{wanted} is not in {captures:#?}");
    }
}

#[test]
fn highlights() {
    let wanted = [
        "/// Schools. @comment.documentation",
        "// effects @comment",
        "data @keyword",
        "y @constant",
        "real @type.builtin",
        "lower @property",
        "cauchy @function.call",
        "fn @keyword.function",
        "f @function",
        "1.5 @number.float",
        "for @keyword.repeat",
        "~ @operator",
        "sigma @variable.parameter",
        "< @punctuation.bracket",
    ];
    assert_has(&captures(tree_sitter_ppl::HIGHLIGHTS_QUERY), &wanted);
}

#[test]
fn locals() {
    let wanted = [
        "y @local.definition.constant",
        "tau @local.definition.var",
        "x @local.definition.parameter",
        "a @local.definition.var",
        "j @local.definition.var",
        "f @local.definition.function",
        "tau @local.reference",
        "{ let a = 2 * x; a + 1.5 } @local.scope",
    ];
    assert_has(&captures(tree_sitter_ppl::LOCALS_QUERY), &wanted);
}
