//! The guides can be followed: their files are written, their commands run, and what a page shows of the
//! output is what comes out.
//!
//! A block behind `<!-- file: NAME -->` is written to that file. The lines of an `sh` block are run in
//! order, in one folder for each page. A `text` block right behind it is what its last line prints, errors
//! first; a line `…` there stands for any number of lines, `…` at the end of a line for its rest. Blocks behind `<!-- not run -->` are left alone.

use std::path::Path;
use std::process::Command;

use crate::blocks::pages;
use crate::effort;
use crate::python::python_with;

/// A fenced block and the marks in the comments above it.
struct Fence {
    language: String,
    mark: Option<String>,
    text: String,
    /// Whether nothing but blank lines is between it and the block before.
    follows: bool,
}

fn fences(page: &str) -> Vec<Fence> {
    let mut fences = Vec::new();
    let mut lines = page.lines();
    let (mut mark, mut follows) = (None, false);
    while let Some(line) = lines.next() {
        if let Some(comment) = line.strip_prefix("<!-- ") {
            mark = comment.strip_suffix(" -->").map(str::to_owned);
        } else if let Some(info) = line.strip_prefix("```") {
            let language = info.split(' ').next().unwrap_or_default().to_owned();
            let text = lines.by_ref().take_while(|l| *l != "```").flat_map(|l| [l, "\n"]).collect();
            fences.push(Fence { language, mark: mark.take(), text, follows });
            follows = true;
            continue;
        } else if line.trim().is_empty() {
            continue;
        }
        follows = false;
    }
    fences
}

/// Whether `shown`, in which a line `…` stands for any number of lines, is `output`.
fn shows(shown: &[&str], output: &[&str]) -> bool {
    match shown.split_first() {
        None => output.is_empty(),
        Some((&"…", rest)) => (0..=output.len()).any(|skip| shows(rest, &output[skip..])),
        Some((line, rest)) => output.split_first().is_some_and(|(first, others)| {
            let same = match line.strip_suffix('…') {
                Some(beginning) => first.starts_with(beginning),
                None => line.trim_end() == first.trim_end(),
            };
            same && shows(rest, others)
        }),
    }
}

#[test]
fn an_ellipsis_stands_for_lines() {
    assert!(shows(&["a", "…", "d"], &["a", "b", "c", "d"]));
    assert!(shows(&["…"], &[]));
    assert!(!shows(&["a", "…", "e"], &["a", "b", "c", "d"]));
    assert!(!shows(&["a"], &["a", "b"]));
    assert!(shows(&["a = 1…"], &["a = 1.25"]) && !shows(&["a = 1…"], &["a = 2"]));
}

/// Follows a page; what went wrong, and how many commands were run.
fn follow(page: &Path) -> (String, usize) {
    let text = std::fs::read_to_string(page).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let binary = Path::new(env!("CARGO_BIN_EXE_ppl"));
    let before = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(
        [binary.parent().unwrap().to_owned()].into_iter().chain(std::env::split_paths(&before)),
    );
    let path = path.unwrap();
    let (mut wrong, mut commands) = (String::new(), 0);
    let mut said = String::new();
    for fence in fences(&text) {
        let not_run = fence.mark.as_deref() == Some("not run");
        if let Some(name) = fence.mark.as_deref().and_then(|mark| mark.strip_prefix("file: ")) {
            std::fs::write(folder.path().join(name), &fence.text).unwrap();
        } else if fence.language == "sh" && !not_run {
            for line in fence.text.lines() {
                let mut command = Command::new("sh");
                command.args(["-c", line]).current_dir(folder.path()).env("PATH", &path);
                let output = command.env("NO_COLOR", "1").output().unwrap();
                let errors = String::from_utf8_lossy(&output.stderr).into_owned();
                said = format!("{errors}{}", String::from_utf8_lossy(&output.stdout));
                commands += 1;
                // A page may show an error.
                if !output.status.success() && !errors.contains("Error:") {
                    wrong += &format!("{}: `{line}`: {said}\n", page.display());
                }
            }
        } else if fence.language == "text" && fence.follows && !not_run {
            let (shown, output): (Vec<_>, Vec<_>) =
                (fence.text.lines().collect(), said.lines().collect());
            if !shows(&shown, &output) {
                let page = page.display();
                wrong += &format!("{page} shows\n{}\nbut this comes out:\n{said}\n", fence.text);
            }
        }
    }
    (wrong, commands)
}

/// Pages that are meant to be followed from top to bottom.
const GUIDES: [&str; 5] = [
    "docs/first_hour.md",
    "docs/compiler.md",
    "docs/coming_from_stan.md",
    "docs/coming_from_numpyro.md",
    "docs/coming_from_pymc.md",
];

#[test]
fn slow_guides_can_be_followed() {
    if !effort::slow() {
        return;
    }
    if Command::new("sh").args(["-c", "true"]).output().is_err() {
        println!("skipped: there is no sh");
        return;
    }
    let mut wrong = String::new();
    for guide in GUIDES {
        let (problems, commands) = follow(&Path::new(env!("CARGO_MANIFEST_DIR")).join(guide));
        assert!(commands > 0, "{guide} has no command");
        wrong += &problems;
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// The book has every page: `docs/SUMMARY.md` lists them.
#[test]
fn the_summary_lists_every_page() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let summary = std::fs::read_to_string(docs.join("SUMMARY.md")).unwrap();
    let listed: Vec<&str> =
        summary.split("](").skip(1).filter_map(|link| link.split(')').next()).collect();
    let relative = |page: &Path| page.strip_prefix(&docs).unwrap().display().to_string();
    let all: Vec<String> =
        pages(&docs).iter().map(|page| relative(page).replace('\\', "/")).collect();
    let missing: Vec<_> = all
        .iter()
        .filter(|page| *page != "SUMMARY.md" && !listed.contains(&page.as_str()))
        .collect();
    assert!(missing.is_empty(), "docs/SUMMARY.md lacks {missing:?}");
    let mut twice = listed.clone();
    twice.sort_unstable();
    assert!(twice.windows(2).all(|pair| pair[0] != pair[1]), "docs/SUMMARY.md lists a page twice");
}

/// `mdbook build docs` has nothing to complain of; mdBook comes from PyPI, as a Python package.
#[test]
fn slow_the_book_can_be_built() {
    if !effort::slow() {
        return;
    }
    let Some(python) = python_with("book") else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(python.with_file_name("mdbook"));
    command.args(["build", "docs", "--dest-dir"]).arg(folder.path());
    let built = command.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    let said = String::from_utf8_lossy(&built.stderr).into_owned();
    assert!(built.status.success() && !said.contains("WARN"), "{said}");
    assert!(folder.path().join("first_hour.html").exists(), "{said}");
}
