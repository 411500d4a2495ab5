"""Context: the function around the model, as measures evaluate it, and what it costs."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np

from landscape import _core
from landscape._runs import BatchedProblem, compute_descent_gain
from landscape._spectrum import Hessian

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from landscape._objective import CurvatureKind, Objective, Strategy
    from landscape._sharpness.inputs import Inputs

__all__ = ["GRADIENT", "LOSS", "PRODUCT", "Context"]

LOSS: Final = 1 / 3
"""Cost of L at one point, in gradient-equivalents."""
GRADIENT: Final = 1.0
"""Cost of a gradient over all data."""
PRODUCT: Final = 2.0
"""Cost of a product with the Hessian."""

_BLOCK = 64  # points that are evaluated together at most
_BLOCK_BYTES = 1 << 28  # that their vectors may take

T = TypeVar("T")


@dataclass
class _Shared:
    """A value that measures share: its own cost, and the other shared values that it uses."""

    is_new: bool
    """Whether its cost has not been counted yet."""
    value: Any = None
    cost: float = 0.0
    uses: set[str] = field(default_factory=set)


class Context:
    """The function, the model's parameters and what measures share.

    Whatever a measure evaluates it evaluates through the context, which counts the cost. Values
    that several measures use (the gradient, the samples' losses) are computed once; each measure
    is charged for them as if it were alone, and :attr:`spent` counts them once.

    Args:
        objective: L of the training data.
        strategies: How losses, and how gradients and products, are evaluated.
        inputs: What some measures need besides; as :attr:`test`, :attr:`initial`, :attr:`prior`,
            :attr:`optimizer` and :attr:`fit`.
        level: Probability of intervals.
        seed: Of all random numbers.
        counted: The keys of shared values that an earlier part of the run has counted.
        report: Called with the cost so far, as evaluations go on.
    """

    def __init__(
        self,
        objective: Objective,
        strategies: tuple[Strategy, Strategy],
        inputs: Inputs,
        *,
        level: float = 0.95,
        seed: int = 0,
        counted: Iterable[str] = (),
        report: Callable[[float], None] = lambda _: None,
    ) -> None:
        self.objective = objective
        self.loss_strategy, self.derivative_strategy = strategies
        self.test = inputs.test
        self.initial = inputs.initial
        self.prior = inputs.prior
        self.optimizer = inputs.optimizer
        self.fit = inputs.fit
        self.level = level
        self.seed = seed
        self.spent = 0.0
        """The cost so far in gradient-equivalents, what is shared counted once."""
        self.charged = 0.0
        """The cost of the present measure, as if it were computed alone."""
        self.has_derivatives = False
        """Whether a gradient or a product was used, so that one more gradient is affordable."""
        self._report = report
        self._counted = frozenset(counted)
        self._shared: dict[str, _Shared] = {}
        self._computed: _Shared | None = None  # the shared value at work, if any
        self._charged_keys: set[str] = set()  # what the present measure has been charged for

    # The cost

    def begin(self) -> None:
        """Begin another measure: its cost is 0."""
        self.charged = 0.0
        self._charged_keys.clear()

    def charge(self, cost: float) -> None:
        """Count evaluations in gradient-equivalents."""
        if self._computed is not None:
            self._computed.cost += cost
        else:
            self.charged += cost
        if self._computed is None or self._computed.is_new:
            self.spent += cost
        self._report(self.spent)

    def share(self, key: str, compute: Callable[[], T]) -> T:
        """A value that several measures use, computed once; its cost is charged once to each.

        Args:
            key: Identifies the value, with all it depends on.
            compute: Computes it, through the context.
        """
        if key not in self._shared:
            outer, self._computed = self._computed, _Shared(key not in self._counted)
            try:
                self._computed.value = compute()
                self._shared[key] = self._computed
            finally:
                self._computed = outer
        shared = self._shared[key]
        used = {key, *shared.uses}
        if self._computed is not None:
            self._computed.uses |= used
        else:
            self.charged += sum(self._shared[k].cost for k in used - self._charged_keys)
            self._charged_keys |= used
        return shared.value  # type: ignore[no-any-return]  # what compute returned

    @property
    def counted(self) -> frozenset[str]:
        """The keys of the shared values whose cost is in :attr:`spent`, or was before."""
        return self._counted | self._shared.keys()

    # The point

    @cached_property
    def theta(self) -> NDArray[Any]:
        """The model's parameters, shape (d,), in the Objective's dtype."""
        theta = self.objective.theta
        theta.setflags(write=False)
        return theta

    @property
    def dim(self) -> int:
        """The number d of parameters."""
        return self.objective.dim

    @property
    def samples(self) -> int:
        """The number n of samples."""
        return self.objective.samples

    @property
    def loss(self) -> float:
        """L at the model's parameters."""
        return self.share("loss", lambda: float(self.losses(self.theta[None])[0]))

    @property
    def gradient(self) -> NDArray[Any]:
        """The gradient at the model's parameters, shape (d,)."""

        def compute() -> NDArray[Any]:
            gradient: NDArray[Any] = self.gradients(self.theta[None])[1][0]
            gradient.setflags(write=False)
            return gradient

        return self.share("gradient", compute)

    @property
    def sample_losses(self) -> NDArray[np.float64]:
        """Every sample's loss at the model's parameters, shape (n,), without weight decay."""

        def compute() -> NDArray[np.float64]:
            losses: NDArray[np.float64] = self.objective.sample_losses(self.theta[None])[0]
            self.charge(LOSS)
            return losses

        return self.share("sample_losses", compute)

    @property
    def outputs(self) -> NDArray[Any]:
        """The model's outputs at its parameters, shape (n, ...).

        Raises:
            ValueError: The loss is not a recognised one.
        """

        def compute() -> NDArray[Any]:
            outputs = next(iter(self.objective.outputs(self.theta[None])))
            self.charge(LOSS)
            return outputs

        return self.share("outputs", compute)

    @property
    def descent_gain(self) -> float:
        """By how much one step of steepest descent lowers L, at the best of five lengths."""

        def compute() -> float:
            return compute_descent_gain(self.losses_at, self.theta, self.loss, self.gradient)

        return self.share("descent_gain", compute)

    # Evaluations

    def losses(
        self, points: NDArray[Any], *, function: Objective | None = None
    ) -> NDArray[np.float64]:
        """L at several points, shape (k, d) to (k,).

        Args:
            points: Parameter vectors.
            function: Another function of the same parameters; L when None.
        """
        objective, strategy = self.objective, self.loss_strategy
        if function is not None and function is not objective:
            objective = function
            strategy = strategy if function.allows(strategy) else function.plain_strategy
        losses = objective.losses(points, strategy=strategy)
        self.charge(len(points) * LOSS * objective.samples / self.samples)
        return losses

    def with_strategies_of_run(self, function: Objective) -> Objective:
        """Another function, evaluated as L is where it can be, without a new measurement."""
        strategies = self.loss_strategy, self.derivative_strategy
        if all(function.allows(strategy) for strategy in strategies):
            return function.with_strategies(*strategies)
        return function

    def loss_of(self, function: Objective) -> float:
        """Another function at the model's parameters; computed once for L."""
        if function is self.objective:
            return self.loss
        return float(self.losses(self.theta[None], function=function)[0])

    def losses_around(
        self,
        offsets: Iterable[NDArray[Any]],
        center: NDArray[Any] | None = None,
        *,
        function: Objective | None = None,
    ) -> NDArray[np.float64]:
        """L at center + offset for every offset, in blocks that fit the memory.

        Args:
            offsets: Vectors of shape (d,); made one at a time, so that a generator needs no more
                memory than a block of points.
            center: Shape (d,); the model's parameters when None.
            function: Another function of the same parameters; L when None.
        """
        origin = self.theta if center is None else center
        points = (
            _core.combine([origin, np.ascontiguousarray(offset, origin.dtype)], np.ones(2))
            for offset in offsets
        )
        return self.losses_at(points, function=function)

    def losses_at(
        self, points: Iterable[NDArray[Any]], *, function: Objective | None = None
    ) -> NDArray[np.float64]:
        """L at points that are made one at a time, in blocks that fit the memory.

        Args:
            points: Vectors of shape (d,).
            function: Another function of the same parameters; L when None.
        """
        source, size, parts = iter(points), self.block_size, []
        while block := list(islice(source, size)):
            parts.append(self.losses(np.stack(block), function=function))
        return np.concatenate(parts) if parts else np.empty(0)

    @property
    def block_size(self) -> int:
        """How many points are evaluated together."""
        return int(np.clip(_BLOCK_BYTES // max(1, self.theta.nbytes), 1, _BLOCK))

    def gradients(self, points: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[Any]]:
        """L and its gradient at several points, shape (k, d) to (k,) and (k, d)."""
        self.has_derivatives = True
        pair = self.objective.gradients(points, strategy=self.derivative_strategy)
        self.charge(len(points) * GRADIENT)
        return pair

    def hessian(self, curvature: CurvatureKind = "hessian") -> Hessian:
        """A curvature matrix at the model's parameters; the caller charges for its products."""
        self.has_derivatives = True
        return self.share(
            f"matrix {curvature}", lambda: Hessian(self.objective, self.theta, curvature)
        )

    def watch_products(self) -> Callable[[int, int], None]:
        """The ``progress=`` of an estimate from products, which shows them as they are made."""
        start = self.spent

        def watch(done: int, _: int) -> None:
            self._report(start + done * PRODUCT)

        return watch

    @cached_property
    def gradient_source(self) -> Any:
        """L as solvers of the core evaluate it: the core's own network, or callbacks."""
        return self.gradient_source_of(self.objective)

    def gradient_source_of(self, objective: Objective) -> Any:
        """The same for another function of the same parameters, in its split into mini-batches."""
        self.has_derivatives = True
        strategy = self.derivative_strategy
        if objective is not self.objective and not objective.allows(strategy):
            strategy = objective.plain_strategy
        return BatchedProblem(objective, self.theta).operator(strategy)

    def solve(self, solver: Any, source: Any = None, cost: float = GRADIENT) -> None:
        """Run a solver of the core to its end.

        Args:
            solver: The solver, whose ticks have the number of its steps first.
            source: The function; :attr:`gradient_source` when None.
            cost: Of one step, for progress alone: the caller charges what was evaluated.
        """
        operator = self.gradient_source if source is None else source
        start = self.spent

        def tick(done: int, *_: Any) -> bool:
            self._report(start + done * cost)
            return True

        solver.run(operator, tick)

    # Random numbers

    def stream(self, name: str) -> int:
        """The seed of a measure's own random numbers, independent of the order of measures."""
        return int(
            np.random.SeedSequence([self.seed, zlib.crc32(name.encode())]).generate_state(1)[0]
        )

    def iter_gaussians(self, name: str, count: int, first: int = 0) -> Iterator[NDArray[Any]]:
        """Independent standard normal vectors, shape (d,) each, made anew from the seed every time.

        Args:
            name: The measure: each has its own numbers.
            count: How many.
            first: The number of vectors to skip.
        """
        seed = self.stream(name)
        dtype: Any = self.theta.dtype.name
        for index in range(first, first + count):
            yield _core.gaussian(self.dim, seed=seed, stream=index, dtype=dtype)
