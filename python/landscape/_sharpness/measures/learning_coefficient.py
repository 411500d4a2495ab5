"""`learning_coefficient`: the local learning coefficient, by Langevin chains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from landscape import _core
from landscape._sharpness.chains import ChainSummary, summarise_chains
from landscape._sharpness.context import GRADIENT, PRODUCT
from landscape._sharpness.definition import DerivativeDefinition, NotApplicable, Outcome
from landscape._spectrum import Hessian, spectrum

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from landscape._objective import Objective
    from landscape._results import Invariance
    from landscape._sharpness.context import Context

__all__ = ["LearningCoefficient"]

_DECAY = 0.99  # of RMSProp's running mean of squared gradients
_STEP = 1.0  # step size times the largest preconditioned curvature; 4 is the limit of stability
_TOO_LARGE = 1.5  # a step that is this times too large is no success
_ROUNDS = 20  # of short runs at most
_PILOT = 100  # steps of the first, at most
_MAX_R_HAT = 1.03  # below the usual 1.05, which deep valleys pass while they are far off
_MIN_ESS = 100.0
_MAX_EIGENVALUE_PRODUCTS = 30


@dataclass(frozen=True)
class LearningCoefficient(DerivativeDefinition):
    r"""The local learning coefficient: how fast the volume of low loss shrinks at the minimum.

    .. math:: \hat\lambda = n\beta \left( E_{\theta \sim p}[L(\theta)] - L(\theta^*) \right),
        \quad p(\theta) \propto \exp\left( -n\beta L(\theta)
        - \tfrac{\gamma}{2} \lVert \theta - \theta^* \rVert^2 \right)

    Half the number of parameters at a regular minimum, less at a degenerate one. The value is that
    of the localised, tempered posterior at this n beta, which approaches the coefficient slowly.

    Several chains start at the minimum. RMSProp's preconditioner is adapted during the burn-in and
    then fixed, and the noise of neighbouring steps is averaged (Leimkuhler and Matthews), which
    makes the chain exact on quadratics. The step size is calibrated to the largest preconditioned
    curvature where the chains arrive, not at the minimum alone, where a degenerate direction has
    none. On mini-batches the loss of the minimum on the same batch is subtracted.

    A chain needs about 2 / (step gamma) steps, without a preconditioner, to forget where it was in
    a valley of low loss. Diagnostics of shorter chains cannot see what lies beyond: raise burn_in
    and thinning until the value stays.

    Args:
        sampler: ``"rmsprop_sgld"`` or ``"sgld"``.
        nbeta: n beta; n / log n when None (Watanabe's temperature, with n samples).
        localisation: gamma, which keeps chains near the minimum.
        step: The step size; calibrated when None.
        chains: How many, at least 2.
        burn_in: Steps before the first draw.
        draws: Draws of each chain, at least 10.
        thinning: Steps of a draw.
        batch: Samples of a mini-batch; all data when None. Data that come in batches keep them.

    Raises:
        ValueError: An option is out of range.

    Example:
        >>> measure = landscape.measures.LearningCoefficient(draws=50, burn_in=50)
        >>> landscape.sharpness(model, data, measures=[measure])
    """

    name: ClassVar[str] = "learning_coefficient"
    reference: ClassVar[str] = (
        "Lau, Furman, Wang, Murfet and Wei (2023), The Local Learning Coefficient: A "
        "Singularity-Aware Complexity Measure, section 4"
    )
    rescaling: ClassVar[Invariance] = "no"  # the localisation is a ball in the parameters

    sampler: Literal["rmsprop_sgld", "sgld"] = "rmsprop_sgld"
    nbeta: float | None = None
    localisation: float = 100.0
    step: float | None = None
    chains: int = 4
    burn_in: int = 300
    draws: int = 500
    thinning: int = 1
    batch: int | None = None

    def __post_init__(self) -> None:
        if self.sampler not in ("rmsprop_sgld", "sgld"):
            raise ValueError(f"sampler={self.sampler!r}, expected 'rmsprop_sgld' or 'sgld'")
        for name in ("nbeta", "step"):
            value = getattr(self, name)
            if value is not None and not (np.isfinite(value) and value > 0):
                raise ValueError(f"{name}={value}, expected a number above 0, or None")
        if not (np.isfinite(self.localisation) and self.localisation > 0):
            raise ValueError(f"localisation={self.localisation}, expected a number above 0")
        if self.chains < 2 or self.draws < 10:
            raise ValueError(
                f"chains={self.chains} and draws={self.draws}, expected at least 2 and 10: one "
                "chain cannot show that it has not converged"
            )
        if self.burn_in < 1 or self.thinning < 1 or (self.batch is not None and self.batch < 1):
            raise ValueError(
                f"burn_in={self.burn_in}, thinning={self.thinning} and batch={self.batch}, "
                "expected at least 1 each"
            )

    def require(self, context: Context) -> None:
        """Refuse batches of which there are none.

        Raises:
            NotApplicable: A batch is larger than the data, or n beta needs more samples.
        """
        super().require(context)
        if self.batch is not None and self.batch > context.samples:
            raise NotApplicable(f"batch={self.batch}, but there are {context.samples} samples")
        if self.nbeta is None and context.samples < 3:
            raise NotApplicable("n / log n needs three samples or more; pass nbeta=")

    def estimate_cost(self, context: Context) -> float:
        """A gradient for each step of each chain, on its share of the data."""
        share = 1.0 if self.batch is None else min(1.0, self.batch / context.samples)
        steps = self.burn_in + self.draws * self.thinning
        if self.step is None:
            steps += self.burn_in + 2 * min(self.burn_in, _PILOT)
        return self.chains * steps * share * GRADIENT

    def compute(self, context: Context) -> Outcome:
        """Calibrate the step, run the chains, and summarise them."""
        function = context.objective
        if self.batch is not None:
            function = function.with_batch_size(self.batch)
        nbeta = context.samples / np.log(context.samples) if self.nbeta is None else self.nbeta
        solver, step = self._sample(context, function, nbeta)
        values = nbeta * (solver.losses() - solver.references())
        diverged = sum(status == "diverged" for status in solver.statuses)
        details: dict[str, Any] = {
            "nbeta": float(nbeta),
            "localisation": self.localisation,
            "step": float(step),
            "chains": self.chains,
            "steps": solver.steps,
        }
        curves = {"chains": values, "losses": solver.losses()}
        if diverged:
            return Outcome(
                None,
                status=f"diverged: {diverged} of {self.chains} chains; pass a smaller step= or a "
                "larger localisation=",
                details=details,
                curves=curves,
            )
        summary = summarise_chains(values)
        details |= {"r_hat": summary.r_hat, "ess": summary.ess}
        return Outcome(
            summary.mean,
            summary.standard_error,
            status=_describe_status(summary),
            details=details,
            curves=curves,
        )

    def _sample(
        self, context: Context, function: Objective, nbeta: float
    ) -> tuple[_core.Langevin, float]:
        """Run the chains, with a calibrated step unless one was given."""
        lengths = {"burn_in": self.burn_in, "draws": self.draws}
        if self.step is not None:
            return self._run(context, function, nbeta, step=self.step, **lengths), self.step
        step = self._calibrate(context, function, nbeta)
        for _ in range(_ROUNDS):
            solver = self._run(context, function, nbeta, step=step, **lengths)
            if "diverged" not in solver.statuses:
                break
            step /= 4  # a rare excursion to where the loss curves more than it does nearby
        return solver, step

    def _run(
        self,
        context: Context,
        function: Objective,
        nbeta: float,
        *,
        step: float,
        burn_in: int,
        draws: int,
        repeat: int = -1,
    ) -> _core.Langevin:
        source = context.gradient_source_of(function)
        is_adapted = self.sampler == "rmsprop_sgld"
        solver = _core.Langevin(
            source,
            context.theta,
            chains=self.chains,
            step=step,
            nbeta=nbeta,
            localisation=self.localisation,
            burn_in=burn_in,
            draws=draws,
            thinning=self.thinning,
            seed=context.stream(self.name if repeat < 0 else f"{self.name} {repeat}"),
            preconditioner="rmsprop" if is_adapted else "none",
            noise="averaged",
            data="all" if self.batch is None else "mini_batch",
            decay=_DECAY if is_adapted else None,
            damping=self._damping(nbeta) if is_adapted else None,
        )
        share = 1.0 if self.batch is None else 1 / function.batches
        context.solve(solver, source, cost=self.chains * share * GRADIENT)
        context.charge(solver.gradients * share * GRADIENT)
        return solver

    def _damping(self, nbeta: float) -> float:
        r"""The least root mean square of gradients that the preconditioner sees.

        A direction without curvature has the gradient gamma / (n beta) times a displacement of
        1 / sqrt(gamma), and no step should be longer than that needs.
        """
        return float(np.sqrt(self.localisation) / nbeta)

    def _calibrate(self, context: Context, function: Objective, nbeta: float) -> float:
        """A step size for which the largest preconditioned curvature of the chains is moderate."""
        ones = np.ones(context.dim)
        shape = ones
        if self.sampler == "rmsprop_sgld":
            shape = ones / (np.abs(context.gradient) + self._damping(nbeta))
        step = _STEP / self._curvature(context, context.theta, shape, nbeta)
        length, is_first = min(self.burn_in, _PILOT), True
        for index in range(_ROUNDS):
            # Chains drift along valleys to where the loss curves more. The last pilots have the
            # burn-in of the chains themselves, so that their points and preconditioner, which
            # varies from run to run, are those with which the draws begin.
            repeat = -1 if length == self.burn_in else index
            pilot = self._run(
                context, function, nbeta, step=step, burn_in=length, draws=10, repeat=repeat
            )
            if "diverged" in pilot.statuses:
                step, is_first = step / 4, False
                continue
            shape = pilot.preconditioner()
            curvature = max(self._curvature(context, p, shape, nbeta) for p in pilot.points())
            limit = _STEP / curvature
            is_too_small = is_first and limit > step * _TOO_LARGE
            is_first = False
            if is_too_small or limit < step / _TOO_LARGE:
                step = limit
            elif length == self.burn_in:
                break
            else:
                length, is_first = min(4 * length, self.burn_in), True
        return float(step)

    def _curvature(
        self, context: Context, point: NDArray[Any], shape: NDArray[np.float64], nbeta: float
    ) -> float:
        """The largest eigenvalue of G^(1/2) (n beta H + gamma) G^(1/2), to about 10%."""
        hessian = Hessian(context.objective, point)
        root = np.sqrt(shape)

        def multiply(vector: NDArray[Any]) -> NDArray[Any]:
            inner = root * vector
            product = hessian.matvec(inner.astype(point.dtype)).astype(np.float64)
            image: NDArray[Any] = root * (nbeta * product + self.localisation * inner)
            return image

        found = spectrum(multiply, context.dim, dtype=point.dtype).eigenvalues(
            1,
            tolerance=0.1,
            max_products=min(_MAX_EIGENVALUE_PRODUCTS, context.dim),
            seed=context.seed,
            progress="off",
        )
        context.charge(found.products * PRODUCT)
        least = self.localisation * float(shape.max())
        return max(float(found.values[0]) if len(found) else 0.0, least)


def _describe_status(summary: ChainSummary) -> str:
    if not summary.r_hat <= _MAX_R_HAT:
        return (
            f"not converged: the chains do not agree (R-hat {summary.r_hat:.3f}, expected at most "
            f"{_MAX_R_HAT}); raise burn_in and draws"
        )
    if summary.ess < _MIN_ESS:
        return (
            f"not converged: {summary.ess:.0f} independent draws, expected at least "
            f"{_MIN_ESS:.0f}; raise draws or thinning"
        )
    if summary.mean < -3 * summary.standard_error:
        return (
            "not a minimum: the chains find lower losses than that of the point; train further, or "
            "raise localisation"
        )
    return "complete"
