//! What parses has a canonical form, which means the same and is its own canonical form.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ppl::source::FileId;
use ppl::syntax;

const FILE: FileId = FileId(0);

fuzz_target!(|text: &str| {
    let Ok(formatted) = syntax::format(FILE, text) else { return };
    let tree = |text: &str| syntax::emit_ast(&syntax::parse(FILE, text).value.expect("it parses"));
    assert_eq!(tree(&formatted), tree(text), "{formatted}");
    assert_eq!(syntax::format(FILE, &formatted).as_deref(), Ok(formatted.as_str()));
});
