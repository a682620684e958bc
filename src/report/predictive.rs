//! Posterior predictive draws against the data: could the model have made what was observed?

use maud::{Markup, html};

use super::ReportRun;
use super::density::{curve, quantile, sorted, view};
use super::run::{color, letter, number};
use super::svg::{Frame, Px, padded, path};
use crate::results::{StoredArray, Variable};

/// Predictive draws that are looked at, and those whose densities are drawn.
const DRAWS: usize = 1000;
const CURVES: usize = 30;
/// Observations that are shown one by one, at most.
const ROWS: usize = 100;
/// Observations below which a density of them says nothing.
const FEW: usize = 20;
/// Whole numbers of a wider range are drawn as densities.
const COUNTS: f64 = 40.0;

const FRAME: Frame =
    Frame { width: 360.0, height: 200.0, left: 44.0, right: 8.0, top: 18.0, bottom: 34.0 };

/// Observations and what the model predicts in their place; missing ones are left out.
struct Check<'a> {
    name: &'a str,
    observed: Vec<f64>,
    /// Predictive draws of all observations, one draw after the other.
    replicated: Vec<Vec<f64>>,
    whole: bool,
}

pub(super) fn section(runs: &[ReportRun]) -> Markup {
    let mut names: Vec<&str> = Vec::new();
    for variable in runs.iter().flat_map(|run| &run.predictive) {
        if !names.contains(&variable.name.as_str()) {
            names.push(&variable.name);
        }
    }
    let reasons = runs.iter().filter_map(|run| run.config.not_drawn.get("posterior_predictive"));
    let reasons: Vec<&String> = reasons.flatten().collect();
    html! {
        section #predictive {
            h2 { "Posterior predictive against data" }
            @if names.is_empty() {
                p.how { "There are no draws of observed data." }
            } @else {
                p.how {
                    "Data drawn anew from the posterior (coloured) beside what was observed (ink). A model that \
                     fits could have made the data."
                }
                @for name in names {
                    h3 { code { (name) } }
                    @for (i, run) in runs.iter().enumerate() {
                        @if let Some(check) = Check::new(run, name) {
                            div.grid.wide.row { (check.figures(i, runs.len() > 1)) }
                        }
                    }
                }
            }
            @for reason in reasons { p.how { "Not drawn: " (reason) } }
        }
    }
}

/// A statistic's name and how to compute it.
type Statistic = (&'static str, fn(&[f64]) -> f64);

impl<'a> Check<'a> {
    fn new(run: &'a ReportRun, name: &'a str) -> Option<Self> {
        let data = run.observed.iter().find(|array| array.name == name)?;
        let variable = run.predictive.iter().find(|v| v.name == name && v.shape == data.shape)?;
        Check::of(name, data, variable)
    }

    fn of(name: &'a str, data: &StoredArray, variable: &Variable) -> Option<Self> {
        let n = data.values.len();
        let present: Vec<usize> = (0..n).filter(|&i| data.values[i].is_finite()).collect();
        let draws = variable.values.chunks_exact(n.max(1));
        let step = draws.len().div_ceil(DRAWS).max(1);
        let pick = |values: &[f64]| present.iter().map(|&i| values[i]).collect::<Vec<f64>>();
        let replicated: Vec<Vec<f64>> = draws
            .step_by(step)
            .map(pick)
            .filter(|draw| draw.iter().all(|x| x.is_finite()))
            .collect();
        let observed = pick(&data.values);
        let whole = data.is_integer;
        (!observed.is_empty() && !replicated.is_empty()).then_some(Check {
            name,
            observed,
            replicated,
            whole,
        })
    }

    fn figures(&self, run: usize, several: bool) -> Markup {
        let chip = |what: &str| {
            html! {
                figcaption {
                    @if several { span.chip { (letter(run)) } " " }
                    (what)
                }
            }
        };
        let range = self.range();
        html! {
            @if self.whole && range.1 - range.0 < COUNTS {
                figure.(color(run)) { (chip("How often each value occurs")) (self.counts(range)) }
            } @else if self.observed.len() >= FEW {
                figure.(color(run)) { (chip("Density")) (self.densities()) }
            }
            @if self.observed.len() <= ROWS {
                figure.(color(run)) { (chip("Each observation")) (self.rows()) }
            }
            figure.(color(run)) { (chip("Statistics of the data")) (self.statistics()) }
        }
    }

    /// The smallest and the largest value, observed or in most draws.
    fn range(&self) -> (f64, f64) {
        let all: Vec<f64> = self.replicated.iter().flatten().copied().collect();
        let all = sorted(&all);
        let (low, high) = (quantile(&all, 0.002), quantile(&all, 0.998));
        self.observed.iter().fold((low, high), |(a, b), &x| (a.min(x), b.max(x)))
    }

    /// Bars for the data, intervals for the predictions.
    #[allow(clippy::cast_possible_truncation, reason = "whole numbers within a narrow range")]
    fn counts(&self, (low, high): (f64, f64)) -> Markup {
        let count = |draw: &[f64], k: i64| draw.iter().filter(|x| **x == k as f64).count() as f64;
        let rows: Vec<(i64, f64, [f64; 3])> = (low.round() as i64..=high.round() as i64)
            .map(|k| {
                let each: Vec<f64> = self.replicated.iter().map(|draw| count(draw, k)).collect();
                let each = sorted(&each);
                (k, count(&self.observed, k), [0.05, 0.5, 0.95].map(|p| quantile(&each, p)))
            })
            .collect();
        let most = rows.iter().map(|(_, n, q)| n.max(q[2])).fold(1.0, f64::max);
        let x = FRAME.x((low - 0.6, high + 0.6));
        let y = FRAME.y((0.0, 1.04 * most));
        let width = (0.7 * x.per_unit()).min(30.0);
        FRAME.draw(
            &format!("Counts of {}, observed and predicted", self.name),
            &html! {
                (FRAME.y_axis(&y, ""))
                @for (k, n, [low, middle, high]) in &rows {
                    @let at = x.at(*k as f64);
                    rect.data-bar x=(Px(at - width / 2.0)) y=(Px(y.at(*n))) width=(Px(width)) height=(Px(FRAME.base() - y.at(*n))) {}
                    line.interval x1=(Px(at)) x2=(Px(at)) y1=(Px(y.at(*low))) y2=(Px(y.at(*high))) {}
                    circle.median cx=(Px(at)) cy=(Px(y.at(*middle))) r="3" {}
                }
                (FRAME.x_axis(&x, self.name))
            },
        )
    }

    fn densities(&self) -> Markup {
        let step = self.replicated.len().div_ceil(CURVES).max(1);
        let drawn: Vec<Vec<f64>> =
            self.replicated.iter().step_by(step).map(|draw| sorted(draw)).collect();
        let observed = sorted(&self.observed);
        let views: Vec<(f64, f64)> =
            drawn.iter().chain([&observed]).filter_map(|d| view(d)).collect();
        let lows = sorted(&views.iter().map(|v| v.0).collect::<Vec<_>>());
        let highs = sorted(&views.iter().map(|v| v.1).collect::<Vec<_>>());
        // One wild draw does not set the axis.
        let (low, high) = (quantile(&lows, 0.1), quantile(&highs, 0.9));
        let range = view(&observed).map_or((low, high), |(a, b)| (low.min(a), high.max(b)));
        if range.0 >= range.1 {
            return html! { p.constant { "The data do not vary." } };
        }
        let curves: Vec<_> =
            drawn.iter().filter(|d| view(d).is_some()).map(|d| curve(d, range)).collect();
        let data = view(&observed).map(|_| curve(&observed, range));
        let peaks = sorted(&curves.iter().map(super::density::Curve::peak).collect::<Vec<_>>());
        let peak = data.as_ref().map_or(0.0, super::density::Curve::peak);
        let x = FRAME.x(range);
        let y = FRAME.y((0.0, 1.04 * peak.max(quantile(&peaks, 0.95))));
        let line = |c: &super::density::Curve| {
            path(c.x.iter().zip(&c.y).map(|(&at, &density)| (x.at(at), y.clamped(density))))
        };
        FRAME.draw(
            &format!("Density of {}, observed and predicted", self.name),
            &html! {
                @for curve in &curves { path.replicate d=(line(curve)) {} }
                @if let Some(data) = &data { path.data-curve d=(line(data)) {} }
                (FRAME.x_axis(&x, self.name))
            },
        )
    }

    /// An interval for each observation.
    fn rows(&self) -> Markup {
        const LEVELS: [f64; 5] = [0.05, 0.25, 0.5, 0.75, 0.95];
        let n = self.observed.len();
        let intervals: Vec<[f64; 5]> =
            (0..n).map(|i| LEVELS.map(|p| quantile(&self.at(i), p))).collect();
        let low = intervals.iter().map(|q| q[0]).chain(self.observed.iter().copied());
        let high = intervals.iter().map(|q| q[4]).chain(self.observed.iter().copied());
        let range = (low.fold(f64::INFINITY, f64::min), high.fold(f64::NEG_INFINITY, f64::max));
        let x = FRAME.x((0.4, n as f64 + 0.6));
        let y = FRAME.y(padded(range.0, range.1));
        let inside = |i: usize| (intervals[i][0]..=intervals[i][4]).contains(&self.observed[i]);
        let within = (0..n).filter(|&i| inside(i)).count();
        let drawing = FRAME.draw(
            &format!("Predictive intervals of each element of {}", self.name),
            &html! {
                (FRAME.y_axis(&y, self.name))
                @for (i, q) in intervals.iter().enumerate() {
                    @let at = Px(x.at((i + 1) as f64));
                    line.interval.outer x1=(at) x2=(at) y1=(Px(y.at(q[0]))) y2=(Px(y.at(q[4]))) {}
                    line.interval x1=(at) x2=(at) y1=(Px(y.at(q[1]))) y2=(Px(y.at(q[3]))) {}
                    circle.data-point.outside[!inside(i)] cx=(at) cy=(Px(y.at(self.observed[i]))) r="2.8" {
                        title { (self.name) "[" (i + 1) "] = " (number(self.observed[i])) }
                    }
                }
                (FRAME.x_axis(&x, "observation"))
            },
        );
        html! {
            (drawing)
            p.detail { (within) " of " (n) " observations lie within their 90\u{a0}% intervals." }
        }
    }

    /// Predictive draws of observation `i`, ascending.
    fn at(&self, i: usize) -> Vec<f64> {
        sorted(&self.replicated.iter().map(|draw| draw[i]).collect::<Vec<_>>())
    }

    /// Statistics of the data and where they lie among those of the predictions.
    fn statistics(&self) -> Markup {
        const STATISTICS: [Statistic; 4] = [
            ("mean", mean),
            ("sd", |x| {
                let m = mean(x);
                mean(&x.iter().map(|v| (v - m).powi(2)).collect::<Vec<_>>()).sqrt()
            }),
            ("smallest", |x| x.iter().copied().fold(f64::INFINITY, f64::min)),
            ("largest", |x| x.iter().copied().fold(f64::NEG_INFINITY, f64::max)),
        ];
        html! {
            div.scroll { table.statistics {
                thead {
                    tr {
                        th scope="col" { "" }
                        th.number scope="col" { "data" }
                        th.number scope="col" { "5%" }
                        th.number scope="col" { "50%" }
                        th.number scope="col" { "95%" }
                        th.number scope="col" title="share of predictions whose statistic is at least that of the data" { "p" }
                    }
                }
                tbody {
                    @for (name, statistic) in STATISTICS {
                        @let observed = statistic(&self.observed);
                        @let each = sorted(&self.replicated.iter().map(|d| statistic(d)).collect::<Vec<_>>());
                        @let p = 1.0 - each.partition_point(|x| *x < observed) as f64 / each.len() as f64;
                        tr {
                            th scope="row" { (name) }
                            td.number { strong { (number(observed)) } }
                            @for level in [0.05, 0.5, 0.95] { td.number { (number(quantile(&each, level))) } }
                            td.number.bad[!(0.01..=0.99).contains(&p) && !ties(&each, observed)] { (format!("{p:.2}")) }
                        }
                    }
                }
            } }
            p.detail {
                "p: the share of predictions whose statistic is at least that of the data."
            }
        }
    }
}

/// Whether the statistic of the data is among the usual ones of discrete predictions.
fn ties(each: &[f64], observed: f64) -> bool {
    each.partition_point(|x| *x <= observed) - each.partition_point(|x| *x < observed)
        > each.len() / 50
}

fn mean(x: &[f64]) -> f64 {
    x.iter().sum::<f64>() / x.len() as f64
}
