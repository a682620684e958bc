//! The language-server protocol: the only layer that knows it and its JSON.
//!
//! | file | does |
//! |---|---|
//! | `server` | the loop over messages, and which handler a message has |
//! | `documents` | open texts with their analyses; names of files and their URIs |
//! | `requests` | what is answered to each request, from [`crate::ide`] |
//! | `convert` | spans, messages and the like in the protocol's terms |
//!
//! One thread, one message at a time: an answer depends on the messages before it and on nothing else.

mod convert;
mod documents;
mod requests;
mod server;

pub use documents::file_uri;
pub use server::{End, serve};
