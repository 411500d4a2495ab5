"""The extension, seen from Python: what crosses the boundary, and how it comes back."""

import ast
import doctest
import operator
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray

import landscape
from landscape import _core

Dtype = Literal["float32", "float64"]
Vector = NDArray[np.float32] | NDArray[np.float64]
Doubles = NDArray[np.float64]


def fnv1a(data: bytes) -> int:
    """The 64-bit FNV-1a hash that the Rust tests use."""
    digest = 0xCBF29CE484222325
    for byte in data:
        digest = (digest ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return digest


def echo(coords: Doubles) -> Doubles:
    return coords


def no_tick(done: int, values: Doubles) -> None:
    pass


AXES = [np.array([0.0, 1.0, 2.0]), np.array([10.0, 20.0])]


class TestNormals:
    @pytest.mark.parametrize(
        ("dtype", "digest"),
        [("float32", 18_404_005_300_496_999_205), ("float64", 14_424_784_883_082_550_729)],
    )
    def test_bits_are_golden(self, dtype: Dtype, digest: int) -> None:
        numbers = _core.gaussian(100_000, seed=2026, stream=3, dtype=dtype)
        assert numbers.dtype == dtype
        assert fnv1a(numbers.astype(numbers.dtype.newbyteorder("<")).tobytes()) == digest

    def test_largest_seed_and_stream(self) -> None:
        largest = 2**64 - 1
        assert _core.gaussian(2, seed=largest, stream=largest, dtype="float64").shape == (2,)

    @pytest.mark.parametrize("seed", [-1, 2**64])
    def test_seed_out_of_range(self, seed: int) -> None:
        with pytest.raises(OverflowError):
            _core.gaussian(1, seed=seed, stream=0, dtype="float64")

    def test_more_than_fits(self) -> None:
        with pytest.raises(MemoryError, match="numbers would take"):
            _core.gaussian(2**60, seed=0, stream=0, dtype="float64")

    def test_unknown_dtype(self) -> None:
        wanted: Any = "float16"
        with pytest.raises(ValueError, match='got "float16"; pass "float32" or "float64"'):
            _core.gaussian(1, seed=0, stream=0, dtype=wanted)


def awkward_views(values: list[float], dtype: Dtype) -> Iterator[tuple[str, Vector]]:
    """The same vector in every way that memory can hold it."""
    plain = np.array(values, dtype)
    yield "plain", plain
    yield "strided", np.repeat(plain, 3)[::3]
    yield "reversed", plain[::-1].copy()[::-1]
    read_only = plain.copy()
    read_only.flags.writeable = False
    yield "read-only", read_only
    raw = np.zeros(plain.nbytes + 1, np.uint8)
    misaligned = raw[1:].view(dtype)
    misaligned[:] = plain
    assert not misaligned.flags.aligned
    yield "misaligned", misaligned


@pytest.mark.parametrize("dtype", ["float32", "float64"])
class TestMemory:
    def test_every_view_of_a_vector_is_read_alike(self, dtype: Dtype) -> None:
        x = np.array([3.0, -1.0, 2.0, 0.5], dtype)
        for name, view in awkward_views(x.tolist(), dtype):
            before = view.tobytes()
            assert _core.dot(view, x) == 14.25, name
            assert _core.combine([view, x], np.array([1.0, 1.0])).tolist() == [6, -2, 4, 1], name
            assert _core.orthogonalise(view, []).tolist() == x.tolist(), name
            assert view.tobytes() == before, name

    def test_results_own_their_memory(self, dtype: Dtype) -> None:
        x = np.ones(3, dtype)
        left = _core.orthogonalise(x, [])
        assert left.dtype == dtype
        assert not np.shares_memory(left, x)
        left[0] = 5
        assert x[0] == 1


class TestArguments:
    def test_two_dimensions(self) -> None:
        message = r"got float64 of shape \[2, 2\]; pass a 1-D array of float32 or float64"
        with pytest.raises(ValueError, match=message):
            _core.norm(np.ones((2, 2)))

    @pytest.mark.parametrize("dtype", ["int64", "float16", "complex128", ">f8"])
    def test_foreign_dtypes(self, dtype: str) -> None:
        foreign: Any = np.ones(2, dtype)
        with pytest.raises(ValueError, match="pass a 1-D array of float32 or float64"):
            _core.norm(foreign)

    def test_no_array(self) -> None:
        numbers: Any = [1.0, 2.0]
        with pytest.raises(TypeError, match="got list where a numpy array is needed"):
            _core.norm(numbers)

    def test_mixed_dtypes(self) -> None:
        with pytest.raises(ValueError, match="got vectors of float32 and of float64"):
            _core.dot(np.ones(2, np.float32), np.ones(2))

    def test_two_lengths(self) -> None:
        with pytest.raises(ValueError, match="got vectors of 2 and of 3 entries"):
            _core.gram([np.ones(2), np.ones(3)])

    def test_wrong_number_of_coefficients(self) -> None:
        with pytest.raises(ValueError, match="got 2 coefficients for 1 vectors"):
            _core.combine([np.ones(2)], np.ones(2))

    def test_no_vectors(self) -> None:
        with pytest.raises(ValueError, match="got no vectors to combine"):
            _core.combine([], np.ones(0))
        assert _core.gram([]).shape == (0, 0)

    @pytest.mark.parametrize("points", [0, 1])
    def test_short_axis(self, points: int) -> None:
        with pytest.raises(ValueError, match="pass at least 2"):
            _core.axis(-1, 1, points)

    @pytest.mark.parametrize("ends", [(1, 1), (1, -1), (float("nan"), 1), (0, float("inf"))])
    def test_ends_of_an_axis(self, ends: tuple[float, float]) -> None:
        with pytest.raises(ValueError, match="pass finite ends, the lower one first"):
            _core.axis(*ends, 5)


class TestNormalise:
    def test_transposed_layout(self) -> None:
        # (in, out) = (2, 2): the filters are the columns.
        direction, reference = np.array([3.0, 1.0, 4.0, 0.0]), np.array([0.0, 2.0, 10.0, 0.0])
        tensors = np.array([[0, 1, 2, 2, 1]])
        assert _core.normalise(direction, reference, tensors, "filter").tolist() == [6, 2, 8, 0]

    @pytest.mark.parametrize("kind", ["filter", "layer", "model"])
    def test_against_numpy(self, kind: Literal["filter", "layer", "model"]) -> None:
        direction = _core.gaussian(21, seed=0, stream=0, dtype="float64")
        reference = _core.gaussian(21, seed=0, stream=1, dtype="float64")
        tensors = np.array([[0, 1, 1, 3, 4], [14, 1, 1, 2, 3]])
        parts = {
            "filter": [np.s_[0:4], np.s_[4:8], np.s_[8:12], np.s_[14:17], np.s_[17:20]],
            "layer": [np.s_[0:12], np.s_[14:20]],
            "model": [np.r_[0:12, 14:20]],
        }
        expected = np.zeros(21)
        for part in parts[kind]:
            ratio = np.linalg.norm(reference[part]) / np.linalg.norm(direction[part])
            expected[part] = direction[part] * ratio
        scaled = _core.normalise(direction, reference, tensors, kind)
        np.testing.assert_allclose(scaled, expected, rtol=1e-14)

    @pytest.mark.parametrize(
        ("tensors", "message"),
        [
            ([[1, 1, 1, 2, 2]], "outside the vector of 4 entries"),
            ([[0, 1, 1, 2, 2], [3, 1, 1, 1, 1]], "tensors 0 and 1 overlap"),
            ([[0, 1, 1, -2, 2]], "not negative"),
            ([[0, 1, 2, 2]], r"got int64 of shape \[1, 4\]; pass a \(T, 5\) array of int64"),
            ([0, 1, 1, 2, 2], r"got int64 of shape \[5\]; pass a \(T, 5\) array"),
            ([[0.0, 1.0, 1.0, 2.0, 2.0]], r"got float64 of shape \[1, 5\]"),
        ],
    )
    def test_layouts_that_do_not_fit(self, tensors: list[Any], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            _core.normalise(np.ones(4), np.ones(4), np.array(tensors), "filter")

    def test_unknown_kind(self) -> None:
        kind: Any = "batch"
        with pytest.raises(ValueError, match='pass "filter" or "layer" or "model"'):
            _core.normalise(np.ones(4), np.ones(4), np.array([[0, 1, 1, 2, 2]]), kind)

    def test_fortran_order_of_the_table(self) -> None:
        tensors = np.asfortranarray([[0, 1, 1, 1, 2], [2, 1, 1, 1, 2]])
        scaled = _core.normalise(np.ones(4), np.array([1.0, 1, 4, 4]), tensors, "filter")
        assert scaled.tolist() == [1, 1, 4, 4]


def collect_grid(
    evaluate: Callable[[Doubles], Doubles], axes: list[Doubles], **options: int
) -> Doubles:
    """All values of a grid."""
    chunks: list[Doubles] = []
    _core.grid(evaluate, axes, tick=lambda _, values: chunks.append(values), **options)
    return np.concatenate(chunks)


class TestGrid:
    def test_order_and_coordinates(self) -> None:
        values = collect_grid(echo, AXES, columns=2, chunk=4, start=0)
        expected = [[0, 10], [1, 10], [2, 10], [0, 20], [1, 20], [2, 20]]
        assert values.tolist() == expected

    def test_chunks_and_ticks(self) -> None:
        asked, ticks = [], []

        def evaluate(coords: Doubles) -> Doubles:
            assert coords.dtype == np.float64
            asked.append(coords.shape)
            return coords[:, :1] + coords[:, 1:]

        def tick(done: int, values: Doubles) -> None:
            ticks.append((done, values.tolist()))

        _core.grid(evaluate, AXES, columns=1, chunk=2, start=2, tick=tick)
        assert asked == [(2, 2), (2, 2)]
        assert ticks == [(4, [[12], [20]]), (6, [[21], [22]])]

    @pytest.mark.parametrize("start", [1, 3, 8])
    def test_start_inside_a_chunk(self, start: int) -> None:
        with pytest.raises(ValueError, match="start at a multiple of the chunk"):
            _core.grid(echo, AXES, columns=2, chunk=2, start=start, tick=no_tick)

    def test_values_that_are_not_finite_are_data(self) -> None:
        given = [np.nan, np.inf, -np.inf, 0.0, 1.0, 2.0]
        remaining = iter(given)

        def evaluate(coords: Doubles) -> Doubles:
            return np.array([[next(remaining)] for _ in coords])

        values = collect_grid(evaluate, AXES, columns=1, chunk=3, start=0)
        np.testing.assert_array_equal(values[:, 0], given)

    @pytest.mark.parametrize("order", ["C", "F"])
    def test_any_memory_order_of_the_values(self, order: Literal["C", "F"]) -> None:
        def evaluate(coords: Doubles) -> Doubles:
            return np.array(coords, order=order)

        values = collect_grid(evaluate, AXES, columns=2, chunk=6, start=0)
        assert values.tolist() == [[0, 10], [1, 10], [2, 10], [0, 20], [1, 20], [2, 20]]

    @pytest.mark.parametrize(
        ("returned", "message"),
        [
            (
                np.ones((6, 2)),
                r"returned float64 of shape \[6, 2\]; return float64 of shape \[6, 1\]",
            ),
            (np.ones(6), r"returned float64 of shape \[6\]; return float64"),
            (np.ones((6, 1), np.float32), "returned float32 of shape"),
        ],
    )
    def test_values_of_another_shape(self, returned: Any, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            _core.grid(lambda _: returned, AXES, columns=1, chunk=6, start=0, tick=no_tick)

    def test_axes_that_are_not_finite(self) -> None:
        with pytest.raises(ValueError, match="axis 1 contains NaN"):
            _core.grid(
                echo, [AXES[0], np.array([np.nan])], columns=2, chunk=1, start=0, tick=no_tick
            )


class DivergenceError(Exception):
    """An exception that the library has never heard of."""


class TestExceptions:
    def test_the_same_object_leaves_evaluate_with_its_traceback(self) -> None:
        raised = DivergenceError("at the third layer")

        def third_layer(coords: Doubles) -> Doubles:
            raise raised

        with pytest.raises(DivergenceError) as caught:
            _core.grid(third_layer, AXES, columns=1, chunk=1, start=0, tick=no_tick)
        assert caught.value is raised
        frames = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
        assert frames[-1] == "third_layer"

    def test_the_same_object_leaves_tick(self) -> None:
        raised, ticks = DivergenceError(), []

        def tick(done: int, values: Doubles) -> None:
            ticks.append(done)
            if done == 4:
                raise raised

        with pytest.raises(DivergenceError) as caught:
            _core.grid(echo, AXES, columns=2, chunk=2, start=0, tick=tick)
        assert caught.value is raised
        assert ticks == [2, 4]


class TestInterruption:
    def test_a_signal_during_evaluate(self) -> None:
        calls = []

        def evaluate(coords: Doubles) -> Doubles:
            calls.append(len(coords))
            if len(calls) == 2:
                signal.raise_signal(signal.SIGINT)
            return coords

        with pytest.raises(KeyboardInterrupt):
            _core.grid(evaluate, AXES, columns=2, chunk=1, start=0, tick=no_tick)
        assert len(calls) == 2

    def test_a_signal_from_outside(self) -> None:
        long = [np.arange(1500.0), np.arange(1500.0)]  # seconds, where 0.2 are given
        interrupt = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
        interrupt.start()
        with pytest.raises(KeyboardInterrupt):
            _core.grid(echo, long, columns=2, chunk=1, start=0, tick=no_tick)
        interrupt.join()

    def test_a_handler_of_the_user(self) -> None:
        def handler(number: int, frame: object) -> None:
            raise DivergenceError

        previous = signal.signal(signal.SIGINT, handler)
        try:
            with pytest.raises(DivergenceError):
                _core.grid(
                    echo,
                    AXES,
                    columns=2,
                    chunk=1,
                    start=0,
                    tick=lambda *_: signal.raise_signal(signal.SIGINT),
                )
        finally:
            signal.signal(signal.SIGINT, previous)

    def test_a_signal_between_functions_that_run_no_bytecode(self) -> None:
        long = [np.arange(1500.0), np.arange(1500.0)]  # seconds, where 0.2 are given
        interrupt = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
        interrupt.start()
        with pytest.raises(KeyboardInterrupt):
            _core.grid(np.positive, long, columns=2, chunk=1, start=0, tick=operator.is_)
        interrupt.join()


def test_another_thread_runs_while_the_core_works() -> None:
    turns: list[None] = []
    finished = threading.Event()

    def elsewhere() -> None:
        while not finished.is_set():
            turns.append(None)
            time.sleep(0)

    thread = threading.Thread(target=elsewhere)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000)  # the other thread gets its turn only where the core lets go
    try:
        thread.start()
        before = len(turns)
        _core.gaussian(1_000_000, seed=0, stream=0, dtype="float64")
        assert len(turns) > before
    finally:
        sys.setswitchinterval(interval)
        finished.set()
        thread.join()


def test_the_version_is_the_distribution_s() -> None:
    assert landscape.__version__ == _core.__version__


def test_the_examples_of_the_stub_are_true() -> None:
    stub = Path(landscape.__file__).with_name("_core.pyi")
    names = {name: getattr(_core, name) for name in _core.__all__} | {"np": np}
    runner = doctest.DocTestRunner()
    examples = 0
    for node in ast.walk(ast.parse(stub.read_text())):
        if isinstance(node, ast.FunctionDef) and (text := ast.get_docstring(node)):
            test = doctest.DocTestParser().get_doctest(text, dict(names), node.name, str(stub), 0)
            examples += len(test.examples)
            runner.run(test)
    assert examples > 8
    assert runner.summarize(verbose=False).failed == 0
