//! The standard library's declarations, parsed once.

use std::collections::HashMap;
use std::sync::OnceLock;

use crate::check::stdlib;
use crate::source::FileId;
use crate::syntax::{ast, parse};

/// Parses the library, which else the first question about it would wait for.
pub fn prepare() {
    library();
}

/// Functions and distributions of the library by name, without the further forms of a name.
/// Spans in them are those of the file in [`stdlib::FILES`] whose index is their `FileId`.
pub(super) fn library() -> &'static HashMap<String, ast::Item> {
    static LIBRARY: OnceLock<HashMap<String, ast::Item>> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let mut items = HashMap::new();
        for (id, (_, text)) in (0..).map(FileId).zip(stdlib::FILES) {
            let tree = parse(id, text).value.map(|tree| tree.items).unwrap_or_default();
            items.extend(tree.into_iter().filter_map(|item| match &item {
                ast::Item::Fn(f) => Some((f.name.text.clone(), item)),
                ast::Item::Dist(d) => Some((d.name.text.clone(), item)),
                _ => None,
            }));
        }
        items.retain(|name, _| !name.contains("__"));
        items
    })
}
