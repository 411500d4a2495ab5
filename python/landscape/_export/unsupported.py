"""What is said of a model that cannot be exported. Depends on nothing."""

from __future__ import annotations

__all__ = ["Unsupported"]


class Unsupported(ValueError):  # noqa: N818 - a plain answer more often than a mistake
    """A model, or one of its operations, that is not exported.

    Args:
        operation: The operation's name, such as ``"aten.sort.default"``, or what was looked at.
        why: The reason, in words.
        module: The path of the module that asked for the operation, where it is known.
    """

    def __init__(self, operation: str, why: str, module: str = "") -> None:
        self.operation = operation
        self.why = why
        self.module = module
        place = f" in {module}" if module else ""
        super().__init__(f"{operation}{place}: {why}")
