"""The geometry of a neural network's loss, measured as an instrument would."""

from landscape._core import __version__

__all__ = ["__version__"]
