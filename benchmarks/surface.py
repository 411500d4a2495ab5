"""Time of a surface: landscape against hand-written loops and other packages.

    python benchmarks/surface.py [--cifar FILE] [--markdown]

Everything that is compared runs interleaved in this one process, on the same data, points and
threads. `README.md` in this folder says what the numbers mean.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass, field
from pathlib import Path

import _cases
import _loops
import _peers
import numpy as np
import torch
from _cases import Case
from _measure import Pairs, in_fresh_process, interleaved, peak_growth, timed

import landscape
from landscape._objective import Strategy

PROGRAMS = ("whole", "alike", "ours", "chosen")  # whose memory is measured
PATIENCE = 60.0  # seconds for what is not the main comparison; three pairs then do
TOLERANCE = 1e-5  # relative, between landscape's losses and the loop's


@dataclass(frozen=True)
class Memory:
    """Peak megabytes beyond model and data."""

    whole: float
    """One evaluation by hand, all samples at once."""
    alike: float
    """One evaluation by hand under the strategy that landscape chose."""
    ours: float
    """Nine points by landscape under that strategy."""
    chosen: float
    """A surface of nine points with the choice of the strategy before it."""

    def __str__(self) -> str:
        return (
            f"{self.ours:.0f} MB, {self.chosen:.0f} MB with the choice; by hand {self.alike:.0f} "
            f"MB in the same way, {self.whole:.0f} MB with all samples at once"
        )


@dataclass
class Row:
    """What was found out about one network."""

    case: Case
    points: int
    strategy: Strategy
    choosing: float
    """Seconds that the choice of the strategy took, before all else and not counted in it."""
    against: dict[str, Pairs] = field(default_factory=dict)
    memory: Memory | None = None

    @property
    def milliseconds(self) -> float:
        """Of a point, by landscape."""
        return 1000 * float(np.median(self.against["loop"].wall[:, 0])) / self.points**2


def main() -> None:
    """Measure, and print as it comes."""
    arguments = parsed()
    if arguments.memory_of:
        print(json.dumps(memory_here(arguments)))
        return
    if arguments.packages:
        sys.path.append(str(arguments.packages))
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    print(f"landscape {landscape.__version__}, torch {torch.__version__}, {conditions()}\n")
    peers = dict(_peers.installed())
    rows = [measured(make(), arguments, peers) for make in cases(arguments)]
    if arguments.markdown:
        print(f"\n{markdown(rows)}")


def measured(case: Case, arguments: argparse.Namespace, peers: dict[str, _peers.Peer]) -> Row:
    """Compare landscape with everything else on one network."""
    u, v = directions(case)
    points = arguments.points or case.points
    objective = landscape.Objective(case.model, case.data)
    choosing, _ = timed(lambda: objective.strategy)
    row = Row(case, points, objective.strategy, choosing)
    print(f"{case.name}: {case.parameters:,} parameters, {len(case.inputs):,} samples, "
          f"{points} x {points} points")  # fmt: skip
    print(f"  strategy: {described(row.strategy)}, chosen in {choosing:.2f} s", flush=True)

    def ours() -> landscape.Surface:
        return landscape.surface(objective, directions=(u, v), points=points, progress="off")

    surface = ours()
    grid = [(float(a), float(b)) for b in surface.beta for a in surface.alpha]

    def compare(name: str, other: Callable[[], object], patience: float) -> None:
        row.against[name] = interleaved(ours, other, arguments.pairs, patience)
        print(f"  time ours / {name}: {row.against[name]}", flush=True)

    for name, loop in loops(case, u, v):
        np.testing.assert_allclose(surface.losses.ravel(), loop(grid), rtol=TOLERANCE)
        compare(name, lambda loop=loop: loop(grid), PATIENCE if "vmap" in name else float("inf"))
    for name, peer in peers.items():
        compare(name, _peers.silent(peer(case, u, v, points)), PATIENCE)
    print(f"  {row.milliseconds:.3g} ms a point")
    row.memory = memory(case, row.strategy, arguments)
    print(f"  memory: {row.memory or 'not measured on this system'}\n", flush=True)
    return row


def loops(
    case: Case, u: torch.Tensor, v: torch.Tensor
) -> Iterator[tuple[str, _loops.Loop | _loops.VmapLoop]]:
    """What is written by hand, tuned just before its turn."""
    yield "loop", _loops.Loop(case, u, v)
    tuned = _loops.tuned(case, u, v)
    yield f"tuned loop ({tuned.name})", tuned
    stacked = _loops.tuned_vmap(case, u, v)
    yield f"vmap loop ({stacked.name})", stacked


def directions(case: Case) -> tuple[torch.Tensor, torch.Tensor]:
    """Two random vectors of half the parameters' norm: far enough to leave the minimum."""
    theta, generator = _loops.flat(case), torch.Generator().manual_seed(1)
    drawn = [torch.randn(theta.shape, generator=generator) for _ in range(2)]
    u, v = (vector * (0.5 * theta.norm() / vector.norm()) for vector in drawn)
    return u, v


def memory(case: Case, strategy: Strategy, arguments: argparse.Namespace) -> Memory | None:
    """Peak megabytes beyond model and data, each in a process of its own."""
    options = ["--memory-of", case.name, "--threads", str(torch.get_num_threads())]
    options += ["--strategy", json.dumps(strategy.record())]
    if arguments.cifar:
        options += ["--cifar", str(arguments.cifar)]
    sizes = {
        program: in_fresh_process("surface.py", *options, "--program", program)
        for program in PROGRAMS
    }
    if None in sizes.values():
        return None
    return Memory(**{program: float(str(size)) / 2**20 for program, size in sizes.items()})


def memory_here(arguments: argparse.Namespace) -> int | None:
    """The peak growth of this process while one program runs for the first time."""
    torch.set_num_threads(arguments.threads)
    case = next(c for c in (make() for make in cases(arguments)) if c.name == arguments.memory_of)
    u, v = directions(case)
    strategy = json.loads(arguments.strategy)
    if arguments.program in ("ours", "chosen"):
        objective = landscape.Objective(case.model, case.data)
        if arguments.program == "chosen":
            return peak_growth(
                lambda: landscape.surface(objective, directions=(u, v), points=3, progress="off")
            )
        plane = objective.subspace(None, (u, v), strategy=Strategy.from_record(strategy))
        return peak_growth(lambda: plane.losses([(0.1, -0.1)] * 9))
    if arguments.program == "whole":
        loop = _loops.Loop(case, u, v)
        return peak_growth(lambda: loop([(0.1, -0.1)]))
    alike = _loops.like(case, u, v, strategy)
    return peak_growth(lambda: alike([(0.1, -0.1)] * strategy["points"]))


def cases(arguments: argparse.Namespace) -> Iterator[Callable[[], Case]]:
    """The networks, made one at a time."""
    wanted = arguments.only
    for make in (_cases.tiny, _cases.digits_mlp, _cases.digits_cnn):
        if not wanted or wanted in make.__name__:
            yield make
    if wanted and wanted not in "cifar_resnet20":
        return
    if arguments.cifar is None:
        print("skipped: ResNet-20, for want of photographs; name their file with --cifar FILE")
    else:
        yield lambda: _cases.cifar_resnet20(arguments.cifar)


def described(strategy: Strategy) -> str:
    """A strategy in a few words."""
    record = strategy.record()
    samples = "all samples" if record["block"] is None else f"blocks of {record['block']}"
    points = f", {record['points']} points at once" if record["kind"] == "vmap" else ""
    layout = ", channels last" if record["memory_format"] == "channels_last" else ""
    return f"{record['kind']}{points}, {samples}{layout}"


def conditions() -> str:
    """What else decides speed."""
    variables = [
        name for name in os.environ if name.startswith(("OMP_", "MKL_", "MALLOC_", "GOMP_"))
    ]
    settings = ", ".join(f"{name}={os.environ[name]}" for name in sorted(variables))
    cpu = torch.backends.cpu.get_cpu_capability()
    return f"{torch.get_num_threads()} threads, {cpu}, environment: {settings or 'as it is'}"


def markdown(rows: list[Row]) -> str:
    """The tables of `README.md`."""
    kinds = list(dict.fromkeys(name.split(" (")[0] for row in rows for name in row.against))
    lines = [
        f"| network | points | strategy (chosen in) | ms a point | {' | '.join(kinds)} |",
        f"|---|---|---|---|{'---|' * len(kinds)}",
    ]
    for row in rows:
        found = {name.split(" (")[0]: pairs.ratio for name, pairs in row.against.items()}
        cells = [str(found.get(kind, "")) for kind in kinds]
        lines.append(
            f"| {row.case.name}, {row.case.parameters:,} | {row.points} x {row.points} "
            f"| {described(row.strategy)} ({row.choosing:.2f} s) | {row.milliseconds:.3g} "
            f"| {' | '.join(cells)} |"
        )
    lines += [
        "",
        (
            "| network | one evaluation by hand | under the same strategy | landscape "
            "| with the choice |"
        ),
        "|---|---|---|---|---|",
    ]
    for row in rows:
        if row.memory:
            sizes = astuple(row.memory)
            lines.append(f"| {row.case.name} | {' | '.join(f'{mb:.0f} MB' for mb in sizes)} |")
    return "\n".join(lines)


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cifar", type=Path, help="an .npz with train_images and train_labels")
    parser.add_argument("--packages", type=Path, help="a further site-packages folder with peers")
    parser.add_argument("--pairs", type=int, default=15, help="interleaved pairs for each ratio")
    parser.add_argument("--points", type=int, help="points along an axis; by network if not given")
    parser.add_argument("--threads", type=int, help="of PyTorch; its own choice if not given")
    parser.add_argument("--only", help="part of the name of the one network to measure")
    parser.add_argument("--markdown", action="store_true", help="print the tables of README.md too")
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    parser.add_argument("--program", choices=PROGRAMS, help=argparse.SUPPRESS)
    parser.add_argument("--strategy", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
