//! Tokens: what the lexer cuts the text into, blanks and comments included.

use logos::Logos;

use crate::source::Span;

/// A piece of text with its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: TokenKind,
    /// Its place.
    pub span: Span,
}

/// Kinds of tokens. Every byte of a file belongs to one token.
#[derive(Logos, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenKind {
    // -- Trivia
    /// Blanks within a line, and a byte-order mark.
    #[regex(r"[ \t\r\u{FEFF}]+")]
    Blank,
    /// A line break.
    #[token("\n")]
    Newline,
    /// `// …` without the line break.
    #[regex(r"//[^\n]*", priority = 3)]
    LineComment,
    /// `/// …` without the line break; four slashes make a line comment.
    #[regex(r"///([^/\n][^\n]*)?", priority = 6)]
    DocComment,
    /// `# …`, a comment of other languages; `precheck` reports it.
    #[regex(r"#[^\n]*")]
    HashComment,
    /// `/* … */`; may lack its end, see [`Token`] users in `precheck`.
    #[token("/*", to_comment_end)]
    BlockComment,

    // -- Keywords
    /// `data`
    #[token("data")]
    KwData,
    /// `param`
    #[token("param")]
    KwParam,
    /// `let`
    #[token("let")]
    KwLet,
    /// `marginal`
    #[token("marginal")]
    KwMarginal,
    /// `gen`
    #[token("gen")]
    KwGen,
    /// `fn`
    #[token("fn")]
    KwFn,
    /// `dist`
    #[token("dist")]
    KwDist,
    /// `import`
    #[token("import")]
    KwImport,
    /// `factor`
    #[token("factor")]
    KwFactor,
    /// `for`
    #[token("for")]
    KwFor,
    /// `in`
    #[token("in")]
    KwIn,
    /// `if`
    #[token("if")]
    KwIf,
    /// `else`
    #[token("else")]
    KwElse,
    /// `true`
    #[token("true")]
    KwTrue,
    /// `false`
    #[token("false")]
    KwFalse,

    // -- Names and literals
    /// A name.
    #[regex(r"[\p{XID_Start}_]\p{XID_Continue}*", priority = 1)]
    Ident,
    /// `3`, `1_000`
    #[regex(r"[0-9][0-9_]*", priority = 5)]
    Int,
    /// `3.0`, `3.`, `.5`, `1e-3`
    #[regex(r"([0-9][0-9_]*\.([0-9][0-9_]*)?|\.[0-9][0-9_]*)([eE][+-]?[0-9]+)?", priority = 6)]
    #[regex(r"[0-9][0-9_]*[eE][+-]?[0-9]+", priority = 6)]
    Real,
    /// A number with letters glued to it: `2x`, `1e`.
    #[regex(r"([0-9][0-9_]*(\.([0-9][0-9_]*)?)?|\.[0-9][0-9_]*)([eE][+-]?[0-9]+)?\p{XID_Start}\p{XID_Continue}*", priority = 4)]
    BadNumber,
    /// `"…"` within a line; may lack its end.
    #[regex(r#""[^"\n]*"?"#)]
    Str,

    // -- Brackets
    /// `(`
    #[token("(")]
    LParen,
    /// `)`
    #[token(")")]
    RParen,
    /// `[`
    #[token("[")]
    LBracket,
    /// `]`
    #[token("]")]
    RBracket,
    /// `{`
    #[token("{")]
    LBrace,
    /// `}`
    #[token("}")]
    RBrace,

    // -- Punctuation and operators
    /// `,`
    #[token(",")]
    Comma,
    /// `:`
    #[token(":")]
    Colon,
    /// `;`
    #[token(";")]
    Semicolon,
    /// `=`
    #[token("=")]
    Equals,
    /// `~`
    #[token("~")]
    Tilde,
    /// `->`
    #[token("->")]
    Arrow,
    /// `?`
    #[token("?")]
    Question,
    /// `'`
    #[token("'")]
    Quote,
    /// `||`
    #[token("||")]
    OrOr,
    /// `&&`
    #[token("&&")]
    AndAnd,
    /// `==`
    #[token("==")]
    EqEq,
    /// `!=`
    #[token("!=")]
    NotEq,
    /// `<=`
    #[token("<=")]
    LessEq,
    /// `>=`
    #[token(">=")]
    GreaterEq,
    /// `<`
    #[token("<")]
    Less,
    /// `>`
    #[token(">")]
    Greater,
    /// `+`
    #[token("+")]
    Plus,
    /// `-`
    #[token("-")]
    Minus,
    /// `*`
    #[token("*")]
    Star,
    /// `/`
    #[token("/")]
    Slash,
    /// `%`
    #[token("%")]
    Percent,
    /// `@`
    #[token("@")]
    At,
    /// `^`
    #[token("^")]
    Caret,
    /// `!`
    #[token("!")]
    Bang,

    /// A character without meaning.
    Unknown,
}

/// Extends a `/*` to its `*/`, or to the end of the text.
fn to_comment_end(lexer: &mut logos::Lexer<'_, TokenKind>) {
    let rest = lexer.remainder();
    lexer.bump(rest.find("*/").map_or(rest.len(), |end| end + 2));
}

impl TokenKind {
    /// Tells whether the parser skips the token: blanks, line breaks and comments.
    #[must_use]
    pub fn is_trivia(self) -> bool {
        matches!(self, Self::Blank | Self::Newline) || self.is_comment()
    }

    /// Tells whether the token is a comment of any form.
    #[must_use]
    pub fn is_comment(self) -> bool {
        matches!(
            self,
            Self::LineComment | Self::DocComment | Self::BlockComment | Self::HashComment
        )
    }

    /// Tells whether the token is a reserved word.
    #[must_use]
    pub fn is_keyword(self) -> bool {
        self.opens_declaration()
            || matches!(
                self,
                Self::KwFn | Self::KwIn | Self::KwIf | Self::KwElse | Self::KwTrue | Self::KwFalse
            )
    }

    /// Tells whether the token can only be the first of a declaration or statement.
    #[must_use]
    pub fn opens_declaration(self) -> bool {
        matches!(
            self,
            Self::KwData
                | Self::KwParam
                | Self::KwLet
                | Self::KwMarginal
                | Self::KwGen
                | Self::KwDist
                | Self::KwImport
                | Self::KwFactor
                | Self::KwFor
        )
    }

    /// Tells whether an expression can end with the token.
    #[must_use]
    pub fn ends_operand(self) -> bool {
        matches!(
            self,
            Self::Ident
                | Self::Int
                | Self::Real
                | Self::BadNumber
                | Self::Str
                | Self::KwTrue
                | Self::KwFalse
                | Self::RParen
                | Self::RBracket
                | Self::RBrace
                | Self::Quote
        )
    }

    /// Tells whether an expression can begin with the token.
    #[must_use]
    pub fn begins_operand(self) -> bool {
        matches!(
            self,
            Self::Ident
                | Self::Int
                | Self::Real
                | Self::BadNumber
                | Self::KwTrue
                | Self::KwFalse
                | Self::KwIf
                | Self::LParen
                | Self::LBracket
                | Self::Bang
        )
    }

    /// Tells whether the token joins what stands before and after it: operators between operands,
    /// signs of definition, separators.
    #[must_use]
    pub fn joins(self) -> bool {
        matches!(
            self,
            Self::Comma
                | Self::Colon
                | Self::Equals
                | Self::Tilde
                | Self::Arrow
                | Self::Question
                | Self::OrOr
                | Self::AndAnd
                | Self::EqEq
                | Self::NotEq
                | Self::LessEq
                | Self::GreaterEq
                | Self::Less
                | Self::Greater
                | Self::Plus
                | Self::Minus
                | Self::Star
                | Self::Slash
                | Self::Percent
                | Self::At
                | Self::Caret
        )
    }

    /// Returns the bracket that closes this one, if it is an opening bracket.
    #[must_use]
    pub fn closer(self) -> Option<Self> {
        match self {
            Self::LParen => Some(Self::RParen),
            Self::LBracket => Some(Self::RBracket),
            Self::LBrace => Some(Self::RBrace),
            _ => None,
        }
    }

    /// Tells whether the token is a closing bracket.
    #[must_use]
    pub fn is_closer(self) -> bool {
        matches!(self, Self::RParen | Self::RBracket | Self::RBrace)
    }
}
