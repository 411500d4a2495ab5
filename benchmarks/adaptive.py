"""Surfaces to a tolerance: what they cost, and whether their error bounds hold.

    python benchmarks/adaptive.py [--preset full|test] [--cifar FILE] [--seeds N] [--threads N]
                                  [--markdown]

For each network, seed and tolerance one surface is computed, and compared with the truth: 129 x 129
evaluations on all data, or 500 fresh random points where those take too long. Printed are the
evaluations, the bound of the error that 95% of the area do not exceed beside the true one, and the
largest error known beside the true maximum; then in what share of all runs the bound held, with its
binomial interval, and every run in which it did not. With photographs: the whole call on ResNet-20
against a grid of 51 x 51 (timed on a part of it), the part of the time that is not evaluation, and
on 20,000 samples the error of a random subset of the same size.
"""

from __future__ import annotations

import argparse
import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _adaptive_cases import SMALL, large_mlp, resnet20
from _subset_peer import evaluate_raw_subset
from scipy.stats import binomtest

import landscape
from landscape import Surface

TOLERANCES = (0.2, 0.05, 0.01)
FRESH = 500
GRID = 51
NUMBER = re.compile(r"estimated from (\d+) of")


@dataclass(frozen=True)
class Run:
    """A surface beside the truth."""

    name: str
    seed: int
    tolerance: float
    evaluations: int
    points: int
    bound: float
    quantile95: float
    known: float
    maximum: float
    status: str

    @property
    def holds(self) -> bool:
        """Whether 95% of the area are within the bound."""
        return self.quantile95 <= self.bound

    def __str__(self) -> str:
        return (
            f"  {self.name:18s} {self.seed:4d} {self.tolerance:6.2f} {self.evaluations:6d} "
            f"{self.points:6d}   {self.bound:9.2g} {self.quantile95:9.2g}   {self.known:9.2g} "
            f"{self.maximum:9.2g}  {'' if self.holds else 'bound does not hold'}"
        )


@dataclass
class Record:
    """All runs."""

    runs: list[Run] = field(default_factory=list)

    def add(self, run: Run) -> None:
        """Keep a run, and print it as it comes."""
        self.runs.append(run)
        print(run, flush=True)

    def summarise(self) -> None:
        """Print in what share of the runs the bound held."""
        held = sum(run.holds for run in self.runs)
        interval = binomtest(held, len(self.runs)).proportion_ci(method="exact")
        ratios = [run.bound / run.quantile95 for run in self.runs if run.quantile95 > 0]
        largest = sum(run.maximum <= run.known for run in self.runs)
        print(
            f"\nThe bound held in {held} of {len(self.runs)} runs: {held / len(self.runs):.1%} "
            f"(95% interval {interval.low:.1%} to {interval.high:.1%}); bound over truth: median "
            f"{np.median(ratios):.1f}, smallest {min(ratios):.2f}. The largest error was known in "
            f"{largest}."
        )
        for run in self.runs:
            if not run.holds:
                print(run)


def main() -> None:
    """Measure, and print as it comes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", choices=("full", "test"), default="full")
    parser.add_argument("--cifar", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    landscape.set_threads(arguments.threads)
    is_full = arguments.preset == "full"
    heads = ("bound", "true q95", "known", "true max")
    print(f"  {'network':18s} seed toler.  evals points " + "".join(f"{h:>10s}" for h in heads))
    record = Record()
    for name in SMALL:
        if not is_full and name not in ("digits tanh", "regression"):
            continue
        for seed in range(arguments.seeds if is_full else 1):
            compare(record, name, seed, 129 if is_full else 33)
    if arguments.cifar:
        photographs(record, arguments.cifar, arguments.seeds)
    record.summarise()


def compare(record: Record, name: str, seed: int, points: int) -> None:
    """All tolerances of one network, against a fine grid."""
    problem = SMALL[name](seed)
    objective = landscape.Objective(problem.model, problem.data, problem.loss)
    options: dict[str, Any] = {"seed": seed, "progress": "off", **problem.options}
    truth = landscape.surface(objective, points=points, **options)
    alpha, beta = np.meshgrid(truth.alpha, truth.beta)
    for tolerance in TOLERANCES:
        surface = landscape.surface(objective, tolerance=tolerance, **options)
        record.add(judge((name, seed, tolerance), surface, (alpha, beta), truth.losses))


def judge(
    what: tuple[str, int, float],
    surface: Surface,
    points: tuple[np.ndarray, np.ndarray],
    losses: np.ndarray,
) -> Run:
    """A surface against true losses."""
    assert surface.error is not None
    assert surface.evaluated is not None
    with np.errstate(invalid="ignore"):
        errors = np.abs(surface(*points) / losses - 1)
    errors = errors[np.isfinite(losses)]
    return Run(
        *what,
        surface.run.evaluations,
        len(surface.evaluated),
        surface.error.quantile95,
        float(np.quantile(errors, 0.95)),
        surface.error.maximum,
        float(errors.max()),
        surface.run.status,
    )


def photographs(record: Record, file: Path, seeds: int) -> None:
    """ResNet-20 on 1,000 images, and a network on 20,000 samples, at fresh random points."""
    for name, problem in (("ResNet-20", resnet20(file)), ("MLP, 20,000", large_mlp(file))):
        before = time.perf_counter()
        objective = landscape.Objective(problem.model, problem.data, problem.loss)
        for seed in range(seeds if name != "ResNet-20" else 1):
            tolerances = TOLERANCES if name != "ResNet-20" else (0.05,)
            before = time.perf_counter() if seed else before
            basis = random_basis(objective, seed)
            points = np.random.default_rng(seed).uniform(-1, 1, (FRESH, 2))
            surfaces = {}
            for tolerance in tolerances:
                surface = landscape.surface(
                    objective, tolerance=tolerance, seed=seed, progress="off"
                )
                surfaces[tolerance] = surface, time.perf_counter() - before
                before = time.perf_counter()
            subspace = objective.subspace(None, basis)
            start = time.perf_counter()
            losses = subspace.losses(points)
            each = (time.perf_counter() - start) / FRESH
            for tolerance, (surface, seconds) in surfaces.items():
                run = judge((name, seed, tolerance), surface, tuple(points.T), losses)
                record.add(run)
                grid = GRID**2 * each
                print(
                    f"    whole call {seconds:.1f} s, {GRID} x {GRID} points {grid:.1f} s: "
                    f"{grid / seconds:.1f} times; full evaluations {GRID**2 / run.evaluations:.1f} "
                    f"times fewer; evaluation is {run.evaluations * each / seconds:.1%} of the call"
                )
                if surface.standard_error is not None:
                    count = int(NUMBER.search(" ".join(surface.run.notes))[1])
                    raw_losses = evaluate_raw_subset(objective, basis, points, count, seed)
                    raw = np.quantile(np.abs(raw_losses / losses - 1), 0.95)
                    print(f"    a random subset of as many samples: 95% of errors below {raw:.2g}")


def random_basis(objective: landscape.Objective, seed: int) -> list[np.ndarray]:
    """The directions that `surface` draws with this seed."""
    from landscape._directions import RandomDirections  # noqa: PLC0415

    axes = RandomDirections(2, seed, "filter", "zero").axes(objective.theta, objective.layout)
    return list(axes.basis)


if __name__ == "__main__":
    main()
