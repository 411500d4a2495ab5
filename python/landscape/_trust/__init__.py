"""`surface.trust()`: what a surface shows of the loss around its centre, and what it does not."""

from landscape._trust.examination import examine_surface

__all__ = ["examine_surface"]
