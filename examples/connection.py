"""Two networks trained independently: the straight line between them, and a path of low loss.

python examples/connection.py  # writes connection.png
"""

from digits import network, samples, train

import landscape


def main(points: int = 61, epochs: int = 20) -> None:
    """Train two networks on digits, connect them, and draw both ways."""
    training, test = samples()
    models = [network(seed=seed) for seed in (0, 1)]
    for model in models:
        train(model, training, epochs=epochs)
    given = {"test": test, "metrics": "error", "points": points}
    straight = landscape.barrier(*models, training, **given)
    print(straight)
    path = landscape.connect(*models, training, **given)
    print(path)
    landscape.plot.path(path, beside=straight).figure.savefig("connection.png")


if __name__ == "__main__":
    main()
