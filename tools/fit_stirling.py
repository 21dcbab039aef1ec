#!/usr/bin/env python3
"""The polynomials of rollout/mlp/beta.h: what Stirling's formulas for log gamma, its first and its second derivative leave, in
w = 1 / z for z >= 1, to the least absolute error by Lawson's reweighted least squares on Chebyshev points.

    log gamma(z) = (z - 1/2) log z - z + log(2 pi) / 2 + w g(w)
    digamma(z)   = log z - w / 2 - w^2 q(w)
    trigamma(z)  = w + w^2 / 2 + w^3 t(w)

    python tools/fit_stirling.py        (needs numpy and mpmath)
"""

import mpmath
import numpy

DEGREE = 6


def left_over(z):
    w = 1 / z
    g = (mpmath.loggamma(z) - ((z - 0.5) * mpmath.log(z) - z + mpmath.log(2 * mpmath.pi) / 2)) / w
    q = (mpmath.log(z) - w / 2 - mpmath.digamma(z)) / w**2
    t = (mpmath.psi(1, z) - w - w**2 / 2) / w**3
    return [float(v) for v in (g, q, t)]


def fit(w, values):
    powers = numpy.vander(w, DEGREE + 1, increasing=True)
    weight = numpy.ones_like(w)
    for _ in range(300):
        scale = numpy.sqrt(weight)
        coefficients = numpy.linalg.lstsq(powers * scale[:, None], values * scale, rcond=None)[0]
        error = numpy.abs(powers @ coefficients - values)
        weight *= error / error.max() + 1e-3
        weight /= weight.mean()
    rounded = numpy.float32(coefficients)
    return rounded, numpy.abs(powers @ rounded.astype(float) - values).max()


def main():
    mpmath.mp.dps = 60
    w = (numpy.cos(numpy.pi * (numpy.arange(600) + 0.5) / 600) + 1) / 2
    w = numpy.maximum(w, 1e-4)
    columns = numpy.array([left_over(1 / mpmath.mpf(float(x))) for x in w])
    for name, values in zip(("kLogGamma", "kDigamma", "kTrigamma"), columns.T):
        coefficients, error = fit(w, values)
        print(name, ", ".join(f"{float(c).hex()}f" for c in coefficients), f"  // largest error {error:.1e}")


if __name__ == "__main__":
    main()
