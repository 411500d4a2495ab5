"""keskar, worst_case_sharpness, average_case_sharpness: closed forms, twins, and rescaling."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from quadratic_models import assert_close, blobs, measure, quadratic, relu_mlp, rescaled, rotation
from torch import nn

import landscape
from landscape.measures import AverageCase, Keskar, KeskarSubspace, WorstCase

VALUES = np.array([4.0, 2.0, 1.0, 0.5, 0.1])
THETA = np.array([0.3, -0.2, 0.5, 1.0, -0.4])


@pytest.mark.parametrize("engine", ["torch", "native"])
@pytest.mark.parametrize("method", ["lbfgs", "apgd"])
def test_epsilon_sharpness_of_a_quadratic_is_at_a_vertex_of_the_box(
    method: Any, engine: Any
) -> None:
    basis = rotation(5)
    model, data = quadratic(VALUES, THETA, basis)
    hessian = basis @ np.diag(VALUES) @ basis.T
    widths = 0.1 * (np.abs(THETA) + 1)
    loss = THETA @ hessian @ THETA / 2
    ends = [THETA + np.array(signs) * widths for signs in product((-1, 1), repeat=5)]
    best = max(end @ hessian @ end / 2 for end in ends)
    found = measure(
        Keskar(epsilon=0.1, method=method, steps=60, starts=6), model, data, engine=engine
    )
    assert_close(found.value, 100 * (best - loss) / (1 + loss), rtol=1e-6)
    assert found.details["search"] in ("converged", "complete")


def test_at_an_exact_minimum_the_search_leaves_the_saddle_of_the_ascent() -> None:
    found = measure(Keskar(epsilon=0.1, steps=50), *quadratic([3.0, 1.0]))
    assert_close(found.value, 100 * 0.5 * 0.1**2 * 4.0, rtol=1e-6)


def test_epsilon_sharpness_in_a_subspace_of_all_dimensions() -> None:
    """With A square the box is another parallelepiped; one dimension is solved by hand."""
    model, data = quadratic([2.0], [0.5])
    found = measure(KeskarSubspace(dimension=7, epsilon=0.1), model, data)
    loss = 2.0 * 0.25 / 2
    end = 0.5 + 0.1 * 1.5
    assert_close(found.value, 100 * (end**2 - loss) / (1 + loss), rtol=1e-6)
    assert found.standard_error == pytest.approx(0, abs=1e-9)


def test_random_subspaces_have_an_error_and_lie_below_the_whole_box() -> None:
    model, data = relu_mlp(), blobs()
    whole = measure(Keskar(), model, data)
    part = measure(KeskarSubspace(dimension=10), model, data)
    assert part.standard_error is not None
    assert 0 < float(part) < float(whole)


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_the_worst_case_of_a_quadratic(norm: Any) -> None:
    model, data = quadratic(VALUES, THETA)
    found = measure(
        WorstCase(radius=0.3, norm=norm, scaling="plain", steps=200, starts=4), model, data
    )
    gradient = VALUES * THETA
    if norm == "linf":
        truth = (0.3 * np.abs(gradient) + VALUES * 0.09 / 2).sum()
    else:  # the maximiser solves (m - H) d = g on the sphere, with m above the largest eigenvalue
        low, high = VALUES.max() + 1e-12, 1e6
        for _ in range(200):
            middle = (low + high) / 2
            norm_of_step = np.linalg.norm(gradient / (middle - VALUES))
            low, high = (middle, high) if norm_of_step > 0.3 else (low, middle)
        step = gradient / (high - VALUES)
        truth = gradient @ step + step @ (VALUES * step) / 2
    assert_close(found.value, truth, rtol=1e-4)


def test_one_batch_of_all_data_is_the_whole_and_smaller_batches_are_sharper() -> None:
    model, data = relu_mlp(), blobs()
    by_size = {
        size: measure(WorstCase(radius=0.2, batch=size, batches=99), model, data)
        for size in (None, 20, 5)
    }
    assert by_size[None].standard_error is None
    assert float(by_size[None]) < float(by_size[20]) < float(by_size[5])
    assert by_size[5].details["batches"] == 12
    assert by_size[5].standard_error is not None  # the data could have been split otherwise
    some = measure(WorstCase(radius=0.2, batch=5, batches=6), model, data)
    assert some.standard_error is not None
    assert abs(float(some) - float(by_size[5])) < 4 * some.standard_error


def test_the_worst_of_a_batch_is_that_of_its_samples_alone() -> None:
    model, data = relu_mlp(), blobs(20)
    found = measure(WorstCase(radius=0.2, batch=10, batches=2), model, data)
    objective = landscape.Objective(model, data).with_batch_size(10)
    split = [b.content for b in objective._evaluator.batches.iter_batches()]
    alone = [float(measure(WorstCase(radius=0.2), model, (x, y))) for x, y in split]
    assert_close(found.value, np.mean(alone), rtol=1e-6)


def test_at_equal_gradients_adaptive_steps_are_not_worse_than_fixed_ones() -> None:
    objectives = [landscape.Objective(relu_mlp(seed=s), blobs(), engine="torch") for s in range(3)]
    for radius in (0.05, 2.0):
        medians = [
            np.median([float(measure(WorstCase(radius, method=method), o)) for o in objectives])
            for method in ("apgd", "projected")
        ]
        assert medians[0] >= 0.999 * medians[1], radius
    further = measure(WorstCase(0.5), objectives[0])
    one_step = measure(landscape.measures.AdaptiveSAM(0.5), objectives[0])
    assert float(further) >= float(one_step)


def test_adaptive_neighbourhoods_survive_rescaling_and_plain_ones_do_not() -> None:
    model, data = relu_mlp(), blobs()
    objectives = [landscape.Objective(m, data, engine="torch") for m in (model, rescaled(model))]
    for make in (WorstCase, AverageCase):
        for scaling in ("adaptive", "plain"):
            option = make(radius=0.05, scaling=scaling)
            one, other = (float(measure(option, o)) for o in objectives)
            if scaling == "adaptive":
                assert_close(other, one, rtol=1e-5)
                assert option.rescaling == "exact"
            else:
                assert max(other / one, one / other) > 2
                assert option.rescaling == "no"


def test_the_average_case_of_a_quadratic() -> None:
    values, theta = np.linspace(0.1, 2, 100), np.linspace(-1, 2, 100)
    model, data = quadratic(values, theta)
    for scaling, weights in (("plain", np.ones(100)), ("adaptive", theta**2)):
        found = measure(AverageCase(0.1, scaling, draws=64), model, data)  # type: ignore[arg-type]
        truth = 0.01 * (values * weights).sum() / 2
        assert found.standard_error is not None
        assert abs(float(found) - truth) < 4 * found.standard_error
        assert_close(found.value, truth, rtol=0.1)


def test_normalised_logits_do_not_depend_on_their_scale() -> None:
    model, data = relu_mlp(), blobs()
    confident = nn.Sequential(*model[:-1], nn.Linear(6, 3).double())
    with torch.no_grad():
        for own, given in zip(confident[-1].parameters(), model[-1].parameters(), strict=True):
            own.copy_(3 * given)
    for make in (WorstCase, AverageCase):
        plain = make(radius=0.1, scaling="adaptive")
        normalised = make(radius=0.1, scaling="adaptive", logits="normalised")
        as_is = [float(measure(plain, m, data)) for m in (model, confident)]
        found = [float(measure(normalised, m, data)) for m in (model, confident)]
        assert_close(found[1], found[0], rtol=1e-6)
        assert abs(as_is[1] / as_is[0] - 1) > 0.1
    regression = measure(WorstCase(logits="normalised"), *quadratic([1.0], [1.0]))
    assert regression.status.startswith("not applicable: the loss is MSE")


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Keskar(epsilon=0), "epsilon=0"),
        (lambda: Keskar(method="sgd"), "expected 'lbfgs' or 'apgd'"),  # type: ignore[arg-type]
        (lambda: Keskar(starts=0), "starts=0"),
        (lambda: KeskarSubspace(dimension=0), "dimension=0"),
        (lambda: KeskarSubspace(subspaces=1), "subspaces=1"),
        (lambda: WorstCase(radius=-1), "radius=-1"),
        (lambda: WorstCase(norm="l1"), "norm='l1'"),  # type: ignore[arg-type]
        (lambda: WorstCase(method="lbfgs"), "expected 'apgd' or 'projected'"),  # type: ignore[arg-type]
        (lambda: WorstCase(batch=0), "batch=0"),
        (lambda: WorstCase(steps=0), "steps=0"),
        (lambda: WorstCase(logits="softmax"), "expected 'as_is' or 'normalised'"),  # type: ignore[arg-type]
        (lambda: AverageCase(scaling="relative"), "expected 'plain' or 'adaptive'"),  # type: ignore[arg-type]
        (lambda: AverageCase(draws=1), "draws=1"),
    ],
)
def test_options_out_of_range_are_refused(make: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        make()


def test_a_batch_larger_than_the_data_does_not_apply() -> None:
    found = measure(WorstCase(batch=100), relu_mlp(), blobs())
    assert found.status == "not applicable: batch=100, but there are 60 samples"


def test_the_error_of_batches_is_that_of_other_splits() -> None:
    """The spread of the mean over random splits of one data set, with a share of it drawn."""
    inputs, targets = blobs(200)
    model, option = relu_mlp(), WorstCase(0.2, batch=20, batches=5, steps=3, starts=1)
    draw = np.random.default_rng(0)
    found = []
    for _ in range(25):
        order = torch.from_numpy(draw.permutation(200))
        data = inputs[order], targets[order]
        found.append(measure(option, model, data, engine="torch", check="off"))
    spread = np.std([float(m) for m in found], ddof=1)
    reported = np.mean([m.standard_error for m in found if m.standard_error is not None])
    assert 0.6 < reported / spread < 1.6


def test_batches_of_a_loader_cost_no_more_than_one_tensor() -> None:
    model, (inputs, targets) = relu_mlp(), blobs()
    loader = [(inputs[i : i + 10], targets[i : i + 10]) for i in range(0, 60, 10)]
    whole = measure(WorstCase(0.2), model, (inputs, targets), engine="torch")
    split = measure(WorstCase(0.2), model, loader, engine="torch")
    assert_close(split.value, whole.value, rtol=1e-6)
    assert split.cost == whole.cost
