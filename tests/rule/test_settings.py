"""Neither the caller's floating-point settings nor an interrupt change what a step is."""

import os
import signal
import threading
import warnings
from itertools import product

import numpy as np
import pytest

from rprop import VARIANTS, rprop_init, rprop_step
from rprop.rule import blocks
from rprop.rule.reference import RULES
from rprop.rule.step import write
from tests.strategies import bits

SIZES = [3, 20_000]


def extreme(size, dtype):
    """Return a run in which numbers overflow and underflow, and its settings."""
    info = np.finfo(dtype)
    params = np.resize(np.array([1.0, info.max, -info.tiny], dtype), size)
    state = rprop_init(params)._replace(
        delta=np.resize(np.array([info.max, info.max, info.smallest_subnormal], dtype), size),
        prev_sign=np.resize(np.array([1, -1, 1], np.int8), size),
        prev_update=np.resize(np.array([1.0, info.max, info.tiny], dtype), size),
    )
    return params, np.resize([1.0, -1.0, -np.inf], size).astype(dtype), state


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("variant", VARIANTS)
def test_the_callers_errors_are_not_ours(size, dtype, variant):
    given = extreme(size, dtype)
    settings = {"variant": variant, "loss": np.inf, "step_sizes": (0.0, np.inf)}
    with np.errstate(all="ignore"):
        expected = rprop_step(*given, **settings)
    with np.errstate(all="raise"):
        found = rprop_step(*given, **settings)
    assert bits(found[0], *found[1]) == bits(expected[0], *expected[1])
    with np.errstate(all="warn"), warnings.catch_warnings():
        warnings.simplefilter("error")
        found = rprop_step(*given, **settings)
    assert bits(found[0], *found[1]) == bits(expected[0], *expected[1])


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("sign", [-1, 0, 1])
def test_factors_beyond_the_dtype(size, sign):
    """As the scalar rule has it, Δ grows up to its limit; with limits of any form."""
    f4 = np.float32
    params, grads = np.ones(size, f4), np.full(size, sign, f4)
    state = rprop_init(params)._replace(prev_sign=np.ones(size, np.int8))
    limits = f4(1e-6), f4(50)
    with np.errstate(all="ignore"):
        one = (f4(1), f4(sign), f4(0.1), 1, f4(0), (f4(0.5), f4(1e39)), limits, False)
        w, delta, *_ = RULES["irprop-"](*one)
    for low, high in product((1e-6, np.full(1, 1e-6)), (50.0, np.full(size, 50.0))):
        with np.errstate(all="raise"):
            found, after = rprop_step(params, grads, state, (0.5, 1e39), (low, high))
        assert bits(found, after.delta) == bits(np.full(size, w), np.full(size, delta))


def test_factors_beyond_the_dtype_of_other_libraries():
    torch = pytest.importorskip("torch", reason="arrays of torch need torch")
    pytest.importorskip("array_api_compat", reason="arrays of torch need array-api-compat")
    params = torch.zeros(3)
    grads = torch.tensor([1.0, 0.0, -1.0])
    state = rprop_init(params)._replace(prev_sign=torch.ones(3, dtype=torch.int8))
    found, after = rprop_step(params, grads, state, (0.5, 1e39))
    assert found.tolist() == [-50, 0, 0]
    assert torch.equal(after.delta, torch.tensor([50, 0.1, 0.05]))


@pytest.mark.parametrize("size", SIZES)
def test_parameters_in_a_file(size, tmp_path):
    """Memory-mapped arrays are read, and written as `out`."""
    params = np.memmap(tmp_path / "params", np.float32, "w+", shape=size)
    params[:] = np.arange(size)
    state, plain = rprop_init(params), (np.array(params), rprop_init(np.array(params)))
    for sign in (1, 1, -1):
        plain = rprop_step(plain[0], np.full(size, sign), plain[1])
        _, state = rprop_step(params, np.full(size, sign), state, out=(params, state))
        assert bits(np.array(params), *state) == bits(plain[0], *plain[1])
    params.flush()
    kept = np.memmap(tmp_path / "params", np.float32, "r")
    assert bits(np.array(kept)) == bits(plain[0])
    found, expected = (rprop_step(p, np.ones(size), state) for p in (kept, plain[0]))
    assert bits(*found) == bits(*expected)


def results(size):
    params = np.arange(float(size))
    state = rprop_init(params)
    return params, state, rprop_step(params, params, state, loss=1.0)


@pytest.mark.skipif(os.name == "nt", reason="signals")
@pytest.mark.parametrize("threads", ["1", "2"])
def test_an_interrupt_waits_until_a_large_step_is_whole(monkeypatch, threads):
    params, state, expected = results(600_000)
    monkeypatch.setenv("RPROP_NUM_THREADS", threads)
    kept = signal.signal(signal.SIGINT, signal.default_int_handler)  # a background shell ignores it
    replayed, assign = [], blocks.greater

    def interrupt(*arguments):
        if not replayed:
            signal.raise_signal(signal.SIGINT)
        replayed.append(1)
        assign(*arguments)

    monkeypatch.setattr(blocks, "greater", interrupt)
    blocks.program.cache_clear()
    try:
        with pytest.raises(KeyboardInterrupt):
            rprop_step(params, params.copy(), state, loss=1.0, out=(params, state))
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        blocks.program.cache_clear()
        signal.signal(signal.SIGINT, kept)
    assert len(replayed) > 1
    assert bits(params, *state) == bits(expected[0], *expected[1])


def test_an_interrupt_of_a_small_step_leaves_it_whole():
    class Slow(np.ndarray):
        interrupted = False

        def __setitem__(self, key, value):
            if not Slow.interrupted:
                Slow.interrupted = True
                raise KeyboardInterrupt
            super().__setitem__(key, value)

    into = [np.zeros(2), np.zeros(2).view(Slow), np.zeros(2)]
    with pytest.raises(KeyboardInterrupt):
        write(into, [np.ones(2)] * 3)
    assert [array.tolist() for array in into] == [[1, 1]] * 3


def test_a_handler_of_the_callers_is_called_after_the_step():
    seen = []
    old = signal.signal(signal.SIGINT, lambda *_: seen.append("late"))
    try:
        with blocks.uninterrupted():
            signal.raise_signal(signal.SIGINT)
            assert not seen
        assert seen == ["late"]
    finally:
        signal.signal(signal.SIGINT, old)


def test_other_threads_leave_signals_alone():
    handlers = []

    def look():
        with blocks.uninterrupted():
            handlers.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert handlers == [signal.getsignal(signal.SIGINT)]


def test_a_handler_that_was_not_set_from_python_is_left_alone(monkeypatch):
    handler = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(signal, "getsignal", lambda number: None)
    with blocks.uninterrupted():
        pass
    monkeypatch.undo()
    assert signal.getsignal(signal.SIGINT) is handler
