"""Threads that share models wait for each other; others are independent; forks and spawns."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from torch import nn
from untouched import untouched

import landscape
from landscape._turns import take_turn, undisturbed

TESTS = Path(__file__).parent
DATA = (torch.linspace(-1, 1, 360).reshape(60, 6).sin(), torch.arange(60) % 3)


def make_model(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 12), nn.Tanh(), nn.Linear(12, 3))


class Noisy(nn.Module):
    """Draws random numbers, as a variational model does."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        outputs: torch.Tensor = self.linear(x + 0.1 * torch.randn_like(x))
        return outputs


def in_threads(*works: Callable[[], Any]) -> list[Any]:
    """The results of functions that run at the same time; an exception is raised again."""
    results: list[Any] = [None] * len(works)
    errors: list[BaseException] = []
    start = threading.Barrier(len(works))

    def run(index: int) -> None:
        start.wait()
        try:
            results[index] = works[index]()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(i,), daemon=True) for i in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
        assert not thread.is_alive(), "a thread waits for ever"
    if errors:
        raise errors[0]
    return results


@pytest.mark.parametrize("engine", ["torch", "native"])
def test_four_threads_on_one_model_give_the_numbers_of_one(engine: Any) -> None:
    model = make_model()

    def work() -> np.ndarray[Any, Any]:
        line = landscape.line(model, DATA, points=9, engine=engine, progress="off")
        return line.losses

    alone = work()
    with untouched(model):
        for losses in in_threads(work, work, work, work):
            np.testing.assert_allclose(losses, alone, rtol=1e-6)
    assert all(type(p) is nn.Parameter and p.requires_grad for p in model.parameters())


@pytest.mark.parametrize("make", [make_model, lambda _: Noisy()], ids=["plain", "noisy"])
def test_separate_models_in_threads_have_the_bits_of_one_thread(make: Any) -> None:
    models = [make(seed) for seed in range(4)]
    objectives = [landscape.Objective(model, DATA, engine="torch") for model in models]

    def work(objective: landscape.Objective) -> Callable[[], Any]:
        theta = objective.theta
        points = np.stack([theta, theta + 0.1])

        def compute() -> Any:
            products = [objective.hessian_product(theta)] * 2
            return [objective.gradients(points)[1] for _ in range(4)], products

        return compute

    works = [work(objective) for objective in objectives]
    alone = [compute() for compute in works]
    states = torch.get_rng_state()
    for found, expected in zip(in_threads(*works), alone, strict=True):
        assert_array_equal(found[0], expected[0])
        assert_array_equal(found[1], expected[1])
    assert torch.equal(torch.get_rng_state(), states)


def losses_on_line(model: nn.Module, data: Any) -> np.ndarray[Any, Any]:
    return landscape.line(model, data, points=9, engine="torch").losses


def test_a_model_and_a_part_of_it_share_their_turn() -> None:
    whole = make_model()
    part = whole[0]
    line = partial(losses_on_line, whole, DATA)
    targets = torch.zeros(60, 12)
    inner = partial(losses_on_line, part, (DATA[0], targets))
    expected = line(), inner()
    with untouched(whole):
        found = in_threads(line, inner, line, inner)
    assert_array_equal(found[0], expected[0])
    assert_array_equal(found[1], expected[1])
    assert_array_equal(found[3], expected[1])


def test_an_objective_of_the_main_thread_works_in_others_at_once() -> None:
    objective = landscape.Objective(make_model(), DATA, engine="torch")
    expected = objective.loss()
    theta = objective.theta
    results = in_threads(*[lambda: (objective.loss(), objective.theta) for _ in range(4)])
    for loss, read in results:
        assert loss == expected
        assert_array_equal(read, theta)


def test_parameters_are_read_between_evaluations() -> None:
    """Nobody sees the tensors of another thread's point."""
    model = make_model()
    objective = landscape.Objective(model, DATA, engine="torch")
    theta = objective.theta
    points = np.stack([theta + i for i in range(40)])

    def read() -> bool:
        return all(np.array_equal(objective.theta, theta) for _ in range(200))

    assert in_threads(lambda: objective.losses(points), read)[1]


def test_what_user_code_draws_in_another_thread_is_its_own() -> None:
    """A model that does not draw never touches the global generators."""
    objective = landscape.Objective(make_model(), DATA, engine="torch")
    points = np.stack([objective.theta] * 60)
    torch.manual_seed(5)
    expected = torch.stack([torch.rand(()) for _ in range(2000)])
    torch.manual_seed(5)
    found = in_threads(
        lambda: objective.losses(points),
        lambda: torch.stack([torch.rand(()) for _ in range(2000)]),
    )[1]
    assert torch.equal(found, expected)


def test_a_metric_may_ask_the_same_objective() -> None:
    model = make_model()
    objective = landscape.Objective(model, DATA, engine="torch")
    own = objective.loss()

    def metric(_: Any, __: Any) -> torch.Tensor:
        return torch.tensor(objective.loss(), dtype=torch.float64)

    with untouched(model):
        line = landscape.line(objective, points=5, progress="off", metrics=metric)
    (values,) = line.metrics.values()
    assert_array_equal(values, np.full(5, own))  # at the model's own parameters, not the point's
    assert_array_equal(line.losses, landscape.line(objective, points=5, progress="off").losses)


def test_a_stateful_model_is_evaluated_inside_its_own_evaluation() -> None:
    class Counting(nn.Module):
        calls: torch.Tensor

        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(6, 3)
            self.register_buffer("calls", torch.zeros(()))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            outputs: torch.Tensor = self.linear(x) * self.calls
            return outputs

    torch.manual_seed(0)
    model = Counting()
    objective = landscape.Objective(model, DATA, engine="torch", batch_size=20)
    own, plain = objective.loss(), landscape.line(objective, points=3).losses
    line = landscape.line(objective, points=3, metrics=lambda *_: torch.tensor(objective.loss()))
    assert_array_equal(line.losses, plain)
    np.testing.assert_allclose(next(iter(line.metrics.values())), own, rtol=1e-6)


def test_two_threads_that_wait_for_each_other_are_refused_by_name() -> None:
    first, second = nn.Linear(1, 1), nn.Linear(1, 1)
    both = threading.Barrier(2)
    outcomes: list[str] = []

    def work(own: nn.Module, other: nn.Module) -> None:
        turn = take_turn([own])
        both.wait()
        try:
            take_turn([other]).end()
            outcomes.append("had both")
        except RuntimeError as error:
            outcomes.append(str(error))
        finally:
            turn.end()

    in_threads(lambda: work(first, second), lambda: work(second, first))
    assert sorted(outcome[:11] for outcome in outcomes) == ["had both", "two threads"]


def test_a_turn_is_given_in_the_order_of_waiting() -> None:
    model = nn.Linear(1, 1)
    order: list[int] = []
    turn = take_turn([model])

    def work(index: int) -> None:
        with undisturbed(model):
            order.append(index)

    threads = []
    for index in range(3):
        threads.append(threading.Thread(target=work, args=(index,), daemon=True))
        threads[-1].start()
        while len(landscape._turns._WAITING) <= index:
            pass
    turn.end()
    for thread in threads:
        thread.join(timeout=30)
    assert order == [0, 1, 2]


class Attending(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer
        self.head = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        outputs: torch.Tensor = self.head(self.layer(x).mean(1))
        return outputs


class OwnLayer(nn.TransformerEncoderLayer):
    def forward(self, *args: Any, **options: Any) -> torch.Tensor:
        return super().forward(*args, **options)


@pytest.mark.parametrize("kind", [nn.TransformerEncoderLayer, OwnLayer])
def test_the_fast_path_is_avoided_without_its_switch(kind: type[nn.Module]) -> None:
    torch.manual_seed(0)
    layer = kind(8, 2, 16, dropout=0.5, batch_first=True)
    model = Attending(layer).eval()
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    model.head.weight.requires_grad_(True)
    inputs, targets = torch.randn(10, 4, 8), torch.arange(10) % 3
    switch: list[bool] = []
    model.head.register_forward_hook(
        lambda *_: switch.append(torch.backends.mha.get_fastpath_enabled())
    )
    with untouched(model):
        loss = landscape.Objective(model, (inputs, targets), engine="torch").loss()
    assert set(switch) == {kind is nn.TransformerEncoderLayer}
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        expected = nn.functional.cross_entropy(model(inputs).double(), targets).item()
    finally:
        torch.backends.mha.set_fastpath_enabled(True)
    assert loss == pytest.approx(expected, rel=1e-12)


SCRIPT = """
import os, signal, sys, threading, time
sys.path.insert(0, {tests!r})
import torch, landscape
from torch import nn
from test_turns import DATA, make_model
{body}
"""


def run_script(body: str, timeout: float = 120, **environment: str) -> str:
    """What a script prints in a process of its own, which must end by itself."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(tests=str(TESTS), body=body)],
        check=False,
        capture_output=True,
        timeout=timeout,
        env={**os.environ, **environment},
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


FORK = """
model = make_model()
objective = landscape.Objective(model, DATA, engine="{engine}")
{before}
expected = objective.losses([objective.theta] * 3)
torch.ones(1 << 20).add_(1)  # starts PyTorch's threads, where it has any
child = os.fork()
if child == 0:
    try:
        found = objective.losses([objective.theta] * 3)
        vectors = landscape.Hessian(objective).eigenvalues(1, progress="off").values
        os.write(1, b"same" if (found == expected).all() else b"other")
    except RuntimeError as error:
        os.write(1, str(error).encode())
    os._exit(0)
end = time.monotonic() + 60
while os.waitpid(child, os.WNOHANG) == (0, 0):
    if time.monotonic() > end:
        os.kill(child, signal.SIGKILL)
        raise SystemExit("the child hangs")
    time.sleep(0.01)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("engine", ["torch", "native"])
def test_a_forked_process_has_a_pool_of_its_own(engine: str) -> None:
    body = FORK.format(engine=engine, before="landscape.set_threads(2)")
    assert run_script(body, OMP_NUM_THREADS="1").strip() == "same"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_with_threads_of_pytorch_is_refused_with_the_way_out() -> None:
    body = FORK.format(engine="torch", before="torch.set_num_threads(2)")
    printed = run_script(body, OMP_NUM_THREADS="2")
    assert "'spawn'" in printed
    assert "torch.set_num_threads(1)" in printed


LOST = """
class Slow(nn.Linear):
    def forward(self, x):
        inside.set()
        leave.wait(30)
        return super().forward(x)

inside, leave = threading.Event(), threading.Event()
leave.set()
objective = landscape.Objective(Slow(6, 3), DATA, engine="torch")
other = landscape.Objective(make_model(), DATA, engine="torch")
leave.clear(); inside.clear()
thread = threading.Thread(target=objective.loss)
thread.start(); inside.wait(30)
child = os.fork()
if child == 0:
    try:
        objective.loss()
    except RuntimeError as error:
        os.write(1, str(error).encode())
    other.loss()
    os._exit(0)
os.waitpid(child, 0)
leave.set(); thread.join()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_model_that_was_being_evaluated_at_the_fork_is_refused() -> None:
    printed = run_script(LOST, OMP_NUM_THREADS="1")
    assert "while another thread was evaluating the model" in printed


def losses_in_child(objective: landscape.Objective) -> list[float]:
    return [objective.loss(), float(objective.losses(objective.theta[None])[0])]


@pytest.mark.parametrize("engine", ["torch", "native"])
def test_an_objective_is_sent_to_a_spawned_process(engine: Any) -> None:
    objective = landscape.Objective(make_model(), DATA, engine=engine)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found = pool.apply_async(losses_in_child, (objective,)).get(timeout=120)
    assert found == losses_in_child(objective)


SIGNALS = """
model = make_model()
objective = landscape.Objective(model, DATA, engine="torch")
before = signal.getsignal(signal.SIGINT)
landscape.line(objective, points=3, progress="off",
               metrics=lambda *_: torch.tensor(objective.loss()))
assert signal.getsignal(signal.SIGINT) is before
threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    while True:
        landscape.line(objective, points=3, progress="off",
                       metrics=lambda *_: torch.tensor(objective.loss()))
except KeyboardInterrupt:
    print("stopped")
assert signal.getsignal(signal.SIGINT) is before
assert all(type(p) is nn.Parameter for p in model.parameters())
"""


def test_ctrl_c_works_after_and_during_calls_inside_calls() -> None:
    assert run_script(SIGNALS).strip() == "stopped"


EXPORT = """
started = threading.Event()
class Slow(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(6, 3)
    def forward(self, x):
        if torch._C._len_torch_function_stack():  # the tracer watches
            os.write(1, b"tracing ")
            started.set()
            for _ in range(3000):
                x = x + 0.0
                time.sleep(0.01)
        return self.linear(x)

model = Slow()
objective = landscape.Objective(model, DATA, engine="auto")
begin = [0.0]
def interrupt():
    started.wait(60)
    begin[0] = time.monotonic()
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=interrupt).start()
try:
    objective.losses([objective.theta] * 4)
except KeyboardInterrupt:
    print("stopped" if time.monotonic() - begin[0] < 5 else "late")
assert all(type(p) is nn.Parameter for p in model.parameters()) and model.training
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
twin = landscape.Objective(make_model(), DATA, engine="native")
print(twin.describe_engine(twin.strategy))
"""


def test_ctrl_c_stops_an_export() -> None:
    printed = run_script(EXPORT)
    assert printed.split() == ["tracing", "stopped", "native"]


def test_attention_is_differentiated_twice_in_several_threads() -> None:
    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.project, self.head = nn.Linear(4, 12), nn.Linear(4, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            query, key, value = self.project(x).unsqueeze(1).chunk(3, -1)
            attended = nn.functional.scaled_dot_product_attention(query, key, value)
            outputs: torch.Tensor = self.head(attended.mean((1, 2)))
            return outputs

    def work(seed: int) -> Callable[[], Any]:
        torch.manual_seed(seed)
        data = (torch.randn(10, 5, 4), torch.arange(10) % 3)
        objective = landscape.Objective(Attention(), data, engine="torch")
        return lambda: [objective.hessian_product(objective.theta) for _ in range(5)]

    switches: Any = torch.backends.cuda
    before = switches.flash_sdp_enabled()
    works = [work(seed) for seed in range(4)]
    expected = [compute() for compute in works]
    for found, alone in zip(in_threads(*works), expected, strict=True):
        assert_array_equal(found, alone)
    assert switches.flash_sdp_enabled() == before
