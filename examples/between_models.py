"""Is there a barrier between two networks that learned the same digits from different starts?

Draws `between_models.png`: loss and accuracy along the straight line from one to the other, on the
training and the test data. Batch statistics belong to no single model here, so landscape
re-estimates them at every point.
"""

from __future__ import annotations

import digits

import landscape


def main(points: int = 61, epochs: int = 20) -> None:
    training, test = digits.samples()
    first, second = digits.network(seed=1), digits.network(seed=2)
    for model in (first, second):
        digits.train(model, training, epochs=epochs)

    line = landscape.line(first, training, to=second, test=test, metrics="accuracy", points=points)
    print(line)
    axes = line.plot(metrics="accuracy")
    axes.figure.savefig("between_models.png")


if __name__ == "__main__":
    main()
