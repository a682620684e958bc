//! `fit.zarr` → arrays, one group at a time.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use zarrs::array::{Array, DataType, ElementOwned};
use zarrs::filesystem::FilesystemStore;

use super::Error;

/// An array of a finished run.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredArray {
    /// Its name.
    pub name: String,
    /// Length of each axis; draws have the axes `chain` and `draw` first.
    pub shape: Vec<usize>,
    /// Elements, row-major; of truth values 1 and 0.
    pub values: Vec<f64>,
    /// Whether it is stored as integers.
    pub is_integer: bool,
}

/// The store of a finished run.
#[derive(Debug)]
pub struct StoredFit {
    store: Arc<FilesystemStore>,
    /// Bytes of its files: no array has more elements.
    bytes: u64,
    /// `group/array` in the order of writing, which is that of declaration.
    paths: Vec<String>,
}

impl StoredFit {
    /// Opens the store at `path`, whose files have so many bytes.
    pub(in crate::results) fn open(path: &Path, bytes: u64) -> Result<Self, Error> {
        let root: Value = serde_json::from_str(&std::fs::read_to_string(path.join("zarr.json"))?)?;
        let metadata = root["consolidated_metadata"]["metadata"]
            .as_object()
            .ok_or("its zarr.json has no consolidated metadata")?;
        let arrays = metadata.iter().filter(|(_, node)| node["node_type"] == "array");
        let paths: Vec<String> = arrays.map(|(path, _)| path.clone()).collect();
        if let Some(outside) = paths.iter().find(|path| path.split(['/', '\\']).any(|p| p == ".."))
        {
            return Err(format!("`{outside}` is not the name of an array").into());
        }
        Ok(StoredFit { store: Arc::new(FilesystemStore::new(path)?), bytes, paths })
    }

    /// The arrays of a group without its coordinates, in order of declaration; none when the run has
    /// no such group.
    ///
    /// # Errors
    /// When an array is damaged.
    pub fn group(&self, name: &str) -> Result<Vec<StoredArray>, Error> {
        let below = format!("{name}/");
        let names = self.paths.iter().filter_map(|path| path.strip_prefix(&below));
        let arrays = names.map(|array| self.array(&format!("/{name}/{array}"), array));
        arrays.filter_map(Result::transpose).collect()
    }

    /// Reads an array, unless it is the coordinate of a dimension.
    fn array(&self, path: &str, name: &str) -> Result<Option<StoredArray>, Error> {
        let array = Array::open(Arc::clone(&self.store), path)?;
        let elements = array.shape().iter().fold(1, |n: u64, &size| n.saturating_mul(size));
        if elements > self.bytes {
            return Err(format!("`{path}` has {elements} elements in {} bytes", self.bytes).into());
        }
        let dims = array.dimension_names().as_deref().unwrap_or_default();
        if let [Some(only)] = dims
            && only.as_str() == name
        {
            return Ok(None);
        }
        let is_integer = *array.data_type() == DataType::Int64;
        let values = if is_integer {
            read_all::<i64>(&array)?.into_iter().map(|x| x as f64).collect()
        } else if *array.data_type() == DataType::Bool {
            read_all::<bool>(&array)?.into_iter().map(|x| f64::from(u8::from(x))).collect()
        } else {
            read_all::<f64>(&array)?
        };
        let shape = array.shape().iter().map(|&n| usize::try_from(n)).collect::<Result<_, _>>()?;
        Ok(Some(StoredArray { name: name.to_owned(), shape, values, is_integer }))
    }
}

fn read_all<T: ElementOwned>(array: &Array<FilesystemStore>) -> Result<Vec<T>, Error> {
    Ok(array.retrieve_array_subset_elements::<T>(&array.subset_all())?)
}
