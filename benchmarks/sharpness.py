"""The standard set of sharpness measures, against the same numbers computed by hand.

    python benchmarks/sharpness.py [--cifar FILE] [--threads N] [--rounds N] [--markdown]

By hand: the largest eigenvalue by power iteration to 1e-3, the trace by Hutchinson to 10%, ten
projected ascent steps from each of two starts in Keskar's box, a SAM step and an adaptive one, and
32 losses under noise, the products on one retained graph of the gradient. Both run interleaved in
this process; the first call of each, which exports and compiles, is shown by itself. Then the worst
case: what Auto-PGD finds at as many gradients as projected ascent with fixed steps (ten starts).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import _cases
import numpy as np
import torch
from _cases import Case, trained
from _measure import timed
from torch import Tensor

import landscape

Program = Callable[[], object]

TRACE_ERROR, EIGENVALUE_ERROR = 0.1, 1e-3
ROWS = {
    False: "  {:12s} {:18s} first {:8.0f} ms, then {:8.0f} ms  {:>22s}  {:>8s} gradients",
    True: "| {} | {} | {:.0f} | {:.0f} | {} | {} |",
}


def main() -> None:
    """Measure, and print as it comes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cifar", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--markdown", action="store_true", help="print a table")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    landscape.set_threads(arguments.threads)
    makers = [_cases.digits_mlp, _cases.digits_cnn]
    if arguments.cifar:
        makers.append(lambda: _cases.cifar_resnet20(arguments.cifar, 1000))
    for make in makers:
        report(trained(make()), arguments)
    compare_searches()


def report(case: Case, arguments: argparse.Namespace) -> None:
    """Seconds of the whole call, and their ratio to those by hand."""
    programs: dict[str, Program] = {
        "by hand": lambda: by_hand(case),
        "landscape, torch": lambda: ours(case, "torch"),
        "landscape, native": lambda: ours(case, "native"),
    }
    rounds = arguments.rounds if case.parameters < 100_000 else 1
    first: dict[str, float] = {}
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    cost: dict[str, str] = {}
    for index in range(rounds + 1):
        for name, run in programs.items():
            found: list[object] = []
            took, _ = timed(lambda run=run, found=found: found.append(run()))
            if isinstance(found[0], landscape.Sharpness):
                cost[name] = str(found[0].run.evaluations)
            if index == 0:
                first[name] = took
            else:
                seconds[name].append(took)
    for name in programs:
        ratio = np.array(seconds[name]) / np.array(seconds["by hand"])
        row = (1000 * first[name], 1000 * np.median(seconds[name]))
        text = f"{np.median(ratio):.2f} ({ratio.min():.2f} to {ratio.max():.2f})"
        print(
            ROWS[arguments.markdown].format(case.name, name, *row, text, cost.get(name, "")),
            flush=True,
        )


def ours(case: Case, engine: str) -> landscape.Sharpness:
    """The standard set, from the model on."""
    return landscape.sharpness(case.model, case.data, engine=engine, test=case.data)


def by_hand(case: Case) -> dict[str, float]:
    """The same numbers as a user would compute them with PyTorch."""
    written = HandWritten(case)
    return {
        "max_eigenvalue": written.max_eigenvalue(),
        "trace": written.trace(),
        "keskar": written.keskar(),
        **written.sam(),
        "noise_rise": written.noise_rise(),
    }


class HandWritten:
    """Measures of one network, which is moved and moved back."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.parameters = list(case.model.parameters())
        self.sizes = [p.numel() for p in self.parameters]
        self.generator = torch.Generator().manual_seed(0)
        self.start = flat(tuple(p.detach() for p in self.parameters))
        self.centre = float(self.loss().detach())
        self.graph = torch.autograd.grad(self.loss(), self.parameters, create_graph=True)
        self.slope = flat(self.graph).detach()

    def loss(self) -> Tensor:
        return self.case.loss(self.case.model(self.case.inputs), self.case.targets)

    def gradient(self) -> Tensor:
        return flat(torch.autograd.grad(self.loss(), self.parameters))

    def at(self, offset: Tensor, compute: Callable[[], Tensor]) -> Tensor:
        self.move(offset)
        value = compute().detach()
        self.move(-offset)
        return value

    def move(self, offset: Tensor) -> None:
        with torch.no_grad():
            for parameter, part in zip(self.parameters, offset.split(self.sizes), strict=True):
                parameter.add_(part.view_as(parameter))

    def product(self, vector: Tensor) -> Tensor:
        split = zip(vector.split(self.sizes), self.parameters, strict=True)
        parts = [v.view_as(p) for v, p in split]
        return flat(torch.autograd.grad(self.graph, self.parameters, parts, retain_graph=True))

    def max_eigenvalue(self) -> float:
        vector = torch.randn(len(self.start), generator=self.generator)
        value, before = 0.0, float("inf")
        for _ in range(100):
            vector = self.product(vector / vector.norm())
            before, value = value, float(vector.norm())
            if abs(value - before) < EIGENVALUE_ERROR * value:
                break
        return value

    def trace(self) -> float:
        forms: list[float] = []
        while len(forms) < 30 or np.std(forms) / len(forms) ** 0.5 > TRACE_ERROR * np.mean(forms):
            signs = torch.randint(0, 2, (len(self.start),), generator=self.generator) * 2.0 - 1
            forms.append(float(signs @ self.product(signs)))
        return float(np.mean(forms))

    def keskar(self) -> float:
        box, best = 1e-3 * (self.start.abs() + 1), self.centre
        corner = box * torch.randn(len(self.start), generator=self.generator).sign()
        for origin in (torch.zeros_like(box), corner):
            offset = origin
            for _ in range(10):
                ascent = self.at(offset, self.gradient).sign()
                offset = torch.maximum(torch.minimum(offset + box / 4 * ascent, box), -box)
            best = max(best, float(self.at(offset, self.loss)))
        return 100 * (best - self.centre) / (1 + self.centre)

    def sam(self) -> dict[str, float]:
        found = {}
        for name, radius, scale in (
            ("sam", 0.05, torch.ones_like(self.start)),
            ("adaptive_sam", 0.5, self.start.abs()),
        ):
            step = scale * self.slope
            offset = radius * scale * step / step.norm()
            found[name] = float(self.at(offset, self.loss)) - self.centre
        return found

    def noise_rise(self) -> float:
        draws = (torch.randn(len(self.start), generator=self.generator) for _ in range(32))
        return float(np.mean([float(self.at(0.01 * noise, self.loss)) for noise in draws]))


def flat(tensors: tuple[Tensor, ...]) -> Tensor:
    """One vector."""
    return torch.cat([t.reshape(-1) for t in tensors])


def compare_searches() -> None:
    """The worst case that each method finds at 21 gradients, over ten starts."""
    case = trained(_cases.digits_mlp())
    objective = landscape.Objective(case.model, case.data, engine="native")
    print(f"{case.name}: the worst case by Auto-PGD over that by projected ascent, 20 steps")
    for radius in (0.01, 0.1, 1.0):
        values = {
            method: [
                float(
                    landscape.sharpness(
                        objective,
                        measures=[landscape.measures.WorstCase(radius, method=method, starts=2)],
                        seed=seed,
                    )["worst_case_sharpness"]
                )
                for seed in range(10)
            ]
            for method in ("apgd", "projected")
        }
        ratio = np.median(values["apgd"]) / np.median(values["projected"])
        print(f"  radius {radius:g}: medians {ratio:.4f}", flush=True)


if __name__ == "__main__":
    main()
