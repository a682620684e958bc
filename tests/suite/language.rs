//! The language as its design page has it: the rules, with models that keep and break each
//! (`tests/language/rules.md`), and, where the page lies beside the checkout, its own examples.

use std::path::Path;
use std::process::Command;

use ppl::data::{DataSet, Format};
use ppl::driver::{Session, Stage};

use crate::blocks::{Block, blocks};

#[test]
fn rules() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/language/rules.md");
    let text = std::fs::read_to_string(&page).unwrap();
    let all = blocks(&page);
    let wrong: String = all.iter().filter_map(Block::wrong).collect();
    assert!(wrong.is_empty(), "{wrong}");
    assert!(all.iter().all(|block| !block.marks.is_empty() || block.data.is_some()));
    // Each rule has a model that keeps it or one that breaks it, most have both.
    let rules = text.matches("\n## ").count();
    let kept = all.iter().filter(|block| block.marks.is_empty()).count();
    assert!(rules >= 20 && kept >= 17 && all.len() - kept >= 45, "{rules} {kept} {}", all.len());
}

/// Data for the examples of the design page, each found by a piece of its text.
const DATA: &[(&str, &str)] = &[
    ("theta_raw", r#"{"y": [28, 8, -3, 7], "sigma": [15, 10, 16, 11]}"#),
    ("bernoulli_logit", r#"{"X": [[1, 0.5], [0.2, -1], [1, 2]], "y": [0, 1, 1]}"#),
    (
        "binomial_logit",
        r#"{"n": [39, 62, 81], "r": [10, 23, 23], "x1": [0, 0, 1], "x2": [0, 1, 1]}"#,
    ),
    ("sigma1", r#"{"y": [0.1, -0.4, 0.3, 0.9, -1.2], "sigma1": 0.5}"#),
    ("mixture(", r#"{"y": [-1.1, 0.2, 1.4]}"#),
    ("marginal z", r#"{"y": [-4.1, 0.2, 5.4]}"#),
    ("lkj_corr_cholesky", r#"{"G": 2, "x": [0.1, 0.5, 1], "y": [1, 2, 0], "g": [1, 2, 2]}"#),
    ("ode_rk45", r#"{"ts": [1, 2, 3], "y0": [30, 4], "y": [[47, 6], [70, 10], [77, 36]]}"#),
    ("gp_exp_quad_cov", r#"{"x": [0, 0.5, 1.5], "y": [0.3, 0.1, -0.6]}"#),
    ("dist normal", r#"{}"#),
];

/// The examples of the design page; each begins with a `///` line, also the second in a block.
fn examples() -> Option<Vec<String>> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/design/language.md");
    let Ok(text) = std::fs::read_to_string(&page) else {
        println!("skipped: {} is absent", page.display());
        return None;
    };
    let mut models: Vec<String> = Vec::new();
    let mut fenced = false;
    for line in text.lines() {
        if line.starts_with("```") {
            fenced = !fenced;
        } else if fenced {
            if line.starts_with("///") {
                models.push(String::new());
            }
            let model = models.last_mut().expect("an example begins with `///`");
            *model += &format!("{line}\n");
        }
    }
    Some(models)
}

#[test]
fn examples_of_the_page_pass_every_stage_and_run() {
    let Some(examples) = examples() else { return };
    assert_eq!(examples.len(), DATA.len());
    let dir = tempfile::tempdir().unwrap();
    for (at, model) in examples.iter().enumerate() {
        let json = DATA.iter().find(|(piece, _)| model.contains(piece));
        let (_, json) = json.unwrap_or_else(|| panic!("no data for\n{model}"));
        let data = DataSet::from_bytes("data.json", Some(Format::Json), json.as_bytes()).unwrap();
        for stage in Stage::ALL {
            let mut session = Session::new();
            let shown = session.emit(stage, "model.ppl", model, &data);
            assert!(shown.is_some_and(|text| !text.is_empty()), "{}", session.render(false));
        }
        // A file of definitions has nothing to infer.
        if !model.contains("param ") {
            continue;
        }
        std::fs::write(dir.path().join("model.ppl"), model).unwrap();
        std::fs::write(dir.path().join("model.json"), json).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_ppl"))
            .args(["run", "model.ppl", "--infer", "mean-field", "--iterations", "40"])
            .args(["--draws", "20", "--out", &format!("run{at}")])
            .current_dir(dir.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}\n{model}", String::from_utf8_lossy(&output.stderr));
    }
}
