//! What a run leaves: summary, table, Stan CSV, Zarr, and how the directory is written.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use ppl::data::{DataArray, Values};
use ppl::inference::{Fit, Khat, KhatKind, Trace, Verdict, VerdictLevel};
use ppl::results::{
    Config, Draws, Role, Run, RunDirectory, RunDirectoryError, RunInfo, Source, Statistics, Style,
    Summary, Variable, table,
};
use rand::RngCore;
use zarrs::array::{Array, ElementOwned};
use zarrs::filesystem::FilesystemStore;

const CHAINS: usize = 2;
const PER_CHAIN: usize = 100;
const S: usize = CHAINS * PER_CHAIN;
const D: usize = 3;

/// A run with known numbers: `m[s, i, j] = 100 s + 10 i + j`, one NaN, an infinite log density.
struct Example {
    config: Config,
    fit: Fit,
    draws: Draws,
    observed: DataArray,
    constant: DataArray,
}

impl Example {
    fn new(method: &'static str) -> Self {
        let mut rng = ppl::random::stream(1, "results");
        let mut noise = |n: usize| -> Vec<f64> {
            (0..n).map(|_| rng.next_u32() as f64 / f64::from(u32::MAX)).collect()
        };
        let variable = |name: &str, shape: &[usize], role, values| Variable {
            name: name.into(),
            shape: shape.to_vec(),
            role,
            values,
        };
        let m = (0..S)
            .flat_map(|s| (0..6).map(move |k| (100 * s + 10 * (k / 3 + 1) + k % 3 + 1) as f64))
            .collect();
        let mut broken = noise(S);
        broken[7] = f64::NAN;
        let variables = vec![
            variable("mu", &[], Role::Param, noise(S)),
            variable("m", &[2, 3], Role::Let, m),
            variable("long", &[40], Role::Gen, noise(40 * S)),
            variable("broken", &[], Role::Gen, broken),
        ];
        let mut log_p = noise(S);
        log_p[3] = f64::NEG_INFINITY;
        Example {
            config: Config {
                version: "0.0.0".into(),
                model: Source::of("m.ppl", "param mu ~ normal(0, 1)\n"),
                data: None,
                method: method.into(),
                seed: 7,
                precision: "f64".into(),
                device: "cpu".into(),
                imports: Vec::new(),
                not_drawn: BTreeMap::new(),
                flags: BTreeMap::from([("draws".into(), S.into())]),
            },
            fit: Fit {
                method,
                dim: D,
                chains: CHAINS,
                draws: (0..S * D).map(|i| i as f64).collect(),
                log_p,
                log_q: Some(noise(S)),
                elbo: Some((-12.5, 0.02)),
                log_z: None,
                khat: Some(Khat { value: f64::INFINITY, kind: KhatKind::Augmented }),
                fisher_divergence: None,
                traces: vec![
                    Trace { name: "energy", iteration: (0..S).collect(), value: noise(S) },
                    Trace { name: "elbo", iteration: vec![10, 20], value: vec![-20.0, -12.5] },
                ],
                iterations: 1234,
                median_iteration_ms: 0.5,
                interrupted: false,
                verdict: Verdict {
                    level: VerdictLevel::Doubtful,
                    reasons: vec!["The Pareto k-hat is infinite, ".to_owned() + &"so ".repeat(40)],
                    next: Some("--infer nuts".into()),
                },
            },
            draws: Draws { chains: CHAINS, draws_per_chain: PER_CHAIN, variables },
            observed: DataArray::new(vec![3], Values::Int(vec![1, 0, 3]), vec![false, true, false]),
            constant: DataArray::ints(vec![2, 2], vec![1, 2, 3, 4]),
        }
    }

    fn summary(&self) -> Summary {
        let info = RunInfo { model: "m".into(), seed: 7, compile_s: 0.25, train_s: 1.5 };
        Summary::new(&info, &self.fit, &self.draws)
    }

    fn write(&self, path: &Path) -> Result<(), RunDirectoryError> {
        let summary = self.summary();
        let run = Run {
            config: &self.config,
            model_text: "param mu ~ normal(0, 1)\n",
            imports: &[],
            data_file: None,
            summary: &summary,
            fit: &self.fit,
            draws: &self.draws,
            layout: &[("mu".into(), 0..1), ("b".into(), 1..3)],
            observed: &[("y", Cow::Borrowed(&self.observed))],
            constant: &[("X", Cow::Borrowed(&self.constant))],
            predictions: &[("posterior_predictive", &self.draws)],
            checkpoint: None,
        };
        RunDirectory::claim(path)?.write(&run)
    }
}

#[test]
fn summary_json_is_valid_nested_and_never_invents() {
    let summary = Example::new("mean-field").summary();
    let text = summary.to_json().to_string();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["method"], "mean-field");
    assert_eq!((&json["draws"], &json["dim"]), (&S.into(), &D.into()));
    assert_eq!((&json["verdict"], &json["next"]), (&"doubtful".into(), &"--infer nuts".into()));
    assert_eq!((&json["elbo"], &json["elbo_se"]), (&(-12.5).into(), &0.02.into()));
    assert!(json["log_z"].is_null() && json["fisher_divergence"].is_null());
    assert!(json["khat"].is_null(), "infinity has no JSON");
    assert_eq!(json["khat_kind"], "augmented");
    assert_eq!(json["timing"]["iterations"], 1234);
    let m = &json["variables"]["m"];
    assert_eq!(m["shape"], serde_json::json!([2, 3]));
    // The mean over s of 100 s is 100 (S - 1) / 2.
    let mean = 100.0 * (S - 1) as f64 / 2.0;
    assert_eq!(m["mean"][1][2], mean + 23.0);
    assert_eq!(m["q50"][0][0], mean + 11.0);
    assert_eq!(m["ess"][0][0], S as f64);
    assert!(m["rhat"][0][0].is_null(), "independent draws have no R-hat");
    assert_eq!(json["variables"]["mu"]["shape"], serde_json::json!([]));
    assert!(json["variables"]["mu"]["mean"].is_f64());
    assert!(json["variables"]["broken"]["mean"].is_null());
    let back = Summary::from_json(&text).unwrap();
    assert_eq!(back.to_json().to_string(), text);
}

#[test]
fn summary_of_chains_has_rhat_and_their_own_ess() {
    let summary = Example::new("nuts").summary();
    let mu = summary.variables[0].scalars[0];
    assert!((mu.rhat.unwrap() - 1.0).abs() < 0.1, "{mu:?}");
    assert!(mu.ess > 50.0 && mu.ess < 2.0 * S as f64, "{mu:?}");
    // `m` grows from draw to draw, so the chains never mix.
    assert!(summary.variables[1].scalars[0].rhat.unwrap() > 1.5);
}

#[test]
fn statistics_are_those_of_numpy() {
    // x = [3, 1, 4, 1, 5, 9, 2, 6]: np.mean, np.std(ddof=1), np.quantile
    let s = Statistics::of(&[3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0], 1, true);
    for (found, expected) in [
        (s.mean, 3.875),
        (s.sd, 2.748_376_143_938_713),
        (s.q5, 1.0),
        (s.q50, 3.5),
        (s.q95, 7.95),
        (s.mcse, 0.971_697_704_315_199_3),
    ] {
        assert!((found - expected).abs() < 1e-12, "{found} {expected}");
    }
}

#[test]
fn damaged_summaries_name_the_field() {
    assert!(Summary::from_json("{").is_err());
    let mut json = Example::new("nuts").summary().to_json();
    json["timing"].as_object_mut().unwrap().remove("iterations");
    let error = Summary::from_json(&json.to_string()).unwrap_err();
    assert!(error.to_string().contains("`timing.iterations`"), "{error}");
}

#[test]
fn the_table_fits_the_terminal_and_says_what_to_do() {
    for method in ["mean-field", "nuts"] {
        let text = table(&Example::new(method).summary(), Style::default(), "ppl run m.ppl", "o");
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{} {line}", line.chars().count());
        }
        assert!(!text.contains('\u{1b}'));
        assert!(text.contains("m[2, 3]"), "{text}");
        assert!(text.contains("long[6]") && !text.contains("long[7]"), "{text}");
        assert!(text.contains("... 34 more"), "{text}");
        assert!(text.contains("verdict: DOUBTFUL"), "{text}");
        assert!(text.contains("next: ppl run m.ppl --infer nuts"), "{text}");
        assert_eq!(text.contains("rhat"), method == "nuts");
        let mu = text.lines().find(|line| line.starts_with("mu ")).unwrap();
        assert!(mu.contains('\u{25cf}') && mu.contains('\u{2500}'), "a dot on its interval: {mu}");
    }
    let colored = table(&Example::new("nuts").summary(), Style { color: true }, "", "");
    assert!(colored.contains("\u{1b}[1;33mDOUBTFUL\u{1b}[0m"));
}

#[test]
fn draws_csv_is_column_major_stan_csv() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("a/run");
    Example::new("nuts").write(&out).unwrap();
    let text = std::fs::read_to_string(out.join("draws.csv")).unwrap();
    assert!(text.starts_with("# ppl = 0.0.0\n# model = m\n# model_file = m.ppl (sha256 "));
    let mut reader = csv::ReaderBuilder::new().comment(Some(b'#')).from_reader(text.as_bytes());
    let header: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    assert_eq!(header[..4], ["lp__", "mu", "m.1.1", "m.2.1"]);
    assert_eq!(header[4..8], ["m.1.2", "m.2.2", "m.1.3", "m.2.3"]);
    assert_eq!(header.len(), 2 + 6 + 40 + 1);
    let rows: Vec<Vec<f64>> =
        reader.records().map(|r| r.unwrap().iter().map(|x| x.parse().unwrap()).collect()).collect();
    assert_eq!(rows.len(), S);
    assert_eq!(rows[5][2..8], [511.0, 521.0, 512.0, 522.0, 513.0, 523.0]);
    assert_eq!(rows[3][0], f64::NEG_INFINITY);
    assert!(rows[7][48].is_nan());
    assert_eq!(rows[0][1], Example::new("nuts").draws.variables[0].values[0]);
}

#[test]
fn draws_parquet_has_the_columns_of_the_csv_and_numbers_its_rows() {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let example = Example::new("nuts");
    example.write(&out).unwrap();
    let file = std::fs::File::open(out.join("draws.parquet")).unwrap();
    let reader = SerializedFileReader::new(file).unwrap();
    let metadata = reader.metadata().file_metadata();
    let columns = metadata.schema_descr();
    let names: Vec<&str> = columns.columns().iter().map(|c| c.name()).collect();
    assert_eq!(names[..6], ["chain__", "iter__", "draw__", "lp__", "mu", "m.1.1"]);
    assert_eq!(names[6..9], ["m.2.1", "m.1.2", "m.2.2"]);
    let said = metadata.key_value_metadata().unwrap();
    assert!(said.iter().any(|e| e.key == "inference" && e.value.as_deref() == Some("nuts")));
    let rows: Vec<_> = reader.get_row_iter(None).unwrap().map(Result::unwrap).collect();
    assert_eq!(rows.len(), S);
    let row = rows[PER_CHAIN + 4].to_string();
    let first: Vec<&str> = row.trim_matches(['{', '}']).split(", ").collect();
    assert_eq!(first[..3], ["chain__: 2", "iter__: 5", "draw__: 105"]);
    // `m[s, i, j] = 100 s + 10 i + j`.
    assert_eq!(first[6], "m.2.1: 10421.0");
}

type Store = Arc<FilesystemStore>;

fn read<T: ElementOwned>(store: &Store, path: &str) -> (Vec<u64>, Vec<String>, Vec<T>) {
    let array = Array::open(store.clone(), path).unwrap();
    let dims = array.dimension_names().as_ref().unwrap();
    let dims = dims.iter().map(|d| d.as_ref().unwrap().to_string()).collect();
    let values = array.retrieve_array_subset_elements::<T>(&array.subset_all()).unwrap();
    (array.shape().to_vec(), dims, values)
}

#[test]
fn fit_zarr_has_the_groups_and_dimensions_of_arviz() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let example = Example::new("nuts");
    example.write(&out).unwrap();
    let store: Store = Arc::new(FilesystemStore::new(out.join("fit.zarr")).unwrap());
    let (shape, dims, m) = read::<f64>(&store, "/posterior/m");
    assert_eq!(shape, [CHAINS as u64, PER_CHAIN as u64, 2, 3]);
    assert_eq!(dims, ["chain", "draw", "m_dim_0", "m_dim_1"]);
    assert_eq!(m, example.draws.variables[1].values);
    let (_, _, draw) = read::<i64>(&store, "/posterior/draw");
    assert_eq!(draw, (0..PER_CHAIN as i64).collect::<Vec<_>>());
    let (shape, _, b) = read::<f64>(&store, "/unconstrained_posterior/b");
    assert_eq!((shape, b[2], b[3]), (vec![2, 100, 2], 4.0, 5.0));
    let stored = RunDirectory::open_fit(&out).unwrap();
    let names = |group| -> Vec<String> {
        stored.group(group).unwrap().into_iter().map(|array| array.name).collect()
    };
    assert_eq!(names("posterior"), ["mu", "m", "long", "broken"], "as declared, no coordinates");
    assert!(names("nothing").is_empty());
    assert_eq!(stored.group("constant_data").unwrap()[0].values, [1.0, 2.0, 3.0, 4.0]);
    assert!(stored.group("constant_data").unwrap()[0].is_integer);
    for name in ["lp", "log_p", "log_q", "energy"] {
        let (shape, dims, _) = read::<f64>(&store, &format!("/sample_stats/{name}"));
        assert_eq!((shape, dims), (vec![2, 100], vec!["chain".into(), "draw".into()]));
    }
    let (_, dims, y) = read::<f64>(&store, "/observed_data/y");
    assert_eq!((dims, y[0], y[1].is_nan()), (vec!["y_dim_0".to_owned()], 1.0, true));
    let (shape, _, x) = read::<i64>(&store, "/constant_data/X");
    assert_eq!((shape, x), (vec![2, 2], vec![1, 2, 3, 4]));
    let (_, dims, elbo) = read::<f64>(&store, "/fit_stats/elbo");
    assert_eq!((dims, elbo), (vec!["elbo_step".to_owned()], vec![-20.0, -12.5]));
    assert_eq!(read::<i64>(&store, "/fit_stats/elbo_iteration").2, [10, 20]);
    assert_eq!(read::<f64>(&store, "/fit/elbo").2, [-12.5]);
    assert!(Array::open(store.clone(), "/fit/log_z").is_err(), "unknown numbers are absent");
    assert_eq!(read::<f64>(&store, "/posterior_predictive/mu").0, [2, 100]);
}

#[test]
fn a_run_replaces_a_run_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    Example::new("nuts").write(&out).unwrap();
    Example::new("mean-field").write(&out).unwrap();
    assert_eq!(RunDirectory::read_summary(&out).unwrap().method, "mean-field");
    assert_eq!(RunDirectory::read_config(&out).unwrap().method, "mean-field");
    let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "temporary directories are gone");

    let thesis = dir.path().join("thesis");
    std::fs::create_dir(&thesis).unwrap();
    RunDirectory::claim(&thesis).unwrap();
    std::fs::write(thesis.join("chapter1.tex"), "years of work").unwrap();
    let error = Example::new("nuts").write(&thesis).unwrap_err();
    assert!(error.to_string().contains("exists and is not a ppl run"), "{error}");
    assert!(thesis.join("chapter1.tex").exists());
    let file = thesis.join("chapter1.tex");
    assert!(matches!(RunDirectory::claim(&file), Err(RunDirectoryError::Occupied(_))));
    let error = RunDirectory::read_summary(&thesis).unwrap_err();
    assert!(error.to_string().contains("is not a ppl run"), "{error}");
}
