//! SIVI, UIVI and KSIVI, which share all but the objective with SIVI-SM.

use super::*;

/// Small networks and few iterations.
const QUICK: &str = "iterations=60 hidden=8 critic-hidden=8 draws=200 mixing-draws=50";

const NEIGHBOURS: [&str; 3] = ["sivi", "uivi", "ksivi"];

/// Means within 0.05 sd and sds within 6 %.
fn gaussian_is_right(
    method: &str,
    density: &Both,
    truth: &[(f64, f64)],
    options: &str,
) -> VerdictLevel {
    let fit = run(method, density, options).unwrap();
    for ((mean, sd), (want, want_sd)) in
        metrics::moments(&fit.draws, truth.len()).into_iter().zip(truth)
    {
        let (shift, ratio) = ((mean - want) / want_sd, sd / want_sd);
        assert!(shift.abs() < 0.05 && (ratio - 1.0).abs() < 0.06, "{method}: {shift} {ratio}");
    }
    // The density is normalised, so its evidence is 1 and the bound must stay below.
    let (bound, se) = fit.elbo.unwrap();
    assert!(bound < 3.0 * se && bound > -0.05, "{method}: {bound} {se}");
    assert_eq!(fit.khat.unwrap().kind, KhatKind::Estimated);
    assert!(fit.log_q.is_none() && fit.chains == 1);
    let evidence = fit.log_z.unwrap();
    assert!(evidence.value.abs() < 5.0 * evidence.se + 1e-3, "{method}: {evidence:?}");
    fit.verdict.level
}

#[test]
fn a_correlated_gaussian_is_right_even_from_a_poor_start() {
    // Without standardisation only the training can find place, scale and correlation.
    let density = Both::new(Points(Mixture::correlated([1.0, -2.0], [[1.0, 0.6], [0.6, 0.5]])));
    let truth = [(1.0, 1.0), (-2.0, 0.5_f64.sqrt())];
    for method in NEIGHBOURS {
        let options =
            "standardize=none iterations=1500 learning-rate=0.01 hidden=16,16 resample=false";
        let level = gaussian_is_right(method, &density, &truth, options);
        assert_ne!(level, VerdictLevel::Failed, "{method}");
    }
    gaussian_is_right(
        "ksivi",
        &density,
        &truth,
        "estimator=u-statistic kernel=imq iterations=600 resample=false",
    );
}

#[test]
fn the_one_parameter_gaussian_is_right_on_defaults() {
    if slow() {
        let density = Both::new(Points(Mixture::diagonal(&[8.0], &[0.447])));
        for method in NEIGHBOURS {
            let level = gaussian_is_right(method, &density, &[(8.0, 0.447)], "");
            assert_eq!(level, VerdictLevel::Ok, "{method}");
        }
    }
}

#[test]
fn eight_schools_is_right_on_defaults() {
    if slow() {
        for method in NEIGHBOURS {
            eight_schools_is_right(method, "");
        }
    }
}

#[test]
fn one_seed_gives_one_answer_and_a_short_run_is_never_ok() {
    for method in NEIGHBOURS {
        let run = |seed| {
            let options = format!("{QUICK} precision=f32 seed={seed}");
            run(method, &Both::new(banana()), &options).unwrap()
        };
        let (a, b, other) = (run(1), run(1), run(2));
        assert_eq!(a.draws, b.draws, "{method}");
        assert_ne!(a.draws, other.draws, "{method}");
        assert_ne!(a.verdict.level, VerdictLevel::Ok, "{method}: {:?}", a.verdict);
        let next = a.verdict.next.unwrap();
        assert!(next.starts_with(&format!("--infer {method} --iterations ")), "{next}");
    }
}

#[test]
fn their_options_are_read_and_checked() {
    for method in NEIGHBOURS {
        for option in find(method).unwrap().options {
            // `decay-every` belongs to the step schedule.
            let options = match option.name {
                "decay-every" => "schedule=step decay-every=?".to_owned(),
                name => format!("{name}=?"),
            };
            let outcome = run(method, &Both::new(banana()), &options);
            assert!(
                matches!(outcome, Err(InferenceError::Setting(_))),
                "{method} {}: {outcome:?}",
                option.name
            );
        }
    }
    for (method, options) in [
        ("sivi", "surrogate-draws=0"),
        ("uivi", "hmc-draws=0"),
        ("uivi", "leapfrog-steps=0"),
        ("uivi", "hmc-acceptance=1"),
        ("ksivi", "kernel=linear"),
        ("ksivi", "estimator=v-statistic"),
    ] {
        let outcome = run(method, &Both::new(banana()), options);
        assert!(matches!(outcome, Err(InferenceError::Setting(_))), "{options}: {outcome:?}");
    }
}
