//! What a posterior reports beside its density.

use ppl::data::{DataArray, DataSet};
use ppl::driver::Session;

use crate::tolerance::close;

#[test]
fn the_pointwise_log_likelihood_is_that_of_each_observation() {
    let text = "data y: real[N]\ndata z: real\nparam mu ~ normal(0, 1)\n\
                y ~ normal(mu, 2)\nz ~ normal(mu, 1)\nz ~ normal(0, 1)\n";
    let y = [0.5, -1.0, 3.0];
    let data = DataSet::from_arrays([
        ("y".to_owned(), DataArray::reals(vec![3], y.to_vec())),
        ("z".to_owned(), DataArray::real(0.25)),
    ]);
    let mut session = Session::new();
    let model = session.check("pointwise.ppl", text).unwrap();
    let posterior = session.compile(&model, &data).unwrap();
    let pointwise = posterior.log_likelihood();
    assert_eq!(pointwise.len(), 5);
    let theta = [0.0, 1.5];
    let draws = pointwise.at(&theta, 2, 1, 1);
    let names: Vec<&str> = draws.variables.iter().map(|v| v.name.as_str()).collect();
    assert_eq!(names, ["y", "z", "z_2"]);
    let normal = |x: f64, mu: f64, sigma: f64| {
        -0.5 * ((x - mu) / sigma).powi(2) - sigma.ln() - 0.5 * (2.0 * std::f64::consts::PI).ln()
    };
    for (s, mu) in theta.into_iter().enumerate() {
        for (i, y) in y.into_iter().enumerate() {
            assert!(close(draws.variables[0].values[s * 3 + i], normal(y, mu, 2.0), 1e-14, 1e-14));
        }
        assert!(close(draws.variables[1].values[s], normal(0.25, mu, 1.0), 1e-14, 1e-14));
        assert!(close(draws.variables[2].values[s], normal(0.25, 0.0, 1.0), 1e-14, 1e-14));
    }
    // All of it together with the prior is the log joint.
    let mut log_p = [0.0; 2];
    posterior.target().f64.log_density(&theta, &mut log_p);
    for (s, mu) in theta.into_iter().enumerate() {
        let likelihood: f64 = draws
            .variables
            .iter()
            .map(|v| {
                let n = v.size();
                v.values[s * n..(s + 1) * n].iter().sum::<f64>()
            })
            .sum();
        assert!(close(log_p[s], likelihood + normal(mu, 0.0, 1.0), 1e-13, 0.0));
    }
}
