"""The training trajectory on the plane of its principal components.

Draws `trajectory.png`: the two principal components of the weights after each epoch, the loss on
their plane, and the weights' way through it.
"""

from __future__ import annotations

import digits

import landscape


def main(points: int = 41, epochs: int = 20) -> None:
    training, _ = digits.samples()
    model = digits.network()
    checkpoints = digits.train(model, training, epochs=epochs)

    surface = landscape.surface(
        model, training, directions=landscape.pca(checkpoints), points=points
    )
    print(surface)
    axes = landscape.plot.trajectory(surface)
    axes.figure.savefig("trajectory.png")


if __name__ == "__main__":
    main()
