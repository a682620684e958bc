//! The table of codes: each with a title, and a page in `docs/errors/` that `ppl explain` prints.
//!
//! A row without its page does not compile. Codes are stable: a number is never given a new
//! meaning. E00xx syntax · E01xx names · E02xx types and shapes · E03xx stages, supports and
//! statements · E04xx data · E05xx numbers and limits · W06xx lints.

macro_rules! codes {
    ($($code:ident $title:literal,)*) => {
        /// A stable diagnostic code, such as `E0102`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code {
            $(#[doc = $title] $code,)*
        }

        impl Code {
            /// All codes, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$code,)*];

            /// Returns the code as it is written: `E0102`.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$code => stringify!($code),)*
                }
            }

            /// Returns what the code means, in a few words.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self {
                    $(Self::$code => $title,)*
                }
            }

            /// Returns the page that explains the code, in Markdown.
            #[must_use]
            pub fn page(self) -> &'static str {
                match self {
                    $(Self::$code => include_str!(concat!(
                        env!("CARGO_MANIFEST_DIR"),
                        "/docs/errors/",
                        stringify!($code),
                        ".md"
                    )),)*
                }
            }
        }
    };
}

codes! {
    // -- Syntax
    E0001 "unexpected text",
    E0002 "a character that has no meaning here",
    E0003 "a bracket without its partner",
    E0004 "a comment or string that does not end",
    E0005 "not a number",
    E0006 "nested too deeply",
    E0007 "syntax of another language",
    E0008 "a semicolon",
    E0009 "two statements on one line",
    E0010 "chained comparison",
    E0011 "a keyword used as a name",
    E0012 "the wrong sign of definition",
    E0013 "a block without a value",
    E0014 "an expression that does nothing",
    E0015 "a statement that is not allowed here",
    E0016 "only a name can be called or assigned",
    // -- Names
    E0102 "unknown name",
}

impl Code {
    /// Finds a code by its text; case does not matter.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str().eq_ignore_ascii_case(text.trim()))
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_is_headed_by_its_code_and_title() {
        for code in Code::ALL {
            let heading = format!("# {code}: {}", code.title());
            assert_eq!(code.page().lines().next(), Some(heading.as_str()));
            assert!(code.page().contains("```"), "{code} shows no example");
        }
    }

    #[test]
    fn codes_ascend_and_parse_back() {
        assert!(Code::ALL.windows(2).all(|pair| pair[0].as_str()[1..] < pair[1].as_str()[1..]));
        assert_eq!(Code::parse("e0102"), Some(Code::E0102));
        assert_eq!(Code::parse("E9999"), None);
    }
}
