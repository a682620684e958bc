//! Says of every model in a folder whether it parses: `NAME ok`, or `NAME LINE:COLUMN` of the first
//! place that does not. What the suite of the compiler compares with its own parser.

use std::path::PathBuf;

use tree_sitter::{Node, Parser};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).ok_or("usage: verdicts FOLDER")?;
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)?
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<_>>()?;
    paths.sort();
    let mut parser = Parser::new();
    parser.set_language(&tree_sitter_ppl::LANGUAGE.into())?;
    for path in paths {
        let text = std::fs::read(&path)?;
        let tree = parser.parse(&text, None).ok_or("no language")?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match first_error(tree.root_node()) {
            None => println!("{name} ok"),
            Some(node) => {
                let at = node.start_position();
                println!("{name} {}:{}", at.row + 1, at.column + 1);
            }
        }
    }
    Ok(())
}

/// The first node that is an error or is missing.
fn first_error(node: Node<'_>) -> Option<Node<'_>> {
    if node.is_error() || node.is_missing() {
        return Some(node);
    }
    if !node.has_error() {
        return None;
    }
    node.children(&mut node.walk()).find_map(first_error).or(Some(node))
}
