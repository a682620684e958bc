//! Until when a run, or a part of one, may go on.
//!
//! A [`Deadline`] is a moment, so parts of a run need not count what others have taken: a phase gets a
//! [share](Deadline::share) of what is left when it begins. Loops ask whether it has
//! [passed](Deadline::passed); what is inside one evaluation of a density cannot, so towards the end of
//! a phase the density itself stops answering: [`timed`].

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::density::{LogDensity, Part, Residuals, Scalars};
use crate::real::Real;

/// What time it is.
#[derive(Debug, Clone)]
pub enum Clock {
    /// That of the machine, since that moment.
    Wall(Instant),
    /// One that stands still until it is moved on, in nanoseconds: for tests.
    Manual(Arc<AtomicU64>),
}

impl Clock {
    fn now(&self) -> Duration {
        match self {
            Clock::Wall(since) => since.elapsed(),
            Clock::Manual(nanoseconds) => Duration::from_nanos(nanoseconds.load(Ordering::Relaxed)),
        }
    }
}

/// A moment that a stretch of time ends at; [`never`](Self::never) is none.
#[derive(Debug, Clone, Default)]
pub struct Deadline {
    stretch: Option<Stretch>,
}

#[derive(Debug, Clone)]
struct Stretch {
    clock: Clock,
    begin: Duration,
    end: Duration,
    /// Whether an evaluation was refused because of it.
    has_cut: Arc<AtomicBool>,
    /// The same of all parts of a whole.
    any_cut: Arc<AtomicBool>,
}

impl Deadline {
    /// No deadline.
    #[must_use]
    pub const fn never() -> Self {
        Deadline { stretch: None }
    }

    /// So long after now.
    #[must_use]
    pub fn after(limit: Duration) -> Self {
        Self::by(Clock::Wall(Instant::now()), limit)
    }

    /// So long after what the clock shows now.
    #[must_use]
    pub fn by(clock: Clock, limit: Duration) -> Self {
        Self::part(clock, limit, Arc::default())
    }

    fn part(clock: Clock, limit: Duration, any_cut: Arc<AtomicBool>) -> Self {
        let begin = clock.now();
        let (end, has_cut) = (begin.saturating_add(limit), Arc::default());
        Deadline { stretch: Some(Stretch { clock, begin, end, has_cut, any_cut }) }
    }

    /// The same length of time, from now.
    #[must_use]
    pub fn again(&self) -> Self {
        self.stretch
            .as_ref()
            .map_or_else(Self::never, |s| Self::by(s.clock.clone(), s.end - s.begin))
    }

    /// The end of that share of the time that is left now.
    #[must_use]
    pub fn share(&self, share: f64) -> Self {
        self.left().map_or_else(Self::never, |left| self.within(left.mul_f64(share)))
    }

    /// That much earlier, but not before now.
    #[must_use]
    pub fn less(&self, reserve: Duration) -> Self {
        self.left().map_or_else(Self::never, |left| self.within(left.saturating_sub(reserve)))
    }

    /// A part of the same whole that ends so long after now.
    fn within(&self, limit: Duration) -> Self {
        self.stretch.as_ref().map_or_else(Self::never, |s| {
            Self::part(s.clock.clone(), limit, Arc::clone(&s.any_cut))
        })
    }

    /// Whether there is one at all.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.stretch.is_some()
    }

    /// Whether its time is up.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.stretch.as_ref().is_some_and(|s| s.clock.now() >= s.end)
    }

    /// Whether it has cut an evaluation of a `timed` density, or steps, short.
    #[must_use]
    pub fn has_cut(&self) -> bool {
        self.stretch.as_ref().is_some_and(|s| s.has_cut.load(Ordering::Relaxed))
    }

    /// Whether it or a part of the same whole has.
    #[must_use]
    pub fn any_has_cut(&self) -> bool {
        self.stretch.as_ref().is_some_and(|s| s.any_cut.load(Ordering::Relaxed))
    }

    /// How many of the points with these values, at their front, a `timed` density has evaluated.
    #[must_use]
    pub fn answered(&self, values: &[f64]) -> usize {
        let refused = values.iter().rev().take_while(|x| self.has_cut() && x.is_nan()).count();
        values.len() - refused
    }

    /// Whether an evaluation, or a step of the kind, that would begin now is refused; what was to have it
    /// is then cut short.
    pub(super) fn refuses(&self) -> bool {
        let Some(Stretch { clock, end, has_cut, any_cut, .. }) = &self.stretch else {
            return false;
        };
        let late = clock.now() >= end.saturating_add(GRACE);
        if late {
            has_cut.store(true, Ordering::Relaxed);
            any_cut.store(true, Ordering::Relaxed);
        }
        late
    }

    /// The time until then; `None` where there is no deadline.
    #[must_use]
    pub fn left(&self) -> Option<Duration> {
        self.stretch.as_ref().map(|s| s.end.saturating_sub(s.clock.now()))
    }

    /// How many of something to do at once so that ten such lots are done by the deadline, from the time
    /// that `try_some` takes for `some` of them; `most` at most, and where there is no deadline.
    pub fn lot(&self, some: usize, most: usize, try_some: impl FnOnce()) -> usize {
        let Some(before) = self.left() else { return most };
        try_some();
        let left = self.left().unwrap_or_default();
        let each_s = before.saturating_sub(left).as_secs_f64() / some as f64;
        ((0.1 * left.as_secs_f64() / each_s) as usize).clamp(1, most)
    }

    /// The time since it was set; `None` where there is no deadline.
    #[must_use]
    pub fn spent(&self) -> Option<Duration> {
        self.stretch.as_ref().map(|s| s.clock.now().saturating_sub(s.begin))
    }

    /// The part of the stretch that is over, from 0 to 1; always 0 where there is no deadline.
    #[must_use]
    pub fn used(&self) -> f64 {
        let Some(Stretch { clock, begin, end, .. }) = &self.stretch else { return 0.0 };
        let past = clock.now().saturating_sub(*begin).as_secs_f64();
        (past / (*end - *begin).as_secs_f64().max(1e-9)).min(1.0)
    }
}

/// How long after its deadline a density still answers, so that what is quick ends as it should: a step
/// that was cut short is lost.
const GRACE: Duration = Duration::from_millis(100);
/// Longest time between two looks at the clock within an evaluation.
const GLANCE: Duration = Duration::from_millis(50);

/// The same density until shortly after the deadline, and NaN from then on, also in the middle of a batch.
#[must_use]
pub(super) fn timed<E: Real>(
    density: &Arc<dyn LogDensity<E>>,
    deadline: &Deadline,
) -> Arc<dyn LogDensity<E>> {
    let Some(Stretch { clock, .. }) = &deadline.stretch else { return Arc::clone(density) };
    Arc::new(Timed {
        inner: Arc::clone(density),
        clock: clock.clone(),
        deadline: deadline.clone(),
        nanoseconds_a_point: AtomicU64::new(0),
    })
}

/// How much longer than an evaluation the explanation may take of why it was not finite.
const SLOWER: u32 = 1000;

/// See [`timed`]. Batches are taken apart so that no part takes long; no number depends on how.
struct Timed<E: Real> {
    inner: Arc<dyn LogDensity<E>>,
    clock: Clock,
    deadline: Deadline,
    /// Of the last evaluation.
    nanoseconds_a_point: AtomicU64,
}

impl<E: Real> Timed<E> {
    /// Calls `evaluate` with ranges of points that together are `0..batch`, up to the deadline; the
    /// number of points that were evaluated.
    fn parts(&self, batch: usize, mut evaluate: impl FnMut(usize, usize)) -> usize {
        let mut done = 0;
        while done < batch && !self.deadline.refuses() {
            // The first evaluation of all shows what a point costs.
            let cost = self.nanoseconds_a_point.load(Ordering::Relaxed);
            let most = match u64::try_from(GLANCE.as_nanos()).unwrap_or(u64::MAX).checked_div(cost)
            {
                Some(points) => usize::try_from(points).unwrap_or(usize::MAX).max(1),
                None => 1,
            };
            let points = most.min(batch - done);
            let before = self.clock.now();
            evaluate(done, points);
            let taken =
                self.clock.now().saturating_sub(before) / u32::try_from(points).unwrap_or(u32::MAX);
            let taken = u64::try_from(taken.as_nanos()).unwrap_or(u64::MAX).max(1);
            self.nanoseconds_a_point.store(taken, Ordering::Relaxed);
            done += points;
        }
        done
    }
}

impl<E: Real> LogDensity<E> for Timed<E> {
    fn dim(&self) -> usize {
        self.inner.dim()
    }

    fn log_density(&self, z: &[E], log_p: &mut [E]) {
        let d = self.dim();
        let done = self.parts(log_p.len(), |from, n| {
            self.inner.log_density(&z[from * d..(from + n) * d], &mut log_p[from..from + n]);
        });
        log_p[done..].fill(E::of(f64::NAN));
    }

    fn score(&self, z: &[E], log_p: &mut [E], score: &mut [E]) {
        let d = self.dim();
        let done = self.parts(log_p.len(), |from, n| {
            let rows = from * d..(from + n) * d;
            let log_p = &mut log_p[from..from + n];
            self.inner.score(&z[rows.clone()], log_p, &mut score[rows]);
        });
        log_p[done..].fill(E::of(f64::NAN));
        score[done * d..].fill(E::of(f64::NAN));
    }

    fn score_keep(&self, z: &[E], score: &mut [E], keep: &mut Residuals<E>) {
        let d = self.dim();
        let mut parts = 0;
        let kept = &mut keep.inner;
        let done = self.parts(z.len() / d.max(1), |from, n| {
            if kept.len() == parts {
                kept.push(Residuals::default());
            }
            let rows = from * d..(from + n) * d;
            self.inner.score_keep(&z[rows.clone()], &mut score[rows], &mut kept[parts]);
            parts += 1;
        });
        kept.truncate(parts);
        score[done * d..].fill(E::of(f64::NAN));
        keep.points.clear();
        keep.points.extend_from_slice(z);
    }

    fn hvp(&self, residuals: &Residuals<E>, v: &[E], out: &mut [E]) {
        let mut done = 0;
        for kept in &residuals.inner {
            if self.deadline.refuses() {
                break;
            }
            let rows = done..done + kept.points.len();
            self.inner.hvp(kept, &v[rows.clone()], &mut out[rows.clone()]);
            done = rows.end;
        }
        out[done..].fill(E::of(f64::NAN));
    }

    fn see(&self, part: Part<'_>) {
        self.inner.see(part);
    }

    fn estimate(&self) -> Option<String> {
        self.inner.estimate()
    }

    fn coordinate_name(&self, index: usize) -> String {
        self.inner.coordinate_name(index)
    }

    fn parameters(&self, z: &[E]) -> Scalars {
        self.inner.parameters(z)
    }

    fn explain_non_finite(&self, z: &[E]) -> Option<String> {
        // The slow executor looks for it.
        let cost = Duration::from_nanos(self.nanoseconds_a_point.load(Ordering::Relaxed));
        let affordable = self.deadline.left().is_none_or(|left| SLOWER * cost < left);
        if affordable { self.inner.explain_non_finite(z) } else { None }
    }
}
