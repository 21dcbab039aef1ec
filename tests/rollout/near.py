"""Numbers of check_export.py and exported_c.py, compared.

Tolerance 1e-5, times the largest number where that is above 1: float32 sums of at most 150 terms of size 1 in another
order, once or twice through tanh.
"""

import numpy as np

TOLERANCE = 1e-5


def near(what, ours, theirs, tolerance=TOLERANCE):
    ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    assert ours.shape == theirs.shape, (what, ours.shape, theirs.shape)
    scale = max(1.0, np.max(np.abs(theirs)))
    worst = np.max(np.abs(ours - theirs)) / scale
    assert worst < tolerance, f"{what}: largest difference {worst:.2e}"
    return worst
