"""Iterations of the core on operators that are Python functions, against dense NumPy."""

from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from landscape._core import Lanczos, PowerIteration, asymmetry

Which = Literal["largest", "smallest", "magnitude", "both"]
WHICH: list[Which] = ["largest", "smallest", "magnitude", "both"]


def rotated(values: NDArray[np.float64], seed: int = 0) -> NDArray[np.float64]:
    """A dense matrix of these eigenvalues."""
    generator = np.random.default_rng(seed)
    basis = np.linalg.qr(generator.standard_normal((values.size, values.size)))[0]
    matrix: NDArray[np.float64] = basis @ np.diag(values) @ basis.T
    return (matrix + matrix.T) / 2


def made(dim: int, count: int = 3, which: Which = "largest", **options: Any) -> Lanczos:
    defaults: dict[str, Any] = {
        "tolerance": 1e-9,
        "relative_to": "norm",
        "basis": min(dim, 30),
        "max_products": 2000,
        "seed": 1,
    }
    return Lanczos(dim, "float64", count=count, which=which, **(defaults | options))


def onward(*_: object) -> bool:
    return True


def wanted(values: NDArray[np.float64], count: int, which: Which) -> NDArray[np.float64]:
    values = np.sort(values)
    if which == "both":
        return np.concatenate([values[-count:][::-1], values[:count][::-1]])
    if which == "magnitude":
        return values[np.argsort(-np.abs(values))][:count]
    return values[:count] if which == "smallest" else values[::-1][:count]


@pytest.mark.parametrize("which", WHICH)
@pytest.mark.parametrize("basis", [12, 60])
def test_pairs_are_those_of_numpy_and_residuals_the_true_ones(which: Which, basis: int) -> None:
    spectrum = np.concatenate([[-9.0, -7.5, -4.0, 6.0, 8.0, 10.0], np.linspace(-1, 1, 114)])
    matrix = rotated(spectrum)
    lanczos = made(120, which=which, basis=basis, tolerance=1e-6)
    assert lanczos.run(lambda block: block @ matrix, onward)
    values, vectors = lanczos.values(), lanczos.vectors()
    assert lanczos.status == "converged"
    np.testing.assert_allclose(values, wanted(spectrum, 3, which), atol=1e-9)
    residuals = np.linalg.norm(vectors @ matrix - values[:, None] * vectors, axis=1)
    np.testing.assert_allclose(lanczos.residuals(), residuals, rtol=1e-3, atol=1e-13)
    np.testing.assert_allclose(vectors @ vectors.T, np.eye(len(values)), atol=1e-12)
    assert (np.abs(values - wanted(spectrum, 3, which)) <= lanczos.bounds() + 1e-13).all()


def test_a_pause_and_a_resumed_state_change_no_bit(tmp_path: Any) -> None:
    matrix = rotated(np.linspace(-1, 1, 80) ** 3)
    whole = made(80, basis=10, tolerance=1e-7)
    whole.run(lambda block: block @ matrix, onward)
    part = made(80, basis=10, tolerance=1e-7)
    step = 0
    while not part.run(lambda block: block @ matrix, lambda *_: False):
        step += 1
        part = Lanczos.resumed(*part.state(), path=str(tmp_path / f"basis-{step % 2}"))
    assert step > 20
    assert part.products == whole.products
    assert part.values().tobytes() == whole.values().tobytes()
    assert part.vectors().tobytes() == whole.vectors().tobytes()


def test_exceptions_come_through_and_leave_whole_steps() -> None:
    matrix = rotated(np.linspace(-1, 1, 40))
    calls = 0

    def failing(block: NDArray[np.float64]) -> NDArray[np.float64]:
        nonlocal calls
        calls += 1
        if calls == 7:
            raise KeyboardInterrupt
        return block @ matrix

    def ticking(products: int, *_: object) -> bool:
        if products == 9:
            raise LookupError
        return True

    whole, part = made(40), made(40)
    whole.run(lambda block: block @ matrix, onward)
    with pytest.raises(KeyboardInterrupt):
        part.run(failing, ticking)
    assert (part.products, part.status) == (6, "running")
    with pytest.raises(LookupError):
        part.run(failing, ticking)
    assert part.products == 9
    assert part.run(failing, onward)
    assert part.vectors().tobytes() == whole.vectors().tobytes()


def test_products_that_are_not_finite_stop_with_their_number() -> None:
    lanczos = made(20)
    with pytest.raises(FloatingPointError, match="product 1 "):
        lanczos.run(lambda block: block * np.nan, onward)
    assert lanczos.products == 0


def test_a_running_iteration_is_not_used() -> None:
    lanczos = made(20)
    with pytest.raises(RuntimeError, match="running"):
        lanczos.run(lambda block: block, lambda *_: bool(lanczos.products))
    assert lanczos.products == 1


@pytest.mark.parametrize("value", [0.0, 2.5])
def test_multiples_of_the_identity(value: float) -> None:
    lanczos = made(20, which="both")
    assert lanczos.run(lambda block: value * block, onward)
    np.testing.assert_allclose(lanczos.values(), [value] * 6, atol=1e-14)
    assert lanczos.products == 8  # two more, in which all pairs stay converged


def test_float32_reports_no_less_than_its_rounding() -> None:
    matrix = rotated(np.linspace(0, 1, 60)).astype(np.float32)
    lanczos = Lanczos(
        60,
        "float32",
        count=2,
        which="largest",
        tolerance=1e-12,
        relative_to="norm",
        basis=20,
        max_products=300,
        seed=0,
    )
    lanczos.run(lambda block: block @ matrix, onward)
    values, vectors = lanczos.values(), lanczos.vectors().astype(np.float64)
    residuals = np.linalg.norm(vectors @ matrix - values[:, None] * vectors, axis=1)
    assert lanczos.status == "max_products"
    assert (residuals <= 3 * lanczos.residuals()).all()


def test_deflation_finds_the_second_copy() -> None:
    matrix = rotated(np.concatenate([[5.0, 5.0, 4.0], np.linspace(0, 1, 57)]))
    first = made(60, count=2, tolerance=1e-10, basis=20)
    first.run(lambda block: block @ matrix, onward)
    second = made(60, count=1, deflate=list(first.vectors()), tolerance=1e-10, basis=20, seed=9)
    second.run(lambda block: block @ matrix, onward)
    found = np.sort(np.concatenate([first.values(), second.values()]))
    np.testing.assert_allclose(found[1:], [5.0, 5.0], atol=1e-8)
    np.testing.assert_allclose(first.vectors() @ second.vectors().T, 0, atol=1e-12)


@pytest.mark.parametrize("count", [11, 12])
@pytest.mark.parametrize("which", WHICH)
def test_as_many_as_there_are(count: int, which: Which) -> None:
    spectrum = np.linspace(-2, 3, 12) ** 3
    matrix = rotated(spectrum)
    lanczos = made(12, count=count, which=which)
    assert lanczos.run(lambda block: block @ matrix, onward)
    expected = np.sort(spectrum)[::-1] if which == "both" else wanted(spectrum, count, which)
    np.testing.assert_allclose(lanczos.values(), expected, atol=1e-9)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"count": 21}, "got count 21; pass 1 to 20"),
        ({"basis": 4}, "basis of 4"),
        ({"tolerance": np.nan}, "tolerance"),
        ({"deflate": [np.zeros(20, np.float32)]}, "dtype"),
    ],
)
def test_what_does_not_fit_is_refused(options: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        made(20, **options)


@pytest.mark.parametrize("which", WHICH)
def test_power_iteration_finds_the_same_ends(which: Which) -> None:
    spectrum = np.array([-9.0, -7.5, -4.0, 0.0, 0.1, 0.2, 0.3, 6.0, 8.0, 10.0])
    matrix = rotated(spectrum)
    power = PowerIteration(
        10, "float64", count=2, which=which, tolerance=1e-6, max_products=5000, seed=3
    )
    assert power.run(lambda block: block @ matrix, onward)
    values, vectors = power.values(), power.vectors()
    assert power.status == "converged"
    np.testing.assert_allclose(values, wanted(spectrum, 2, which), atol=1e-8)
    residuals = np.linalg.norm(vectors @ matrix - values[:, None] * vectors, axis=1)
    np.testing.assert_allclose(power.residuals(), residuals, rtol=1e-6)
    assert (residuals <= 1e-6 * 10).all()


@pytest.mark.parametrize("value", [-9.0, 0.0, 9.0])
def test_power_iteration_is_not_fooled_by_rank_one(value: float) -> None:
    matrix = rotated(np.array([value, *[0.0] * 11]))
    power = PowerIteration(
        12, "float64", count=2, which="largest", tolerance=1e-6, max_products=500, seed=3
    )
    assert power.run(lambda block: block @ matrix, onward)
    np.testing.assert_allclose(power.values(), [max(value, 0.0), 0.0], atol=1e-6)


def test_asymmetry_is_rounding_or_seen() -> None:
    matrix = rotated(np.linspace(-1, 1, 30))
    assert asymmetry(lambda block: block @ matrix, 30, "float64", 0) < 1e-15
    matrix[3, 4] += 0.1
    assert asymmetry(lambda block: block @ matrix, 30, "float64", 0) > 1e-5
