//! What an editor waits for after a key: messages of the language server on a model of 1,000 lines,
//! through the protocol. Run: `cargo bench --bench editor`.

use std::io::Cursor;

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use ppl::lsp::serve;
use serde_json::{Value, json};
use shared::model;

mod shared;

fn main() {
    divan::main();
}

const URI: &str = "file:///models/m.ppl";

/// Keys of one session; its start is shared by them.
const KEYS: usize = 20;

/// A session that opens the model and then types `KEYS` keys at its end, each followed by a request.
fn session(lines: usize, request: Option<&str>) -> Vec<u8> {
    let mut text = model(lines);
    let line = text.lines().count();
    let mut bytes = Vec::new();
    let mut send = |message: Value| {
        let body = message.to_string();
        bytes.extend(format!("Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes());
    };
    send(
        json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {"capabilities": {}}}),
    );
    let document = json!({"uri": URI, "languageId": "ppl", "version": 0, "text": text});
    send(
        json!({"jsonrpc": "2.0", "method": "textDocument/didOpen", "params": {"textDocument": document}}),
    );
    for (version, key) in (1..=KEYS).zip("param zeta: real ~ no".chars()) {
        text.push(key);
        let document = json!({"uri": URI, "version": version});
        let params = json!({"textDocument": document, "contentChanges": [{"text": text}]});
        send(json!({"jsonrpc": "2.0", "method": "textDocument/didChange", "params": params}));
        if let Some(method) = request {
            let mut params = json!({
                "textDocument": {"uri": URI},
                "position": {"line": line, "character": version},
                "range": {"start": {"line": 0, "character": 0}, "end": {"line": line + 1, "character": 0}},
            });
            if method.ends_with("codeAction") {
                params["context"] = json!({"diagnostics": []});
            }
            send(json!({"jsonrpc": "2.0", "id": version, "method": method, "params": params}));
        }
    }
    bytes
}

/// A key, its diagnostics, and the answer to a request: the time of an item is that of one key.
#[divan::bench(args = [
    "", "textDocument/completion", "textDocument/semanticTokens/full", "textDocument/inlayHint",
    "textDocument/hover", "textDocument/codeAction",
])]
fn key(bencher: Bencher<'_, '_>, request: &str) {
    let input = session(1_000, Some(request).filter(|method| !method.is_empty()));
    let cache = std::env::temp_dir().join("ppl-bench-editor");
    bencher.counter(ItemsCount::new(KEYS)).bench(|| {
        let mut output = Vec::new();
        let end = serve(&mut Cursor::new(black_box(&input)), &mut output, cache.clone());
        end.expect("reads memory");
        output
    });
}
