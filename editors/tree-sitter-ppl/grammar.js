/**
 * The grammar of `.ppl` models for editors.
 *
 * What parses is defined by `grammar/ppl.pest` and `src/syntax/` of the compiler; the suite's
 * `tree_sitter` tests hold this grammar to it on every model of the repository, and on broken ones.
 * Where a line ends is for `src/scanner.c` to say.
 */
/// <reference types="tree-sitter-cli/dsl" />

const PREC = { or: 1, and: 2, compare: 3, sum: 4, product: 5, sign: 6, power: 7 };

const list = (item) => optional(seq(item, repeat(seq(',', item)), optional(',')));
const list1 = (item) => seq(item, repeat(seq(',', item)), optional(','));

/**
 * Expressions: `any`, and `open`, those that do not begin with `if`, which begin a statement. The
 * levels of one kind differ in their left operand only.
 */
const expressions = (kind, ...atoms) => {
  const rule = (name) => `_${kind}_${name}`;
  const right = ($) => field('right', $._any_arithmetic);
  const arithmetic = ($, prec, level, ...operator) =>
    prec(level, seq(field('left', $[rule('arithmetic')]), ...operator, right($)));
  return {
    [rule('expression')]: ($) =>
      choice(
        alias($[rule('logic')], $.binary_expression),
        alias($[rule('comparison')], $.binary_expression),
        $[rule('arithmetic')],
      ),
    [rule('logic')]: ($) =>
      choice(
        ...[['||', PREC.or], ['&&', PREC.and]].map(([operator, level]) =>
          prec.left(
            level,
            seq(
              field('left', $[rule('expression')]),
              field('operator', operator),
              field('right', $._any_expression),
            ),
          ),
        ),
      ),
    // Comparisons do not chain: their operands are arithmetic.
    [rule('comparison')]: ($) =>
      prec(
        PREC.compare,
        seq(
          field('left', $[rule('arithmetic')]),
          field('operator', choice('==', '!=', '<=', '>=', '<', '>')),
          right($),
        ),
      ),
    [rule('arithmetic')]: ($) =>
      choice(
        alias($[rule('operation')], $.binary_expression),
        $.unary_expression,
        $[rule('postfix')],
      ),
    [rule('operation')]: ($) =>
      choice(
        arithmetic($, prec.left, PREC.sum, $._infix_sign, field('operator', choice('+', '-'))),
        arithmetic($, prec.left, PREC.product, field('operator', choice('*', '/', '%', '@'))),
        arithmetic($, prec.right, PREC.power, field('operator', '^')),
      ),
    [rule('postfix')]: ($) =>
      choice(
        alias($[rule('index')], $.index_expression),
        alias($[rule('transpose')], $.transpose_expression),
        $.call_expression,
        $.array,
        $.parenthesized_expression,
        $.integer,
        $.real,
        $.boolean,
        $.identifier,
        ...atoms.map((atom) => $[atom]),
      ),
    [rule('index')]: ($) =>
      seq(field('value', $[rule('postfix')]), $._same_line, field('indices', $.indices)),
    [rule('transpose')]: ($) => seq(field('value', $[rule('postfix')]), $._same_line, "'"),
  };
};

/** Statements in braces, each on a line of its own or after `;`. */
const braces = ($, statement) =>
  seq('{', optional(seq(statement, repeat(seq($._separator, statement)), optional($._separator))), '}');

/** `for` and `if` around blocks of one kind. */
const nest = (kind) => ({
  [`_${kind}_for`]: ($) =>
    seq('for', field('variable', $.identifier), 'in', field('range', $._value),
      field('body', alias($[`_${kind}_block`], $.block))),
  [`_${kind}_if`]: ($) =>
    seq('if', field('condition', $._any_expression),
      field('consequence', alias($[`_${kind}_block`], $.block)),
      optional(seq('else', field('alternative', choice(
        alias($[`_${kind}_block`], $.block),
        alias($[`_${kind}_if`], $.if_statement)))))),
});

module.exports = grammar({
  name: 'ppl',

  word: ($) => $.identifier,

  extras: ($) => [/[ \t\r\n\uFEFF]/, $.comment, $.doc_comment],

  externals: ($) => [
    $._line_break, // between items or statements; empty
    $._call, // before a `(` that belongs to the name before it; empty
    $._same_line, // before a `[` or `'` that belongs to what stands before it; empty
    $._infix_sign, // before `+` and `-` between operands; empty
    $._bounds_end, // before a `>` that is no `>=`; empty
    $.integer,
    $.real,
    $._error_sentinel,
  ],

  reserved: {
    global: () => [
      'data', 'param', 'let', 'marginal', 'gen', 'fn', 'dist', 'import', 'factor',
      'for', 'in', 'if', 'else', 'true', 'false',
    ],
  },

  supertypes: ($) => [$.declaration, $.statement],

  inline: ($) => [$._name, $._annotation, $._distribution, $._value],

  rules: {
    source_file: ($) =>
      optional(seq($._item, repeat(seq($._line_break, $._item)))),

    _item: ($) => choice($.declaration, $.statement),

    // -- Declarations ----------------------------------------------------------------------------

    declaration: ($) =>
      choice(
        $.import_declaration,
        $.data_declaration,
        $.param_declaration,
        $.marginal_declaration,
        $.gen_declaration,
        $.function_declaration,
        $.distribution_declaration,
      ),

    import_declaration: ($) => seq('import', field('path', $.string)),

    data_declaration: ($) =>
      seq('data', $._name, $._annotation, optional(seq('=', field('default', $._value)))),

    param_declaration: ($) =>
      seq('param', $._name, optional($._annotation), optional($._distribution)),

    marginal_declaration: ($) =>
      seq('marginal', $._name, optional($._annotation), optional($._distribution)),

    gen_declaration: ($) =>
      seq('gen', choice($._binding, seq($._name, optional($._annotation), $._distribution))),

    function_declaration: ($) =>
      seq('fn', $._name, field('parameters', $.parameters), '->', field('result', $._type), $._body),

    distribution_declaration: ($) =>
      seq('dist', $._name, field('parameters', $.parameters), 'on', field('support', $._type),
        '{', repeat($.member), '}'),

    member: ($) =>
      seq($._name, '(', list(field('parameter', $.identifier)), ')', $._body),

    parameters: ($) => seq('(', list($.parameter), ')'),
    parameter: ($) => seq($._name, $._annotation),

    _name: ($) => field('name', $.identifier),
    _annotation: ($) => seq(':', field('type', $._type)),
    _distribution: ($) => seq('~', field('distribution', $._any_expression)),
    _body: ($) => choice(seq('=', field('value', $._value)), field('body', $.value_block)),

    // -- Statements ------------------------------------------------------------------------------

    statement: ($) =>
      choice(
        $.let_statement,
        $.factor_statement,
        $.sample_statement,
        alias($._model_for, $.for_statement),
        alias($._model_if, $.if_statement),
      ),

    let_statement: ($) => seq('let', $._binding),

    _binding: ($) =>
      choice(
        seq($._name, optional($._annotation), '=', field('value', $._value)),
        seq($._name, $._annotation, field('elements', alias($._elements_block, $.block))),
      ),

    factor_statement: ($) => seq('factor', field('value', $._any_expression)),

    // `1:N ~ …` has no meaning, but parses.
    sample_statement: ($) =>
      seq(
        field('left', seq($._open_expression, optional(seq(':', $._any_expression)))),
        '~',
        field('distribution', $._any_expression),
      ),

    assignment: ($) => seq(field('left', $._target), '=', field('right', $._value)),
    _target: ($) => choice($.identifier, alias($._target_index, $.index_expression)),
    _target_index: ($) =>
      seq(field('value', $.identifier), $._same_line, field('indices', $.indices)),

    ...nest('model'),
    ...nest('elements'),
    _model_block: ($) => braces($, $.statement),
    _elements_block: ($) =>
      braces($, choice(
        $.let_statement,
        $.assignment,
        alias($._elements_for, $.for_statement),
        alias($._elements_if, $.if_statement),
      )),

    _separator: ($) => choice($._line_break, repeat1(';')),

    // -- Types -----------------------------------------------------------------------------------

    _type: ($) => choice($.type, $.array_type, $.function_type),

    type: ($) =>
      seq(
        field('name', alias($.identifier, $.type_identifier)),
        optional(choice(seq($.bounds, optional('?')), seq('?', optional($.bounds)))),
        optional($.dimensions),
      ),

    array_type: ($) => seq('array', $.dimensions, $._type),

    function_type: ($) => seq('fn', '(', list($._type), ')', '->', $._type),

    bounds: ($) => seq('<', list1($.bound), $._bounds_end, '>'),
    bound: ($) => seq($._name, '=', field('value', $._any_arithmetic)),

    dimensions: ($) => seq('[', list1($._any_expression), ']'),

    // -- Expressions -----------------------------------------------------------------------------

    _value: ($) => choice($._any_expression, $.range),
    range: ($) => seq(field('from', $._any_expression), ':', field('to', $._any_expression)),

    ...expressions('any', 'if_expression'),
    ...expressions('open'),

    unary_expression: ($) =>
      prec(PREC.sign, seq(field('operator', choice('-', '+', '!')), field('operand', $._any_arithmetic))),

    call_expression: ($) =>
      seq(field('function', $.identifier), $._call, field('arguments', $.arguments)),

    // Those with a name come last.
    arguments: ($) =>
      seq(
        '(',
        optional(choice(
          seq($._value, repeat(seq(',', $._value)), repeat(seq(',', $.named_argument))),
          seq($.named_argument, repeat(seq(',', $.named_argument))),
        )),
        optional(','),
        ')',
      ),
    named_argument: ($) => seq($._name, '=', field('value', $._value)),

    // `x[]` says nothing; in `x[, 1]` a part may be empty.
    indices: ($) =>
      seq('[', choice($._index, seq(optional($._index), repeat1(seq(',', optional($._index))))), ']'),
    _index: ($) => choice($._any_expression, $.slice),
    slice: ($) =>
      seq(optional(field('from', $._any_expression)), ':', optional(field('to', $._any_expression))),

    array: ($) => seq('[', list($._value), ']'),

    parenthesized_expression: ($) => seq('(', $._value, ')'),

    if_expression: ($) =>
      seq(
        'if', field('condition', $._any_expression), field('consequence', $.value_block),
        'else', field('alternative', choice($.value_block, $.if_expression)),
      ),

    value_block: ($) =>
      seq('{', repeat(seq($.let_statement, $._separator)), $._value, optional($._separator), '}'),

    boolean: () => choice('true', 'false'),
    identifier: () => /[\p{XID_Start}_][\p{XID_Continue}]*/u,
    string: () => /"[^"\n]*"/,

    // -- Comments --------------------------------------------------------------------------------

    comment: () =>
      token(choice(
        /\/\/([^/\n][^\n]*)?/,
        /\/\/\/\/[^\n]*/,
        seq('/*', /[^*]*\*+([^/*][^*]*\*+)*/, '/'),
      )),
    // Three slashes; four make a comment.
    doc_comment: () => token(/\/\/\/([^/\n][^\n]*)?/),
  },
});
