"""What is kept of a batch, and how it goes on."""

import copy
import functools
import pickle

import numpy as np
import pytest
from scipy.optimize import Bounds

from rprop import minimize_rprop
from rprop.solver import batch
from tests.solver.batches import BOUNDS, KEYS, OPTIONS, PROBLEMS, one, rosenbrock, solve, starts


def paths(name, state=(), dtype=float, **options):
    """Return a batch with everything kept, and the runs of its rows alone."""
    X0, steep = starts()
    given = {"history": True, "return_all": True, **OPTIONS[name], **options}
    low, high = BOUNDS["per row"] if given.get("basis") is None else (-np.inf, np.inf)
    sides = [np.broadcast_to(side, X0.shape) for side in (low, high)]
    batch = solve(
        rosenbrock,
        X0.astype(dtype),
        (steep,),
        Bounds(*sides),
        return_state=True,
        state=state[0].state if state else None,
        **given,
    )
    alone = [
        minimize_rprop(
            functools.partial(one, rosenbrock),
            X0[i].astype(dtype),
            (steep[i],),
            jac=True,
            bounds=Bounds(sides[0][i], sides[1][i]),
            state=state[1][i].state if state else None,
            **given,
        )
        for i in range(PROBLEMS)
    ]
    for i, result in enumerate(alone):
        for key in (*KEYS, "history", "allvecs"):
            np.testing.assert_array_equal(batch[key][i], result[key], err_msg=f"{key} of row {i}")
        assert batch.history[i].dtype == result.history.dtype
    return batch, alone


@pytest.mark.parametrize("name", ["defaults", "safeguard", "basis", "rprop-"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_rows_keep_their_history_and_iterates(name, dtype):
    batch, _ = paths(name, dtype=dtype, maxiter=150)
    assert len(batch.history) == len(batch.allvecs) == PROBLEMS
    assert len({len(line) for line in batch.history}) > 3


TIGHT = {"gtol": 0, "xtol": 1e-12, "maxiter": 70}


@pytest.mark.parametrize("name", ["defaults", "safeguard", "basis", "ftol", "delta0"])
@pytest.mark.parametrize("block", [8, 1000])
def test_resumed_rows_go_on_as_they_do_alone(name, block, monkeypatch):
    """Some rows end at once, some later and some not; all of them go on, twice."""
    monkeypatch.setattr(batch, "BLOCK", block)
    first = paths(name, maxiter=60, gtol=0.3)
    assert len(set(first[0].nit)) > 3
    second = paths(name, (pickle.loads(pickle.dumps(first[0])), first[1]), **TIGHT)
    third = paths(name, second, **TIGHT, safeguard="armijo")
    again = paths(name, second, **TIGHT, safeguard="armijo")
    np.testing.assert_array_equal(third[0].x, again[0].x)
    assert (second[0].nit > 0).any()


def test_a_run_in_two_parts_is_a_run_in_one():
    X0, steep = starts()
    whole = solve(rosenbrock, X0, (steep,))
    part = solve(rosenbrock, X0, (steep,), maxiter=40, return_state=True)
    rest = solve(rosenbrock, None, (steep,), state=part.state)
    for key in ("x", "fun", "jac", "status"):
        np.testing.assert_array_equal(rest[key], whole[key])
    np.testing.assert_array_equal(part.nit + rest.nit, whole.nit)
    assert "state" not in whole


def test_rows_that_were_not_finite_go_on_as_they_do_alone():
    X0, steep = starts()
    holes = np.arange(PROBLEMS) % 3 == 1

    def fun(X, steep, hole):
        losses, gradients = rosenbrock(X, steep)
        lost = hole & (X[:, 0] < 0.3)
        losses[lost] = np.nan
        return losses, gradients

    first = solve(fun, X0, (steep, holes), maxiter=30, return_state=True)
    second = solve(fun, X0, (steep, holes), maxiter=90, state=first.state)
    assert set(first.status) >= {1, 3}
    for i in range(PROBLEMS):
        given = {"args": (steep[i], holes[i]), "jac": True}
        alone = minimize_rprop(functools.partial(one, fun), X0[i], maxiter=30, **given)
        alone = minimize_rprop(
            functools.partial(one, fun), X0[i], maxiter=90, state=alone.state, **given
        )
        for key in KEYS:
            np.testing.assert_array_equal(second[key][i], alone[key], err_msg=f"{key} of row {i}")


@pytest.mark.parametrize("block", [4, 1000])
def test_what_is_no_whole_state_of_one_batch(block, monkeypatch):
    monkeypatch.setattr(batch, "BLOCK", block)
    X0, steep = starts()
    a, b = (solve(rosenbrock, x, (steep,), maxiter=20, return_state=True).state for x in (X0, -X0))
    alone = minimize_rprop(functools.partial(one, rosenbrock), X0[0], (steep[0],), jac=True).state
    for wrong in (a + b, a[:1], a[1:], a[:1] + b[1:], tuple(a), list(a), (), "state", 3):
        with pytest.raises(
            TypeError,
            match=r"state must be the state of an earlier result; got.*whole and as it is",
        ):
            solve(rosenbrock, None, (steep,), state=wrong)
    with pytest.raises(TypeError, match="got that of one run, which minimize_rprop goes on with"):
        solve(rosenbrock, None, (steep,), state=alone)
    with pytest.raises((TypeError, ValueError), match="state must be"):
        minimize_rprop(rosenbrock, X0[0], (steep,), jac=True, state=a)
    with pytest.raises(ValueError, match="state must be of one run; got that of a batch"):
        minimize_rprop(rosenbrock, X0[0], (steep,), jac=True, state=a[0])


def test_copies_of_a_state_are_as_good():
    X0, steep = starts()
    state = solve(rosenbrock, X0, (steep,), maxiter=20, return_state=True).state
    ends = [
        solve(rosenbrock, None, (steep,), state=given, maxiter=30).x
        for given in (
            state,
            copy.copy(state),
            copy.deepcopy(state),
            pickle.loads(pickle.dumps(state)),
        )
    ]
    for end in ends:
        np.testing.assert_array_equal(end, ends[0])


@pytest.mark.parametrize("until", range(6, 30, 3))
def test_a_row_goes_on_as_alone_beside_one_whose_loss_is_another(until):
    X0, steep = starts()
    first = solve(rosenbrock, X0, (steep,), maxiter=until, return_state=True)
    changed = np.where(np.arange(PROBLEMS) % 2, 3 * steep, steep)
    options = {"maxiter": 9, "state": first.state}
    with pytest.warns(RuntimeWarning, match="not the one in `state`"):
        mixed = solve(rosenbrock, None, (changed,), **options)
    alone = solve(rosenbrock, None, (steep,), **options)
    np.testing.assert_array_equal(mixed.x[::2], alone.x[::2])


def test_blocks_with_and_without_bounds_go_on(monkeypatch):
    monkeypatch.setattr(batch, "BLOCK", 4)  # two rows
    X0, steep = starts()
    X0, steep = X0[:4], steep[:4]
    upper = np.where(np.arange(4)[:, None] < 2, np.inf, 0.3)
    for sides in (upper, upper[::-1]):
        given = {"bounds": Bounds(-np.inf, sides)}
        whole = solve(rosenbrock, X0, (steep,), maxiter=60, **given)
        part = solve(rosenbrock, X0, (steep,), maxiter=2, return_state=True, **given)
        rest = solve(rosenbrock, None, (steep,), state=part.state, maxiter=58)
        for key in ("x", "fun", "status"):
            np.testing.assert_array_equal(rest[key], whole[key])


@pytest.mark.parametrize("row", range(4))
def test_another_loss_of_any_row_is_noticed(monkeypatch, row):
    monkeypatch.setattr(batch, "BLOCK", 4)
    X0, steep = starts()
    X0, steep = X0[:4], steep[:4]
    part = solve(rosenbrock, X0, (steep,), maxiter=5, return_state=True)
    other = steep * np.where(np.arange(4) == row, 2, 1)
    with pytest.warns(RuntimeWarning, match="The loss at the best point is not the one in `state`"):
        solve(rosenbrock, None, (other,), state=part.state, maxiter=1)


def test_blocks_that_became_small_are_joined(monkeypatch):
    monkeypatch.setattr(batch, "BLOCK", 8)
    X0 = np.zeros((8, 2))
    X0[[1, 2, 5, 7]] = 3.0
    seen = []

    def fun(X):
        seen.append(len(X))
        return (X**4).sum(axis=1), 4 * X**3

    solve(fun, X0, maxiter=5)
    assert seen[:2] == [4, 4]  # of which two each have ended
    assert set(seen[2:]) == {4}
