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
    // Errors first where not all fit: a warning matters less than why there is no result.
    let mut shown: Vec<&Diagnostic> = diagnostics.iter().collect();
    if shown.len() > MOST_SHOWN {
        shown.sort_by_key(|d| !d.is_error());
        shown.truncate(MOST_SHOWN);
    }
    let mut texts: Vec<String> =
        shown.iter().map(|diagnostic| render_with(diagnostic, &mut files, color)).collect();
    if diagnostics.len() > MOST_SHOWN {
        texts.push(format!("… and {} messages more\n", diagnostics.len() - MOST_SHOWN));
    }
    texts.join("\n")
}

/// Messages of one compilation that are shown.
const MOST_SHOWN: usize = 50;

/// Bytes of a line beyond which a piece of it is shown; a page of text helps nobody.
const LONG_LINE: usize = 500;

/// Characters of a message that are shown.
const LONG_MESSAGE: usize = 400;

/// The text, cut if it is very long (a name may be).
fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_string(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// Whether a place lies in a line too long to show.
fn in_long_line(sources: &SourceMap, span: Span) -> bool {
    let text = sources.text(span.file).as_bytes();
    let (start, end) = (span.start as usize, span.end as usize);
    let near = |bytes: &mut dyn Iterator<Item = &u8>| {
        bytes.take(LONG_LINE).position(|&b| b == b'\n').unwrap_or(LONG_LINE)
    };
    let before = near(&mut text[..start].iter().rev()).min(start);
    let after = near(&mut text[start..].iter()).min(text.len() - start);
    before + after >= LONG_LINE || end - start >= LONG_LINE
}

/// A diagnostic without its line: the place, and a few characters from there.
fn render_short(diagnostic: &Diagnostic, sources: &SourceMap) -> String {
    let kind = match diagnostic.severity {
        Severity::Error => "Error",
        Severity::Warning => "Warning",
    };
    let at = |span: Span| {
        let place = sources.location(span);
        format!("{}:{}:{}", sources.name(span.file), place.line, place.column)
    };
    let mut lines =
        vec![format!("[{}] {kind}: {}", diagnostic.code, cut(&diagnostic.message, LONG_MESSAGE))];
    for label in std::iter::once(&diagnostic.primary).chain(&diagnostic.secondary) {
        let piece = sources.text(label.span.file)[label.span.start as usize..].lines().next();
        lines.push(format!("   ╭─[ {} ]", at(label.span)));
        lines.push(format!("   │ {}", cut(piece.unwrap_or_default(), 60)));
        lines.push(format!("   │ ╰── {}", cut(&label.text, LONG_MESSAGE)));
    }
    let fix = diagnostic.fix.as_ref().map(|fix| fix_text(&fix.title, &fix.replacement));
    for help in diagnostic.help.iter().chain(&fix) {
        lines.push(format!("   │ Help: {}", cut(help, LONG_MESSAGE)));
    }
    for note in &diagnostic.notes {
        lines.push(format!("   │ Note: {}", cut(note, LONG_MESSAGE)));
    }
    lines.push("───╯\n".into());
    lines.join("\n")
}

fn render_with(diagnostic: &Diagnostic, files: &mut Files<'_>, color: Color) -> String {
    let mut labels = std::iter::once(&diagnostic.primary).chain(&diagnostic.secondary);
    if labels.any(|label| in_long_line(files.sources, label.span)) {
        return render_short(diagnostic, files.sources);
    }
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
    fn a_very_long_line_is_not_shown_whole() {
        let mut sources = SourceMap::new();
        let name = "z".repeat(1_000_000);
        let text = format!("let b = {name}\n");
        let file = sources.add("long.ppl", text.as_str());
        let span = Span::new(file, 8, 8 + name.len());
        let message = format!("unknown name `{name}`");
        let diagnostic = Diagnostic::error(Code::E0102, span, message, "not defined anywhere");
        let shown = render(&diagnostic, &sources, Color::Off);
        assert!(shown.len() < 2000, "{} bytes", shown.len());
        assert!(shown.contains("long.ppl:1:9"), "{shown}");
        assert!(shown.contains("not defined anywhere"), "{shown}");
    }

    #[test]
    fn very_many_messages_are_counted() {
        let mut sources = SourceMap::new();
        let file = sources.add("many.ppl", "let b = z\n");
        let span = Span::new(file, 8, 9);
        let one = Diagnostic::error(Code::E0102, span, "unknown name `z`", "not defined");
        let shown = render_all(&vec![one; 1000], &sources, Color::Off);
        assert_eq!(shown.matches("E0102").count(), 50);
        assert!(shown.contains("950 messages more"), "{shown}");
    }

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
