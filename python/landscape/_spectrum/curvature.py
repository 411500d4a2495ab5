"""Hessian: second derivatives of the loss at a point, and what is measured of them.

Depends on the matrix with its traces, and on what computes each result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Unpack

from landscape._objective import CurvatureKind, Objective
from landscape._sampling import ObjectiveOptions, objectives
from landscape._spectrum.classification import Question, classified
from landscape._spectrum.solved import Solved

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from torch import nn

    from landscape._progress import Choice
    from landscape._results import CriticalPoint

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
    whole = Hessian(objective.with_default_batch_norm("frozen"), theta, curvature, draws)
    return whole if parameters is None else whole.block(parameters)


class Hessian(Solved):
    r"""A curvature of L at one point, as a symmetric operator; :func:`landscape.hessian`.

    It multiplies (``H @ v``, :meth:`matvec`, :meth:`matmat`, :meth:`to_scipy`), cuts out blocks
    (:meth:`block`, :meth:`blocks`) and measures itself: :meth:`eigenvalues`, :meth:`density`,
    :meth:`trace`, :meth:`diagonal`, :meth:`frobenius`, :meth:`spectral_moments`,
    :meth:`log_determinant`, :meth:`gradient_energy`, :meth:`classify`. One product costs about
    two gradients.

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

    def classify(
        self,
        threshold: float | None = None,
        *,
        gradient_tolerance: float = 1e-4,
        method: Literal["dense", "density"] | None = None,
        probes: int = 100,
        steps: int = 60,
        level: float = 0.95,
        seed: int = 0,
        progress: Choice = None,
    ) -> CriticalPoint:
        r"""Minimum, maximum, saddle or degenerate: by the signs of the eigenvalues.

        Eigenvalues within the threshold of 0 count as zero. A point with both signs is a saddle;
        one with one sign and zeros is degenerate; the index is the number of negative ones.

        Args:
            threshold: Of what counts as zero, in units of eigenvalues. When None, what rounding
                makes of a zero: 10 sqrt(d) eps max \|eigenvalue\|; with ``"density"`` at least
                what quadratures can tell apart and both ends' residuals.
            gradient_tolerance: Largest gradient norm of a critical point. Above it the result says
                that the point is none, and its class is that of the curvature alone.
            method: ``"dense"`` finds all eigenvalues; ``"density"`` finds both ends by Lanczos and
                estimates the counts from :meth:`density`, with intervals. When None, dense where
                the decomposition fits the Objective's memory budget.
            probes: Of the density.
            steps: Of the density.
            level: Of its intervals.
            seed: Of random vectors.
            progress: None (a bar in a terminal), ``"bar"``, ``"off"``, or a function of
                (done, most) products.

        Returns:
            The class, the index and what it rests on.

        Raises:
            ValueError: An option is out of range, or the matrix is not symmetric.
            FloatingPointError: A product is not finite.

        Reference:
            Dauphin et al. (2014), "Identifying and attacking the saddle point problem in
            high-dimensional non-convex optimization".

        Example:
            >>> point = landscape.hessian(model, data).classify()
            >>> point.nature in ("minimum", "maximum", "saddle", "degenerate")
            True
        """
        request = Question(threshold, gradient_tolerance, method, probes, steps, level, seed)
        return classified(self, request, progress)

    def __repr__(self) -> str:
        name = self.kind.kind.replace("_", " ").capitalize()
        return (
            f"{name} of {self.dim} x {self.dim} over {len(self.names)} tensors, "
            f"{self.objective.samples} samples, {self.dtype}"
        )
