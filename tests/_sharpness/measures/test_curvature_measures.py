"""Measures of curvature against dense matrices, closed forms and rescaled copies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from models import cut
from numpy.typing import NDArray
from quadratic_models import assert_close, blobs, measure, quadratic, relu_mlp, rescaled, rotation
from torch import nn

import landscape
from landscape import measures
from landscape.measures import (
    EffectiveDimension,
    FisherRao,
    Frobenius,
    LearningRateSharpness,
    LogDeterminant,
    ParameterScaledTrace,
    PreconditionedSharpness,
    RelativeFlatness,
    TracePerParameter,
)

VALUES = np.array([4.0, 2.0, 1.0, 0.5, 0.1, 0.0])
THETA = np.array([0.3, -0.2, 0.5, 1.0, -0.4, 0.7])


@pytest.mark.parametrize("engine", ["torch", "native"])
def test_closed_forms_on_a_quadratic(engine: Any) -> None:
    basis = rotation(6)
    hessian = basis @ np.diag(VALUES) @ basis.T
    found = landscape.sharpness(
        *quadratic(VALUES, THETA, basis),
        measures=[
            TracePerParameter(1e-6),
            Frobenius(1e-6),
            ParameterScaledTrace(1e-6),
            LogDeterminant(prior_precision=2.0),
            EffectiveDimension(prior_precision=2.0),
            LogDeterminant(prior_precision=2.0),
            FisherRao(),
            LearningRateSharpness(1e-9),
            RelativeFlatness(relative_error=1e-6),
        ],
        optimizer=0.3,
        engine=engine,
        progress="off",
    )
    n = 6  # samples, of one output each
    truth = {
        "trace_per_parameter": VALUES.mean(),
        "frobenius": np.linalg.norm(VALUES),
        "parameter_scaled_trace": (THETA**2 * np.diag(hessian)).sum(),
        "log_determinant": np.log1p(n * VALUES / 2.0).sum(),
        "effective_dimension": (n * VALUES / (n * VALUES + 2.0)).sum(),
        "fisher_rao": THETA @ hessian @ THETA,
        "learning_rate_sharpness": 4.0 * 0.3 / 2,
        "relative_flatness": THETA @ THETA * VALUES.sum(),  # one row
    }
    for name, value in truth.items():
        assert_close(found[name].value, value, rtol=1e-7, name=name)
        assert found[name].status == "complete", name


def test_what_units_can_change_and_what_they_cannot() -> None:
    model, data = relu_mlp(), blobs()
    chosen = [ParameterScaledTrace(1e-9), FisherRao(), measures.Trace(1e-9), Frobenius(1e-9)]
    found, other = (
        landscape.sharpness(m, data, measures=chosen, progress="off")
        for m in (model, rescaled(model))
    )
    for name in ("parameter_scaled_trace", "fisher_rao"):
        assert found[name].rescaling == "exact"
        assert_close(found[name].value, other[name].value, rtol=1e-5)
    for name in ("trace", "frobenius"):
        ratio = float(found[name]) / float(other[name])
        assert max(ratio, 1 / ratio) > 2


def test_the_fisher_rao_norm_has_the_closed_form_of_homogeneous_networks() -> None:
    """D^2 E <f, dl/df>^2 over the model's own labels, and over the data's."""
    model, (inputs, targets) = relu_mlp(bias=False), blobs()
    found = measure("fisher_rao", model, (inputs, targets))
    outputs: torch.Tensor = model(inputs).detach()
    p = outputs.softmax(1)
    inner = (outputs * p).sum(1, keepdim=True) - outputs  # <f, p - e_y> for every label y
    assert_close(found.value, 9 * (p * inner**2).sum(1).mean(), rtol=1e-9)
    own = inner[torch.arange(len(targets)), targets]
    assert_close(found.details["empirical"], 9 * (own**2).mean(), rtol=1e-9)
    assert_close(found.details["norm"], float(found) ** 0.5, rtol=1e-12)


@pytest.mark.parametrize(
    ("layer", "index", "error"), [(None, 4, 1e-9), ("2", 2, 1e-9), ("2.weight", 2, 0.05)]
)
def test_relative_flatness_is_the_weighted_sum_of_block_traces(
    layer: str | None, index: int, error: float
) -> None:
    model, data = relu_mlp(), blobs()
    found = measure(RelativeFlatness(layer, relative_error=error), model, data)
    weights = model.get_parameter(f"{index}.weight").detach().numpy()
    block = landscape.hessian(model, data).block(f"{index}.weight").dense(progress="off")
    rows, columns = weights.shape
    blocks = block.reshape(rows, columns, rows, columns)
    truth = np.einsum("sj,tj,sktk->", weights, weights, blocks)
    assert found.value is not None
    if error < 0.01:
        assert_close(found.value, truth, rtol=1e-9)
    else:
        assert found.standard_error is not None
        assert abs(found.value - truth) < 5 * found.standard_error
    assert found.details["layer"] == f"{index}.weight"


def test_relative_flatness_is_that_of_a_layer_and_its_rows() -> None:
    """Factors of rows leave it unchanged; those of columns do not."""
    model, data = relu_mlp(), blobs()
    twin = rescaled(model)
    rows = measure(RelativeFlatness("0", 1e-9), model, data)
    assert_close(rows.value, measure(RelativeFlatness("0", 1e-9), twin, data).value, rtol=1e-6)
    columns = measure(RelativeFlatness("4", 1e-9), model, data)
    assert columns.value != pytest.approx(
        measure(RelativeFlatness("4", 1e-9), twin, data).value, rel=0.1
    )
    assert rows.rescaling == "no"


def test_estimates_for_many_parameters_are_those_of_eigenvalues(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, data = relu_mlp(), blobs()
    exact = [LogDeterminant(), EffectiveDimension()]
    truth = landscape.sharpness(model, data, measures=exact, progress="off")
    monkeypatch.setattr("landscape._sharpness.curvature._MAX_DENSE", 0)
    found = landscape.sharpness(
        model, data, measures=[LogDeterminant(), EffectiveDimension(probes=24)], progress="off"
    )
    for name in truth:
        error = found[name].standard_error
        assert error is not None
        assert error > 0
        assert abs(float(found[name]) - float(truth[name])) < 4 * error, name
        assert found[name].status == "complete"
    few = measure(EffectiveDimension(probes=8, steps=3, prior_precision=1e-3), model, data)
    assert "raise steps" in few.status
    exact_few = float(np.sum(_eigenvalues(model, data) / (_eigenvalues(model, data) + 1e-3 / 60)))
    assert few.interval is not None
    assert few.interval[0] < exact_few < few.interval[1]


def test_the_interval_of_the_effective_dimension_covers_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("landscape._sharpness.curvature._MAX_DENSE", 0)
    values = np.geomspace(1e-3, 10, 40)
    objective = landscape.Objective(*quadratic(values, np.zeros(40), rotation(40)))
    truth = (40 * values / (40 * values + 1)).sum()
    held = 0
    for seed in range(40):
        found = measure(EffectiveDimension(probes=24, steps=20), objective, seed=seed)
        assert found.interval is not None
        held += found.interval[0] <= truth <= found.interval[1]
    assert 34 <= held <= 40


def test_a_hessian_with_negative_eigenvalues_has_no_log_determinant() -> None:
    model, data = relu_mlp(), blobs()
    smallest = np.linalg.eigvalsh(landscape.hessian(model, data).dense(progress="off"))[0]
    assert smallest < -1e-4
    precision = 60 * abs(smallest) / 2
    for kind in (LogDeterminant, EffectiveDimension):
        found = measure(kind(precision, "hessian"), model, data)
        assert found.value is None
        assert "smallest eigenvalue" in found.status
        assert measure(kind(4 * precision, "hessian"), model, data).status == "complete"


def _eigenvalues(model: nn.Module, data: object) -> NDArray[np.float64]:
    dense = landscape.hessian(model, data, curvature="gauss_newton").dense(progress="off")
    values: NDArray[np.float64] = np.linalg.eigvalsh(dense)
    return values


def _train(optimizer: torch.optim.Optimizer, model: nn.Module, steps: int = 5) -> None:
    inputs, targets = blobs()
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs), targets).backward()  # type: ignore[no-untyped-call]
        optimizer.step()


@pytest.mark.parametrize("name", ["Adam", "AdamW", "amsgrad", "RMSprop", "centered"])
def test_the_preconditioned_eigenvalue_is_that_of_the_dense_matrix(name: str) -> None:
    model = relu_mlp()
    parameters = list(model.parameters())
    optimizer: torch.optim.Optimizer
    if name in ("RMSprop", "centered"):
        optimizer = torch.optim.RMSprop(
            parameters, lr=1e-3, momentum=0.5, centered=name == "centered"
        )
    else:
        kind = torch.optim.AdamW if name == "AdamW" else torch.optim.Adam
        optimizer = kind(parameters, lr=1e-3, betas=(0.8, 0.99), amsgrad=name == "amsgrad")
    _train(optimizer, model)
    before = torch.nn.utils.parameters_to_vector(parameters).detach().clone()
    found = measure(PreconditionedSharpness(1e-8), model, blobs(), optimizer=optimizer)
    # P is what divides: a step without momentum is -lr g / P
    states = [optimizer.state[p] for p in parameters]
    if name in ("RMSprop", "centered"):
        second = torch.cat([s["square_avg"].reshape(-1) for s in states])
        if name == "centered":
            second = second - torch.cat([s["grad_avg"].reshape(-1) for s in states]) ** 2
        p = (second.sqrt() + 1e-8).numpy()
        threshold = (2 + 2 * 0.5) / 1e-3
    else:
        key = "max_exp_avg_sq" if name == "amsgrad" else "exp_avg_sq"
        second = torch.cat([s[key].reshape(-1) for s in states])
        p = (1 - 0.8**5) * ((second / (1 - 0.99**5)).sqrt() + 1e-8).numpy()
        threshold = (2 + 2 * 0.8) / (0.2 * 1e-3)
    hessian = landscape.hessian(model, blobs()).dense(progress="off")
    truth = np.linalg.eigvalsh(hessian / np.sqrt(np.outer(p, p)))[-1]
    assert_close(found.value, truth, rtol=1e-6)
    assert_close(found.details["stability_ratio"], truth / threshold, rtol=1e-6)
    assert torch.equal(before, torch.nn.utils.parameters_to_vector(parameters).detach())


def test_the_threshold_of_adam_is_that_of_its_steps_on_a_quadratic() -> None:
    """With P fixed by hand, steps diverge right above a stability ratio of 1."""
    for factor in (0.97, 1.03):
        model, data = quadratic([1.0], [1.0])
        beta, rate = 0.9, 0.1
        curvature_at_edge = 38 / rate
        optimizer = torch.optim.Adam(model.parameters(), lr=rate, betas=(beta, 0.999))
        weight = next(iter(model.parameters()))
        p = factor**-1 / curvature_at_edge
        state = {
            "step": torch.tensor(1e6),
            "exp_avg": torch.zeros_like(weight),
            "exp_avg_sq": torch.full_like(weight, p**2),
        }
        optimizer.state[weight] = state
        found = measure("preconditioned_sharpness", model, data, optimizer=optimizer)
        velocity, place = 0.0, 1.0
        for _ in range(3000):
            velocity = beta * velocity + (1 - beta) * place
            place -= rate * velocity / p
            if abs(place) > 1e6:
                break
        assert found.details["stability_ratio"] == pytest.approx(factor, rel=1e-2)
        assert (abs(place) > 1) == (factor > 1)


def test_rates_momentum_and_groups_of_sgd() -> None:
    model, data = relu_mlp(), blobs()
    hessian = landscape.hessian(model, data).dense(progress="off")
    top = np.linalg.eigvalsh(hessian)[-1]
    plain = torch.optim.SGD(model.parameters(), lr=0.2)
    heavy = torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.9)
    nesterov = torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.9, nesterov=True)
    ratios = (0.1 * top, 0.2 * top / 3.8, 0.2 * top * 2.8 / 3.8)
    for optimizer, ratio in zip((plain, heavy, nesterov), ratios, strict=True):
        found = measure(LearningRateSharpness(1e-8), model, data, optimizer=optimizer)
        assert_close(found.value, 0.1 * top, rtol=1e-6)
        assert_close(found.details["stability_ratio"], ratio, rtol=1e-6)
    groups = torch.optim.SGD(
        [  # type: ignore[arg-type]
            {"params": model[0].parameters(), "lr": 0.3},
            {"params": [*model[2].parameters(), *model[4].parameters()]},
        ],
        lr=0.1,
    )
    found = measure(LearningRateSharpness(1e-8), model, data, optimizer=groups)
    rates = np.full(len(hessian), 0.1)
    rates[: 5 * 7 + 7] = 0.3
    truth = np.linalg.eigvalsh(hessian * np.sqrt(np.outer(rates, rates)))[-1] / 2
    assert_close(found.value, truth, rtol=1e-6)
    assert_close(found.details["stability_ratio"], truth, rtol=1e-6)


def test_an_optimizer_of_another_copy_is_matched_by_order_and_shape() -> None:
    model, twin = relu_mlp(), relu_mlp()
    optimizer = torch.optim.Adam(twin.parameters(), lr=1e-3)
    _train(optimizer, twin)
    model.load_state_dict(twin.state_dict())
    own, other = (
        measure(PreconditionedSharpness(), m, blobs(), optimizer=optimizer) for m in (twin, model)
    )
    assert_close(own.value, other.value, rtol=1e-9)
    block = measure(
        PreconditionedSharpness(), model, blobs(), optimizer=optimizer, parameters="2.*"
    )
    assert float(block) < float(own) * (1 + 1e-6)


@pytest.mark.parametrize(
    ("name", "optimizer", "text"),
    [
        ("learning_rate_sharpness", lambda _: None, "needs optimizer="),
        ("learning_rate_sharpness", lambda _: 0.0, "learning rate is 0"),
        ("learning_rate_sharpness", lambda _: "fast", "is a str"),
        ("learning_rate_sharpness", lambda m: _stepped(m, torch.optim.Adam), "divides its steps"),
        ("preconditioned_sharpness", lambda _: 0.1, "no preconditioner"),
        (
            "preconditioned_sharpness",
            lambda m: torch.optim.Adam(m.parameters()),
            "no second moments yet",
        ),
        ("preconditioned_sharpness", lambda m: _stepped(m, torch.optim.NAdam), "no known thresh"),
        (
            "learning_rate_sharpness",
            lambda m: torch.optim.SGD(m.parameters(), lr=0.1, maximize=True),
            "maximises the loss",
        ),
        (
            "learning_rate_sharpness",
            lambda m: torch.optim.SGD(
                [{"params": [p], "momentum": 0.1 * i} for i, p in enumerate(m.parameters())], lr=0.1
            ),
            "different momentum",
        ),
        (
            "learning_rate_sharpness",
            lambda _: torch.optim.SGD(nn.Linear(2, 2).parameters(), lr=0.1),
            "does not hold 0.weight",
        ),
    ],
)
def test_what_has_no_meaning_says_why(
    name: str, optimizer: Callable[[nn.Module], object], text: str
) -> None:
    model = relu_mlp()
    found = measure(name, model, blobs(), optimizer=optimizer(model))
    assert found.value is None
    assert found.status.startswith("not applicable")
    assert text in found.status


def _stepped(model: nn.Module, kind: type) -> torch.optim.Optimizer:
    optimizer: torch.optim.Optimizer = kind(model.parameters(), lr=1e-3)
    _train(optimizer, model, 1)
    return optimizer


def test_a_memory_budget_below_two_vectors_is_a_failure_and_no_error() -> None:
    found = landscape.sharpness(
        relu_mlp(),
        cut(blobs(), (25, 35)),
        measures=[EffectiveDimension(), LogDeterminant()],
        memory_budget=1,
        engine="torch",
        progress="off",
    )
    assert "raise it" in found["effective_dimension"].status
    exact = measure(LogDeterminant(), relu_mlp(), blobs())
    error = found["log_determinant"].standard_error
    assert error is not None
    assert abs(float(found["log_determinant"]) - float(exact)) < 5 * error


def test_losses_without_a_likelihood_or_a_matrix_are_not_applicable() -> None:
    inputs, targets = blobs()
    data = inputs, targets[:, None].repeat(1, 3).double()
    for definition in (FisherRao(), EffectiveDimension(curvature="fisher")):
        found = measure(definition, relu_mlp(), data, loss=nn.HuberLoss())
        assert found.value is None
        assert "likelihood" in found.status
    found = measure(EffectiveDimension(), relu_mlp(), data, loss=lambda z, t: (z - t).abs().mean())
    assert "recognised loss" in found.status
    missing = measure(RelativeFlatness("9"), relu_mlp(), blobs())
    assert "expected one of 0.weight, 2.weight, 4.weight" in missing.status


def test_the_error_of_a_scaled_trace_has_that_of_drawing_the_samples() -> None:
    draw = torch.Generator().manual_seed(0)
    inputs = torch.randn(80, 3, generator=draw, dtype=torch.float64)
    model = nn.Linear(3, 1, bias=False).double()
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1.0, -2.0, 0.5]]))
    chosen = landscape.Objective(model, (inputs, torch.zeros(80, 1).double()), samples=30, seed=1)
    found = measure(ParameterScaledTrace(1e-9), chosen)
    losses = model(inputs).detach().square().reshape(-1).numpy()
    drawn = np.isclose(losses[:, None], chosen.sample_losses(chosen.theta[None])).any(1)
    assert drawn.sum() == 30
    terms = 2 * (inputs * model.weight.detach()).square().sum(1).numpy()[drawn]
    assert_close(found.value, terms.mean())
    error = terms.std(ddof=1) / np.sqrt(30) * np.sqrt(1 - 30 / 80)
    assert_close(found.standard_error, error, rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: EffectiveDimension(prior_precision=0.0), "prior_precision"),
        (lambda: LogDeterminant(curvature="other"), "curvature"),  # type: ignore[arg-type]
        (lambda: EffectiveDimension(probes=1), "probes"),
        (lambda: EffectiveDimension(steps=1), "steps"),
        (lambda: Frobenius(0.0), "relative_error"),
        (lambda: LearningRateSharpness(-1.0), "tolerance"),
        (lambda: PreconditionedSharpness(0.0), "tolerance"),
    ],
)
def test_options_out_of_range_are_refused(make: Callable[[], object], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        make()
