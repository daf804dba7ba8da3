"""The 35 unconstrained problems of Moré, Garbow and Hillstrom, by their numbers.

J. J. Moré, B. S. Garbow, K. E. Hillstrom, "Testing unconstrained optimization software",
ACM Transactions on Mathematical Software 7, 1981, 17-41, doi:10.1145/355934.355936.

Each function returns the residuals at x and their Jacobian.
"""

from __future__ import annotations

import numpy as np

from benchmarks.problems.problem import Problem, columns, least_squares, make


def rosenbrock(x):
    """(1), and (21) for more variables."""
    n = x.size
    odd, even = np.arange(0, n, 2), np.arange(1, n, 2)
    r, jac = np.empty(n, x.dtype), np.zeros((n, n), x.dtype)
    r[odd], r[even] = 10 * (x[even] - x[odd] ** 2), 1 - x[odd]
    jac[odd, odd], jac[odd, even], jac[even, odd] = -20 * x[odd], 10, -1
    return r, jac


def freudenstein_roth(x):
    """(2)."""
    a, b = x
    r = [a + ((5 - b) * b - 2) * b - 13, a + ((b + 1) * b - 14) * b - 29]
    return r, [[1, (10 - 3 * b) * b - 2], [1, (3 * b + 2) * b - 14]]


def powell_badly_scaled(x):
    """(3)."""
    a, b = x
    r = [1e4 * a * b - 1, np.exp(-a) + np.exp(-b) - 1.0001]
    return r, [[1e4 * b, 1e4 * a], [-np.exp(-a), -np.exp(-b)]]


def brown_badly_scaled(x):
    """(4)."""
    a, b = x
    return [a - 1e6, b - 2e-6, a * b - 2], [[1, 0], [0, 1], [b, a]]


def beale(x):
    """(5)."""
    a, b = x
    i, y = np.arange(1, 4), np.array([1.5, 2.25, 2.625])
    return y - a * (1 - b**i), columns(b**i - 1, a * i * b ** (i - 1))


def jennrich_sampson(x):
    """(6)."""
    i = np.arange(1, 11)
    e = np.exp(np.outer(i, x))
    return 2 + 2 * i - e.sum(1), -i[:, None] * e


def helical_valley(x):
    """(7)."""
    a, b, c = x
    theta = np.arctan(b / a) / (2 * np.pi) + 0.5 * (a < 0)
    radius = np.sqrt(a * a + b * b)
    turn = 100 / (2 * np.pi * radius**2)
    r = [10 * (c - 10 * theta), 10 * (radius - 1), c]
    return r, [[turn * b, -turn * a, 10], [10 * a / radius, 10 * b / radius, 0], [0, 0, 1]]


BARD = np.array(
    [0.14, 0.18, 0.22, 0.25, 0.29, 0.32, 0.35, 0.39, 0.37, 0.58, 0.73, 0.96, 1.34, 2.10, 4.39]
)


def bard(x):
    """(8)."""
    a, b, c = x
    u = np.arange(1, 16)
    v, w = 16 - u, np.minimum(u, 16 - u)
    d = v * b + w * c
    return BARD - a - u / d, columns(-1, u * v / d**2, u * w / d**2)


def gaussian(x):
    """(9)."""
    a, b, c = x
    half = [0.0009, 0.0044, 0.0175, 0.0540, 0.1295, 0.2420, 0.3521]
    y, t = np.array([*half, 0.3989, *half[::-1]]), (7 - np.arange(15)) / 2
    e = np.exp(-b * (t - c) ** 2 / 2)
    return a * e - y, columns(e, -a * e * (t - c) ** 2 / 2, a * b * e * (t - c))


MEYER = np.array(
    [
        34780,
        28610,
        23650,
        19630,
        16370,
        13720,
        11540,
        9744,
        8261,
        7030,
        6005,
        5147,
        4427,
        3820,
        3307,
        2872,
    ]
)


def meyer(x):
    """(10)."""
    a, b, c = x
    t = 45 + 5 * np.arange(1, 17) + c
    e = np.exp(b / t)
    return a * e - MEYER, columns(e, a * e / t, -a * e * b / t**2)


def gulf(x):
    """(11), with the misprint of its formula corrected as in the authors' program."""
    a, b, c = x
    t = np.arange(1, 100) / 100
    d = 25 + (-50 * np.log(t)) ** (2 / 3) - b
    p = np.abs(d) ** c / a
    e = np.exp(-p)
    return e - t, columns(e * p / a, e * p * c / d, -e * p * np.log(np.abs(d)))


def box(x):
    """(12)."""
    a, b, c = x
    t = np.arange(1, 11) / 10
    k = np.exp(-10 * t) - np.exp(-t)
    p, q = np.exp(-t * a), np.exp(-t * b)
    return p - q + c * k, columns(-t * p, t * q, k)


def powell_singular(x):
    """(13), and (22) for more variables."""
    n = x.size
    i = np.arange(0, n, 4)
    a, b, c, d = x.reshape(-1, 4).T
    r, jac = np.empty(n, x.dtype), np.zeros((n, n), x.dtype)
    r[i], r[i + 1] = a + 10 * b, np.sqrt(5) * (c - d)
    r[i + 2], r[i + 3] = (b - 2 * c) ** 2, np.sqrt(10) * (a - d) ** 2
    jac[i, i], jac[i, i + 1] = 1, 10
    jac[i + 1, i + 2], jac[i + 1, i + 3] = np.sqrt(5), -np.sqrt(5)
    jac[i + 2, i + 1], jac[i + 2, i + 2] = 2 * (b - 2 * c), -4 * (b - 2 * c)
    jac[i + 3, i], jac[i + 3, i + 3] = 2 * np.sqrt(10) * (a - d), -2 * np.sqrt(10) * (a - d)
    return r, jac


def wood(x):
    """(14)."""
    a, b, c, d = x
    s, t = np.sqrt(90), np.sqrt(10)
    r = [10 * (b - a * a), 1 - a, s * (d - c * c), 1 - c, t * (b + d - 2), (b - d) / t]
    jac = [[-20 * a, 10, 0, 0], [-1, 0, 0, 0], [0, 0, -2 * s * c, s], [0, 0, -1, 0]]
    return r, [*jac, [0, t, 0, t], [0, 1 / t, 0, -1 / t]]


KOWALIK = np.array(
    [0.1957, 0.1947, 0.1735, 0.16, 0.0844, 0.0627, 0.0456, 0.0342, 0.0323, 0.0235, 0.0246]
)


def kowalik_osborne(x):
    """(15)."""
    a, b, c, d = x
    u = np.array([4, 2, 1, 0.5, 0.25, 0.167, 0.125, 0.1, 0.0833, 0.0714, 0.0625])
    p, q = u * (u + b), u * (u + c) + d
    return KOWALIK - a * p / q, columns(-p / q, -a * u / q, a * p * u / q**2, a * p / q**2)


def brown_dennis(x):
    """(16)."""
    a, b, c, d = x
    t = np.arange(1, 21) / 5
    p, q = a + t * b - np.exp(t), c + d * np.sin(t) - np.cos(t)
    return p * p + q * q, columns(2 * p, 2 * p * t, 2 * q, 2 * q * np.sin(t))


OSBORNE_1 = np.array(
    [
        0.844,
        0.908,
        0.932,
        0.936,
        0.925,
        0.908,
        0.881,
        0.85,
        0.818,
        0.784,
        0.751,
        0.718,
        0.685,
        0.658,
        0.628,
        0.603,
        0.58,
        0.558,
        0.538,
        0.522,
        0.506,
        0.49,
        0.478,
        0.467,
        0.457,
        0.448,
        0.438,
        0.431,
        0.424,
        0.42,
        0.414,
        0.411,
        0.406,
    ]
)


def osborne_1(x):
    """(17)."""
    a, b, c, d, e = x
    t = 10 * np.arange(33)
    p, q = np.exp(-d * t), np.exp(-e * t)
    return OSBORNE_1 - a - b * p - c * q, columns(-1, -p, -q, b * t * p, c * t * q)


def biggs_exp6(x):
    """(18)."""
    a, b, c, d, e, f = x
    t = np.arange(1, 14) / 10
    y = np.exp(-t) - 5 * np.exp(-10 * t) + 3 * np.exp(-4 * t)
    p, q, s = np.exp(-t * a), np.exp(-t * b), np.exp(-t * e)
    jac = columns(-t * c * p, t * d * q, p, -q, -t * f * s, s)
    return c * p - d * q + f * s - y, jac


OSBORNE_2 = np.array(
    [
        1.366,
        1.191,
        1.112,
        1.013,
        0.991,
        0.885,
        0.831,
        0.847,
        0.786,
        0.725,
        0.746,
        0.679,
        0.608,
        0.655,
        0.616,
        0.606,
        0.602,
        0.626,
        0.651,
        0.724,
        0.649,
        0.649,
        0.694,
        0.644,
        0.624,
        0.661,
        0.612,
        0.558,
        0.533,
        0.495,
        0.5,
        0.423,
        0.395,
        0.375,
        0.372,
        0.391,
        0.396,
        0.405,
        0.428,
        0.429,
        0.523,
        0.562,
        0.607,
        0.653,
        0.672,
        0.708,
        0.633,
        0.668,
        0.645,
        0.632,
        0.591,
        0.559,
        0.597,
        0.625,
        0.739,
        0.71,
        0.729,
        0.72,
        0.636,
        0.581,
        0.428,
        0.292,
        0.162,
        0.098,
        0.054,
    ]
)


def osborne_2(x):
    """(19)."""
    height, rate, centre = x[:4], x[4:8], x[8:]
    t = np.arange(65)[:, None] / 10
    lag = t - centre
    shape = np.hstack([t, lag**2])
    e = np.exp(-rate * shape)
    jac = np.hstack([-e, height * shape * e, -(2 * height * rate * e)[:, 1:] * lag])
    return OSBORNE_2 - e @ height, jac


def watson(x):
    """(20)."""
    n = x.size
    j, t = np.arange(n), np.arange(1, 30)[:, None] / 29
    powers = t**j
    slopes = j * t ** np.maximum(j - 1, 0)
    s = powers @ x
    first, second = np.zeros(n, x.dtype), np.zeros(n, x.dtype)
    first[0], second[0], second[1] = 1, -2 * x[0], 1
    r = np.array([*(slopes @ x - s**2 - 1), x[0], x[1] - x[0] ** 2 - 1])
    return r, np.vstack([slopes - 2 * s[:, None] * powers, first, second])


def penalty_1(x):
    """(23)."""
    a = np.sqrt(1e-5)
    return np.append(a * (x - 1), x @ x - 0.25), np.vstack([a * np.eye(x.size), 2 * x])


def penalty_2(x):
    """(24)."""
    n, a = x.size, np.sqrt(1e-5)
    i = np.arange(1, n + 1)
    e, y = np.exp(x / 10), np.exp(i / 10)
    slope = np.diag(a * e / 10)
    weights = n + 1 - i
    r = [[x[0] - 0.2], a * (e[1:] + e[:-1] - y[1:] - y[:-1]), a * (e[1:] - np.exp(-0.1))]
    jac = [np.eye(n)[:1], slope[1:] + slope[:-1], slope[1:], [2 * weights * x]]
    return np.concatenate([*r, [weights @ x**2 - 1]]), np.vstack(jac)


def variably_dimensioned(x):
    """(25)."""
    j = np.arange(1, x.size + 1)
    s = j @ (x - 1)
    return np.array([*(x - 1), s, s * s]), np.vstack([np.eye(x.size), j, 2 * s * j])


def trigonometric(x):
    """(26)."""
    n, i = x.size, np.arange(1, x.size + 1)
    r = n - np.cos(x).sum() + i * (1 - np.cos(x)) - np.sin(x)
    return r, np.diag(i * np.sin(x) - np.cos(x)) + np.sin(x)


def brown_almost_linear(x):
    """(27)."""
    n = x.size
    jac = np.eye(n, dtype=x.dtype) + 1
    jac[-1] = [np.prod(np.delete(x, j)) for j in range(n)]
    return np.append(x[:-1] + x.sum() - n - 1, np.prod(x) - 1), jac


def boundary_value(x):
    """(28)."""
    n = x.size
    h = 1 / (n + 1)
    q = x + h * np.arange(1, n + 1) + 1
    second = 2 * np.eye(n) - np.eye(n, k=1) - np.eye(n, k=-1)
    return second @ x + h**2 / 2 * q**3, second + np.diag(1.5 * h**2 * q**2)


def integral_equation(x):
    """(29)."""
    n = x.size
    h = 1 / (n + 1)
    t = h * np.arange(1, n + 1)
    q = x + t + 1
    kernel = np.minimum(t[:, None], t) * (1 - np.maximum(t[:, None], t))
    return x + h / 2 * kernel @ q**3, np.eye(n) + 1.5 * h * kernel * q**2


def broyden_tridiagonal(x):
    """(30)."""
    n = x.size
    next_to = np.eye(n, k=-1) + 2 * np.eye(n, k=1)
    return (3 - 2 * x) * x - next_to @ x + 1, np.diag(3 - 4 * x) - next_to


def broyden_banded(x):
    """(31)."""
    n = x.size
    band = np.tri(n, k=1) - np.tri(n, k=-6) - np.eye(n)
    return x * (2 + 5 * x**2) + 1 - band @ (x * (1 + x)), np.diag(2 + 15 * x**2) - band * (
        1 + 2 * x
    )


def linear(matrix):
    """(32), (33), (34): residuals `matrix` x - 1."""
    return lambda x: (matrix @ x - 1, matrix)


def chebyquad(x):
    """(35), m = n."""
    n = x.size
    u = 2 * x - 1
    values, slopes = [np.ones_like(x), u], [np.zeros_like(x), np.full_like(x, 2)]
    for _ in range(n - 1):
        values.append(2 * u * values[-1] - values[-2])
        slopes.append(4 * values[-2] + 2 * u * slopes[-1] - slopes[-2])
    i = np.arange(1, n + 1)
    integral = np.where(i % 2 == 0, -1 / np.maximum(i**2 - 1, 1), 0)
    return np.mean(values[1:], axis=1) - integral, np.array(slopes[1:]) / n


def matrices(m, n):
    """Return the matrices of (32), (33) and (34)."""
    i, j = np.arange(1, m + 1), np.arange(1, n + 1)
    inner = np.outer(i - 1, np.where((j == 1) | (j == n), 0, j))
    inner[-1] = 0
    return np.eye(m, n) - 2 / m, np.outer(i, j), inner


def table():
    """Yield (family, residuals, x0, f_opt) for every problem and size."""
    yield "rosenbrock", rosenbrock, [-1.2, 1], 0
    yield "freudenstein_roth", freudenstein_roth, [0.5, -2], 0
    yield "powell_badly_scaled", powell_badly_scaled, [0, 1], 0
    yield "brown_badly_scaled", brown_badly_scaled, [1, 1], 0
    yield "beale", beale, [1, 1], 0
    yield "jennrich_sampson", jennrich_sampson, [0.3, 0.4], 124.362
    yield "helical_valley", helical_valley, [-1, 0, 0], 0
    yield "bard", bard, [1, 1, 1], 8.21487e-3
    yield "gaussian", gaussian, [0.4, 1, 0], 1.12793e-8
    yield "meyer", meyer, [0.02, 4000, 250], 87.9458
    yield "gulf", gulf, [5, 2.5, 0.15], 0
    yield "box", box, [0, 10, 20], 0
    yield "wood", wood, [-3, -1, -3, -1], 0
    yield "kowalik_osborne", kowalik_osborne, [0.25, 0.39, 0.415, 0.39], 3.07505e-4
    yield "brown_dennis", brown_dennis, [25, 5, -5, -1], 85822.2
    yield "osborne_1", osborne_1, [0.5, 1.5, -1, 0.01, 0.02], 5.46489e-5
    yield "biggs_exp6", biggs_exp6, [1, 2, 1, 1, 1, 1], 0
    x0 = [1.3, 0.65, 0.65, 0.7, 0.6, 3, 5, 7, 2, 4.5, 5.5]
    yield "osborne_2", osborne_2, x0, 4.01377e-2
    for n, f_opt in (6, 2.28767e-3), (9, 1.39976e-6), (12, 4.72238e-10):
        yield "watson", watson, np.zeros(n), f_opt
    for n in 10, 50:
        yield "rosenbrock", rosenbrock, np.tile([-1.2, 1], n // 2), 0
    for n in 4, 20:
        yield "powell_singular", powell_singular, np.tile([3, -1, 0, 1], n // 4), 0
    for n, f_opt in (4, 2.24997e-5), (10, 7.08765e-5):
        yield "penalty_1", penalty_1, np.arange(1, n + 1), f_opt
    for n, f_opt in (4, 9.37629e-6), (10, 2.93660e-4):
        yield "penalty_2", penalty_2, np.full(n, 0.5), f_opt
    for n in 6, 20:
        yield "variably_dimensioned", variably_dimensioned, 1 - np.arange(1, n + 1) / n, 0
    for n in 5, 20:
        yield "trigonometric", trigonometric, np.full(n, 1 / n), 0
    for n in 5, 10:
        yield "brown_almost_linear", brown_almost_linear, np.full(n, 0.5), 0
    for n in 10, 50:
        t = np.arange(1, n + 1) / (n + 1)
        yield "boundary_value", boundary_value, t * (t - 1), 0
        yield "integral_equation", integral_equation, t * (t - 1), 0
        yield "broyden_tridiagonal", broyden_tridiagonal, np.full(n, -1), 0
        yield "broyden_banded", broyden_banded, np.full(n, -1), 0
    m, n = 20, 10
    full, one, inner = matrices(m, n)
    yield "linear_full_rank", linear(full), np.ones(n), m - n
    yield "linear_rank_1", linear(one), np.ones(n), m * (m - 1) / (2 * (2 * m + 1))
    f_opt = (m * m + 3 * m - 6) / (2 * (2 * m - 3))
    yield "linear_rank_1_inner", linear(inner), np.ones(n), f_opt
    for n, f_opt in (7, 0), (8, 3.51687e-3), (9, 0), (10, 6.50395e-3):
        yield "chebyquad", chebyquad, np.arange(1, n + 1) / (n + 1), f_opt


# The authors start again from ten times the standard start.
FAR = [
    "rosenbrock-2",
    "freudenstein_roth-2",
    "helical_valley-3",
    "bard-3",
    "box-3",
    "wood-4",
    "kowalik_osborne-4",
    "brown_dennis-4",
    "powell_singular-4",
    "penalty_1-4",
    "broyden_tridiagonal-10",
    "variably_dimensioned-6",
]


def problems() -> list[Problem]:
    """Return the problems, some of them from a far start too."""
    near = [make(name, least_squares(r), x0, f_opt) for name, r, x0, f_opt in table()]
    far = [make(p.family, p.formula, 10 * p.x0, p.f_opt, tag="far") for p in near if p.name in FAR]
    return near + far
