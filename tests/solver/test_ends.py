"""What the twin's runs do not reach: thresholds to the bit, dtypes on the way, an idle run."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize, rosen, rosen_der

from rprop import minimize_batch, minimize_rprop, multistart
from rprop.solver import engine, safeguard, stopping
from rprop.solver.first_step import DONE, SHRINK, no_search
from rprop.solver.run import Point
from rprop.solver.stopping import RUNNING

from .test_engine import LEARNED, Recorded, begun, settings_of, turned, valley
from .test_machine import holes, kinks, wavy


def near(x):
    return float(abs(x - np.pi).sum()), np.where(x > np.pi, 1.0, -1.0)


def rosenbrock(x):
    return float(rosen(x)), rosen_der(x)


@pytest.mark.parametrize("basis", [None, "learned"])
def test_a_run_is_idle_after_a_thousand_iterations_without_an_evaluation(basis):
    endless = {"maxiter": np.inf, "gtol": 0, "xtol": 0, "ftol": 0, "basis": basis}
    result = minimize_rprop(near, [1.0], jac=True, secant=False, history=True, **endless)
    assert result.status == 12
    assert np.count_nonzero(result.history["nfev"] == result.nfev) == 1000 + 1
    short = minimize_rprop(
        near, [1.0], jac=True, secant=False, **{**endless, "maxiter": result.nit}
    )
    assert short.status == 1  # the first reason counts


def judged(**changes):
    """Return a run of one variable at its best point, 1.0, whose step is within xtol, after judging."""
    _, ours = settings_of({"delta0": 0.5, "gtol": 0.0, "xtol": 0.5}, 1, None)
    run = begun(lambda x: (np.float64(2.0), np.array([1e-4])), np.array([1.0]), None, ours)
    resting = {"search": no_search(()), "steep": np.float64(1.0), "status": np.int8(RUNNING)}
    run = replace(run, **{**resting, **changes})
    stopping.judge(run, abs(run.slope[0]), ours)
    return run.status, run.search.phase > 0


def slope(value):
    return {"slope": np.array([value])}


def at(loss):
    here = Point(np.array([1.0]), np.float64(loss), np.array([1e-4]))
    return {"here": here, "best": here}


BOTTOM = -(np.finfo(float).max ** 0.75)


@pytest.mark.parametrize(
    ("changes", "status", "searches"),
    [
        ({}, 4, False),  # a slope of exactly a ten thousandth of the first is no reason to doubt
        (slope(np.nextafter(1e-4, 1)), RUNNING, True),
        ({"blocked": np.True_}, RUNNING, True),
        ({"here": Point(np.array([1.0]), np.float64(2.5), np.array([1e-4]))}, RUNNING, True),
        ({"search": no_search((), DONE), **slope(1.0)}, RUNNING, False),  # a step comes first
        ({"waits": np.int32(99)}, 4, False),
        ({"gtol": np.float64(1e-4)}, 0, False),
        ({"gtol": np.float64(np.nextafter(1e-4, 0))}, 4, False),
        ({"nfev": np.int32(10**9)}, 4, False),
        ({"unseen": np.int32(1000)}, 4, False),
        ({"unseen": np.int32(1000), **slope(1.0)}, 12, False),
        ({"unseen": np.int32(999), **slope(1.0)}, RUNNING, True),
        ({**at(BOTTOM), **slope(1.0)}, RUNNING, True),
        ({**at(np.nextafter(BOTTOM, -np.inf)), **slope(1.0)}, 11, False),
    ],
)
def test_what_proves_that_steps_are_short_enough(changes, status, searches):
    assert judged(**changes) == (status, searches)


@pytest.mark.parametrize(
    ("changes", "limits", "status"),
    [
        ({}, {}, RUNNING),
        ({}, {"f_target": 2.0}, 6),
        ({}, {"f_target": np.nextafter(2, 1)}, RUNNING),
        ({"gtol": np.float64(1e-4)}, {}, 0),
        (at(BOTTOM), {}, RUNNING),
        (at(np.nextafter(BOTTOM, -np.inf)), {}, 11),
        ({"nit": 7}, {"maxiter": 7}, 1),
        ({"nit": 7}, {"maxiter": 8}, RUNNING),
        ({"nfev": np.int32(8)}, {"maxfev": 8}, 2),
        ({"nfev": np.int32(7)}, {"maxfev": 8}, RUNNING),
        ({"unseen": np.int32(1000)}, {}, 12),
    ],
)
def test_one_reason_is_enough(changes, limits, status):
    _, ours = settings_of({"delta0": 0.5, "gtol": 0.0, "xtol": 0.0, "ftol": 0.0, **limits}, 1, None)
    run = begun(lambda x: (np.float64(2.0), np.array([1e-4])), np.array([1.0]), None, ours)
    run = replace(run, **{"search": no_search(()), "status": np.int8(RUNNING), **changes})
    stopping.judge(run, abs(run.slope[0]), ours)
    assert (run.status, run.search.phase) == (status, 0)


@pytest.mark.parametrize(("ftol", "status"), [(0.0, RUNNING), (1e-14, 5)])
def test_without_ftol_it_is_not_asked_how_long_a_run_has_waited(ftol, status):
    """As it may have, when it went on with other tolerances."""
    _, ours = settings_of({"delta0": 0.5, "gtol": 0.0, "xtol": 0.0, "ftol": ftol}, 1, None)
    run = begun(lambda x: (np.float64(2.0), np.array([1e-4])), np.array([1.0]), None, ours)
    run = replace(run, waits=np.int32(99), steep=np.float64(1.0), search=no_search(()))
    stopping.judge(run, abs(run.slope[0]), ours)
    assert (run.status, run.search.phase) == (status, 0)


@pytest.mark.parametrize("lowest", [-1024.0, 1024.0])
def test_a_fall_counts_relative_to_the_size_of_the_lowest_loss(lowest):
    _, ours = settings_of({"ftol": 2.0**-10}, 1, None)
    run = begun(lambda x: (np.float64(lowest), np.ones(1)), np.array([1.0]), None, ours)
    for level, waits in ((lowest + 1, 8), (np.nextafter(lowest + 1, np.inf), 0)):
        run.level, run.waits = np.float64(level), np.int32(7)
        stopping.wait(run, ours)
        assert run.waits == waits


@pytest.mark.parametrize("delta", [0.5, np.nextafter(0.5, 1)])
def test_within_xtol_is_equal_to_it(delta):
    _, ours = settings_of({"delta0": 0.5, "gtol": 0.0, "xtol": 0.5}, 1, None)
    run = begun(lambda x: (np.float64(2.0), np.array([1e-4])), np.array([1.0]), None, ours)
    run.state = run.state._replace(delta=np.array([delta]))
    assert stopping.is_settled(run, ours) == (delta == 0.5)


def test_another_loss_in_the_middle_of_a_line_search():
    """The safeguard begins anew: its next trial is not its own."""
    _, ours = settings_of({"safeguard": True, "gtol": 0.0, "ftol": 0.0, "maxiter": 500}, 2, None)
    fun = Recorded(valley)
    run = begun(fun, np.array([-1.2, 1.0]), None, ours)
    run = replace(run, age=np.int32(safeguard.SPACING - 1))
    for _ in range(200):
        engine.advance(run, lambda _, x: fun(x), ours)
        if run.spacer.searching:
            break
    assert run.spacer.searching
    again = Point(run.best.x, *Recorded(turned)(run.best.x))
    rest, changed = engine.resume(run, again, ours)
    assert changed
    assert not rest.spacer.searching
    assert run.spacer.searching
    same, changed = engine.resume(run, run.best, ours)
    assert not changed
    assert same.spacer.searching


@pytest.mark.parametrize("way", [{}, LEARNED, {"safeguard": True}, {"safeguard": True, **LEARNED}])
@pytest.mark.parametrize("boxed", [False, True])
def test_dtypes_stay(way, boxed):
    """float32 parameters keep a state in float32; slopes and losses are float64."""
    _, ours = settings_of({**way, "gtol": 0.0, "ftol": 0.0, "xtol": 0.0}, 2, None)
    low, high = (-1.5, 0.5) if boxed else (-np.inf, np.inf)
    lower, upper = (np.full(2, side, np.float32) for side in (low, high))
    ours = replace(ours, bounded=boxed)
    x0 = np.array([-1.2, 0.4], np.float32)
    calls = []

    def fun(x):
        assert x.dtype == np.float32
        assert ((lower <= x) & (x <= upper)).all()
        calls.append(1)
        if len(calls) in (30, 31):
            return np.float64(np.nan), np.ones(2)
        return np.float64(rosen(x)), np.asarray(rosen_der(x), float)

    run = engine.begin(np.int64(0), Point(x0, *fun(x0)), lower, upper, None, ours)
    for _ in range(70):
        engine.advance(run, lambda _, x: fun(x), ours)
        found = {
            name: np.asarray(array).dtype
            for name, array in {
                **{f"{at}.{part}": array for at in ("here", "last", "best")
                   for part, array in getattr(run, at)._asdict().items()},
                **run.state._asdict(), "slope": run.slope, "along": run.along, "unit": run.unit,
                "level": run.level, "steep": run.steep,
            }.items()
        }  # fmt: skip
        single = {"here.x", "last.x", "best.x", "delta", "prev_update", "unit"}
        assert found == {
            name: np.int8 if name == "prev_sign" else np.float32 if name in single else np.float64
            for name in found
        }
        if run.status != RUNNING:
            break
    assert run.nit > 20


@pytest.mark.parametrize("blocked", [False, True])
@pytest.mark.parametrize("delta0", [None, 0.1])
def test_only_the_rows_with_another_loss_begin_anew(delta0, blocked):
    _, ours = settings_of({"delta0": delta0}, 2, None)
    X = np.array([[-1.2, 1.0], [0.5, 2.0], [2.0, -1.0]])

    def evaluate(fun, x):
        values = [fun(row) for row in x]
        return np.array([v for v, _ in values]), np.array([g for _, g in values])

    sides = np.full((3, 2), -np.inf), np.full((3, 2), np.inf)
    start = None if delta0 is None else np.full((3, 2), delta0)
    run = engine.begin(np.arange(3), Point(X, *evaluate(valley, X)), *sides, start, ours)
    while run.nit < 3 or (run.here.x[0] == run.best.x[0]).all():
        engine.advance(run, lambda _, x: evaluate(valley, x), ours)
    run.blocked, run.level = np.array([blocked, True, False]), run.level + 1
    run.gtol = np.full(3, 2.0**-60)  # as given before
    run.search = run.search._replace(phase=np.full(3, SHRINK))
    fun, jac = evaluate(valley, run.best.x)
    other = turned(run.best.x[1])
    fun[1], jac[1] = other
    fun[2] = np.nan
    rest, changed = engine.resume(run, Point(run.best.x, fun, jac), ours)
    assert changed.tolist() == [False, True, False]
    assert rest.status.tolist() == [RUNNING, RUNNING, 3]
    assert rest.blocked.tolist() == [blocked, False, False]
    assert rest.gtol.tolist()[:2] == [2.0**-60, 1e-8 * min(1, rest.steep[1])]
    np.testing.assert_array_equal(rest.search.phase[0], run.search.phase[0])
    assert rest.search.phase[1] == (delta0 is None)
    for name in ("here", "last", "best"):
        mine, old = getattr(rest, name), getattr(run, name)
        for part, before in zip(mine, old, strict=True):
            np.testing.assert_array_equal(part[0], before[0])
        np.testing.assert_array_equal(mine.x[1], run.best.x[1])
        assert mine.fun[1] == other[0]
    for part, before in zip(rest.state, run.state, strict=True):
        np.testing.assert_array_equal(part[0], before[0])
    assert rest.state.prev_sign[1].tolist() == [0, 0]
    np.testing.assert_array_equal(rest.state.delta, run.state.delta)
    assert rest.steep.tolist()[:2] == [run.steep[0], abs(other[1]).max()]
    assert (rest.level[0], rest.level[1]) == (run.level[0], other[0])


@pytest.mark.parametrize("fun", [wavy, kinks, holes])
@pytest.mark.parametrize(
    "options",
    [{}, {"basis": None}, {"xtol": 0.01, "gtol": 0}, {"delta0": 0.1, "ftol": 0.01, "gtol": 0}],
    ids=str,
)
def test_every_iteration_is_told_once(fun, options):
    """Searches in between are none of their own: history, points and callback tell the same."""
    calls = []
    options = {"history": True, "return_all": True, **options}
    result = minimize_rprop(fun, [-1.2, 0.7], jac=True, callback=calls.append, **options)
    assert result.history["nit"].tolist() == list(range(result.nit + 1))
    assert len(result.allvecs) == result.nit + 1 == len(calls) + 1
    assert [fun(x)[0] for x in result.allvecs] == result.history["fun"].tolist()
    lowest = np.minimum.accumulate(np.where(np.isnan(result.history["fun"]), np.inf, result.history["fun"]))  # fmt: skip
    np.testing.assert_array_equal(result.history["best_fun"], lowest)
    assert (np.diff(result.history["nfev"]) >= 0).all()
    assert result.history["nfev"][-1] <= result.nfev


def test_flips_are_told_by_the_iteration_that_answers_them():
    """From 0.25 by 0.1, 0.12 and 0.144 across 0; there the sign is forgotten, and so on."""
    options = {"basis": None, "secant": False, "variant": "irprop-", "delta0": 0.1, "maxiter": 7}
    result = minimize_rprop(lambda x: (abs(x[0]), np.sign(x)), [0.25], jac=True, history=True, **options)  # fmt: skip
    assert result.history["flips"].tolist() == [0, 0, 0, 0, 1, 0, 0, 1]


def test_a_result_is_the_users():
    first = minimize_rprop(rosenbrock, [-1.2, 1.0], jac=True, maxiter=9, return_all=True)
    kept = [array.copy() for array in (*first.state.best, *first.state.here)]
    for array in (first.x, first.jac, *first.allvecs):
        array[:] = np.nan
    for now, before in zip((*first.state.best, *first.state.here), kept, strict=True):
        np.testing.assert_array_equal(now, before)


def test_another_loss_leaves_the_unit_of_lengths_alone():
    _, ours = settings_of({}, 2, None)
    fun = Recorded(valley)
    run = begun(fun, np.array([-1.2, 1.0]), None, ours)
    for _ in range(3):
        engine.advance(run, lambda _, x: fun(x), ours)
    run.state = run.state._replace(delta=run.state.delta / 1024)
    other = Recorded(turned)
    rest, _ = engine.resume(run, Point(run.best.x, *other(run.best.x)), ours)
    engine.advance(rest, lambda _, x: other(x), ours)
    assert len(other.points) > 1
    np.testing.assert_array_equal(rest.unit, run.unit)


@pytest.mark.parametrize("low", [-np.inf, 1.5])
def test_optimality_is_the_largest_slope_that_is_free(low):
    def bowl(x):
        return float(((x - 1) ** 2).sum()), 2 * (x - 1)

    result = minimize_rprop(
        bowl, [3.0, 2.0], jac=True, bounds=[(low, None), (None, None)], maxiter=4
    )
    free = abs(result.jac) * [result.x[0] > low, True]
    assert result.optimality == free.max()
    assert low < 0 or abs(result.jac).max() > free.max()


def stopping_at(call):
    """Return a callback that raises StopIteration at one call, and its calls."""
    calls = []

    def callback(intermediate_result):
        calls.append(intermediate_result)
        if len(calls) == call:
            raise StopIteration

    return callback, calls


def lifted(x):
    """A loss whose last digits say little."""
    loss, gradient = rosenbrock(x)
    return loss + 1e3, gradient


@pytest.mark.parametrize(
    ("status", "fun", "options"),
    [
        (0, rosenbrock, {}),
        (1, rosenbrock, {"maxiter": 5}),
        (2, rosenbrock, {"maxfev": 15}),
        (4, near, {}),
        (5, lifted, {"gtol": 0, "xtol": 0, "ftol": 1e-12}),  # or the slope is 0 first
        (6, rosenbrock, {"f_target": 1.0}),
    ],
)
def test_a_callback_stops_a_run_in_its_last_iteration(status, fun, options):
    """What the callback wants counts, as in SciPy; whoever goes on learns how the run ended."""
    alone = minimize_rprop(fun, [-1.2, 1.0], jac=True, **options)
    assert alone.status == status
    callback, calls = stopping_at(alone.nit)
    stopped = minimize_rprop(fun, [-1.2, 1.0], jac=True, callback=callback, **options)
    assert (stopped.status, stopped.success) == (99, False)
    assert (stopped.fun, stopped.nit, stopped.nfev) == (alone.fun, alone.nit, alone.nfev)
    assert calls[-1].success == alone.success  # it was told
    if status not in (1, 2):  # limits begin anew
        again = minimize_rprop(fun, None, jac=True, state=stopped.state, **options)
        assert again.status == status
        assert again.fun <= alone.fun


@pytest.mark.parametrize("method", ["BFGS", "L-BFGS-B", minimize_rprop])
def test_scipy_does_the_same(method):
    callback, calls = stopping_at(0)
    options = {"jac": True, "method": method}
    ended = minimize(rosenbrock, [-1.2, 1.0], callback=callback, **options)
    assert ended.success
    callback, _ = stopping_at(len(calls))
    stopped = minimize(rosenbrock, [-1.2, 1.0], callback=callback, **options)
    assert (stopped.status, stopped.success, stopped.fun) == (99, False, ended.fun)


def test_a_callback_stops_no_row_that_has_ended():
    """As in `scipy.optimize.elementwise`: nothing is left to be stopped there."""

    def valleys(X):
        return rosen(X.T), rosen_der(X.T).T

    X0 = [[-1.2, 1.0], [0.9, 0.9], [3.0, 2.0]]
    alone = minimize_batch(valleys, X0)
    first, second, last = sorted(alone.nit)
    for call, left in ((last, 0), (second, 1), (first, 2), (first - 1, 3)):
        stopped = minimize_batch(valleys, X0, callback=stopping_at(call)[0])
        assert np.count_nonzero(stopped.status == 99) == left
        ended = alone.nit <= call
        np.testing.assert_array_equal(stopped.status, np.where(ended, alone.status, 99))


@pytest.mark.parametrize("vectorized", [False, True])
def test_a_search_ends_in_the_last_iteration_of_a_run(vectorized):
    def bowl(x):
        return (x**2).sum(axis=-1), 2 * x

    options = {"X0": [[3.0, 1.0], [1.0, 2.0]], "jac": True, "vectorized": vectorized}
    alone = multistart(bowl, **options).runs
    first = alone.nit[(alone.x0 == options["X0"][0]).all(axis=1)].item()
    callback, calls = stopping_at(max(alone.nit) if vectorized else first)
    found = multistart(bowl, **options, callback=callback).runs
    assert len(calls) == max(found.nit)
    assert found.status.tolist() == (alone.status.tolist() if vectorized else [99])
