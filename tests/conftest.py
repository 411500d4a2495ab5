"""One thread a process: sums in one order, and parallel workers do not compete for processors."""

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import torch  # noqa: E402  (reads the variables above)

torch.set_num_threads(1)
