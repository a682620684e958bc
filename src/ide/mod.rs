//! What an editor asks about a model, without any protocol: in and out are byte spans.
//!
//! | file | does |
//! |---|---|
//! | `analysis` | one text, parsed and checked, with what stands where |
//! | `library`, `words` | the standard library parsed once; what keywords and types mean |
//! | `describe` | declarations and variables as text, for all below |
//! | `context`, `fit` | what is being written at a place; which distributions fit there |
//! | `hover`, `signature`, `completion`, `inlay` | what is shown while one reads and writes |
//! | `navigate` | definition, references, renaming |
//! | `symbols`, `tokens` | outline and colours |
//! | `actions` | changes that one may want |
//!
//! Names, types and supports come from [`crate::check`]; nothing is resolved here.

mod actions;
mod analysis;
mod completion;
mod context;
mod describe;
mod fit;
mod hover;
mod inlay;
mod library;
mod navigate;
mod signature;
mod symbols;
mod tokens;
mod words;

pub use actions::{Action, Edit, actions};
pub use analysis::Analysis;
pub use completion::{Candidate, CandidateKind, complete, document};
pub use hover::{Hover, hover};
pub use inlay::{Inlay, inlays};
pub use library::prepare;
pub use navigate::{definition, references, rename, renameable};
pub use signature::{Signature, signature};
pub use symbols::{Symbol, SymbolKind, symbols};
pub use tokens::{Colour, TokenKind, tokens};
