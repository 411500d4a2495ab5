"""Trust: what a surface shows of the loss around its centre, and what it does not."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from landscape import _core
from landscape._results.base import Result, wrap_row
from landscape._results.frozen import freeze_array, freeze_json
from landscape._results.provenance import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]

_TYPICAL = 0.95
_DIFFERENT_PLANES = 0.5
_FEW_SHARP, _MOST_SHARP = 0.1, 0.5
_NOTICEABLE_NEGATIVE = 0.01
_NOTICEABLE_GAIN = 0.01
_OUTSIDE = 0.1
_OTHER_LOSS = 0.25
_WRONG = 0.05
_NOISE = 0.1
_UNCERTAIN = 0.25
_TINY = 1e-4
_CONFIDENCE = 1.96
_NAME_WIDTH = 18


@dataclass(frozen=True, eq=False, repr=False)
class Trust(Result):
    r"""What a surface shows of the loss around its centre; `surface.trust()` computes it.

    A plane shows two of d directions. :attr:`verdict` says in words what follows from the numbers
    below, by these thresholds:

    - **Planes.** The plane is typical where its mean rise at the edge lies within the 95%
      prediction interval of one more random plane (Student's, from the rises of the others). The
      random planes differ much where the standard deviation of that rise exceeds half its mean: a
      contour of another plane may then lie at twice the height.
    - **Curvature.** On a quadratic a share s of the largest curvature means that a contour lies
      :math:`1/\sqrt{s}` times as far out as along the sharpest direction. Below 10% (three times)
      sharp directions are not in the picture; from 50% (1.4 times) on they are. An error of more
      than a quarter of the largest eigenvalue, such as that of few samples, is said. A negative
      eigenvalue counts where it exceeds its error and 1% of the largest: smaller ones are found at
      most minima of networks.
    - **Gradient.** The centre is no minimum where one step of steepest descent lowers the loss by
      more than 1%, less than a contour line shows.
    - **Trajectory.** The path is flat where at most 10% of the checkpoints' squared distances from
      the model lie outside the plane; the plane's losses are those of the checkpoints where they
      are within 25% of them in the median, about the step from one contour line to the next.
    - **Interpolation.** 5% of the loss, at the 95th percentile, is what a reader cannot see.
    - **Sampling.** Noise is visible where 1.96 standard errors exceed a tenth of the range: one
      contour line in ten.

    Args:
        radii: (r,) distances from the centre, as shares of half the picture's extent.
        rises: (1 + p, r, a) losses less that of the centre, at a angles on ellipses of these radii:
            of this plane, then of p random ones of the same normalisation and lengths.
        plane_seeds: Of the random planes: they are those of `landscape.surface(..., seed=)`.
        centre_loss: The loss at the centre.
        loss_range: The smallest and the largest finite loss of the surface.
        dim: The number d of parameters.
        slice_curvature: (2, 2) :math:`u^T H v / (|u| |v|)` for the two directions of the plane.
        cosine: Between the two directions.
        eigenvalues: (2,) the largest and the smallest eigenvalue of the full Hessian.
        residuals: (2,) :math:`|H v - \lambda v|` of both.
        eigenvalue_errors: (2,) half-widths of their intervals.
        mean_curvature: tr H / d, which is what random directions show on average.
        mean_curvature_error: Its standard error.
        gradient_norm: Of the full gradient at the centre.
        plane_gradient_norm: Of its projection onto the plane.
        descent_gain: By how much a step of steepest descent lowers the loss of the centre.
        checkpoint_losses: (n,) losses at the checkpoints of a trajectory.
        plane_losses: (n,) those of the surface at their projections, interpolated; NaN outside.
        distances: (n,) of the checkpoints from the model, in units of the parameters.
        outside: (n,) of the checkpoints from the plane.
        interpolation_error: 95th percentile and maximum of the error between the points.
        interpolation_scale: What it is relative to: "loss" or "range".
        interpolation_source: Of a surface that was computed to a tolerance, "bound" (with
            confidence, from fresh random points) or "estimate"; of a full grid, "held-out points":
            what every second point predicts for the points between, which are twice as far apart
            as those of the picture.
        subset_error: Median and maximum of the losses' standard errors, where the data are a
            random subset.
        unavailable: Part ("planes", "curvature", "gradient", "trajectory", "interpolation") to the
            reason why it is missing.
        products: The number of Hessian products.
        status: How the computation ended, as a sentence.
        run: How the numbers were computed; its evaluations are losses over all data.

    Raises:
        ValueError: Shapes that do not fit together.

    Reference:
        Li, Xu, Taylor, Studer and Goldstein, "Visualizing the Loss Landscape of Neural Nets"
        (2018), section 6 and appendix A.1 (repeatability over random planes); Böttcher and
        Wheeler, "Visualizing high-dimensional loss landscapes with Hessian directions" (2024):
        random slices show the mean curvature.

    Example:
        >>> trust = landscape.surface(model, data, points=9).trust(planes=3)
        >>> trust.rises.shape, trust.rank in (1, 2, 3, 4)
        ((4, 4, 8), True)
    """

    kind: ClassVar[str] = "trust"
    arrays: ClassVar[tuple[str, ...]] = (
        "radii",
        "rises",
        "slice_curvature",
        "eigenvalues",
        "residuals",
        "eigenvalue_errors",
        "checkpoint_losses",
        "plane_losses",
        "distances",
        "outside",
    )

    radii: NDArray[np.float64] | None = None
    rises: NDArray[np.float64] | None = None
    _: KW_ONLY
    plane_seeds: tuple[int, ...] = ()
    centre_loss: float
    loss_range: tuple[float, float]
    dim: int
    slice_curvature: NDArray[np.float64] | None = None
    cosine: float | None = None
    eigenvalues: NDArray[np.float64] | None = None
    residuals: NDArray[np.float64] | None = None
    eigenvalue_errors: NDArray[np.float64] | None = None
    mean_curvature: float | None = None
    mean_curvature_error: float | None = None
    gradient_norm: float | None = None
    plane_gradient_norm: float | None = None
    descent_gain: float | None = None
    checkpoint_losses: NDArray[np.float64] | None = None
    plane_losses: NDArray[np.float64] | None = None
    distances: NDArray[np.float64] | None = None
    outside: NDArray[np.float64] | None = None
    interpolation_error: tuple[float, float] | None = None
    interpolation_scale: str | None = None
    interpolation_source: str | None = None
    subset_error: tuple[float, float] | None = None
    unavailable: Mapping[str, str] = field(default_factory=dict)
    products: int
    status: str
    run: Run

    def __post_init__(self) -> None:
        count = np.size(self.checkpoint_losses) if self.checkpoint_losses is not None else 0
        radii = np.size(self.radii) if self.radii is not None else 0
        rises = np.empty((0, 0, 1)) if self.rises is None else np.asarray(self.rises)
        angles = rises.shape[-1]
        shapes: dict[str, tuple[int, ...]] = {
            "radii": (radii,),
            "rises": (1 + len(self.plane_seeds), radii, angles),
            "slice_curvature": (2, 2),
            **dict.fromkeys(("eigenvalues", "residuals", "eigenvalue_errors"), (2,)),
            **dict.fromkeys(("checkpoint_losses", "plane_losses", "distances"), (count,)),
            "outside": (count,),
        }
        for name, shape in shapes.items():
            if getattr(self, name) is not None:
                object.__setattr__(self, name, freeze_array(getattr(self, name), name, shape))
        for name in ("plane_seeds", "loss_range", "interpolation_error", "subset_error"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, tuple(getattr(self, name)))
        object.__setattr__(self, "unavailable", freeze_json(self.unavailable))

    @property
    def profiles(self) -> NDArray[np.float64] | None:
        """(1 + p, r) the mean rise over the angles: of this plane, then of the random ones."""
        return None if self.rises is None else self.rises.mean(axis=2)

    @property
    def rank(self) -> int | None:
        """This plane's place among all by its mean rise at the edge: 1 is the lowest."""
        edge = self._edge
        return None if edge is None else 1 + int((edge[1:] < edge[0]).sum())

    @property
    def spread(self) -> float | None:
        """Standard deviation over mean of the random planes' rise at the edge."""
        others = self._others
        return None if others is None else float(np.std(others, ddof=1) / abs(others.mean()))

    @property
    def typical_range(self) -> tuple[float, float] | None:
        r"""Where the rise of one more random plane lies with probability 95%.

        .. math:: m \pm t_{p - 1} s \sqrt{1 + 1/p}
        """
        others = self._others
        if others is None:
            return None
        quantile = _core.student_quantile(_TYPICAL, len(others) - 1)
        half = quantile * float(np.std(others, ddof=1)) * math.sqrt(1 + 1 / len(others))
        return float(others.mean()) - half, float(others.mean()) + half

    @property
    def _edge(self) -> Floats | None:
        profiles = self.profiles
        return None if profiles is None or profiles.shape[1] == 0 else profiles[:, -1]

    @property
    def _others(self) -> Floats | None:
        """The random planes' rises at the edge, None where they have no finite spread."""
        edge = self._edge
        if edge is None or len(edge) < 3 or not np.isfinite(edge[1:]).all():
            return None
        return edge[1:]

    @property
    def plane_eigenvalues(self) -> NDArray[np.float64] | None:
        r"""(2,) the largest and the smallest :math:`x^T H x / x^T x` over the plane."""
        if self.slice_curvature is None or self.cosine is None:
            return None
        root = np.linalg.cholesky([[1.0, self.cosine], [self.cosine, 1.0]])
        half = np.linalg.solve(root, self.slice_curvature)
        return np.linalg.eigvalsh(np.linalg.solve(root, half.T))[::-1]

    @property
    def curvature_share(self) -> float | None:
        """The largest curvature in the plane over that of all; None where that is not positive."""
        within = self.plane_eigenvalues
        if within is None or self.eigenvalues is None or not self.eigenvalues[0] > 0:
            return None
        return float(within[0] / self.eigenvalues[0])

    @property
    def gradient_share(self) -> float | None:
        """The norm of the gradient within the plane over that of the full gradient."""
        if self.plane_gradient_norm is None or not self.gradient_norm:
            return None
        return self.plane_gradient_norm / self.gradient_norm

    @property
    def outside_share(self) -> float | None:
        """The checkpoints' squared distances from the plane over those from the model."""
        if self.outside is None or self.distances is None or not self.distances.any():
            return None
        return float((self.outside**2).sum() / (self.distances**2).sum())

    @property
    def verdict(self) -> tuple[str, ...]:
        """What follows from the numbers, in words; the class says by which thresholds."""
        sentences = [
            *_judge_planes(self),
            *_judge_curvature(self),
            *_judge_gradient(self),
            *_judge_trajectory(self),
            *_judge_interpolation(self),
            *_judge_subset(self),
        ]
        sentences += [f"Not examined: {part}, {why}." for part, why in self.unavailable.items()]
        return tuple(sentences)

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """The random planes, the curvatures and the verdict: `landscape.plot.trust`.

        Args:
            ax: Where to draw one part; None creates a figure of all (`.figure` of the Axes).
            options: Those of `landscape.plot.trust`.

        Returns:
            The Axes drawn on; of a figure of all parts, the first.
        """
        from landscape import plot  # noqa: PLC0415  (matplotlib takes a while to import)

        return plot.trust(self, ax, **options)

    def __repr__(self) -> str:
        lines = [self._title(f"Trust in a plane of {self.dim} dimensions")]
        for name, text in _rows(self):
            lines += wrap_row(name, text, _NAME_WIDTH)
        for sentence in self.verdict:
            lines += wrap_row("  -", sentence, 4)
        cost = f"{self.run.evaluations} losses, {self.products} products"
        lines += self._describe_run(cost, "cost")
        return "\n".join(lines)


def _rows(trust: Trust) -> list[tuple[str, str]]:
    rows = [("loss", f"{trust.centre_loss:.5g} at the centre, {_format_range(trust.loss_range)}")]
    profiles, limits = trust.profiles, trust.typical_range
    if profiles is not None and trust.rank is not None:
        text = f"{profiles[0, -1]:.4g} at the edge, rank {trust.rank} of {len(profiles)} planes"
        if limits is not None:
            text += f"; random ones {_format_range(limits)}"
        rows.append(("mean rise", text))
    within, values = trust.plane_eigenvalues, trust.eigenvalues
    if within is not None:
        rows.append(("plane curvature", f"{within[1]:.4g} .. {within[0]:.4g}"))
    if values is not None and trust.eigenvalue_errors is not None:
        (top, low), (top_error, low_error) = values, trust.eigenvalue_errors
        text = f"{low:.4g} +- {low_error:.1g} .. {top:.4g} +- {top_error:.1g}"
        rows.append(("Hessian", text))
    if trust.mean_curvature is not None:
        text = f"{trust.mean_curvature:.4g} +- {trust.mean_curvature_error:.1g}"
        rows.append(("trace / d", text))
    if trust.gradient_norm is not None:
        text = f"{trust.gradient_norm:.4g}, {trust.plane_gradient_norm:.4g} within the plane"
        rows.append(("gradient norm", text))
    if trust.outside_share is not None:
        text = f"{_percent(trust.outside_share)} of squared distances outside the plane"
        rows.append(("trajectory", text))
    if trust.interpolation_error is not None:
        high, top = map(_percent, trust.interpolation_error)
        text = f"{high} of the {trust.interpolation_scale} at the 95th percentile, {top} at most"
        rows.append(("interpolation", f"{text} ({trust.interpolation_source})"))
    if trust.subset_error is not None:
        middle, top = trust.subset_error
        rows.append(("subset", f"standard errors {middle:.2g} in the median, {top:.2g} at most"))
    return rows


def _judge_planes(trust: Trust) -> list[str]:
    profiles, limits, spread = trust.profiles, trust.typical_range, trust.spread
    if profiles is None:
        return []
    own, others = float(profiles[0, -1]), profiles[1:, -1]
    if limits is None or spread is None or not math.isfinite(own):
        return ["Losses at the edge are not all finite, so that planes cannot be compared."]
    seen = f"{others.min():.3g} to {others.max():.3g} on {len(others)} random planes"
    rise = f"at the edge the loss rises by {own:.3g} on average, and by {seen}"
    if limits[0] <= own <= limits[1]:
        verdict = f"The plane is typical: {rise}."
    else:
        side = "lower" if own < limits[0] else "higher"
        verdict = (
            f"The plane is not typical: {rise}; it is {side} than 95% of random planes are "
            "expected to be."
        )
    sentences = [verdict]
    if spread > _DIFFERENT_PLANES:
        sentences.append(
            f"Random planes differ much (by {_percent(spread)} of the mean rise): one picture does "
            "not stand for the others."
        )
    return sentences


def _judge_curvature(trust: Trust) -> list[str]:
    within, values, errors = trust.plane_eigenvalues, trust.eigenvalues, trust.eigenvalue_errors
    if within is None or values is None or errors is None:
        return []
    sentences, share = [], trust.curvature_share
    if share is not None:
        shown = f"The plane shows {_percent(max(share, 0.0))} of the largest curvature"
        uncertainty = float(errors[0] / values[0])
        if uncertainty > _UNCERTAIN:
            shown += f" (known to within {_percent(uncertainty)})"
        if share < _FEW_SHARP:
            sentences.append(f"{shown}: sharp directions are not in it.")
        elif share < _MOST_SHARP:
            wider = 1 / math.sqrt(share)
            sentences.append(f"{shown}: valleys are up to {wider:.2g} times as narrow elsewhere.")
        else:
            sentences.append(f"{shown}: it contains a direction about as sharp as any.")
    lowest = float(values[1])
    noticeable = max(float(errors[1]), _NOTICEABLE_NEGATIVE * abs(float(values[0])))
    if lowest < -noticeable and within[1] > _FEW_SHARP * lowest:
        sentences.append(
            f"The loss curves downwards along other directions (smallest eigenvalue {lowest:.3g}), "
            "which the plane does not show."
        )
    return sentences


def _judge_gradient(trust: Trust) -> list[str]:
    gain, share = trust.descent_gain, trust.gradient_share
    if gain is None or not trust.centre_loss > 0:
        return []
    lowered = _percent(gain / trust.centre_loss)
    if gain <= _NOTICEABLE_GAIN * trust.centre_loss:
        return [f"The centre is close to critical: a gradient step lowers the loss by {lowered}."]
    shown = "" if share is None else f", of which the plane shows {_percent(share)},"
    step = f"one step along the gradient{shown} lowers the loss by {lowered}"
    return [f"The centre is no minimum: {step}."]


def _judge_trajectory(trust: Trust) -> list[str]:
    share = trust.outside_share
    if share is None or trust.plane_losses is None or trust.checkpoint_losses is None:
        return []
    place = "close to the plane" if share <= _OUTSIDE else "far from the plane"
    lie = f"{_percent(share)} of its squared distances from the model lie outside"
    sentences = [f"The path runs {place}: {lie}."]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = trust.plane_losses / trust.checkpoint_losses
    ratios = ratios[np.isfinite(ratios) & (ratios > 0)]
    if ratios.size:
        off = float(np.exp(np.median(np.abs(np.log(ratios)))))
        if off > 1 + _OTHER_LOSS:
            middle = float(np.exp(np.median(np.log(ratios))))
            sentences.append(
                f"The losses under the path are not those of the checkpoints: {middle:.2g} times "
                "as large in the median."
            )
    return sentences


def _judge_interpolation(trust: Trust) -> list[str]:
    if trust.interpolation_error is None or not trust.interpolation_error[0] > _WRONG:
        return []
    held_out = trust.interpolation_source == "held-out points"
    detail = " (from points twice as far apart as the picture's)" if held_out else ""
    remedy = "compute more points" if held_out else "lower tolerance="
    size = f"{_percent(trust.interpolation_error[0])} of the {trust.interpolation_scale}"
    wrong = f"Between its points the picture may be wrong by {size}{detail}"
    return [f"{wrong}; {remedy}."]


def _judge_subset(trust: Trust) -> list[str]:
    low, high = trust.loss_range
    if trust.subset_error is None or not high > low:
        return []
    noise = _CONFIDENCE * trust.subset_error[0] / (high - low)
    if noise <= _NOISE:
        return []
    return [f"Drawing the samples adds noise of {_percent(noise)} of the range; use more samples."]


def _percent(share: float) -> str:
    if 0 < share < _TINY:
        return f"<{100 * _TINY:g}%"
    return f"{100 * share:.2g}%" if share < 0.995 else f"{100 * share:.0f}%"


def _format_range(limits: tuple[float, float]) -> str:
    return f"{limits[0]:.4g} .. {limits[1]:.4g}"
