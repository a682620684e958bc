//! Spans, messages and kinds in the protocol's terms. Positions count units of UTF-16.

use lsp_types::{
    CompletionItemKind, DiagnosticRelatedInformation, DiagnosticSeverity, Location, NumberOrString,
    Position, Range, SemanticToken, SemanticTokenModifier, SemanticTokenType, SymbolKind, TextEdit,
};

use crate::diagnostics::{Diagnostic, Severity};
use crate::ide;
use crate::source::{SourceFile, SourceMap, Span, Utf16Location};

use super::documents::Documents;

fn narrow(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// The position of a byte.
pub(super) fn position(file: &SourceFile, offset: usize) -> Position {
    let at = file.utf16_location(offset);
    Position::new(narrow(at.line), narrow(at.column))
}

/// The byte at a position.
pub(super) fn offset(file: &SourceFile, at: Position) -> usize {
    file.utf16_offset(Utf16Location { line: at.line as usize, column: at.character as usize })
}

/// The range of a span.
pub(super) fn range(sources: &SourceMap, span: Span) -> Range {
    let file = sources.file(span.file);
    Range::new(position(file, span.range().start), position(file, span.range().end))
}

/// A span with the URI of its file; `None` where that has none.
pub(super) fn location(sources: &SourceMap, span: Span, documents: &Documents) -> Option<Location> {
    let uri = documents.uri_of(sources.name(span.file))?;
    Some(Location { uri, range: range(sources, span) })
}

/// A change of the text.
pub(super) fn edit(sources: &SourceMap, edit: &ide::Edit) -> TextEdit {
    TextEdit { range: range(sources, edit.span), new_text: edit.text.clone() }
}

/// A message about a document, with all its places. What is wrong with an imported file stands at the
/// top of the document, with the place itself.
pub(super) fn diagnostic(
    sources: &SourceMap,
    document: crate::source::FileId,
    found: &Diagnostic,
    documents: &Documents,
) -> lsp_types::Diagnostic {
    let elsewhere = found.span().file != document;
    let place = if elsewhere { Span::at(document, 0) } else { found.span() };
    let primary = elsewhere.then_some(&found.primary);
    let related = primary.into_iter().chain(&found.secondary).filter_map(|label| {
        let location = location(sources, label.span, documents)?;
        Some(DiagnosticRelatedInformation { location, message: label.text.clone() })
    });
    let mut message = found.message.clone();
    if !found.primary.text.is_empty() {
        message.push_str(&format!("\n{}", found.primary.text));
    }
    for help in found.help.iter().chain(found.fix.iter().map(|fix| &fix.title)) {
        message.push_str(&format!("\nhelp: {help}"));
    }
    for note in &found.notes {
        message.push_str(&format!("\nnote: {note}"));
    }
    let page = documents.page_of(found.code);
    lsp_types::Diagnostic {
        range: range(sources, place),
        severity: Some(match found.severity {
            Severity::Error => DiagnosticSeverity::ERROR,
            Severity::Warning => DiagnosticSeverity::WARNING,
        }),
        code: Some(NumberOrString::String(found.code.to_string())),
        code_description: page.map(|href| lsp_types::CodeDescription { href }),
        source: Some("ppl".into()),
        message,
        related_information: Some(related.collect()),
        tags: None,
        data: None,
    }
}

/// The kinds of tokens, in the order of [`ide::TokenKind`].
pub(super) const TOKEN_TYPES: &[SemanticTokenType] = &[
    SemanticTokenType::KEYWORD,
    SemanticTokenType::TYPE,
    SemanticTokenType::FUNCTION,
    SemanticTokenType::CLASS,
    SemanticTokenType::VARIABLE,
    SemanticTokenType::PARAMETER,
    SemanticTokenType::NUMBER,
    SemanticTokenType::STRING,
    SemanticTokenType::OPERATOR,
    SemanticTokenType::COMMENT,
];

/// What is said of a token besides, bit by bit.
pub(super) const TOKEN_MODIFIERS: &[SemanticTokenModifier] = &[
    SemanticTokenModifier::DECLARATION,
    SemanticTokenModifier::READONLY,
    SemanticTokenModifier::DEFAULT_LIBRARY,
];

/// Colours as the protocol wants them: each place relative to the one before, none over several lines.
pub(super) fn semantic_tokens(file: &SourceFile, colours: &[ide::Colour]) -> Vec<SemanticToken> {
    let mut tokens = Vec::new();
    let mut last = Position::default();
    for colour in colours {
        let mut start = colour.span.range().start;
        for line in file.text()[colour.span.range()].split('\n') {
            let length = narrow(line.trim_end_matches('\r').encode_utf16().count());
            let at = position(file, start);
            start += line.len() + 1;
            if length == 0 {
                continue;
            }
            let delta_line = at.line - last.line;
            let delta_start =
                if delta_line == 0 { at.character - last.character } else { at.character };
            let bits = [colour.declaration, colour.readonly, colour.library];
            tokens.push(SemanticToken {
                delta_line,
                delta_start,
                length,
                token_type: colour.kind as u32,
                token_modifiers_bitset: (0..).zip(bits).map(|(n, set)| u32::from(set) << n).sum(),
            });
            last = at;
        }
    }
    tokens
}

/// The protocol's kind of a declaration.
pub(super) fn symbol_kind(kind: ide::SymbolKind) -> SymbolKind {
    match kind {
        ide::SymbolKind::Data => SymbolKind::FIELD,
        ide::SymbolKind::Latent => SymbolKind::VARIABLE,
        ide::SymbolKind::Value => SymbolKind::CONSTANT,
        ide::SymbolKind::Function => SymbolKind::FUNCTION,
        ide::SymbolKind::Distribution => SymbolKind::CLASS,
    }
}

/// The protocol's kind of a candidate.
pub(super) fn candidate_kind(kind: ide::CandidateKind) -> CompletionItemKind {
    match kind {
        ide::CandidateKind::Keyword => CompletionItemKind::KEYWORD,
        ide::CandidateKind::Type => CompletionItemKind::TYPE_PARAMETER,
        ide::CandidateKind::Property => CompletionItemKind::PROPERTY,
        ide::CandidateKind::Function => CompletionItemKind::FUNCTION,
        ide::CandidateKind::Distribution => CompletionItemKind::CLASS,
        ide::CandidateKind::Variable => CompletionItemKind::VARIABLE,
    }
}
