"""Results: frozen, validated, equal bit for bit after a round trip, readable as a table."""

from __future__ import annotations

import copy
import json
import math
import pickle
import sys
import zipfile
from dataclasses import FrozenInstanceError, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from result_examples import make_run

from landscape import _store
from landscape._results import Line, Recipe, Surface, load

if TYPE_CHECKING:
    from pathlib import Path

NAN, INF = math.nan, math.inf


def make_recipe(axes: int = 2, **changes: Any) -> Recipe:
    values: dict[str, Any] = {
        "kind": "random",
        "normalize": "filter",
        "one_dimensional": "zero",
        "seed": 7,
        "cosine": -0.0123 if axes == 2 else None,
        "norms": (3.5, 3.25)[:axes],
        "labels": ("alpha (1 = filter norm of theta)", "beta (1 = filter norm of theta)")[:axes],
        "markers": {"model": (0.0,) * axes, "B": (1.0, 0.5)[:axes]},
        "fingerprint": "9f86d081884c7d65",
    }
    return Recipe(**(values | changes))


ALPHA, BETA = np.array([-1.0, 0.0, 0.5, 1.0]), np.array([-2.0, 0.0, 2.0])
LOSSES = np.array([[3.0, 2.0, NAN, 4.0], [1.0, 0.5, 0.25, INF], [-INF, 9.0, -0.0, 5e-324]])


def make_surface(**changes: Any) -> Surface:
    values: dict[str, Any] = {
        "alpha": ALPHA,
        "beta": BETA,
        "losses": LOSSES,
        "recipe": make_recipe(),
        "run": make_run(),
    }
    return Surface(**(values | changes))


def full_surface() -> Surface:
    recipe = make_recipe(
        kind="pca", explained_variance=(0.8, 0.125), trajectory=np.arange(10.0).reshape(5, 2)
    )
    odd = {"accuracy": LOSSES / 10, "../top 5/ä.npy": LOSSES**2, "losses": -LOSSES}
    test = make_surface(losses=LOSSES + 1, metrics={"accuracy": LOSSES}, recipe=recipe)
    return make_surface(metrics=odd, standard_error=np.abs(LOSSES), test=test, recipe=recipe)


def make_line(**changes: Any) -> Line:
    values: dict[str, Any] = {
        "positions": ALPHA,
        "losses": LOSSES[0],
        "recipe": make_recipe(1),
        "run": make_run(),
    }
    return Line(**(values | changes))


RESULTS = [
    make_surface(),
    full_surface(),
    make_line(),
    make_line(metrics={"error": LOSSES[1]}, test=make_line(losses=LOSSES[2])),
]


@pytest.mark.parametrize("result", RESULTS)
def test_round_trip_is_bit_for_bit(result: Surface | Line, tmp_path: Path) -> None:
    result.save(tmp_path / "result.npz")
    found = load(tmp_path / "result.npz")
    assert type(found) is type(result)
    assert found.equals(result)
    assert found.losses.tobytes() == result.losses.tobytes()
    assert list(found.metrics) == list(result.metrics)
    assert repr(found) == repr(result)
    assert getattr(found, "figure", None) is None


def test_every_field_survives_with_its_type(tmp_path: Path) -> None:
    made = full_surface()
    made.save(tmp_path / "result.npz")
    found = load(tmp_path / "result.npz")
    assert isinstance(found, Surface)
    recipe = found.recipe
    for name in ("norms", "labels", "explained_variance"):
        assert getattr(recipe, name) == getattr(made.recipe, name)
        assert isinstance(getattr(recipe, name), tuple)
    assert recipe.markers == {"model": (0.0, 0.0), "B": (1.0, 0.5)}
    assert (recipe.seed, recipe.cosine, recipe.fingerprint) == (7, -0.0123, "9f86d081884c7d65")
    assert recipe.trajectory is not None
    np.testing.assert_array_equal(recipe.trajectory, np.arange(10.0).reshape(5, 2))
    assert found.run.notes == made.run.notes
    weights = found.run.policy["weights"]
    assert isinstance(weights, tuple)
    assert weights[2] == (2, (3,))
    assert math.isnan(weights[1])
    assert found.test is not None
    np.testing.assert_array_equal(found.test.losses, LOSSES + 1)
    np.testing.assert_array_equal(found.metrics["../top 5/ä.npy"], LOSSES**2)
    with zipfile.ZipFile(tmp_path / "result.npz") as archive:
        assert all("/" not in name and name.isascii() for name in archive.namelist())


def test_a_run_without_nan_equals_itself_after_a_round_trip(tmp_path: Path) -> None:
    run = make_run(policy={"shape": [1, 2], "of": {"a": (np.float64(0.5), np.int64(3))}})
    make_surface(run=run).save(tmp_path / "result.npz")
    assert load(tmp_path / "result.npz").run == run


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_any_losses_survive(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    shape = data.draw(st.tuples(st.integers(2, 5), st.integers(2, 5)))
    losses = data.draw(hnp.arrays(np.float64, shape, elements=st.floats()))
    axes = [np.arange(float(n)) for n in shape]
    made = make_surface(alpha=axes[1], beta=axes[0], losses=losses)
    path = tmp_path_factory.mktemp("any") / "result"
    made.save(path)
    assert load(path).equals(made)


def test_the_figure_takes_no_part_in_equality_or_saving(tmp_path: Path) -> None:
    class Figure:
        def _repr_png_(self) -> bytes:
            return b"picture"

    plain = make_surface()
    drawn = replace(plain, figure=Figure())
    assert drawn.equals(plain)
    drawn.save(tmp_path / "drawn")
    plain.save(tmp_path / "plain")
    assert (tmp_path / "drawn").read_bytes() == (tmp_path / "plain").read_bytes()
    assert "Figure" not in repr(drawn)
    assert drawn._repr_png_() == b"picture"
    assert plain._repr_png_() is None


@pytest.mark.parametrize(
    "changes",
    [
        {"losses": np.where(LOSSES == 0, 0.0, LOSSES)},  # -0.0 became 0.0
        {"alpha": np.nextafter(ALPHA, 9)},
        {"metrics": {"accuracy": LOSSES}},
        {"standard_error": LOSSES},
        {"run": make_run(seconds=0.5)},
        {"recipe": make_recipe(seed=8)},
        {"recipe": make_recipe(trajectory=[[0, 0]])},
        {"test": make_surface()},
    ],
)
def test_equals_sees_every_difference(changes: dict[str, Any]) -> None:
    assert make_surface().equals(make_surface())
    assert not make_surface().equals(make_surface(**changes))
    assert not make_surface().equals(make_line())


def test_nothing_can_be_changed() -> None:
    mine = LOSSES.copy()
    surface = make_surface(losses=mine, metrics={"accuracy": mine})
    mine[0, 0] = 100.0
    assert surface.losses[0, 0] == 3.0
    assert surface.metrics["accuracy"][0, 0] == 3.0
    arrays = [surface.alpha, surface.beta, surface.losses, surface.metrics["accuracy"]]
    assert full_surface().recipe.trajectory is not None
    for array in arrays:
        assert array.dtype == np.float64
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0.0
    with pytest.raises(FrozenInstanceError):
        surface.losses = mine  # type: ignore[misc]
    for mapping in (surface.metrics, surface.recipe.markers, surface.run.policy):
        with pytest.raises(TypeError):
            mapping["new"] = 0  # type: ignore[index]


def test_results_pickle_and_copy() -> None:
    surface = full_surface()
    assert pickle.loads(pickle.dumps(surface)).equals(surface)
    assert copy.deepcopy(surface).equals(surface)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"losses": LOSSES.T}, r"losses has shape \(4, 3\); expected \(3, 4\)"),
        ({"metrics": {"acc": LOSSES[0]}}, r"metrics\['acc'\] has shape \(4,\); expected \(3, 4\)"),
        ({"standard_error": 0.5}, r"standard_error has shape \(\); expected \(3, 4\)"),
        ({"alpha": ALPHA[::-1]}, r"alpha is .*strictly increasing"),
        ({"beta": [0.0, NAN, 1.0]}, r"beta is .*expected finite"),
        ({"beta": BETA[:, None]}, r"beta has shape \(3, 1\); expected one dimension"),
        ({"beta": [0.0]}, r"beta has shape \(1,\); expected one dimension, 2 or more points"),
        ({"recipe": make_recipe(1)}, r"1 axis labels; expected 2, for alpha and beta"),
        ({"test": make_surface(alpha=ALPHA + 1)}, "another alpha axis"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        make_surface(**changes)


def test_wrong_types_are_refused() -> None:
    with pytest.raises(TypeError, match="losses has dtype complex128; expected real numbers"):
        make_surface(losses=LOSSES + 0j)
    with pytest.raises(TypeError, match="test is Line; expected a Surface"):
        make_surface(test=make_line())
    with pytest.raises(ValueError, match="1 norms for 2 labels"):
        make_recipe(norms=(1.0,))
    with pytest.raises(ValueError, match="marker 'B' has 1 coordinates; expected 2"):
        make_recipe(markers={"B": (1.0,)})
    with pytest.raises(ValueError, match=r"trajectory has shape \(5, 3\); expected \(5, 2\)"):
        make_recipe(trajectory=np.zeros((5, 3)))


def test_summaries() -> None:
    surface = make_surface(losses=np.array(LOSSES))
    assert surface.minimum == (0.5, 2.0, 0.0)
    assert make_surface(losses=np.where(LOSSES == 3.0, -7.0, LOSSES)).minimum == (-1, -2, -7)
    assert make_surface(losses=np.where(LOSSES == 0.5, -7.0, LOSSES)).minimum == (0, 0, -7)
    assert make_surface(losses=np.where(LOSSES == 4.0, -7.0, LOSSES)).minimum == (1, -2, -7)
    assert surface.centre_loss == 0.5
    assert surface.range == (-0.0, 9.0)
    assert surface.non_finite == 3
    line = make_line()
    assert line.minimum == (0.0, 2.0)
    assert (line.centre_loss, line.range, line.non_finite) == (2.0, (2.0, 4.0), 1)


def test_summaries_without_a_finite_loss_or_a_centre() -> None:
    nothing = make_surface(losses=np.full((3, 4), NAN))
    assert all(map(math.isnan, (*nothing.minimum, *nothing.range, nothing.centre_loss)))
    assert nothing.non_finite == 12
    assert math.isnan(make_surface(alpha=ALPHA + 0.25).centre_loss)


def test_repr_is_a_small_table() -> None:
    text = repr(full_surface())
    lines = text.splitlines()
    assert lines[0] == "Surface 4 x 3 of cross-entropy, batch norm frozen"
    assert lines[1].split() == ["loss", "test", "loss"]
    assert "non-finite" in text
    assert "(0.5, 2)" in text
    assert "3 samples dropped by the loader" in text
    assert "seed 7" in text
    assert "torch, cpu, float32" in text
    assert "centre" not in repr(make_surface(alpha=ALPHA + 0.25))
    assert max(map(len, lines)) <= 100
    assert len(lines) < 20


def test_a_changed_file_is_a_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "result.npz"
    full_surface().save(path)
    stored = _store.read(path)
    for record, arrays in (
        ({}, stored.arrays),
        (stored.record, {}),
        (stored.record | {"run": {"engine": "torch"}}, stored.arrays),
        (stored.record, stored.arrays | {"losses": np.zeros(3)}),
    ):
        _store.write(path, "surface", record, arrays)
        with pytest.raises(ValueError, match="does not hold a whole surface"):
            load(path)
    _store.write(path, "partial", {}, {})
    with pytest.raises(ValueError, match="holds a run that resume= keeps, not a result"):
        load(path)


def test_to_xarray_names_dimensions_units_and_records() -> None:
    pytest.importorskip("xarray")
    surface = full_surface()
    dataset = surface.to_xarray()
    assert dict(dataset.sizes) == {"beta": 3, "alpha": 4, "checkpoint": 5, "axis": 2}
    assert dataset["loss"].dims == ("beta", "alpha")
    np.testing.assert_array_equal(dataset["loss"], surface.losses)
    assert dataset["loss"].sel(alpha=0.5, beta=0.0) == 0.25
    assert dataset["alpha"].attrs == {"long_name": surface.recipe.labels[0], "units": "1"}
    assert dataset["loss"].attrs["long_name"] == "loss"
    assert {"test_loss", "test_accuracy", "accuracy", "standard_error"} <= set(dataset)
    assert dataset["metric____top_5_ä_npy"].attrs["long_name"] == "../top 5/ä.npy"
    np.testing.assert_array_equal(dataset["trajectory"], np.arange(10.0).reshape(5, 2))
    assert json.loads(dataset.attrs["run"])["policy"]["loss"] == "cross-entropy"
    assert json.loads(dataset.attrs["recipe"])["normalize"] == "filter"
    assert json.loads(dataset.attrs["test_run"])["seed"] == 7


def test_to_xarray_of_a_line_and_of_clashing_metrics(tmp_path: Path) -> None:
    xarray = pytest.importorskip("xarray")
    pytest.importorskip("scipy")  # which writes netCDF 3
    line = make_line(metrics={"loss": LOSSES[1], "position": LOSSES[1], "accuracy": LOSSES[1]})
    dataset = line.to_xarray()
    assert dataset["loss"].dims == ("position",)
    assert {"metric_loss", "metric_position", "accuracy"} < set(dataset)
    dataset.to_netcdf(tmp_path / "line.nc", engine="scipy")
    with xarray.open_dataset(tmp_path / "line.nc", engine="scipy") as found:
        np.testing.assert_array_equal(found["loss"], line.losses)
        assert found.attrs["run"] == dataset.attrs["run"]


def test_to_xarray_without_xarray_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xarray", None)
    with pytest.raises(ImportError, match=r"landscape-geometry\[xarray\]"):
        make_surface().to_xarray()
