//! Messages about source text: codes, labels, rendering.

mod code;
mod diagnostic;
mod outcome;
mod render;

pub use code::Code;
pub use diagnostic::{Diagnostic, Fix, Label, Severity};
pub use outcome::Outcome;
pub use render::{Color, render, render_all};
