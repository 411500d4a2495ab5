"""Curvature in other coordinates."""

from __future__ import annotations

import numpy as np
import pytest
from quadratic_models import assert_close, quadratic

import landscape
from landscape._sharpness import curvature


def test_a_transformed_matrix_has_no_block() -> None:
    hessian = landscape.hessian(*quadratic([1.0, 2.0]))
    scaled = curvature.scale_coordinates(hessian, np.array([1.0, 3.0]))
    assert_close(scaled.dense(progress="off"), np.diag([1.0, 18.0]), 1e-12)
    with pytest.raises(TypeError, match="no block"):
        scaled.block("weight")
