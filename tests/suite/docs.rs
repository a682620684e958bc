//! The documentation does not lie: its models check, its references exist.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::blocks::{Block, blocks, pages};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Files below `folder` with one of the extensions.
fn files(folder: &Path, extensions: &[&str], out: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            files(&path, extensions, out);
        } else if path.extension().is_some_and(|e| extensions.iter().any(|x| e == *x)) {
            out.push(path);
        }
    }
}

/// The reference in `docs/language` and the pages of the codes have tests of their own.
#[test]
fn every_model_in_the_guides_checks() {
    let mut guides = pages(&root().join("docs"));
    guides.retain(|page| page.parent().is_some_and(|p| p.ends_with("docs")));
    guides.extend(pages(&root().join("examples")));
    guides.push(root().join("README.md"));
    let models: Vec<Block> = guides.iter().flat_map(|page| blocks(page)).collect();
    let wrong: String = models.iter().filter_map(Block::wrong).collect();
    assert!(wrong.is_empty(), "{wrong}");
    assert!(models.len() >= 5, "{} models", models.len());
}

/// The page of a code shows a model that gets it, first; what it shows then does not. Pages about data
/// files show those.
#[test]
fn the_page_of_each_code_shows_what_it_says() {
    // Fifty thousand lines; a loop of 100,000 steps; a command; what no text leads to but a gap in the
    // compiler.
    const NOT_SHOWN: [&str; 5] = ["E0018", "E0507", "E0520", "E0521", "E0506"];
    let mut wrong = String::new();
    let mut shown = 0;
    for page in pages(&root().join("docs/errors")) {
        let code = page.file_stem().unwrap().to_str().unwrap().to_string();
        if NOT_SHOWN.contains(&code.as_str()) {
            continue;
        }
        for (at, block) in blocks(&page).iter().enumerate() {
            let (session, _) = block.run();
            let has = session.diagnostics.iter().any(|d| d.code.as_str() == code);
            if (at == 0) != has {
                wrong += &format!("{}: {}\n", block.place(), session.render(false));
                wrong += &block.model;
            }
            shown += 1;
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(shown > 130, "{shown} models");
}

#[test]
fn every_link_in_the_guides_leads_somewhere() {
    let mut pages = Vec::new();
    files(&root().join("docs"), &["md"], &mut pages);
    files(&root().join("examples"), &["md"], &mut pages);
    for page in pages {
        let text = std::fs::read_to_string(&page).unwrap();
        for link in text.split("](").skip(1) {
            // Within a page too.
            let target = link.split([')', '#']).next().unwrap();
            if !target.is_empty() && !target.contains("://") {
                let path = page.parent().unwrap().join(target);
                assert!(path.exists(), "{}: {target}", page.display());
            }
        }
    }
}

/// `[vehtari2021` starts a citation: a name and a year.
fn citations(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split('[').skip(1).filter_map(|rest| {
        let key: String = rest.chars().take_while(char::is_ascii_alphanumeric).collect();
        let digits = key.trim_start_matches(|c: char| c.is_ascii_lowercase());
        let is_key = digits.len() == 4
            && digits.len() < key.len()
            && digits.chars().all(|c| c.is_ascii_digit())
            && rest[key.len()..].starts_with([']', ',']);
        is_key.then_some(key)
    })
}

#[test]
fn every_citation_is_in_the_bibliography() {
    let bibliography = std::fs::read_to_string(root().join("docs/references.bib")).unwrap();
    let known: BTreeSet<String> = bibliography
        .lines()
        .filter_map(|line| line.split_once('{')?.1.split_once(',').map(|(key, _)| key.to_owned()))
        .collect();
    let mut sources = Vec::new();
    for folder in ["src", "stdlib"] {
        files(&root().join(folder), &["rs", "ppl", "md"], &mut sources);
    }
    let cited: BTreeSet<String> = sources
        .iter()
        .flat_map(|path| {
            let text = std::fs::read_to_string(path).unwrap();
            citations(&text).collect::<Vec<_>>()
        })
        .collect();
    assert!(cited.len() > 10, "{cited:?}");
    let missing: Vec<_> = cited.difference(&known).collect();
    assert!(missing.is_empty(), "cited, but not in docs/references.bib: {missing:?}");
}
