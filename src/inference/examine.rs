//! What is asked of the draws of every method at its end.

use super::assess::Checks;
use super::{Settings, VerdictLevel, modes, stein};
use crate::density::LogDensity;

/// Adds to `checks` whether the draws `[S, D]` agree with the score, and whether they miss a mode.
pub(super) fn examine(
    checks: &mut Checks,
    density: &dyn LogDensity<f64>,
    draws: &[f64],
    settings: &Settings,
) {
    let Settings { seed, deadline, .. } = settings;
    if !deadline.passed() {
        stein::test(checks, density, draws, *seed);
        modes::search(checks, density, draws, *seed, deadline);
    }
    if deadline.passed() {
        checks.add(
            VerdictLevel::Doubtful,
            "There was no time left to compare all draws with the score and to look for other modes.",
        );
    }
}
