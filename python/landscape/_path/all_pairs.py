"""`connect_all`: paths between several minima, cheapest first, and the tree of lowest saddles.

Depends on `connect` and on the iteration.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape import _core, _store
from landscape._align import as_model
from landscape._critical import Start
from landscape._iteration import Interrupt, Iteration
from landscape._path.connecting import Method, connect
from landscape._results import Connections, Path, pack_paths, unpack_paths
from landscape._sampling import objectives

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

    from landscape._objective import Objective
    from landscape._progress import Choice

__all__ = ["connect_all"]

_STRAIGHT = 25  # points of a straight way that is only an estimate


def connect_all(
    models: Sequence[Any],
    data: Any = None,
    loss: Any = None,
    *,
    method: Method = "autoneb",
    most: int | None = None,
    seed: int = 0,
    interrupt: Interrupt = "raise",
    resume: str | os.PathLike[str] | None = None,
    progress: Choice = None,
    **options: Any,
) -> Connections:
    r"""Connect several minima, and find the tree of the lowest saddles between them.

    .. math:: h(A, B) = \min_{\text{ways } A \to B} \; \max_{\text{edges}} \; L(\text{saddle})

    First the straight way between every two minima is evaluated: an upper bound of their saddle.
    Then paths are searched, one pair after the other: those of the minimum spanning tree as it is
    known so far come first, the cheapest among them first, and then the other pairs in the same
    order. The tree of what was found gives the heights h, and the disconnectivity graph.

    Args:
        models: Two minima or more: modules or state dicts of one architecture, the first a module
            or an Objective of it.
        data: As for the Objective.
        loss: As for the Objective.
        method: As for :func:`connect`.
        most: The most pairs to search; all of them when None, n - 1 for a tree alone.
        seed: As for :func:`connect`.
        interrupt: What Ctrl-C does: ``"raise"``, or ``"return"`` the pairs connected so far.
        resume: A file that keeps the pairs that are done: created when absent, continued when
            present.
        progress: None (a bar in a terminal), ``"bar"``, ``"off"``, or a function of (done, pairs).
        options: Those of :func:`connect` and of :class:`landscape.Objective`.

    Returns:
        Saddles, their tree and the paths.

    Raises:
        ValueError: Fewer than two models, or one that does not fit.
        FloatingPointError: A loss or a gradient is not finite.

    Reference:
        Draxler, Veschgini, Salmhofer and Hamprecht, "Essentially No Barriers in Neural Network
        Energy Landscape" (2018), section 3.3; Becker and Karplus, "The Topology of
        Multidimensional Potential Energy Surfaces" (1997), for disconnectivity graphs.

    Example:
        >>> found = landscape.connect_all(checkpoints, data, schedule=[(5, 0.02)], points=11)
        >>> bool((found.heights <= found.saddles).all())
        True
    """
    listed = list(models)
    if len(listed) < 2:
        raise ValueError(f"got {len(listed)} models, expected two or more")
    own = {name: options.pop(name) for name in _OWN if name in options}
    made, _ = objectives(listed[0], data, loss, test=None, seed=seed, options=options)  # type: ignore[arg-type]
    objective = made.with_default_batch_norm("recalibrated")
    twins = [made, *(made.with_model(as_model(model, made.model)) for model in listed[1:])]
    thetas = np.stack([twin.theta for twin in twins])
    pairs = list(combinations(range(len(twins)), 2))
    count = len(pairs) if most is None else min(most, len(pairs))
    search = _Search(twins, {**own, "method": method, "seed": seed}, count)
    inputs = {"method": method, "options": {name: repr(own[name]) for name in own}, "most": count}
    iteration = Iteration(
        "connect_all",
        Start(objective.with_batch_norm("frozen"), thetas),
        inputs,
        count,
        progress,
        resume,
        interrupt,
        "pair",
    )
    begun = iteration.begun()
    if begun is not None:
        search.take(*begun)
    iteration.execute(search, _shown, search.state, len(search.paths))
    if search.straight is None:
        raise KeyboardInterrupt
    status = f"{len(search.paths)} of {len(pairs)} pairs were searched"
    if iteration.interrupted:
        status = f"interrupted: {status}"
    saddles = search.saddles()
    passes = sum(path.run.evaluations for path in search.paths)
    return Connections(
        saddles.diagonal(),
        saddles,
        _core.spanning_tree(saddles),
        np.array(search.edges, np.int64).reshape(-1, 2),
        paths=tuple(search.paths),
        method=method,
        status=status,
        run=iteration.run(passes + _STRAIGHT * len(pairs), status, seed),
    )


_OWN = (
    *("align", "test", "metrics", "points", "schedule", "optimizer", "pivots", "max_pivots"),
    *("insertion", "spring", "climb", "tolerance"),
)


def _shown(saddle: float) -> Mapping[str, float]:
    return {"saddle": saddle}


@dataclass
class _Search:
    """Pairs one after the other, as an iteration that goes on where it stopped."""

    twins: list[Objective]
    options: Mapping[str, Any]
    most: int
    straight: NDArray[np.float64] | None = None
    edges: list[tuple[int, int]] = field(default_factory=list)
    paths: list[Path] = field(default_factory=list)

    def run(self, _: Any, tick: Callable[..., bool]) -> bool:
        """Search every pair that is left, until a tick pauses it."""
        if self.straight is None:
            self.straight = self._estimated()
        while len(self.paths) < self.most:
            i, j = self._next()
            path = connect(self.twins[i], self.twins[j].model, progress="off", **self.options)
            self.edges.append((i, j))
            self.paths.append(path)
            if not tick(len(self.paths), float(path.losses.max())):
                return False
        return True

    def _estimated(self) -> NDArray[np.float64]:
        """The highest loss on every straight way, and the minima's own."""
        count = len(self.twins)
        found = np.zeros((count, count))
        given: dict[str, Any] = {"method": "linear", "points": _STRAIGHT, "progress": "off"}
        given["align"] = self.options.get("align", False)
        for i, j in combinations(range(count), 2):
            path = connect(self.twins[i], self.twins[j].model, **given)
            found[i, j] = found[j, i] = path.losses.max()
            found[i, i], found[j, j] = path.train.ends
        return found

    def saddles(self) -> NDArray[np.float64]:
        """The lowest saddle that is known between every two."""
        if self.straight is None:
            raise ValueError("no way was evaluated yet")
        found = self.straight.copy()
        for (i, j), path in zip(self.edges, self.paths, strict=True):
            found[i, j] = found[j, i] = min(found[i, j], float(path.losses.max()))
        return found

    def _next(self) -> tuple[int, int]:
        """The cheapest pair of the tree that was not searched, else the cheapest of all."""
        saddles = self.saddles()
        tree = [(int(i), int(j)) for i, j in _core.spanning_tree(saddles)]
        rest = sorted(combinations(range(len(self.twins)), 2), key=lambda pair: saddles[pair])
        return next(pair for pair in (*tree, *rest) if pair not in self.edges)

    def state(self) -> tuple[str, Mapping[str, NDArray[Any]]]:
        """What a resume needs."""
        records, arrays = pack_paths(self.paths)
        if self.straight is not None:
            arrays["straight"] = self.straight
        return json.dumps(_store.encode({"edges": self.edges, "paths": records})), arrays

    def take(self, text: str, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take that up."""
        found = json.loads(text, object_hook=_store.decoded)
        self.straight = arrays.get("straight")
        self.edges = [(i, j) for i, j in found["edges"]]
        self.paths = unpack_paths(found["paths"], arrays)
