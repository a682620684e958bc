"""Other people's samplers on our models."""

import numpy as np
import pytest


def assert_is_the_posterior(mu, y):
    precision = 0.25 + len(y)
    assert np.mean(mu) == pytest.approx(y.sum() / precision, abs=0.1)
    assert np.std(mu) == pytest.approx(precision**-0.5, rel=0.15)


def test_jax_differentiates_and_maps(schools):
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    import ppl.jax

    density = ppl.jax.log_density(schools)
    z = np.random.default_rng(5).normal(size=(3, schools.dim))
    np.testing.assert_allclose(jax.jit(density)(z[0]), schools.log_density(z[0]), rtol=1e-14)
    np.testing.assert_allclose(jax.vmap(jax.jit(density))(z), schools.log_density(z), rtol=1e-14)
    gradient = jax.vmap(jax.grad(density))(z)
    np.testing.assert_allclose(gradient, schools.gradient(z), rtol=1e-14)


def test_blackjax_samples(conjugate, y):
    jax = pytest.importorskip("jax")
    blackjax = pytest.importorskip("blackjax")
    jax.config.update("jax_enable_x64", True)
    import ppl.jax

    density = ppl.jax.log_density(conjugate)
    mass = np.full(conjugate.dim, 0.25)
    sampler = blackjax.nuts(density, step_size=0.5, inverse_mass_matrix=mass)
    state = sampler.init(np.zeros(conjugate.dim))
    step = jax.jit(sampler.step)
    draws = []
    for key in jax.random.split(jax.random.key(1), 1500):
        state, _ = step(key, state)
        draws.append(np.asarray(state.position))
    mu = conjugate.constrain(np.array(draws[100:]))["mu"]
    assert_is_the_posterior(mu, y)


def test_nutpie_samples(conjugate, y):
    nutpie = pytest.importorskip("nutpie")
    import ppl.nutpie

    trace = nutpie.sample(
        ppl.nutpie.compiled(conjugate),
        draws=1000,
        tune=300,
        chains=2,
        cores=1,
        seed=1,
        progress_bar=False,
    )
    assert_is_the_posterior(np.asarray(trace["posterior"]["mu"]), y)
