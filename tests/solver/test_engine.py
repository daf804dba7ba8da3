"""The engine against its slow twin: every point, every count and the end are the same to the bit."""

import copy
from dataclasses import replace

import numpy as np
import pytest

from rprop import VARIANTS
from rprop.rule.state import RpropState
from rprop.solver import directions, engine
from rprop.solver.run import Point, Settings
from rprop.solver.stopping import OUTCOMES

from .twin import RUNNING, Twin

INF = np.inf
PLAIN = {
    "variant": "irprop+", "etas": (0.5, 1.2), "step_sizes": (0.0, 1e100), "delta0": None,
    "learned": False, "secant": False, "safeguard": False, "gtol": None, "xtol": 1e-8,
    "ftol": 1e-14, "f_target": -INF, "maxiter": 110, "maxfev": INF,
}  # fmt: skip
LEARNED = {"learned": True, "secant": True, "etas": (0.4, 1.2)}
WAYS = [
    {},
    LEARNED,
    {"secant": True},
    {"learned": True, "variant": "irprop-"},
    {"delta0": 0.3, "variant": "rprop-", "gtol": 0.0},
    {"variant": "rprop+", "ftol": 0.0, "maxfev": 40},
    {"safeguard": True, "gtol": 0.0, "ftol": 0.0},
    {"safeguard": True, **LEARNED, "gtol": 0.0, "ftol": 1e-6},
    {"xtol": 0.02, "gtol": 0.0, "step_sizes": (1e-3, 0.5)},
    {"xtol": 0.02, "gtol": 0.0, **LEARNED},
    {"xtol": np.array([0.03, 0.01, 0.02, 0.1]), "gtol": 0.0},
    {"xtol": np.array([0.01, 0.03, 0.1, 0.02]), "gtol": 0.0, **LEARNED},
    {"delta0": 0.05, "f_target": -1.5, "ftol": 0.3},
]


class Tape:
    """A loss without any sense: the k-th evaluation gives the k-th of prepared values."""

    def __init__(self, seed, n, kind):
        rng = np.random.default_rng(seed)
        size = 400
        if kind == "few values":  # ties, plateaus, flips everywhere
            self.losses = rng.choice([2.0, 1.0, 1.0, 0.0, -1.0, -2.0], size)
            self.slopes = rng.choice([-1.0, -1.0, 0.0, 0.5, 2.0], (size, n))
        elif kind == "holes":
            self.losses = rng.choice([1.0, 0.5, 0.0, np.nan, INF, -INF], size, p=[.3, .2, .2, .2, .09, .01])  # fmt: skip
            self.slopes = rng.choice([-1.0, 0.0, 1.0, 3.0, np.nan], (size, n), p=[.3, .1, .3, .2, .1])  # fmt: skip
        elif kind == "stuck":  # the best point is soon found
            self.losses = np.r_[rng.normal(size=3) - 3, rng.choice([0.0, 1.0, np.nan], size - 3)]
            self.slopes = rng.normal(size=(size, n))
        else:  # falls, as a loss does
            self.losses = -np.arange(size) + rng.normal(size=size) * 2
            self.slopes = rng.normal(size=(size, n)) * 0.97 ** np.arange(size)[:, None]
        self.losses[0] = 1.25 if not np.isfinite(self.losses[0]) else self.losses[0]
        self.slopes[0] = np.where(np.isfinite(self.slopes[0]), self.slopes[0], 1.0)
        self.count = 0

    def __call__(self, x):
        self.count += 1
        k = (self.count - 1) % len(self.losses)
        return self.losses[k], self.slopes[k].copy()


def valley(x):
    """A curved valley with a cap."""
    u, v = x[0], x[-1]
    jac = np.zeros(len(x))
    jac[0], jac[-1] = 2 * (u - 1) - 40 * u * (v - u * u), 20 * (v - u * u)
    return (u - 1) ** 2 + 10 * (v - u * u) ** 2, jac


def turned(x):
    turn = np.eye(len(x)) + 0.4 * np.tri(len(x))
    scale = np.logspace(0, 2, len(x))
    z = turn @ x - 1
    return (scale * z * z).sum(), turn.T @ (2 * scale * z)


def kink(x):
    return np.abs(x - 0.3).sum(), np.where(x > 0.3, 1.0, -1.0)


def wrong(x):
    loss, jac = turned(x)
    return loss, -jac


def hole(x):
    loss, jac = valley(x)
    return (np.nan if x[0] > 0.4 else loss), jac


def far(x):
    """A plateau around a bowl."""
    inside = np.abs(x).max() < 3
    return (float(x @ x) if inside else 100.0), 2 * x * inside


SMOOTH = [valley, turned, kink, wrong, hole, far]
KINDS = ["few values", "holes", "stuck", "falls"]


def settings_of(way, n, box):
    """Return the settings of a twin and those of the engine."""
    given = PLAIN | way | {"variant": VARIANTS[(PLAIN | way)["variant"]]}
    delta0 = None if given["delta0"] is None else np.full(n, given["delta0"])
    if np.ndim(given["xtol"]):
        given["xtol"] = given["xtol"][:n]
    limits = {"exact": 4 * np.finfo(float).eps, "bottom": -(np.finfo(float).max ** 0.75)}
    low, high = given["step_sizes"]
    given["limited"] = np.min(high) < 1e100
    limits["extremes"] = np.min(low), np.max(high)
    own = {"delta0": delta0, "bounded": box is not None, "cost": np.int32(1)}
    ours = Settings(**given | limits | own)
    lower, upper = (np.full(n, -INF), np.full(n, INF)) if box is None else box
    twins = {**given, "delta0": delta0, "lower": lower, "upper": upper, "bounded": box is not None}
    return twins, ours


def a_box(rng, n):
    lower = rng.choice([-1.0, -0.2, 0.0], n)
    upper = lower + rng.choice([0.0, 0.5, 2.0, INF], n, p=[0.1, 0.3, 0.3, 0.3])
    return np.where((rng.random(n) < 0.3) & (upper > lower), -INF, lower), upper


def case(seed):
    """Return way, start, box and a maker of a function."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 5))
    x0 = rng.choice([0.0, 0.5, -1.0, 2.0, 0.7, -3.0], n)
    box = None
    if seed % 3 == 0:
        lower, upper = a_box(rng, n)
        box, x0 = (lower, upper), np.clip(x0, lower, upper)
    which = seed % (len(SMOOTH) + 2 * len(KINDS))
    if which < len(SMOOTH):
        return WAYS[seed % len(WAYS)], x0, box, lambda: SMOOTH[which]
    kind = KINDS[which % len(KINDS)]
    return WAYS[seed % len(WAYS)], x0, box, lambda: Tape(seed, n, kind)


class Recorded:
    def __init__(self, fun):
        self.fun, self.points = fun, []

    def __call__(self, x):
        self.points.append(x.tobytes())
        loss, jac = self.fun(x)
        return np.float64(loss), jac


def begun(fun, x0, box, ours):
    n = len(x0)
    lower, upper = (np.full(n, -INF), np.full(n, INF)) if box is None else box
    return engine.begin(np.int64(0), Point(x0, *fun(x0)), lower, upper, ours.delta0, ours)


def assert_same(run, twin, row=()):
    def of(values):
        return np.asarray(values)[row]

    for name in ("here", "last", "best"):
        for mine, theirs in zip(
            getattr(run, name), vars(getattr(twin, name)).values(), strict=True
        ):
            np.testing.assert_array_equal(of(mine), theirs, name)
    for name in ("slope", "unit", "gtol", "level", "waits", "blocked", "nfev", "status", "age"):
        np.testing.assert_array_equal(of(getattr(run, name)), getattr(twin, name), name)
    for name, mine, theirs in zip(RpropState._fields, run.state, twin.state, strict=True):
        np.testing.assert_array_equal(of(mine), theirs, name)
    assert run.nit == twin.nit
    np.testing.assert_array_equal(of(run.unseen), twin.unseen)


@pytest.mark.parametrize("way", range(len(WAYS)))
@pytest.mark.parametrize("kind", ["smooth", *KINDS])
def test_many_runs_are_as_many_single_ones(way, kind):
    k, n = 5, 3
    rng = np.random.default_rng(way)
    box = a_box(rng, n) if way % 2 else None
    X = rng.choice([0.0, 0.5, -1.0, 2.0, 0.7], (k, n))
    X = X if box is None else np.clip(X, *box)

    def make(i):
        return SMOOTH[i] if kind == "smooth" else Tape(100 * way + i, n, kind)

    theirs, ours = settings_of(WAYS[way], n, box)
    twins = [Twin(make(i), X[i], **theirs) for i in range(k)]
    for twin in twins:
        while twin.status == RUNNING:
            twin.advance()
    funs = [Recorded(make(i)) for i in range(k)]

    def evaluate(index, x):
        values = [funs[i](row) for i, row in zip(index, x, strict=True)]
        return np.array([v for v, _ in values]), np.array([g for _, g in values])

    index = np.arange(k)
    lower, upper = (theirs[side] + np.zeros((k, n)) for side in ("lower", "upper"))
    delta0 = None if ours.delta0 is None else ours.delta0 + np.zeros((k, n))
    run = engine.begin(index, Point(X, *evaluate(index, X)), lower, upper, delta0, ours)
    while True:
        for row in np.flatnonzero(run.status != RUNNING):
            twin = twins[run.index[row]]
            assert funs[run.index[row]].points == twin.points
            assert run.status[row] == twin.status
            for mine, theirs in zip(run.best, vars(twin.best).values(), strict=True):
                np.testing.assert_array_equal(mine[row], theirs)
            assert (run.nit, run.nfev[row]) == (twin.nit, twin.nfev)
        if not (run.status == RUNNING).any():
            break
        run = run.take(np.flatnonzero(run.status == RUNNING))
        engine.advance(run, evaluate, ours)


def follow(way, x0, box, make):
    """Go a whole run together with its twin, and return it."""
    theirs, ours = settings_of(way, len(x0), box)
    twin, fun = Twin(make(), x0, **theirs), Recorded(make())
    run = begun(fun, x0, box, ours)
    while run.status == RUNNING:
        engine.advance(run, lambda _, x: fun(x), ours)
        while twin.status == RUNNING:
            twin.advance()
            if not twin.searches():
                break
        assert_same(run, twin)
    assert twin.status != RUNNING
    assert fun.points == twin.points
    return run


@pytest.mark.parametrize("part", range(6))
def test_one_run(part):
    for seed in range(part, 198, 6):
        follow(*case(seed))


@pytest.mark.parametrize("way", range(len(WAYS)))
@pytest.mark.parametrize("fun", SMOOTH)
def test_a_run_that_goes_on_is_the_whole_one(way, fun):
    """Cut before its last iteration and before it asks the user anything, with its state kept."""
    x0 = np.array([-1.0, 0.7, 2.0])
    box = (np.array([-1.0, -1.0, 0.0]), np.array([0.5, 1.0, 2.0])) if way % 2 else None
    theirs, ours = settings_of(WAYS[way], len(x0), box)
    twin = Twin(fun, x0, **theirs)
    while twin.status == RUNNING:
        twin.advance()
    for stop in (1, 2, 9, 51, twin.nit - 1):
        run = begun(Recorded(fun), x0, box, ours)
        while run.status == RUNNING and run.nit < stop:
            engine.advance(run, lambda _, x: Recorded(fun)(x), ours)
        if run.status != RUNNING:  # it has ended, and going on is another run
            continue
        before, spent = copy.deepcopy(vars(run)), run.nfev
        short = replace(ours, maxiter=ours.maxiter - run.nit, maxfev=ours.maxfev - spent + 1)
        again = Point(run.best.x, *Recorded(fun)(run.best.x))
        rest, changed = engine.resume(run, again, short)
        assert not changed
        while rest.status == RUNNING:
            engine.advance(rest, lambda _, x: Recorded(fun)(x), short)
        assert rest.status == twin.status
        np.testing.assert_array_equal(rest.best.x, twin.best.x)
        assert (before["nit"] + rest.nit, spent + rest.nfev - 1) == (twin.nit, twin.nfev)
        np.testing.assert_equal(vars(run), before)  # the old run is not written to


@pytest.mark.parametrize("way", range(len(WAYS)))
def test_another_loss_begins_anew_with_the_old_step_sizes(way):
    theirs, ours = settings_of(WAYS[way], 2, None)
    run = begun(Recorded(turned), np.array([2.0, -1.0]), None, ours)
    while run.nit < 3 or (ours.learned and not run.directions.values.any()):
        engine.advance(run, lambda _, x: Recorded(turned)(x), ours)
    loss, jac = Recorded(valley)(run.best.x)
    again = Point(run.best.x, loss * 2.0**-20, jac * 2.0**-20)
    steep = np.abs(again.jac).max()
    rest, changed = engine.resume(run, again, ours)
    assert changed
    for known in (rest.here, rest.last, rest.best):
        for mine, theirs in zip(known, again, strict=True):
            np.testing.assert_array_equal(mine, theirs)
    np.testing.assert_array_equal(rest.state.delta, run.state.delta)
    assert not rest.state.prev_sign.any()
    assert not rest.state.prev_update.any()
    assert np.isnan(rest.state.prev_loss)
    np.testing.assert_array_equal(rest.slope, again.jac)
    for along in [rest.along, rest.last_along][: 1 + ours.secant]:
        np.testing.assert_array_equal(along, directions.slopes_along(rest))
    assert rest.steep == steep
    assert rest.gtol == (1e-8 * min(1, steep) if ours.gtol is None else ours.gtol)
    assert rest.scale == min(1, again.fun)
    assert (rest.level, rest.waits, rest.blocked) == (again.fun, 0, False)
    # A guessed step size is searched for again, beginning with those that there are.
    assert rest.search.phase == (ours.delta0 is None)
    if ours.delta0 is None:
        delta = run.state.delta
        delta = directions.lengths(run.directions, delta) if ours.learned else delta
        assert rest.search.factor == max(delta) / max(run.unit)
    assert (rest.nit, rest.nfev, rest.status) == (0, 1, RUNNING)


def test_another_loss_that_is_not_finite_ends_the_run():
    _, ours = settings_of({}, 2, None)
    run = begun(Recorded(turned), np.array([2.0, -1.0]), None, ours)
    engine.advance(run, lambda _, x: Recorded(turned)(x), ours)
    for again in (
        Point(run.best.x, np.float64(np.nan), run.best.jac),
        Point(run.best.x, run.best.fun, np.array([0.0, np.inf])),
    ):
        rest, changed = engine.resume(run, again, ours)
        assert (rest.status, changed) == (3, False)


def test_which_ends_are_successes():
    assert {code for code, (success, *_) in OUTCOMES.items() if success} == {0, 4, 5, 6, 7}
    assert sorted(OUTCOMES) == [RUNNING, *range(15), 99]
