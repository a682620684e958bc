//! The documentation does not lie: its models check, its references exist.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use ppl::driver::Session;

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

#[test]
fn every_model_in_the_guides_checks() {
    let mut pages: Vec<PathBuf> = std::fs::read_dir(root().join("docs"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "md"))
        .collect();
    pages.extend([root().join("README.md")].into_iter().filter(|p| p.exists()));
    let mut models = 0;
    for page in &pages {
        let text = std::fs::read_to_string(page).unwrap();
        for fence in text.split("```ppl\n").skip(1) {
            let model = fence.split("```").next().unwrap();
            let mut session = Session::new();
            let checked = session.check(&page.display().to_string(), model);
            assert!(checked.is_some(), "{}", session.render(false));
            models += 1;
        }
    }
    assert!(models >= 2, "only {models} models found");
}

#[test]
fn every_link_in_the_guides_leads_somewhere() {
    let mut pages = Vec::new();
    files(&root().join("docs"), &["md"], &mut pages);
    files(&root().join("examples"), &["md"], &mut pages);
    for page in pages {
        let text = std::fs::read_to_string(&page).unwrap();
        for link in text.split("](").skip(1) {
            let target = link.split(')').next().unwrap();
            if !target.contains("://") {
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
