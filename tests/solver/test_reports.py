"""`minimize_rprop`: when it stops, what it reports on the way, how it goes on."""

import io
import pickle
import sys

import numpy as np
import pytest
from scipy.optimize import OptimizeWarning, minimize

from rprop import Minimizer, minimize_batch, minimize_rprop, multistart, rprop_init, rprop_step
from rprop.solver.messages import say
from tests.solver.functions import OPTIONS, Watched, bowl, rosenbrock


@pytest.mark.parametrize("minimizer", [minimize_rprop, minimize_batch])
def test_a_state_that_is_none(minimizer):
    with pytest.raises(TypeError, match="state must be the state of an earlier result; got 3"):
        minimizer(bowl, [0.0], state=3)


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({}, 0),
        ({"gtol": 0, "ftol": 0, "xtol": 1e-4}, 4),
        ({"gtol": 1e-3}, 0),
        ({"maxiter": 7}, 1),
        ({"maxfev": 9}, 2),
        ({"ftol": 0.5, "variant": "irprop-", "delta0": 1e-4}, 5),
        ({"f_target": 0.1}, 6),
        ({"bounds": [(1, 1), (2, 2)]}, 7),
    ],
)
def test_reasons_to_stop(options, status):
    result = minimize_rprop(rosenbrock, [-1.2, 1.0], jac=True, **options)
    assert result.status == status
    assert result.success == (status in (0, 4, 5, 6, 7))
    assert result.nfev <= options.get("maxfev", np.inf)
    assert result.nit <= options.get("maxiter", np.inf)


def test_an_unusable_point_at_a_bound_is_evaluated_once():
    points = []

    def fun(x):
        points.append(tuple(x))
        return (np.nan if x[0] == 1 else -x.sum()), -np.ones(2)

    minimize_rprop(fun, [0.5, 0.5], jac=True, bounds=[(0, 1)] * 2, delta0=(10.0, 0.01), maxiter=9)
    assert len(points) == len(set(points))


def test_small_units_are_no_convergence():
    """The first-step search shrinks Δ0 a lot; xtol is relative to what it found."""
    result = minimize_rprop(
        lambda x: (((x - 1e-9) ** 2).sum() * 1e18, 2e18 * (x - 1e-9)), np.zeros(2), jac=True
    )
    assert result.success
    assert result.fun < 1e-10


def test_float32_runs_end_by_themselves():
    result = minimize_rprop(
        rosenbrock, np.array([-1.2, 1.0], np.float32), jac=True, basis="learned"
    )
    assert result.status in (0, 4)
    assert result.fun < 1e-6


def test_no_usable_loss_where_all_is_fixed():
    result = minimize_rprop(lambda x: (np.nan, x), [1.0], jac=True, bounds=[(1, 1)])
    assert (result.status, result.success) == (3, False)


@pytest.mark.parametrize("minimizer", [minimize_rprop, minimize_batch])
def test_stop_iteration_of_fun_propagates(minimizer):
    calls = []

    def fun(x):
        calls.append(x)
        if len(calls) > 3:
            raise StopIteration
        return (x**2).sum(axis=-1), 2 * x

    options = {"jac": True} if minimizer is minimize_rprop else {}
    with pytest.raises(StopIteration) as caught:
        minimizer(fun, np.ones(2) if options else np.ones((1, 2)), **options)
    assert caught.value.result.fun < 2


def test_stalled():
    start = np.array([1.0, 1.0])

    def fun(x):
        return (1.0 if (x == start).all() else np.nan), np.array([1.0, -1.0])

    result = minimize_rprop(fun, start, jac=True)
    assert (result.status, result.success, result.fun) == (8, False, 1.0)


def test_all_flipped_is_no_convergence():
    """An iteration in which every coordinate flips moves nothing, and says nothing."""
    result = minimize_rprop(bowl, [0.0, 0.0], jac=True, delta0=1.0, history=True, ftol=1e-300)
    assert (result.history["flips"] == 2).any()
    assert result.success
    np.testing.assert_allclose(result.x, 1.25, atol=1e-6)


def test_callbacks():
    seen = []
    new = minimize_rprop(
        rosenbrock,
        [-1.2, 1.0],
        jac=True,
        maxiter=5,
        callback=lambda intermediate_result: seen.append(intermediate_result.fun),
    )
    assert len(seen) == new.nit == 5
    assert seen == sorted(seen, reverse=True)
    assert seen[-1] == new.fun

    def stop(xk):
        seen.append(xk)
        raise StopIteration

    result = minimize_rprop(rosenbrock, [-1.2, 1.0], jac=True, callback=stop)
    assert (result.status, result.nit, result.success) == (99, 1, False)


def test_warnings_point_here():
    with pytest.warns(OptimizeWarning, match="Unknown solver options: what") as caught:
        minimize(rosenbrock, [0.0, 0.0], jac=True, method=minimize_rprop, options={"what": 1})
    with pytest.warns(RuntimeWarning, match="does not use Hessian") as more:
        minimize_rprop(rosenbrock, [0.0, 0.0], jac=True, hess=lambda x: None)
    assert [w.filename for w in [*caught, *more]] == [__file__] * 2


@pytest.mark.parametrize("options", [*OPTIONS, {"bounds": [(-2, 0.5), (0, 3)]}])
@pytest.mark.parametrize("stop", [0, 1, 2, 17, 49, 60])
def test_resumed_to_the_bit(options, stop):
    whole = minimize_rprop(
        rosenbrock, [-1.2, 1.0], jac=True, maxiter=90, return_all=True, **options
    )
    first = minimize_rprop(
        rosenbrock, [-1.2, 1.0], jac=True, maxiter=stop, return_all=True, **options
    )
    state = pickle.loads(pickle.dumps(first.state))
    rest = minimize_rprop(
        rosenbrock,
        [-1.2, 1.0],
        jac=True,
        maxiter=90 - stop,
        return_all=True,
        **{**options, "state": state},
    )
    assert (rest.x.tobytes(), rest.fun) == (whole.x.tobytes(), whole.fun)
    joined = [x.tobytes() for x in first.allvecs[:-1] + rest.allvecs]
    assert joined == [x.tobytes() for x in whole.allvecs]


def test_history():
    watched = Watched(rosenbrock)
    result = minimize_rprop(watched, [-1.2, 1.0], jac=True, maxiter=50, history=True)
    history = result.history
    assert history["nit"].tolist() == list(range(51))
    assert history["nfev"][-1] == result.nfev
    np.testing.assert_array_equal(np.minimum.accumulate(history["fun"]), history["best_fun"])
    assert (history["delta_min"] <= history["delta_median"]).all()
    assert (history["delta_median"] <= history["delta_max"]).all()


def test_iterations_are_kept_if_asked_for():
    for asked in [(), ("history",), ("return_all",), ("history", "return_all")]:
        result = minimize_rprop(bowl, [9.0, 8.0], jac=True, maxiter=3, **dict.fromkeys(asked, True))
        assert ("history" in result, "allvecs" in result) == (
            "history" in asked,
            "return_all" in asked,
        )


def test_a_result_may_be_written_into():
    first = minimize_rprop(rosenbrock, [-1.2, 1.0], jac=True, maxiter=9)
    best = first.x.tolist()
    first.x[:], first.jac[:] = 7, 7
    watched = Watched(rosenbrock)
    minimize_rprop(watched, None, jac=True, state=first.state, maxiter=3)
    assert watched.points[0].tolist() == best


def test_history_of_the_rule_alone():
    options = {"variant": "rprop-", "delta0": 0.1, "step_sizes": (1e-6, 50.0), "maxiter": 60}
    off = {"gtol": 0, "xtol": 0, "ftol": 0, "history": True, "return_all": True}
    x = np.array([-1.2, 1.0])
    result = minimize_rprop(rosenbrock, x, jac=True, **options, **off)
    state, flips, best = rprop_init(x, delta0=0.1), 0, np.inf
    for i, (line, at) in enumerate(zip(result.history, result.allvecs, strict=True)):
        loss, grads = rosenbrock(x)
        best = min(best, loss)
        sizes = state.delta.min(), np.median(state.delta), state.delta.max()
        assert line.tolist() == (i, i + 1, loss, best, abs(grads).max(), *sizes, flips)
        assert at.tolist() == x.tolist()
        flips = np.count_nonzero(np.sign(grads) * state.prev_sign < 0)
        x, state = rprop_step(x, grads, state, variant="rprop-")
    last = at.tolist()
    at[:] = 7  # no part of the state
    again = minimize_rprop(rosenbrock, [0.0, 0.0], jac=True, state=result.state, **options, **off)
    assert again.allvecs[0].tolist() == last


def test_history_of_a_start_that_is_unusable():
    result = minimize_rprop(lambda x: (1.0, [np.inf, -1.0]), [0.0, 0.0], jac=True, history=True)
    assert result.status == 3
    assert result.history["flips"].tolist() == [0]


def test_history_counts_the_flips_along_learned_directions():
    opt = Minimizer([-1.2, 1.0], history=True)
    flips = {0: 0}
    while (x := opt.ask()) is not None:
        opt.tell(*rosenbrock(x))
        run = opt.result.state
        slopes = run.directions.vectors @ run.slope
        flips[run.nit + 1] = np.count_nonzero(np.sign(slopes) * run.state.prev_sign < 0)
    history = opt.result.history
    assert history["flips"].tolist() == [flips[i] for i in history["nit"]]
    assert history["flips"].any()


def test_who_prints_a_result_is_told_how_long_its_lists_are():
    options = {"jac": True, "maxiter": 3}
    plain = minimize_rprop(bowl, [9.0, 8.0], **options)
    assert "entries" not in repr(plain)
    full = minimize_rprop(bowl, [9.0, 8.0], history=True, return_all=True, **options)
    empty = minimize_rprop(lambda x: (0.0, x), [], jac=True, history=True)
    assert "<1 entries>" in repr(empty)
    assert repr(full).count("<4 entries>") == 2
    searched = multistart(bowl, [(-5, 5)] * 2, 4, jac=True, rng=0)
    assert "<4 runs>" in repr(searched)
    assert len(searched.runs.fun) == len(full.history) == 4  # nothing was lost


def test_disp_tells_what_scipys_methods_tell(capsys):
    result = minimize_rprop(rosenbrock, [-1.2, 1.0], jac=True, disp=True)
    assert capsys.readouterr().out.splitlines() == [
        result.message,
        f"         Current function value: {result.fun:f}",
        f"         Iterations: {result.nit}",
        f"         Function evaluations: {result.nfev}",
        f"         Gradient evaluations: {result.njev}",
    ]
    with pytest.warns(OptimizeWarning, match="Maximum number of iterations"):
        minimize_rprop(rosenbrock, [-1.2, 1.0], jac=True, disp=True, maxiter=3)
    assert not capsys.readouterr().out


@pytest.mark.skipif(sys.version_info < (3, 14), reason="annotations are evaluated at once")
def test_a_callback_whose_annotations_mean_nothing():
    names = {}
    exec("def callback(intermediate_result: Missing): seen.append(intermediate_result.nit)", names)  # noqa: S102
    names["seen"] = []
    minimize_rprop(bowl, [9.0, 8.0], jac=True, maxiter=3, callback=names["callback"])
    assert names["seen"] == [1, 2, 3]


@pytest.mark.parametrize("installed", [True, False])
def test_progress_goes_to_standard_error(capsys, monkeypatch, installed):
    if installed:
        pytest.importorskip("tqdm")
    else:
        monkeypatch.setitem(__import__("sys").modules, "tqdm", None)
    minimize_rprop(rosenbrock, [-1.2, 1.0], jac=True, maxiter=5, progress=True)
    out, err = capsys.readouterr()
    assert not out
    assert err


@pytest.mark.parametrize("every", [True, 1, 3])
def test_verbose_prints_a_line_every_so_many_iterations(capsys, every):
    result = minimize_rprop(
        rosenbrock, [-1.2, 1.0], jac=True, verbose=every, history=True, maxiter=8
    )
    assert capsys.readouterr().out.splitlines() == [
        f"iteration {line['nit']}, {line['nfev']} evaluations, loss {line['best_fun']:.6g}"
        for line in result.history[1:]
        if line["nit"] % every == 0
    ]
    assert (result.history["fun"] > result.history["best_fun"]).any()


def test_constraints_are_not_used():
    plane = {"type": "eq", "fun": lambda x: x.sum()}
    with pytest.warns(RuntimeWarning, match="Method rprop cannot handle constraints"):
        minimize_rprop(bowl, [0.0, 0.0], jac=True, constraints=plane)
    for none in (None, (), []):
        assert minimize_rprop(bowl, [0.0, 0.0], jac=True, constraints=none).success


def test_one_further_argument_need_not_be_a_tuple():
    result = minimize_rprop(lambda x, a: (((x - a) ** 2).sum(), 2 * (x - a)), [3.0], 2.0, jac=True)
    assert abs(result.x[0] - 2) < 1e-6


def test_consoles_that_lack_a_letter_show_a_question_mark(monkeypatch):
    bytes_written = io.BytesIO()
    for console in (io.TextIOWrapper(bytes_written, "ascii", write_through=True), io.StringIO()):
        monkeypatch.setattr(sys, "stdout", console)
        say("Δ = 1")
    assert bytes_written.getvalue().split() == [b"?", b"=", b"1"]
    assert console.getvalue() == "Δ = 1\n"
