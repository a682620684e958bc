//! What is answered to each request.

use std::collections::HashMap;

use lsp_types::{
    CodeAction, CodeActionKind, CodeActionOrCommand, CodeActionParams, CodeActionResponse,
    CompletionItem, CompletionParams, CompletionResponse, CompletionTextEdit,
    DocumentFormattingParams, DocumentHighlight, DocumentHighlightParams, DocumentSymbol,
    DocumentSymbolParams, DocumentSymbolResponse, Documentation, GotoDefinitionParams,
    GotoDefinitionResponse, Hover, HoverContents, HoverParams, InlayHint, InlayHintKind,
    InlayHintLabel, InlayHintParams, InlayHintTooltip, Location, MarkupContent, MarkupKind,
    ParameterInformation, ParameterLabel, Position, PrepareRenameResponse,
    PublishDiagnosticsParams, Range, ReferenceParams, RenameParams, SemanticTokens,
    SemanticTokensParams, SemanticTokensResult, SignatureHelp, SignatureHelpParams,
    SignatureInformation, TextDocumentPositionParams, TextEdit, Uri, WorkspaceEdit,
};
use serde_json::json;

use crate::ide::{self, Analysis};
use crate::source::{FileId, MOST_BYTES, SourceMap, Span, read_import};
use crate::syntax::format;

use super::convert::{self, location, offset, position, range};
use super::documents::{Documents, name_of};

/// What is answered: nothing where the document is not open, an error that the user is to read.
pub(super) type Answer<T> = Result<Option<T>, String>;

impl Documents {
    fn analysis(&self, uri: &Uri) -> Option<&Analysis> {
        self.get(&name_of(uri))?.analysis.as_ref()
    }

    /// The analysis of a document, and the byte at a position in it.
    fn at(&self, place: &TextDocumentPositionParams) -> Option<(&Analysis, usize)> {
        let analysis = self.analysis(&place.text_document.uri)?;
        let file = analysis.sources.file(analysis.file());
        Some((analysis, offset(file, place.position)))
    }

    /// Everything to say about a document.
    pub(super) fn diagnostics(&self, name: &str) -> Option<PublishDiagnosticsParams> {
        let document = self.get(name)?;
        let shown = document.analysis.as_ref().filter(|_| !self.is_library(name));
        let diagnostics = shown.map(|analysis| {
            let found = analysis.checked.diagnostics.iter();
            found
                .map(|d| convert::diagnostic(&analysis.sources, analysis.file(), d, self))
                .collect()
        });
        Some(PublishDiagnosticsParams {
            uri: document.uri.clone(),
            diagnostics: diagnostics.unwrap_or_default(),
            version: Some(document.version),
        })
    }

    pub(super) fn hover(&self, params: &HoverParams) -> Answer<Hover> {
        let Some((analysis, at)) = self.at(&params.text_document_position_params) else {
            return Ok(None);
        };
        Ok(ide::hover(analysis, at).map(|hover| Hover {
            contents: HoverContents::Markup(markdown(hover.markdown)),
            range: Some(range(&analysis.sources, hover.span)),
        }))
    }

    pub(super) fn definition(
        &self,
        params: &GotoDefinitionParams,
    ) -> Answer<GotoDefinitionResponse> {
        let Some((analysis, at)) = self.at(&params.text_document_position_params) else {
            return Ok(None);
        };
        let place = ide::definition(analysis, at);
        let place = place.and_then(|span| location(&analysis.sources, span, self));
        Ok(place.map(GotoDefinitionResponse::Scalar))
    }

    pub(super) fn references(&self, params: &ReferenceParams) -> Answer<Vec<Location>> {
        let Some((analysis, at)) = self.at(&params.text_document_position) else { return Ok(None) };
        let places = ide::references(analysis, at, params.context.include_declaration);
        let places = places.into_iter().filter_map(|span| location(&analysis.sources, span, self));
        Ok(Some(places.collect()))
    }

    pub(super) fn highlights(
        &self,
        params: &DocumentHighlightParams,
    ) -> Answer<Vec<DocumentHighlight>> {
        let Some((analysis, at)) = self.at(&params.text_document_position_params) else {
            return Ok(None);
        };
        let places = ide::references(analysis, at, true).into_iter();
        let here = places.filter(|span| span.file == analysis.file());
        let highlight =
            |span| DocumentHighlight { range: range(&analysis.sources, span), kind: None };
        Ok(Some(here.map(highlight).collect()))
    }

    pub(super) fn prepare_rename(
        &self,
        place: &TextDocumentPositionParams,
    ) -> Answer<PrepareRenameResponse> {
        let Some((analysis, at)) = self.at(place) else { return Ok(None) };
        let span = ide::renameable(analysis, at);
        Ok(span.map(|span| PrepareRenameResponse::Range(range(&analysis.sources, span))))
    }

    pub(super) fn rename(&self, params: &RenameParams) -> Answer<WorkspaceEdit> {
        let Some((analysis, at)) = self.at(&params.text_document_position) else { return Ok(None) };
        let name = analysis.sources.name(analysis.file());
        let mut again = |places: &[Span]| {
            let mut changed: HashMap<String, String> = HashMap::new();
            for place in places.iter().rev() {
                let file = analysis.sources.file(place.file);
                let text = changed
                    .entry(file.name().to_string())
                    .or_insert_with(|| file.text().to_string());
                text.replace_range(place.range(), &params.new_name);
            }
            self.analyse_with(name, &changed)
        };
        let places = ide::rename(analysis, at, &params.new_name, &mut again)?;
        let edits =
            places.into_iter().map(|span| ide::Edit { span, text: params.new_name.clone() });
        Ok(Some(self.workspace_edit(&analysis.sources, &edits.collect::<Vec<_>>())))
    }

    fn workspace_edit(&self, sources: &SourceMap, edits: &[ide::Edit]) -> WorkspaceEdit {
        #[allow(
            clippy::mutable_key_type,
            reason = "the protocol's own type of keys; never changed"
        )]
        let mut changes: HashMap<Uri, Vec<TextEdit>> = HashMap::new();
        for edit in edits {
            if let Some(uri) = self.uri_of(sources.name(edit.span.file)) {
                changes.entry(uri).or_default().push(convert::edit(sources, edit));
            }
        }
        WorkspaceEdit { changes: Some(changes), ..WorkspaceEdit::default() }
    }

    pub(super) fn completion(&self, params: &CompletionParams) -> Answer<CompletionResponse> {
        let place = &params.text_document_position;
        let name = name_of(&place.text_document.uri);
        let Some(text) = self.texts().get(&name) else { return Ok(None) };
        let mut sources = SourceMap::new();
        let id = sources.add(name.as_str(), text.as_str());
        let at = offset(sources.file(id), place.position);
        let mut import =
            |path: &str, importer: &str| read_import(path, importer, self.texts(), MOST_BYTES);
        let (word, candidates) = ide::complete(&name, text, at, &mut import);
        let word = range(&sources, word);
        let item = |candidate: ide::Candidate| CompletionItem {
            kind: Some(convert::candidate_kind(candidate.kind)),
            detail: Some(candidate.detail),
            sort_text: Some(format!("{}{}", candidate.rank, candidate.label)),
            text_edit: Some(CompletionTextEdit::Edit(TextEdit {
                range: word,
                new_text: candidate.label.clone(),
            })),
            data: Some(json!(name)),
            label: candidate.label,
            ..CompletionItem::default()
        };
        Ok(Some(CompletionResponse::Array(candidates.into_iter().map(item).collect())))
    }

    pub(super) fn resolve(&self, mut item: CompletionItem) -> CompletionItem {
        let name = item.data.as_ref().and_then(|data| data.as_str());
        let analysis = name.and_then(|name| self.get(name)).and_then(|d| d.analysis.as_ref());
        let document = analysis.and_then(|analysis| ide::document(analysis, &item.label));
        item.documentation = document.map(|text| Documentation::MarkupContent(markdown(text)));
        item
    }

    pub(super) fn signature_help(&self, params: &SignatureHelpParams) -> Answer<SignatureHelp> {
        let Some((analysis, at)) = self.at(&params.text_document_position_params) else {
            return Ok(None);
        };
        let narrow = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let found = ide::signature(analysis, at);
        let active = found.first().map(|signature| narrow(signature.active));
        let signature = |signature: ide::Signature| {
            let units = |at: usize| narrow(signature.label[..at].encode_utf16().count());
            let parameters = signature.params.iter().map(|(start, end)| ParameterInformation {
                label: ParameterLabel::LabelOffsets([units(*start), units(*end)]),
                documentation: None,
            });
            SignatureInformation {
                parameters: Some(parameters.collect()),
                documentation: Some(Documentation::MarkupContent(markdown(signature.doc))),
                active_parameter: Some(narrow(signature.active)),
                label: signature.label,
            }
        };
        let signatures: Vec<SignatureInformation> = found.into_iter().map(signature).collect();
        Ok((!signatures.is_empty()).then_some(SignatureHelp {
            signatures,
            active_signature: Some(0),
            active_parameter: active,
        }))
    }

    pub(super) fn inlay_hints(&self, params: &InlayHintParams) -> Answer<Vec<InlayHint>> {
        let Some(analysis) = self.analysis(&params.text_document.uri) else { return Ok(None) };
        let file = analysis.sources.file(analysis.file());
        let (start, end) = (offset(file, params.range.start), offset(file, params.range.end));
        let hint = |inlay: ide::Inlay| {
            let position = position(file, inlay.offset);
            let insert = || {
                let range = Range::new(position, position);
                vec![TextEdit { range, new_text: inlay.label.clone() }]
            };
            InlayHint {
                position,
                text_edits: inlay.is_type.then(insert),
                kind: inlay.is_type.then_some(InlayHintKind::TYPE),
                tooltip: Some(InlayHintTooltip::String(inlay.tooltip)),
                label: InlayHintLabel::String(inlay.label),
                padding_left: None,
                padding_right: None,
                data: None,
            }
        };
        Ok(Some(ide::inlays(analysis, start, end).into_iter().map(hint).collect()))
    }

    pub(super) fn semantic_tokens(
        &self,
        params: &SemanticTokensParams,
    ) -> Answer<SemanticTokensResult> {
        let Some(analysis) = self.analysis(&params.text_document.uri) else { return Ok(None) };
        let file = analysis.sources.file(analysis.file());
        let data = convert::semantic_tokens(file, &ide::tokens(analysis));
        Ok(Some(SemanticTokensResult::Tokens(SemanticTokens { result_id: None, data })))
    }

    pub(super) fn symbols(&self, params: &DocumentSymbolParams) -> Answer<DocumentSymbolResponse> {
        let Some(analysis) = self.analysis(&params.text_document.uri) else { return Ok(None) };
        let symbols = ide::symbols(analysis);
        let symbols = symbols.into_iter().map(|found| symbol(&analysis.sources, found)).collect();
        Ok(Some(DocumentSymbolResponse::Nested(symbols)))
    }

    /// The whole text in canonical layout; nothing where it does not parse.
    pub(super) fn formatting(&self, params: &DocumentFormattingParams) -> Answer<Vec<TextEdit>> {
        let Some(text) = self.texts().get(&name_of(&params.text_document.uri)) else {
            return Ok(None);
        };
        let Ok(formatted) = format(FileId(0), text) else { return Ok(None) };
        if formatted == *text {
            return Ok(Some(Vec::new()));
        }
        let mut sources = SourceMap::new();
        let id = sources.add("", text.as_str());
        let end = position(sources.file(id), text.len());
        let range = Range::new(Position::default(), end);
        Ok(Some(vec![TextEdit { range, new_text: formatted }]))
    }

    pub(super) fn code_actions(&self, params: &CodeActionParams) -> Answer<CodeActionResponse> {
        let Some(analysis) = self.analysis(&params.text_document.uri) else { return Ok(None) };
        let file = analysis.sources.file(analysis.file());
        let (start, end) = (offset(file, params.range.start), offset(file, params.range.end));
        let action = |action: ide::Action| {
            let settles = action.settles.as_ref();
            let diagnostics = settles
                .map(|d| vec![convert::diagnostic(&analysis.sources, analysis.file(), d, self)]);
            let fixes = diagnostics.is_some();
            CodeActionOrCommand::CodeAction(CodeAction {
                title: action.title,
                kind: Some(if fixes {
                    CodeActionKind::QUICKFIX
                } else {
                    CodeActionKind::REFACTOR_REWRITE
                }),
                diagnostics,
                edit: Some(self.workspace_edit(&analysis.sources, &action.edits)),
                is_preferred: Some(action.certain),
                ..CodeAction::default()
            })
        };
        Ok(Some(ide::actions(analysis, start, end).into_iter().map(action).collect()))
    }
}

fn markdown(value: String) -> MarkupContent {
    MarkupContent { kind: MarkupKind::Markdown, value }
}

fn symbol(sources: &SourceMap, found: ide::Symbol) -> DocumentSymbol {
    let children = found.children.into_iter().map(|child| symbol(sources, child));
    #[allow(deprecated, reason = "the protocol's type has the field still")]
    DocumentSymbol {
        name: found.name,
        detail: Some(found.detail).filter(|detail| !detail.is_empty()),
        kind: convert::symbol_kind(found.kind),
        tags: None,
        deprecated: None,
        range: range(sources, found.span),
        selection_range: range(sources, found.name_span),
        children: Some(children.collect()),
    }
}
