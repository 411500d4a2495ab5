"""Langevin samplers: a naive twin, mini-batches, resumed runs, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from landscape import _core

Array = NDArray[Any]
RMSPROP: dict[str, Any] = {"preconditioner": "rmsprop", "decay": 0.9, "damping": 0.5}
OPTIONS: dict[str, Any] = {
    "chains": 3,
    "step": 0.01,
    "nbeta": 7.0,
    "localisation": 2.0,
    "burn_in": 5,
    "draws": 6,
    "thinning": 2,
    "seed": 4,
    "preconditioner": "none",
    "noise": "averaged",
    "data": "mini_batch",
}
CENTRE = np.array([0.3, -0.2, 0.5])


class Shifted:
    """The mean of h (x - m_b)'x over four batches b."""

    batches = 4
    curvatures = np.array([1.0, 2.0, 5.0])

    def gradients(self, points: Array) -> tuple[Array, Array]:
        return self.gradients_on(points, [1.5] * len(points))

    def gradients_on(self, points: Array, batches: Any) -> tuple[Array, Array]:
        off = points - 0.1 * np.array(batches)[:, None].astype(points.dtype)
        losses = (self.curvatures * off**2).sum(1) / 2
        return losses.astype(np.float64), (self.curvatures * off).astype(points.dtype)


def sample(function: Any, dtype: Any = np.float64, **options: Any) -> _core.Langevin:
    sampler = _core.Langevin(function, CENTRE.astype(dtype), **{**OPTIONS, **options})
    assert sampler.run(function, lambda *_: True)
    return sampler


def naive(noise: str, preconditioner: dict[str, Any], data: str) -> tuple[Array, Array, Array]:
    """The formulas of the documentation, chain by chain; batches in epochs of sorted keys."""
    function, chains = Shifted(), OPTIONS["chains"]
    steps = OPTIONS["burn_in"] + OPTIONS["draws"] * OPTIONS["thinning"]
    order: list[int] = []
    while len(order) < steps * chains:
        epoch = len(order) // 4
        keys = _core.gaussian(4, seed=4, stream=2**40 + epoch, dtype="float64")
        order += np.argsort(keys, kind="stable").tolist()
    streams = [
        _core.gaussian((steps + 1) * 3, seed=4, stream=2**46 + chain, dtype="float64")
        for chain in range(chains)
    ]
    xi = np.reshape(streams, (chains, steps + 1, 3))
    theta, scale, second = np.tile(CENTRE, (chains, 1)), np.ones(3), np.zeros(3)
    losses, references = [], []
    for step in range(steps):
        batches: Any = order[step * chains : (step + 1) * chains]
        batches = [1.5] * chains if data == "all" else batches
        loss, gradient = function.gradients_on(theta, batches)
        if step >= OPTIONS["burn_in"] and (step - OPTIONS["burn_in"]) % 2 == 1:
            losses.append(loss)
            references.append(function.gradients_on(np.tile(CENTRE, (chains, 1)), batches)[0])
        if step < OPTIONS["burn_in"] and preconditioner:
            second = 0.9 * second + 0.1 * (gradient**2).mean(0)
            scale = 1 / (np.sqrt(second / (1 - 0.9 ** (step + 1))) + 0.5)
        force = OPTIONS["nbeta"] * gradient + OPTIONS["localisation"] * (theta - CENTRE)
        normal = xi[:, step] if noise == "euler" else (xi[:, step] + xi[:, step + 1]) / 2
        theta = theta - OPTIONS["step"] / 2 * scale * force + np.sqrt(0.01 * scale) * normal
    return np.transpose(losses), np.transpose(references), theta


@pytest.mark.parametrize("data", ["all", "mini_batch"])
@pytest.mark.parametrize("preconditioner", [{}, RMSPROP])
@pytest.mark.parametrize("noise", ["euler", "averaged"])
def test_a_naive_twin(noise: str, preconditioner: dict[str, Any], data: str) -> None:
    sampler = sample(Shifted(), noise=noise, data=data, **preconditioner)
    losses, references, points = naive(noise, preconditioner, data)
    np.testing.assert_allclose(sampler.losses(), losses, rtol=1e-12)
    np.testing.assert_allclose(sampler.references(), references, rtol=1e-12)
    np.testing.assert_allclose(sampler.points(), points, rtol=1e-12)
    assert (sampler.status, sampler.draws, sampler.steps) == ("complete", 6, 17)
    assert sampler.gradients == 17 * 3 + (1 if data == "all" else 4)


def test_single_precision_is_close() -> None:
    single, double = sample(Shifted(), np.float32), sample(Shifted())
    assert single.points().dtype == np.float32
    np.testing.assert_allclose(single.losses(), double.losses(), rtol=1e-5)


@pytest.mark.parametrize("preconditioner", [{}, RMSPROP])
def test_resumed_with_the_same_bits(preconditioner: dict[str, Any]) -> None:
    function = Shifted()
    whole = sample(function, **preconditioner)
    for stop in (1, 5, 6, 9, 16):
        sampler = _core.Langevin(function, CENTRE, **{**OPTIONS, **preconditioner})
        assert not sampler.run(function, lambda _, steps, *rest, stop=stop: steps < stop)
        assert sampler.losses().shape == (3, max(0, stop - 5) // 2)
        sampler = _core.Langevin.resumed(*sampler.state())
        assert sampler.run(function, lambda *_: True)
        assert sampler.state()[0] == whole.state()[0]
        for name, array in whole.state()[1].items():
            np.testing.assert_array_equal(sampler.state()[1][name], array)
        np.testing.assert_array_equal(sampler.preconditioner(), whole.preconditioner())


def test_one_chain_that_diverges_leaves_the_others() -> None:
    class Broken(Shifted):
        calls = 0

        def gradients_on(self, points: Array, batches: Any) -> tuple[Array, Array]:
            losses, gradients = super().gradients_on(points, batches)
            self.calls += 1
            if self.calls == 9:  # at step 7, as one call was for references
                losses[1] = np.nan
            return losses, gradients

    sampler, whole = sample(Broken()), sample(Shifted())
    assert sampler.statuses == ["complete", "diverged", "complete"]
    assert np.isfinite(sampler.losses()[1, 0])
    assert np.isnan(sampler.losses()[1, 1:]).all()
    assert np.isnan(sampler.references()[1, 1:]).all()
    np.testing.assert_array_equal(sampler.losses()[[0, 2]], whole.losses()[[0, 2]])
    assert np.isfinite(sampler.points()).all()


def test_a_centre_without_a_loss() -> None:
    class Nowhere(Shifted):
        def gradients_on(self, points: Array, batches: Any) -> tuple[Array, Array]:
            losses, gradients = super().gradients_on(points, batches)
            return losses * np.nan, gradients

    with pytest.raises(FloatingPointError, match="losses of the centre"):
        sample(Nowhere())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"preconditioner": "adam"}, 'pass "none" or "rmsprop"'),
        ({"preconditioner": "rmsprop"}, "pass both"),
        ({"decay": 0.9}, 'none to "none"'),
        ({**RMSPROP, "burn_in": 0}, "without burn-in"),
        ({**RMSPROP, "decay": 1.0}, "a decay from 0"),
        ({"noise": "white"}, 'pass "euler" or "averaged"'),
        ({"data": "some"}, 'pass "all" or "mini_batch"'),
        ({"chains": 0}, "at least one of each"),
        ({"step": -0.1}, "numbers above 0"),
        ({"nbeta": np.nan}, "numbers above 0"),
        ({"localisation": -1.0}, "number from 0"),
        ({"draws": 2**60}, "fewer than"),
    ],
)
def test_options_out_of_range_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _core.Langevin(Shifted(), CENTRE, **{**OPTIONS, **wrong})


def test_draws_that_do_not_fit_into_memory() -> None:
    with pytest.raises(MemoryError, match="draws"):
        _core.Langevin(Shifted(), CENTRE, **{**OPTIONS, "draws": 2**50})
