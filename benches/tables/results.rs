//! `benches/RESULTS.md`: sections, each a readable table and the runs behind it as CSV.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// The runs of a section: fields by key.
pub(crate) type Runs = BTreeMap<Vec<String>, Vec<String>>;

/// One section of the file.
pub(crate) struct Section {
    /// Its heading.
    pub(crate) heading: &'static str,
    /// Names of the fields that make the key of a run, and of the others.
    pub(crate) columns: (&'static [&'static str], &'static [&'static str]),
}

const FENCE: &str = "```";
const TITLE: &str =
    "# Results\n\nWritten by `cargo bench --bench tables`; see `benches/tables/main.rs`.\n";

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("benches/RESULTS.md")
}

impl Section {
    /// The runs that the file has.
    pub(crate) fn load(&self) -> Runs {
        let text = std::fs::read_to_string(path()).unwrap_or_default();
        let (_, own, _) = self.split(&text);
        let csv = own.split_once(&format!("{FENCE}csv\n")).map_or("", |(_, rest)| rest);
        let csv = csv.split(FENCE).next().unwrap_or("");
        let fields = |line: &str| line.split(',').map(str::to_owned).collect::<Vec<_>>();
        let keys = self.columns.0.len();
        csv.lines()
            .skip(1)
            .map(fields)
            .filter(|row| row.len() == keys + self.columns.1.len())
            .map(|mut row| {
                let rest = row.split_off(keys);
                (row, rest)
            })
            .collect()
    }

    /// Replaces the section by a table and the runs behind it.
    pub(crate) fn store(&self, table: &str, runs: &Runs) {
        let text = std::fs::read_to_string(path()).unwrap_or_else(|_| TITLE.into());
        let (before, _, after) = self.split(&text);
        let header = [self.columns.0, self.columns.1].concat().join(",");
        let rows: Vec<String> =
            runs.iter().map(|(key, rest)| [key.as_slice(), rest].concat().join(",")).collect();
        let own = format!(
            "## {}\n\n{table}\n<details><summary>Runs</summary>\n\n{FENCE}csv\n{header}\n{}\n{FENCE}\n\n</details>\n",
            self.heading,
            rows.join("\n"),
        );
        let after = if after.is_empty() { String::new() } else { format!("\n{after}") };
        let text = format!("{}\n\n{own}{after}", before.trim_end());
        std::fs::write(path(), text).expect("benches/RESULTS.md can be written");
    }

    /// What stands before the section, in it, and after it.
    fn split<'a>(&self, text: &'a str) -> (&'a str, &'a str, &'a str) {
        let heading = format!("## {}\n", self.heading);
        let Some(at) = text.find(&heading) else { return (text, "", "") };
        let body = at + heading.len();
        let end = text[body..].find("\n## ").map_or(text.len(), |i| body + i + 1);
        (&text[..at], &text[body..end], &text[end..])
    }
}
