//! Tokens cover every byte of any text, in order.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ppl::source::FileId;
use ppl::syntax;

fuzz_target!(|text: &str| {
    let tokens = syntax::lex(FileId(0), text);
    let mut at = 0;
    for token in &tokens {
        let range = token.span.range();
        assert_eq!(range.start, at);
        assert!(range.end > at && text.is_char_boundary(range.end));
        at = range.end;
    }
    assert_eq!(at, text.len());
    let _ = syntax::emit_tokens(text, &tokens);
    let _ = syntax::highlight(text, &tokens);
});
