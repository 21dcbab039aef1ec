"""Generalised advantage estimation in float64, straight from the definition: A_t = sum_l (gamma lambda)^l delta_{t+l} over
the rest of the episode (Schulman et al. 2016, equation 16), not by the recursion that the product uses.

Usage: python tests/oracle/make_gae.py     writes tests/oracle/fixtures/gae.txt
"""

import pathlib
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "fixtures"))
from fixture_file import FixtureFile  # noqa: E402

RUNNING, TERMINATED, TRUNCATED = 0, 1, 2
T, N = 24, 19
SETTINGS = [(0.99, 0.95, 1.0), (0.9, 1.0, 0.1), (1.0, 0.0, 2.0), (1.0, 1.0, 1.0)]  # gamma, lambda, reward scale


def advantages(rewards, values, ends, finals, gamma, lam):
    out = np.zeros((T, N))
    for i in range(N):
        delta = np.zeros(T)
        for t in range(T):
            future = {RUNNING: values[t + 1, i], TERMINATED: 0.0, TRUNCATED: finals[t, i]}[int(ends[t, i])]
            delta[t] = rewards[t, i] + gamma * future - values[t, i]
        for t in range(T):
            weight = 1.0
            for s in range(t, T):
                out[t, i] += weight * delta[s]
                weight *= gamma * lam
                if ends[s, i] != RUNNING:
                    break
    return out


def main():
    rng = np.random.default_rng(20240607)
    f32 = np.float32
    rewards = rng.normal(0.3, 1.0, (T, N)).astype(f32)
    values = rng.normal(0.0, 3.0, (T + 1, N)).astype(f32)
    finals = rng.normal(0.0, 3.0, (T, N)).astype(f32)
    ends = rng.choice([RUNNING, TERMINATED, TRUNCATED], size=(T, N), p=[0.8, 0.1, 0.1]).astype(np.int64)
    ends[:, 0] = RUNNING  # no end at all; an end at every step; an end at the first and at the last step
    ends[:, 1] = TERMINATED
    ends[:, 2] = TRUNCATED
    ends[:, 3] = RUNNING
    ends[[0, T - 1], 3] = TRUNCATED
    ends[:, 4] = RUNNING
    ends[[0, T - 1], 4] = TERMINATED
    file = FixtureFile("gae.txt", "make_gae.py")
    file.add("shape", [T, N])
    for name, values_of in [("rewards", rewards), ("values", values), ("finals", finals), ("ends", ends)]:
        file.add(name, values_of)
    file.add("settings", np.array(SETTINGS, dtype=f32))
    for s, setting in enumerate(SETTINGS):
        gamma, lam, scale = (float(f32(x)) for x in setting)
        a = advantages(scale * rewards.astype(np.float64), values.astype(np.float64), ends, finals.astype(np.float64),
                       gamma, lam)
        file.add(f"advantages{s}", a)
    file.write()


if __name__ == "__main__":
    main()
