"""`Hessian`: a curvature matrix of the loss at a point, with its spectrum, traces and class."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Literal, Unpack

from landscape._objective import CurvatureKind, Objective
from landscape._runs import Interrupt, ObjectiveOptions, build_objective
from landscape._spectrum.classify import ClassificationOptions, classify_point
from landscape._spectrum.energy import compute_gradient_energy
from landscape._spectrum.lanczos import EigenvalueOptions, Method, Which, compute_spectrum
from landscape._spectrum.matrix import CurvatureMatrix
from landscape._spectrum.slq import estimate_density
from landscape._spectrum.stochastic_trace import (
    Accuracy,
    EstimateOptions,
    SketchMethod,
    TraceMethod,
    estimate_diagonal,
    estimate_frobenius,
    estimate_log_determinant,
    estimate_moments,
    estimate_trace,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from torch import nn

    from landscape._progress import Choice
    from landscape._results import (
        CriticalPoint,
        Density,
        Estimate,
        Estimates,
        GradientEnergy,
        Spectrum,
    )

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
            outputs :math:`z_i` and its derivative :math:`s_i = \partial \ell_i / \partial z_i`,

            - ``"gauss_newton"``: the mean of :math:`J_i^T M_i J_i` with
              :math:`M_i = \partial^2 \ell_i / \partial z_i^2`;
            - ``"fisher"``: of :math:`J_i^T E[s s^T] J_i` over targets from the likelihood that the
              loss claims (softmax, sigmoid, or Gaussian of variance 1/2 for MSE), in closed form;
            - ``"monte_carlo_fisher"``: the same over a few random targets;
            - ``"empirical_fisher"``: of :math:`J_i^T s_i s_i^T J_i` at the data's own targets. A
              sample's outputs of several positions (tokens, pixels) are one vector :math:`z_i`:
              its positions are summed before they are squared. Squaring each position by itself,
              as some libraries do, is another matrix;
            - ``"gradient_covariance"``: the second moment of samples' gradients, not centred;
            - ``"gradient_noise"``: their covariance, centred: that of a batch of one.
        theta: The point, shape (d,); the model's own parameters when None.
        draws: Random targets a sample, of ``"monte_carlo_fisher"``.
        seed: Of the sample subset, the batch split, the dropout masks and random targets.
        options: Those of :class:`landscape.Objective`. ``parameters="layer3.*"`` (names, module
            prefixes or patterns) selects the block of these parameters, of an Objective too.

    Returns:
        The operator; products are computed on demand.

    Raises:
        ValueError: An option or the data do not fit, a pattern matches nothing, or the loss is not
            a recognised one and the curvature is not the Hessian.

    Note:
        Means are over the same weights as L, so that for cross-entropy, BCE and MSE the Fisher
        matrix is the Gauss-Newton matrix, unless there are class weights, label smoothing or a
        ``pos_weight``: with a ``pos_weight`` c of BCE, :math:`M_i = p (1 - p) (1 - y + c y)`
        depends on the target y, and :math:`E[s^2] = p (1 - p) (p + c^2 (1 - p))` is over targets
        of probability p. NLL and L1 are linear in the outputs, so that their Gauss-Newton
        matrices, zero for every model, are refused; so are Fisher matrices of losses without a
        likelihood (L1, Huber, NLL). Weight decay, which belongs to no sample, is in the Hessian
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
    objective = build_objective(hessian, model, data, loss, seed=seed, options=options)
    whole = Hessian(objective.with_default_batch_norm("frozen"), theta, curvature, draws)
    return whole if parameters is None else whole.block(parameters)


class Hessian(CurvatureMatrix):
    r"""A curvature of L at one point, as a symmetric operator; :func:`landscape.hessian`.

    It multiplies (``H @ v``, :meth:`matvec`, :meth:`matmat`, :meth:`to_scipy`), extracts blocks
    (:meth:`block`, :meth:`blocks`) and measures itself: :meth:`eigenvalues`, :meth:`density`,
    :meth:`trace`, :meth:`diagonal`, :meth:`frobenius`, :meth:`spectral_moments`,
    :meth:`log_determinant`, :meth:`gradient_energy`, :meth:`classify`. One product costs about
    two gradients.

    Estimates from random vectors share their options: ``relative_error=0.01`` and
    ``absolute_error`` (a standard error; either is enough), ``max_products=10_000``,
    ``level=0.95`` of the interval, ``seed=0``, ``interrupt="raise"`` and ``progress``. A run ends
    when the standard error is small enough, never before 30 independent vectors, or at
    ``max_products``. Where all rows are fewer products than random vectors they are summed, and
    the result is exact.

    Args:
        objective: The function.
        theta: The point, shape (d,); the model's own parameters when None.
        curvature: Which matrix; see :func:`landscape.hessian`.
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
        r"""Compute extreme eigenvalues, each with its residual.

        .. math:: H v_i \approx \lambda_i v_i, \quad r_i = \lVert H v_i - \lambda_i v_i \rVert

        An eigenvalue lies within r of every value. Lanczos keeps an orthonormal basis of the
        Krylov space of a random start, with full reorthogonalisation, and restarts with the best
        pairs when the basis is full (thick restart). It ends when all requested pairs have stayed
        converged for 1 + k / 3 more products: a pair whose eigenvector has a small component in
        the start converges late, after others whose residuals are small by then.

        Args:
            k: How many; from each end when ``which="both"``.
            which: ``"largest"``, ``"smallest"`` (algebraic), ``"magnitude"`` or ``"both"``.
            tolerance: Of a residual, relative to the largest \|eigenvalue\| of the end that is
                asked for (of the weaker one for ``"both"``); never below rounding. It is printed.
            vectors: Whether the result keeps the eigenvectors.
            method: ``"lanczos"``, or ``"power"``: one after the other, with deflation.
            multiplicity: ``"check"`` searches for further copies of multiple eigenvalues, of which
                one Krylov space contains one each, by a run orthogonal to all pairs; its products
                are counted separately.
            basis: Vectors that Lanczos keeps, at least two more than pairs; chosen when None: all
                of a matrix of up to 256 rows.
                Beyond the Objective's memory budget they lie in a temporary file.
            max_products: The maximum number of products; chosen when None.
            seed: Of the random start.
            interrupt: What Ctrl-C does: ``"raise"``, or ``"return"`` what has converged so far.
            resume: The checkpoint file: created when absent, resumed when present.
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
        options = EigenvalueOptions(
            k, which, tolerance, vectors, method, multiplicity, basis, max_products, seed
        )
        return compute_spectrum(
            self, options, interrupt=interrupt, resume=resume, progress=progress
        )

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
            max_products: The maximum number of products; chosen when None.
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
        options = EigenvalueOptions(
            min(k + 1, self.dim),
            tolerance=tolerance,
            vectors=True,
            max_products=max_products,
            seed=seed,
        )
        spectrum = compute_spectrum(self, options, progress=progress)
        return compute_gradient_energy(spectrum, self.gradient(), k)

    def density(
        self,
        *,
        probes: int = 16,
        steps: int = 60,
        width: float | None = None,
        level: float = 0.95,
        seed: int = 0,
        interrupt: Interrupt = "raise",
        resume: str | os.PathLike[str] | None = None,
        progress: Choice = None,
    ) -> Density:
        r"""The density of eigenvalues, by stochastic Lanczos quadrature.

        Each probe, a random unit vector, gives a Gauss quadrature that matches the moments of its
        spectral measure up to degree 2 steps - 1. The number of probes determines the width of
        the intervals, the number of steps the resolution.

        Args:
            probes: Independent random vectors, at least 2; intervals hold from 100 on.
            steps: Products of each probe, at most. Its basis is stored: steps times d numbers.
            width: Standard deviation of the Gaussian kernel; the resolution of the nodes when
                None. :meth:`Density.with_width` changes it afterwards.
            level: Probability of the intervals, from the bootstrap over probes.
            seed: Of the vectors and of the bootstrap.
            interrupt: What Ctrl-C does: ``"raise"``, or ``"return"`` the density of the probes so
                far.
            resume: The checkpoint file: created when absent, resumed when present.
            progress: None (a bar in a terminal), ``"bar"``, ``"off"``, or a function of
                (done, maximum) products.

        Raises:
            ValueError: An option is out of range, the matrix is not symmetric, one probe's basis
                exceeds the memory budget, or ``resume`` holds another computation.
            FloatingPointError: A product is not finite.

        Reference:
            Ubaru, Chen and Saad (2017), "Fast estimation of tr(f(A)) via stochastic Lanczos
            quadrature"; Ghorbani, Krishnan and Xiao (2019), "An investigation into neural net
            optimization via Hessian eigenvalue density", algorithm 1.

        Example:
            >>> density = landscape.hessian(model, data).density(probes=4, steps=10)
            >>> round(float(density.cumulative[-1]), 6)
            1.0
        """
        return estimate_density(
            self,
            probes=probes,
            steps=steps,
            width=width,
            level=level,
            seed=seed,
            interrupt=interrupt,
            resume=resume,
            progress=progress,
        )

    def trace(
        self,
        *,
        method: TraceMethod = "hutch++",
        resume: str | os.PathLike[str] | None = None,
        **options: Unpack[EstimateOptions],
    ) -> Estimate:
        r"""The sum of all eigenvalues.

        .. math:: \operatorname{tr} H = \operatorname{tr} Q^T H Q + E[g^T H g], \quad
            E[g g^T] = 1 - Q Q^T

        Args:
            method: ``"hutch++"`` sums a sketch Q exactly that captures the large eigenvalues, and
                grows it while that saves products; ``"hutchinson"`` has none; ``"xtrace"`` uses
                every vector for both, with a jackknife standard error.
            resume: The checkpoint file: created when absent, resumed when present; not
                with ``"xtrace"``.
            options: See the class.

        Returns:
            The estimate, with the sampling error where the data are a random subset.

        Raises:
            ValueError: An option is out of range, the matrix is not symmetric, or ``resume`` holds
                another computation.
            FloatingPointError: A product is not finite.

        Reference:
            Hutchinson (1990), "A stochastic estimator of the trace of the influence matrix";
            Meyer, Musco, Musco and Woodruff (2021), "Hutch++", algorithm 1; Epperly, Tropp and
            Webber (2024), "XTrace", algorithm 1.2; Hall (1992), "On the removal of skewness by
            transformation", for the interval.

        Example:
            >>> trace = landscape.hessian(model, data).trace(relative_error=0.02)
            >>> trace.value, trace.interval, trace.products
        """
        return estimate_trace(self, Accuracy(**options), method, resume)

    def frobenius(
        self,
        *,
        method: SketchMethod = "hutch++",
        resume: str | os.PathLike[str] | None = None,
        **options: Unpack[EstimateOptions],
    ) -> Estimate:
        r"""The Frobenius norm, from the trace of the square.

        .. math:: \lVert H \rVert_F = \sqrt{\operatorname{tr} H^2}

        One product gives :math:`\lVert H g \rVert^2`; errors are propagated through the root.

        Args:
            method: See :meth:`trace`.
            resume: See :meth:`trace`.
            options: See the class.

        Raises:
            ValueError: An option is out of range, or the matrix is not symmetric.

        Example:
            >>> float(landscape.hessian(model, data).frobenius(relative_error=0.05)) > 0
            True
        """
        return estimate_frobenius(self, Accuracy(**options), method, resume)

    def log_determinant(
        self,
        shift: float,
        *,
        method: SketchMethod = "hutch++",
        resume: str | os.PathLike[str] | None = None,
        **options: Unpack[EstimateOptions],
    ) -> Estimate:
        r"""The logarithm of the determinant of H + shift, which must be positive definite.

        .. math:: \log\det(H + \sigma) = \operatorname{tr} \log(H + \sigma)

        Every quadratic form :math:`g^T \log(H + \sigma) g` is a Lanczos quadrature, extended until
        it changes by less than a tenth of the relative error.

        Args:
            shift: sigma, above minus the smallest eigenvalue.
            method: See :meth:`trace`.
            resume: See :meth:`trace`.
            options: See the class.

        Raises:
            ValueError: H + shift has an eigenvalue below 0 (the text names one), a quadrature does
                not settle within 300 products, or an option is out of range.

        Reference:
            Ubaru, Chen and Saad (2017), "Fast estimation of tr(f(A)) via stochastic Lanczos
            quadrature".

        Example:
            >>> landscape.hessian(model, data).log_determinant(shift=1.0, relative_error=0.05)
        """
        return estimate_log_determinant(self, shift, Accuracy(**options), method, resume)

    def spectral_moments(
        self,
        count: int = 4,
        *,
        method: SketchMethod = "hutch++",
        resume: str | os.PathLike[str] | None = None,
        **options: Unpack[EstimateOptions],
    ) -> Estimates:
        r"""The moments of the density of eigenvalues, from the first.

        .. math:: m_p = \frac{1}{d} \operatorname{tr} H^p = \frac{1}{d} \sum_i \lambda_i^p

        Half as many products as moments give all quadratic forms of a vector.

        Args:
            count: The number of moments.
            method: See :meth:`trace`.
            resume: See :meth:`trace`.
            options: See the class; every moment meets the error.

        Raises:
            ValueError: An option is out of range, or the matrix is not symmetric.

        Example:
            >>> landscape.hessian(model, data).spectral_moments(3, relative_error=0.1).values
        """
        return estimate_moments(self, count, Accuracy(**options), method, resume)

    def diagonal(
        self,
        *,
        method: SketchMethod = "hutch++",
        **options: Unpack[EstimateOptions],
    ) -> Estimates:
        r"""Every diagonal entry: the second derivative by each parameter.

        .. math:: \operatorname{diag} H = \operatorname{diag}(H - P H P) + E[z \circ P H P z],
            \quad P = 1 - Q Q^T, \quad z_i = \pm 1

        Args:
            method: See :meth:`trace`; ``"hutchinson"`` is the estimator of Bekas et al.
            options: See the class. The errors are those of all entries together: the root of
                their squares over the norm of the diagonal.

        Returns:
            Values of shape (d,); :meth:`ParameterLayout.unflatten` splits them by parameter.

        Raises:
            ValueError: An option is out of range, or the matrix is not symmetric.

        Reference:
            Bekas, Kokiopoulou and Saad (2007), "An estimator for the diagonal of a matrix"; Baston
            and Nakatsukasa (2022), "Stochastic diagonal estimation".

        Example:
            >>> hessian = landscape.hessian(model, data)
            >>> hessian.diagonal(relative_error=0.1).values.shape == (hessian.dim,)
            True
        """
        return estimate_diagonal(self, Accuracy(**options), method)

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
        r"""Classify the point: minimum, maximum, saddle or degenerate, by signs of eigenvalues.

        Eigenvalues within the threshold of 0 count as zero. A point with both signs is a saddle;
        one with one sign and zeros is degenerate; the index is the number of negative ones.

        Args:
            threshold: The largest \|eigenvalue\| that counts as zero. When None, the rounding error
                of a zero: 10 sqrt(d) eps max \|eigenvalue\|; with ``"density"`` at least the
                resolution of the quadratures and the residuals of both ends.
            gradient_tolerance: Largest gradient norm of a critical point. Above it the status says
                that the point is not critical, and its class is that of the curvature alone.
            method: ``"dense"`` finds all eigenvalues; ``"density"`` finds both ends by Lanczos and
                estimates the counts from :meth:`density`, with intervals. When None, dense where
                the decomposition fits the Objective's memory budget.
            probes: Of the density.
            steps: Of the density.
            level: Of its intervals.
            seed: Of random vectors.
            progress: None (a bar in a terminal), ``"bar"``, ``"off"``, or a function of
                (done, maximum) products.

        Returns:
            The class, the index, and the eigenvalues or estimates behind them.

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
        options = ClassificationOptions(
            threshold, gradient_tolerance, method, probes, steps, level, seed
        )
        return classify_point(self, options, progress)

    def __repr__(self) -> str:
        name = self.kind.kind.replace("_", " ").capitalize()
        return (
            f"{name} of {self.dim} x {self.dim} over {len(self.names)} tensors, "
            f"{self.objective.samples} samples, {self.dtype}"
        )
