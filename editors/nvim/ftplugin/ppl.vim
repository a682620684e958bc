" Models of ppl: comments, indentation; in Neovim the language server.
if exists('b:did_ftplugin')
  finish
endif
let b:did_ftplugin = 1

setlocal commentstring=//\ %s comments=:///,://
setlocal expandtab shiftwidth=2 softtabstop=2 textwidth=100
setlocal smartindent
let b:undo_ftplugin = 'setlocal commentstring< comments< expandtab< shiftwidth< softtabstop< textwidth< smartindent<'

if has('nvim-0.7')
  lua require('ppl').start()
endif
