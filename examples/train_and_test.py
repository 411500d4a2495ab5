"""Loss and accuracy on training and test data, on one plane.

Draws `train_and_test.png`: two rows (loss, accuracy) of two planes (training, test), each row on
one colour scale. Test digits that the network gets wrong with confidence raise its test loss
where the accuracy hardly moves.
"""

from __future__ import annotations

import digits
from matplotlib.figure import Figure

import landscape


def main(points: int = 31, epochs: int = 20) -> None:
    training, test = digits.samples()
    model = digits.network()
    digits.train(model, training, epochs=epochs)

    surface = landscape.surface(model, training, test=test, metrics="accuracy", points=points)
    print(surface)
    sides = {"training": surface, "test": surface.test}
    figure = Figure(figsize=(9, 7.5), dpi=200, layout="constrained")
    for row, values in zip(figure.subplots(2, 2), ("loss", "accuracy"), strict=True):
        landscape.plot.compare(sides, row, values=values)
    figure.savefig("train_and_test.png")


if __name__ == "__main__":
    main()
