"""`connect_all`: paths between several minima, and the minimum spanning tree of their saddles."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import combinations
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from landscape import _core, _store
from landscape._align import as_model
from landscape._outside import Outside, adopt_weights, compare_outside, validate_outside
from landscape._path.connection import AlignMethod, connect, refuse_method_options
from landscape._path.methods import Linear, Method, PathMethod, parse_method
from landscape._results import Connections, Path, pack_paths, unpack_paths
from landscape._runs import (
    Interrupt,
    ObjectiveOptions,
    Problem,
    SolverRun,
    SolverState,
    build_objective,
    read_array,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from landscape._objective import MetricLike, Objective
    from landscape._progress import Choice

__all__ = ["connect_all"]

_STRAIGHT_POINTS = 25  # on each straight line, whose highest loss is an upper bound
_POINTS = 61
_RECORD_NAMES = {"cycles": "schedule", "control_points": "pivots"}
"""Names of options in checkpoints, which are those of version 0.1."""


def connect_all(
    models: Sequence[Any],
    data: Any = None,
    loss: Any = None,
    *,
    method: Method = "autoneb",
    max_pairs: int | None = None,
    align: bool | AlignMethod = False,
    outside: Outside = "error",
    test: Any = None,
    metrics: Sequence[MetricLike] | MetricLike = (),
    points: int = _POINTS,
    seed: int = 0,
    interrupt: Interrupt = "raise",
    resume: str | os.PathLike[str] | None = None,
    progress: Choice = None,
    **options: Unpack[ObjectiveOptions],
) -> Connections:
    r"""Connect several minima, and find the minimum spanning tree of the saddles between them.

    .. math:: h(A, B) = \min_{\text{paths } A \to B} \; \max_{\text{edges}} \; L(\text{saddle})

    First the straight line between every two minima is evaluated: an upper bound of their saddle.
    Then paths are searched, one pair after the other: those of the current minimum spanning tree
    first, in the order of their saddles, and then the other pairs in the same order. The tree of
    the saddles gives the heights h, and the disconnectivity graph.

    Args:
        models: Two minima or more: modules or state dicts of one architecture, the first a module
            or an Objective of it.
        data: As for the Objective.
        loss: As for the Objective.
        method: As for :func:`connect`.
        max_pairs: The maximum number of pairs to search; all of them when None, n - 1 for a tree
            alone.
        align: As for :func:`connect`.
        outside: As for :func:`connect`, of every model and the first.
        test: As for :func:`connect`.
        metrics: As for :func:`connect`.
        points: As for :func:`connect`.
        seed: As for :func:`connect`.
        interrupt: What Ctrl-C does: ``"raise"``, or ``"return"`` the pairs connected so far.
        resume: The checkpoint file of finished pairs: created when absent, resumed when present.
        progress: None (a bar in a terminal), ``"bar"``, ``"off"``, or a function of (done, pairs).
        options: Those of :class:`landscape.Objective`.

    Returns:
        Saddles, their tree and the paths.

    Raises:
        TypeError: An option belongs to a method: pass it there.
        ValueError: Fewer than two models, one that does not fit, or one that is another function
            than the first outside its parameters.
        FloatingPointError: A loss or a gradient is not finite.

    Reference:
        Draxler, Veschgini, Salmhofer and Hamprecht, "Essentially No Barriers in Neural Network
        Energy Landscape" (2018), section 3.3; Becker and Karplus, "The Topology of
        Multidimensional Potential Energy Surfaces" (1997), for disconnectivity graphs.

    Example:
        >>> method = landscape.AutoNEB(cycles=[(5, 0.02)])
        >>> result = landscape.connect_all(checkpoints, data, method=method, points=11)
        >>> bool((result.heights <= result.saddles).all())
        True
    """
    minima = list(models)
    if len(minima) < 2:
        raise ValueError(f"got {len(minima)} models, expected two or more")
    path_method = parse_method(method)
    refuse_method_options(options)
    validate_outside(outside)
    built = build_objective(
        connect_all, minima[0], data, loss, seed=seed, options=options, progress=progress
    )
    objective = built.with_default_batch_norm("recalibrated")
    objectives = [built]
    notes: tuple[str, ...] = ()
    for index, source in enumerate(minima[1:], start=1):
        model = as_model(source, built.model)
        name = f"models[{index}]"
        notes += compare_outside(objective, source, name=name, outside=outside)
        if outside == "first":
            model = adopt_weights(built.model, model, built.layout)
        objectives.append(built.with_model(model))
    thetas = np.stack([function.theta for function in objectives])
    pairs = list(combinations(range(len(objectives)), 2))
    count = len(pairs) if max_pairs is None else min(max_pairs, len(pairs))
    path_options = {"align": align, "test": test, "metrics": metrics, "points": points}
    search = _PairSearch(objectives, path_method, {**path_options, "seed": seed}, count)
    inputs = {
        "method": path_method.name,
        "options": _describe_options(path_method, path_options),
        "most": count,
    }
    problem = Problem(objective.with_batch_norm("frozen"), thetas)
    run = SolverRun("connect_all", problem, inputs, count, progress, resume, interrupt, "pair")
    state = run.load_state()
    if state is not None:
        with run.reading():
            search.restore(state)
    run.execute(search, lambda saddle: {"saddle": saddle}, search.get_state, len(search.paths))
    run.require_something(there_is=search.straight is not None)
    status = f"{len(search.paths)} of {len(pairs)} pairs were searched"
    if run.interrupted:
        status = f"interrupted: {status}"
    saddles = search.saddles()
    run.notes += tuple(dict.fromkeys(notes))
    passes = sum(path.run.evaluations for path in search.paths)
    return Connections(
        saddles.diagonal(),
        saddles,
        _core.spanning_tree(saddles),
        np.array(search.edges, np.int64).reshape(-1, 2),
        paths=tuple(search.paths),
        method=path_method.name,
        status=status,
        run=run.make_run(passes + _STRAIGHT_POINTS * len(pairs), status, seed),
    )


def _describe_options(method: PathMethod, options: Mapping[str, Any]) -> dict[str, str]:
    """The options that are not the defaults, for a checkpoint."""
    defaults = {"align": False, "test": None, "metrics": (), "points": _POINTS}
    chosen = {name: value for name, value in options.items() if value is not defaults[name]}
    chosen = {name: value for name, value in chosen.items() if value != defaults[name]}
    for option in fields(method):
        value = getattr(method, option.name)
        if value != option.default:
            chosen[_RECORD_NAMES.get(option.name, option.name)] = value
    return {name: repr(value) for name, value in chosen.items()}


@dataclass
class _PairSearch:
    """A solver that connects one pair after the other."""

    objectives: list[Objective]
    method: PathMethod
    options: Mapping[str, Any]
    max_pairs: int
    straight: NDArray[np.float64] | None = None
    edges: list[tuple[int, int]] = field(default_factory=list)
    paths: list[Path] = field(default_factory=list)

    def run(self, _: Any, tick: Callable[..., bool]) -> bool:
        """Connect the remaining pairs, until a tick pauses it."""
        if self.straight is None:
            self.straight = self._evaluate_straight_lines()
        while len(self.paths) < self.max_pairs:
            i, j = self._choose_pair()
            path = self._connect(i, j, method=self.method, **self.options)
            self.paths.append(path)
            self.edges = [*self.edges[: len(self.paths) - 1], (i, j)]
            if not tick(len(self.paths), float(path.losses.max())):
                return False
        return True

    def _connect(self, i: int, j: int, **options: Any) -> Path:
        return connect(self.objectives[i], self.objectives[j].model, progress="off", **options)

    def _evaluate_straight_lines(self) -> NDArray[np.float64]:
        """The highest loss on every straight line; the losses of the minima on the diagonal."""
        count = len(self.objectives)
        losses = np.zeros((count, count))
        for i, j in combinations(range(count), 2):
            path = self._connect(
                *(i, j), method=Linear(), points=_STRAIGHT_POINTS, align=self.options["align"]
            )
            losses[i, j] = losses[j, i] = path.losses.max()
            losses[i, i], losses[j, j] = path.train.ends
        return losses

    def saddles(self) -> NDArray[np.float64]:
        """The lowest known saddle between every two minima."""
        if self.straight is None:
            raise ValueError("no straight line was evaluated yet")
        saddles = self.straight.copy()
        for (i, j), path in zip(self.edges, self.paths, strict=True):
            saddles[i, j] = saddles[j, i] = min(saddles[i, j], float(path.losses.max()))
        return saddles

    def _choose_pair(self) -> tuple[int, int]:
        """The lowest pair of the tree that was not searched, else the lowest of all."""
        saddles = self.saddles()
        tree = [(int(i), int(j)) for i, j in _core.spanning_tree(saddles)]
        others = combinations(range(len(self.objectives)), 2)
        rest = sorted(others, key=lambda pair: saddles[pair])
        return next(pair for pair in (*tree, *rest) if pair not in self.edges)

    def get_state(self) -> SolverState:
        """The state for a checkpoint."""
        paths = self.paths[: len(self.edges)]  # Ctrl-C may come between the two
        records, arrays = pack_paths(paths)
        if self.straight is not None:
            arrays["straight"] = self.straight
        return json.dumps(_store.encode({"edges": self.edges, "paths": records})), arrays

    def restore(self, state: SolverState) -> None:
        """Restore the state from a checkpoint."""
        text, arrays = state
        record = json.loads(text, object_hook=_store.decoded)
        count = len(self.objectives)
        edges = [(i, j) for i, j in record["edges"]]
        known = set(combinations(range(count), 2))
        paths = unpack_paths(record["paths"], arrays)
        if not known.issuperset(edges) or len(set(edges)) != len(paths) or len(edges) != len(paths):
            raise ValueError(f"it has {len(paths)} paths for the pairs {edges} of {count} minima")
        if "straight" in arrays:
            self.straight = read_array(arrays, "straight", (count, count))
        self.edges, self.paths = edges, paths
