#!/usr/bin/env python3
"""Log density with gradient in NumPyro, for the posteriors of ../shared/reference/posteriordb.

Each model is written as a NumPyro user would write it; `jit(vmap(value_and_grad(potential)))` is timed at
a batch of points, those of `fixtures.json` in turn, one thread, processor time, fastest of many repetitions.

    JAX_PLATFORMS=cpu taskset -c 1 python3 numpyro_gradients.py FOLDER [MODEL=MODEL] --batch 64 --f64

FOLDER is that of the posterior (NAME-MODEL, with data.json and fixtures.json). Prints one JSON line:
{"model", "dim", "batch", "us_per_point", "compile_s", "error"}: the last is the largest difference to the
log densities of the fixtures, up to a constant, relative to the largest of them.
"""
import argparse
import json
import os
import time

os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jax import lax
from jax.flatten_util import ravel_pytree
from numpyro.distributions import constraints
from numpyro.infer.util import initialize_model

sample, factor, deterministic = numpyro.sample, numpyro.factor, numpyro.deterministic


def flat(name, support, shape=()):
    """A parameter with no prior but its support."""
    return sample(name, dist.ImproperUniform(support, (), shape))


def regression(predictors, response, prior=None):
    """Linear regression with an intercept, flat coefficients and the given prior of the residual's scale."""
    n = len(predictors) + 1

    def model():
        beta = flat("beta", constraints.real_vector, (n,))
        sigma = flat("sigma", constraints.positive) if prior is None else sample("sigma", prior)
        mean = beta[0] + sum(b * x for b, x in zip(beta[1:], predictors))
        sample("y", dist.Normal(mean, sigma), obs=response)

    return model


def arK(d):
    y, k = d["y"], int(d["K"])
    lags = jnp.stack([y[k - 1 - i : len(y) - 1 - i] for i in range(k)], 1)

    def model():
        alpha = sample("alpha", dist.Normal(0.0, 10.0))
        beta = sample("beta", dist.Normal(0.0, 10.0).expand([k]).to_event(1))
        sigma = sample("sigma", dist.HalfCauchy(2.5))
        sample("y", dist.Normal(alpha + lags @ beta, sigma), obs=y[k:])

    return model


def forward(log_start, log_transition, log_emission):
    """Log likelihood of a hidden Markov chain by the forward algorithm."""

    def step(alpha, emission):
        return jax.nn.logsumexp(alpha[:, None] + log_transition, axis=0) + emission, None

    alpha, _ = lax.scan(step, log_start + log_emission[0], log_emission[1:])
    return jax.nn.logsumexp(alpha)


def hmm_drive_0(d):
    def positive_ordered(name):
        # Positive and increasing: exponentials of increments, with their Jacobian.
        steps = flat(name, constraints.independent(constraints.positive, 1), (2,))
        return jnp.cumsum(steps)

    def model():
        theta = jnp.stack([sample(f"theta{i + 1}", dist.Dirichlet(d["alpha"][i])) for i in range(2)])
        phi, lam = positive_ordered("phi"), positive_ordered("lambda")
        prior = dist.Normal(jnp.array([0.0, 3.0]), 1.0)
        factor("prior", prior.log_prob(phi).sum() + prior.log_prob(lam).sum())
        emission = dist.Exponential(phi).log_prob(d["u"][:, None]) + dist.Exponential(lam).log_prob(d["v"][:, None])
        factor("chain", forward(jnp.zeros(2), jnp.log(theta), emission))

    return model


def diamonds(d):
    x = d["X"][:, 1:]
    x = x - x.mean(0)

    def model():
        b = sample("b", dist.Normal(0.0, 1.0).expand([x.shape[1]]).to_event(1))
        intercept = sample("Intercept", dist.StudentT(3.0, 8.0, 10.0))
        sigma = flat("sigma", constraints.positive)
        factor("sigma_prior", dist.StudentT(3.0, 0.0, 10.0).log_prob(sigma))
        sample("y", dist.Normal(intercept + x @ b, sigma), obs=d["Y"])

    return model


def eight_schools_noncentered(d):
    def model():
        theta_trans = sample("theta_trans", dist.Normal(0.0, 1.0).expand([int(d["J"])]).to_event(1))
        mu = sample("mu", dist.Normal(0.0, 5.0))
        tau = sample("tau", dist.HalfCauchy(5.0))
        sample("y", dist.Normal(mu + tau * theta_trans, d["sigma"]), obs=d["y"])

    return model


def garch11(d):
    y = d["y"]

    def model():
        mu = flat("mu", constraints.real)
        alpha0 = flat("alpha0", constraints.positive)
        alpha1 = sample("alpha1", dist.Uniform(0.0, 1.0))
        beta1 = sample("beta1", dist.Uniform(0.0, 1.0)) * (1.0 - alpha1)
        factor("jacobian", jnp.log1p(-alpha1))

        def step(variance, before):
            variance = alpha0 + alpha1 * jnp.square(before - mu) + beta1 * variance
            return variance, variance

        first = jnp.square(d["sigma1"])
        _, rest = lax.scan(step, first, y[:-1])
        sample("y", dist.Normal(mu, jnp.sqrt(jnp.concatenate([first[None], rest]))), obs=y)

    return model


def kernel(x, alpha, rho):
    return jnp.square(alpha) * jnp.exp(-0.5 * jnp.square((x[:, None] - x[None, :]) / rho))


def gp_pois_regr(d):
    n = len(d["x"])

    def model():
        rho = sample("rho", dist.Gamma(25.0, 4.0))
        alpha = sample("alpha", dist.HalfNormal(2.0))
        f_tilde = sample("f_tilde", dist.Normal(0.0, 1.0).expand([n]).to_event(1))
        # In single precision the factor of a matrix with less on its diagonal does not exist.
        jitter = 1e-10 if f_tilde.dtype == jnp.float64 else 1e-5
        f = jnp.linalg.cholesky(kernel(d["x"], alpha, rho) + jitter * jnp.eye(n)) @ f_tilde
        sample("k", dist.Poisson(jnp.exp(f)), obs=d["k"])

    return model


def gp_regr(d):
    n = len(d["x"])

    def model():
        rho = sample("rho", dist.Gamma(25.0, 4.0))
        alpha = sample("alpha", dist.HalfNormal(2.0))
        sigma = sample("sigma", dist.HalfNormal(1.0))
        covariance = kernel(d["x"], alpha, rho) + sigma * jnp.eye(n)
        sample("y", dist.MultivariateNormal(jnp.zeros(n), scale_tril=jnp.linalg.cholesky(covariance)), obs=d["y"])

    return model


def lotka_volterra(d):
    from jax.experimental.ode import odeint

    def slope(z, _, theta):
        return jnp.stack([(theta[0] - theta[1] * z[1]) * z[0], (theta[3] * z[0] - theta[2]) * z[1]])

    times = jnp.concatenate([jnp.zeros(1), d["ts"]])

    def model():
        location, scale = jnp.array([1.0, 0.05, 1.0, 0.05]), jnp.array([0.5, 0.05, 0.5, 0.05])
        theta = sample("theta", dist.TruncatedNormal(location, scale, low=0.0).to_event(1))
        z_init = sample("z_init", dist.LogNormal(jnp.log(10.0), 1.0).expand([2]).to_event(1))
        sigma = sample("sigma", dist.LogNormal(-1.0, 1.0).expand([2]).to_event(1))
        z = odeint(slope, z_init, times, theta, rtol=1e-6, atol=1e-6)[1:]
        sample("y_init", dist.LogNormal(jnp.log(z_init), sigma), obs=d["y_init"])
        sample("y", dist.LogNormal(jnp.log(z), sigma), obs=d["y"])

    return model


def standardised(x, sds):
    return (x - x.mean()) / (sds * x.std(ddof=1))


def low_dim_gauss_mix(d):
    def model():
        mu = flat("mu", constraints.ordered_vector, (2,))
        factor("prior", dist.Normal(0.0, 2.0).log_prob(mu).sum())
        sigma = sample("sigma", dist.HalfNormal(2.0).expand([2]).to_event(1))
        theta = sample("theta", dist.Beta(5.0, 5.0))
        weights = dist.Categorical(jnp.stack([theta, 1.0 - theta]))
        sample("y", dist.MixtureSameFamily(weights, dist.Normal(mu, sigma)), obs=d["y"])

    return model


def kilpisjarvi(d):
    def model():
        alpha = sample("alpha", dist.Normal(d["pmualpha"], d["psalpha"]))
        beta = sample("beta", dist.Normal(d["pmubeta"], d["psbeta"]))
        sigma = flat("sigma", constraints.positive)
        sample("y", dist.Normal(alpha + beta * d["x"], sigma), obs=d["y"])

    return model


def blr(d):
    def model():
        beta = sample("beta", dist.Normal(0.0, 10.0).expand([d["X"].shape[1]]).to_event(1))
        sigma = sample("sigma", dist.HalfNormal(10.0))
        sample("y", dist.Normal(d["X"] @ beta, sigma), obs=d["y"])

    return model


def kidscore_interaction_z(d):
    hs, iq = standardised(d["mom_hs"], 2.0), standardised(d["mom_iq"], 2.0)
    return regression([hs, iq, hs * iq], d["kid_score"])


def logearn_interaction_z(d):
    z, male = standardised(d["height"], 1.0), d["male"]
    return regression([z, male, z * male], jnp.log(d["earn"]))


def mesquite(d, transform=lambda x: x):
    names = ["diam1", "diam2", "canopy_height", "total_height", "density"]
    return regression([*(transform(d[n]) for n in names), d["group"]], transform(d["weight"]))


def logmesquite_logvas(d):
    log = {n: jnp.log(d[n]) for n in ("diam1", "diam2", "canopy_height", "total_height", "density", "weight")}
    volume, area = log["diam1"] + log["diam2"] + log["canopy_height"], log["diam1"] + log["diam2"]
    shape = log["diam1"] - log["diam2"]
    return regression([volume, area, shape, log["total_height"], log["density"], d["group"]], log["weight"])


def nes(d):
    ages = [1.0 * (d["age_discrete"] == k) for k in (2, 3, 4)]
    return regression([d["real_ideo"], d["race_adj"], *ages, d["educ1"], d["gender"], d["income"]], d["partyid7"])


def GLM_Poisson_model(d):
    def model():
        alpha = sample("alpha", dist.Uniform(-20.0, 20.0))
        beta1, beta2, beta3 = (sample(f"beta{i}", dist.Uniform(-10.0, 10.0)) for i in (1, 2, 3))
        x = d["year"]
        sample("C", dist.Poisson(jnp.exp(alpha + beta1 * x + beta2 * x**2 + beta3 * x**3)), obs=d["C"])

    return model


def Mt_model(d):
    seen = d["y"].sum(1) > 0

    def model():
        omega = sample("omega", dist.Uniform(0.0, 1.0))
        p = sample("p", dist.Uniform(0.0, 1.0).expand([d["y"].shape[1]]).to_event(1))
        here = jnp.log(omega) + dist.Bernoulli(p).log_prob(d["y"]).sum(1)
        factor("y", jnp.where(seen, here, jnp.logaddexp(here, jnp.log1p(-omega))).sum())

    return model


def dogs_nonhierarchical(d):
    y = d["y"]
    trials = jnp.arange(y.shape[1])
    shocks = jnp.cumsum(y, 1) - y

    def model():
        mu = sample("mu_logit_ab", dist.Logistic(0.0, 1.0).expand([2]).to_event(1))
        sigma = sample("sigma_logit_ab", dist.HalfNormal(1.0).expand([2]).to_event(1))
        factor_l = sample("L_logit_ab", dist.LKJCholesky(2, 2.0))
        z = sample("z", dist.Normal(0.0, 1.0).expand([y.shape[0], 2]).to_event(2))
        effect = (z * sigma) @ factor_l
        log_a = jax.nn.log_sigmoid(mu[0] + effect[:, 0])[:, None]
        log_b = jax.nn.log_sigmoid(mu[1] + effect[:, 1])[:, None]
        log_p = (shocks * log_a + (trials - shocks) * log_b)[:, 1:]
        factor("y", jnp.where(y[:, 1:] == 1, log_p, jnp.log1p(-jnp.exp(log_p))).sum())

    return model


def hmm_gaussian(d):
    k = int(d["K"])

    def model():
        start = flat("pi1", constraints.simplex, (k,))
        transition = flat("A", constraints.independent(constraints.simplex, 1), (k, k))
        mu = flat("mu", constraints.ordered_vector, (k,))
        sigma = flat("sigma", constraints.independent(constraints.positive, 1), (k,))
        emission = dist.Normal(mu, sigma).log_prob(d["y"][:, None])
        # The original's first step has the emissions of all states.
        emission = emission.at[0].set(emission[0].sum())
        factor("chain", forward(jnp.log(start), jnp.log(transition), emission))

    return model


def irt_2pl(d):
    items, people = d["y"].shape

    def model():
        sigma_theta = sample("sigma_theta", dist.HalfCauchy(2.0))
        theta = sample("theta", dist.Normal(0.0, sigma_theta).expand([people]).to_event(1))
        sigma_a = sample("sigma_a", dist.HalfCauchy(2.0))
        a = sample("a", dist.LogNormal(0.0, sigma_a).expand([items]).to_event(1))
        mu_b = sample("mu_b", dist.Normal(0.0, 5.0))
        sigma_b = sample("sigma_b", dist.HalfCauchy(2.0))
        b = sample("b", dist.Normal(mu_b, sigma_b).expand([items]).to_event(1))
        sample("y", dist.BernoulliLogits(a[:, None] * (theta - b[:, None])), obs=d["y"])

    return model


def normal_mixture(d):
    def model():
        theta = sample("theta", dist.Uniform(0.0, 1.0))
        mu = sample("mu", dist.Normal(0.0, 10.0).expand([2]).to_event(1))
        weights = dist.Categorical(jnp.stack([theta, 1.0 - theta]))
        sample("y", dist.MixtureSameFamily(weights, dist.Normal(mu, 1.0)), obs=d["y"])

    return model


def radon_hierarchical_intercept_noncentered(d):
    county = d["county_idx"].astype(int) - 1

    def model():
        alpha_raw = sample("alpha_raw", dist.Normal(0.0, 1.0).expand([int(d["J"])]).to_event(1))
        beta = sample("beta", dist.Normal(0.0, 10.0).expand([2]).to_event(1))
        mu_alpha = sample("mu_alpha", dist.Normal(0.0, 10.0))
        sigma_alpha = sample("sigma_alpha", dist.HalfNormal(1.0))
        sigma_y = sample("sigma_y", dist.HalfNormal(1.0))
        mean = (mu_alpha + sigma_alpha * alpha_raw)[county] + beta[0] * d["log_uppm"] + beta[1] * d["floor_measure"]
        sample("y", dist.Normal(mean, sigma_y), obs=d["log_radon"])

    return model


def rats_model(d):
    rat, n = d["rat"].astype(int) - 1, int(d["N"])

    def model():
        mu_alpha = sample("mu_alpha", dist.Normal(0.0, 100.0))
        mu_beta = sample("mu_beta", dist.Normal(0.0, 100.0))
        sigma_y, sigma_alpha, sigma_beta = (flat(n, constraints.positive) for n in ("sigma_y", "sigma_alpha", "sigma_beta"))
        alpha = sample("alpha", dist.Normal(mu_alpha, sigma_alpha).expand([n]).to_event(1))
        beta = sample("beta", dist.Normal(mu_beta, sigma_beta).expand([n]).to_event(1))
        sample("y", dist.Normal(alpha[rat] + beta[rat] * (d["x"] - d["xbar"]), sigma_y), obs=d["y"])

    return model


def sir(d):
    from jax.experimental.ode import odeint

    def slope(y, _, p):
        caught = p[0] * y[3] / (y[3] + 1e6) * y[0]
        return jnp.stack([-caught, caught - p[1] * y[1], p[1] * y[1], p[2] * y[1] - p[3] * y[3]])

    times = jnp.concatenate([jnp.zeros(1), d["t"]])

    def model():
        names = {"beta": 2.5, "gamma": 1.0, "xi": 25.0, "delta": 1.0}
        p = jnp.stack([sample(n, dist.HalfCauchy(s)) for n, s in names.items()])
        y = odeint(slope, d["y0"], times, p, rtol=1e-6, atol=1e-6)
        sample("stoi", dist.Poisson(y[:-1, 0] - y[1:, 0]), obs=d["stoi_hat"])
        sample("B", dist.LogNormal(jnp.log(y[1:, 3]), 0.15), obs=d["B_hat"])

    return model


def surgical_model(d):
    def model():
        mu = sample("mu", dist.Normal(0.0, 1000.0))
        sigmasq = sample("sigmasq", dist.InverseGamma(0.001, 0.001))
        b = sample("b", dist.Normal(mu, jnp.sqrt(sigmasq)).expand([int(d["N"])]).to_event(1))
        sample("r", dist.BinomialLogits(b, d["n"]), obs=d["r"])

    return model


MODELS = {
    "earn_height": lambda d: regression([d["height"]], d["earn"]),
    "log10earn_height": lambda d: regression([d["height"]], jnp.log10(d["earn"])),
    "logearn_interaction": lambda d: regression([d["height"], d["male"], d["height"] * d["male"]], jnp.log(d["earn"])),
    "kidscore_interaction": lambda d: regression([d["mom_hs"], d["mom_iq"], d["mom_hs"] * d["mom_iq"]], d["kid_score"], dist.HalfCauchy(2.5)),
    "kidscore_momiq": lambda d: regression([d["mom_iq"]], d["kid_score"], dist.HalfCauchy(2.5)),
    "kidscore_mom_work": lambda d: regression([1.0 * (d["mom_work"] == k) for k in (2, 3, 4)], d["kid_score"]),
    "logmesquite": lambda d: regression(
        [*(jnp.log(d[n]) for n in ("diam1", "diam2", "canopy_height", "total_height", "density")), d["group"]],
        jnp.log(d["weight"])),
    **{f.__name__: f for f in (
        arK, hmm_drive_0, diamonds, eight_schools_noncentered, garch11, gp_pois_regr, gp_regr, lotka_volterra,
        low_dim_gauss_mix, kilpisjarvi, blr, kidscore_interaction_z, logearn_interaction_z, mesquite,
        logmesquite_logvas, nes, GLM_Poisson_model, Mt_model, dogs_nonhierarchical, hmm_gaussian, irt_2pl,
        normal_mixture, radon_hierarchical_intercept_noncentered, rats_model, sir, surgical_model)},
}


def place(names, numbers, like):
    """Numbers named `site[i,j]`, column by column, as arrays of the sites."""
    sites = {site: [] for site in like}
    for name, x in zip(names, numbers, strict=True):
        sites[name.partition("[")[0]].append(x)
    # The array of simplexes is named like a matrix, but its numbers come row by row.
    order = {site: "C" if site == "A" else "F" for site in like}
    return {site: np.reshape(x, np.shape(like[site]), order=order[site]) for site, x in sites.items()}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--f64", action="store_true")
    o = parser.parse_args()
    jax.config.update("jax_enable_x64", o.f64)
    name = os.path.basename(os.path.normpath(o.folder)).split("-", 1)[1]
    with open(os.path.join(o.folder, "data.json")) as file:
        real = jnp.float64 if o.f64 else jnp.float32
        data = {k: jnp.asarray(np.array(v, dtype=float), real) for k, v in json.load(file).items()}
    info = initialize_model(jax.random.PRNGKey(0), MODELS[name](data), validate_grad=False)
    start, unravel = ravel_pytree(info.param_info.z)
    call = jax.jit(jax.vmap(jax.value_and_grad(lambda z: -info.potential_fn(unravel(z)))))
    with open(os.path.join(o.folder, "fixtures.json")) as file:
        fixtures = json.load(file)
    names, fixed = fixtures["unconstrained_names"], fixtures["points"]
    rows = [ravel_pytree(place(names, point["unconstrained"], info.param_info.z))[0] for point in fixed]
    points = jnp.asarray(np.array([rows[i % len(rows)] for i in range(o.batch)]), real)
    began = time.process_time()
    log_density = np.array(jax.block_until_ready(call(points))[0], dtype=float)[: len(rows)]
    compile_s = time.process_time() - began
    exact = np.array([point["lp_full_jacobian"] for point in fixed[: o.batch]])
    difference = (log_density - exact) - (log_density - exact)[-1]
    error = np.abs(difference).max() / np.abs(exact).max()

    def repeat(n):
        began = time.process_time()
        for _ in range(n):
            out = call(points)
        jax.block_until_ready(out)
        return (time.process_time() - began) / n

    n = max(1, int(0.02 / max(repeat(3), 1e-6)))
    best = min(repeat(n) for _ in range(15))
    print(json.dumps(dict(model=name, dim=len(start), batch=o.batch, us_per_point=1e6 * best / o.batch, compile_s=compile_s,
                          error=error if np.isfinite(error) else None)))


if __name__ == "__main__":
    main()
