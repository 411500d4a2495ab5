"""Mean losses of localised tempered posteriors without Langevin dynamics: quadrature, Gibbs, HMC.

The density is exp(-n beta L(theta) - gamma / 2 |theta - theta*|^2), and every function returns
n beta (E[L] - L(theta*)). Run as a script, this writes the long runs whose results are constants of
the tests.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "AMPLITUDES",
    "MATRIX_MODELS",
    "POLYGONS",
    "Reference",
    "Superposition",
    "factors_of_rank",
    "integrate_product",
    "integrate_regular",
    "place_on_polygon",
    "sample_deep_linear",
    "sample_superposition",
]

Array = NDArray[np.float64]

# Widths and rank of deep linear networks; two layers are reduced-rank regression.
MATRIX_MODELS: tuple[tuple[tuple[int, ...], int], ...] = (
    ((5, 3, 5), 0),
    ((5, 4, 5), 0),
    ((4, 3, 8), 0),
    ((8, 3, 4), 0),
    ((3, 8, 4), 0),
    ((3, 3, 3, 3), 0),
    ((4, 4, 4), 2),
)
AMPLITUDES: Array = (np.arange(20) + 0.5) / 20  # midpoints, for the uniform distribution
# Radius and bias of the minima of superposition with these amplitudes, by the corners.
POLYGONS = {5: (1.1692703, -0.28015884), 6: (1.31893208, -0.61446792)}


@dataclass(frozen=True)
class Reference:
    """A mean over independent chains.

    Args:
        mean: Over all chains.
        error: The standard deviation of the means of chains over the root of their number.
    """

    mean: float
    error: float


def integrate_regular(curvatures: Sequence[float], nbeta: float, localisation: float) -> float:
    """In closed form for L = sum of h x^2 / 2: half of n beta h / (n beta h + gamma) each."""
    h = nbeta * np.asarray(curvatures)
    return float((h / (h + localisation)).sum() / 2)


def integrate_product(powers: Sequence[int], nbeta: float, localisation: float) -> float:
    """By quadrature for L = w1^2a, or L = w1^2a w2^2b, on a grid that is denser near 0."""
    t = (np.arange(1000) + 0.5) / 1000
    extent = 9 / np.sqrt(localisation)
    w = extent * 1e-9 ** (1 - t)
    density = np.exp(-localisation / 2 * w**2) * w  # by symmetry, w > 0 is enough
    if len(powers) == 1:
        loss, weight = w ** (2 * powers[0]), density
    else:
        loss = np.outer(w ** (2 * powers[0]), w ** (2 * powers[1]))
        weight = np.outer(density, density)
    weight = weight * np.exp(-nbeta * loss)
    return float(nbeta * (weight * loss).sum() / weight.sum())


def factors_of_rank(widths: Sequence[int], rank: int) -> list[Array]:
    """Weights, first layer first, whose product is diag(1, ..., 1, 0, ...) with so many ones."""
    factors = [np.zeros((n, m)) for m, n in pairwise(widths)]
    for factor in factors:
        factor[range(rank), range(rank)] = 1.0
    return factors


def sample_deep_linear(
    factors: Sequence[Array],
    nbeta: float,
    localisation: float,
    *,
    chains: int,
    sweeps: int,
    seed: int = 0,
) -> Reference:
    """By Gibbs sampling for L = |W_k ... W_1 - M|^2 about the factors, which reproduce M.

    Given all others, W in A W B is normal. In the eigenvectors of A'A and B B' its entries are
    independent, of precision 2 n beta a_i b_j + gamma. The first fifth of the sweeps is left out.
    """
    generator = np.random.default_rng(seed)
    target = _multiply(list(factors))
    points = [np.tile(factor, (chains, 1, 1)) for factor in factors]
    total, kept = np.zeros(chains), 0
    for sweep in range(sweeps):
        for index, centre in enumerate(factors):
            after = _multiply([np.eye(centre.shape[0])[None], *points[index + 1 :]])
            before = _multiply([*points[:index], np.eye(centre.shape[1])[None]])
            a, u = np.linalg.eigh(_transpose(after) @ after)
            b, v = np.linalg.eigh(before @ _transpose(before))
            precision = 2 * nbeta * a[:, :, None] * b[:, None, :] + localisation
            pull = 2 * nbeta * _transpose(after) @ target @ _transpose(before)
            mean = _transpose(u) @ (pull + localisation * centre) @ v / precision
            noise = generator.normal(size=mean.shape) / np.sqrt(precision)
            points[index] = u @ (mean + noise) @ _transpose(v)
        if sweep >= sweeps // 5:
            total += ((_multiply(points) - target) ** 2).sum((1, 2))
            kept += 1
    return _summarise(nbeta * total / kept)


@dataclass(frozen=True)
class Superposition:
    """Elhage et al. (2022): L = E|x - ReLU(W'W x + b)|^2 for x = t e_i with t uniform in [0, 1].

    Args:
        amplitudes: Values of t; the expectation is the mean over them and over i.
    """

    amplitudes: Array

    def evaluate(self, weights: Array, biases: Array) -> tuple[Array, Array, Array]:
        """Losses and gradients in W (chains, hidden, inputs) and b (chains, inputs)."""
        inputs, t = weights.shape[2], self.amplitudes
        gram = _transpose(weights) @ weights
        active = np.maximum(gram[..., None] * t + biases[:, :, None, None], 0)  # (c, output, i, t)
        residual = active - np.eye(inputs)[..., None] * t
        scale = 1 / (inputs * len(t))
        losses = scale * (residual**2).sum((1, 2, 3))
        slope = 2 * scale * residual * (active > 0)
        of_gram = (slope * t).sum(3)
        return losses, weights @ (of_gram + _transpose(of_gram)), slope.sum((2, 3))


def place_on_polygon(
    corners: int, radius: float, bias: float, last_bias: float = -0.5
) -> tuple[Array, Array]:
    """W, with its first columns at the corners of a regular polygon and 0 after them, and b."""
    angles = 2 * np.pi * np.arange(corners) / corners
    weights, biases = np.zeros((2, 6)), np.full(6, last_bias)
    weights[:, :corners] = radius * np.stack([np.cos(angles), np.sin(angles)])
    biases[:corners] = bias
    return weights, biases


def sample_superposition(
    model: Superposition,
    weights: Array,
    biases: Array,
    nbeta: float,
    localisation: float,
    *,
    chains: int,
    draws: int,
    step: float,
    leaps: int = 20,
    seed: int = 0,
) -> Reference:
    """By Hamiltonian Monte Carlo. The first fifth of the draws is left out.

    Raises:
        RuntimeError: Fewer than 60% of proposals are accepted.
    """
    generator = np.random.default_rng(seed)
    shape, size = weights.shape, weights.size
    centre = np.concatenate([weights.ravel(), biases])
    points = np.tile(centre, (chains, 1))

    def evaluate(theta: Array) -> tuple[Array, Array, Array]:
        losses, of_weights, of_biases = model.evaluate(
            theta[:, :size].reshape(-1, *shape), theta[:, size:]
        )
        gradient = np.concatenate([of_weights.reshape(len(theta), -1), of_biases], 1)
        off = theta - centre
        energy = nbeta * losses + localisation / 2 * (off**2).sum(1)
        return losses, energy, nbeta * gradient + localisation * off

    losses, energy, slope = evaluate(points)
    lowest = losses[0]
    total, kept, accepted = np.zeros(chains), 0, 0.0
    for draw in range(draws):
        momentum = generator.normal(size=points.shape)
        length = step * generator.uniform(0.7, 1.3)
        before = energy + (momentum**2).sum(1) / 2
        theta, gradient = points, slope
        for _ in range(leaps):
            momentum = momentum - length / 2 * gradient
            theta = theta + length * momentum
            found = evaluate(theta)
            gradient = found[2]
            momentum = momentum - length / 2 * gradient
        after = found[1] + (momentum**2).sum(1) / 2
        with np.errstate(over="ignore"):
            take = generator.uniform(size=chains) < np.exp(before - after)
        points = np.where(take[:, None], theta, points)
        slope = np.where(take[:, None], gradient, slope)
        losses, energy = np.where(take, found[0], losses), np.where(take, found[1], energy)
        accepted += take.mean() / draws
        if draw >= draws // 5:
            total += losses
            kept += 1
    if accepted < 0.6:
        raise RuntimeError(f"{accepted:.0%} of proposals were accepted; pass a smaller step")
    return _summarise(nbeta * (total / kept - lowest))


def _multiply(factors: Sequence[Array]) -> Array:
    """W_k ... W_1."""
    found = factors[0]
    for factor in factors[1:]:
        found = factor @ found
    return found


def _transpose(matrices: Array) -> Array:
    return np.swapaxes(matrices, -1, -2)


def _summarise(means: Array) -> Reference:
    return Reference(float(means.mean()), float(means.std(ddof=1) / len(means) ** 0.5))


def _write_long_runs() -> None:
    for widths, rank in MATRIX_MODELS:
        factors = factors_of_rank(widths, rank)
        found = sample_deep_linear(factors, 100.0, 1.0, chains=200, sweeps=5000)
        sys.stdout.write(f"{widths} {rank}: {found}\n")
    for corners, polygon in POLYGONS.items():
        found = sample_superposition(
            Superposition(AMPLITUDES),
            *place_on_polygon(corners, *polygon),
            nbeta=1000.0,
            localisation=100.0,
            chains=100,
            draws=1500,
            step=0.02,
        )
        sys.stdout.write(f"{corners}-gon: {found}\n")


if __name__ == "__main__":
    _write_long_runs()
