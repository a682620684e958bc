//! Any text has a tree or messages that point into it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ppl::diagnostics::{Color, render_all};
use ppl::source::SourceMap;
use ppl::syntax;

fuzz_target!(|text: &str| {
    let mut sources = SourceMap::new();
    let file = sources.add("m.ppl", text);
    let outcome = syntax::parse(file, text);
    for diagnostic in &outcome.diagnostics {
        assert!(text.get(diagnostic.span().range()).is_some());
        if let Some(fix) = &diagnostic.fix {
            assert!(text.get(fix.span.range()).is_some());
        }
    }
    let _ = render_all(&outcome.diagnostics, &sources, Color::Off);
    if let Some(tree) = &outcome.value {
        let _ = syntax::emit_ast(tree);
    }
});
