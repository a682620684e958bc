//! Code blocks of Markdown pages, as tests: the reference, the guides, the rules of the language.
//!
//! A `ppl` block is a model; one marked `ppl E0102` has that error and no other, one marked `ppl W0601`
//! that lint. A `json` block that follows is its data: then the model is compiled and run as well.

use std::path::{Path, PathBuf};

use ppl::data::{DataSet, Format};
use ppl::driver::Session;

/// A model with what its page says of it.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) page: PathBuf,
    /// Line of the page, from 1.
    pub(crate) line: usize,
    /// The codes behind `ppl`.
    pub(crate) marks: Vec<String>,
    pub(crate) model: String,
    pub(crate) data: Option<String>,
}

impl Block {
    /// Where it stands, for messages.
    pub(crate) fn place(&self) -> String {
        format!("{}:{}", self.page.display(), self.line)
    }

    /// Checks, and with data runs, the model; returns what is wrong with that.
    pub(crate) fn wrong(&self) -> Option<String> {
        let (session, finite) = self.run();
        let lints = self.marks.iter().any(|mark| mark.starts_with('W'));
        let told = session.diagnostics.iter().filter(|d| lints || d.is_error());
        let mut found: Vec<&str> = told.map(|d| d.code.as_str()).collect();
        found.dedup();
        let problem = if found != self.marks {
            format!("marked {:?}, found {found:?}\n{}", self.marks, session.render(false))
        } else if !finite {
            "the log density or its gradient is not finite".to_string()
        } else {
            return None;
        };
        Some(format!("{}: {problem}\n{}\n", self.place(), self.model))
    }

    /// Checks the model, and with data compiles it; returns what that said and, if it came so far,
    /// whether the log density and its gradient at some point are finite.
    pub(crate) fn run(&self) -> (Session, bool) {
        let helpers = "fn twice(x: real) -> real = 2 * x\n".to_string();
        let mut session = Session::with_imports([("helpers.ppl".to_string(), helpers)].into());
        let model = session.check("model.ppl", &self.model);
        let (Some(model), Some(json)) = (model, &self.data) else { return (session, true) };
        let data = DataSet::from_bytes("data.json", Some(Format::Json), json.as_bytes());
        let data = data.unwrap_or_else(|e| panic!("{}: {e:?}", self.place()));
        let Some(posterior) = session.compile(&model, &data) else { return (session, true) };
        let d = posterior.dim();
        let at: Vec<f64> = (0..d).map(|i| 0.1 * (1.0 + i as f64).sin()).collect();
        let (mut log_p, mut score) = ([0.0], vec![0.0; d]);
        posterior.target().f64.score(&at, &mut log_p, &mut score);
        (session, log_p.iter().chain(&score).all(|x| x.is_finite()))
    }
}

/// Markdown files in a folder and those below it.
pub(crate) fn pages(folder: &Path) -> Vec<PathBuf> {
    let mut pages = Vec::new();
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            pages.extend(self::pages(&path));
        } else if path.extension().is_some_and(|e| e == "md") {
            pages.push(path);
        }
    }
    pages
}

/// The models of a page.
pub(crate) fn blocks(page: &Path) -> Vec<Block> {
    let text = std::fs::read_to_string(page).unwrap();
    let mut blocks: Vec<Block> = Vec::new();
    let mut lines = text.lines().enumerate();
    let mut last_was_model = false;
    while let Some((number, line)) = lines.next() {
        let Some(info) = line.strip_prefix("```") else {
            last_was_model &= line.trim().is_empty();
            continue;
        };
        let inside: Vec<&str> =
            lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```").collect();
        let inside = inside.iter().map(|line| format!("{line}\n")).collect();
        let mut words = info.split_whitespace();
        match words.next() {
            Some("ppl") => {
                let marks = words.map(str::to_string).collect();
                let page = page.to_path_buf();
                let line = number + 1;
                blocks.push(Block { page, line, marks, model: inside, data: None });
                last_was_model = true;
            }
            Some("json") if last_was_model => {
                blocks.last_mut().unwrap().data = Some(inside);
                last_was_model = false;
            }
            _ => last_was_model = false,
        }
    }
    blocks
}
