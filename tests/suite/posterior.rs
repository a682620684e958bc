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

#[test]
fn a_density_knows_the_parameters_of_its_model() {
    let text = "data y: real[N]\nparam s: real<lower=0>[2] ~ exponential(1)\n\
                param m: real ~ normal(0, 1)\nlet t = 2 * m\ny ~ normal(t, s[1])\n";
    let y = DataArray::reals(vec![3], vec![0.5, -1.0, 3.0]);
    let data = DataSet::from_arrays([("y".to_owned(), y)]);
    let mut session = Session::new();
    let model = session.check("parameters.ppl", text).unwrap();
    let whole = session.compile(&model, &data).unwrap();
    let part = session.compile_subsampled(&model, &data, ("N", 2), 1).unwrap().unwrap();
    let points = [0.5_f64, -1.0, 3.0, 0.0, 2.0, -0.25];
    let want: Vec<f64> = points.chunks(3).flat_map(|z| [z[0].exp(), z[1].exp(), z[2]]).collect();
    for posterior in [whole, part] {
        let found = posterior.target().f64.parameters(&points);
        assert_eq!(found.names, ["s[1]", "s[2]", "m"]);
        assert!(found.values.iter().zip(&want).all(|(a, b)| close(*a, *b, 1e-15, 0.0)));
        // Single precision knows the same, of points that it rounds.
        let rounded = points.map(|x| x as f32);
        assert_eq!(posterior.target().f32.parameters(&rounded).names, found.names);
    }
}
