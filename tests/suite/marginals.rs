//! Discrete latents: a model with a `marginal` has the density of the same model summed by hand, and
//! posterior probabilities that enumeration confirms.

use ppl::data::{DataSet, Format};
use ppl::driver::Session;
use ppl::posterior::Posterior;
use ppl::random::{fill_std_normal, stream};

use crate::tolerance::close;

fn data(json: &str) -> DataSet {
    DataSet::from_bytes("data.json", Some(Format::Json), json.as_bytes()).unwrap()
}

pub(crate) fn posterior(text: &str, json: &str) -> Posterior {
    let mut session = Session::new();
    let model = session.check("model.ppl", text);
    let model = model.unwrap_or_else(|| panic!("{}", session.render(false)));
    let posterior = session.compile(&model, &data(json));
    posterior.unwrap_or_else(|| panic!("{}", session.render(false)))
}

/// The codes of the errors that a model with its data has.
pub(crate) fn errors(text: &str, json: &str) -> String {
    let mut session = Session::new();
    if let Some(model) = session.check("model.ppl", text) {
        assert!(session.compile(&model, &data(json)).is_none(), "{text} compiles");
    }
    session.render(false)
}

/// Points of a standard normal.
pub(crate) fn points(dim: usize, count: usize) -> Vec<Vec<f64>> {
    let mut rng = stream(7, "marginals");
    let mut point = || {
        let mut z = vec![0.0; dim];
        fill_std_normal(&mut rng, &mut z);
        z
    };
    (0..count).map(|_| point()).collect()
}

pub(crate) fn score(p: &Posterior, z: &[f64]) -> (f64, Vec<f64>) {
    let (mut l, mut s) = ([0.0], vec![0.0; z.len()]);
    p.target().f64.score(z, &mut l, &mut s);
    (l[0], s)
}

/// Both models have the same log density and gradient.
#[track_caller]
pub(crate) fn same(summed_out: &str, by_hand: &str, json: &str) {
    same_at(&posterior(summed_out, json), &posterior(by_hand, json));
}

/// Both posteriors have the same log density and gradient.
#[track_caller]
pub(crate) fn same_at(a: &Posterior, b: &Posterior) {
    assert_eq!(a.dim(), b.dim());
    for z in points(a.dim(), 4) {
        let ((l, s), (l2, s2)) = (score(a, &z), score(b, &z));
        assert!(l.is_finite(), "{l}");
        assert!(close(l, l2, 1e-11, 1e-11), "{l} {l2}");
        for (x, y) in s.iter().zip(&s2) {
            assert!(close(*x, *y, 1e-9, 1e-9), "{s:?} {s2:?}");
        }
    }
}

const Y: &str = r#"{"y": [0.3, -1.0, 2.5, 4.0, 0.1, 0.7]}"#;

#[test]
fn both_spellings_of_a_mixture_are_one_density() {
    let head = "data y: real[N]\nparam w: simplex[3] ~ dirichlet([1, 1, 1])\n\
                param m: ordered[3] ~ normal(0, 5)\n";
    let named = format!(
        "{head}marginal z: int<lower=1, upper=3>[N] ~ categorical(w)\ny ~ normal(m[z], 1)\n"
    );
    same(&named, &format!("{head}y ~ mixture(w, normal(m, 1))\n"), Y);
    // Without a type; in a loop; through a `let`, a function, arithmetic and conditions.
    let fused = format!("{head}y ~ mixture(w, normal(m, 1))\n");
    let body = "marginal z: int<lower=1, upper=3>[N] ~ categorical(w)\n";
    for statement in [
        "let mu = m[z]\ny ~ normal(mu, 1)\n",
        "for n in 1:N { y[n] ~ normal(m[z[n]], 1) }\n",
        "for n in 1:N { let k = z[n]\n y[n] ~ normal(m[k], 1) }\n",
        "fn pick(m: real[3], k: int) -> real = m[k]\n\
         for n in 1:N { y[n] ~ normal(pick(m, z[n]), 1) }\n",
        "y ~ normal(m[4 - (4 - z)], 1)\n",
        "for n in 1:N { y[n] ~ normal(if z[n] == 1 { m[1] } else { m[z[n]] }, 1) }\n",
        "for n in 1:N {\n  if z[n] == 1 { y[n] ~ normal(m[1], 1) } else { y[n] ~ normal(m[z[n]], 1) }\n}\n",
        "for n in 1:N { factor normal_log_density(y[n], m[z[n]], 1) }\n",
        "let first: real[N] { for n in 1:N { first[n] = m[z[n]] } }\ny ~ normal(first, 1)\n",
    ] {
        same(&format!("{head}{body}{statement}"), &fused, Y);
    }
}

#[test]
fn bernoulli_latents_and_parameters_with_discrete_priors() {
    same(
        "data y: real[N]\nparam p ~ beta(2, 3)\nparam m ~ normal(0, 2)\n\
         marginal z: int<lower=0, upper=1>[N] ~ bernoulli(p)\ny ~ normal(m * z, 1 + z)\n",
        "data y: real[N]\nparam p ~ beta(2, 3)\nparam m ~ normal(0, 2)\n\
         y ~ mixture([1 - p, p], normal(0, 1), normal(m, 2))\n",
        Y,
    );
    // A scalar latent that decides the prior of a parameter: spike and slab.
    same(
        "data y: real[N]\nmarginal s ~ bernoulli(0.2)\n\
         param b ~ normal(0, if s == 1 { 3 } else { 0.1 })\ny ~ normal(b, 1)\n",
        "data y: real[N]\nparam b ~ mixture([0.8, 0.2], normal(0, 0.1), normal(0, 3))\n\
         y ~ normal(b, 1)\n",
        Y,
    );
}

#[test]
fn observations_of_one_group_share_its_latent() {
    same(
        "data y: real[N]\ndata g: int[N]\nparam m: ordered[2] ~ normal(0, 3)\n\
         marginal z: int<lower=1, upper=2>[3] ~ categorical([0.3, 0.7])\ny ~ normal(m[z[g]], 1)\n",
        "data y: real[N]\ndata g: int[N]\nparam m: ordered[2] ~ normal(0, 3)\n\
         fn part(y: real[N], g: int[N], i: int, m: real) -> real =\n  \
         sum(if g == i { normal_log_density(y, m, 1) } else { zeros(N) })\n\
         for i in 1:3 {\n  factor log_add_exp(log(0.3) + part(y, g, i, m[1]), log(0.7) + part(y, g, i, m[2]))\n}\n",
        r#"{"y": [0.3, -1.0, 2.5, 4.0, 0.1, 0.7], "g": [1, 1, 2, 3, 2, 3]}"#,
    );
}

#[test]
fn latents_that_a_statement_couples_are_summed_together() {
    same(
        "data y: real[N]\nparam m: real[2, 3] ~ normal(0, 5)\n\
         marginal a: int<lower=1, upper=2>[N] ~ categorical([0.3, 0.7])\n\
         marginal b: int<lower=1, upper=3>[N] ~ categorical([0.2, 0.3, 0.5])\n\
         for n in 1:N { y[n] ~ normal(m[a[n], b[n]], 1) }\n",
        "data y: real[N]\nparam m: real[2, 3] ~ normal(0, 5)\n\
         y ~ mixture([0.06, 0.09, 0.15, 0.14, 0.21, 0.35], normal([m[1, 1], m[1, 2], m[1, 3], \
         m[2, 1], m[2, 2], m[2, 3]], 1))\n",
        Y,
    );
}

/// A chain, written in the ways that people write it, against the forward recursion by hand.
#[test]
fn chains_are_summed_by_the_forward_algorithm() {
    let head = "data y: real[T]\nparam P: array[2] simplex[2] ~ dirichlet([1, 2])\n\
                param mu: ordered[2] ~ normal(0, 3)\n";
    let by_hand = format!(
        "{head}let alpha: real[T, 2] {{\n\
         \x20 for k in 1:2 {{ alpha[1, k] = log(0.5) + normal_log_density(y[1], mu[k], 1) }}\n\
         \x20 for t in 2:T {{\n    for k in 1:2 {{\n\
         \x20     alpha[t, k] = log_sum_exp(alpha[t-1] + log(P[:, k])) + normal_log_density(y[t], mu[k], 1)\n\
         \x20   }}\n  }}\n}}\nfactor log_sum_exp(alpha[T])\n"
    );
    let z = "marginal z: int<lower=1, upper=2>[T]\n";
    let rest = [
        "z[1] ~ categorical([0.5, 0.5])\nfor t in 2:T { z[t] ~ categorical(P[z[t-1]]) }\n\
         y ~ normal(mu[z], 1)\n",
        "z[1] ~ categorical([0.5, 0.5])\nz[2:T] ~ categorical(P[z[1:T-1]])\n\
         for t in 1:T { y[t] ~ normal(mu[z[t]], 1) }\n",
        "for t in 1:T {\n  if t == 1 { z[t] ~ categorical([0.5, 0.5]) } else { z[t] ~ categorical(P[z[t-1]]) }\n\
         \x20 y[t] ~ normal(mu[z[t]], 1)\n}\n",
        "z[1] ~ bernoulli_like(0.5)\nfor t in 2:T { z[t] ~ categorical(P[z[t-1]]) }\n\
         y ~ normal(mu[z], 1)\ndist bernoulli_like(p: real<lower=0, upper=1>) on int<lower=1, upper=2> {\n\
         \x20 log_density(x) = if x == 1 { log1p(-p) } else { log(p) }\n}\n",
    ];
    for json in [Y, r#"{"y": [0.3, 2.0, -1.0]}"#] {
        for rest in rest {
            same(&format!("{head}{z}{rest}"), &by_hand, json);
        }
    }
}

#[test]
fn chains_of_second_order_trees_and_several_chains() {
    // Enumerated below: 2^4 states each.
    let second = "data y: real[T]\nparam q ~ beta(2, 2)\nmarginal z: int<lower=0, upper=1>[T]\n\
                  z[1:2] ~ bernoulli(0.5)\n\
                  for t in 3:T { z[t] ~ bernoulli(if z[t-1] + z[t-2] == 1 { q } else { 0.5 * q }) }\n\
                  y ~ normal(z, 1)\n";
    let tree = "data y: real[T]\nparam q ~ beta(2, 2)\nmarginal z: int<lower=0, upper=1>[T]\n\
                z[1] ~ bernoulli(0.5)\n\
                for t in 2:T { z[t] ~ bernoulli(if z[int_div(t, 2)] == 1 { q } else { 0.5 * q }) }\n\
                y ~ normal(z, 1)\n";
    let chains = "data y: real[T]\nparam q ~ beta(2, 2)\nmarginal z: int<lower=0, upper=1>[2, 5]\n\
                  z[:, 1] ~ bernoulli(0.5)\n\
                  for i in 1:2 { for t in 2:5 { z[i, t] ~ bernoulli(if z[i, t-1] == 1 { q } else { 0.5 * q }) } }\n\
                  for i in 1:2 { for t in 1:5 { y[(i - 1) * 5 + t] ~ normal(z[i, t], 1) } }\n";
    let second_order: fn(&[usize], usize) -> Option<Vec<usize>> =
        |_, t| (t >= 2).then(|| vec![t - 1, t - 2]);
    let parents_of_tree: fn(&[usize], usize) -> Option<Vec<usize>> =
        |_, t| (t >= 1).then(|| vec![t.div_ceil(2) - 1]);
    let of_chains: fn(&[usize], usize) -> Option<Vec<usize>> =
        |_, t| (t % 5 >= 1).then(|| vec![t - 1]);
    let y = [0.3, -1.0, 2.5, 1.4, 0.1, 0.7, -0.2, 0.9, 1.3, 0.4];
    for (text, parents) in [(second, second_order), (tree, parents_of_tree), (chains, of_chains)] {
        let json = serde_json::json!({ "y": y }).to_string();
        let posterior = posterior(text, &json);
        let u = 0.3_f64;
        let q = 1.0 / (1.0 + (-u).exp());
        let mut total = 0.0;
        let mut marginal = vec![0.0; y.len()];
        for state in 0..1_usize << y.len() {
            let z: Vec<usize> = (0..y.len()).map(|t| state >> t & 1).collect();
            let mut p = 1.0;
            for t in 0..y.len() {
                let one = match parents(&z, t) {
                    None => 0.5,
                    Some(of) => {
                        if of.iter().map(|&i| z[i]).sum::<usize>() == 1 {
                            q
                        } else {
                            0.5 * q
                        }
                    }
                };
                let gap = y[t] - z[t] as f64;
                p *= if z[t] == 1 { one } else { 1.0 - one };
                p *= (-0.5 * gap * gap).exp() / (2.0 * std::f64::consts::PI).sqrt();
            }
            total += p;
            z.iter().zip(&mut marginal).for_each(|(&z, m)| *m += p * z as f64);
        }
        // beta(2, 2) and its Jacobian.
        let prior = (6.0 * q * (1.0 - q)).ln() + (q * (1.0 - q)).ln();
        let (l, _) = score(&posterior, &[u]);
        assert!(close(l, total.ln() + prior, 1e-12, 0.0), "{l} {}", total.ln() + prior);
        let draws = posterior.values().at(&[u], 1, 1, 0);
        let z = draws.variables.iter().find(|v| v.name == "z_prob").unwrap();
        for (t, m) in marginal.iter().enumerate() {
            assert!(close(z.values[2 * t + 1], m / total, 1e-12, 0.0));
            assert!(close(z.values[2 * t], 1.0 - m / total, 1e-12, 0.0));
        }
        // All of the likelihood in one number for a component that is joined.
        let pointwise = posterior.log_likelihood().at(&[u], 1, 1, 0);
        assert_eq!(pointwise.variables[0].name, "y");
        let sum: f64 = pointwise.variables[0].values.iter().sum();
        assert!(close(sum, total.ln(), 1e-12, 0.0), "{sum} {}", total.ln());
    }
}

/// Stan User's Guide, "Change point models".
#[test]
fn a_change_point() {
    same(
        "data D: int<lower=0>[T]\nparam e ~ exponential(1)\nparam l ~ exponential(1)\n\
         marginal s ~ discrete_range(1, T)\n\
         for t in 1:T { D[t] ~ poisson(if t < s { e } else { l }) }\n",
        "data D: int<lower=0>[T]\nparam e ~ exponential(1)\nparam l ~ exponential(1)\n\
         let lp: real[T] {\n  for s in 1:T { lp[s] = -log(T) + sum(poisson_log_density(D, \
         if (1:T) < s { fill(T, e) } else { fill(T, l) })) }\n}\nfactor log_sum_exp(lp)\n",
        r#"{"D": [4, 5, 4, 0, 1, 0, 1, 2]}"#,
    );
}

/// Stan User's Guide, "Noisy categorical measurement model" (Dawid and Skene).
#[test]
fn raters_of_items_with_an_unknown_category() {
    let head = "data ii: int[N]\ndata jj: int[N]\ndata y: int<lower=1, upper=3>[N]\n\
                data I: int\ndata J: int\nparam pi: simplex[3] ~ dirichlet([1, 1, 1])\n\
                param theta: array[J, 3] simplex[3] ~ dirichlet([1, 1, 1])\n";
    same(
        &format!(
            "{head}marginal z: int<lower=1, upper=3>[I] ~ categorical(pi)\n\
             for n in 1:N {{ y[n] ~ categorical(theta[jj[n], z[ii[n]]]) }}\n"
        ),
        &format!(
            "{head}let lp: real[I, 3] {{\n  for i in 1:I {{ for k in 1:3 {{\n    lp[i, k] = log(pi[k]) \
             + sum(if ii == i {{ ratings(jj, y, theta, k) }} else {{ zeros(N) }})\n  }} }}\n}}\n\
             fn ratings(jj: int[N], y: int[N], theta: real[J, 3, 3], k: int) -> real[N] {{\n\
             \x20 let each: real[N] {{ for n in 1:N {{ each[n] = log(theta[jj[n], k, y[n]]) }} }}\n  each\n}}\n\
             for i in 1:I {{ factor log_sum_exp(lp[i]) }}\n"
        ),
        r#"{"ii": [1, 1, 2, 2, 3, 3, 3], "jj": [1, 2, 1, 2, 1, 2, 2], "y": [1, 2, 3, 3, 1, 1, 2],
            "I": 3, "J": 2}"#,
    );
}

/// The Cormack-Jolly-Seber model: alive or not is a chain with an absorbing state.
#[test]
fn capture_and_recapture() {
    let json = r#"{"y": [[1, 0, 1, 0, 0], [1, 1, 0, 0, 0], [1, 0, 0, 0, 0]]}"#;
    let head =
        "data y: int<lower=0, upper=1>[I, T]\nparam phi ~ beta(2, 2)\nparam p ~ beta(2, 2)\n";
    let model = format!(
        "{head}marginal alive: int<lower=0, upper=1>[I, T]\nalive[:, 1] ~ bernoulli(1)\n\
         for i in 1:I {{ for t in 2:T {{\n  alive[i, t] ~ bernoulli(phi * alive[i, t-1])\n\
         \x20 y[i, t] ~ bernoulli(p * alive[i, t])\n}} }}\n"
    );
    // After the last capture: dead at once, or alive and missed, and so on.
    let by_hand = format!(
        "{head}let chi: real[T] {{\n  chi[T] = 1\n\
         \x20 for s in 1:T - 1 {{ chi[T - s] = 1 - phi + phi * (1 - p) * chi[T - s + 1] }}\n}}\n\
         factor 2 * log(phi) + log1p(-p) + log(p) + log(chi[3])\n\
         factor log(phi) + log(p) + log(chi[2])\nfactor log(chi[1])\n"
    );
    same(&model, &by_hand, json);
    // The gradient exists although some paths are impossible.
    let (_, s) = score(&posterior(&model, json), &[0.4, -0.3]);
    assert!(s.iter().all(|x| x.is_finite()), "{s:?}");
}

/// Binomial mixture of counts with a Poisson number of animals, cut off and normalised.
#[test]
fn a_truncated_prior_is_normalised() {
    same(
        "data y: int<lower=0>[R]\nparam lambda ~ gamma(2, 1)\nparam p ~ beta(1, 1)\n\
         marginal n: int<lower=0, upper=20>[R] ~ poisson(lambda)\ny ~ binomial(n, p)\n",
        "data y: int<lower=0>[R]\nparam lambda ~ gamma(2, 1)\nparam p ~ beta(1, 1)\n\
         let lp: real[R, 21] {\n  for r in 1:R { for k in 1:21 {\n\
         \x20   lp[r, k] = if y[r] > k - 1 { -1.0 / 0.0 } else { poisson_log_density(k - 1, lambda) \
         + lchoose(k - 1, y[r]) + y[r] * log(p) + (k - 1 - y[r]) * log1p(-p) }\n  } }\n}\n\
         for r in 1:R { factor log_sum_exp(lp[r]) - poisson_log_cdf(20, lambda) }\n",
        r#"{"y": [3, 0, 5]}"#,
    );
}

#[test]
fn probabilities_and_pointwise_likelihood_of_a_mixture() {
    let p = posterior(
        "data y: real[N]\nparam m ~ normal(0, 5)\n\
         marginal z: int<lower=1, upper=2>[N] ~ categorical([0.25, 0.75])\n\
         y ~ normal(if z == 1 { fill(N, m) } else { fill(N, -m) }, 1)\n",
        Y,
    );
    let m: f64 = 0.8;
    let draws = p.values().at(&[m], 1, 1, 0);
    let z = draws.variables.iter().find(|v| v.name == "z_prob").unwrap();
    assert_eq!(z.shape, [6, 2]);
    let pointwise = p.log_likelihood().at(&[m], 1, 1, 0);
    assert_eq!(
        (pointwise.variables[0].name.as_str(), &pointwise.variables[0].shape[..]),
        ("y", &[6][..])
    );
    for (n, y) in [0.3, -1.0, 2.5, 4.0, 0.1, 0.7].into_iter().enumerate() {
        let density =
            |mu: f64| (-0.5 * (y - mu) * (y - mu)).exp() / (2.0 * std::f64::consts::PI).sqrt();
        let (a, b) = (0.25 * density(m), 0.75 * density(-m));
        assert!(close(z.values[2 * n], a / (a + b), 1e-13, 0.0));
        assert!(close(pointwise.variables[0].values[n], (a + b).ln(), 1e-13, 1e-13));
    }
}

#[test]
fn long_and_wide_models_stay_small() {
    let y: Vec<f64> = (0..3000).map(|i| (f64::from(i) * 0.1).sin()).collect();
    let json = serde_json::json!({ "y": y }).to_string();
    let p = posterior(
        "data y: real[T]\nparam P: array[3] simplex[3] ~ dirichlet([1, 1, 1])\n\
         param mu: ordered[3] ~ normal(0, 3)\nmarginal z: int<lower=1, upper=3>[T]\n\
         z[1] ~ categorical([0.2, 0.3, 0.5])\nfor t in 2:T { z[t] ~ categorical(P[z[t-1]]) }\n\
         y ~ normal(mu[z], 1)\n",
        &json,
    );
    let (l, _) = score(&p, &[0.1; 9]);
    assert!(l.is_finite());
    assert!(p.log_joint().insts.len() < 120, "{}", p.log_joint().insts.len());
}

#[test]
fn what_cannot_be_summed_is_refused_with_all_places() {
    let text = errors(
        "data y: real[N]\nparam m ~ normal(0, 1)\nmarginal z: int<lower=0, upper=1>[40] ~ bernoulli(0.5)\n\
         y ~ normal(m + sum(real(z)), 1)\n",
        Y,
    );
    assert!(text.contains("E0511") && text.contains("1099511627776"), "{text}");
    assert!(text.contains("model.ppl:4:1") && text.contains("`z` has 2 values each"), "{text}");
    // A grid is no chain: its sum grows with its width.
    let grid = errors(
        "data y: real[N]\nparam b ~ normal(0, 1)\nmarginal z: int<lower=0, upper=1>[40, 40] ~ bernoulli(0.5)\n\
         for i in 2:40 { for j in 2:40 {\n  factor b * (z[i, j] == z[i-1, j])\n  factor b * (z[i, j] == z[i, j-1])\n} }\n\
         y ~ normal(b, 1)\n",
        Y,
    );
    assert!(grid.contains("E0511"), "{grid}");
    let without = errors(
        "data y: real[T]\nparam m: ordered[2] ~ normal(0, 1)\nmarginal z: int<lower=1, upper=2>[T]\n\
         for t in 2:T { z[t] ~ categorical([0.5, 0.5]) }\ny ~ normal(m[z], 1)\n",
        Y,
    );
    assert!(without.contains("E0512") && without.contains("z[1]"), "{without}");
    let outside = errors(
        "data y: real[T]\nparam m: real[2] ~ normal(0, 1)\n\
         marginal z: int<lower=1, upper=3>[T] ~ categorical([0.5, 0.3, 0.2])\ny ~ normal(m[z], 1)\n",
        Y,
    );
    assert!(outside.contains("E0502"), "{outside}");
}

/// Stan's functions, against the compiler's own sum and by the frequencies of draws.
#[test]
fn functions_of_hidden_markov_models() {
    let head = "data y: real[T]\nparam P: array[3] simplex[3] ~ dirichlet([1, 1, 1])\n\
                param mu: ordered[3] ~ normal(0, 3)\nlet rho = [0.2, 0.3, 0.5]\n";
    let omega = "let w: real[3, T] {\n  for k in 1:3 { for t in 1:T { w[k, t] = \
                 normal_log_density(y[t], mu[k], 1) } }\n}\nfactor hmm_marginal(w, P, rho)\n\
                 gen p = hmm_hidden_state_prob(w, P, rho)\ngen z = hmm_latent_rng(w, P, rho)\n";
    let by_function = posterior(&format!("{head}{omega}"), Y);
    let named = posterior(
        &format!(
            "{head}marginal z: int<lower=1, upper=3>[T]\nz[1] ~ categorical(rho)\n\
             for t in 2:T {{ z[t] ~ categorical(P[z[t-1]]) }}\ny ~ normal(mu[z], 1)\n"
        ),
        Y,
    );
    same_at(&by_function, &named);
    let at = points(named.dim(), 1).pop().unwrap();
    let draws = 4000;
    let theta = at.repeat(draws);
    let of = |p: &Posterior, name: &str, n: usize| {
        let values = p.values().at(&theta[..n * p.dim()], n, 1, 3);
        values.variables.into_iter().find(|v| v.name == name).unwrap().values
    };
    let (p, exact) = (of(&by_function, "p", 1), of(&named, "z_prob", 1));
    let z = of(&by_function, "z", draws);
    for t in 0..6 {
        for k in 0..3 {
            assert!(close(p[k * 6 + t], exact[t * 3 + k], 1e-12, 1e-12));
            let hits = (0..draws).filter(|d| z[d * 6 + t] == (k + 1) as f64).count();
            let share = hits as f64 / draws as f64;
            let sd = (exact[t * 3 + k] * (1.0 - exact[t * 3 + k]) / draws as f64).sqrt();
            assert!(
                (share - exact[t * 3 + k]).abs() < 5.0 * sd + 1e-9,
                "{share} {}",
                exact[t * 3 + k]
            );
        }
    }
}

#[test]
fn ragged_segments_and_recursions_of_all_forms() {
    same(
        "data n: int<lower=0>[I]\ndata y: real[sum(n)]\nparam mu: real[I] ~ normal(0, 10)\n\
         let first: int[I] {\n  for i in 1:I { first[i] = 1 + sum(n[1:i - 1]) }\n}\n\
         for i in 1:I { segment(y, first[i], n[i]) ~ normal(mu[i], 1) }\n",
        "data n: int[I]\ndata y: real[N]\ndata g: int[N]\nparam mu: real[I] ~ normal(0, 10)\n\
         y ~ normal(mu[g], 1)\n",
        r#"{"n": [2, 3, 1], "g": [1, 1, 2, 2, 2, 3], "y": [0.3, -1.0, 2.5, 4.0, 0.1, 0.7]}"#,
    );
    // Reading an earlier element of the own row, a fixed element, lags of two, an inner block.
    let head = "data y: real[T]\nparam a ~ normal(0, 1)\n";
    let closed = "let x: real[T] {\n  x[1] = a\n  x[2] = 2 * a\n  for t in 3:T { x[t] = 0.5 * x[t-1] + 0.3 * x[t-2] + 0.1 * a }\n}\n";
    for text in [
        "let x: real[T] {\n  x[1] = a\n  x[2] = 2 * a\n  for t in 3:T { x[t] = 0.5 * x[t-1] + 0.3 * x[t-2] + 0.1 * x[1] }\n}\n",
        "let x: real[T] {\n  x[1] = a\n  x[2] = 2 * a\n  for t in 3:T {\n    let part: real[2] { for k in 1:2 { part[k] = (if k == 1 { 0.5 } else { 0.3 }) * x[t-k] } }\n    x[t] = sum(part) + 0.1 * a\n  }\n}\n",
        "let x: real[T] {\n  x[1] = a\n  for t in 2:T { if t == 2 { x[t] = 2 * a } else { x[t] = 0.5 * x[t-1] + 0.3 * x[t-2] + 0.1 * a } }\n}\n",
        "let r: real[T] {\n  r[T] = a\n  r[T - 1] = 2 * a\n  for s in 1:T - 2 { r[T - s - 1] = 0.5 * r[T - s] + 0.3 * r[T - s + 1] + 0.1 * a }\n}\nlet x = reverse(r)\n",
        "let w: real[T, 2] {\n  w[1, 1] = 0\n  w[1, 2] = a\n  for t in 2:T {\n    w[t, 1] = w[t-1, 2]\n    w[t, 2] = if t == 2 { 2 * a } else { 0.5 * w[t, 1] + 0.3 * w[t-1, 1] + 0.1 * a }\n  }\n}\nlet x = w[:, 2]\n",
    ] {
        same(
            &format!("{head}{text}y ~ normal(x, 1)\n"),
            &format!("{head}{closed}y ~ normal(x, 1)\n"),
            Y,
        );
    }
    // Two dimensions: each element from the one above and the one to the left.
    same(
        "data y: real[T]\nparam a ~ normal(0, 1)\nlet d: real[T, 3] {\n  d[1] = fill(3, a)\n\
         \x20 for t in 2:T {\n    d[t, 1] = a\n    for k in 2:3 { d[t, k] = 0.5 * d[t-1, k] + 0.25 * d[t, k-1] }\n  }\n}\n\
         y ~ normal(d[:, 3], 1)\n",
        "data y: real[T]\nparam a ~ normal(0, 1)\nlet u: real[T] {\n  u[1] = a\n  for t in 2:T { u[t] = 0.5 * u[t-1] + 0.25 * a }\n}\n\
         let v: real[T] {\n  v[1] = a\n  for t in 2:T { v[t] = 0.5 * v[t-1] + 0.25 * u[t] }\n}\ny ~ normal(v, 1)\n",
        Y,
    );
}
