"""Classic smooth functions of several variables, by their formulas.

Most of them, with their customary starts, are of the collection CUTE: I. Bongartz, A. R. Conn,
N. Gould, Ph. L. Toint, ACM Transactions on Mathematical Software 21, 1995, 123-160,
doi:10.1145/200979.201043.
"""

from __future__ import annotations

import numpy as np

from benchmarks.problems.families import quadratic
from benchmarks.problems.problem import Formula, Problem, make


def arwhead(x):
    """Arrow-headed Hessian."""
    y, z = x[:-1], x[-1]
    s = y * y + z * z
    g = np.append(4 * s * y - 4, 4 * z * s.sum())
    return np.sum(s**2 - 4 * y + 3), g


def bdqrtic(x):
    """Banded quartic."""
    windows = [x[k : x.size - 4 + k] for k in range(4)]
    s = sum((k + 1) * w**2 for k, w in enumerate(windows)) + 5 * x[-1] ** 2
    g = np.zeros_like(x)
    g[:-4] -= 8 * (3 - 4 * x[:-4])
    for k, w in enumerate(windows):
        g[k : x.size - 4 + k] += 4 * (k + 1) * s * w
    g[-1] += 20 * x[-1] * s.sum()
    return np.sum((3 - 4 * x[:-4]) ** 2 + s**2), g


def dixmaan(weights, powers):
    """Dixon and Maany's family; n is a multiple of 3."""
    a, b, c, d = weights

    def formula(x):
        n, m = x.size, x.size // 3
        p, q, r, s = (np.arange(1, n + 1) / n) ** np.array(powers)[:, None]
        q, r, s = b * q[:-1], c * r[: 2 * m], d * s[:m]
        v = x[1:] + x[1:] ** 2
        f = 1 + np.sum(a * p * x**2) + np.sum(q * x[:-1] ** 2 * v**2)
        f += np.sum(r * x[: 2 * m] ** 2 * x[m:] ** 4) + np.sum(s * x[:m] * x[2 * m :])
        g = 2 * a * p * x
        g[:-1] += 2 * q * x[:-1] * v**2
        g[1:] += 2 * q * x[:-1] ** 2 * v * (1 + 2 * x[1:])
        g[: 2 * m] += 2 * r * x[: 2 * m] * x[m:] ** 4
        g[m:] += 4 * r * x[: 2 * m] ** 2 * x[m:] ** 3
        g[:m] += s * x[2 * m :]
        g[2 * m :] += s * x[:m]
        return f, g

    return formula


def chained(element) -> Formula:
    """Sum an element function of two neighbours: ``element(i, u, v) -> (f, df/du, df/dv)``."""

    def formula(x):
        f, du, dv = element(np.arange(1, x.size), x[:-1], x[1:])
        return np.sum(f), np.append(du, 0) + np.append(0, dv)

    return formula


def plus(*formulas: Formula) -> Formula:
    """Add functions up."""

    def formula(x):
        values, gradients = zip(*(part(x) for part in formulas), strict=True)
        return sum(values), sum(gradients)

    return formula


def at(index: int, centre: float, power: int) -> Formula:
    """Return (x[index] - centre)^power."""

    def formula(x):
        g = np.zeros_like(x)
        g[index] = power * (x[index] - centre) ** (power - 1)
        return (x[index] - centre) ** power, g

    return formula


def engval1(_, u, v):
    """Element of ENGVAL1."""
    s = u * u + v * v
    return s * s - 4 * u + 3, 4 * s * u - 4, 4 * s * v


def edensch(_, u, v):
    """Element of EDENSCH."""
    p, q = u * v - 2 * v, v + 1
    return (u - 2) ** 4 + p * p + q * q, 4 * (u - 2) ** 3 + 2 * p * v, 2 * p * (u - 2) + 2 * q


def tridia(i, u, v):
    """Element of TRIDIA."""
    r = 2 * v - u
    return (i + 1) * r**2, -2 * (i + 1) * r, 4 * (i + 1) * r


def genrose(_, u, v):
    """Element of GENROSE, the chained Rosenbrock function."""
    r = v - u * u
    return 100 * r**2 + (v - 1) ** 2, -400 * r * u, 200 * r + 2 * (v - 1)


def chnrosnb(i, u, v):
    """Element of a chained Rosenbrock function with changing weights."""
    w, r = 16 * (1.5 + np.sin(i)) ** 2, u - v * v
    return w * r**2 + (v - 1) ** 2, 2 * w * r, -4 * w * r * v + 2 * (v - 1)


def fletchcr(_, u, v):
    """Element of FLETCHCR."""
    r = v - u + 1 - u * u
    return 100 * r**2, -200 * r * (1 + 2 * u), 200 * r


def cosine(_, u, v):
    """Element of COSINE."""
    s = np.sin(u * u - v / 2)
    return np.cos(u * u - v / 2), -2 * u * s, s / 2


def dixon_price(i, u, v):
    """Element of Dixon and Price's function."""
    r = 2 * v * v - u
    return (i + 1) * r**2, -2 * (i + 1) * r, 8 * (i + 1) * r * v


def difference(_, u, v):
    """Element of DIXON3DQ."""
    return (u - v) ** 2, 2 * (u - v), 2 * (v - u)


def liarwhd(x):
    """LIARWHD."""
    r = x * x - x[0]
    g = 16 * r * x + 2 * (x - 1)
    g[0] -= 8 * r.sum()
    return np.sum(4 * r**2 + (x - 1) ** 2), g


def nondia(x):
    """NONDIA, Shanno's nondiagonal Rosenbrock function."""
    r = x[0] - x[:-1] ** 2
    g = np.append(-400 * r * x[:-1], 0)
    g[0] += 2 * (x[0] - 1) + 200 * r.sum()
    return (x[0] - 1) ** 2 + 100 * np.sum(r**2), g


def nondquar(x):
    """NONDQUAR: its Hessian is singular at the minimum."""
    s, p, q = x[:-2] + x[1:-1] + x[-1], x[0] - x[1], x[-2] - x[-1]
    g = np.zeros_like(x)
    g[:-2] += 4 * s**3
    g[1:-1] += 4 * s**3
    g[-1] += 4 * np.sum(s**3) - 2 * q
    g[0] += 2 * p
    g[1] -= 2 * p
    g[-2] += 2 * q
    return p * p + q * q + np.sum(s**4), g


def power(x):
    """POWER."""
    i = np.arange(1, x.size + 1)
    s = i @ (x * x)
    return s * s, 4 * s * i * x


def quartc(x):
    """QUARTC."""
    r = x - np.arange(1, x.size + 1)
    return np.sum(r**4), 4 * r**3


def craggy_levy(x):
    """CRAGGLVY; n is even."""
    a, b, c, d = x[:-2:2], x[1:-2:2], x[2::2], x[3::2]
    p, q, r = np.exp(a) - b, b - c, np.tan(c - d) + c - d
    f = np.sum(p**4 + 100 * q**6 + r**4 + a**8 + (d - 1) ** 2)
    slope = 4 * r**3 * (np.tan(c - d) ** 2 + 2)
    g = np.zeros_like(x)
    g[:-2:2] += 4 * p**3 * np.exp(a) + 8 * a**7
    g[1:-2:2] += -4 * p**3 + 600 * q**5
    g[2::2] += -600 * q**5 + slope
    g[3::2] += -slope + 2 * (d - 1)
    return f, g


def sinquad(x):
    """SINQUAD."""
    a, y, z = x[0], x[1:-1], x[-1]
    r, last = np.sin(y - z) - a * a + y * y, z * z - a * a
    g = np.zeros_like(x)
    g[0] = 4 * (a - 1) ** 3 - 4 * a * r.sum() - 4 * a * last
    g[1:-1] = 2 * r * (np.cos(y - z) + 2 * y)
    g[-1] = -2 * r @ np.cos(y - z) + 4 * z * last
    return (a - 1) ** 4 + r @ r + last**2, g


def tquartic(x):
    """TQUARTIC."""
    r = x[0] ** 2 - x[1:] ** 2
    g = np.append(2 * (x[0] - 1) + 4 * x[0] * r.sum(), -4 * r * x[1:])
    return (x[0] - 1) ** 2 + r @ r, g


def eg2(x):
    """EG2."""
    y = x[:-1]
    c = np.cos(x[0] + y * y - 1)
    g = np.append(2 * c * y, x[-1] * np.cos(x[-1] ** 2))
    g[0] += c.sum()
    return np.sum(np.sin(x[0] + y * y - 1)) + np.sin(x[-1] ** 2) / 2, g


def schmvett(x):
    """SCHMVETT, Schmidt and Vetters' function."""
    a, b, c = x[:-2], x[1:-1], x[2:]
    u, v, w = a - b, (np.pi * b + c) / 2, (a + c) / b - 2
    e = np.exp(-(w**2))
    g = np.zeros_like(x)
    du, dv, dw = 2 * u / (1 + u * u) ** 2, -np.cos(v) / 2, 2 * w * e / b
    g[:-2] += du + dw
    g[1:-1] += -du + np.pi * dv - dw * (w + 2)
    g[2:] += dv + dw
    return -np.sum(1 / (1 + u * u) + np.sin(v) + e), g


def zakharov(x):
    """Zakharov's function."""
    i = np.arange(1, x.size + 1) / 2
    s = i @ x
    return x @ x + s**2 + s**4, 2 * x + (2 * s + 4 * s**3) * i


def different_powers(x):
    """Sum of abs(x)^p, p from 2 to 6."""
    p = np.linspace(2, 6, x.size)
    return np.sum(np.abs(x) ** p), p * np.abs(x) ** (p - 1) * np.sign(x)


def trid(x):
    """Neumaier's TRID: minimum -n(n+4)(n-1)/6."""
    g = 2 * (x - 1)
    g[1:] -= x[:-1]
    g[:-1] -= x[1:]
    return np.sum((x - 1) ** 2) - x[1:] @ x[:-1], g


def styblinski_tang(x):
    """Styblinski and Tang's function."""
    return np.sum(x**4 - 16 * x**2 + 5 * x) / 2, 2 * x**3 - 16 * x + 2.5


def cube(x):
    """CUBE, a steeper Rosenbrock function."""
    r = x[1] - x[0] ** 3
    return 100 * r**2 + (x[0] - 1) ** 2, np.array([2 * (x[0] - 1) - 600 * r * x[0] ** 2, 200 * r])


def sisser(x):
    """SISSER."""
    a, b = x
    return 3 * a**4 - 2 * (a * b) ** 2 + 3 * b**4, np.array(
        [12 * a**3 - 4 * a * b * b, 12 * b**3 - 4 * a * a * b]
    )


def himmelblau(x):
    """Himmelblau's function of four minima."""
    a, b = x
    p, q = a * a + b - 11, a + b * b - 7
    return p * p + q * q, np.array([4 * a * p + 2 * q, 2 * p + 4 * b * q])


def himmelbg(x):
    """HIMMELBG."""
    a, b = x
    s, e = 2 * a * a + 3 * b * b, np.exp(-a - b)
    return s * e, e * np.array([4 * a - s, 6 * b - s])


def denschna(x):
    """DENSCHNA."""
    a, b = x
    p = np.expm1(b)
    return a**4 + (a + b) ** 2 + p**2, np.array(
        [4 * a**3 + 2 * (a + b), 2 * (a + b) + 2 * p * (p + 1)]
    )


def denschnb(x):
    """DENSCHNB."""
    a, b = x[0] - 2, x[1]
    return a**2 * (1 + b**2) + (b + 1) ** 2, np.array(
        [2 * a * (1 + b * b), 2 * a * a * b + 2 * b + 2]
    )


def denschnd(x):
    """DENSCHND."""
    a, b, c = x
    r = np.array([a * a + b**3 - c**4, 2 * a * b * c, 2 * a * b - 3 * b * c + a * c])
    jac = [[2 * a, 3 * b * b, -4 * c**3], [2 * b * c, 2 * a * c, 2 * a * b]]
    return r @ r, 2 * r @ np.array([*jac, [2 * b + c, 2 * a - 3 * c, a - 3 * b]])


def hilbert(n: int, shift: float) -> Formula:
    """Return half of xᵀ(H + shift)x, H the Hilbert matrix."""
    i = np.arange(n)
    h = 1 / (1 + i[:, None] + i) + shift * np.eye(n)
    return lambda x: (x @ h @ x / 2, h @ x)


def problems() -> list[Problem]:
    """Return the problems."""
    second = 2 * np.eye(50) - np.eye(50, k=1) - np.eye(50, k=-1)
    found = [
        make("arwhead", arwhead, np.ones(100), 0),
        make("bdqrtic", bdqrtic, np.ones(50)),
        make("engval1", chained(engval1), np.full(50, 2)),
        make("edensch", chained(edensch), np.full(36, 8)),
        make("liarwhd", liarwhd, np.full(36, 4), 0),
        make("nondia", nondia, np.full(50, -1), 0),
        make("nondquar", nondquar, np.tile([1, -1], 25), 0),
        make("quartc", quartc, np.full(25, 2), 0),
        make("quartc", quartc, np.full(200, 2), 0),
        make("dixon3dq", plus(at(0, 1, 2), chained(difference), at(-1, 1, 2)), -np.ones(10), 0),
        make("craggy_levy", craggy_levy, np.append(1, np.full(49, 2))),
        make("sinquad", sinquad, np.full(5, 0.1), 0),
        make("sinquad", sinquad, np.full(50, 0.1), 0),
        make("tquartic", tquartic, np.full(50, 0.1), 0),
        make("eg2", eg2, np.zeros(30)),
        make("schmvett", schmvett, np.full(10, 0.5), -24),
        make("cosine", chained(cosine), np.ones(50), -49),
        make("dixon_price", plus(at(0, 1, 2), chained(dixon_price)), np.ones(10)),
        make("different_powers", different_powers, np.linspace(1, 2, 30), 0),
        make("styblinski_tang", styblinski_tang, np.linspace(-4, -1, 10)),
        make("laplace", quadratic(second, np.ones(50)), np.zeros(50), 0),
        make("cube", cube, [-1.2, 1], 0),
        make("sisser", sisser, [1, 0.1], 0),
        make("himmelblau", himmelblau, [0, 0], 0),
        make("himmelbg", himmelbg, [0.5, 0.5], 0),
        make("denschna", denschna, [1, 1], 0),
        make("denschnb", denschnb, [10, 10]),
        make("denschnd", denschnd, [10, 10, 10], 0),
        make("hilbert_a", hilbert(2, 0), [-4, -2], 0),
        make("hilbert_a", hilbert(10, 0), np.full(10, -3), 0),
        make("hilbert_b", hilbert(50, 5), np.full(50, -3), 0),
    ]
    for n in 10, 50:
        chain = plus(at(0, 1, 2), chained(chnrosnb))
        found += [
            make("tridia", plus(at(0, 1, 2), chained(tridia)), np.ones(n), 0),
            make("genrose", chained(genrose), np.arange(1, n + 1) / (n + 1), 0),
            make("chnrosnb", chain, -np.ones(n), 0),
            make("fletchcr", chained(fletchcr), np.zeros(n), 0),
            make("power", power, np.ones(n), 0),
            make("zakharov", zakharov, np.full(n, 0.5), 0),
            make("trid", trid, np.zeros(n), -n * (n + 4) * (n - 1) / 6),
        ]
    kinds = {
        "A": ((1, 0, 0.125, 0.125), (0, 0, 0, 0)),
        "C": ((1, 0.125, 0.125, 0.125), (0, 0, 0, 0)),
        "F": ((1, 0.0625, 0.0625, 0.0625), (1, 0, 0, 1)),
        "L": ((1, 0.26, 0.26, 0.26), (2, 0, 0, 2)),
    }
    found += [
        make("dixmaan", dixmaan(*kind), np.full(90, 2), 1, tag=name) for name, kind in kinds.items()
    ]
    return found
