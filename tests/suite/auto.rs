//! `auto`: stops at the first rung that is ok, and climbs on where none is.

use std::ops::ControlFlow;

use ppl::inference::{
    Fit, InferenceError, Monitor, Progress, Settings, Silent, VerdictLevel, find,
};

use crate::densities::Both;
use crate::eight_schools::EightSchools;
use crate::gaussian::{conjugate, moments};

fn auto(
    density: &Both,
    settings: &Settings,
    monitor: &mut dyn Monitor,
) -> Result<Fit, InferenceError> {
    find("auto").unwrap().fit(density.target(), settings, monitor)
}

fn climbing(methods: &str) -> Settings {
    let options = [("methods".to_owned(), methods.to_owned())].into();
    Settings { options, ..Settings::default() }
}

#[test]
fn the_first_method_that_is_ok_is_the_last() {
    for density in [conjugate(), Both::new(EightSchools)] {
        let fit = auto(&density, &Settings::default(), &mut Silent).unwrap();
        assert_eq!(fit.method, "auto");
        assert_eq!(fit.verdict.level, VerdictLevel::Ok, "{:?}", fit.verdict);
        assert_eq!(fit.verdict.reasons[0], "auto: pathfinder was ok.");
        assert_eq!(fit.verdict.next, None);
    }
}

#[test]
fn it_climbs_from_what_is_not_ok_and_says_why() {
    // Two modes far apart: no Gaussian is right about them.
    let modes = Both::new(crate::densities::two_modes());
    let fit = auto(&modes, &climbing("mean-field,laplace"), &mut Silent).unwrap();
    assert!(fit.verdict.level > VerdictLevel::Ok, "{:?}", fit.verdict);
    let said = &fit.verdict.reasons;
    assert!(
        said[0].starts_with("auto: mean-field was doubtful. The draws miss a mode"),
        "{said:?}"
    );
    assert!(said[1].starts_with("auto: laplace was"), "{said:?}");
    assert!(fit.verdict.next.is_some());
    // A density without a mode leaves draws that are called failed, and why.
    let slope = Both::new(crate::gaussian::Slope);
    let fit = auto(&slope, &climbing("laplace"), &mut Silent).unwrap();
    assert_eq!(fit.verdict.level, VerdictLevel::Failed);
    assert!(fit.verdict.reasons.iter().any(|r| r.contains("No mode was reached")), "no reason");
}

#[test]
fn what_cannot_be_climbed_is_refused() {
    for methods in ["auto,nuts", "gibbs", ""] {
        let error = auto(&conjugate(), &climbing(methods), &mut Silent).unwrap_err();
        assert!(matches!(error, InferenceError::Setting(_)), "{methods}: {error}");
    }
}

/// Stops at the first sight of a phase.
struct StopAt(&'static str);

impl Monitor for StopAt {
    fn progress(&mut self, progress: Progress<'_>) -> ControlFlow<()> {
        if progress.phase.starts_with(self.0) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }
}

#[test]
fn stopped_by_the_user_it_hands_out_the_best_there_is() {
    let modes = Both::new(crate::densities::two_modes());
    let settings = climbing("laplace,mean-field,nuts");
    let fit = auto(&modes, &settings, &mut StopAt("mean-field: training")).unwrap();
    assert!(fit.verdict.level > VerdictLevel::Ok, "{:?}", fit.verdict);
    assert!(fit.verdict.reasons.iter().any(|r| r.starts_with("auto: mean-field was")));
    assert!(!fit.verdict.reasons.iter().any(|r| r.contains("nuts was")), "{:?}", fit.verdict);
    assert!(moments(&fit, 0).1 > 0.0);
}
