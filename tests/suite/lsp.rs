//! The language server over its protocol.
//!
//! Transcripts: each line of `tests/lsp/*.jsonl` is a message of the client, or what is none; the snapshot
//! shows each with what the server sends back. Lists that grow with the library are asked for below.

use std::io::Cursor;
use std::path::Path;

use ppl::check::stdlib;
use ppl::driver::Session;
use ppl::lsp::{End, file_uri, serve};
use serde_json::{Value, json};

use crate::files::below;

/// Runs a session; returns what the server sent, and how it ended.
fn session(messages: &[String], cache: &Path) -> (Vec<Value>, End) {
    let framed = |text: &String| format!("Content-Length: {}\r\n\r\n{text}", text.len());
    let input: String = messages.iter().map(framed).collect();
    let mut output = Vec::new();
    let end = serve(&mut Cursor::new(input), &mut output, cache.to_path_buf()).unwrap();
    let mut rest = output.as_slice();
    let mut sent = Vec::new();
    while !rest.is_empty() {
        let at = rest.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
        let head = std::str::from_utf8(&rest[..at]).unwrap();
        let length: usize = head.strip_prefix("Content-Length: ").unwrap().parse().unwrap();
        let body = &rest[at + 4..at + 4 + length];
        sent.push(serde_json::from_slice(body).unwrap());
        rest = &rest[at + 4 + length..];
    }
    (sent, end)
}

/// A message on one line; semantic tokens in rows of five, paths as they are on every machine.
fn shown(message: &Value, cache: &Path) -> String {
    let mut message = message.clone();
    if let Some(data) = message.pointer_mut("/result/data").and_then(Value::as_array_mut) {
        let numbers: Vec<String> = data.iter().map(ToString::to_string).collect();
        let rows: Vec<Value> = numbers.chunks(5).map(|row| json!(row.join(" "))).collect();
        *data = rows;
    }
    serde_json::to_string_pretty(&message)
        .unwrap()
        .replace(file_uri(cache).unwrap().as_str(), "file:///CACHE")
        .replace(env!("CARGO_PKG_VERSION"), "VERSION")
}

#[test]
fn transcripts() {
    let cache = tempfile::tempdir().unwrap();
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
        insta::glob!("..", "lsp/*.jsonl", |path| {
            let lines: Vec<String> =
                std::fs::read_to_string(path).unwrap().lines().map(str::to_string).collect();
            let mut text = String::new();
            let mut before = 0;
            // The server knows nothing of what is to come, so the answers to a line are those that
            // the lines up to it have and the lines before it have not.
            let (all, end) = session(&lines, cache.path());
            for count in 1..=lines.len() {
                let (sent, _) = session(&lines[..count], cache.path());
                assert_eq!(sent, all[..sent.len()]);
                text += &format!(">>> {}\n", lines[count - 1]);
                for message in &sent[before..] {
                    text += &format!("{}\n", shown(message, cache.path()));
                }
                before = sent.len();
            }
            text += &format!("{end:?}\n");
            insta::assert_snapshot!(text);
        });
    });
}

/// A client with one open document, which asks one thing.
struct Client {
    cache: tempfile::TempDir,
    text: String,
}

const URI: &str = "file:///models/m.ppl";

impl Client {
    fn new(text: &str) -> Self {
        Self { cache: tempfile::tempdir().unwrap(), text: text.to_string() }
    }

    fn ask(&self, method: &str, params: Value) -> Value {
        let document = json!({"uri": URI, "languageId": "ppl", "version": 1, "text": self.text});
        let note = |method: &str, params: Value| {
            json!({"jsonrpc": "2.0", "method": method, "params": params}).to_string()
        };
        let request = |id: i32, method: &str, params: Value| {
            json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string()
        };
        let messages = [
            request(1, "initialize", json!({"capabilities": {}})),
            note("textDocument/didOpen", json!({"textDocument": document})),
            request(2, method, params),
            request(3, "shutdown", Value::Null),
            note("exit", Value::Null),
        ];
        let (sent, end) = session(&messages, self.cache.path());
        assert_eq!(end, End::Orderly);
        sent.into_iter().find(|message| message["id"] == 2).unwrap()["result"].take()
    }

    /// Position of the `nth` occurrence of a piece of the text.
    fn position(&self, piece: &str, nth: usize) -> Value {
        let (at, _) = self.text.match_indices(piece).nth(nth).unwrap();
        let line = self.text[..at].matches('\n').count();
        let start = self.text[..at].rfind('\n').map_or(0, |newline| newline + 1);
        json!({"line": line, "character": self.text[start..at].encode_utf16().count()})
    }

    /// What is proposed at the `|` of the text.
    fn completions(text: &str) -> Vec<Value> {
        let mut client = Self::new(text);
        let position = client.position("|", 0);
        client.text = text.replacen('|', "", 1);
        let params = json!({"textDocument": {"uri": URI}, "position": position});
        client.ask("textDocument/completion", params).as_array().unwrap().clone()
    }

    /// The text after the action of that title at a piece of the text.
    fn act(&self, piece: &str, title: &str) -> String {
        let at = self.position(piece, 0);
        let params = json!({
            "textDocument": {"uri": URI},
            "range": {"start": at, "end": at},
            "context": {"diagnostics": []},
        });
        let found = self.ask("textDocument/codeAction", params);
        let named = |action: &&Value| action["title"].as_str().unwrap().starts_with(title);
        let action = found.as_array().unwrap().iter().find(named).unwrap_or_else(|| {
            panic!("no action {title}: {found:#}");
        });
        applied(&self.text, &action["edit"]["changes"][URI])
    }
}

/// A text after edits, which are in UTF-16 (here ASCII).
fn applied(text: &str, edits: &Value) -> String {
    let offset = |at: &Value| {
        let line = usize::try_from(at["line"].as_u64().unwrap()).unwrap();
        let start: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
        start + usize::try_from(at["character"].as_u64().unwrap()).unwrap()
    };
    let mut text_after = text.to_string();
    for edit in edits.as_array().unwrap().iter().rev() {
        let (start, end) = (&edit["range"]["start"], &edit["range"]["end"]);
        text_after.replace_range(offset(start)..offset(end), edit["newText"].as_str().unwrap());
    }
    text_after
}

fn labels(items: &[Value]) -> Vec<&str> {
    items.iter().map(|item| item["label"].as_str().unwrap()).collect()
}

/// Checks that all of `there` and none of `absent` are proposed.
fn proposes(text: &str, there: &[&str], absent: &[&str]) -> Vec<Value> {
    let items = Client::completions(text);
    let found = labels(&items);
    for label in there {
        assert!(found.contains(label), "{label} is missing at {text}\n{found:?}");
    }
    for label in absent {
        assert!(!found.contains(label), "{label} is proposed at {text}");
    }
    items
}

/// Where an item stands among those proposed.
fn rank(items: &[Value], label: &str) -> usize {
    let mut sorted: Vec<&Value> = items.iter().collect();
    sorted.sort_by_key(|item| item["sortText"].as_str().unwrap().to_string());
    sorted.iter().position(|item| item["label"] == label).unwrap()
}

#[test]
fn after_a_tilde_stand_distributions_that_fit() {
    let positive = proposes(
        "param tau: real<lower=0> ~ |",
        &["gamma", "exponential", "normal", "mixture", "flat"],
        &["poisson", "dirichlet", "beta", "multi_normal_cholesky_oops", "exp", "uniform_oops"],
    );
    assert!(rank(&positive, "gamma") < rank(&positive, "normal"), "what fits exactly comes first");
    proposes(
        "param mu: real ~ |",
        &["normal", "student_t", "cauchy"],
        &["gamma", "beta", "poisson"],
    );
    proposes(
        "param w: simplex[3] ~ |",
        &["dirichlet"],
        &["normal", "multi_normal", "lkj_corr_cholesky"],
    );
    proposes(
        "param L: cholesky_corr[3] ~ |\nlet a = 1",
        &["lkj_corr_cholesky"],
        &["normal", "dirichlet"],
    );
    proposes("data y: int<lower=0>[N]\ny ~ |", &["poisson", "bernoulli"], &["normal", "gamma"]);
    proposes("data y: real[N]\ny ~ |\n", &["normal", "gamma", "multi_normal"], &["poisson"]);
    proposes("data y: real\ny ~ |\n", &["normal"], &["poisson", "multi_normal"]);
    proposes("param mu ~ |", &["normal", "gamma"], &["poisson"]);
    // A word begun, and a call that is not closed.
    proposes("param mu: real ~ nor|", &["normal"], &["gamma"]);
    proposes("param mu: real<lower=0> ~ truncate(|", &["normal", "gamma"], &["poisson"]);
    // What is on the left is broken: all.
    proposes("z ~ |", &["normal", "poisson", "dirichlet"], &[]);
    // The model's own.
    let own = "dist mine(m: real) on real { log_density(x) = -square(x - m) }\nparam a: real ~ |";
    proposes(own, &["mine", "normal"], &[]);
}

#[test]
fn expressions_are_made_of_names_in_scope() {
    let model = "data x: real[N]\nparam a ~ normal(0, 1)\nlet late = a + 1\n";
    let items = proposes(
        &format!("{model}y ~ normal(a + |"),
        &["x", "a", "late", "N", "exp", "log_sum_exp", "inv_logit"],
        &["normal", "param"],
    );
    let a = items.iter().find(|item| item["label"] == "late").unwrap();
    assert_eq!(a["detail"], "real  @parameter");
    // A function sees its parameters, not the model.
    let function = "fn f(u: real[K]) -> real {\n  let v = sum(u)\n  |\n}\nparam a ~ normal(0, 1)\n";
    proposes(function, &["u", "v", "K", "exp"], &["a"]);
    // A loop's index lives in its braces.
    let inside = "data y: real[N]\nfor i in 1:N { y[i] ~ normal(|, 1) }\n";
    proposes(inside, &["i", "N", "y"], &[]);
    proposes("data y: real[N]\nfor i in 1:N { y[i] ~ normal(0, 1) }\nlet b = |", &["y"], &["i"]);
    proposes("|", &["param", "data", "import"], &["normal", "real"]);
    proposes("param a: |", &["real", "simplex", "cholesky_corr"], &["param", "normal"]);
    proposes("param a: array[3] |", &["real", "simplex"], &["param", "normal"]);
    proposes("fn f(x: real) -> |", &["real"], &["param"]);
    proposes("param a: real<|", &["lower", "upper", "offset", "multiplier"], &["real", "exp"]);
    proposes("param a: real<lower=0, |", &["upper"], &["exp"]);
    assert!(Client::completions("param |").is_empty(), "a new name");
    assert!(Client::completions("// a comment |").is_empty());
    assert!(Client::completions("let a = 12|").is_empty());
}

#[test]
fn proposals_are_documented() {
    let client = Client::new("param a ~ normal(0, 1)\n");
    let item = json!({"label": "student_t", "data": "/models/m.ppl"});
    let resolved = client.ask("completionItem/resolve", item);
    let text = resolved["documentation"]["value"].as_str().unwrap();
    assert!(
        text.contains("student_t(nu: real<lower=0>, mu: real, sigma: real<lower=0>) on real"),
        "{text}"
    );
    assert!(text.contains("degrees of freedom"), "{text}");
}

#[test]
fn everything_proposed_can_be_described() {
    let client = Client::new("param a ~ normal(0, 1)\n");
    for text in ["z ~ |", "let a = |"] {
        for item in Client::completions(text) {
            assert!(!item["detail"].as_str().unwrap().is_empty(), "{item}");
        }
    }
    for (path, _) in stdlib::FILES.iter().take(3) {
        let name = path.trim_start_matches("distributions/").trim_end_matches(".ppl");
        let item = json!({"label": name, "data": "/models/m.ppl"});
        assert!(!client.ask("completionItem/resolve", item)["documentation"].is_null(), "{name}");
    }
}

#[test]
fn signatures_name_the_parameter_being_written() {
    let help = |text: &str| {
        let mut client = Client::new(text);
        let position = client.position("|", 0);
        client.text = text.replacen('|', "", 1);
        let params = json!({"textDocument": {"uri": URI}, "position": position});
        let help = client.ask("textDocument/signatureHelp", params);
        if help.is_null() {
            return None;
        }
        let signature = &help["signatures"][0];
        let label = signature["label"].as_str().unwrap();
        let active = usize::try_from(help["activeParameter"].as_u64().unwrap()).unwrap();
        let range = &signature["parameters"][active]["label"];
        let ends = [0, 1].map(|i| usize::try_from(range[i].as_u64().unwrap_or(0)).unwrap());
        Some(label[ends[0]..ends[1]].to_string())
    };
    let sigma = Some("sigma: real<lower=0>".to_string());
    assert_eq!(help("param a ~ normal(0, |"), sigma);
    assert_eq!(help("param a ~ normal(sigma = |"), sigma);
    assert_eq!(help("param a ~ normal(exp(1, [2, 3]), |1)"), sigma);
    assert_eq!(help("param a ~ normal([1, 2|], 1)"), Some("mu: real".into()));
    assert_eq!(
        help("fn f(u: real, v: real[N]) -> real = u\nlet b = f(1, |)"),
        Some("v: real[N]".into())
    );
    assert_eq!(help("let b = normal_cdf(0, 1, |)"), sigma);
    assert_eq!(help("let b = log(|)"), Some("x: real".into()));
    assert_eq!(help("let b = (1 + |)"), None);
    assert_eq!(help("let b = pi() |"), None);
}

/// Parsed, checked, and without an error.
fn good(text: &str) -> bool {
    let mut session = Session::new();
    let model = session.check("m.ppl", text);
    assert!(model.is_some(), "{text}\n{}", session.render(false));
    model.is_some()
}

#[test]
fn actions_leave_a_model_that_checks() {
    let hierarchy = "data y: real[J]\nparam mu ~ normal(0, 5)\nparam tau: real<lower=0> ~ normal(0, 1)\n\
                     param theta: real[J] ~ normal(mu - 1, tau)\ny ~ normal(theta, 1)\n";
    let after = Client::new(hierarchy).act("theta:", "Non-centre");
    assert!(
        after.contains(
            "param theta_raw: real[J] ~ normal(0, 1)\nlet theta = (mu - 1) + tau * theta_raw"
        ),
        "{after}"
    );
    good(&after);
    for (ty, prior) in [
        ("real", "normal(0, 1)"),
        ("real<lower=0>[3]", "exponential(1)"),
        ("real<lower=1>", "normal(0, 1)"),
        ("real<lower=0, upper=1>", "uniform(0, 1)"),
        ("simplex[3]", "dirichlet(ones(3))"),
        ("ordered[3]", "normal(0, 1)"),
        ("positive_ordered[3]", "normal(0, 1)"),
        ("sum_to_zero[3]", "zero_sum_normal(1)"),
        ("cholesky_corr[3]", "lkj_corr_cholesky(2)"),
        ("corr_matrix[3]", "lkj_corr(2)"),
    ] {
        for tail in ["", " ~ flat()"] {
            let after = Client::new(&format!("param a: {ty}{tail}\n")).act("a:", "Give `a`");
            assert_eq!(after, format!("param a: {ty} ~ {prior}\n"));
            good(&after);
        }
    }
    // A message's own repair.
    let after = Client::new("let a = 1\nlet b = exp(aa2);\n").act(";", "remove the semicolon");
    assert_eq!(after, "let a = 1\nlet b = exp(aa2)\n");
}

#[test]
fn one_can_jump_into_the_library() {
    let client = Client::new("param a ~ normal(0, 1)\n");
    let params = json!({"textDocument": {"uri": URI}, "position": client.position("normal", 0)});
    let place = client.ask("textDocument/definition", params);
    let uri = place["uri"].as_str().unwrap();
    let path = uri.strip_prefix("file://").unwrap();
    let text = std::fs::read_to_string(path).unwrap();
    let line = usize::try_from(place["range"]["start"]["line"].as_u64().unwrap()).unwrap();
    assert!(text.lines().nth(line).unwrap().starts_with("dist normal("), "{text}");
}

/// Every fixture, cut anywhere and asked anything: an answer comes, and it is no "bug in ppl".
#[test]
fn no_text_takes_the_server_down() {
    let folders = ["tests/syntax/err", "tests/ui", "examples"];
    let paths = folders.iter().flat_map(|folder| below(folder, "ppl"));
    let texts: Vec<String> = paths.filter_map(|path| std::fs::read_to_string(path).ok()).collect();
    assert!(texts.len() > 50);
    let cache = tempfile::tempdir().unwrap();
    let step = if crate::effort::slow() { 1 } else { 12 };
    for (number, whole) in texts.iter().enumerate().step_by(step) {
        let cut = (number * 37) % (whole.len() + 1);
        let text = &whole[..whole.floor_char_boundary(cut)];
        let end = text.lines().count().saturating_sub(1);
        let place = json!({"line": end, "character": 1000});
        let document = json!({"uri": URI});
        let at = json!({"textDocument": document, "position": place});
        let range = json!({"start": {"line": 0, "character": 0}, "end": place});
        let over =
            json!({"textDocument": document, "range": range, "context": {"diagnostics": []}});
        let requests = [
            ("textDocument/completion", &at),
            ("textDocument/hover", &at),
            ("textDocument/signatureHelp", &at),
            ("textDocument/definition", &at),
            ("textDocument/prepareRename", &at),
            ("textDocument/documentSymbol", &over),
            ("textDocument/semanticTokens/full", &over),
            ("textDocument/inlayHint", &over),
            ("textDocument/codeAction", &over),
        ];
        let mut messages = vec![
            json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {"capabilities": {}}}),
        ];
        let opened = json!({"uri": URI, "languageId": "ppl", "version": 1, "text": text});
        messages.push(json!({"jsonrpc": "2.0", "method": "textDocument/didOpen", "params": {"textDocument": opened}}));
        for (id, (method, params)) in (1..).zip(requests) {
            messages.push(json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}));
        }
        let lines: Vec<String> = messages.iter().map(ToString::to_string).collect();
        let (sent, _) = session(&lines, cache.path());
        assert_eq!(sent.len(), requests.len() + 2, "{text}");
        for message in &sent {
            assert!(message.get("error").is_none(), "{message}\n{text}");
            assert_ne!(message["method"], "window/logMessage", "{message}\n{text}");
        }
    }
}

/// Diagnostics, inlay hints and a hover for a model in a folder with a data file.
fn with_data(data: &str) -> (Vec<String>, Vec<String>, String) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("data.json"), data).unwrap();
    let text = "data X: real[N, D]\ndata y: real[N]\nparam b: real[D] ~ normal(0, 1)\n\
                y ~ normal(X @ b, 1)\n";
    let uri = file_uri(&folder.path().join("m.ppl")).unwrap();
    let uri = uri.as_str();
    let range = json!({
        "start": {"line": 0, "character": 0},
        "end": {"line": 9, "character": 0},
    });
    let at = json!({"line": 2, "character": 6});
    let document = json!({"uri": uri, "languageId": "ppl", "version": 1, "text": text});
    let message = |id: Option<i32>, method: &str, params: Value| {
        let mut message = json!({"jsonrpc": "2.0", "method": method, "params": params});
        if let Some(id) = id {
            message["id"] = id.into();
        }
        message.to_string()
    };
    let this = json!({"uri": uri});
    let messages = [
        message(Some(1), "initialize", json!({"capabilities": {}})),
        message(None, "textDocument/didOpen", json!({"textDocument": document})),
        message(Some(2), "textDocument/inlayHint", json!({"textDocument": this, "range": range})),
        message(Some(3), "textDocument/hover", json!({"textDocument": this, "position": at})),
        message(Some(4), "shutdown", Value::Null),
        message(None, "exit", Value::Null),
    ];
    let (sent, _) = session(&messages, folder.path());
    let texts = |list: &Value, key: &str| -> Vec<String> {
        let list = list.as_array().unwrap().iter();
        list.map(|item| item[key].as_str().unwrap().to_string()).collect()
    };
    let published = sent.iter().find(|m| m["method"] == "textDocument/publishDiagnostics").unwrap();
    let answer = |id: i32| sent.iter().find(|m| m["id"] == id).unwrap()["result"].clone();
    (
        texts(&published["params"]["diagnostics"], "message"),
        texts(&answer(2), "label"),
        answer(3)["contents"]["value"].as_str().unwrap().to_string(),
    )
}

#[test]
fn data_beside_the_model_is_read() {
    let (diagnostics, hints, hover) = with_data(r#"{"X": [[1, 2, 3], [4, 5, 6]], "y": [1, 2]}"#);
    assert_eq!(diagnostics, Vec::<String>::new());
    assert_eq!(hints, [" = [2, 3]", " = [2]"]);
    assert!(hover.contains("with the data: `real[3]`"), "{hover}");
    // Data that does not fit, and data that is none.
    let (diagnostics, hints, _) = with_data(r#"{"X": [[1, 2, 3], [4, 5, 6]], "y": [1]}"#);
    assert_eq!(diagnostics.len(), 1);
    assert!(diagnostics[0].contains('y') && diagnostics[0].contains('1'), "{diagnostics:?}");
    assert_eq!(hints[0], " = [2, 3]");
    let (diagnostics, hints, _) = with_data("{");
    assert!(diagnostics.len() == 1 && diagnostics[0].contains("data.json"), "{diagnostics:?}");
    assert!(hints.is_empty(), "{hints:?}");
}

#[test]
fn a_hierarchy_that_is_stated_later_is_non_centred() {
    let model = "data y: real[J]\nparam theta: real[J]\nparam tau: real<lower=0> ~ normal(0, 1)\n\
                 theta ~ normal(2, tau)\ny ~ normal(theta, 1)\n";
    let wanted = "data y: real[J]\nparam theta_raw: real[J] ~ normal(0, 1)\n\
                  param tau: real<lower=0> ~ normal(0, 1)\nlet theta = 2 + tau * theta_raw\n\
                  y ~ normal(theta, 1)\n";
    for piece in ["theta:", "theta ~"] {
        assert_eq!(Client::new(model).act(piece, "Non-centre"), wanted, "at {piece}");
    }
}
