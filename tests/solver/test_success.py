"""A result that says success is one: the point returned is the best evaluated, and stationary."""

import itertools

import numpy as np
import pytest
from scipy.optimize import rosen, rosen_der

from rprop import VARIANTS, minimize_batch, minimize_rprop, multistart
from rprop.solver.stopping import OUTCOMES

WAYS = [{}, {"basis": None}, *({"variant": name} for name in VARIANTS), {"safeguard": "armijo"}]


class Watched:
    """A function of (loss, gradient) that remembers the lowest loss it gave."""

    def __init__(self, fun):
        self.fun, self.lowest, self.count = fun, np.inf, 0

    def __call__(self, x):
        loss, gradient = self.fun(x)
        self.lowest = min(self.lowest, loss)
        self.count += 1
        return loss, gradient


def improves(fun, x, lower=-np.inf, upper=np.inf, tolerance=1e-7):
    """Tell whether a small step in any coordinate lowers the loss by more than rounding explains."""
    start = fun(x)[0]
    for i, size, turn in itertools.product(range(len(x)), (1e-2, 1e-3, 1e-4), (-1, 1)):
        there = x.copy()
        there[i] += turn * size * max(1, abs(x[i]))
        if fun(np.clip(there, lower, upper))[0] < start - tolerance * max(1, abs(start)):
            return True
    return False


def ray(x):
    """A valley u v = 1 with a saddle at 0."""
    u, v = x
    return (u * v - 1) ** 2, 2 * (u * v - 1) * np.array([v, u])


def cross(x):
    u, v = x
    return u * v + (u**4 + v**4) / 4, np.array([v + u**3, u + v**3])


def three(x):
    """A product of three variables, with a saddle at 0."""
    product = x.prod()
    return (product - 1) ** 2, 2 * (product - 1) * np.array([x[1] * x[2], x[0] * x[2], x[0] * x[1]])


def pairs(x):
    """Saddles of two variables each."""
    both = [ray(pair) for pair in x.reshape(-1, 2)]
    return sum(loss for loss, _ in both), np.concatenate([gradient for _, gradient in both])


@pytest.mark.parametrize("options", WAYS, ids=str)
@pytest.mark.parametrize(
    ("fun", "n", "least"),
    [(ray, 2, 0), (cross, 2, -0.5), (three, 3, 0), (pairs, 6, 0), (pairs, 20, 0)],
)
def test_saddles_are_left(fun, n, least, options):
    rng = np.random.default_rng(0)
    for _ in range(8):
        x0 = rng.uniform(-2, 2, n)
        result = minimize_rprop(fun, x0, jac=True, **options)
        assert not result.success or result.fun < least + 1e-6, x0


def test_equal_components_do_not_stay_equal():
    assert minimize_rprop(ray, [2.0, -1.0], jac=True).fun < 1e-12
    assert minimize_rprop(cross, [1.0, 1.0], jac=True).fun < -0.5 + 1e-12


def test_large_problems_keep_their_symmetry():
    points = []

    def fun(x):
        points.append(x)
        f, g = zip(*map(ray, x.reshape(-1, 2)), strict=True)
        return sum(f), np.concatenate(g)

    assert minimize_rprop(fun, np.tile([2.0, -1.5], 10), jac=True, basis=None).success
    for x in points:
        np.testing.assert_array_equal(x.reshape(-1, 2), np.tile(x[:2], (10, 1)))


def likelihood(p, data):
    """The negative log-likelihood of a normal distribution, with a penalty where it has none."""
    mu, sigma = p
    if sigma <= 0:
        return 1e10
    return len(data) * np.log(sigma) + ((data - mu) ** 2).sum() / (2 * sigma**2)


def slopes(p, data):
    mu, sigma = p
    if sigma <= 0:
        return np.zeros(2)
    away = data - mu
    return np.array([-away.sum() / sigma**2, len(data) / sigma - (away @ away) / sigma**3])


@pytest.mark.parametrize("jac", [None, slopes])
@pytest.mark.parametrize("options", WAYS[:4], ids=str)
def test_a_penalty_plateau_is_no_convergence(options, jac):
    rng = np.random.default_rng(1)
    for _ in range(5):
        data = rng.normal(3, 2, 30)
        result = minimize_rprop(likelihood, [0.0, 1.0], args=(data,), jac=jac, **options)
        np.testing.assert_allclose(result.x, [data.mean(), data.std()], rtol=1e-3)


def wavy(x):
    return float((x * x - 3 * np.cos(4 * x)).sum()), 2 * x + 12 * np.sin(4 * x)


def ripples(x):
    """Waves across the axes."""
    s, slope = x.sum(), 2 * x
    return float(x @ x + 2 * np.sin(5 * s)), slope + 10 * np.cos(5 * s)


@pytest.mark.parametrize("bounded", [False, True])
@pytest.mark.parametrize("options", WAYS, ids=str)
@pytest.mark.parametrize("fun", [wavy, ripples])
def test_the_point_returned_is_the_one_that_was_judged(fun, options, bounded):
    rng = np.random.default_rng(2)
    for n in (1, 2, 3, 5):
        for _ in range(4):
            watched = Watched(fun)
            bounds = [(-2.5, 3.0)] * n if bounded else None
            result = minimize_rprop(
                watched, rng.uniform(-2, 2, n), jac=True, bounds=bounds, **options
            )
            assert result.success
            assert result.fun == watched.lowest == fun(result.x)[0]
            assert (result.nfev, result.njev) == (watched.count, watched.count)
            box = (-2.5, 3.0) if bounded else (-np.inf, np.inf)
            assert not improves(fun, result.x, *box)


def test_batches_and_many_starts_are_as_honest():
    rng = np.random.default_rng(3)
    starts = rng.uniform(-4, 4, (20, 3))
    batch = minimize_batch(lambda X: (np.array([wavy(x)[0] for x in X]), wavy(X)[1]), starts)
    assert batch.success.all()
    for x in batch.x:
        assert not improves(wavy, x)
    many = multistart(wavy, [(-4, 4)] * 2, 16, jac=True, rng=0)
    assert not improves(wavy, np.atleast_2d(many.x)[0])


def wrong(fun):
    return lambda x: (fun(x)[0], -fun(x)[1])


BOWLS = [
    lambda x: (float(((x - 3) ** 2).sum()), 2 * (x - 3)),
    lambda x: (rosen(x), rosen_der(x)),
    lambda x: (float(np.log1p(x @ x)), 2 * x / (1 + x @ x)),
    lambda x: (float((x**4).sum() + 1e6), 4 * x**3),
]


@pytest.mark.parametrize("options", [*WAYS, {"delta0": 0.1}], ids=str)
@pytest.mark.parametrize("number", range(len(BOWLS)))
def test_a_gradient_of_the_wrong_sign_is_named(number, options):
    rng = np.random.default_rng(4)
    for _ in range(6):
        x0 = rng.uniform(-2, 2, 3)
        result = minimize_rprop(wrong(BOWLS[number]), x0, jac=True, maxfev=4000, **options)
        assert (result.status, result.success) == (9, False), x0
        assert "check_grad" in result.message


@pytest.mark.parametrize("at", [-2.0, 0.0, 0.3])
@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_a_start_at_a_kink_is_told_from_a_wrong_gradient(at, side):
    def fun(x):
        return float(abs(x - at).sum()), np.where(x == at, side, np.sign(x - at))

    result = minimize_rprop(fun, [at], jac=True)
    assert (result.status, result.success, result.x[0]) == (10, False, at)
    away = minimize_rprop(fun, [at + 1.7], jac=True)
    assert away.success
    assert abs(away.x[0] - at) < 1e-7


BOTTOMLESS = [
    lambda x: (-(x @ x), -2 * x),
    lambda x: (-x.sum(), -np.ones_like(x)),
    lambda x: (-np.exp(x).sum(), -np.exp(x)),
    lambda x: (x[0] ** 3 - x[1], np.array([3 * x[0] ** 2, -1.0])),
]


@pytest.mark.parametrize("options", [*WAYS[:4], {"delta0": 0.1}], ids=str)
@pytest.mark.parametrize("number", range(len(BOTTOMLESS)))
def test_no_lower_bound(number, options):
    with np.errstate(all="ignore"):
        result = minimize_rprop(BOTTOMLESS[number], [1.0, 2.0], jac=True, **options)
    assert (result.status, result.success) == (11, False)
    assert np.isfinite(result.x).all()
    with np.errstate(all="ignore"):
        guarded = minimize_rprop(BOTTOMLESS[number], [1.0, 2.0], jac=True, safeguard="armijo")
    assert not guarded.success


@pytest.mark.parametrize(
    ("x0", "message"),
    [([1.0, np.nan], r"x0 must be finite; got nan in x0\[1\]"), (np.inf, r"got inf in x0\[0\]")],
)
def test_a_start_that_is_not_finite(x0, message):
    with pytest.raises(ValueError, match=message):
        minimize_rprop(lambda x: (0.0, np.zeros_like(x)), x0, jac=True)


@pytest.mark.parametrize(
    ("bounds", "dtype"),
    [
        ((np.inf, np.inf), float),
        ((-np.inf, -np.inf), float),
        ((1e300, 2e300), np.float32),
        ((0.1, 0.1), np.float32),
    ],
)
def test_a_box_without_a_number(bounds, dtype):
    with pytest.raises(ValueError, match="bounds must leave room for a finite number of dtype"):
        minimize_rprop(lambda x: (x @ x, 2 * x), np.ones(1, dtype), jac=True, bounds=[bounds])


def test_nothing_is_left_to_evaluate():
    def fun(x):
        return float(abs(x - np.pi).sum()), np.where(x > np.pi, 1.0, -1.0)

    endless = {"maxiter": np.inf, "maxfev": 1000, "gtol": 0, "xtol": 0, "ftol": 0}
    for options in WAYS:
        result = minimize_rprop(fun, [1.0], jac=True, **endless, **options)
        assert abs(result.x[0] - np.pi) < 1e-15
        assert result.status in (2, 12), options
        assert not result.success


def test_a_minimum_is_no_reason_for_doubt():
    """Own stops of smooth functions are successes."""
    for options in WAYS:
        for fun in BOWLS[:1] + BOWLS[2:]:
            result = minimize_rprop(fun, [1.0, -0.7, 0.2], jac=True, **options)
            assert result.success, (options, result.message)


def test_every_status_has_a_message_and_advice():
    for status, (success, message, advice) in OUTCOMES.items():
        assert message.endswith(".")
        assert status < 0 or advice.endswith(".")
        assert isinstance(success, bool)


@pytest.mark.parametrize("unit", [1e-200, 1e-20, 1e-3, 1e30])
@pytest.mark.parametrize("options", [{}, {"variant": "irprop+"}])
def test_success_does_not_depend_on_the_unit_of_the_loss(unit, options):
    result = minimize_rprop(
        lambda x: (unit * rosen(x), unit * rosen_der(x)), [-1.2, 1.0], jac=True, **options
    )
    assert result.success
    np.testing.assert_allclose(result.x, 1, atol=1e-3)


@pytest.mark.parametrize("n", [5, 100, 300])
def test_a_run_whose_steps_get_shorter_has_not_stalled(n):
    """Kinks everywhere: the loss may rise for long, while the steps close in on the minimum."""

    def fun(x):
        size = np.abs(x)
        return float((size**1.01).sum()), 1.01 * np.sign(x) * size**0.01

    x0 = np.linspace(-2, 3, n)
    result = minimize_rprop(fun, x0, jac=True)
    assert result.success
    assert result.fun < 1e-8 * fun(x0)[0]


def test_the_size_of_the_loss_is_that_of_the_loss_gone_on_with():
    early = minimize_rprop(rosen, [-1.2, 1.0], jac=rosen_der, maxiter=5)
    with pytest.warns(RuntimeWarning, match="not the one in `state`"):
        late = minimize_rprop(
            lambda x: (1e-20 * rosen(x), 1e-20 * rosen_der(x)), early.x, jac=True, state=early.state
        )
    assert late.success
    np.testing.assert_allclose(late.x, 1, atol=1e-3)


@pytest.mark.parametrize("n", [2, 60])
@pytest.mark.parametrize(
    ("size", "dtype"),
    [(1e200, float), (1e-200, float), (2.0**83, np.float32), (1e-30, np.float32)],
)
def test_no_size_of_the_start_is_too_large_or_small_to_be_squared(size, dtype, n):
    points = []

    def fun(x):
        points.append(x)
        return float(np.log1p(abs(x) / size).sum()), np.sign(x) / (size + abs(x))

    x0 = (size * np.cos(np.arange(1, n + 1))).astype(dtype)
    result = minimize_rprop(fun, x0, jac=True, maxiter=60)
    assert np.isfinite(points).all()
    assert result.fun < 1e-2
