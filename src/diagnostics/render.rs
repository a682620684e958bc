//! Diagnostics → the text people read. The only file that imports ariadne.
//!
//! ariadne counts characters unless told otherwise; our spans count bytes, so the index type is
//! set to bytes (a fixture with `μ` before the error keeps it so).

use std::collections::HashMap;
use std::fmt::{Debug, Display};

use ariadne::{Cache, Config, IndexType, Report, ReportKind, Source};

use super::{Diagnostic, Severity};
use crate::source::{FileId, SourceMap, Span};

/// Whether to use terminal colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Color {
    /// ANSI escapes.
    On,
    /// Plain text.
    Off,
}

/// Renders one diagnostic with the lines of source it is about; ends with a line break.
///
/// # Panics
/// If a span comes from another source map.
#[must_use]
pub fn render(diagnostic: &Diagnostic, sources: &SourceMap, color: Color) -> String {
    render_with(diagnostic, &mut Files::new(sources), color)
}

/// Renders several diagnostics in the given order, an empty line between them.
///
/// # Panics
/// If a span comes from another source map.
#[must_use]
pub fn render_all(diagnostics: &[Diagnostic], sources: &SourceMap, color: Color) -> String {
    let mut files = Files::new(sources);
    let texts: Vec<String> =
        diagnostics.iter().map(|diagnostic| render_with(diagnostic, &mut files, color)).collect();
    texts.join("\n")
}

fn render_with(diagnostic: &Diagnostic, files: &mut Files<'_>, color: Color) -> String {
    let (kind, tint) = match diagnostic.severity {
        Severity::Error => (ReportKind::Error, ariadne::Color::Red),
        Severity::Warning => (ReportKind::Warning, ariadne::Color::Yellow),
    };
    let config = Config::default()
        .with_index_type(IndexType::Byte)
        .with_color(color == Color::On)
        .with_compact(false);
    let primary = ariadne::Label::new(Place(diagnostic.primary.span))
        .with_message(&diagnostic.primary.text)
        .with_color(tint)
        .with_priority(1);
    let secondary = diagnostic.secondary.iter().map(|label| {
        ariadne::Label::new(Place(label.span))
            .with_message(&label.text)
            .with_color(ariadne::Color::Blue)
    });
    let mut report = Report::build(kind, Place(diagnostic.primary.span))
        .with_config(config)
        .with_code(diagnostic.code)
        .with_message(&diagnostic.message)
        .with_label(primary)
        .with_labels(secondary);
    for note in &diagnostic.notes {
        report.add_note(note);
    }
    if let Some(help) = &diagnostic.help {
        report.add_help(help);
    }
    if let Some(fix) = &diagnostic.fix {
        report.add_help(fix_text(&fix.title, &fix.replacement));
    }
    let mut bytes = Vec::new();
    report.finish().write(files, &mut bytes).expect("writing to memory does not fail");
    // ariadne pads lines and writes non-breaking blanks for indentation.
    let text = String::from_utf8_lossy(&bytes).replace('\u{a0}', " ");
    text.lines().flat_map(|line| [line.trim_end(), "\n"]).collect()
}

/// "insert `)`", "remove the semicolon", "replace by `~`": the title, with the new text if there
/// is one and the title does not show it.
fn fix_text(title: &str, replacement: &str) -> String {
    let shown = replacement.trim();
    if shown.is_empty() || title.contains(shown) {
        title.to_string()
    } else {
        format!("{title}: `{shown}`")
    }
}

/// A span in ariadne's terms.
#[derive(Clone, Copy, Debug)]
struct Place(Span);

impl ariadne::Span for Place {
    type SourceId = FileId;

    fn source(&self) -> &FileId {
        &self.0.file
    }

    fn start(&self) -> usize {
        self.0.start as usize
    }

    fn end(&self) -> usize {
        self.0.end as usize
    }
}

/// The files of a source map in ariadne's form, each indexed when it is first shown.
struct Files<'a> {
    sources: &'a SourceMap,
    indexed: HashMap<FileId, Source<&'a str>>,
}

impl<'a> Files<'a> {
    fn new(sources: &'a SourceMap) -> Self {
        Self { sources, indexed: HashMap::new() }
    }
}

impl<'a> Cache<FileId> for &mut Files<'a> {
    type Storage = &'a str;

    fn fetch(&mut self, id: &FileId) -> Result<&Source<&'a str>, impl Debug> {
        let sources = self.sources;
        let source = self.indexed.entry(*id).or_insert_with(|| Source::from(sources.text(*id)));
        Ok::<_, std::convert::Infallible>(source)
    }

    fn display<'b>(&self, id: &'b FileId) -> Option<impl Display + 'b> {
        Some(self.sources.name(*id).to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostics::Code;

    #[test]
    fn bytes_not_characters_place_the_marks() {
        let mut sources = SourceMap::new();
        let text = "let μ = 1 // μμμ\nlet b = μ + σ\n";
        let file = sources.add("greek.ppl", text);
        let start = text.find('σ').expect("σ is there");
        let span = Span::new(file, start, start + "σ".len());
        let diagnostic = Diagnostic::error(Code::E0102, span, "unknown name `σ`", "not defined");
        let shown = render(&diagnostic, &sources, Color::Off);
        assert!(shown.contains("greek.ppl:2:13"), "{shown}");
        let mut lines = shown.lines().skip_while(|line| !line.contains("let b = μ + σ"));
        let column = |line: &str, c| line.chars().position(|found| found == c);
        let source_line = lines.next().expect("the line is shown");
        let marks = lines.next().expect("marks are below");
        assert_eq!(column(source_line, 'σ'), column(marks, '┬'), "{shown}");
        assert!(!shown.contains('\u{1b}'));
        assert!(render(&diagnostic, &sources, Color::On).contains('\u{1b}'));
    }
}
