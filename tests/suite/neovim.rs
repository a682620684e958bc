//! The language server and the tree-sitter grammar in a real editor: Neovim, headless, with `editors/nvim`;
//! the one that is installed, be it as old as 0.7, and a new one from PyPI.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::python::python_with;

const MODEL: &str = "data y: real[J]\nparam mu ~ normal(0, 5)\nparam tau: real<lower=0> ~ cauchy(0, 5)\n\
                     y ~ normal(mu,tau)\nlet a = undefined_name\n";

/// Asks what a user asks, and writes the answers to `answers.json`.
const SCRIPT: &str = r#"
local out = {}
local buffer = vim.api.nvim_get_current_buf()
-- Waits for what happens, not for a time: the limit only ends a test that has failed.
local function wait(what) return vim.wait(120000, what, 20) end
out.filetype = vim.bo.filetype
-- The names before and after Neovim 0.10.
local clients = vim.lsp.get_clients or function(of) return vim.tbl_values(vim.lsp.buf_get_clients(of.bufnr)) end
out.started = wait(function() return #clients({ bufnr = buffer }) > 0 end)
out.diagnosed = wait(function() return #vim.diagnostic.get(buffer) > 0 end)
local first = vim.diagnostic.get(buffer)[1]
out.code = first.code
out.line = first.lnum
local function ask(method, line, character)
  local params = {
    textDocument = vim.lsp.util.make_text_document_params(buffer),
    position = { line = line, character = character },
    options = { tabSize = 2, insertSpaces = true },
  }
  local answers = vim.lsp.buf_request_sync(buffer, method, params, 120000)
  for _, answer in pairs(answers) do return answer.result end
end
out.hover = ask('textDocument/hover', 2, 6).contents.value
out.reads_parser = vim.treesitter.start ~= nil and vim.treesitter.language_version >= 15
out.coloured = vim.treesitter.highlighter.active[buffer] ~= nil
out.completion = #ask('textDocument/completion', 3, 4)
vim.api.nvim_buf_set_lines(buffer, 4, 5, false, {})
out.repaired = wait(function() return #vim.diagnostic.get(buffer) == 0 end)
vim.lsp.util.apply_text_edits(ask('textDocument/formatting', 0, 0), buffer, 'utf-16')
out.formatted = vim.api.nvim_buf_get_lines(buffer, 3, 4, false)[1]
vim.api.nvim_win_set_cursor(0, { 2, 12 })
local definition = ask('textDocument/definition', 1, 12)
if vim.lsp.util.show_document then
  vim.lsp.util.show_document(definition, 'utf-16', { focus = true })
else
  vim.lsp.util.jump_to_location(definition, 'utf-16')
end
out.jumped = vim.api.nvim_buf_get_name(0)
out.there = vim.api.nvim_get_current_line()
local file = io.open('answers.json', 'w')
file:write(vim.fn.json_encode(out))
file:close()
vim.cmd('qall!')
"#;

/// Builds the parser of the tree-sitter grammar where Neovim looks for it; `false` without a C compiler.
fn build_parser(runtime: &Path) -> bool {
    let grammar = Path::new(env!("CARGO_MANIFEST_DIR")).join("editors/tree-sitter-ppl/src");
    std::fs::create_dir(runtime.join("parser")).unwrap();
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    let built = Command::new(compiler)
        .args(["-O1", "-shared", "-fPIC", "-I"])
        .args([&grammar, &grammar.join("parser.c"), &grammar.join("scanner.c")])
        .arg("-o")
        .arg(runtime.join("parser/ppl.so"))
        .status();
    built.is_ok_and(|status| status.success())
}

#[test]
fn slow_neovim_speaks_with_the_server() {
    if !crate::effort::slow() {
        return;
    }
    match Command::new("nvim").arg("--version").output() {
        Ok(_) => converse(Path::new("nvim")),
        Err(_) => println!("skipped: there is no nvim"),
    }
    if let Some(python) = python_with("neovim") {
        converse(&python.with_file_name("nvim"));
    }
}

fn converse(nvim: &Path) {
    let folder = tempfile::tempdir().unwrap();
    let plugin = Path::new(env!("CARGO_MANIFEST_DIR")).join("editors/nvim");
    std::fs::write(folder.path().join("m.ppl"), MODEL).unwrap();
    std::fs::write(folder.path().join("script.lua"), SCRIPT).unwrap();
    let binary = env!("CARGO_BIN_EXE_ppl");
    let has_parser = build_parser(folder.path());
    let init = format!(
        "set nocompatible noswapfile hidden\nset runtimepath+={},{}\nfiletype plugin on\nsyntax on\n\
         lua require('ppl').cmd = {{ '{binary}', 'lsp', '--cache', '{}' }}\n",
        plugin.display(),
        folder.path().display(),
        folder.path().join("cache").display(),
    );
    std::fs::write(folder.path().join("init.vim"), init).unwrap();
    let output = Command::new(nvim)
        .args(["--headless", "-n", "-u", "init.vim", "m.ppl", "-c", "luafile script.lua"])
        .current_dir(folder.path())
        .env("XDG_STATE_HOME", folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let answers = std::fs::read_to_string(folder.path().join("answers.json")).expect(&said);
    let answers: Value = serde_json::from_str(&answers).unwrap();
    let is = |name: &str, wanted: Value| assert_eq!(answers[name], wanted, "{answers:#}\n{said}");
    is("filetype", "ppl".into());
    is("started", true.into());
    is("diagnosed", true.into());
    is("coloured", (has_parser && answers["reads_parser"] == true).into());
    is("code", "E0102".into());
    is("line", 4.into());
    is("repaired", true.into());
    is("formatted", "y ~ normal(mu, tau)".into());
    assert!(answers["hover"].as_str().unwrap().contains("tau: real<lower=0>"), "{answers:#}");
    assert!(answers["completion"].as_u64().unwrap() > 50, "{answers:#}");
    assert!(
        answers["jumped"].as_str().unwrap().ends_with("distributions/normal.ppl"),
        "{answers:#}"
    );
    assert!(answers["there"].as_str().unwrap().starts_with("dist normal("), "{answers:#}");
}
