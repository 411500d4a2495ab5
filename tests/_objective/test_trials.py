"""What choosing costs: at most a tenth of the run, counted in evaluations under a clock of ours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

import pytest
import torch
from models import classes, mlp
from torch import nn

import landscape
from landscape import Objective
from landscape._export import lower, trace
from landscape._objective import engine as engines
from landscape._objective.engine import Engine
from landscape._objective.native_backend import build
from landscape._objective.native_backend.network import NativeNetwork
from landscape._objective.native_backend.work import predict_slowness
from landscape._objective.strategy import Choices, Strategy, choose_strategy
from landscape._objective.torch_backend.evaluator import Evaluator
from landscape._objective.trials import Run, Trials
from landscape._parameters import ParameterLayout

ALL = Choices(blocks=(None, 1024, 512, 256, 128, 64), channels_last=True, stacks=(8, 16, 64))


@dataclass
class Clock:
    """Seconds that pass as a model of the cost says; wall time may pass faster."""

    now: float = 0.0
    busy: Callable[[], float] = lambda: 1.0
    """Seconds of wall time in a second of processor time."""
    wall: float = 0.0
    calls: list[float] = field(default_factory=list)

    def work(self, seconds: float) -> None:
        self.now += seconds
        self.wall += seconds * self.busy()
        self.calls.append(seconds)

    def trials(self, points: float) -> Trials:
        return Trials(points, wall=lambda: self.wall, process=lambda: self.now)


COSTS: dict[str, Callable[[Strategy], float]] = {
    "all alike": lambda s: 1.0,
    "small blocks": lambda s: 1.0 if s.block is None else 0.2 + s.block / 2000,
    "channels last": lambda s: 0.5 if s.memory_format == "channels_last" else 1.0,
    "stacks": lambda s: 1.0 / s.points if s.kind == "vmap" else 1.0,
    "slow stacks": lambda s: 2.9 if s.kind == "vmap" else 1.0,
    "very slow rivals": lambda s: 1.0 if s == Strategy() else 3.0,
}


@pytest.mark.parametrize("points", [2, 9, 40, 100, 400, 2601, 10**5])
@pytest.mark.parametrize("share", [1.0, 0.1])
@pytest.mark.parametrize("cost", COSTS)
def test_choosing_takes_a_tenth_of_the_run_at_most(cost: str, share: float, points: int) -> None:
    clock = Clock()

    def evaluate(strategy: Strategy) -> bool:
        clock.work(share * strategy.points * COSTS[cost](strategy))
        return True

    chosen, complete = choose_strategy(evaluate, ALL, clock.trials(points), share)
    run = points * COSTS[cost](Strategy())  # as its first evaluation says
    assert clock.now <= run / 10
    assert COSTS[cost](chosen) <= COSTS[cost](Strategy())
    assert bool(clock.calls) == (points * 0.1 >= share)
    if points == 10**5:
        best = min(COSTS[cost](s) for s in candidates())
        assert complete
        assert COSTS[cost](chosen) <= 1.1 * best


def candidates() -> list[Strategy]:
    blocks = [Strategy(block=block) for block in ALL.blocks]
    stacks = [Strategy("vmap", points=points) for points in ALL.stacks]
    return [*blocks, *stacks, Strategy(memory_format="channels_last")]


def test_a_second_process_does_not_tip_the_choice() -> None:
    """Wall time doubles and triples at random; processor time says what is faster."""
    generator = torch.Generator().manual_seed(1)
    for _ in range(40):
        clock = Clock(busy=lambda: 1 + 2 * float(torch.rand((), generator=generator)))

        def evaluate(strategy: Strategy, clock: Clock = clock) -> bool:
            slower = strategy.memory_format == "channels_last" or strategy.block is not None
            clock.work(strategy.points * (1.3 if slower or strategy.kind == "vmap" else 1.0))
            return True

        chosen, _ = choose_strategy(evaluate, ALL, clock.trials(10**4))
        assert (chosen.kind, chosen.block, chosen.memory_format) == ("loop", None, "contiguous")


def test_a_rival_must_win_in_processor_time_and_not_lose_in_wall_time() -> None:
    def duel(wall: float, process: float) -> bool:
        clock = Clock()

        def rival() -> None:
            clock.wall += wall
            clock.now += process

        trials = clock.trials(10**6)
        prior = Run(lambda: clock.work(1.0))
        seconds = trials.estimate(prior)
        return trials.duel(Run(rival), prior, seconds, 2.0) is not None

    assert duel(0.5, 0.5)
    assert not duel(0.9, 0.6)
    assert not duel(1.1, 0.4)  # on more processors the prior is faster
    assert not duel(0.3, 0.7)


def test_what_does_not_fit_the_memory_costs_no_choice() -> None:
    clock = Clock()

    def evaluate(strategy: Strategy) -> bool:
        clock.work(1.0)
        return strategy.block is not None and strategy.block <= 256

    chosen, _ = choose_strategy(evaluate, ALL, clock.trials(200))
    assert chosen.block == 256
    with pytest.raises(ValueError, match="no block"):
        choose_strategy(lambda _: False, ALL, clock.trials(200))


def choose(
    monkeypatch: pytest.MonkeyPatch, points: int, *, torch_seconds: float, slowness: float
) -> tuple[Engine, float]:
    """The engine, and the seconds of choosing it, where native takes one second a point."""
    monkeypatch.setattr(build, "predict_slowness", lambda _: slowness)
    objective = Objective(mlp(), classes(40))
    backends = objective._backends
    _ = backends.native  # which compares it with PyTorch
    clock, by_native, by_torch = Clock(), NativeNetwork.sums, Evaluator.sums

    def native_sums(network: NativeNetwork, points: Any, *rest: Any) -> Any:
        clock.work(len(points))
        return by_native(network, points, *rest)

    def torch_sums(evaluator: Evaluator, points: Any, strategy: Strategy) -> Any:
        clock.work(torch_seconds * len(points))
        return by_torch(evaluator, points, strategy)

    monkeypatch.setattr(NativeNetwork, "sums", native_sums)
    monkeypatch.setattr(Evaluator, "sums", torch_sums)
    monkeypatch.setattr(engines, "Trials", lambda points, **_: clock.trials(points))
    engine = objective._choose_loss_engine(points)
    assert objective._choose_loss_engine(points) is engine
    return engine, clock.now


@pytest.mark.parametrize("points", [2, 9, 60, 225, 2601])
@pytest.mark.parametrize("torch_seconds", [0.1, 0.3, 0.6, 1.0, 5.0])
@pytest.mark.parametrize("slowness", [1.0, 3.0])
def test_the_engine_is_chosen_in_a_tenth_of_the_run(
    points: int, torch_seconds: float, slowness: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, spent = choose(monkeypatch, points, torch_seconds=torch_seconds, slowness=slowness)
    assert spent <= points / 10
    strong = slowness >= 2 and torch_seconds < 0.5 and points > 60
    assert (engine.name == "native") == (not strong)
    assert (spent == 0) == (points < 10)


def test_a_longer_run_tries_what_a_short_one_could_not_afford(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine, _ = choose(monkeypatch, 9, torch_seconds=0.1, slowness=3.0)
    assert (engine.name, engine.points) == ("native", 9)
    monkeypatch.undo()
    engine, _ = choose(monkeypatch, 10**4, torch_seconds=0.1, slowness=3.0)
    assert engine.name.startswith("torch: the native network took more than twice")
    objective = Objective(mlp(), classes(40))
    short = objective._choose_loss_engine(5)
    long = objective._choose_loss_engine(500)
    assert (short.strategy.chunk, short.strategy.kind) == (1, "native")
    assert long.strategy.chunk > 1
    assert objective._choose_loss_engine(5) is long


def test_what_a_recorded_run_says_needs_no_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> Trials:
        raise AssertionError("nothing is to be measured")

    objective = Objective(mlp(), classes(40)).with_strategies(Strategy("native"), Strategy())
    monkeypatch.setattr(engines, "Trials", refuse)
    assert objective.strategy == Strategy("native")
    assert objective.derivative_engine.strategy == Strategy()


def layers(*sizes: int) -> nn.Module:
    return nn.Sequential(*(nn.Linear(*pair) for pair in pairwise(sizes)))


def test_large_linear_layers_are_predicted_to_be_slow() -> None:
    def slowness(model: nn.Module, *shape: int) -> float:
        graph = trace(model, torch.randn(2, *shape))
        return predict_slowness(lower(graph, ParameterLayout.of(model), model))

    assert slowness(layers(8, 64, 64, 3), 8) == 1
    assert 2.8 < slowness(layers(8, 1024, 1024, 3), 8) < 3
    images = nn.Sequential(nn.Conv2d(3, 16, 3), nn.Flatten(), layers(576, 10))
    assert slowness(images, 3, 8, 8) == 1
    images[2] = layers(576, 1024, 8)
    # 16 * 27 * 36 multiply-adds of the convolution, of 8 * 1024 in the last layer
    fitting, streamed = 16 * 27 * 36 + 8 * 1024, 576 * 1024
    assert slowness(images, 3, 8, 8) == (fitting + 3 * streamed) / (fitting + streamed)


@pytest.mark.parametrize("engine", ["native", "torch"])
@pytest.mark.parametrize("points", [3, 9, 21])
def test_a_surface_evaluates_a_tenth_more_than_its_points(
    points: int, engine: Literal["native", "torch"], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock gives every point of either engine one second, vmap or not."""
    objective = Objective(mlp(), classes(40), engine=engine)
    clock = Clock()
    owner = NativeNetwork if engine == "native" else Evaluator
    own = owner.sums

    def sums(self: Any, rows: Any, *rest: Any) -> Any:
        clock.work(len(rows))
        return own(self, rows, *rest)

    monkeypatch.setattr(owner, "sums", sums)
    monkeypatch.setattr(engines, "Trials", lambda points, **_: clock.trials(points))
    surface = landscape.surface(objective, points=points)
    assert surface.run.evaluations == points**2
    assert points**2 <= clock.now <= 1.1 * points**2
    assert (clock.now == points**2) == (points == 3)
