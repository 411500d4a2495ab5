"""max_eigenvalue, trace, sam, adaptive_sam, noise_rise: closed forms and rescaling."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from quadratic_models import assert_close, blobs, measure, quadratic, relu_mlp, rescaled, rotation

import landscape
from landscape.measures import SAM, AdaptiveSAM, MaxEigenvalue, NoiseRise, Trace

VALUES = np.array([4.0, 2.0, 1.0, 0.5, 0.1, 0.0])
THETA = np.array([0.3, -0.2, 0.5, 1.0, -0.4, 0.7])


@pytest.mark.parametrize("engine", ["torch", "native"])
def test_closed_forms_on_a_quadratic(engine: Any) -> None:
    basis = rotation(6)
    model, data = quadratic(VALUES, THETA, basis)
    hessian = basis @ np.diag(VALUES) @ basis.T
    found = landscape.sharpness(
        model,
        data,
        measures=[MaxEigenvalue(1e-8), Trace(1e-6), SAM(0.2), AdaptiveSAM(0.3)],
        engine=engine,
        progress="off",
    )
    assert_close(found["max_eigenvalue"].value, 4.0, rtol=1e-7)
    assert_close(found["trace"].value, VALUES.sum(), rtol=1e-9)
    gradient = hessian @ THETA
    loss = THETA @ hessian @ THETA / 2
    assert_close(found.loss, loss, rtol=1e-12)
    for name, radius, scale in (("sam", 0.2, np.ones(6)), ("adaptive_sam", 0.3, np.abs(THETA))):
        step = radius * scale**2 * gradient / np.linalg.norm(scale * gradient)
        end = THETA + step
        assert_close(found[name].value, end @ hessian @ end / 2 - loss, rtol=1e-9)
    assert found.run.engine.startswith(engine)


def test_steps_at_a_critical_point_have_no_direction() -> None:
    found = measure("sam", *quadratic(VALUES))
    assert found.value == 0
    assert "gradient is zero" in found.status


def test_the_rise_under_noise_is_half_the_trace() -> None:
    values = np.linspace(0.1, 2, 200)
    model, data = quadratic(values, np.ones(200))
    found = measure(NoiseRise(sigma=0.1, draws=64), model, data)
    assert found.standard_error is not None
    assert found.value is not None
    truth = 0.1**2 * values.sum() / 2
    assert_close(found.value, truth, rtol=0.05)
    assert abs(found.value - truth) < 4 * found.standard_error


def test_the_error_of_the_rise_covers_the_truth() -> None:
    values = np.linspace(0.1, 2, 40)
    objective = landscape.Objective(*quadratic(values, np.ones(40)))
    truth = 0.1**2 * values.sum() / 2
    held = 0
    for seed in range(100):
        found = measure(NoiseRise(sigma=0.1, draws=32), objective, seed=seed)
        assert found.interval is not None
        held += found.interval[0] <= truth <= found.interval[1]
    assert 87 <= held <= 100


def test_rescaled_units_change_sharpness_but_not_adaptive_sharpness() -> None:
    model, data = relu_mlp(), blobs()
    names = ["max_eigenvalue", "trace", "sam", "adaptive_sam", "noise_rise"]
    found, other = (
        landscape.sharpness(m, data, measures=names, progress="off")
        for m in (model, rescaled(model))
    )
    assert_close(found.loss, other.loss, rtol=1e-12)
    assert_close(found["adaptive_sam"].value, other["adaptive_sam"].value, rtol=1e-5)
    for name in ("max_eigenvalue", "trace", "sam", "noise_rise"):
        ratio = float(other[name]) / float(found[name])
        assert max(ratio, 1 / ratio) > 2, name
        assert found[name].rescaling == "no"
    assert found["adaptive_sam"].rescaling == "exact"


def test_losses_that_are_not_finite_are_a_status() -> None:
    model, data = quadratic([1.0, 1.0], [1.0, 1.0])
    overflow = torch.nn.Sequential(model, _Overflow()).double()
    found = measure(NoiseRise(sigma=50.0, draws=8), overflow, data, check="off")
    assert found.value is None
    assert "no finite loss" in found.status


class _Overflow(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.exp(x.square() * 100) - 1


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: MaxEigenvalue(0.0), "tolerance"),
        (lambda: Trace(-1.0), "relative_error"),
        (lambda: Trace(max_products=5), "max_products"),
        (lambda: SAM(radius=0.0), "radius"),
        (lambda: AdaptiveSAM(radius=float("nan")), "radius"),
        (lambda: NoiseRise(sigma=-1.0), "sigma"),
        (lambda: NoiseRise(draws=1), "draws"),
    ],
)
def test_options_out_of_range_are_refused(make: object, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        make()  # type: ignore[operator]
