"""Problems of 300 to 10000 variables, unconstrained: `problems`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse

from benchmarks.problems import classics, families, mgh
from benchmarks.problems.classics import at, chained, dixmaan, plus
from benchmarks.problems.families import in_units, transformed
from benchmarks.problems.networks import Network
from benchmarks.problems.problem import Formula, Problem, least_squares, make
from benchmarks.problems.regression import logistic_loss

Elements = Callable[[np.ndarray], tuple[Any, np.ndarray]]  # value and slope of every element


def separable(element: Elements) -> Formula:
    """Sum a function of one variable."""

    def formula(x):
        f, g = element(x)
        return f.sum(), g

    return formula


def spectrum(values: np.ndarray) -> Formula:
    """Half the sum of `values` x²."""
    return separable(lambda x: (values * x**2 / 2, values * x))


def turned(inner: Formula, n: int, seed: int, times: int = 3) -> Formula:
    """Turn space by a product of random Householder reflections, in O(n)."""
    v = np.random.default_rng(seed).standard_normal((times, n))
    v /= np.linalg.norm(v, axis=1, keepdims=True)

    def reflect(x, order):
        for u in order:
            x = x - 2 * (u @ x) * u
        return x

    def formula(x):
        f, g = inner(reflect(x, v))
        return f, reflect(g, v[::-1])

    return formula


def extended_rosenbrock(x):
    """Rosenbrock's function of every pair."""
    a, b = x[::2], x[1::2]
    r, s = b - a * a, 1 - a
    g = np.empty_like(x)
    g[::2], g[1::2] = -400 * r * a - 2 * s, 200 * r
    return 100 * r @ r + s @ s, g


def extended_powell(x):
    """Powell's singular function of every four."""
    a, b, c, d = x.reshape(-1, 4).T
    p, q, r, s = a + 10 * b, c - d, b - 2 * c, a - d
    f = p @ p + 5 * q @ q + np.sum(r**4) + 10 * np.sum(s**4)
    g = [2 * p + 40 * s**3, 20 * p + 4 * r**3, 10 * q - 8 * r**3, -10 * q - 40 * s**3]
    return f, np.array(g).T.ravel()


def field(m: int, edge: Elements, node: Elements) -> Formula:
    """Energy of m by m values, 0 around them: of differences of neighbours and of the values."""

    def formula(x):
        u = np.pad(x.reshape(m, m), 1)
        f, g = node(x)
        f, g = f.sum(), np.pad(g.reshape(m, m), 1)
        for axis in 0, 1:
            value, slope = edge(np.diff(u, axis=axis))
            f = f + value.sum()
            g = g - np.diff(slope, axis=axis, prepend=0, append=0)
        return f, g[1:-1, 1:-1].ravel()

    return formula


def fields() -> list[Problem]:
    """Return discretised equations, and an image to be cleaned of noise."""

    def square(d):
        return d * d / 2, d

    found = []
    for m in 20, 50, 100:
        h = 1 / (m + 1)
        start = np.random.default_rng(m).uniform(0, 1, m * m)
        load = field(m, square, lambda u, h=h: (-h * h * u, np.full_like(u, -h * h)))
        found.append(make("poisson", load, start))
        liouville = field(m, square, lambda u, h=h: (10 * h * h * np.exp(u),) * 2)
        found.append(make("liouville", liouville, start))
    m = 50
    h = 1 / (m + 1)
    start = np.random.default_rng(m).uniform(0, 1, m * m)
    wells = field(m, square, lambda u: (25 * h * h * (u * u - 1) ** 2, 100 * h * h * (u**3 - u)))
    fourth = field(
        m,
        lambda d: (d**4 / (4 * h * h), d**3 / (h * h)),
        lambda u: (-h * h * u, np.full_like(u, -h * h)),
    )
    clean = np.zeros((m, m))
    clean[10:30, 15:40] = 1
    data = (clean + 0.3 * np.random.default_rng(0).standard_normal((m, m))).ravel()

    def jump(d):
        size = np.sqrt(d * d + 1e-4)
        return 0.3 * size, 0.3 * d / size

    denoise = field(m, jump, lambda u: ((u - data) ** 2 / 2, u - data))
    found.append(make("double_well", wells, start))
    found.append(make("p_laplace", fourth, start))
    found.append(make("total_variation", denoise, data))
    return found


def factorisation(rows: int, columns: int, rank: int) -> Formula:
    """Squared error of a product of two thin matrices that can be 0."""
    rng = np.random.default_rng(rows)
    goal = rng.standard_normal((rows, rank)) @ rng.standard_normal((rank, columns))

    def formula(x):
        u, v = x[: rows * rank].reshape(rows, rank), x[rows * rank :].reshape(rank, columns)
        r = u @ v - goal
        return np.sum(r * r) / 2, np.concatenate([(r @ v.T).ravel(), (u.T @ r).ravel()])

    return formula


def hanging_chain(x):
    """Springs from (0, 0) to (1, 0) and the weight of the points between them."""
    p = np.vstack([np.zeros((1, 2)), x.reshape(-1, 2), [[1, 0]]])
    steps = np.diff(p, axis=0)
    length = np.sqrt(np.sum(steps**2, axis=1))
    stretch = length - 2 / len(steps)
    pull = len(steps) * (stretch / length)[:, None] * steps
    g = -np.diff(pull, axis=0)
    g[:, 1] += 1 / len(steps)
    return len(steps) * stretch @ stretch / 2 + p[:, 1].sum() / len(steps), g.ravel()


def softmax_regression(data: np.ndarray, labels: np.ndarray, ridge: float) -> Formula:
    """Mean cross-entropy of a linear model of several classes."""
    wanted = np.eye(labels.max() + 1)[labels]

    def formula(x):
        weights = x.reshape(data.shape[1], -1)
        scores = data @ weights
        scores = scores - scores.max(axis=1, keepdims=True)
        total = np.sum(np.exp(scores), axis=1, keepdims=True)
        loss = np.mean(np.log(total)[:, 0] - np.sum(scores * wanted, axis=1))
        g = data.T @ (np.exp(scores) / total - wanted) / len(data) + ridge * weights
        return loss + ridge * (x @ x) / 2, g.ravel()

    return formula


def learning() -> list[Problem]:
    """Return regressions and networks."""
    from sklearn.datasets import load_breast_cancer, load_digits

    rng = np.random.default_rng(5)
    found = []
    dense = rng.standard_normal((600, 500)) * np.geomspace(0.1, 10, 500)
    rare = scipy.sparse.random_array((5000, 4000), density=2e-3, rng=rng, format="csr")
    for data, ridge in (dense, 1e-3), (rare, 1e-4):
        n = data.shape[1]
        labels = np.sign(data @ rng.standard_normal(n) + 0.1 * rng.standard_normal(data.shape[0]))
        formula = lambda x, a=data, y=labels, ridge=ridge: logistic_loss(x, a, y, ridge)
        found.append(make("logistic_made_up", formula, np.zeros(n)))
    digits, cancer = load_digits(), load_breast_cancer()
    softmax = softmax_regression(digits.data / 16, digits.target, 1e-4)
    found.append(make("softmax_digits", softmax, np.zeros(640)))
    raw = softmax_regression(digits.data, digits.target, 1e-4)
    found.append(make("softmax_digits", raw, np.zeros(640), tag="raw"))
    scaled = (cancer.data - cancer.data.mean(0)) / cancer.data.std(0)
    nets = {
        "digits": Network(digits.data / 16, np.eye(10)[digits.target], 10, 0, 0.1),
        "cancer": Network(scaled, cancer.target[:, None], 10, 0),
        "encoder": Network(np.eye(32), np.eye(32), 8, 0),
    }
    for name, net in nets.items():
        start = net.start(np.random.default_rng(1))
        found.append(make("network", net, start, tag=name))
    found.append(make("factorisation", factorisation(60, 40, 4), rng.uniform(-1, 1, 400), 0))
    found.append(make("factorisation", factorisation(300, 200, 4), rng.uniform(-1, 1, 2000), 0))
    return found


def quadratics() -> list[Problem]:
    """Return functions of one spectrum, along the axes and turned."""
    found = []
    for n in 300, 1000, 10000:
        few, spread = np.ones(n), np.geomspace(1, 1e4, n)
        few[:10] = 1e4
        x0 = np.random.default_rng(n).standard_normal(n)
        for tag, values in ("few", few), ("spread", spread):
            formula = turned(spectrum(values), n, n)
            found.append(make("rotated_ellipsoid", formula, x0, 0, tag=tag))
    n = 1000
    x0 = np.random.default_rng(n).standard_normal(n)
    hard = spectrum(np.geomspace(1, 1e6, n))
    mild = spectrum(np.geomspace(1, 1e2, n))
    found.append(make("ellipsoid", hard, x0, 0))
    found.append(make("rotated_ellipsoid", turned(hard, n, 1), x0, 0, tag="1e+06"))
    log = transformed(np.log1p, lambda f: 1 / (1 + f), turned(mild, n, 2))
    found.append(make("log1p_rotated", log, x0, 0))
    quartic = plus(mild, separable(lambda x: (x**4, 4 * x**3)))
    found.append(make("quartic_rotated", turned(quartic, n, 3), x0, 0))
    found.append(make("l1_like", families.weighted_power(n, 1.01), x0, 0, tag="1.01"))
    found.append(make("units", in_units(mild, units := np.geomspace(1e-3, 1e3, n)), units * x0, 0))
    return found


def extended() -> list[Problem]:
    """Return functions of the literature that are there for every n."""
    c, ones = classics, np.ones
    alternating = np.tile([-1.2, 1], 2500)
    found = [
        make("rosenbrock", extended_rosenbrock, alternating, 0),
        make("powell_singular", extended_powell, np.tile([3, -1, 0, 1], 1250), 0),
        make("arwhead", c.arwhead, ones(5000), 0),
        make("bdqrtic", c.bdqrtic, ones(1000)),
        make("engval1", chained(c.engval1), np.full(5000, 2)),
        make("edensch", chained(c.edensch), np.full(2000, 8)),
        make("liarwhd", c.liarwhd, np.full(5000, 4), 0),
        make("nondia", c.nondia, np.full(5000, -1), 0),
        make("nondquar", c.nondquar, np.tile([1, -1], 500), 0),
        make("quartc", c.quartc, np.full(1000, 2), 0),
        make("craggy_levy", c.craggy_levy, np.append(1, np.full(4999, 2))),
        make("sinquad", c.sinquad, np.full(1000, 0.1), 0),
        make("tquartic", c.tquartic, np.full(1000, 0.1), 0),
        make("eg2", c.eg2, np.zeros(1000)),
        make("schmvett", c.schmvett, np.full(5000, 0.5), -14994),
        make("cosine", chained(c.cosine), ones(10000), -9999),
        make("dixon_price", plus(at(0, 1, 2), chained(c.dixon_price)), ones(1000)),
        make("tridia", plus(at(0, 1, 2), chained(c.tridia)), ones(1000), 0),
        make("genrose", chained(c.genrose), np.arange(1, 501) / 501, 0),
        make("chnrosnb", plus(at(0, 1, 2), chained(c.chnrosnb)), -ones(300), 0),
        make("fletchcr", chained(c.fletchcr), np.zeros(500), 0),
        make("power", c.power, ones(1000), 0),
        make("different_powers", c.different_powers, np.linspace(1, 2, 1000), 0),
        make("styblinski_tang", c.styblinski_tang, np.linspace(-4, -1, 1000)),
        make("dixmaan", dixmaan((1, 0, 0.125, 0.125), (0,) * 4), np.full(3000, 2), 1, tag="A"),
        make("dixmaan", dixmaan((1, 0.26, 0.26, 0.26), (2, 0, 0, 2)), np.full(3000, 2), 1, tag="L"),
        make("hanging_chain", hanging_chain, chain_start(400)),
    ]
    n = 300
    t = np.arange(1, n + 1) / (n + 1)
    starts = {
        "penalty_1": np.arange(1, n + 1),
        "variably_dimensioned": 1 - np.arange(1, n + 1) / n,
        "trigonometric": np.full(n, 1 / n),
        "boundary_value": t * (t - 1),
        "integral_equation": t * (t - 1),
        "broyden_tridiagonal": -ones(n),
        "broyden_banded": -ones(n),
    }
    known = {"penalty_1": None}
    found += [
        make(name, least_squares(getattr(mgh, name)), x0, known.get(name, 0))
        for name, x0 in starts.items()
    ]
    return found


def chain_start(points: int) -> np.ndarray:
    """Return points on the line between the ends, a little below."""
    x = np.arange(1, points + 1) / (points + 1)
    return np.column_stack([x, -x * (1 - x) / 10]).ravel()


def problems() -> list[Problem]:
    """Return the problems."""
    return extended() + quadratics() + fields() + learning()
