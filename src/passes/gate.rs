//! Runs one pass and verifies what it made.

use crate::ir::Function;
use crate::ir::verify::verify;

use super::Pass;

/// The function after `pass`, if it changes anything.
///
/// # Panics
/// When it does not verify: a bug in ppl.
#[must_use]
pub fn run(pass: &Pass, f: &Function) -> Option<Function> {
    let after = (pass.run)(f)?;
    if let Err(error) = verify(&after) {
        panic!("bug in ppl: pass {} made ill-formed IR: {error}\n{after}", pass.name);
    }
    Some(after)
}
