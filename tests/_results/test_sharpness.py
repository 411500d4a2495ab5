"""Measures and Sharpness: immutable, complete, saved and loaded to the same bits."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from result_examples import make_measure, make_sharpness

import landscape
from landscape import Sharpness


def test_measures_are_a_mapping_by_name() -> None:
    found = make_sharpness()
    assert list(found) == ["noise_rise", "margin"]
    assert found["noise_rise"].value == 0.25
    assert float(found["noise_rise"]) == 0.25
    assert dict(found.items()).keys() == {"noise_rise", "margin"}
    assert len(found) == 2
    assert "trace" not in found


def test_a_saved_result_is_loaded_to_the_same_bits(tmp_path: Path) -> None:
    found = make_sharpness()
    found.save(tmp_path / "sharpness.npz")
    loaded = landscape.load(tmp_path / "sharpness.npz")
    assert loaded.equals(found)
    assert isinstance(loaded, Sharpness)
    assert loaded["noise_rise"].curves["pairs"].tolist() == [0, 1, 2, 3]
    assert loaded["noise_rise"].interval == (0.23, 0.27)
    assert loaded["margin"].value is None
    assert not make_sharpness(loss=0.6).equals(found)
    assert not make_sharpness(measures=(make_measure(value=0.26),)).equals(found)
    assert pickle.loads(pickle.dumps(found)).equals(found)


def test_curves_and_options_cannot_be_changed() -> None:
    measure = make_measure()
    with pytest.raises(ValueError, match="read-only"):
        measure.curves["pairs"][0] = 1
    with pytest.raises(TypeError):
        measure.options["sigma"] = 1  # type: ignore[index]


def test_a_complete_measure_has_a_value() -> None:
    with pytest.raises(ValueError, match="noise_rise is complete, expected a value"):
        make_measure(value=None)


@pytest.mark.parametrize(("gain", "said"), [(None, False), (0.001, False), (0.1, True)])
def test_what_is_no_minimum_is_printed(gain: float | None, *, said: bool) -> None:
    assert ("no minimum" in repr(make_sharpness(descent_gain=gain))) == said


def test_the_table_has_one_row_a_measure() -> None:
    frame = make_sharpness().to_pandas()
    assert list(frame.index) == ["noise_rise", "margin"]
    assert frame.loc["noise_rise", "cost"] == 11.0
    lines = repr(make_sharpness()).splitlines()
    assert lines[2].split()[:5] == ["noise_rise", "0.25", "0.01", "0.23", ".."]
    assert lines[3].strip() == "margin                     not applicable: the loss is MSE"
