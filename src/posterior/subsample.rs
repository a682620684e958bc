//! The log joint over a random part of the data: an unbiased estimate whose cost does not depend on how
//! much data there is.
//!
//! A density sees one of three parts (see [`Part`]): a fresh random subset of the rows for each
//! iteration of training, drawn without replacement; one larger subset for what must be the same from
//! one evaluation to the next; or all of the data. Up to [`LARGE`] rows, the last two are all rows.
//! Beyond that, all of the data is read once, at one point, the centre; differences from there are
//! those of the large subset, corrected to the value and gradient of the whole: a second-order control
//! variate [quiroz2019, sec. 3]. Once there is a centre, fresh subsets are corrected in the same way.
//! Their gradients then err in proportion to the distance from the centre, which near the posterior of
//! `N` rows is of order `1/√N`: of `n` rows the noise is `1/√n` posterior standard deviations instead of
//! `√(N/n)`.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::density::{LogDensity, Part, Residuals, Scalars};
use crate::diagnostics::{Code, Diagnostic};
use crate::exec::density::{CompiledDensity, Holding};
use crate::exec::element::Element;
use crate::ir::{Function, Tensor};
use crate::lower::{self, Dimension, Lowered};
use crate::passes;
use crate::passes::subsample::{Coupled, Subsampling};
use crate::random::stream;
use crate::source::SourceMap;

use super::compile::differentiated;
use super::density::Origin;

/// Rows of the large part.
const LARGE: usize = 100_000;

/// What to subsample.
#[derive(Debug, Clone)]
pub struct Minibatch {
    /// The dimension that the rows run over.
    pub dimension: Dimension,
    /// Rows of an iteration, at least 1 and at most all.
    pub size: usize,
    /// Seed of the choice of rows.
    pub seed: u64,
}

/// The log joint over rows, for some number of them.
#[derive(Debug)]
pub(super) struct Over {
    rows: usize,
    pub(super) log_joint: Function,
    pub(super) hvp: Function,
}

/// What densities of both precisions share.
#[derive(Debug)]
pub(super) struct Subsampled {
    subsampling: Subsampling,
    minibatch: Minibatch,
    pub(super) small: Over,
    large: OnceLock<Over>,
    pub(super) origin: Origin,
}

impl Subsampled {
    /// Takes the log joint apart.
    ///
    /// # Errors
    /// E0520 at the statement that is no sum over the dimension; E0509 as for any posterior.
    pub(super) fn new(
        lowered: &Arc<Lowered>,
        minibatch: Minibatch,
        sources: &SourceMap,
    ) -> Result<Self, Box<Diagnostic>> {
        let mut f = lowered.function.clone();
        let outputs = std::iter::once(0).chain(lowered.terms.iter().map(|t| t.output));
        f.outputs = outputs.map(|i| lowered.function.outputs[i].clone()).collect();
        let f = passes::optimize(&f);
        let theta = f.input(lower::UNCONSTRAINED).expect("lowered for unconstrained parameters");
        let numbers = |input: &crate::ir::Input| {
            let data = lowered.data.iter().find(|(name, _)| *name == input.name);
            match data {
                Some((_, tensor)) => Tensor::new(input.ty.clone(), tensor.data.clone()),
                // The parameters, or the key of random numbers: not read by data.
                None => Tensor::new(input.ty.clone(), vec![0.0; input.ty.len()]),
            }
        };
        let inputs: Vec<Tensor> = f.inputs.iter().map(numbers).collect();
        // A prior may well depend on an average of the data.
        let is_prior = |span| lowered.params.iter().any(|p| p.span == span);
        let terms: Vec<usize> = (0..lowered.terms.len())
            .filter(|&i| !is_prior(lowered.terms[i].span))
            .map(|i| i + 1)
            .collect();
        let subsampling =
            Subsampling::new(&f, theta, &inputs, &minibatch.dimension.axes, &terms)
                .map_err(|coupled| refusal(&f, lowered, &minibatch.dimension, &coupled))?;
        let small = Over::new(&subsampling, minibatch.size)?;
        let origin = Origin::new(&small.log_joint, lowered, sources);
        Ok(Subsampled { subsampling, minibatch, small, large: OnceLock::new(), origin })
    }

    fn large(&self) -> &Over {
        let rows = LARGE.min(self.minibatch.dimension.length);
        let over = || Over::new(&self.subsampling, rows).expect("differentiable for any size");
        self.large.get_or_init(over)
    }

    /// The numbers of the held inputs for these rows, each with that weight.
    fn held<E: Element>(&self, rows: &[usize], weights: Vec<E>) -> Vec<Vec<E>> {
        let column = |column: &passes::subsample::Column| {
            let mut out = Vec::new();
            column.gather(rows, E::of, &mut out);
            out
        };
        std::iter::once(weights).chain(self.subsampling.columns().map(column)).collect()
    }

    /// A random choice of `n` rows, in order, each weighted by what it stands for.
    fn choice<E: Element>(&self, n: usize, name: &str) -> Vec<Vec<E>> {
        let length = self.minibatch.dimension.length;
        let rows: Vec<usize> = if n == length {
            (0..length).collect()
        } else {
            let mut rng = stream(self.minibatch.seed, name);
            let mut rows = rand::seq::index::sample(&mut rng, length, n).into_vec();
            rows.sort_unstable();
            rows
        };
        #[allow(clippy::cast_precision_loss, reason = "row counts are far below 2^53")]
        let weight = E::of(length as f64 / n as f64);
        self.held(&rows, vec![weight; n])
    }
}

impl Over {
    fn new(subsampling: &Subsampling, rows: usize) -> Result<Self, Box<Diagnostic>> {
        let log_joint = passes::optimize(&subsampling.function(rows));
        let hvp = differentiated(&log_joint)?;
        Ok(Over { rows, log_joint, hvp })
    }
}

fn refusal(
    f: &Function,
    lowered: &Lowered,
    dimension: &Dimension,
    coupled: &Coupled,
) -> Box<Diagnostic> {
    let has = |output: usize| f.needed_for([f.outputs[output].value])[coupled.value.index()];
    // The likelihood's statement before the prior of a parameter that is part of it.
    let is_prior = |&i: &usize| lowered.params.iter().any(|p| p.span == lowered.terms[i - 1].span);
    let (priors, others): (Vec<usize>, Vec<usize>) =
        (1..f.outputs.len()).filter(|&i| has(i)).partition(is_prior);
    let term = others.first().or(priors.first()).map(|i| &lowered.terms[i - 1]);
    let place = f.inst(coupled.value).span;
    let span = term.map(|t| t.span).or(place).expect("lowered instructions have a place");
    let name = &dimension.name;
    let error = Diagnostic::error(
        Code::E0520,
        span,
        format!("the log joint cannot be subsampled over `{name}`"),
        format!("this is no sum over the elements of `{name}`: it {}", coupled.why),
    );
    let error = match place.filter(|place| *place != span && place.file == span.file) {
        Some(place) => error.with_label(place, "here"),
        None => error,
    };
    Box::new(error.with_help("run without --minibatch, or subsample another dimension"))
}

/// A subsampled density.
#[derive(Debug)]
pub(super) struct SubsampledDensity<E> {
    shared: Arc<Subsampled>,
    small: OnceLock<CompiledDensity<E>>,
    large: OnceLock<CompiledDensity<E>>,
    seen: Mutex<Seen<E>>,
}

/// What a density sees at present.
#[derive(Debug, Clone)]
struct Seen<E> {
    is_small: bool,
    /// Filled when it is first needed.
    held: Option<Arc<Vec<Vec<E>>>>,
    /// The value and slope of all of the data at a point.
    centre: Option<Arc<Expansion>>,
    /// What all of the data adds to the part that is seen, around that point.
    correction: Option<Arc<Expansion>>,
}

/// A log density to first order around a point.
#[derive(Debug)]
struct Expansion {
    at: Vec<f64>,
    value: f64,
    slope: Vec<f64>,
}

impl Expansion {
    fn is_finite(&self) -> bool {
        self.value.is_finite() && self.slope.iter().all(|s| s.is_finite())
    }
}

impl<E: Element> SubsampledDensity<E> {
    pub(super) fn new(shared: &Arc<Subsampled>) -> Self {
        SubsampledDensity {
            shared: Arc::clone(shared),
            small: OnceLock::new(),
            large: OnceLock::new(),
            seen: Mutex::new(Seen { is_small: false, held: None, centre: None, correction: None }),
        }
    }

    fn large(&self) -> &CompiledDensity<E> {
        self.large.get_or_init(|| CompiledDensity::new(&self.shared.large().hvp))
    }

    fn small(&self) -> &CompiledDensity<E> {
        self.small.get_or_init(|| CompiledDensity::new(&self.shared.small.hvp))
    }

    /// What it sees, with its rows at hand.
    fn seen(&self) -> (Seen<E>, Arc<Vec<Vec<E>>>) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let held = seen.held.get_or_insert_with(|| {
            Arc::new(self.shared.choice(self.shared.large().rows, "large part"))
        });
        let held = Arc::clone(held);
        (seen.clone(), held)
    }

    fn replace(&self, seen: Seen<E>) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = seen;
    }

    /// Calls `evaluate` with the density of the part that is seen, and what is to be added to it.
    fn with<T>(&self, evaluate: impl FnOnce(Holding<'_, E>, Option<&Expansion>) -> T) -> T {
        let (seen, held) = self.seen();
        let density = if seen.is_small { self.small() } else { self.large() };
        evaluate(density.holding(&held), seen.correction.as_deref())
    }

    fn is_all(&self) -> bool {
        self.shared.large().rows == self.shared.minibatch.dimension.length
    }

    /// Value and slope of all of the data at one point, part by part.
    fn whole(&self, point: &[f64]) -> Expansion {
        let at: Vec<E> = point.iter().map(|x| E::of(*x)).collect();
        let (length, n) = (self.shared.minibatch.dimension.length, self.shared.large().rows);
        let (mut log_p, mut score) = ([E::zero()], vec![E::zero(); at.len()]);
        let (mut value, mut slope) = (0.0, vec![0.0; at.len()]);
        let mut add = |rows: &[usize], weights: Vec<E>, sign: f64| {
            let held = self.shared.held(rows, weights);
            self.large().holding(&held).score(&at, &mut log_p, &mut score);
            value += sign * log_p[0].f64();
            slope.iter_mut().zip(&score).for_each(|(s, g)| *s += sign * g.f64());
        };
        let mut parts = 0;
        for start in (0..length).step_by(n) {
            // The last part is filled up with its first row, of weight 0.
            let row = |i: usize| if start + i < length { start + i } else { start };
            let rows: Vec<usize> = (0..n).map(row).collect();
            let weight = |i: usize| if start + i < length { E::one() } else { E::zero() };
            add(&rows, (0..n).map(weight).collect(), 1.0);
            parts += 1;
        }
        // What does not belong to rows was counted with each part.
        if parts > 1 {
            let rows: Vec<usize> = (0..n).collect();
            add(&rows, vec![E::zero(); n], -f64::from(parts - 1));
        }
        Expansion { at: point.to_vec(), value, slope }
    }

    /// What all of the data adds to the part that is seen.
    fn correction(&self, centre: &Expansion) -> Expansion {
        let at: Vec<E> = centre.at.iter().map(|x| E::of(*x)).collect();
        let (mut log_p, mut score) = ([E::zero()], vec![E::zero(); at.len()]);
        self.with(|density, _| density.score(&at, &mut log_p, &mut score));
        let slope = centre.slope.iter().zip(&score).map(|(s, g)| s - g.f64()).collect();
        Expansion { at: centre.at.clone(), value: centre.value - log_p[0].f64(), slope }
    }

    /// The value and slope of all of the data at a point; `None` where they are not finite.
    fn centre(&self, at: &[f64]) -> Option<Arc<Expansion>> {
        let before = self.seen.lock().unwrap_or_else(PoisonError::into_inner).centre.clone();
        if before.as_ref().is_some_and(|c| c.at == at) {
            return before;
        }
        Some(Arc::new(self.whole(at))).filter(|centre| centre.is_finite())
    }
}

impl<E: Element> LogDensity<E> for SubsampledDensity<E> {
    fn dim(&self) -> usize {
        self.shared.origin.dim()
    }

    fn log_density(&self, z: &[E], log_p: &mut [E]) {
        self.with(|density, correction| {
            density.log_density(z, log_p);
            correct_value(correction, z, log_p);
        });
    }

    fn score(&self, z: &[E], log_p: &mut [E], score: &mut [E]) {
        self.with(|density, correction| {
            density.score(z, log_p, score);
            correct_value(correction, z, log_p);
            correct_slope(correction, score);
        });
    }

    fn score_keep(&self, z: &[E], score: &mut [E], keep: &mut Residuals<E>) {
        self.with(|density, correction| {
            density.score_keep(z, score, keep);
            correct_slope(correction, score);
        });
    }

    fn hvp(&self, residuals: &Residuals<E>, v: &[E], out: &mut [E]) {
        self.with(|density, _| density.hvp(residuals, v, out));
    }

    fn see(&self, part: Part<'_>) {
        let centre = match part {
            Part::Large => None,
            Part::Whole(at) => self.centre(at),
            Part::Fresh(_) => {
                self.seen.lock().unwrap_or_else(PoisonError::into_inner).centre.clone()
            }
        };
        let (is_small, held) = match part {
            Part::Fresh(number) => {
                let rows = self.shared.minibatch.size;
                (true, Some(Arc::new(self.shared.choice(rows, &format!("minibatch {number}")))))
            }
            Part::Large | Part::Whole(_) => (false, None),
        };
        self.replace(Seen { is_small, held, centre: centre.clone(), correction: None });
        if let Some(centre) = centre.filter(|_| is_small || !self.is_all()) {
            let correction = Some(Arc::new(self.correction(&centre)));
            let (seen, _) = self.seen();
            self.replace(Seen { correction, ..seen });
        }
    }

    fn estimate(&self) -> Option<String> {
        let dimension = &self.shared.minibatch.dimension;
        (!self.is_all()).then(|| {
            format!(
                "Log densities of draws are estimated from {} of the {} elements of `{}`, corrected \
                 to value and gradient of all of them at the centre of the fit.",
                self.shared.large().rows,
                dimension.length,
                dimension.name
            )
        })
    }

    fn coordinate_name(&self, index: usize) -> String {
        self.shared.origin.coordinate_name(index)
    }

    fn parameters(&self, z: &[E]) -> Scalars {
        self.shared.origin.parameters(z)
    }

    fn explain_non_finite(&self, z: &[E]) -> Option<String> {
        // On a part of the small size, for which the functions of `origin` are.
        let (seen, held) = self.seen();
        let held = if seen.is_small {
            held
        } else {
            Arc::new(self.shared.choice(self.shared.minibatch.size, "explanation"))
        };
        let wide = |x: &[E]| x.iter().map(|x| x.f64()).collect::<Vec<f64>>();
        let f = &self.shared.small.log_joint;
        let tensors: Vec<Tensor> = std::iter::once(z)
            .chain(held.iter().map(Vec::as_slice))
            .zip(&f.inputs)
            .map(|(x, input)| Tensor::new(input.ty.clone(), wide(x)))
            .collect();
        self.shared.origin.first_non_finite(&tensors)
    }
}

fn correct_value<E: Element>(correction: Option<&Expansion>, z: &[E], log_p: &mut [E]) {
    let Some(c) = correction else { return };
    for (z, l) in z.chunks_exact(c.at.len()).zip(log_p) {
        let along = z.iter().zip(&c.at).zip(&c.slope).map(|((z, at), s)| (z.f64() - at) * s);
        *l += E::of(c.value + along.sum::<f64>());
    }
}

fn correct_slope<E: Element>(correction: Option<&Expansion>, score: &mut [E]) {
    let Some(c) = correction else { return };
    for row in score.chunks_exact_mut(c.at.len()) {
        row.iter_mut().zip(&c.slope).for_each(|(g, s)| *g += E::of(*s));
    }
}
