//! `ppl log-density`: the log joint at given points, one JSON object per line.
//!
//! A point is `{"unconstrained": [...]}`, with the log Jacobian of the transforms in its log density,
//! or `{"constrained": {"mu": 1.0, ...}}`, without; only the first has derivatives, since they are
//! with respect to the unconstrained parameters. Numbers that are not finite are written as Stan
//! JSON has them, `"NaN"` and `"-Infinity"`.

use serde_json::{Map, Value, json};

use crate::check::typed::Model;
use crate::data::{DataArray, DataSet, Format};
use crate::density::Residuals;
use crate::driver::Session;
use crate::lower::{Param, Space};
use crate::posterior::{LogJoint, Parts, Posterior};

use super::args::LogDensityArgs;
use super::console::Console;
use super::failure::{Exit, Failure, Outcome};
use super::input::{Input, print_diagnostics, read_text};

pub(super) fn run(args: &LogDensityArgs, console: Console) -> Outcome {
    let points = read_points(&read_text(&args.at)?)?;
    let input = Input::read(&args.model, console)?;
    let mut session = Session::new();
    let constrained = points.iter().any(|p| matches!(p, Point::Constrained(_)));
    let evaluator = session
        .check(&input.name, &input.text)
        .and_then(|model| Evaluator::new(&mut session, &model, &input.data, constrained));
    print_diagnostics(&session, console);
    let Some(evaluator) = evaluator else {
        input.note_absent_data(&args.model, console);
        return Err(Failure::reported());
    };
    for (i, point) in points.iter().enumerate() {
        let line = evaluator
            .at(point, args, &session)
            .map_err(|message| Failure::model(format!("point {}: {message}", i + 1)))?;
        console.result(&format!("{line}\n"));
    }
    Ok(Exit::Done)
}

/// Where to evaluate.
enum Point {
    Unconstrained { theta: Vec<f64>, vector: Option<Vec<f64>> },
    Constrained(DataSet),
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
    match (point.get("unconstrained"), point.get("constrained")) {
        (Some(theta), None) => {
            let vector = point.get("vector").map(reals).transpose()?;
            Ok(Point::Unconstrained { theta: reals(theta)?, vector })
        }
        (None, Some(values @ Value::Object(_))) => {
            read_set("constrained", &values.to_string()).map(Point::Constrained)
        }
        _ => Err("expected either \"unconstrained\": [...] or \"constrained\": {...}".into()),
    }
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

/// A model with its data, in the spaces that the points need.
struct Evaluator {
    posterior: Posterior,
    parts: Parts,
    constrained: Option<Parts>,
}

impl Evaluator {
    fn new(
        session: &mut Session,
        model: &Model,
        data: &DataSet,
        constrained: bool,
    ) -> Option<Self> {
        let posterior = session.compile(model, data)?;
        let parts = Parts::new(posterior.lowered());
        let constrained = if constrained {
            Some(Parts::new(&session.lower(model, data, Space::Constrained)?))
        } else {
            None
        };
        Some(Evaluator { posterior, parts, constrained })
    }

    fn at(&self, point: &Point, args: &LogDensityArgs, s: &Session) -> Result<Value, String> {
        match point {
            Point::Unconstrained { theta, vector } => {
                self.unconstrained(theta, vector.as_deref(), args, s)
            }
            Point::Constrained(values) => self.constrained(values, args, s),
        }
    }

    fn unconstrained(
        &self,
        theta: &[f64],
        vector: Option<&[f64]>,
        args: &LogDensityArgs,
        session: &Session,
    ) -> Result<Value, String> {
        let dim = self.posterior.dim();
        let fits = |name: &str, found: usize| {
            let message = format!("{name} has {found} numbers, but the model has {dim} dimensions");
            if found == dim { Ok(()) } else { Err(message) }
        };
        fits("\"unconstrained\"", theta.len())?;
        let mut object = head(&self.parts.at(&[theta]), true, args, session);
        let density = self.posterior.target().f64;
        let (mut log_p, mut score) = ([0.0], vec![0.0; dim]);
        let mut keep = Residuals::default();
        if args.gradient || args.hvp {
            density.score_keep(theta, &mut log_p, &mut score, &mut keep);
        }
        if args.hvp {
            let ones = vec![1.0; dim];
            let v = vector.unwrap_or(&ones);
            fits("\"vector\"", v.len())?;
            let mut hvp = vec![0.0; dim];
            density.hvp(&keep, v, &mut hvp);
            object.insert("hvp".into(), list(hvp));
        }
        if args.gradient {
            object.insert("gradient".into(), list(score));
        }
        Ok(object.into())
    }

    fn constrained(
        &self,
        values: &DataSet,
        args: &LogDensityArgs,
        session: &Session,
    ) -> Result<Value, String> {
        if args.gradient || args.hvp {
            return Err("--gradient and --hvp need an \"unconstrained\" point".into());
        }
        let Some(parts) = &self.constrained else {
            return Err("bug in ppl: not prepared for constrained points".into());
        };
        let params = &self.posterior.lowered().params;
        if let Some((name, _)) = values.iter().find(|(n, _)| params.iter().all(|p| p.name != *n)) {
            return Err(format!("the model has no parameter `{name}`"));
        }
        let inputs: Vec<Vec<f64>> =
            params.iter().map(|p| parameter(p, values)).collect::<Result<_, _>>()?;
        let slices: Vec<&[f64]> = inputs.iter().map(Vec::as_slice).collect();
        Ok(head(&parts.at(&slices), false, args, session).into())
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
