; Scopes: the file, functions, members of distributions, loops, blocks.
(source_file) @local.scope
(function_declaration) @local.scope
(distribution_declaration) @local.scope
(member) @local.scope
(for_statement) @local.scope
(block) @local.scope
(value_block) @local.scope

(data_declaration name: (identifier) @local.definition.constant)
(param_declaration name: (identifier) @local.definition.var)
(marginal_declaration name: (identifier) @local.definition.var)
(gen_declaration name: (identifier) @local.definition.var)
(let_statement name: (identifier) @local.definition.var)
(for_statement variable: (identifier) @local.definition.var)
(parameter name: (identifier) @local.definition.parameter)
(member parameter: (identifier) @local.definition.parameter)

; A function and a distribution are known outside of the scope that they open.
((function_declaration name: (identifier) @local.definition.function)
  (#set! definition.function.scope "parent"))
((distribution_declaration name: (identifier) @local.definition.type)
  (#set! definition.type.scope "parent"))

(identifier) @local.reference
