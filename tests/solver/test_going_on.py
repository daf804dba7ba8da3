"""Runs that are cut anywhere and go on, and runs that go on with another loss."""

import functools
import pickle
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.optimize import rosen, rosen_der

from rprop import Minimizer, minimize_batch, minimize_rprop
from rprop.solver import minimizer

X0 = [-1.2, 1.0]
BOX = [(-2, 0.5), (0, 3)]
WAYS = [
    {},
    {"bounds": BOX},
    {"basis": None, "ftol": 1e-3},
    {"ftol": 1e-6},
    {"xtol": 1e-3, "gtol": 0},
    {"variant": "rprop+", "safeguard": "armijo"},
    {"variant": "irprop-", "delta0": 0.1, "bounds": BOX},
]


def rosenbrock(x):
    return rosen(x), rosen_der(x)


def wavy(x):
    return float((x * x - 3 * np.cos(4 * x)).sum()), 2 * x + 12 * np.sin(4 * x)


def holes(x):
    """A function that is not defined everywhere."""
    loss, gradient = rosenbrock(x)
    return (np.nan if (x[0] + 10) % 0.5 < 0.05 else loss), gradient


FUNCTIONS = [rosenbrock, wavy, holes]


class Cut(Exception):
    """Ends a run in the middle of an evaluation."""


class Counted:
    """A function that raises at its k-th evaluation."""

    def __init__(self, fun, k=np.inf):
        self.fun, self.k, self.points = fun, k, []

    def __call__(self, x):
        if len(self.points) == self.k:
            raise Cut
        self.points.append(x.tobytes())
        return self.fun(x)


def same(result, whole):
    assert result.x.tobytes() == whole.x.tobytes()
    assert (result.fun, result.status, result.message) == (whole.fun, whole.status, whole.message)
    np.testing.assert_array_equal(result.jac, whole.jac)


@pytest.mark.parametrize("fun", FUNCTIONS)
@pytest.mark.parametrize("options", WAYS, ids=str)
def test_cut_at_every_evaluation(fun, options):
    options = {"jac": True, "maxiter": 120, **options}
    complete = Counted(fun)
    whole = minimize_rprop(complete, X0, **options)
    for k in {*range(1, min(30, whole.nfev)), *range(30, whole.nfev, 7), whole.nfev - 1} - {0}:
        first = Counted(fun, k)
        with pytest.raises(Cut) as caught:
            minimize_rprop(first, X0, **options)
        part = caught.value.result
        assert part.nfev == k
        state = pickle.loads(pickle.dumps(part.state))
        second = Counted(fun)
        rest = minimize_rprop(second, None, **{**options, "maxiter": 120 - part.nit}, state=state)
        same(rest, whole)
        assert part.nit + rest.nit == whole.nit
        # One evaluation tells whether the loss is still the same.
        assert first.points + second.points[1:] == complete.points


@pytest.mark.parametrize("fun", FUNCTIONS)
@pytest.mark.parametrize("options", WAYS, ids=str)
def test_cut_at_every_iteration(fun, options):
    options = {"jac": True, **options}
    whole = minimize_rprop(fun, X0, maxiter=90, **options)
    for k in {*range(25), *range(25, whole.nit, 9), whole.nit - 1, whole.nit}:
        part = minimize_rprop(fun, X0, **options, maxiter=k)
        rest = minimize_rprop(fun, None, **options, maxiter=90 - k, state=part.state)
        same(rest, whole)


def test_a_state_is_not_changed_by_going_on():
    part = minimize_rprop(rosenbrock, X0, jac=True, maxiter=20)
    kept = pickle.dumps(part.state)
    first = minimize_rprop(rosenbrock, None, jac=True, state=part.state)
    assert pickle.dumps(part.state) == kept
    same(minimize_rprop(rosenbrock, None, jac=True, state=part.state), first)


def parabola(x, a):
    return ((x - a) ** 2).sum(axis=-1), 2 * (x - a)


def test_a_run_that_goes_on_has_evaluated_its_best_point():
    behind = 0
    for stop in range(1, 25):
        options = {"jac": True, "variant": "irprop-", "delta0": 0.3}
        first = minimize_rprop(rosenbrock, X0, maxiter=stop, **options)
        rest = minimize_rprop(rosenbrock, None, state=first.state, maxiter=0, **options)
        assert rest.x.tolist() == first.x.tolist()
        assert rest.fun == first.fun == rosen(rest.x)
        with pytest.warns(RuntimeWarning, match="The loss at the best point is not the one"):
            other = minimize_rprop(wavy, None, state=first.state, maxiter=0, **options)
        assert other.x.tolist() == first.x.tolist()
        assert other.fun == wavy(other.x)[0]
        behind += first.state.here.fun > first.fun
    assert behind > 3


def test_another_loss_is_noticed():
    first = minimize_rprop(parabola, [1.0, 2.0], args=(3.0,), jac=True)
    with pytest.warns(RuntimeWarning, match="The loss at the best point is not the one in `state`"):
        second = minimize_rprop(parabola, None, args=(7.0,), jac=True, state=first.state)
    np.testing.assert_allclose(second.x, 7.0)
    assert second.success
    assert second.fun < 1e-12
    again = minimize_rprop(parabola, None, args=(3.0,), jac=True, state=first.state)
    assert (again.nfev, again.status) == (1, first.status)

    batch = minimize_batch(functools.partial(parabola, a=3.0), np.ones((3, 2)), return_state=True)
    with pytest.warns(RuntimeWarning, match="The loss at the best point"):
        moved = minimize_batch(functools.partial(parabola, a=5.0), None, state=batch.state)
    np.testing.assert_allclose(moved.x, 5.0)


def test_a_loss_that_became_unusable():
    first = minimize_rprop(rosenbrock, X0, jac=True, maxiter=5)
    broken = minimize_rprop(lambda x: (np.nan, x), None, jac=True, state=first.state)
    assert (broken.status, broken.success, broken.nfev) == (3, False, 1)


def test_a_state_of_a_batch_is_refused():
    batch = minimize_batch(parabola, np.ones((3, 2)), args=(3.0,), return_state=True)
    hint = "which is that of a batch: minimize_batch goes on with it"
    with pytest.raises(TypeError, match=f"the state of an earlier result; got .*{hint}"):
        minimize_rprop(rosenbrock, None, jac=True, state=batch.state)
    for state in ((), (1,)):
        with pytest.raises(TypeError, match=r"the state of an earlier result; got \(.*\)$"):
            minimize_rprop(rosenbrock, None, jac=True, state=state)
    with pytest.raises(ValueError, match="state must be of one run; got that of a batch"):
        minimize_rprop(rosenbrock, None, jac=True, state=batch.state[0])


@pytest.mark.parametrize("fun", FUNCTIONS)
@pytest.mark.parametrize("options", WAYS, ids=str)
def test_ask_and_tell_is_the_same_run(fun, options):
    complete = Counted(fun)
    whole = minimize_rprop(complete, X0, jac=True, maxiter=60, return_all=True, **options)
    given = dict(options)
    opt = Minimizer(X0, given.pop("bounds", None), maxiter=60, return_all=True, **given)
    points = []
    while (x := opt.ask()) is not None:
        assert not opt.done
        points.append(x.tobytes())
        opt = pickle.loads(pickle.dumps(opt))
        np.testing.assert_array_equal(opt.ask(), x)
        loss, gradient = fun(x)
        x[:] = np.nan  # a copy of ours
        opt.tell(loss, gradient)
        opt = pickle.loads(pickle.dumps(opt))
    assert opt.done
    same(opt.result, whole)
    assert points == complete.points
    assert (opt.result.nfev, opt.result.nit) == (whole.nfev, whole.nit)
    np.testing.assert_array_equal(opt.result.allvecs, whole.allvecs)


def test_gradients_may_come_in_one_buffer_and_as_whole_numbers():
    def bowl(x):
        return float(x @ x), np.round(2 * x)

    one, other, whole = Minimizer([3.0, -5.0]), Minimizer([3.0, -5.0]), Minimizer([3.0, -5.0])
    buffer = np.empty(2)
    while (x := one.ask()) is not None:
        loss, gradient = bowl(x)
        one.tell(loss, gradient)
        buffer[:] = gradient
        other.tell(loss, buffer)
        buffer[:] = np.nan
        whole.tell(loss, gradient.astype(int))
        for opt in (other, whole):
            again = opt.ask()
            np.testing.assert_array_equal(again, one.ask())
            if again is not None:
                again[:] = np.nan  # a copy of ours
    same(other.result, one.result)
    same(whole.result, one.result)
    assert whole.result.jac.dtype == float


def test_a_state_is_not_changed_by_the_run_it_was_taken_from():
    opt = Minimizer(X0)
    for _ in range(40):
        opt.tell(*rosenbrock(opt.ask()))
    early = opt.result.state
    kept = pickle.dumps(early)
    while (x := opt.ask()) is not None:
        opt.tell(*rosenbrock(x))
    assert opt.result.nit > early.nit
    assert pickle.dumps(early) == kept


def test_optimality_is_that_of_the_best_point():
    opt, behind = Minimizer(X0), 0
    while (x := opt.ask()) is not None:
        loss, gradient = rosenbrock(x)
        opt.tell(loss, gradient)
        assert opt.result.optimality == abs(opt.result.jac).max()
        behind += loss > opt.result.fun
    assert behind


@pytest.mark.parametrize("most", [1, 2, 7])
def test_as_many_points_are_asked_for_as_maxfev_says(most):
    opt, count = Minimizer(X0, maxfev=most), 0
    while (x := opt.ask()) is not None:
        opt.tell(*rosenbrock(x))
        count += 1
    assert (count, opt.result.nfev, opt.result.status) == (most, most, 2)


def test_the_time_of_a_run_leaves_out_where_it_was_pickled(monkeypatch):
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(minimizer, "time", SimpleNamespace(monotonic=lambda: clock.now))
    opt = Minimizer(X0, maxtime=6)
    clock.now = 103.0
    opt.tell(*rosenbrock(opt.ask()))
    assert opt.result.execution_time == 3
    kept = pickle.dumps(opt)
    clock.now = 1000.0
    opt = pickle.loads(kept)
    clock.now = 1002.0
    kept = pickle.dumps(opt)
    assert opt.result.execution_time == 5
    clock.now = 50.0
    opt = pickle.loads(kept)
    assert opt.result.execution_time == 5
    clock.now = 51.0
    opt.tell(*rosenbrock(opt.ask()))
    assert not opt.done  # it has spent no more than it may
    clock.now = 51.5
    while (x := opt.ask()) is not None:
        opt.tell(*rosenbrock(x))
    assert (opt.result.status, opt.result.execution_time) == (13, 6.5)


def test_asking_and_telling_out_of_turn():
    opt = Minimizer(X0)
    with pytest.raises(RuntimeError, match="no result before the first tell"):
        opt.result  # noqa: B018
    opt.tell(*rosenbrock(np.array(X0)))
    with pytest.raises(RuntimeError, match="tell must follow ask"):
        opt.tell(*rosenbrock(np.array(X0)))
    opt.ask()
    with pytest.raises(ValueError, match=r"gradient must have the shape of x0, \(2,\); got \(3,\)"):
        opt.tell(1.0, np.zeros(3))
    with pytest.raises(ValueError, match="loss must be a number; got shape"):
        opt.tell([1.0, 2.0], np.zeros(2))
    with pytest.raises(TypeError, match=r"unknown options: gtoll \(did you mean gtol\?\)"):
        Minimizer(X0, gtoll=1)
