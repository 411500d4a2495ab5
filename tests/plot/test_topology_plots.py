"""Plots of trust and topology: what they show, not their pixels."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from result_examples import make_run

import landscape
from landscape import Recipe, Surface, Trust, plot


def make_surface(losses: Any) -> Surface:
    losses = np.asarray(losses, float)
    alpha, beta = (np.linspace(-1, 1, n) for n in reversed(losses.shape))
    recipe = Recipe("user", None, "include", None, 0.0, (1.0, 1.0), ("alpha (x)", "beta (y)"))
    return Surface(alpha, beta, losses, recipe=recipe, run=make_run())


VALLEYS = make_surface([[0.0, 4.0, 1.0, 7.0, 3.0], [9.0, 9.0, 9.0, 9.0, 9.0]])
X, Y = np.meshgrid(np.linspace(-1, 1, 13), np.linspace(-1, 1, 13))
ODD = {
    "valleys": VALLEYS,
    "rugged": make_surface(np.random.default_rng(0).normal(size=(20, 20))),
    "decades": make_surface(10 ** np.random.default_rng(1).normal(size=(12, 12))),
    "bowl": make_surface(X**2 + Y**2),
    "constant": make_surface(0 * X + 2.3),
    "negative": make_surface(X - 5),
    "a corner explodes": make_surface(X**2 + Y**2 + 1e25 * (X + Y == 2)),
    "infinite walls": make_surface(np.where(np.abs(X) < 0.1, np.inf, Y**2 + X)),
    "holes": make_surface(np.where(np.abs(X) < 0.1, np.nan, Y**2 + X)),
    "minus infinity": make_surface(np.where(np.hypot(X, Y) < 0.1, -np.inf, Y**2 + X)),
}
DRAWS: list[Callable[..., Axes]] = [
    plot.persistence_diagram,
    plot.merge_tree,
    plot.topological_profile,
]


def save(ax: Axes) -> bytes:
    buffer = io.BytesIO()
    ax.figure.savefig(buffer, format="png", dpi=30)  # type: ignore[union-attr]
    return buffer.getvalue()


def line_points(ax: Axes) -> list[Any]:
    """(n, 2) points of every line."""
    return [np.column_stack([line.get_xdata(), line.get_ydata()]) for line in ax.lines]


def texts(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.texts]


@pytest.mark.parametrize("draw", DRAWS)
@pytest.mark.parametrize("name", ODD)
def test_every_topology_draws_without_a_warning(draw: Callable[..., Axes], name: str) -> None:
    assert save(draw(ODD[name].topology())).startswith(b"\x89PNG")


def test_without_minima_there_is_a_diagram_and_no_tree() -> None:
    nothing = make_surface(X * np.nan).topology()
    assert save(nothing.plot())
    for draw in (plot.merge_tree, plot.topological_profile):
        with pytest.raises(ValueError, match="no minimum"):
            draw(nothing)


def test_a_diagram_has_a_mark_for_each_pair() -> None:
    topology = make_surface(np.random.default_rng(0).normal(size=(9, 9))).topology()
    ax = topology.plot()
    minima, maxima = (line for line in ax.lines if line.get_marker() in ("o", "^"))
    assert np.asarray(minima.get_xdata()) == pytest.approx(topology.births)
    heights = np.asarray(minima.get_ydata())
    finite = np.isfinite(topology.deaths)
    assert heights[finite] == pytest.approx(topology.deaths[finite])
    assert heights[~finite].min() > topology.deaths[finite].max()
    assert np.column_stack([maxima.get_xdata(), maxima.get_ydata()]) == pytest.approx(
        topology.loops
    )
    assert "never" in texts(ax)


def test_a_tree_joins_basins_at_their_saddles_without_crossings() -> None:
    ax = plot.merge_tree(VALLEYS.topology())
    lines = line_points(ax)
    level = sorted(line[0, 1] for line in lines if len(line) == 2 and line[0, 1] == line[1, 1])
    assert level == [4.0, 7.0]
    assert texts(ax) == ["0: 0", "1: 1", "2: 3"]
    topology = make_surface(np.random.default_rng(2).normal(size=(16, 16))).topology()
    ax = plot.merge_tree(topology)
    lines = line_points(ax)
    upright = [line for line in lines if len(line) == 2 and line[0, 0] == line[1, 0]]
    for line in lines:
        if len(line) == 2 and line[0, 1] == line[1, 1]:
            ends = sorted(line[:, 0])
            for other in upright:
                low, high = sorted(other[:, 1])
                between = ends[0] < other[0, 0] < ends[1]
                assert not (between and low < line[0, 1] < high)


def test_a_profile_is_as_wide_as_the_areas() -> None:
    topology = make_surface(np.random.default_rng(3).normal(size=(15, 15))).topology(1.0)
    ax = plot.topological_profile(topology)
    (strips,) = (c for c in ax.collections if isinstance(c, PolyCollection))
    for level in (-1.0, 0.0, 0.8):
        widths = 0.0
        for path in strips.get_paths():
            (x0, y0), (x1, _), (x2, y1), (x3, _) = np.asarray(path.vertices)[:4].tolist()
            if y0 <= level < y1:
                share = (level - y0) / (y1 - y0)
                widths += (1 - share) * (x1 - x0) + share * (x2 - x3)
        areas = {}
        for index, area in enumerate(topology.areas(level)):
            joined = np.flatnonzero(topology.barriers[index] <= level)
            if area:
                areas[int(joined.min())] = area
        assert widths == pytest.approx(sum(areas.values()), abs=0.03)
    low = plot.topological_profile(topology, top=0.5)
    assert low.get_ylim()[1] < ax.get_ylim()[1]
    with pytest.raises(ValueError, match="lies below all minima"):
        plot.topological_profile(topology, top=-100.0)


def make_trust(**changes: Any) -> Trust:
    rises = np.arange(1.0, 7.0)[:, None, None] * np.ones((6, 2, 4))
    values: dict[str, Any] = {
        "radii": [0.5, 1.0],
        "rises": rises,
        "plane_seeds": (1, 2, 3, 4, 5),
        "centre_loss": 0.5,
        "loss_range": (0.4, 9.0),
        "dim": 100,
        "slice_curvature": np.diag([0.2, 0.1]),
        "cosine": 0.0,
        "eigenvalues": [10.0, -0.01],
        "residuals": [0.1, 0.02],
        "eigenvalue_errors": [0.01, 0.02],
        "mean_curvature": 1.2,
        "mean_curvature_error": 0.1,
        "products": 30,
        "status": "complete",
        "run": make_run(),
    }
    return Trust(**{**values, **changes})


PATH: dict[str, Any] = {
    "checkpoint_losses": [3.0, 2.0, 1.0],
    "plane_losses": [2.0, 2.0, np.nan],
    "distances": [3.0, 2.0, 0.0],
    "outside": [0.5, 0.5, 0.0],
}


def test_a_trust_has_a_panel_for_each_part_and_its_verdict() -> None:
    for trust, panels in (
        (make_trust(), 2),
        (make_trust(**PATH), 3),
        (make_trust(rises=None, radii=None, plane_seeds=()), 1),
        (make_trust(slice_curvature=np.zeros((2, 2)), eigenvalues=[0.0, 0.0]), 2),
        (make_trust(rises=np.full((6, 2, 4), np.inf)), 2),
    ):
        ax = trust.plot()
        assert save(ax).startswith(b"\x89PNG")
        assert len(ax.figure.axes) == panels
        words = " ".join(text.get_text() for text in ax.figure.texts)
        assert trust.verdict[0].split(":")[0] in " ".join(words.split())


def test_parts_are_drawn_on_the_callers_axes() -> None:
    trust, figure = make_trust(**PATH), landscape.plot.draw(VALLEYS, "filled")
    ax = figure.add_subplot()
    assert trust.plot(ax) is ax
    rises = next(line for line in ax.lines if line.get_label() == "this plane")
    assert np.asarray(rises.get_ydata()) == pytest.approx([0.0, 1.0, 1.0])
    other = figure.add_subplot()
    assert plot.trust(trust, other, part="trajectory") is other
    assert np.asarray(other.lines[0].get_ydata()) == pytest.approx([3.0, 2.0, 1.0])
    with pytest.raises(ValueError, match="has 'planes', 'curvature'"):
        plot.trust(make_trust(), ax, part="trajectory")
    with pytest.raises(ValueError, match="without ax"):
        plot.trust(trust, part="planes")
