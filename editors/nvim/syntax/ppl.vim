" Models of ppl. The language server colours names by their meaning; this is for without.
if exists('b:current_syntax')
  finish
endif

syntax keyword pplDeclaration data param let marginal gen fn dist import factor
syntax keyword pplConditional if else
syntax keyword pplRepeat for in
syntax keyword pplBoolean true false
syntax match pplKeyword /)\s*\zs\<on\>/
syntax match pplType /\%([:>\]]\|->\|\<on\)\s*\zs\<\%(int\|real\|bool\|array\|simplex\|ordered\|positive_ordered\|unit_vector\|sum_to_zero\|cholesky_corr\|corr_matrix\|cholesky_cov\|cov_matrix\)\>/
syntax match pplBound /[<,]\s*\zs\<\%(lower\|upper\|offset\|multiplier\)\>\ze\s*=/
syntax match pplNumber /\<\d[0-9_]*\%(\.[0-9_]*\)\?\%([eE][+-]\?\d\+\)\?/
syntax match pplNumber /\.\d[0-9_]*\%([eE][+-]\?\d\+\)\?/
syntax match pplFunction /\<\h\w*\ze(/
syntax match pplOperator /[~=+\-*\/%@^!<>&|]/
syntax region pplString start=/"/ end=/"\|$/
syntax match pplComment /\/\/.*$/ contains=pplTodo,@Spell
syntax match pplDoc /\/\/\/\%(\/\)\@!.*$/ contains=pplTodo,@Spell
syntax region pplComment start=/\/\*/ end=/\*\// contains=pplTodo,@Spell
syntax keyword pplTodo contained TODO FIXME

highlight default link pplDeclaration Keyword
highlight default link pplKeyword Keyword
highlight default link pplConditional Conditional
highlight default link pplRepeat Repeat
highlight default link pplBoolean Boolean
highlight default link pplType Type
highlight default link pplBound Identifier
highlight default link pplNumber Number
highlight default link pplFunction Function
highlight default link pplOperator Operator
highlight default link pplString String
highlight default link pplComment Comment
highlight default link pplDoc SpecialComment
highlight default link pplTodo Todo

let b:current_syntax = 'ppl'
