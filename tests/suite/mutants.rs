//! Broken models and broken data by the hundred: working ones, changed at random.
//!
//! Whatever the change, every stage ends with a value or with messages, never with a panic; `PPL_SLOW=1`
//! tries twenty times as many, new ones each time.

use ppl::data::{DataSet, Format};
use ppl::driver::Session;
use ppl::source::FileId;
use ppl::syntax;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestRunner;
use serde_json::Value;

use crate::conformance::model_text;
use crate::effort::cases;
use crate::files::below;

/// Models and their data, as JSON, all of which come through.
fn pairs() -> Vec<(String, String)> {
    let rows =
        [include_str!("../reference/models.jsonl"), include_str!("../reference/posteriordb.jsonl")];
    let rows = rows.iter().flat_map(|rows| rows.lines()).map(|row| {
        let row: Value = serde_json::from_str(row).unwrap();
        (model_text(row["model"].as_str().unwrap()), row["data"].to_string())
    });
    let examples = below("examples", "ppl").into_iter().map(|path| {
        let data = std::fs::read_to_string(path.with_file_name("data.json"));
        (std::fs::read_to_string(&path).unwrap(), data.unwrap_or_else(|_| "{}".into()))
    });
    // Differential equations and long data take their time.
    let quick = |(model, data): &(String, String)| !model.contains("ode_") && data.len() < 20_000;
    rows.chain(examples).filter(quick).collect()
}

/// Words, numbers, blanks and single signs.
fn pieces(text: &str) -> Vec<&str> {
    let kind = |c: char| match c {
        c if c.is_alphanumeric() || matches!(c, '_' | '.') => 0,
        c if c.is_whitespace() => 1,
        _ => 2,
    };
    let mut cuts = vec![0];
    for ((_, a), (at, b)) in text.char_indices().zip(text.char_indices().skip(1)) {
        if kind(a) != kind(b) || kind(a) == 2 {
            cuts.push(at);
        }
    }
    cuts.push(text.len());
    cuts.windows(2).map(|w| &text[w[0]..w[1]]).collect()
}

/// What is done to the pieces of a text.
#[derive(Debug, Clone)]
enum Change {
    Remove(Index),
    Double(Index),
    Swap(Index, Index),
    /// Puts a piece of another text in the place of one.
    Replace(Index, Index),
    /// Puts something odd in the place of one.
    Odd(Index, Index),
    Cut(Index),
}

/// Numbers and signs where trouble is likely.
const ODD: [&str; 22] = [
    "0",
    "-1",
    "1e308",
    "1e-320",
    "9007199254740993",
    "99999999999999999999",
    "1000000000",
    "\"NaN\"",
    "\"-Infinity\"",
    "null",
    "[]",
    "[[]]",
    "{}",
    "\"",
    "\0",
    "µ",
    "𝒩",
    "\u{feff}",
    "\r",
    "((((((((",
    "1..2",
    "/*",
];

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let at = any::<Index>;
    let change = prop_oneof![
        4 => at().prop_map(Change::Remove),
        2 => at().prop_map(Change::Double),
        2 => (at(), at()).prop_map(|(a, b)| Change::Swap(a, b)),
        6 => (at(), at()).prop_map(|(a, b)| Change::Replace(a, b)),
        3 => (at(), at()).prop_map(|(a, b)| Change::Odd(a, b)),
        1 => at().prop_map(Change::Cut),
    ];
    prop::collection::vec(change, 1..4)
}

fn changed(text: &str, changes: &[Change], others: &[&str]) -> String {
    let mut pieces = pieces(text);
    for change in changes {
        let n = pieces.len();
        if n == 0 {
            break;
        }
        match change {
            Change::Remove(at) => drop(pieces.remove(at.index(n))),
            Change::Double(at) => pieces.insert(at.index(n), pieces[at.index(n)]),
            Change::Swap(a, b) => pieces.swap(a.index(n), b.index(n)),
            Change::Replace(at, other) => pieces[at.index(n)] = *other.get(others),
            Change::Odd(at, odd) => pieces[at.index(n)] = *odd.get(&ODD),
            Change::Cut(at) => pieces.truncate(at.index(n)),
        }
    }
    pieces.concat()
}

/// Takes a model and its data through all stages; says whether there was a posterior in the end, and
/// checks that otherwise there is an error.
fn through(model: &str, data: &str) -> bool {
    let mut session = Session::new();
    let checked = session.check("m.ppl", model);
    let _ = syntax::format(FileId(0), model);
    let data = DataSet::from_bytes("d.json", Some(Format::Json), data.as_bytes());
    let (Some(checked), Ok(data)) = (checked, &data) else {
        assert!(session.has_errors() && !session.render(false).is_empty() || data.is_err());
        return false;
    };
    let Some(posterior) = session.compile(&checked, data) else {
        assert!(session.has_errors() && !session.render(false).is_empty());
        return false;
    };
    let d = posterior.dim();
    posterior.target().f64.score(&vec![0.0; d], &mut [0.0], &mut vec![0.0; d]);
    true
}

/// Runs mutants of the models, or of the data; returns how many came through.
fn run(count: u32, of_data: bool) -> usize {
    let pairs = pairs();
    assert!(pairs.len() > 60, "{} models", pairs.len());
    let of = |pair: &(String, String)| if of_data { pair.1.clone() } else { pair.0.clone() };
    let all: Vec<String> = pairs.iter().map(of).collect();
    let others: Vec<&str> = all.iter().flat_map(|text| pieces(text)).collect();
    let came_through = std::cell::Cell::new(0);
    let mut runner = TestRunner::new(cases(count));
    let result = runner.run(&(any::<Index>(), changes()), |(which, changes)| {
        let (model, data) = which.get(&pairs);
        let of_pair = if of_data { data } else { model };
        let mutant = changed(of_pair, &changes, &others);
        let (model, data) = if of_data { (model, &mutant) } else { (&mutant, data) };
        let ended = std::panic::catch_unwind(|| through(model, data));
        let complete = ended.map_err(|_| TestCaseError::fail(format!("{model}\n---\n{data}")))?;
        came_through.set(came_through.get() + usize::from(complete));
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
    came_through.get()
}

#[test]
fn no_change_of_a_model_breaks_the_compiler() {
    let n = run(600, false);
    assert!(n > 50, "{n} mutants are models");
}

#[test]
fn no_change_of_data_breaks_the_compiler() {
    let n = run(300, true);
    assert!(n > 10, "{n} mutants are data");
}
