//! `ppl`: a probabilistic-programming mini-language with a variational-inference backend.
//!
//! The stages, in the order in which a model passes through them:
//!
//! | stage | module | from → to |
//! |---|---|---|
//! | text and positions | [`source`], [`diagnostics`] | files → spans, messages about them |
//! | parse | [`syntax`] | text → tokens → syntax tree |
//! | check | [`check`] | syntax tree → typed tree |
//! | bind | [`data`] | data file → named arrays that fit the declarations |
//! | lower | [`lower`] | typed tree + sizes → IR of the log joint ([`ir`]) |
//! | optimise, differentiate | [`passes`], [`autodiff`] | IR → IR |
//! | execute | [`exec`] | IR → numbers, many particles at once |
//! | infer | [`inference`] | [`density::LogDensity`] → draws and a verdict |
//! | write | [`results`] | draws → tables and files |
//! | tell | [`report`] | finished runs → one HTML page |
//!
//! [`ide`] answers what editors ask, [`lsp`] speaks their protocol.
//! [`driver`] sequences them; [`cli`] is the command line. No logic lives in this file.

pub mod autodiff;
pub mod check;
pub mod cli;
pub mod data;
pub mod density;
pub mod diagnostics;
pub mod driver;
pub mod exec;
pub mod ide;
pub mod inference;
pub mod ir;
pub mod lower;
pub mod lsp;
pub mod passes;
pub mod posterior;
pub mod random;
pub mod real;
pub mod report;
pub mod results;
pub mod simd;
pub mod source;
pub mod special;
pub mod syntax;
