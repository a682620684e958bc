//! Typed tree + data → IR of the log joint over the unconstrained parameters.
//!
//! In:  a checked model and a data set.
//! Out: one [`Function`] with an input for every data field and `theta: real[D]` (or, for
//!      constrained points, one input for each parameter), and outputs for the log joint, its
//!      Jacobian part, each term, and each variable that a draw reports.
//!
//! Not here: differentiation (`autodiff`), choosing outputs and folding data (`posterior`).
//!
//! Invariant: each instruction carries the span of the source it came from.

mod builtin;
mod combined;
mod coupled;
mod data;
mod dependence;
mod dimension;
mod dist;
mod domain;
mod elements;
mod eliminate;
mod expr;
mod index;
mod inverse;
mod latent_draw;
mod latents;
mod lengths;
mod linear;
mod lowerer;
mod missing;
mod quantile;
mod random;
mod recursion;
mod rewrite;
mod sample;
mod solver;
mod statement;
mod steps;
mod transform;
mod value;
mod walk;

use std::collections::HashMap;

use crate::check::typed::{Decl, LetValue, Model, Scalar, Stage, Var, VarId, VarKind};
use crate::data::DataSet;
use crate::diagnostics::{Diagnostic, Outcome};
use crate::ir::{Function, Shape, Tensor, Type, ValueId, num_elements};
use crate::source::Span;

pub use dimension::{Dimension, dimension};
use lowerer::Lowerer;
pub(crate) use random::KEY;
use transform::Shapes;
use value::Val;

/// What lowering one construct gives, or the first error in it.
type Lower<T> = Result<T, Box<Diagnostic>>;

/// Which space the parameters of the lowered function live in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Space {
    /// One input `theta: real[D]`; the log joint includes the log Jacobian of the transforms.
    Unconstrained,
    /// One input for each parameter in order of declaration; no Jacobian. A further output
    /// `unconstrained: real[D]` has the point's place in the other space.
    Constrained,
}

/// The input with the unconstrained reals.
pub(crate) const UNCONSTRAINED: &str = "theta";

/// The input that holds a variable's numbers: of its name, unless that is the unconstrained reals'.
fn input_name(variable: &str) -> String {
    if variable == UNCONSTRAINED { format!("{variable}.data") } else { variable.into() }
}

/// A lowered model.
#[derive(Debug, Clone)]
pub struct Lowered {
    /// Inputs: data fields and parameters. Outputs: `log_joint`, `log_jacobian`, then one for each
    /// term and each variable, at the indices that those say.
    pub function: Function,
    /// The data, by input name.
    pub data: Vec<(String, Tensor)>,
    /// Parameters in order of declaration.
    pub params: Vec<Param>,
    /// Summands of the log joint.
    pub terms: Vec<Term>,
    /// What a draw reports: parameters, parameter-dependent `let`s, `gen`s.
    pub variables: Vec<Variable>,
    /// Discrete latents, summed out.
    pub latents: Vec<Latent>,
    /// Index of the output with the unconstrained reals, in constrained space.
    pub unconstrained: Option<usize>,
    /// Integers that the data fixes: sizes, `data n: int`.
    pub sizes: HashMap<VarId, i64>,
    /// In constrained space, the output that counts the elements of parameters outside of their
    /// declared support, where the log joint is −∞ whatever its formula gives.
    pub outside: Option<usize>,
}

/// Where a parameter lives in the unconstrained vector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Param {
    /// Its name.
    pub name: String,
    /// Shape of its constrained value.
    pub shape: Shape,
    /// First index of its unconstrained reals.
    pub start: usize,
    /// Number of its unconstrained reals.
    pub len: usize,
    /// Name of its transform.
    pub transform: &'static str,
    /// Where it is declared.
    pub span: Span,
}

/// A summand of the log joint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// The statement or declaration it comes from.
    pub span: Span,
    /// The data variable that it is the likelihood of.
    pub observed: Option<String>,
    /// Index of its output, which holds the elements before they are summed.
    pub output: usize,
}

/// A discrete latent that was summed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Latent {
    /// Its name.
    pub name: String,
    /// Its shape.
    pub shape: Shape,
    /// The input, zeros `[elements, values]`, in which the derivative of the log joint is the posterior
    /// probability of each value.
    pub probe: usize,
    /// Number of its values.
    pub values: usize,
}

/// What kind of declaration a variable of a draw comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A `param`.
    Param,
    /// A `let` that depends on parameters.
    Let,
    /// A `gen`, computed for each draw after inference.
    Gen,
    /// A drawn copy of an observed variable.
    Predicted,
}

impl Role {
    /// The keyword that declares it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Param => "param",
            Role::Let => "let",
            Role::Gen => "gen",
            Role::Predicted => "predicted",
        }
    }
}

/// A variable that a draw reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its shape.
    pub shape: Shape,
    /// What it is.
    pub role: Role,
    /// Index of its output.
    pub output: usize,
}

/// What the data makes of the model's whole numbers of the data stage, sizes among them, and what is wrong
/// with the two together: the part of [`lower`] that needs no parameter.
#[must_use]
pub fn sizes(model: &Model, data: &DataSet) -> Outcome<HashMap<VarId, i64>> {
    let mut l = Lowerer::new(model, data);
    let mut errors = Vec::new();
    let shapes = known_stage(&mut l, model, data, &mut errors);
    errors.extend(too_many(model, &shapes, data.limit()));
    Outcome::new(l.known_sizes(), errors)
}

/// Lowers a checked model with its data.
#[must_use]
pub fn lower(model: &Model, data: &DataSet, space: Space) -> Outcome<Lowered> {
    let mut l = Lowerer::new(model, data);
    let mut errors = Vec::new();
    let shapes = known_stage(&mut l, model, data, &mut errors);
    errors.extend(too_many(model, &shapes, data.limit()));
    if !errors.is_empty() {
        return Outcome::failed(errors);
    }
    let sizes = l.known_sizes();
    match parameter_stage(&mut l, model, &shapes, space) {
        Ok(lowered) => Outcome::new(finish(l, lowered, sizes), Vec::new()),
        Err(error) => Outcome::failed(vec![*error]),
    }
}

/// Data, what depends on data only, and the sizes of the parameters. Goes on after an error, so that
/// everything wrong with a data file is said at once.
fn known_stage(
    l: &mut Lowerer<'_>,
    model: &Model,
    data: &DataSet,
    errors: &mut Vec<Diagnostic>,
) -> Vec<(VarId, Shapes)> {
    let mut origins = data::SizeOrigins::new();
    let mut shapes = Vec::new();
    let mut later = Vec::new();
    for decl in &model.decls {
        let result = match decl {
            Decl::Data { var, support, default } => {
                l.bind(*var, support, default.as_ref(), data, &mut origins).and_then(|()| {
                    if l.bounds_known(support) {
                        return l.check_bound(*var, support, data);
                    }
                    later.push((*var, support));
                    Ok(())
                })
            }
            Decl::Missing { var, support } => {
                shapes.extend(l.missing_shapes(*var, support));
                Ok(())
            }
            Decl::Let { var, value } if model.var(*var).stage == Stage::Data => {
                // What an earlier error leaves undefined would only repeat it.
                if !errors.is_empty() {
                    continue;
                }
                l.at(model.var(*var).span, |l| {
                    let v = l.let_value(*var, value)?;
                    l.define(*var, v);
                    Ok(())
                })
            }
            Decl::Param { var, support, span, .. } => {
                if !errors.is_empty() {
                    continue;
                }
                l.at(*span, |l| l.support_shapes(support)).map(|s| shapes.push((*var, s)))
            }
            Decl::Recursion(lets) if of_data(model, lets) && errors.is_empty() => {
                l.at(model.var(lets[0].0).span, |l| {
                    let values = l.coupled(lets)?;
                    lets.iter().zip(values).for_each(|((var, _), v)| l.define(*var, v));
                    Ok(())
                })
            }
            Decl::Let { .. }
            | Decl::Recursion(_)
            | Decl::Constraint { .. }
            | Decl::Marginal { .. }
            | Decl::Stmt(_) => Ok(()),
        };
        if let Err(error) = result {
            errors.push(*error);
        }
    }
    for (var, support) in later {
        if errors.is_empty()
            && let Err(error) = l.check_bound(var, support, data)
        {
            errors.push(*error);
        }
    }
    shapes
}

/// Everything that depends on parameters.
fn parameter_stage(
    l: &mut Lowerer<'_>,
    model: &Model,
    shapes: &[(VarId, Shapes)],
    space: Space,
) -> Lower<Parts> {
    let mut parts = Parts::default();
    let order = declared_order(model, shapes);
    let (starts, total) = layout(shapes, &order);
    let mut inputs = Vec::new();
    let theta = match space {
        Space::Unconstrained => Some(l.b.input(UNCONSTRAINED, Type::real([total].as_slice()))),
        Space::Constrained => {
            inputs.resize(shapes.len(), None);
            for &i in &order {
                let var = model.var(shapes[i].0);
                let ty = Type::real(shapes[i].1.shape());
                let name = l.param_name(shapes[i].0);
                inputs[i] = Some(l.at(var.span, |l| l.b.input(name, ty)));
            }
            None
        }
    };
    let mut free = vec![None; inputs.len()];
    let mut next = shapes.iter().zip(starts).enumerate();
    for decl in &model.decls {
        match decl {
            Decl::Data { .. } => {}
            Decl::Missing { var, .. } if !l.missing.contains_key(var) => {}
            Decl::Missing { var, support } if model.var(*var).ty.scalar() != Some(Scalar::Real) => {
                let span = model.var(*var).span;
                l.at(span, |l| l.declare_latent(*var, support, span))?;
            }
            Decl::Missing { var, support } => {
                let (i, ((_, shapes), start)) = next.next().expect("every parameter has its sizes");
                let entry = model.var(*var);
                let name = l.param_name(*var);
                let x = l.at(entry.span, |l| -> Lower<Val> {
                    let [lower, upper] = l.missing_bounds(*var, support)?;
                    let ends = [lower.as_ref(), upper.as_ref(), None, None];
                    let Some(theta) = theta else {
                        let x = Val::plain(inputs[i].expect("one for each parameter"));
                        let u = l.free_scalar(&x, ends)?;
                        free[i] = Some(l.reshape_own(&u, &[shapes.size()]).id);
                        return Ok(x);
                    };
                    let u = Val::plain(l.b.slice(theta, &[start], &[start + shapes.size()]));
                    let (x, log_j) = l.constrain_scalars(&shapes.array, ends, &u)?;
                    parts.jacobian.extend(log_j);
                    Ok(x)
                })?;
                l.at(entry.span, |l| l.define_with_missing(*var, &x));
                parts.add_param(name, shapes, start, entry.span, x);
            }
            Decl::Param { var, support, prior, span } => {
                let (i, ((_, shapes), start)) = next.next().expect("every parameter has its sizes");
                let name = l.param_name(*var);
                let value = l.at(*span, |l| -> Lower<Val> {
                    match theta {
                        Some(theta) => {
                            let u = l.b.slice(theta, &[start], &[start + shapes.size()]);
                            let (x, log_j) = l.constrain(support, shapes, &Val::plain(u))?;
                            parts.jacobian.extend(log_j);
                            Ok(x)
                        }
                        None => {
                            let x = Val::plain(inputs[i].expect("one for each parameter"));
                            free[i] = Some(l.unconstrain(support, shapes, &x)?.id);
                            parts.outside.push(l.count_outside(support, &x)?);
                            Ok(x)
                        }
                    }
                })?;
                l.define(*var, value.clone());
                parts.add_param(name, shapes, start, *span, value.clone());
                if let Some(prior) = prior {
                    let mut add = |l: &mut Lowerer<'_>| l.tilde(&value, prior, *span, None);
                    l.at(*span, |l| match l.latents.in_dist(prior) {
                        true => l.latent_stmt(&mut add),
                        false => add(l),
                    })?;
                }
            }
            Decl::Let { var, value } => {
                let entry = model.var(*var);
                if entry.stage == Stage::Data {
                    if entry.kind == VarKind::Gen {
                        let v = l.env[var].clone();
                        parts.variables.push((entry.span, entry.name.clone(), Role::Gen, v));
                    }
                    continue;
                }
                if l.latents.in_let(value) {
                    l.at(entry.span, |l| match entry.kind {
                        VarKind::Gen => {
                            l.latent_gen(*var, value);
                            Ok(())
                        }
                        _ => l.latent_let(*var, value),
                    })?;
                    continue;
                }
                let v = l.at(entry.span, |l| l.let_value(*var, value))?;
                l.define(*var, v.clone());
                parts.add_let(entry, v);
            }
            Decl::Recursion(lets) if of_data(model, lets) => {}
            Decl::Recursion(lets) => {
                let values = l.at(model.var(lets[0].0).span, |l| {
                    if lets.iter().any(|(_, value)| l.latents.in_let(value)) {
                        return Err(l.not_yet("a recursion of several arrays over a `marginal`"));
                    }
                    l.coupled(lets)
                })?;
                for ((var, _), v) in lets.iter().zip(values) {
                    l.define(*var, v.clone());
                    parts.add_let(model.var(*var), v);
                }
            }
            Decl::Marginal { var, support, prior, span } => l.at(*span, |l| {
                l.declare_latent(*var, support, *span)?;
                let Some(prior) = prior else { return Ok(()) };
                l.latent_stmt(&mut |l| {
                    let x = l.env[var].clone();
                    l.latent_prior(&x, prior, *span, None)
                })
            })?,
            Decl::Stmt(s) if l.latents.in_stmt(s) => {
                l.at(s.span, |l| l.latent_stmt(&mut |l| l.stmt(s)))?;
            }
            Decl::Constraint { var, support } => {
                let span = model.var(*var).span;
                l.at(span, |l| l.constraint(*var, support, span))?;
            }
            Decl::Stmt(s) => l.stmt(s)?,
        }
    }
    l.sum_out(!l.latents.gens.is_empty())?;
    for (var, v) in l.latent_gens()? {
        let entry = model.var(var);
        parts.variables.push((entry.span, entry.name.clone(), Role::Gen, v));
    }
    parts.free = order.iter().filter_map(|&i| *free.get(i)?).collect();
    // People read parameters and variables in the order in which they wrote them.
    parts.params.sort_by_key(|p| p.start);
    parts.variables.sort_by_key(|(span, ..)| *span);
    Ok(parts)
}

/// The error that the parameters, with the sizes from the data, are more numbers than an array may have:
/// together they are one.
fn too_many(model: &Model, shapes: &[(VarId, Shapes)], limit: usize) -> Option<Diagnostic> {
    let mut total = 0_usize;
    shapes.iter().find_map(|(var, shapes)| {
        let size = shapes.size().max(num_elements(&shapes.shape()));
        total = total.saturating_add(size);
        let span = model.var(*var).span;
        (total > limit).then(|| lowerer::too_large(span, &shapes.shape(), limit))
    })
}

/// Whether data alone determines arrays that read each other.
fn of_data(model: &Model, lets: &[(VarId, LetValue)]) -> bool {
    lets.iter().all(|(var, _)| model.var(*var).stage == Stage::Data)
}

/// The parameters in order of declaration; `model.decls` has them in order of dependence.
fn declared_order(model: &Model, shapes: &[(VarId, Shapes)]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..shapes.len()).collect();
    order.sort_by_key(|&i| model.var(shapes[i].0).span);
    order
}

/// The first unconstrained index of each parameter, and their number in all.
fn layout(shapes: &[(VarId, Shapes)], order: &[usize]) -> (Vec<usize>, usize) {
    let mut starts = vec![0; shapes.len()];
    let mut total = 0;
    for &i in order {
        starts[i] = total;
        total += shapes[i].1.size();
    }
    (starts, total)
}

/// What the parameter stage leaves behind.
#[derive(Default)]
struct Parts {
    params: Vec<Param>,
    jacobian: Vec<Val>,
    /// Unconstrained reals of each parameter, in order of declaration.
    free: Vec<ValueId>,
    /// For each parameter in constrained space, its elements outside of the support.
    outside: Vec<Val>,
    /// Where each is declared, its name, what it is, its value.
    variables: Vec<(Span, String, Role, Val)>,
}

impl Parts {
    /// A variable computed from others, which a draw reports.
    fn add_let(&mut self, var: &Var, value: Val) {
        let role = match var.kind {
            VarKind::Param => Role::Param,
            VarKind::Gen => Role::Gen,
            VarKind::Predicted => Role::Predicted,
            _ => Role::Let,
        };
        self.variables.push((var.span, var.name.clone(), role, value));
    }

    /// A parameter, which a draw reports too.
    fn add_param(&mut self, name: String, shapes: &Shapes, start: usize, span: Span, value: Val) {
        self.variables.push((span, name.clone(), Role::Param, value));
        self.params.push(Param {
            name,
            shape: shapes.shape(),
            start,
            len: shapes.size(),
            transform: shapes.transform,
            span,
        });
    }
}

/// Adds up the terms and declares the outputs.
fn finish(mut l: Lowerer<'_>, parts: Parts, sizes: HashMap<VarId, i64>) -> Lowered {
    l.b.set_span(None);
    let mut log_jacobian = l.b.scalar(0.0);
    for j in &parts.jacobian {
        log_jacobian = l.b.plus(log_jacobian, j.id);
    }
    let mut log_joint = log_jacobian;
    let terms = std::mem::take(&mut l.terms);
    for term in &terms {
        l.b.set_span(Some(term.span));
        let sum = l.b.sum_all(term.value);
        log_joint = l.b.plus(log_joint, sum);
    }
    l.b.output("log_joint", log_joint);
    l.b.output("log_jacobian", log_jacobian);
    let mut outputs = 2;
    let mut place = |l: &mut Lowerer<'_>, name: String, value| {
        l.b.output(name, value);
        outputs += 1;
        outputs - 1
    };
    let terms = terms
        .into_iter()
        .enumerate()
        .map(|(i, t)| {
            let output = place(&mut l, format!("term_{}", i + 1), t.value);
            Term { span: t.span, observed: t.observed, output }
        })
        .collect();
    let variables = parts
        .variables
        .into_iter()
        .map(|(_, name, role, v)| {
            let shape = l.b.shape(v.id);
            let output = place(&mut l, name.clone(), v.id);
            Variable { name, shape, role, output }
        })
        .collect();
    let unconstrained = (!parts.free.is_empty()).then(|| {
        let all = l.b.concat(&parts.free, 0);
        place(&mut l, "unconstrained".into(), all)
    });
    let outside = parts.outside.into_iter().reduce(|a, b| {
        let sum = l.b.plus(a.id, b.id);
        Val::plain(sum)
    });
    let outside = outside.map(|count| place(&mut l, "outside".into(), count.id));
    let latents = l.latents.all.iter().map(|latent| Latent {
        name: l.param_name(latent.var),
        shape: latent.shape.clone(),
        probe: latent.probe as usize,
        values: latent.values,
    });
    let latents = latents.collect();
    l.data.extend(std::mem::take(&mut l.latents.hidden));
    let mut function = l.b.finish();
    // What dependence was found with is not needed any more.
    function.drop_unneeded();
    let data = function
        .inputs
        .iter()
        .enumerate()
        .filter_map(|(i, input)| {
            let index = u32::try_from(i).ok()?;
            l.data.remove(&index).map(|t| (input.name.clone(), t))
        })
        .collect();
    Lowered {
        function,
        data,
        params: parts.params,
        terms,
        variables,
        latents,
        unconstrained,
        sizes,
        outside,
    }
}
