"""What a matrix's trace, diagonal and powers say of it, from random vectors.

Depends on the matrix and on the estimates.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, Unpack

from landscape import _core
from landscape._spectrum.accuracy import Accuracy, EstimateOptions
from landscape._spectrum.estimation import TraceMethod, diagonals, sampling_error, traces
from landscape._spectrum.matrix import Matrix

if TYPE_CHECKING:
    import os

    from landscape._results import Estimate, Estimates

__all__ = ["Traced"]

_STEPS = 300  # of the quadrature of a logarithm, at most


class Traced(Matrix):
    """A symmetric matrix whose traces can be estimated.

    All estimates take the keywords of :class:`landscape._spectrum.accuracy.EstimateOptions`:
    ``relative_error=0.01`` and ``absolute_error`` of which one is enough, ``max_products=10_000``,
    ``level=0.95``, ``seed=0``, ``interrupt="raise"`` and ``progress``. A run ends when the standard
    error is small enough, never before 30 independent vectors, or at ``max_products``; where all
    rows are fewer products than random vectors it sums them, and the result is exact.
    """

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
            resume: A file that keeps the run: created when absent, continued when present; not
                with ``"xtrace"``.
            options: See the class.

        Returns:
            The estimate, with the drawing's error beside it where the data are a random subset.

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
        if method == "xtrace" and resume is not None:
            raise ValueError("method='xtrace' cannot be resumed; leave resume out, or method")
        accuracy = Accuracy(**options)
        found = traces(self, accuracy, "trace", method, resume=resume)
        value, error, low, high = found.means[0]
        drawn = sampling_error(self, found, accuracy.seed)
        if drawn is not None:
            freedom = self.objective.samples - 1
            wider = _core.student_quantile(accuracy.level, freedom) * drawn
            low = value - math.hypot(value - low, wider)
            high = value + math.hypot(high - value, wider)
        if self.kind.semidefinite:
            low = max(low, 0.0)  # no such matrix has a negative trace
        return found.estimate((value, error, low, high), drawn)

    def frobenius(
        self,
        *,
        method: Literal["hutch++", "hutchinson"] = "hutch++",
        resume: str | os.PathLike[str] | None = None,
        **options: Unpack[EstimateOptions],
    ) -> Estimate:
        r"""The Frobenius norm, from the trace of the square.

        .. math:: \lVert H \rVert_F = \sqrt{\operatorname{tr} H^2}

        One product gives :math:`\lVert H g \rVert^2`; the errors are carried through the root.

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
        _no_xtrace(method)
        accuracy = Accuracy(**options)
        # d(x^2) = 2 x dx: a relative error of the root is half of the square's.
        doubled = replace(accuracy, relative_error=2 * accuracy.relative_error)
        if accuracy.absolute_error:
            raise ValueError(
                "frobenius takes relative_error alone: an absolute error of the root is not known "
                "before the root"
            )
        found = traces(self, doubled, "frobenius", method, powers=2, target=1, resume=resume)
        square, error, low, high = found.means[1]
        root = math.sqrt(square)
        ends = math.sqrt(max(low, 0.0)), math.sqrt(high)
        numbers = root, error / (2 * root) if root else error, *ends
        return replace(found, accuracy=accuracy).estimate(numbers)

    def log_determinant(
        self,
        shift: float,
        *,
        method: Literal["hutch++", "hutchinson"] = "hutch++",
        resume: str | os.PathLike[str] | None = None,
        **options: Unpack[EstimateOptions],
    ) -> Estimate:
        r"""The logarithm of the determinant of H + shift, which must be positive definite.

        .. math:: \log\det(H + \sigma) = \operatorname{tr} \log(H + \sigma)

        Every form :math:`g^T \log(H + \sigma) g` is a Lanczos quadrature that goes on until it
        changes by less than a tenth of the relative error.

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
        _no_xtrace(method)
        if not math.isfinite(shift):
            raise ValueError(f"shift={shift}, expected a finite number")
        accuracy = Accuracy(**options)
        tolerance = 0.1 * (accuracy.relative_error or 0.01)
        logarithm = (float(shift), tolerance, min(_STEPS, self.dim))
        found = traces(
            self, accuracy, "log_determinant", method, logarithm=logarithm, resume=resume
        )
        value, error, low, high = found.means[0]
        unsettled = 0.1 * tolerance * abs(value)
        numbers = value, error, low - unsettled, high + unsettled
        return found.estimate(numbers)

    def spectral_moments(
        self,
        count: int = 4,
        *,
        method: Literal["hutch++", "hutchinson"] = "hutch++",
        resume: str | os.PathLike[str] | None = None,
        **options: Unpack[EstimateOptions],
    ) -> Estimates:
        r"""The moments of the density of eigenvalues, from the first on.

        .. math:: m_p = \frac{1}{d} \operatorname{tr} H^p = \frac{1}{d} \sum_i \lambda_i^p

        Half as many products as moments give all forms of a vector.

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
        _no_xtrace(method)
        if count < 1:
            raise ValueError(f"count={count}, expected at least 1 moment")
        accuracy = Accuracy(**options)
        # An absolute error is the moment's own, and the core estimates traces.
        scaled = replace(accuracy, absolute_error=accuracy.absolute_error * self.dim)
        found = traces(self, scaled, "spectral_moments", method, powers=count, resume=resume)
        return replace(found, accuracy=accuracy).estimates(found.means / self.dim)

    def diagonal(
        self,
        *,
        method: Literal["hutch++", "hutchinson"] = "hutch++",
        **options: Unpack[EstimateOptions],
    ) -> Estimates:
        r"""Every diagonal entry: the second derivative by each parameter.

        .. math:: \operatorname{diag} H = \operatorname{diag}(H - P H P) + E[z \circ P H P z],
            \quad P = 1 - Q Q^T, \quad z_i = \pm 1

        Args:
            method: See :meth:`trace`; without a sketch it is the estimate of Bekas and others.
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
        accuracy = Accuracy(**options)
        found = diagonals(self, accuracy, method)
        return found.estimates(found.means)


def _no_xtrace(method: str) -> None:
    if method not in ("hutch++", "hutchinson"):
        raise ValueError(f"method={method!r}, expected 'hutch++' or 'hutchinson'")
