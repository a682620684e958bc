//! The language server survives any sequence of messages. An input that begins with `{` has a message on
//! each line; of any other input the bytes choose messages that are well formed.
#![no_main]

use std::io::Cursor;

use arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use ppl::lsp::serve;
use serde_json::{Value, json};

const REQUESTS: [&str; 16] = [
    "textDocument/hover",
    "textDocument/definition",
    "textDocument/references",
    "textDocument/documentHighlight",
    "textDocument/prepareRename",
    "textDocument/rename",
    "textDocument/completion",
    "textDocument/signatureHelp",
    "textDocument/inlayHint",
    "textDocument/semanticTokens/full",
    "textDocument/documentSymbol",
    "textDocument/formatting",
    "textDocument/codeAction",
    "completionItem/resolve",
    "shutdown",
    "initialize",
];

/// Pieces of models.
const PIECES: [&str; 20] = [
    "data y: real[N]\n",
    "param mu ~ normal(0, 1)\n",
    "param tau: real<lower=0> ~ cauchy(0, 5)\n",
    "y ~ normal(mu, tau)\n",
    "let a = mu * 2\n",
    "fn f(x: real) -> real = x + 1\n",
    "gen z = f(mu)\n",
    "for i in 1:N { y[i] ~ normal(mu, 1) }\n",
    "let s: real[N] { s[1] = 0\n for t in 2:N { s[t] = s[t-1] } }\n",
    "normal(",
    "mu",
    "\r\n",
    "{",
    "µ𝒩",
    " ~ ",
    "param ",
    "import \"b.ppl\"\n",
    "marginal k: int<lower=1, upper=2> ~ categorical([0.5, 0.5])\n",
    "/// what it is\n",
    "",
];

fuzz_target!(|bytes: &[u8]| {
    let messages: Vec<String> = match std::str::from_utf8(bytes) {
        Ok(text) if text.starts_with('{') => text.lines().map(str::to_owned).collect(),
        _ => chosen(&mut Unstructured::new(bytes)).unwrap_or_default(),
    };
    let framed = |text: &String| format!("Content-Length: {}\r\n\r\n{text}", text.len());
    let input: String = messages.iter().map(framed).collect();
    let mut output = Vec::new();
    let cache = std::env::temp_dir().join("ppl-fuzz-lsp");
    serve(&mut Cursor::new(input), &mut output, cache).expect("memory can be read and written");
    let said = String::from_utf8(output).expect("JSON");
    assert!(!said.contains("bug in ppl"), "{messages:#?}\n{said}");
});

fn chosen(u: &mut Unstructured<'_>) -> Result<Vec<String>> {
    let mut messages = vec![request(1, "initialize", json!({"capabilities": {}}))];
    let mut id = 1;
    while !u.is_empty() && messages.len() < 40 {
        id += 1;
        let uri = ["file:///m/a.ppl", "file:///m/b.ppl", "untitled:c", ""][u.choose_index(4)?];
        messages.push(match u.int_in_range(0..=4)? {
            0 => {
                let document = json!({"uri": uri, "languageId": "ppl", "version": id, "text": text(u)?});
                note("textDocument/didOpen", json!({"textDocument": document}))
            }
            1 => {
                let whole = json!({"text": text(u)?});
                let part = json!({"text": text(u)?, "range": range(u)?});
                let changes = if u.arbitrary()? { vec![whole] } else { vec![part, whole] };
                let document = json!({"uri": uri, "version": id});
                note(
                    "textDocument/didChange",
                    json!({"textDocument": document, "contentChanges": changes}),
                )
            }
            2 if u.ratio(1, 4)? => {
                note("textDocument/didClose", json!({"textDocument": {"uri": uri}}))
            }
            _ => {
                let params = json!({
                    "textDocument": {"uri": uri},
                    "position": position(u)?,
                    "range": range(u)?,
                    "newName": PIECES[u.choose_index(PIECES.len())?].trim(),
                    "context": {"includeDeclaration": true, "diagnostics": []},
                    "options": {"tabSize": 2, "insertSpaces": true},
                    "label": "normal",
                });
                request(id, REQUESTS[u.choose_index(REQUESTS.len())?], params)
            }
        });
    }
    Ok(messages)
}

fn request(id: i32, method: &str, params: Value) -> String {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string()
}

fn note(method: &str, params: Value) -> String {
    json!({"jsonrpc": "2.0", "method": method, "params": params}).to_string()
}

fn text(u: &mut Unstructured<'_>) -> Result<String> {
    let n = u.int_in_range(0..=8)?;
    (0..n).map(|_| Ok(PIECES[u.choose_index(PIECES.len())?])).collect()
}

fn position(u: &mut Unstructured<'_>) -> Result<Value> {
    Ok(json!({"line": u.int_in_range(0..=9)?, "character": u.int_in_range(0..=40)?}))
}

fn range(u: &mut Unstructured<'_>) -> Result<Value> {
    Ok(json!({"start": position(u)?, "end": position(u)?}))
}
