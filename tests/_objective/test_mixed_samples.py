"""Models whose outputs depend on other samples: L is the same for every split into batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import landscape


def test_samples_that_see_each_other_are_never_cut() -> None:
    class Mixing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(6, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            weights = torch.softmax(x @ x.T, dim=1)
            out: torch.Tensor = self.layer(weights @ x)
            return out

    torch.manual_seed(0)
    model, data = Mixing(), (torch.randn(500, 6), torch.arange(500) % 3)
    objective = landscape.Objective(model, data)
    expected = float(nn.functional.cross_entropy(model(data[0]).detach(), data[1]))
    assert objective.loss() == pytest.approx(expected, rel=1e-5)
    assert objective.strategy.block is None
    assert objective.losses(np.stack([objective.theta] * 2))[1] == pytest.approx(expected, rel=1e-5)
    assert any("see each other" in note for note in objective.notes)
