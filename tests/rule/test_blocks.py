"""Large arrays are stepped block by block, and to the bit as in one piece."""

import tracemalloc
from concurrent import futures

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rprop import RpropState, rprop_step
from rprop.rule import blocks
from rprop.rule import step as core
from tests.strategies import bits, rows

SIZE = core.SMALL + 17


def problem(seed, dtype, shape):
    """Return params, grads and a state in the middle of a run."""
    rng = np.random.default_rng(seed)
    wide = np.float32 if dtype == np.float16 else dtype
    params = rng.standard_normal(shape).astype(dtype)
    grads = rng.choice([1e-200, -1.0, 0.0, -0.0, np.nan, np.inf, 2.0], shape)
    state = RpropState(
        rng.uniform(1e-3, 1, shape).astype(wide),
        rng.integers(-1, 2, shape).astype(np.int8),
        rng.standard_normal(shape).astype(wide),
        rng.standard_normal(shape[:-1]),
    )
    return params, grads, state


def whole(*arguments, **options):
    """Take the step in one piece."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(core, "SMALL", np.inf)
        return rprop_step(*arguments, **options)


@settings(max_examples=30)
@given(
    st.integers(0, 2**32),
    rows,
    st.sampled_from([np.float16, np.float32, np.float64, np.longdouble]),
    st.sampled_from([(SIZE,), (3, SIZE // 3), (SIZE // 2, 2)]),
    st.sampled_from(["C", "Fortran", "strided", "reversed"]),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["new", "out", "in place"]),
    st.sampled_from(["1", "2", "3"]),
)
def test_blocks_equal_the_whole_to_the_bit(
    seed, variant, dtype, shape, layout, masked, limited, result, threads
):
    params, grads, state = problem(seed, dtype, shape)
    rng = np.random.default_rng(seed)
    options = {"variant": variant, "loss": rng.standard_normal(shape[:-1])}
    if masked:
        options["where"] = rng.random(shape[-1]) < 0.5
    if limited:
        options["step_sizes"] = rng.uniform(0, 0.05, shape), rng.uniform(0.1, 0.3, shape[-1])
    form = {
        "C": lambda a: a,
        "Fortran": np.asfortranarray,
        "strided": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
        "reversed": lambda a: a[::-1].copy()[::-1],
    }[layout]
    expected = whole(params, grads, state, **options)
    params, grads = form(params), form(grads)
    if result == "in place":
        options["out"] = (params, state)
    else:
        for array in (params, grads, *state):
            array.setflags(write=False)
    if result == "out":
        options["out"] = (np.zeros_like(params), RpropState(*map(np.zeros_like, state)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RPROP_NUM_THREADS", threads)
        patch.setattr(blocks, "SHARE", 1000)
        patch.setattr(blocks, "SCRATCH", SIZE * 8)  # some blocks and a rest
        found = rprop_step(params, grads, state, **options)
    assert bits(*found) == bits(*expected)


def test_no_memory_but_the_results():
    params, grads, state = problem(0, np.float64, (10**6,))
    rprop_step(params, grads, state, out=(params, state))  # makes the scratch
    for extra, out in ((0, (params, state)), (params.nbytes * 25 // 8, None)):
        tracemalloc.start()
        rprop_step(params, grads, state, out=out)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak <= extra + 8 * 2**20


@pytest.mark.parametrize(
    ("threads", "size", "workers"),
    [("", 9, []), ("1", 9, []), ("2", 9, [2]), ("3", 9, [3]), ("9", 4, [4])],
)
def test_as_many_threads_as_asked_for_and_worth_it(monkeypatch, threads, size, workers):
    asked, pool = [], futures.ThreadPoolExecutor
    monkeypatch.setattr(futures, "ThreadPoolExecutor", lambda n: asked.append(n) or pool(n))
    monkeypatch.setenv("RPROP_NUM_THREADS", threads)
    monkeypatch.setattr(blocks, "SHARE", SIZE)
    params, grads, state = problem(0, np.float64, (size * SIZE,))
    expected = whole(params, grads, state)
    assert bits(*rprop_step(params, grads, state)) == bits(*expected)
    assert asked == workers
