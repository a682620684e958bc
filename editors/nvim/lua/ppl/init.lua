-- Starts `ppl lsp` for the current buffer; buffers share one server.
local M = {}

-- The command, which a configuration may change before the first model is opened.
M.cmd = { 'ppl', 'lsp' }

function M.start()
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
