"""Fitting data: nonlinear regressions of few parameters and logistic regressions.

The small data sets and certified residual sums of squares are those of the Statistical
Reference Datasets of NIST, https://www.itl.nist.gov/div898/strd/nls/nls_main.shtml.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from benchmarks.problems.problem import Formula, Problem, columns, least_squares, make

MISRA = (
    [
        77.6,
        114.9,
        141.1,
        190.8,
        239.9,
        289.0,
        332.8,
        378.4,
        434.8,
        477.3,
        536.8,
        593.1,
        689.1,
        760.0,
    ],
    [
        10.07,
        14.73,
        17.94,
        23.93,
        29.61,
        35.18,
        40.02,
        44.82,
        50.76,
        55.05,
        61.01,
        66.4,
        75.47,
        81.78,
    ],
)
RAT42 = (
    [9, 14, 21, 28, 42, 57, 63, 70, 79],
    [8.93, 10.80, 18.59, 22.33, 39.35, 56.11, 61.73, 64.62, 67.08],
)
RAT43 = (
    list(range(1, 16)),
    [
        16.08,
        33.83,
        65.8,
        97.2,
        191.55,
        326.2,
        386.87,
        520.53,
        590.03,
        651.92,
        724.93,
        699.56,
        689.96,
        637.56,
        717.41,
    ],
)
BOXBOD = [1, 2, 3, 5, 7, 10], [109, 149, 149, 191, 213, 224]
DANWOOD = [1.309, 1.471, 1.490, 1.565, 1.611, 1.680], [2.138, 3.421, 3.597, 4.340, 4.882, 5.660]
LANCZOS_T = 0.05 * np.arange(24)
LANCZOS = LANCZOS_T, np.exp(-np.outer(LANCZOS_T, [1, 3, 5])) @ [0.0951, 0.8607, 1.5576]


def saturation(b, t):
    """Misra1a and BoxBOD."""
    e = np.exp(-b[1] * t)
    return b[0] * (1 - e), columns(1 - e, b[0] * t * e)


def misra1b(b, t):
    """Misra1b."""
    s = 1 + b[1] * t / 2
    return b[0] * (1 - s**-2), columns(1 - s**-2, b[0] * t * s**-3)


def misra1d(b, t):
    """Misra1d."""
    s = 1 + b[1] * t
    return b[0] * b[1] * t / s, columns(b[1] * t / s, b[0] * t / s**2)


def danwood(b, t):
    """DanWood."""
    return b[0] * t ** b[1], columns(t ** b[1], b[0] * t ** b[1] * np.log(t))


def logistic_curve(b, t):
    """Rat42."""
    e = np.exp(b[1] - b[2] * t)
    y = 1 / (1 + e)
    return b[0] * y, columns(y, -b[0] * e * y**2, b[0] * t * e * y**2)


def richards(b, t):
    """Rat43."""
    e = np.exp(b[1] - b[2] * t)
    y = (1 + e) ** (-1 / b[3])
    slope = b[0] * y * e / (1 + e) / b[3]
    return b[0] * y, columns(y, -slope, t * slope, b[0] * y * np.log1p(e) / b[3] ** 2)


def exponentials(b, t):
    """Lanczos1."""
    e = np.exp(-np.outer(t, b[1::2]))
    jac = np.empty((t.size, b.size), b.dtype)
    jac[:, ::2], jac[:, 1::2] = e, -b[::2] * t[:, None] * e
    return e @ b[::2], jac


def fit(model, data) -> Formula:
    """Sum of squares of `model` on `data`."""
    t, y = map(np.asarray, data)

    def residuals(b):
        values, jac = model(b, t)
        return values - y, jac

    return least_squares(residuals)


@cache
def design(name: str, scaled: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return a design matrix of scikit-learn with a column of ones, and the labels as -1 or 1."""
    from sklearn import datasets

    data, labels = getattr(datasets, f"load_{name}")(return_X_y=True)
    if scaled:
        data = (data - data.mean(0)) / data.std(0)
    return np.column_stack([np.ones(len(data)), data]), np.where(labels > 0, 1.0, -1.0)


def logistic_loss(x, data, labels, ridge):
    """Mean logistic loss plus ``ridge / 2`` times the squared length of the weights."""
    margin = labels * (data @ x)
    loss = np.logaddexp(0, -margin).mean() + ridge * (x @ x) / 2
    return loss, ridge * x - (labels * np.exp(-np.logaddexp(0, margin))) @ data / len(labels)


def logistic_regression(name: str, *, scaled: bool, ridge: float) -> Formula:
    """Return the logistic loss on a set of scikit-learn."""
    return lambda x: logistic_loss(x, *design(name, scaled), ridge)


@cache
def lasso(n: int) -> Formula:
    """Squared loss with a smoothed L1 penalty on made-up sparse data."""
    rng = np.random.default_rng(7)
    a = rng.standard_normal((2 * n, n))
    y = a[:, :3] @ [3.0, -2, 1] + 0.1 * rng.standard_normal(2 * n)

    def formula(x):
        r, s = a @ x - y, np.sqrt(x * x + 1e-6)
        return r @ r / (4 * n) + 0.1 * s.sum(), r @ a / (2 * n) + 0.1 * x / s

    return formula


def problems() -> list[Problem]:
    """Return the problems."""
    # The certified values are given to 11 digits, of which rounding in float64 leaves most.
    rows = [
        ("misra1a", saturation, MISRA, [500, 1e-4], [250, 5e-4], 1.2455138894e-1),
        ("misra1b", misra1b, MISRA, [500, 1e-4], [300, 2e-4], 7.5464681533e-2),
        ("misra1d", misra1d, MISRA, [500, 1e-4], [450, 3e-4], 5.6419295283e-2),
        ("boxbod", saturation, BOXBOD, [1, 1], [100, 0.75], 1.1680088766e3),
        ("danwood", danwood, DANWOOD, [1, 5], [0.7, 4], 4.3173084083e-3),
        ("rat42", logistic_curve, RAT42, [100, 1, 0.1], [75, 2.5, 0.07], 8.0565229338),
        ("rat43", richards, RAT43, [100, 10, 1, 1], [700, 5, 0.75, 1.3], 8.7864049080e3),
    ]
    found = []
    for name, model, data, first, second, f_opt in rows:
        for tag, x0 in ("first", first), ("second", second):
            found.append(make(name, fit(model, data), x0, f_opt, tag=tag))
    x0 = [1.2, 0.3, 5.6, 5.5, 6.5, 7.6]
    found.append(make("lanczos", fit(exponentials, LANCZOS), x0, 0))
    for name, n in ("breast_cancer", 31), ("wine", 14), ("digits", 65):
        for scaled, ridge in ((True, 1e-2), (False, 1e-4)):
            if name == "digits" and scaled:  # it has constant columns
                continue
            formula = logistic_regression(name, scaled=scaled, ridge=ridge)
            tag = "scaled" if scaled else "raw"
            found.append(make(f"logistic_{name}", formula, np.zeros(n), tag=tag))
    found.append(make("lasso", lasso(40), np.zeros(40)))
    return found
