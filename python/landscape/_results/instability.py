"""Instability: whether two children of one parent still lie in one basin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, Self

from numpy.typing import NDArray

from landscape._results._flat import Flat, nested, part_of
from landscape._results.path import Path
from landscape._results.run import Run


@dataclass(frozen=True, eq=False, repr=False)
class Instability(Flat):
    """The error barrier between two models that were trained from one parent.

    Args:
        train: max_s E(s) - (E(0) + E(1)) / 2 on the straight way, E the share of wrong predictions
            on the training data.
        train_error: its standard error as an estimate for further data.
        test: the same on test data; None without them.
        test_error: likewise.
        threshold: below which the children count as stable; of the test data where there are any.
        distance: between the children.
        from_parent: of each child from the parent, where it was given.
        cosine: between the children's ways from the parent.
        path: the straight way, with losses and errors.
        status: the verdict, as a sentence.
        run: how the numbers were made.

    Example:
        >>> found = landscape.instability(model_a, model_b, data, parent=model)
        >>> found.stable == (found.train < found.threshold)
        True
    """

    kind: ClassVar[str] = "instability"
    arrays: ClassVar[tuple[str, ...]] = ()

    train: float
    train_error: float
    _: KW_ONLY
    test: float | None = None
    test_error: float | None = None
    threshold: float
    distance: float
    from_parent: tuple[float, float] | None = None
    cosine: float | None = None
    path: Path
    status: str
    run: Run

    def __post_init__(self) -> None:
        if self.from_parent is not None:
            object.__setattr__(self, "from_parent", tuple(self.from_parent))

    @property
    def stable(self) -> bool:
        """Whether the error barrier is below the threshold."""
        return (self.train if self.test is None else self.test) < self.threshold

    def pack(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """The record and the arrays, from which it can be made again."""
        record, arrays = Flat.pack(self)
        record["path"], members = self.path.pack()
        return record, {**arrays, **nested("path", members)}

    @classmethod
    def unpack(cls, record: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """What `pack` took apart."""
        path = Path.unpack(record["path"], part_of("path", arrays))
        return super().unpack({**record, "path": path}, {})

    def __repr__(self) -> str:
        lines = [f"Instability: {self.status}"]
        lines.append(f"train     error barrier {self.train:.4g} +- {self.train_error:.2g}")
        if self.test is not None:
            lines.append(f"test      error barrier {self.test:.4g} +- {self.test_error:.2g}")
        apart = f"distance  {self.distance:.5g} between the children"
        if self.from_parent is not None:
            one, other = self.from_parent
            apart += f", {one:.5g} and {other:.5g} from the parent, cosine {self.cosine:.3g}"
        lines.append(apart)
        lines += self._made(str(self.run.evaluations), "passes")
        return "\n".join(lines)
