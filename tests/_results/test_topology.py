"""Topology of surfaces: against gudhi, a naive twin and known functions."""

from __future__ import annotations

import heapq
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from result_examples import make_run

import landscape
from landscape import Recipe, Surface, Topology

Floats = NDArray[np.float64]


def make_surface(losses: Any, alpha: Any = None, beta: Any = None) -> Surface:
    losses = np.asarray(losses, float)
    alpha = np.arange(losses.shape[1]) if alpha is None else alpha
    beta = np.arange(losses.shape[0]) if beta is None else beta
    recipe = Recipe("user", None, "include", None, 0.0, (1.0, 1.0), ("alpha (x)", "beta (y)"))
    return Surface(alpha, beta, losses, recipe=recipe, run=make_run())


def sample(function: Any, x: tuple[float, float], y: tuple[float, float], points: int) -> Surface:
    alpha, beta = np.linspace(*x, points), np.linspace(*y, points)
    return make_surface(function(*np.meshgrid(alpha, beta)), alpha, beta)


def mueller_brown(x: Any, y: Any) -> Any:
    rows = [
        (-200, -1, 0, -10, 1, 0),
        (-100, -1, 0, -10, 0, 0.5),
        (-170, -6.5, 11, -6.5, -0.5, 1.5),
        (15, 0.7, 0.6, 0.7, -1, 1),
    ]
    return sum(
        height * np.exp(a * (x - p) ** 2 + b * (x - p) * (y - q) + c * (y - q) ** 2)
        for height, a, b, c, p, q in rows
    )


def himmelblau(x: Any, y: Any) -> Any:
    return (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2


def test_mueller_browns_pairs_are_the_published_saddles() -> None:
    """Müller and Brown (1979), table 2: minima and the saddles between them."""
    topology = sample(mueller_brown, (-1.5, 1.2), (-0.2, 2.0), 401).topology(1.0)
    assert topology.births == pytest.approx([-146.700, -108.167, -80.768], abs=0.02)
    assert topology.deaths == pytest.approx([np.inf, -40.665, -72.249], abs=0.02)
    points = [[-0.558, 1.442], [0.623, 0.028], [-0.050, 0.467]]
    assert topology.points == pytest.approx(np.array(points), abs=0.01)
    saddles = np.array([[-0.822, 0.624], [0.212, 0.293]])
    assert topology.saddles[1:] == pytest.approx(saddles, abs=0.01)
    assert np.isnan(topology.saddles[0]).all()
    barriers = np.array(
        [[-146.700, -40.665, -40.665], [-40.665, -108.167, -72.249], [-40.665, -72.249, -80.768]]
    )
    assert topology.barriers == pytest.approx(barriers, abs=0.02)
    assert not topology.is_on_edge.any()
    assert not len(topology.maxima)


def test_himmelblaus_passes_and_maximum() -> None:
    topology = sample(himmelblau, (-6, 6), (-6, 6), 601).topology(0.1)
    assert sorted(topology.deaths) == pytest.approx([13.312, 67.719, 104.015, np.inf], abs=0.02)
    assert topology.births == pytest.approx(np.zeros(4), abs=0.02)
    assert topology.loops == pytest.approx(np.array([[178.337, 181.617]]), abs=0.02)
    assert topology.maximum_points == pytest.approx(np.array([[-0.271, -0.923]]), abs=0.02)


def grids(*, infinite: bool = True) -> st.SearchStrategy[Floats]:
    values = st.one_of(
        st.integers(0, 6).map(float),
        st.floats(-3, 3, allow_nan=False),
        *([st.just(np.inf)] if infinite else []),
    )
    return hnp.arrays(np.float64, hnp.array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=9),
                      elements=values)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(grids())
def test_pairs_are_those_of_gudhi(losses: Floats) -> None:
    gudhi = pytest.importorskip("gudhi")
    found = make_surface(losses).topology()
    pairs = gudhi.CubicalComplex(vertices=losses).persistence(min_persistence=0)
    by_dimension: dict[int, list[tuple[float, float]]] = {0: [], 1: []}
    for dimension, pair in pairs:
        if pair[0] < np.inf:
            by_dimension[dimension].append(pair)
    assert sorted(zip(found.births, found.deaths, strict=True)) == sorted(by_dimension[0])
    assert sorted(map(tuple, found.loops)) == sorted(by_dimension[1])


def flood(losses: Floats, start: tuple[int, int]) -> Floats:
    """The height at which each vertex is first reached: Dijkstra's algorithm for minimax paths."""
    height = np.full(losses.shape, np.inf)
    height[start] = losses[start]
    queue = [(losses[start], start)]
    while queue:
        level, (row, column) = heapq.heappop(queue)
        for y, x in ((row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)):
            if 0 <= y < losses.shape[0] and 0 <= x < losses.shape[1]:
                through = max(level, losses[y, x])
                if through < height[y, x]:
                    height[y, x] = through
                    heapq.heappush(queue, (through, (y, x)))
    return height


@settings(max_examples=60, deadline=None)
@given(grids(), st.floats(0, 4))
def test_barriers_and_areas_are_those_of_floods(losses: Floats, persistence: float) -> None:
    topology = make_surface(losses).topology(persistence)
    weights = [np.r_[0.5, np.ones(n - 2), 0.5] for n in losses.shape]
    cells = np.outer(*weights) / np.prod(np.array(losses.shape) - 1)
    places = [tuple(divmod(v, losses.shape[1])) for v in topology.minima[:, 0].tolist()]
    for index, place in enumerate(places):
        heights = flood(losses, place)
        assert topology.barriers[index].tolist() == [heights[other] for other in places]
        for level in (0.5, 3.0):
            area = cells[heights <= level].sum() if losses[place] <= level else 0.0
            assert topology.areas(level)[index] == pytest.approx(area)
            assert topology.areas([level])[0, index] == topology.areas(level)[index]


@settings(max_examples=60, deadline=None)
@given(grids(infinite=False))
def test_increasing_maps_of_the_loss_change_heights_alone(losses: Floats) -> None:
    losses = np.round(64 * losses) / 64  # apart enough not to become equal by rounding
    first, second = make_surface(losses).topology(), make_surface(np.exp(losses / 3)).topology()
    for name in ("minima", "maxima", "basins"):
        assert (getattr(first, name) == getattr(second, name)).all()
    assert second.births == pytest.approx(np.exp(first.births / 3))


def test_what_is_not_finite_is_a_wall_or_outside() -> None:
    losses = np.zeros((5, 7))
    losses[:, 3] = np.inf
    walled = make_surface(losses + np.arange(7.0)).topology()
    assert walled.births.tolist() == [0.0, 4.0]
    assert walled.barriers.tolist() == [[0.0, np.inf], [np.inf, 4.0]]
    losses[:, 3] = np.nan
    torn = make_surface(losses + np.arange(7.0)).topology()
    assert torn.births.tolist() == [0.0, 4.0]
    assert (torn.basins[:, 3] == -1).all()
    assert "joins" not in repr(torn)
    nothing = make_surface(losses * np.nan).topology()
    assert len(nothing) == 0
    assert nothing.barriers.shape == (0, 0)
    repr(nothing)


def test_a_topology_is_simplified_saved_and_printed(tmp_path: Path) -> None:
    surface = make_surface(np.random.default_rng(0).normal(size=(15, 12)))
    topology = surface.topology()
    assert len(topology) > 8
    few = topology.simplify(1.0)
    assert few.equals(surface.topology(1.0))
    assert len(few) < len(topology)
    assert (few.persistence > 1.0).all()
    for result in (topology, few):
        result.save(tmp_path / "topology")
        assert landscape.load(tmp_path / "topology").equals(result)
    assert "more minima" in repr(topology)
    assert "1 minimum and 0 maxima" in repr(make_surface([[0.0, 1.0], [1.0, 2.0]]).topology())
    assert topology.is_on_edge.any()
    with pytest.raises(ValueError, match="persistence of -1"):
        surface.topology(-1.0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("minima", np.zeros((2, 3), np.int64)),
        ("minima", np.zeros((1, 3))),
        ("maxima", np.full((1, 2), 9, np.int64)),
        ("basins", np.full((2, 3), -2, np.int64)),
        ("barriers", np.zeros((2, 2))),
        ("losses", np.zeros((3, 2))),
    ],
)
def test_arrays_must_fit(name: str, value: Any) -> None:
    topology = make_surface([[0.0, 1.0, 2.0], [1.0, 2.0, 3.0]]).topology()
    arrays = {field: getattr(topology, field) for field in Topology.arrays}
    axes = [arrays.pop(field) for field in ("alpha", "beta")]
    with pytest.raises(ValueError, match=name if name != "minima" else "minima|barriers|basins"):
        Topology(*axes, **{**arrays, name: value}, min_persistence=0.0, run=make_run())
