"""Barriers and processor time of paths, against a hand-written band and curve.

    python benchmarks/path.py [--cifar FILE] [--threads N] [--rounds N] [--case NAME] [--markdown]

Two seeds of each network are trained to the loss that `TARGETS` says; the baselines take the
schedules that `BASELINES` says, landscape its defaults. All paths are judged by one evaluator
written by hand (`_path_loops.Function.loss`, batch statistics re-estimated at every point) at 101
points. All runs are interleaved in this one process, and the table has the median over rounds.

ResNet-20 is trained on 5,000 photographs, which takes half an hour, unless `--pair` names two files
with its state dicts; there are no baselines for it, only the straight path and the test error.
"""

from __future__ import annotations

import argparse
import copy
import warnings
from collections.abc import Callable
from pathlib import Path

import _cases
import numpy as np
import torch
from _cases import Case
from _measure import timed
from _path_loops import Function, band, curve, segment
from torch import Tensor, nn

import landscape

TARGETS = {"digits MLP": 0.007, "digits CNN": 0.002}
BASELINES = {
    "digits MLP": (((200, 0.1), (200, 0.1), (200, 0.01)), None),
    "digits CNN": (((150, 0.1), (150, 0.1), (150, 0.01)), 256),
}
"""Steps and rates of the band, and its batch; the curve takes ten times the steps, as a band of ten
pivots takes as many gradients."""
PHOTOGRAPHS = [(260, 0.02), (200, 0.008), (200, 0.004), (120, 0.001)]
POINTS = 101
ROWS = {
    False: "  {:12s} {:22s} barrier {:9.5f}  {:8.2f} s of processor  {:6.3f} of the band by hand",
    True: "| {} | {} | {:.5f} | {:.2f} | {:.3f} |",
}


def main() -> None:
    """Measure, and print as it comes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cifar", type=Path)
    parser.add_argument("--pair", type=Path, nargs=2, help="state dicts of ResNet-20")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--case", help="part of the name of the only network")
    parser.add_argument("--markdown", action="store_true", help="print a table")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    landscape.set_threads(arguments.threads)
    warnings.filterwarnings("ignore", "the barrier")
    for make in (_cases.digits_mlp, _cases.digits_cnn):
        case = make()
        if arguments.case is None or arguments.case in case.name:
            report(case, arguments)
    if arguments.cifar and (arguments.case is None or arguments.case in "CIFAR ResNet-20"):
        photographs(arguments)


def report(case: Case, arguments: argparse.Namespace) -> None:
    """One network: every way to connect its two minima, interleaved."""
    models = [trained(case, seed, TARGETS[case.name]) for seed in (1, 2)]
    first, last = (nn.utils.parameters_to_vector(m.parameters()).detach() for m in models)
    case.model.load_state_dict(models[0].state_dict())
    cycles, batch = BASELINES[case.name]
    judge = Function(case, None)

    def ours(method: str) -> Callable[[], Tensor]:
        def run() -> Tensor:
            path = landscape.connect(*models, case.data, method=method, points=61)
            places = np.linspace(0, 1, POINTS)
            return torch.stack([torch.from_numpy(path.theta_at(s).copy()) for s in places])

        return run

    def by_hand() -> Tensor:
        pivots = band(Function(case, batch), (first, last), cycles)
        lengths = (pivots[1:] - pivots[:-1]).norm(dim=1).cumsum(0).numpy()
        total = np.concatenate([[0], lengths]) / lengths[-1]
        own = np.interp(np.linspace(0, 1, POINTS), total, np.arange(len(pivots)))
        index = np.minimum(own.astype(int), len(pivots) - 2)
        share = torch.tensor(own - index, dtype=pivots.dtype)[:, None]
        return (1 - share) * pivots[index] + share * pivots[index + 1]

    longer = tuple((10 * steps, rate) for steps, rate in cycles)
    ways: dict[str, Callable[[], Tensor]] = {
        "straight": lambda: segment(first, last, POINTS),
        "band by hand": by_hand,
        "curve by hand": lambda: curve(Function(case, batch), (first, last), longer, POINTS)[0],
        "landscape AutoNEB": ours("autoneb"),
        "landscape Bezier": ours("bezier"),
    }
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for seed in range(arguments.rounds):
        for name, run in ways.items():
            torch.manual_seed(seed)
            kept: list[Tensor] = []
            _, seconds = timed(lambda run=run, kept=kept: kept.append(run()))
            losses = [judge.loss(point) for point in kept[0]]
            found[name].append((max(losses) - max(losses[0], losses[-1]), seconds))
    base = float(np.median([seconds for _, seconds in found["band by hand"]]))
    for name, rounds in found.items():
        barrier, seconds = np.median(np.array(rounds), axis=0)
        print(ROWS[arguments.markdown].format(case.name, name, barrier, seconds, seconds / base))


def photographs(arguments: argparse.Namespace) -> None:
    """ResNet-20 on photographs: the barrier beside the straight one, and the test error."""
    case = _cases.cifar_resnet20(arguments.cifar, 5000)
    if arguments.pair:
        models = [copy.deepcopy(case.model), copy.deepcopy(case.model)]
        for model, file in zip(models, arguments.pair, strict=True):
            model.load_state_dict(torch.load(file))
    else:
        models = [trained(case, seed, 0.002, batch=125, decay=5e-4) for seed in (1, 2)]
    with np.load(arguments.cifar) as archive:
        pixels = torch.from_numpy(archive["test_images"])
        labels = torch.from_numpy(archive["test_labels"]).long()
    test = pixels.permute(0, 3, 1, 2).float().contiguous() / 127.5 - 1, labels
    shown = {"test": test, "metrics": "error", "progress": "bar"}
    straight = landscape.barrier(*models, case.data, points=11, **shown)
    given = {"method": landscape.Bezier(PHOTOGRAPHS), "batch_size": 64}
    way = landscape.connect(*models, case.data, points=11, **given, **shown)
    for path in (straight, way):
        print(path)
    print(f"barrier {way.barrier / straight.barrier:.4f} of the straight path's")


def trained(
    case: Case, seed: int, target: float, *, batch: int = 256, decay: float = 0.0
) -> nn.Module:
    """A model of its own, trained by gradient descent until its loss is the target's."""
    torch.manual_seed(seed)
    model = copy.deepcopy(case.model)
    for module in model.modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.1
    rate = {"lr": 0.1, "momentum": 0.9, "weight_decay": decay}
    descent = torch.optim.SGD(model.parameters(), **rate)
    loss = float("inf")
    for epoch in range(40 if decay else 2000):
        if loss <= target:
            break
        if decay and epoch == 20:  # the photographs need a smaller rate in the end
            descent.param_groups[0]["lr"] = 0.01
        model.train()
        for rows in torch.randperm(len(case.targets)).split(batch):
            descent.zero_grad()
            case.loss(model(case.inputs[rows]), case.targets[rows]).backward()
            descent.step()
        model.eval()
        with torch.no_grad():
            parts = zip(case.inputs.split(500), case.targets.split(500), strict=True)
            sums = [case.loss(model(x), y).item() * len(y) for x, y in parts]
            loss = sum(sums) / len(case.targets)
    model.zero_grad(set_to_none=True)
    return model


if __name__ == "__main__":
    main()
