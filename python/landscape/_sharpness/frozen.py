"""Bounds need every trained parameter: what is frozen is no constant if the data trained it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from landscape._sharpness.definition import NotApplicable

if TYPE_CHECKING:
    from landscape._sharpness.context import Context

__all__ = ["require_all_parameters"]


def require_all_parameters(context: Context) -> None:
    """Refuse a model of which some parameters do not vary.

    Raises:
        NotApplicable: A bound would take them for constants that the data did not choose.
    """
    objective = context.objective
    total = sum(parameter.numel() for parameter in objective.model.parameters())
    if total != objective.dim:
        raise NotApplicable(
            f"{total - objective.dim} of {total} parameters are frozen, and the bound would take "
            "them for constants that do not depend on the training data; let all of them vary"
        )
