//! The standard library's text, and which file defines which name.
//!
//! Only the files that a model needs are parsed; the index comes from the starts of lines, since in
//! the library every declaration starts one (a test compares it with the parser).

use std::collections::HashMap;
use std::sync::OnceLock;

macro_rules! files {
    ($($path:literal,)*) => {
        /// Paths below `stdlib/`, with texts.
        pub const FILES: &[(&str, &str)] = &[
            $(($path, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/stdlib/", $path))),)*
        ];
    };
}

files! {
    "distributions/asymmetric_laplace.ppl",
    "distributions/bernoulli.ppl",
    "distributions/bernoulli_logit.ppl",
    "distributions/bernoulli_logit_glm.ppl",
    "distributions/beta.ppl",
    "distributions/beta_binomial.ppl",
    "distributions/beta_neg_binomial.ppl",
    "distributions/beta_prime.ppl",
    "distributions/beta_proportion.ppl",
    "distributions/binomial.ppl",
    "distributions/binomial_logit.ppl",
    "distributions/binomial_logit_glm.ppl",
    "distributions/borel.ppl",
    "distributions/burr.ppl",
    "distributions/car.ppl",
    "distributions/categorical.ppl",
    "distributions/categorical_logit.ppl",
    "distributions/categorical_logit_glm.ppl",
    "distributions/cauchy.ppl",
    "distributions/chi.ppl",
    "distributions/chi_square.ppl",
    "distributions/dirichlet.ppl",
    "distributions/dirichlet_multinomial.ppl",
    "distributions/dirichlet_multinomial__counts.ppl",
    "distributions/discrete_laplace.ppl",
    "distributions/discrete_range.ppl",
    "distributions/discrete_uniform.ppl",
    "distributions/discrete_weibull.ppl",
    "distributions/double_exponential.ppl",
    "distributions/exp_mod_normal.ppl",
    "distributions/exponential.ppl",
    "distributions/exponentiated_weibull.ppl",
    "distributions/fisher_snedecor.ppl",
    "distributions/flat.ppl",
    "distributions/frechet.ppl",
    "distributions/gamma.ppl",
    "distributions/gaussian_dlm_obs.ppl",
    "distributions/gaussian_random_walk.ppl",
    "distributions/generalized_extreme_value.ppl",
    "distributions/generalized_gamma.ppl",
    "distributions/generalized_normal.ppl",
    "distributions/generalized_pareto.ppl",
    "distributions/generalized_poisson.ppl",
    "distributions/geometric.ppl",
    "distributions/gompertz.ppl",
    "distributions/gumbel.ppl",
    "distributions/half_cauchy.ppl",
    "distributions/half_normal.ppl",
    "distributions/half_student_t.ppl",
    "distributions/hyperbolic_secant.ppl",
    "distributions/hypergeometric.ppl",
    "distributions/inv_chi_square.ppl",
    "distributions/inv_gamma.ppl",
    "distributions/inv_gaussian.ppl",
    "distributions/inv_wishart.ppl",
    "distributions/inv_wishart_cholesky.ppl",
    "distributions/johnson_su.ppl",
    "distributions/kumaraswamy.ppl",
    "distributions/laplace.ppl",
    "distributions/levy.ppl",
    "distributions/lkj_corr.ppl",
    "distributions/lkj_corr_cholesky.ppl",
    "distributions/log_laplace.ppl",
    "distributions/log_uniform.ppl",
    "distributions/logarithmic.ppl",
    "distributions/logistic.ppl",
    "distributions/logit_normal.ppl",
    "distributions/loglogistic.ppl",
    "distributions/lognormal.ppl",
    "distributions/matrix_normal.ppl",
    "distributions/maxwell.ppl",
    "distributions/moyal.ppl",
    "distributions/multi_gp.ppl",
    "distributions/multi_gp_cholesky.ppl",
    "distributions/multi_normal.ppl",
    "distributions/multi_normal_cholesky.ppl",
    "distributions/multi_normal_low_rank.ppl",
    "distributions/multi_normal_prec.ppl",
    "distributions/multi_student_t.ppl",
    "distributions/multi_student_t_cholesky.ppl",
    "distributions/multinomial.ppl",
    "distributions/multinomial__counts.ppl",
    "distributions/multinomial_logit.ppl",
    "distributions/multinomial_logit__counts.ppl",
    "distributions/multivariate_hypergeometric.ppl",
    "distributions/nakagami.ppl",
    "distributions/neg_binomial.ppl",
    "distributions/neg_binomial_2.ppl",
    "distributions/neg_binomial_2_log.ppl",
    "distributions/neg_binomial_2_log_glm.ppl",
    "distributions/normal.ppl",
    "distributions/normal_id_glm.ppl",
    "distributions/normal_inverse_gaussian.ppl",
    "distributions/ordered_logistic.ppl",
    "distributions/ordered_logistic_glm.ppl",
    "distributions/ordered_probit.ppl",
    "distributions/pareto.ppl",
    "distributions/pareto_type_2.ppl",
    "distributions/poisson.ppl",
    "distributions/poisson_binomial.ppl",
    "distributions/poisson_log.ppl",
    "distributions/poisson_log_glm.ppl",
    "distributions/rayleigh.ppl",
    "distributions/rice.ppl",
    "distributions/scaled_inv_chi_square.ppl",
    "distributions/skellam.ppl",
    "distributions/skew_double_exponential.ppl",
    "distributions/skew_normal.ppl",
    "distributions/skew_student_t.ppl",
    "distributions/std_normal.ppl",
    "distributions/student_t.ppl",
    "distributions/triangular.ppl",
    "distributions/truncated_normal.ppl",
    "distributions/uniform.ppl",
    "distributions/von_mises.ppl",
    "distributions/von_mises_fisher.ppl",
    "distributions/weibull.ppl",
    "distributions/wiener.ppl",
    "distributions/wishart.ppl",
    "distributions/wishart_cholesky.ppl",
    "distributions/wrapped_cauchy.ppl",
    "distributions/yule_simon.ppl",
    "distributions/zero_sum_normal.ppl",
    "distributions/zipf.ppl",
    "math/arrays.ppl",
    "math/bessel.ppl",
    "math/elementary.ppl",
    "math/gaussian_process.ppl",
    "math/hmm.ppl",
    "math/linear_algebra.ppl",
    "math/probability.ppl",
    "prelude.ppl",
}

/// Returns the index in [`FILES`] of the file that defines a function or distribution.
#[must_use]
pub fn file_of(name: &str) -> Option<usize> {
    index().get(name).copied()
}

/// Returns the names of the further forms of a function: `distance__matrix` of `distance`.
pub fn forms(name: &str) -> impl Iterator<Item = &'static str> + use<> {
    static FORMS: OnceLock<HashMap<&'static str, Vec<&'static str>>> = OnceLock::new();
    let forms = FORMS.get_or_init(|| {
        let mut forms: HashMap<&str, Vec<&str>> = HashMap::new();
        for name in FILES.iter().flat_map(|(_, text)| declared_names(text)) {
            if let Some((of, _)) = name.split_once("__") {
                forms.entry(of).or_default().push(name);
            }
        }
        forms
    });
    forms.get(name).into_iter().flatten().copied()
}

/// Returns the names of all functions and distributions of the library, in no order.
pub fn names() -> impl Iterator<Item = &'static str> {
    index().keys().copied().filter(|name| !name.contains("__"))
}

/// Returns the names of the distributions of the library, in no order.
pub fn dist_names() -> impl Iterator<Item = &'static str> {
    let declares = |name: &&str| {
        let text = FILES[index()[*name]].1;
        text.lines().any(|l| l.strip_prefix("dist ").is_some_and(|rest| rest.starts_with(*name)))
    };
    names().filter(declares)
}

fn index() -> &'static HashMap<&'static str, usize> {
    static INDEX: OnceLock<HashMap<&'static str, usize>> = OnceLock::new();
    INDEX.get_or_init(|| {
        let mut index = HashMap::new();
        for (file, (_, text)) in FILES.iter().enumerate() {
            index.extend(declared_names(text).map(|name| (name, file)));
        }
        index
    })
}

fn declared_names(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| {
        let rest = line.strip_prefix("fn ").or_else(|| line.strip_prefix("dist "))?.trim_start();
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        Some(&rest[..end])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostics::{Color, render_all};
    use crate::source::SourceMap;
    use crate::syntax::{self, ast};
    use std::collections::BTreeSet;
    use std::path::Path;

    fn paths_below(folder: &Path, prefix: &str, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            if entry.file_type().unwrap().is_dir() {
                paths_below(&entry.path(), &format!("{name}/"), found);
            } else if name.ends_with(".ppl") {
                found.insert(name);
            }
        }
    }

    #[test]
    fn every_file_is_embedded() {
        let mut found = BTreeSet::new();
        paths_below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("stdlib"), "", &mut found);
        let listed: BTreeSet<String> = FILES.iter().map(|(path, _)| (*path).to_string()).collect();
        assert_eq!(listed, found);
        assert!(FILES.is_sorted(), "keep the list in order");
    }

    #[test]
    fn the_index_finds_what_the_parser_finds_and_no_name_is_defined_twice() {
        let mut all = BTreeSet::new();
        for (path, text) in FILES {
            let mut sources = SourceMap::new();
            let id = sources.add(*path, *text);
            let parsed = syntax::parse(id, text);
            let shown = render_all(&parsed.diagnostics, &sources, Color::Off);
            assert!(parsed.diagnostics.is_empty(), "{shown}");
            let declared: Vec<String> = parsed
                .value
                .unwrap()
                .items
                .iter()
                .filter_map(|item| match item {
                    ast::Item::Fn(f) => Some(f.name.text.clone()),
                    ast::Item::Dist(d) => Some(d.name.text.clone()),
                    _ => None,
                })
                .collect();
            assert_eq!(declared_names(text).collect::<Vec<_>>(), declared, "{path}");
            for name in declared {
                assert!(all.insert(name.clone()), "{name} is defined twice");
            }
        }
    }

    #[test]
    fn the_library_checks_without_a_word() {
        let mut sources = SourceMap::new();
        let checked = crate::check::check_library(&mut sources);
        let shown = render_all(&checked.diagnostics, &sources, Color::Off);
        assert!(checked.diagnostics.is_empty(), "{shown}");
        assert!(checked.value.unwrap().dists.len() >= 50);
    }
}
