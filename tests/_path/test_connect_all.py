"""Several minima: their tree against brute force, the plotted graph, resumes and errors."""

from __future__ import annotations

import copy
from itertools import pairwise, permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from path_models import DATA, two
from result_examples import make_run
from torch import nn

import landscape
from landscape import _core
from landscape._path import pairs as path_pairs
from landscape._runs import checkpoint

OPTIONS: dict[str, Any] = {
    "method": landscape.AutoNEB(cycles=[(15, 0.05)]),
    "points": 11,
    "batch_size": 20,
}
pytestmark = pytest.mark.filterwarnings("ignore:the barrier:UserWarning")


def minima() -> list[nn.Module]:
    a, b = two()
    other, _ = two()
    for k, p in enumerate(other.parameters()):
        p.data = p.data.flip(0) if k in (0, 1) else p.data  # hidden units turned round
    last = other.get_submodule("2")
    assert isinstance(last, nn.Linear)
    last.weight.data = last.weight.data.flip(1)
    return [a, b, other]


def test_every_pair_is_connected_and_the_tree_is_the_lowest() -> None:
    models = minima()
    found = landscape.connect_all(models, DATA, **OPTIONS)
    assert len(found.paths) == 3
    for k, model in enumerate(models):
        loss = F.cross_entropy(model(DATA[0]), DATA[1]).item()
        assert found.losses[k] == pytest.approx(loss)
    for (i, j), path in zip(found.edges.tolist(), found.paths, strict=True):
        straight = landscape.barrier(models[i], models[j], DATA)
        assert path.losses.max() <= straight.losses.max() + 1e-9
        assert found.saddles[i, j] == pytest.approx(path.losses.max())
        assert found.path(j, i) is path
    # of all ways from i to j through the others, the lowest
    for i, j in ((0, 1), (0, 2), (1, 2)):
        (k,) = {0, 1, 2} - {i, j}
        through = max(found.saddles[i, k], found.saddles[k, j])
        assert found.heights[i, j] == pytest.approx(min(found.saddles[i, j], through))
    assert found.barrier(0, 1) >= 0


def test_the_cheapest_pairs_come_first_and_a_tree_may_be_enough() -> None:
    found = landscape.connect_all(minima(), DATA, **OPTIONS, max_pairs=2)
    assert len(found.paths) == 2
    assert len({frozenset(edge) for edge in found.edges.tolist()}) == 2
    assert "2 of 3 pairs were searched" in repr(found)
    members = set(found.edges.ravel().tolist())
    assert members == {0, 1, 2}


@pytest.mark.parametrize("size", [2, 3, 4])
def test_heights_are_the_lowest_of_all_ways(size: int) -> None:
    for seed in range(10):
        weights = np.random.default_rng(seed).random((size, size))
        weights = (weights + weights.T) / 2
        np.fill_diagonal(weights, 0)
        found = landscape.Connections(
            weights.diagonal(),
            weights,
            _core.spanning_tree(weights),
            np.empty((0, 2), np.int64),
            paths=(),
            method="linear",
            status="",
            run=make_run(),
        )
        for i in range(size):
            for j in range(size):
                if i != j:
                    others = [k for k in range(size) if k not in (i, j)]
                    best = weights[i, j]
                    for length in range(len(others) + 1):
                        for between in permutations(others, length):
                            way = (i, *between, j)
                            top = max(weights[a, b] for a, b in pairwise(way))
                            best = min(best, top)
                    assert found.heights[i, j] == best


def test_an_interrupted_run_goes_on_with_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "_SAVE_INTERVAL", 0.0)
    monkeypatch.setattr(checkpoint, "_MAX_OVERHEAD", 0)
    models, file = minima(), tmp_path / "run"
    options = {**OPTIONS, "engine": "torch"}
    whole = landscape.connect_all(models, DATA, **options)

    def stop(done: int, most: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        landscape.connect_all(models, DATA, **options, resume=file, progress=stop)
    searched: list[Any] = []
    real = landscape.connect

    def counted(*given: Any, **named: Any) -> Any:
        searched.append(given)
        return real(*given, **named)

    monkeypatch.setattr(path_pairs, "connect", counted)
    again = landscape.connect_all(models, DATA, **options, resume=file)
    assert len(searched) == 1
    assert again.saddles.tobytes() == whole.saddles.tobytes()
    assert again.paths[0].points.tobytes() == whole.paths[0].points.tobytes()
    with pytest.raises(ValueError, match="another computation"):
        landscape.connect_all(models, DATA, **{**options, "points": 12}, resume=file)


def test_a_file_holds_every_bit(tmp_path: Path) -> None:
    found = landscape.connect_all(minima(), DATA, **OPTIONS, max_pairs=1)
    found.save(tmp_path / "connections.npz")
    again = landscape.load(tmp_path / "connections.npz")
    assert isinstance(again, landscape.Connections)
    assert again.equals(found)
    assert repr(again) == repr(found)
    assert len(again.paths) == 1


def test_the_graph_joins_minima_at_their_saddles() -> None:
    found = landscape.connect_all(minima(), DATA, **OPTIONS, max_pairs=2)
    axes = found.plot(scale="linear")
    heights = sorted(found.saddles[i, j] for i, j in found.tree)
    joined = [np.asarray(line.get_ydata()) for line in axes.lines if len(line.get_xdata()) == 4]  # type: ignore[arg-type]
    assert sorted(float(y[1]) for y in joined) == pytest.approx(heights)
    assert {text.get_text() for text in axes.texts} == {"0", "1", "2"}


def test_too_few_or_foreign_models_are_refused() -> None:
    a, _ = two()
    with pytest.raises(ValueError, match="got 1 models"):
        landscape.connect_all([a], DATA)
    with pytest.raises(ValueError, match="do not fit"):
        landscape.connect_all([a, nn.Linear(5, 3)], DATA)
    with pytest.raises(ValueError, match="distance zero"):
        landscape.connect_all([a, copy.deepcopy(a)], DATA)
