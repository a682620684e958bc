"""Reference values of the special functions: arguments, and mpmath's answer to 50 digits.

Arguments are doubles, written as Python's shortest representation, and mpmath sees exactly that
double. Limits that mpmath does not evaluate (at infinities and poles) are written out by hand.
"""

from mpmath import mp, mpf, inf, nan

mp.dps = 50
ONE = mpf(1)


def _log_erfc_half(x):
    """log Φ(x), through whichever tail is small."""
    if x > 0:
        return mp.log1p(-mp.erfc(x / mp.sqrt(2)) / 2)
    return mp.log(mp.erfc(-x / mp.sqrt(2)) / 2)


def _phi(x):
    return mp.exp(-x * x / 2) / mp.sqrt(2 * mp.pi)


def _quantile(p):
    """Φ⁻¹(p) by Newton's method on log Φ, which converges from any start on the left."""
    if p == mpf("0.5"):
        return mpf(0)
    if p > mpf("0.5"):
        return -_quantile(1 - p)
    x = -mp.sqrt(-2 * mp.log(p))
    for _ in range(80):
        step = (_log_erfc_half(x) - mp.log(p)) / (_phi(x) / (mp.erfc(-x / mp.sqrt(2)) / 2))
        x -= step
        if abs(step) < abs(x) * mpf(10) ** -45:
            return x
    raise ArithmeticError(f"no convergence at p = {p}")


def _gamma_p(a, x):
    # The series has positive terms only.
    if x > a + 50 + 20 * mp.sqrt(a):
        return 1 - _gamma_q(a, x)
    term = total = ONE
    k = mpf(a)
    while term > total * mpf(10) ** -55:
        k += 1
        term *= x / k
        total += term
    return mp.exp(a * mp.log(x) - x - mp.loggamma(a + 1)) * total


def _gamma_q(a, x):
    if x < a + 1:
        return 1 - _gamma_p(a, x)
    return mp.gammainc(a, x, inf, regularized=True)


def _wide(f):
    """Evaluates with twice the digits: for formulas that subtract."""

    def g(*x):
        with mp.workdps(140):
            return +f(*x)

    return g


TINY, SMALL = [5e-324, 1e-300, 1e-100], [1e-20, 1e-10, 1e-5, 1e-3]
MID = [0.1, 0.25, 0.5, 0.7, 0.99, 1.0, 1.01, 1.3, 1.461632144968362, 1.4616321449683623, 1.5, 1.7,
       1.999, 2.0, 2.001, 2.5, 3.0, 3.7, 5.0, 7.2, 9.99, 10.0, 10.01, 13.0, 20.5, 50.0, 171.5]
LARGE = [1e3, 12345.678, 1e6, 1e10, 1e15, 1e100, 1e300]
NEGATIVE = [-1e-10, -1e-3, -0.1, -0.5, -0.504083008264455, -0.9, -0.999, -1.5, -2.3, -2.5, -3.7,
            -10.25, -20.5, -50.1, -100.7, -1000.3]
SYM = [0.0, 1e-300, 1e-10, 1e-3, 0.1, 0.5, 0.84, 0.9, 1.0, 1.2, 1.3, 1.5, 2.0, 2.5, 2.86, 3.0, 4.0,
       5.0, 6.0]
EXPS = [-745.0, -700.0, -100.0, -38.0, -37.0, -36.9, -20.0, -5.0, -1.0, -0.7, -0.1, -1e-5, -1e-300]
PAIRS = [(0.0, 0.0), (1.0, 2.0), (-1.0, 1.0), (700.0, 710.0), (1e5, 1e5), (-1e5, -1e5 + 1),
         (3.0, -40.0), (-800.0, -801.0), (1e300, 1.0), (-0.7, -0.69)]
BETA = [(1.0, 1.0), (0.5, 0.5), (1e-300, 1.0), (1e-10, 1e-10), (1e-5, 3.0), (0.1, 20.0), (2.0, 3.0),
        (5.0, 9.9), (5.0, 10.1), (9.9, 1e3), (9.99, 9.99), (10.0, 10.0), (12.0, 1e5), (1e3, 1e3),
        (1e6, 1e6), (1e10, 3.0), (1e15, 0.3), (1e15, 1e15), (1e100, 1e-5), (1e100, 1e100), (30.0, 7e5),
        (1e-3, 1e8), (0.3, 0.3), (4.0, 4.0), (0.01, 0.5)]

REAL = {
    "lgamma": (mp.loggamma, [(x,) for x in TINY + SMALL + MID + LARGE + [1e305]]),
    "lgamma_negative": (lambda x: mp.log(abs(mp.gamma(x))), [(x,) for x in NEGATIVE]),
    "digamma": (mp.digamma, [(x,) for x in TINY[1:] + SMALL + MID + LARGE]),
    "digamma_negative": (mp.digamma, [(x,) for x in NEGATIVE]),
    "trigamma": (lambda x: mp.psi(1, x), [(x,) for x in SMALL + MID + LARGE[:-2] + [1e100]]),
    "trigamma_negative": (lambda x: mp.psi(1, x), [(x,) for x in NEGATIVE if x > -200]),
    "polygamma": (
        lambda n, x: mp.psi(int(n), x),
        [(float(n), x) for n in (0, 1, 2, 3, 4, 7, 20) for x in (1e-5, 0.1, 1.0, 2.5, 11.0, 30.0, 1e4)]
        + [(float(n), x) for n in (3, 5, 9) for x in (-0.1, -0.5, -1.5, -3.7, -20.3)]
        + [(2.0, -0.1), (2.0, -1.7), (4.0, -2.3), (2.0, -30.2)],
    ),
    "lbeta": (_wide(lambda a, b: mp.loggamma(a) + mp.loggamma(b) - mp.loggamma(a + b)), BETA),
    "lchoose": (
        _wide(lambda n, k: mp.loggamma(n + 1) - mp.loggamma(k + 1) - mp.loggamma(n - k + 1)),
        [(1.0, 1.0), (5.0, 2.0), (10.0, 0.0), (10.0, 10.0), (20.0, 10.0), (1000.0, 3.0), (1e6, 5e5),
         (1e9, 1.0), (1e15, 7.0), (1e15, 5e14), (7.5, 2.5), (3.0, -0.5), (100.0, 99.0)],
    ),
    "erf": (mp.erf, [(x,) for x in SYM] + [(-x,) for x in SYM]),
    "erfc": (mp.erfc, [(x,) for x in SYM + [8.0, 15.0, 26.0, 27.0]] + [(-x,) for x in SYM]),
    "erfcx": (
        lambda x: mp.exp(x * x) * mp.erfc(x),
        [(x,) for x in SYM + [8.0, 15.0, 26.0, 28.5, 100.0, 1e4]] + [(-x,) for x in SYM if x < 1.4],
    ),
    "std_normal_cdf": (
        lambda x: mp.erfc(-x / mp.sqrt(2)) / 2,
        [(x,) for x in SYM] + [(-x,) for x in SYM + [8.1, 15.3, 26.7, 37.3]],
    ),
    "std_normal_log_cdf": (
        _log_erfc_half,
        [(x,) for x in SYM + [8.1, 20.3, 37.3]] + [(-x,) for x in SYM + [8.1, 26.7, 40.3, 1e3, 1e4]],
    ),
    "std_normal_log_ccdf": (
        lambda x: _log_erfc_half(-x),
        [(x,) for x in SYM + [8.1, 20.3, 37.3, 100.1]] + [(-x,) for x in SYM + [8.1, 26.7]],
    ),
    "inv_mills_ratio": (
        lambda x: _phi(x) / (mp.erfc(-x / mp.sqrt(2)) / 2),
        [(x,) for x in SYM + [8.1, 20.3, 37.3]] + [(-x,) for x in SYM + [8.1, 26.7, 40.3, 1e3, 1e4]],
    ),
    "std_normal_quantile": (
        _quantile,
        [(p,) for p in [5e-324, 1e-300, 1e-100, 1e-20, 1e-12, 1e-10, 1e-5, 0.001, 0.01, 0.05, 0.075,
                        0.0751, 0.2, 0.4, 0.4999999, 0.5, 0.500001, 0.7, 0.92, 0.93, 0.99, 0.999999,
                        1 - 2.0**-53]],
    ),
    "log1p_exp": (
        _wide(lambda x: mp.log1p(mp.exp(x))),
        [(x,) for x in EXPS] + [(-x,) for x in EXPS] + [(18.01,), (33.2,), (33.4,), (0.0,)],
    ),
    "log1m_exp": (_wide(lambda x: mp.log1p(-mp.exp(x)) if x < -1 else mp.log(-mp.expm1(x))),
                  [(x,) for x in EXPS]),
    "log_expm1": (_wide(lambda x: mp.log(mp.expm1(x))), [(-x,) for x in EXPS]),
    "log_add_exp": (_wide(lambda a, b: max(a, b) + mp.log1p(mp.exp(-abs(a - b)))), PAIRS),
    "log_diff_exp": (
        _wide(lambda a, b: a + mp.log(-mp.expm1(b - a))),
        [(max(p), min(p)) for p in PAIRS if p[0] != p[1]],
    ),
    "log_sum_exp": (
        _wide(lambda *x: max(x) + mp.log(sum(mp.exp(v - max(x)) for v in x))),
        [(a, b, c) for (a, b) in PAIRS for c in (0.5, -900.0)],
    ),
    "inv_logit": (_wide(lambda x: mp.exp(x) / (1 + mp.exp(x))),
                  [(x,) for x in EXPS[1:]] + [(-x,) for x in EXPS] + [(0.0,)]),
    "logit": (
        _wide(lambda p: mp.log(p / (1 - p))),
        [(p,) for p in TINY + SMALL + [0.1, 0.2, 0.3, 0.4999999, 0.5, 0.50001, 0.7, 0.8, 0.999,
                                       1 - 2.0**-53]],
    ),
    "log_inv_logit": (_wide(lambda x: -mp.log1p(mp.exp(-x))), [(x,) for x in EXPS] + [(-x,) for x in EXPS]),
    "xlogy": (lambda x, y: x * mp.log(y), [(1.0, 2.0), (0.5, 1e-300), (3.0, 1.0), (1e300, 1.1),
              (-2.0, 0.3), (1e-300, 7.0), (2.5, 1e300), (7.0, 0.999999)]),
    "xlog1py": (lambda x, y: x * mp.log1p(y), [(1.0, 2.0), (0.5, 1e-300), (3.0, 1e-17), (1e300, 0.1),
                (-2.0, -0.3), (1e-300, 7.0), (2.5, 1e300), (7.0, -0.999999)]),
    "gamma_p": (
        _gamma_p,
        [(a, x) for a in (1e-10, 1e-3, 0.1, 0.5, 0.9, 1.0, 1.5, 3.0, 9.9, 10.0, 30.0)
         for x in (1e-10, 0.01, 0.5, 1.2, 3.0, 11.0, 40.0)]
        + [(1e3, 900.0), (1e3, 1e3), (1e3, 1100.0), (1e3, 700.0), (1e5, 99000.0), (1e5, 1e5 + 3.0)]
        + [(2.0, 1e-100), (50.0, 1e-3), (100.0, 20.0), (9.0, 0.01)],
    ),
    "gamma_q": (
        _wide(_gamma_q),
        [(a, x) for a in (1e-10, 1e-3, 0.1, 0.5, 0.9, 1.0, 1.5, 3.0, 9.9, 10.0, 30.0)
         for x in (1e-5, 0.01, 0.5, 1.2, 3.0, 11.0, 40.0, 300.0)]
        + [(1e3, 900.0), (1e3, 1e3), (1e3, 1100.0), (1e3, 1500.0), (0.5, 600.0), (2.0, 600.0)],
    ),
    "inc_beta": (
        _wide(lambda a, b, x: mp.betainc(a, b, 0, x, regularized=True)),
        [(a, b, x) for (a, b) in [(0.5, 0.5), (1.0, 1.0), (1.0, 3.0), (2.0, 3.0), (0.1, 5.0), (5.0, 0.1),
                                  (12.0, 3.0), (20.0, 30.0), (200.0, 300.0), (1e-3, 2.0)]
         for x in (1e-10, 0.01, 0.3, 0.5, 0.7, 0.99)]
        + [(3e3, 5e3, 0.37), (3e3, 5e3, 0.38), (2.0, 1e5, 1e-5), (0.5, 1e6, 1e-7)],
    ),
    "log_bessel_i0": (
        _wide(lambda x: mp.log(mp.besseli(0, x))),
        [(x,) for x in (1e-30, 1e-8, 1e-3, 0.1, 1.0, 2.5, 7.0, 15.0, 29.9, 30.1, 50.0, 700.0, 1e4)]
        + [(-3.0,), (-40.0,)],
    ),
    "log_bessel_i1": (
        _wide(lambda x: mp.log(mp.besseli(1, x))),
        [(x,) for x in (1e-300, 1e-8, 1e-3, 0.1, 1.0, 2.5, 7.0, 15.0, 29.9, 30.1, 50.0, 700.0, 1e4)],
    ),
    "bessel_i1_over_i0": (
        _wide(lambda x: mp.besseli(1, x) / mp.besseli(0, x)),
        [(x,) for x in (1e-300, 1e-8, 1e-3, 0.1, 1.0, 2.5, 7.0, 15.0, 29.9, 30.1, 50.0, 700.0, 1e4)]
        + [(-3.0,), (-40.0,)],
    ),
    "log_gamma_p": (
        _wide(lambda a, x: mp.log(_gamma_p(a, x))),
        [(0.5, 1e-300), (2.0, 1e-200), (50.0, 1e-8), (500.0, 3.0), (1e4, 5e3), (0.9, 1.2), (3.0, 3.0), (2.0, 30.0), (1e-3, 1e-10)],
    ),
    "log_gamma_q": (
        _wide(lambda a, x: mp.log(_gamma_q(a, x))),
        [(2.0, 1000.0), (0.5, 1e6), (50.0, 1200.0), (1e4, 2e4), (0.9, 1.2), (3.0, 3.0), (30.0, 2.0), (1e-3, 900.0), (7.0, 1e12)],
    ),
    "log_inc_beta": (
        _wide(lambda a, b, x: mp.log(mp.betainc(a, b, 0, x, regularized=True))),
        [(200.0, 3.0, 1e-6), (2.0, 3.0, 1e-200), (150.0, 0.5, 1e-9), (300.0, 200.0, 0.01), (2.0, 3.0, 0.4), (2.0, 3.0, 0.9),
         (0.5, 0.5, 0.999), (20.0, 3.0, 1e-60), (1e-3, 2.0, 1e-300)],
    ),
    "log_bessel_k": (
        _wide(lambda v, x: mp.log(mp.besselk(v, x))),
        [(1.0, 1e-5), (0.0, 0.3), (1.0, 5.0), (2.5, 29.9), (2.5, 30.1), (0.0, 700.0), (1.0, 1e4), (4.0, 40.0), (10.0, 250.0), (30.0, 2.0)],
    ),
}

# Limits and values outside the domain, by hand.
SPECIAL = {
    "lgamma": [((0.0,), inf), ((-0.0,), inf), ((inf,), inf), ((-1.0,), inf), ((1e306,), inf)],
    "digamma": [((0.0,), -inf), ((-0.0,), inf), ((inf,), inf), ((-1.0,), nan), ((-inf,), nan)],
    "trigamma": [((0.0,), inf), ((-2.0,), inf), ((inf,), mpf(0))],
    "polygamma": [((2.0, 0.0), -inf), ((2.0, -0.0), inf), ((3.0, 0.0), inf), ((3.0, -2.0), inf),
                  ((2.0, -2.0), nan), ((2.0, inf), mpf(0)), ((5.0, inf), mpf(0))],
    "lbeta": [((0.0, 1.0), inf), ((inf, 1.0), -inf), ((-1.0, 2.0), nan)],
    "lchoose": [((5.0, -1.0), -inf), ((5.0, 6.0), -inf), ((0.0, 0.0), mpf(0)), ((5.0, -2.0), nan)],
    "erf": [((inf,), mpf(1)), ((-inf,), mpf(-1))],
    "erfc": [((inf,), mpf(0)), ((-inf,), mpf(2))],
    "erfcx": [((inf,), mpf(0)), ((-inf,), inf), ((-30.0,), inf)],
    "std_normal_cdf": [((inf,), mpf(1)), ((-inf,), mpf(0)), ((-1e10,), mpf(0)), ((-1e200,), mpf(0))],
    "std_normal_log_cdf": [((inf,), mpf(0)), ((-inf,), -inf), ((-1e200,), -inf)],
    "std_normal_log_ccdf": [((inf,), -inf), ((-inf,), mpf(0))],
    "inv_mills_ratio": [((inf,), mpf(0)), ((-inf,), inf), ((1e200,), mpf(0)), ((-1e200,), mpf(1e200))],
    "std_normal_quantile": [((0.0,), -inf), ((1.0,), inf), ((-0.1,), nan), ((1.1,), nan)],
    "log1p_exp": [((inf,), inf), ((-inf,), mpf(0)), ((1e300,), mpf(1e300))],
    "log1m_exp": [((0.0,), -inf), ((-inf,), mpf(0)), ((0.1,), nan)],
    "log_expm1": [((0.0,), -inf), ((inf,), inf), ((-0.1,), nan)],
    "log_add_exp": [((inf, inf), inf), ((-inf, -inf), -inf), ((inf, -inf), inf), ((-inf, 2.0), mpf(2))],
    "log_diff_exp": [((1.0, 1.0), -inf), ((-inf, -inf), -inf), ((inf, 1.0), inf), ((2.0, -inf), mpf(2)),
                     ((1.0, 2.0), nan), ((inf, inf), nan)],
    "log_sum_exp": [((-inf, -inf, -inf), -inf), ((inf, 1.0, -inf), inf), ((-inf, -inf, 3.0), mpf(3))],
    "inv_logit": [((inf,), mpf(1)), ((-inf,), mpf(0)), ((-800.0,), mpf(0))],
    "logit": [((0.0,), -inf), ((1.0,), inf), ((-0.1,), nan), ((1.5,), nan)],
    "log_inv_logit": [((inf,), mpf(0)), ((-inf,), -inf), ((-1e300,), mpf(-1e300))],
    "xlogy": [((0.0, 0.0), mpf(0)), ((0.0, inf), mpf(0)), ((1.0, 0.0), -inf), ((0.0, -1.0), mpf(0))],
    "xlog1py": [((0.0, -1.0), mpf(0)), ((1.0, -1.0), -inf), ((0.0, inf), mpf(0))],
    "gamma_p": [((1.0, 0.0), mpf(0)), ((1.0, inf), mpf(1)), ((0.0, 1.0), mpf(1)), ((inf, 1.0), mpf(0)),
                ((0.0, 0.0), nan), ((1.0, -1.0), nan)],
    "gamma_q": [((1.0, 0.0), mpf(1)), ((1.0, inf), mpf(0)), ((0.0, 1.0), mpf(0)), ((inf, 1.0), mpf(1)),
                ((0.0, 0.0), nan), ((-1.0, 1.0), nan)],
    "inc_beta": [((2.0, 3.0, 0.0), mpf(0)), ((2.0, 3.0, 1.0), mpf(1)), ((0.0, 3.0, 0.5), mpf(1)),
                 ((2.0, 0.0, 0.5), mpf(0)), ((inf, 2.0, 0.5), mpf(0)), ((2.0, inf, 0.5), mpf(1)),
                 ((2.0, 3.0, -0.1), nan), ((2.0, 3.0, 1.1), nan), ((-2.0, 3.0, 0.5), nan),
                 ((0.0, 3.0, 0.0), mpf(1)), ((2.0, 0.0, 1.0), mpf(0))],
    "log_gamma_p": [((1.0, 0.0), -inf), ((1.0, inf), mpf(0)), ((1.0, -1.0), nan)],
    "log_gamma_q": [((1.0, 0.0), mpf(0)), ((1.0, inf), -inf), ((-1.0, 1.0), nan)],
    "log_inc_beta": [((2.0, 3.0, 0.0), -inf), ((2.0, 3.0, 1.0), mpf(0)), ((2.0, 3.0, 1.1), nan)],
    "log_bessel_k": [((1.0, 0.0), inf), ((1.0, inf), -inf), ((1.0, 1e30), mpf(-1e30)), ((1.0, -1.0), nan)],
    "log_bessel_i0": [((0.0,), mpf(0)), ((inf,), inf), ((-inf,), inf)],
    "log_bessel_i1": [((0.0,), -inf), ((inf,), inf), ((-1.0,), nan)],
    "bessel_i1_over_i0": [((0.0,), mpf(0)), ((inf,), mpf(1)), ((-inf,), mpf(-1))],
}

# Temme's expansion is used from a = 1e8 on; the series would need too many terms there, so these
# come from numerical quadrature of the density around its peak, split at multiples of its width.
def _gamma_tails_large(a, x):
    a, x = mpf(a), mpf(x)
    width = mp.sqrt(a)

    def density(t):
        return mp.exp((a - 1) * mp.log(t) - t - mp.loggamma(a))

    def integral(lo, hi, steps):
        return mp.quad(density, [lo + (hi - lo) * i / steps for i in range(steps + 1)])

    return integral(x - 40 * width, x, 40), integral(x, x + 40 * width, 40)


def rows():
    """Yields (function, arguments, value)."""
    for name, (f, args) in REAL.items():
        for x in args:
            y = f(*[mpf(v) for v in x])
            yield name, x, y.real if isinstance(y, mp.mpc) else y
        for x, y in SPECIAL.get(name, []):
            yield name, x, y
    for a, z in [(2e8, -3.0), (2e8, 0.1), (2e8, 4.0), (1e12, -5.0), (1e12, 2.0)]:
        x = float(mpf(a) + z * mp.sqrt(mpf(a)))
        p, q = _gamma_tails_large(a, x)
        yield "gamma_p", (a, x), p
        yield "gamma_q", (a, x), q
