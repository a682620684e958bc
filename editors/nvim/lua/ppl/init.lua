-- Starts `ppl lsp` for the current buffer; Neovim shares one server among the buffers of a folder.
local M = {}

-- The command, which a configuration may change before the first model is opened.
M.cmd = { 'ppl', 'lsp' }

function M.start()
  if vim.fn.executable(M.cmd[1]) == 0 then
    return
  end
  vim.lsp.start({
    name = 'ppl',
    cmd = M.cmd,
    root_dir = vim.fs.dirname(vim.api.nvim_buf_get_name(0)),
  })
end

return M
