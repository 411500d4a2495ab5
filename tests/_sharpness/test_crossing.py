"""Where powers, steps and walls cross a level."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from quadratic_models import assert_close

from landscape._sharpness.crossing import find_crossings


def test_crossings_of_powers_steps_and_walls() -> None:
    calls = []

    def evaluate(indices: Any, radii: Any) -> Any:
        calls.append(len(indices))
        functions = [
            radii**2,
            3 * radii,
            np.where(radii > 0.7, 5.0, 0.0),
            np.where(radii > 40, np.nan, 0.0),
            0 * radii,
            1 + radii,
        ]
        return np.choose(indices, functions)

    found = find_crossings(evaluate, 6, 0.5, 0.01, tolerance=1e-6, largest=1e3, smallest=1e-6)
    assert_close(found.radii[:2], [math.sqrt(0.5), 0.5 / 3], rtol=1e-5)
    assert_close(found.radii[2:4], [0.7, 40], rtol=1e-5)
    assert np.isinf(found.radii[4])
    assert found.radii[5] == 0
    assert list(found.is_found) == [True] * 4 + [False] * 2
    assert_close(found.exponents[:2], [2, 1], rtol=1e-6)
    assert found.rounds < 45
    alone = find_crossings(lambda _, r: r**2, 1, 0.5, 0.01, tolerance=1e-9)
    assert alone.rounds <= 10
