"""The curvature at a trained network: the density of eigenvalues, and the ten largest.

Draws `curvature.png`: the density of all eigenvalues on a logarithmic axis with its outliers, and
the largest ones with their errors. Prints the trace with its standard error and the share of the
gradient that lies along the ten.
"""

from __future__ import annotations

import digits
from matplotlib.figure import Figure

import landscape


def main(points: int = 16, epochs: int = 20) -> None:
    training, _ = digits.samples()
    model = digits.network()
    digits.train(model, training, epochs=epochs)

    hessian = landscape.hessian(model, training)
    spectrum = hessian.eigenvalues(k=10)
    print(spectrum)
    print(hessian.trace(relative_error=0.05))
    print(hessian.gradient_energy(k=10))
    figure = Figure(figsize=(10, 3.6), dpi=200, layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    landscape.plot.density(hessian.density(probes=points), left)
    landscape.plot.spectrum(spectrum, right)
    figure.savefig("curvature.png")


if __name__ == "__main__":
    main()
