"""Statistics by NumPy and SciPy: mean, median, interquartile mean, deviation, bootstrap interval, running moments.

Usage: python tests/oracle/make_statistics.py    writes tests/oracle/fixtures/statistics.txt
"""

import pathlib
import sys

import numpy as np
import scipy.stats

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "fixtures"))
from fixture_file import FixtureFile  # noqa: E402

SIZES = (1, 2, 3, 4, 5, 7, 8, 100, 101)


def main():
    rng = np.random.default_rng(11)
    file = FixtureFile("statistics.txt", "make_statistics.py")
    file.add("sizes", SIZES)
    for n in SIZES:
        x = np.round(rng.gamma(2.0, 50.0, n) * np.where(rng.random(n) < 0.3, -1, 1), 3)
        file.add(f"sample{n}", x)
        file.add(f"expected{n}", np.array([np.mean(x), np.median(x), scipy.stats.trim_mean(x, 0.25), np.std(x)]))
    x = np.round(rng.exponential(100.0, 200), 3)
    interval = scipy.stats.bootstrap((x,), np.mean, n_resamples=20000, method="percentile", confidence_level=0.95,
                                     random_state=np.random.default_rng(1)).confidence_interval
    file.add("bootstrap_sample", x)
    file.add("bootstrap_interval", np.array([interval.low, interval.high]))
    # Columns whose naive sum of squares would lose everything: a mean far beyond the deviation.
    columns = np.stack([rng.normal(0, 1, 240), rng.normal(1e4, 0.05, 240), rng.normal(-3, 1e-3, 240)]).astype(np.float32)
    file.add("columns", columns)
    wide = columns.astype(np.float64)
    file.add("columns_mean", wide.mean(axis=1))
    file.add("columns_variance", wide.var(axis=1))
    file.write()


if __name__ == "__main__":
    main()
