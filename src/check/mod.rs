//! Syntax tree → typed tree: names, types, symbolic shapes, stages, supports, lints.
//!
//! | step | file | does |
//! |---|---|---|
//! | collect | `checker` | every declaration by name; each is checked when something first needs it |
//! | names | `scope`, `suggest`, `stdlib` | what a name means, and what it could have meant |
//! | declared types | `declared` | a type as written → [`typed::Support`] and [`typed::Type`] |
//! | expressions | `infer`, `index`, `call`, `member`, `primitive` | types, shapes and stages, bottom up |
//! | distributions | `dist`, `combinator`, `support` | arguments, batch shapes, priors against supports |
//! | declarations | `decl`, `define`, `stmt` | the parts of a model; functions and distributions |
//! | draws | `generative` | a checked model's `~` statements as draws |
//! | places | `places` | what stands where, for editors |
//! | lints | `lints`, `idle`, `interval` | what is allowed but probably not meant |
//!
//! Checking on demand gives the order of dependence: a declaration is complete when everything that
//! it reads is. An expression with an error has [`typed::Type::Error`], which agrees with every
//! type, so that one mistake gives one message.

pub mod builtins;
mod call;
mod checker;
mod combinator;
mod decl;
mod declared;
mod define;
mod dist;
mod forms;
pub mod generative;
mod idle;
mod index;
mod infer;
mod interval;
mod lagged;
mod lints;
mod member;
mod missing;
pub mod places;
mod primitive;
pub mod print;
mod scope;
pub mod shape;
pub mod solver;
pub mod stdlib;
mod stmt;
mod subst;
mod suggest;
mod support;
mod text;
pub mod typed;
pub(crate) mod visit;

pub use checker::{Imported, check, check_library, check_with};
pub use lints::lint_with_sizes;
pub use print::emit;
pub use scope::Combinator;
pub use text::{Checked, check_text};
