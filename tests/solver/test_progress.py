"""A run that converged must not look as if it had been broken off."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from rprop import minimize_batch, minimize_rprop, multistart
from rprop.solver import progress


def square(X):
    return (X * X).sum(axis=-1), 2 * X


def hilly(X):
    return (X * X - np.cos(3 * X)).sum(axis=-1), 2 * X + 3 * np.sin(3 * X)


class Fake:
    """In the place of `tqdm.tqdm`."""

    bars: list

    def __init__(self, total=None, unit="it", **_):
        self.total, self.unit, self.count, self.closed = total, unit, 0, False
        self.losses = []
        Fake.bars.append(self)

    def set_postfix(self, refresh=True, **shown):
        assert not refresh  # it is redrawn now and then
        self.loss = shown["loss"]
        self.losses.append(self.loss)

    def update(self):
        self.count += 1

    def close(self):
        self.closed = True


@pytest.fixture
def bars(monkeypatch):
    Fake.bars = []
    monkeypatch.setitem(sys.modules, "tqdm", SimpleNamespace(tqdm=Fake))
    return Fake.bars


DOORS = {
    "one": lambda **given: minimize_rprop(square, [3.0, 1.0], jac=True, **given),
    "many": lambda **given: minimize_batch(square, [[3.0, 1.0], [5.0, 2.0]], **given),
    "starts at once": lambda **given: multistart(
        square, [(-2, 2)], 4, vectorized=True, rng=0, **given
    ),
}


@pytest.mark.parametrize("door", DOORS)
def test_a_bar_of_iterations_has_no_total(door, bars):
    result = DOORS[door](progress=True)
    (bar,) = bars
    assert bar.closed
    assert bar.total is None
    assert bar.count == np.max(result.runs.nit if "runs" in result else result.nit)


def test_a_bar_shows_the_lowest_loss(bars):
    options = {"progress": True, "history": True, "delta0": 1.0}
    one = minimize_rprop(hilly, [3.0, 1.0], jac=True, **options).history
    many = minimize_batch(hilly, [[3.0, 1.0]], **options).history[0]
    for bar, history in zip(bars, (one, many), strict=True):
        assert bar.losses == [f"{loss:.6g}" for loss in history["best_fun"][1:]]
        assert (np.diff(history["fun"]) > 0).any()


def test_a_bar_of_starts_is_full_at_the_end(bars):
    result = multistart(hilly, [(-2, 2)], 4, jac=True, rng=0, progress=True)
    (bar,) = bars
    assert bar.closed
    assert (bar.total, bar.count, bar.unit) == (4, 4, "start")
    assert bar.loss == f"{result.fun:.6g}"


@pytest.mark.parametrize("door", DOORS)
def test_nothing_is_shown_unasked(door, bars, capsys):
    DOORS[door]()
    assert not bars
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("door", DOORS)
def test_a_bar_is_closed_when_something_goes_wrong(door, bars):
    def callback(X):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        DOORS[door](progress=True, callback=callback)
    assert [bar.closed for bar in bars] == [True]


def test_without_tqdm_the_last_line_shows_the_end(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    result = minimize_rprop(square, [3.0, 1.0], jac=True, progress=True)
    err = capsys.readouterr().err
    assert err.endswith(f"\r{result.nit} it, loss {result.fun:.6g}\n")
    multistart(hilly, [(-2, 2)], 4, jac=True, rng=0, progress=True)
    assert "\r4 start, loss " in capsys.readouterr().err


def test_without_tqdm_the_line_is_redrawn_ten_times_a_second(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    clock = SimpleNamespace()
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: clock.now))
    bar = progress.Bar()
    for count, clock.now in enumerate([0.0, 0.05, 0.09, 0.1, 0.15, 0.21], 1):
        bar.update(1 / count)
    drawn = ["1 it, loss 1", "4 it, loss 0.25", "6 it, loss 0.166667"]
    assert capsys.readouterr().err.split("\r")[1:] == drawn
    bar.close()
    assert capsys.readouterr().err == "\r6 it, loss 0.166667\n"


def test_a_bar_of_a_run_that_ends_at_its_start(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    minimize_rprop(square, [3.0, 1.0], jac=True, progress=True, maxiter=0)
    assert capsys.readouterr().err == "\n"


def test_tqdm_shows_the_last_loss(capsys):
    pytest.importorskip("tqdm", reason="tqdm is not installed")
    result = minimize_rprop(square, [3.0, 1.0], jac=True, progress=True)
    last = capsys.readouterr().err.rsplit("\r", 1)[-1]
    assert f"{result.nit}it" in last
    assert f"loss={result.fun:.6g}" in last
    assert "%" not in last
