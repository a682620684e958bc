"""Models, data, log densities."""

import threading

import numpy as np
import pandas as pd
import pytest

import ppl

CONJUGATE = "data y: real[N]\nparam mu ~ normal(0, 2)\ny ~ normal(mu, 1)\n"


def normal(x, mu, sigma):
    return -0.5 * np.square((x - mu) / sigma) - np.log(sigma) - 0.5 * np.log(2 * np.pi)


def test_log_density_is_the_closed_form(conjugate, y):
    z = np.array([[0.3], [-1.0], [2.5]])
    wanted = normal(z[:, 0], 0, 2) + normal(y[None, :], z, 1).sum(axis=1)
    np.testing.assert_allclose(conjugate.log_density(z), wanted, rtol=1e-13)
    assert isinstance(conjugate.log_density([0.3]), float)
    assert conjugate.log_density([0.3]) == pytest.approx(wanted[0], rel=1e-13)


def test_derivatives_are_those_of_the_closed_form(conjugate, y):
    z = np.array([[0.3], [-1.0]])
    wanted = -z / 4 + (y[None, :] - z).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(conjugate.gradient(z), wanted, rtol=1e-13)
    curvature = -1 / 4 - len(y)
    np.testing.assert_allclose(conjugate.hvp(z, np.ones_like(z)), curvature, rtol=1e-13)
    value, gradient = conjugate.value_and_gradient(z[0])
    assert value == conjugate.log_density(z[0]) and gradient.shape == (1,)


def test_derivatives_agree_with_differences(schools):
    rng = np.random.default_rng(1)
    z, v = rng.normal(size=(2, 5, schools.dim))
    step = 1e-6
    along = (schools.log_density(z + step * v) - schools.log_density(z - step * v)) / (2 * step)
    np.testing.assert_allclose((schools.gradient(z) * v).sum(axis=1), along, rtol=1e-6, atol=1e-6)
    turned = (schools.gradient(z + step * v) - schools.gradient(z - step * v)) / (2 * step)
    np.testing.assert_allclose(schools.hvp(z, v), turned, rtol=1e-5, atol=1e-5)


def test_a_batch_is_its_points(schools):
    z = np.random.default_rng(2).normal(size=(7, schools.dim))
    one_by_one = [schools.log_density(point) for point in z]
    np.testing.assert_array_equal(schools.log_density(z), one_by_one)
    # Any layout will do, and whole numbers too.
    np.testing.assert_array_equal(schools.log_density(np.asfortranarray(z)), one_by_one)
    whole = np.zeros(schools.dim, dtype=int)
    assert schools.log_density(whole) == schools.log_density(whole.astype(float))


def test_layout_and_transforms(schools):
    mu, tau, raw = schools.parameters
    assert (mu.name, mu.shape, mu.coordinates) == ("mu", (), slice(0, 1))
    assert (tau.name, tau.transform) == ("tau", "lower")
    assert raw.shape == (8,) and raw.coordinates == slice(2, 10)
    assert schools.dim == 10 and len(schools.coordinates) == 10
    z = np.random.default_rng(3).normal(size=(4, 10))
    values = schools.constrain(z)
    np.testing.assert_allclose(values["tau"], np.exp(z[:, 1]), rtol=1e-14)
    theta = values["mu"][:, None] + values["tau"][:, None] * values["theta_raw"]
    np.testing.assert_allclose(values["theta"], theta, rtol=1e-13)
    one = schools.constrain(z[2])
    assert one["theta"].shape == (8,) and one["mu"].shape == ()
    back = schools.unconstrain({name: one[name] for name in ("mu", "tau", "theta_raw")})
    np.testing.assert_allclose(back, z[2], rtol=1e-12)


def test_what_is_wrong_with_a_point_is_said(schools):
    with pytest.raises(ValueError, match="3 coordinates, but the model has 10"):
        schools.log_density(np.zeros(3))
    with pytest.raises(ValueError, match=r"\[B, D\]"):
        schools.log_density(np.zeros((1, 1, 10)))
    with pytest.raises(ValueError, match="1 points, but 2 vectors"):
        schools.hvp(np.zeros(10), np.zeros((2, 10)))
    with pytest.raises(ValueError, match="`tau` is absent"):
        schools.unconstrain({"mu": 0.0})
    with pytest.raises(ValueError, match="supports"):
        schools.unconstrain({"mu": 0.0, "tau": -1.0, "theta_raw": np.zeros(8)})


@pytest.mark.parametrize(
    "data",
    [
        {"y": [0.5, 1.5, 1.0, 2.0]},
        {"y": (0.5, 1.5, 1, np.float32(2.0))},
        {"y": pd.Series([0.5, 1.5, 1.0, 2.0])},
        pd.DataFrame({"y": [0.5, 1.5, 1.0, 2.0]}),
    ],
)
def test_data_in_any_form(conjugate, data):
    model = ppl.Model.from_string(CONJUGATE, data)
    assert model.log_density([0.7]) == conjugate.log_density([0.7])


def test_data_from_files(tmp_path, conjugate):
    (tmp_path / "m.ppl").write_text(CONJUGATE)
    (tmp_path / "d.csv").write_text("y\n0.5\n1.5\n1.0\n2.0\n")
    model = ppl.Model(tmp_path / "m.ppl", tmp_path / "d.csv")
    assert model.log_density([0.7]) == conjugate.log_density([0.7])


@pytest.mark.parametrize(
    "y",
    [
        [0.5, None, 1.0],
        np.ma.masked_array([0.5, 9.0, 1.0], mask=[False, True, False]),
        pd.Series([0.5, None, 1.0], dtype="Float64"),
    ],
)
def test_missing_elements(y):
    model = ppl.Model.from_string(CONJUGATE.replace("real[N]", "real?[N]"), {"y": y})
    assert {p.name: p.shape for p in model.parameters} == {"y_missing": (1,), "mu": ()}


def test_integers_matrices_and_truth_values():
    text = (
        "data X: real[N, D]\ndata y: int<lower=0, upper=1>[N]\n"
        "param beta: real[D] ~ normal(0, 1)\ny ~ bernoulli_logit(X @ beta)\n"
    )
    X = np.array([[1.0, 2.0], [3.0, -1.0], [0.0, 1.0]])
    y = np.array([True, False, True])
    model = ppl.Model.from_string(text, {"X": X, "y": y})
    beta = np.array([0.2, -0.4])
    p = 1 / (1 + np.exp(-X @ beta))
    wanted = normal(beta, 0, 1).sum() + np.log(np.where(y, p, 1 - p)).sum()
    assert model.log_density(beta) == pytest.approx(wanted, rel=1e-13)


def test_errors_carry_the_message():
    with pytest.raises(ppl.ModelError) as caught:
        ppl.Model.from_string("data y: real[N]\ny ~ normal(m, 1)\n", {"y": [1.0]}, name="wrong.ppl")
    said = str(caught.value)
    assert "E0102" in said and "wrong.ppl:2:12" in said, said
    fixed = CONJUGATE.replace("real[N]", "real[3]")
    with pytest.raises(ppl.ModelError, match="E0"):
        ppl.Model.from_string(fixed, {"y": [1.0]})
    with pytest.raises(FileNotFoundError):
        ppl.Model("there_is_no_such_model.ppl")
    with pytest.raises(TypeError):
        ppl.Model.from_string("param m ~ normal(0, 1)\n", {"y": np.array(["a"])})


def test_lints_are_warnings():
    flat = CONJUGATE.replace("mu ~ normal(0, 2)", "mu: real ~ flat()")
    with pytest.warns(ppl.ModelWarning, match="W06"):
        ppl.Model.from_string(flat, {"y": [1.0]})


def test_threads_may_share_a_model(schools):
    z = np.random.default_rng(4).normal(size=(64, schools.dim))
    wanted = schools.gradient(z)
    results = {}

    def work(i):
        results[i] = [schools.gradient(z) for _ in range(20)][-1]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    for result in results.values():
        np.testing.assert_array_equal(result, wanted)
