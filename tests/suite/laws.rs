//! Laws that hold of every distribution of the library, whatever its formulas are: densities sum to one,
//! members agree with each other, and draws have the distribution that they are drawn from.
//!
//! A table gives each distribution arguments. One without a row fails.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use ppl::check::generative::Parameters;
use ppl::data::DataSet;
use ppl::driver::Session;
use ppl::exec::program::Program;
use ppl::ir::Function;
use ppl::lower::{Lowered, Space};
use ppl::passes;
use ppl::results::Role;

use crate::distributions::{Declared, declared};
use crate::problems::Problems;
use crate::tolerance::close;

const PI: f64 = std::f64::consts::PI;
const INF: f64 = f64::INFINITY;

/// Arguments of each distribution of a number, and the ends of its support.
#[rustfmt::skip]
const CONTINUOUS: &[(&str, &[&str], f64, f64)] = &[
    ("asymmetric_laplace", &["0.5, 1.3, 0.6", "-1, 0.2, 3"], -INF, INF),
    ("beta", &["1.4, 2.6", "0.6, 0.7", "30, 90"], 0.0, 1.0),
    ("beta_prime", &["2.2, 4.1", "0.7, 6"], 0.0, INF),
    ("beta_proportion", &["0.3, 6.5", "0.8, 40"], 0.0, 1.0),
    ("burr", &["2.1, 3, 1.5", "1, 5, 0.3"], 0.0, INF),
    ("cauchy", &["-1, 2"], -INF, INF),
    ("chi", &["3.3", "0.8", "60"], 0.0, INF),
    ("chi_square", &["5.5", "0.9", "80"], 0.0, INF),
    ("double_exponential", &["1, 0.7"], -INF, INF),
    ("exp_mod_normal", &["0.1, 0.8, 1.7", "1, 2, 0.3"], -INF, INF),
    ("exponential", &["0.7"], 0.0, INF),
    ("exponentiated_weibull", &["2.2, 1.4, 0.8", "0.6, 1.2, 3"], 0.0, INF),
    ("fisher_snedecor", &["5, 9.5", "1.2, 30"], 0.0, INF),
    ("frechet", &["4.2, 1.1"], 0.0, INF),
    ("gamma", &["2.3, 1.7", "0.4, 3", "200, 10"], 0.0, INF),
    ("generalized_extreme_value", &["0.5, 1.2, 0.2"], -5.5, INF),
    ("generalized_gamma", &["1.5, 2.5, 1.3"], 0.0, INF),
    ("generalized_normal", &["0.5, 1.2, 1.6", "0, 1, 5"], -INF, INF),
    ("generalized_pareto", &["1, 2, 0.2"], 1.0, INF),
    ("gompertz", &["0.6, 1.1"], 0.0, INF),
    ("gumbel", &["-0.4, 1.3"], -INF, INF),
    ("half_cauchy", &["1.9"], 0.0, INF),
    ("half_normal", &["1.6"], 0.0, INF),
    ("half_student_t", &["6.5, 1.2"], 0.0, INF),
    ("hyperbolic_secant", &["0.4, 1.4"], -INF, INF),
    ("inv_chi_square", &["7.5"], 0.0, INF),
    ("inv_gamma", &["5.3, 2.1"], 0.0, INF),
    ("inv_gaussian", &["1.2, 3.4", "2, 0.8"], 0.0, INF),
    ("johnson_su", &["0.4, 1.9, 0.5, 1.2"], -INF, INF),
    ("kumaraswamy", &["2.2, 3.1", "0.7, 1.4"], 0.0, 1.0),
    ("laplace", &["-0.5, 1.1"], -INF, INF),
    ("levy", &["0.5, 1.3"], 0.5, INF),
    ("log_laplace", &["0.2, 0.18"], 0.0, INF),
    ("log_uniform", &["0.5, 20"], 0.5, 20.0),
    ("logistic", &["0.3, 1.1"], -INF, INF),
    ("logit_normal", &["0.4, 1.2"], 0.0, 1.0),
    ("loglogistic", &["1.5, 5.5"], 0.0, INF),
    ("lognormal", &["0.2, 0.6"], 0.0, INF),
    ("maxwell", &["1.3"], 0.0, INF),
    ("moyal", &["0.4, 1.1"], -INF, INF),
    ("nakagami", &["1.7, 2.2"], 0.0, INF),
    ("normal", &["0.5, 1.5"], -INF, INF),
    ("normal_id_glm", &["[1.0, -2.0], 0.25, [0.5, 0.75], 1.5"], -INF, INF),
    ("normal_inverse_gaussian", &["0.3, 2.1, 0.7, 1.2"], -INF, INF),
    ("pareto", &["1.5, 6.5"], 1.5, INF),
    ("pareto_type_2", &["-1, 2, 6.5"], -1.0, INF),
    ("rayleigh", &["1.4"], 0.0, INF),
    ("rice", &["1.2, 0.9", "0.2, 2"], 0.0, INF),
    ("scaled_inv_chi_square", &["8.5, 1.2"], 0.0, INF),
    ("skew_double_exponential", &["0.4, 1.3, 0.3"], -INF, INF),
    ("skew_normal", &["0.2, 1.4, -3", "0, 1, 0.5"], -INF, INF),
    ("skew_student_t", &["7.5, 0.4, 1.2, -2"], -INF, INF),
    ("std_normal", &[""], -INF, INF),
    ("student_t", &["6.5, 1, 0.7"], -INF, INF),
    ("triangular", &["-1, 0.5, 3"], -1.0, 3.0),
    ("truncated_normal", &["0.5, 2, -1, 3", "0, 1, 4, 6"], -INF, INF),
    ("uniform", &["-1, 3.5"], -1.0, 3.5),
    ("von_mises", &["0.7, 2.4", "-3, 0.3", "2, 150"], -PI, PI),
    ("weibull", &["1.8, 0.9", "0.8, 2"], 0.0, INF),
    ("wrapped_cauchy", &["0.6, 0.4", "-3, 0.8"], -PI, PI),
];

/// The same of those of a whole number, as far as they have a probability above 1e-12.
#[rustfmt::skip]
const DISCRETE: &[(&str, &[&str], i64, i64)] = &[
    ("bernoulli", &["0.3"], 0, 1),
    ("bernoulli_logit", &["-0.7"], 0, 1),
    ("bernoulli_logit_glm", &["[1.0, -2.0], 0.25, [0.5, 0.75]"], 0, 1),
    ("beta_binomial", &["20, 1.4, 2.5"], 0, 20),
    ("beta_neg_binomial", &["2.5, 30.5, 8"], 0, 400),
    ("binomial", &["12, 0.3", "60, 0.9"], 0, 60),
    ("binomial_logit", &["12, -0.6"], 0, 12),
    ("binomial_logit_glm", &["15, [1.0, -2.0], 0.25, [0.5, 0.75]"], 0, 15),
    ("borel", &["0.35"], 1, 150),
    ("categorical", &["[0.2, 0.5, 0.3]"], 1, 3),
    ("categorical_logit", &["[0.2, -0.5, 1.3, 0]"], 1, 4),
    ("categorical_logit_glm", &["[1.0, -2.0], [0.25, 0, -1], [[0.5, 0.75, 0], [1, -1, 0.25]]"], 1, 3),
    ("discrete_laplace", &["0.7"], -60, 60),
    ("discrete_range", &["-2, 5"], -2, 5),
    ("discrete_uniform", &["1, 6"], 1, 6),
    ("discrete_weibull", &["0.6, 1.4"], 0, 60),
    ("generalized_poisson", &["2.5, 0.3"], 0, 150),
    ("geometric", &["0.3", "0.9"], 0, 100),
    ("hypergeometric", &["9, 12, 10", "6, 4, 14"], 0, 9),
    ("logarithmic", &["0.6"], 1, 80),
    ("neg_binomial", &["2.5, 0.8"], 0, 120),
    ("neg_binomial_2", &["4.2, 3.1"], 0, 150),
    ("neg_binomial_2_log", &["1.2, 3.1"], 0, 150),
    ("neg_binomial_2_log_glm", &["[1.0, -2.0], 0.25, [0.5, -0.75], 3.1"], 0, 300),
    ("ordered_logistic", &["0.5, [-1.0, 0.25, 2.0]"], 1, 4),
    ("ordered_logistic_glm", &["[1.0, -2.0], [0.5, 0.25], [-1.0, 0.25, 2.0]"], 1, 4),
    ("ordered_probit", &["0.5, [-1.0, 0.25, 2.0]"], 1, 4),
    ("poisson", &["0.4", "6.5"], 0, 60),
    ("poisson_binomial", &["[0.25, 0.5, 0.875, 0.1]"], 0, 4),
    ("poisson_log", &["1.4"], 0, 60),
    ("poisson_log_glm", &["[1.0, -2.0], 0.25, [0.5, -0.75]"], 0, 80),
    ("skellam", &["3.2, 1.4"], -40, 60),
    ("yule_simon", &["9.5"], 1, 3000),
    ("zipf", &["12, 1.3"], 1, 12),
];

/// An expression, its mean and its variance.
type Moments = (&'static str, f64, f64);

/// Those of vectors and matrices with the shape of a draw, and what the mean and variance of some numbers
/// made of a draw `x` are.
#[rustfmt::skip]
const STRUCTURED: &[(&str, &str, &str, &[Moments])] = &[
    ("car", "real[3]", "[1.0, -2.0, 0.5], 0.5, 2.0, [[0.0, 1.0, 0.5], [1.0, 0.0, 0.25], [0.5, 0.25, 0.0]]",
     &[("x[1]", 1.0, 0.4244604316546762), ("x[3] - x[2]", 2.5, 0.949640287769784)]),
    ("dirichlet", "simplex[3]", "[1.5, 2.5, 4.0]", &[("x[1]", 0.1875, 0.016_036_184_210_526_315), ("x[1] + x[2]", 0.5, 0.026_315_789_473_684_21)]),
    ("dirichlet_multinomial", "int[3]", "7, [1.5, 2.5, 4.0]",
     &[("real(x[1])", 1.3125, 1.777_343_75), ("real(x[1] + x[2] + x[3])", 7.0, 0.0)]),
    ("gaussian_dlm_obs", "real[1, 2]", "[[2.0]], [[0.5]], [[0.25]], [[1.5]], [1.0], [[2.0]]",
     &[("x[1, 1]", 1.0, 8.25), ("x[1, 2]", 0.5, 8.25)]),
    ("gaussian_random_walk", "real[4]", "1.5", &[("x[1]", 0.0, 2.25), ("x[4] - x[2]", 0.0, 4.5)]),
    ("inv_wishart", "cov_matrix[2]", "9.0, [[2.0, 0.5], [0.5, 1.0]]",
     &[("x[1, 1]", 2.0 / 6.0, 8.0 / (36.0 * 4.0)), ("x[1, 2]", 0.5 / 6.0, (8.0 * 0.25 + 6.0 * 2.0) / (7.0 * 36.0 * 4.0))]),
    ("inv_wishart_cholesky", "cholesky_cov[2]", "9.0, [[2.0, 0.0], [0.5, 1.0]]",
     &[("(x @ x')[1, 1]", 4.0 / 6.0, 32.0 / (36.0 * 4.0)), ("(x @ x')[1, 2]", 1.0 / 6.0, (8.0 + 6.0 * 5.0) / (7.0 * 36.0 * 4.0))]),
    ("lkj_corr", "corr_matrix[3]", "1.5", &[("x[1, 2]", 0.0, 0.2), ("x[2, 3]", 0.0, 0.2), ("square(x[1, 3])", 0.2, 4.0 / 175.0 * 2.0)]),
    ("lkj_corr_cholesky", "cholesky_corr[3]", "1.5", &[("x[2, 1]", 0.0, 0.2), ("(x @ x')[2, 3]", 0.0, 0.2), ("x[1, 1]", 1.0, 0.0)]),
    ("matrix_normal", "real[2, 2]", "[[1.0, -2.0], [0.5, 0.0]], [[2.0, 0.5], [0.5, 1.0]], [[1.0, 0.25], [0.25, 3.0]]",
     &[("x[1, 2]", -2.0, 6.0), ("x[1, 2] + x[2, 1]", -1.5, 6.0 + 1.0 + 2.0 * 0.125)]),
    ("multi_gp", "real[2, 2]", "[[2.0, 0.5], [0.5, 1.0]], [0.5, 4.0]", &[("x[1, 2]", 0.0, 2.0), ("x[2, 1] + x[2, 2]", 0.0, 1.0)]),
    ("multi_gp_cholesky", "real[2, 2]", "[[2.0, 0.0], [0.5, 1.0]], [0.5, 4.0]", &[("x[1, 2]", 0.0, 2.5), ("x[2, 1] + x[2, 2]", 0.0, 7.25 / 4.0)]),
    ("multi_normal", "real[2]", "[1.0, -2.0], [[2.0, 0.5], [0.5, 1.0]]", &[("x[2]", -2.0, 1.0), ("x[1] + x[2]", -1.0, 4.0)]),
    ("multi_normal_cholesky", "real[2]", "[1.0, -2.0], [[2.0, 0.0], [0.5, 1.0]]", &[("x[1]", 1.0, 4.0), ("x[1] + x[2]", -1.0, 7.25)]),
    ("multi_normal_low_rank", "real[2]", "[1.0, -2.0], [[2.0], [0.5]], [0.5, 1.0]", &[("x[1]", 1.0, 4.5), ("x[1] + x[2]", -1.0, 7.75)]),
    ("multi_normal_prec", "real[2]", "[1.0, -2.0], [[2.0, 0.5], [0.5, 1.0]]", &[("x[1]", 1.0, 1.0 / 1.75), ("x[1] + x[2]", -1.0, 2.0 / 1.75)]),
    ("multi_student_t", "real[2]", "9.0, [1.0, -2.0], [[2.0, 0.5], [0.5, 1.0]]", &[("x[2]", -2.0, 9.0 / 7.0), ("x[1] + x[2]", -1.0, 36.0 / 7.0)]),
    ("multi_student_t_cholesky", "real[2]", "9.0, [1.0, -2.0], [[2.0, 0.0], [0.5, 1.0]]", &[("x[1]", 1.0, 36.0 / 7.0), ("x[1] + x[2]", -1.0, 7.25 * 9.0 / 7.0)]),
    ("multinomial", "int[3]", "7, [0.2, 0.5, 0.3]", &[("real(x[2])", 3.5, 1.75), ("real(x[1] + x[2] + x[3])", 7.0, 0.0)]),
    ("multinomial_logit", "int[2]", "7, [0.0, 0.0]", &[("real(x[2])", 3.5, 1.75)]),
    ("multivariate_hypergeometric", "int[3]", "6, [5, 4, 8]", &[("real(x[1])", 30.0 / 17.0, 6.0 * 5.0 / 17.0 * 12.0 / 17.0 * 11.0 / 16.0), ("real(x[1] + x[2] + x[3])", 6.0, 0.0)]),
    ("von_mises_fisher", "unit_vector[3]", "[0.6, 0.0, 0.8], 2.0",
     &[("0.6 * x[1] + 0.8 * x[3]", 0.537_314_720_727_548, 0.174_007_611_616_354_7), ("x[2]", 0.0, 0.268_657_360_363_774), ("dot_self(x)", 1.0, 0.0)]),
    ("wishart", "cov_matrix[2]", "6.0, [[2.0, 0.5], [0.5, 1.0]]", &[("x[1, 1]", 12.0, 48.0), ("x[1, 2]", 3.0, 13.5)]),
    ("wishart_cholesky", "cholesky_cov[2]", "6.0, [[2.0, 0.0], [0.5, 1.0]]", &[("(x @ x')[1, 1]", 24.0, 192.0), ("(x @ x')[1, 2]", 6.0, 36.0)]),
    ("zero_sum_normal", "sum_to_zero[4]", "1.5", &[("x[1]", 0.0, 2.25 * 0.75), ("sum(x)", 0.0, 0.0)]),
];

/// Why a distribution has none of these rows.
const NONE: &[(&str, &str)] = &[
    ("flat", "it is improper"),
    ("wiener", "it is defective: the lower boundary has the rest"),
    ("multinomial__counts", "the number of trials is not part of it"),
    ("multinomial_logit__counts", "the number of trials is not part of it"),
    ("dirichlet_multinomial__counts", "the number of trials is not part of it"),
];

#[test]
fn every_distribution_has_a_row() {
    let mut rows: Vec<&str> = CONTINUOUS.iter().map(|r| r.0).collect();
    rows.extend(DISCRETE.iter().map(|r| r.0));
    rows.extend(STRUCTURED.iter().map(|r| r.0));
    rows.extend(NONE.iter().map(|r| r.0));
    let unique: BTreeSet<&str> = rows.iter().copied().collect();
    assert_eq!(unique.len(), rows.len(), "one row each");
    let declared: Vec<String> = declared().into_keys().collect();
    assert_eq!(unique.into_iter().collect::<Vec<_>>(), declared);
}

/// Expressions of a point `x` and a probability `p`, as a program.
struct Formulas {
    f: Function,
    program: Program<f64>,
}

impl Formulas {
    fn new(text: &str, names: &[&str]) -> Self {
        let lowered = lowered(text);
        let output =
            |name: &&str| lowered.variables.iter().find(|v| v.name == **name).unwrap().output;
        let mut f = lowered.function.clone();
        f.outputs = names.iter().map(|n| lowered.function.outputs[output(n)].clone()).collect();
        let data: Vec<_> = lowered.data.iter().map(|(n, t)| (n.as_str(), t.clone())).collect();
        let f = passes::optimize(&passes::bind(&f, &data));
        let program = Program::<f64>::compile(&f);
        Formulas { f, program }
    }

    /// The values, a row for each point.
    fn at(&self, points: &[f64]) -> Vec<Vec<f64>> {
        let n = points.len();
        let inputs: Vec<&[f64]> = self.f.inputs.iter().map(|_| points).collect();
        let mut columns = vec![vec![0.0; n]; self.f.outputs.len()];
        let mut outputs: Vec<&mut [f64]> = columns.iter_mut().map(Vec::as_mut_slice).collect();
        self.program.run(n, &inputs, &mut outputs);
        (0..n).map(|i| columns.iter().map(|c| c[i]).collect()).collect()
    }
}

fn lowered(text: &str) -> Lowered {
    let mut session = Session::new();
    let data = DataSet::from_arrays(std::iter::empty::<(String, ppl::data::DataArray)>());
    let lowered = session
        .check("laws", text)
        .and_then(|model| session.lower(&model, &data, Space::Constrained));
    lowered.unwrap_or_else(|| panic!("{text}\n{}", session.render(false)))
}

/// Whether a distribution has a member, declared or derived.
fn provides(members: &[String], member: &str) -> bool {
    let has = |m: &str| members.iter().any(|x| x == m);
    has(member)
        || (matches!(member, "log_cdf" | "log_survival" | "quantile" | "sample") && has("cdf"))
}

/// A distribution of a number with its arguments: its members as programs.
struct Law {
    density: Formulas,
    /// Members of one point, and moments.
    rest: Formulas,
    names: Vec<&'static str>,
    quantile: Option<Formulas>,
}

impl Law {
    fn new(dist: &str, args: &str, scalar: &str) -> Self {
        static DECLARED: OnceLock<BTreeMap<String, Declared>> = OnceLock::new();
        let declared = &DECLARED.get_or_init(declared)[dist].members;
        let comma = if args.is_empty() { "" } else { ", " };
        let head = match scalar {
            "int" => "param point: real\nlet x = int(point)\n",
            _ => "param point: real\nlet x = point\n",
        };
        let mut rest = head.to_owned();
        let mut names = Vec::new();
        for member in ["cdf", "log_cdf", "log_survival", "mean", "variance"] {
            if provides(declared, member) {
                let own = if matches!(member, "mean" | "variance") { "" } else { "x" };
                // `poisson_log_cdf` is `log_cdf` of `poisson`.
                if member == "cdf" && dist.ends_with("_log") {
                    rest += &format!("gen cdf = exp({dist}_log_cdf(x, {args}))\n");
                    names.push(member);
                    continue;
                }
                let comma = if own.is_empty() { "" } else { comma };
                rest += &format!("gen {member} = {dist}_{member}({own}{comma}{args})\n");
                names.push(member);
            }
        }
        let one = |member: &str, own: &str| {
            let text = format!("{head}gen {member} = {dist}_{member}({own}{comma}{args})\n");
            Formulas::new(&text, &[member])
        };
        Law {
            density: one("log_density", "x"),
            rest: Formulas::new(&rest, &names),
            quantile: provides(declared, "quantile").then(|| one("quantile", "point")),
            names,
        }
    }

    fn log_density(&self, points: &[f64]) -> Vec<f64> {
        self.density.at(points).into_iter().map(|row| row[0]).collect()
    }

    /// A member at each of the points.
    fn each(&self, member: &str, points: &[f64]) -> Option<Vec<f64>> {
        let at = self.names.iter().position(|n| *n == member)?;
        Some(self.rest.at(points).into_iter().map(|row| row[at]).collect())
    }

    fn at(&self, member: &str, x: f64) -> Option<f64> {
        Some(self.each(member, &[x])?[0])
    }

    fn quantiles(&self, p: &[f64]) -> Vec<f64> {
        let quantile = self.quantile.as_ref().unwrap();
        quantile.at(p).into_iter().map(|row| row[0]).collect()
    }
}

/// `∫ f` over pieces that end at `cuts`, by a double-exponential rule that stands smooth functions with
/// steep ends; infinite pieces have the given scale.
fn integral(low: f64, cuts: &[f64], high: f64, scale: f64, f: impl Fn(&[f64]) -> Vec<f64>) -> f64 {
    let h = 1.0 / 24.0;
    let ends: Vec<f64> = [&[low], cuts, &[high]].concat();
    let (mut places, mut weights) = (Vec::new(), Vec::new());
    for piece in ends.windows(2).filter(|piece| piece[0] < piece[1]) {
        let (a, b) = (piece[0], piece[1]);
        for i in -108..=108 {
            let t = f64::from(i) * h;
            let (s, c) = (0.5 * PI * t.sinh(), 0.5 * PI * t.cosh());
            let (x, weight) = if a.is_finite() && b.is_finite() {
                let share = (1.0 + (-2.0 * s).exp()).recip();
                (a + (b - a) * share, (b - a) * 0.5 * c / s.cosh().powi(2))
            } else if a.is_finite() {
                (a + scale * s.exp(), scale * c * s.exp())
            } else {
                (b - scale * s.exp(), scale * c * s.exp())
            };
            if a < x && x < b {
                places.push(x);
                weights.push(h * weight);
            }
        }
    }
    let values = f(&places);
    values.iter().zip(&weights).map(|(v, w)| v * w).filter(|v| v.is_finite()).sum()
}

/// Where a density is not smooth.
fn kink(dist: &str, args: &[f64]) -> Option<f64> {
    match dist {
        "asymmetric_laplace"
        | "double_exponential"
        | "laplace"
        | "skew_double_exponential"
        | "generalized_normal" => Some(args[0]),
        "log_laplace" => Some(args[0].exp()),
        "triangular" => Some(args[1]),
        _ => None,
    }
}

#[test]
fn continuous_distributions_obey_the_laws() {
    let mut problems = Problems::default();
    for (dist, rows, low, high) in CONTINUOUS {
        for args in *rows {
            continuous(dist, args, *low, *high, &mut problems);
        }
    }
    problems.finish();
}

fn continuous(dist: &str, args: &str, low: f64, high: f64, problems: &mut Problems) {
    let what = format!("{dist}({args})");
    let law = Law::new(dist, args, "real");
    let numbers: Vec<f64> = args.split(", ").filter_map(|a| a.parse().ok()).collect();
    let [low, high] =
        if dist == "truncated_normal" { [numbers[2], numbers[3]] } else { [low, high] };
    let finite = |name| law.at(name, 0.5).filter(|v: &f64| v.is_finite());
    let scale = finite("variance").map_or(1.0, f64::sqrt);
    let middle = if low.is_finite() { low + scale } else { 0.0 };
    let centre = kink(dist, &numbers).or(finite("mean")).unwrap_or(middle);
    let cuts: Vec<f64> = [-4.0, 0.0, 4.0].iter().map(|k| centre + k * scale).collect();
    let cuts: Vec<f64> = cuts.into_iter().filter(|c| low < *c && *c < high).collect();
    let moment = |cuts: &[f64], high: f64, weight: &dyn Fn(f64) -> f64| {
        integral(low, cuts, high, scale, |x| {
            law.log_density(x).iter().zip(x).map(|(l, x)| l.exp() * weight(*x)).collect()
        })
    };
    let total = moment(&cuts, high, &|_| 1.0);
    problems.expect((total - 1.0).abs() < 1e-8, || format!("{what} integrates to {total}"));
    if let (Some(mean), Some(variance)) = (finite("mean"), finite("variance")) {
        let found = moment(&cuts, high, &|x| x);
        let right = (found - mean).abs() < 1e-6 * (mean.abs() + scale);
        problems.expect(right, || format!("{what}: mean {mean}, not {found}"));
        let found = moment(&cuts, high, &|x| (x - mean).powi(2));
        let right = (found - variance).abs() < 1e-5 * variance;
        problems.expect(right, || format!("{what}: variance {variance}, not {found}"));
    }
    if law.quantile.is_none() {
        return;
    }
    let places = [-1.6, -0.7, 0.2, 1.1, 2.5].map(|k| centre + k * scale);
    let places: Vec<f64> = places.into_iter().filter(|x| low < *x && *x < high).collect();
    let of = |member| law.each(member, &places).unwrap();
    let [cdf, log_cdf, log_survival] = ["cdf", "log_cdf", "log_survival"].map(of);
    let (back, log_density) = (law.quantiles(&cdf), law.log_density(&places));
    for (i, &x) in places.iter().enumerate() {
        let below: Vec<f64> = cuts.iter().copied().filter(|c| *c < x).collect();
        let found = moment(&below, x, &|_| 1.0);
        let right = (found - cdf[i]).abs() < 1e-8;
        problems.expect(right, || format!("{what}: cdf {} at {x}, not {found}", cdf[i]));
        let right = close(log_cdf[i], cdf[i].ln(), 1e-10, 1e-12);
        problems.expect(right, || format!("{what}: log_cdf {} at {x}, cdf {}", log_cdf[i], cdf[i]));
        let right = (log_survival[i].exp() + cdf[i] - 1.0).abs() < 1e-12;
        problems.expect(right, || format!("{what}: log_survival {} at {x}", log_survival[i]));
        // Rounding of the probability, through the slope.
        let within = 1e-10 * (x.abs() + scale) + 1e-15 / log_density[i].exp();
        let right = (back[i] - x).abs() < within;
        problems.expect(right, || format!("{what}: quantile({}) is {}, not {x}", cdf[i], back[i]));
    }
    // Far to the left, then to the right, as far as numbers near 1 go.
    let p = [1e-250, 1e-30, 1e-5, 0.3, 0.5, 1.0 - 1e-3, 1.0 - 1e-13];
    let x = law.quantiles(&p);
    let of = |member| law.each(member, &x).unwrap();
    let [log_cdf, log_survival] = ["log_cdf", "log_survival"].map(of);
    for (i, log_density) in law.log_density(&x).into_iter().enumerate() {
        let (tail, wanted) = match p[i] {
            p if p < 0.5 => (log_cdf[i], p.ln()),
            p => (log_survival[i], (-p).ln_1p()),
        };
        // So near to a finite end other than 0 there is no number with that tail.
        let at = |end: f64| (x[i] - end).abs() <= 1e-11 * end.abs();
        if at(low) || at(high) || (high == PI && p[i] < 1e-20) {
            continue;
        }
        let slope = (log_density - tail).exp();
        let within = 1e-9 + 1e-13 * wanted.abs() + 64.0 * f64::EPSILON * slope * x[i].abs();
        problems.expect((tail - wanted).abs() <= within, || {
            format!("{what}: quantile({:e}) is {}, log tail {tail}, not {wanted}", p[i], x[i])
        });
    }
    let ends = law.quantiles(&[0.0, 1.0]);
    let right = close(ends[0], low, 1e-12, 0.0) && close(ends[1], high, 1e-12, 0.0);
    problems.expect(right, || format!("{what}: quantiles of 0 and 1 are {ends:?}"));
}

#[test]
#[allow(clippy::cast_precision_loss, reason = "numbers in the table are small")]
fn discrete_distributions_obey_the_laws() {
    let mut problems = Problems::default();
    for (dist, rows, low, high) in DISCRETE {
        for args in *rows {
            let points: Vec<f64> = (*low..=*high).map(|k| k as f64).collect();
            discrete(dist, args, &points, &mut problems);
        }
    }
    problems.finish();
}

fn discrete(dist: &str, args: &str, points: &[f64], problems: &mut Problems) {
    let what = format!("{dist}({args})");
    let law = Law::new(dist, args, "int");
    let mass: Vec<f64> = law.log_density(points).into_iter().map(f64::exp).collect();
    let sum =
        |f: &dyn Fn(f64) -> f64| -> f64 { mass.iter().zip(points).map(|(m, x)| m * f(*x)).sum() };
    let total = sum(&|_| 1.0);
    problems.expect((total - 1.0).abs() < 1e-9, || format!("{what} sums to {total}"));
    let outside = law.log_density(&[points[0] - 1.0])[0];
    let right = outside < -25.0;
    problems.expect(right, || format!("{what}: {outside} outside of the support"));
    if let (Some(mean), Some(variance)) = (law.at("mean", points[0]), law.at("variance", points[0]))
    {
        let found = [sum(&|x| x), sum(&|x| (x - mean).powi(2))];
        let right = close(found[0], mean, 1e-6, 1e-6) && close(found[1], variance, 1e-5, 1e-6);
        problems.expect(right, || format!("{what}: moments {found:?}, not {mean} {variance}"));
    }
    if law.quantile.is_none() {
        return;
    }
    let of = |member| law.each(member, points).unwrap();
    let [cdf, log_cdf, log_survival] = ["cdf", "log_cdf", "log_survival"].map(of);
    let (mut probabilities, mut wanted, mut below) = (vec![0.0], vec![points[0]], 0.0);
    for (i, &x) in points.iter().enumerate() {
        below += mass[i];
        let above: f64 = mass[i + 1..].iter().sum();
        let right = (cdf[i] - below).abs() < 1e-9;
        problems.expect(right, || format!("{what}: cdf {} at {x}, not {below}", cdf[i]));
        let right = close(log_cdf[i], cdf[i].ln(), 1e-9, 1e-11);
        problems.expect(right, || format!("{what}: log_cdf {} at {x}", log_cdf[i]));
        let right = (log_survival[i].exp() - above).abs() < 1e-9;
        problems.expect(right, || format!("{what}: log_survival {} at {x}", log_survival[i]));
        // At a step, half way to the one before, and just above that.
        if mass[i] > 1e-6 && above > 1e-6 {
            probabilities.extend([cdf[i], cdf[i] - 0.5 * mass[i], cdf[i] + 1e-7 - mass[i]]);
            wanted.extend([x; 3]);
        }
    }
    let found = law.quantiles(&probabilities);
    for ((p, wanted), found) in probabilities.iter().zip(&wanted).zip(&found) {
        let right = found == wanted || (*p == 0.0 && *found == f64::NEG_INFINITY);
        problems.expect(right, || format!("{what}: quantile({p}) is {found}, not {wanted}"));
    }
}

/// Draws of `x ~ dist(args)` and of expressions of it.
fn draws(dist: &str, args: &str, ty: &str, expressions: &[&str], n: usize) -> Vec<Vec<f64>> {
    let plain = ty.starts_with("int") || ty.starts_with("real");
    let kind = if plain { "gen" } else { "param" };
    let mut text = format!("{kind} x: {ty} ~ {dist}({args})\n");
    for (i, e) in expressions.iter().enumerate() {
        text += &format!("gen value_{i} = {e}\n");
    }
    let mut session = Session::new();
    let data = DataSet::from_arrays(std::iter::empty::<(String, ppl::data::DataArray)>());
    let model = session.check("draws", &text);
    let model = model.unwrap_or_else(|| panic!("{text}\n{}", session.render(false)));
    let generator = session.generator(&model, &data, Parameters::Drawn);
    let generator = generator.unwrap_or_else(|errors| panic!("{text}\n{errors:?}"));
    let draws = generator.values(&[Role::Gen]).at(&[], n, 1, 1);
    (0..expressions.len())
        .map(|i| {
            let name = format!("value_{i}");
            draws.variables.iter().find(|v| v.name == name).unwrap().scalar(0)
        })
        .collect()
}

/// Mean and variance within 4.5 Monte Carlo standard errors of what they should be.
#[allow(clippy::cast_precision_loss, reason = "numbers of draws are small")]
fn has_moments(x: &[f64], mean: f64, variance: f64, what: &str, problems: &mut Problems) {
    let n = x.len() as f64;
    let average = |f: &dyn Fn(f64) -> f64| x.iter().map(|v| f(*v)).sum::<f64>() / n;
    let m = average(&|v| v);
    let within = 4.5 * (variance / n).sqrt() + 1e-9;
    problems.expect((m - mean).abs() < within, || format!("{what}: mean {m} of draws, not {mean}"));
    let v = average(&|v| (v - mean).powi(2));
    let fourth = average(&|v| (v - mean).powi(4));
    let within = 4.5 * ((fourth - v * v).max(0.0) / n).sqrt() + 1e-9;
    let right = (v - variance).abs() < within;
    problems.expect(right, || format!("{what}: variance {v} of draws, not {variance}"));
}

/// Draws of each sampler.
const DRAWS: usize = 3000;

#[test]
#[allow(clippy::cast_precision_loss, reason = "numbers of draws are small")]
fn draws_of_numbers_follow_their_distribution() {
    let mut problems = Problems::default();
    for (dist, rows, ..) in CONTINUOUS {
        for args in *rows {
            let what = format!("{dist}({args})");
            let x = draws(dist, args, "real", &["x"], DRAWS).swap_remove(0);
            let law = Law::new(dist, args, "real");
            if let Some(mut u) = law.each("cdf", &x) {
                u.sort_by(f64::total_cmp);
                let n = u.len() as f64;
                let gap = |(i, p): (usize, &f64)| {
                    (p - i as f64 / n).abs().max((p - (i as f64 + 1.0) / n).abs())
                };
                // Kolmogorov and Smirnov's distance, times √n, is below 2.2 but for one sample in 8000.
                let distance = u.iter().enumerate().map(gap).fold(0.0, f64::max) * n.sqrt();
                problems.expect(distance < 2.2, || format!("{what}: distance {distance} of draws"));
            } else {
                let of = |name| law.at(name, 0.5).unwrap();
                has_moments(&x, of("mean"), of("variance"), &what, &mut problems);
            }
        }
    }
    for (dist, rows, low, high) in DISCRETE {
        for args in *rows {
            let what = format!("{dist}({args})");
            let x = draws(dist, args, "int", &["real(x)"], DRAWS).swap_remove(0);
            let law = Law::new(dist, args, "int");
            let points: Vec<f64> = (*low..=*high).map(|k| k as f64).collect();
            let mut counts: BTreeMap<i64, f64> = BTreeMap::new();
            #[allow(clippy::cast_possible_truncation, reason = "whole numbers")]
            x.iter().for_each(|x| *counts.entry(*x as i64).or_default() += 1.0);
            // Cells of at least ten, by Pearson's statistic against its mean and standard deviation.
            let (mut statistic, mut cells, mut seen, mut expected) = (0.0_f64, 0.0_f64, 0.0, 0.0);
            let mut rest = x.len() as f64;
            for (k, log_mass) in (*low..=*high).zip(law.log_density(&points)) {
                seen += counts.remove(&k).unwrap_or(0.0);
                expected += x.len() as f64 * log_mass.exp();
                if expected >= 10.0 && rest - expected >= 10.0 {
                    statistic += (seen - expected).powi(2) / expected;
                    rest -= expected;
                    (cells, seen, expected) = (cells + 1.0, 0.0, 0.0);
                }
            }
            let others: f64 = counts.values().sum();
            statistic += (seen + others - rest).powi(2) / rest;
            let bound = cells + 5.0 * (2.0_f64 * cells).sqrt() + 5.0;
            problems.expect(statistic < bound, || {
                format!("{what}: {statistic} of draws, {cells} cells")
            });
        }
    }
    problems.finish();
}

#[test]
fn draws_of_vectors_and_matrices_have_their_moments() {
    let mut problems = Problems::default();
    for (dist, ty, args, rows) in STRUCTURED {
        let expressions: Vec<&str> = rows.iter().map(|r| r.0).collect();
        let found = draws(dist, args, ty, &expressions, 2 * DRAWS);
        for ((expression, mean, variance), x) in rows.iter().zip(&found) {
            let what = format!("{dist}({args}): {expression}");
            has_moments(x, *mean, *variance, &what, &mut problems);
        }
    }
    problems.finish();
}
