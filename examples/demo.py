"""From a model to a picture of its loss: what `make demo` runs.

Trains a small convolutional network with skip connections on real digits and measures its loss to
5% on a plane around the trained weights. Leaves two files in the current folder: `surface.png`, and
`surface.landscape` with every number and how it was made.
"""

from __future__ import annotations

import sys

import digits

import landscape


def main(points: int = 101, epochs: int = 20) -> None:
    training, test = digits.samples()
    model = digits.network()
    digits.train(model, training, epochs=epochs)
    seen, unseen = digits.accuracy(model, training), digits.accuracy(model, test)
    print(f"trained: recognises {seen:.1%} of the training digits, {unseen:.1%} of others",
          file=sys.stderr)  # fmt: skip

    surface = landscape.plot_surface(
        model, training, tolerance=0.05, points=points, path="surface.png", progress="bar"
    )
    surface.save("surface.landscape")

    lowest, highest = surface.range
    print(f"loss at the centre  {surface.centre_loss:.4g}")
    print(f"range               {lowest:.4g} to {highest:.4g}")
    print(f"evaluations         {surface.run.evaluations:,} of {len(training[1]):,} samples each")
    print(f"error between them  {surface.error}")
    print(f"seconds             {surface.run.seconds:.1f}")
    print(f"engine              {surface.run.engine}")


if __name__ == "__main__":
    main()
