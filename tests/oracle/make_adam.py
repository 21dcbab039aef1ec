"""torch.optim.Adam in float64: 50 steps on 13 parameters with gradients of very different sizes.

Usage: python tests/oracle/make_adam.py    writes tests/oracle/fixtures/adam.txt
"""

import pathlib
import sys

import numpy as np
import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "fixtures"))
from fixture_file import FixtureFile  # noqa: E402

STEPS, SIZE, CHECKPOINTS = 50, 13, (1, 2, 10, 50)


def main():
    rng = np.random.default_rng(5)
    scale = np.array([1, 1, 1, 10, 100, 1e-1, 1e-2, 1e-4, 1e-6, 1e-8, 0, 1, 1])
    gradients = (scale * rng.normal(0.2, 1.0, (STEPS, SIZE))).astype(np.float32)
    gradients[1:, 11] = 0  # one gradient, then none: momentum alone
    gradients[:40, 12] = 0  # none, then some
    start = rng.normal(0, 1, SIZE).astype(np.float32)
    settings = np.array([0.9, 0.999, 1e-5], dtype=np.float32)  # beta1, beta2, epsilon
    rate = 3e-3
    parameter = torch.nn.Parameter(torch.tensor(start.astype(np.float64)))
    optimizer = torch.optim.Adam([parameter], lr=rate, betas=(float(settings[0]), float(settings[1])),
                                 eps=float(settings[2]), foreach=False)
    file = FixtureFile("adam.txt", "make_adam.py")
    for name, values in [("settings", settings), ("rate", [rate]), ("start", start), ("gradients", gradients)]:
        file.add(name, values)
    for step in range(1, STEPS + 1):
        parameter.grad = torch.tensor(gradients[step - 1].astype(np.float64))
        optimizer.step()
        if step in CHECKPOINTS:
            state = optimizer.state[parameter]
            file.add(f"params{step}", parameter.detach().numpy())
            file.add(f"first{step}", state["exp_avg"].numpy())
            file.add(f"second{step}", state["exp_avg_sq"].numpy())
    file.write()


if __name__ == "__main__":
    main()
