"""Eigenvalues of a matrix, and what of a gradient lies along their vectors.

Depends on the matrix with its density, and on what computes each result.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal

from landscape._iteration import Interrupt, Iteration
from landscape._spectrum.densities import Distributed
from landscape._spectrum.eigenvalues import Method, Request, Which, spectrum
from landscape._spectrum.energy import gradient_energy

if TYPE_CHECKING:
    from landscape._progress import Choice
    from landscape._results import GradientEnergy, Spectrum

__all__ = ["Solved"]


class Solved(Distributed):
    """A symmetric matrix whose eigenvalues can be found."""

    def eigenvalues(
        self,
        k: int = 5,
        which: Which = "largest",
        tolerance: float = 1e-3,
        vectors: bool = False,
        *,
        method: Method = "lanczos",
        multiplicity: Literal["check"] | None = None,
        basis: int | None = None,
        max_products: int | None = None,
        seed: int = 0,
        interrupt: Interrupt = "raise",
        resume: str | os.PathLike[str] | None = None,
        progress: Choice = None,
    ) -> Spectrum:
        r"""Eigenvalues of one end or of both, each with its residual.

        .. math:: H v_i \approx \lambda_i v_i, \quad r_i = \lVert H v_i - \lambda_i v_i \rVert

        An eigenvalue lies within r of every value. Lanczos keeps an orthonormal basis of the
        Krylov space of a random start, orthogonalises against all of it, and restarts with the
        best pairs when the basis is full. It ends when all wanted pairs have stayed converged for
        1 + k / 3 products more: a start that has little of an eigenvector shows its pair late,
        between others whose residuals are small by then.

        Args:
            k: How many; from each end when ``which="both"``.
            which: ``"largest"``, ``"smallest"`` (algebraic), ``"magnitude"`` or ``"both"``.
            tolerance: Of a residual, relative to the largest \|eigenvalue\| found.
            vectors: Whether the result keeps the eigenvectors.
            method: ``"lanczos"``, or ``"power"``: one after the other, with deflation.
            multiplicity: ``"check"`` looks for copies of eigenvalues, of which one Krylov space
                sees one each, by a run orthogonal to all pairs; its products are counted apart.
            basis: Vectors that Lanczos keeps, at least two more than pairs; chosen when None.
                Beyond the Objective's memory budget they lie in a temporary file.
            max_products: The most products; chosen when None.
            seed: Of the random start.
            interrupt: What Ctrl-C does: ``"raise"``, or ``"return"`` what has converged so far.
            resume: A file that keeps the run: created when absent, continued when present.
            progress: None (a bar in a terminal), ``"bar"``, ``"off"``, or a function of
                (done, total) products.

        Returns:
            The spectrum.

        Raises:
            ValueError: An option is out of range, the matrix is not symmetric, or ``resume`` holds
                another computation.
            FloatingPointError: A product is not finite.

        Reference:
            Wu and Simon, "Thick-Restart Lanczos Method for Large Symmetric Eigenvalue Problems",
            SIAM J. Matrix Anal. Appl. 22 (2000), algorithm 3; Parlett, "The Symmetric Eigenvalue
            Problem" (1998), theorems 4.5.1 and 11.7.1 for the bounds.

        Example:
            >>> spectrum = landscape.hessian(model, data).eigenvalues(k=2, which="both")
            >>> spectrum.values, spectrum.residuals, spectrum.status
        """
        request = Request(
            k, which, tolerance, vectors, method, multiplicity, basis, max_products, seed
        )
        request.check(self.dim)
        limit = request.limit(self.dim)
        iteration = Iteration(
            "eigenvalues", self, request.inputs, limit, progress, resume, interrupt
        )
        self.check_symmetric(seed)
        return spectrum(self, request, iteration)

    def gradient_energy(
        self,
        k: int = 10,
        tolerance: float = 1e-3,
        *,
        max_products: int | None = None,
        seed: int = 0,
        progress: Choice = None,
    ) -> GradientEnergy:
        r"""The share of the squared gradient norm in the space of the top eigenvectors.

        .. math:: s_j = \sum_{i \le j} (v_i^T g)^2 / \lVert g \rVert^2, \quad j = 1, \dots, k

        During training most of the gradient often lies in the space of as many eigenvectors as
        there are classes.

        Args:
            k: Dimension of the largest space.
            tolerance: Of the residuals, relative to the largest \|eigenvalue\|; one more pair
                than k is computed, so that the gap below the space is known.
            max_products: The most products; chosen when None.
            seed: Of the random start.
            progress: As for :meth:`eigenvalues`.

        Returns:
            The shares, with bounds on their errors.

        Raises:
            ValueError: An option is out of range, or the gradient is zero.

        Reference:
            Gur-Ari, Roberts and Dyer (2018), "Gradient Descent Happens in a Tiny Subspace"; Davis
            and Kahan (1970), "The Rotation of Eigenvectors by a Perturbation. III".

        Example:
            >>> energy = landscape.hessian(model, data).gradient_energy(k=2)
            >>> bool(energy.shares[-1] <= 1.0)
            True
        """
        if not 1 <= k <= self.dim:
            raise ValueError(f"k={k}, expected 1 to {self.dim}, the number of parameters")
        spectrum = self.eigenvalues(
            min(k + 1, self.dim),
            "largest",
            tolerance,
            True,
            max_products=max_products,
            seed=seed,
            progress=progress,
        )
        return gradient_energy(spectrum, self.gradient(), k)
