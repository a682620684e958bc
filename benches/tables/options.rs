//! Flags of the commands.

use std::collections::BTreeMap;

/// The values of flags; refuses others.
pub(super) fn options<'a>(
    arguments: &'a [String],
    flags: &[&str],
) -> Result<BTreeMap<&'a str, &'a str>, String> {
    let pairs = arguments.chunks(2).map(|pair| match pair {
        [flag, value] if flags.contains(&flag.as_str()) => Ok((&flag[2..], value.as_str())),
        _ => Err(format!("no flag {} with a value", pair[0])),
    });
    pairs.collect()
}

/// The values that a flag separates by commas, or those of its default.
pub(super) fn list(given: &BTreeMap<&str, &str>, name: &str, default: &[&str]) -> Vec<String> {
    let given = given.get(name).map(|l| l.split(',').map(str::to_owned).collect());
    given.unwrap_or_else(|| default.iter().map(|x| (*x).to_owned()).collect())
}

/// `OPTION=VALUE` pairs by option.
pub(super) fn settings(pairs: &[String]) -> BTreeMap<String, String> {
    let pairs = pairs.iter().filter_map(|pair| pair.split_once('='));
    pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}
