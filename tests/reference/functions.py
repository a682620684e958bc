"""Reference values of the functions of the language: an expression over the names below, and what NumPy,
SciPy or mpmath answer to the same question asked their way."""

import numpy as np
import scipy.integrate
import scipy.linalg
import scipy.optimize
import scipy.special as sp
from mpmath import mp

mp.dps = 40

X = np.array([0.7, -1.3, 2.1, 0.2, -0.4])
Y = np.array([-0.6, 0.9, 1.4, -2.0, 0.3])
K = np.array([3, 1, 4, 1, 2])
A = np.array([[1.2, -0.7, 0.4], [0.3, 2.1, -1.1], [-0.8, 0.5, 1.7]])
B = np.array([[0.4, 1.1], [-0.9, 0.2], [1.6, -0.5]])
S = A @ A.T + np.eye(3)
G = np.array([[0.1, 0.5], [1.3, -0.2], [0.7, 0.9], [-0.4, 1.8]])
U = np.array([0.3, 0.6, 0.9])

DATA = {"x": X, "y": Y, "k": K, "A": A, "B": B, "S": S, "G": G, "u": U}

HEADER = """\
data x: real[5]
data y: real[5]
data k: int[5]
data A: real[3, 3]
data B: real[3, 2]
data S: real[3, 3]
data G: real[4, 2]
data u: real[3]
fn decay(t: real, y: real[2], rate: real, mix: real[2, 2]) -> real[2] = mix @ y - rate * y * square(y)
fn robertson(t: real, y: real[3]) -> real[3] =
  [-0.04 * y[1] + 10000 * y[2] * y[3], 0.04 * y[1] - 10000 * y[2] * y[3] - 30000000 * square(y[2]), 30000000 * square(y[2])]
fn driven(t: real, y: real[1]) -> real[1] = [cos(t) - y[1]]
fn bell(x: real, mu: real, sigma: real) -> real = exp(-0.5 * square((x - mu) / sigma))
fn root_singular(x: real) -> real = 1 / sqrt(x)
fn polynomial(x: real, c: real[5]) -> real = c[1] + c[2] * x + c[3] * x ^ 2 + c[4] * x ^ 3 + c[5] * x ^ 4
fn rosenbrock(z: real[2], a: real) -> real[2] = [a - z[1], 10 * (z[2] - z[1] * z[1])]
fn powell(z: real[2]) -> real[2] = [10000 * z[1] * z[2] - 1, exp(-z[1]) + exp(-z[2]) - 1.0001]
fn twice(f: fn(real) -> real, x: real) -> real = f(f(x))
fn half(x: real) -> real = x / 2
fn add(a: real, b: real) -> real = a + b
"""


def _solve(f, y0, times, method="Radau", t0=0.0):
    out = scipy.integrate.solve_ivp(
        f, (t0, times[-1]), y0, method=method, t_eval=times, rtol=1e-12, atol=1e-14
    )
    return out.y.T


def _sqdist(x, y):
    x, y = np.atleast_2d(x.T).T, np.atleast_2d(y.T).T
    return ((x[:, None, :] - y[None, :, :]) ** 2).sum(-1)


def _matern32(r):
    return (1 + np.sqrt(3) * r) * np.exp(-np.sqrt(3) * r)


def _matern52(r):
    return (1 + np.sqrt(5) * r + 5 * r**2 / 3) * np.exp(-np.sqrt(5) * r)


def _eigenvectors(S):
    v = np.linalg.eigh(S)[1]
    largest = np.abs(v).argmax(axis=0)
    return v * np.sign(v[largest, range(len(v))])


def _qr(A):
    q, r = np.linalg.qr(A)
    d = np.sign(np.diag(r))
    return q * d, d[:, None] * r


def _mp(f, *args):
    """An mpmath function over arrays."""
    return np.vectorize(lambda *a: float(f(*[mp.mpf(float(v)) for v in a])))(*args)


def _tensor(x, m, length):
    k = np.arange(1, m + 1) * np.pi / (2 * length)
    return k, np.sin(np.outer(x + length, k)) / np.sqrt(length)


def rows():
    """Pairs of an expression and its value."""
    eye = np.eye(3)
    sd = np.sqrt
    table = [
        # Elementwise.
        ("cbrt(x)", np.cbrt(X)),
        ("exp2(x)", np.exp2(X)),
        ("log2(abs(x))", np.log2(np.abs(X))),
        ("log10(abs(x))", np.log10(np.abs(X))),
        ("hypot(x, y)", np.hypot(X, Y)),
        ("asinh(1e-9 * x)", np.arcsinh(1e-9 * X)),
        ("asinh(1e5 * x)", np.arcsinh(1e5 * X)),
        ("acosh(1 + 1e-9 * abs(x))", _mp(mp.acosh, 1 + 1e-9 * np.abs(X))),
        ("acosh(1 + abs(x))", np.arccosh(1 + np.abs(X))),
        ("atanh(x / 3)", np.arctanh(X / 3)),
        ("trunc(2 * x)", np.trunc(2 * X)),
        ("fmod(x, 0.3)", np.fmod(X, 0.3)),
        ("fdim(x, y)", np.maximum(X - Y, 0)),
        ("fma(x, y, 1.5)", X * Y + 1.5),
        ("step(x)", (X >= 0) * 1.0),
        ("int_step(x)", (X > 0) * 1),
        ("modulus(7, k)", 7 % K),
        ("fmin(x, y)", np.minimum(X, Y)),
        ("fmax(x, y)", np.maximum(X, Y)),
        ("fabs(x)", np.abs(X)),
        ("pow(abs(x), y)", np.abs(X) ** Y),
        ("is_nan(log(x))", np.isnan(np.log(np.where(X > 0, X, np.nan))) * 1),
        ("is_inf(x / 0)", np.ones(5)),
        ("Phi(x)", sp.ndtr(X)),
        ("inv_Phi(u)", sp.ndtri(U)),
        ("Phi_approx(x)", 1 / (1 + np.exp(-(0.07056 * X**3 + 1.5976 * X)))),
        ("tgamma(2 * x)", sp.gamma(2 * X)),
        ("lmgamma(3, 1.5 + abs(x))", [sp.multigammaln(v, 3) for v in 1.5 + np.abs(X)]),
        ("choose(7, k)", sp.comb(7, K)),
        ("log_falling_factorial(5 + x, 2)", np.log((5 + X) * (4 + X))),
        ("rising_factorial(abs(x), 3)", np.abs(X) * (np.abs(X) + 1) * (np.abs(X) + 2)),
        ("multiply_log(x, abs(y))", X * np.log(np.abs(Y))),
        ("log_sum_exp(x, y)", np.logaddexp(X, Y)),
        ("log_mix([0.2, 0.3, 0.5], u)", np.log(np.dot([0.2, 0.3, 0.5], np.exp(U)))),
        ("lambert_w0(x * x - 0.25)", sp.lambertw(X * X - 0.25).real),
        ("lambert_w0(exp(10 * u))", sp.lambertw(np.exp(10 * U)).real),
        ("lambert_w0(-0.3678)", sp.lambertw(-0.3678).real),
        ("bessel_first_kind(3, 10 * x)", sp.jv(3, 10 * X)),
        ("bessel_first_kind(0, x)", sp.jv(0, X)),
        ("bessel_second_kind(2, 3 * u)", sp.yv(2, 3 * U)),
        ("bessel_second_kind(1, 3 * u)", sp.yv(1, 3 * U)),
        ("modified_bessel_first_kind(2, 5 * x)", sp.iv(2, 5 * X)),
        ("log_modified_bessel_first_kind(1, 2000 * u)", np.log(sp.ive(1, 2000 * U)) + 2000 * U),
        ("modified_bessel_second_kind(2.5, 3 * u)", sp.kv(2.5, 3 * U)),
        ("modified_bessel_second_kind(0, 1e-5)", sp.kv(0, 1e-5)),
        ("owens_t(u, 2 * u)", sp.owens_t(U, 2 * U)),
        ("clip(x, -0.5, 1.0)", np.clip(X, -0.5, 1.0)),
        ("ldexp(x, 3)", np.ldexp(X, 3)),
        ("log_inv_logit_diff(x + 3, x)", np.log(sp.expit(X + 3) - sp.expit(X))),
        ("log_inv_logit_diff(-700.0, -701.0)", -700 + np.log1p(-np.exp(-1.0))),
        ("inv_inc_beta(2.0, 3.5, u)", sp.betaincinv(2.0, 3.5, U)),
        ("log_gamma_q(2.0, 10 * u)", np.log(sp.gammaincc(2.0, 10 * U))),
        ("log_inc_beta(2.0, 3.0, u)", np.log(sp.betainc(2.0, 3.0, U))),
        ("gamma_quantile(u, 2.5, 2.0)", sp.gammaincinv(2.5, U) / 2),
        ("student_t_quantile(u, 3.0, 1.0, 2.0)", 1 + 2 * sp.stdtrit(3.0, U)),
        ("fisher_snedecor_quantile(u, 3.0, 5.0)", sp.fdtri(3.0, 5.0, U)),
        ("poisson_quantile(u, 3.5)", np.ceil(sp.pdtrik(U, 3.5))),
        ("binomial_quantile(u, 9, 0.3)", np.ceil(sp.bdtrik(U, 9, 0.3))),
        # Arrays.
        ("rep_vector(1.5, 3)", np.full(3, 1.5)),
        ("rep_matrix(u, 2)", np.stack([U, U], 1)),
        ("rep_array(2.5, 2, 3)", np.full((2, 3), 2.5)),
        ("linspaced_vector(5, -1, 2)", np.linspace(-1, 2, 5)),
        ("linspace(0, 1, 4)", np.linspace(0, 1, 4)),
        ("linspaced_int_array(3, 2, 8)", [2, 5, 8]),
        ("one_hot_vector(4, 3)", [0, 0, 1, 0]),
        ("head(x, 2)", X[:2]),
        ("tail(x, 2)", X[-2:]),
        ("tail(G, 2)", G[-2:]),
        ("segment(x, 2, 3)", X[1:4]),
        ("row(A, 2)", A[1]),
        ("col(A, 2)", A[:, 1]),
        ("sub_row(A, 1, 2, 2)", A[0, 1:]),
        ("sub_col(A, 2, 1, 2)", A[1:, 0]),
        ("block(A, 2, 1, 2, 2)", A[1:, :2]),
        ("to_vector(G)", G.T.ravel()),
        ("to_matrix(x[1:4], 2, 2)", X[:4].reshape(2, 2).T),
        ("flatten(G)", G.ravel()),
        ("reshape(G, 2, 4)", G.reshape(2, 4)),
        ("to_array_1d(G)", G.ravel()),
        ("num_elements(G)", 8),
        ("dims(G)", [4, 2]),
        ("append_row(x, u)", np.concatenate([X, U])),
        ("append_col(A, B)", np.hstack([A, B])),
        ("sort_asc(x)", np.sort(X)),
        ("sort_desc(x)", np.sort(X)[::-1]),
        ("sort_indices_asc(x)", np.argsort(X) + 1),
        ("sort_indices_desc(x)", np.argsort(-X) + 1),
        ("rank(x, 1)", 3),
        ("quantile(x, 0.3)", np.quantile(X, 0.3)),
        ("quantile(x, u)", np.quantile(X, U)),
        ("median(x)", np.median(X)),
        ("argmax(x)", X.argmax() + 1),
        ("argmin(x)", X.argmin() + 1),
        ("cumulative_sum(x)", np.cumsum(X)),
        ("cumulative_prod(x)", np.cumprod(X)),
        ("any(x > 2)", 1),
        ("all(x > 2)", 0),
        ("reverse(x)", X[::-1]),
        ("map(half, x)", X / 2),
        ("reduce(add, x, 1.0)", 1 + X.sum()),
        ("twice(half, x)", X / 4),
        # Linear algebra.
        ("dot_self(x)", X @ X),
        ("columns_dot_product(A, S)", (A * S).sum(0)),
        ("rows_dot_product(A, S)", (A * S).sum(1)),
        ("columns_dot_self(A)", (A * A).sum(0)),
        ("rows_dot_self(A)", (A * A).sum(1)),
        ("crossprod(B)", B.T @ B),
        ("tcrossprod(B)", B @ B.T),
        ("quad_form(A, B)", B.T @ A @ B),
        ("quad_form(A, u)", U @ A @ U),
        ("quad_form_sym(S, B)", B.T @ S @ B),
        ("quad_form_diag(A, u)", np.diag(U) @ A @ np.diag(U)),
        ("trace_quad_form(A, B)", np.trace(B.T @ A @ B)),
        ("trace_gen_quad_form(A, S, A)", np.trace(A @ A.T @ S @ A)),
        ("diag_pre_multiply(u, B)", np.diag(U) @ B),
        ("diag_post_multiply(A, u)", A @ np.diag(U)),
        ("add_diag(A, u)", A + np.diag(U)),
        ("add_diag(A, 0.5)", A + 0.5 * eye),
        ("identity_matrix(3)", eye),
        ("trace(A)", np.trace(A)),
        ("lower_triangle(A)", np.tril(A)),
        ("upper_triangle(B)", np.triu(B)),
        ("symmetrize_from_lower_tri(A)", np.tril(A) + np.tril(A, -1).T),
        ("multiply_lower_tri_self_transpose(A)", np.tril(A) @ np.tril(A).T),
        ("determinant(A)", np.linalg.det(A)),
        ("log_determinant(-A)", np.linalg.slogdet(-A)[1]),
        ("inverse(A)", np.linalg.inv(A)),
        ("inverse_spd(S)", np.linalg.inv(S)),
        ("chol2inv(cholesky(S))", np.linalg.inv(S)),
        ("generalized_inverse(B)", np.linalg.pinv(B)),
        ("generalized_inverse(B')", np.linalg.pinv(B.T)),
        ("cholesky_decompose(S)", np.linalg.cholesky(S)),
        ("mdivide_left(A, B)", np.linalg.solve(A, B)),
        ("solve(A, u)", np.linalg.solve(A, U)),
        ("mdivide_right(A, S)", A @ np.linalg.inv(S)),
        ("mdivide_right(u, A)", U @ np.linalg.inv(A)),
        ("mdivide_right_spd(A, S)", A @ np.linalg.inv(S)),
        ("mdivide_right_tri_low(A, cholesky(S))", A @ np.linalg.inv(np.linalg.cholesky(S))),
        ("mdivide_left_tri_low(cholesky(S), B)", np.linalg.solve(np.linalg.cholesky(S), B)),
        ("eigenvalues_sym(S)", np.linalg.eigvalsh(S)),
        ("eigenvectors_sym(S)", _eigenvectors(S)),
        ("singular_values(B)", np.linalg.svd(B)[1]),
        ("singular_values(B')", np.linalg.svd(B)[1]),
        ("svd_U(B) @ diag(singular_values(B)) @ svd_V(B)'", B),
        ("qr_thin_Q(B)", _qr(B)[0]),
        ("qr_thin_R(B)", _qr(B)[1]),
        ("matrix_exp(A)", scipy.linalg.expm(A)),
        ("matrix_exp(10 * A - 30)", scipy.linalg.expm(10 * A - 30)),
        ("scale_matrix_exp_multiply(0.3, A, B)", scipy.linalg.expm(0.3 * A) @ B),
        ("matrix_power(A, 5)", np.linalg.matrix_power(A, 5)),
        ("matrix_power(A, 0)", eye),
        ("kronecker_prod(A, B)", np.kron(A, B)),
        ("norm1(x)", np.abs(X).sum()),
        ("norm2(x)", np.linalg.norm(X)),
        ("distance(x, y)", np.linalg.norm(X - Y)),
        ("squared_distance(x, y)", ((X - Y) ** 2).sum()),
        ("csr_matrix_times_vector(2, 3, [1.5, 2.5, 3.5], [1, 3, 2], [1, 3, 4], u)",
         [1.5 * U[0] + 2.5 * U[2], 3.5 * U[1]]),
        # Gaussian processes.
        ("gp_exp_quad_cov(x, 1.3, 0.8)", 1.69 * np.exp(-0.5 * _sqdist(X, X) / 0.64)),
        ("gp_exp_quad_cov(x, u, 1.3, 0.8)", 1.69 * np.exp(-0.5 * _sqdist(X, U) / 0.64)),
        ("gp_exp_quad_cov(G, 1.3, 0.8)", 1.69 * np.exp(-0.5 * _sqdist(G, G) / 0.64)),
        ("gp_exp_quad_cov(G, 1.3, [0.8, 1.7])",
         1.69 * np.exp(-0.5 * _sqdist(G / [0.8, 1.7], G / [0.8, 1.7]))),
        ("gp_exp_quad_cov(G, B, 1.3, [0.8, 1.7])",
         1.69 * np.exp(-0.5 * _sqdist(G / [0.8, 1.7], B / [0.8, 1.7]))),
        ("gp_matern32_cov(x, 1.3, 0.8)", 1.69 * _matern32(sd(_sqdist(X, X)) / 0.8)),
        ("gp_matern32_cov(G, 1.3, 0.8)", 1.69 * _matern32(sd(_sqdist(G, G)) / 0.8)),
        ("gp_matern52_cov(x, u, 1.3, 0.8)", 1.69 * _matern52(sd(_sqdist(X, U)) / 0.8)),
        ("gp_exponential_cov(x, 1.3, 0.8)", 1.69 * np.exp(-sd(_sqdist(X, X)) / 0.8)),
        ("gp_periodic_cov(x, 1.3, 0.8, 2.0)",
         1.69 * np.exp(-2 * np.sin(np.pi * sd(_sqdist(X, X)) / 2.0) ** 2 / 0.64)),
        ("gp_dot_prod_cov(x, 0.5)", 0.25 + np.outer(X, X)),
        ("gp_dot_prod_cov(G, 0.5)", 0.25 + G @ G.T),
        ("gp_predict_mean(S, B, u)", B.T @ np.linalg.solve(S, U)),
        ("gp_predict_cov(S, B, [[9.0, 1.0], [1.0, 9.0]])",
         np.array([[9.0, 1.0], [1.0, 9.0]]) - B.T @ np.linalg.solve(S, B)),
        ("hsgp_basis(x, 4, 3.0)", _tensor(X, 4, 3.0)[1]),
        # Solvers. The first two problems are of SciPy's documentation and of Robertson.
        ("ode_rk45(decay, [1.0, 0.5], 0.0, [0.5, 1.5, 3.0], 0.3, [[-0.5, 1.2], [-1.1, 0.1]])",
         _solve(lambda t, y: np.array([[-0.5, 1.2], [-1.1, 0.1]]) @ y - 0.3 * y**3, [1.0, 0.5], [0.5, 1.5, 3.0])),
        ("ode_rk45(driven, [0.7], 1.0, [1.5, 4.0])",
         [[(np.cos(t) + np.sin(t)) / 2 + (0.7 - (np.cos(1) + np.sin(1)) / 2) * np.exp(1 - t)]
          for t in [1.5, 4.0]]),
        ("ode_rk45_tol(driven, [0.7], 1.0, [1.5, 4.0], 1e-6, 1e-6, 1000)",
         [[(np.cos(t) + np.sin(t)) / 2 + (0.7 - (np.cos(1) + np.sin(1)) / 2) * np.exp(1 - t)]
          for t in [1.5, 4.0]]),
        ("ode_bdf(driven, [0.7], 1.0, [1.5, 4.0])",
         [[(np.cos(t) + np.sin(t)) / 2 + (0.7 - (np.cos(1) + np.sin(1)) / 2) * np.exp(1 - t)]
          for t in [1.5, 4.0]]),
        ("ode_bdf(robertson, [1.0, 0.0, 0.0], 0.0, [0.4, 40.0, 40000.0])",
         _solve(lambda t, y: [-0.04 * y[0] + 1e4 * y[1] * y[2],
                              0.04 * y[0] - 1e4 * y[1] * y[2] - 3e7 * y[1] ** 2,
                              3e7 * y[1] ** 2], [1, 0, 0], [0.4, 40.0, 40000.0])),
        ("integrate_1d(bell, -infinity(), infinity(), 3.0, 0.01)", 0.01 * np.sqrt(2 * np.pi)),
        ("integrate_1d(bell, 0.0, infinity(), 0.0, 2.0)", np.sqrt(2 * np.pi)),
        ("integrate_1d(bell, -infinity(), 0.0, 0.0, 2.0)", np.sqrt(2 * np.pi)),
        ("integrate_1d(bell, infinity(), 0.0, 0.0, 2.0)", -np.sqrt(2 * np.pi)),
        ("integrate_1d(bell, 2.0, -1.0, 0.5, 0.7)",
         -0.7 * np.sqrt(2 * np.pi) * (sp.ndtr(1.5 / 0.7) - sp.ndtr(-1.5 / 0.7))),
        ("integrate_1d(root_singular, 0.0, 4.0)", 4.0),
        ("integrate_1d(polynomial, -1.0, 2.0, x)",
         np.polynomial.Polynomial(X).integ()(2) - np.polynomial.Polynomial(X).integ()(-1)),
        ("algebra_solver(rosenbrock, [-1.2, 1.0], 1.5)", [1.5, 2.25]),
        ("algebra_solver(powell, [0.0, 1.0])",
         scipy.optimize.fsolve(lambda z: [1e4 * z[0] * z[1] - 1, np.exp(-z[0]) + np.exp(-z[1]) - 1.0001],
                               [1e-5, 9.0], xtol=1e-14)),
    ]
    for expression, value in table:
        value = np.asarray(value)
        yield {"f": expression, "y": value.astype(float).tolist()}
