//! Time and memory of whole runs against everything that can grow.
//!
//! `cargo bench --bench tables -- growth --axes rows,K --largest 100000`
//!
//! Each number is a process of its own: processor time and peak memory of `ppl`, on a model and data made
//! for it. The exponent is the slope of log time between the two largest sizes, what a run takes at the
//! smallest taken off: 1 is linear. Curves are drawn in `benches/growth.svg`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use super::options::{list, options};
use super::processes::{Taken, least};
use crate::section;

#[path = "../shared/mod.rs"]
mod shared;

/// What the command takes.
pub(super) const USAGE: &str = "growth [--axes A,B] [--largest N]";

const TITLE: &str = "Growth";
const COLUMNS: [&str; 4] = ["axis", "size", "CPU s", "MiB"];
const HEAD: &str = "Processor time and peak memory of one process, one thread: \
                    `cargo bench --bench tables -- growth`; the curves are in `growth.svg`.";

/// Something that grows.
struct Axis {
    name: &'static str,
    meaning: &'static str,
    sizes: &'static [usize],
    /// Model, rows of data (a column of a hundredth of the row and a count), and the command after them.
    task: fn(usize) -> (String, usize, Vec<String>),
}

const POISSON: &str = "data x: real[N]\ndata y: int<lower=0>[N]\nparam a ~ normal(0, 1)\n\
                       param b ~ normal(0, 1)\ny ~ poisson_log(a + b * x)\n";

const AXES: [Axis; 7] = [
    Axis {
        name: "rows",
        meaning: "rows of a Poisson regression, all of them in each of 200 iterations of mean-field",
        sizes: &[1_000, 10_000, 100_000, 1_000_000],
        task: |n| (POISSON.into(), n, fit("mean-field", 200, &["--grad-samples", "4"])),
    },
    Axis {
        name: "minibatch",
        meaning: "rows of the same, 1000 of them in each iteration",
        sizes: &[1_000, 10_000, 100_000, 1_000_000, 10_000_000],
        task: |n| {
            let more = ["--grad-samples", "4", "--minibatch", "N=1000"];
            (POISSON.into(), n, fit("mean-field", 200, &more))
        },
    },
    Axis {
        name: "dimension",
        meaning: "independent parameters, 1000 iterations of mean-field",
        sizes: &[10, 100, 1_000, 10_000],
        task: |d| {
            let model = format!("param x: real[{d}] ~ normal(0, 1)\nx ~ logistic(1, 1)\n");
            (model, 0, fit("mean-field", 1000, &["--draws", "500"]))
        },
    },
    Axis {
        name: "particles",
        meaning: "draws an iteration, 300 iterations of mean-field on 1000 rows",
        sizes: &[1, 10, 100, 1_000],
        task: |n| {
            let n = n.to_string();
            (POISSON.into(), 1000, fit("mean-field", 300, &["--grad-samples", &n]))
        },
    },
    Axis {
        name: "K",
        meaning: "bridges of `uha`, 300 iterations on 1000 rows",
        sizes: &[8, 32, 128, 512],
        task: |k| {
            let k = k.to_string();
            (POISSON.into(), 1000, fit("uha", 300, &["--bridges", &k, "--draws", "500"]))
        },
    },
    Axis {
        name: "loop",
        meaning: "steps of a recursion, 100 iterations of mean-field, 100 draws",
        sizes: &[100, 1_000, 10_000, 100_000],
        task: |n| {
            let model = "data x: real[N]\ndata y: int<lower=0>[N]\n\
                         param a: real<lower=0, upper=1> ~ uniform(0, 1)\nparam b ~ normal(0, 1)\n\
                         let h: real[N] {\n  h[1] = b\n  for t in 2:N { h[t] = a * h[t - 1] + x[t] }\n}\n\
                         y ~ poisson_log(0.1 * h)\n";
            let more = ["--grad-samples", "4", "--draws", "100"];
            (model.into(), n, fit("mean-field", 100, &more))
        },
    },
    Axis {
        name: "model",
        meaning: "lines of a model, compiled to its Hessian-vector product",
        sizes: &[100, 1_000, 10_000],
        task: |lines| {
            (
                shared::model(lines),
                1,
                ["emit", "MODEL", "--data", "DATA", "--stage", "hvp"].map(String::from).to_vec(),
            )
        },
    },
];

/// The command of a fit; capital words stand for files.
fn fit(method: &str, iterations: usize, more: &[&str]) -> Vec<String> {
    let iterations = iterations.to_string();
    let fixed = ["run", "MODEL", "--data", "DATA", "--out", "OUT", "--threads", "1"];
    let own = ["--infer", method, "--iterations", &iterations];
    fixed.iter().chain(&own).chain(more).map(|x| (*x).to_owned()).collect()
}

/// Measures what is asked for; the table is brought up to date after each axis.
///
/// # Errors
/// For unknown names, runs that fail, and files that cannot be written.
pub(super) fn run(arguments: &[String]) -> Result<(), String> {
    let given =
        options(arguments, &["--axes", "--largest"]).map_err(|e| format!("{e}; {USAGE}"))?;
    let all = AXES.map(|axis| axis.name);
    let largest = given.get("largest").map_or(Ok(usize::MAX), |n| n.parse());
    let largest = largest.map_err(|e| format!("--largest: {e}"))?;
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let mut rows = section::runs::<2>(TITLE, &COLUMNS);
    for name in list(&given, "axes", &all) {
        let axis = AXES.iter().find(|a| a.name == name).ok_or(format!("no axis {name}"))?;
        for &size in axis.sizes.iter().filter(|&&size| size <= largest) {
            let Taken { cpu_s, mib } = measure(axis, size, folder.path())?;
            let row = vec![format!("{cpu_s:.2}"), format!("{mib:.0}")];
            println!("{name} {size} | {}", row.join(" | "));
            rows.insert([name.clone(), size.to_string()], row);
        }
        let curves = curves(&rows);
        section::write(TITLE, &body(&curves))?;
        let drawing = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/growth.svg");
        std::fs::write(drawing, drawn(&curves)).map_err(|e| format!("growth.svg: {e}"))?;
    }
    Ok(())
}

fn measure(axis: &Axis, size: usize, folder: &Path) -> Result<Taken, String> {
    let (model, rows, command) = (axis.task)(size);
    let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let write = |name: &str, text: String| {
        std::fs::write(folder.join(name), text).map_err(|e| format!("{name}: {e}"))
    };
    write("model.ppl", model)?;
    let mut data = String::from("x,y\n");
    for i in 0..rows {
        let x = (i % 101) as f64 / 50.0 - 1.0;
        writeln!(data, "{x},{}", i % 7 % 4).expect("a string takes any text");
    }
    write("data.csv", if rows == 0 { String::new() } else { data })?;
    let word = |w: &String| match w.as_str() {
        "MODEL" => path("model.ppl"),
        "DATA" => path("data.csv"),
        "OUT" => path("run"),
        word => word.to_owned(),
    };
    let mut command: Vec<String> = command.iter().map(word).collect();
    if rows == 0 {
        command.retain(|w| *w != "--data" && *w != path("data.csv"));
    }
    let command: Vec<&str> = command.iter().map(String::as_str).collect();
    least(1, env!("CARGO_BIN_EXE_ppl"), &command)
}

/// Size, seconds and MiB of each point of an axis, by size.
type Curves = BTreeMap<&'static str, Vec<[f64; 3]>>;

fn curves(rows: &BTreeMap<[String; 2], Vec<String>>) -> Curves {
    let mut curves = Curves::new();
    for axis in &AXES {
        let number = |x: &str| x.parse::<f64>().unwrap_or(f64::NAN);
        let own = rows.iter().filter(|([name, _], _)| name == axis.name);
        let mut points: Vec<[f64; 3]> =
            own.map(|([_, size], row)| [number(size), number(&row[0]), number(&row[1])]).collect();
        points.sort_by(|a, b| a[0].total_cmp(&b[0]));
        if !points.is_empty() {
            curves.insert(axis.name, points);
        }
    }
    curves
}

fn body(curves: &Curves) -> String {
    let rows: Vec<Vec<String>> = curves
        .iter()
        .flat_map(|(name, points)| {
            points.iter().map(move |[size, seconds, mib]| {
                vec![
                    (*name).to_owned(),
                    size.to_string(),
                    format!("{seconds:.2}"),
                    format!("{mib:.0}"),
                ]
            })
        })
        .collect();
    let mut text = format!("{HEAD}\n\n{}\n", section::table(&COLUMNS, &rows));
    for axis in &AXES {
        let exponent = curves.get(axis.name).and_then(|points| match points[..] {
            [first, .., before, last] => Some(
                ((last[1] - first[1]) / (before[1] - first[1])).ln() / (last[0] / before[0]).ln(),
            ),
            _ => None,
        });
        let exponent = exponent.filter(|e| e.is_finite());
        let exponent =
            exponent.map_or_else(String::new, |e| format!("; time grows with its power {e:.2}"));
        writeln!(text, "- `{}`: {}{exponent}.", axis.name, axis.meaning)
            .expect("a string takes any text");
    }
    text
}

/// Two panels, seconds and MiB over size, logarithmic, a curve for each axis.
fn drawn(curves: &Curves) -> String {
    const COLOURS: [&str; 7] =
        ["#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#555555"];
    const SIDE: f64 = 320.0;
    let decades = |i: usize| {
        let of = |f: fn(f64, f64) -> f64, start| {
            curves.values().flatten().map(|p| p[i].max(0.01).log10()).fold(start, f)
        };
        (of(f64::min, f64::INFINITY).floor(), of(f64::max, f64::NEG_INFINITY).ceil())
    };
    let mut svg = String::from(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 900 420\" \
         font-family=\"sans-serif\" font-size=\"11\">\n<rect width=\"900\" height=\"420\" fill=\"#fff\"/>\n",
    );
    let mut add = |line: String| {
        svg.push_str(&line);
        svg.push('\n');
    };
    for (panel, (column, unit)) in [(1, "CPU seconds"), (2, "MiB")].into_iter().enumerate() {
        let (left, top) = (50.0 + panel as f64 * (SIDE + 60.0), 40.0);
        let ((x0, x1), (y0, y1)) = (decades(0), decades(column));
        let x = |v: f64| left + (v - x0) / (x1 - x0) * SIDE;
        let y = |v: f64| top + SIDE - (v - y0) / (y1 - y0) * SIDE;
        add(format!("<text x=\"{left}\" y=\"{}\">{unit} over size</text>", top - 12.0));
        for v in x0 as i32..=x1 as i32 {
            let at = x(f64::from(v));
            add(format!("<path d=\"M{at:.1} {top}V{}\" stroke=\"#ddd\"/>", top + SIDE));
            add(format!(
                "<text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">1e{v}</text>",
                top + SIDE + 16.0
            ));
        }
        for v in y0 as i32..=y1 as i32 {
            let at = y(f64::from(v));
            add(format!("<path d=\"M{left} {at:.1}H{}\" stroke=\"#ddd\"/>", left + SIDE));
            add(format!(
                "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">1e{v}</text>",
                left - 6.0,
                at + 4.0
            ));
        }
        for ((_, points), colour) in curves.iter().zip(COLOURS) {
            let points = points.iter().map(|p| {
                let [size, value] = [p[0], p[column].max(0.01)].map(f64::log10);
                format!("{:.1},{:.1}", x(size), y(value))
            });
            let points: Vec<String> = points.collect();
            add(format!(
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
                points.join(" ")
            ));
        }
    }
    for (i, (name, colour)) in curves.keys().zip(COLOURS).enumerate() {
        let at = 50.0 + 18.0 * i as f64;
        add(format!("<text x=\"800\" y=\"{at}\" fill=\"{colour}\">{name}</text>"));
    }
    add("</svg>".into());
    svg
}
