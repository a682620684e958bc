//! Draws → what people and scripts read.
//!
//! In:  a [`Fit`](crate::inference::Fit) and the named constrained [`Draws`] made from it.
//! Out: a [`Summary`], the terminal table, and the run directory ([`RunDirectory`]).

mod checkpoint;
mod compare;
mod config;
mod draws;
mod loo;
mod model_name;
mod peak_memory;
mod predictions;
mod predictive;
mod run_dir;
mod summary;
mod write;
mod zarr;

pub use checkpoint::Checkpoint;
pub use compare::{Comparison, ScalarComparison, observations};
pub use config::{Config, Source};
pub use draws::{Draws, Role, Variable};
pub use loo::{Loo, loo};
pub use model_name::{default_out, model_name};
pub use peak_memory::peak_rss_mb;
pub use predictions::Predictions;
pub use predictive::check_predictions;
pub use run_dir::{Run, RunDirectory, RunDirectoryError, StoredDraws};
pub(crate) use summary::interval_axis;
pub use summary::{RunInfo, Statistics, Summary, Timing, VariableSummary};
pub use write::{ReadError, Style, format_number, table};
pub use zarr::{StoredArray, StoredFit};
