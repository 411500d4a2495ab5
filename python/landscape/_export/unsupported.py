"""The exception for a model that cannot be exported."""

from __future__ import annotations

__all__ = ["Unsupported"]


class Unsupported(ValueError):  # noqa: N818 - an answer about the model more often than an error
    """A model, or one of its operations, that the native network does not support.

    Raised by ``Objective(..., engine="native")`` and by whatever evaluates such an Objective. Under
    ``engine="auto"`` PyTorch evaluates instead, and ``run.engine`` holds the reason.

    Args:
        operation: The operation's name, such as ``"aten.sort.default"``, or what was examined, such
            as ``"dtype"``.
        why: The reason, in words.
        module: The path of the module that calls the operation, where it is known.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> import landscape
        >>> model = nn.Sequential(nn.Linear(4, 4), nn.Softmax(dim=1))
        >>> data = (torch.randn(8, 4), torch.randn(8, 4))
        >>> try:
        ...     landscape.Objective(model, data, engine="native")
        ... except landscape.Unsupported as error:
        ...     print(error.operation)
        aten.softmax.int
    """

    def __init__(self, operation: str, why: str, module: str = "") -> None:
        self.operation = operation
        self.why = why
        self.module = module
        where = f" in {module}" if module else ""
        super().__init__(f"{operation}{where}: {why}")

    def __reduce__(self) -> tuple[type[Unsupported], tuple[str, str, str]]:
        return type(self), (self.operation, self.why, self.module)
