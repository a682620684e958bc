"""Log densities of more models of posteriordb as they stand in `tests/models`, written a second time.

As `models.py`, which has the conventions; `python3 posteriordb.py` writes `posteriordb.jsonl`.
"""

import numpy as np
from scipy import stats
from scipy.integrate import solve_ivp
from scipy.linalg import expm
from scipy.special import expit, log_expit, log_softmax, logit, logsumexp

from model_rows import RNG, half, lkj_cholesky, model, normals, write

CAPTURES = [[1, 0, 1], [0, 0, 1], [1, 1, 1], [1, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0]]


def normal(x, mu=0.0, sigma=1.0):
    return np.sum(stats.norm.logpdf(np.asarray(x), mu, sigma))


def bernoulli_logit(y, eta):
    return np.sum(log_expit(np.where(np.asarray(y) == 1, eta, -np.asarray(eta))))


def counts(low, high, *shape):
    return RNG.integers(low, high, size=shape, endpoint=True).tolist()


def uniforms(low, high, *shape):
    return RNG.uniform(low, high, size=shape).round(3).tolist()


def existing(y, omega, history):
    """Animals that were seen exist; one that was not may not."""
    total = 0.0
    for i, row in enumerate(np.asarray(y)):
        p = omega * np.exp(history(i, row))
        total += np.log(p if row.sum() > 0 else p + 1 - omega)
    return total


@model({"y": CAPTURES}, {"omega": 0.6, "p": 0.3}, {"omega": 0.9, "p": 0.55})
def M0_model(d, p):
    """The captures of an animal are counted."""
    T = len(d["y"][0])
    return existing(d["y"], p["omega"], lambda i, row: stats.binom.logpmf(row.sum(), T, p["p"]))


@model({"y": CAPTURES}, {"omega": 0.6, "p": 0.3, "c": 0.8}, {"omega": 0.9, "p": 0.55, "c": 0.1})
def Mb_model(d, p):
    def history(i, row):
        chances = [p["c"] if t > 0 and row[t - 1] else p["p"] for t in range(len(row))]
        return stats.bernoulli.logpmf(row, chances).sum()

    return existing(d["y"], p["omega"], history)


@model(
    {"T": 5, "y": [2, 0, 5, 1, 0, 0]},
    {"omega": 0.4, "mean_p": 0.3, "sigma": 1.2, "eps_raw": normals(6)},
)
def Mh_model(d, p):
    chances = expit(logit(p["mean_p"]) + p["sigma"] * np.array(p["eps_raw"]))
    rows = [[k] for k in d["y"]]
    return normal(p["eps_raw"]) + existing(
        rows, p["omega"], lambda i, row: stats.binom.logpmf(row[0], d["T"], chances[i])
    )


@model(
    {"y": CAPTURES},
    {"omega": 0.4, "mean_p": [0.3, 0.6, 0.2], "sigma": 1.2, "eps_raw": normals(7)},
)
def Mth_model(d, p):
    def history(i, row):
        return bernoulli_logit(row, logit(np.array(p["mean_p"])) + p["sigma"] * p["eps_raw"][i])

    return normal(p["eps_raw"]) + existing(d["y"], p["omega"], history)


@model(
    {"C": [3, 5, 0, 4], "N": [7, 9, 2, 4], "year": [-1.0, -0.3, 0.4, 1.1]},
    {"alpha": 0.2, "beta1": -0.4, "beta2": 0.7},
)
def GLM_Binomial_model(d, p):
    x = np.array(d["year"])
    chance = expit(p["alpha"] + p["beta1"] * x + p["beta2"] * x**2)
    total = normal([p["alpha"], p["beta1"], p["beta2"]], 0, 100)
    return total + stats.binom.logpmf(d["C"], d["N"], chance).sum()


@model(
    {"C": [3, 5, 0, 14], "year": [-1.0, -0.3, 0.4, 1.1]},
    {"alpha": 1.2, "beta1": -0.4, "beta2": 0.7, "beta3": 0.1, "sigma": 0.8, "eps": normals(4)},
)
def GLMM_Poisson_model(d, p):
    x = np.array(d["year"])
    log_rate = p["alpha"] + p["beta1"] * x + p["beta2"] * x**2 + p["beta3"] * x**3 + p["eps"]
    total = normal(p["eps"], 0, p["sigma"]) - np.log(40) - 3 * np.log(20) - np.log(5)
    return total + stats.poisson.logpmf(d["C"], np.exp(log_rate)).sum()


@model(
    {"nsite": 3, "nyear": 2, "obs": [4, 0, 7, 2], "obsyear": [1, 1, 2, 2], "obssite": [1, 2, 3, 1],
     "misyear": [1, 2], "missite": [3, 2]},
    {"alpha": [0.4, 1.1, 2.0], "mu_alpha": 0.9, "sd_alpha": 0.7},
)
def GLMM1_model(d, p):
    """`sd_alpha` is flat."""
    total = normal(p["alpha"], p["mu_alpha"], p["sd_alpha"]) + normal(p["mu_alpha"], 0, 10)
    for y, site in zip(d["obs"], d["obssite"]):
        total += stats.poisson.logpmf(y, np.exp(p["alpha"][site - 1]))
    return total


TWO = {"n1": 10, "n2": 8, "k1": 5, "k2": 7}


@model({"n": 10, "k": 5}, {"theta": 0.35})
def Rate_1_model(d, p):
    return stats.binom.logpmf(d["k"], d["n"], p["theta"])


@model(TWO, {"theta1": 0.35, "theta2": 0.8})
def Rate_2_model(d, p):
    first = stats.binom.logpmf(d["k1"], d["n1"], p["theta1"])
    return first + stats.binom.logpmf(d["k2"], d["n2"], p["theta2"])


@model(TWO, {"theta": 0.35})
def Rate_3_model(d, p):
    return stats.binom.logpmf([d["k1"], d["k2"]], [d["n1"], d["n2"]], p["theta"]).sum()


@model({"n": 15, "k": 1}, {"theta": 0.35, "thetaprior": 0.9})
def Rate_4_model(d, p):
    return stats.binom.logpmf(d["k"], d["n"], p["theta"])


@model(TWO, {"theta": 0.35})
def Rate_5_model(d, p):
    return Rate_3_model(d, p)


@model(
    {"x": [1.0, 1.5, 4.0, 9.5, 22.5], "Y": [1.8, 1.77, 2.1, 2.4, 2.6]},
    {"alpha": 2.6, "beta": 0.9, "lambda": 0.87, "tau": 90.0},
    {"alpha": -1.0, "beta": 3.0, "lambda": 0.55, "tau": 0.3},
)
def dugongs_model(d, p):
    mean = p["alpha"] - p["beta"] * p["lambda"] ** np.array(d["x"])
    total = normal([p["alpha"], p["beta"]], 0, 1000) + np.log(2)
    total += stats.gamma.logpdf(p["tau"], 0.0001, scale=1e4)
    return total + normal(d["Y"], mean, 1 / np.sqrt(p["tau"]))


@model(
    {"gamma": [[0.7, 9.0, 9.0, 9.0], [1.2, 2.0, 3.1, 9.0], [0.5, 1.0, 2.5, 4.0]],
     "delta": [2.9, 0.7, 1.4], "ncat": [2, 4, 5], "grade": [[1, 3, 5], [2, -1, 1], [1, 1, 4], [-1, 4, 2]]},
    {"theta": [0.4, 1.7, -0.3, 2.4]},
)
def bones_model(d, p):
    total = normal(p["theta"], 0, 36)
    for theta, grades in zip(p["theta"], d["grade"]):
        for gamma, delta, ncat, grade in zip(d["gamma"], d["delta"], d["ncat"], grades):
            above = expit(delta * (theta - np.array(gamma[: ncat - 1])))
            chances = -np.diff(np.concatenate([[1.0], above, [0.0]]))
            total += np.log(chances[grade - 1]) if grade != -1 else 0.0
    return total


@model(
    {"N": 6, "culm": [2, 3, 6], "response": [[0, 0, 1, 0], [1, 0, 0, 1], [1, 1, 1, 1]]},
    {"alpha": normals(4), "theta": normals(6), "beta": 0.8},
)
def lsat_model(d, p):
    total = normal(p["alpha"], 0, 100) + normal(p["theta"]) + half(stats.norm(0, 100), p["beta"])
    rows = np.repeat(d["response"], np.diff([0, *d["culm"]]), axis=0)
    eta = p["beta"] * np.array(p["theta"])[:, None] - np.array(p["alpha"])
    return total + bernoulli_logit(rows, eta)


@model(
    {"n_groups": 2, "n_scenarios": 3, "group_id": [1, 1, 2, 2, 1], "scenario_id": [1, 2, 3, 1, 3],
     "y": uniforms(0, 1, 5)},
    {"a": [0.2, 0.5], "b": [-0.1, 0.3, 0.2], "mu_a": 0.1, "mu_b": -0.2, "sigma_a": 0.7, "sigma_b": 1.4,
     "sigma_y": 0.3},
)
def pilots(d, p):
    total = normal(p["a"], 10 * p["mu_a"], p["sigma_a"]) + normal(p["b"], 10 * p["mu_b"], p["sigma_b"])
    total += normal([p["mu_a"], p["mu_b"]])
    for g, s, y in zip(d["group_id"], d["scenario_id"], d["y"]):
        total += normal(y, p["a"][g - 1] + p["b"][s - 1], p["sigma_y"])
    return total


PLATES = {"n": [10, 23, 5, 0], "N": [39, 62, 6, 4], "x1": [0.0, 0.0, 1.0, 1.0], "x2": [0.0, 1.0, 0.0, 1.0]}


def germination(d, p, b):
    x1, x2 = np.array(d["x1"]), np.array(d["x2"])
    eta = p["alpha0"] + p["alpha1"] * x1 + p["alpha2"] * x2 + p["alpha12"] * x1 * x2 + b
    return stats.binom.logpmf(d["n"], d["N"], expit(eta)).sum()


SLOPES = {"alpha0": -0.5, "alpha1": 0.1, "alpha12": -0.8, "alpha2": 1.3}


@model(PLATES, {**SLOPES, "tau": 8.0, "b": [0.3, -0.2, 0.1, -0.4]})
def seeds_model(d, p):
    total = normal([p[name] for name in SLOPES], 0, 1000) + stats.gamma.logpdf(p["tau"], 1e-3, scale=1e3)
    return total + normal(p["b"], 0, 1 / np.sqrt(p["tau"])) + germination(d, p, p["b"])


@model(PLATES, {**SLOPES, "c": [0.3, -0.2, 0.1, -0.4], "sigma": 0.6})
def seeds_centered_model(d, p):
    total = normal([p[name] for name in SLOPES]) + half(stats.cauchy(0, 1), p["sigma"])
    return total + normal(p["c"], 0, p["sigma"]) + germination(d, p, p["c"] - np.mean(p["c"]))


@model(
    {"Y": normals(5), "Xgp": normals(5, 3), "slambda": [0.5, 1.0, 1.5], "Xgp_sigma": normals(5, 2),
     "slambda_sigma": [0.7, 1.4]},
    {"Intercept": -3.0, "sdgp": 2.0, "lscale": 0.3, "zgp": normals(3), "Intercept_sigma": 0.4,
     "sdgp_sigma": 0.9, "lscale_sigma": 0.6, "zgp_sigma": normals(2)},
)
def accel_gp(d, p):
    def process(X, sd, scale, z, frequency):
        density = sd**2 * np.sqrt(2 * np.pi) * scale * np.exp(-0.5 * (scale * np.array(frequency)) ** 2)
        return np.array(X) @ (np.sqrt(density) * np.array(z))

    t = stats.t
    total = t.logpdf(p["Intercept"], 3, -13, 36) + t.logpdf(p["Intercept_sigma"], 3, 0, 10)
    total += half(t(3, 0, 36), p["sdgp"]) + half(t(3, 0, 36), p["sdgp_sigma"])
    for scale in (p["lscale"], p["lscale_sigma"]):
        total += stats.invgamma.logpdf(scale, 1.124909, scale=0.0177)
    total += normal(p["zgp"]) + normal(p["zgp_sigma"])
    mu = p["Intercept"] + process(d["Xgp"], p["sdgp"], p["lscale"], p["zgp"], d["slambda"])
    log_sigma = process(d["Xgp_sigma"], p["sdgp_sigma"], p["lscale_sigma"], p["zgp_sigma"], d["slambda_sigma"])
    return total + normal(d["Y"], mu, np.exp(p["Intercept_sigma"] + log_sigma))


@model(
    {"Y": normals(5), "Xs": normals(5, 1), "Zs": normals(5, 3), "Xs_sigma": normals(5, 1),
     "Zs_sigma": normals(5, 2)},
    {"Intercept": -3.0, "bs": [0.4], "zs": normals(3), "sds": 0.9, "Intercept_sigma": 0.4,
     "bs_sigma": [-0.7], "zs_sigma": normals(2), "sds_sigma": 1.6},
)
def accel_splines(d, p):
    X, Z, U, V = (np.array(d[name]) for name in ("Xs", "Zs", "Xs_sigma", "Zs_sigma"))
    t = stats.t
    total = t.logpdf(p["Intercept"], 3, -13, 36) + t.logpdf(p["Intercept_sigma"], 3, 0, 10)
    total += half(t(3, 0, 36), p["sds"]) + half(t(3, 0, 36), p["sds_sigma"])
    total += normal(p["zs"]) + normal(p["zs_sigma"])
    mu = p["Intercept"] + X @ p["bs"] + p["sds"] * (Z @ p["zs"])
    log_sigma = p["Intercept_sigma"] + U @ p["bs_sigma"] + p["sds_sigma"] * (V @ p["zs_sigma"])
    return total + normal(d["Y"], mu, np.exp(log_sigma))


@model(
    {"N_regions": 2, "N_states": 3, "N_years": 4, "state_region": [1, 2, 1], "state_ind": [1, 2, 3, 3],
     "year_ind": [1, 4, 2, 3], "y": [0.4, 0.55, 0.61, 0.3]},
    {"GP_region_std": normals(4, 2), "GP_state_std": normals(4, 3), "year_std": normals(4),
     "state_std": normals(3), "tot_var": 0.3, "prop_var": [0.2, 0.1, 0.15, 0.25, 0.1, 0.2], "mu": 0.4,
     "length_region_long": 8.1, "length_state_long": 7.6, "length_region_short": 2.9,
     "length_state_short": 3.1, "nu": 200.0},
)
def hierarchical_gp(d, p):
    names = ("GP_region_std", "GP_state_std", "year_std", "state_std")
    total = sum(normal(p[name]) for name in names) + normal(p["mu"], 0.5, 0.5)
    total += stats.gamma.logpdf(p["tot_var"], 3, scale=1 / 3) + stats.gamma.logpdf(p["nu"], 5, scale=100)
    total += stats.dirichlet.logpdf(p["prop_var"], [2.0] * 6)
    for name in ("length_region_long", "length_state_long"):
        total += stats.weibull_min.logpdf(p[name], 30, scale=8)
    for name in ("length_region_short", "length_state_short"):
        total += stats.weibull_min.logpdf(p[name], 30, scale=3)
    variances = 6 * p["tot_var"] * np.array(p["prop_var"])
    t = np.arange(1.0, d["N_years"] + 1)

    def process(long, short, length, brief, z):
        apart = (t[:, None] - t) ** 2
        K = long * np.exp(-0.5 * apart / length**2) + short * np.exp(-0.5 * apart / brief**2)
        return np.linalg.cholesky(K + 1e-6 * np.eye(len(t))) @ np.array(z)

    region = process(*variances[:2], p["length_region_long"], p["length_region_short"], p["GP_region_std"])
    state = process(*variances[2:4], p["length_state_long"], p["length_state_short"], p["GP_state_std"])
    for s, i, y in zip(d["state_ind"], d["year_ind"], d["y"]):
        mu = p["mu"] + np.sqrt(variances[4]) * p["year_std"][i - 1] + np.sqrt(variances[5]) * p["state_std"][s - 1]
        mean = expit(mu + region[i - 1, d["state_region"][s - 1] - 1] + state[i - 1, s - 1])
        total += stats.beta.logpdf(y, mean * p["nu"], (1 - mean) * p["nu"])
    return total


@model(
    {"x": normals(5, 3), "y": [1, 0, 0, 1, 1], "scale_icept": 5.0, "scale_global": 0.1, "nu_global": 1.0,
     "nu_local": 1.0, "slab_scale": 2.0, "slab_df": 4.0},
    {"beta0": 0.3, "z": normals(3), "tau": 0.2, "lambda": [0.5, 1.5, 12.0], "caux": 0.8},
)
def logistic_regression_rhs(d, p):
    total = normal(p["beta0"], 0, 5) + normal(p["z"]) + half(stats.cauchy(0, 0.2), p["tau"])
    total += half(stats.cauchy(0, 1), p["lambda"]) + stats.invgamma.logpdf(p["caux"], 2, scale=2)
    c, shrink = 2 * np.sqrt(p["caux"]), np.array(p["lambda"])
    beta = p["z"] * np.sqrt(c**2 * shrink**2 / (c**2 + p["tau"] ** 2 * shrink**2)) * p["tau"]
    return total + bernoulli_logit(d["y"], p["beta0"] + np.array(d["x"]) @ beta)


@model(
    {"K": 3, "y": normals(6)},
    {"theta": [0.2, 0.5, 0.3], "mu": [1.0, -0.5, 0.2], "sigma": [0.4, 1.0, 2.5]},
)
def normal_mixture_k(d, p):
    """Weights and deviations are flat but for the volume of the simplex, 1 / 2."""
    total = normal(p["mu"], 0, 10)
    parts = stats.norm.logpdf(np.array(d["y"])[:, None], p["mu"], p["sigma"]) + np.log(p["theta"])
    return total + logsumexp(parts, axis=1).sum()


@model({"y": normals(6)}, {"mu": [1.0, -0.5], "sigma": [0.4, 1.0], "theta": 0.3})
def low_dim_gauss_mix_collapse(d, p):
    total = normal(p["mu"], 0, 2) + half(stats.norm(0, 2), p["sigma"]) + stats.beta.logpdf(p["theta"], 5, 5)
    parts = stats.norm.logpdf(np.array(d["y"])[:, None], p["mu"], p["sigma"])
    return total + logsumexp(parts + np.log([p["theta"], 1 - p["theta"]]), axis=1).sum()


@model(
    {"K": 2, "u": [0.1, 3.1, 2.7, 0.4], "v": [3.3, 0.2, 0.5, 2.5], "alpha": [[4.0, 1.0], [1.5, 3.0]],
     "tau": 0.6, "rho": 0.9},
    {"theta": [[0.7, 0.3], [0.2, 0.8]], "phi": [0.4, 2.9], "lambda": [0.3, 3.2]},
)
def hmm_drive_1(d, p):
    theta = np.array(p["theta"])
    total = sum(stats.dirichlet.logpdf(row, a) for row, a in zip(theta, d["alpha"]))
    total += normal([p["phi"][0], p["lambda"][0]], 0, 1) + normal([p["phi"][1], p["lambda"][1]], 3, 1)
    paths = []
    for path in np.ndindex(*[2] * len(d["u"])):
        k = list(path)
        lp = -np.log(2) + sum(np.log(theta[a, b]) for a, b in zip(k, k[1:]))
        lp += normal(d["u"], np.array(p["phi"])[k], d["tau"]) + normal(d["v"], np.array(p["lambda"])[k], d["rho"])
        paths.append(lp)
    return total + logsumexp(paths)


SHOCKS = [[1, 1, 0, 1, 0], [1, 0, 0, 0, 0], [1, 1, 1, 1, 0]]


def before(y):
    """How often each dog was shocked, and how often it was not, before each trial."""
    y = np.array(y)
    shocks = np.cumsum(y, axis=1) - y
    return shocks, np.arange(y.shape[1]) - shocks


@model({"y": SHOCKS}, {"beta": [1.8, -0.35, -0.2]})
def dogs(d, p):
    shocks, avoided = before(d["y"])
    eta = p["beta"][0] + p["beta"][1] * avoided + p["beta"][2] * shocks
    return normal(p["beta"], 0, 100) + bernoulli_logit(d["y"], eta)


@model({"y": SHOCKS}, {"beta": [-0.25, -0.08]}, {"beta": [-1.5, -0.4]})
def dogs_log(d, p):
    shocks, avoided = before(d["y"])
    chance = 0.99 * np.exp(p["beta"][0] * avoided + p["beta"][1] * shocks)
    return -2 * np.log(100) + stats.bernoulli.logpmf(d["y"], chance).sum()


@model(
    {"y": SHOCKS},
    {"mu_a": 0.3, "mu_b": 1.2, "sigma_a": 0.4, "sigma_b": 0.9, "logit_a": normals(3), "logit_b": normals(3)},
)
def dogs_hierarchical(d, p):
    total = normal([p["mu_a"], p["mu_b"]]) + half(stats.norm(0, 1), [p["sigma_a"], p["sigma_b"]])
    total += normal(p["logit_a"], p["mu_a"], p["sigma_a"]) + normal(p["logit_b"], p["mu_b"], p["sigma_b"])
    shocks, avoided = before(d["y"])
    a, b = expit(p["logit_a"])[:, None], expit(p["logit_b"])[:, None]
    chance = a**shocks * b**avoided
    return total + stats.bernoulli.logpmf(np.array(d["y"])[:, 1:], chance[:, 1:]).sum()


ANSWERS = {"ii": [1, 2, 3] * 4, "jj": [1] * 3 + [2] * 3 + [3] * 3 + [4] * 3}


@model(
    {"J": 4, **ANSWERS, "y": [0, 1, 2, 2, 2, 1, 0, 0, 2, 1, 1, 0],
     "W": [[1.0, 0.0, 3.5], [1.0, 1.0, 2.5], [1.0, 1.0, 4.5], [1.0, 0.0, 1.0]]},
    {"alpha": [0.6, 1.2, 1.9], "beta_free": [0.3, -0.8], "kappa_free": [0.7], "theta": normals(4),
     "lambda_adj": [0.2, -0.5, 0.9]},
)
def grsm_latent_reg_irt(d, p):
    def adjusted(w):
        if np.all(w == w[0]):
            return w
        spread = np.ptp(w) if len(set(w)) == 2 else 2 * np.std(w, ddof=1)
        return (w - np.mean(w)) / spread

    W = np.stack([adjusted(w) for w in np.array(d["W"]).T], axis=1)
    beta = np.append(p["beta_free"], -np.sum(p["beta_free"]))
    kappa = np.append(p["kappa_free"], -np.sum(p["kappa_free"]))
    total = stats.lognorm.logpdf(p["alpha"], 1, scale=np.e).sum()
    total += normal(p["beta_free"], 0, 3) + normal(p["kappa_free"], 0, 3)
    total += normal(p["theta"], W @ p["lambda_adj"]) + stats.t.logpdf(p["lambda_adj"], 3).sum()
    for i, j, y in zip(d["ii"], d["jj"], d["y"]):
        steps = p["alpha"][i - 1] * p["theta"][j - 1] - beta[i - 1] - kappa
        total += log_softmax(np.cumsum(np.append(0.0, steps)))[y]
    return total


@model(
    {"J": 4, "I": 3, **ANSWERS, "y": [0, 1, 2, 1, 0, 3, 0, 1, 2, 1, 1, 0], "W": normals(4, 2)},
    {"alpha": [0.6, 1.2, 1.9], "beta_free": normals(4), "theta": normals(4), "lambda": [0.2, -0.5]},
)
def gpcm_latent_reg_irt(d, p):
    total = stats.lognorm.logpdf(p["alpha"], 1, scale=np.e).sum() + normal(p["beta_free"], 0, 3)
    total += normal(p["theta"], np.array(d["W"]) @ p["lambda"]) + stats.t.logpdf(p["lambda"], 3).sum()
    grades = [max(y for i, y in zip(d["ii"], d["y"]) if i == k) for k in (1, 2, 3)]
    steps = np.split(np.append(p["beta_free"], -np.sum(p["beta_free"])), np.cumsum(grades)[:-1])
    for i, j, y in zip(d["ii"], d["jj"], d["y"]):
        eta = p["alpha"][i - 1] * p["theta"][j - 1] - steps[i - 1]
        total += log_softmax(np.cumsum(np.append(0.0, eta)))[y]
    return total


@model(
    {"I": 3, **ANSWERS, "y": [0, 1, 1, 1, 0, 1, 0, 1, 0, 1, 1, 0], "W": normals(4, 2)},
    {"alpha": [0.6, 1.2, 1.9], "beta": [0.4, 0.3, -0.7], "theta": normals(4), "lambda": [0.2, -0.5]},
    name="2pl_latent_reg_irt",
)
def irt_2pl_latent_reg(d, p):
    total = stats.lognorm.logpdf(p["alpha"], 1, scale=np.e).sum() + normal(p["beta"], 0, 3)
    total += normal(p["theta"], np.array(d["W"]) @ p["lambda"]) + stats.t.logpdf(p["lambda"], 3).sum()
    i, j = np.array(d["ii"]) - 1, np.array(d["jj"]) - 1
    eta = np.array(p["alpha"])[i] * np.array(p["theta"])[j] - np.array(p["beta"])[i]
    return total + bernoulli_logit(d["y"], eta)


SERIES = {
    "t": [0.0, 0.2, 0.5, 0.7, 1.0], "y": uniforms(0, 1, 5), "cap": [2.0, 2.0, 2.1, 2.2, 2.2],
    "t_change": [0.2, 0.6], "X": normals(5, 3), "sigmas": [10.0, 5.0, 1.0], "tau": 0.05,
    "s_a": [1.0, 1.0, 0.0], "s_m": [0.0, 0.0, 1.0],
}
TREND = {"k": 0.8, "m": 0.3, "delta": [0.04, -0.12], "sigma_obs": 0.2, "beta": [0.3, -0.2, 0.4]}


def series(d, p, trend):
    total = normal([p["k"], p["m"]], 0, 5) + stats.laplace.logpdf(p["delta"], 0, d["tau"]).sum()
    total += half(stats.norm(0, 0.5), p["sigma_obs"]) + normal(p["beta"], 0, d["sigmas"])
    X, beta = np.array(d["X"]), np.array(p["beta"])
    mean = trend * (1 + X @ (beta * d["s_m"])) + X @ (beta * d["s_a"])
    return total + normal(d["y"], mean, p["sigma_obs"])


@model({**SERIES, "trend_indicator": 0}, TREND)
def prophet(d, p):
    t = np.array(d["t"])
    passed = t[:, None] >= np.array(d["t_change"])
    slope = p["k"] + passed @ p["delta"]
    return series(d, p, slope * t + p["m"] - passed @ (np.array(d["t_change"]) * p["delta"]))


@model({**SERIES, "trend_indicator": 1}, TREND, name="prophet")
def prophet_logistic(d, p):
    """Each offset keeps the growth continuous."""
    gammas, offset, slope = [], p["m"], p["k"]
    for at, delta in zip(d["t_change"], p["delta"]):
        gammas.append((at - offset) * (1 - slope / (slope + delta)))
        offset, slope = offset + gammas[-1], slope + delta
    t = np.array(d["t"])
    passed = t[:, None] >= np.array(d["t_change"])
    growth = (p["k"] + passed @ p["delta"]) * (t - (p["m"] + passed @ np.array(gammas)))
    return series(d, p, np.array(d["cap"]) * expit(growth))


def solution(f, start, t0, times):
    found = solve_ivp(f, (t0, times[-1]), start, "DOP853", times, rtol=1e-13, atol=1e-13)
    return found.y.T


@model(
    {"D": 30.0, "V": 2.0, "t0": 0.0, "times": [0.5, 1.0, 3.0, 8.0], "C_hat": [5.0, 6.0, 3.0, 0.4]},
    {"k_a": 0.8, "K_m": 0.3, "V_m": 2.1, "sigma": 0.2},
)
def one_comp_mm_elim_abs(d, p):
    def slope(t, y):
        return np.exp(-p["k_a"] * t) * d["D"] * p["k_a"] / d["V"] - p["V_m"] / d["V"] * y / (p["K_m"] + y)

    C = solution(slope, [0.0], d["t0"], d["times"])[:, 0]
    total = half(stats.cauchy(0, 1), [p["k_a"], p["K_m"], p["V_m"], p["sigma"]])
    return total + stats.lognorm.logpdf(d["C_hat"], p["sigma"], scale=C).sum()


@model(
    {"totalC_t0": 7.7, "t0": 0.0, "ts": [1.0, 3.0, 10.0, 25.0], "eCO2mean": [0.2, 0.5, 1.1, 1.8]},
    {"k1": 0.05, "k2": 0.3, "alpha21": 0.4, "alpha12": 0.2, "gamma": 0.8, "sigma": 0.3},
)
def soil_incubation(d, p):
    """The equation is linear."""
    M = [[-p["k1"], p["alpha12"] * p["k2"]], [p["alpha21"] * p["k1"], -p["k2"]]]
    start = d["totalC_t0"] * np.array([p["gamma"], 1 - p["gamma"]])
    left = [np.sum(expm(np.array(M) * t) @ start) for t in d["ts"]]
    total = half(stats.norm(0, 1), [p["k1"], p["k2"], p["alpha21"], p["alpha12"]])
    total += stats.beta.logpdf(p["gamma"], 10, 1) + half(stats.cauchy(0, 1), p["sigma"])
    return total + normal(d["eCO2mean"], d["totalC_t0"] - np.array(left), p["sigma"])


@model(
    {"dose": [100.0, 80.0], "times": [[0.5, 2.0, 9.0], [1.0, 3.0, 20.0]],
     "conc": [[1.2, 1.4, 0.5], [1.1, 0.8, 0.2]]},
    {"theta": [11.0, 14.0, 33.0, 90.0, 1.8], "omega": [0.3, 0.2, 0.4, 0.5, 0.6],
     "L": np.eye(5).tolist(), "z": normals(5, 2), "sigma": 0.3},
)
def pkpd_two_compartments(d, p):
    total = stats.lognorm.logpdf(p["theta"], 0.25, scale=[10, 15, 35, 105, 2]).sum()
    total += stats.lognorm.logpdf(p["omega"], 0.5, scale=np.exp(-1)).sum() + normal(p["z"])
    total += lkj_cholesky(np.array(p["L"]), 1.0) + half(stats.cauchy(0, 1), p["sigma"])
    for person, z in enumerate(np.array(p["z"]).T):
        CL, Q, VC, VP, KA = np.array(p["theta"]) * np.exp(np.array(p["omega"]) * (np.array(p["L"]) @ z))
        M = np.array([[-KA, 0, 0], [KA, -(CL + Q) / VC, Q / VP], [0, Q / VC, -Q / VP]])
        for t, y in zip(d["times"][person], d["conc"][person]):
            amount = (expm(M * t) @ [d["dose"][person], 0, 0])[1]
            total += stats.lognorm.logpdf(y, p["sigma"], scale=amount / VC)
    return total


@model(
    {"n_age": 2, "n_age_edu": 3, "n_edu": 2, "n_region_full": 2, "n_state": 3, "age": [1, 2, 2, 1],
     "age_edu": [1, 3, 2, 2], "black": [0.0, 1.0, 0.0, 1.0], "edu": [1, 2, 1, 2],
     "female": [1.0, 1.0, 0.0, 0.0], "region_full": [1, 2, 2, 1], "state": [3, 1, 2, 2],
     "v_prev_full": [0.4, 0.5, 0.6, 0.45], "y": [1, 0, 0, 1]},
    {"a": normals(2), "b": normals(2), "c": normals(3), "d": normals(3), "e": normals(2),
     "beta": normals(5), "sigma_a": 0.5, "sigma_b": 1.5, "sigma_c": 0.7, "sigma_d": 2.0, "sigma_e": 0.9},
)
def election88_full(d, p):
    total = normal(p["beta"], 0, 100) + sum(normal(p[x], 0, p["sigma_" + x]) for x in "abcde")
    b = p["beta"]
    for n, y in enumerate(d["y"]):
        eta = b[0] + b[1] * d["black"][n] + b[2] * d["female"][n] + b[3] * d["v_prev_full"][n]
        eta += b[4] * d["female"][n] * d["black"][n]
        for x, index in zip("abcde", ("age", "edu", "age_edu", "state", "region_full")):
            eta += p[x][d[index][n] - 1]
        total += bernoulli_logit(y, eta)
    return total


@model({"encouraged": [0, 1, 1, 0], "watched": [0.0, 1.0, 1.0, 1.0]}, {"beta": [0.5, 0.3], "sigma": 0.6})
def sesame_one_pred_a(d, p):
    return normal(d["watched"], p["beta"][0] + p["beta"][1] * np.array(d["encouraged"]), p["sigma"])


@model({"income": [1.0, 3.0, 5.0], "vote": [0, 1, 1]}, {"alpha": -1.4, "beta": [0.3]})
def nes_logit_model(d, p):
    return bernoulli_logit(d["vote"], p["alpha"] + p["beta"][0] * np.array(d["income"]))


@model(
    {"y": [28.0, 8.0, -3.0], "sigma": [15.0, 10.0, 16.0]},
    {"theta": [6.0, 5.0, 2.0], "mu": 4.0, "tau": 3.0},
)
def eight_schools_centered(d, p):
    total = normal(p["mu"], 0, 5) + half(stats.cauchy(0, 5), p["tau"])
    return total + normal(p["theta"], p["mu"], p["tau"]) + normal(d["y"], p["theta"], d["sigma"])


WELLS = {
    "switched": [1, 0, 1, 1, 0], "dist": uniforms(5, 120, 5), "arsenic": uniforms(0.5, 4, 5),
    "assoc": [0, 1, 1, 0, 1], "educ": [0.0, 5.0, 12.0, 8.0, 3.0],
}


def wells(d, p, *columns):
    return bernoulli_logit(d["switched"], p["alpha"] + np.stack(columns, axis=1) @ p["beta"])


def centred(x, unit=1.0):
    return (np.array(x) - np.mean(x)) / unit


@model(WELLS, {"beta": [0.6, -0.006]})
def wells_dist(d, p):
    return bernoulli_logit(d["switched"], p["beta"][0] + p["beta"][1] * np.array(d["dist"]))


@model(WELLS, {"alpha": 0.6, "beta": [-0.6]})
def wells_dist100_model(d, p):
    return wells(d, p, np.array(d["dist"]) / 100)


@model(WELLS, {"alpha": 0.6, "beta": [-0.9, 0.5, -0.2]})
def wells_interaction_c_model(d, p):
    x, a = centred(d["dist"], 100), centred(d["arsenic"])
    return wells(d, p, x, a, x * a)


@model(WELLS, {"alpha": 0.6, "beta": [-0.9, 0.5, -0.2, -0.1, 0.2]})
def wells_daae_c_model(d, p):
    x, a = centred(d["dist"], 100), centred(d["arsenic"])
    return wells(d, p, x, a, x * a, d["assoc"], np.array(d["educ"]) / 4)


@model(WELLS, {"alpha": 0.6, "beta": [-0.9, 0.5, 0.2, -0.1, 0.3, 0.1]})
def wells_dae_inter_model(d, p):
    x, a, e = centred(d["dist"], 100), centred(d["arsenic"]), centred(d["educ"], 4)
    return wells(d, p, x, a, e, x * a, x * e, a * e)


HOUSES = {
    "J": 3, "county_idx": [1, 1, 2, 3, 3], "floor_measure": [0.0, 1.0, 0.0, 0.0, 1.0],
    "log_uppm": normals(5), "log_radon": normals(5),
}


def houses(d, p, mean):
    return normal(d["log_radon"], mean, p["sigma_y"]) + half(stats.norm(0, 1), p["sigma_y"])


def county(d):
    return np.array(d["county_idx"]) - 1


@model(HOUSES, {"alpha": 1.3, "beta": -0.6, "sigma_y": 0.7})
def radon_pooled(d, p):
    mean = p["alpha"] + p["beta"] * np.array(d["floor_measure"])
    return normal([p["alpha"], p["beta"]], 0, 10) + houses(d, p, mean)


@model(
    {"J": 2, "county": [1, 2, 2], "y": normals(3)},
    {"a": [1.2, 0.8], "mu_a": 1.1, "sigma_a": 0.4, "sigma_y": 0.8},
)
def radon_county(d, p):
    total = normal(p["mu_a"]) + normal(p["a"], p["mu_a"], p["sigma_a"])
    return total + normal(d["y"], np.array(p["a"])[np.array(d["county"]) - 1], p["sigma_y"])


@model(HOUSES, {"alpha": normals(3), "beta": -0.6, "sigma_y": 0.7})
def radon_county_intercept(d, p):
    mean = np.array(p["alpha"])[county(d)] + p["beta"] * np.array(d["floor_measure"])
    return normal([*p["alpha"], p["beta"]], 0, 10) + houses(d, p, mean)


@model(HOUSES, {"alpha_raw": normals(3), "mu_alpha": 1.2, "sigma_alpha": 0.5, "sigma_y": 0.7})
def radon_partially_pooled_noncentered(d, p):
    alpha = p["mu_alpha"] + p["sigma_alpha"] * np.array(p["alpha_raw"])
    total = normal(p["alpha_raw"]) + normal(p["mu_alpha"], 0, 10) + half(stats.norm(0, 1), p["sigma_alpha"])
    return total + houses(d, p, alpha[county(d)])


@model(HOUSES, {"alpha": 1.3, "beta": normals(3), "mu_beta": -0.5, "sigma_beta": 0.4, "sigma_y": 0.7})
def radon_variable_slope_centered(d, p):
    total = normal([p["alpha"], p["mu_beta"]], 0, 10) + half(stats.norm(0, 1), p["sigma_beta"])
    total += normal(p["beta"], p["mu_beta"], p["sigma_beta"])
    return total + houses(d, p, p["alpha"] + d["floor_measure"] * np.array(p["beta"])[county(d)])


@model(
    HOUSES,
    {"sigma_y": 0.7, "sigma_alpha": 0.5, "sigma_beta": 0.3, "mu_alpha": 1.2, "mu_beta": -0.6,
     "alpha": normals(3), "beta": normals(3)},
)
def radon_variable_intercept_slope_noncentered(d, p):
    total = normal([p["mu_alpha"], p["mu_beta"]], 0, 10)
    for x in ("alpha", "beta"):
        total += half(stats.norm(0, 1), p["sigma_" + x]) + normal(p[x], p["mu_" + x], p["sigma_" + x])
    alpha, beta = np.array(p["alpha"])[county(d)], np.array(p["beta"])[county(d)]
    return total + houses(d, p, alpha + beta * d["floor_measure"])


@model(
    HOUSES,
    {"alpha": normals(3), "beta": [0.7, -0.6], "mu_alpha": 1.2, "sigma_alpha": 0.5, "sigma_y": 0.7},
)
def radon_hierarchical_intercept_centered(d, p):
    total = normal([*p["beta"], p["mu_alpha"]], 0, 10) + half(stats.norm(0, 1), p["sigma_alpha"])
    total += normal(p["alpha"], p["mu_alpha"], p["sigma_alpha"])
    mean = np.array(p["alpha"])[county(d)] + p["beta"][0] * np.array(d["log_uppm"])
    return total + houses(d, p, mean + p["beta"][1] * np.array(d["floor_measure"]))


@model(
    {name: uniforms(0.3, 3, 5) for name in ("weight", "diam1", "diam2", "canopy_height", "total_height")}
    | {"group": [0, 1, 1, 0, 1]},
    {"beta": normals(6), "sigma": 0.4},
)
def logmesquite_logvash(d, p):
    a, b, h = (np.log(d[name]) for name in ("diam1", "diam2", "canopy_height"))
    columns = [np.ones(5), a + b + h, a + b, a - b, np.log(d["total_height"]), np.array(d["group"])]
    return normal(np.log(d["weight"]), np.stack(columns, axis=1) @ p["beta"], p["sigma"])


@model(
    {"earn": [20000.0, 35000.0, 8000.0], "height": [65.0, 70.5, 62.0], "male": [0, 1, 0]},
    {"beta": [3.0, 1.6, 0.4], "sigma": 0.9},
)
def logearn_logheight_male(d, p):
    mean = p["beta"][0] + p["beta"][1] * np.log(d["height"]) + p["beta"][2] * np.array(d["male"])
    return normal(np.log(d["earn"]), mean, p["sigma"])


@model(
    {"node1": [1, 2, 3], "node2": [2, 3, 4], "y": [3, 0, 5, 2], "E": uniforms(1, 4, 4), "scaling_factor": 0.6},
    {"beta0": 0.2, "logit_rho": 0.5, "phi": [0.5, -0.2, 0.1, -0.4], "theta": normals(4), "sigma": 0.7},
)
def traffic_accident_nyc(d, p):
    phi, rho = np.array(p["phi"]), expit(p["logit_rho"])
    total = normal([p["beta0"], p["logit_rho"]]) + normal(p["theta"]) + half(stats.norm(0, 1), p["sigma"])
    total -= 0.5 * sum((phi[a - 1] - phi[b - 1]) ** 2 for a, b in zip(d["node1"], d["node2"]))
    effect = np.sqrt(1 - rho) * np.array(p["theta"]) + np.sqrt(rho / d["scaling_factor"]) * phi
    rate = np.array(d["E"]) * np.exp(p["beta0"] + effect * p["sigma"])
    return total + stats.poisson.logpmf(d["y"], rate).sum()


@model(
    {"y": normals(5)},
    {"mu": -0.5, "phi": 0.8, "sigma": 0.4, "nu": 6.0, "h": normals(5)},
)
def state_space_stochastic_volatility_t(d, p):
    h, beyond = np.array(p["h"]), stats.gamma(2, scale=10)
    total = stats.cauchy.logpdf(p["mu"], 0, 10) + half(stats.cauchy(0, 5), p["sigma"])
    total += beyond.logpdf(p["nu"]) - beyond.logsf(2)
    total += normal(h[0], p["mu"], p["sigma"] / np.sqrt(1 - p["phi"] ** 2))
    total += normal(h[1:], p["mu"] + p["phi"] * (h[:-1] - p["mu"]), p["sigma"])
    return total + stats.t.logpdf(d["y"], p["nu"], 0, np.exp(h / 2)).sum()


if __name__ == "__main__":
    write("posteriordb.jsonl")
