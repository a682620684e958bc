//! Messages about source text: codes, labels, what a misspelt name was to be, rendering.

mod code;
mod diagnostic;
mod nearest;
mod outcome;
mod render;

pub use code::Code;
pub use diagnostic::{Diagnostic, Fix, Label, Severity};
pub use nearest::nearest;
pub use outcome::Outcome;
pub use render::{Color, render, render_all};
