//! What to do about steps that are not finite.
//!
//! Such a step changes nothing (see [`Parameters::update`]); a few in a row halve the learning rate; many in
//! a row restore the last good state as well; if that does not help either, the run ends with an error that
//! says where in the model the first bad value arose.

use serde::{Deserialize, Serialize};

use crate::inference::InferenceError;
use crate::inference::backend::Backend;
use crate::inference::optimizer::Parameters;

/// Consecutive non-finite steps after which the learning rate is halved.
const PATIENCE: usize = 3;
/// Consecutive non-finite steps after which the last good state is restored.
const RESTORE_AFTER: usize = 10;
/// Restorations without a good step between them that end the run.
const MAX_RESTORATIONS: usize = 5;
/// Good steps between two snapshots.
const SNAPSHOT_EVERY: usize = 100;

/// What to do about non-finite steps.
pub(super) struct Recovery<B: Backend> {
    pub(super) snapshot: Parameters<B>,
    pub(super) counts: Counts,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Counts {
    good_since_snapshot: usize,
    in_a_row: usize,
    restored_in_a_row: usize,
    pub(super) skipped: usize,
    pub(super) restored: usize,
    pub(super) shrink: f64,
    place: Option<String>,
}

impl<B: Backend> Recovery<B> {
    pub(super) fn new(parameters: &Parameters<B>) -> Self {
        let counts = Counts {
            good_since_snapshot: 0,
            in_a_row: 0,
            restored_in_a_row: 0,
            skipped: 0,
            restored: 0,
            shrink: 1.0,
            place: None,
        };
        Recovery { snapshot: parameters.clone(), counts }
    }

    pub(super) fn good(&mut self, parameters: &Parameters<B>) {
        let counts = &mut self.counts;
        counts.in_a_row = 0;
        counts.good_since_snapshot += 1;
        if counts.good_since_snapshot >= SNAPSHOT_EVERY {
            self.snapshot = parameters.clone();
            counts.good_since_snapshot = 0;
            counts.restored_in_a_row = 0;
        }
    }

    pub(super) fn bad(
        &mut self,
        parameters: &mut Parameters<B>,
        place: Option<String>,
    ) -> Result<(), InferenceError> {
        let counts = &mut self.counts;
        counts.skipped += 1;
        counts.in_a_row += 1;
        counts.place = place.or(counts.place.take());
        if counts.in_a_row.is_multiple_of(PATIENCE) {
            counts.shrink *= 0.5;
        }
        if counts.in_a_row >= RESTORE_AFTER {
            if counts.restored_in_a_row >= MAX_RESTORATIONS {
                return Err(self.error());
            }
            *parameters = self.snapshot.clone();
            counts.in_a_row = 0;
            counts.restored += 1;
            counts.restored_in_a_row += 1;
        }
        Ok(())
    }

    pub(super) fn error(&self) -> InferenceError {
        InferenceError::NonFinite { tried: self.counts.skipped, place: self.counts.place.clone() }
    }
}
