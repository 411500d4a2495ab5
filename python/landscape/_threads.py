"""The number of threads of native networks."""

from __future__ import annotations

from landscape import _core

__all__ = ["set_threads"]


def set_threads(count: int) -> None:
    """Set the number of threads on which native networks are evaluated.

    Without a call it is as many as the environment variable ``RAYON_NUM_THREADS`` says, else as
    many as there are processors. Results are the same bits on any number of threads. PyTorch's own
    pool, which ``torch.set_num_threads`` governs, is idle while the native engine evaluates.

    Args:
        count: From 1 to 1,024.

    Raises:
        ValueError: The count is 0, or larger than 1,024.
        OverflowError: The count is negative.

    Example:
        >>> import landscape
        >>> landscape.set_threads(2)
    """
    _core.set_threads(count)
