//! The pairs of parameters that depend on each other most: what a method finds hardest.

use maud::{Markup, html};

use super::ReportRun;
use super::density::{sorted, view};
use super::run::{Scalar, color, letter, minus, scalars};
use super::svg::{Frame, Px};
use crate::results::Role;

/// Scalars that are compared at most, and draws of each.
const SCALARS: usize = 150;
const DRAWS: usize = 1000;
/// Points of a plot.
const POINTS: usize = 500;
/// Pairs of one run that are drawn, and of several runs.
const SHOWN: [usize; 2] = [6, 3];
/// A pair that depends less is not worth a look.
const LEAST: f64 = 0.2;
/// One that depends more within a variable is the same number twice, as in a symmetric matrix.
const SAME: f64 = 0.9999;

const FRAME: Frame =
    Frame { width: 260.0, height: 230.0, left: 44.0, right: 8.0, top: 18.0, bottom: 36.0 };

/// Two scalars and how they depend on each other.
#[derive(Debug, Clone, PartialEq)]
struct Pair {
    scalars: [Scalar; 2],
    kind: Kind,
    strength: f64,
}

/// The shape of the dependence.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    /// One goes up or down with the other: Spearman's rank correlation.
    Monotone,
    /// The spread of the first goes with the second, as in a funnel: the rank correlation of the distance
    /// from the middle.
    SpreadOfFirst,
    /// The same, of the second with the first.
    SpreadOfSecond,
}

pub(super) fn section(runs: &[ReportRun]) -> Markup {
    let pairs = worst(runs, SHOWN[usize::from(runs.len() > 1)]);
    html! {
        section #pairs {
            h2 { "Worst pairs" }
            @if pairs.is_empty() {
                p.how { "No two parameters depend on each other enough to be worth a look." }
            } @else {
                p.how {
                    "The pairs of parameters with the strongest dependence, by rank correlation of their values \
                     or of one's distance from its middle with the other (a funnel)."
                    @if runs.iter().any(|r| r.stat("diverging").is_some()) {
                        " Crosses are divergent transitions."
                    }
                }
                @if runs.len() == 1 {
                    div.grid { @for pair in &pairs { (figures(runs, pair)) } }
                } @else {
                    // A row for each pair, a column for each run.
                    @for pair in &pairs { div.grid.row { (figures(runs, pair)) } }
                }
            }
        }
    }
}

/// The plots of a pair, one for each run.
fn figures(runs: &[ReportRun], pair: &Pair) -> Markup {
    html! {
        @for (i, run) in runs.iter().enumerate() {
            @if let Some(plot) = plot(runs, i, run, pair) {
                figure.(color(i)) {
                    figcaption {
                        @if runs.len() > 1 { span.chip { (letter(i)) } " " }
                        code { (pair.scalars[0].name) } " and " code { (pair.scalars[1].name) }
                        span.detail { (describe(pair)) }
                    }
                    (plot)
                }
            }
        }
    }
}

fn describe(pair: &Pair) -> String {
    let strength = minus(&format!("{:.2}", pair.strength));
    match pair.kind {
        Kind::Monotone => format!("rank correlation {strength}"),
        Kind::SpreadOfFirst => {
            format!(
                "spread of {} goes with {}: {strength}",
                pair.scalars[0].name, pair.scalars[1].name
            )
        }
        Kind::SpreadOfSecond => {
            format!(
                "spread of {} goes with {}: {strength}",
                pair.scalars[1].name, pair.scalars[0].name
            )
        }
    }
}

/// The pairs of the strongest dependence in any run, strongest first, no scalar more than twice.
fn worst(runs: &[ReportRun], count: usize) -> Vec<Pair> {
    let mut pairs: Vec<Pair> = Vec::new();
    for run in runs {
        for pair in dependent(run) {
            match pairs.iter_mut().find(|p| p.scalars == pair.scalars) {
                Some(known) if known.strength.abs() < pair.strength.abs() => *known = pair,
                Some(_) => {}
                None => pairs.push(pair),
            }
        }
    }
    pairs.sort_by(|a, b| b.strength.abs().total_cmp(&a.strength.abs()));
    let mut chosen: Vec<Pair> = Vec::new();
    for pair in pairs {
        let uses = |s: &Scalar| chosen.iter().filter(|p| p.scalars.contains(s)).count();
        if chosen.len() < count && pair.scalars.iter().all(|s| uses(s) < 2) {
            chosen.push(pair);
        }
    }
    chosen
}

/// The pairs of a run that are worth a look.
fn dependent(run: &ReportRun) -> Vec<Pair> {
    let params = run.posterior.iter().filter(|v| v.role == Role::Param);
    let all: Vec<Scalar> = params.flat_map(scalars).take(SCALARS).collect();
    let step = run.summary.draws.div_ceil(DRAWS).max(1);
    let ranked: Vec<(Scalar, [Vec<f64>; 2])> = all
        .into_iter()
        .filter_map(|scalar| {
            let draws: Vec<f64> = run.scalar(&scalar)?.into_iter().step_by(step).collect();
            let varies = draws.iter().all(|x| x.is_finite()) && view(&sorted(&draws)).is_some();
            varies.then(|| (scalar, standard_ranks(&draws)))
        })
        .collect();
    let mut pairs = Vec::new();
    for (i, (a, [rank_a, far_a])) in ranked.iter().enumerate() {
        for (b, [rank_b, far_b]) in &ranked[i + 1..] {
            let kinds = [
                (Kind::Monotone, correlation(rank_a, rank_b)),
                (Kind::SpreadOfFirst, correlation(far_a, rank_b)),
                (Kind::SpreadOfSecond, correlation(rank_a, far_b)),
            ];
            let same = a.variable == b.variable && kinds[0].1.abs() > SAME;
            let strongest = kinds.into_iter().max_by(|x, y| x.1.abs().total_cmp(&y.1.abs()));
            if let Some((kind, strength)) = strongest.filter(|(_, r)| r.abs() >= LEAST && !same) {
                pairs.push(Pair { scalars: [a.clone(), b.clone()], kind, strength });
            }
        }
    }
    pairs
}

/// Ranks, and their distances from the middle, each with mean 0 and variance 1. Monotone transformations
/// change neither.
fn standard_ranks(draws: &[f64]) -> [Vec<f64>; 2] {
    let n = draws.len();
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&i, &j| draws[i].total_cmp(&draws[j]));
    let mut ranks = vec![0.0; n];
    for (rank, &i) in order.iter().enumerate() {
        ranks[i] = rank as f64 - 0.5 * (n as f64 - 1.0);
    }
    let far = ranks.iter().map(|r| r.abs()).collect();
    [standardize(ranks), standardize(far)]
}

fn standardize(mut x: Vec<f64>) -> Vec<f64> {
    let n = x.len() as f64;
    let mean = x.iter().sum::<f64>() / n;
    let sd = (x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt();
    for v in &mut x {
        *v = (*v - mean) / sd;
    }
    x
}

fn correlation(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>() / a.len() as f64
}

fn plot(runs: &[ReportRun], i: usize, run: &ReportRun, pair: &Pair) -> Option<Markup> {
    let draws = [run.scalar(&pair.scalars[0])?, run.scalar(&pair.scalars[1])?];
    let range = |k: usize| {
        let views: Vec<(f64, f64)> =
            runs.iter().filter_map(|run| view(&sorted(&run.scalar(&pair.scalars[k])?))).collect();
        let low = views.iter().map(|v| v.0).fold(f64::INFINITY, f64::min);
        let high = views.iter().map(|v| v.1).fold(f64::NEG_INFINITY, f64::max);
        (low < high).then_some((low, high))
    };
    let (x, y) = (FRAME.x(range(0)?), FRAME.y(range(1)?));
    let step = draws[0].len().div_ceil(POINTS).max(1);
    let points = draws[0].iter().zip(&draws[1]).enumerate();
    let inside = points.filter(|(_, (a, b))| x.holds(**a) && y.holds(**b));
    let diverging = run.stat("diverging").map(|array| &array.values);
    let diverged = |s: usize| diverging.is_some_and(|d| d.get(s).is_some_and(|d| *d != 0.0));
    let (bad, good): (Vec<_>, Vec<_>) = inside.partition(|(s, _)| diverged(*s));
    let title = format!("Draws of {} and {}", pair.scalars[0].name, pair.scalars[1].name);
    Some(FRAME.draw(
        &title,
        &html! {
            (FRAME.y_axis(&y, &pair.scalars[1].name))
            g class=(color(i)) {
                @for (s, (a, b)) in good {
                    @if s % step == 0 {
                        circle.point cx=(Px(x.at(*a))) cy=(Px(y.at(*b))) r="1.8" {}
                    }
                }
            }
            @for (_, (a, b)) in bad.into_iter().take(POINTS) {
                @let (cx, cy) = (x.at(*a), y.at(*b));
                path.divergent d={ "M" (Px(cx - 3.0)) " " (Px(cy - 3.0)) "l6 6m-6 0l6 -6" } {}
            }
            (FRAME.x_axis(&x, &pair.scalars[0].name))
        },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Evenly spread numbers that look random beside each other.
    fn spread(n: usize, step: usize) -> Vec<f64> {
        (0..n).map(|i| ((i * step) % n) as f64 / n as f64 - 0.5).collect()
    }

    #[test]
    fn ranks_see_lines_and_funnels_and_no_scale() {
        let n = 997;
        let (a, b) = (spread(n, 389), spread(n, 610));
        let [rank_a, far_a] = standard_ranks(&a);
        let [rank_b, _] = standard_ranks(&b);
        assert!(correlation(&rank_a, &rank_b).abs() < 0.1);
        let [line, _] = standard_ranks(&a.iter().map(|x| (3.0 * x).exp()).collect::<Vec<_>>());
        assert!((correlation(&rank_a, &line) - 1.0).abs() < 1e-12);
        let funnel: Vec<f64> = a.iter().zip(&b).map(|(x, y)| x * (4.0 * y).exp()).collect();
        let [rank, far] = standard_ranks(&funnel);
        assert!(correlation(&far, &rank_b) > 0.5 && correlation(&rank, &rank_b).abs() < 0.1);
        assert!((correlation(&far_a, &far_a) - 1.0).abs() < 1e-12);
    }
}
