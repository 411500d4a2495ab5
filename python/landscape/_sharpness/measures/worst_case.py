"""`worst_case_sharpness`: the mean over mini-batches of the largest rise in a neighbourhood."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from landscape import _core
from landscape._sharpness.context import GRADIENT
from landscape._sharpness.definition import DerivativeDefinition, NotApplicable, Outcome
from landscape._sharpness.neighbourhood import (
    Logits,
    Scaling,
    choose_function,
    choose_scale,
    validate_neighbourhood,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from landscape._objective import Objective
    from landscape._results import Invariance
    from landscape._sharpness.context import Context

__all__ = ["WorstCase"]

_VECTORS = 6  # of the parameters' size that a search keeps for each row


@dataclass(frozen=True)
class WorstCase(DerivativeDefinition):
    r"""Worst-case m-sharpness: the largest rise in a neighbourhood, on batches of m samples.

    .. math:: E_{|S| = m} \left[ \max_{\lVert \delta / c \rVert_p \le \rho}
        L_S(\theta + \delta) - L_S(\theta) \right], \quad c = 1 \text{ or } |\theta|

    The maximum is searched by projected ascent with an adaptive step (Auto-PGD), so that the value
    is a lower bound of it. The standard error is that of the batches, of which others could have
    been drawn; there is none with all data at once. The adaptive form is invariant when units are
    rescaled.

    Args:
        radius: rho, relative to c.
        norm: ``"l2"`` or ``"linf"``.
        scaling: ``"plain"``: c = 1; ``"adaptive"``: c = \|theta\|, biases too.
        batch: m, the samples of a batch; all data when None. Data that come in batches keep them.
        batches: How many batches are drawn, where there are several.
        logits: ``"normalised"`` divides each sample's logits by their spread over the classes, so
            that a confident model is not sharp for its scale alone.
        steps: Of the ascent.
        starts: Starting points of each batch: the minimum and random ones. At an exact minimum the
            gradient is zero, so that one start would stay there.
        method: ``"apgd"``, or ``"projected"`` with fixed steps.

    Raises:
        ValueError: An option is out of range.

    Example:
        >>> measure = landscape.measures.WorstCase(radius=0.01, norm="linf", scaling="adaptive")
        >>> landscape.sharpness(model, data, measures=[measure])
    """

    name: ClassVar[str] = "worst_case_sharpness"
    reference: ClassVar[str] = (
        "Foret et al. (2021), section 2; Andriushchenko, Croce, Müller, Hein and Flammarion "
        "(2023), A Modern Look at the Relationship between Sharpness and Generalization, eq. 1; "
        "Croce and Hein (2020), algorithm 1, for the ascent"
    )

    penalised: ClassVar[bool] = True
    accuracy: ClassVar[float] = 0.01  # searches from other points end at other local maxima

    radius: float = 0.1
    norm: Literal["l2", "linf"] = "l2"
    scaling: Scaling = "adaptive"
    batch: int | None = None
    batches: int = 8
    logits: Logits = "as_is"
    steps: int = 20
    starts: int = 2
    method: Literal["apgd", "projected"] = "apgd"

    def __post_init__(self) -> None:
        validate_neighbourhood(self.radius, self.scaling, self.logits)
        if self.norm not in ("l2", "linf"):
            raise ValueError(f"norm={self.norm!r}, expected 'l2' or 'linf'")
        if self.method not in ("apgd", "projected"):
            raise ValueError(f"method={self.method!r}, expected 'apgd' or 'projected'")
        if self.batch is not None and self.batch < 1:
            raise ValueError(f"batch={self.batch}, expected at least 1 sample, or None for all")
        if min(self.batches, self.steps, self.starts) < 1:
            raise ValueError(
                f"batches={self.batches}, steps={self.steps} and starts={self.starts}, expected at "
                "least 1 each"
            )

    @property
    def rescaling(self) -> Invariance:  # type: ignore[override]  # it depends on an option
        """The adaptive form is invariant."""
        return "exact" if self.scaling == "adaptive" else "no"

    def require(self, context: Context) -> None:
        """Refuse batches of which there are none.

        Raises:
            NotApplicable: A batch is larger than the data.
        """
        super().require(context)
        if self.batch is not None and self.batch > context.samples:
            raise NotApplicable(f"batch={self.batch}, but there are {context.samples} samples")

    def estimate_cost(self, context: Context) -> float:
        """Steps from every start, on the share of the data that the batches are."""
        share = 1.0
        if self.batch is not None:
            share = min(1.0, self.batches * self.batch / context.samples)
        return self.starts * (self.steps + 1) * share * GRADIENT

    def compute(self, context: Context) -> Outcome:
        """Search every batch, as many together as the memory holds."""
        function = choose_function(context, self.logits)
        if self.batch is not None:
            function = function.with_batch_size(self.batch)
        chosen = self._choose_batches(context, function)
        scale = choose_scale(context, self.scaling)
        if not scale.any():
            raise NotApplicable("all parameters are 0, so that the neighbourhood is the point")
        size = max(1, context.block_size // (_VECTORS * self.starts))
        parts = [
            self._search(context, function, scale, chosen[i : i + size])
            for i in range(0, len(chosen), size)
        ]
        rises = np.concatenate([part for part, _ in parts])
        if not np.isfinite(rises).all():
            lost = int((~np.isfinite(rises)).sum())
            return Outcome(None, status=f"diverged: {lost} of {len(rises)} batches")
        error = None
        if self.batch is not None and len(rises) > 1:  # other batches could have been drawn
            error = float(rises.std(ddof=1) / np.sqrt(len(rises)))
        return Outcome(
            float(rises.mean()),
            error,
            freedom=None if error is None else len(rises) - 1,
            details={
                "batches": len(rises),
                "batch_size": self._batch_size(context, function),
                "search": parts[0][1],
            },
            curves={"rises": rises},
        )

    def _batch_size(self, context: Context, function: Objective) -> int:
        return context.samples if self.batch is None else round(context.samples / function.batches)

    def _choose_batches(self, context: Context, function: Objective) -> NDArray[np.int64]:
        if self.batch is None:
            return np.zeros(1, np.int64)  # all data at once
        order = np.random.default_rng(context.stream(self.name)).permutation(function.batches)
        return np.sort(order[: self.batches])

    def _search(
        self, context: Context, function: Objective, scale: NDArray[Any], chosen: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], str]:
        """The largest rise on each batch, from several starts."""
        rows = np.repeat(chosen, self.starts)
        starts = self._draw_starts(context, scale, chosen)
        source = context.gradient_source_of(function)
        is_whole = self.batch is None
        solver = _core.Ascent(
            source,
            context.theta,
            starts,
            scale=scale,
            method=self.method,
            constraint="ball" if self.norm == "l2" else "box",
            radius=self.radius,
            steps=self.steps,
            batches=None if is_whole else rows.tolist(),
        )
        share = 1.0 if is_whole else 1 / function.batches
        context.solve(solver, source, cost=len(rows) * share * GRADIENT)
        context.charge(solver.gradients * share * GRADIENT)
        found = solver.losses().reshape(-1, self.starts)
        bases = solver.history()[0].reshape(-1, self.starts)[:, 0]  # the first start is theta
        return np.max(found, axis=1) - bases, solver.status

    def _draw_starts(
        self, context: Context, scale: NDArray[Any], chosen: NDArray[np.int64]
    ) -> NDArray[Any]:
        """None, and for further starts of a batch random ones, half of the radius away."""
        starts = np.zeros((len(chosen), self.starts, context.dim), context.theta.dtype)
        for row, batch in zip(starts, chosen, strict=True):
            first = int(batch) * (self.starts - 1)
            draws = context.iter_gaussians(self.name, self.starts - 1, first)
            for start, noise in zip(row[1:], draws, strict=True):
                norm = np.linalg.norm(noise) if self.norm == "l2" else np.abs(noise).max()
                start[:] = 0.5 * self.radius * scale * noise / norm
        return starts.reshape(-1, context.dim)
