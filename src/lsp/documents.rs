//! Open texts with their analyses; file names and URIs.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use lsp_types::Uri;

use crate::check::stdlib;
use crate::data::{DataSet, beside};
use crate::diagnostics::Code;
use crate::ide::Analysis;
use crate::source::{MOST_BYTES, line_ends, read_import};

/// A data file with more bytes than this is not read at every keystroke, but left to `ppl check`.
const LARGEST_DATA: u64 = 1 << 20;

/// An open text.
#[derive(Debug)]
pub(super) struct Document {
    /// As the client writes it.
    pub(super) uri: Uri,
    /// The client's number of this state of the text.
    pub(super) version: i32,
    /// `None` when the text is too large, or a bug kept it from being analysed.
    pub(super) analysis: Option<Analysis>,
}

/// All open texts.
#[derive(Debug)]
pub(super) struct Documents {
    /// By file name.
    open: BTreeMap<String, Document>,
    /// The texts, by file name: they stand for the files when something imports them.
    texts: HashMap<String, String>,
    /// Where files are written that the client may want to read: the standard library, the pages of
    /// errors.
    cache: PathBuf,
}

impl Documents {
    pub(super) fn new(cache: PathBuf) -> Self {
        Self { open: BTreeMap::new(), texts: HashMap::new(), cache }
    }

    /// Takes the state of a text, and analyses it. Returns the names of all documents that are to be
    /// shown anew: this one, and those that import it.
    pub(super) fn set(&mut self, uri: &Uri, version: i32, text: &str) -> Vec<String> {
        let name = name_of(uri);
        self.texts.insert(name.clone(), line_ends(text.to_string()));
        let document = Document { uri: uri.clone(), version, analysis: None };
        self.open.insert(name.clone(), document);
        self.analyse_importers(&name)
    }

    /// Forgets a text; its file counts again. Returns the names of the documents that import it.
    pub(super) fn close(&mut self, uri: &Uri) -> Vec<String> {
        let name = name_of(uri);
        self.texts.remove(&name);
        self.open.remove(&name);
        self.analyse_importers(&name)
    }

    /// Analyses a document and those that import it, if they are open.
    fn analyse_importers(&mut self, name: &str) -> Vec<String> {
        let reads = |document: &Document| {
            document
                .analysis
                .as_ref()
                .is_some_and(|a| a.sources.iter().skip(1).any(|(_, file)| file.name() == name))
        };
        let importers = self.open.iter().filter(|(_, document)| reads(document));
        let mut names: Vec<String> = importers.map(|(importer, _)| importer.clone()).collect();
        names.retain(|importer| importer != name);
        if self.open.contains_key(name) {
            names.insert(0, name.to_string());
        }
        for name in &names {
            let analysis = self.texts.get(name).and_then(|text| self.analyse(name, text));
            if let Some(document) = self.open.get_mut(name) {
                document.analysis = analysis;
            }
        }
        names
    }

    fn analyse(&self, name: &str, text: &str) -> Option<Analysis> {
        let mut import =
            |path: &str, importer: &str| read_import(path, importer, &self.texts, MOST_BYTES);
        let mut analysis = Analysis::new(name, text, &mut import).ok()?;
        let small = |path: &PathBuf| path.metadata().is_ok_and(|m| m.len() <= LARGEST_DATA);
        if let Some(path) = beside(Path::new(name)).filter(small) {
            let data = DataSet::read(&path);
            analysis.bind(data.as_ref().map_err(Vec::as_slice));
        }
        Some(analysis)
    }

    /// Analyses a document as it would be with other texts for some files.
    pub(super) fn analyse_with(
        &self,
        name: &str,
        changed: &HashMap<String, String>,
    ) -> Option<Analysis> {
        let mut texts = self.texts.clone();
        texts.extend(changed.iter().map(|(name, text)| (name.clone(), text.clone())));
        let mut import =
            |path: &str, importer: &str| read_import(path, importer, &texts, MOST_BYTES);
        Analysis::new(name, texts.get(name)?, &mut import).ok()
    }

    pub(super) fn get(&self, name: &str) -> Option<&Document> {
        self.open.get(name)
    }

    /// The texts that stand for files.
    pub(super) fn texts(&self) -> &HashMap<String, String> {
        &self.texts
    }

    /// Whether a file is the standard library's, as written for the client.
    pub(super) fn is_library(&self, name: &str) -> bool {
        Path::new(name).starts_with(self.cache.join("stdlib"))
    }

    /// The URI of a file: of an open document as the client writes it; of one of the standard library
    /// that of a copy, which is written if need be.
    pub(super) fn uri_of(&self, name: &str) -> Option<Uri> {
        if let Some(document) = self.open.get(name) {
            return Some(document.uri.clone());
        }
        match name.strip_prefix("stdlib/") {
            Some(path) => {
                let (_, text) = stdlib::FILES.iter().find(|(known, _)| *known == path)?;
                self.written(&Path::new("stdlib").join(path), text)
            }
            None => file_uri(Path::new(name)),
        }
    }

    /// The URI of the page that explains a code.
    pub(super) fn page_of(&self, code: Code) -> Option<Uri> {
        self.written(Path::new(&format!("errors/{code}.md")), code.page())
    }

    /// Writes a file for the client to read, unless it is there. `None` where nothing can be written.
    fn written(&self, path: &Path, text: &str) -> Option<Uri> {
        let path = self.cache.join(path);
        if std::fs::read_to_string(&path).ok().as_deref() != Some(text) {
            std::fs::create_dir_all(path.parent()?).ok()?;
            std::fs::write(&path, text).ok()?;
        }
        file_uri(&path)
    }
}

/// The name of a file: its path, or the URI where that is of another kind (`untitled:…`).
pub(super) fn name_of(uri: &Uri) -> String {
    let is_file = uri.scheme().is_some_and(|scheme| scheme.as_str().eq_ignore_ascii_case("file"));
    let decoded = uri.path().as_estr().decode().into_string();
    match decoded {
        Ok(path) if is_file => {
            // `/C:/models/m.ppl`
            let drive = path.as_bytes().get(2) == Some(&b':');
            if drive { path[1..].to_string() } else { path.into_owned() }
        }
        _ => uri.as_str().to_string(),
    }
}

/// The URI of a path; `None` if the path is not Unicode.
pub fn file_uri(path: &Path) -> Option<Uri> {
    let mut text = String::from("file://");
    let path = path.to_str()?.replace('\\', "/");
    if !path.starts_with('/') {
        text.push('/');
    }
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'.' | b'_' | b'~') {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    Uri::from_str(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_uris_are_each_others() {
        for name in ["/a/b.ppl", "/with blank/μ#1.ppl", "C:/models/m.ppl"] {
            assert_eq!(name_of(&file_uri(Path::new(name)).unwrap()), name);
        }
        let untitled = Uri::from_str("untitled:Untitled-1").unwrap();
        assert_eq!(name_of(&untitled), "untitled:Untitled-1");
        assert_eq!(name_of(&Uri::from_str("file:///a%20b/c.ppl").unwrap()), "/a b/c.ppl");
    }
}
