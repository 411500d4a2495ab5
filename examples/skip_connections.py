"""The effect of skip connections on the loss: the same deep network with and without them.

Draws `skip_connections.png`: the planes of both networks side by side. Filter normalisation makes
their units comparable, and one colour means one loss in both.
"""

from __future__ import annotations

import digits

import landscape


def main(points: int = 31, epochs: int = 20, depth: int = 6) -> None:
    training, _ = digits.samples()
    surfaces = {}
    for title, block in {"with": digits.Residual, "without": digits.Plain}.items():
        model = digits.network(block, depth=depth)
        digits.train(model, training, epochs=epochs)
        accuracy = digits.accuracy(model, training)
        print(f"{title} skip connections: {accuracy:.1%} of the training digits")
        surfaces[f"{title} skip connections"] = landscape.surface(model, training, points=points)

    first, *_ = landscape.plot.compare(surfaces)
    first.figure.savefig("skip_connections.png")


if __name__ == "__main__":
    main()
