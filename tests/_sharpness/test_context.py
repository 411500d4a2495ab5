"""What measures share is computed once and charged once to each of them."""

from __future__ import annotations

import pytest
from quadratic_models import quadratic

import landscape
from landscape._sharpness.context import GRADIENT, LOSS, Context
from landscape._sharpness.inputs import Inputs


@pytest.fixture
def context() -> Context:
    objective = landscape.Objective(*quadratic([1.0, 2.0], [1.0, 1.0]))
    plain = objective.plain_strategy
    return Context(objective, (plain, plain), Inputs())


def test_a_shared_value_is_charged_once_to_each_measure(context: Context) -> None:
    for _ in range(2):
        context.begin()
        for _ in range(3):
            assert context.loss == pytest.approx(1.5)
            assert context.gradient.tolist() == pytest.approx([1.0, 2.0])
        assert context.charged == pytest.approx(LOSS + GRADIENT)
    assert context.spent == pytest.approx(LOSS + GRADIENT)


@pytest.mark.parametrize("first", ["loss", "descent_gain"])
def test_what_a_shared_value_uses_is_charged_with_it_in_any_order(
    context: Context, first: str
) -> None:
    whole = LOSS + GRADIENT + 5 * LOSS
    context.begin()
    getattr(context, first)
    assert context.descent_gain > 0
    _ = context.gradient
    assert context.charged == pytest.approx(whole)
    context.begin()
    _ = context.descent_gain
    assert context.charged == pytest.approx(whole)
    assert context.spent == pytest.approx(whole)


def test_a_value_that_fails_is_computed_again(context: Context) -> None:
    def fail() -> float:
        context.charge(1.0)
        raise FloatingPointError("no")

    with pytest.raises(FloatingPointError):
        context.share("broken", fail)
    assert context.share("broken", lambda: 2.0) == 2.0
    assert context.spent == 1.0
