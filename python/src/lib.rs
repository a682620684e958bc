//! `ppl._native`: a compiled model for Python, and the command line.
//!
//! What people import is `ppl/` beside this; it makes data into Stan JSON, points into arrays `[B, D]`
//! and errors into exceptions. Here the global lock is released while anything is computed.

use std::ffi::OsString;

use numpy::{IntoPyArray, PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray2};
use ppl::data::{DataArray, DataSet, Format};
use ppl::density::Residuals;
use ppl::driver::Session;
use ppl::lower::Space;
use ppl::posterior::{Parts, Posterior};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// A parameter: name, shape, first unconstrained coordinate, number of them, transform.
type Parameter = (String, Vec<usize>, usize, usize, &'static str);

/// A variable at some points: name, shape `[B, …]`, role, values row-major.
type Variable<'py> = (String, Vec<usize>, &'static str, Bound<'py, PyArray1<f64>>);

/// A model bound to its data.
#[pyclass(frozen)]
struct Model {
    posterior: Posterior,
    /// The log joint over constrained parameters, which knows the way back.
    constrained: Parts,
    /// Lints and other remarks as `ppl check` prints them.
    #[pyo3(get)]
    remarks: Vec<String>,
}

#[pymethods]
impl Model {
    /// Compiles a model; `data` is Stan JSON or CSV.
    #[new]
    #[pyo3(signature = (name, text, data_name, data))]
    fn new(py: Python<'_>, name: &str, text: &str, data_name: &str, data: &[u8]) -> PyResult<Self> {
        py.detach(|| compile(name, text, data_name, data)).map_err(PyValueError::new_err)
    }

    /// Number of unconstrained coordinates.
    #[getter]
    fn dim(&self) -> usize {
        self.posterior.dim()
    }

    /// The parameters in order of declaration.
    #[getter]
    fn parameters(&self) -> Vec<Parameter> {
        let params = &self.posterior.lowered().params;
        let shape = |p: &ppl::lower::Param| p.shape.to_vec();
        params.iter().map(|p| (p.name.clone(), shape(p), p.start, p.len, p.transform)).collect()
    }

    /// What people call each unconstrained coordinate.
    #[getter]
    fn coordinates(&self) -> Vec<String> {
        let density = self.posterior.target().f64;
        (0..self.posterior.dim()).map(|i| density.coordinate_name(i)).collect()
    }

    /// The log joint at `[B, D]`, with the log Jacobian of the transforms: `[B]`.
    fn log_density<'py>(
        &self,
        py: Python<'py>,
        z: PyReadonlyArray2<'py, f64>,
    ) -> PyResult<Bound<'py, PyArray1<f64>>> {
        let (points, batch) = self.points(&z)?;
        let mut log_p = vec![0.0; batch];
        py.detach(|| self.posterior.target().f64.log_density(&points, &mut log_p));
        Ok(log_p.into_pyarray(py))
    }

    /// The log joint and its gradient at `[B, D]`: `[B]` and `[B, D]`.
    fn value_and_gradient<'py>(
        &self,
        py: Python<'py>,
        z: PyReadonlyArray2<'py, f64>,
    ) -> PyResult<(Bound<'py, PyArray1<f64>>, Bound<'py, PyArray2<f64>>)> {
        let (points, batch) = self.points(&z)?;
        let (mut log_p, mut score) = (vec![0.0; batch], vec![0.0; points.len()]);
        py.detach(|| self.posterior.target().f64.score(&points, &mut log_p, &mut score));
        Ok((log_p.into_pyarray(py), self.rows(py, score, batch)?))
    }

    /// The Hessian of the log joint at `z` times `v`, both `[B, D]`: `[B, D]`.
    fn hvp<'py>(
        &self,
        py: Python<'py>,
        z: PyReadonlyArray2<'py, f64>,
        v: PyReadonlyArray2<'py, f64>,
    ) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let ((points, batch), (vectors, other)) = (self.points(&z)?, self.points(&v)?);
        if batch != other {
            let message = format!("{batch} points, but {other} vectors");
            return Err(PyValueError::new_err(message));
        }
        let mut out = vec![0.0; points.len()];
        py.detach(|| {
            let density = self.posterior.target().f64;
            let (mut score, mut keep) = (vec![0.0; points.len()], Residuals::default());
            density.score_keep(&points, &mut score, &mut keep);
            density.hvp(&keep, &vectors, &mut out);
        });
        self.rows(py, out, batch)
    }

    /// Parameters, transformed parameters and generated quantities at `[B, D]`; random ones are drawn
    /// with `seed`.
    fn constrain<'py>(
        &self,
        py: Python<'py>,
        z: PyReadonlyArray2<'py, f64>,
        seed: u64,
    ) -> PyResult<Vec<Variable<'py>>> {
        let (points, batch) = self.points(&z)?;
        let draws = py.detach(|| self.posterior.values().at(&points, batch, 1, seed));
        let variables = draws.variables.into_iter().map(|variable| {
            let shape = [batch].into_iter().chain(variable.shape).collect();
            (variable.name, shape, variable.role.as_str(), variable.values.into_pyarray(py))
        });
        Ok(variables.collect())
    }

    /// The unconstrained coordinates of parameters given as Stan JSON: `[D]`.
    fn unconstrain<'py>(
        &self,
        py: Python<'py>,
        values: &[u8],
    ) -> PyResult<Bound<'py, PyArray1<f64>>> {
        let z = py.detach(|| self.unconstrained(values)).map_err(PyValueError::new_err)?;
        Ok(z.into_pyarray(py))
    }
}

impl Model {
    /// The points of an array `[B, D]` and their number.
    fn points(&self, z: &PyReadonlyArray2<'_, f64>) -> PyResult<(Vec<f64>, usize)> {
        let array = z.as_array();
        let (batch, width) = array.dim();
        if width != self.posterior.dim() {
            return Err(PyValueError::new_err(format!(
                "a point has {width} coordinates, but the model has {}",
                self.posterior.dim()
            )));
        }
        Ok((array.iter().copied().collect(), batch))
    }

    fn rows<'py>(
        &self,
        py: Python<'py>,
        values: Vec<f64>,
        batch: usize,
    ) -> PyResult<Bound<'py, PyArray2<f64>>> {
        values.into_pyarray(py).reshape([batch, self.posterior.dim()])
    }

    fn unconstrained(&self, values: &[u8]) -> Result<Vec<f64>, String> {
        let values = DataSet::from_bytes("values", Some(Format::Json), values).map_err(joined)?;
        let params = &self.posterior.lowered().params;
        let arrays: Vec<Vec<f64>> = params
            .iter()
            .map(|param| {
                let array: &DataArray = values
                    .get(&param.name)
                    .ok_or_else(|| format!("the parameter `{}` is absent", param.name))?;
                if array.shape != param.shape.to_vec() {
                    return Err(format!(
                        "`{}` has shape {:?}, but the model declares {:?}",
                        param.name,
                        array.shape,
                        param.shape.to_vec()
                    ));
                }
                Ok(array.to_reals())
            })
            .collect::<Result<_, _>>()?;
        if let Some((name, _)) = values.iter().find(|(n, _)| params.iter().all(|p| p.name != **n)) {
            return Err(format!("the model has no parameter `{name}`"));
        }
        let slices: Vec<&[f64]> = arrays.iter().map(Vec::as_slice).collect();
        self.constrained
            .at(&slices)
            .unconstrained
            .filter(|z| z.iter().all(|x| x.is_finite()))
            .ok_or_else(|| "the values are outside of the parameters' supports".to_owned())
    }
}

/// Compiles a model, or says what is wrong with it as `ppl check` would.
fn compile(name: &str, text: &str, data_name: &str, data: &[u8]) -> Result<Model, String> {
    let data = DataSet::from_bytes(data_name, None, data).map_err(joined)?;
    let mut session = Session::new();
    let compiled = session.check(name, text).and_then(|model| {
        let posterior = session.compile(&model, &data)?;
        let constrained = session.lower(&model, &data, Space::Constrained)?;
        Some((posterior, Parts::new(&constrained)))
    });
    let said = session.render(false);
    let Some((posterior, constrained)) = compiled else { return Err(said) };
    let remarks = if said.is_empty() { Vec::new() } else { vec![said] };
    Ok(Model { posterior, constrained, remarks })
}

fn joined(errors: Vec<impl ToString>) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Runs the command line and returns its exit code.
#[pyfunction]
fn main(py: Python<'_>, args: Vec<OsString>) -> u8 {
    py.detach(|| ppl::cli::run(args))
}

/// The extension module.
#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<Model>()?;
    module.add_function(wrap_pyfunction!(main, module)?)
}
