//! The compiled log joint with what it knows about the model: names of coordinates, and where in the
//! source a number stopped being finite.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use crate::autodiff;
use crate::density::{LogDensity, Residuals, Scalars};
use crate::exec::density::CompiledDensity;
use crate::exec::element::Element;
use crate::exec::reference;
use crate::ir::{Function, Tensor, Type};
use crate::lower::{Lowered, Param, Role};
use crate::source::{SourceMap, Span};

use super::constrain::Values;

/// What both precisions share.
#[derive(Debug)]
pub(super) struct Origin {
    log_joint: Function,
    lowered: Arc<Lowered>,
    /// The parameters' values, as soon as somebody asks for them.
    values: OnceLock<Values>,
    coordinates: Vec<String>,
    places: HashMap<Span, String>,
}

impl Origin {
    /// Names the coordinates of a model and the places of the instructions of its `log_joint`.
    pub(super) fn new(log_joint: &Function, lowered: &Arc<Lowered>, sources: &SourceMap) -> Self {
        let coordinates = lowered.params.iter().flat_map(coordinate_names).collect();
        let spans = log_joint.insts.iter().filter_map(|inst| inst.span);
        let places = spans
            .map(|span| {
                let at = sources.location(span);
                let name = sources.name(span.file);
                (span, format!("{name}:{}:{}: `{}`", at.line, at.column, sources.slice(span)))
            })
            .collect();
        Origin {
            log_joint: log_joint.clone(),
            lowered: Arc::clone(lowered),
            values: OnceLock::new(),
            coordinates,
            places,
        }
    }

    /// The dimension of the unconstrained space.
    pub(super) fn dim(&self) -> usize {
        self.coordinates.len()
    }

    /// What people call a coordinate.
    pub(super) fn coordinate_name(&self, index: usize) -> String {
        self.coordinates[index].clone()
    }

    /// The parameters at the points `z: [S, D]`.
    pub(super) fn parameters<E: Element>(&self, z: &[E]) -> Scalars {
        let values = self
            .values
            .get_or_init(|| Values::generated(&self.lowered, &[Role::Param], "parameters"));
        let z: Vec<f64> = z.iter().map(|x| x.f64()).collect();
        let points = z.len() / self.dim().max(1);
        let variables = values.at(&z, points, 1, 0).variables;
        let names = variables.iter().flat_map(|v| (0..v.size()).map(|i| v.element_name(i)));
        let row = |s: usize| {
            variables.iter().flat_map(move |v| &v.values[s * v.size()..(s + 1) * v.size()]).copied()
        };
        Scalars { names: names.collect(), values: (0..points).flat_map(row).collect() }
    }

    /// The place where the first number that is not finite arises at these inputs, in the log joint or
    /// else in its gradient: the root of zero is finite, its slope is not.
    pub(super) fn first_non_finite(&self, inputs: &[Tensor]) -> Option<String> {
        let place = |f: &Function| {
            let value = reference::first_non_finite(f, inputs)?;
            self.places.get(&f.inst(value).span?).cloned()
        };
        place(&self.log_joint).or_else(|| {
            let gradient = autodiff::gradient(&self.log_joint, 0).ok()?;
            place(&gradient).map(|at| format!("the slope at {at}"))
        })
    }
}

/// A compiled density that can name its coordinates and explain itself.
#[derive(Debug)]
pub(super) struct ModelDensity<E> {
    hvp: Arc<Function>,
    /// `hvp` compiled, as soon as somebody evaluates it: few runs need both precisions.
    compiled: OnceLock<CompiledDensity<E>>,
    origin: Arc<Origin>,
}

impl<E: Element> ModelDensity<E> {
    /// The density whose log joint, score and product `hvp` gives.
    pub(super) fn new(hvp: &Arc<Function>, origin: &Arc<Origin>) -> Self {
        let (hvp, origin) = (Arc::clone(hvp), Arc::clone(origin));
        ModelDensity { hvp, compiled: OnceLock::new(), origin }
    }

    fn compiled(&self) -> &CompiledDensity<E> {
        self.compiled.get_or_init(|| CompiledDensity::new(&self.hvp))
    }
}

impl<E: Element> LogDensity<E> for ModelDensity<E> {
    fn dim(&self) -> usize {
        self.origin.dim()
    }

    fn log_density(&self, z: &[E], log_p: &mut [E]) {
        self.compiled().log_density(z, log_p);
    }

    fn score(&self, z: &[E], log_p: &mut [E], score: &mut [E]) {
        self.compiled().score(z, log_p, score);
    }

    fn score_keep(&self, z: &[E], score: &mut [E], keep: &mut Residuals<E>) {
        self.compiled().score_keep(z, score, keep);
    }

    fn hvp(&self, residuals: &Residuals<E>, v: &[E], out: &mut [E]) {
        self.compiled().hvp(residuals, v, out);
    }

    fn coordinate_name(&self, index: usize) -> String {
        self.origin.coordinate_name(index)
    }

    fn parameters(&self, z: &[E]) -> Scalars {
        self.origin.parameters(z)
    }

    fn explain_non_finite(&self, z: &[E]) -> Option<String> {
        let z: Vec<f64> = z.iter().map(|x| x.f64()).collect();
        let theta = Tensor::new(Type::real([z.len()].as_slice()), z);
        self.origin.first_non_finite(&[theta])
    }
}

/// `mu`, `b[3]`, `tau on its unconstrained scale`.
fn coordinate_names(param: &Param) -> Vec<String> {
    let plain = matches!(param.transform, "identity" | "affine");
    let elementwise = param.len == param.shape.iter().product::<usize>();
    let scale = if plain { "" } else { " on its unconstrained scale" };
    (0..param.len)
        .map(|i| {
            if param.shape.is_empty() {
                return format!("{}{scale}", param.name);
            }
            if !elementwise {
                return format!("{}{scale} ({} of {})", param.name, i + 1, param.len);
            }
            let index: Vec<String> =
                crate::data::unravel(&param.shape, i).iter().map(usize::to_string).collect();
            format!("{}[{}]{scale}", param.name, index.join(", "))
        })
        .collect()
}
