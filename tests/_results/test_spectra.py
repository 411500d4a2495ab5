"""Spectrum as a result: validated, saved and loaded bit for bit, printed and drawn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from result_examples import make_run

import landscape
from landscape import Spectrum


def made(**changes: Any) -> Spectrum:
    values: dict[str, Any] = {
        "values": [3.0, 1.0, -0.5],
        "residuals": [1e-4, 2e-3, 4e-3],
        "bounds": [1e-8, 1e-3, 4e-3],
        "products": 17,
        "status": "stopped at max_products=17",
        "which": "both",
        "tolerance": 1e-3,
        "scale": 3.0,
        "method": "lanczos",
        "vectors": np.eye(3, 5, dtype=np.float32),
        "standard_errors": [0.1, 0.2, 0.3],
        "run": make_run(),
    }
    return Spectrum(**(values | changes))


@pytest.mark.parametrize("changes", [{}, {"vectors": None, "standard_errors": None}])
def test_a_file_holds_every_bit(tmp_path: Path, changes: dict[str, Any]) -> None:
    spectrum = made(**changes)
    spectrum.save(tmp_path / "spectrum.npz")
    again = landscape.load(tmp_path / "spectrum.npz")
    assert isinstance(again, Spectrum)
    assert spectrum.equals(again)
    assert not spectrum.equals(replace(spectrum, products=18))
    assert not spectrum.equals(made(values=[3.0, 1.0, np.nextafter(-0.5, 0)], **changes))
    if again.vectors is not None:
        assert again.vectors.dtype == np.float32


def test_what_follows_from_the_numbers() -> None:
    spectrum = made()
    assert len(spectrum) == 3
    assert spectrum.converged.tolist() == [True, True, False]
    assert spectrum.interval[0] == pytest.approx([3 - 1e-8 - 0.196, 3 + 1e-8 + 0.196])
    assert made(standard_errors=None).interval[1] == pytest.approx([0.999, 1.001])
    with pytest.raises(ValueError, match="read-only"):
        spectrum.values[0] = 1


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"residuals has shape \(2,\)"):
        made(residuals=[1.0, 2.0])
    with pytest.raises(ValueError, match=r"vectors has shape \(2, 5\)"):
        made(vectors=np.eye(2, 5))


def test_it_prints_as_a_table() -> None:
    lines = repr(made()).splitlines()
    assert lines[0].startswith("Spectrum of 3 eigenvalues, both")
    assert "3 +- " in lines[1]
    assert lines[3].endswith("not converged")
    assert all(len(line) <= 100 for line in lines)
    many = made(
        values=np.arange(40.0)[::-1],
        residuals=np.zeros(40),
        bounds=np.zeros(40),
        vectors=None,
        standard_errors=None,
    )
    assert "and 28 more" in repr(many)


def test_it_is_drawn_with_whiskers_and_what_has_not_converged() -> None:
    ax: Any = made().plot()
    bars = ax.patches
    assert [bar.get_height() for bar in bars] == [3.0, 1.0, -0.5]
    assert [bool(bar.get_hatch()) for bar in bars] == [False, False, True]
    low, high = ax.collections[0].get_segments()[0][:, 1]
    assert (high - low) / 2 == pytest.approx(made().errors[0])
    assert ax.get_title() == "2 of 3 converged, 17 products"
    assert ax.get_legend() is not None
    assert made(residuals=[0.0] * 3).plot().get_legend() is None
