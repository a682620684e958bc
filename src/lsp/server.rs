//! The loop over messages: reads one, answers it, reads the next.
//!
//! Invariant: no message takes the process down. What is no message is passed over, what cannot be
//! understood is answered with an error, and a panic in a handler is answered with one too.

use std::io::{self, BufRead, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use lsp_server::{ErrorCode, Message, Notification, Request, RequestId, Response};
use lsp_types::notification::{
    DidChangeTextDocument, DidCloseTextDocument, DidOpenTextDocument, Exit, LogMessage,
    Notification as _, PublishDiagnostics,
};
use lsp_types::request::{
    CodeActionRequest, Completion, DocumentHighlightRequest, DocumentSymbolRequest, Formatting,
    GotoDefinition, HoverRequest, Initialize, InlayHintRequest, PrepareRenameRequest, References,
    Rename, Request as _, ResolveCompletionItem, SemanticTokensFullRequest, Shutdown,
    SignatureHelpRequest,
};
use lsp_types::{
    CodeActionKind, CodeActionOptions, CodeActionProviderCapability, CompletionOptions,
    DidChangeTextDocumentParams, HoverProviderCapability, InitializeResult, LogMessageParams,
    MessageType, OneOf, PublishDiagnosticsParams, RenameOptions, SemanticTokensFullOptions,
    SemanticTokensLegend, SemanticTokensOptions, ServerCapabilities, ServerInfo,
    SignatureHelpOptions, TextDocumentSyncCapability, TextDocumentSyncKind, Uri,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::convert::{TOKEN_MODIFIERS, TOKEN_TYPES, offset};
use super::documents::{Documents, name_of};
use crate::ide::prepare;
use crate::source::SourceMap;

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The client asked to shut down, and then to exit.
    Orderly,
    /// It went away without asking.
    Abrupt,
}

/// Serves one client until it exits or goes away. Files that it may want to read (the standard library,
/// the pages of errors) are written below `cache`.
///
/// # Errors
/// That nothing can be read or written any more.
pub fn serve(input: &mut impl BufRead, output: &mut impl Write, cache: PathBuf) -> io::Result<End> {
    let mut server = Server { documents: Documents::new(cache), phase: Phase::Unborn };
    loop {
        let message = match Message::read(input) {
            Ok(Some(message)) => message,
            Ok(None) => return Ok(End::Abrupt),
            // What is no message was read past; the next may be one.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => continue,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(End::Abrupt),
            Err(error) => return Err(error),
        };
        match message {
            Message::Request(request) => {
                Message::Response(server.answer(request)).write(output)?;
            }
            Message::Notification(note) if note.method == Exit::METHOD => {
                let asked = server.phase == Phase::Ending;
                return Ok(if asked { End::Orderly } else { End::Abrupt });
            }
            Message::Notification(note) => {
                for note in server.take(note) {
                    Message::Notification(note).write(output)?;
                }
            }
            Message::Response(_) => {}
        }
    }
}

/// What the client may ask now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Only to initialize.
    Unborn,
    /// Anything.
    Alive,
    /// Only to exit.
    Ending,
}

struct Server {
    documents: Documents,
    phase: Phase,
}

/// Why there is no answer.
struct Refusal(ErrorCode, String);

impl Server {
    fn answer(&mut self, request: Request) -> Response {
        let Request { id, method, params } = request;
        let known = match (self.phase, method.as_str()) {
            (Phase::Unborn, Initialize::METHOD) => {
                self.phase = Phase::Alive;
                prepare();
                return respond(id, &capabilities());
            }
            (Phase::Unborn, _) => {
                Err(Refusal(ErrorCode::ServerNotInitialized, "not initialized".into()))
            }
            (Phase::Ending, _) => Err(Refusal(ErrorCode::InvalidRequest, "shut down".into())),
            (Phase::Alive, Initialize::METHOD) => {
                Err(Refusal(ErrorCode::InvalidRequest, "initialized already".into()))
            }
            (Phase::Alive, Shutdown::METHOD) => {
                self.phase = Phase::Ending;
                Ok(Value::Null)
            }
            (Phase::Alive, _) => {
                let answered = catch_unwind(AssertUnwindSafe(|| self.dispatch(&method, params)));
                answered.unwrap_or_else(|_| {
                    let message = format!("bug in ppl: `{method}` failed");
                    Err(Refusal(ErrorCode::InternalError, message))
                })
            }
        };
        match known {
            Ok(value) => respond(id, &value),
            Err(Refusal(code, message)) => Response::new_err(id, code as i32, message),
        }
    }

    fn dispatch(&self, method: &str, params: Value) -> Result<Value, Refusal> {
        let documents = &self.documents;
        match method {
            HoverRequest::METHOD => reply(params, |p| documents.hover(&p)),
            GotoDefinition::METHOD => reply(params, |p| documents.definition(&p)),
            References::METHOD => reply(params, |p| documents.references(&p)),
            DocumentHighlightRequest::METHOD => reply(params, |p| documents.highlights(&p)),
            PrepareRenameRequest::METHOD => reply(params, |p| documents.prepare_rename(&p)),
            Rename::METHOD => reply(params, |p| documents.rename(&p)),
            Completion::METHOD => reply(params, |p| documents.completion(&p)),
            ResolveCompletionItem::METHOD => reply(params, |p| Ok(documents.resolve(p))),
            SignatureHelpRequest::METHOD => reply(params, |p| documents.signature_help(&p)),
            InlayHintRequest::METHOD => reply(params, |p| documents.inlay_hints(&p)),
            SemanticTokensFullRequest::METHOD => reply(params, |p| documents.semantic_tokens(&p)),
            DocumentSymbolRequest::METHOD => reply(params, |p| documents.symbols(&p)),
            Formatting::METHOD => reply(params, |p| documents.formatting(&p)),
            CodeActionRequest::METHOD => reply(params, |p| documents.code_actions(&p)),
            _ => Err(Refusal(ErrorCode::MethodNotFound, format!("`{method}` is not offered"))),
        }
    }

    /// Takes a notification; returns those to send.
    fn take(&mut self, note: Notification) -> Vec<Notification> {
        if self.phase != Phase::Alive {
            return Vec::new();
        }
        let method = note.method.clone();
        catch_unwind(AssertUnwindSafe(|| self.change(note))).unwrap_or_else(|_| {
            let message = format!("bug in ppl: `{method}` failed");
            let params = LogMessageParams { typ: MessageType::ERROR, message };
            vec![Notification::new(LogMessage::METHOD.into(), params)]
        })
    }

    /// Follows a change of the open texts. Notifications that are not understood are passed over, as
    /// the protocol wants it.
    fn change(&mut self, note: Notification) -> Vec<Notification> {
        let documents = &mut self.documents;
        let mut closed = None;
        let changed = match note.method.as_str() {
            DidOpenTextDocument::METHOD => params::<DidOpenTextDocument>(note)
                .map(|p| p.text_document)
                .map(|opened| documents.set(&opened.uri, opened.version, &opened.text)),
            DidChangeTextDocument::METHOD => params::<DidChangeTextDocument>(note).and_then(|p| {
                let text = changed_text(documents, &p)?;
                Some(documents.set(&p.text_document.uri, p.text_document.version, &text))
            }),
            DidCloseTextDocument::METHOD => params::<DidCloseTextDocument>(note).map(|p| {
                let importers = documents.close(&p.text_document.uri);
                closed = Some(p.text_document.uri);
                importers
            }),
            _ => None,
        };
        let names = changed.unwrap_or_default();
        let shown = names.iter().filter_map(|name| self.documents.diagnostics(name));
        let cleared = closed.map(cleared);
        cleared
            .into_iter()
            .chain(shown)
            .map(|params| Notification::new(PublishDiagnostics::METHOD.into(), params))
            .collect()
    }
}

/// Takes the messages of a closed document away.
fn cleared(uri: Uri) -> PublishDiagnosticsParams {
    PublishDiagnosticsParams { uri, diagnostics: Vec::new(), version: None }
}

/// The text of a document after its changes, each of the whole or of a range. `None` if it is not open.
fn changed_text(documents: &Documents, params: &DidChangeTextDocumentParams) -> Option<String> {
    let mut text = documents.texts().get(&name_of(&params.text_document.uri))?.clone();
    for change in &params.content_changes {
        match change.range {
            None => text.clone_from(&change.text),
            Some(range) => {
                let mut sources = SourceMap::new();
                let id = sources.add("", text.as_str());
                let file = sources.file(id);
                let (start, end) = (offset(file, range.start), offset(file, range.end));
                text.replace_range(start..end.max(start), &change.text);
            }
        }
    }
    Some(text)
}

fn params<N: lsp_types::notification::Notification>(note: Notification) -> Option<N::Params> {
    serde_json::from_value(note.params).ok()
}

/// Reads the parameters, and makes what a handler returns an answer.
fn reply<P: DeserializeOwned, T: Serialize>(
    params: Value,
    handler: impl FnOnce(P) -> Result<T, String>,
) -> Result<Value, Refusal> {
    let params = serde_json::from_value(params)
        .map_err(|error| Refusal(ErrorCode::InvalidParams, error.to_string()))?;
    let answer = handler(params).map_err(|why| Refusal(ErrorCode::RequestFailed, why))?;
    let mut answer = serde_json::to_value(answer)
        .map_err(|error| Refusal(ErrorCode::InternalError, error.to_string()))?;
    // The edits of a rename are a hash map in the protocol's own types.
    answer.sort_all_objects();
    Ok(answer)
}

fn respond(id: RequestId, value: &impl Serialize) -> Response {
    Response::new_ok(id, value)
}

/// What this server offers.
fn capabilities() -> InitializeResult {
    let strings = |letters: &[&str]| letters.iter().map(|s| (*s).to_string()).collect();
    let capabilities = ServerCapabilities {
        text_document_sync: Some(TextDocumentSyncCapability::Kind(TextDocumentSyncKind::FULL)),
        hover_provider: Some(HoverProviderCapability::Simple(true)),
        definition_provider: Some(OneOf::Left(true)),
        references_provider: Some(OneOf::Left(true)),
        document_highlight_provider: Some(OneOf::Left(true)),
        rename_provider: Some(OneOf::Right(RenameOptions {
            prepare_provider: Some(true),
            work_done_progress_options: Default::default(),
        })),
        completion_provider: Some(CompletionOptions {
            trigger_characters: Some(strings(&["~", " ", "<", ":", "("])),
            resolve_provider: Some(true),
            ..CompletionOptions::default()
        }),
        signature_help_provider: Some(SignatureHelpOptions {
            trigger_characters: Some(strings(&["(", ","])),
            ..SignatureHelpOptions::default()
        }),
        inlay_hint_provider: Some(OneOf::Left(true)),
        semantic_tokens_provider: Some(
            SemanticTokensOptions {
                legend: SemanticTokensLegend {
                    token_types: TOKEN_TYPES.to_vec(),
                    token_modifiers: TOKEN_MODIFIERS.to_vec(),
                },
                full: Some(SemanticTokensFullOptions::Bool(true)),
                ..SemanticTokensOptions::default()
            }
            .into(),
        ),
        document_symbol_provider: Some(OneOf::Left(true)),
        document_formatting_provider: Some(OneOf::Left(true)),
        code_action_provider: Some(CodeActionProviderCapability::Options(CodeActionOptions {
            code_action_kinds: Some(vec![
                CodeActionKind::QUICKFIX,
                CodeActionKind::REFACTOR_REWRITE,
            ]),
            ..CodeActionOptions::default()
        })),
        ..ServerCapabilities::default()
    };
    InitializeResult {
        capabilities,
        server_info: Some(ServerInfo {
            name: "ppl".into(),
            version: Some(env!("CARGO_PKG_VERSION").into()),
        }),
    }
}
