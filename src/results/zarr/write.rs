//! Draws, data and traces → `fit.zarr`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use zarrs::array::{ArrayBuilder, DataType, Element, FillValue};
use zarrs::filesystem::FilesystemStore;
use zarrs::group::GroupBuilder;

use crate::data::{DataArray, Values};
use crate::inference::{self, Trace};
use crate::results::{Draws, Predictions, Role, Run, Variable};

use super::Error;

/// Writes the store at `path`, which must not exist.
pub(in crate::results) fn write(path: &Path, run: &Run<'_>) -> Result<(), Error> {
    let root = json!({
        "inference_library": "ppl",
        "inference_library_version": run.config.version,
        "method": run.config.method,
        "model": run.summary.model,
        "seed": run.config.seed,
    });
    write_tree(path, &root, |tree| groups(tree, run))
}

/// Writes draws that are no fit.
pub(in crate::results) fn write_predictions(
    path: &Path,
    predictions: &Predictions<'_>,
) -> Result<(), Error> {
    write_tree(path, predictions.config, |tree| {
        data(tree, "observed_data", predictions.observed)?;
        data(tree, "constant_data", predictions.constant)?;
        draw_groups(tree, predictions.groups)
    })
}

fn write_tree(
    path: &Path,
    root: &Value,
    groups: impl FnOnce(&mut Tree) -> Result<(), Error>,
) -> Result<(), Error> {
    std::fs::create_dir_all(path)?;
    let mut tree = Tree { store: Arc::new(FilesystemStore::new(path)?), metadata: Map::new() };
    groups(&mut tree)?;
    let metadata = json!({
        "zarr_format": 3,
        "node_type": "group",
        "attributes": root,
        "consolidated_metadata": {
            "kind": "inline",
            "must_understand": false,
            "metadata": tree.metadata,
        },
    });
    Ok(std::fs::write(path.join("zarr.json"), metadata.to_string())?)
}

fn groups(tree: &mut Tree, run: &Run<'_>) -> Result<(), Error> {
    let chains = [run.draws.chains, run.draws.draws_per_chain];
    let mut posterior = Group::create(tree, "posterior", json!({}))?;
    for variable in &run.draws.variables {
        posterior.draws(chains, variable)?;
    }
    let mut unconstrained = Group::create(tree, "unconstrained_posterior", json!({}))?;
    for (name, slice) in run.layout {
        let values: Vec<f64> = run
            .fit
            .draws
            .chunks_exact(run.fit.dim.max(1))
            .flat_map(|z| z[slice.clone()].iter().copied())
            .collect();
        let dims = vec![
            ("chain".to_owned(), chains[0]),
            ("draw".to_owned(), chains[1]),
            (format!("{name}_dim_0"), slice.len()),
        ];
        unconstrained.reals(name, &dims, &values)?;
    }
    sample_stats(tree, run, chains)?;
    data(tree, "observed_data", run.observed)?;
    data(tree, "constant_data", run.constant)?;
    draw_groups(tree, run.predictions)?;
    fit(tree, run)
}

fn draw_groups(tree: &mut Tree, groups: &[(&str, &Draws)]) -> Result<(), Error> {
    for (name, draws) in groups {
        let mut group = Group::create(tree, name, json!({}))?;
        for variable in &draws.variables {
            group.draws([draws.chains, draws.draws_per_chain], variable)?;
        }
    }
    Ok(())
}

/// Whether the trace has one value for each draw of a sampler.
fn is_per_draw(trace: &Trace, run: &Run<'_>) -> bool {
    let sampler = inference::find(run.fit.method).is_some_and(|m| m.group == "reference");
    sampler && trace.value.len() == run.draws.total()
}

fn sample_stats(tree: &mut Tree, run: &Run<'_>, chains: [usize; 2]) -> Result<(), Error> {
    let mut group = Group::create(tree, "sample_stats", json!({}))?;
    let dims = [("chain".to_owned(), chains[0]), ("draw".to_owned(), chains[1])];
    group.reals("lp", &dims, &run.fit.log_p)?;
    group.reals("log_p", &dims, &run.fit.log_p)?;
    if let Some(log_q) = &run.fit.log_q {
        group.reals("log_q", &dims, log_q)?;
    }
    for trace in run.fit.traces.iter().filter(|t| is_per_draw(t, run)) {
        match trace.name {
            // ArviZ masks draws with it.
            "diverging" => group.truths(trace.name, &dims, &trace.value)?,
            name => group.reals(name, &dims, &trace.value)?,
        }
    }
    Ok(())
}

fn data(tree: &mut Tree, name: &str, arrays: &[(&str, Cow<'_, DataArray>)]) -> Result<(), Error> {
    if arrays.is_empty() {
        return Ok(());
    }
    let mut group = Group::create(tree, name, json!({}))?;
    for (name, array) in arrays {
        let dims = own_dims(name, &array.shape);
        match &array.values {
            Values::Int(v) if array.missing.is_empty() => group.ints(name, &dims, v)?,
            Values::Int(_) | Values::Real(_) => group.reals(name, &dims, &array.to_reals())?,
        }
    }
    Ok(())
}

fn fit(tree: &mut Tree, run: &Run<'_>) -> Result<(), Error> {
    let summary = run.summary.to_json();
    let kept = ["verdict", "reasons", "next", "khat_kind", "interrupted", "timing"];
    let attributes: Value = kept.iter().map(|k| ((*k).to_owned(), summary[*k].clone())).collect();
    let mut group = Group::create(tree, "fit", attributes)?;
    for name in
        ["elbo", "elbo_se", "iwae", "iwae_se", "log_z", "log_z_se", "khat", "fisher_divergence"]
    {
        if let Some(x) = summary[name].as_f64() {
            group.reals(name, &[], &[x])?;
        }
    }
    let mut stats = Group::create(tree, "fit_stats", json!({}))?;
    for trace in run.fit.traces.iter().filter(|t| !is_per_draw(t, run) && !t.value.is_empty()) {
        let dims = [(format!("{}_step", trace.name), trace.value.len())];
        stats.reals(trace.name, &dims, &trace.value)?;
        let iteration: Vec<i64> =
            trace.iteration.iter().map(|i| i64::try_from(*i).unwrap_or(i64::MAX)).collect();
        if iteration.len() == trace.value.len() {
            stats.ints(&format!("{}_iteration", trace.name), &dims, &iteration)?;
        }
    }
    Ok(())
}

fn own_dims(name: &str, shape: &[usize]) -> Vec<(String, usize)> {
    shape.iter().enumerate().map(|(axis, n)| (format!("{name}_dim_{axis}"), *n)).collect()
}

/// The store and the metadata of everything in it, by path.
struct Tree {
    store: Arc<FilesystemStore>,
    metadata: Map<String, Value>,
}

/// A group and the dimensions whose coordinates it has.
struct Group<'a> {
    tree: &'a mut Tree,
    name: &'a str,
    coordinates: BTreeMap<String, usize>,
}

impl<'a> Group<'a> {
    fn create(tree: &'a mut Tree, name: &'a str, attributes: Value) -> Result<Self, Error> {
        let mut builder = GroupBuilder::new();
        if let Value::Object(attributes) = attributes {
            builder.attributes(attributes);
        }
        let group = builder.build(tree.store.clone(), &format!("/{name}"))?;
        group.store_metadata()?;
        tree.metadata.insert(name.into(), serde_json::to_value(group.metadata())?);
        Ok(Group { tree, name, coordinates: BTreeMap::new() })
    }

    fn draws(&mut self, chains: [usize; 2], variable: &Variable) -> Result<(), Error> {
        let mut dims = vec![("chain".to_owned(), chains[0]), ("draw".to_owned(), chains[1])];
        dims.extend(own_dims(&variable.name, &variable.shape));
        // Predictions of counts are counts.
        match variable.whole().filter(|_| variable.role == Role::Predicted) {
            Some(whole) => self.ints(&variable.name, &dims, &whole),
            None => self.reals(&variable.name, &dims, &variable.values),
        }
    }

    fn reals(&mut self, name: &str, dims: &[(String, usize)], x: &[f64]) -> Result<(), Error> {
        self.coordinates(dims)?;
        self.array(name, dims, DataType::Float64, f64::NAN.into(), x)
    }

    fn ints(&mut self, name: &str, dims: &[(String, usize)], x: &[i64]) -> Result<(), Error> {
        self.coordinates(dims)?;
        self.array(name, dims, DataType::Int64, 0_i64.into(), x)
    }

    fn truths(&mut self, name: &str, dims: &[(String, usize)], x: &[f64]) -> Result<(), Error> {
        self.coordinates(dims)?;
        let truths: Vec<bool> = x.iter().map(|&x| x != 0.0).collect();
        self.array(name, dims, DataType::Bool, false.into(), &truths)
    }

    fn coordinates(&mut self, dims: &[(String, usize)]) -> Result<(), Error> {
        for dim @ (name, length) in dims {
            if self.coordinates.insert(name.clone(), *length).is_none() {
                let values: Vec<i64> = (0_i64..).take(*length).collect();
                self.array(
                    name,
                    std::slice::from_ref(dim),
                    DataType::Int64,
                    0_i64.into(),
                    &values,
                )?;
            }
        }
        Ok(())
    }

    fn array<T: Element>(
        &mut self,
        name: &str,
        dims: &[(String, usize)],
        ty: DataType,
        fill: FillValue,
        elements: &[T],
    ) -> Result<(), Error> {
        let shape: Vec<u64> = dims.iter().map(|(_, n)| *n as u64).collect();
        let chunk: Vec<u64> = shape.iter().map(|n| (*n).max(1)).collect();
        let names: Vec<&str> = dims.iter().map(|(name, _)| name.as_str()).collect();
        let array = ArrayBuilder::new(shape, chunk, ty, fill)
            .dimension_names(Some(names))
            .build(self.tree.store.clone(), &format!("/{}/{name}", self.name))?;
        array.store_metadata()?;
        let path = format!("{}/{name}", self.name);
        self.tree.metadata.insert(path, serde_json::to_value(array.metadata())?);
        if !elements.is_empty() {
            array.store_chunk_elements(&vec![0; dims.len()], elements)?;
        }
        Ok(())
    }
}
