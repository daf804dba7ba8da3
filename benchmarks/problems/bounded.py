"""Problems with bounds.

The numbers HS are those of W. Hock and K. Schittkowski, "Test examples for nonlinear programming
codes", Lecture Notes in Economics and Mathematical Systems 187, Springer 1981.
"""

from __future__ import annotations

import numpy as np

from benchmarks.problems import classics, families, mgh, regression
from benchmarks.problems.problem import Formula, Problem, least_squares, make

INF = np.inf


def hs3(x):
    """Almost flat along the first axis."""
    a, b = x
    return b + 1e-5 * (b - a) ** 2, np.array([-2e-5 * (b - a), 1 + 2e-5 * (b - a)])


def hs4(x):
    """Minimum at a corner."""
    a, b = x
    return (a + 1) ** 3 / 3 + b, np.array([(a + 1) ** 2, np.ones_like(b)])


def hs5(x):
    """Minimum inside."""
    a, b = x
    c, d = np.cos(a + b), 2 * (a - b)
    return np.sin(a + b) + (a - b) ** 2 - 1.5 * a + 2.5 * b + 1, np.array(
        [c + d - 1.5, c - d + 2.5]
    )


def product_of_others(x):
    """Return the derivatives of the product of all components."""
    return np.array([np.prod(np.delete(x, i)) for i in range(x.size)])


def hs45(x):
    """Minimum at the upper corner."""
    return 2 - np.prod(x) / 120, -product_of_others(x) / 120


def hs110(x):
    """Logarithms at the very edge of their domain."""
    p, q, s = np.log(x - 2), np.log(10 - x), np.prod(x)
    g = 2 * p / (x - 2) - 2 * q / (10 - x) - 0.2 * s**-0.8 * product_of_others(x)
    return p @ p + q @ q - s**0.2, g


def quadratic_form(matrix: np.ndarray, linear: np.ndarray) -> Formula:
    """Half of xᵀ `matrix` x minus `linear` x, definite or not."""
    return lambda x: (x @ matrix @ x / 2 - linear @ x, matrix @ x - linear)


def laplacian(m: int) -> np.ndarray:
    """Return the five-point Laplacian of an m by m grid."""
    second = 2 * np.eye(m) - np.eye(m, k=1) - np.eye(m, k=-1)
    return np.kron(second, np.eye(m)) + np.kron(np.eye(m), second)


def membranes(m: int = 10) -> list[Problem]:
    """Return an obstacle and a torsion problem on an m by m grid."""
    h = 1 / (m + 1)
    t = h * np.arange(1, m + 1)
    matrix = laplacian(m)
    bump = np.outer(np.sin(3 * np.pi * t), np.sin(3 * np.pi * t)).ravel() ** 3
    edge = np.minimum(t, 1 - t)
    wall = np.minimum(edge[:, None], edge).ravel()
    load = np.full(m * m, h * h)
    return [
        make("obstacle", quadratic_form(matrix, load), np.ones(m * m), bounds=(bump, 2000)),
        make("torsion", quadratic_form(matrix, 20 * load), wall, bounds=(-wall, wall)),
        make("torsion", quadratic_form(matrix, 5 * load), wall, bounds=(-wall, wall), tag="soft"),
    ]


def box_quadratics() -> list[Problem]:
    """Return random convex and indefinite quadratics in a box."""
    found = []
    for n in 10, 50:
        rng = np.random.default_rng(n)
        q = families.rotation(n, seed=n)
        centre = 3 * rng.standard_normal(n)
        for kind, values in (
            ("convex", np.geomspace(1, 100, n)),
            ("indefinite", np.linspace(-1, 5, n)),
        ):
            matrix = (q * values) @ q.T
            formula = quadratic_form(matrix, matrix @ centre)
            found.append(make(f"box_{kind}", formula, np.zeros(n), bounds=(-1, 1)))
    rng = np.random.default_rng(3)
    a = rng.standard_normal((60, 20))
    b = rng.standard_normal(60) + a[:, :5].sum(1)
    formula = least_squares(lambda x: (a @ x - b, a))
    found.append(make("nonnegative", formula, np.ones(20), bounds=(0, INF)))
    found.append(make("nonnegative", formula, np.zeros(20), bounds=(0, INF), tag="corner"))
    return found


def hock_schittkowski() -> list[Problem]:
    """Return the bound-constrained ones."""
    rosenbrock, wood = least_squares(mgh.rosenbrock), least_squares(mgh.wood)
    gulf = least_squares(mgh.gulf)
    return [
        make("hs1", rosenbrock, [-2, 1], 0, bounds=([-INF, -1.5], INF)),
        make("hs2", rosenbrock, [-2, 1], 0.0504261879, bounds=([-INF, 1.5], INF)),
        make("hs3", hs3, [10, 1], 0, bounds=([-INF, 0], INF)),
        make("hs4", hs4, [1.125, 0.125], 8 / 3, bounds=([1, 0], INF)),
        make("hs5", hs5, [0, 0], -np.sqrt(3) / 2 - np.pi / 3, bounds=([-1.5, -3], [4, 3])),
        make("hs25", gulf, [100, 12.5, 3], 0, bounds=([0.1, 0, 0], [100, 25.6, 5])),
        make("hs38", wood, [-3, -1, -3, -1], 0, bounds=(-10, 10)),
        make("hs45", hs45, np.full(5, 2), 1, bounds=(0, np.arange(1, 6))),
        make("hs110", hs110, np.full(10, 9), -45.77846971, bounds=(2.001, 9.999)),
    ]


# (name among the unconstrained, lower, upper): half-open boxes, narrow ones, and fixed variables
BOXES = [
    ("rosenbrock-2", [-INF, -INF], [0.5, INF]),
    ("rosenbrock-10", -1.5, 0.8),
    ("rosenbrock-10", np.tile([-INF, 1.0], 5), INF),
    ("freudenstein_roth-2", [0, -20], [12, -0.9]),
    ("powell_badly_scaled-2", [0, 1], [1, 9]),
    ("brown_badly_scaled-2", [0, 3e-5], [1e6, 100]),
    ("beale-2", [0.6, 0.5], [10, 100]),
    ("jennrich_sampson-2", [0.26, 0], [10, 20]),
    ("helical_valley-3", [-100, -1, -1], [0.8, 1, 1]),
    ("bard-3", [0.1, 0, 0], [50, 100, 50]),
    ("gaussian-3", [0.398, 1, -0.5], [4.2, 2, 0.1]),
    ("meyer-3", [0.006, 0, 0], [2, 3e5, 3e4]),
    ("box-3", [0, 5, 0], [2, 9.5, 20]),
    ("wood-4", [-100, -100, -100, -100], [0, 10, 100, 100]),
    ("kowalik_osborne-4", [0.2, 0.2, 0, 0], [0.3, 0.5, 0.1, 0.4]),
    ("brown_dennis-4", [-10, 0, -100, -20], [100, 15, 0, 0.2]),
    ("biggs_exp6-6", 0, [2, 8, 1, 7, 5, 5]),
    ("watson-6", [-0.015, -10, -10, -10, -100, -0.99], [10, 100, 100, 100, 100, 0.99]),
    ("powell_singular-4", [0.1, -20, -1, -1], [100, 20, 1, 50]),
    ("penalty_1-10", 0, [0.2, *np.full(9, 100)]),
    ("penalty_2-4", [-10, 0.3, 0, -1], [50, 50, 50, 0.5]),
    ("variably_dimensioned-6", 0, [10, 20, 30, 0.5, 50, 60]),
    ("trigonometric-20", 0.01, 1),
    ("brown_almost_linear-10", 0, [0.95, *np.full(9, 100)]),
    ("integral_equation-10", -0.08, 1),
    ("broyden_tridiagonal-10", -0.6, INF),
    ("chebyquad-8", 0, [0.04, *np.full(7, 1)]),
    ("osborne_1-5", [0, 1, -2, 0.001, 0.001], [3, 1.9, -0.5, 1, 1]),
    ("genrose-10", 0.2, 0.6),
    ("fletchcr-10", -INF, 0.9),
    ("tridia-50", -INF, [0.5, *np.full(49, INF)]),
    ("cube-2", [-2, -1], [0.7, 1]),
    ("misra1a-2-second", [0, 0], [220, 1]),
    ("rat43-4-second", [100, 1, 0.5, 1], [690, 10, 1, 5]),
    ("logistic_breast_cancer-31-scaled", -0.2, 0.2),
    ("l1_like-5-1.01", 0.5, INF),
    ("log_cosh-9", -1, 4),
    ("units-9-bowl", 0, 4 * np.geomspace(1e-6, 1e6, 9)),
]


def with_boxes() -> list[Problem]:
    """Put boxes around unconstrained problems, so that most have active bounds."""
    known = {
        p.name: p for module in (mgh, classics, families, regression) for p in module.problems()
    }
    found: list[Problem] = []
    for name, lower, upper in BOXES:
        p = known[name]
        earlier = sum(q.family == f"box_{p.family}" for q in found)
        tag = f"box{earlier + 1}" if earlier else ""
        found.append(make(f"box_{p.family}", p.formula, p.x0, tag=tag, bounds=(lower, upper)))
    return found


def special_starts() -> list[Problem]:
    """Return ellipsoids with active bounds from starts that need care."""
    axis, rotated = families.ellipsoid(10, 1e4), families.ellipsoid(10, 1e2, rotated=True)
    rosenbrock = least_squares(mgh.rosenbrock)
    fixed_low, fixed_high = np.full(10, -1.0), np.full(10, 1.0)
    fixed_low[::3] = fixed_high[::3] = 0.25
    bowl = families.quadratic(np.eye(4), np.array([0, 2.0, -3, 0.5]))
    return [
        make("box_axis", axis, np.zeros(10), bounds=(-0.5, 0.5)),
        make("box_axis", axis, np.zeros(10), bounds=(0, INF), tag="half_open"),
        make("box_axis", axis, np.full(10, -0.5), bounds=(-0.5, 0.5), tag="corner"),
        make("box_axis", axis, np.full(10, 7), bounds=(-0.5, 0.5), tag="infeasible"),
        make("box_axis", axis, np.zeros(10), bounds=(fixed_low, fixed_high), tag="fixed"),
        make("box_rotated", rotated, np.zeros(10), bounds=(-0.5, 0.5)),
        make("box_rotated", rotated, np.full(10, 0.5), bounds=(-0.5, 0.5), tag="corner"),
        make("box_rotated", rotated, np.full(10, -9), bounds=(-0.5, INF), tag="infeasible"),
        make("box_rotated", rotated, np.zeros(10), bounds=(fixed_low, fixed_high), tag="fixed"),
        make("box_rotated", rotated, np.zeros(10), bounds=(-1e-3, 1e3), tag="wide"),
        make("box_start", rosenbrock, [-1.2, 1], bounds=([-1.2, 1], [0.9, 2]), tag="corner"),
        make("box_start", rosenbrock, [-50, 90], bounds=([-2, -2], [2, 2]), tag="infeasible"),
        # at the minimum the gradient is zero at a bound: degenerate
        make("box_degenerate", bowl, np.ones(4), 4.5, bounds=([0, 2, 0, -1], INF)),
        make("box_degenerate", bowl, [0, 5, 5, 5], 4.5, bounds=([0, 2, 0, -1], INF), tag="on"),
        make("box_well", families.well, np.full(3, 6), bounds=([0.1, -INF, -1], INF)),
        make("biggsb1", biggsb1, np.zeros(25), bounds=(0, [*np.full(24, 0.9), INF])),
    ]


def biggsb1(x):
    """BIGGSB1."""
    ends = classics.at(0, 1, 2), classics.at(-1, 1, 2)
    return classics.plus(*ends, classics.chained(classics.difference))(x)


def problems() -> list[Problem]:
    """Return the problems."""
    return hock_schittkowski() + box_quadratics() + membranes() + with_boxes() + special_starts()
