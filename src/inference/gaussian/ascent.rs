//! Stochastic ascent of a Gaussian's evidence lower bound, in rounds.
//!
//! It happens in coordinates in which the start is standard normal, so one learning rate fits all
//! posteriors. A round's result is the average of the iterates of its second half; when two rounds
//! agree roughly, the learning rate is halved and rounds grow; when they agree closely, in symmetrised
//! Kullback–Leibler divergence, training has converged [welandawe2024]. Gradients are path derivatives
//! [roeder2017] on antithetic draws: their noise vanishes where the family contains the posterior.

use std::sync::Arc;

use dfdx::prelude::{Axis, BroadcastTo, PutTape, ReshapeTo, SumTo, TryMatMul};
use faer::{Mat, Side};
use serde::{Deserialize, Serialize};

use super::config::Config;
use crate::density::{LogDensity, Part};
use crate::inference::assess::Checks;
use crate::inference::backend::{Backend, Density, Node, Normals, Pairs};
use crate::inference::optimizer::{Average, Group, Handle, Parameters, Schedule, Update};
use crate::inference::tape::{Grads, Matrix, SharedTape, backward};
use crate::inference::train::{Context, Plan, Step, Training, train};
use crate::inference::{InferenceError, Monitor, VerdictLevel};
use crate::real::Real;

/// Iterations of the first round.
const FIRST_ROUND: usize = 100;
/// Divergence between rounds beyond which the iterates are still travelling.
const TRAVELLING: f64 = 0.5;

/// Which Gaussians there are to choose from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Rank {
    /// Independent coordinates.
    Diagonal,
    /// Any covariance.
    Full,
    /// That of independent coordinates and a few directions more.
    Low(usize),
}

/// The Gaussian `z = mean + A ξ`.
#[derive(Debug, Clone)]
pub(super) struct Ascended {
    /// `[D]`.
    pub(super) mean: Vec<f64>,
    /// Log of the diagonal part of `A`, `[D]`.
    pub(super) log_sd: Vec<f64>,
    /// The rest of `A`: nothing where coordinates are independent; what is below the diagonal, `[D, D]`;
    /// or further columns, `[r, D]`, a row each.
    pub(super) rest: Vec<f64>,
    /// Whether two rounds agreed.
    pub(super) converged: bool,
    /// Largest divergence of a coordinate between the last two rounds, if there were two.
    pub(super) divergence: Option<f64>,
    pub(super) training: Training,
}

/// Climbs from the standard normal, with the further columns `columns: [r, D]` where there are any;
/// `config` gives iterations, time, learning rate and draws a step,
/// `stage` names the stage and, with ` noise`, its random stream.
pub(super) fn ascend<B: Backend>(
    density: &Arc<dyn LogDensity<B::Number>>,
    bridge: B::Bridge,
    rank: Rank,
    columns: &[f64],
    config: &Config,
    stage: &'static str,
    monitor: &mut dyn Monitor,
) -> Result<Ascended, InferenceError> {
    let d = density.dim();
    let mut parameters = Parameters::<B>::default();
    let mut zeros = |name, n| parameters.add(name, 0, vec![Real::of(0.0); n]);
    let (location, log_sd) = (zeros("location", d), zeros("log_sd", d));
    let rest = match rank {
        Rank::Diagonal => None,
        Rank::Full => Some(zeros("below", d * d)),
        Rank::Low(_) => {
            let columns = columns.iter().map(|x| Real::of(*x)).collect();
            Some(parameters.add("columns", 0, columns))
        }
    };
    let family = Family { rank, location, log_sd, rest };
    let rng = B::Normals::new(config.seed, &format!("{stage} noise"));
    let mut state = State::<B> { rounds: Rounds::new(family, config.agreement), rng };
    let plan = Plan {
        stage,
        phase: "training",
        objective: "elbo",
        maximise: true,
        iterations: config.iterations,
        learning_rate: config.learning_rate,
        schedule: Schedule::Constant,
        tolerance: config.tolerance,
        window: FIRST_ROUND,
        least_gain: None,
        deadline: config.deadline.clone(),
    };
    let group = Group::adam(0);
    let step = |parameters: &mut Parameters<B>, state: &mut State<B>, context: Context| {
        let State { rounds, rng } = state;
        let rate = context.rate * rounds.rate;
        density.see(Part::Fresh(context.iteration as u64));
        let (value, mut grads, z) = family.step(&bridge, parameters, config.grad_samples, rng)?;
        if !value.is_finite() || parameters.update(&group, rate, &mut grads) == Update::NonFinite {
            return Ok(Step::NonFinite(density.explain_non_finite(&z.as_vec()[..d])));
        }
        Ok(if rounds.add(parameters) { Step::Converged(value) } else { Step::Done(value) })
    };
    let training = train(&plan, &mut parameters, &mut state, monitor, step)?;
    let rounds = state.rounds;
    rounds.finish(&mut parameters);
    Ok(Ascended {
        mean: wide(&parameters.values(family.location)),
        log_sd: wide(&parameters.values(family.log_sd)),
        rest: family.rest(&parameters),
        converged: rounds.agreed,
        divergence: rounds.divergence,
        training,
    })
}

/// Says how an ascent ended.
pub(super) fn judge_ascent(
    checks: &mut Checks,
    converged: bool,
    divergence: Option<f64>,
    iterations: usize,
    training: &Training,
) {
    let agreed = divergence.map_or_else(String::new, |d| {
        format!(" (the last two rounds differ by {d:.1e} in symmetrised KL divergence)")
    });
    if converged {
        checks.add(VerdictLevel::Ok, format!("Training has converged{agreed}."));
    } else {
        checks.add(
            VerdictLevel::Doubtful,
            format!("Training had not converged after {iterations} iterations{agreed}."),
        );
    }
    if training.skipped * 100 > training.iterations {
        checks.add(
            VerdictLevel::Doubtful,
            format!(
                "{} steps were skipped because the log density was not finite.",
                training.skipped
            ),
        );
    }
    checks.stopped(training.stop);
}

fn wide<E: Real>(x: &[E]) -> Vec<f64> {
    x.iter().map(|x| x.f64()).collect()
}

/// The parameters of the Gaussian.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Family {
    rank: Rank,
    location: Handle,
    log_sd: Handle,
    /// `Lᵀ: [D, D]`, of which only what is above the diagonal is used, or the columns, `[r, D]`.
    rest: Option<Handle>,
}

impl Family {
    /// See [`Ascended::rest`].
    fn rest<B: Backend>(&self, parameters: &Parameters<B>) -> Vec<f64> {
        let Some(handle) = self.rest else { return Vec::new() };
        let values = wide(&parameters.values(handle));
        if self.rank != Rank::Full {
            return values;
        }
        let d = parameters.values(self.location).len();
        let at = |k: usize| if k % d < k / d { values[k % d * d + k / d] } else { 0.0 };
        (0..d * d).map(at).collect()
    }

    /// Means and log standard deviations of the coordinates.
    fn marginals<B: Backend>(&self, parameters: &Parameters<B>) -> (Vec<f64>, Vec<f64>) {
        let log_sd = wide(&parameters.values(self.log_sd));
        let d = log_sd.len();
        let mut variance: Vec<f64> = log_sd.iter().map(|l| (2.0 * l).exp()).collect();
        for (k, l) in self.rest(parameters).iter().enumerate() {
            variance[if self.rank == Rank::Full { k / d } else { k % d }] += l * l;
        }
        let log_sd = variance.iter().map(|v| 0.5 * v.ln()).collect();
        (wide(&parameters.values(self.location)), log_sd)
    }

    /// One estimate of the bound, the gradient of its negative, and the draws.
    fn step<B: Backend>(
        &self,
        bridge: &B::Bridge,
        parameters: &Parameters<B>,
        n: usize,
        rng: &mut B::Normals,
    ) -> Result<(f64, Grads<B>, Matrix<B>), InferenceError> {
        let d = bridge.dim();
        let shape = (n, d);
        let xi = rng.draw(shape, Pairs::Opposite).tensor();
        let log_sd = parameters.matrix(self.log_sd, (1, d), &SharedTape::off());
        let mut log_det = B::sum(&log_sd);
        let constant =
            |v: &[B::Number]| -> Matrix<B> { B::tensor(v, shape).put_tape(SharedTape::off()) };
        let tape = SharedTape::recording();
        let mean = parameters.vector(self.location, &tape).broadcast_like::<_, Axis<0>>(&shape);
        let sd = parameters.vector(self.log_sd, &tape).exp().broadcast_like::<_, Axis<0>>(&shape);
        let mut off = sd * xi.clone();
        // −∇_z log q at the present parameters, held constant: only the path through z is differentiated.
        let pull;
        match (self.rank, self.rest) {
            (Rank::Full, Some(below)) => {
                let below = parameters.matrix(below, (d, d), &tape).upper_tri(1);
                let mut rows = xi.as_vec();
                off = off + xi.matmul(below);
                solve_transposed(&mut rows, &log_sd.as_vec(), &self.rest(parameters));
                pull = constant(&rows);
            }
            (Rank::Low(r), Some(columns)) => {
                let more = rng.draw((n, r), Pairs::Opposite).tensor();
                let columns = parameters.matrix(columns, (r, d), &tape);
                off = off + more.matmul(columns);
                let inverse = Woodbury::new(&wide(&log_sd.as_vec()), &self.rest(parameters), r)?;
                let mut rows = off.as_vec();
                for row in rows.chunks_exact_mut(d) {
                    inverse.apply(row);
                }
                log_det = inverse.half_log_det;
                pull = constant(&rows);
            }
            _ => {
                let precision = log_sd.negate().exp().reshape_like(&(d,));
                pull = xi * precision.broadcast_like::<_, Axis<0>>(&shape);
            }
        }
        let squares = B::dot(&off, &pull);
        let z = mean + off;
        let log_p = bridge.log_density_at(&B::Node::of(z.clone())).tensor().sum::<(), _>();
        let value = log_p.as_vec()[0].f64() / n as f64
            + log_det
            + 0.5 * (squares / n as f64 + d as f64 * (2.0 * std::f64::consts::PI).ln());
        let path = (z.clone() * pull).sum::<(), _>();
        let loss = (log_p + path) * B::Number::of(-1.0 / n as f64);
        Ok((value, backward(loss)?, z))
    }
}

/// `(S² + U Uᵀ)⁻¹` for diagonal `S` and `U: [D, r]`.
struct Woodbury {
    /// `S⁻²`.
    precision: Vec<f64>,
    /// `S⁻² U`, a row for each column of `U`.
    scaled: Vec<f64>,
    /// Lower Cholesky factor of `I + Uᵀ S⁻² U`.
    factor: Mat<f64>,
    half_log_det: f64,
}

impl Woodbury {
    fn new(log_sd: &[f64], columns: &[f64], r: usize) -> Result<Woodbury, InferenceError> {
        let d = log_sd.len();
        let precision: Vec<f64> = log_sd.iter().map(|l| (-2.0 * l).exp()).collect();
        let scaled: Vec<f64> =
            columns.iter().enumerate().map(|(k, u)| u * precision[k % d]).collect();
        let inner = Mat::from_fn(r, r, |i, k| {
            let products = columns[i * d..][..d].iter().zip(&scaled[k * d..]);
            f64::from(i == k) + products.map(|(u, s)| u * s).sum::<f64>()
        });
        let factor = inner.llt(Side::Lower).map_err(|_| {
            InferenceError::Breakdown("the covariance of the fit is not finite any more".into())
        })?;
        let factor = factor.L().to_owned();
        let half_log_det =
            log_sd.iter().sum::<f64>() + (0..r).map(|i| factor[(i, i)].ln()).sum::<f64>();
        Ok(Woodbury { precision, scaled, factor, half_log_det })
    }

    fn apply<E: Real>(&self, x: &mut [E]) {
        let (d, r) = (x.len(), self.factor.nrows());
        let row = |k: usize| &self.scaled[k * d..][..d];
        let mut along: Vec<f64> =
            (0..r).map(|k| row(k).iter().zip(&*x).map(|(s, x)| s * x.f64()).sum()).collect();
        for i in 0..r {
            let known: f64 = (0..i).map(|k| self.factor[(i, k)] * along[k]).sum();
            along[i] = (along[i] - known) / self.factor[(i, i)];
        }
        for i in (0..r).rev() {
            let known: f64 = (i + 1..r).map(|k| self.factor[(k, i)] * along[k]).sum();
            along[i] = (along[i] - known) / self.factor[(i, i)];
        }
        for (j, (x, p)) in x.iter_mut().zip(&self.precision).enumerate() {
            let shared: f64 = along.iter().enumerate().map(|(k, a)| a * row(k)[j]).sum();
            *x = E::of(x.f64() * p - shared);
        }
    }
}

/// `L⁻ᵀ x` for each row `x`, in place.
fn solve_transposed<E: Real>(rows: &mut [E], log_sd: &[E], below: &[f64]) {
    let d = log_sd.len();
    for x in rows.chunks_exact_mut(d) {
        for i in (0..d).rev() {
            x[i] *= (-log_sd[i]).exp();
            if !below.is_empty() {
                let solved = x[i];
                for (x, l) in x[..i].iter_mut().zip(&below[i * d..]) {
                    *x -= E::of(*l) * solved;
                }
            }
        }
    }
}

/// What changes from step to step besides the parameters.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
struct State<B: Backend> {
    rounds: Rounds<B>,
    rng: B::Normals,
}

/// Rounds of training, their averages and whether they agree.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
struct Rounds<B: Backend> {
    family: Family,
    agreement: f64,
    average: Average<B>,
    length: usize,
    done: usize,
    rate: f64,
    previous: Option<(Vec<f64>, Vec<f64>)>,
    divergence: Option<f64>,
    agreed: bool,
}

impl<B: Backend> Rounds<B> {
    fn new(family: Family, agreement: f64) -> Self {
        Rounds {
            family,
            agreement,
            average: Average::polyak(),
            length: FIRST_ROUND,
            done: 0,
            rate: 1.0,
            previous: None,
            divergence: None,
            agreed: false,
        }
    }

    /// Takes note of an iterate; at the end of a round the parameters become its average. Whether
    /// this round agrees with the one before.
    fn add(&mut self, parameters: &mut Parameters<B>) -> bool {
        self.done += 1;
        if 2 * self.done > self.length {
            self.average.add(parameters);
        }
        if self.done < self.length {
            return false;
        }
        self.average.store(parameters);
        self.average.clear();
        self.done = 0;
        let now = self.family.marginals(parameters);
        if let Some(before) = &self.previous {
            let divergence = largest_divergence(before, &now);
            self.divergence = Some(divergence);
            self.agreed = divergence <= self.agreement;
            if divergence < TRAVELLING {
                self.rate *= 0.5;
                self.length += self.length / 2;
            }
        }
        self.previous = Some(now);
        self.agreed
    }

    /// At the end of training: an unfinished round counts if it has begun to average.
    fn finish(&self, parameters: &mut Parameters<B>) {
        self.average.store(parameters);
    }
}

/// Largest symmetrised KL divergence of a coordinate, between Gaussians given as (mean, log sd).
pub(super) fn largest_divergence(a: &(Vec<f64>, Vec<f64>), b: &(Vec<f64>, Vec<f64>)) -> f64 {
    let mut largest = 0.0_f64;
    for j in 0..a.0.len() {
        let (va, vb) = ((2.0 * a.1[j]).exp(), (2.0 * b.1[j]).exp());
        let shift = (a.0[j] - b.0[j]).powi(2) * (1.0 / va + 1.0 / vb);
        largest = largest.max(0.5 * (va / vb + vb / va - 2.0 + shift));
    }
    largest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::density::Residuals;
    use crate::inference::bridge::Bridge;
    use crate::inference::{Settings, Silent};

    /// N(MEAN, L Lᵀ), up to its normaliser.
    struct Correlated;

    const MEAN: [f64; 3] = [0.5, -1.0, 0.2];
    const FACTOR: [f64; 9] = [1.2, 0.0, 0.0, -0.7, 0.6, 0.0, 0.3, 0.5, 0.8];

    impl Correlated {
        /// `−(L Lᵀ)⁻¹ x`.
        fn pull(x: &[f64], out: &mut [f64]) {
            let log_sd = [0, 4, 8].map(|k: usize| FACTOR[k].ln());
            let below: Vec<f64> =
                (0..9).map(|k| if k % 3 < k / 3 { FACTOR[k] } else { 0.0 }).collect();
            for i in 0..3 {
                let row: f64 = (0..i).map(|j| FACTOR[i * 3 + j] * out[j]).sum();
                out[i] = (x[i] - row) / FACTOR[i * 3 + i];
            }
            solve_transposed(out, &log_sd, &below);
            out.iter_mut().for_each(|o| *o = -*o);
        }
    }

    impl LogDensity<f64> for Correlated {
        fn dim(&self) -> usize {
            3
        }
        fn log_density(&self, z: &[f64], log_p: &mut [f64]) {
            let mut score = vec![0.0; z.len()];
            self.score(z, log_p, &mut score);
        }
        fn score(&self, z: &[f64], log_p: &mut [f64], score: &mut [f64]) {
            let rows = z.chunks_exact(3).zip(score.chunks_exact_mut(3));
            for ((z, g), l) in rows.zip(log_p) {
                let x: Vec<f64> = z.iter().zip(MEAN).map(|(z, m)| z - m).collect();
                Self::pull(&x, g);
                *l = 0.5 * x.iter().zip(g).map(|(x, g)| x * *g).sum::<f64>();
            }
        }
        fn hvp(&self, _: &Residuals<f64>, v: &[f64], out: &mut [f64]) {
            for (v, o) in v.chunks_exact(3).zip(out.chunks_exact_mut(3)) {
                Self::pull(v, o);
            }
        }
    }

    #[test]
    fn a_full_rank_ascent_from_the_standard_normal_finds_every_correlation() {
        let density: Arc<dyn LogDensity<f64>> = Arc::new(Correlated);
        let config = Config::new(&Settings::default()).unwrap();
        let fit = ascend::<f64>(
            &density,
            Bridge::new(&density),
            Rank::Full,
            &[],
            &config,
            "ascent-test",
            &mut Silent,
        )
        .unwrap();
        assert!(fit.converged);
        for i in 0..3 {
            assert!((fit.mean[i] - MEAN[i]).abs() < 0.02, "{fit:?}");
            for j in 0..=i {
                let l = if i == j { fit.log_sd[i].exp() } else { fit.rest[i * 3 + j] };
                assert!((l - FACTOR[i * 3 + j]).abs() < 0.02, "{i} {j}: {l}");
            }
        }
        let exact = evidence();
        let last = fit.training.objective.last().unwrap();
        assert!((last - exact).abs() < 0.02, "{last} {exact}");
    }

    /// `½ log |2π Σ|`: the bound's value where the family has the posterior.
    fn evidence() -> f64 {
        [0, 4, 8].iter().map(|k| FACTOR[*k].ln()).sum::<f64>()
            + 1.5 * (2.0 * std::f64::consts::PI).ln()
    }

    #[test]
    fn a_low_rank_ascent_finds_them_in_as_many_directions_as_it_takes() {
        let density: Arc<dyn LogDensity<f64>> = Arc::new(Correlated);
        let config = Config::new(&Settings::default()).unwrap();
        let columns: Vec<f64> = (0..6).map(|k| 0.1 * f64::from(k + 1).sin()).collect();
        let low = Rank::Low(2);
        let fit = ascend::<f64>(
            &density,
            Bridge::new(&density),
            low,
            &columns,
            &config,
            "ascent-test",
            &mut Silent,
        )
        .unwrap();
        assert!(fit.converged);
        let covariance = |i: usize, j: usize| {
            let diagonal = if i == j { (2.0 * fit.log_sd[i]).exp() } else { 0.0 };
            diagonal + (0..2).map(|k| fit.rest[k * 3 + i] * fit.rest[k * 3 + j]).sum::<f64>()
        };
        let exact = |i: usize, j: usize| -> f64 {
            (0..3).map(|k| FACTOR[i * 3 + k] * FACTOR[j * 3 + k]).sum()
        };
        for (i, mean) in MEAN.iter().enumerate() {
            assert!((fit.mean[i] - mean).abs() < 0.03, "{fit:?}");
            for j in 0..=i {
                let (ours, theirs) = (covariance(i, j), exact(i, j));
                assert!((ours - theirs).abs() < 0.06, "{i} {j}: {ours} {theirs}");
            }
        }
        let last = fit.training.objective.last().unwrap();
        assert!((last - evidence()).abs() < 0.02, "{last}");
    }
}
