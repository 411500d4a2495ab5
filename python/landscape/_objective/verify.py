"""The check of L against the user's own program, on a few of the data.

L is evaluated by other tensors swapped into the user's module, in blocks of samples that suit the
machine, and its derivatives are those that PyTorch records. Each of these can be another function
than the one the user means, without an error anywhere: a loss that captured the parameters, a
forward pass that remembers the last batch, a backward pass that was detached. The check compares
values, which depend on none of it:

- the user's own model and loss, called on whole batches in their order, against L on them;
- both again at another point, which is written into the user's own tensors for the comparison;
- L against itself at the same point;
- before the first gradient, a central difference of L along a random direction against it; before
  the first Hessian product, a difference of gradients against the product.

When an Objective is made it takes at most eight forward passes over a probe of at most two batches
and 512 samples; before the first gradient two and one gradient, or four where the first two cannot
decide; before the first product two gradients and one product, or twice as many.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from landscape._objective.data.batches import (
    Batch,
    Batches,
    RaggedBatches,
    ResidentBatches,
    count_bytes,
)
from landscape._objective.data.pytree import map_tensors, take_rows
from landscape._objective.losses.reductions import Reductions
from landscape._objective.points import Rows
from landscape._objective.strategy import Strategy
from landscape._objective.torch_backend.evaluator import Evaluator, estimate_statistics
from landscape._objective.torch_backend.gradients import compute_gradients
from landscape._objective.torch_backend.hessian import HessianOperator
from landscape._objective.torch_backend.precision import to_double
from landscape._objective.torch_backend.tuning import count_fitting_samples
from landscape._objective.torch_backend.user_program import UserProgram
from landscape._objective.weight_decay import WeightDecay
from landscape._progress import stage
from landscape._turns import held, suspended

__all__ = ["CHECKS", "FunctionCheck", "take_probe"]

CHECKS = ("on", "off")

_BATCHES, _SAMPLES, _LEAST_SAMPLES = 2, 512, 32
_PROBE_BYTES = 1 << 19  # of inputs, beyond the least: a pass over many images takes long
_PRODUCT_SAMPLES = 8  # few: a kink of a ReLU between two gradients would count as curvature
_SEED = 20  # of the second point and the direction: the check is the same in every run
_ROUNDINGS = 100  # in units of the dtype's epsilon, that two evaluations may differ by
_CAST_ROUNDINGS = 3000  # where L is computed in another dtype than the user's program
_SCALING, _NOISE = 1.1, 0.05  # the second point: 1.1 theta + 0.05 rms(theta) n, tensor by tensor
_RETREAT = 0.02  # of that step, where the first second point is outside the model's domain
_ZERO_RMS = 0.01  # stands for the rms of a tensor of zeros
_SMOOTH = 1e-2  # relative, between differences of gradients at two steps
_PRODUCT_STEPS = (1e-9, 1e-8)
_PRODUCT_TOLERANCE = 1e-3
_GRADIENT_ROUNDING = 10
_PRODUCT_BUDGET = 1 << 34  # bytes of a graph of so few samples: it is built once
_STALE_VARIANCE = 4.0  # ratio of stored to re-estimated variances, the median channel's
_STALE_MEAN = 1.0  # difference of means in standard deviations, the median channel's
_STALE_SAMPLES = 32
_PLAIN = Strategy()
_OFF = "check='off' takes L as it is"


@dataclass(frozen=True)
class _Resolution:
    """A step, and how far a difference of losses may be from the slope there."""

    name: str
    step: float
    tolerance: float
    """Relative to the slope."""
    noise: float
    """Relative to L, for its rounding."""
    rounding: float
    """Absolute, for a cross-entropy of large logits, whose rounding does not shrink with L."""
    smooth: float
    """Relative, between differences at two steps: L has a derivative at that scale."""
    kinks: float
    """Relative to the slope, where L has none at that scale."""


_FINE = _Resolution("float64", 1e-6, 1e-3, noise=1e-8, rounding=1e-8, smooth=1e-4, kinks=1e-2)
_COARSE = _Resolution(
    "a coarse step", 3e-4, 1e-2, noise=2e-3, rounding=2e-3, smooth=1e-2, kinks=1e-2
)


@dataclass
class FunctionCheck:
    """What the check found of one function, and what it cost.

    Variants of an Objective with the same model share it.
    """

    mode: str
    loss: Any
    """The loss as the user passed it."""
    notes: tuple[str, ...] = ()
    """Remarks for the user on differences that are legitimate."""
    _findings: dict[str, str] = field(default_factory=dict)
    _faults: dict[str, str] = field(default_factory=dict)
    _passes: int = 0
    _gradients: int = 0
    _products: int = 0
    _seconds: float = 0.0

    def record(self) -> dict[str, Any]:
        """The outcome of each comparison, and the cost of all, as plain data."""
        if self.mode == "off":
            return {"mode": "off"}
        return {
            "mode": self.mode,
            **self._findings,
            "forward_passes": self._passes,
            "gradients": self._gradients,
            "products": self._products,
            "seconds": round(self._seconds, 4),
        }

    @torch.inference_mode(mode=False)
    def compare_losses(self, evaluator: Evaluator) -> None:
        """Compare L with the user's own program at two points, and with itself.

        Raises:
            ValueError: They differ by more than rounding.
        """
        if self.mode == "off":
            return
        start = time.perf_counter()
        with _as_its_owner_left_it(evaluator):
            single = _restrict(evaluator, _count_samples(evaluator.batches))
            self.notes += _describe_draws(single)
            self._findings["own_program"], stored = self._compare_programs(single)
            if stored is not None and evaluator.batch_norm == "frozen":
                self.notes += self._compare_statistics(single, stored)
        self._seconds += time.perf_counter() - start

    def require_gradient(self, evaluator: Evaluator) -> None:
        """Compare the gradient of L with a difference of losses, once for each policy.

        Raises:
            ValueError: They differ by more than rounding.
        """
        self._require("gradient", evaluator, self._compare_gradient)

    def require_product(self, evaluator: Evaluator) -> None:
        """Compare a Hessian product of L with a difference of gradients, once for each policy.

        Raises:
            ValueError: They differ by more than rounding.
        """
        self._require("product", evaluator, self._compare_product)

    @torch.inference_mode(mode=False)
    def _require(self, what: str, evaluator: Evaluator, compare: Any) -> None:
        if self.mode == "off" or evaluator.recalibrates:
            return  # derivatives under "recalibrated" are refused elsewhere
        key = what if evaluator.batch_norm == "frozen" else f"{what}_{evaluator.batch_norm}"
        if key in self._faults:
            raise ValueError(self._faults[key])
        if key in self._findings:
            return
        start = time.perf_counter()
        with stage(f"checking the {what}"), _as_its_owner_left_it(evaluator):
            finding, fault = compare(evaluator)
        self._findings[key] = finding
        self._seconds += time.perf_counter() - start
        if fault:
            self._faults[key] = fault
            raise ValueError(fault)

    def _compare_programs(self, single: Evaluator) -> tuple[str, float | None]:
        """The finding, and L at the model's own parameters."""
        batches = list(single.batches.iter_batches())
        module, layout = single.model.module, single.layout
        program = UserProgram(single, self.loss)
        theta = layout.flatten(module)
        try:
            own = program.mean_loss(batches)
        except Exception as error:  # L could be evaluated, so this program says less than L
            return f"not run: {type(error).__name__}: {error}", None
        self._passes += 1
        moved, own_moved = self._move(program, single, batches)
        points = [theta] if moved is None else [theta, moved, theta]
        losses = self._losses(single, points)
        scale = program.output_scale + max(abs(own), abs(own_moved or 0.0))
        tolerance = max(_tolerance(single), _ROUNDINGS * program.epsilon) * scale
        if not _agree(own, losses[0], tolerance):
            raise ValueError(_describe_difference(own, losses[0], len(batches), single))
        again = losses[-1] if moved is not None else self._losses(single, [theta])[0]
        if not _agree(losses[0], again, tolerance):
            raise ValueError(
                f"L is not a function: the same point gave {losses[0]:.9g} and then {again:.9g}. "
                "The model or the loss draws random numbers from a generator of its own, or keeps "
                "state that cannot be restored (a closure, a plain tensor that is changed in "
                "place). Pass the generator's seed anew in every call, register the state as a "
                f"buffer, or take it out of the loss; {_OFF}"
            )
        if moved is None or own_moved is None:
            finding = "agrees at the model's own parameters; no second point could be evaluated"
            return finding, losses[0]
        if not _agree(own_moved, losses[1], tolerance):
            change, seen = own_moved - own, losses[1] - losses[0]
            raise ValueError(
                "L is not the function of the parameters that your program computes: where the "
                "parameters are moved (by 10%, in your own tensors, which are restored), your loss "
                f"changes by {change:.6g} and L by {seen:.6g}. Parameters reach the loss by "
                "another way than the model's own attributes: a loss that captured "
                "list(model.parameters()), weights in a list, a cache or another copy of the "
                "model. Read them from the model in every call (landscape.batch_loss(f) with "
                "f(model, batch)), pass weight_decay=, or register the tensors as parameters of "
                f"the model; {_OFF}"
            )
        return "agrees at two points", losses[0]

    def _move(
        self, program: UserProgram, single: Evaluator, batches: Sequence[Batch]
    ) -> tuple[Any, float | None]:
        """A second point, as stored in the user's dtypes, and the user's loss there."""
        layout, module = single.layout, single.model.module
        for fraction in (1.0, _RETREAT):
            try:
                with program.moved_to(_draw_point(single, fraction)):
                    theta = layout.flatten(module)
                    loss = program.mean_loss(batches)
            except Exception:
                continue  # outside the model's domain, such as a matrix that must be definite
            self._passes += 1
            if np.isfinite(loss):
                return theta, loss
        return None, None

    def _losses(self, single: Evaluator, points: Sequence[Any]) -> list[float]:
        self._passes += len(points)
        return _evaluate(single, torch.from_numpy(np.stack(points)))

    def _compare_statistics(self, single: Evaluator, stored: float) -> tuple[str, ...]:
        """A note where stored batch-norm statistics are far from those of the data."""
        layers = single.norms.layers
        if not layers or single.batches.samples < _STALE_SAMPLES:
            return ()
        theta = torch.from_numpy(single.layout.flatten(single.model.module))[None]
        anew = replace(single, batch_norm="recalibrated")
        module = single.model.module
        try:
            estimates = estimate_statistics(anew, Rows(theta.to(single.dtype)))
        except Exception as error:
            self._findings["statistics"] = f"not run: {type(error).__name__}: {error}"
            return ()
        self._passes += 1
        far = [path for path, pair in estimates.items() if _is_stale(module, path, pair)]
        self._findings["statistics"] = f"{len(far)} of {len(layers)} batch norms are far"
        if not far:
            return ()
        estimated = _evaluate(anew, theta)[0]
        self._passes += 2
        note = (
            f"stale batch norm: the stored statistics of {len(far)} of {len(layers)} layers "
            f"({far[0]} first) are far from the data's; the loss is {stored:.4g} with them and "
            f"{estimated:.4g} with statistics re-estimated on {single.batches.samples} samples. "
            "Run some data through the model in train mode, or pass batch_norm='recalibrated'"
        )
        return (note,)

    def _compare_gradient(self, evaluator: Evaluator) -> tuple[str, str]:
        """The finding, and the fault where there is one."""
        single, reason = _restrict(evaluator, _count_samples(evaluator.batches)), ""
        # coarsely for a model that has no twin in float64, or computes parts of it in float32
        for function, resolution in ((to_double(single), _FINE), (single, _COARSE)):
            try:
                slopes = self._compare_slopes(function, resolution)
            except Exception as error:  # L itself is evaluated elsewhere, and raises what it must
                reason = f"{type(error).__name__}: {error}"
                continue
            if slopes.agree:
                return f"agrees in {resolution.name}", ""
            if slopes.smooth or resolution is _COARSE:
                return "differs", _describe_slope(slopes)
        return f"not run: {reason}", ""

    def _compare_slopes(self, function: Evaluator, resolution: _Resolution) -> _Slopes:
        """Compare the gradient with differences of L along a random direction."""
        weight = function.reductions.weights(function.batches)[0]
        for fraction in (1.0, _RETREAT):
            centre = _flatten(_draw_point(function, fraction), function.dtype)
            losses, gradients = compute_gradients(function, Rows(centre[None]), _PLAIN, weight)
            self._gradients += 1
            if losses.isfinite().all() and gradients.isfinite().all():
                break
        direction = _draw_direction(function, gradients[0])
        slope = float(gradients[0].double() @ direction.double())
        noise = resolution.noise * float(losses[0].abs()) + resolution.rounding

        def difference(h: float) -> float:
            self._passes += 2
            above, below = _evaluate(
                function, torch.stack([centre + h * direction, centre - h * direction])
            )
            return (above - below) / (2 * h)

        step, tolerance = resolution.step, resolution.tolerance
        first = difference(step)
        if not np.isfinite([first, slope]).all() or _close(slope, first, tolerance, noise):
            return _Slopes(slope, first, agree=True, smooth=True)
        smooth = _close(first, difference(3 * step), resolution.smooth, noise)
        # the kinks of a deep ReLU network, some of which lie within any step
        agree = not smooth and _close(slope, first, resolution.kinks, noise)
        return _Slopes(slope, first, agree=agree, smooth=smooth)

    def _compare_product(self, evaluator: Evaluator) -> tuple[str, str]:
        """The finding, and the fault where there is one."""
        function = to_double(_restrict(evaluator, _PRODUCT_SAMPLES))
        try:
            product, differences = self._compare_products(function)
        except Exception as error:  # the product itself is made elsewhere, and raises what it must
            return f"not run: {type(error).__name__}: {error}", ""
        if _products_agree(product, differences):
            return "agrees in float64", ""
        if _relative_distance(*differences) > _SMOOTH:
            return "not decided: the gradient is not smooth where it was compared", ""
        return "differs", _describe_product(product, differences[0])

    def _compare_products(self, function: Evaluator) -> tuple[Tensor, list[Tensor]]:
        """A Hessian product, and differences of gradients: one, or two where it disagrees."""
        weight = function.reductions.weights(function.batches)[0]
        centre = _flatten(_draw_point(function, 1.0), function.dtype)
        direction = _draw_direction(function, torch.zeros_like(centre))
        operator = HessianOperator(
            function,
            Rows(centre[None]),
            _PLAIN,
            weight=weight,
            weight_decay=WeightDecay(0.0),
            budget=_PRODUCT_BUDGET,
        )
        product = torch.from_numpy(operator(direction.numpy()))
        self._products += 1
        differences = []
        for step in _PRODUCT_STEPS:
            pair = torch.stack([centre + step * direction, centre - step * direction])
            _, gradients = compute_gradients(function, Rows(pair), _PLAIN, weight)
            self._gradients += 2
            differences.append((gradients[0] - gradients[1]) / (2 * step))
            if _products_agree(product, differences):
                break
        return product, differences


@dataclass(frozen=True)
class _Slopes:
    """The derivative along a direction by the gradient, and by a difference of losses."""

    slope: float
    difference: float
    agree: bool
    smooth: bool
    """Whether differences at two steps agree, so that L has a derivative at that scale."""


@contextmanager
def _as_its_owner_left_it(evaluator: Evaluator) -> Iterator[None]:
    """The model for this thread alone, without the tensors of an evaluation that asks for this."""
    module = evaluator.model.module
    with held(module), suspended(frozenset(map(id, module.modules()))):
        yield


def take_probe(batches: Batches, samples: int) -> Batches:
    """The first batches of the split: at most two, and this many samples, as far as they fit.

    Batches that cannot be cut are taken whole, the first one at least.
    """
    if isinstance(batches, ResidentBatches):
        return _take_rows(batches, samples)
    first: list[Batch] = []
    for batch in batches.iter_batches():
        if first and first[0].size + batch.size > samples:
            break
        first.append(batch)
        if len(first) == _BATCHES or first[0].size >= samples:
            break
    sizes = tuple(batch.size for batch in first)
    contents = tuple(batch.content for batch in first)
    return RaggedBatches(contents, sizes, lambda tree: tree, batches.weigh)


def _take_rows(batches: ResidentBatches, samples: int) -> ResidentBatches:
    sizes = batches.sizes[:_BATCHES]
    samples = min(samples, count_fitting_samples(batches, batches.device))
    if sum(sizes) > samples:
        sizes = (min(sizes[0], samples),)
    count = sum(sizes)
    rows = slice(count) if batches.order is None else batches.order[:count]
    content = map_tensors(
        lambda tensor: tensor.to(batches.device), take_rows(rows, batches.content)
    )
    return ResidentBatches(content, count, batches.device, sizes, weigh=batches.weigh)


def _count_samples(batches: Batches) -> int:
    """The number of samples to compare on: fewer of one large batch where each of them is large."""
    if not isinstance(batches, ResidentBatches) or len(batches.sizes) > 1:
        return _SAMPLES  # how batches are weighted shows in two of them
    fitting = _PROBE_BYTES * batches.samples // max(count_bytes(batches.content), 1)
    return min(max(fitting, _LEAST_SAMPLES), _SAMPLES)


def _restrict(evaluator: Evaluator, samples: int) -> Evaluator:
    """The function on a probe, its loss alone, stored statistics in place of re-estimated ones."""
    probe = take_probe(evaluator.batches, samples)
    policy = evaluator.batch_norm
    return replace(
        evaluator,
        batches=probe,
        statistics=probe,
        reductions=Reductions(evaluator.reductions.criterion),
        batch_norm="frozen" if policy == "recalibrated" else policy,
    )


def _evaluate(function: Evaluator, points: Tensor) -> list[float]:
    """L at each point, shape (k, d)."""
    weight = function.reductions.weights(function.batches)[0]
    sums = function.sums(Rows(points.to(function.dtype)), _PLAIN)[:, 0]
    return (sums / weight).tolist()


def _draw_point(function: Evaluator, fraction: float) -> list[Tensor]:
    """A second point near the model's own, tensor by tensor, on the CPU."""
    return [
        own + fraction * ((_SCALING - 1) * own + _NOISE * noise)
        for own, noise in _iter_noise(function, _SEED)
    ]


def _draw_direction(function: Evaluator, gradient: Tensor) -> Tensor:
    """A random direction in units of each tensor's rms, and as long a part along the gradient."""
    noises = [noise for _, noise in _iter_noise(function, _SEED + 1)]
    direction = _flatten(noises, torch.float64)
    length = gradient.double().norm()
    if length > 0:
        direction = direction + gradient.double() * (direction.norm() / length)
    return direction.to(function.dtype)


def _iter_noise(function: Evaluator, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Each varied parameter in float64 on the CPU, and Gaussian noise of its rms."""
    random = torch.Generator().manual_seed(seed)
    for entry in function.layout.entries:
        parameter = function.model.module.get_parameter(entry.name)
        own = parameter.detach().to("cpu", torch.float64)
        noise = torch.randn(own.shape, generator=random, dtype=torch.float64)
        yield own, _rms(own) * noise


def _rms(tensor: Tensor) -> float:
    return float(tensor.square().mean().sqrt()) or _ZERO_RMS


def _flatten(tensors: Sequence[Tensor], dtype: torch.dtype) -> Tensor:
    return torch.cat([tensor.reshape(-1) for tensor in tensors]).to(dtype)


def _tolerance(single: Evaluator) -> float:
    """How far the user's loss and L may be apart, relative to losses and outputs."""
    dtypes = {p.dtype for p in single.model.module.parameters() if p.is_floating_point()}
    working = set(single.model.dtypes)
    epsilon = max(torch.finfo(dtype).eps for dtype in dtypes | working)
    return (_ROUNDINGS if working == dtypes else _CAST_ROUNDINGS) * epsilon


def _agree(first: float, second: float, tolerance: float) -> bool:
    """Whether two losses agree; where neither is finite there is nothing to compare."""
    if not np.isfinite([first, second]).all():
        return bool(np.isfinite(first) == np.isfinite(second))
    return abs(first - second) <= tolerance


def _close(first: float, second: float, relative: float, noise: float) -> bool:
    return abs(first - second) <= relative * max(abs(first), abs(second)) + noise


def _relative_distance(first: Tensor, second: Tensor) -> float:
    size = max(float(first.norm()), float(second.norm()))
    return float((first - second).norm()) / size if size else 0.0


def _products_agree(product: Tensor, differences: Sequence[Tensor]) -> bool:
    """Whether a product agrees with the last of some differences of gradients."""
    step, difference = _PRODUCT_STEPS[len(differences) - 1], differences[-1]
    # of every entry of two gradients, whose rounding does not shrink with them
    rounding = _GRADIENT_ROUNDING * torch.finfo(product.dtype).eps / step * len(product) ** 0.5
    size = max(float(product.norm()), float(difference.norm()))
    return float((product - difference).norm()) <= float(_PRODUCT_TOLERANCE * size + rounding)


def _is_stale(module: torch.nn.Module, path: str, estimate: tuple[Tensor, ...]) -> bool:
    """Whether the median channel's stored statistics are far from re-estimated ones."""
    layer, (mean, variance) = module.get_submodule(path), estimate
    stored_mean, stored_variance = (
        layer.get_buffer(name).to(mean) for name in ("running_mean", "running_var")
    )
    tiny: float = getattr(layer, "eps", 0.0)
    ratio = (stored_variance + tiny) / (variance + tiny)
    shift = (stored_mean - mean).abs() / (variance + tiny).sqrt()
    far = torch.maximum(ratio, 1 / ratio).median() > _STALE_VARIANCE
    return bool(far or shift.median() > _STALE_MEAN)


def _describe_draws(single: Evaluator) -> tuple[str, ...]:
    if not single.model.behaviour.is_random:
        return ()
    note = (
        "the model or the loss draws random numbers: L takes the same ones at every point (those "
        f"of seed={single.model.seed}), on the batches as they come"
    )
    return (note,)


def _describe_difference(own: float, loss: float, batches: int, single: Evaluator) -> str:
    where = "the first batch" if batches == 1 else f"the first {batches} batches"
    causes = (
        "batches are cut anew where outputs depend on a whole batch, state is carried from one "
        "batch to the next, or a tensor outside the model's parameters and buffers keeps another "
        "dtype or device"
    )
    return (
        f"L differs from your own program on {where} ({single.batches.samples} samples), at the "
        f"model's own parameters: your model and loss give {own:.9g}, L is {loss:.9g}. Likely "
        f"causes: {causes}. Pass landscape.batch_loss(f) with f(model, batch), dtype= the model's "
        f"own, or weight= where the loss is a mean over something else; {_OFF}"
    )


def _describe_slope(slopes: _Slopes) -> str:
    cause = (
        "L changes, and no derivative reaches it: the loss or the model runs under no_grad, "
        "detaches what it computes, or returns a number made anew"
        if slopes.slope == 0
        else "the loss or a part of the model is computed under no_grad or detached, a backward "
        "pass is a custom one (a straight-through estimator), weights are overwritten in the "
        "forward pass (an embedding with max_norm), or it computes in low precision "
        "(dtype=torch.float64 shows it)"
    )
    return (
        "the gradient of L is not its derivative, so that curvatures, paths and searches would be "
        f"of no meaning: along a random direction a difference of losses gives "
        f"{slopes.difference:.6g} and the gradient {slopes.slope:.6g}. Likely cause: {cause}. Pass "
        f"a loss with a derivative (surfaces and lines need none); {_OFF}"
    )


def _describe_product(product: Tensor, difference: Tensor) -> str:
    distance = _relative_distance(product, difference)
    return (
        f"the Hessian product is not the derivative of the gradient: it differs by "
        f"{distance:.2g} of its length from a difference of gradients in float64. Likely causes: "
        "a custom backward pass that detaches what it saved (so that its own derivative is lost), "
        "or a derivative under no_grad. Make the backward pass differentiable (save tensors by "
        f"ctx.save_for_backward), or pass curvature='gauss_newton'; {_OFF}"
    )


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
