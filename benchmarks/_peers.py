"""Other packages, each evaluated at as many points of a plane as landscape.

Depends on the packages, where they are installed, and on PyTorch. Every one of them calls the same
float64 loss on data in memory. What is not the evaluation of points (drawing directions, copying
the model) is done beforehand.
"""

# ruff: noqa: PLC0415 - a package that is missing is left out

from __future__ import annotations

import contextlib
import copy
import io
from collections.abc import Callable, Iterator
from importlib import metadata

from _cases import Case
from torch import Tensor, nn

Run = Callable[[], object]
Peer = Callable[[Case, Tensor, Tensor, int], Run]


def loss_landscapes(case: Case, u: Tensor, v: Tensor, points: int) -> Run:
    """The same plane, between theta - u - v and two more corners; its points are one step off."""
    import loss_landscapes as package
    from loss_landscapes.metrics import Loss

    metric = Loss(case.loss, case.inputs, case.targets)
    corners = [moved(case.model, a * u + b * v) for a, b in ((-1, -1), (1, -1), (-1, 1))]
    return lambda: package.planar_interpolation(*corners, metric, steps=points, deepcopy_model=True)


def landscaper(case: Case, u: Tensor, v: Tensor, points: int) -> Run:
    """As many points; the package rescales every tensor of the directions."""
    from landscaper.compute import compute_loss_landscape

    model = copy.deepcopy(case.model)

    def loss(model: nn.Module, data: tuple[Tensor, Tensor]) -> float:
        inputs, targets = data
        return case.loss(model(inputs), targets).item()

    directions = [pieces(case.model, u), pieces(case.model, v)]
    return lambda: compute_loss_landscape(
        model, case.data, directions, loss, steps=points, distance=1.0, dim=2, device="cpu"
    )


def gradfield(case: Case, u: Tensor, v: Tensor, points: int) -> Run:  # noqa: ARG001 - draws its own
    """As many points, on directions that the package draws itself."""
    from gradfield import model_loss_fn, sample_grid

    plane = model_loss_fn(case.model, case.loss, case.inputs, case.targets)
    return lambda: sample_grid(plane, (-1.0, 1.0), (-1.0, 1.0), resolution=points)


PEERS: dict[str, Peer] = {
    "loss-landscapes": loss_landscapes,
    "landscaper": landscaper,
    "gradfield": gradfield,
}


def installed() -> Iterator[tuple[str, Peer]]:
    """The packages that can be imported here, with their versions; says so of the others."""
    for name, peer in PEERS.items():
        try:
            __import__(name.replace("-", "_"))
        except ImportError as error:
            print(f"skipped: {name} cannot be imported here ({error})")
        else:
            yield f"{name} {metadata.version(name)}", peer


def silent(run: Run) -> Run:
    """Without what a package prints."""

    def quietly() -> object:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            return run()

    return quietly


def moved(model: nn.Module, step: Tensor) -> nn.Module:
    """A copy of the model, displaced."""
    copied = copy.deepcopy(model)
    for parameter, piece in zip(copied.parameters(), pieces(model, step), strict=True):
        parameter.data += piece
    return copied


def pieces(model: nn.Module, vector: Tensor) -> list[Tensor]:
    """A flat vector as one tensor for each parameter."""
    shapes = [p.shape for p in model.parameters()]
    parts = vector.split([shape.numel() for shape in shapes])
    return [part.reshape(shape).clone() for part, shape in zip(parts, shapes, strict=True)]
