//! The only place that sequences stages.
