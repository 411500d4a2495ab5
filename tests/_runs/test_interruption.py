"""Ctrl-C at any moment: the run stops, and the model and random states are restored."""

from __future__ import annotations

import os
import signal
import threading
import time

import numpy as np
import torch
from torch import nn
from untouched import untouched

import landscape
from landscape._interrupts import DeferredInterrupt


def deep() -> nn.Sequential:
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for _ in range(20):
        layers += [nn.Linear(6, 6), nn.BatchNorm1d(6), nn.Tanh()]
    return nn.Sequential(*layers, nn.Linear(6, 3)).eval()


def test_a_signal_at_a_random_moment_leaves_everything_whole() -> None:
    model = deep()
    objective = landscape.Objective(model, (torch.randn(32, 6), torch.arange(32) % 3))
    theta, stopped = objective.theta[None], 0
    generator = np.random.default_rng(0)
    for delay in generator.uniform(0, 4e-3, 150):
        timer = threading.Timer(delay, os.kill, (os.getpid(), signal.SIGINT))
        with untouched(model):
            try:
                timer.start()
                end = time.monotonic() + 0.03
                while time.monotonic() < end:
                    objective.losses(theta)
            except KeyboardInterrupt:
                stopped += 1
            finally:
                wait_for(timer)
    assert stopped > 100


def wait_for(timer: threading.Timer) -> None:
    try:
        timer.join()
    except KeyboardInterrupt:
        timer.join()


def test_an_interrupt_waits_for_a_check_and_the_handler_is_the_users() -> None:
    seen: list[str] = []
    before = signal.signal(signal.SIGINT, lambda *_: seen.append("handled"))
    try:
        with DeferredInterrupt() as deferral:
            signal.raise_signal(signal.SIGINT)
            assert seen == []
            deferral.check()
            assert seen == ["handled"]
            signal.raise_signal(signal.SIGINT)
        assert seen == ["handled", "handled"]
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_are_not_concerned() -> None:
    model = deep()
    found: list[float] = []

    def work() -> None:
        found.append(landscape.Objective(model, (torch.ones(4, 6), torch.arange(4) % 3)).loss())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert len(found) == 1
