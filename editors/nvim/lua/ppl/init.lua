-- Colours the current buffer and starts `ppl lsp` for it; buffers share one server.
local M = {}

-- The command, which a configuration may change before the first model is opened.
M.cmd = { 'ppl', 'lsp' }

-- Colours by the tree-sitter grammar, where its parser has been built (docs/editors.md); else by syntax/ppl.vim.
local function highlight()
  if vim.treesitter and vim.treesitter.start then
    pcall(vim.treesitter.start, 0, 'ppl')
  end
end

function M.start()
  highlight()
  if vim.fn.executable(M.cmd[1]) == 0 then
    return
  end
  local config = { name = 'ppl', cmd = M.cmd, root_dir = vim.fn.expand('%:p:h') }
  if vim.lsp.start then
    vim.lsp.start(config)
  else
    -- Neovim 0.7.
    M.client = M.client or vim.lsp.start_client(config)
    vim.lsp.buf_attach_client(0, M.client)
  end
end

return M
