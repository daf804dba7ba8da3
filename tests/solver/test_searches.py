"""The guess of the first step against the twin's, and searches where few runs get to."""

from dataclasses import replace

import numpy as np
import pytest

from rprop.solver import engine, first_step, safeguard
from rprop.solver.run import Point, Spacer

from . import twin
from .test_engine import (
    RUNNING,
    Recorded,
    begun,
    follow,
    hole,
    kink,
    settings_of,
    turned,
    valley,
    wrong,
)

INF = np.inf
TINY = 1000 * np.finfo(float).tiny


def starts(n):
    """Yield starts and boxes of n variables, of numbers that sums and differences leave exact."""
    rng = np.random.default_rng(n)
    for k in range(24):
        x = rng.choice([0.0, 0.5, -0.625, 1.0, 3.0, -7.0, 1024.0], n)
        x = np.where(rng.random(n) < k / 24, 0, x)
        lower = x - rng.choice([0.0, 0.25, 2.0, INF], n, p=[0.2, 0.2, 0.2, 0.4])
        upper = x + rng.choice([0.0, 0.125, 1.0, INF], n, p=[0.2, 0.2, 0.2, 0.4])
        yield x, lower, upper


@pytest.mark.parametrize("n", [1, 2, 3, 9, 10, 11, 12, 30])
@pytest.mark.parametrize("dtype", [float, np.float32])
def test_a_guess_is_a_tenth_of_the_start_and_at_most_of_the_box(n, dtype):
    given = [[side.astype(dtype) for side in start] for start in starts(n)]
    found = first_step.guess(*map(np.array, zip(*given, strict=True)))
    assert found.dtype == dtype
    for row, start in zip(found, given, strict=True):
        np.testing.assert_array_equal(row, first_step.guess(*start))
        if n <= 10 or dtype is float:  # factors of many variables are as exact as these
            expected = twin.guess(*(side.astype(float) for side in start))
            np.testing.assert_array_equal(row, expected.astype(dtype))


@pytest.mark.parametrize("nothing", [TINY, -TINY, 5e-324, INF, -INF])
def test_a_guess_takes_what_is_hardly_a_number_for_0(nothing):
    free = np.full(3, -INF), np.full(3, INF)
    x = np.array([2.0, nothing, 5.0])
    np.testing.assert_array_equal(
        first_step.guess(x, *free), twin.guess(np.array([2, 0, 5.0]), *free)
    )
    x[1] = np.nextafter(TINY, 1)
    np.testing.assert_array_equal(first_step.guess(x, *free), twin.guess(x, *free))


def test_a_box_wider_than_any_number_limits_nothing():
    x, side = np.array([3.0, 1e308]), np.full(2, 1.7e308)
    found = first_step.guess(x, -side, side)
    np.testing.assert_array_equal(found, first_step.guess(x, -INF * side, INF * side))


@pytest.mark.parametrize("moved", [0, 0.5])
def test_a_search_is_as_exact_for_single_precision(moved):
    """Its factor is a float64, whatever the parameters are."""
    _, ours = settings_of({}, 2, None)
    x = np.array([2.0, -1.0], np.float32)
    run = begun(Recorded(turned), x, None, ours)
    run = replace(run, here=run.here._replace(x=x + np.float32(moved)))
    first_step.search_again(run, np.True_, np.int8(4), ours)
    assert run.search.factor.dtype == np.float64
    assert run.unit.dtype == run.here.x.dtype == np.float32
    other = Point(run.best.x, *Recorded(valley)(run.best.x))
    assert engine.resume(run, other, ours)[0].search.factor.dtype == np.float64


def of_rows(fun, x):
    values = [fun(row) for row in x]
    return np.array([loss for loss, _ in values]), np.array([slope for _, slope in values])


@pytest.mark.parametrize(("ages", "nit"), [([0, 0], 1), ([0, 3], 0), ([3, 0], 0), ([3, 3], 0)])
def test_the_first_search_is_an_iteration_where_no_run_is_older(ages, nit):
    _, ours = settings_of({}, 2, None)
    x = np.array([[2.0, -1.0], [0.5, 3.0]])
    side = np.full((2, 2), INF)
    run = engine.begin(np.arange(2), Point(x, *of_rows(turned, x)), -side, side, None, ours)
    run.age = np.array(ages, np.int32)
    engine.advance(run, lambda _, x: of_rows(turned, x), ours)
    assert run.nit == nit
    assert run.age.tolist() == [age + nit for age in ages]


def test_what_is_known_is_not_written_to():
    """Of three trials two are new; whoever holds the points of before still has them."""
    x = np.arange(6.0).reshape(3, 2)
    known = Point(x + 10, *of_rows(turned, x + 10))
    for part in known:
        part.flags.writeable = False
    asked = []

    def evaluate(index, x):
        asked.append(index.tolist())
        return of_rows(turned, x)

    trial = engine.Trial(x, None, np.array([True, False, True]), known)
    there = engine.measure(evaluate, np.array([7, 8, 9]), trial)
    assert asked == [[7, 9]]
    fun, jac = of_rows(turned, x)
    fun[1], jac[1] = known.fun[1], known.jac[1]
    for found, expected in zip(there, (x, fun, jac), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("fixed", "status"), [([0, 1], 7), ([0], RUNNING)])
def test_nothing_moves_where_all_is_fixed(fixed, status):
    x = np.array([2.0, -1.0])
    lower = np.where([i in fixed for i in range(2)], x, -INF)
    _, ours = settings_of({}, 2, (lower, -lower))
    upper = np.where(lower == x, x, INF)
    assert begun(Recorded(turned), x, (lower, upper), ours).status == status


@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize("way", [{}, {"learned": True, "secant": True, "safeguard": True}])
def test_what_there_is_of_each_run_keeps_its_kind(many, way):
    """From the first moment on, so that a state takes as little memory as it may."""
    _, ours = settings_of({**way, "gtol": 0.0, "ftol": 1e-3}, 2, None)
    x = np.array([[-1.2, 1.0], [0.5, 3.0], [2.0, -1.0]])

    def evaluate(_, x):
        return of_rows(valley, x) if many else Recorded(valley)(x)

    x = x if many else x[0]
    side, index = np.full(x.shape, INF), np.arange(3) if many else np.int64(0)
    run = engine.begin(index, Point(x, *evaluate(0, x)), -side, side, None, ours)
    for k in range(60):
        kinds = {
            "int32": [run.waits, run.unseen, run.nfev, run.age],
            "int8": [run.status, run.search.phase, run.search.reason, run.state.prev_sign],
            "bool": [run.blocked, run.search.rose, run.search.lost],
            "float64": [run.steep, run.gtol, run.scale, run.level, run.reach, run.search.factor],
        }
        for kind, values in kinds.items():
            assert [value.dtype for value in values] == [kind] * len(values)
            assert [value.shape for value in values[:3]] == [x.shape[:-1]] * 3
        if (run.status != RUNNING).any():
            break
        engine.advance(run, evaluate, ours)
        if k == 20:
            run, _ = engine.resume(run, run.best, ours)
    assert k > 20


def test_a_first_step_too_short_to_move_ends_the_run():
    run = follow({"step_sizes": (0.0, 1e-3)}, np.array([1e20, -3e19]), None, lambda: turned)
    assert (run.status, run.nit, run.nfev) == (12, 1, 1)


@pytest.mark.parametrize("fun", [turned, kink, wrong, hole])
@pytest.mark.parametrize("maxfev", [1, 2, 3, 5, 8, 13, 21])
def test_no_search_takes_more_evaluations_than_there_may_be(fun, maxfev):
    run = follow({"maxfev": maxfev, "delta0": None}, np.array([0.3, -2.0]), None, lambda: fun)
    assert run.nfev <= maxfev


@pytest.mark.parametrize("phase", [first_step.LOOK, first_step.SHRINK, first_step.GROW, first_step.OPPOSITE])  # fmt: skip
@pytest.mark.parametrize("reason", [4, 10])
def test_a_run_that_has_ended_is_left_alone_while_others_search(phase, reason):
    _, ours = settings_of({}, 2, None)
    x = np.array([[2.0, -1.0], [0.5, 3.0]])
    side = np.full((2, 2), INF)
    run = engine.begin(np.arange(2), Point(x, *of_rows(turned, x)), -side, side, None, ours)
    run.status = np.array([2, RUNNING], np.int8)
    run.search = run.search._replace(
        phase=np.array([phase, first_step.LOOK]), reason=np.array([reason, 10], np.int8)
    )
    before = [*run.here, *run.last, *run.best, *run.state, *run.search, run.status, run.nfev]
    asked = []
    for _ in range(3):
        trial = engine.propose(run, ours)
        asked.append(trial.new.tolist())
        engine.absorb(run, trial, Point(trial.x, *of_rows(turned, trial.x)), ours)
        if not engine.searches(run).any():
            break
    after = [*run.here, *run.last, *run.best, *run.state, *run.search, run.status, run.nfev]
    assert asked == [[False, True]] * len(asked)
    for now, then in zip(after, before, strict=True):
        np.testing.assert_array_equal(now[0], then[0])


def test_a_run_goes_on_to_the_gtol_of_now():
    _, ours = settings_of({}, 2, None)
    run = begun(Recorded(turned), np.array([2.0, -1.0]), None, ours)
    assert run.gtol == 1e-8
    rest, _ = engine.resume(run, run.best, replace(ours, gtol=0.125))
    assert rest.gtol == 0.125
    assert engine.resume(rest, rest.best, ours)[0].gtol == 0.125  # none is given


def test_the_shortest_step_of_the_safeguard_is_that_of_the_first_iteration():
    """Where it is known it stays, whatever it is; the others learn it now."""
    _, ours = settings_of({"safeguard": True}, 2, None)
    x = np.array([[2.0, -1.0], [0.5, 3.0], [1.0, 1.0]])
    side = np.full((3, 2), INF)
    run = engine.begin(np.arange(3), Point(x, *of_rows(turned, x)), -side, side, None, ours)
    nothing = np.zeros(3)
    run.spacer = Spacer(nothing, np.array([2.0**-30, 0.0, 8.0]), nothing > 0)
    safeguard.replace(run, x, run.state)
    suits = max(run.state.delta[1]) / max(abs(run.slope[1]))
    assert run.spacer.floor.tolist() == [2.0**-30, suits, 8]


@pytest.mark.parametrize("now", [{}, {"secant": True}, {"secant": True, "learned": True}])
@pytest.mark.parametrize("then", [{}, {"secant": True}])
@pytest.mark.parametrize("n", [2, 60])
def test_secant_moves_begin_with_the_slope_where_none_is_known_along_the_steps(then, now, n):
    (_, before), (_, ours) = (settings_of({"delta0": 0.01, **way}, n, None) for way in (then, now))
    run = begun(Recorded(turned), np.ones(n), None, before)
    for _ in range(2):
        engine.advance(run, lambda _, x: Recorded(turned)(x), before)
    rest, _ = engine.resume(run, run.best, ours)
    if "secant" in now:
        known = "secant" in then and run.along.shape == rest.along.shape
        expected = run.last_along if known else rest.along
        np.testing.assert_array_equal(rest.last_along, expected)
    else:
        assert rest.last_along is None
    engine.advance(rest, lambda _, x: Recorded(turned)(x), ours)
    assert rest.best.fun < run.best.fun


@pytest.mark.parametrize(
    ("fall", "ftol", "status"),
    [(2.0**-51, 0.0, 10), (2.0**-50, 0.0, 10), (2.0**-49, 0.0, 9), (2.0**-49, 1e-14, 10), (2.0**-46, 1e-14, 9)],
)  # fmt: skip
@pytest.mark.parametrize("unit", [1, 2.0**10])
def test_a_loss_that_falls_by_rounding_only_shows_no_wrong_gradient(fall, ftol, status, unit):
    """4 ε and ftol, relative to the loss, are no fall yet."""

    def step(x):
        return unit * (1.0 if x == 3 else 2.0 if x < 3 else 1 - fall), np.ones(1)

    assert follow({"ftol": ftol}, np.array([3.0]), None, lambda: step).status == status


@pytest.mark.parametrize(("kept", "grows"), [(0.85, False), (0.9, False), (0.95, True)])
def test_a_first_step_grows_where_more_than_nine_tenths_of_the_slope_are_left(kept, grows):
    def falling(x):
        return 1 - x[0], np.array([-1.0 if x[0] == 1 else -kept])

    run = follow({"maxiter": 1}, np.ones(1), None, lambda: falling)
    assert (run.nfev > 2) == grows


def test_a_search_remembers_what_it_saw_first():
    """Only where no step shows in the loss is there a number."""

    def tiny(x):
        return (1.0 if abs(x[0] - 1) < 1e-15 else np.nan), np.ones(1)

    assert follow({}, np.ones(1), None, lambda: tiny).status == 8


@pytest.mark.parametrize(
    ("way", "status"),
    [({"gtol": 0.0, "ftol": 0.0}, 4), ({"gtol": 0.0, "xtol": 0.0, "ftol": 1e-6}, 5)],
)
def test_a_run_that_a_search_has_ended_searches_again_before_any_step(way, status):
    """Whoever goes on from an end hears of the same end, at the same point."""
    _, ours = settings_of({"maxiter": 500, **way}, 2, None)
    run = begun(Recorded(kink), np.array([2.0, -1.0]), None, ours)
    while run.status == RUNNING:
        engine.advance(run, lambda _, x: Recorded(kink)(x), ours)
    assert (run.status, run.search.phase) == (status, first_step.DONE)
    rest, _ = engine.resume(run, run.best, ours)
    assert rest.status == RUNNING
    assert engine.searches(rest)
    assert rest.search.reason == status
    engine.advance(rest, lambda _, x: Recorded(kink)(x), ours)
    assert rest.status == status
    np.testing.assert_array_equal(rest.best.x, run.best.x)
    # Of many, those that ended so, while others take a step first.
    statuses = np.array([status, 1, 99, RUNNING, status], np.int8)
    x = np.tile([2.0, -1.0], (5, 1))
    side = np.full(x.shape, INF)
    many = engine.begin(np.arange(5), Point(x, *of_rows(kink, x)), -side, side, None, ours)
    while (many.status == RUNNING).any():
        engine.advance(many, lambda _, x: of_rows(kink, x), ours)
    many.status = statuses
    going_on, _ = engine.resume(many, many.best, ours)
    assert going_on.search.phase.dtype == np.int8
    ended = statuses == status
    expected = np.where(ended, first_step.LOOK, first_step.DONE)
    np.testing.assert_array_equal(going_on.search.phase, expected)
    np.testing.assert_array_equal(many.search.phase, first_step.DONE)
