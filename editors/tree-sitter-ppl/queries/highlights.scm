; Names of captures are those of nvim-treesitter and Helix.

(comment) @comment
(doc_comment) @comment.documentation

["data" "param" "let" "marginal" "gen" "dist" "factor" "on"] @keyword
"fn" @keyword.function
"import" @keyword.import
["for" "in"] @keyword.repeat
["if" "else"] @keyword.conditional
(array_type "array" @type.builtin)

(identifier) @variable
(integer) @number
(real) @number.float
(boolean) @boolean
(string) @string

(type name: (type_identifier) @type)
((type name: (type_identifier) @type.builtin)
  (#any-of? @type.builtin
    "int" "real" "bool" "simplex" "ordered" "positive_ordered" "unit_vector" "sum_to_zero"
    "cholesky_corr" "corr_matrix" "cholesky_cov" "cov_matrix"))
(bound name: (identifier) @property)
(named_argument name: (identifier) @variable.parameter)

(call_expression function: (identifier) @function.call)
(function_declaration name: (identifier) @function)
(distribution_declaration name: (identifier) @function)
(member name: (identifier) @function.method)
(member parameter: (identifier) @variable.parameter)
(parameter name: (identifier) @variable.parameter)
(data_declaration name: (identifier) @constant)

["=" "~" "->" "?" "'" ":" "+" "-" "*" "/" "%" "@" "^" "!" "||" "&&" "==" "!=" "<=" ">="] @operator
(binary_expression operator: ["<" ">"] @operator)
(bounds ["<" ">"] @punctuation.bracket)
["(" ")" "[" "]" "{" "}"] @punctuation.bracket
["," ";"] @punctuation.delimiter
