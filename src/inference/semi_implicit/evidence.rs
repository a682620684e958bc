//! Draws of a finished family, what the critic says of them, and draws with importance weights.
//!
//! The weighed draws are, where they may be resampled, those of a mixture of the family and a wide
//! Student t [owen2000]: where the family has no draws at all, its own weights have nothing to show. The
//! t has the family's moments at first, and where that is not enough those of the weighted draws
//! [cappe2008]. They come in blocks, each weighed by components of its own (see [`Marginal`]), until
//! enough of them count in full, or the weights turn out to be hopeless.

use super::critic::Critic;
use super::family::{Family, Noise};
use super::fit::At;
use super::marginal::Marginal;
use super::options::Options;
use crate::density::LogDensity;
use crate::inference::affine::{Affine, Coordinates};
use crate::inference::assess::{Psis, khat_threshold, psis};
use crate::inference::deadline::timed;
use crate::inference::gaussian::{Proposal, Student};
use crate::inference::optimizer::Parameters;
use crate::inference::start::Gaussian;
use crate::inference::tape::{Element, SharedTape};
use crate::inference::train::Stop;
use crate::inference::weights::{self, POOLED_NUMBERS, Resample};
use crate::inference::workers::Workers;
use crate::inference::{Deadline, InferenceError, Monitor, Progress, Settings, Target};
use crate::random::{Stream, stream};

/// Draws that are weighed at once, and at least.
const BLOCK: usize = 2000;
/// Times the number of draws asked for that are weighed at most.
const MOST_WEIGHED: usize = 10;
/// Shares of the time after training, where it is limited, for draws and for weighing others.
const DRAWING: f64 = 0.3;
const WEIGHING: f64 = 0.6;
/// Draws of a block that says how long others take, and the part of the components that it has.
const PILOT: usize = 50;
/// Draws that go through the networks at once when there is nothing to train.
const CHUNK: usize = 4096;
/// Share of the Student t in the draws that are weighed.
const DEFENSIVE: f64 = 0.2;
/// Its degrees of freedom.
const DEGREES: f64 = 5.0;
/// Its standard deviations, relative to the family's, which may be too narrow.
const WIDEN: f64 = 1.5;
/// Times that it is made anew from weighted draws.
const ROUNDS: usize = 3;
/// k-hat above which more weights are of no use: they have no mean. Below, it may yet fall, because from few
/// draws it is a noisy estimate; not for longer than so many, though.
const HOPELESS: f64 = 1.0;
const HOPED_FOR: usize = 4 * BLOCK;
/// Draws in effect, for each dimension, that it takes.
const FOR_EACH_DIMENSION: f64 = 10.0;

/// How many draws are weighed at once, and by how many components.
#[derive(Debug, Clone, Copy)]
struct Effort {
    block: usize,
    components: usize,
}

/// A family after its training, and the critic after its own.
pub(super) struct Finished<'a, E: Element> {
    /// The method's name.
    pub(super) name: &'static str,
    pub(super) family: &'a Family,
    pub(super) critic: &'a Critic,
    pub(super) options: &'a Options,
    pub(super) parameters: &'a Parameters<E>,
    pub(super) at: At,
    pub(super) workers: &'a Workers,
    /// How it ended.
    pub(super) stop: Stop,
}

/// Draws in standardised coordinates and the target there.
#[derive(Default)]
pub(super) struct Draws {
    /// `[S, D]`.
    pub(super) u: Vec<f64>,
    /// Log density of the target at each, `[S]`.
    pub(super) log_p: Vec<f64>,
    /// Its score, `[S, D]`.
    pub(super) score: Vec<f64>,
}

impl Draws {
    fn add(&mut self, density: &Affine<f64>, u: Vec<f64>) {
        let (mut log_p, mut score) = (vec![0.0; u.len() / density.dim()], vec![0.0; u.len()]);
        density.score(&u, &mut log_p, &mut score);
        self.u.extend(u);
        self.log_p.extend(log_p);
        self.score.extend(score);
    }

    /// Keeps the first so many.
    fn truncate(&mut self, draws: usize) {
        let d = self.u.len() / self.log_p.len().max(1);
        self.u.truncate(draws * d);
        self.score.truncate(draws * d);
        self.log_p.truncate(draws);
    }
}

/// What is known about a fit.
pub(super) struct Evidence {
    /// As many draws of the family as are asked for.
    pub(super) own: Draws,
    /// `ξ/σ` of each, `[S, D]`.
    pub(super) negative_conditional_score: Vec<f64>,
    /// The critic less its part of the target's score, `[S, D]`.
    pub(super) critic_rest: Vec<f64>,
    /// Weight of the target's score in the critic.
    pub(super) critic_residual: f64,
    /// Draws that have weights.
    pub(super) weighed: Draws,
    /// `log p` less the log density of what they were drawn from.
    pub(super) log_weights: Vec<f64>,
    /// `log p − log q` of those of them that are the family's.
    pub(super) log_ratios: Vec<f64>,
    /// Whether the weights are to be used.
    pub(super) resample: Resample,
    /// How training, examination and weighing ended.
    pub(super) stop: Stop,
    /// The target in standardised coordinates.
    pub(super) density: Affine<f64>,
    /// The coordinates.
    pub(super) coordinates: Coordinates,
}

impl Evidence {
    /// Draws, and the weights of enough others.
    pub(super) fn gather<E: Element>(
        from: &Finished<'_, E>,
        target: Target<'_>,
        coordinates: Coordinates,
        settings: &Settings,
        monitor: &mut dyn Monitor,
    ) -> Result<Evidence, InferenceError> {
        let random = |what: &str| stream(settings.seed, &format!("{} {what}", from.name));
        let mut evidence = Evidence {
            own: Draws::default(),
            negative_conditional_score: Vec::new(),
            critic_rest: Vec::new(),
            critic_residual: from.at.residual,
            weighed: Draws::default(),
            log_weights: Vec::new(),
            log_ratios: Vec::new(),
            resample: from.options.resample,
            stop: from.stop,
            density: Affine::new(target.f64, &coordinates),
            coordinates,
        };
        let drawing = settings.deadline.share(DRAWING);
        let timed_draws = Affine::new(&timed(target.f64, &drawing), &evidence.coordinates);
        evidence.draw(from, &timed_draws, settings.draws, &drawing, &mut random("draws"));
        if evidence.own.log_p.len() < 2 {
            return Err(InferenceError::NoTime);
        }
        let weighing = settings.deadline.share(WEIGHING);
        let timed = Affine::new(&timed(target.f64, &weighing), &evidence.coordinates);
        let Some(effort) = evidence.affordable(from, &drawing, &weighing, &mut random("pilot"))
        else {
            evidence.stop = Stop::TimeLimit;
            return Ok(evidence);
        };
        let mut rng = random("weighing");
        let mut wider = match evidence.resample {
            Resample::Never => None,
            Resample::Auto | Resample::Always => evidence.widened(),
        };
        let mut rounds = 0;
        let wanted = settings.draws.max(BLOCK);
        let affordable = POOLED_NUMBERS / evidence.density.dim().max(1);
        let most = (MOST_WEIGHED * wanted).min(affordable).max(BLOCK);
        loop {
            evidence.weigh(from, &timed, effort, &weighing, wider.as_ref(), &mut rng);
            if weighing.has_cut() {
                evidence.stop = Stop::TimeLimit;
                return Ok(evidence);
            }
            let weighed = evidence.log_weights.len();
            if evidence.stop == Stop::Interrupted || wider.is_none() {
                return Ok(evidence);
            }
            let smoothed = psis(&evidence.log_weights);
            let trusted = smoothed.khat <= khat_threshold(weighed);
            let moved = if trusted || rounds == ROUNDS { None } else { evidence.moved(&smoothed) };
            if let Some(moved) = moved {
                wider = Some(moved);
                rounds += 1;
                evidence.forget_weighed();
            } else if smoothed.khat > HOPELESS
                || !trusted && weighed >= HOPED_FOR
                || weighed + BLOCK > most
                || trusted
                    && weights::suffice(
                        &evidence.density.parameters(&evidence.weighed.u),
                        &smoothed.log_weights,
                        wanted as f64,
                    )
            {
                return Ok(evidence);
            }
            let progress = Progress {
                phase: "weighing",
                done: weighed,
                total: most,
                objective: None,
                trend: None,
            };
            if monitor.progress(progress).is_break() {
                evidence.stop = Stop::Interrupted;
                return Ok(evidence);
            }
            if weighing.passed() {
                return Ok(evidence);
            }
        }
    }

    /// Draws from the family, with the critic's opinion; fewer where the deadline comes.
    fn draw<E: Element>(
        &mut self,
        from: &Finished<'_, E>,
        density: &Affine<f64>,
        draws: usize,
        deadline: &Deadline,
        rng: &mut Stream,
    ) {
        let drawn = |rows: usize, rng: &mut Stream| {
            let noise: Noise<E> = Noise::draw(from.family, rows, false, rng);
            let off = SharedTape::off();
            let (points, scores) = from.family.sample(from.parameters, &noise, &off);
            let judged = from.critic.rest(from.parameters, &points, from.at.residual, &off);
            (wide(points.numbers()), wide(scores.numbers()), wide(judged.numbers()))
        };
        let chunk = deadline.lot(PILOT, CHUNK, || drop(drawn(PILOT, &mut rng.clone())));
        while self.own.log_p.len() < draws && !deadline.has_cut() {
            let rows = chunk.min(draws - self.own.log_p.len());
            let (points, scores, judged) = drawn(rows, rng);
            self.own.add(density, points);
            self.negative_conditional_score.extend(scores);
            self.critic_rest.extend(judged);
        }
        let answered = deadline.answered(&self.own.log_p);
        self.own.truncate(answered);
        self.negative_conditional_score.truncate(self.own.u.len());
        self.critic_rest.truncate(self.own.u.len());
    }

    /// A Student t somewhat wider than the family.
    fn widened(&self) -> Option<Student> {
        let mut gaussian = Gaussian::of_draws(&self.own.u, self.density.dim())?;
        gaussian.sd.iter_mut().for_each(|s| *s *= WIDEN);
        gaussian.factor.iter_mut().flatten().for_each(|l| *l *= WIDEN);
        Some(Student { gaussian, degrees: DEGREES })
    }

    /// A Student t with the moments of the weighted draws; `None` where too few of them count.
    fn moved(&self, smoothed: &Psis) -> Option<Student> {
        let weights: Vec<f64> = smoothed.log_weights.iter().map(|w| w.exp()).collect();
        let effective = weights.iter().map(|w| w * w).sum::<f64>().recip();
        let d = self.density.dim();
        (effective >= FOR_EACH_DIMENSION * d as f64)
            .then(|| Gaussian::of_weighted(&self.weighed.u, &weights, d))
            .flatten()
            .map(|gaussian| Student { gaussian, degrees: DEGREES })
    }

    /// How much of an effort weighing can be by its deadline, from what the draws took, by theirs, and
    /// from a small block; `None` where that block alone takes too long.
    fn affordable<E: Element>(
        &self,
        from: &Finished<'_, E>,
        drawing: &Deadline,
        weighing: &Deadline,
        rng: &mut Stream,
    ) -> Option<Effort> {
        let full = Effort { block: BLOCK, components: from.options.mixing_draws };
        let Some(spent) = drawing.spent() else { return Some(full) };
        let left_s = || weighing.left().unwrap_or_default().as_secs_f64();
        let draw_s = spent.as_secs_f64() / self.own.log_p.len() as f64;
        let few = full.components.div_ceil(PILOT);
        let noise: Noise<E> = Noise::draw(from.family, PILOT, false, rng);
        let points = from.family.sample(from.parameters, &noise, &SharedTape::off()).0;
        let (points, z) = (wide(points.numbers()), wide(noise.z.numbers()));
        let marginal = Marginal::new(from.family, from.parameters, from.workers, weighing);
        let mut taken_s = |components| {
            let before = left_s();
            marginal.estimate(&points, &z, components, rng);
            before - left_s()
        };
        // What does not grow with the components is left out by taking the difference of two efforts.
        let once_s = taken_s(few);
        if 4.0 * once_s > left_s() {
            return None;
        }
        let extra_s = (taken_s(3 * few) - once_s).max(0.0);
        let half_s = 0.5 * left_s();
        let block = ((half_s / draw_s) as usize).clamp(2, full.block);
        let needed_s = extra_s * (block * full.components) as f64 / (PILOT * 2 * few) as f64;
        let components = full.components as f64 * (half_s / needed_s.max(1e-9)).min(1.0);
        Some(Effort { block, components: (components as usize).max(few) })
    }

    fn forget_weighed(&mut self) {
        self.weighed = Draws::default();
        self.log_weights.clear();
        self.log_ratios.clear();
    }

    /// Adds a block of weighed draws of the family and, in part, of a wider distribution; none where the
    /// deadline comes first.
    fn weigh<E: Element>(
        &mut self,
        from: &Finished<'_, E>,
        density: &Affine<f64>,
        Effort { block, components }: Effort,
        deadline: &Deadline,
        wider: Option<&Student>,
        rng: &mut Stream,
    ) {
        let share = if wider.is_some() { DEFENSIVE } else { 0.0 };
        let others = (share * block as f64).round() as usize;
        let (family, parameters) = (from.family, from.parameters);
        let noise: Noise<E> = Noise::draw(family, block - others, false, rng);
        let mut u = wide(family.sample(parameters, &noise, &SharedTape::off()).0.numbers());
        u.extend(wider.iter().flat_map(|w| w.draw(others, rng)));
        let marginal = Marginal::new(family, parameters, from.workers, deadline);
        let log_q = marginal.estimate(&u, &wide(noise.z.numbers()), components, rng).log_q;
        let other = wider.map(|w| w.log_density(&u).0);
        let before = self.log_weights.len();
        self.weighed.add(density, u);
        if deadline.has_cut() {
            return self.weighed.truncate(before);
        }
        let log_p = &self.weighed.log_p[before..];
        self.log_ratios.extend(log_p.iter().zip(&log_q).map(|(p, q)| p - q).take(block - others));
        for (i, (p, q)) in log_p.iter().zip(log_q).enumerate() {
            let mixed = other.as_ref().map_or(q, |other| log_mixture(q, other[i], share));
            self.log_weights.push(p - mixed);
        }
    }
}

/// `log((1 − share) e^a + share e^b)`.
fn log_mixture(a: f64, b: f64, share: f64) -> f64 {
    let (a, b) = (a + (-share).ln_1p(), b + share.ln());
    let max = a.max(b);
    max + ((a - max).exp() + (b - max).exp()).ln()
}

fn wide<E: Element>(x: &[E]) -> Vec<f64> {
    x.iter().map(|x| x.f64()).collect()
}
