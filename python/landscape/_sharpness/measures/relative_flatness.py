"""`relative_flatness`: the trace of one layer's Hessian, weighted by products of its weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from landscape._sharpness.context import PRODUCT
from landscape._sharpness.curvature import TransformedHessian
from landscape._sharpness.definition import DerivativeDefinition, NotApplicable, Outcome
from landscape._sharpness.estimates import (
    TYPICAL_PRODUCTS,
    check_accuracy,
    make_outcome,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from landscape._parameters import ParameterEntry
    from landscape._results import Invariance
    from landscape._sharpness.context import Context

__all__ = ["RelativeFlatness"]


@dataclass(frozen=True)
class RelativeFlatness(DerivativeDefinition):
    r"""The trace of one layer's Hessian, weighted by the products of its rows.

    .. math:: \kappa = \sum_{s, s'} \langle w_s, w_{s'} \rangle \operatorname{tr} H_{s, s'}
        = \operatorname{tr} (G^{1/2} \otimes 1) H (G^{1/2} \otimes 1), \quad G = W W^T

    Here :math:`w_s` is row s of the layer's matrix W (a convolution's output channel), and
    :math:`H_{s, s'}` the second derivatives by the rows s and s'. The trace is that of an operator,
    by Hutch++, and exact where all weights are fewer products than random vectors.

    It is invariant when W is multiplied by a number, or its rows by one each, and the neighbouring
    layers by the inverse. Factors that differ between the *columns*, that is, between the units
    before the layer, change it: the paper normalises these units in addition.

    Args:
        layer: The name of the weight or its module, such as ``"fc2"``. When None, the last matrix
            in the order of the model's parameters, which is the output layer as in the paper.
        relative_error: Requested standard error over the estimate.
        max_products: The maximum number of products.

    Raises:
        ValueError: An option is out of range.

    Example:
        >>> measure = landscape.measures.RelativeFlatness(layer="2")
        >>> landscape.sharpness(model, data, measures=[measure])
    """

    name: ClassVar[str] = "relative_flatness"
    reference: ClassVar[str] = (
        "Petzka, Kamp, Adilova, Sminchisescu and Boley (2021), Relative Flatness and "
        "Generalization, definition 3"
    )
    rescaling: ClassVar[Invariance] = "no"

    layer: str | None = None
    relative_error: float = 0.1
    max_products: int = 1000

    def __post_init__(self) -> None:
        check_accuracy(self.relative_error, self.max_products)

    def require(self, context: Context) -> None:
        """Refuse a model without such a matrix.

        Raises:
            NotApplicable: With the reason.
        """
        super().require(context)
        self._find(context)

    def estimate_cost(self, context: Context) -> float:
        """That of a typical estimate, or of all weights of a small layer."""
        return min(TYPICAL_PRODUCTS, self._find(context).size) * PRODUCT

    def compute(self, context: Context) -> Outcome:
        """The trace of the congruent operator on the layer's weights."""
        entry = self._find(context)
        weights = context.theta[entry.span].reshape(entry.shape[0], -1).astype(np.float64)
        root = _compute_root(weights @ weights.T)

        def transform(rows: NDArray[Any]) -> NDArray[Any]:
            shaped = rows.reshape(len(rows), *weights.shape)
            product: NDArray[Any] = np.matmul(root, shaped)
            return product.reshape(rows.shape).astype(rows.dtype)

        block = context.hessian().block(entry.name)
        estimate = TransformedHessian(block, transform).trace(
            relative_error=self.relative_error,
            max_products=self.max_products,
            level=context.level,
            seed=context.stream(self.name),
            progress=context.watch_products(),
        )
        context.charge(estimate.products * PRODUCT)
        outcome = make_outcome(estimate)
        return Outcome(
            outcome.value,
            outcome.standard_error,
            outcome.interval,
            outcome.status,
            {**outcome.details, "layer": entry.name},
        )

    def _find(self, context: Context) -> ParameterEntry:
        entries = context.objective.layout.entries
        # rows are outputs: of a linear layer or a convolution, not of a transposed one
        matrices = [e for e in entries if e.filters and e.filters.filters == e.shape[0]]
        if self.layer is None:
            if not matrices:
                raise NotApplicable("the model has no matrix of weights")
            return matrices[-1]
        chosen = [
            entry
            for entry in matrices
            for name in (entry.name, *entry.aliases)
            if self.layer in (name, name.rpartition(".")[0])
        ]
        if len(chosen) != 1:
            known = ", ".join(entry.name for entry in matrices)
            raise NotApplicable(
                f"layer={self.layer!r} names {len(chosen)} matrices of weights, expected one of "
                f"{known}"
            )
        return chosen[0]


def _compute_root(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    values, vectors = np.linalg.eigh(matrix)
    root: NDArray[np.float64] = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    return root
