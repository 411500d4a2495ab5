"""How a matrix's eigenvalues are distributed, by the core's stochastic Lanczos quadrature.

Depends on the matrix with its traces, on the iteration and on the results.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape import _core
from landscape._iteration import Interrupt, Iteration
from landscape._results import Density
from landscape._spectrum.traces import Traced

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

    from landscape._progress import Choice

__all__ = ["Distributed"]

_TOGETHER = 8  # probes that share the passes of a product
_FEWEST = 2
_FEW = (
    f"intervals of fewer than {Density.min_probes} probes undercover: they hold the truth less "
    "often than they say"
)
_UNDRAWN = "what another draw of samples would change is not in the intervals"


class Distributed(Traced):
    """A symmetric matrix whose density of eigenvalues can be estimated."""

    def density(
        self,
        *,
        probes: int = 16,
        steps: int = 60,
        width: float | None = None,
        level: float = 0.95,
        seed: int = 0,
        interrupt: Interrupt = "raise",
        resume: str | os.PathLike[str] | None = None,
        progress: Choice = None,
    ) -> Density:
        r"""The density of eigenvalues, by stochastic Lanczos quadrature.

        So many Lanczos steps from a random unit vector bring nodes and weights whose moments are
        the vector's own up to degree 2 steps - 1. The number of probes decides how wide intervals
        are; the number of steps, how fine a structure is seen.

        Args:
            probes: Independent random vectors, at least 2; intervals hold from 100 on.
            steps: Products of each, at most. Their basis is kept: steps times d numbers a vector.
            width: Standard deviation of the Gaussian kernel; what the nodes can tell apart when
                None. :meth:`Density.with_width` changes it afterwards.
            level: Probability of the intervals, from the bootstrap over probes.
            seed: Of the vectors and of the bootstrap.
            interrupt: What Ctrl-C does: ``"raise"``, or ``"return"`` what the finished probes say.
            resume: A file that keeps the run: created when absent, continued when present.
            progress: None (a bar in a terminal), ``"bar"``, ``"off"``, or a function of
                (done, most) products.

        Raises:
            ValueError: An option is out of range, the matrix is not symmetric, one probe's basis
                exceeds the memory budget, or ``resume`` holds another computation.
            FloatingPointError: A product is not finite.

        Reference:
            Ubaru, Chen and Saad (2017), "Fast estimation of tr(f(A)) via stochastic Lanczos
            quadrature"; Ghorbani, Krishnan and Xiao (2019), "An investigation into neural net
            optimization via Hessian eigenvalue density", algorithm 1.

        Example:
            >>> density = landscape.hessian(model, data).density(probes=4, steps=10)
            >>> round(float(density.cumulative[-1]), 6)
            1.0
        """
        steps = min(steps, self.dim)
        self._check_density(probes, steps, width, level)
        inputs = {"probes": probes, "steps": steps, "seed": seed}
        iteration = Iteration("density", self, inputs, probes * steps, progress, resume, interrupt)
        self.check_symmetric(seed)
        begun = iteration.begun()
        solver = _core.Density(
            self.dim,
            self.storage,
            probes=probes,
            steps=steps,
            block=max(1, min(_TOGETHER, self.room // steps)),
            seed=seed,
            known=[] if begun is None else _known(begun[1]),
            products=0 if begun is None else int(begun[0]),
        )

        def state() -> tuple[str, Mapping[str, NDArray[Any]]]:
            found = _packed(solver)
            return str(solver.products), found

        iteration.execute(solver, lambda done: {"probes": done}, state, solver.products)
        found = _packed(solver)
        done = len(found["counts"])
        if done < _FEWEST:
            raise KeyboardInterrupt
        status = f"complete: all {probes} probes"
        if iteration.interrupted:
            status = f"interrupted after {done} of {probes} probes"
        if done < Density.min_probes:
            iteration.notes += (_FEW,)
        if self.objective.is_random_subset:
            iteration.notes += (_UNDRAWN,)
        run = iteration.run(solver.products, status, seed)
        wide = float(np.ptp(found["nodes"])) or 1.0  # of any positive width, to be replaced
        raw = Density(
            **found,
            dim=self.dim,
            width=width or wide,
            level=level,
            steps=steps,
            products=solver.products,
            status=run.status,
            run=run,
        )
        return raw if width else raw.with_width(raw.kernel)

    def _check_density(self, probes: int, steps: int, width: float | None, level: float) -> None:
        if probes < _FEWEST:
            raise ValueError(f"probes={probes}, expected at least {_FEWEST}: one has no spread")
        if steps < 1:
            raise ValueError(f"steps={steps}, expected at least 1")
        if width is not None and not (math.isfinite(width) and width > 0):
            raise ValueError(f"width={width}, expected a positive number of eigenvalue units")
        if not 0 < level < 1:
            raise ValueError(f"level={level}, expected a probability such as 0.95")
        if steps > self.room:
            needed = steps * self.dim * self.dtype.itemsize
            raise ValueError(
                f"{steps} steps keep as many vectors, which take {needed / 2**30:.3g} GiB, more "
                f"than memory_budget = {self.objective.memory_budget / 2**30:.3g} GiB; ask for at "
                f"most steps={self.room}, or raise memory_budget"
            )


def _packed(solver: _core.Density) -> dict[str, NDArray[Any]]:
    found = solver.quadratures()
    nothing = np.zeros(0)
    return {
        "nodes": np.concatenate([nothing, *(nodes for nodes, _ in found)]),
        "weights": np.concatenate([nothing, *(weights for _, weights in found)]),
        "counts": np.array([len(nodes) for nodes, _ in found], np.int64),
    }


def _known(
    arrays: Mapping[str, NDArray[Any]],
) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    cuts = np.cumsum(arrays["counts"])[:-1]
    if not len(arrays["counts"]):
        return []
    pairs = zip(np.split(arrays["nodes"], cuts), np.split(arrays["weights"], cuts), strict=True)
    return list(pairs)
