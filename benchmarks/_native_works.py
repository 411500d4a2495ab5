"""The rows of the native table: losses on planes, Hessian products and gradients.

Depends on landscape's public interface alone.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import _native_cases
import _native_derivatives
import _native_loops
import numpy as np
import torch
from _cases import Case
from _native_cases import BATCH, costs, whole_batches
from _native_measure import Program, Work
from surface import directions

import landscape

SAMPLED = 64  # items to check: a multiple of every stack of points and block of vectors
TOGETHER = (1, 8)  # Hessian products or gradients asked for at once
MOST = 2016  # products or gradients in one run

Maker = Callable[[], Case]


def plane(make: Maker, arguments: argparse.Namespace) -> Iterator[Work]:
    """Losses on a grid over a plane of two random directions."""
    case = make()
    u, v = directions(case)
    points = arguments.points or case.points
    axis = np.linspace(-1, 1, points)
    grid = [(float(a), float(b)) for b in axis for a in axis]
    order = np.random.default_rng(0).permutation(len(grid))
    sample = [grid[order[i % len(grid)]] for i in range(SAMPLED)]

    def ours() -> Program:
        objective = objective_of(case, arguments)
        basis = (u.numpy(), v.numpy())
        return Program("ours", lambda some: objective.subspace(None, basis).losses(some))

    yield Work(
        name=f"{case.name}, {len(case.inputs):,} samples, {points} x {points}",
        unit="point",
        items=grid,
        operations=2.0 * costs(case).plane * len(case.inputs),
        sample=sample,
        ours=ours,
        rivals=partial(_native_loops.rivals, case, u, v, arguments.skip, arguments.patience),
    )


def hessian(make: Maker, arguments: argparse.Namespace) -> Iterator[Work]:
    """Products of the Hessian at the model's parameters, one by one and in blocks."""
    case = make()
    generator = torch.Generator().manual_seed(2)
    vectors = torch.randn(SAMPLED, case.parameters, generator=generator)
    for together in TOGETHER:

        def ours(together: int = together) -> Program:
            objective = objective_of(case, arguments)
            operator = objective.hessian_at(objective.theta)

            def run(rows: torch.Tensor) -> Any:
                return np.concatenate(
                    [operator(some.numpy()) for some in torch.split(rows, together)]
                )

            return Program("ours", run, together)

        yield Work(
            name=f"Hessian product, {case.name}, {counted(together, 'vector')} at once",
            unit="product",
            items=vectors.repeat(MOST // SAMPLED, 1),
            operations=2.0 * costs(case).product * len(case.inputs),
            sample=vectors,
            ours=ours,
            rivals=partial(
                _native_derivatives.products, case, together, arguments.skip, arguments.patience
            ),
        )


def gradient(make: Maker, arguments: argparse.Namespace) -> Iterator[Work]:
    """Gradients of mini-batches, one by one and several points at once."""
    case = whole_batches(make())
    batches = len(case.inputs) // BATCH
    numbers = [i % batches for i in range(MOST)]
    for together in TOGETHER:

        def ours(together: int = together) -> Program:
            objective = objective_of(case, arguments, batch_size=BATCH)
            theta = np.tile(objective.theta, (together, 1))

            def run(some: Sequence[int]) -> tuple[Any, Any]:
                starts = range(0, len(some), together)
                found = [objective.gradients_on(theta, some[i : i + together]) for i in starts]
                losses, gradients = zip(*found, strict=True)
                return np.concatenate(losses), np.concatenate(gradients)

            return Program("ours", run, batches * together)

        yield Work(
            name=f"gradient, {case.name}, batch {BATCH}, {counted(together, 'point')} at once",
            unit="gradient",
            items=numbers,
            operations=2.0 * costs(case).gradient * BATCH,
            sample=numbers,
            ours=ours,
            rivals=partial(_native_derivatives.gradients, case, arguments.skip),
            checked=_mean_gradient,
        )


def _mean_gradient(found: tuple[Any, Any]) -> Any:
    """Ours shuffles samples into batches of its own: what both have is the mean over all."""
    return np.mean(np.asarray(found[1]), axis=0, keepdims=True, dtype=np.float64)


def objective_of(
    case: Case, arguments: argparse.Namespace, batch_size: int | None = None
) -> landscape.Objective:
    """Ours, with what its making takes; the clock of the comparison does not run yet."""
    start = time.perf_counter()
    objective = landscape.Objective(
        case.model, case.data, engine=arguments.engine, batch_size=batch_size
    )
    print(f"  objective made in {time.perf_counter() - start:.2f} s", flush=True)
    return objective


def counted(number: int, noun: str) -> str:
    """A number of things."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def resnet20(arguments: argparse.Namespace) -> Iterator[Work]:
    """The network of which photographs are needed."""
    return plane(partial(_native_cases.resnet20, arguments.cifar), arguments)


WORKS: dict[str, Callable[[argparse.Namespace], Iterator[Work]]] = {
    "digits-mlp": partial(plane, _native_cases.digits_mlp),
    "tiny": partial(plane, _native_cases.tiny),
    "mnist-mlp": partial(plane, _native_cases.mnist_mlp),
    "digits-cnn": partial(plane, _native_cases.digits_cnn),
    "mnist-cnn": partial(plane, _native_cases.mnist_cnn),
    "resnet20": resnet20,
    "hessian-digits-mlp": partial(hessian, _native_cases.digits_mlp),
    "hessian-mnist-mlp": partial(hessian, _native_cases.mnist_mlp),
    "gradient-digits-cnn": partial(gradient, _native_cases.digits_cnn),
}
