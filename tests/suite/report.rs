//! `ppl report`, `ppl compare` and the table: what they say, and that no string of a model, a path or a data
//! file becomes part of the page.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use crate::effort;
use crate::python;

/// `ppl` in `folder`, without colours.
fn ppl(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ppl"));
    command.args(args).current_dir(folder).env("NO_COLOR", "1").output().unwrap()
}

fn text(output: &Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

const MODEL: &str = r#"// </script><script>alert("model")</script> & <b>
data n: int
data y: real[N]
data k: int[N]
param mu ~ normal(0, 10)
param rate: real<lower=0> ~ gamma(2, 1)
param long: real[15] ~ normal(mu, 1)
let twice = 2 * mu
gen next = normal_rng(mu, 1)
y ~ normal(mu, 2)
k ~ poisson(rate)
"#;

/// A path that would break a careless page.
const NAME: &str = "a\"><img src=x onerror=alert(1)>.ppl";

/// Two small runs of one model: `one` by mean-field, `two` by pathfinder.
fn runs() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let y: Vec<f64> = (0..30).map(|i| 3.0 + f64::from(i * 7 % 13) / 3.0).collect();
    let k: Vec<i32> = (0..30).map(|i| i * 5 % 4).collect();
    let data = serde_json::json!({"n": 30, "N": 30, "y": y, "k": k});
    std::fs::write(dir.path().join(NAME), MODEL).unwrap();
    std::fs::write(dir.path().join("d.json"), data.to_string()).unwrap();
    for (out, method) in [("one", "mean-field"), ("two", "pathfinder")] {
        let run = ["run", NAME, "--data", "d.json", "--infer", method, "--draws", "600"];
        text(&ppl(dir.path(), &[&run[..], &["--threads", "1", "--out", out]].concat()));
    }
    dir
}

#[test]
fn a_report_has_every_section_and_needs_nothing_else() {
    let dir = runs();
    text(&ppl(dir.path(), &["report", "one"]));
    let page = std::fs::read_to_string(dir.path().join("one/report.html")).unwrap();
    for section in [
        "verdict",
        "model",
        "summary",
        "trace",
        "marginals",
        "pairs",
        "prior",
        "predictive",
        "origin",
    ] {
        assert!(page.contains(&format!(" id=\"{section}\"")), "{section}");
    }
    // Nothing is loaded, from the network or from a file.
    for outside in ["http:", "https:", "//cdn", "url(", "<link", "<img", "@import"] {
        assert!(!page.contains(outside), "{outside}");
    }
    let tags = page.split('<').skip(1).filter_map(|rest| rest.split('>').next());
    for tag in tags {
        assert!(!tag.contains(" src=") && !tag.contains(" onerror="), "{tag}");
        assert!(!tag.contains(" href=") || tag.contains(" href=\"#"), "{tag}");
    }
    // Inferred types and stages beside the declarations.
    for note in [
        "class=\"note parameter\" title=\"computed for each point of the parameter space\">twice : real<",
        "class=\"note generated\" title=\"computed for each draw after inference\">next : real<",
        ">y : real[N]<",
    ] {
        assert!(page.contains(note), "{note}");
    }
    assert!(page.contains("<span class=\"k\">param</span>"), "highlighted");
    // The numbers are those of the summary.
    let summary = std::fs::read_to_string(dir.path().join("one/summary.json")).unwrap();
    let summary: Value = serde_json::from_str(&summary).unwrap();
    let mean = summary["variables"]["mu"]["mean"].as_f64().unwrap();
    assert!(page.contains(&format!("data-value=\"{mean}\"")));
    for reason in summary["reasons"].as_array().unwrap() {
        let reason = reason.as_str().unwrap().replace('&', "&amp;").replace('<', "&lt;");
        assert!(page.contains(&reason), "{reason}");
    }
    // Densities over dots, a band for the long array, counts for whole numbers, a density for the others.
    assert!(page.matches("<circle class=\"dot\"").count() >= 3 * 50);
    assert!(page.contains("Intervals of the elements of long"));
    assert!(page.contains("Counts of k, observed and predicted"));
    assert!(page.contains("Density of y, observed and predicted"));
    assert!(page.contains("Prior and posterior density of rate"));
    assert!(page.len() < 3_000_000, "{} bytes", page.len());
}

#[test]
fn no_string_becomes_markup() {
    let dir = runs();
    let page = text(&ppl(dir.path(), &["report", "one", "two", "--out", "-"]));
    assert_eq!(page.matches("<script").count(), 1, "only the page's own");
    assert_eq!(page.matches("</script").count(), 1);
    assert!(!page.contains("<img") && !page.contains("<b>") && !page.contains("alert(\"model\")"));
    assert!(
        page.contains("&lt;/script&gt;&lt;script&gt;alert(&quot;model&quot;)"),
        "the comment is shown"
    );
    assert!(
        page.contains("a&quot;&gt;&lt;img src=x onerror=alert(1)&gt;.ppl"),
        "the path is shown"
    );
}

#[test]
fn several_runs_stand_side_by_side() {
    let dir = runs();
    text(&ppl(dir.path(), &["report", "one", "two", "--out", "both.html"]));
    let page = std::fs::read_to_string(dir.path().join("both.html")).unwrap();
    assert_eq!(page.matches("<article class=\"verdict ").count(), 2);
    assert_eq!(page.matches("<div class=\"listing\"").count(), 1, "one model, shown once");
    assert!(page.contains("<span class=\"chip\">B</span> pathfinder"), "each has a letter");
    // Each scalar has a row for each run, in that run's colour.
    let summary = std::fs::read_to_string(dir.path().join("two/summary.json")).unwrap();
    let summary: Value = serde_json::from_str(&summary).unwrap();
    let mean = summary["variables"]["rate"]["mean"].as_f64().unwrap();
    assert!(page.contains(&format!("data-value=\"{mean}\"")));
    assert!(page.contains("<tr class=\"r1\">"));
    let output = ppl(dir.path(), &["report", "d.json"]);
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn compare_says_where_two_runs_differ() {
    let dir = runs();
    let json = text(&ppl(dir.path(), &["compare", "one", "two", "--json"]));
    let json: Value = serde_json::from_str(&json).unwrap();
    let read = |run: &str| -> Value {
        let path = dir.path().join(run).join("summary.json");
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    };
    let (a, b) = (read("one"), read("two"));
    let scalars = json["scalars"].as_array().unwrap();
    assert_eq!(scalars.len(), 1 + 1 + 15 + 1 + 1);
    let mu = scalars.iter().find(|s| s["name"] == "mu").unwrap();
    let of = |run: &Value, what: &str| run["variables"]["mu"][what].as_f64().unwrap();
    let shift = (of(&b, "mean") - of(&a, "mean")) / of(&a, "sd");
    assert!((mu["shift"].as_f64().unwrap() - shift).abs() < 1e-12);
    assert!((mu["sd_ratio"].as_f64().unwrap() - of(&b, "sd") / of(&a, "sd")).abs() < 1e-12);
    let distance = |s: &Value| {
        s["shift"].as_f64().unwrap().abs().max(s["sd_ratio"].as_f64().unwrap().ln().abs())
    };
    assert!(scalars.windows(2).all(|w| distance(&w[0]) >= distance(&w[1])), "worst first");
    assert_eq!(json["same_data"], true);
    let gap = json["elpd_difference"]["value"].as_f64().unwrap();
    assert!(gap.abs() < 2.0, "{gap}");

    let shown = text(&ppl(dir.path(), &["compare", "one", "two"]));
    assert!(shown.lines().all(|l| l.chars().count() <= 80), "{shown}");
    assert!(shown.contains("mean-field") && shown.contains("Means differ by at most"), "{shown}");
    let same = text(&ppl(dir.path(), &["compare", "one", "one"]));
    assert!(same.contains("Means differ by at most 0.00 sd"), "{same}");
}

#[test]
fn slow_a_browser_clicks_through_a_report() {
    if !effort::slow() {
        return;
    }
    let Some(browser) = chromium() else {
        println!("skipped: there is no Chromium");
        return;
    };
    let Some(python) = python::python() else { return };
    let dir = runs();
    text(&ppl(dir.path(), &["report", "one"]));
    text(&ppl(dir.path(), &["report", "one", "two"]));
    let script = python::scripts().join("click_a_report.py");
    let pages = [dir.path().join("one/report.html"), dir.path().join("report.html")];
    let clicked = Command::new(python).arg(script).arg(browser).args(pages).output().unwrap();
    print!("{}", String::from_utf8_lossy(&clicked.stdout));
    assert!(clicked.status.success(), "{}", String::from_utf8_lossy(&clicked.stderr));
}

/// The browser, under any of its names.
fn chromium() -> Option<&'static str> {
    let names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
    names.into_iter().find(|name| {
        Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success())
    })
}
