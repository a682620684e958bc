//! Sees when chains explode, and holds their step size down afterwards.

use serde::{Deserialize, Serialize};

/// Share of the past in the running moments.
const MEMORY: f64 = 0.99;
/// A bound this many deviations below its running mean, and nats, is that of a chain that exploded.
const FAR: (f64, f64) = (100.0, 1000.0);
/// Steps before the moments mean anything.
const LEARNING: usize = 20;
/// Bad steps in a row that halve the largest step size.
const PATIENCE: usize = 3;

/// What it remembers; part of a checkpoint.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Watch {
    mean: f64,
    deviation: f64,
    seen: usize,
    bad_in_a_row: usize,
    /// Step sizes are kept below this.
    pub(super) largest_step: f64,
}

impl Watch {
    pub(super) fn new() -> Self {
        Watch { mean: 0.0, deviation: 0.0, seen: 0, bad_in_a_row: 0, largest_step: f64::MAX }
    }

    /// Judges the bound of a step of size `step_size`: `false` if it is not finite or that of a chain
    /// that exploded. Several of those in a row halve the largest step.
    pub(super) fn good(&mut self, bound: f64, step_size: f64) -> bool {
        let drop = self.mean - bound;
        let exploded = self.seen >= LEARNING && drop > (FAR.0 * self.deviation).max(FAR.1);
        if !bound.is_finite() || exploded {
            self.bad_in_a_row += 1;
            if self.bad_in_a_row.is_multiple_of(PATIENCE) {
                self.largest_step = 0.5 * step_size.min(self.largest_step);
            }
            return false;
        }
        self.bad_in_a_row = 0;
        self.seen += 1;
        // Plain averages at first, so that the beginning is no outlier of itself.
        let keep = MEMORY.min(1.0 - 1.0 / self.seen as f64);
        self.deviation = keep * self.deviation + (1.0 - keep) * drop.abs();
        self.mean = keep * self.mean + (1.0 - keep) * bound;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn explosions_are_seen_and_shrink_the_step() {
        let mut watch = Watch::new();
        let noise = |i: u32| f64::from(i * 7919 % 101) / 101.0;
        assert!((0..100).all(|i| watch.good(-5e4 + 100.0 * f64::from(i) + noise(i), 0.3)));
        assert!(!watch.good(f64::NAN, 0.3) && !watch.good(-1e9, 0.3));
        assert!(watch.largest_step > 1e300);
        assert!(!watch.good(f64::NEG_INFINITY, 0.3));
        assert!((watch.largest_step - 0.15).abs() < 1e-15);
        assert!(watch.good(-4e4, 0.15), "rising is no explosion");
    }
}
