//! The posteriors of `../shared/reference/posteriordb` and its `extra`, from model text: log density,
//! gradient and Hessian-vector product against Stan's, moments by NUTS against long reference runs.
//!
//! Those that take NUTS more than some seconds run with `PPL_SLOW=1`.

use ppl::data::DataSet;
use ppl::inference::{Fit, Settings, Silent, VerdictLevel, assess, find};
use ppl::posterior::Posterior;
use ppl::results::{Statistics, Variable};
use serde_json::Value;

use crate::conformance::{Fixture, check, compile, read_json, reals, shared};
use crate::effort;

/// How many standard errors a moment may be off.
const ERRORS: f64 = 5.0;

/// A posterior: a folder of reference values, named after data set and model.
#[derive(Clone, Copy)]
struct Case {
    folder: &'static str,
    /// Allowed relative error of log density, gradient and Hessian-vector product.
    rtol: f64,
    /// Matrices, whose unconstrained numbers Stan has column by column.
    matrices: &'static [&'static str],
    /// Whether NUTS runs with `PPL_SLOW=1` only.
    slow: bool,
}

const fn case(folder: &'static str) -> Case {
    Case { folder, rtol: 1e-10, matrices: &[], slow: false }
}

impl Case {
    const fn slow(self) -> Self {
        Case { slow: true, ..self }
    }

    const fn rtol(self, rtol: f64) -> Self {
        Case { rtol, ..self }
    }

    const fn matrices(self, matrices: &'static [&'static str]) -> Self {
        Case { matrices, ..self }
    }

    fn model(&self) -> &'static str {
        self.folder.split_once('-').unwrap().1
    }

    /// The posterior, and the folder with what it has to be.
    fn compile(&self) -> Option<(Posterior, std::path::PathBuf)> {
        let folder = shared(&format!("posteriordb/{}", self.folder))?;
        let data = DataSet::read(&folder.join("data.json")).unwrap();
        Some((compile(self.model(), &data), folder))
    }

    fn conforms(&self) {
        let Some((posterior, folder)) = self.compile() else { return };
        let tight = folder.join("fixtures_tight.json");
        let path = if tight.exists() { tight } else { folder.join("fixtures.json") };
        let json = read_json(&path);
        let order = self.row_major(&json["unconstrained_names"]);
        let turned = |v: &Value| {
            let v = reals(v);
            order.iter().map(|&i| v[i]).collect::<Vec<f64>>()
        };
        let points = json["points"].as_array().unwrap().iter();
        let fixtures: Vec<Fixture> = points
            .map(|p| Fixture {
                z: turned(&p["unconstrained"]),
                log_density: p["lp_full_jacobian"].as_f64().unwrap(),
                gradient: turned(&p["grad_jacobian"]),
            })
            .collect();
        check(self.folder, &posterior, &fixtures, self.rtol);
    }

    /// Where each of our unconstrained numbers stands in Stan's order.
    fn row_major(&self, names: &Value) -> Vec<usize> {
        let names: Vec<&str> =
            names.as_array().unwrap().iter().map(|n| n.as_str().unwrap()).collect();
        let mut order: Vec<usize> = (0..names.len()).collect();
        for matrix in self.matrices {
            let indices = |i: usize| -> Option<Vec<usize>> {
                let inside = names[i].strip_prefix(matrix)?.strip_prefix('[')?;
                inside.strip_suffix(']')?.split(',').map(|k| k.parse().ok()).collect()
            };
            let places: Vec<usize> = (0..names.len()).filter(|&i| indices(i).is_some()).collect();
            assert!(!places.is_empty(), "{matrix}");
            let mut sorted = places.clone();
            sorted.sort_by_key(|&i| indices(i));
            for (&place, &from) in places.iter().zip(&sorted) {
                order[place] = from;
            }
        }
        order
    }

    /// Means and standard deviations of everything that the reference has.
    fn recovers(&self) {
        if self.slow && !effort::slow() {
            return;
        }
        let Some((posterior, folder)) = self.compile() else { return };
        let fit = nuts(self.folder, &posterior, 1);
        let draws = posterior.values().at(&fit.draws, fit.log_p.len(), fit.chains, 1);
        let drawn = |scalar: &str| {
            let of = |v: &Variable| {
                (0..v.size())
                    .find(|&i| v.element_name(i).replace(' ', "") == scalar)
                    .map(|i| v.scalar(i))
            };
            draws.variables.iter().find_map(of).unwrap_or_else(|| panic!("no {scalar}"))
        };
        compare(self.folder, &read_json(&folder.join("reference.json")), fit.chains, drawn);
        assert_ne!(fit.verdict.level, VerdictLevel::Failed, "{}: {:?}", self.folder, fit.verdict);
    }
}

fn nuts(name: &str, posterior: &Posterior, seed: u64) -> Fit {
    let settings = Settings { seed, ..Settings::default() };
    find("nuts")
        .unwrap()
        .fit(posterior.target(), &settings, &mut Silent)
        .unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// Compares the moments of each scalar of the reference with those of its draws.
fn compare(name: &str, reference: &Value, chains: usize, drawn: impl Fn(&str) -> Vec<f64>) {
    let rows = reference["parameters"].as_array().unwrap();
    assert!(!rows.is_empty());
    for row in rows {
        let wanted = |key: &str| row[key].as_f64().unwrap();
        let scalar = row["name"].as_str().unwrap();
        let ours = drawn(scalar);
        let Statistics { mean, sd, .. } = Statistics::of(&ours, chains, false);
        if wanted("sd") == 0.0 {
            assert!(mean == wanted("mean") && sd == 0.0, "{name}, {scalar}: a constant");
            continue;
        }
        let own = assess::summarize(&ours, chains);
        let allowed = ERRORS * own.mcse_mean.hypot(wanted("mcse_mean"));
        let gap = (mean - wanted("mean")).abs();
        assert!(gap < allowed, "{name}, {scalar}: mean {mean} for {} ± {allowed}", row["mean"]);
        // The bound itself must say something.
        assert!(allowed < 0.5 * wanted("sd"), "{name}, {scalar}: {allowed} is a wide bound");
        // Where the file does not say, that of a nearly normal posterior.
        let theirs = row["mcse_sd"].as_f64();
        let theirs = theirs.unwrap_or_else(|| wanted("sd") / (2.0 * wanted("ess_square")).sqrt());
        let allowed = ERRORS * own.mcse_sd.hypot(theirs);
        let gap = (sd - wanted("sd")).abs();
        assert!(gap < allowed, "{name}, {scalar}: sd {sd} for {} ± {allowed}", row["sd"]);
    }
}

macro_rules! posteriors {
    ($($name:ident: $case:expr;)*) => {$(
        mod $name {
            use super::*;

            #[test]
            fn conforms() {
                $case.conforms();
            }

            #[test]
            fn recovers() {
                $case.recovers();
            }
        }
    )*};
}

posteriors! {
    ark: case("arK-arK");
    hmm_drive_0: case("bball_drive_event_0-hmm_drive_0").slow();
    diamonds: case("diamonds-diamonds").slow();
    earn_height: case("earnings-earn_height");
    log10earn_height: case("earnings-log10earn_height");
    logearn_interaction: case("earnings-logearn_interaction").slow();
    logearn_interaction_z: case("earnings-logearn_interaction_z");
    eight_schools: case("eight_schools-eight_schools_noncentered");
    garch11: case("garch-garch11");
    // The covariance is nearly singular.
    gp_pois_regr: case("gp_pois_regr-gp_pois_regr").rtol(1e-8);
    gp_regr: case("gp_pois_regr-gp_regr");
    kidscore_interaction: case("kidiq-kidscore_interaction");
    kidscore_momiq: case("kidiq-kidscore_momiq");
    kidscore_interaction_z: case("kidiq_with_mom_work-kidscore_interaction_z");
    kidscore_mom_work: case("kidiq_with_mom_work-kidscore_mom_work");
    kilpisjarvi: case("kilpisjarvi_mod-kilpisjarvi");
    lotka_volterra: case("hudson_lynx_hare-lotka_volterra").rtol(1e-6).slow();
    low_dim_gauss_mix: case("low_dim_gauss_mix-low_dim_gauss_mix");
    logmesquite: case("mesquite-logmesquite");
    logmesquite_logvas: case("mesquite-logmesquite_logvas");
    mesquite: case("mesquite-mesquite");
    nes1972: case("nes1972-nes");
    nes1980: case("nes1980-nes");
    nes1988: case("nes1988-nes");
    nes2000: case("nes2000-nes");
    blr: case("sblri-blr");
    glm_poisson: case("extra/GLM_Poisson_Data-GLM_Poisson_model");
    capture_recapture: case("extra/Mt_data-Mt_model");
    dogs: case("extra/dogs-dogs_nonhierarchical").matrices(&["z"]).slow();
    // Stan replaces the logistic function by its leading term beyond 20.
    irt_2pl: case("extra/irt_2pl-irt_2pl").rtol(1e-9).slow();
    radon: case("extra/radon_mn-radon_hierarchical_intercept_noncentered");
    rats: case("extra/rats_data-rats_model");
    surgical: case("extra/surgical_data-surgical_model");
}

/// Seed 2 has a start with a log density of -1e10 and less, from which a trajectory flies off to where
/// parameters are their bounds to the last bit.
#[test]
fn no_chain_stays_in_a_corner() {
    let case = case("extra/GLM_Poisson_Data-GLM_Poisson_model");
    let Some((posterior, _)) = case.compile() else { return };
    let fit = nuts(case.folder, &posterior, 2);
    assert_eq!(fit.verdict.level, VerdictLevel::Ok, "{:?}", fit.verdict);
}

// Two are without reference draws.

#[test]
fn hmm_gaussian_conforms() {
    case("extra/hmm_gaussian_simulated-hmm_gaussian").conforms();
}

#[test]
fn sir_conforms() {
    case("extra/sir-sir").rtol(1e-6).conforms();
}

const NORMAL_MIXTURE: Case = case("extra/normal_2-normal_mixture");

#[test]
fn normal_mixture_conforms() {
    NORMAL_MIXTURE.conforms();
}

/// Chains find either labelling, the reference one of them: compared after relabelling each draw.
#[test]
fn normal_mixture_recovers() {
    let Some((posterior, folder)) = NORMAL_MIXTURE.compile() else { return };
    let fit = nuts(NORMAL_MIXTURE.folder, &posterior, 1);
    let draws = posterior.values().at(&fit.draws, fit.log_p.len(), fit.chains, 1);
    let variable = |name| draws.variables.iter().find(|v: &&Variable| v.name == name).unwrap();
    let (theta, mu) = (variable("theta").scalar(0), variable("mu"));
    let (one, two) = (mu.scalar(0), mu.scalar(1));
    let relabelled = |scalar: &str| -> Vec<f64> {
        let at = |i: usize| {
            let (p, high, low) = if one[i] > two[i] {
                (theta[i], one[i], two[i])
            } else {
                (1.0 - theta[i], two[i], one[i])
            };
            match scalar {
                "theta" => p,
                "mu[1]" => high,
                _ => low,
            }
        };
        (0..one.len()).map(at).collect()
    };
    let reference = read_json(&folder.join("reference.json"));
    compare(NORMAL_MIXTURE.folder, &reference, fit.chains, relabelled);
}
