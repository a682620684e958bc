// Starts `ppl lsp` and connects Visual Studio Code with it. All that the editor shows comes from there.
"use strict";

const { commands, workspace, window } = require("vscode");
const { LanguageClient, TransportKind } = require("vscode-languageclient/node");

let client;

function start() {
  const command = workspace.getConfiguration("ppl").get("path", "ppl");
  const server = { command, args: ["lsp"], transport: TransportKind.stdio };
  const options = {
    documentSelector: [
      { scheme: "file", language: "ppl" },
      { scheme: "untitled", language: "ppl" },
    ],
  };
  client = new LanguageClient("ppl", "ppl", server, options);
  return client.start().catch((error) => {
    window.showErrorMessage(`ppl: cannot start \`${command} lsp\`: ${error.message}`);
  });
}

async function stop() {
  if (client !== undefined) {
    await client.stop();
    client = undefined;
  }
}

async function restart() {
  await stop();
  await start();
}

async function activate(context) {
  context.subscriptions.push(commands.registerCommand("ppl.restart", restart));
  context.subscriptions.push(
    workspace.onDidChangeConfiguration((event) => {
      if (event.affectsConfiguration("ppl.path")) {
        void restart();
      }
    }),
  );
  await start();
}

module.exports = { activate, deactivate: stop };
