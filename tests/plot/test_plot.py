"""Plots: what they show, not their pixels."""

from __future__ import annotations

import io
import math
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from matplotlib.colors import LogNorm, Normalize, SymLogNorm
from matplotlib.contour import QuadContourSet
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path

import landscape
from landscape import plot
from landscape._results import Line, Profile, Recipe, Run, Surface
from landscape.plot import _hatch, _levels, _scale

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

RUN = Run(
    engine="torch",
    strategy={},
    policy={"loss": "cross-entropy"},
    evaluations=1,
    seconds=1.0,
    seed=0,
    status="complete",
    versions={},
)


def recipe(axes: int = 2, **changes: Any) -> Recipe:
    values: dict[str, Any] = {
        "kind": "random",
        "normalize": "filter",
        "one_dimensional": "zero",
        "seed": 0,
        "cosine": 0.0,
        "norms": (3.0, 3.0)[:axes],
        "labels": ("alpha (1 = filter norm of theta)", "beta (1 = filter norm of theta)")[:axes],
        "markers": {"model": (0.0,) * axes},
    }
    return Recipe(**(values | changes))


def surface(
    function: Callable[[Any, Any], Any], points: tuple[int, int] = (21, 21), **changes: Any
) -> Surface:
    alpha, beta = (np.linspace(-1.0, 1.0, n) for n in points)
    losses = np.broadcast_to(function(*np.meshgrid(alpha, beta)), (len(beta), len(alpha)))
    values: dict[str, Any] = {"recipe": recipe(), "run": RUN}
    return Surface(alpha, beta, losses, **(values | changes))


def bowl(x: Any, y: Any) -> Any:
    return 10 ** (-3 + 3.4 * np.hypot(x, 1.3 * y))


def holes(x: Any, y: Any) -> Any:
    return np.where(x > 0.55, np.nan, np.where((x < -0.65) & (y < -0.45), np.inf, bowl(x, y)))


ODD = {
    "bowl": surface(bowl),
    "quadratic": surface(lambda x, y: x**2 + 3 * y**2),
    "quadratic above noise": surface(lambda x, y: 1e-17 + x**2 + y**2),
    "holes": surface(holes),
    "all nan": surface(lambda x, y: x * np.nan),
    "all inf": surface(lambda x, y: x * 0 + np.inf),
    "one finite": surface(lambda x, y: np.where((x == 0) & (y == 0), 1.0, np.nan)),
    "a row": surface(lambda x, y: np.where(y == 0, 1.0 + x, np.nan)),
    "constant": surface(lambda x, y: 2.302585),
    "zero": surface(lambda x, y: 0.0),
    "negative": surface(lambda x, y: -3 + x**2 + y**2),
    "all negative": surface(lambda x, y: -(10 ** (3 * x))),
    "both signs": surface(lambda x, y: -3 + 1e5 * (x**2 + y**2) ** 3),
    "rectangular": surface(bowl, (31, 11)),
    "two": surface(lambda x, y: 1 + x + 2 * y, (2, 2)),
    "two with nan": surface(lambda x, y: np.where((x > 0) & (y > 0), np.nan, x + 3), (2, 2)),
    "huge": surface(lambda x, y: 1e30 * bowl(x, y)),
    "subnormal": surface(lambda x, y: 1e-310 * (1 + x**2)),
    "the largest floats": surface(lambda x, y: 1.7e308 * np.sign(x + 0.01)),
    "a corner explodes": surface(lambda x, y: bowl(x, y) + 1e25 * (x + y == 2)),
    "unknown norms": surface(bowl, recipe=recipe(norms=(0.0, 0.0))),
}


def coloured(ax: Axes) -> QuadContourSet:
    return next(c for c in ax.collections if isinstance(c, QuadContourSet) and c.filled)


def bars(ax: Axes) -> list[Any]:
    return [child for child in ax.child_axes if getattr(child, "_colorbar", None) is not None]


def hatches(ax: Axes) -> list[PathPatch]:
    return [p for p in ax.patches if isinstance(p, PathPatch) and p.get_hatch()]


def texts(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.texts]


def save(figure: Any, kind: str = "png") -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, dpi=30)
    return buffer.getvalue()


@pytest.mark.parametrize("draw", [plot.filled_contour, plot.contour, plot.surface_3d])
@pytest.mark.parametrize("name", ODD)
def test_every_surface_draws_without_a_warning(draw: Callable[..., Axes], name: str) -> None:
    before = ODD[name].losses.tobytes()
    assert save(draw(ODD[name]).figure).startswith(b"\x89PNG")
    assert ODD[name].losses.tobytes() == before


@pytest.mark.parametrize("scale", ["linear", "symlog"])
@pytest.mark.parametrize("name", ODD)
def test_every_surface_draws_on_a_scale_by_name(scale: str, name: str) -> None:
    assert plot.filled_contour(ODD[name], scale=scale)


def test_pictures_need_no_pyplot_and_change_no_setting() -> None:
    script = """
import sys, io, matplotlib
before = matplotlib.rcParams.copy()
sys.path.insert(0, "tests")
import plot.test_plot as t
for kind in ("both", "filled", "contour", "3d"):
    t.save(t.plot.draw(t.ODD["holes"], kind))
t.save(t.plot.compare([t.ODD["bowl"], t.ODD["two"]])[0].figure)
t.save(t.plot.line(t.make_line()).figure)
assert "matplotlib.pyplot" not in sys.modules
assert matplotlib.rcParams.copy() == before
"""
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True, timeout=120)


def test_the_axes_given_are_the_axes_returned() -> None:
    figure = Figure(layout="constrained")
    for draw in (plot.filled_contour, plot.contour):
        ax = figure.add_subplot()
        assert draw(ODD["bowl"], ax) is ax
    assert ODD["bowl"].plot(ax) is ax
    assert plot.line(make_line(), ax) is ax
    relief = figure.add_subplot(projection="3d")
    assert plot.surface_3d(ODD["bowl"], relief) is relief
    pair = figure.subplots(1, 2)
    assert plot.compare([ODD["bowl"], ODD["two"]], pair) == tuple(pair)
    save(figure)
    with pytest.raises(TypeError, match="ax is Axes; expected axes in three dimensions"):
        plot.surface_3d(ODD["bowl"], ax)  # type: ignore[arg-type, unused-ignore]


def test_a_loss_over_decades_gets_a_logarithmic_scale_with_round_levels() -> None:
    ax = plot.filled_contour(ODD["bowl"])
    levels = np.asarray(coloured(ax).levels)
    low, high = ODD["bowl"].range
    assert isinstance(coloured(ax).norm, LogNorm)
    assert (np.diff(levels) > 0).all()
    assert levels[0] <= low < levels[1]
    assert levels[-2] < high <= levels[-1]
    assert 10 <= len(levels) <= 22
    assert all(float(f"{level:.1e}") == level for level in levels)
    # Half of the levels lie where the loss is below the middle of its decades.
    assert np.median(levels) < 2 * math.sqrt(low * high)


def test_scales_suit_their_values() -> None:
    def norm(name: str) -> Normalize:
        return _scale.choose(ODD[name].losses).norm

    assert isinstance(norm("huge"), LogNorm)
    assert isinstance(norm("both signs"), SymLogNorm)
    physics = 354 * np.linspace(0.1, 1, 400).reshape(20, 20) ** 2
    physics[10, 10] = 0.0029  # one deep minimum, as of a physics-informed network
    assert isinstance(_scale.choose(physics).norm, LogNorm)
    for name in ("quadratic", "quadratic above noise", "negative", "two", "constant", "all nan"):
        assert type(norm(name)) is Normalize, name


@settings(max_examples=200, deadline=None)
@given(
    hnp.arrays(np.float64, st.tuples(st.integers(2, 6), st.integers(2, 6)), elements=st.floats()),
    st.sampled_from(["auto", "linear", "symlog"]),
)
def test_levels_ascend_and_cover_all_finite_values(values: NDArray[np.float64], kind: str) -> None:
    scale = _scale.choose(values, kind)
    finite = values[np.isfinite(values) & (np.abs(values) < 1e300)]
    assert np.isfinite(scale.levels).all()
    assert (np.diff(scale.levels) > 0).all()
    assert set(scale.ticks) <= {*scale.levels} or scale.kind == "constant"
    assert len(scale.levels) < 60
    if scale.extend == "neither" and scale.kind != "constant":
        assert all(scale.levels[0] <= value <= scale.levels[-1] for value in finite)
    heights = scale.height(values)
    assert np.array_equal(np.isnan(heights), ~np.isfinite(values))
    assert ((heights >= -1e-9) & (heights <= 1 + 1e-9) | np.isnan(heights)).all()
    for tick in scale.ticks:
        assert scale.text(tick)


def test_an_exploding_corner_leaves_the_scale_to_the_valley() -> None:
    scale = _scale.choose(ODD["a corner explodes"].losses)
    assert scale.extend == "max"
    assert scale.levels[-1] < 1e3
    assert coloured(plot.filled_contour(ODD["a corner explodes"])).extend == "max"
    assert scale.height(1e25) == 1.0


def test_own_levels_scales_and_options() -> None:
    drawn = coloured(plot.filled_contour(ODD["bowl"], levels=[0.01, 0.1, 1.0], cmap="cividis"))
    assert list(drawn.levels) == [0.01, 0.1, 1.0]
    assert drawn.extend == "both"
    assert drawn.get_cmap().name == "cividis"
    assert len(list(coloured(plot.filled_contour(ODD["bowl"], levels=5)).levels)) < 9
    assert type(coloured(plot.filled_contour(ODD["bowl"], scale="linear")).norm) is Normalize
    with pytest.raises(ValueError, match=r"expected two or more numbers in ascending order"):
        plot.filled_contour(ODD["bowl"], levels=[1.0, 0.1])
    with pytest.raises(ValueError, match="expected a positive number of levels"):
        plot.contour(ODD["bowl"], levels=0)
    with pytest.raises(ValueError, match="scale='cubic'; expected one of 'auto', 'linear'"):
        plot.surface_3d(ODD["bowl"], scale="cubic")
    with pytest.raises(ValueError, match="scale='log' with a smallest value of -3"):
        plot.filled_contour(ODD["negative"], scale="log")


def test_axes_say_what_a_unit_step_is_and_keep_lengths() -> None:
    ax = plot.filled_contour(ODD["bowl"])
    assert ax.get_xlabel() == r"$\alpha$ (1 = filter norm of $\theta$)"
    assert ax.get_ylabel() == r"$\beta$ (1 = filter norm of $\theta$)"
    assert ax.get_xlim() == (-1.0, 1.0)
    assert ax.get_aspect() == 1.0
    assert plot.contour(surface(bowl, recipe=recipe(norms=(1.0, 2.0)))).get_aspect() == 2.0
    assert plot.contour(surface(bowl, recipe=recipe(norms=(1.0, 9.0)))).get_aspect() == "auto"


def test_a_label_longer_than_its_axis_breaks_before_its_explanation() -> None:
    long = "principal component 2 (9.4% of the variance, unit length)"
    ax = plot.filled_contour(surface(bowl, recipe=recipe(norms=(3.0, 1.0), labels=("a", long))))
    assert ax.get_ylabel() == long.replace(" (", "\n(")
    assert ax.get_xlabel() == "a"


def test_names_of_close_points_stand_apart() -> None:
    close = recipe(markers={"A": (-0.1, 0.0), "B": (0.1, 0.0)})
    ax = plot.filled_contour(surface(lambda x, y: 1 + x**2 + y**2, recipe=close))
    save(ax.figure)
    boxes = {text.get_text(): text.get_window_extent() for text in ax.texts}
    assert boxes["A"].x1 < ax.transData.transform((-0.1, 0.0))[0]
    assert boxes["B"].x0 > ax.transData.transform((0.1, 0.0))[0]
    names = [boxes[name] for name in ("A", "B", "min 1")]
    assert not any(a.overlaps(b) for a in names for b in names if a is not b)
    assert all(ax.bbox.x0 <= box.x0 and box.x1 <= ax.bbox.x1 for box in names)


def test_the_colour_bar_reads_in_plain_decimals() -> None:
    (bar,) = bars(plot.filled_contour(ODD["bowl"]))
    assert bar.get_ylabel() == "loss (cross-entropy)"
    labels = [label.get_text() for label in bar.get_yticklabels()]
    assert {"0.001", "0.01", "0.1", "1", "10", "100"} <= set(labels)
    assert len(labels) <= 7


@pytest.mark.parametrize(
    ("value", "step", "text"),
    [
        (0.001, 0, "0.001"),
        (20.0, 0, "20"),
        (-2.5, 0, "\N{MINUS SIGN}2.5"),
        (0.0, 0, "0"),
        (50000.0, 0, "50000"),
        (1e6, 0, "$10^{6}$"),
        (-2.5e-7, 0, r"$-2.5\times10^{-7}$"),
        (2.302585, 2e-6, "2.302585"),
        (1e30, 0, "$10^{30}$"),
    ],
)
def test_numbers_are_written_as_a_reader_expects(value: float, step: float, text: str) -> None:
    assert _levels.decimal(value, step) == text


def test_lines_are_labelled_sparsely() -> None:
    for draw in (plot.contour, plot.filled_contour):
        labels = [t for t in texts(draw(ODD["bowl"])) if "model" not in t]
        assert {"0.1", "1", "10"} <= set(labels)
        assert len(labels) == len(set(labels)) <= 7


def test_the_minimum_and_the_named_points_are_marked() -> None:
    named = recipe(markers={"A": (0.0, 0.0), "B": (0.5, 0.5), "far": (9.0, 9.0)})
    ax = plot.filled_contour(surface(lambda x, y: 1 + (x + 0.5) ** 2 + y**2, recipe=named))
    assert {"A", "B", "min 1"} <= set(texts(ax))
    assert "far" not in texts(ax)
    (note,) = [t for t in ax.texts if t.get_text() == "min 1"]
    assert note.xy == (-0.5, 0.0)  # type: ignore[attr-defined, unused-ignore]
    assert "model, min 0.001" in texts(plot.filled_contour(ODD["bowl"]))
    assert "2.303 everywhere" in texts(plot.contour(ODD["constant"]))
    assert not any("min" in text for text in texts(plot.contour(ODD["all nan"])))


def test_a_metric_is_drawn_by_name() -> None:
    with_metric = surface(bowl, metrics={"accuracy": np.exp(-ODD["bowl"].losses)})
    ax = plot.filled_contour(with_metric, values="accuracy")
    assert type(coloured(ax).norm) is Normalize
    assert "model, min loss 0.001" in texts(ax)
    assert bars(ax)[0].get_ylabel() == "accuracy"
    with pytest.raises(
        ValueError, match=r"no values 'error' .* expected one of 'loss', 'accuracy'"
    ):
        plot.filled_contour(with_metric, values="error")


def test_what_is_not_finite_is_hatched_and_counted() -> None:
    for draw in (plot.filled_contour, plot.contour):
        ax = draw(ODD["holes"])
        (patch,) = hatches(ax)
        assert patch.get_label() == "105 NaN, 24 infinite of 441 points"
        legend = ax.get_legend()
        assert legend is not None
        assert legend.get_texts()[0].get_text() == patch.get_label()
        assert patch.get_path().contains_point((0.9, 0.0))
        assert not patch.get_path().contains_point((0.0, 0.0))
        assert not hatches(draw(ODD["bowl"]))
    relief = plot.surface_3d(ODD["holes"])
    assert any(c.get_hatch() for c in relief.collections)
    assert relief.get_legend() is not None


def inside(path: Path, points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """By the even-odd rule: a hole is outside."""
    polygons = map(np.asarray, path.to_polygons())
    counts = [Path(polygon).contains_points(points) for polygon in polygons]
    return np.sum(counts, axis=0) % 2 == 1 if counts else np.zeros(len(points), dtype=bool)


@settings(max_examples=40, deadline=None)
@given(hnp.arrays(np.bool_, st.tuples(st.integers(2, 7), st.integers(2, 7))))
def test_hatching_is_exactly_what_the_contours_leave_open(bad: NDArray[np.bool_]) -> None:
    x = np.array([1.0, 3.0, 4.0, 8.0, 9.0, 12.0, 14.0])[: bad.shape[1]]
    y = np.array([-2.0, -1.0, 0.0, 3.0, 3.5, 4.0, 6.0])[: bad.shape[0]]
    hatched = _hatch.non_finite_cells(x, y, bad)
    corners = np.stack(np.meshgrid(x[:-1], y[:-1]), axis=-1).reshape(-1, 2)
    sizes = np.stack(np.meshgrid(np.diff(x), np.diff(y)), axis=-1).reshape(-1, 2)
    for place in ((0.2, 0.3), (0.7, 0.6), (0.9, 0.2), (0.15, 0.8)):
        points = corners + sizes * place
        if bad.all():
            assert inside(hatched, points).all()
            continue
        losses = np.ma.masked_array(np.ones(bad.shape), bad)
        bands = Figure().add_subplot().contourf(x, y, losses, levels=[0, 99])
        assert (inside(hatched, points) != inside(bands.get_paths()[0], points)).all()


def test_several_surfaces_share_one_scale() -> None:
    axes = plot.compare({"deep": ODD["bowl"], "flat": surface(lambda x, y: 5e3 + x)})
    first, second = (coloured(ax) for ax in axes)
    assert first.norm is second.norm
    levels = list(first.levels)
    assert levels == list(second.levels)
    assert levels[0] <= ODD["bowl"].range[0]
    assert levels[-1] >= 5e3 + 1
    assert [ax.get_title(loc="left") for ax in axes] == ["deep", "flat"]
    assert [len(bars(ax)) for ax in axes] == [0, 1]
    save(axes[0].figure)
    with pytest.raises(ValueError, match="no surfaces to compare"):
        plot.compare([])
    with pytest.raises(ValueError, match="1 axes for 2 surfaces"):
        plot.compare([ODD["bowl"], ODD["two"]], [Figure().add_subplot()])


def test_heights_of_a_relief_are_even_in_decades_and_never_leave_the_box() -> None:
    ax = plot.surface_3d(ODD["bowl"])
    assert [label.get_text() for label in ax.get_zticklabels()][:3] == ["0.001", "0.01", "0.1"]
    steps = np.diff(ax.get_zticks())
    np.testing.assert_allclose(steps, steps[0])
    assert ax.get_zlabel() == "loss (cross-entropy)"
    assert "model, min 0.001" in texts(ax)
    clipped = plot.surface_3d(ODD["bowl"], levels=[0.01, 0.1, 1.0])
    assert clipped.get_zlim()[1] == 1.0


def test_the_trajectory_lies_over_the_contours_with_the_variance_explained() -> None:
    steps = np.column_stack([np.linspace(0.9, 0, 12), np.linspace(-0.5, 0, 12) ** 3])
    pca = recipe(
        kind="pca",
        labels=("PC 1", "PC 2"),
        explained_variance=(0.8421, 0.1),
        trajectory=steps,
        markers={},
    )
    ax = plot.trajectory(surface(bowl, recipe=pca), color="red")
    (path,) = [each for each in ax.lines if each.get_label() == "trajectory"]
    np.testing.assert_array_equal(path.get_xydata(), steps)
    assert path.get_color() == "red"
    assert path.get_zorder() > coloured(ax).get_zorder()
    assert ax.get_xlabel() == "PC 1\n84.2% of the variance"
    assert "start" in texts(ax)
    figure = plot.draw(surface(bowl, recipe=pca))
    assert any(each.get_label() == "trajectory" for each in figure.axes[0].lines)
    with pytest.raises(ValueError, match=r"directions=landscape\.pca\(checkpoints\)"):
        plot.trajectory(ODD["bowl"])


def make_line(losses: Any = None, **changes: Any) -> Line:
    x = np.linspace(-0.25, 1.25, 31)
    y = 1e-3 + 2 * np.clip(1 - (2 * x - 1) ** 2, 0, 1) + np.maximum(np.abs(x - 0.5) - 0.5, 0)
    values: dict[str, Any] = {
        "metrics": {"accuracy": np.exp(-y)},
        "recipe": recipe(1, labels=("position",), markers={"A": (0.0,), "B": (1.0,), "C": (7.0,)}),
        "run": RUN,
    }
    return Line(x, y if losses is None else losses, **(values | changes))


def test_a_line_shows_both_losses_and_its_named_points() -> None:
    test = make_line(make_line().losses + 0.1, standard_error=np.full(31, 0.05))
    ax = plot.line(make_line(test=test))
    curves = [curve for curve in ax.lines if len(curve.get_xdata()) == 31]  # type: ignore[arg-type]
    assert [curve.get_label() for curve in curves] == ["train loss", "test loss"]
    np.testing.assert_array_equal(curves[1].get_ydata(), test.losses)
    assert ax.get_yscale() == "log"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("position", "loss (cross-entropy)")
    assert texts(ax) == ["A", "B"]
    (band,) = ax.collections
    top = np.asarray(band.get_paths()[0].vertices)[:, 1].max()
    assert top == pytest.approx(test.losses.max() + 1.96 * 0.05)
    save(ax.figure)


def test_a_line_shows_metrics_on_a_second_axis_when_asked_by_name() -> None:
    line = make_line(test=make_line())
    assert len(plot.line(line).figure.axes) == 1
    ax = plot.line(line, metrics="accuracy")
    other = ax.figure.axes[1]
    assert other.get_ylabel() == "accuracy"
    assert [each.get_label() for each in other.lines] == ["train accuracy", "test accuracy"]
    legend = ax.get_legend()
    assert legend is not None
    assert len(legend.get_texts()) == 4
    with pytest.raises(ValueError, match="no values 'error' in this line"):
        plot.line(line, metrics=["error"])


@pytest.mark.parametrize("bad", [[0], [3, 4, 5, 9], [30], list(range(31))])
def test_a_line_is_interrupted_and_hatched_where_it_is_not_finite(bad: list[int]) -> None:
    losses = make_line().losses.copy()
    losses[bad] = np.nan
    ax = plot.line(make_line(losses))
    assert np.isnan(np.asarray(ax.lines[0].get_ydata())[bad]).all()
    spans = [patch for patch in ax.patches if patch.get_hatch()]
    for i, x in enumerate(make_line().positions):
        inside = any(s.get_extents().x0 <= ax.transData.transform((x, 1))[0] <= s.get_extents().x1
                     for s in spans)  # fmt: skip
        assert inside == (i in bad)
    assert spans[0].get_label() == f"{len(bad)} NaN of 31 points"
    save(ax.figure)


@pytest.mark.parametrize(
    "losses", [np.zeros(31), np.linspace(-1, 1, 31), np.geomspace(1e-9, 1e9, 31) - 1e-3]
)
def test_lines_of_any_sign_draw(losses: NDArray[np.float64]) -> None:
    assert save(plot.line(make_line(losses)).figure)


@pytest.mark.parametrize("kind", ["png", "pdf", "svg"])
def test_the_picture_of_a_run_has_both_views_on_one_scale(kind: str) -> None:
    figure = plot.draw(ODD["bowl"])
    flat, relief = figure.axes[:2]
    assert (flat.name, relief.name) == ("rectilinear", "3d")
    assert len(bars(flat)) == 1
    labels = {label.get_text() for label in bars(flat)[0].get_yticklabels()}
    assert labels == {label.get_text() for label in relief.get_zticklabels()}  # type: ignore[attr-defined]
    assert save(figure, kind)


def test_pictures_by_kind() -> None:
    assert coloured(plot.draw(ODD["bowl"], "filled").axes[0])
    assert plot.draw(ODD["bowl"], "3d").axes[0].name == "3d"
    assert not any(c.filled for c in plot.draw(ODD["bowl"], "contour").axes[0].collections
                   if isinstance(c, QuadContourSet))  # fmt: skip
    with pytest.raises(ValueError, match="kind='heat'; expected one of 'both', 'filled'"):
        plot.draw(ODD["bowl"], "heat")


def test_notebooks_show_figures_axes_and_results() -> None:
    from dataclasses import replace  # noqa: PLC0415

    figure = plot.draw(ODD["two"])
    shown = [figure, plot.filled_contour(ODD["two"]), plot.surface_3d(ODD["two"])]
    for each in [*shown, replace(ODD["two"], figure=figure)]:
        data, size = each._repr_png_()
        assert data.startswith(b"\x89PNG")
        assert 200 < size["width"] < 1200
    assert ODD["two"]._repr_png_() is None


def test_names_of_points_that_coincide_are_joined() -> None:
    two = {"model": (0.2, 0.5), "B": (-0.5, -0.5)}
    steps = np.array([[-0.8, -0.8], [0.2 + 1e-7, 0.5 - 1e-7]])
    drawn = plot.trajectory(surface(bowl, recipe=recipe(markers=two, trajectory=steps)))
    texts = {text.get_text() for text in drawn.texts}
    assert {"model, end", "B", "start"} <= texts
    assert not {"model", "end"} & texts


@pytest.mark.parametrize(
    ("losses", "title"),
    [
        ([1.0, 0.5, 1.0], "autoneb: no barrier above the ends"),
        ([1.0, 1.8, 2.0], "autoneb: no barrier above the ends, excess 0.3"),
        ([1.0, 2.0, 1.0], "autoneb: barrier 1, excess 1"),
    ],
)
def test_the_title_of_a_path_says_where_there_is_no_barrier(
    losses: list[float], title: str
) -> None:
    profile = Profile([0.0, 0.5, 1.0], losses)  # type: ignore[arg-type]
    ends = {"curve": "polyline", "method": "autoneb", "distance": 1.0, "status": "complete"}
    history = np.zeros((1, 3))
    path = landscape.Path(np.eye(3), history, **ends, train=profile, run=RUN)  # type: ignore[arg-type]
    assert path.plot().get_title() == title
