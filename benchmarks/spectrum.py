"""Time and products of the top five eigenvalues: landscape and other packages.

    python benchmarks/spectrum.py [--cifar FILE] [--packages FOLDER] [--threads N]

All programs run interleaved in one process, on the same trained network, data and threads. A run
is all that a user waits for: making the operator, and the eigenvalues to a relative 1e-3. What a
package calls its tolerance is its own affair; the largest error of the five values, relative to the
first and against eigenvalues to 1e-8, is printed beside it.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import _cases
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from _cases import Case, trained
from _measure import timed

import landscape

COUNT, TOLERANCE = 5, 1e-3

ROWS = {
    False: "  {:34s} {:5d} products  {:9.1f} ms  {:22s}  error {:.1e}",
    True: "| {network} | {} | {} | {:.1f} | {} | {:.1e} |",
}

Found = tuple[np.ndarray, int]
Run = Callable[[], Found]


@dataclass
class Entry:
    """One program and what its runs took."""

    run: Run
    wall: list[float] = field(default_factory=list)
    values: np.ndarray = field(default_factory=lambda: np.empty(0))
    products: int = 0


def main() -> None:
    """Measure, and print as it comes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cifar", type=Path)
    parser.add_argument("--packages", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--case", help="part of the name of the only network")
    parser.add_argument("--markdown", action="store_true", help="print a table")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    landscape.set_threads(arguments.threads)
    if arguments.packages:
        sys.path.append(str(arguments.packages))
    makers = [_cases.digits_mlp, _cases.digits_cnn]
    if arguments.cifar:
        makers.append(lambda: _cases.cifar_resnet20(arguments.cifar, 256))
    for make in makers:
        case = make()
        if arguments.case is None or arguments.case in case.name:
            report(case, measured(trained(case), arguments.rounds), ROWS[arguments.markdown])


def measured(case: Case, rounds: int) -> dict[str, Entry]:
    """All programs, interleaved."""
    entries = {}
    for name, run in programs(case):
        try:
            run()
        except Exception as error:
            print(f"{name}: {type(error).__name__}: {str(error)[:100]}")
            continue
        entries[name] = Entry(run)
    for _ in range(rounds):
        for entry in entries.values():
            found: list[Found] = []
            seconds, _ = timed(lambda run=entry.run, found=found: found.append(run()))
            entry.wall.append(seconds)
            entry.values, entry.products = found[0]
    return entries


def report(case: Case, entries: dict[str, Entry], row: str) -> None:
    """A table, in ratios to landscape on PyTorch."""
    objective = landscape.Objective(case.model, case.data, dtype="float64", engine="torch")
    exact = landscape.hessian(objective).eigenvalues(COUNT, tolerance=1e-8, progress="off").values
    ours = np.array(entries["landscape, torch"].wall)
    print(f"\n{case.name}, {case.parameters} parameters, {len(case.inputs)} samples")
    for name, entry in entries.items():
        ratios = np.array(entry.wall) / ours
        low, high = np.percentile(ratios, [0, 100])
        wrong = float(np.abs(np.sort(entry.values)[::-1] - exact).max() / exact[0])
        ratio = f"{np.median(ratios):.2f} ({low:.2f} to {high:.2f})"
        took = 1000 * np.median(entry.wall)
        print(row.format(name, entry.products, took, ratio, wrong, network=case.name), flush=True)


def programs(case: Case) -> Iterator[tuple[str, Run]]:
    """Name and run of each."""
    for engine in ("torch", "native"):
        yield f"landscape, {engine}", lambda engine=engine: ours(case, engine)
    kept = landscape.Objective(case.model, case.data, engine="native")
    yield "landscape, native, exported before", lambda: eigenvalues(landscape.hessian(kept))
    yield "scipy eigsh on landscape's products", lambda: scipy_on_ours(case)
    yield "curvlinops 3 + scipy eigsh", lambda: curvlinops(case)
    yield "hessian-eigenthings 1, Lanczos", lambda: eigenthings(case)
    yield "PyHessian 0.1, power iteration", lambda: pyhessian(case)


def ours(case: Case, engine: str) -> Found:
    """Lanczos of the core."""
    return eigenvalues(landscape.hessian(case.model, case.data, engine=engine))


def eigenvalues(hessian: landscape.Hessian) -> Found:
    """The top five; the check of symmetry is two products more."""
    found = hessian.eigenvalues(COUNT, tolerance=TOLERANCE, progress="off")
    return found.values, found.products


def scipy_on_ours(case: Case) -> Found:
    """ARPACK, fed with the products of the PyTorch engine."""
    from scipy.sparse.linalg import LinearOperator, eigsh  # noqa: PLC0415

    hessian = landscape.hessian(case.model, case.data, engine="torch")
    calls = Calls(hessian.matvec)
    operator = LinearOperator(hessian.shape, matvec=calls, dtype=np.float32)
    values = eigsh(operator, COUNT, which="LA", tol=TOLERANCE, return_eigenvectors=False)
    return values, calls.count


class Calls:
    """A function that counts."""

    def __init__(self, function: Callable[..., object]) -> None:
        self.function = function
        self.count = 0

    def __call__(self, *arguments: object, **options: object) -> object:
        self.count += 1
        return self.function(*arguments, **options)


def curvlinops(case: Case) -> Found:
    """Its linear operator in scipy's eigensolver, as its documentation has it."""
    from curvlinops import HessianLinearOperator  # noqa: PLC0415
    from scipy.sparse.linalg import LinearOperator, eigsh  # noqa: PLC0415

    parameters = [p for p in case.model.parameters() if p.requires_grad]
    loss = torch.nn.CrossEntropyLoss()
    made = HessianLinearOperator(
        case.model, loss, parameters, [case.data], check_deterministic=False
    ).to_scipy()
    calls = Calls(made.matvec)
    operator = LinearOperator(made.shape, matvec=calls, dtype=np.float32)
    values = eigsh(operator, COUNT, which="LA", tol=TOLERANCE, return_eigenvectors=False)
    return values, calls.count


def eigenthings(case: Case) -> Found:
    """Its Lanczos with full reorthogonalisation."""
    from hessian_eigenthings import HessianOperator, lanczos, supervised_loss  # noqa: PLC0415

    operator = HessianOperator(case.model, [case.data], supervised_loss(F.cross_entropy))
    calls = Calls(operator.matvec)
    operator.matvec = calls
    found = lanczos(operator, k=COUNT, tol=TOLERANCE, which="LA", seed=0)
    return np.asarray(found.eigenvalues.detach().cpu()), calls.count


def pyhessian(case: Case) -> Found:
    """Its power iteration with deflation."""
    module = importlib.import_module("pyhessian.hessian")
    original = module.hessian_vector_product
    calls = Calls(original)
    module.hessian_vector_product = calls
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            computer = module.hessian(
                case.model, torch.nn.CrossEntropyLoss(), data=case.data, cuda=False
            )
            values, _ = computer.eigenvalues(maxIter=200, tol=TOLERANCE, top_n=COUNT)
    finally:
        module.hessian_vector_product = original
        case.model.zero_grad()
    return np.array(values), calls.count


if __name__ == "__main__":
    started = time.perf_counter()
    main()
    print(f"\n{time.perf_counter() - started:.0f} s in all")
