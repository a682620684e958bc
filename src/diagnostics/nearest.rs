//! Which known name a misspelt one is.

/// Returns the name that is nearest by edit distance, if it is near enough to be meant.
#[must_use]
pub fn nearest<'n>(name: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let folded = name.to_lowercase();
    let limit = match name.chars().count() {
        0..=2 => 0,
        3..=5 => 1,
        6..=9 => 2,
        _ => 3,
    };
    names
        .map(|known| (distance(&folded, &known.to_lowercase()), known))
        .filter(|(distance, known)| *distance <= limit && *known != name)
        .min_by_key(|(distance, known)| (*distance, *known))
        .map(|(_, known)| known)
}

/// Returns the number of insertions, deletions, replacements and swaps of neighbours between two
/// texts (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found_and_far_ones_are_not() {
        let names = ["sigma", "theta", "mu", "theta_raw"];
        assert_eq!(nearest("sigam", names.into_iter()), Some("sigma"));
        assert_eq!(nearest("Theta", names.into_iter()), Some("theta"));
        assert_eq!(nearest("theta_rwa", names.into_iter()), Some("theta_raw"));
        assert_eq!(nearest("nu", names.into_iter()), None);
        assert_eq!(nearest("lambda", names.into_iter()), None);
    }
}
