"""Flat or sharp: networks trained on small and on large batches, measured side by side.

Draws `flat_or_sharp.png`: every measure of each network with its error bar, and whether a rescaling
of units could change it. Prints the table with the generalisation gap.
"""

from __future__ import annotations

import digits

import landscape


def main(points: int = 31, epochs: int = 20) -> None:
    training, test = digits.samples()
    models = {}
    for batch in (16, 512):
        models[f"batches of {batch}"] = digits.network()
        digits.train(models[f"batches of {batch}"], training, epochs=epochs, batch=batch)

    comparison = landscape.compare(models, training, test=test, points=points)
    print(comparison)
    comparison.plot()[0].figure.savefig("flat_or_sharp.png")
    comparison.plot_profiles().figure.savefig("flat_or_sharp_profiles.png")


if __name__ == "__main__":
    main()
