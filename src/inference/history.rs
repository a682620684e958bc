//! A sequence of numbers of any length, in bounded memory: how an objective went in a run of hours.

use serde::{Deserialize, Serialize};

use super::Trace;

/// Most values that are kept.
const MOST: usize = 1 << 14;
/// Values of a trace.
const TRACE_LENGTH: usize = 1000;

/// The numbers themselves, or, of more than 16,384 of them, means of runs of equal length.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// Means of runs of [`each`](Self::each) numbers, one after the other.
    means: Vec<f64>,
    /// Numbers of a run.
    each: usize,
    /// Sum and count of the run that is not full yet.
    rest: (f64, usize),
}

impl Default for History {
    fn default() -> Self {
        History { means: Vec::new(), each: 1, rest: (0.0, 0) }
    }
}

impl History {
    /// Adds a number.
    pub fn add(&mut self, x: f64) {
        self.rest = (self.rest.0 + x, self.rest.1 + 1);
        if self.rest.1 < self.each {
            return;
        }
        self.means.push(self.rest.0 / self.each as f64);
        self.rest = (0.0, 0);
        if self.means.len() == MOST {
            let pairs = self.means.chunks_exact(2).map(|pair| 0.5 * (pair[0] + pair[1]));
            self.means = pairs.collect();
            self.each *= 2;
        }
    }

    /// How many numbers were added.
    #[must_use]
    pub fn len(&self) -> usize {
        self.means.len() * self.each + self.rest.1
    }

    /// Whether none was.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The values that are kept.
    #[must_use]
    pub fn values(&self) -> &[f64] {
        &self.means
    }

    /// How many of the values are of the first `count` numbers.
    #[must_use]
    pub fn values_of(&self, count: usize) -> usize {
        (count / self.each).min(self.means.len())
    }

    /// The mean of the numbers from `from` to before `to`, as exactly as the values tell.
    #[must_use]
    pub fn mean(&self, from: usize, to: usize) -> f64 {
        let to = self.values_of(to).max(1);
        let values = &self.means[self.values_of(from).min(to - 1)..to];
        values.iter().sum::<f64>() / values.len() as f64
    }

    /// At most a thousand values, each the mean over a block of iterations.
    #[must_use]
    pub fn trace(&self, name: &'static str) -> Trace {
        let block = self.means.len().div_ceil(TRACE_LENGTH).max(1);
        let (iteration, value) = self
            .means
            .chunks(block)
            .enumerate()
            .map(|(i, c)| {
                (self.each * (i * block + c.len()), c.iter().sum::<f64>() / c.len() as f64)
            })
            .unzip();
        Trace { name, iteration, value }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_history_is_the_numbers() {
        let mut history = History::default();
        (0..2500).for_each(|i| history.add(f64::from(i)));
        assert_eq!((history.len(), history.values()[7], history.mean(10, 13)), (2500, 7.0, 11.0));
        let trace = history.trace("x");
        assert_eq!((trace.iteration[0], trace.value[0]), (3, 1.0));
        assert_eq!((trace.iteration.len(), *trace.iteration.last().unwrap()), (834, 2500));
    }

    #[test]
    fn a_long_one_keeps_its_means_in_bounded_memory() {
        let mut history = History::default();
        let n = 1_000_000;
        (0..n).for_each(|i| history.add(i as f64));
        assert_eq!(history.len(), n);
        assert!(history.values().len() < MOST && history.values().len() >= MOST / 2);
        // Of the last quarter, to within a run of 64.
        let mean = history.mean(3 * n / 4, n);
        assert!((mean - 874_999.5).abs() < 128.0, "{mean}");
        let trace = history.trace("x");
        assert!(trace.value.len() <= TRACE_LENGTH && trace.iteration.last().unwrap() + 64 > n);
        let text = serde_json::to_string(&history).unwrap();
        assert_eq!(serde_json::from_str::<History>(&text).unwrap(), history);
    }
}
