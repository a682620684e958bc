//! Stan JSON → [`DataSet`]: one object whose fields are numbers or nested lists of numbers.
//!
//! Accepted beyond JSON: a byte-order mark, and the bare words `NaN`, `Infinity`, `-Infinity`,
//! `Inf` that Python and R write. `null` is a missing element, `true` and `false` are 1 and 0. A list
//! of integers stays integer; one real makes the field real. The parser is our own because a message
//! about `y[3, 2]` needs the places of values, which `serde_json` does not give, and because it fills
//! flat arrays directly.
//!
//! A field with a bad value does not hide the next one; broken JSON ends the reading.

use std::borrow::Cow;
use std::ops::Range;

use indexmap::IndexMap;
use indexmap::map::Entry;

use super::dataset::Field;
use super::{DataArray, DataError, DataErrorKind, DataSet, Format, Position, Values};

/// More axes than any model has; bounds the recursion.
const MAX_DEPTH: usize = 32;
/// A file with more bad fields than this is not the data file that was meant.
const MAX_ERRORS: usize = 20;

/// Parses a whole file.
pub(super) fn parse(file: &str, text: &str) -> Result<DataSet, Vec<DataError>> {
    let mut parser = Parser { text, at: 0 };
    let mut fields = IndexMap::new();
    let mut faults = Vec::new();
    if let Err(fault) = parser.file(&mut fields, &mut faults) {
        faults.push(fault);
    }
    if faults.is_empty() {
        return Ok(DataSet::new(file, Format::Json, text, fields));
    }
    let error = |(field, fault): FieldFault| DataError {
        file: file.into(),
        position: Some(Position::of(text, fault.at)),
        field,
        index: fault.index,
        kind: fault.kind,
    };
    Err(faults.into_iter().map(error).collect())
}

/// The byte offset, within the text of one value, of its element at row-major position `element`.
pub(super) fn offset_of_element(value: &str, element: usize) -> Option<usize> {
    let mut parser = Parser { text: value, at: 0 };
    let mut seen = 0;
    loop {
        parser.space();
        match parser.peek()? {
            b'[' | b']' | b',' => parser.at += 1,
            _ if seen == element => return Some(parser.at),
            _ => {
                seen += 1;
                parser.skip_scalar();
            }
        }
    }
}

/// A problem, and the field it is in.
type FieldFault = (Option<String>, Fault);

/// A problem at a byte of the text.
struct Fault {
    at: usize,
    index: Vec<usize>,
    kind: DataErrorKind,
}

impl Fault {
    fn syntax(at: usize, message: impl Into<String>) -> Self {
        Fault { at, index: Vec::new(), kind: DataErrorKind::Syntax(message.into()) }
    }
}

/// One scalar of a field.
enum Scalar {
    Int(i64),
    Real(f64),
    Missing,
}

/// The elements of a field while it is being read.
struct Elements {
    values: Values,
    missing: Vec<bool>,
    /// Length of each axis, once a list at that depth was closed.
    lengths: Vec<Option<usize>>,
    /// Depth at which scalars stand, once one was seen.
    scalar_depth: Option<usize>,
    /// 1-based index of what is being read.
    index: Vec<usize>,
}

impl Elements {
    #[allow(clippy::cast_precision_loss, reason = "an integer among reals is a real")]
    fn push(&mut self, scalar: &Scalar) {
        if let (Values::Int(ints), Scalar::Real(_)) = (&self.values, scalar) {
            self.values = Values::Real(ints.iter().map(|i| *i as f64).collect());
        }
        match (&mut self.values, scalar) {
            (Values::Int(v), Scalar::Int(x)) => v.push(*x),
            (Values::Int(v), Scalar::Missing | Scalar::Real(_)) => v.push(0),
            (Values::Real(v), Scalar::Int(x)) => v.push(*x as f64),
            (Values::Real(v), Scalar::Real(x)) => v.push(*x),
            (Values::Real(v), Scalar::Missing) => v.push(f64::NAN),
        }
        let is_missing = matches!(scalar, Scalar::Missing);
        if is_missing || !self.missing.is_empty() {
            self.missing.resize(self.values.len() - 1, false);
            self.missing.push(is_missing);
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    /// What stands here, for a message.
    fn here(&self) -> String {
        match self.text.get(self.at..).and_then(|rest| rest.chars().next()) {
            Some(c) => format!("found `{}`", c.escape_debug()),
            None => "the file ends".into(),
        }
    }

    fn expect(&mut self, byte: u8, what: &str) -> Result<(), Fault> {
        self.space();
        if self.peek() == Some(byte) {
            self.at += 1;
            return Ok(());
        }
        Err(Fault::syntax(self.at, format!("expected {what}, but {}", self.here())))
    }

    /// Reads the object; bad fields go to `faults`, what ends the reading is returned.
    fn file(
        &mut self,
        fields: &mut IndexMap<String, Field>,
        faults: &mut Vec<FieldFault>,
    ) -> Result<(), FieldFault> {
        let anywhere = |fault| (None, fault);
        if self.text.starts_with('\u{feff}') {
            self.at = '\u{feff}'.len_utf8();
        }
        self.expect(b'{', "an object `{\"name\": value, ...}`").map_err(anywhere)?;
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
        } else {
            loop {
                self.field(fields, faults)?;
                self.space();
                match self.peek() {
                    Some(b',') => self.at += 1,
                    Some(b'}') => {
                        self.at += 1;
                        break;
                    }
                    _ => return self.expect(b',', "`,` or `}` after a field").map_err(anywhere),
                }
            }
        }
        self.space();
        if self.at < self.text.len() {
            let message = format!("{} after the end of the object", self.here());
            return Err((None, Fault::syntax(self.at, message)));
        }
        Ok(())
    }

    fn name(&mut self) -> Result<String, Fault> {
        if self.peek() == Some(b'}') {
            return Err(Fault::syntax(self.at, "a comma stands before the closing `}`"));
        }
        if self.peek() != Some(b'"') {
            let message = format!("expected a field name in double quotes, but {}", self.here());
            return Err(Fault::syntax(self.at, message));
        }
        let name = self.string()?.into_owned();
        self.expect(b':', "`:` after the field name")?;
        Ok(name)
    }

    fn field(
        &mut self,
        fields: &mut IndexMap<String, Field>,
        faults: &mut Vec<FieldFault>,
    ) -> Result<(), FieldFault> {
        self.space();
        let name_at = self.at;
        let name = self.name().map_err(|fault| (None, fault))?;
        self.space();
        let start = self.at;
        match self.array() {
            Ok(array) => match fields.entry(name) {
                Entry::Vacant(slot) => {
                    slot.insert(Field { array, span: start..self.at });
                }
                Entry::Occupied(first) => {
                    let first_line = Position::of(self.text, first.get().span.start).line;
                    let kind = DataErrorKind::Duplicate { first_line };
                    let fault = Fault { at: name_at, index: Vec::new(), kind };
                    faults.push((Some(first.key().clone()), fault));
                }
            },
            Err(fault) if matches!(fault.kind, DataErrorKind::Syntax(_)) => {
                return Err((Some(name), fault));
            }
            Err(fault) => {
                faults.push((Some(name.clone()), fault));
                self.at = start;
                self.skip_value().map_err(|fault| (Some(name), fault))?;
            }
        }
        if faults.len() >= MAX_ERRORS {
            let message = "too many errors; the rest was not read";
            return Err((None, Fault::syntax(self.at, message)));
        }
        Ok(())
    }

    fn array(&mut self) -> Result<DataArray, Fault> {
        let mut elements = Elements {
            values: Values::Int(Vec::new()),
            missing: Vec::new(),
            lengths: Vec::new(),
            scalar_depth: None,
            index: Vec::new(),
        };
        if let Err(mut fault) = self.value(0, &mut elements) {
            fault.index = elements.index;
            return Err(fault);
        }
        let shape = elements.lengths.into_iter().map(Option::unwrap_or_default).collect();
        let mut missing = elements.missing;
        if !missing.is_empty() {
            missing.resize(elements.values.len(), false);
        }
        Ok(DataArray::new(shape, elements.values, missing))
    }

    /// Reads one value at `depth` lists deep.
    fn value(&mut self, depth: usize, out: &mut Elements) -> Result<(), Fault> {
        let at = self.at;
        let fault = |kind| Fault { at, index: Vec::new(), kind };
        if self.peek() == Some(b'[') {
            if out.scalar_depth.is_some_and(|d| d <= depth) {
                return Err(fault(DataErrorKind::MixedDepth));
            }
            if depth == MAX_DEPTH {
                return Err(fault(DataErrorKind::TooDeep(MAX_DEPTH)));
            }
            return self.list(depth, out);
        }
        let scalar = self.scalar()?;
        if out.lengths.len() != depth {
            return Err(fault(DataErrorKind::MixedDepth));
        }
        out.scalar_depth = Some(depth);
        out.push(&scalar);
        Ok(())
    }

    fn list(&mut self, depth: usize, out: &mut Elements) -> Result<(), Fault> {
        let start = self.at;
        self.at += 1;
        if out.lengths.len() == depth {
            out.lengths.push(None);
        }
        let mut count = 0;
        self.space();
        if self.peek() == Some(b']') {
            self.at += 1;
        } else {
            loop {
                count += 1;
                out.index.push(count);
                self.space();
                self.value(depth + 1, out)?;
                out.index.pop();
                self.space();
                match self.peek() {
                    Some(b',') => self.at += 1,
                    Some(b']') => {
                        self.at += 1;
                        break;
                    }
                    _ => return self.expect(b',', "`,` or `]` in a list"),
                }
            }
        }
        match out.lengths[depth] {
            Some(expected) if expected != count => {
                let kind = DataErrorKind::Ragged { expected, found: count };
                Err(Fault { at: start, index: Vec::new(), kind })
            }
            _ => {
                out.lengths[depth] = Some(count);
                Ok(())
            }
        }
    }

    fn scalar(&mut self) -> Result<Scalar, Fault> {
        let at = self.at;
        let not_a_number = |found: String| Fault {
            at,
            index: Vec::new(),
            kind: DataErrorKind::NotANumber { found },
        };
        match self.peek() {
            Some(b'"') => {
                let string = self.string()?;
                non_finite(&string)
                    .map(Scalar::Real)
                    .ok_or_else(|| not_a_number(format!("\"{}\"", shorten(&string))))
            }
            Some(b'{') => Err(not_a_number("{...}".into())),
            Some(b'0'..=b'9' | b'-' | b'+' | b'.' | b'A'..=b'Z' | b'a'..=b'z') => {
                let word = self.word();
                match word {
                    "null" => Ok(Scalar::Missing),
                    "true" => Ok(Scalar::Int(1)),
                    "false" => Ok(Scalar::Int(0)),
                    _ if word.ends_with(|c: char| c.is_ascii_digit()) => number(word, at),
                    _ => match non_finite(word) {
                        Some(x) => Ok(Scalar::Real(x)),
                        None => number(word, at),
                    },
                }
            }
            Some(b']') => Err(Fault::syntax(at, "a comma stands before the closing `]`")),
            _ => Err(Fault::syntax(at, format!("expected a value, but {}", self.here()))),
        }
    }

    /// Bytes of a number or bare word.
    fn word(&mut self) -> &'a str {
        let start = self.at;
        let in_word = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.' | b'_');
        let rest = &self.text.as_bytes()[start..];
        self.at += rest.iter().position(|b| !in_word(b)).unwrap_or(rest.len());
        &self.text[start..self.at]
    }

    /// Reads a string; the quote stands here.
    fn string(&mut self) -> Result<Cow<'a, str>, Fault> {
        let range = self.string_range()?;
        let raw = &self.text[range.clone()];
        if !raw.contains('\\') {
            return Ok(Cow::Borrowed(raw));
        }
        // Escapes are rare and their rules are JSON's, so serde_json decodes them.
        serde_json::from_str(&self.text[range.start - 1..=range.end])
            .map(Cow::Owned)
            .map_err(|e| Fault::syntax(range.start, format!("bad escape in a string: {e}")))
    }

    /// Passes over a string and returns the bytes between its quotes.
    fn string_range(&mut self) -> Result<Range<usize>, Fault> {
        let open = self.at;
        self.at += 1;
        let start = self.at;
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(start..self.at - 1);
                }
                Some(b'\\') => self.at += 2,
                None | Some(b'\n') => {
                    return Err(Fault::syntax(open, "this string is not closed on its line"));
                }
                Some(_) => self.at += 1,
            }
        }
    }

    fn skip_scalar(&mut self) {
        if self.peek() == Some(b'"') {
            if self.string_range().is_err() {
                self.at = self.text.len();
            }
        } else if self.word().is_empty() {
            self.at += 1;
        }
    }

    /// Passes over a value of any kind and depth without recursion.
    fn skip_value(&mut self) -> Result<(), Fault> {
        let mut open = Vec::new();
        loop {
            self.space();
            match self.peek() {
                Some(b @ (b'[' | b'{')) => {
                    open.push(if b == b'[' { b']' } else { b'}' });
                    self.at += 1;
                }
                Some(b @ (b']' | b'}')) if open.last() == Some(&b) => {
                    open.pop();
                    self.at += 1;
                }
                Some(b',' | b':') if !open.is_empty() => {
                    self.at += 1;
                    continue;
                }
                Some(b'"') => {
                    self.string_range()?;
                }
                _ => {
                    if self.word().is_empty() {
                        let message = format!("expected a value, but {}", self.here());
                        return Err(Fault::syntax(self.at, message));
                    }
                }
            }
            if open.is_empty() {
                return Ok(());
            }
        }
    }
}

/// The words for numbers that JSON has none for.
fn non_finite(word: &str) -> Option<f64> {
    match word {
        "NaN" | "nan" => Some(f64::NAN),
        "Infinity" | "+Infinity" | "Inf" | "+Inf" | "inf" | "+inf" => Some(f64::INFINITY),
        "-Infinity" | "-Inf" | "-inf" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

/// A JSON number: an integer when written without point and exponent.
fn number(word: &str, at: usize) -> Result<Scalar, Fault> {
    let digits = word.strip_prefix('-').unwrap_or(word);
    let bad = |message: &str| {
        Err(Fault::syntax(at, format!("`{}` is not a number{message}", shorten(word))))
    };
    let digit = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
    if digits.starts_with('.') || digits.split_once('.').is_some_and(|(_, after)| !digit(after)) {
        return bad("; a digit must stand on both sides of the point");
    }
    if !digit(digits) {
        let plus = digits.starts_with('+');
        return bad(if plus { "; JSON has no leading `+`" } else { "" });
    }
    if digits.len() > 1 && digits.starts_with('0') && digits.as_bytes()[1].is_ascii_digit() {
        return bad("; JSON has no leading zeros");
    }
    let out_of_range = |message: String| {
        Err(Fault { at, index: Vec::new(), kind: DataErrorKind::OutOfRange(message) })
    };
    if digits.bytes().all(|b| b.is_ascii_digit()) {
        return match word.parse() {
            Ok(x) => Ok(Scalar::Int(x)),
            Err(_) => out_of_range(format!(
                "the integer {} does not fit in 64 bits; if a real is meant, write it with a point",
                shorten(word)
            )),
        };
    }
    match word.parse::<f64>() {
        Ok(x) if x.is_finite() => Ok(Scalar::Real(x)),
        Ok(_) => out_of_range(format!("{} is beyond the largest real number", shorten(word))),
        Err(_) => bad(""),
    }
}

/// At most 24 characters of a text, for a message.
fn shorten(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(24) {
        Some((cut, _)) => Cow::Owned(format!("{}…", &text[..cut])),
        None => Cow::Borrowed(text),
    }
}
