"""Time and barriers of matching hidden units.

    python benchmarks/matching.py [--cifar FILE --pair A B] [--threads N] [--seeds N]

Two digits networks 64-1024-1024-10 with ReLU are trained with different seeds on 1,437 digits, and
the straight line between them is measured before the units of the second are permuted and after. A
pair of trained ResNet-20, whose state dicts `--pair` names, is matched for the seconds that it
takes.
"""

from __future__ import annotations

import argparse
import copy
import time
import warnings
from pathlib import Path

import _cases
import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import landscape

WIDTH, EPOCHS, BATCH = 1024, 60, 64


def main() -> None:
    """Measure, and print as it comes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cifar", type=Path)
    parser.add_argument("--pair", type=Path, nargs=2, help="state dicts of ResNet-20")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=2, help="pairs of digits networks")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    landscape.set_threads(arguments.threads)
    warnings.filterwarnings("ignore", "the barrier")
    for seed in range(arguments.seeds):
        digits(seed)
    if arguments.cifar and arguments.pair:
        photographs(arguments.cifar, arguments.pair)


def digits(seed: int) -> None:
    """One pair of wide networks."""
    data = load_digits()
    pixels, labels = torch.tensor(data.data).float() / 16, torch.tensor(data.target)
    train, test = (pixels[:1437], labels[:1437]), (pixels[1437:], labels[1437:])
    models = [trained(train, 2 * seed + k) for k in (0, 1)]
    started = time.perf_counter()
    alignment = landscape.align(*models, train, seed=seed)
    seconds = time.perf_counter() - started
    ways = {
        "before": landscape.barrier(*models, train, test=test, metrics="error"),
        "after": landscape.barrier(models[0], alignment.model, train, test=test, metrics="error"),
    }
    print(f"64-{WIDTH}-{WIDTH}-10, pair {seed}: matched in {seconds:.2f} s")
    for name, way in ways.items():
        errors = way.test.metrics["error"]
        print(
            f"  {name:6s} barrier {way.barrier:.5f}, on test data {way.test.barrier:.5f}; test "
            f"error at the middle {np.interp(0.5, way.positions, errors):.4f}, at the ends "
            f"{errors[0]:.4f} and {errors[-1]:.4f}"
        )
    print(f"  ratio  {ways['after'].barrier / ways['before'].barrier:.4f}")


def trained(data: tuple[Tensor, Tensor], seed: int) -> nn.Module:
    """One wide network, by gradient descent with momentum and weight decay."""
    torch.manual_seed(seed)
    hidden = (nn.Linear(64, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU())
    model = nn.Sequential(*hidden, nn.Linear(WIDTH, 10))
    descent = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-3)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(data[1])).split(BATCH):
            descent.zero_grad()
            cross_entropy(model(data[0][rows]), data[1][rows]).backward()
            descent.step()
    model.zero_grad(set_to_none=True)
    return model.eval()


def photographs(file: Path, pair: list[Path]) -> None:
    """The pair of ResNet-20."""
    case = _cases.cifar_resnet20(file, 1000)
    models = [copy.deepcopy(case.model), copy.deepcopy(case.model)]
    for model, weights in zip(models, pair, strict=True):
        model.load_state_dict(torch.load(weights))
    times = []
    for seed in range(3):
        started = time.perf_counter()
        alignment = landscape.align(*models, case.data, seed=seed)
        times.append(time.perf_counter() - started)
    print(f"ResNet-20: matched in {min(times):.2f} to {max(times):.2f} s; {alignment.distances}")


if __name__ == "__main__":
    main()
