"""Families that tell sign-based steps from gradient-based ones: scale, rotation, saturation, noise."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import numpy as np

from benchmarks.problems.problem import Formula, Problem, make


def rotation(n: int, seed: int = 0) -> np.ndarray:
    """Return a random orthogonal matrix."""
    q, r = np.linalg.qr(np.random.default_rng(seed).standard_normal((n, n)))
    return q * np.sign(np.diag(r))


def quadratic(matrix: np.ndarray, centre: np.ndarray) -> Formula:
    """Half the squared length of `matrix` (x - `centre`)."""

    def formula(x):
        r = matrix @ (x - centre)
        return r @ r / 2, r @ matrix

    return formula


def ellipsoid(n: int, condition: float, *, rotated: bool = False) -> Formula:
    """Return a quadratic of the given condition with its minimum, 0, off the origin."""
    axes = np.diag(np.geomspace(1, np.sqrt(condition), n))
    centre = np.random.default_rng(n).standard_normal(n)
    return quadratic(axes @ rotation(n).T if rotated else axes, centre)


def transformed(outer: Callable, slope: Callable, inner: Formula) -> Formula:
    """Return a monotone transform of `inner`."""

    def formula(x):
        f, g = inner(x)
        return outer(f), slope(f) * g

    return formula


def in_units(inner: Formula, units: np.ndarray) -> Formula:
    """Return `inner` of x / `units`."""

    def formula(x):
        f, g = inner(x / units)
        return f, g / units

    return formula


def weighted_power(n: int, p: float) -> Formula:
    """Sum of w abs(x)^p; close to an L1 norm where p is close to 1."""
    w = np.geomspace(1, 100, n)

    def formula(x):
        size = np.abs(x)
        return w @ size**p, p * w * size ** (p - 1) * np.sign(x)

    return formula


def well(x):
    """1 - exp(-abs(x)²/2): flat far from the minimum."""
    e = np.exp(-(x @ x) / 2)
    return -np.expm1(-(x @ x) / 2), e * x


def log_cosh(n: int) -> Formula:
    """Sum of log cosh(s x), a smooth absolute value, with s from 1e-4 to 1e4."""
    s = np.geomspace(1e-4, 1e4, n)

    def formula(x):
        u = np.abs(s * x)
        return np.sum(u + np.log1p(np.exp(-2 * u)) - np.log(2)), s * np.tanh(s * x)

    return formula


def sigmoids(n: int) -> Formula:
    """Squared error of saturated logistic units that should all give 0.1."""
    s = np.geomspace(0.5, 5, n)

    def formula(x):
        y = 1 / (1 + np.exp(-s * x))
        return np.sum((y - 0.1) ** 2), 2 * (y - 0.1) * y * (1 - y) * s

    return formula


def noisy(formula: Formula, relative_g: float, relative_f: float = 0.0) -> Formula:
    """Multiply g, and f, by random factors that are a fixed function of x."""

    def formula_with_noise(x):
        rng = np.random.default_rng(zlib.crc32(np.ascontiguousarray(x).tobytes()))
        f, g = formula(x)
        return (
            f * (1 + relative_f * rng.uniform(-1, 1)),
            g * (1 + relative_g * rng.uniform(-1, 1, x.size)),
        )

    return formula_with_noise


def sign_only(formula: Formula) -> Formula:
    """Give only the sign of the gradient."""

    def formula_of_signs(x):
        f, g = formula(x)
        return f, np.sign(g)

    return formula_of_signs


def problems() -> list[Problem]:
    """Return the problems."""
    found = []

    def add(*args, **kwargs):
        found.append(make(*args, **kwargs))

    for condition in 1e2, 1e4, 1e6, 1e12:
        add("ellipsoid", ellipsoid(20, condition), np.zeros(20), 0, tag=f"{condition:.0e}")
    add("ellipsoid", ellipsoid(200, 1e4), np.zeros(200), 0, tag="1e+04")
    for n, condition in (2, 1e4), (20, 1e2), (20, 1e4), (20, 1e6), (100, 1e4):
        formula = ellipsoid(n, condition, rotated=True)
        add("rotated_ellipsoid", formula, np.zeros(n), 0, tag=f"{condition:.0e}")
    for n in 5, 50:
        add("l1_like", weighted_power(n, 1.01), np.linspace(-2, 3, n), 0, tag="1.01")
        add("l1_like", weighted_power(n, 1.5), np.linspace(-2, 3, n), 0, tag="1.5")
    for n, distance in (2, 5), (2, 25), (10, 25):
        direction = rotation(n, seed=distance)[0]
        add("well", well, distance * direction, 0, tag=f"from{distance}")
    add("sigmoids", sigmoids(10), np.full(10, 8), 0)
    add("log_cosh", log_cosh(9), np.full(9, 3), 0)
    add("log_cosh", log_cosh(9), np.geomspace(1e5, 1, 9), 0, tag="far")
    for rotated in False, True:
        name = "rotated" if rotated else "axis"
        inner = ellipsoid(10, 1e4, rotated=rotated)
        log = transformed(np.log1p, lambda f: 1 / (1 + f), inner)
        add(f"log1p_{name}", log, np.zeros(10), 0)
        fourth = transformed(lambda f: f**4, lambda f: 4 * f**3, inner)
        add(f"fourth_power_{name}", fourth, np.zeros(10), 0)
    bowls = {
        "axis": ellipsoid(10, 1e2),
        "rotated": ellipsoid(10, 1e1, rotated=True),
        "l1": weighted_power(10, 1.5),
    }
    for name, bowl in bowls.items():
        add("noisy_gradient", noisy(bowl, 0.5), np.full(10, 4), 0, tag=name, truth=bowl)
    add("noisy_both", noisy(bowls["axis"], 0.3, 0.1), np.full(10, 4), 0, truth=bowls["axis"])
    add("sign_only", sign_only(bowls["axis"]), np.full(10, 4), 0, truth=bowls["axis"])
    units = np.geomspace(1e-6, 1e6, 9)
    inner = quadratic(np.eye(9), 2 + np.arange(9))
    add("units", in_units(inner, units), -units, 0, tag="bowl")
    inner = quadratic(np.eye(9) - 0.5 * np.eye(9, k=1), np.ones(9))
    add("units", in_units(inner, units), 3 * units, 0, tag="chain")
    return found
