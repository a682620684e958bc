//! `fit.zarr`: a Zarr v3 store with the groups of ArviZ's DataTree, read by
//! `xarray.open_datatree(path, engine="zarr")`.
//!
//! Every array is one uncompressed chunk with named dimensions: `chain`, `draw`, then `NAME_dim_0`,
//! …; each dimension has a coordinate array counting from 0. Groups that a run has nothing for are
//! absent. Traces with one value per draw are in `sample_stats` for samplers (`diverging`, `energy`),
//! all others over their own dimension `NAME_step` in `fit_stats`. The root repeats all metadata
//! (zarr-python's consolidated metadata), so that a reader opens one file.

mod read;
mod write;

pub use read::{StoredArray, StoredFit};
pub(super) use write::{write, write_predictions};

/// Whatever zarrs reports; only shown.
pub(super) type Error = Box<dyn std::error::Error + Send + Sync>;
