"""Products that the trace of a Hessian takes to a standard error of 1%, by every method.

    python benchmarks/trace.py [--cifar FILE] [--threads N] [--seeds N] [--markdown]

The baseline is Hutchinson's estimate as it is written by hand: random signs, a product by
differentiating the retained graph of the gradient, until the standard error of the mean is 1% of
it and there are 30 of them. Where that takes longer than `--patience`, it ends there, and the
products that its spread asks for, (s / 0.01 mean)^2, stand in the table with as many times its
seconds. Everything runs interleaved in this one process.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import _cases
import numpy as np
import torch
from _cases import Case, trained
from _measure import timed

import landscape

ERROR, FEWEST = 0.01, 30

ROWS = {
    False: "  {:10s} {:28s} {:7.0f} products  {:9.0f} ms  {:>20s}  {:>20s}  {:.3f}",
    True: "| {} | {} | {:.0f} | {:.0f} | {} | {} | {:.3f} |",
}

Found = tuple[float, int, int]
"""The estimate, the products that it takes, and those that were made."""
Run = Callable[[int], Found]


def main() -> None:
    """Measure, and print as it comes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cifar", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--case", help="part of the name of the only network")
    parser.add_argument("--patience", type=float, default=120.0, help="seconds of the baseline")
    parser.add_argument("--markdown", action="store_true", help="print a table")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    landscape.set_threads(arguments.threads)
    makers = [_cases.digits_mlp, _cases.digits_cnn]
    if arguments.cifar:
        makers.append(lambda: _cases.cifar_resnet20(arguments.cifar, 256))
    for make in makers:
        case = make()
        if arguments.case is None or arguments.case in case.name:
            report(trained(case), arguments)


def report(case: Case, arguments: argparse.Namespace) -> None:
    """Products and milliseconds, with their ratios to the baseline over seeds."""
    seeds, row = arguments.seeds, ROWS[arguments.markdown]
    programs = {
        "Hutchinson by hand": by_hand(case, arguments.patience),
        "landscape, hutch++": ours(case, "torch", "hutch++"),
        "landscape, xtrace": ours(case, "torch", "xtrace"),
        "landscape, native, hutch++": ours(case, "native", "hutch++"),
    }
    values, products, seconds = ({name: [] for name in programs} for _ in range(3))
    for seed in range(seeds):
        for name, run in programs.items():
            found: list[Found] = []
            took, _ = timed(lambda run=run, seed=seed, found=found: found.append(run(seed)))
            value, count, made = found[0]
            values[name].append(value)
            products[name].append(count)
            seconds[name].append(took * count / made)
    first = next(iter(programs))
    reference = np.mean(values["landscape, hutch++"])
    for name in programs:
        fewer = [
            f"{np.median(ratio):.2f} ({ratio.min():.2f} to {ratio.max():.2f})"
            for ratio in (
                np.array(numbers[name]) / np.array(numbers[first])
                for numbers in (products, seconds)
            )
        ]
        off = float(np.std(np.array(values[name]) / reference))
        took = 1000 * np.median(seconds[name])
        print(row.format(case.name, name, np.median(products[name]), took, *fewer, off))


def ours(case: Case, engine: str, method: str) -> Run:
    """A method of landscape, with all that a user waits for."""

    def run(seed: int) -> Found:
        hessian = landscape.hessian(case.model, case.data, engine=engine)
        found = hessian.trace(method=method, relative_error=ERROR, seed=seed, progress="off")
        return found.value, found.products, found.products

    return run


def by_hand(case: Case, patience: float) -> Run:
    """Hutchinson's estimate in PyTorch."""

    def run(seed: int) -> Found:
        started, random = time.perf_counter(), torch.Generator().manual_seed(seed)
        leaves = list(case.model.parameters())
        total = case.loss(case.model(case.inputs), case.targets)
        slopes = torch.autograd.grad(total, leaves, create_graph=True)
        forms: list[float] = []
        while True:
            signs = [
                torch.randint(0, 2, leaf.shape, generator=random).to(leaf) * 2 - 1
                for leaf in leaves
            ]
            images = torch.autograd.grad(slopes, leaves, signs, retain_graph=True)
            pairs = zip(signs, images, strict=True)
            forms.append(float(sum((z * image).sum().double() for z, image in pairs)))
            count, mean = len(forms), float(np.mean(forms))
            if count < FEWEST:
                continue
            needed = (np.std(forms, ddof=1) / (ERROR * mean)) ** 2
            if count >= needed:
                return mean, count, count
            if time.perf_counter() - started > patience:
                return mean, int(needed), count

    return run


if __name__ == "__main__":
    main()
