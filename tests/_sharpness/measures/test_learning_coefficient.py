"""The local learning coefficient beside quadrature, Gibbs sampling and HMC at the same n beta."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np
import pytest
import torch
from _sharpness.reference_posteriors import (
    AMPLITUDES,
    POLYGONS,
    Reference,
    Superposition,
    factors_of_rank,
    integrate_product,
    integrate_regular,
    place_on_polygon,
    sample_deep_linear,
    sample_superposition,
)
from quadratic_models import assert_close, measure, quadratic, rotation
from scipy.optimize import minimize
from torch import Tensor, nn

import landscape
from landscape import Objective
from landscape.measures import LearningCoefficient

SAMPLERS: Any = ("rmsprop_sgld", "sgld")
NBETA = 100.0

# Long runs of reference_posteriors.py: 200 chains of 5,000 sweeps, and the limits of Aoyagi.
MATRIX_MODELS = {
    ((5, 3, 5), 0): (Reference(6.0796, 0.0024), 6.5),
    ((5, 4, 5), 0): (Reference(7.6379, 0.0028), 8.0),
    ((4, 3, 8), 0): (Reference(5.9471, 0.0027), 6.0),
    ((8, 3, 4), 0): (Reference(5.9474, 0.0025), 6.0),
    ((3, 8, 4), 0): (Reference(5.9463, 0.0026), 6.0),
    ((3, 3, 3, 3), 0): (Reference(2.6281, 0.0017), 3.0),
    ((4, 4, 4), 2): (Reference(7.2880, 0.0032), 7.5),
}
# Long runs of HMC: 100 chains of 1,500 draws.
SUPERPOSITION = {5: Reference(5.066, 0.0098), 6: Reference(5.8305, 0.0125)}


def native(model: nn.Module, data: tuple[Tensor, Tensor]) -> Objective:
    return Objective(model, data, nn.MSELoss(), engine="native")


def normal_crossing(*powers: int) -> Objective:
    """L = (w1^a w2^b ...)^2 about 0."""
    layers: list[nn.Module] = []
    for power in powers:
        layer = nn.Linear(1, 1, bias=False).double()
        nn.init.zeros_(layer.weight)
        layers += [layer] * power
    inputs = torch.ones(2, 1, dtype=torch.float64)
    return native(nn.Sequential(*layers), (inputs, 0 * inputs))


def deep_linear(widths: Sequence[int], rank: int) -> Objective:
    """L = |W_k ... W_1 - M|^2 about factors of a matrix M of this rank."""
    factors = [torch.from_numpy(factor) for factor in factors_of_rank(widths, rank)]
    layers = [nn.Linear(f.shape[1], f.shape[0], bias=False).double() for f in factors]
    for layer, factor in zip(layers, factors, strict=True):
        layer.weight = nn.Parameter(factor)
    # The mean over samples and outputs becomes a sum.
    inputs = torch.eye(widths[0], dtype=torch.float64) * (widths[0] * widths[-1]) ** 0.5
    targets = inputs @ reduce(lambda before, after: after @ before, factors).T
    return native(nn.Sequential(*layers), (inputs, targets.contiguous()))


class ToyModel(nn.Module):
    """x -> ReLU(W'W x + b)."""

    def __init__(self, weights: Any, biases: Any) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.from_numpy(weights))
        self.biases = nn.Parameter(torch.from_numpy(biases))

    def forward(self, x: Tensor) -> Tensor:
        hidden = nn.functional.linear(x, self.weights)
        return nn.functional.linear(hidden, self.weights.T, self.biases).relu()


def superposition(corners: int) -> Objective:
    inputs = torch.from_numpy(np.kron(np.eye(6), AMPLITUDES[:, None]))
    model = ToyModel(*place_on_polygon(corners, *POLYGONS[corners]))
    return Objective(model, (inputs, inputs), nn.MSELoss(), engine="torch")


def assert_agrees(
    found: landscape.Measure, truth: float, error: float = 0.0, precision: float = 0.05
) -> None:
    """Converged, as precise as that or better, and within three standard errors."""
    assert found.status == "complete"
    assert found.value is not None
    assert found.standard_error is not None
    assert found.standard_error <= precision * found.value
    assert abs(found.value - truth) <= 3 * (found.standard_error**2 + error**2) ** 0.5


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_regular_minimum_has_half_its_parameters(sampler: Any) -> None:
    curvatures = np.geomspace(0.3, 2, 6)
    definition = LearningCoefficient(sampler=sampler, nbeta=1000.0, burn_in=300, draws=2000)
    found = measure(definition, *quadratic(curvatures, basis=rotation(6)), engine="native")
    truth = integrate_regular(curvatures.tolist(), 1000.0, 100.0)
    assert 2.5 < truth < 2.7
    assert_agrees(found, truth)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_quartic_minimum_has_a_quarter(sampler: Any) -> None:
    options: Any = {"chains": 8, "burn_in": 500, "draws": 2000, "thinning": 2}
    definition = LearningCoefficient(sampler=sampler, nbeta=1000.0, localisation=1.0, **options)
    found = measure(definition, normal_crossing(2))
    assert_agrees(found, integrate_product([2], 1000.0, 1.0))
    assert_close(found.value, 0.25, rtol=0.15)


@pytest.mark.parametrize(
    ("powers", "sampler", "limit"),
    [((1, 1), "sgld", 1 / 2), ((2, 2), "rmsprop_sgld", 1 / 4), ((2, 3), "sgld", 1 / 6)],
)
def test_normal_crossings(powers: tuple[int, ...], sampler: Any, limit: float) -> None:
    options: Any = {"chains": 8, "burn_in": 1000, "draws": 2500, "thinning": 2}
    definition = LearningCoefficient(sampler=sampler, nbeta=20.0, localisation=1.0, **options)
    found = measure(definition, normal_crossing(*powers))
    # The loss is mostly far below its mean: the standard deviation is three times the mean.
    assert_agrees(found, integrate_product(powers, 20.0, 1.0), precision=0.1)
    assert found.value is not None
    assert 0.5 * limit < found.value < limit


def test_quadrature_approaches_the_limits_of_normal_crossings() -> None:
    for powers in ((2,), (1, 1), (2, 2), (2, 3)):
        limit = 1 / (2 * max(powers))
        values = [integrate_product(powers, nbeta, 1.0) for nbeta in (1e1, 1e4)]
        assert values == sorted(values)
        assert 0.7 * limit < values[-1] < limit
    assert_close(
        integrate_product([1], 1000.0, 100.0), integrate_regular([2.0], 1000.0, 100.0), 1e-4
    )
    # The integral over x by hand: given y, x is normal.
    y = np.linspace(-9, 9, 20_001)
    weight = np.exp(-(y**2) / 2) / (2000 * y**2 + 1) ** 0.5
    mean = (weight * 1000 * y**2 / (2000 * y**2 + 1)).sum() / weight.sum()
    assert_close(integrate_product([1, 1], 1000.0, 1.0), mean, rtol=1e-4)


@pytest.mark.parametrize("index", range(len(MATRIX_MODELS)))
def test_reduced_rank_regression_and_deep_linear_networks(index: int) -> None:
    (widths, rank), (truth, limit) = list(MATRIX_MODELS.items())[index]
    # The deeper network diffuses more slowly: its loss curves with the fourth power of weights.
    thinning = 2 if len(widths) == 3 else 12
    options: Any = {"chains": 8, "burn_in": 2000, "draws": 1000, "thinning": thinning}
    definition = LearningCoefficient(
        sampler=SAMPLERS[index % 2], nbeta=NBETA, localisation=1.0, **options
    )
    found = measure(definition, deep_linear(widths, rank))
    assert_agrees(found, truth.mean, truth.error)
    assert_close(found.value, limit, rtol=0.15)


def test_gibbs_sampling_repeats_its_long_runs() -> None:
    for widths, rank in [((3, 3, 3, 3), 0), ((4, 4, 4), 2)]:
        factors = factors_of_rank(widths, rank)
        short = sample_deep_linear(factors, NBETA, 1.0, chains=50, sweeps=150, seed=1)
        truth = MATRIX_MODELS[widths, rank][0]
        assert abs(short.mean - truth.mean) <= 3 * (short.error**2 + truth.error**2) ** 0.5
    # A product of numbers is also an integral.
    short = sample_deep_linear([np.zeros((1, 1))] * 2, NBETA, 1.0, chains=200, sweeps=300)
    assert abs(short.mean - integrate_product([1, 1], NBETA, 1.0)) <= 3 * short.error


def test_the_losses_of_superposition() -> None:
    model = Superposition((np.arange(200) + 0.5) / 200)

    def evaluate(polygon: Any, corners: int) -> float:
        weights, biases = place_on_polygon(corners, *polygon)
        return float(model.evaluate(weights[None], biases[None])[0][0])

    for corners, loss in ((5, 0.06874), (6, 0.04819)):
        found = minimize(evaluate, POLYGONS[corners], (corners,), "Nelder-Mead", tol=1e-6)
        assert_close(found.fun, loss, rtol=2e-4)
    objective = superposition(5)
    point = objective.theta + 0.1 * np.random.default_rng(0).normal(size=18)
    losses, of_weights, of_biases = Superposition(AMPLITUDES).evaluate(
        point[:12].reshape(1, 2, 6), point[None, 12:]
    )
    assert_close(6 * objective.loss(point), losses[0])
    gradient = np.concatenate([of_weights.ravel(), of_biases.ravel()])
    assert_close(6 * objective.gradient(point), gradient, rtol=1e-6)


@pytest.mark.parametrize(("corners", "sampler"), [(5, "rmsprop_sgld"), (6, "sgld")])
def test_superposition_beside_hmc(corners: int, sampler: Any) -> None:
    definition = LearningCoefficient(
        sampler=sampler, nbeta=6 * 1000.0, localisation=100.0, burn_in=200, draws=450
    )
    found = measure(definition, superposition(corners))
    assert_agrees(found, SUPERPOSITION[corners].mean, SUPERPOSITION[corners].error)


def test_hmc_repeats_its_long_runs() -> None:
    short = sample_superposition(
        Superposition(AMPLITUDES),
        *place_on_polygon(6, *POLYGONS[6]),
        nbeta=1000.0,
        localisation=100.0,
        chains=32,
        draws=60,
        step=0.02,
        seed=1,
    )
    truth = SUPERPOSITION[6]
    assert abs(short.mean - truth.mean) <= 3 * (short.error**2 + truth.error**2) ** 0.5


def test_mini_batches_agree_with_all_data() -> None:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(400, 4, generator=generator, dtype=torch.float64)
    noise = 0.2 * torch.randn(400, 1, generator=generator, dtype=torch.float64)
    targets = inputs.sum(1, keepdim=True) + noise
    model = nn.Linear(4, 1, bias=False).double()
    model.weight = nn.Parameter(torch.linalg.lstsq(inputs, targets).solution.T.contiguous())
    objective = native(model, (inputs, targets))
    curvatures = np.linalg.eigvalsh((2 * inputs.T @ inputs / 400).numpy())
    nbeta = 400 / np.log(400)
    truth = integrate_regular(curvatures.tolist(), nbeta, 1.0)
    for batch in (None, 50):
        definition = LearningCoefficient(localisation=1.0, draws=1500, batch=batch)
        found = measure(definition, objective)
        assert_agrees(found, truth)
        assert_close(found.details["nbeta"], nbeta)


def test_intervals_cover_the_truth() -> None:
    objective = Objective(*quadratic([2.0, 1.0, 0.5]), engine="native")
    truth = integrate_regular([2.0, 1.0, 0.5], 100.0, 1.0)
    definition = LearningCoefficient(
        nbeta=100.0, localisation=1.0, burn_in=100, draws=250, step=0.003, sampler="sgld"
    )
    held = 0
    for seed in range(40):
        found = measure(definition, objective, seed=seed)
        assert found.value is not None
        assert found.standard_error is not None
        held += abs(found.value - truth) <= 1.96 * found.standard_error
    assert 35 <= held <= 40


def test_a_step_that_is_too_large_has_a_status_and_no_number() -> None:
    found = measure(LearningCoefficient(nbeta=1000.0, step=1.0, sampler="sgld"), *quadratic([1.0]))
    assert found.value is None
    assert found.standard_error is None
    assert found.status.startswith("diverged: 4 of 4 chains")
    assert "step=" in found.status
    assert found.details["step"] == 1.0


def test_chains_that_do_not_agree_have_a_status() -> None:
    options: Any = {"nbeta": 1000.0, "localisation": 1.0, "burn_in": 10}
    found = measure(LearningCoefficient(draws=60, **options), normal_crossing(1, 1))
    assert found.status.startswith("not converged: the chains do not agree")
    assert "burn_in" in found.status
    assert float(str(found.details["r_hat"])) > 1.05
    regular = Objective(*quadratic([1.0]), engine="native")
    found = measure(LearningCoefficient(draws=100, nbeta=1000.0, step=2e-5), regular, seed=2)
    assert found.status.startswith("not converged")


def test_a_point_that_is_no_minimum_has_a_status() -> None:
    definition = LearningCoefficient(nbeta=1000.0, draws=2000)
    found = measure(definition, *quadratic([1.0, 2.0], [1.0, 1.0]), engine="native")
    assert found.value is not None
    assert found.value < 0
    assert found.status.startswith("not a minimum")


def test_details_and_repetition() -> None:
    definition = LearningCoefficient(
        nbeta=50.0, localisation=2.0, chains=3, burn_in=20, draws=30, thinning=2
    )
    objective = Objective(*quadratic([1.0, 2.0]), engine="native")
    found, again = (measure(definition, objective, seed=3) for _ in range(2))
    assert found.details == again.details
    details: Any = found.details
    assert {"nbeta": 50.0, "localisation": 2.0, "chains": 3, "steps": 80}.items() <= details.items()
    assert details["step"] > 0
    assert 0 < details["ess"] < 400
    assert 0.9 < details["r_hat"] < 2
    assert found.curves["chains"].shape == (3, 30)
    np.testing.assert_array_equal(found.curves["chains"], again.curves["chains"])
    assert_close(found.value, found.curves["chains"].mean(), rtol=1e-12)
    assert measure(definition, objective, seed=4).value != found.value


def test_engines_agree() -> None:
    definition = LearningCoefficient(nbeta=100.0, localisation=1.0, burn_in=50, draws=200)
    model, data = quadratic([1.0, 2.0])
    found = [measure(definition, model, data, engine=engine) for engine in ("native", "torch")]
    assert_close(found[0].value, found[1].value, rtol=1e-6)
    assert_close(found[0].standard_error, found[1].standard_error, rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sampler": "hmc"}, "'rmsprop_sgld' or 'sgld'"),
        ({"nbeta": 0.0}, "nbeta=0.0"),
        ({"step": float("nan")}, "step=nan"),
        ({"localisation": 0.0}, "localisation=0.0"),
        ({"chains": 1}, "chains=1"),
        ({"draws": 9}, "draws=9"),
        ({"burn_in": 0}, "burn_in=0"),
        ({"thinning": 0}, "thinning=0"),
        ({"batch": 0}, "batch=0"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LearningCoefficient(**options)


def test_where_it_does_not_apply() -> None:
    model, data = quadratic([1.0, 2.0])
    found = measure(LearningCoefficient(nbeta=10.0, batch=3), model, data)
    assert found.value is None
    assert "batch=3, but there are 2 samples" in found.status
    found = measure(LearningCoefficient(), model, data)
    assert found.value is None
    assert "pass nbeta=" in found.status
