//! What is read as IR and holds its invariants is written as a text that is read as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ppl::ir::{parse, print, verify};

fuzz_target!(|text: &str| {
    let Ok(function) = parse::parse(text) else { return };
    if verify::verify(&function).is_err() {
        return;
    }
    let written = print::to_text(&function);
    let again = parse::parse(&written).unwrap_or_else(|e| panic!("{e:?}\n{written}"));
    assert_eq!(print::to_text(&again), written);
});
