"""Hessian: second derivatives of the loss at a point, and what is measured of them.

Depends on the matrix with its traces, and on what computes each result.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Literal, Unpack

from landscape._objective import CurvatureKind, Objective
from landscape._sampling import ObjectiveOptions, objectives
from landscape._spectrum.densities import Distributed
from landscape._spectrum.eigenvalues import Method, Request, Which, spectrum
from landscape._spectrum.energy import gradient_energy
from landscape._spectrum.iteration import Interrupt, Iteration

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from torch import nn

    from landscape._progress import Choice
    from landscape._results import GradientEnergy, Spectrum

__all__ = ["Hessian", "hessian"]


def hessian(
    model: nn.Module | Objective,
    data: Any = None,
    loss: Any = None,
    *,
    curvature: CurvatureKind = "hessian",
    theta: ArrayLike | None = None,
    draws: int = 1,
    seed: int = 0,
    **options: Unpack[ObjectiveOptions],
) -> Hessian:
    r"""The Hessian of the loss at the model's parameters, as an operator.

    .. math:: H = \nabla^2 L(\theta), \quad L(\theta) = \frac{1}{n} \sum_i \ell_i(\theta)

    Args:
        model: The trained module, or an Objective in place of model, data and loss.
        data: ``(inputs, targets)``, a Dataset, a DataLoader or any re-iterable of batches.
        loss: None (inferred), a torch loss, ``f(outputs, targets)`` or ``batch_loss(f)``.
        curvature: Which matrix: ``"hessian"`` or, with the derivatives :math:`J_i` of sample i's
            outputs :math:`z_i` and its slope :math:`s_i = \partial \ell_i / \partial z_i`,

            - ``"gauss_newton"``: the mean of :math:`J_i^T M_i J_i` with
              :math:`M_i = \partial^2 \ell_i / \partial z_i^2`;
            - ``"fisher"``: of :math:`J_i^T E[s s^T] J_i` over targets from the likelihood that the
              loss claims (softmax, sigmoid, or Gaussian of variance 1/2 for MSE), in closed form;
            - ``"monte_carlo_fisher"``: the same over a few random targets;
            - ``"empirical_fisher"``: of :math:`J_i^T s_i s_i^T J_i` at the targets at hand;
            - ``"gradient_covariance"``: the second moment of samples' gradients, not centred;
            - ``"gradient_noise"``: their covariance, centred: that of a batch of one.
        theta: The point, shape (d,); the model's own parameters when None.
        draws: Random targets a sample, of ``"monte_carlo_fisher"``.
        seed: Of the sample subset, the batch split, the dropout masks and random targets.
        options: Those of :class:`landscape.Objective`. ``parameters="layer3.*"`` (names, module
            prefixes or patterns) asks for the block of these parameters, of an Objective too.

    Returns:
        The operator; nothing is computed before it is asked for.

    Raises:
        ValueError: An option or the data do not fit, a pattern matches nothing, or the loss is not
            a recognised one and the curvature is not the Hessian.

    Note:
        Means are over the same weights as L, so that for cross-entropy, BCE and MSE the Fisher
        matrix is the Gauss-Newton matrix. Weight decay, which is no sample's, is in the Hessian
        and the Gauss-Newton matrix alone.

    Reference:
        Pearlmutter, "Fast Exact Multiplication by the Hessian", Neural Computation 6 (1994);
        Martens, "New Insights and Perspectives on the Natural Gradient Method", JMLR 21 (2020);
        Kunstner, Balles and Hennig, "Limitations of the Empirical Fisher Approximation" (2019).

    Example:
        >>> import torch
        >>> from torch import nn
        >>> import landscape
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))
        >>> data = (torch.randn(64, 4), torch.randint(3, (64,)))
        >>> landscape.hessian(model, data).eigenvalues(k=3).values.shape
        (3,)
    """
    parameters = options.pop("parameters", None) if isinstance(model, Objective) else None
    objective, _ = objectives(model, data, loss, test=None, seed=seed, options=options)
    whole = Hessian(objective.resolved("frozen"), theta, curvature, draws)
    return whole if parameters is None else whole.block(parameters)


class Hessian(Distributed):
    r"""A curvature of L at one point, as a symmetric operator; :func:`landscape.hessian`.

    It multiplies (``H @ v``, :meth:`matvec`, :meth:`matmat`, :meth:`to_scipy`), cuts out blocks
    (:meth:`block`, :meth:`blocks`) and measures itself: :meth:`eigenvalues`, :meth:`density`,
    :meth:`trace`, :meth:`diagonal`, :meth:`frobenius`, :meth:`spectral_moments`,
    :meth:`log_determinant`. One product costs about two gradients.

    Args:
        objective: The function.
        theta: The point, shape (d,); the model's own parameters when None.
        curvature: Which matrix; see there.
        draws: Random targets a sample, of ``"monte_carlo_fisher"``.

    Example:
        >>> hessian = landscape.Hessian(landscape.Objective(model, data))
        >>> (hessian @ hessian.theta).shape == hessian.theta.shape
        True
    """

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
        best pairs when the basis is full.

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

    def __repr__(self) -> str:
        name = self.kind.kind.replace("_", " ").capitalize()
        return (
            f"{name} of {self.dim} x {self.dim} over {len(self.names)} tensors, "
            f"{self.objective.samples} samples, {self.dtype}"
        )
