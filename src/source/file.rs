//! Names and texts of the files of one compilation, and line numbers in them.

use super::Span;

/// Names one file of a [`SourceMap`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId(pub u32);

/// A place as people count it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Location {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

/// A place as editors count it: both from 0, the column in units of UTF-16.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Utf16Location {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

/// One file: its name as shown to people, its text and its line starts.
#[derive(Clone, Debug)]
pub struct SourceFile {
    name: String,
    text: String,
    /// Byte offset of the first byte of every line; never empty, ascending.
    line_starts: Vec<usize>,
    /// Byte offset of every byte that does not begin a character, ascending; columns are counted
    /// with it, so that a very long line costs no more than a short one.
    continuations: Vec<usize>,
}

impl SourceFile {
    fn new(name: String, text: String) -> Self {
        let after_breaks = text.match_indices('\n').map(|(offset, _)| offset + 1);
        let line_starts = std::iter::once(0).chain(after_breaks).collect();
        let inner = text.bytes().enumerate().filter(|(_, byte)| byte & 0b1100_0000 == 0b1000_0000);
        let continuations = inner.map(|(offset, _)| offset).collect();
        Self { name, text, line_starts, continuations }
    }

    /// Returns the name as it was given.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the whole text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the line and column of a byte offset; an offset past the end is the end.
    #[must_use]
    pub fn location(&self, offset: usize) -> Location {
        let offset = self.text.floor_char_boundary(offset);
        let line = self.line_starts.partition_point(|&start| start <= offset);
        let start = self.line_starts[line - 1];
        let before = |end: usize| self.continuations.partition_point(|&inner| inner < end);
        Location { line, column: offset - start - (before(offset) - before(start)) + 1 }
    }

    /// Returns a byte offset as editors count it; an offset past the end is the end.
    #[must_use]
    pub fn utf16_location(&self, offset: usize) -> Utf16Location {
        let offset = self.text.floor_char_boundary(offset);
        let line = self.line_starts.partition_point(|&start| start <= offset) - 1;
        let before = &self.text[self.line_starts[line]..offset];
        Utf16Location { line, column: before.encode_utf16().count() }
    }

    /// Returns the byte offset of a place; past the end of its line, or within a pair of units, it is
    /// the end or the beginning of that.
    #[must_use]
    pub fn utf16_offset(&self, at: Utf16Location) -> usize {
        let Some(&start) = self.line_starts.get(at.line) else { return self.text.len() };
        let line = self.text[start..].split('\n').next().unwrap_or_default();
        let mut column = 0;
        for (inside, c) in line.trim_end_matches('\r').char_indices() {
            column += c.len_utf16();
            if column > at.column {
                return start + inside;
            }
        }
        start + line.trim_end_matches('\r').len()
    }
}

/// Most bytes of a file, unless another limit is set: beyond, checking would take more memory than a
/// small machine has.
pub const MOST_BYTES: usize = 2 << 20;

/// All files of one compilation: the model, what it imports, the standard library.
#[derive(Clone, Debug)]
pub struct SourceMap {
    files: Vec<SourceFile>,
    most_bytes: usize,
}

impl Default for SourceMap {
    fn default() -> Self {
        SourceMap { files: Vec::new(), most_bytes: MOST_BYTES }
    }
}

impl SourceMap {
    /// Makes an empty map.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes an empty map for files of at most so many bytes, or of [`MOST_BYTES`].
    #[must_use]
    pub fn of_at_most(bytes: Option<usize>) -> Self {
        SourceMap { most_bytes: bytes.unwrap_or(MOST_BYTES), ..Self::default() }
    }

    /// Most bytes of a file that is to be parsed.
    #[must_use]
    pub fn most_bytes(&self) -> usize {
        self.most_bytes
    }

    /// Adds a file and returns its identity.
    ///
    /// # Panics
    /// With more than `u32::MAX` files.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<String>) -> FileId {
        let id = u32::try_from(self.files.len()).expect("fewer than 2^32 files");
        self.files.push(SourceFile::new(name.into(), text.into()));
        FileId(id)
    }

    /// Returns a file.
    ///
    /// # Panics
    /// If `id` came from another map.
    #[must_use]
    pub fn file(&self, id: FileId) -> &SourceFile {
        &self.files[id.0 as usize]
    }

    /// Returns the text of a file.
    ///
    /// # Panics
    /// If `id` came from another map.
    #[must_use]
    pub fn text(&self, id: FileId) -> &str {
        self.file(id).text()
    }

    /// Returns the name of a file.
    ///
    /// # Panics
    /// If `id` came from another map.
    #[must_use]
    pub fn name(&self, id: FileId) -> &str {
        self.file(id).name()
    }

    /// Returns the text a span covers.
    ///
    /// # Panics
    /// If the span came from another map.
    #[must_use]
    pub fn slice(&self, span: Span) -> &str {
        &self.text(span.file)[span.range()]
    }

    /// Returns the line and column where a span starts.
    ///
    /// # Panics
    /// If the span came from another map.
    #[must_use]
    pub fn location(&self, span: Span) -> Location {
        self.file(span.file).location(span.start as usize)
    }

    /// Returns all files with their identities, in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = (FileId, &SourceFile)> {
        (0..).map(FileId).zip(&self.files)
    }
}

/// Makes line breaks of carriage returns that stand alone, as old Macs wrote them; no byte moves.
#[must_use]
pub fn line_ends(text: String) -> String {
    let alone = |(at, _): &(usize, &str)| text.as_bytes().get(at + 1) != Some(&b'\n');
    if !text.match_indices('\r').any(|found| alone(&found)) {
        return text;
    }
    let mut ended = text.clone();
    for (at, _) in text.match_indices('\r').filter(alone) {
        ended.replace_range(at..=at, "\n");
    }
    ended
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lone_carriage_returns_end_lines() {
        assert_eq!(line_ends("a\rb\r\nc\n\r".into()), "a\nb\r\nc\n\n");
        assert_eq!(line_ends("a\r\nb\n".into()), "a\r\nb\n");
    }

    #[test]
    fn editors_count_units_of_utf_16() {
        let mut map = SourceMap::new();
        let id = map.add("m.ppl", "μ𝜎 = 1\r\nx");
        let file = map.file(id);
        for (offset, line, column) in
            [(0, 0, 0), (2, 0, 1), (6, 0, 3), (10, 0, 7), (12, 1, 0), (13, 1, 1)]
        {
            let at = Utf16Location { line, column };
            assert_eq!(file.utf16_location(offset), at);
            assert_eq!(file.utf16_offset(at), offset);
        }
        let at = |line, column| file.utf16_offset(Utf16Location { line, column });
        assert_eq!(at(0, 2), 2, "within a pair");
        assert_eq!(at(0, 99), 10, "past the end of the line, before its break");
        assert_eq!(at(9, 0), 13);
    }

    #[test]
    fn locations_count_lines_and_characters() {
        let mut map = SourceMap::new();
        let id = map.add("m.ppl", "μ = 1\nσ\n");
        let at = |offset| map.file(id).location(offset);
        assert_eq!(at(0), Location { line: 1, column: 1 });
        assert_eq!(at("μ =".len()), Location { line: 1, column: 4 });
        assert_eq!(at("μ = 1\n".len()), Location { line: 2, column: 1 });
        assert_eq!(at(1000), Location { line: 3, column: 1 });
    }
}
