//! Threads that share a training step or a set of paths between them.
//!
//! What is shared is cut into parts by its size alone, never by the number of threads, and what the parts give
//! is put together in their order: so the bits are the same whatever `--threads` is.

use rayon::{ThreadPool, ThreadPoolBuilder};

/// Steps from which on a batch has two parts.
const SPLIT: usize = 512;
/// Fewest of each of more than two parts: a step of two takes as long as one of four.
const FEWEST: usize = 4;

/// The calling thread and those that it calls on. Each is a pool of one, in which dfdx's matrix products, which
/// spread over the pool that they find, stay on one thread.
#[derive(Debug, Default)]
pub struct Workers {
    others: Vec<ThreadPool>,
}

impl Workers {
    /// So many threads, with the calling one; fewer if the system has no more.
    #[must_use]
    pub fn new(threads: usize) -> Self {
        let pool = |_| ThreadPoolBuilder::new().num_threads(1).build().ok();
        Workers { others: (1..threads).map_while(pool).collect() }
    }

    /// The number of threads.
    #[must_use]
    pub fn count(&self) -> usize {
        self.others.len() + 1
    }

    /// What `task` gives for each item, in their order.
    ///
    /// # Panics
    /// When `task` does.
    pub fn each<T: Send, R: Send>(
        &self,
        items: &mut [T],
        task: impl Fn(&mut T) -> R + Sync,
    ) -> Vec<R> {
        let mut results: Vec<Option<R>> = items.iter().map(|_| None).collect();
        let mut shares: Vec<Vec<(&mut T, &mut Option<R>)>> = Vec::new();
        shares.resize_with(self.count().min(items.len()), Vec::new);
        let threads = shares.len().max(1);
        for (i, job) in items.iter_mut().zip(&mut results).enumerate() {
            shares[i % threads].push(job);
        }
        share(&self.others, shares, &|jobs| jobs.into_iter().for_each(|(t, r)| *r = Some(task(t))));
        results.into_iter().map(|r| r.expect("every item has its turn")).collect()
    }
}

/// Runs the first of `shares` here, and each of the others on a thread of its own.
fn share<T: Send>(others: &[ThreadPool], mut shares: Vec<T>, work: &(impl Fn(T) + Sync)) {
    let Some(last) = shares.pop() else { return };
    match others {
        [other, rest @ ..] if !shares.is_empty() => other.in_place_scope(|scope| {
            scope.spawn(move |_| work(last));
            share(rest, shares, work);
        }),
        _ => work(last),
    }
}

/// Sizes of the parts of a batch of `n`, each of which takes `steps` and is at most `most`: two from 512
/// steps on, and twice as many whenever the batch is four times as large, so that they grow too, while they are
/// of four or more. They differ by one at most.
#[must_use]
pub fn parts(n: usize, steps: usize, most: usize) -> Vec<usize> {
    let doublings = (4 * n * steps / SPLIT).max(1).ilog2() / 2;
    let count = (1 << doublings).min((n / FEWEST).max(2)).max(n.div_ceil(most)).min(n).max(1);
    (0..count).map(|i| (n + i) / count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_has_its_turn_whatever_the_number_of_threads() {
        for threads in 1..5 {
            let workers = Workers::new(threads);
            assert_eq!(workers.count(), threads);
            for n in 0..7 {
                let mut items: Vec<usize> = (0..n).collect();
                let squares = workers.each(&mut items, |i| {
                    *i += 1;
                    *i * *i
                });
                assert_eq!(items, (1..=n).collect::<Vec<_>>());
                assert_eq!(squares, (1..=n).map(|i| i * i).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn a_thread_s_own_pool_is_all_that_it_finds() {
        let alone = || rayon::current_num_threads();
        let _ = crate::inference::tape::device::<f32>();
        assert_eq!(Workers::new(3).each(&mut [(); 3], |()| alone()), [1; 3]);
    }

    #[test]
    fn parts_are_as_few_and_as_equal_as_can_be() {
        for (n, steps, most, sizes) in [
            (16, 8, 16, vec![16]),
            (16, 8, 10, vec![8, 8]),
            (7, 8, 3, vec![2, 2, 3]),
            (3, 8, 1, vec![1, 1, 1]),
            (16, 32, 16, vec![8, 8]),
            (5, 256, 5, vec![2, 3]),
            (64, 64, 64, vec![16; 4]),
            (16, 512, 16, vec![4; 4]),
            (1, 4096, 1, vec![1]),
            (512, 1, 512, vec![256; 2]),
        ] {
            assert_eq!(parts(n, steps, most), sizes, "{n} of {steps}");
        }
    }
}
