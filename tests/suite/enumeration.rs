//! Discrete latents of random small models against enumeration: the log density, its gradient, the
//! posterior probabilities, and the frequencies of draws.
//!
//! The other side is the same model for given latents, all configurations in one data set, so that the
//! pointwise log likelihood has the complete-data density of each.

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::effort;
use crate::marginals::{points, posterior, score};
use crate::tolerance::close;

/// How the elements of a latent hang together.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Shape {
    Independent,
    Chain,
    Backward,
    SecondOrder,
    Tree,
    Graph,
}

#[derive(Debug, Clone)]
struct Small {
    shape: Shape,
    /// Elements of `z` and their number of values.
    sites: usize,
    values: usize,
    /// Whether a scalar latent `s` takes part in everything.
    switch: bool,
    /// For each element what it depends on in a tree or graph, and for each observation two elements.
    picks: Vec<(usize, usize)>,
    x: Vec<f64>,
}

fn small() -> impl Strategy<Value = Small> {
    let shape = prop_oneof![
        Just(Shape::Independent),
        Just(Shape::Chain),
        Just(Shape::Backward),
        Just(Shape::SecondOrder),
        Just(Shape::Tree),
        Just(Shape::Graph)
    ];
    let size = prop_oneof![(2..=6_usize, Just(2_usize)), (2..=4_usize, Just(3_usize))];
    let picks = proptest::collection::vec((0..1000_usize, 0..1000_usize), 12);
    let x = proptest::collection::vec(-1.5..1.5_f64, 6);
    (shape, size, any::<bool>(), picks, x).prop_map(|(shape, (sites, values), switch, picks, x)| {
        Small { shape, sites, values, switch, picks, x }
    })
}

const PARAMS: &str = "param A: real[K, K] ~ normal(0, 1)\nparam B: real[K, K] ~ normal(0, 1)\n\
                      param v: real[K] ~ normal(0, 1)\nparam mu: real[K] ~ normal(0, 2)\n";

impl Small {
    /// The statements, with the names of an element of `z` and of `s`.
    fn statements(&self, z: impl Fn(&str) -> String, s: &str) -> String {
        let n = self.sites;
        let switched = if self.switch { format!(" + real({s}) * v") } else { String::new() };
        let mut out = String::new();
        if self.switch {
            out += &format!("{s} ~ bernoulli(0.3)\n");
        }
        let prior = |t: usize, logits: &str| {
            format!("{} ~ categorical_logit({logits}{switched})\n", z(&t.to_string()))
        };
        let row = |matrix: &str, t: usize| format!("{matrix}[{}]", z(&t.to_string()));
        match self.shape {
            Shape::Independent => {
                out += &format!(
                    "for t in 1:{n} {{ {} ~ categorical_logit(x[t] * v{switched}) }}\n",
                    z("t")
                );
            }
            Shape::Chain => {
                out += &prior(1, "v");
                out += &format!(
                    "for t in 2:{n} {{ {} ~ categorical_logit(A[{}] + x[t] * v{switched}) }}\n",
                    z("t"),
                    z("t - 1")
                );
            }
            Shape::Backward => {
                out += &prior(n, "v");
                out += &format!(
                    "for t in 1:{} {{ {} ~ categorical_logit(x[t] * A[{}]{switched}) }}\n",
                    n - 1,
                    z("t"),
                    z("t + 1")
                );
            }
            Shape::SecondOrder => {
                out += &prior(1, "v");
                out += &prior(2, &row("A", 1));
                for t in 3..=n {
                    out += &prior(t, &format!("{} + {}", row("A", t - 1), row("B", t - 2)));
                }
            }
            Shape::Tree | Shape::Graph => {
                out += &prior(1, "v");
                for t in 2..=n {
                    let (a, b) = (1 + self.picks[t].0 % (t - 1), 1 + self.picks[t].1 % (t - 1));
                    let two = format!("{} + {}", row("A", a), row("B", b));
                    out += &prior(
                        t,
                        if self.shape == Shape::Tree { &two[..row("A", a).len()] } else { &two },
                    );
                }
            }
        }
        for (m, &(a, b)) in self.picks[7..11].iter().enumerate() {
            let (first, second) = (z(&(1 + a % n).to_string()), z(&(1 + b % n).to_string()));
            let mean = match (a + b) % 3 {
                0 if self.shape != Shape::Independent => {
                    format!("mu[{first}] + 0.5 * mu[{second}]")
                }
                1 if self.switch => format!("if {s} == 1 {{ mu[{first}] }} else {{ 0.7 }}"),
                1 => format!("if {first} == 1 {{ 0.7 }} else {{ mu[{first}] }}"),
                _ => format!("mu[{first}]"),
            };
            out += &format!("y[{}] ~ normal({mean}, 1)\n", m + 1);
        }
        out
    }

    /// With the latents summed out, and drawn.
    fn marginal(&self) -> String {
        let Small { sites, values, .. } = self;
        let switch = if self.switch { "marginal s: int<lower=0, upper=1>\n" } else { "" };
        let drawn = if self.switch { "gen drawn_s = s\n" } else { "" };
        format!(
            "data K: int\ndata x: real[6]\ndata y: real[4]\n{PARAMS}{switch}\
             marginal z: int<lower=1, upper={values}>[{sites}]\n{}gen drawn = z\n{drawn}",
            self.statements(|i| format!("z[{i}]"), "s")
        )
    }

    /// With the latents given, for all configurations at once.
    fn complete(&self) -> String {
        let statements = self.statements(|i| format!("z[c, {i}]"), "s[c]").replace("y[", "y[c, ");
        let switch = if self.switch { "data s: int[C]\n" } else { "" };
        format!(
            "data K: int\ndata x: real[6]\ndata y: real[C, 4]\n{switch}data z: int[C, {}]\n{PARAMS}\
             for c in 1:C {{\n{statements}}}\n",
            self.sites
        )
    }

    /// All values of `z` and `s`.
    fn configurations(&self) -> Vec<(Vec<usize>, usize)> {
        let k = self.values;
        let of_z: Vec<Vec<usize>> = (0..k.pow(self.sites as u32))
            .map(|c| (0..self.sites).map(|i| 1 + c / k.pow(i as u32) % k).collect())
            .collect();
        let switches = if self.switch { 2 } else { 1 };
        of_z.into_iter().flat_map(|z| (0..switches).map(move |s| (z.clone(), s))).collect()
    }
}

fn check(model: &Small) {
    const Y: [f64; 4] = [0.3, -1.0, 2.5, 1.4];
    let summed = posterior(
        &model.marginal(),
        &serde_json::json!({ "K": model.values, "x": model.x, "y": Y }).to_string(),
    );
    let all = model.configurations();
    let (z, s): (Vec<Vec<usize>>, Vec<usize>) = all.iter().cloned().unzip();
    let complete = posterior(
        &model.complete(),
        &serde_json::json!({ "K": model.values, "x": model.x, "y": vec![Y; all.len()], "z": z, "s": s })
            .to_string(),
    );
    let prior =
        posterior(&format!("data K: int\n{PARAMS}"), &format!("{{\"K\": {}}}", model.values));
    // The log weight of each configuration.
    let weights = |theta: &[f64]| -> Vec<f64> {
        let terms = complete.log_likelihood().at(theta, 1, 1, 0).variables;
        assert!(terms.iter().all(|v| v.values.len() % all.len() == 0));
        let width = |v: &ppl::results::Variable| v.values.len() / all.len();
        let of = |c: usize| -> f64 {
            terms.iter().flat_map(|v| v.values[c * width(v)..(c + 1) * width(v)].iter()).sum()
        };
        (0..all.len()).map(of).collect()
    };
    let log_sum = |w: &[f64]| {
        let most = w.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        most + w.iter().map(|w| (w - most).exp()).sum::<f64>().ln()
    };
    let theta = points(summed.dim(), 1).pop().unwrap();
    let enumerated = |theta: &[f64]| log_sum(&weights(theta)) + score(&prior, theta).0;
    let (value, gradient) = score(&summed, &theta);
    let exact = enumerated(&theta);
    assert!(close(value, exact, 1e-11, 1e-11), "{value} {exact}");
    for i in 0..theta.len() {
        const STEP: f64 = 1e-4;
        let mut at = theta.clone();
        at[i] += STEP;
        let above = enumerated(&at);
        at[i] -= 2.0 * STEP;
        let slope = (above - enumerated(&at)) / (2.0 * STEP);
        assert!(close(gradient[i], slope, 1e-6, 1e-6), "{i}: {} {slope}", gradient[i]);
    }
    let w = weights(&theta);
    let total = log_sum(&w);
    let p: Vec<f64> = w.iter().map(|w| (w - total).exp()).collect();
    const DRAWS: usize = 2000;
    let draws = summed.values().at(&theta.repeat(DRAWS), DRAWS, 1, 1).variables;
    let named = |name: &str| &draws.iter().find(|v| v.name == name).unwrap().values;
    let (probabilities, drawn) = (named("z_prob"), named("drawn"));
    for t in 0..model.sites {
        for k in 0..model.values {
            let exact: f64 =
                all.iter().zip(&p).filter(|((z, _), _)| z[t] == k + 1).map(|(_, p)| p).sum();
            let found = probabilities[t * model.values + k];
            assert!(close(found, exact, 1e-10, 1e-12), "z[{t}] = {k}: {found} {exact}");
        }
    }
    for ((z, s), p) in all.iter().zip(&p) {
        let hit = |d: &usize| {
            let same = drawn[d * model.sites..(d + 1) * model.sites]
                .iter()
                .zip(z)
                .all(|(x, z)| *x == *z as f64);
            same && (!model.switch || named("drawn_s")[*d] == *s as f64)
        };
        let share = (0..DRAWS).filter(hit).count() as f64 / DRAWS as f64;
        let sd = (p * (1.0 - p) / DRAWS as f64).sqrt();
        assert!((share - p).abs() < 5.0 * sd + 1.0 / DRAWS as f64, "{z:?} {s}: {share}, not {p}");
    }
}

#[test]
fn random_small_models_agree_with_enumeration() {
    let mut runner = TestRunner::new(effort::cases(24));
    let result = runner.run(&small(), |model| {
        let outcome = std::panic::catch_unwind(|| check(&model));
        prop_assert!(outcome.is_ok(), "{}", model.marginal());
        Ok(())
    });
    result.unwrap();
}
