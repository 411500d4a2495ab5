"""From a fresh process to a saved picture of a loss surface, and where the seconds go.

    python benchmarks/first_picture.py [--cifar FILE] [--before CHECKOUT] [--threads N]
                                       [--rounds N] [--case NAME ...] [--markdown]
                                       [--preset test]
    python benchmarks/first_picture.py --busy [--trials N] [...]

Every picture is drawn by `landscape.plot_surface` in a process of its own, interleaved with that of
another checkout, if there is one. A figure is the median over rounds. Importing PyTorch and making
the network and its data are the user's own and stand beside: the total begins after them, with
`import landscape`, and is split into

- imports: of landscape and matplotlib;
- trace: of the model's operations, and lowering;
- checks: of L against the user's program, and of the native network against PyTorch;
- choice: of how points are evaluated;
- evaluation: of the grid;
- drawing: and saving.

With `--busy` a second process keeps a processor busy while the engine is chosen, again and again,
each time for a copy of the network of which nothing is known. Which engine is faster was measured
before, interleaved, by processor time; a choice is right if it takes at most 10% more than the
faster engine, which it must be in 19 of 20 trials.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

PHASES = ("imports", "trace", "checks", "choice", "evaluation", "drawing")
POINTS = {
    "tiny": 51,
    "digits MLP": 51,
    "digits CNN": 15,
    "ResNet-20": 3,
    "mobile net": 4,
    "wide MLP": 15,
}
"""Along each axis of the picture."""
TEST = ("tiny", "digits MLP")
CIFAR = Path(__file__).parents[2] / "shared" / "data" / "cifar10_12k.npz"
ROUNDS_OF_TRUTH = 5
WITHIN, REQUIRED = 1.1, 0.95
ROWS = {
    False: "  {:12s} {:7s} {:>6s} {:>6s} " + "{:>10s} " * len(PHASES) + "{:>8s}",
    True: "| {} | {} | {} | {} " + "| {} " * len(PHASES) + "| {} |",
}


def main() -> None:
    """Measure, and print as it comes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cifar", type=Path, default=CIFAR if CIFAR.exists() else None)
    parser.add_argument("--before", type=Path, help="another checkout that has been built")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--case", nargs="+", choices=list(POINTS), help="networks, by name")
    parser.add_argument("--busy", action="store_true", help="choose beside a second process")
    parser.add_argument("--preset", choices=("full", "test"), default="full")
    parser.add_argument("--markdown", action="store_true", help="print a table")
    parser.add_argument("--draw", help=argparse.SUPPRESS)
    parser.add_argument("--choose", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.preset == "test":
        arguments.rounds, arguments.trials = 1, 2
    if arguments.draw:
        print(json.dumps(draw(arguments.draw, arguments)))
    elif arguments.choose:
        print(json.dumps(choose(arguments.choose, arguments)))
    elif arguments.busy:
        report_choices(arguments)
    else:
        report_pictures(arguments)


# The first picture


def report_pictures(arguments: argparse.Namespace) -> None:
    """A row for each network and checkout."""
    here = Path(__file__).parents[1]
    builds = {"after": here} if arguments.before is None else {"before": arguments.before}
    builds["after"] = here
    titles = ("network", "build", "torch", "points", *PHASES, "total")
    print(ROWS[arguments.markdown].format(*titles))
    if arguments.markdown:
        print("|" + "---|" * len(titles))
    for name in list_names(arguments):
        seconds: dict[str, list[dict[str, float]]] = {build: [] for build in builds}
        for index in range(arguments.rounds):
            order = list(builds) if index % 2 == 0 else list(reversed(builds))
            for build in order:
                seconds[build].append(run("--draw", name, builds[build], arguments))
        for build, found in seconds.items():
            middle = {key: statistics.median(each[key] for each in found) for key in found[0]}
            phases = [f"{middle[phase]:.2f}" for phase in PHASES]
            row = (name, build, f"{middle['torch']:.2f}", f"{count_points(name, arguments)}")
            text = ROWS[arguments.markdown].format(*row, *phases, f"{middle['total']:.2f}")
            print(text, flush=True)
        if len(builds) > 1:
            pairs = zip(seconds["before"], seconds["after"], strict=True)
            ratios = [after["total"] / before["total"] for before, after in pairs]
            low, high = min(ratios), max(ratios)
            print(f"  after / before: {statistics.median(ratios):.2f} ({low:.2f} to {high:.2f})")


def draw(name: str, arguments: argparse.Namespace) -> dict[str, float]:
    """The seconds of one picture in this process, which has done nothing before."""
    start = time.perf_counter()
    import torch  # noqa: PLC0415 - it is timed

    torch_seconds = time.perf_counter() - start
    torch.set_num_threads(arguments.threads)
    case = make_case(name, arguments.cifar)
    watch = Stopwatch()
    with tempfile.TemporaryDirectory() as folder, watch.phase("total"):
        with watch.phase("imports"):
            import landscape  # noqa: PLC0415 - it is timed

            landscape.set_threads(arguments.threads)
            _ = landscape.plot_surface, landscape.surface, landscape.plot
        watch_phases(watch)
        landscape.plot_surface(
            case.model,
            case.data,
            points=count_points(name, arguments),
            path=Path(folder) / "picture.png",
            progress="off",
        )
    total = sum(watch.seconds.values())
    found = {phase: watch.seconds.get(phase, 0.0) for phase in PHASES}
    return {"torch": torch_seconds, **found, "total": total}


class Stopwatch:
    """Seconds by phase; a phase inside another one does not count as the outer one's."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._inside: list[float] = []

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count the block as this phase."""
        self._inside.append(0.0)
        start = time.perf_counter()
        try:
            yield
        finally:
            whole = time.perf_counter() - start
            own = whole - self._inside.pop()
            self.seconds[name] = self.seconds.get(name, 0.0) + own
            if self._inside:
                self._inside[-1] += whole

    def watch(self, owner: Any, name: str, phase: str) -> None:
        """Count every call of a function as a phase."""
        own = getattr(owner, name)

        def call(*given: Any, **named: Any) -> Any:
            with self.phase(phase):
                return own(*given, **named)

        setattr(owner, name, call)


def watch_phases(watch: Stopwatch) -> None:
    """Let landscape's own functions count as the phases that they are."""
    from landscape import plot  # noqa: PLC0415
    from landscape._objective.engine import Engine  # noqa: PLC0415
    from landscape._objective.native_backend import build  # noqa: PLC0415
    from landscape._objective.verify import FunctionCheck  # noqa: PLC0415
    from landscape._runs.grid import GridRun  # noqa: PLC0415

    watch.watch(build, "_export_model", "trace")
    watch.watch(build, "find_disagreement", "checks")
    watch.watch(FunctionCheck, "compare_losses", "checks")
    watch.watch(Engine, "for_losses", "choice")
    watch.watch(GridRun, "execute", "evaluation")
    watch.watch(plot, "draw", "drawing")
    from matplotlib.figure import Figure  # noqa: PLC0415

    watch.watch(Figure, "savefig", "drawing")


# The engine beside a second process


def report_choices(arguments: argparse.Namespace) -> None:
    """A row for each network, and a failure where too many choices were wrong."""
    wrong = []
    for name in list_names(arguments):
        found = run("--choose", name, Path(__file__).parents[1], arguments)
        right = sum(engine in found["right"] for engine in found["chosen"])
        trials = len(found["chosen"])
        print(
            f"  {name:12s} native {1000 * found['native']:8.2f} ms, "
            f"torch {1000 * found['torch']:8.2f} ms a point; right in {right} of {trials} trials",
            flush=True,
        )
        if right < REQUIRED * trials:
            wrong.append(name)
    if wrong:
        sys.exit(f"wrong too often: {', '.join(wrong)}")


def choose(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """What is faster on a quiet machine, and what is chosen on a busy one."""
    import torch  # noqa: PLC0415

    import landscape  # noqa: PLC0415

    torch.set_num_threads(arguments.threads)
    landscape.set_threads(arguments.threads)
    case, points = make_case(name, arguments.cifar), count_points(name, arguments) ** 2
    seconds = time_engines(case, points)
    fastest = min(seconds.values())
    chosen = []
    with busy_process():
        for _ in range(arguments.trials):
            objective = landscape.Objective(copy.deepcopy(case.model), case.data, check="off")
            plane = objective.subspace(None, list(make_plane(objective)), points=points)
            chosen.append("native" if plane.strategy.kind == "native" else "torch")
    right = [engine for engine, each in seconds.items() if each <= WITHIN * fastest]
    return {**seconds, "right": right, "chosen": chosen}


def time_engines(case: Any, points: int) -> dict[str, float]:
    """Processor seconds a point of both engines, each as it evaluates a run of these points."""
    import landscape  # noqa: PLC0415

    planes: dict[str, Callable[[], Any]] = {}
    for engine in ("native", "torch"):
        objective = landscape.Objective(case.model, case.data, engine=engine, check="off")
        plane = objective.subspace(None, list(make_plane(objective)), points=points)
        count = max(plane.strategy.points, 8 if case.parameters < 100_000 else 2)
        line = [[index / count, 0.1] for index in range(count)]
        planes[engine] = partial(plane.losses, line)
    least = dict.fromkeys(planes, float("inf"))
    for _ in range(ROUNDS_OF_TRUTH):
        for engine, evaluate in planes.items():
            start = time.process_time()
            count = len(evaluate())
            least[engine] = min(least[engine], (time.process_time() - start) / count)
    return least


def make_plane(objective: Any) -> Any:
    """Two directions of about the length of theta."""
    import numpy as np  # noqa: PLC0415

    return np.random.default_rng(0).standard_normal((2, objective.dim)).astype(objective.dtype)


@contextmanager
def busy_process() -> Iterator[None]:
    """A second process that computes without end, on one processor."""
    program = "import numpy\nx = numpy.ones((300, 300))\nwhile True: x = x @ x / 300"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, "-c", program], env=environment)
    try:
        yield
    finally:
        process.kill()
        process.wait()


# Both


def run(mode: str, name: str, build: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Run a part of this script in a fresh process of a checkout."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(build / "python"),
        **{f"{pool}_NUM_THREADS": str(arguments.threads) for pool in ("OMP", "RAYON")},
    }
    command = [sys.executable, __file__, mode, name, "--threads", str(arguments.threads)]
    command += ["--preset", arguments.preset, "--trials", str(arguments.trials)]
    if arguments.cifar is not None:
        command += ["--cifar", str(arguments.cifar)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{name} failed:\n{done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def list_names(arguments: argparse.Namespace) -> list[str]:
    """The networks that are drawn, or chosen for."""
    if arguments.case:
        return list(arguments.case)
    if arguments.preset == "test":
        return list(TEST)
    return [name for name in POINTS if arguments.busy or name != "wide MLP"]


def count_points(name: str, arguments: argparse.Namespace) -> int:
    """Along each axis."""
    return 5 if arguments.preset == "test" else POINTS[name]


def make_case(name: str, cifar: Path | None) -> Any:
    """A network and its data."""
    import _cases  # noqa: PLC0415 - imports PyTorch, which is timed

    makers: dict[str, Callable[[], Any]] = {
        "tiny": _cases.tiny,
        "digits MLP": _cases.digits_mlp,
        "digits CNN": _cases.digits_cnn,
        "ResNet-20": lambda: _cases.cifar_resnet20(cifar, 250),
        "mobile net": lambda: _cases.mobile_net(cifar),
        "wide MLP": _cases.wide_mlp,
    }
    return makers[name]()


if __name__ == "__main__":
    main()
