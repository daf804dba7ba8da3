"""The figures show the numbers of the run."""

import numpy as np
import pytest

from rprop import minimize_rprop, rprop_trace

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
from matplotlib import pyplot as plt

from rprop.teaching.plot import plot_delta, plot_history, plot_trajectory


def fun(x):
    return x[0] ** 2 + 10 * x[1] ** 2, np.array([2 * x[0], 20 * x[1]])


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def result():
    return minimize_rprop(fun, [3.0, 1.0], jac=True, history=True, return_all=True)


def test_the_path_is_drawn_through_all_iterates(result):
    ax = plot_trajectory(result, fun)
    assert (ax.lines[0].get_xydata() == np.array(result.allvecs)).all()


def test_a_trace_is_drawn_to_its_last_point():
    trace = rprop_trace(fun, [3.0, 1.0], 5)
    ax = plot_trajectory(trace, fun)
    assert (ax.lines[0].get_xydata()[-1] == trace.x).all()
    deltas = plot_delta(trace)
    for line, delta in zip(deltas.lines, trace.rows["delta"].T, strict=True):
        assert (line.get_ydata() == delta).all()


def test_the_history_is_drawn(result):
    above, below = plot_history(result)
    assert (above.lines[0].get_ydata() == result.history["fun"]).all()
    assert (below.lines[0].get_ydata() == result.history["delta_median"]).all()


def test_what_was_not_recorded_is_named():
    bare = minimize_rprop(fun, [3.0, 1.0], jac=True)
    with pytest.raises(ValueError, match="history=True"):
        plot_history(bare)
    with pytest.raises(ValueError, match="return_all=True"):
        plot_trajectory(bare, fun)
    with pytest.raises(ValueError, match="two variables"):
        plot_trajectory(rprop_trace(lambda x: (0, x), [1.0, 2.0, 3.0], 2), fun)
