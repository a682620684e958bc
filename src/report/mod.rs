//! Finished runs → one HTML page that needs nothing else: no network, no files beside it.
//!
//! In:  run directories ([`ReportRun`]) with their models ([`Listing`]).
//! Out: the text of the page.
//!
//! Every string that comes from a model, a data file or a path goes through maud, which escapes it.
//! Drawings are SVG made here; the style sheet gives them their colours for light, dark and paper. The
//! page reads without JavaScript, which only sorts and filters the table of summaries.

mod density;
mod intervals;
mod listing;
mod marginals;
mod origin;
mod page;
mod pairs;
mod predictive;
mod prior;
mod run;
mod svg;
mod table;
mod trace;
mod verdict;

pub use listing::Listing;
pub use page::page;
pub use run::ReportRun;
