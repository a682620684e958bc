//! Draws → what people and scripts read.
//!
//! In:  a [`Fit`](crate::inference::Fit) and the named constrained [`Draws`] made from it.
//! Out: a [`Summary`], the terminal table, and the run directory ([`RunDirectory`]).

mod checkpoint;
mod config;
mod draws;
mod model_name;
mod peak_memory;
mod predictions;
mod run_dir;
mod summary;
mod write;
mod zarr;

pub use checkpoint::Checkpoint;
pub use config::{Config, Source};
pub use draws::{Draws, Role, Variable};
pub use model_name::{default_out, model_name};
pub use peak_memory::peak_rss_mb;
pub use predictions::Predictions;
pub use run_dir::{Run, RunDirectory, RunDirectoryError, StoredDraws};
pub use summary::{RunInfo, Statistics, Summary, Timing, VariableSummary};
pub use write::{ReadError, Style, format_number, table};
pub use zarr::{StoredArray, StoredFit};
