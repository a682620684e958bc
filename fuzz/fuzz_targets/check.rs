//! Any text goes through the checker, its lints and its repairs; what checks is lowered without data.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ppl::data::{DataSet, Limits};
use ppl::driver::Session;
use ppl::lower::Space;

/// Small, so that an execution is quick.
const LIMITS: Limits = Limits { elements: Some(1 << 12), operations: Some(1 << 12) };

fuzz_target!(|text: &str| {
    // Files are no part of this.
    if text.contains("import") {
        return;
    }
    let mut session = Session::new();
    let model = session.check("m.ppl", text);
    assert_eq!(model.is_none(), session.has_errors());
    let _ = session.render(false);
    if let Some(model) = model {
        let data = DataSet::from_arrays([]).with_limits(LIMITS);
        let lowered = session.lower(&model, &data, Space::Unconstrained);
        assert_eq!(lowered.is_none(), session.has_errors());
        let _ = session.render(false);
    }
});
