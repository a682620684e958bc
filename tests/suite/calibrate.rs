//! Simulation-based calibration: passes where a method is right, and fails where it is known to be wrong.

use ppl::data::{DataArray, DataSet};
use ppl::driver::{Calibration, Session, calibrate};
use ppl::inference::{Settings, Silent, find};

fn found(model: &str, method: &str, settings: &Settings) -> Calibration {
    let mut session = Session::new();
    let model = session.check("m.ppl", model).unwrap();
    // Five observations each, which are drawn.
    let data = DataSet::from_arrays([("N".to_owned(), DataArray::int(5))]);
    let method = find(method).unwrap();
    calibrate(&mut session, &model, &data, method, settings, 80, 60, &mut Silent).unwrap()
}

/// Level and slope are correlated a posteriori.
const CONJUGATE: &str = "data N: int
param a ~ normal(0, 2)
param b ~ normal(0, 2)
data y: real[N]
for i in 1:N { y[i] ~ normal(a + b * (1 + 0.2 * i), 1) }
";

#[test]
fn a_right_method_is_calibrated() {
    let calibration = found(CONJUGATE, "laplace", &Settings::default());
    assert_eq!(calibration.uncalibrated().count(), 0, "{:?}", calibration.scalars);
    assert_eq!(calibration.scalars.len(), 2);
    assert!(calibration.scalars.iter().all(|s| s.ranks.len() == 80));
    assert_eq!(calibration.verdicts, [80, 0, 0]);
}

#[test]
fn a_family_without_correlations_is_found_too_narrow() {
    let options = [("resample".to_owned(), "false".to_owned())].into();
    let settings = Settings { options, ..Settings::default() };
    let calibration = found(CONJUGATE, "mean-field", &settings);
    let wrong: Vec<_> = calibration.uncalibrated().collect();
    assert_eq!(wrong.len(), 2, "{:?}", calibration.scalars);
    assert!(wrong.iter().all(|s| s.uniformity.spread > 1.15), "{wrong:?}");
}
