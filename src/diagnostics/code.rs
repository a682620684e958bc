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
    E0017 "a file that is not UTF-8 text",
    E0018 "a model too long",
    // -- Names
    E0101 "defined twice",
    E0102 "unknown name",
    E0103 "unknown function or distribution",
    E0104 "definitions in a circle",
    E0105 "the wrong kind of name",
    E0106 "the wrong arguments",
    E0107 "a function that reads the model",
    E0108 "unknown type or bound",
    E0109 "an import that cannot be read",
    E0110 "not a distribution's function",
    E0111 "a chain of definitions too long",
    // -- Types and shapes
    E0201 "another type is wanted",
    E0202 "shapes do not agree",
    E0203 "the wrong number of dimensions",
    E0204 "an index outside the array",
    E0205 "an integer is wanted",
    E0206 "unequal elements of an array",
    E0208 "a type that makes no sense",
    E0209 "a size that nothing gives",
    // -- Stages, supports and statements
    E0301 "has to be known with the data",
    E0302 "known only after inference",
    E0303 "a latent of the wrong kind",
    E0304 "declared wider than the prior",
    E0305 "a value that the distribution cannot draw",
    E0306 "an argument outside its domain",
    E0307 "a truncation that cannot be normalised",
    E0309 "a parameter without a type",
    E0310 "a marginal without a range",
    E0311 "an element of something else",
    // -- Data files
    E0401 "the data file cannot be read",
    E0402 "the data file is not valid JSON",
    E0403 "a name that occurs twice in the data file",
    E0404 "a ragged array",
    E0405 "a value that is not a number",
    E0406 "a number that does not fit",
    E0407 "lists nested too deeply",
    E0408 "a CSV table without its form",
    E0411 "a field that the data file lacks",
    E0412 "data of another type than declared",
    E0413 "data of another shape than declared",
    E0414 "data outside of its declared bounds",
    E0415 "a null where no value may be missing",
    E0416 "data outside of the support of its distribution",
    E0417 "a log joint that is infinite or NaN with this data",
    E0418 "a value that is not of its declared type",
    // -- Numbers and limits
    E0501 "shapes that do not fit with this data",
    E0502 "an index outside of its axis",
    E0503 "something that has to be known from the data",
    E0504 "a negative size",
    E0505 "an element defined twice, too late or never",
    E0506 "not in this release",
    E0507 "too many operations",
    E0508 "an array too large",
    E0509 "an operation without a derivative",
    E0511 "a sum over too many discrete values",
    E0512 "a discrete latent without a distribution",
    E0520 "a statement that cannot be subsampled",
    E0521 "an operation that no device has",
    // -- Lints
    W0601 "an improper prior",
    W0602 "a parameter that no likelihood reaches",
    W0603 "unused data",
    W0604 "a statement that overrides a declared support",
    W0605 "a scale that can be negative",
    W0606 "a centred hierarchy",
    W0607 "a hard-coded size",
    W0608 "a branch on parameters",
    W0609 "a prior that is not normalised",
    W0610 "a distribution of a transformed parameter",
    W0611 "two priors",
    W0612 "a comment that silences nothing",
    W0613 "a loop that repeats itself",
    W0614 "data that two statements describe",
    W0615 "a name of the standard library defined anew",
    W0616 "a definition that nothing uses",
    W0617 "a comment that reads as a division",
    W0618 "a number counted once for each log density",
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
