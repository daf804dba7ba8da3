"""Runs in which what is left becomes one direction: beside the twin, in company, cut and resumed.

That they do become so is asserted wherever it matters; `joint` tells it.
"""

import pickle
from dataclasses import replace

import numpy as np
import pytest

from rprop import Minimizer, minimize_batch, minimize_rprop
from rprop.solver import engine
from rprop.solver.directions import MOST, PERIOD
from rprop.solver.run import Point

from .batches import KEYS
from .test_engine import LEARNED, Recorded, begun, follow, settings_of
from .twin import RUNNING, Twin

N = 70


def chain(x):
    """Springs in a row between two walls, under load: all bend alike."""
    stretch = np.diff(x, prepend=0, append=0)
    return (stretch * stretch).sum() / 2 - x.mean(), stretch[:-1] - stretch[1:] - 1 / len(x)


def stiff(x):
    """The same of springs that get stiffer, without a load."""
    stretch = np.diff(x, prepend=0, append=0)
    pull = stretch + 4 * stretch**3
    return (stretch**2 / 2 + stretch**4).sum(), pull[:-1] - pull[1:]


def uneven(x):
    """The same as the chain, of springs from soft to hard, which do not bend alike."""
    stretch = np.diff(x, prepend=0, append=0)
    pull = np.logspace(0, 3, len(stretch)) * stretch
    return (stretch * pull).sum() / 2, pull[:-1] - pull[1:]


def bowl(x):
    """All bends alike, but the axes are good enough."""
    return ((x - 1) ** 2).sum(), 2 * (x - 1)


def torn(x):
    """A chain that is not defined where a spring is stretched and another one is not."""
    loss, jac = chain(x)
    return (np.nan if x[3] > 0.35 > x[4] else loss), jac


class Broken:
    """A loss that is not finite now and then."""

    def __init__(self, fun):
        self.fun, self.count = fun, 0

    def __call__(self, x):
        self.count += 1
        loss, jac = self.fun(x)
        if self.count in (31, 40):
            loss = np.nan
        if self.count == 52:
            jac = np.where(np.arange(len(x)) == 7, np.inf, jac)
        return loss, jac


def a_start(seed, n=N):
    return np.random.default_rng(seed).normal(size=n)


def a_box(seed, n=N):
    rng = np.random.default_rng(seed)
    sides = (rng.random(n) < 0.3, rng.random(n) < 0.3)
    return np.where(sides[0], -0.2, -np.inf), np.where(sides[1], 0.3, np.inf)


WAYS = [
    {},
    {"variant": "irprop-"},
    {"variant": "rprop-", "gtol": 0.0},
    {"variant": "rprop+", "delta0": 0.3, "ftol": 1e-3},
    {"safeguard": True, "gtol": 0.0},
    {"step_sizes": (1e-3, 0.2)},
    {"xtol": 0.02, "gtol": 0.0},
]


@pytest.mark.parametrize(("way", "boxed"), [(way, i % 2 == 0) for i, way in enumerate([*WAYS, {}])], ids=str)  # fmt: skip
def test_a_run_is_that_of_the_twin(way, boxed):
    fun, n = (stiff, 55) if boxed else (chain, N)
    x0, box = a_start(n, n), a_box(n, n) if boxed else None
    x0 = np.clip(x0, *box) if boxed else x0
    run = follow(LEARNED | {"maxiter": 70} | way, x0, box, lambda: Recorded(fun))
    assert run.directions.joint
    assert run.nit > 20


@pytest.mark.parametrize("boxed", [False, True])
@pytest.mark.parametrize("fun", [chain, stiff])
def test_a_run_that_retreats_is_that_of_the_twin(fun, boxed):
    """Losses and gradients that are not finite, when it is one direction already."""
    box = a_box(2) if boxed else None
    x0 = np.clip(a_start(5), *box) if boxed else a_start(5)
    run = follow(LEARNED | {"maxiter": 70}, x0, box, lambda: Broken(fun))
    assert run.directions.joint
    assert run.nfev > 52
    early = begun(Recorded(fun), x0, box, settings_of(LEARNED, N, box)[1])
    while early.nfev < 30:
        engine.advance(early, lambda _, x: Recorded(fun)(x), settings_of(LEARNED, N, box)[1])
    assert early.directions.joint


@pytest.mark.parametrize("n", [3, N])
@pytest.mark.parametrize("boxed", [False, True])
@pytest.mark.parametrize(("learned", "secant"), [(True, False), (True, True), (False, True)])
def test_no_step_is_longer_than_its_limit(n, boxed, learned, secant):
    """That of every coordinate is its own, whatever the directions are, and some steps are as long."""
    longest = np.where(np.arange(n) % 2, 0.01, 0.3)
    box = a_box(n, n) if boxed else None
    x0 = np.clip(a_start(n, n), *box) if boxed else a_start(n, n)
    way = LEARNED | {"step_sizes": (0.0, longest), "learned": learned, "secant": secant}
    way["maxiter"] = 50
    follow(way, x0, box, lambda: Recorded(stiff))
    _, ours = settings_of(way, n, box)
    run, full = begun(Recorded(stiff), x0, box, ours), np.zeros(n, bool)
    while run.status == RUNNING:
        part = abs(engine.propose(run, ours).x - run.here.x) / longest
        assert (part <= 1 + 1e-12).all()
        full |= part > 1 - 1e-12
        engine.advance(run, lambda _, x: Recorded(stiff)(x), ours)
    assert full.any()


@pytest.mark.parametrize("n", [3, N])
@pytest.mark.parametrize("longest", [0.1, [0.1, 0.01]])
def test_limits_of_steps_keep_single_precision(n, longest):
    """No point in double precision is asked for, and rows are runs alone."""
    longest = np.resize(longest, n) if np.ndim(longest) else longest
    X0 = np.stack([a_start(i, n) for i in range(3)]).astype(np.float32)

    def fun(x):
        assert x.dtype == np.float32
        return stiff(x.astype(float))

    given = {"step_sizes": (0.0, longest), "maxiter": 25}
    batch = minimize_batch(rows_of([stiff] * 3), X0, (np.arange(3),), in_axes=0, **given)
    for i, x0 in enumerate(X0):
        alone = minimize_rprop(fun, x0, jac=True, **given)
        assert alone.x.dtype == np.float32
        np.testing.assert_array_equal(batch.x[i], alone.x)


@pytest.mark.parametrize(("secant", "learned"), [(False, True), (True, False)])
def test_without_secants_or_directions_nothing_joins(secant, learned):
    run = follow(
        {"secant": secant, "learned": learned, "maxiter": 30},
        a_start(N),
        None,
        lambda: Recorded(chain),
    )
    assert run.directions is None or not run.directions.joint


FUNS = [chain, uneven, bowl, stiff, torn]
SEEDS = [0, 3, 2, 5, 5]


@pytest.mark.parametrize("boxed", [False, True])
def test_many_runs_are_as_many_twins(boxed):
    """Of five, two are joint soon and one that retreats a little later.

    One turns without being one, and one keeps to its axes.
    """
    box = a_box(2) if boxed else None
    X = np.stack([a_start(seed) for seed in SEEDS])
    X = np.clip(X, *box) if boxed else X
    theirs, ours = settings_of(LEARNED, N, box)
    twins = [Twin(fun, x, **theirs) for fun, x in zip(FUNS, X, strict=True)]
    for twin in twins:
        while twin.status == RUNNING:
            twin.advance()
    joint = [bool(twin.directions.joint) for twin in twins]
    assert joint == [True, False, False, True, True]
    funs = [Recorded(fun) for fun in FUNS]

    def evaluate(index, x):
        values = [funs[i](row) for i, row in zip(index, x, strict=True)]
        return np.array([v for v, _ in values]), np.array([g for _, g in values])

    lower, upper = (theirs[side] + np.zeros((5, N)) for side in ("lower", "upper"))
    run = engine.begin(
        np.arange(5), Point(X, *evaluate(range(5), X)), lower, upper, ours.delta0, ours
    )
    while len(run.index):
        engine.advance(run, evaluate, ours)
        if run.nit == 12:
            soon = dict(zip(run.index.tolist(), run.directions.joint.tolist(), strict=True))
            assert (soon[0], soon[1], soon[3], soon[4]) == (True, False, True, False)
        for row in np.flatnonzero(run.status != RUNNING):
            i = run.index[row]
            assert funs[i].points == twins[i].points
            assert (run.status[row], run.nit) == (twins[i].status, twins[i].nit)
            np.testing.assert_array_equal(run.best.x[row], twins[i].best.x)
            assert run.directions.joint[row] == joint[i]
        run = run.take(np.flatnonzero(run.status == RUNNING))


def rows_of(funs):
    """Return a function of many rows, of which each has its own."""

    def fun(X, which):
        pairs = [funs[i](x.astype(float)) for i, x in zip(which, X, strict=True)]
        return np.array([p[0] for p in pairs]), np.array([p[1] for p in pairs])

    return fun


BOUNDS = [(-0.5, 0.6)] * N


@pytest.mark.parametrize(
    ("dtype", "bounds"),
    [(np.float32, None), (np.float32, BOUNDS), (np.float64, BOUNDS), (np.longdouble, None)],
)
def test_rows_are_runs_alone_in_any_precision(dtype, bounds):
    """In one piece, and in two, of which the second goes on in the midst of joint runs."""
    X0 = np.stack([a_start(seed) for seed in SEEDS]).astype(dtype)
    options = {"bounds": bounds}
    given = options | {"args": (np.arange(5),), "in_axes": 0, "return_state": True}
    batch = minimize_batch(rows_of(FUNS), X0, **given, maxiter=60)
    part = minimize_batch(rows_of(FUNS), X0, **given, maxiter=33)
    state = pickle.loads(pickle.dumps(part.state))
    rest = minimize_batch(rows_of(FUNS), None, **given, state=state, maxiter=60 - 33)
    joint, soon = [], []
    for i, fun in enumerate(FUNS):

        def one(x, fun=fun):
            return fun(x.astype(float))

        alone = minimize_rprop(one, X0[i], jac=True, maxiter=60, **options)
        joint.append(bool(alone.state.directions.joint))
        early = minimize_rprop(one, X0[i], jac=True, maxiter=12, **options)
        soon.append(bool(early.state.directions.joint))
        for key in KEYS:
            np.testing.assert_array_equal(batch[key][i], alone[key], err_msg=f"{key} of row {i}")
        assert batch.x.dtype == alone.x.dtype == dtype
        for key in ("x", "fun", "status"):
            np.testing.assert_array_equal(rest[key][i], alone[key], err_msg=f"{key} of row {i}")
    assert joint == [True, False, False, True, True]
    assert soon == [True, False, False, True, bounds is not None]


@pytest.mark.parametrize("boxed", [False, True])
def test_a_run_that_goes_on_is_the_whole_one(boxed):
    """Cut at any time between two renewals and pickled; the old run is not written to."""
    box = a_box(2) if boxed else None
    x0 = np.clip(a_start(5), *box) if boxed else a_start(5)
    theirs, ours = settings_of(LEARNED, N, box)
    twin = Twin(stiff, x0, **theirs)
    while twin.status == RUNNING:
        twin.advance()
    run, cuts, phases = begun(Recorded(stiff), x0, box, ours), 0, set()
    while run.status == RUNNING:
        if run.nit % 13 == 8 and run.directions.joint:
            cuts += 1
            phases.add(int(run.directions.collected))
            kept = pickle.dumps(run)
            short = replace(ours, maxiter=ours.maxiter - run.nit)
            again = Point(run.best.x, *Recorded(stiff)(run.best.x))
            rest, changed = engine.resume(pickle.loads(kept) if cuts % 2 else run, again, short)
            assert not changed
            while rest.status == RUNNING:
                engine.advance(rest, lambda _, x: Recorded(stiff)(x), short)
            assert (rest.status, run.nit + rest.nit) == (twin.status, twin.nit)
            np.testing.assert_array_equal(rest.best.x, twin.best.x)
            np.testing.assert_equal(vars(run), vars(pickle.loads(kept)))
        engine.advance(run, lambda _, x: Recorded(stiff)(x), ours)
    assert phases == set(range(PERIOD))


def test_a_run_may_leave_its_one_direction_and_take_it_again():
    """Resumed without secant moves it goes on along the axes, and with them along its slope."""
    early = minimize_rprop(chain, a_start(0), jac=True, maxiter=30)
    assert early.state.directions.joint
    plain = minimize_rprop(chain, None, jac=True, state=early.state, secant=False, maxiter=20)
    again = minimize_rprop(chain, None, jac=True, state=plain.state)
    assert again.success
    assert again.fun < plain.fun < early.fun
    axes = minimize_rprop(chain, None, jac=True, state=early.state, basis=None, maxiter=20)
    assert axes.state.directions is None
    assert not minimize_rprop(
        chain, None, jac=True, state=axes.state, maxiter=2
    ).state.directions.joint


# What it says of its end.

SIDE = 12


def poisson(x):
    """A membrane over a square, under load."""
    u = np.pad(x.reshape(SIDE, SIDE), 1)
    across, down = np.diff(u, axis=1), np.diff(u, axis=0)
    loss = (across * across).sum() / 2 + (down * down).sum() / 2 - x.mean()
    jac = 4 * u[1:-1, 1:-1] - u[:-2, 1:-1] - u[2:, 1:-1] - u[1:-1, :-2] - u[1:-1, 2:]
    return loss, jac.ravel() - 1 / x.size


# The eigenvalues of its Hessian are sums of two of a row's, 4 sin²(i π / 2 (SIDE + 1)).
SMALLEST = 8 * np.sin(np.pi / (2 * (SIDE + 1))) ** 2


@pytest.mark.parametrize(
    ("options", "status"),
    [({}, 0), ({"gtol": 0, "xtol": 1e-6}, 4), ({"gtol": 0, "xtol": 0, "ftol": 1e-9}, 5)],
)
@pytest.mark.parametrize("seed", range(3))
def test_a_success_is_one(options, status, seed):
    """The returned point is the best of all evaluated, and as near as its slope says."""
    losses = []

    def fun(x):
        loss, jac = poisson(x)
        losses.append(loss)
        return loss, jac

    x0 = a_start(seed, SIDE**2)
    result = minimize_rprop(fun, x0, jac=True, **options)
    assert result.state.directions.joint
    assert (result.status, result.success) == (status, True)
    loss, jac = poisson(result.x)
    assert result.fun == loss == min(losses)
    np.testing.assert_array_equal(result.jac, jac)
    steep = abs(poisson(x0)[1]).max()
    assert abs(jac).max() <= (1e-8 * min(1, steep) if not options else 1e-4 * steep)
    H = np.array([poisson(e)[1] - poisson(0 * e)[1] for e in np.eye(SIDE**2)])
    solution = np.linalg.solve(H, np.full(SIDE**2, 1 / SIDE**2))
    away = np.linalg.norm(result.x - solution)
    assert away <= np.linalg.norm(jac) / SMALLEST * (1 + 1e-9) + 1e-14


def test_no_success_before_the_end():
    result = minimize_rprop(poisson, a_start(0, SIDE**2), jac=True, maxiter=40)
    assert result.state.directions.joint
    assert (result.success, result.status) == (False, 1)


def test_no_bound_is_ever_left():
    lower, upper = a_box(3)
    seen = []

    def fun(x):
        assert ((lower <= x) & (x <= upper)).all()
        seen.append(x.copy())
        return chain(x)

    result = minimize_rprop(fun, np.clip(a_start(3), lower, upper), jac=True, bounds=list(zip(lower, upper, strict=True)))  # fmt: skip
    assert result.state.directions.joint
    assert result.success
    # Some coordinates have come to a bound, and some have left it again.
    at = np.array([(x == lower) | (x == upper) for x in seen])
    assert at[-1].any()
    assert (at.any(axis=0) & ~at[-1]).any()
    x, jac = result.x, result.jac
    free = np.where(((x == lower) & (jac > 0)) | ((x == upper) & (jac < 0)), 0, jac)
    assert abs(free).max() <= 1e-8


def test_ask_and_tell_is_the_same_run():
    whole = minimize_rprop(chain, a_start(4), jac=True)
    opt = Minimizer(a_start(4))
    for i in range(whole.nfev):
        opt.tell(*chain(opt.ask()))
        if i % 7 == 3:
            opt = pickle.loads(pickle.dumps(opt))
    assert opt.ask() is None
    assert opt.result.state.directions.joint
    assert opt.result.x.tobytes() == whole.x.tobytes()


def test_few_variables_have_no_rest():
    result = minimize_rprop(chain, a_start(0, MOST), jac=True)
    assert not result.state.directions.joint
