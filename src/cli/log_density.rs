//! `ppl log-density`: the log joint at given points, one JSON object per line.
//!
//! A point is `{"unconstrained": [...]}`, with the log Jacobian of the transforms in its log density,
//! or `{"constrained": {"mu": 1.0, ...}}`, without. Derivatives are in the coordinates of the point:
//! those of a constrained one are its parameters in order of declaration, arrays row-major. Numbers that are not finite are written as Stan
//! JSON has them, `"NaN"` and `"-Infinity"`.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::check::typed::Model;
use crate::data::{DataArray, DataSet, Format};
use crate::density::{LogDensity, Residuals};
use crate::driver::Session;
use crate::lower::{Param, Space};
use crate::posterior::{LogJoint, Parts, constrained_density};

use super::args::LogDensityArgs;
use super::console::Console;
use super::failure::{Exit, Failure, Outcome};
use super::input::{Input, print_diagnostics, read_text};

pub(super) fn run(args: &LogDensityArgs, console: Console) -> Outcome {
    let points = read_points(&read_text(&args.at, usize::MAX)?)?;
    let input = Input::read(&args.model, console)?;
    let mut session = args.model.session();
    let evaluators = session
        .check(&input.name, &input.text)
        .and_then(|model| evaluators(&mut session, &model, &input.data, &points, args));
    print_diagnostics(&session, console);
    let Some(evaluators) = evaluators else {
        input.note_absent_data(&args.model, console);
        return Err(Failure::reported());
    };
    let evaluator = |point: &Point| match point.values {
        Values::Unconstrained(_) => evaluators.0.as_ref(),
        Values::Constrained(_) => evaluators.1.as_ref(),
    };
    let mut checked = Vec::with_capacity(points.len());
    for (i, point) in points.iter().enumerate() {
        let evaluator = evaluator(point).expect("made for the points there are");
        let at = evaluator
            .coordinates(point)
            .map_err(|message| Failure::model(format!("point {}: {message}", i + 1)))?;
        checked.push((evaluator, point, at));
    }
    for (evaluator, point, at) in checked {
        console.result(&format!("{}\n", evaluator.at(point, &at, args, &session)));
    }
    Ok(Exit::Done)
}

/// Evaluators for unconstrained and for constrained points, as far as there are such points.
fn evaluators(
    session: &mut Session,
    model: &Model,
    data: &DataSet,
    points: &[Point],
    args: &LogDensityArgs,
) -> Option<(Option<Evaluator>, Option<Evaluator>)> {
    let constrained = points.iter().any(|p| matches!(p.values, Values::Constrained(_)));
    let unconstrained = !constrained || points.iter().any(|p| p.values.is_unconstrained());
    let mut made = (None, None);
    if unconstrained {
        made.0 = Some(Evaluator::unconstrained(session, model, data)?);
    }
    if constrained {
        let derivatives = args.gradient || args.hvp;
        made.1 = Some(Evaluator::constrained(session, model, data, derivatives)?);
    }
    Some(made)
}

/// Where to evaluate.
struct Point {
    values: Values,
    vector: Option<Vec<f64>>,
}

/// The numbers of a point.
enum Values {
    Unconstrained(Vec<f64>),
    Constrained(DataSet),
}

impl Values {
    fn is_unconstrained(&self) -> bool {
        matches!(self, Values::Unconstrained(_))
    }
}

fn read_points(text: &str) -> Result<Vec<Point>, Failure> {
    let json: Value = serde_json::from_str(text)
        .map_err(|e| Failure::model(format!("the points are not valid JSON: {e}")))?;
    let points = match json {
        Value::Array(points) => points,
        one @ Value::Object(_) => vec![one],
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            return Err(Failure::model("the points must be a JSON list of objects"));
        }
    };
    let read = |(i, point): (usize, &Value)| {
        read_point(point).map_err(|message| Failure::model(format!("point {}: {message}", i + 1)))
    };
    points.iter().enumerate().map(read).collect()
}

fn read_point(point: &Value) -> Result<Point, String> {
    let vector = point.get("vector").map(reals).transpose()?;
    let values = match (point.get("unconstrained"), point.get("constrained")) {
        (Some(theta), None) => Values::Unconstrained(reals(theta)?),
        (None, Some(values @ Value::Object(_))) => {
            Values::Constrained(read_set("constrained", &values.to_string())?)
        }
        _ => {
            return Err("expected either \"unconstrained\": [...] or \"constrained\": {...}".into());
        }
    };
    Ok(Point { values, vector })
}

fn read_set(name: &str, text: &str) -> Result<DataSet, String> {
    DataSet::from_bytes(name, Some(Format::Json), text.as_bytes())
        .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
}

/// A list of numbers; `"NaN"` and `"Infinity"` are numbers as they are in data files.
fn reals(list: &Value) -> Result<Vec<f64>, String> {
    let set = read_set("point", &json!({ "theta": list }).to_string())?;
    match set.get("theta") {
        Some(theta) if theta.shape.len() == 1 && theta.missing.is_empty() => Ok(theta.to_reals()),
        _ => Err("expected a list of numbers".into()),
    }
}

/// A model with its data, in one space of its parameters.
struct Evaluator {
    params: Vec<Param>,
    parts: Parts,
    /// Its derivatives, if they are asked for.
    density: Option<Arc<dyn LogDensity<f64>>>,
}

/// A point's numbers as the evaluator takes them, and the vector for the Hessian's product.
struct Coordinates {
    theta: Vec<f64>,
    vector: Vec<f64>,
}

impl Evaluator {
    fn unconstrained(session: &mut Session, model: &Model, data: &DataSet) -> Option<Self> {
        let posterior = session.compile(model, data)?;
        let lowered = posterior.lowered();
        let density = Some(Arc::clone(posterior.target().f64));
        Some(Evaluator { params: lowered.params.clone(), parts: Parts::new(lowered), density })
    }

    fn constrained(
        session: &mut Session,
        model: &Model,
        data: &DataSet,
        derivatives: bool,
    ) -> Option<Self> {
        let lowered = session.lower(model, data, Space::Constrained)?;
        let density: Option<Arc<dyn LogDensity<f64>>> = if derivatives {
            match constrained_density(&lowered) {
                Ok(density) => Some(Arc::new(density)),
                Err(error) => {
                    session.diagnostics.push(*error);
                    return None;
                }
            }
        } else {
            None
        };
        Some(Evaluator { params: lowered.params.clone(), parts: Parts::new(&lowered), density })
    }

    /// Checks a point; every one is checked before the first is evaluated.
    fn coordinates(&self, point: &Point) -> Result<Coordinates, String> {
        let (name, theta, dim) = match &point.values {
            Values::Unconstrained(theta) => {
                ("\"unconstrained\"", theta.clone(), self.params.iter().map(|p| p.len).sum())
            }
            Values::Constrained(values) => {
                let known = |name: &str| self.params.iter().any(|p| p.name == name);
                if let Some((name, _)) = values.iter().find(|(name, _)| !known(name)) {
                    return Err(format!("the model has no parameter `{name}`"));
                }
                let parts = self.params.iter().map(|p| parameter(p, values));
                let theta = parts.collect::<Result<Vec<_>, _>>()?.concat();
                ("\"constrained\"", theta.clone(), theta.len())
            }
        };
        let vector = point.vector.clone().unwrap_or_else(|| vec![1.0; dim]);
        for (name, found) in [(name, theta.len()), ("\"vector\"", vector.len())] {
            if found != dim {
                return Err(format!(
                    "{name} has {found} numbers, but the point has {dim} coordinates"
                ));
            }
        }
        Ok(Coordinates { theta, vector })
    }

    fn at(
        &self,
        point: &Point,
        at: &Coordinates,
        args: &LogDensityArgs,
        session: &Session,
    ) -> Value {
        let Coordinates { theta, vector } = at;
        let joint = match point.values {
            Values::Unconstrained(_) => self.parts.at(&[theta]),
            Values::Constrained(_) => {
                let mut rest = theta.as_slice();
                let mut slices = Vec::with_capacity(self.params.len());
                for param in &self.params {
                    let (own, after) = rest.split_at(param.shape.iter().product());
                    slices.push(own);
                    rest = after;
                }
                self.parts.at(&slices)
            }
        };
        let with_jacobian = matches!(point.values, Values::Unconstrained(_));
        let mut object = head(&joint, with_jacobian, args, session);
        let Some(density) = self.density.as_ref().filter(|_| args.gradient || args.hvp) else {
            return object.into();
        };
        let mut score = vec![0.0; theta.len()];
        let mut keep = Residuals::default();
        density.score_keep(theta, &mut score, &mut keep);
        // Where the density is zero its logarithm has no derivative.
        let known = joint.log_density != f64::NEG_INFINITY;
        let derivative = |xs| if known { list(xs) } else { Value::Null };
        if args.hvp {
            let mut hvp = vec![0.0; theta.len()];
            density.hvp(&keep, vector, &mut hvp);
            object.insert("hvp".into(), derivative(hvp));
        }
        if args.gradient {
            object.insert("gradient".into(), derivative(score));
        }
        object.into()
    }
}

fn parameter(param: &Param, values: &DataSet) -> Result<Vec<f64>, String> {
    let name = &param.name;
    let array = values.get(name).ok_or_else(|| format!("the parameter `{name}` is absent"))?;
    if array.shape != param.shape.to_vec() {
        let (found, expected) = (&array.shape, param.shape.to_vec());
        return Err(format!("`{name}` has shape {found:?}, but the model declares {expected:?}"));
    }
    if !array.missing.is_empty() {
        return Err(format!("`{name}` has a null"));
    }
    Ok(array.to_reals())
}

fn head(
    joint: &LogJoint,
    with_jacobian: bool,
    args: &LogDensityArgs,
    session: &Session,
) -> Map<String, Value> {
    let number = |x: f64| DataArray::real(x).to_json();
    let mut object = Map::new();
    object.insert("log_density".into(), number(joint.log_density));
    if with_jacobian {
        object.insert("log_jacobian".into(), number(joint.log_jacobian));
    }
    if let Some(theta) = &joint.unconstrained {
        object.insert("unconstrained".into(), list(theta.clone()));
    }
    if args.terms {
        // A statement in a loop has several terms at one place; they are one summand to a reader.
        let mut sums: indexmap::IndexMap<String, f64> = indexmap::IndexMap::new();
        for (span, x) in &joint.terms {
            *sums.entry(session.place(*span)).or_insert(0.0) += x;
        }
        let terms: Map<String, Value> = sums.into_iter().map(|(at, x)| (at, number(x))).collect();
        object.insert("terms".into(), terms.into());
    }
    object
}

fn list(xs: Vec<f64>) -> Value {
    DataArray::reals(vec![xs.len()], xs).to_json()
}
