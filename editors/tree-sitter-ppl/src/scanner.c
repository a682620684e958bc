// What the grammar of `.ppl` models cannot say: where a line ends, and which numbers are whole.
//
// Line breaks are blanks but for three rules (grammar/README.md): a new item or statement begins on
// a new line; `(`, `[` and `'` belong to what precedes them on the same line only; at the start of a
// line `- x` goes on with the expression above and `-x` begins a new one. The scanner is asked right
// behind a token, looks beyond blanks and comments, and answers with an empty token. It has no state.

#include "tree_sitter/parser.h"

#include <stdbool.h>
#include <wctype.h>

enum TokenType { LINE_BREAK, CALL, SAME_LINE, INFIX_SIGN, BOUNDS_END, INTEGER, REAL, ERROR_SENTINEL };

static bool is_blank(int32_t c) {
    return c == ' ' || c == '\t' || c == '\r' || c == 0xFEFF;
}

static bool is_digit(int32_t c) {
    return '0' <= c && c <= '9';
}

// Whether a name can go on with the character; letters of other scripts are taken on trust.
static bool is_name(int32_t c) {
    return c == '_' || is_digit(c) || ('a' <= c && c <= 'z') || ('A' <= c && c <= 'Z') ||
           (c > 127 && iswalnum((wint_t)c));
}

static void advance(TSLexer *lexer) {
    lexer->advance(lexer, false);
}

// What lies between two tokens.
struct Gap {
    bool has_newline;
    // A `/` that begins no comment has been read: the next token is a division.
    bool at_division;
};

static struct Gap cross_gap(TSLexer *lexer) {
    struct Gap gap = {false, false};
    for (;;) {
        if (lexer->lookahead == '\n') {
            gap.has_newline = true;
            advance(lexer);
        } else if (is_blank(lexer->lookahead)) {
            advance(lexer);
        } else if (lexer->lookahead == '/') {
            advance(lexer);
            if (lexer->lookahead == '/') {
                while (!lexer->eof(lexer) && lexer->lookahead != '\n') advance(lexer);
            } else if (lexer->lookahead == '*') {
                advance(lexer);
                for (bool star = false; !lexer->eof(lexer); advance(lexer)) {
                    if (star && lexer->lookahead == '/') break;
                    star = lexer->lookahead == '*';
                }
                if (!lexer->eof(lexer)) advance(lexer);
            } else {
                gap.at_division = true;
                return gap;
            }
        } else {
            return gap;
        }
    }
}

// Reads the word that begins here and compares it.
static bool reads_else_or_in(TSLexer *lexer) {
    char word[6] = {0};
    for (int i = 0; is_name(lexer->lookahead); i++) {
        if (i == 5 || lexer->lookahead > 127) return false;
        word[i] = (char)lexer->lookahead;
        advance(lexer);
    }
    return (word[0] == 'i' && word[1] == 'n' && word[2] == 0) ||
           (word[0] == 'e' && word[1] == 'l' && word[2] == 's' && word[3] == 'e' && word[4] == 0);
}

// Behind a token: does the line end here, or is this one joined to the next?
static bool scan_gap(TSLexer *lexer, const bool *valid) {
    lexer->mark_end(lexer);
    struct Gap gap = cross_gap(lexer);
    int32_t c = lexer->lookahead;
    if (gap.at_division || lexer->eof(lexer)) return false;
    bool begins_line = gap.has_newline;
    switch (c) {
    case '+':
    case '-': {
        advance(lexer);
        int32_t next = lexer->lookahead;
        if (c == '-' && next == '>') return false;
        bool glued = !is_blank(next) && next != '\n' && !lexer->eof(lexer);
        if (glued && next == '/') {
            advance(lexer);
            glued = lexer->lookahead != '/' && lexer->lookahead != '*';
        }
        if (valid[INFIX_SIGN] && !(gap.has_newline && glued)) {
            lexer->result_symbol = INFIX_SIGN;
            return true;
        }
        break;
    }
    case '(':
    case '[':
    case '\'':
        if (!gap.has_newline) {
            lexer->result_symbol = c == '(' ? CALL : SAME_LINE;
            return valid[lexer->result_symbol];
        }
        break;
    case ')': case ']': case '}': case '{': case ',': case ':': case ';': case '=': case '~':
    case '?': case '|': case '&': case '<': case '*': case '%': case '@': case '^':
        return false;
    case '>':
        advance(lexer);
        lexer->result_symbol = BOUNDS_END;
        return lexer->lookahead != '=' && valid[BOUNDS_END];
    case '!':
        advance(lexer);
        if (lexer->lookahead == '=') return false;
        break;
    default:
        if (begins_line && (c == 'i' || c == 'e') && reads_else_or_in(lexer)) return false;
    }
    lexer->result_symbol = LINE_BREAK;
    return begins_line && valid[LINE_BREAK];
}

// `3`, `1_000`; `3.0`, `3.`, `.5`, `1e-3`. Letters glued to a number make it none.
static bool scan_number(TSLexer *lexer, const bool *valid) {
    while (is_blank(lexer->lookahead) || lexer->lookahead == '\n') lexer->advance(lexer, true);
    bool whole = true;
    bool digits = false;
    if (is_digit(lexer->lookahead)) {
        digits = true;
        while (is_digit(lexer->lookahead) || lexer->lookahead == '_') advance(lexer);
    }
    if (lexer->lookahead == '.') {
        whole = false;
        advance(lexer);
        if (is_digit(lexer->lookahead)) {
            digits = true;
            while (is_digit(lexer->lookahead) || lexer->lookahead == '_') advance(lexer);
        }
    }
    if (!digits) return false;
    if (lexer->lookahead == 'e' || lexer->lookahead == 'E') {
        whole = false;
        advance(lexer);
        if (lexer->lookahead == '+' || lexer->lookahead == '-') advance(lexer);
        if (!is_digit(lexer->lookahead)) return false;
        while (is_digit(lexer->lookahead)) advance(lexer);
    }
    if (is_name(lexer->lookahead) || (whole && lexer->lookahead == '.')) return false;
    lexer->mark_end(lexer);
    lexer->result_symbol = whole ? INTEGER : REAL;
    return valid[lexer->result_symbol];
}

bool tree_sitter_ppl_external_scanner_scan(void *payload, TSLexer *lexer, const bool *valid) {
    (void)payload;
    // A number begins an operand, the others follow one. After an error every token is valid; then
    // the places of line breaks are of no use.
    if (valid[INTEGER] || valid[REAL] || valid[ERROR_SENTINEL]) return scan_number(lexer, valid);
    return scan_gap(lexer, valid);
}

void *tree_sitter_ppl_external_scanner_create(void) { return NULL; }

void tree_sitter_ppl_external_scanner_destroy(void *payload) { (void)payload; }

unsigned tree_sitter_ppl_external_scanner_serialize(void *payload, char *buffer) {
    (void)payload;
    (void)buffer;
    return 0;
}

void tree_sitter_ppl_external_scanner_deserialize(void *payload, const char *buffer, unsigned length) {
    (void)payload;
    (void)buffer;
    (void)length;
}
