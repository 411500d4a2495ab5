"""Speed of the native network against hand-written PyTorch.

    python benchmarks/native.py [--threads N] [--case NAME] [--cifar FILE] [--markdown]

Everything that is compared runs interleaved in this one process, on the same data, points and
threads. `README.md` in this folder says what the numbers mean.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import _native_works
import numpy as np
import torch
from _native_measure import Program, Row, Work, measured, torch_rate
from surface import conditions

import landscape

# Spinning threads and memory that goes back to the system after every operation would both make
# PyTorch look slower than it is.
ENVIRONMENT = {
    "OMP_WAIT_POLICY": "PASSIVE",
    "MALLOC_TRIM_THRESHOLD_": str(2**30),
    "MALLOC_MMAP_THRESHOLD_": str(2**30),
}
LOSS_TOLERANCE = 1e-4  # relative, of float32 programs that add up in different orders
LEAST_CHECKED = 4  # items


def main() -> None:
    """Measure, and print as it comes."""
    arguments = parsed()
    if any(name not in os.environ for name in ENVIRONMENT):
        os.environ.update({name: os.environ.get(name, v) for name, v in ENVIRONMENT.items()})
        os.execv(sys.executable, [sys.executable, *sys.argv])
    torch.set_num_threads(arguments.threads)
    if arguments.engine == "native":
        landscape.set_threads(arguments.threads)
    print(f"landscape {landscape.__version__}, torch {torch.__version__}, {conditions()}")
    peak = arguments.threads * arguments.peak if arguments.peak else None
    print(f"peak: {described_peak(peak)}\n", flush=True)
    rows = []
    for work in works(arguments):
        rows.append(measured_row(work, arguments))
        print(report(rows[-1], peak), flush=True)
    if arguments.markdown:
        print(f"\n{markdown(rows, peak)}")


def works(arguments: argparse.Namespace) -> Iterator[Work]:
    """What is to be measured, made one at a time."""
    for name, make in _native_works.WORKS.items():
        if arguments.case and name not in arguments.case:
            continue
        if name == "resnet20" and arguments.cifar is None:
            note("skipped: ResNet-20, for want of photographs; name their file with --cifar FILE")
            continue
        note(f"{name}: preparing")
        yield from make(arguments)


def measured_row(work: Work, arguments: argparse.Namespace) -> Row:
    """Ours and every rival on one piece of work, after all agree."""
    ours = work.ours()
    programs = [ours]
    for rival in work.rivals():
        check(work, ours, rival)
        note(f"  {rival.name}: {rival.detail or 'ready'}")
        programs.append(rival)
    note(f"  {len(programs)} programs, {arguments.rounds} rounds")
    seconds = [arguments.whole, *[arguments.seconds] * (len(programs) - 1)]
    times = measured(programs, work.items, arguments.rounds, seconds)
    row = Row(work, arguments.threads)
    row.times = {program.name: time for program, time in zip(programs, times, strict=True)}
    return row


def check(work: Work, ours: Program, rival: Program) -> None:
    """Both must find the same on the same few items.

    Raises:
        AssertionError: They do not.
    """
    least = max(LEAST_CHECKED, ours.step, rival.step)
    items = work.sample[:least]
    expected, found = (work.checked(program.run(items)) for program in (ours, rival))
    scale = np.linalg.norm(expected, axis=-1) if expected.ndim > 1 else np.abs(expected)
    gap = found - expected
    error = np.linalg.norm(gap, axis=-1) if expected.ndim > 1 else np.abs(gap)
    worst = float(np.max(error / scale))
    if not worst <= LOSS_TOLERANCE:
        raise AssertionError(
            f"{work.name}: {rival.name} differs from ours by {worst:.2g} relative, more than "
            f"{LOSS_TOLERANCE:g}"
        )


def report(row: Row, peak: float | None) -> str:
    """A row in words."""
    ours = row.ours
    size = f"{ours.items} of {len(row.work.items)} at a time"
    rated = f"{rate(row, peak)} GFLOP/s"
    lines = [f"{row.work.name}, threads: {row.threads}: {per_unit(row)}, {size}, {rated}"]
    for name in row.speedups():
        pairs = row.pairs(name)
        theirs = 1e3 * float(np.median(row.times[name].wall))
        lines.append(f"  against {name} ({theirs:.3g} ms): {pairs}")
    return "\n".join(lines) + "\n"


def markdown(rows: Iterable[Row], peak: float | None) -> str:
    """The tables of `README.md`, one for each kind of work."""
    tables: dict[str, list[Row]] = {}
    for row in rows:
        tables.setdefault(row.work.unit, []).append(row)
    return "\n\n".join(table(kind, peak) for kind in tables.values())


def table(rows: list[Row], peak: float | None) -> str:
    """One table: the best rival of each row stands out."""
    names = list(dict.fromkeys(name for row in rows for name in row.speedups()))
    lines = [
        f"| work | threads | ms a {rows[0].work.unit} | GFLOP/s | {' | '.join(names)} |",
        f"|---|---|---|---|{'---|' * len(names)}",
    ]
    for row in rows:
        found = row.speedups()
        best = min(found, key=lambda name: found[name].median, default="")
        cells = [
            "" if name not in found else f"**{found[name]}**" if name == best else str(found[name])
            for name in names
        ]
        milliseconds = 1e3 * float(np.median(row.ours.wall))
        lines.append(
            f"| {row.work.name} | {row.threads} | {milliseconds:.3g} | {rate(row, peak)} "
            f"| {' | '.join(cells)} |"
        )
    return "\n".join(lines)


def per_unit(row: Row) -> str:
    """Our time for an item, by the clock and by the processor."""
    wall, cpu = (1e3 * float(np.median(t)) for t in (row.ours.wall, row.ours.cpu))
    return f"{wall:.3g} ms a {row.work.unit} ({cpu:.3g} ms of processor time)"


def rate(row: Row, peak: float | None) -> str:
    """Our GFLOP/s, and what share of the peak that is."""
    share = f" ({row.rate / peak:.0%})" if peak else ""
    return f"{row.rate:.1f}{share}"


def described_peak(peak: float | None) -> str:
    """Where the peak comes from."""
    if peak:
        return f"{peak:.0f} GFLOP/s, as given by --peak for all threads"
    return f"unknown; not below {torch_rate():.0f} GFLOP/s, which torch.mm reaches"


def note(text: str) -> None:
    """Tell how far it is."""
    print(text, file=sys.stderr, flush=True)


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    names = list(_native_works.WORKS)
    add("--case", action="append", choices=names, help="what to measure; again for more; else all")
    add("--threads", type=int, default=1, help="of both sides")
    add("--rounds", type=int, default=7, help="how often all programs take their turns")
    add("--seconds", type=float, default=1.0, help="about how long a rival runs in a round")
    add("--whole", type=float, default=20.0, help="seconds up to which ours takes the whole grid")
    add("--patience", type=float, default=25.0, help="seconds for tuning one baseline by trial")
    add("--points", type=int, help="points along an axis; by case if not given")
    add("--cifar", type=Path, help="an .npz with train_images and train_labels")
    add("--peak", type=float, help="GFLOP/s of a core's multiply-adds in registers, float32")
    add("--skip", action="append", default=[], help="a baseline to leave out; again for more")
    add("--engine", choices=("native", "torch"), default="native", help="what ours is")
    add("--markdown", action="store_true", help="print the tables of README.md too")
    return parser.parse_args()


if __name__ == "__main__":
    main()
