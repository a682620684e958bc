"""Log densities of models in `tests/models`, written a second time with NumPy and SciPy.

Each function takes the data and one point and adds up the log density term by term, as slowly and
plainly as it can be said: fully normalised, no Jacobian. `python3 models.py` writes `models.jsonl`: one
model a line, with its data and the points. It needs SciPy (written with 1.17 on Python 3.11).
"""

import numpy as np
from scipy import linalg, stats
from scipy.special import expit, gammaln, log_expit, log_softmax, logit, logsumexp

from model_rows import factor2, half, lkj_cholesky, model, normals, write

@model(
    {"y": normals(12)},
    {"mu": 0.3, "phi": 0.4, "theta": -0.6, "sigma": 1.2},
    {"mu": -1.0, "phi": -0.7, "theta": 0.5, "sigma": 0.6},
)
def arma11(d, p):
    y = np.array(d["y"])
    cut = stats.truncnorm(-0.5, 0.5, 0, 2)
    total = stats.norm.logpdf(p["mu"], 0, 10) + cut.logpdf(p["phi"]) + cut.logpdf(p["theta"])
    total += half(stats.cauchy(0, 5), p["sigma"])
    err = y[0] - (p["mu"] + p["phi"] * p["mu"])
    total += stats.norm.logpdf(err, 0, p["sigma"])
    for t in range(1, len(y)):
        err = y[t] - (p["mu"] + p["phi"] * y[t - 1] + p["theta"] * err)
        total += stats.norm.logpdf(err, 0, p["sigma"])
    return total


CAPTURES = [[1, 0, 1], [0, 0, 1], [1, 1, 1], [1, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0]]


@model(
    {"y": CAPTURES},
    {"omega": 0.6, "mean_p": [0.3, 0.4, 0.7], "gamma": 0.5, "sigma": 0.8, "eps_raw": normals(7)},
    {"omega": 0.2, "mean_p": [0.1, 0.8, 0.5], "gamma": -2.0, "sigma": 2.5, "eps_raw": normals(7)},
)
def capture_recapture(d, p):
    y = np.array(d["y"])
    total = stats.norm.logpdf(p["gamma"], 0, 10) - np.log(3) + stats.norm.logpdf(p["eps_raw"]).sum()
    for i, row in enumerate(y):
        history = 0.0
        for t in range(3):
            eta = logit(p["mean_p"][t]) + p["sigma"] * p["eps_raw"][i]
            if t > 0:
                eta += p["gamma"] * row[t - 1]
            history += stats.bernoulli.logpmf(row[t], expit(eta))
        if row.sum() > 0:
            total += np.log(p["omega"]) + history
        else:
            total += np.log(p["omega"] * np.exp(history) + 1 - p["omega"])
    return total


@model(
    {"K": 2, "y": [3.1, 2.8, 9.9, 10.2, 3.3, 2.9]},
    {"theta": [[0.7, 0.3], [0.4, 0.6]], "mu": [2.5, 9.0]},
    {"theta": [[0.1, 0.9], [0.95, 0.05]], "mu": [0.3, 11.0]},
)
def hmm_example(d, p):
    """All paths, one by one."""
    y, theta, mu = d["y"], np.array(p["theta"]), np.array(p["mu"])
    total = stats.norm.logpdf(mu[0], 3, 1) + stats.norm.logpdf(mu[1], 10, 1) - np.log(2)
    paths = []
    for path in np.ndindex(*[2] * len(y)):
        lp = sum(stats.norm.logpdf(y[t], mu[path[t]], 1) for t in range(len(y)))
        paths.append(lp + sum(np.log(theta[a, b]) for a, b in zip(path, path[1:])))
    return total + logsumexp(paths)


@model(
    {"K": 2, "u": normals(5, 3), "x": normals(5)},
    {"pi1": [0.3, 0.7], "w": normals(2, 3), "b": normals(2, 3), "s": [0.5, 1.5]},
)
def input_output_hmm(d, p):
    u, x, w, b = np.array(d["u"]), d["x"], np.array(p["w"]), np.array(p["b"])
    total = stats.norm.logpdf(w, 0, 5).sum() + stats.norm.logpdf(b, 0, 5).sum()
    total += half(stats.norm(0, 3), p["s"])
    paths = []
    for path in np.ndindex(*[2] * 5):
        lp = np.log(p["pi1"][path[0]])
        lp += sum(stats.norm.logpdf(x[t], u[t] @ b[path[t]], p["s"][path[t]]) for t in range(5))
        # The state that is entered depends on the input alone.
        lp += sum(log_softmax(w @ u[t])[path[t]] for t in range(1, 5))
        paths.append(lp)
    return total + logsumexp(paths)


@model(
    {"V": 4, "K": 2, "M": 3, "w": [1, 2, 4, 1, 3, 3, 2, 4], "doc": [1, 1, 1, 2, 2, 3, 3, 3],
     "alpha": [0.7, 1.2], "beta": [0.5, 0.6, 0.7, 0.8]},
    {"theta": [[0.2, 0.8], [0.5, 0.5], [0.9, 0.1]],
     "phi": [[0.1, 0.2, 0.3, 0.4], [0.25, 0.3, 0.4, 0.05]]},
)
def latent_dirichlet(d, p):
    theta, phi = np.array(p["theta"]), np.array(p["phi"])
    total = sum(stats.dirichlet.logpdf(row, d["alpha"]) for row in theta)
    total += sum(stats.dirichlet.logpdf(row, d["beta"]) for row in phi)
    for word, doc in zip(d["w"], d["doc"]):
        total += np.log(theta[doc - 1] @ phi[:, word - 1])
    return total


@model(
    {"growth": 1, "cohort": [1, 1, 1, 2, 2, 3], "age": [1, 2, 3, 1, 2, 1], "years": [1.0, 2.0, 3.0],
     "premium": [100.0, 120.0, 110.0], "loss": [30.0, 50.0, 60.0, 35.0, 60.0, 28.0]},
    {"omega": 1.3, "theta": 1.8, "LR": [0.6, 0.7, 0.65], "mu_LR": -0.4, "sd_LR": 0.3, "loss_sd": 0.05},
    {"omega": 0.7, "theta": 2.8, "LR": [0.9, 0.5, 0.8], "mu_LR": 0.2, "sd_LR": 0.8, "loss_sd": 0.1},
)
def loss_curve(d, p):
    ln = lambda x, mu, sigma: stats.lognorm.logpdf(x, sigma, scale=np.exp(mu))
    total = ln(p["omega"], 0, 0.5) + ln(p["theta"], 0, 0.5) + stats.norm.logpdf(p["mu_LR"], 0, 0.5)
    total += ln(p["sd_LR"], 0, 0.5) + ln(p["loss_sd"], 0, 0.7)
    total += sum(ln(x, p["mu_LR"], p["sd_LR"]) for x in p["LR"])
    for c, t, loss in zip(d["cohort"], d["age"], d["loss"]):
        grown = 1 - np.exp(-((d["years"][t - 1] / p["theta"]) ** p["omega"]))
        premium = d["premium"][c - 1]
        total += stats.norm.logpdf(loss, p["LR"][c - 1] * premium * grown, p["loss_sd"] * premium)
    return total


@model(
    {"K": 4, "S": 5, "x": [[1, 0, 2], [0, 0, 1], [3, 4, 0]]},
    {"alpha": 0.5, "beta": -1.0, "Omega": 0.7, "rho": 0.3, "sigma": [0.8, 1.4], "uv": normals(5, 2)},
)
def multi_occupancy(d, p):
    x, uv = np.array(d["x"]), np.array(p["uv"])
    total = stats.cauchy.logpdf(p["alpha"], 0, 2.5) + stats.cauchy.logpdf(p["beta"], 0, 2.5)
    total += stats.beta.logpdf(p["Omega"], 2, 2) + stats.beta.logpdf(p["rho"], 2, 2, -1, 2)
    total += half(stats.cauchy(0, 2.5), p["sigma"])
    s, t = p["sigma"]
    cov = [[s * s, p["rho"] * s * t], [p["rho"] * s * t, t * t]]
    total += stats.multivariate_normal([0, 0], cov).logpdf(uv).sum()
    for i in range(d["S"]):
        psi, theta = expit(p["alpha"] + uv[i, 0]), expit(p["beta"] + uv[i, 1])
        seen = x[i] if i < len(x) else [0, 0, 0]
        species = 1.0
        for count in seen:
            species *= psi * stats.binom.pmf(count, d["K"], theta) + (1 - psi) * (count == 0)
        total += np.log(p["Omega"] * species + (0 if i < len(x) else 1 - p["Omega"]))
    return total


@model(
    {"J": 3, "county": [1, 1, 2, 2, 3, 3, 3], "floor": [0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0],
     "log_radon": normals(7)},
    {"sigma_y": 0.8, "tau": [0.5, 0.9], "L": factor2(-0.4), "mu": [1.2, -0.5], "z": normals(2, 3)},
)
def radon_correlated(d, p):
    L, z = np.array(p["L"]), np.array(p["z"])
    total = half(stats.norm(0, 1), p["sigma_y"]) + stats.expon.logpdf(p["tau"]).sum()
    total += lkj_cholesky(L, 2.0) + stats.norm.logpdf(p["mu"], 0, 10).sum() + stats.norm.logpdf(z).sum()
    for g, floor, y in zip(d["county"], d["floor"], d["log_radon"]):
        ab = np.array(p["mu"]) + np.diag(p["tau"]) @ L @ z[:, g - 1]
        total += stats.norm.logpdf(y, ab[0] + ab[1] * floor, p["sigma_y"])
    return total


@model(
    {"I": 3, "J": 4, "ii": [1, 2, 3] * 4, "jj": [1] * 3 + [2] * 3 + [3] * 3 + [4] * 3,
     "y": [1, 0, 1, 1, 1, 0, 0, 0, 1, 1, 0, 0]},
    {"theta": normals(4), "xi": normals(3, 2), "mu": [0.2, -0.7], "tau": [0.6, 1.3], "L": factor2(0.5)},
)
def item_response_hierarchical(d, p):
    L, xi = np.array(p["L"]), np.array(p["xi"])
    total = stats.norm.logpdf(p["theta"]).sum() + stats.expon(scale=10).logpdf(p["tau"]).sum()
    total += stats.norm.logpdf(p["mu"][0], 0, 1) + stats.norm.logpdf(p["mu"][1], 0, 5)
    total += lkj_cholesky(L, 4.0)
    scale = np.diag(p["tau"]) @ L
    total += stats.multivariate_normal(p["mu"], scale @ scale.T).logpdf(xi).sum()
    for i, j, y in zip(d["ii"], d["jj"], d["y"]):
        eta = np.exp(xi[i - 1, 0]) * (p["theta"][j - 1] - xi[i - 1, 1])
        total += log_expit(eta if y else -eta)
    return total


@model(
    {"node1": [1, 2, 3, 4], "node2": [2, 3, 4, 5], "y": [1, 3, 2, 0, 4],
     "E": [1.0, 2.0, 1.5, 1.0, 2.5], "scaling": 0.5},
    {"beta0": 0.2, "sigma": 0.7, "rho": 0.4, "theta": normals(5), "phi": [0.1, -0.2, 0.3, -0.15, -0.05]},
)
def disease_map(d, p):
    phi, theta = np.array(p["phi"]), np.array(p["theta"])
    total = stats.norm.logpdf(p["beta0"]) + half(stats.norm(0, 1), p["sigma"])
    total += stats.beta.logpdf(p["rho"], 0.5, 0.5) + stats.norm.logpdf(theta).sum()
    for a, b in zip(d["node1"], d["node2"]):
        total -= 0.5 * (phi[a - 1] - phi[b - 1]) ** 2
    total += stats.norm.logpdf(phi.sum(), 0, 0.001 * 5)
    effect = np.sqrt(1 - p["rho"]) * theta + np.sqrt(p["rho"] / d["scaling"]) * phi
    rate = np.array(d["E"]) * np.exp(p["beta0"] + effect * p["sigma"])
    return total + stats.poisson.logpmf(d["y"], rate).sum()


@model(
    {"K": 3, "J": 2, "x": normals(6, 2), "y": [1, 3, 2, 2, 1, 3]},
    {"alpha": normals(2, 2), "beta": normals(2, 2), "alpha1": normals(2), "beta1": normals(2),
     "var_a": 0.8, "var_b": 1.7},
)
def neural_network(d, p):
    alpha, beta = np.array(p["alpha"]), np.array(p["beta"])
    total = stats.norm.logpdf(alpha, 0, np.sqrt(p["var_a"])).sum()
    total += stats.norm.logpdf(beta, 0, np.sqrt(p["var_b"])).sum()
    total += stats.norm.logpdf(p["alpha1"]).sum() + stats.norm.logpdf(p["beta1"]).sum()
    total += stats.invgamma.logpdf(p["var_a"], 1) + stats.invgamma.logpdf(p["var_b"], 1)
    for x, y in zip(d["x"], d["y"]):
        hidden = np.tanh(np.array(x) @ alpha + p["alpha1"])
        total += log_softmax(np.append(0.0, hidden @ beta + p["beta1"]))[y - 1]
    return total


@model(
    {"y": normals(6)},
    {"mu": -0.5, "phi": 0.8, "sigma": 0.4, "h_std": normals(6)},
    {"mu": 1.0, "phi": -0.3, "sigma": 1.1, "h_std": normals(6)},
)
def stochastic_volatility(d, p):
    total = stats.cauchy.logpdf(p["mu"], 0, 10) - np.log(2) + half(stats.cauchy(0, 5), p["sigma"])
    total += stats.norm.logpdf(p["h_std"]).sum()
    h = p["mu"] + p["h_std"][0] * p["sigma"] / np.sqrt(1 - p["phi"] ** 2)
    for t, y in enumerate(d["y"]):
        if t > 0:
            h = p["mu"] + p["phi"] * (h - p["mu"]) + p["h_std"][t] * p["sigma"]
        total += stats.norm.logpdf(y, 0, np.exp(h / 2))
    return total


@model({"D": [4, 5, 4, 0, 1, 4, 3]}, {"e": 3.2, "l": 1.4}, {"e": 0.4, "l": 5.0})
def change_point(d, p):
    counts = np.array(d["D"])
    parts = []
    for s in range(len(counts)):
        early, late = counts[:s], counts[s:]
        lp = stats.poisson.logpmf(early, p["e"]).sum() + stats.poisson.logpmf(late, p["l"]).sum()
        parts.append(lp - np.log(len(counts)))
    return stats.expon.logpdf([p["e"], p["l"]]).sum() + logsumexp(parts)


@model({"nmax": 40, "k": [16, 18, 22]}, {"theta": 0.4}, {"theta": 0.75})
def survey_size(d, p):
    sizes = range(max(d["k"]), d["nmax"] + 1)
    return np.log(sum(np.prod(stats.binom.pmf(d["k"], n, p["theta"])) / d["nmax"] for n in sizes))


@model(
    {"y": [[1, 0, 1, 0], [1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 1, 1], [0, 0, 0, 0]]},
    {"phi": [0.8, 0.6, 0.7], "p": [0.5, 0.4, 0.3, 0.6]},
)
def cormack_jolly_seber(d, p):
    """For each animal, over all times of its death."""
    total = 0.0
    for row in np.array(d["y"]):
        if row.sum() == 0:
            continue
        first, last, T = np.argmax(row), len(row) - 1 - np.argmax(row[::-1]), len(row)
        chance = 0.0
        for death in range(last, T):
            lived = np.prod(p["phi"][first:death])
            if death < T - 1:
                lived *= 1 - p["phi"][death]
            seen = np.prod([p["p"][t] if row[t] else 1 - p["p"][t] for t in range(first + 1, death + 1)])
            chance += lived * seen
        total += np.log(chance)
    return total


@model(
    {"deaths": [[0, 1], [2, 0], [3, 1], [1, 4], [2, 2]], "SI": [0.1, 0.4, 0.3, 0.15, 0.05],
     "f": [0.05, 0.2, 0.4, 0.25, 0.1], "X": [[0.0, 0.0], [0.0, 1.0], [1.0, 1.0], [1.0, 1.0], [1.0, 0.0]],
     "N0": 2},
    {"mu": [2.5, 3.0], "alpha": [0.4, 0.2], "kappa": 0.6, "seed": [8.0, 12.0], "phi": 3.0, "tau": 9.0},
)
def epidemic_renewal(d, p):
    X, T = np.array(d["X"]), 5
    total = half(stats.norm(0, 0.5), p["kappa"]) + stats.gamma.logpdf(p["alpha"], 0.5).sum()
    total += half(stats.norm(0, 5), p["phi"]) + stats.expon(scale=1 / 0.03).logpdf(p["tau"])
    total += stats.expon(scale=p["tau"]).logpdf(p["seed"]).sum()
    for m in range(2):
        cut = stats.norm(3.28, p["kappa"])
        total += cut.logpdf(p["mu"][m]) - cut.logsf(0)
        infections = []
        for t in range(T):
            if t < d["N0"]:
                infections.append(p["seed"][m])
                continue
            r = p["mu"][m] * np.exp(-X[t] @ p["alpha"])
            infections.append(r * sum(infections[s] * d["SI"][t - 1 - s] for s in range(t)))
        for t in range(T):
            expected = 1e-9 + sum(infections[s] * d["f"][t - 1 - s] for s in range(t))
            # SciPy's form loses digits where little is expected.
            y, phi = d["deaths"][t][m], p["phi"]
            total += gammaln(y + phi) - gammaln(phi) - gammaln(y + 1)
            total += y * np.log(expected / (expected + phi)) - phi * np.log1p(expected / phi)
    return total


@model(
    {"x": normals(4, 2), "y": normals(4, 3)},
    {"beta": normals(3, 2), "sigma": [0.8, 1.1, 1.6],
     "L": np.linalg.cholesky([[1, 0.3, -0.2], [0.3, 1, 0.4], [-0.2, 0.4, 1]]).tolist()},
)
def seemingly_unrelated(d, p):
    L, beta = np.array(p["L"]), np.array(p["beta"])
    total = stats.norm.logpdf(beta, 0, 2).sum() + lkj_cholesky(L, 1.0)
    total += half(stats.cauchy(0, 2.5), p["sigma"])
    scale = np.diag(p["sigma"]) @ L
    for x, y in zip(d["x"], d["y"]):
        total += stats.multivariate_normal(beta @ x, scale @ scale.T).logpdf(y)
    return total


@model(
    {"y": normals(14), "period": 4},
    {"level": normals(14), "season": normals(14), "sigma": [0.3, 0.5, 1.4]},
)
def structural_time_series(d, p):
    y, level, season, n = d["y"], p["level"], p["season"], d["period"]
    # Three half-t deviations in order.
    total = half(stats.t(4), p["sigma"]) + np.log(6)
    for t in range(1, len(y)):
        total += stats.norm.logpdf(level[t], level[t - 1], p["sigma"][1])
    for t in range(n - 1, len(y)):
        total += stats.norm.logpdf(season[t], -sum(season[t - n + 1 : t]), p["sigma"][0])
    return total + sum(stats.norm.logpdf(y[t], level[t] + season[t], p["sigma"][2]) for t in range(len(y)))


@model(
    {"x": [0.0, 1.0, 2.5], "y": normals(2, 3)},
    {"variance": 0.9, "scale": 0.7, "L": factor2(0.3), "sd": [0.8, 1.5]},
)
def kronecker_process(d, p):
    x, y = np.array(d["x"]), np.array(d["y"])
    K = np.exp(-p["scale"] * (x[:, None] - x) ** 2) + 0.1 * np.eye(3)
    S = np.diag(p["sd"]) @ np.array(p["L"])
    total = stats.invgamma.logpdf(p["variance"], 1) + stats.gamma.logpdf(p["scale"], 2)
    total += lkj_cholesky(np.array(p["L"]), 2.0) + stats.lognorm.logpdf(p["sd"], 1).sum()
    cov = p["variance"] * np.kron(S @ S.T, K)
    return total + stats.multivariate_normal(np.zeros(6), cov).logpdf(y.ravel())


@model(
    {"n": [2, 1, 3], "y": normals(6), "low": -1.0},
    {"mu": [0.5, 0.8, 0.9], "sigma": 0.8, "top": 1.5},
)
def ragged_bounded(d, p):
    """Means between a datum and a parameter, normal there; rows of different lengths."""
    total = stats.expon.logpdf(p["top"]) + stats.expon.logpdf(p["sigma"])
    prior = stats.norm(0, 2)
    total += sum(prior.logpdf(m) for m in p["mu"])
    total -= 3 * np.log(prior.cdf(p["top"]) - prior.cdf(d["low"]))
    rows = np.split(np.array(d["y"]), np.cumsum(d["n"])[:-1])
    return total + sum(stats.norm.logpdf(row, m, p["sigma"]).sum() for row, m in zip(rows, p["mu"]))


if __name__ == "__main__":
    write("models.jsonl")
