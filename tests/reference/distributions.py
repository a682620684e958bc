"""Reference values of the distributions in stdlib/distributions, from textbook formulas at 50 digits.

One `Dist` per distribution: its log density, cdf and moments as the literature writes them, with
no care for rounding (the working precision takes care of it), and the points to evaluate. Before a
row is written, `check` integrates or sums the density numerically: it must give one, the cdf and
the moments, so that a slip in a formula here does not become the truth.
"""

from dataclasses import dataclass, field
from typing import Callable, Optional

from mpmath import mp, mpf, inf, nan

mp.dps = 60
SOURCE = "mpmath 1.3.0, tests/reference/distributions.py"
gamma, lgam, log, exp, sqrt, pi = mp.gamma, mp.loggamma, mp.log, mp.exp, mp.sqrt, mp.pi


def xlogy(x, y):
    return mpf(0) if x == 0 else x * log(y)


def Phi(z):
    return mp.erfc(-z / sqrt(2)) / 2


def P(a, x):
    """Regularised lower incomplete gamma function."""
    return mpf(0) if x == 0 else mp.gammainc(a, 0, x, regularized=True)


def Q(a, x):
    return mpf(1) if x == 0 else mp.gammainc(a, x, inf, regularized=True)


def I(a, b, x):
    """Regularised incomplete beta function."""
    return mp.betainc(a, b, 0, x, regularized=True)


def lbin(n, k):
    return lgam(n + 1) - lgam(k + 1) - lgam(n - k + 1)


def lB(a, b):
    return lgam(a) + lgam(b) - lgam(a + b)


@dataclass
class Dist:
    name: str
    params: str  # names, blank-separated; a trailing `:int` marks an integer
    log_density: Callable
    points: list  # (parameters, values of x)
    support: Callable = lambda *p: (-inf, inf)
    cdf: Optional[Callable] = None
    mean: Optional[Callable] = None
    var: Optional[Callable] = None
    discrete: bool = False
    improper: bool = False
    at_edge: dict = field(default_factory=dict)  # log density where the formula is 0/0 or ∞ - ∞

    def lp(self, x, p):
        lo, hi = self.support(*p)
        if x < lo or x > hi:
            return -inf
        if x == lo and "lower" in self.at_edge:
            return self.at_edge["lower"]
        v = self.log_density(x, *p)
        return v.real if isinstance(v, mp.mpc) else v


def diff(f, x):
    """The derivative, from a central difference in four times the precision."""
    with mp.workdps(240):
        return mp.diff(f, mpf(x), h=mpf(10) ** -60 * max(abs(mpf(x)), mpf(10) ** -20))


positive = lambda *p: (mpf(0), inf)
unit = lambda *p: (mpf(0), mpf(1))

CONTINUOUS = [
    Dist("normal", "mu sigma", lambda x, m, s: -((x - m) ** 2) / (2 * s * s) - log(s * sqrt(2 * pi)),
         [((0.0, 1.0), [0.0, 0.5, -8.25, 30.0]), ((1.5, 2.5), [-3.0, 7.5]), ((3.0, 1e-8), [3.00000001]),
          ((-1e6, 1e8), [1e8]), ((0.1, 0.3), [0.7])],
         cdf=lambda x, m, s: Phi((x - m) / s), mean=lambda m, s: m, var=lambda m, s: s * s),
    Dist("std_normal", "", lambda x: -x * x / 2 - log(sqrt(2 * pi)), [((), [0.0, 1.25, -12.5, 35.0, 1e10])],
         cdf=lambda x: Phi(x), mean=lambda: mpf(0), var=lambda: mpf(1)),
    Dist("lognormal", "mu sigma",
         lambda x, m, s: -((log(x) - m) ** 2) / (2 * s * s) - log(x * s * sqrt(2 * pi)),
         [((0.0, 1.0), [1.0, 0.3, 50.0, 1e-12, 0.0, -1.0]), ((2.0, 0.25), [7.0, 20.0]), ((-1.0, 0.01), [0.36])],
         positive, cdf=lambda x, m, s: mpf(0) if x == 0 else Phi((log(x) - m) / s),
         mean=lambda m, s: exp(m + s * s / 2), var=lambda m, s: (exp(s * s) - 1) * exp(2 * m + s * s),
         at_edge={"lower": -inf}),
    Dist("cauchy", "mu sigma", lambda x, m, s: -log(pi * s * (1 + ((x - m) / s) ** 2)),
         [((0.0, 1.0), [0.0, 2.0, -1e8, 1e12]), ((-3.0, 0.125), [-2.75, 40.0]), ((5.0, 1e6), [-7.0])],
         cdf=lambda x, m, s: mp.atan((x - m) / s) / pi + mpf(1) / 2, mean=lambda m, s: nan, var=lambda m, s: nan),
    Dist("student_t", "nu mu sigma",
         lambda x, n, m, s: lgam((n + 1) / 2) - lgam(n / 2) - log(sqrt(n * pi) * s)
         - (n + 1) / 2 * log(1 + ((x - m) / s) ** 2 / n),
         [((4.0, 0.0, 1.0), [0.0, 0.75, -30.0, 1e5]), ((1.0, 2.0, 3.0), [2.5, -9.0]), ((0.5, 0.0, 1.0), [1.0]),
          ((1.5, -1.0, 0.5), [3.0]), ((30.0, 1.0, 2.0), [1.0001, 12.0]), ((1e8, 0.0, 1.0), [1.5]),
          ((7.0, 10.0, 2.0), [3.0])],
         cdf=lambda x, n, m, s: _t_cdf((x - m) / s, n),
         mean=lambda n, m, s: m if n > 1 else nan,
         var=lambda n, m, s: s * s * n / (n - 2) if n > 2 else (inf if n > 1 else nan)),
    *[Dist(name, "mu sigma", lambda x, m, s: -abs(x - m) / s - log(2 * s),
           [((0.0, 1.0), [0.5, -2.0, 60.0, -60.0]), ((3.0, 0.2), [2.9, 3.3]), ((-1.0, 1e5), [1e4])],
           cdf=lambda x, m, s: exp((x - m) / s) / 2 if x < m else 1 - exp(-(x - m) / s) / 2,
           mean=lambda m, s: m, var=lambda m, s: 2 * s * s)
      for name in ("laplace", "double_exponential")],
    Dist("logistic", "mu sigma",
         lambda x, m, s: -(x - m) / s - log(s) - 2 * log(1 + exp(-(x - m) / s)),
         [((0.0, 1.0), [0.0, 1.5, -80.0, 90.0]), ((2.0, 0.5), [1.0, 4.0]), ((-5.0, 1e3), [700.0])],
         cdf=lambda x, m, s: 1 / (1 + exp(-(x - m) / s)), mean=lambda m, s: m,
         var=lambda m, s: (s * pi) ** 2 / 3),
    Dist("gumbel", "mu beta", lambda x, m, b: -inf if (m - x) / b > 1000 else -(x - m) / b - exp(-(x - m) / b) - log(b),
         [((0.0, 1.0), [0.0, 2.0, -4.0, 50.0]), ((1.0, 3.0), [-5.0, 11.0]), ((-2.0, 0.01), [-1.99])],
         cdf=lambda x, m, b: exp(-exp(-(x - m) / b)), mean=lambda m, b: m + b * mp.euler,
         var=lambda m, b: (b * pi) ** 2 / 6),
    Dist("exponential", "beta", lambda x, b: log(b) - b * x,
         [((1.0,), [0.0, 0.7, 40.0, 1e-15, -0.5]), ((0.001,), [250.0]), ((1e6,), [2e-6])],
         positive, cdf=lambda x, b: 1 - exp(-b * x), mean=lambda b: 1 / b, var=lambda b: 1 / b**2),
    Dist("gamma", "alpha beta", lambda x, a, b: a * log(b) - lgam(a) + xlogy(a - 1, x) - b * x,
         [((2.0, 3.0), [0.5, 1e-6, 20.0, 0.0, -1.0]), ((1.0, 0.5), [0.0, 3.0]), ((0.01, 0.01), [1e-30, 5.0]),
          ((0.5, 2.0), [0.0, 0.1]), ((500.0, 25.0), [19.0, 26.0]), ((25.0, 4.0), [6.0])],
         positive, cdf=lambda x, a, b: P(a, b * x), mean=lambda a, b: a / b, var=lambda a, b: a / b**2),
    Dist("inv_gamma", "alpha beta", lambda x, a, b: a * log(b) - lgam(a) - (a + 1) * log(x) - b / x,
         [((3.0, 2.0), [0.8, 0.01, 500.0, 0.0, -1.0]), ((0.5, 1.0), [2.0]), ((1.5, 0.25), [0.3]),
          ((100.0, 50.0), [0.5])],
         positive, cdf=lambda x, a, b: mpf(0) if x == 0 else Q(a, b / x),
         mean=lambda a, b: b / (a - 1) if a > 1 else inf,
         var=lambda a, b: b**2 / ((a - 1) ** 2 * (a - 2)) if a > 2 else inf, at_edge={"lower": -inf}),
    Dist("chi_square", "nu", lambda x, n: -n / 2 * log(2) - lgam(n / 2) + xlogy(n / 2 - 1, x) - x / 2,
         [((5.0,), [3.0, 1e-8, 90.0, 0.0, -1.0]), ((2.0,), [0.0, 1.0]), ((0.5,), [0.01]), ((300.0,), [310.0])],
         positive, cdf=lambda x, n: P(n / 2, x / 2), mean=lambda n: n, var=lambda n: 2 * n),
    Dist("inv_chi_square", "nu",
         lambda x, n: -n / 2 * log(2) - lgam(n / 2) - (n / 2 + 1) * log(x) - 1 / (2 * x),
         [((5.0,), [0.2, 0.01, 80.0, 0.0, -2.0]), ((1.0,), [1.0]), ((3.0,), [0.5])],
         positive, cdf=lambda x, n: mpf(0) if x == 0 else Q(n / 2, 1 / (2 * x)),
         mean=lambda n: 1 / (n - 2) if n > 2 else inf,
         var=lambda n: 2 / ((n - 2) ** 2 * (n - 4)) if n > 4 else inf, at_edge={"lower": -inf}),
    Dist("scaled_inv_chi_square", "nu sigma",
         lambda x, n, s: n / 2 * log(n / 2) - lgam(n / 2) + n * log(s) - (n / 2 + 1) * log(x) - n * s * s / (2 * x),
         [((5.0, 2.0), [4.0, 0.2, 900.0, 0.0, -2.0]), ((1.0, 0.5), [1.0]), ((3.0, 1.5), [0.5])],
         positive, cdf=lambda x, n, s: mpf(0) if x == 0 else Q(n / 2, n * s * s / (2 * x)),
         mean=lambda n, s: n * s * s / (n - 2) if n > 2 else inf,
         var=lambda n, s: 2 * n**2 * s**4 / ((n - 2) ** 2 * (n - 4)) if n > 4 else inf, at_edge={"lower": -inf}),
    Dist("weibull", "alpha sigma", lambda x, a, s: log(a / s) + xlogy(a - 1, x / s) - (x / s) ** a,
         [((1.5, 2.0), [1.0, 1e-6, 25.0, 0.0, -1.0]), ((1.0, 3.0), [0.0, 2.0]), ((0.5, 1.0), [0.3]),
          ((20.0, 5.0), [5.1])],
         positive, cdf=lambda x, a, s: 1 - exp(-((x / s) ** a)), mean=lambda a, s: s * gamma(1 + 1 / a),
         var=lambda a, s: s * s * (gamma(1 + 2 / a) - gamma(1 + 1 / a) ** 2)),
    Dist("frechet", "alpha sigma", lambda x, a, s: log(a / s) - (a + 1) * log(x / s) - (x / s) ** -a,
         [((3.0, 2.0), [2.2, 0.5, 1e4, 0.0, -1.0]), ((1.0, 1.0), [0.7]), ((1.5, 4.0), [5.0])],
         positive, cdf=lambda x, a, s: mpf(0) if x == 0 else exp(-((x / s) ** -a)),
         mean=lambda a, s: s * gamma(1 - 1 / a) if a > 1 else inf,
         var=lambda a, s: s * s * (gamma(1 - 2 / a) - gamma(1 - 1 / a) ** 2) if a > 2 else inf,
         at_edge={"lower": -inf}),
    Dist("rayleigh", "sigma", lambda x, s: log(x) - 2 * log(s) - x * x / (2 * s * s),
         [((1.0,), [1.0, 1e-9, 15.0, 0.0, -1.0]), ((30.0,), [25.0])],
         positive, cdf=lambda x, s: 1 - exp(-x * x / (2 * s * s)), mean=lambda s: s * sqrt(pi / 2),
         var=lambda s: (4 - pi) / 2 * s * s, at_edge={"lower": -inf}),
    Dist("pareto", "y_min alpha", lambda x, m, a: log(a) + a * log(m) - (a + 1) * log(x),
         [((1.0, 2.5), [1.0, 1.7, 1e6, 0.5]), ((3.0, 0.5), [4.0]), ((0.1, 1.5), [0.2]), ((1e-5, 10.0), [1.5e-5])],
         lambda m, a: (m, inf), cdf=lambda x, m, a: 1 - (m / x) ** a,
         mean=lambda m, a: a * m / (a - 1) if a > 1 else inf,
         var=lambda m, a: a * m * m / ((a - 1) ** 2 * (a - 2)) if a > 2 else inf),
    Dist("pareto_type_2", "mu lambda alpha",
         lambda x, m, l, a: log(a / l) - (a + 1) * log(1 + (x - m) / l),
         [((0.0, 1.0, 2.5), [0.0, 0.4, 1e6, -0.5]), ((-2.0, 3.0, 1.5), [1.0]), ((1.0, 0.2, 0.5), [7.0])],
         lambda m, l, a: (m, inf), cdf=lambda x, m, l, a: 1 - (1 + (x - m) / l) ** -a,
         mean=lambda m, l, a: m + l / (a - 1) if a > 1 else inf,
         var=lambda m, l, a: l * l * a / ((a - 1) ** 2 * (a - 2)) if a > 2 else inf),
    Dist("beta", "alpha beta", lambda x, a, b: xlogy(a - 1, x) + xlogy(b - 1, 1 - x) - lB(a, b),
         [((2.0, 3.0), [0.4, 1e-10, 0.999, 0.0, 1.0, -0.1, 1.1]), ((1.0, 1.0), [0.0, 0.3, 1.0]),
          ((0.5, 0.5), [0.2, 0.0]), ((500.0, 300.0), [0.62]), ((1e-3, 2.0), [0.1])],
         unit, cdf=lambda x, a, b: I(a, b, x), mean=lambda a, b: a / (a + b),
         var=lambda a, b: a * b / ((a + b) ** 2 * (a + b + 1))),
    Dist("beta_proportion", "mu kappa",
         lambda x, m, k: xlogy(m * k - 1, x) + xlogy((1 - m) * k - 1, 1 - x) - lB(m * k, (1 - m) * k),
         [((0.25, 8.0), [0.2, 1e-8, 0.97, 0.0, 1.0, -0.1, 1.1]), ((0.5, 1.0), [0.3]), ((0.9, 500.0), [0.88])],
         unit, cdf=lambda x, m, k: I(m * k, (1 - m) * k, x), mean=lambda m, k: m,
         var=lambda m, k: m * (1 - m) / (k + 1)),
    Dist("uniform", "alpha beta", lambda x, a, b: -log(b - a),
         [((0.0, 1.0), [0.0, 0.3, 1.0, -0.1, 1.1]), ((-3.0, 1e5), [20.0])],
         lambda a, b: (a, b), cdf=lambda x, a, b: (x - a) / (b - a), mean=lambda a, b: (a + b) / 2,
         var=lambda a, b: (b - a) ** 2 / 12),
    Dist("flat", "", lambda x: mpf(0), [((), [0.0, -7.5, 1e20])], improper=True),
    Dist("half_normal", "sigma", lambda x, s: log(sqrt(2 / pi) / s) - x * x / (2 * s * s),
         [((1.0,), [0.0, 0.7, 30.0, 1e-9, -0.5]), ((25.0,), [10.0])],
         positive, cdf=lambda x, s: mp.erf(x / (s * sqrt(2))), mean=lambda s: s * sqrt(2 / pi),
         var=lambda s: s * s * (1 - 2 / pi)),
    Dist("half_cauchy", "sigma", lambda x, s: log(2 / (pi * s)) - log(1 + (x / s) ** 2),
         [((1.0,), [0.0, 0.7, 1e10, 1e-9, -0.5]), ((25.0,), [10.0])],
         positive, cdf=lambda x, s: 2 / pi * mp.atan(x / s), mean=lambda s: inf, var=lambda s: inf),
    Dist("skew_normal", "xi omega alpha",
         lambda x, m, s, a: log(2 / s) - log(sqrt(2 * pi)) - ((x - m) / s) ** 2 / 2 + log(Phi(a * (x - m) / s)),
         [((0.0, 1.0, 3.0), [0.5, -6.0, 9.0]), ((1.0, 2.0, -4.0), [0.0, 15.0]), ((2.0, 0.5, 0.0), [2.2])],
         mean=lambda m, s, a: m + s * a / sqrt(1 + a * a) * sqrt(2 / pi),
         var=lambda m, s, a: s * s * (1 - 2 * a * a / (pi * (1 + a * a)))),
    Dist("exp_mod_normal", "mu sigma lambda",
         lambda x, m, s, l: log(l / 2) + l / 2 * (2 * m + l * s * s - 2 * x)
         + log(mp.erfc((m + l * s * s - x) / (sqrt(2) * s))),
         [((0.0, 1.0, 1.0), [0.5, -9.0, 60.0]), ((2.0, 0.5, 3.0), [2.1]), ((-1.0, 2.0, 0.1), [15.0])],
         cdf=lambda x, m, s, l: Phi((x - m) / s)
         - exp(-l * (x - m) + (l * s) ** 2 / 2) * Phi((x - m) / s - l * s),
         mean=lambda m, s, l: m + 1 / l, var=lambda m, s, l: s * s + 1 / l**2),
    Dist("von_mises", "mu kappa", lambda x, m, k: k * mp.cos(x - m) - log(2 * pi * mp.besseli(0, k)),
         [((0.0, 1.0), [0.0, 2.0, -3.0, 3.2]), ((1.0, 20.0), [1.2, -2.5]), ((-0.5, 0.01), [1.0]),
          ((2.0, 300.0), [2.1])],
         lambda m, k: (-pi, pi)),
]


def _t_cdf(z, n):
    half = I(n / 2, mpf(1) / 2, n / (n + z * z)) / 2
    return half if z < 0 else 1 - half


def _trials(n, *p):
    return (0, n)


naturals = lambda *p: (0, inf)
ber = lambda x, t: xlogy(x, t) + xlogy(1 - x, 1 - t)
bino = lambda x, n, t: lbin(n, x) + xlogy(x, t) + xlogy(n - x, 1 - t)
pois = lambda x, l: xlogy(x, l) - l - lgam(x + 1)
nb2 = lambda x, m, f: lgam(x + f) - lgam(f) - lgam(x + 1) + xlogy(x, m / (m + f)) + f * log(f / (m + f))
sig = lambda a: 1 / (1 + exp(-a))

DISCRETE = [
    Dist("bernoulli", "theta", ber, [((0.3,), [0, 1, 2, -1]), ((1e-12,), [0, 1]), ((0.0,), [0, 1])],
         lambda t: (0, 1), mean=lambda t: t, var=lambda t: t * (1 - t)),
    Dist("bernoulli_logit", "alpha", lambda x, a: ber(x, sig(a)),
         [((0.5,), [0, 1, 2, -1]), ((-40.0,), [0, 1]), ((60.0,), [0, 1])],
         lambda a: (0, 1), mean=sig, var=lambda a: sig(a) * sig(-a)),
    Dist("binomial", "n:int theta", bino,
         [((10, 0.3), [0, 3, 10, 11, -1]), ((1000, 0.01), [5, 40]), ((7, 1.0), [7, 6]), ((0, 0.5), [0]),
          ((100000, 0.5), [50100])],
         _trials, mean=lambda n, t: n * t, var=lambda n, t: n * t * (1 - t)),
    Dist("binomial_logit", "n:int alpha", lambda x, n, a: bino(x, n, sig(a)),
         [((10, -0.5), [0, 3, 10, 11, -1]), ((1000, -4.0), [5, 60]), ((12, 50.0), [12, 11]), ((12, -50.0), [0, 1])],
         _trials, mean=lambda n, a: n * sig(a), var=lambda n, a: n * sig(a) * sig(-a)),
    Dist("poisson", "lambda", pois,
         [((3.5,), [0, 3, 20, -1]), ((1e-8,), [0, 1]), ((1000.0,), [950, 1200]), ((0.0,), [0, 1])],
         naturals, mean=lambda l: l, var=lambda l: l),
    Dist("poisson_log", "alpha", lambda x, a: pois(x, exp(a)),
         [((1.25,), [0, 3, 20, -1]), ((-20.0,), [0, 1]), ((7.0,), [1000, 1200])],
         naturals, mean=exp, var=exp),
    Dist("neg_binomial", "alpha beta", lambda x, a, b: nb2(x, a / b, a),
         [((2.5, 0.5), [0, 4, 60, -1]), ((0.1, 0.01), [0, 7]), ((1e4, 1e3), [10, 25])],
         naturals, mean=lambda a, b: a / b, var=lambda a, b: a * (b + 1) / b**2),
    Dist("neg_binomial_2", "mu phi", nb2,
         [((4.0, 2.0), [0, 4, 60, -1]), ((0.2, 1e-3), [0, 7]), ((30.0, 1e6), [25])],
         naturals, mean=lambda m, f: m, var=lambda m, f: m + m * m / f),
    Dist("neg_binomial_2_log", "eta phi", lambda x, e, f: nb2(x, exp(e), f),
         [((1.5, 2.0), [0, 4, 60, -1]), ((-2.0, 1e-3), [0, 7]), ((3.5, 1e6), [25])],
         naturals, mean=lambda e, f: exp(e), var=lambda e, f: exp(e) + exp(2 * e) / f),
    Dist("geometric", "theta", lambda x, t: log(t) + xlogy(x, 1 - t),
         [((0.3,), [0, 2, 80, -1]), ((1.0,), [0, 1]), ((1e-4,), [5000])],
         naturals, mean=lambda t: (1 - t) / t, var=lambda t: (1 - t) / t**2),
    Dist("beta_binomial", "n:int alpha beta", lambda x, n, a, b: lbin(n, x) + lB(x + a, n - x + b) - lB(a, b),
         [((10, 2.0, 3.0), [0, 4, 10, 11, -1]), ((50, 0.1, 0.2), [0, 25]), ((20, 1e5, 2e5), [7])],
         _trials, mean=lambda n, a, b: n * a / (a + b),
         var=lambda n, a, b: n * a * b * (a + b + n) / ((a + b) ** 2 * (a + b + 1))),
    Dist("hypergeometric", "N:int a:int b:int", lambda x, N, a, b: lbin(a, x) + lbin(b, N - x) - lbin(a + b, N),
         [((5, 7, 9), [0, 2, 5, 6, -1]), ((12, 7, 9), [2, 3, 7, 8]), ((100, 400, 600), [40, 70])],
         lambda N, a, b: (max(0, N - b), min(a, N)), mean=lambda N, a, b: N * a / (a + b),
         var=lambda N, a, b: N * a * b * (a + b - N) / ((a + b) ** 2 * (a + b - 1))),
    *[Dist(name, "low:int high:int", lambda x, a, b: -log(b - a + 1),
           [((1, 6), [1, 4, 6, 7, 0]), ((-5, -5), [-5]), ((-10, 10), [0])],
           lambda a, b: (a, b), mean=lambda a, b: (a + b) / 2, var=lambda a, b: ((b - a + 1) ** 2 - 1) / 12)
      for name in ("discrete_uniform", "discrete_range")],
]
for d in DISCRETE:
    d.discrete = True


def _cdf(d, x, p):
    lo, hi = d.support(*p)
    if x < lo:
        return mpf(0)
    if x >= hi:
        return mpf(1)
    if d.discrete:
        return sum(exp(d.lp(mpf(k), p)) for k in range(int(lo), int(x) + 1))
    return d.cdf(x, *p)


def _survival(d, x, p):
    """1 - cdf, from above where the sum allows it."""
    lo, hi = d.support(*p)
    if d.discrete and lo <= x < hi:
        total, k = mpf(0), int(x) + 1
        while k <= hi:
            term = exp(d.lp(mpf(k), p))
            total += term
            k += 1
            if k > d.mean(*p) and term <= total * mpf(10) ** -50:
                break
        return total
    return 1 - _cdf(d, x, p)


def check(d, p):
    """Asserts that the density, cdf and moments of `d` agree by quadrature or summation."""
    lo, hi = d.support(*p)
    with mp.workdps(40 if d.discrete else 15):
        if d.discrete:
            mean, sd = d.mean(*p), sqrt(d.var(*p))
            top = int(hi) if hi != inf else int(mean + 60 * sd + 60)
            if top - lo > 5000:
                return
            mass = [(k, exp(d.lp(mpf(k), p))) for k in range(int(lo), top + 1)]
            total = sum(m for _, m in mass)
            first = sum(k * m for k, m in mass)
            second = sum((k - mean) ** 2 * m for k, m in mass)
            tolerance = mpf(10) ** -8
        else:
            # Quadrature over pieces around the points that are evaluated, so that no peak is missed.
            inside = sorted({mpf(x) for q, xs in d.points if tuple(map(mpf, q)) == tuple(p) for x in xs if lo < x < hi})
            if d.mean and mp.isfinite(d.mean(*p)) and d.var and mp.isfinite(d.var(*p)):
                m, s = d.mean(*p), sqrt(d.var(*p))
                inside = sorted(set(inside) | {m + 2 * k * s for k in range(-4, 5) if lo < m + 2 * k * s < hi})
            f = lambda x: exp(d.lp(x, p))
            pieces = [lo, *inside, hi]
            total = mp.quad(f, pieces)
            # Quadrature loses digits at a pole of the density.
            tolerance = mpf(10) ** (-3 if d.lp(lo, p) == inf else -6)
            if d.cdf:
                for x in inside[:: max(1, len(inside) // 3)]:
                    part = mp.quad(f, [lo, *[v for v in inside if v < x], x])
                    assert abs(part - d.cdf(x, *p)) < tolerance, (d.name, p, x, part, d.cdf(x, *p))
            if not (d.mean and mp.isfinite(d.mean(*p)) and mp.isfinite(d.var(*p))):
                assert abs(total - 1) < tolerance, (d.name, p, total)
                return
            mean = d.mean(*p)
            first = mp.quad(lambda x: x * f(x), pieces)
            second = mp.quad(lambda x: (x - mean) ** 2 * f(x), pieces)
        assert abs(total - 1) < tolerance, (d.name, p, total)
        assert abs(first - mean) <= 1e-3 * (abs(mean) + sqrt(d.var(*p))), (d.name, p, first, mean)
        assert abs(second - d.var(*p)) <= 1e-2 * d.var(*p), (d.name, p, second, d.var(*p))


def scalar_rows(text):
    for d in CONTINUOUS + DISCRETE:
        names = [n.split(":")[0] for n in d.params.split()]
        integer = [n.endswith(":int") for n in d.params.split()]
        for raw, xs in d.points:
            p = tuple(mpf(v) for v in raw)
            extreme = any(v != 0 and not 2e-2 <= abs(v) <= 1e3 for v in p)
            if not d.improper and not extreme:
                check(d, p)
            for x in xs:
                yield _row(d, names, integer, raw, p, x, text)


def _row(d, names, integer, raw, p, x, text):
    lo, hi = d.support(*p)
    x_mp = mpf(x)
    lp = d.lp(x_mp, p)
    row = {
        "dist": d.name,
        "params": {n: str(v) if i else text(v) for n, v, i in zip(names, raw, integer)},
        "x": str(x) if d.discrete else text(x),
        "logpdf": text(lp),
    }
    if mp.isfinite(lp):
        if not d.discrete and lo < x < hi:
            row["dlogpdf_dx"] = text(diff(lambda v: d.lp(v, p), x_mp))
        # On the boundary of a parameter's range or of the support there is no two-sided derivative.
        smooth = (lo < x < hi) or d.discrete or not _moves(d, p)
        at_zero = any(v == 0 and n in ("theta", "lambda") for v, n in zip(p, names)) or (
            names[-1:] == ["theta"] and p[-1] == 1)
        if smooth and not at_zero:
            row["dlogpdf_dparams"] = {
                n: text(diff(lambda v, k=k: d.lp(x_mp, p[:k] + (v,) + p[k + 1:]), p[k]))
                for k, n in enumerate(names) if not integer[k]
            }
    # Sums of a hundred thousand terms are left out.
    if d.cdf or (d.discrete and d.mean(*p) + 60 * sqrt(d.var(*p)) < 5000):
        with mp.workdps(60 if d.discrete else 150):
            cdf, survival = _cdf(d, x_mp, p), _survival(d, x_mp, p)
            row["cdf"] = text(cdf)
            # 1 - cdf has 150 digits less those that cancel; sums have all of theirs.
            least = mpf(10) ** (-30 if d.discrete else -100)
            if cdf > 0 and survival > least:
                row["log_cdf"] = text(log(cdf))
            if survival > (0 if d.discrete else least) and (d.discrete or cdf == 0 or cdf > least):
                row["log_survival"] = text(log(survival))
    if d.mean:
        row["mean"], row["var"] = text(d.mean(*p)), text(d.var(*p))
    row["digits"], row["source"] = 25, SOURCE
    return row


def _moves(d, p):
    """Whether the support depends on the parameters."""
    return d.support(*p) != d.support(*[v + 1 for v in p])


def _nested(v, text):
    return [_nested(e, text) for e in v] if isinstance(v, list) else text(v) if isinstance(v, float) else str(v)


def _gradient(f, args, k, text):
    """Derivatives of f(*args) by every entry of args[k], nested as args[k] is."""

    def at(path, v):
        def put(a, path):
            return [put(e, path[1:]) if i == path[0] else e for i, e in enumerate(a)] if path else v

        return f(*args[:k], put(args[k], path), *args[k + 1:])

    def walk(a, path):
        if isinstance(a, list):
            return [walk(e, path + [i]) for i, e in enumerate(a)]
        return text(diff(lambda v: at(path, v), a))

    return walk(args[k], [])


def _exact(v):
    return [_exact(e) for e in v] if isinstance(v, list) else mpf(v)


def _mvn(x, mu, cov):
    n = len(x)
    d = mp.matrix([a - b for a, b in zip(x, mu)])
    s = mp.matrix(cov)
    return -(d.T * mp.inverse(s) * d)[0] / 2 - log((2 * pi) ** n * mp.det(s)) / 2


def _times_transpose(L):
    n = len(L)
    return [[sum(L[i][k] * L[j][k] for k in range(n)) for j in range(n)] for i in range(n)]


def _lkj(L, eta):
    """The density over correlation matrices [lewandowski2009, eq. 16] times |dΩ/dL|."""
    K = len(L)
    log_c = sum((2 * eta - 2 + K - k) * (K - k) * log(2) + (K - k) * lB(eta + mpf(K - k - 1) / 2, eta + mpf(K - k - 1) / 2)
                for k in range(1, K))
    log_det = 2 * sum(log(L[k][k]) for k in range(K))
    return (eta - 1) * log_det - log_c + sum((K - 1 - k) * log(L[k][k]) for k in range(K))


def _dirichlet(x, a):
    return lgam(sum(a)) - sum(map(lgam, a)) + sum(xlogy(b - 1, v) for b, v in zip(a, x))


def _multinomial(x, n, t):
    if sum(x) != n:
        return -inf
    return lgam(n + 1) - sum(lgam(v + 1) for v in x) + sum(xlogy(v, u) for v, u in zip(x, t))


def _lkj_example(K, seed):
    """A Cholesky factor of a correlation matrix, entries exact doubles (rows of norm 1 to an ulp)."""
    rows = []
    for i in range(K):
        raw = [((seed * (7 * i + 3 * j + 1)) % 11 - 5) / 10 for j in range(i)] + [1.0]
        norm = sqrt(sum(mpf(v) ** 2 for v in raw))
        rows.append([float(mpf(v) / norm) for v in raw] + [0.0] * (K - i - 1))
    return rows


SIGMA = [[2.0, 0.5, -0.25], [0.5, 1.5, 0.75], [-0.25, 0.75, 3.0]]
CHOL = [[1.5, 0.0, 0.0], [0.25, 2.0, 0.0], [-1.0, 0.5, 0.125]]

# name, parameter names, log density, moments, points: (parameters, x's), and which entries get
# derivatives: by x and by each parameter.
VECTOR = [
    ("categorical", ["theta"], lambda x, t: log(t[int(x) - 1]) if 1 <= x <= len(t) else -inf, None,
     [(([0.5, 0.25, 0.25],), [1, 3, 4, 0]), (([0.0, 1.0],), [1, 2])], (False, [False])),
    ("categorical_logit", ["beta"],
     lambda x, b: b[int(x) - 1] - log(sum(map(exp, b))) if 1 <= x <= len(b) else -inf, None,
     [(([0.5, -1.0, 2.0],), [1, 2, 4, 0]), (([800.0, 0.0, -800.0],), [1, 3])], (False, [True])),
    ("dirichlet", ["alpha"], _dirichlet,
     lambda a: ([v / sum(a) for v in a], [v * (sum(a) - v) / (sum(a) ** 2 * (sum(a) + 1)) for v in a]),
     [(([2.0, 3.0, 0.5],), [[0.25, 0.5, 0.25], [0.5, 0.46875, 0.03125]]), (([1.0, 1.0],), [[0.0, 1.0], [0.25, 0.75]]),
      (([100.0, 200.0, 300.0, 1.0],), [[0.125, 0.375, 0.4375, 0.0625]])], (True, [True])),
    ("multi_normal", ["mu", "Sigma"], _mvn, lambda m, s: (m, [s[i][i] for i in range(len(m))]),
     [(([1.0, -2.0, 0.5], SIGMA), [[1.0, -2.0, 0.5], [3.0, 0.25, -4.0], [40.0, 1.0, 1.0]]), (([0.0], [[4.0]]), [[3.0]])],
     (True, [True, False])),
    ("multi_normal_cholesky", ["mu", "L"], lambda x, m, L: _mvn(x, m, _times_transpose(L)),
     lambda m, L: (m, [_times_transpose(L)[i][i] for i in range(len(m))]),
     [(([1.0, -2.0, 0.5], CHOL), [[1.0, -2.0, 0.5], [3.0, 0.25, -4.0]]), (([0.0], [[2.0]]), [[3.0]])],
     (True, [True, False])),
    ("multi_normal_prec", ["mu", "Omega"], lambda x, m, o: _mvn(x, m, mp.inverse(mp.matrix(o)).tolist()),
     lambda m, o: (m, [mp.inverse(mp.matrix(o))[i, i] for i in range(len(m))]),
     [(([1.0, -2.0, 0.5], SIGMA), [[1.0, -2.0, 0.5], [3.0, 0.25, -4.0]]), (([0.0], [[4.0]]), [[3.0]])],
     (True, [True, False])),
    ("lkj_corr_cholesky", ["eta"], _lkj, None,
     [((2.0,), [_lkj_example(2, 1), _lkj_example(3, 2), _lkj_example(5, 3)]), ((1.0,), [_lkj_example(4, 5)]),
      ((0.5,), [_lkj_example(3, 4)]), ((50.0,), [_lkj_example(3, 6)])], (False, [True])),
    ("multinomial", ["n", "theta"], _multinomial,
     lambda n, t: ([n * v for v in t], [n * v * (1 - v) for v in t]),
     [((6, [0.5, 0.25, 0.25]), [[3, 2, 1], [6, 0, 0], [1, 1, 1]]), ((4, [0.0, 1.0]), [[0, 4], [1, 3]]),
      ((0, [0.5, 0.5]), [[0, 0]])], (False, [False, False])),
]


def check_lkj():
    """The LKJ density integrates to one over the 2 × 2 and, on a grid, the 3 × 3 factors."""
    for eta in (mpf(1), mpf(2), mpf("3.5")):
        f = lambda r: exp(_lkj([[mpf(1), 0], [r, sqrt(1 - r * r)]], eta))
        total = mp.quad(f, [-1, 0, 1])
        assert abs(total - 1) < 1e-10, (eta, total)
    with mp.workdps(15):
        eta = mpf(2)

        def inner(r, u, v):
            # (L31, L32) = u (1, ·) on the unit disc, in polar coordinates.
            row2 = [r, sqrt(1 - r * r), mpf(0)]
            row3 = [u * mp.cos(v), u * mp.sin(v), sqrt(1 - u * u)]
            return u * exp(_lkj([[mpf(1), mpf(0), mpf(0)], row2, row3], eta))

        # The density depends on neither r's sign nor the angle v.
        total = 2 * pi * 2 * mp.quad(lambda r: mp.quad(lambda u: inner(r, u, mpf(1)), [0, 1]), [0, 1])
        assert abs(total - 1) < 1e-8, total


def vector_rows(text):
    check_lkj()
    for name, names, f, moments, points, (by_x, by_param) in VECTOR:
        for raw, xs in points:
            p = [_exact(v) for v in raw]
            for x in xs:
                x_mp = _exact(x)
                lp = f(x_mp, *p)
                row = {"dist": name, "params": {n: _nested(v, text) for n, v in zip(names, raw)},
                       "x": _nested(x, text), "logpdf": text(lp)}
                if mp.isfinite(lp) and min([1, *x] if by_x else [1]) != 0:
                    if by_x:
                        row["dlogpdf_dx"] = _gradient(f, [x_mp, *p], 0, text)
                    if any(by_param):
                        row["dlogpdf_dparams"] = {
                            n: _gradient(f, [x_mp, *p], k + 1, text)
                            for k, n in enumerate(names) if by_param[k]
                        }
                if moments:
                    mean, var = moments(*p)
                    row["mean"], row["var"] = [text(v) for v in mean], [text(v) for v in var]
                row["digits"], row["source"] = 25, SOURCE
                yield row


def rows(text):
    yield from scalar_rows(text)
    yield from vector_rows(text)
