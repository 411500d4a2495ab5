"""What a function L(theta) is: model, data, loss and policies; who evaluates it, and where.

Depends on the rooms of this folder. Knows what L is, and not what is asked of it.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import torch
from torch import nn

from landscape._objective.admission import admitted
from landscape._objective.assembly import assembled, on_other_data, read_other_data
from landscape._objective.batch_norm import POLICIES, BatchNormPolicy, BatchNorms
from landscape._objective.data import Resident
from landscape._objective.engines import ENGINES, Engine, check_recorded
from landscape._objective.facts import policy_record, sample_facts
from landscape._objective.natives import Natives
from landscape._objective.options import check_numbers, check_option
from landscape._objective.points import Rows
from landscape._objective.reading import resplit
from landscape._objective.stage import Stage
from landscape._objective.strategy import Strategy
from landscape._objective.subspace import as_vector
from landscape._objective.supply import Supply
from landscape._objective.tuning import plain_strategy
from landscape._objective.weight_decay import WeightDecay
from landscape._parameters import ParameterLayout

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from landscape._objective.evaluate import Evaluator

__all__ = ["Function"]

_MEMORY_BUDGET = 2 << 30


class Function:
    """A model, data and a loss as one function of a flat vector; see :class:`Objective`."""

    def __init__(
        self,
        model: nn.Module,
        data: Any,
        loss: Any = None,
        *,
        engine: Literal["auto", "torch", "native"] = "auto",
        batch_norm: BatchNormPolicy | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | str | None = None,
        parameters: str | Iterable[str] | None = None,
        samples: int | Sequence[int] | None = None,
        dropout: Literal["off", "seeded"] = "off",
        weight_decay: float = 0.0,
        seed: int = 0,
        batch_size: int | None = None,
        memory_budget: int = _MEMORY_BUDGET,
    ) -> None:
        check_option("engine", engine, ENGINES)
        check_option("batch_norm", batch_norm, (None, *POLICIES))
        check_option("dropout", dropout, ("off", "seeded"))
        check_numbers(weight_decay=weight_decay, seed=seed, memory_budget=memory_budget)
        self.model = admitted(model)
        """The module itself, without wrappers."""
        self.layout = ParameterLayout.of(self.model, parameters)
        self.batch_norm: BatchNormPolicy | None = batch_norm
        self.seed = seed
        self.memory_budget = memory_budget
        self._batch_size = batch_size
        reading, evaluator = assembled(
            self.model,
            self.layout,
            data,
            loss,
            batch_norm=batch_norm or "frozen",
            dropout=dropout,
            device=device,
            dtype=dtype,
            samples=samples,
            batch_size=batch_size,
            memory_budget=memory_budget,
            seed=seed,
        )
        self._evaluator = evaluator
        self._reading = reading
        self._facts = sample_facts(evaluator, reading)
        self._decay = WeightDecay(float(weight_decay))
        self._natives = Natives()
        self.engine = engine
        """The engine that was asked for; the one that evaluates is in a result's ``run.engine``."""
        if engine == "native":
            _ = self._supply.native  # or the reason why not, now rather than later

    @property
    def dim(self) -> int:
        """The number d of parameters that vary."""
        return self.layout.size

    @property
    def samples(self) -> int:
        """The number of samples that L is a mean over."""
        return self._evaluator.batches.samples

    @property
    def drawn(self) -> bool:
        """Whether the samples are a random subset, so that numbers have a sampling error."""
        return self._facts.spread is not None

    @property
    def recalibrates(self) -> bool:
        """Whether there are batch statistics, and they are re-estimated at every point."""
        return self._evaluator.recalibrates

    @property
    def batches(self) -> int:
        """The number of batches in the fixed split, for :meth:`gradients_on`."""
        return len(self._evaluator.batches.sizes)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The flat vector's dtype, float32 or float64."""
        return np.dtype(str(self._evaluator.dtype).removeprefix("torch."))

    @property
    def theta(self) -> NDArray[Any]:
        """The model's parameters as they are now, shape (d,), a copy."""
        return self.layout.flatten(self.model).astype(self.dtype, copy=False)

    @property
    def device(self) -> torch.device:
        """Where the model is evaluated."""
        return self._evaluator.stage.device

    @property
    def strategy(self) -> Strategy:
        """How many points are evaluated fastest here, measured at the first need and then kept."""
        return self._for_losses.strategy

    @cached_property
    def _for_losses(self) -> Engine:
        return Engine.for_losses(self._supply, torch.from_numpy(self.theta), self.engine)

    _for_functions: Engine
    """The engine of the last measurement with a user's functions."""

    @property
    def _supply(self) -> Supply:
        return Supply(self._evaluator, self._natives)

    def evaluated_by(self, strategy: Strategy) -> str:
        """The engine of a strategy, with the reason where native was possible but not taken."""
        known = [self.__dict__.get(name) for name in ("_for_losses", "_for_functions")]
        found: list[Engine] = [e for e in known if e is not None and e.strategy == strategy]
        exact = [engine for engine in found if engine.strategy is strategy]
        return (exact or found or [Engine(strategy)])[0].name

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know: dropped samples, frozen augmentation, held parameters."""
        return self._facts.notes

    @property
    def policy(self) -> dict[str, Any]:
        """Which function L is, as plain data for the run record."""
        return policy_record(self._evaluator, self._facts, self._decay.weight)

    def resolved(self, batch_norm: BatchNormPolicy) -> Self:
        """The same function with its batch-norm policy settled.

        Args:
            batch_norm: The policy where the user left it None.

        Returns:
            An Objective that shares model and data; this one where the user chose a policy.
        """
        if self.batch_norm is not None or batch_norm == self._evaluator.batch_norm:
            return self
        return self.under(batch_norm)

    def under(self, batch_norm: BatchNormPolicy) -> Self:
        """The same model, data and loss under another batch-norm policy: another function.

        Args:
            batch_norm: The policy, whatever the user chose.

        Returns:
            An Objective that shares model and data.
        """
        twin = self._twin(dataclasses.replace(self._evaluator, batch_norm=batch_norm))
        twin.batch_norm = batch_norm
        return twin

    def in_batches(self, size: int) -> Self:
        """The same samples in a seeded split of equal batches of about this size.

        Args:
            size: Of a batch.

        Returns:
            An Objective that shares model and data; this one where the user chose the split, or
            where the data come in batches already or are no more than one.
        """
        whole = self._evaluator.batches
        chosen = self._batch_size is not None or len(whole.sizes) > 1
        if chosen or not isinstance(whole, Resident) or whole.samples < 2 * size:
            return self
        count = round(whole.samples / size)
        parts = resplit(whole, -(-whole.samples // count), self.seed)
        return self._twin(dataclasses.replace(self._evaluator, batches=parts, statistics=parts))

    def of(self, model: nn.Module) -> Self:
        """The same function for another module of the same layout, with its buffers.

        Args:
            model: The module whose buffers and held parameters count from now on.

        Returns:
            An Objective that shares the data and the loss.
        """
        other, stage = admitted(model), self._evaluator.stage
        there = Stage(other, self.layout, device=stage.device, dtype=stage.dtype, seed=stage.seed)
        there.behaviour = stage.behaviour
        norms = BatchNorms(other)
        twin = self._twin(dataclasses.replace(self._evaluator, stage=there, norms=norms))
        twin.model, twin._natives = other, Natives()
        return twin

    def _twin(self, evaluator: Evaluator) -> Self:
        twin = copy.copy(self)
        _forget_measurements(twin)
        twin._evaluator = evaluator
        return twin

    def on(self, data: Any) -> Self:
        """The same function of other data, such as a test set.

        Under ``batch_norm="recalibrated"`` the statistics still come from the first data, as they
        would for a model in use.

        Args:
            data: As for the Objective, or an Objective whose data are meant.

        Returns:
            An Objective that shares the model, the loss and the policy.
        """
        if isinstance(data, Function):
            ours, theirs = ((o.device, o.policy["dtype"]) for o in (self, data))
            if ours != theirs:
                raise ValueError(
                    f"the other Objective's data lie on {theirs[0]} for {theirs[1]}, expected "
                    f"{ours[0]} and {ours[1]}; pass the data themselves"
                )
            reading = data._reading
        else:
            reading = read_other_data(
                self._evaluator,
                data,
                batch_size=self._batch_size,
                memory_budget=self.memory_budget,
                seed=self.seed,
            )
        twin = self._twin(on_other_data(self._evaluator, reading))
        twin._reading = reading
        twin._facts = sample_facts(twin._evaluator, reading)
        return twin

    def _vector(self, theta: ArrayLike | None) -> NDArray[Any]:
        if theta is None:
            return self.theta
        return as_vector(theta, self.dim, self._evaluator.dtype, "theta").cpu().numpy()

    def _rows(self, points: ArrayLike) -> Rows:
        rows = np.ascontiguousarray(points, dtype=self.dtype)
        if rows.ndim != 2 or rows.shape[1] != self.dim:
            raise ValueError(f"got points of shape {rows.shape}, expected (points, {self.dim})")
        return Rows(torch.from_numpy(rows if rows.flags.writeable else rows.copy()))

    def _checked(self, strategy: Strategy | None) -> Strategy | None:
        """A strategy that was handed in, which must be of the engine that was asked for."""
        if strategy is not None:
            check_recorded(self._supply, strategy, self.engine)
        return strategy

    def _strategy_for(self, points: int) -> Strategy:
        return self.strategy if points > 1 or self.engine == "native" else self._plain

    @property
    def _plain(self) -> Strategy:
        return plain_strategy(self._evaluator)


def _forget_measurements(objective: Function) -> None:
    for name in ("_for_losses", "derivatives", "_for_functions"):
        objective.__dict__.pop(name, None)
