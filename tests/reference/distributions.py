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
    improper: bool = False  # does not integrate to one
    kinks: Callable = lambda *p: ()  # where the density is not smooth, for the quadrature that checks it
    survival: Optional[Callable] = None  # 1 - cdf, where that is too small to be taken from 1
    heavy: bool = False  # sums up to a tail of no consequence would be too long
    at_edge: dict = field(default_factory=dict)  # log density where the formula is 0/0 or ∞ - ∞

    def lp(self, x, p):
        lo, hi = self.support(*p)
        if x < lo or x > hi:
            return -inf
        for end, name in ((lo, "lower"), (hi, "upper")):
            if x == end and name in self.at_edge:
                return self.at_edge[name]
        v = self.log_density(x, *p)
        return v.real if isinstance(v, mp.mpc) else v


def diff(f, x):
    """The derivative, from a central difference in twice the precision or more."""
    with mp.workdps(max(mp.dps, 130)):
        return mp.diff(f, mpf(x), h=mpf(10) ** -30 * max(abs(mpf(x)), mpf(10) ** -20))


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
         cdf=lambda x, m, s, a: _skew((x - m) / s, a), survival=lambda x, m, s, a: _skew((m - x) / s, -a),
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
         lambda m, k: (-pi, pi),
         cdf=lambda x, m, k: _turn(lambda t: exp(k * (mp.cos(t - m) - 1)), x, m) / (2 * pi * mp.besseli(0, k) * exp(-k))),
    # -- Further ones of Stan
    Dist("skew_double_exponential", "mu sigma tau",
         lambda x, m, s, t: log(2 * t * (1 - t) / s) - 2 / s * ((1 - t) * (m - x) if x < m else t * (x - m)),
         [((0.0, 1.0, 0.5), [0.5, -3.0, 40.0]), ((1.0, 2.0, 0.2), [0.0, 7.0, -50.0]), ((-1.0, 1e4, 0.9), [1e4])],
         cdf=lambda x, m, s, t: t * exp(-2 / s * (1 - t) * (m - x)) if x < m else 1 - (1 - t) * exp(-2 / s * t * (x - m)),
         mean=lambda m, s, t: m - t * s / (2 * (1 - t)) + (1 - t) * s / (2 * t),
         var=lambda m, s, t: s**2 / 2 * (t / (1 - t)**2 + (1 - t) / t**2) - ((1 - t) * s / (2 * t) - t * s / (2 * (1 - t)))**2,
         kinks=lambda m, s, t: (m,)),
    Dist("loglogistic", "alpha beta", lambda x, a, b: log(b / a) + xlogy(b - 1, x / a) - 2 * log(1 + (x / a) ** b),
         [((2.0, 3.0), [1.0, 1e-6, 500.0, 0.0, -1.0]), ((1.0, 1.0), [0.0, 2.0]), ((0.5, 8.0), [0.6]), ((1e4, 0.5), [3.0])],
         positive, cdf=lambda x, a, b: 1 / (1 + (x / a) ** -b) if x > 0 else mpf(0),
         mean=lambda a, b: a * pi / b / mp.sin(pi / b) if b > 1 else inf,
         var=lambda a, b: a**2 * (2 * pi / b / mp.sin(2 * pi / b) - (pi / b / mp.sin(pi / b))**2) if b > 2 else inf),
    Dist("wiener", "alpha tau beta delta", lambda x, a, t, b, d: _wiener(x, a, t, b, d),
         [((1.5, 0.2, 0.5, 0.75), [0.5, 0.25, 0.9, 4.0, 0.2, 0.1]), ((2.0, 0.0, 0.9, -1.0), [0.01, 1.0, 6.0]),
          ((0.8, 0.3, 0.2, 2.5), [0.31, 0.46, 0.462, 1.5])],
         lambda a, t, b, d: (t, inf), improper=True, at_edge={"lower": -inf}),
    # -- Those of the literature
    Dist("inv_gaussian", "mu lambda", lambda x, m, l: log(l / (2 * pi * x**3)) / 2 - l * (x - m)**2 / (2 * m**2 * x),
         [((1.0, 3.0), [0.8, 0.05, 12.0, 0.0, -1.0]), ((4.0, 0.5), [1.0, 30.0]), ((0.5, 200.0), [0.45])],
         positive, cdf=lambda x, m, l: _ig_cdf(x, m, l) if x > 0 else mpf(0), mean=lambda m, l: m, var=lambda m, l: m**3 / l,
         at_edge={"lower": -inf}),
    Dist("gompertz", "eta b", lambda x, e, b: -inf if b * x > 1000 else log(b * e) + b * x - e * (exp(b * x) - 1),
         [((0.5, 1.0), [0.7, 0.0, 1e-9, 5.0, -1.0]), ((1e-3, 0.1), [60.0]), ((3.0, 2.0), [0.1])],
         positive, cdf=lambda x, e, b: 1 - exp(-e * (exp(b * x) - 1))),
    Dist("kumaraswamy", "a b", lambda x, a, b: log(a * b) + xlogy(a - 1, x) + xlogy(b - 1, 1 - x**a),
         [((2.0, 3.0), [0.4, 1e-8, 0.99, 0.0, 1.0, -0.1, 1.1]), ((0.5, 0.5), [0.3]), ((1.0, 1.0), [0.0, 0.25, 1.0]),
          ((30.0, 2.0), [0.9])],
         unit, cdf=lambda x, a, b: 1 - (1 - x**a)**b, mean=lambda a, b: b * mp.beta(1 + 1 / a, b),
         var=lambda a, b: b * mp.beta(1 + 2 / a, b) - (b * mp.beta(1 + 1 / a, b))**2),
    Dist("exponentiated_weibull", "a alpha sigma",
         lambda x, a, c, s: log(a * c / s) + (c - 1) * log(x / s) - (x / s)**c + (a - 1) * log(1 - exp(-(x / s)**c)),
         [((2.0, 1.5, 1.0), [0.7, 1e-5, 8.0, -1.0]), ((0.5, 0.8, 3.0), [1.0, 40.0]), ((5.0, 3.0, 0.2), [0.25])],
         positive, cdf=lambda x, a, c, s: (1 - exp(-(x / s)**c))**a, at_edge={"lower": -inf}),
    Dist("generalized_gamma", "a d p", lambda x, a, d, p: log(p / a) + xlogy(d - 1, x / a) - (x / a)**p - lgam(d / p),
         [((2.0, 3.0, 1.5), [1.5, 1e-5, 15.0, 0.0, -1.0]), ((1.0, 1.0, 2.0), [0.0, 0.6]), ((0.5, 0.4, 0.7), [0.3])],
         positive, cdf=lambda x, a, d, p: P(d / p, (x / a)**p), mean=lambda a, d, p: a * gamma((d + 1) / p) / gamma(d / p),
         var=lambda a, d, p: a**2 * (gamma((d + 2) / p) / gamma(d / p) - (gamma((d + 1) / p) / gamma(d / p))**2)),
    Dist("generalized_normal", "mu alpha beta", lambda x, m, a, b: log(b / (2 * a)) - lgam(1 / b) - (abs(x - m) / a)**b,
         [((0.0, 1.0, 1.5), [0.5, -4.0, 12.0]), ((1.0, 2.0, 4.0), [2.0, -2.5]), ((-1.0, 0.5, 0.6), [3.0])],
         cdf=lambda x, m, a, b: Q(1 / b, ((m - x) / a)**b) / 2 if x < m else (1 + P(1 / b, ((x - m) / a)**b)) / 2,
         mean=lambda m, a, b: m, var=lambda m, a, b: a**2 * gamma(3 / b) / gamma(1 / b),
         kinks=lambda m, a, b: (m,)),
    Dist("generalized_pareto", "mu sigma xi",
         lambda x, m, s, k: -log(s) - ((x - m) / s if k == 0 else (1 + 1 / k) * log(1 + k * (x - m) / s)),
         [((0.0, 1.0, 0.25), [0.0, 0.5, 60.0, -1.0]), ((1.0, 2.0, -0.5), [1.5, 4.75, 5.5]), ((0.0, 2.0, 1e-6), [3.0]),
          ((-1.0, 0.5, 0.7), [2.0, 1e5]), ((0.0, 1.0, -1e-3), [12.0])],
         lambda m, s, k: (m, m - s / k if k < 0 else inf),
         cdf=lambda x, m, s, k: 1 - (1 + k * (x - m) / s)**(-1 / k),
         mean=lambda m, s, k: m + s / (1 - k) if k < 1 else inf,
         var=lambda m, s, k: s**2 / ((1 - k)**2 * (1 - 2 * k)) if k < 0.5 else inf),
    Dist("generalized_extreme_value", "mu sigma xi",
         lambda x, m, s, k: -log(s) - (1 + 1 / k) * log(1 + k * (x - m) / s) - (1 + k * (x - m) / s)**(-1 / k),
         [((0.0, 1.0, 0.25), [0.0, 0.5, 60.0, -2.5, -4.5]), ((1.0, 2.0, -0.5), [1.5, 4.75, -3.0, 5.5]), ((0.0, 2.0, 1e-6), [3.0]),
          ((-1.0, 0.5, 0.7), [2.0, 1e5]), ((0.0, 1.0, -1e-3), [9.0])],
         lambda m, s, k: (m - s / k if k > 0 else -inf, m - s / k if k < 0 else inf),
         cdf=lambda x, m, s, k: exp(-(1 + k * (x - m) / s)**(-1 / k)),
         mean=lambda m, s, k: m + s * (gamma(1 - k) - 1) / k if k < 1 else inf,
         var=lambda m, s, k: s**2 * (gamma(1 - 2 * k) - gamma(1 - k)**2) / k**2 if k < 0.5 else inf,
         at_edge={"lower": -inf}),
    Dist("half_student_t", "nu sigma", lambda x, n, s: log(2) + lgam((n + 1) / 2) - lgam(n / 2) - log(sqrt(n * pi) * s) - (n + 1) / 2 * log(1 + (x / s)**2 / n),
         [((4.0, 1.0), [0.0, 0.75, 1e-8, 1e4, -1.0]), ((1.5, 2.0), [2.5]), ((30.0, 0.5), [0.3, 4.0]), ((3.0, 2.5), [1.0])],
         positive, cdf=lambda x, n, s: I(mpf(1) / 2, n / 2, (x / s)**2 / (n + (x / s)**2)),
         mean=lambda n, s: 2 * s * sqrt(n / pi) * gamma((n + 1) / 2) / gamma(n / 2) / (n - 1) if n > 1 else inf,
         var=lambda n, s: s**2 * (n / (n - 2) - (2 * sqrt(n / pi) * gamma((n + 1) / 2) / gamma(n / 2) / (n - 1))**2) if n > 2 else inf),
    Dist("johnson_su", "gamma delta xi lambda",
         lambda x, g, d, m, s: log(d / (s * sqrt(2 * pi))) - log(1 + ((x - m) / s)**2) / 2 - (g + d * mp.asinh((x - m) / s))**2 / 2,
         [((0.5, 1.5, 0.0, 1.0), [0.3, -20.0, 50.0]), ((-1.0, 2.0, 1.0, 3.0), [2.0, -1.0]), ((0.0, 0.8, -2.0, 0.1), [-1.9])],
         cdf=lambda x, g, d, m, s: Phi(g + d * mp.asinh((x - m) / s)),
         mean=lambda g, d, m, s: m - s * exp(1 / (2 * d**2)) * mp.sinh(g / d),
         var=lambda g, d, m, s: s**2 / 2 * (exp(1 / d**2) - 1) * (exp(1 / d**2) * mp.cosh(2 * g / d) + 1)),
    Dist("logit_normal", "mu sigma",
         lambda x, m, s: -(log(x / (1 - x)) - m)**2 / (2 * s * s) - log(s * sqrt(2 * pi) * x * (1 - x)),
         [((0.0, 1.0), [0.5, 1e-6, 0.999, 0.0, 1.0, -0.1, 1.1]), ((-1.0, 2.0), [0.1]), ((3.0, 0.25), [0.9])],
         unit, cdf=lambda x, m, s: Phi((log(x / (1 - x)) - m) / s), at_edge={"lower": -inf, "upper": -inf}),
    Dist("truncated_normal", "mu sigma low high",
         lambda x, m, s, a, b: -((x - m) / s)**2 / 2 - log(s * sqrt(2 * pi)) - log(_gap((a - m) / s, (b - m) / s)),
         [((0.5, 2.0, -1.0, 3.0), [0.25, 2.9, -0.9, -1.5, 3.5]), ((0.0, 1.0, 8.0, 10.0), [8.25]), ((1.0, 3.0, -9.0, -7.0), [-7.5])],
         lambda m, s, a, b: (a, b), cdf=lambda x, m, s, a, b: _gap((a - m) / s, (x - m) / s) / _gap((a - m) / s, (b - m) / s),
         mean=lambda m, s, a, b: m + s * _truncated((a - m) / s, (b - m) / s)[0],
         var=lambda m, s, a, b: s * s * _truncated((a - m) / s, (b - m) / s)[1]),
    Dist("asymmetric_laplace", "mu sigma kappa",
         lambda x, m, s, k: -log(s * (k + 1 / k)) - ((m - x) / (s * k) if x < m else k * (x - m) / s),
         [((0.0, 1.0, 1.5), [0.5, -40.0, 30.0]), ((1.0, 0.5, 0.4), [0.0, 3.0]), ((-2.0, 3.0, 1.0), [-5.0])],
         cdf=lambda x, m, s, k: k**2 / (1 + k**2) * exp((x - m) / (s * k)) if x < m else 1 - exp(-k * (x - m) / s) / (1 + k**2),
         mean=lambda m, s, k: m + s * (1 / k - k), var=lambda m, s, k: s**2 * (1 / k**2 + k**2),
         kinks=lambda m, s, k: (m,)),
    Dist("log_laplace", "mu sigma", lambda x, m, s: -abs(log(x) - m) / s - log(2 * s * x),
         [((0.0, 0.4), [0.7, 1e-4, 50.0, -1.0]), ((1.0, 0.25), [2.0, 9.0]), ((-0.5, 2.0), [3.0])],
         positive, cdf=lambda x, m, s: exp((log(x) - m) / s) / 2 if log(x) < m else 1 - exp((m - log(x)) / s) / 2,
         mean=lambda m, s: exp(m) / (1 - s**2) if s < 1 else inf,
         var=lambda m, s: exp(2 * m) * (1 / (1 - 4 * s**2) - 1 / (1 - s**2)**2) if s < 0.5 else inf,
         kinks=lambda m, s: (exp(m),)),
    Dist("moyal", "mu sigma", lambda x, m, s: -((x - m) / s + exp(-(x - m) / s)) / 2 - log(s * sqrt(2 * pi)),
         [((0.0, 1.0), [0.5, -3.5, 60.0]), ((2.0, 0.5), [1.5, 4.0]), ((-1.0, 3.0), [0.0])],
         cdf=lambda x, m, s: mp.erfc(exp(-(x - m) / (2 * s)) / sqrt(2)), mean=lambda m, s: m + s * (mp.euler + log(2)),
         var=lambda m, s: (pi * s)**2 / 2),
    Dist("levy", "mu c", lambda x, m, c: log(c / (2 * pi)) / 2 - c / (2 * (x - m)) - 3 * log(x - m) / 2,
         [((0.0, 1.0), [0.5, 0.01, 1e6, 0.0, -1.0]), ((2.0, 0.5), [3.0]), ((-1.0, 4.0), [5.0])],
         lambda m, c: (m, inf), cdf=lambda x, m, c: mp.erfc(sqrt(c / (2 * (x - m)))) if x > m else mpf(0),
         mean=lambda m, c: inf, var=lambda m, c: inf, at_edge={"lower": -inf}),
    Dist("log_uniform", "a b", lambda x, a, b: -log(x) - log(log(b / a)),
         [((0.5, 20.0), [3.0, 0.51, 19.5, 0.25, 21.0]), ((1.0, 1e6), [100.0]), ((0.1, 0.2), [0.15])],
         lambda a, b: (a, b), cdf=lambda x, a, b: log(x / a) / log(b / a), mean=lambda a, b: (b - a) / log(b / a),
         var=lambda a, b: (b**2 - a**2) / (2 * log(b / a)) - ((b - a) / log(b / a))**2),
    Dist("triangular", "low mode high",
         lambda x, a, c, b: log(2 * (x - a) / ((b - a) * (c - a))) if x < c else log(2 * (b - x) / ((b - a) * (b - c))),
         [((0.0, 1.0, 4.0), [0.5, 0.125, 3.5, 2.0, -0.5, 4.5]), ((-2.0, -0.5, 1.0), [0.25]), ((1.0, 2.0, 2.5), [1.25])],
         lambda a, c, b: (a, b),
         cdf=lambda x, a, c, b: (x - a)**2 / ((b - a) * (c - a)) if x < c else 1 - (b - x)**2 / ((b - a) * (b - c)),
         mean=lambda a, c, b: (a + b + c) / 3, var=lambda a, c, b: (a*a + b*b + c*c - a*b - a*c - b*c) / 18,
         kinks=lambda a, c, b: (c,)),
    Dist("rice", "nu sigma", lambda x, n, s: log(x / s**2) - (x**2 + n**2) / (2 * s**2) + log(mp.besseli(0, x * n / s**2)),
         [((1.0, 1.0), [1.2, 1e-6, 9.0, -1.0]), ((5.0, 0.5), [5.2, 3.0]), ((0.5, 3.0), [2.0])],
         positive, at_edge={"lower": -inf}, mean=lambda n, s: _rice(n, s),
         var=lambda n, s: 2 * s * s + n * n - _rice(n, s)**2),
    Dist("maxwell", "sigma", lambda x, s: log(sqrt(2 / pi) / s**3) + 2 * log(x) - x**2 / (2 * s**2),
         [((1.0,), [1.2, 1e-6, 9.0, 0.0, -1.0]), ((5.0,), [4.0]), ((0.1,), [0.3])],
         positive, cdf=lambda x, s: P(mpf(3) / 2, x**2 / (2 * s**2)), mean=lambda s: 2 * s * sqrt(2 / pi),
         var=lambda s: s**2 * (3 - 8 / pi), at_edge={"lower": -inf}),
    Dist("chi", "nu", lambda x, n: (1 - n / 2) * log(2) + xlogy(n - 1, x) - x**2 / 2 - lgam(n / 2),
         [((3.0,), [1.2, 1e-6, 9.0, 0.0, -1.0]), ((1.0,), [0.0, 0.5]), ((0.5,), [0.1]), ((200.0,), [14.5])],
         positive, cdf=lambda x, n: P(n / 2, x**2 / 2), mean=lambda n: sqrt(2) * gamma((n + 1) / 2) / gamma(n / 2),
         var=lambda n: n - 2 * (gamma((n + 1) / 2) / gamma(n / 2))**2),
    Dist("nakagami", "m omega", lambda x, m, w: log(2) + m * log(m / w) + xlogy(2 * m - 1, x) - m * x**2 / w - lgam(m),
         [((1.5, 2.0), [1.2, 1e-6, 9.0, 0.0, -1.0]), ((0.5, 1.0), [0.0, 0.5]), ((20.0, 5.0), [2.2])],
         positive, cdf=lambda x, m, w: P(m, m * x**2 / w), mean=lambda m, w: gamma(m + 0.5) / gamma(m) * sqrt(w / m),
         var=lambda m, w: w * (1 - (gamma(m + 0.5) / gamma(m))**2 / m)),
    Dist("beta_prime", "alpha beta", lambda x, a, b: xlogy(a - 1, x) - (a + b) * log(1 + x) - lB(a, b),
         [((2.0, 3.0), [0.6, 1e-8, 1e4, 0.0, -1.0]), ((1.0, 0.5), [0.0, 2.0]), ((0.5, 8.0), [0.05]), ((50.0, 60.0), [0.8])],
         positive, cdf=lambda x, a, b: I(a, b, x / (1 + x)), mean=lambda a, b: a / (b - 1) if b > 1 else inf,
         var=lambda a, b: a * (a + b - 1) / ((b - 2) * (b - 1)**2) if b > 2 else inf),
    Dist("fisher_snedecor", "d1 d2",
         lambda x, m, n: m / 2 * log(m / n) + xlogy(m / 2 - 1, x) - (m + n) / 2 * log(1 + m * x / n) - lB(m / 2, n / 2),
         [((5.0, 8.0), [0.9, 1e-8, 1e4, 0.0, -1.0]), ((2.0, 1.0), [0.0, 2.0]), ((0.5, 30.0), [0.05, 400.0]), ((1e3, 2e3), [1.1])],
         positive, cdf=lambda x, m, n: I(m / 2, n / 2, m * x / (m * x + n)),
         survival=lambda x, m, n: I(n / 2, m / 2, n / (m * x + n)), mean=lambda m, n: n / (n - 2) if n > 2 else inf,
         var=lambda m, n: 2 * n**2 * (m + n - 2) / (m * (n - 2)**2 * (n - 4)) if n > 4 else inf),
    Dist("burr", "c k sigma", lambda x, c, k, s: log(c * k / s) + xlogy(c - 1, x / s) - (k + 1) * log(1 + (x / s)**c),
         [((2.0, 3.0, 1.0), [0.6, 1e-8, 1e4, 0.0, -1.0]), ((1.0, 0.5, 2.0), [0.0, 2.0]), ((5.0, 1.5, 4.0), [3.0])],
         positive, cdf=lambda x, c, k, s: 1 - (1 + (x / s)**c)**-k,
         mean=lambda c, k, s: s * k * mp.beta(k - 1 / c, 1 + 1 / c) if c * k > 1 else inf,
         var=lambda c, k, s: s**2 * (k * mp.beta(k - 2 / c, 1 + 2 / c) - (k * mp.beta(k - 1 / c, 1 + 1 / c))**2) if c * k > 2 else inf),
    Dist("hyperbolic_secant", "mu sigma", lambda x, m, s: -log(2 * s * mp.cosh(pi * (x - m) / (2 * s))),
         [((0.0, 1.0), [0.3, -30.0, 60.0]), ((2.0, 0.5), [1.0, 3.0]), ((-1.0, 20.0), [5.0])],
         cdf=lambda x, m, s: 2 / pi * mp.atan(exp(pi * (x - m) / (2 * s))), mean=lambda m, s: m, var=lambda m, s: s**2),
    Dist("normal_inverse_gaussian", "mu alpha beta delta",
         lambda x, m, a, b, d: log(a * d / pi) + log(mp.besselk(1, a * sqrt(d**2 + (x - m)**2))) - log(d**2 + (x - m)**2) / 2
         + d * sqrt(a * a - b * b) + b * (x - m),
         [((0.0, 2.0, 0.5, 1.0), [0.3, -9.0, 40.0]), ((1.0, 1.5, -1.0, 2.0), [0.0, -3.0]), ((-1.0, 10.0, 3.0, 0.2), [-0.9])],
         mean=lambda m, a, b, d: m + d * b / sqrt(a * a - b * b), var=lambda m, a, b, d: d * a * a / sqrt(a * a - b * b)**3),
    Dist("skew_student_t", "nu xi omega alpha",
         lambda x, n, m, s, a: log(2 / s) + lgam((n + 1) / 2) - lgam(n / 2) - log(sqrt(n * pi)) - (n + 1) / 2 * log(1 + ((x - m) / s)**2 / n)
         + log(_t_cdf(a * (x - m) / s * sqrt((n + 1) / (n + ((x - m) / s)**2)), n + 1)),
         [((4.0, 0.0, 1.0, 3.0), [0.5, -6.0, 30.0]), ((2.5, 1.0, 2.0, -1.0), [0.0, 5.0]), ((20.0, -1.0, 0.5, 0.0), [-1.2])],
         mean=lambda n, m, s, a: m + s * a / sqrt(1 + a * a) * sqrt(n / pi) * gamma((n - 1) / 2) / gamma(n / 2) if n > 1 else nan,
         var=lambda n, m, s, a: s**2 * (n / (n - 2) - (a / sqrt(1 + a * a) * sqrt(n / pi) * gamma((n - 1) / 2) / gamma(n / 2))**2) if n > 2 else inf),
    Dist("wrapped_cauchy", "mu rho", lambda x, m, r: log((1 - r * r) / (2 * pi * (1 + r * r - 2 * r * mp.cos(x - m)))),
         [((0.0, 0.5), [0.0, 2.0, -3.0, 3.2]), ((1.0, 0.99), [1.01, -2.0]), ((-2.0, 0.05), [1.0])], lambda m, r: (-pi, pi),
         cdf=lambda x, m, r: _turn(lambda t: (1 - r * r) / (1 + r * r - 2 * r * mp.cos(t - m)), x, m) / (2 * pi)),
]


# Where a tail is too small to be taken from 1.
SURVIVAL = {
    "normal": lambda x, m, s: Phi((m - x) / s),
    "std_normal": lambda x: Phi(-x),
    "lognormal": lambda x, m, s: Phi((m - log(x)) / s) if x > 0 else mpf(1),
    "student_t": lambda x, n, m, s: _t_cdf((m - x) / s, n),
    "half_student_t": lambda x, n, s: 2 * _t_cdf(-x / s, n),
    "logistic": lambda x, m, s: 1 / (1 + exp((x - m) / s)),
    "laplace": lambda x, m, s: 1 - exp((x - m) / s) / 2 if x < m else exp(-(x - m) / s) / 2,
    "double_exponential": lambda x, m, s: 1 - exp((x - m) / s) / 2 if x < m else exp(-(x - m) / s) / 2,
    "gumbel": lambda x, m, b: -mp.expm1(-exp(-(x - m) / b)),
    "exponential": lambda x, b: exp(-b * x),
    "gamma": lambda x, a, b: Q(a, b * x),
    "inv_gamma": lambda x, a, b: P(a, b / x) if x > 0 else mpf(1),
    "chi_square": lambda x, n: Q(n / 2, x / 2),
    "inv_chi_square": lambda x, n: P(n / 2, 1 / (2 * x)) if x > 0 else mpf(1),
    "scaled_inv_chi_square": lambda x, n, s: P(n / 2, n * s * s / (2 * x)) if x > 0 else mpf(1),
    "weibull": lambda x, a, s: exp(-((x / s) ** a)),
    "beta": lambda x, a, b: I(b, a, 1 - x),
    "beta_proportion": lambda x, m, k: I((1 - m) * k, m * k, 1 - x),
    "half_normal": lambda x, s: mp.erfc(x / (s * sqrt(2))),
    "exp_mod_normal": lambda x, m, s, l: Phi((m - x) / s) + exp(-l * (x - m) + (l * s) ** 2 / 2) * Phi((x - m) / s - l * s),
    "generalized_gamma": lambda x, a, d, p: Q(d / p, (x / a)**p),
    "generalized_normal": lambda x, m, a, b: Q(1 / b, ((x - m) / a)**b) / 2 if x > m else (1 + P(1 / b, ((m - x) / a)**b)) / 2,
    "maxwell": lambda x, s: Q(mpf(3) / 2, x**2 / (2 * s**2)),
    "chi": lambda x, n: Q(n / 2, x**2 / 2),
    "nakagami": lambda x, m, w: Q(m, m * x**2 / w),
    "beta_prime": lambda x, a, b: I(b, a, 1 / (1 + x)),
    "hyperbolic_secant": lambda x, m, s: 2 / pi * mp.atan(exp(-pi * (x - m) / (2 * s))),
}

# Further points: where f64 has no number for the tail, and large and small parameters.
FAR = {
    "normal": [((0.0, 1.0), [40.0, -40.0, 1e5])],
    "lognormal": [((0.0, 1.0), [1e20, 1e-20])],
    "student_t": [((4.0, 0.0, 1.0), [1e90, -1e120]), ((300.0, 0.0, 1.0), [500.0, -500.0])],
    "half_student_t": [((300.0, 1.0), [500.0])],
    "logistic": [((0.0, 1.0), [800.0, -800.0])],
    "laplace": [((0.0, 1.0), [800.0, -800.0])],
    "gumbel": [((0.0, 1.0), [800.0, -7.0])],
    "exponential": [((1.0,), [800.0])],
    "gamma": [((2.0, 3.0), [400.0]), ((50.0, 1.0), [1e-8, 1200.0]), ((1e4, 1.0), [9000.0, 14000.0]), ((1e-3, 1.0), [1e-10, 900.0])],
    "inv_gamma": [((3.0, 2.0), [1e-3, 1e140])],
    "chi_square": [((5.0,), [1600.0]), ((500.0,), [5000.0, 3.0])],
    "inv_chi_square": [((5.0,), [5e-4, 1e150])],
    "scaled_inv_chi_square": [((5.0, 2.0), [5e-3])],
    "weibull": [((1.5, 2.0), [300.0])],
    "beta": [((200.0, 3.0), [1e-6, 0.99]), ((3.0, 200.0), [0.99]), ((500.0, 1000.0), [0.005, 0.33])],
    "beta_proportion": [((0.9, 500.0), [0.01])],
    "half_normal": [((1.0,), [40.0])],
    "exp_mod_normal": [((0.0, 1.0, 1.0), [-30.0, 800.0])],
    "generalized_gamma": [((2.0, 3.0, 1.5), [300.0])],
    "generalized_normal": [((0.0, 1.0, 1.5), [100.0, -100.0])],
    "maxwell": [((1.0,), [45.0])],
    "chi": [((3.0,), [45.0])],
    "nakagami": [((1.5, 2.0), [45.0])],
    "beta_prime": [((2.0, 300.0), [50.0])],
    "hyperbolic_secant": [((0.0, 1.0), [600.0, -600.0])],
    "skew_normal": [((0.0, 1.0, 3.0), [30.0])],
    "poisson": [((3.5,), [300]), ((1000.0,), [200])],
    "binomial": [((1000, 0.01), [400])],
    "neg_binomial": [((2.5, 0.5), [2500])],
    "neg_binomial_2": [((4.0, 2.0), [2500])],
    "poisson_log": [((1.25,), [300])],
    "binomial_logit": [((1000, -4.0), [400])],
}


def _turn(f, x, m):
    """The integral from -π, in pieces around the mode."""
    inner = sorted(v for v in {m + k * pi / 8 for k in range(-24, 25)} if -pi < v < x)
    with mp.workdps(40):
        return mp.quad(f, [-pi, *inner, x])


def _skew(z, a):
    """The cdf of the standard skew normal distribution: Φ(z) - 2 T(z, a)."""
    with mp.workdps(200):
        t = mp.quad(lambda u: exp(-z * z * (1 + u * u) / 2) / (1 + u * u), mp.linspace(0, a, 9)) / (2 * pi) if a else mpf(0)
        return Phi(z) - 2 * t


def _rice(n, s):
    return s * sqrt(pi / 2) * mp.hyp1f1(mpf(-1) / 2, 1, -n * n / (2 * s * s))


def _truncated(a, b):
    """Mean and variance of a standard normal variable between a and b."""
    f = lambda z: exp(-z * z / 2) / sqrt(2 * pi)
    z, p, q = _gap(a, b), f(a), f(b)
    return (p - q) / z, 1 + (a * p - b * q) / z - ((p - q) / z)**2


def _gap(a, b):
    return Phi(-a) - Phi(-b) if a > 0 else Phi(b) - Phi(a)


def _wiener(x, a, t, b, d):
    """The series for short times, with terms enough for any time."""
    u, w = (x - t) / a**2, 1 - b
    total = sum((w + 2 * k) * exp(-((w + 2 * k)**2) / (2 * u)) for k in range(-25, 26)) / sqrt(2 * pi * u**3)
    return d * a * w - d * d * (x - t) / 2 - 2 * log(a) + log(total)


def _ig_cdf(x, m, l):
    r = sqrt(l / x)
    return Phi(r * (x / m - 1)) + exp(2 * l / m) * Phi(-r * (x / m + 1))



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
    Dist("beta_neg_binomial", "r alpha beta",
         lambda x, r, a, b: lB(x + r, a + b) - lB(r, a) + lgam(x + b) - lgam(x + 1) - lgam(b),
         [((3.0, 4.5, 2.0), [0, 2, 40, -1]), ((0.5, 2.5, 5.0), [0, 10]), ((10.0, 1.5, 0.5), [3])],
         naturals, mean=lambda r, a, b: r * b / (a - 1) if a > 1 else inf,
         var=lambda r, a, b: r * b * (r + a - 1) * (a + b - 1) / ((a - 2) * (a - 1)**2) if a > 2 else inf, heavy=True),
    Dist("zipf", "n:int s", lambda x, n, s: -s * log(x) - log(sum(mpf(k)**-s for k in range(1, int(n) + 1))),
         [((10, 1.5), [1, 4, 10, 0, 11]), ((100, 0.0), [7]), ((50, 4.0), [2, 45]), ((5, -1.0), [3])],
         lambda n, s: (1, n), mean=lambda n, s: _zipf(n, s, 1),
         var=lambda n, s: _zipf(n, s, 2) - _zipf(n, s, 1)**2),
    Dist("skellam", "mu1 mu2", lambda x, a, b: -a - b + x * log(a / b) / 2 + log(mp.besseli(abs(x), 2 * sqrt(a * b))),
         [((3.0, 2.0), [0, 5, -4, 40]), ((0.1, 30.0), [-28, 0]), ((400.0, 500.0), [-90])],
         lambda a, b: (-inf, inf), mean=lambda a, b: a - b, var=lambda a, b: a + b),
    Dist("discrete_laplace", "a", lambda x, a: log(mp.tanh(a / 2)) - a * abs(x),
         [((0.8,), [0, 3, -4, 60, -60]), ((5.0,), [1]), ((0.03,), [20])], lambda a: (-inf, inf),
         cdf=lambda x, a: exp(a * x) / (1 + exp(-a)) if x < 0 else 1 - exp(-a * (x + 1)) / (1 + exp(-a)),
         mean=lambda a: mpf(0), var=lambda a: 1 / (2 * mp.sinh(a / 2)**2)),
    Dist("borel", "mu", lambda x, m: -m * x + xlogy(x - 1, m * x) - lgam(x + 1),
         [((0.5,), [1, 4, 60, 0]), ((0.05,), [1, 3]), ((0.9,), [10])], lambda m: (1, inf),
         mean=lambda m: 1 / (1 - m), var=lambda m: m / (1 - m)**3, heavy=True),
    Dist("logarithmic", "theta", lambda x, t: x * log(t) - log(x) - log(-log(1 - t)),
         [((0.5,), [1, 4, 60, 0]), ((0.05,), [1, 3]), ((0.9,), [10])], lambda t: (1, inf),
         mean=lambda t: -t / ((1 - t) * log(1 - t)), var=lambda t: -t * (t + log(1 - t)) / ((1 - t) * log(1 - t))**2),
    Dist("discrete_weibull", "q beta", lambda x, q, b: log(q**(x**b) - q**((x + 1)**b)),
         [((0.6, 1.5), [0, 2, 12, -1]), ((0.9, 0.5), [0, 30]), ((0.2, 1.0), [1])], naturals, heavy=True),
    Dist("yule_simon", "rho", lambda x, r: log(r) + lB(x, r + 1),
         [((3.5,), [1, 4, 60, 0]), ((0.5,), [1, 30]), ((10.0,), [2])], lambda r: (1, inf),
         mean=lambda r: r / (r - 1) if r > 1 else inf, var=lambda r: r**2 / ((r - 1)**2 * (r - 2)) if r > 2 else inf, heavy=True),
    Dist("generalized_poisson", "theta lambda", lambda x, t, l: log(t) + (x - 1) * log(t + l * x) - t - l * x - lgam(x + 1),
         [((2.0, 0.3), [0, 3, 40, -1]), ((0.5, 0.8), [0, 10]), ((20.0, 0.05), [18])], naturals,
         mean=lambda t, l: t / (1 - l), var=lambda t, l: t / (1 - l)**3, heavy=True),
]
for d in DISCRETE:
    d.discrete = True
for d in CONTINUOUS + DISCRETE:
    d.survival = d.survival or SURVIVAL.get(d.name)


def _zipf(n, s, power):
    return sum(mpf(k)**(power - s) for k in range(1, int(n) + 1)) / sum(mpf(k)**-s for k in range(1, int(n) + 1))


def _cdf(d, x, p):
    lo, hi = d.support(*p)
    if x < lo:
        return mpf(0)
    if x >= hi:
        return mpf(1)
    if d.discrete and not d.cdf:
        return sum(exp(d.lp(mpf(k), p)) for k in range(int(lo), int(x) + 1))
    return d.cdf(x, *p)


def _survival(d, x, p):
    """1 - cdf, from above where the sum allows it."""
    lo, hi = d.support(*p)
    if d.survival and lo <= x <= hi:
        return d.survival(x, *p)
    if d.discrete and not d.heavy and not d.cdf and lo <= x < hi:
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
            bottom = int(lo) if lo != -inf else int(mean - 60 * sd - 60)
            if top - bottom > 5000:
                return
            mass = [(k, exp(d.lp(mpf(k), p))) for k in range(bottom, top + 1)]
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
            inside = sorted({*inside, *(v for v in d.kinks(*p) if lo < v < hi)})
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
        for far, (raw, xs) in [*((False, q) for q in d.points), *((True, q) for q in FAR.get(d.name, []))]:
            p = tuple(mpf(v) for v in raw)
            extreme = any(v != 0 and not 2e-2 <= abs(v) <= 1e3 for v in p)
            if not d.improper and not d.heavy and not extreme and not far:
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
    if d.cdf or (d.discrete and (d.heavy or (lo > -inf and d.mean(*p) + 60 * sqrt(d.var(*p)) < 5000))):
        with mp.workdps(60 if d.discrete else 150):
            cdf, survival = _cdf(d, x_mp, p), _survival(d, x_mp, p)
            row["cdf"] = text(cdf)
            # 1 - cdf has 150 digits less those that cancel; sums have all of theirs.
            least = mpf(10) ** (-30 if d.discrete else -100)
            exact = d.discrete or d.survival
            if cdf > 0 and (survival > least or d.survival):
                row["log_cdf"] = text(log(cdf) if survival > 0.5 else mp.log1p(-survival))
            if survival > (0 if exact else least) and (exact or cdf == 0 or cdf > least):
                row["log_survival"] = text(log(survival) if cdf > 0.5 else mp.log1p(-cdf))
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


def _answer(v, text):
    return [_answer(e, text) for e in v] if isinstance(v, list) else text(v)


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
CORR = [[1.0, 0.5, -0.25], [0.5, 1.0, 0.125], [-0.25, 0.125, 1.0]]
WIDE = [[9.0, -2.0, 1.0], [-2.0, 4.0, 0.5], [1.0, 0.5, 0.75]]
CHOL2 = [[3.0, 0.0, 0.0], [-0.5, 0.75, 0.0], [0.25, 1.0, 2.0]]
RING = [[0.0, 1.0, 0.5], [1.0, 0.0, 0.25], [0.5, 0.25, 0.0]]
CHOL = [[1.5, 0.0, 0.0], [0.25, 2.0, 0.0], [-1.0, 0.5, 0.125]]

# name, parameter names, log density, moments, points: (parameters, x's), and which entries get
# derivatives: by x and by each parameter; then the cdf, where there is one.
VECTOR = [
    ("categorical", ["theta"], lambda x, t: log(t[int(x) - 1]) if 1 <= x <= len(t) else -inf, lambda t: _index_moments(t),
     [(([0.5, 0.25, 0.25],), [1, 3, 4, 0]), (([0.0, 1.0],), [1, 2])], (False, [False])),
    ("categorical_logit", ["beta"],
     lambda x, b: b[int(x) - 1] - log(sum(map(exp, b))) if 1 <= x <= len(b) else -inf, lambda b: _index_moments(_softmax(b)),
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
    ("ordered_logistic", ["eta", "c"], lambda x, e, c: _cut(x, [sig(v - e) for v in c]), None,
     [((0.5, [-1.0, 0.25, 2.0]), [1, 2, 3, 4, 0, 5]), ((-30.0, [1.0, 1.5]), [1, 2, 3]), ((0.0, [0.0]), [2])], (False, [True, True]),
     lambda x, e, c: sig(c[int(x) - 1] - e) if x <= len(c) else mpf(1)),
    ("ordered_probit", ["eta", "c"], lambda x, e, c: _cut(x, [Phi(v - e) for v in c]), None,
     [((0.5, [-1.0, 0.25, 2.0]), [1, 2, 3, 4, 0, 5]), ((-10.0, [1.0, 1.5]), [1, 2, 3]), ((9.0, [-1.5, 0.0]), [2])], (False, [True, True]),
     lambda x, e, c: Phi(c[int(x) - 1] - e) if x <= len(c) else mpf(1)),
    ("ordered_logistic_glm", ["x", "beta", "c"], lambda y, x, b, c: _cut(y, [sig(v - _dot(x, b)) for v in c]), None,
     [(([1.0, -2.0], [0.5, 0.25], [-1.0, 0.25, 2.0]), [1, 2, 3, 4, 0]), (([10.0], [-2.0], [1.0, 1.5]), [2])], (False, [True, True, True]),
     lambda y, x, b, c: sig(c[int(y) - 1] - _dot(x, b)) if y <= len(c) else mpf(1)),
    ("bernoulli_logit_glm", ["x", "alpha", "beta"], lambda y, x, a, b: ber(y, sig(a + _dot(x, b))) if y in (0, 1) else -inf,
     lambda x, a, b: (sig(a + _dot(x, b)), sig(a + _dot(x, b)) * sig(-a - _dot(x, b))),
     [(([1.0, -2.0], 0.25, [0.5, 0.75]), [0, 1, 2]), (([30.0], 1.0, [2.0]), [0, 1])], (False, [True, True, True]),
     lambda y, x, a, b: sig(-a - _dot(x, b)) if y < 1 else mpf(1)),
    ("binomial_logit_glm", ["n", "x", "alpha", "beta"], lambda y, n, x, a, b: bino(y, n, sig(a + _dot(x, b))) if 0 <= y <= n else -inf,
     lambda n, x, a, b: (n * sig(a + _dot(x, b)), n * sig(a + _dot(x, b)) * sig(-a - _dot(x, b))),
     [((10, [1.0, -2.0], 0.25, [0.5, 0.75]), [0, 4, 10, 11]), ((50, [30.0], 1.0, [0.1]), [49])], (False, [False, True, True, True]),
     lambda y, n, x, a, b: sum(exp(bino(mpf(k), n, sig(a + _dot(x, b)))) for k in range(int(y) + 1)) if y < n else mpf(1)),
    ("categorical_logit_glm", ["x", "alpha", "beta"],
     lambda y, x, a, b: log(_softmax([v + sum(u * r[k] for u, r in zip(x, b)) for k, v in enumerate(a)])[int(y) - 1]) if 1 <= y <= len(a) else -inf, None,
     [(([1.0, -2.0], [0.25, 0.0, -1.0], [[0.5, 0.75, 0.0], [1.0, -1.0, 0.25]]), [1, 2, 3, 4]), (([20.0], [1.0, 2.0], [[-2.0, 2.0]]), [1])],
     (False, [True, True, True]),
     lambda y, x, a, b: sum(_softmax([v + sum(u * r[k] for u, r in zip(x, b)) for k, v in enumerate(a)])[: int(y)])),
    ("normal_id_glm", ["x", "alpha", "beta", "sigma"], lambda y, x, a, b, s: -((y - a - _dot(x, b)) / s)**2 / 2 - log(s * sqrt(2 * pi)),
     lambda x, a, b, s: (a + _dot(x, b), s * s),
     [(([1.0, -2.0], 0.25, [0.5, 0.75], 1.5), [0.5, -20.0, 12.0]), (([30.0], 1.0, [2.0], 0.1), [61.2])], (True, [True, True, True, True]),
     lambda y, x, a, b, s: Phi((y - a - _dot(x, b)) / s)),
    ("poisson_log_glm", ["x", "alpha", "beta"], lambda y, x, a, b: pois(y, exp(a + _dot(x, b))) if y >= 0 else -inf,
     lambda x, a, b: (exp(a + _dot(x, b)), exp(a + _dot(x, b))),
     [(([1.0, -2.0], 0.25, [0.5, -0.75]), [0, 4, 30, -1]), (([3.0], 1.0, [2.0]), [1000])], (False, [True, True, True]),
     lambda y, x, a, b: sum(exp(pois(mpf(k), exp(a + _dot(x, b)))) for k in range(int(y) + 1))),
    ("neg_binomial_2_log_glm", ["x", "alpha", "beta", "phi"], lambda y, x, a, b, f: nb2(y, exp(a + _dot(x, b)), f) if y >= 0 else -inf,
     lambda x, a, b, f: (exp(a + _dot(x, b)), exp(a + _dot(x, b)) + exp(2 * (a + _dot(x, b))) / f),
     [(([1.0, -2.0], 0.25, [0.5, -0.75], 2.0), [0, 4, 30, -1]), (([3.0], 1.0, [2.0], 50.0), [1000])], (False, [True, True, True, True]),
     lambda y, x, a, b, f: sum(exp(nb2(mpf(k), exp(a + _dot(x, b)), f)) for k in range(int(y) + 1))),
    ("poisson_binomial", ["theta"], lambda x, t: log(_pb(t)[int(x)]) if 0 <= x <= len(t) else -inf,
     lambda t: (sum(t), sum(v * (1 - v) for v in t)),
     [(([0.25, 0.5, 0.875],), [0, 1, 3, 4, -1]), (([1e-6, 1e-9, 0.5, 0.25],), [3, 4]), (([0.125],), [1])], (False, [True]),
     lambda x, t: sum(_pb(t)[: int(x) + 1])),
    ("lkj_corr", ["eta"], lambda x, e: (e - 1) * log(mp.det(mp.matrix(x))) - _lkj_norm(len(x), e), None,
     [((2.0,), [[[1.0, 0.5], [0.5, 1.0]], CORR]), ((1.0,), [CORR]), ((0.5,), [CORR]), ((30.0,), [CORR])], (False, [True])),
    ("wishart", ["nu", "S"], lambda x, n, s: _wishart(x, n, s), lambda n, s: (_scaled(n, s), [[n * (s[i][j]**2 + s[i][i] * s[j][j]) for j in range(len(s))] for i in range(len(s))]),
     [((5.0, SIGMA), [SIGMA, WIDE]), ((2.5, [[2.0]]), [[[0.5]]]), ((100.0, SIGMA), [WIDE])], (False, [True, False])),
    ("wishart_cholesky", ["nu", "L_S"], lambda x, n, L: _wishart(_times_transpose(x), n, _times_transpose(L)) + _cholesky_volume(x), None,
     [((5.0, CHOL), [CHOL, CHOL2]), ((2.5, [[2.0]]), [[[0.5]]]), ((100.0, CHOL2), [CHOL])], (False, [True, False])),
    ("inv_wishart", ["nu", "S"], lambda x, n, s: _inv_wishart(x, n, s),
     lambda n, s: (_scaled(1 / (n - len(s) - 1), s), _inv_wishart_variance(n, s)) if n > len(s) + 1 else None,
     [((5.0, SIGMA), [SIGMA, WIDE]), ((2.5, [[2.0]]), [[[0.5]]]), ((100.0, SIGMA), [WIDE])], (False, [True, False])),
    ("inv_wishart_cholesky", ["nu", "L_S"], lambda x, n, L: _inv_wishart(_times_transpose(x), n, _times_transpose(L)) + _cholesky_volume(x), None,
     [((5.0, CHOL), [CHOL, CHOL2]), ((2.5, [[2.0]]), [[[0.5]]]), ((100.0, CHOL2), [CHOL])], (False, [True, False])),
    ("multi_student_t", ["nu", "mu", "Sigma"], lambda x, n, m, s: _mvt(x, n, m, s),
     lambda n, m, s: (m, [s[i][i] * n / (n - 2) for i in range(len(m))]) if n > 2 else None,
     [((4.0, [1.0, -2.0, 0.5], SIGMA), [[1.0, -2.0, 0.5], [3.0, 0.25, -4.0], [40.0, 1.0, 1e4]]), ((1.0, [0.0], [[4.0]]), [[3.0]]),
      ((1e4, [0.0, 1.0], [[2.0, 0.5], [0.5, 1.0]]), [[3.0, 2.0]])], (True, [True, True, False])),
    ("multi_student_t_cholesky", ["nu", "mu", "L"], lambda x, n, m, L: _mvt(x, n, m, _times_transpose(L)),
     lambda n, m, L: (m, [_times_transpose(L)[i][i] * n / (n - 2) for i in range(len(m))]) if n > 2 else None,
     [((4.0, [1.0, -2.0, 0.5], CHOL), [[1.0, -2.0, 0.5], [3.0, 0.25, -4.0]]), ((1.0, [0.0], [[2.0]]), [[3.0]])], (True, [True, True, False])),
    ("multi_gp", ["Sigma", "w"], lambda y, s, w: sum(_mvn(r, [mpf(0)] * len(r), _scaled(1 / v, s)) for r, v in zip(y, w)),
     lambda s, w: ([[mpf(0)] * len(s) for _ in w], None),
     [((SIGMA, [1.0, 2.5]), [[[1.0, -2.0, 0.5], [0.25, 0.5, 3.0]], [[0.5, 9.0, 0.5], [0.25, 0.5, -30.0]]]), (([[2.0]], [0.5]), [[[1.5]]])], (True, [False, True])),
    ("multi_gp_cholesky", ["L", "w"], lambda y, L, w: sum(_mvn(r, [mpf(0)] * len(r), _scaled(1 / v, _times_transpose(L))) for r, v in zip(y, w)),
     lambda L, w: ([[mpf(0)] * len(L) for _ in w], None),
     [((CHOL, [1.0, 2.5]), [[[1.0, -2.0, 0.5], [0.25, 0.5, 3.0]], [[0.5, 9.0, 0.5], [0.25, 0.5, -30.0]]]), (([[2.0]], [0.5]), [[[1.5]]])], (True, [False, True])),
    ("gaussian_dlm_obs", ["F", "G", "V", "W", "m0", "C0"], lambda y, F, G, V, W, m0, C0: _dlm(y, F, G, V, W, m0, C0), None,
     [(([[1.0, 0.5], [0.0, 1.0]], [[1.0, 1.0], [0.0, 0.5]], [[1.0, 0.25], [0.25, 2.0]], [[0.5, 0.125], [0.125, 0.25]], [0.5, -1.0], [[2.0, 0.0], [0.0, 1.0]]),
       [[[1.0, 0.5, 2.0, 3.0], [0.25, -1.0, 0.0, 1.5]]]),
      (([[1.0]], [[0.75]], [[1.0]], [[0.5]], [0.0], [[1.0]]), [[[0.5, -1.0, 2.0]], [[9.0]]])], (True, [True, True, False, False, True, False])),
    ("multinomial_logit", ["n", "gamma"], lambda x, n, g: _multinomial(x, n, _softmax(g)),
     lambda n, g: ([n * v for v in _softmax(g)], [n * v * (1 - v) for v in _softmax(g)]),
     [((6, [0.5, -1.0, 2.0]), [[3, 2, 1], [6, 0, 0], [1, 1, 1]]), ((4, [3.0, 0.0]), [[0, 4]])], (False, [False, True])),
    ("multinomial__counts", ["theta"], lambda x, t: _multinomial(x, sum(x), t), None,
     [(([0.5, 0.25, 0.25],), [[3, 2, 1], [6, 0, 0], [0, 0, 0]])], (False, [False])),
    ("multinomial_logit__counts", ["gamma"], lambda x, g: _multinomial(x, sum(x), _softmax(g)), None,
     [(([0.5, -1.0, 2.0],), [[3, 2, 1], [6, 0, 0], [0, 0, 0]])], (False, [True])),
    ("dirichlet_multinomial__counts", ["alpha"], lambda x, a: _dirichlet_multinomial(x, sum(x), a), None,
     [(([0.5, 1.0, 2.0],), [[3, 2, 1], [6, 0, 0], [0, 0, 0]])], (False, [True])),
    ("dirichlet_multinomial", ["n", "alpha"],
     lambda x, n, a: _dirichlet_multinomial(x, n, a),
     lambda n, a: ([n * v / sum(a) for v in a], [n * v / sum(a) * (1 - v / sum(a)) * (n + sum(a)) / (1 + sum(a)) for v in a]),
     [((6, [0.5, 1.0, 2.0]), [[3, 2, 1], [6, 0, 0], [1, 1, 1]]), ((4, [30.0, 0.1]), [[0, 4]])], (False, [False, True])),
    ("multivariate_hypergeometric", ["n", "m"],
     lambda x, n, m: -inf if sum(x) != n or any(u > v for u, v in zip(x, m)) else sum(lbin(v, u) for u, v in zip(x, m)) - lbin(sum(m), n),
     lambda n, m: ([n * v / sum(m) for v in m], [n * v / sum(m) * (1 - v / sum(m)) * (sum(m) - n) / (sum(m) - 1) for v in m]),
     [((6, [5, 4, 8]), [[3, 2, 1], [6, 0, 0], [1, 1, 1], [0, 0, 6]])], (False, [False, False])),
    ("matrix_normal", ["M", "U", "V"], lambda x, M, U, V: _mvn([v for r in x for v in r], [v for r in M for v in r], _kron(U, V)),
     lambda M, U, V: (M, [[U[i][i] * V[j][j] for j in range(len(V))] for i in range(len(U))]),
     [(([[1.0, -2.0], [0.5, 0.0], [0.0, 1.0]], SIGMA, [[2.0, 0.5], [0.5, 1.0]]), [[[1.0, 0.5], [2.0, -1.0], [0.25, 3.0]], [[1.0, 0.5], [20.0, -1.0], [0.25, 30.0]]]),
      (([[0.0]], [[2.0]], [[3.0]]), [[[1.5]]])], (True, [True, False, False])),
    ("multi_normal_low_rank", ["mu", "W", "d"], lambda x, m, W, d: _mvn(x, m, _low_rank(W, d)),
     lambda m, W, d: (m, [_low_rank(W, d)[i][i] for i in range(len(d))]),
     [(([1.0, -2.0, 0.5], [[1.0, 0.5], [0.25, -1.0], [2.0, 0.0]], [0.5, 1.0, 2.0]), [[1.0, -2.0, 0.5], [3.0, 0.25, -4.0]]),
      (([0.0], [[2.0]], [1.0]), [[3.0]])], (True, [True, True, True])),
    ("car", ["mu", "alpha", "tau", "W"],
     lambda x, m, a, t, W: _mvn(x, m, mp.inverse(mp.matrix([[t * ((sum(W[i]) if i == j else 0) - a * W[i][j]) for j in range(len(m))] for i in range(len(m))])).tolist()),
     lambda m, a, t, W: (m, mp.inverse(mp.matrix([[t * ((sum(W[i]) if i == j else 0) - a * W[i][j]) for j in range(len(m))] for i in range(len(m))])).tolist()),
     [(([1.0, -2.0, 0.5], 0.75, 2.0, RING), [[1.0, -2.0, 0.5], [3.0, 0.25, -4.0]]), (([0.0, 0.0, 0.0], 0.99, 0.1, RING), [[3.0, 2.5, 2.0]])], (True, [True, True, True, False])),
    ("gaussian_random_walk", ["sigma"], lambda x, s: sum(-((b - a) / s)**2 / 2 - log(s * sqrt(2 * pi)) for a, b in zip([mpf(0), *x], x)), None,
     [((1.5,), [[1.0, 0.5, 2.0], [30.0, 1.0, 1.5]]), ((0.1,), [[0.05]])], (True, [True])),
    ("zero_sum_normal", ["sigma"], lambda x, s: -sum(v * v for v in x) / (2 * s * s) - (len(x) - 1) * log(s * sqrt(2 * pi)), None,
     [((1.5,), [[1.0, 0.5, -1.5], [30.0, 1.0, -31.0]]), ((0.25,), [[0.125, -0.125]])], (True, [True])),
    ("von_mises_fisher", ["mu", "kappa"],
     lambda x, m, k: k * _dot(m, x) + (mpf(len(x)) / 2 - 1) * log(k) - mpf(len(x)) / 2 * log(2 * pi) - log(mp.besseli(mpf(len(x)) / 2 - 1, k)),
     lambda m, k: ([mp.besseli(mpf(len(m)) / 2, k) / mp.besseli(mpf(len(m)) / 2 - 1, k) * v for v in m], None),
     [(([1.0, 0.0, 0.0], 2.0), [[0.0, 1.0, 0.0], [0.6, 0.8, 0.0]]), (([0.6, 0.8], 0.1), [[1.0, 0.0]]), (([0.6, 0.0, 0.8, 0.0], 200.0), [[0.6, 0.0, 0.8, 0.0]])],
     (True, [True, True])),
]


def _dirichlet_multinomial(x, n, a):
    if sum(x) != n:
        return -inf
    return lgam(n + 1) + lgam(sum(a)) - lgam(n + sum(a)) + sum(lgam(u + v) - lgam(v) - lgam(u + 1) for u, v in zip(x, a))


def _index_moments(t):
    mean = sum(k * v for k, v in enumerate(t, 1))
    return mean, sum((k - mean)**2 * v for k, v in enumerate(t, 1))


def _inv_wishart_variance(n, s):
    K = len(s)
    if n <= K + 3:
        return [[inf] * K] * K
    bottom = (n - K) * (n - K - 1)**2 * (n - K - 3)
    return [[((n - K + 1) * s[i][j]**2 + (n - K - 1) * s[i][i] * s[j][j]) / bottom for j in range(K)] for i in range(K)]


def _dot(x, b):
    return sum(u * v for u, v in zip(x, b))


def _softmax(x):
    total = sum(map(exp, x))
    return [exp(v) / total for v in x]


def _cut(x, cdf):
    """The log probability of a category between cut points."""
    ends = [mpf(0), *cdf, mpf(1)]
    return log(ends[int(x)] - ends[int(x) - 1]) if 1 <= x < len(ends) else -inf


def _pb(theta):
    mass = [mpf(1)]
    for t in theta:
        mass = [(1 - t) * a + t * b for a, b in zip([*mass, mpf(0)], [mpf(0), *mass])]
    return mass


def _scaled(c, a):
    return [[c * v for v in row] for row in a]


def _lgam_multi(K, x):
    return mpf(K * (K - 1)) / 4 * log(pi) + sum(lgam(x - mpf(k) / 2) for k in range(K))


def _lkj_norm(K, eta):
    """The logarithm of the integral of det^(eta - 1) [lewandowski2009, eq. 16]."""
    return sum((2 * eta - 2 + K - k) * (K - k) * log(2) + (K - k) * lB(eta + mpf(K - k - 1) / 2, eta + mpf(K - k - 1) / 2)
               for k in range(1, K))


def _wishart(x, n, s):
    K, X, S = len(x), mp.matrix(x), mp.matrix(s)
    t = mp.inverse(S) * X
    return ((n - K - 1) / 2 * log(mp.det(X)) - sum(t[i, i] for i in range(K)) / 2 - n * K / 2 * log(2)
            - n / 2 * log(mp.det(S)) - _lgam_multi(K, n / 2))


def _inv_wishart(x, n, s):
    K, X, S = len(x), mp.matrix(x), mp.matrix(s)
    t = S * mp.inverse(X)
    return (n / 2 * log(mp.det(S)) - (n + K + 1) / 2 * log(mp.det(X)) - sum(t[i, i] for i in range(K)) / 2
            - n * K / 2 * log(2) - _lgam_multi(K, n / 2))


def _cholesky_volume(L):
    """log |d(L L')/dL|."""
    K = len(L)
    return K * log(2) + sum((K - k) * log(L[k][k]) for k in range(K))


def _mvt(x, n, mu, s):
    K = len(x)
    v = mp.matrix([a - b for a, b in zip(x, mu)])
    q = (v.T * mp.inverse(mp.matrix(s)) * v)[0]
    return lgam((n + K) / 2) - lgam(n / 2) - log((n * pi)**K * mp.det(mp.matrix(s))) / 2 - (n + K) / 2 * log(1 + q / n)


def _kron(U, V):
    n, p = len(U), len(V)
    return [[U[i // p][j // p] * V[i % p][j % p] for j in range(n * p)] for i in range(n * p)]


def _low_rank(W, d):
    return [[sum(a * b for a, b in zip(W[i], W[j])) + (d[i] if i == j else 0) for j in range(len(d))] for i in range(len(d))]


def _dlm(y, F, G, V, W, m0, C0):
    """All observations as one normal vector: no filter."""
    F, G, V, W = map(mp.matrix, (F, G, V, W))
    r, T = len(y), len(y[0])
    mean, var = mp.matrix(m0), mp.matrix(C0)
    means, covs = [], {}
    for t in range(T):
        mean, var = G * mean, G * var * G.T + W
        means.append(mean)
        covs[t, t] = var
        for s in range(t):
            covs[t, s] = G * covs[t - 1, s]
    mu = [(F.T * means[t])[i] for t in range(T) for i in range(r)]
    big = [[mpf(0)] * (r * T) for _ in range(r * T)]
    for t in range(T):
        for s in range(t + 1):
            block = F.T * covs[t, s] * F
            for i in range(r):
                for j in range(r):
                    v = block[i, j] + (V[i, j] if s == t else 0)
                    big[t * r + i][s * r + j] = v
                    big[s * r + j][t * r + i] = v
    return _mvn([y[i][t] for t in range(T) for i in range(r)], mu, big)


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
    for name, names, f, moments, points, (by_x, by_param), *cdf in VECTOR:
        for raw, xs in points:
            p = [_exact(v) for v in raw]
            for x in xs:
                x_mp = _exact(x)
                lp = f(x_mp, *p)
                row = {"dist": name, "params": {n: _nested(v, text) for n, v in zip(names, raw)},
                       "x": _nested(x, text), "logpdf": text(lp)}
                if mp.isfinite(lp) and not (name == "dirichlet" and 0 in x):
                    if by_x:
                        row["dlogpdf_dx"] = _gradient(f, [x_mp, *p], 0, text)
                    if any(by_param):
                        row["dlogpdf_dparams"] = {
                            n: _gradient(f, [x_mp, *p], k + 1, text)
                            for k, n in enumerate(names) if by_param[k]
                        }
                for key, v in zip(("mean", "var"), moments and moments(*p) or ()):
                    if v is not None:
                        row[key] = _answer(v, text)
                if cdf and mp.isfinite(lp):
                    below = cdf[0](x_mp, *p)
                    row["cdf"] = text(below)
                    row["log_cdf"] = text(log(below))
                    if below < 1:
                        row["log_survival"] = text(log(1 - below))
                row["digits"], row["source"] = 25, SOURCE
                yield row


def rows(text):
    yield from scalar_rows(text)
    yield from vector_rows(text)
