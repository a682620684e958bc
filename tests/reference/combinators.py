"""Reference values of `mixture truncate censor zero_inflated hurdle affine`, at 50 digits.

A distribution here is a measure: a log density and the probability below a point, the point included
or not. Each combinator makes one of others by its definition, with no care for rounding. Before a row
is written, the measure must have mass one.
"""

from dataclasses import dataclass, replace
from typing import Callable

from mpmath import mp, mpf, inf

import distributions as d
from distributions import exp, log

BY_NAME = {dist.name: dist for dist in d.CONTINUOUS + d.DISCRETE}


@dataclass
class Measure:
    density: Callable  # of x, by its own base measure
    below: Callable  # P(X <= x), or P(X < x) when not closed
    lo: object
    hi: object
    discrete: bool
    zero: bool = False  # whether 0 has a probability of its own, though the rest is continuous


def named(name, *p):
    dist = BY_NAME[name]
    lo, hi = dist.support(*p)
    if dist.discrete:
        # To 1e-60 of the mass, or all of it.
        def below(x, closed=True):
            top = mp.floor(x) if closed else mp.ceil(x) - 1
            return mpf(0) if top < lo else d._cdf(dist, top, p)
    else:
        def below(x, closed=True):
            return mpf(0) if x <= lo else mpf(1) if x >= hi else dist.cdf(x, *p)
    return Measure(lambda x: mpf(0) if dist.lp(x, p) == -inf else exp(dist.lp(x, p)), below, lo, hi, dist.discrete)


def mixture(w, *parts):
    return Measure(lambda x: sum(a * m.density(x) for a, m in zip(w, parts)),
                   lambda x, closed=True: sum(a * m.below(x, closed) for a, m in zip(w, parts)),
                   min(m.lo for m in parts), max(m.hi for m in parts), parts[0].discrete)


def truncate(m, lower=-inf, upper=inf):
    first = m.below(lower, False) if lower > -inf else mpf(0)
    mass = (m.below(upper) if upper < inf else mpf(1)) - first

    def below(x, closed=True):
        if x < lower:
            return mpf(0)
        return mpf(1) if x >= upper else (m.below(x, closed) - first) / mass

    return replace(m, density=lambda x: m.density(x) / mass if lower <= x <= upper else mpf(0),
                   below=below, lo=max(m.lo, lower), hi=min(m.hi, upper))


def censor(m, lower=-inf, upper=inf):
    def density(x):
        if x <= lower:
            return m.below(lower)
        return 1 - m.below(upper, False) if x >= upper else m.density(x)

    def below(x, closed=True):
        if x < lower or (x == lower and not closed):
            return mpf(0)
        return mpf(1) if x > upper or (x == upper and closed) else m.below(x, closed)

    return replace(m, density=density, below=below, lo=max(m.lo, lower), hi=min(m.hi, upper))


def zero_inflated(p, m):
    at_zero = p + (1 - p) * m.density(mpf(0)) if m.discrete else p
    return replace(m, density=lambda x: at_zero if x == 0 else (1 - p) * m.density(x),
                   below=lambda x, closed=True: (p if x > 0 or (x == 0 and closed) else 0) + (1 - p) * m.below(x, closed),
                   lo=min(m.lo, 0), hi=max(m.hi, 0), zero=not m.discrete)


def hurdle(p, m):
    zero = m.density(mpf(0)) if m.discrete else mpf(0)
    rest = 1 - zero

    def below(x, closed=True):
        has_zero = x > 0 or (x == 0 and closed)
        return (p if has_zero else 0) + (1 - p) * (m.below(x, closed) - (zero if has_zero else 0)) / rest

    return replace(m, density=lambda x: p if x == 0 else (1 - p) * m.density(x) / rest, below=below,
                   lo=min(m.lo, 0), hi=max(m.hi, 0), zero=not m.discrete)


def affine(m, loc, scale):
    at = lambda x: (x - loc) / scale
    return replace(m, density=lambda x: m.density(at(x)) / scale, below=lambda x, closed=True: m.below(at(x), closed),
                   lo=loc + scale * m.lo, hi=loc + scale * m.hi)


n = named
# The distribution as a model writes it, the same as a measure of its parameters, their values, points.
CASES = [
    ("truncate(normal(a, b), lower=c)", lambda a, b, c: truncate(n("normal", a, b), c),
     [((0.5, 2.0, 0.25), [0.25, 1.0, 9.0, 0.0]), ((0.0, 1.0, 12.0), [12.0, 12.5]), ((0.0, 1.0, -30.0), [0.5])]),
    ("truncate(normal(a, b), upper=c)", lambda a, b, c: truncate(n("normal", a, b), -inf, c),
     [((0.5, 2.0, 0.25), [0.25, -7.0, 1.0]), ((0.0, 1.0, -15.0), [-15.5])]),
    ("truncate(normal(a, b), lower=c, upper=e)", lambda a, b, c, e: truncate(n("normal", a, b), c, e),
     [((0.5, 2.0, -1.0, 3.0), [-1.0, 0.25, 3.0, 3.5]), ((0.0, 1.0, 20.0, 21.0), [20.25]),
      ((0.0, 1.0, -21.0, -20.0), [-20.25]), ((3.0, 0.5, -40.0, 40.0), [3.25])]),
    ("truncate(gamma(a, b), lower=c, upper=e)", lambda a, b, c, e: truncate(n("gamma", a, b), c, e),
     [((2.5, 1.5, 0.5, 4.0), [0.75, 3.0]), ((0.7, 2.0, 15.0, 18.0), [16.0]), ((30.0, 10.0, 0.0, 1.0), [0.9]),
      ((2.0, 1.0, -1.0, 3.0), [0.5, -0.5])]),
    ("truncate(beta(a, b), upper=c)", lambda a, b, c: truncate(n("beta", a, b), -inf, c),
     [((2.5, 1.5, 0.3), [0.25, 0.35]), ((20.0, 3.0, 0.1), [0.05])]),
    ("truncate(student_t(a, b, c), lower=e)", lambda a, b, c, e: truncate(n("student_t", a, b, c), e),
     [((4.0, 0.5, 1.5, 2.0), [2.5, 40.0]), ((2.5, 0.0, 1.0, 300.0), [310.0])]),
    ("truncate(cauchy(a, b), lower=c, upper=e)", lambda a, b, c, e: truncate(n("cauchy", a, b), c, e),
     [((0.0, 2.5, 0.0, 100.0), [3.0]), ((0.0, 1.0, 1e6, 1e7), [2e6])]),
    ("truncate(poisson(a), lower=1)", lambda a: truncate(n("poisson", a), 1),
     [((2.5,), [1, 4, 0]), ((1e-4,), [1, 2]), ((30.0,), [25])]),
    ("truncate(poisson(a), lower=2, upper=5)", lambda a: truncate(n("poisson", a), 2, 5),
     [((2.5,), [2, 5, 6, 1]), ((60.0,), [4])]),
    ("truncate(neg_binomial_2(a, b), upper=3)", lambda a, b: truncate(n("neg_binomial_2", a, b), -inf, 3),
     [((4.0, 1.5), [0, 3, 4])]),
    ("truncate(binomial(10, a), lower=9)", lambda a: truncate(n("binomial", mpf(10), a), 9), [((0.01,), [9, 10])]),
    ("truncate(affine(student_t(a, 0, 1), b, c), lower=0, upper=e)",
     lambda a, b, c, e: truncate(affine(n("student_t", a, mpf(0), mpf(1)), b, c), 0, e), [((5.0, 1.0, 2.0, 6.0), [0.5, 5.5, 7.0])]),
    ("truncate(mixture([a, 1 - a], normal(b, 1), normal(c, 2)), lower=0)",
     lambda a, b, c: truncate(mixture([a, 1 - a], n("normal", b, mpf(1)), n("normal", c, mpf(2))), 0),
     [((0.3, -1.0, 2.0), [0.5, 4.0, -1.0]), ((0.3, -15.0, -25.0), [0.1])]),
    ("truncate(truncate(normal(a, b), lower=0), upper=c)",
     lambda a, b, c: truncate(truncate(n("normal", a, b), 0), -inf, c), [((1.0, 2.0, 3.0), [0.5, 2.5, 3.5])]),
    ("truncate(zero_inflated(a, poisson(b)), upper=4)",
     lambda a, b: truncate(zero_inflated(a, n("poisson", b)), -inf, 4), [((0.25, 3.0), [0, 2, 5])]),
    ("truncate(hurdle(a, poisson(b)), lower=1, upper=6)",
     lambda a, b: truncate(hurdle(a, n("poisson", b)), 1, 6), [((0.25, 3.0), [1, 6, 7])]),
    ("truncate(hurdle(a, lognormal(b, c)), upper=4)",
     lambda a, b, c: truncate(hurdle(a, n("lognormal", b, c)), -inf, 4), [((0.25, 0.5, 0.75), [0.0, 1.5, 4.5])]),
    ("truncate(censor(normal(a, b), upper=2), lower=0)",
     lambda a, b: truncate(censor(n("normal", a, b), -inf, 2), 0), [((0.5, 1.5), [0.5, 2.0, -1.0])]),
    ("censor(normal(a, b), lower=c)", lambda a, b, c: censor(n("normal", a, b), c),
     [((0.5, 2.0, -1.0), [-1.0, 0.5]), ((40.0, 1.0, 0.0), [0.0])]),
    ("censor(weibull(a, b), upper=c)", lambda a, b, c: censor(n("weibull", a, b), -inf, c),
     [((1.5, 2.0, 3.0), [0.5, 3.0]), ((1.5, 0.1, 3.0), [3.0])]),
    ("censor(normal(a, b), lower=-1, upper=c)", lambda a, b, c: censor(n("normal", a, b), -1, c),
     [((0.5, 2.0, 3.0), [-1.0, 0.0, 3.0])]),
    ("censor(poisson(a), upper=4)", lambda a: censor(n("poisson", a), -inf, 4), [((2.5,), [0, 3, 4])]),
    ("censor(mixture([a, 1 - a], exponential(b), gamma(c, 2)), upper=2)",
     lambda a, b, c: censor(mixture([a, 1 - a], n("exponential", b), n("gamma", c, mpf(2))), -inf, 2),
     [((0.4, 1.5, 3.0), [0.5, 2.0])]),
    ("zero_inflated(a, poisson(b))", lambda a, b: zero_inflated(a, n("poisson", b)),
     [((0.25, 3.0), [0, 1, 9]), ((1e-9, 50.0), [0, 40])]),
    ("zero_inflated(a, neg_binomial_2(b, c))", lambda a, b, c: zero_inflated(a, n("neg_binomial_2", b, c)),
     [((0.3, 4.0, 1.5), [0, 5])]),
    ("zero_inflated(a, binomial(8, b))", lambda a, b: zero_inflated(a, n("binomial", mpf(8), b)), [((0.3, 0.4), [0, 3])]),
    ("zero_inflated(a, gamma(b, c))", lambda a, b, c: zero_inflated(a, n("gamma", b, c)), [((0.3, 2.0, 1.5), [0.0, 0.7])]),
    ("zero_inflated(a, truncate(poisson(b), upper=5))",
     lambda a, b: zero_inflated(a, truncate(n("poisson", b), -inf, 5)), [((0.3, 4.0), [0, 5])]),
    ("hurdle(a, poisson(b))", lambda a, b: hurdle(a, n("poisson", b)), [((0.25, 3.0), [0, 1, 9]), ((0.5, 1e-6), [1, 2])]),
    ("hurdle(a, lognormal(b, c))", lambda a, b, c: hurdle(a, n("lognormal", b, c)), [((0.25, 0.5, 0.75), [0.0, 1.5])]),
    ("hurdle(a, exponential(b))", lambda a, b: hurdle(a, n("exponential", b)), [((0.25, 1.0), [0.0, 1.5])]),
    ("hurdle(a, mixture([b, 1 - b], poisson(2), poisson(c)))",
     lambda a, b, c: hurdle(a, mixture([b, 1 - b], n("poisson", mpf(2)), n("poisson", c))), [((0.25, 0.5, 7.0), [0, 4])]),
    ("affine(student_t(a, 0, 1), b, c)", lambda a, b, c: affine(n("student_t", a, mpf(0), mpf(1)), b, c),
     [((5.0, 1.0, 2.0), [0.5, -90.0])]),
    ("affine(gamma(a, 1), b, c)", lambda a, b, c: affine(n("gamma", a, mpf(1)), b, c), [((2.5, -1.0, 3.0), [0.5, -2.0])]),
    ("affine(truncate(normal(0, 1), lower=0), a, b)",
     lambda a, b: affine(truncate(n("normal", mpf(0), mpf(1)), 0), a, b), [((1.5, 2.0), [1.75, 0.5])]),
    ("mixture([a, 1 - a], normal(b, 1), student_t(4, c, 2))",
     lambda a, b, c: mixture([a, 1 - a], n("normal", b, mpf(1)), n("student_t", mpf(4), c, mpf(2))),
     [((0.3, -1.0, 2.0), [0.5, 40.0])]),
    ("mixture([a, 1 - a], exponential(b), normal(c, 1))",
     lambda a, b, c: mixture([a, 1 - a], n("exponential", b), n("normal", c, mpf(1))), [((0.3, 2.0, -0.5), [0.5, -1.0])]),
    ("mixture([a, 1 - a], truncate(normal(b, 1), lower=0), zero_inflated(0.25, gamma(c, 1)))",
     lambda a, b, c: mixture([a, 1 - a], truncate(n("normal", b, mpf(1)), 0), zero_inflated(mpf(1) / 4, n("gamma", c, mpf(1)))),
     [((0.3, 1.0, 2.5), [0.5])]),
    ("mixture([a, 0.5 - a, 0.5], poisson(b), zero_inflated(0.25, poisson(c)), truncate(poisson(9), lower=5))",
     lambda a, b, c: mixture([a, mpf(1) / 2 - a, mpf(1) / 2], n("poisson", b), zero_inflated(mpf(1) / 4, n("poisson", c)),
                             truncate(n("poisson", mpf(9)), 5)), [((0.2, 1.5, 6.0), [0, 4, 8])]),
]
NAMES = "abce"


def check(text, m):
    """Asserts that the measure has mass one, and that its cdf is that of its density."""
    if "censor" in text or m.zero or "zero_inflated(0.25, gamma" in text or "hurdle(a, logn" in text:
        return
    with mp.workdps(20):
        if m.discrete:
            total = sum(m.density(mpf(k)) for k in range(0, 400))
        else:
            middle = [v for v in (-40, -20, -5, -1, 0, 0.25, 1, 2, 3, 5, 20, 40, 320, 1e4) if m.lo < v < m.hi]
            total = mp.quad(m.density, [m.lo, *middle, m.hi])
        assert abs(total - 1) < 1e-6, (text, total)


def rows(text):
    # A tail of 1e-90, taken from 1 as the definitions do, leaves enough digits.
    with mp.workdps(150):
        yield from _rows(text)


def _rows(text):
    for source, make, points in CASES:
        for raw, xs in points:
            p = [mpf(v) for v in raw]
            if all(abs(v) < 10 and abs(v) > 0.01 for v in raw if v):
                check(source, make(*p))
            for x in xs:
                at = lambda q, v: log(make(*q).density(v)) if make(*q).density(v) > 0 else -inf
                x_mp = mpf(x)
                lp = at(p, x_mp)
                row = {"dist": source, "params": dict(zip(NAMES, map(text, raw))),
                       "x": str(x) if isinstance(x, int) else text(x), "logpdf": text(lp)}
                if mp.isfinite(lp):
                    row["dlogpdf_dparams"] = {
                        name: text(d.diff(lambda v, k=k: at(p[:k] + [v] + p[k + 1:], x_mp), p[k]))
                        for k, name in enumerate(NAMES[: len(p)]) if x not in raw
                    }
                row["digits"], row["source"] = 25, "mpmath 1.3.0, tests/reference/combinators.py"
                yield row
