#!/usr/bin/env python3
"""The coefficients of activation_tanh (rollout/mlp/elementwise.h): tanh(x) = x P(x^2) / Q(x^2) on [0, LIMIT] with the least
relative error, by Lawson's reweighted least squares on Chebyshev points; and the largest error in float32.

    python tools/fit_tanh.py
"""

import numpy

LIMIT, DEGREE = 7.9, 4


def fit():
    t = numpy.cos(numpy.pi * (numpy.arange(4000) + 0.5) / 4000)
    x = numpy.maximum((t + 1) / 2 * LIMIT, 1e-4)
    u = (x / LIMIT) ** 2  # scaled, for the solver
    f = numpy.tanh(x) / x
    powers = numpy.vander(u, DEGREE + 1, increasing=True)
    weight, denominator = numpy.ones_like(x), numpy.ones_like(x)
    for turn in range(800):
        scale = numpy.sqrt(weight) / (f * denominator)
        system = numpy.hstack([powers, -f[:, None] * powers[:, 1:]]) * scale[:, None]
        solution = numpy.linalg.lstsq(system, f * scale, rcond=None)[0]
        p, q = solution[: DEGREE + 1], numpy.concatenate([[1], solution[DEGREE + 1 :]])
        denominator = powers @ q
        error = numpy.abs(powers @ p / denominator / f - 1)
        if turn > 20:
            weight *= error / error.max() + 1e-3
            weight /= weight.mean()
    unscale = LIMIT ** (2.0 * numpy.arange(DEGREE + 1))
    return numpy.float32(p / unscale), numpy.float32(q / unscale)


def polynomial(coefficients, z):
    value = numpy.full_like(z, coefficients[-1])
    for c in coefficients[-2::-1]:  # a float64 holds the product exactly: one rounding but for ties
        value = numpy.float32(value.astype(float) * z.astype(float) + float(c))
    return value


def largest_error(p, q):
    x = numpy.float32(numpy.concatenate([numpy.linspace(1e-4, 9.2, 2_000_001), numpy.geomspace(1e-8, 1e-3, 200_001)]))
    bounded = numpy.minimum(x, numpy.float32(LIMIT))
    z = bounded * bounded
    y = bounded * polynomial(p, z) / polynomial(q, z)
    exact = numpy.tanh(x.astype(float))
    ulp = numpy.spacing(numpy.minimum(numpy.float32(exact), numpy.float32(1 - 2**-24)))
    return (numpy.abs(y - exact) / ulp).max()


if __name__ == "__main__":
    numerator, denominators = fit()
    print("P", *(float(c).hex() for c in numerator))
    print("Q", *(float(c).hex() for c in denominators))
    print(f"largest error {largest_error(numerator, denominators):.2f} ulp")
