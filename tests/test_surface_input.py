"""Invalid input to surfaces, lines and plots: each has its error, before any computation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import landscape

DATA = (torch.randn(20, 4), torch.arange(20) % 3)


class Untouchable(nn.Module):
    """Counts its evaluations, so that a test can see that an error came first."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)
        self.calls = [0]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls[0] += 1
        out: torch.Tensor = self.layer(x)
        return out


@pytest.mark.parametrize("span", [0, -1.0, float("nan"), float("inf"), (1, 2), "wide"])
def test_span(span: Any) -> None:
    with pytest.raises(ValueError, match="span="):
        landscape.surface(nn.Linear(4, 3), DATA, span=span)


@pytest.mark.parametrize("points", [1, 0, (5, 1), (3, 3, 3), 2.5])
def test_points(points: Any) -> None:
    with pytest.raises(ValueError, match="points="):
        landscape.surface(nn.Linear(4, 3), DATA, points=points)


@pytest.mark.parametrize(
    ("directions", "text"),
    [
        ("sideways", "'sideways' is unknown"),
        ((np.zeros(15), np.ones(15)), "direction 0 is zero"),
        ((np.ones(14), np.ones(15)), r"shape \(14,\), expected \(15,\)"),
        ((np.ones(15),), "pair"),
        ((np.ones(15), np.full(15, np.nan)), "NaN"),
        ({"weight": torch.ones(3, 4)}, "dict"),
        (({"weight": torch.ones(3, 4)}, np.ones(15)), "bias: expected .* got missing"),
        (3, "int"),
    ],
)
def test_directions(directions: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        landscape.surface(nn.Linear(4, 3), DATA, directions=directions)


def test_options_that_do_not_exist() -> None:
    model = nn.Linear(4, 3)
    with pytest.raises(ValueError, match="normalize='weight'"):
        landscape.surface(model, DATA, normalize="weight")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="one_dimensional='keep'"):
        landscape.surface(model, DATA, one_dimensional="keep")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="batch_norm='eval'"):
        landscape.surface(model, DATA, batch_norm="eval")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="engine='rust'"):
        landscape.surface(model, DATA, engine="rust")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="metric 'f1'"):
        landscape.surface(model, DATA, metrics="f1")
    with pytest.raises(ValueError, match="progress="):
        landscape.surface(model, DATA, progress="loud")


def test_models_of_another_layout() -> None:
    with pytest.raises(ValueError, match=r"to: the weights do not fit.*\(3, 4\), got \(2, 4\)"):
        landscape.line(nn.Linear(4, 3), DATA, to=nn.Linear(4, 2))
    with pytest.raises(ValueError, match="not both"):
        landscape.line(nn.Linear(4, 3), DATA, to=nn.Linear(4, 3), direction=np.ones(15))
    with pytest.raises(ValueError, match="would move the models off"):
        landscape.line(nn.Linear(4, 3), DATA, to=nn.Linear(4, 3), normalize="filter")


def test_all_directions_zero() -> None:
    class Scale(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(4))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * self.scale

    with pytest.raises(ValueError, match="every direction is zero"):
        landscape.surface(Scale(), (torch.ones(5, 4), torch.ones(5, 4)))


def test_missing_data() -> None:
    with pytest.raises(TypeError, match="data is missing"):
        landscape.surface(nn.Linear(4, 3))


@pytest.mark.parametrize("name", ["missing/surface.png", "."])
def test_unwritable_picture_is_found_before_the_computation(name: str, tmp_path: Any) -> None:
    model = Untouchable()
    with pytest.raises(OSError, match=r"folder"):
        landscape.plot_surface(model, DATA, path=tmp_path / name if name != "." else tmp_path)
    assert model.calls == [0]


def test_unknown_picture_format_and_kind_are_found_before_the_computation(tmp_path: Any) -> None:
    model = Untouchable()
    with pytest.raises(ValueError, match="xyz"):
        landscape.plot_surface(model, DATA, path=tmp_path / "surface.xyz")
    with pytest.raises(ValueError, match="kind='4d'"):
        landscape.plot_surface(model, DATA, kind="4d")  # type: ignore[arg-type]
    assert model.calls == [0]


def test_unwritable_resume_file_is_found_before_the_first_point(tmp_path: Any) -> None:
    with pytest.raises(OSError, match="does not exist"):
        landscape.surface(nn.Linear(4, 3), DATA, resume=tmp_path / "missing" / "run.npz")
