"""Arrays so large that the step is taken block by block: the same bits as in small pieces."""

import tracemalloc
from contextlib import contextmanager

import numpy as np
import pytest

from rprop import VARIANTS, RpropState, Variant, rprop_init, rprop_step
from tests.strategies import bits

# Steps and limits that both get used; a gradient of NaN, zeros of both signs, and flips.
SETTINGS = {"etas": (0.5, 1.2), "step_sizes": (0.03, 0.25)}
ROWS = [*VARIANTS.values(), Variant("own", "undo", "step", forgets=False)]
LOSSES = ([0.0, 0, 0], [1.0, 0, np.nan], [2.0, -1, 0], [2.0, 5, np.nan])


def problem(dtype, n, seed=0):
    """Return params (3, n), gradients (4, 3, n), a mask and limits; rows are problems."""
    rng = np.random.default_rng(seed)
    params = rng.normal(size=(3, n)).astype(dtype)
    grads = rng.choice([1.0, -1.0, 1e-300, -1e300, 0.0, -0.0, np.nan, np.inf], (4, 3, n))
    mask = rng.random((3, n)) < 0.7
    mask[1] = False  # a finished problem
    low, high = rng.uniform(0, 0.05, (3, n)), rng.uniform(0.1, 0.3, n)
    return params, grads, mask, (low, high)


def run(params, grads, losses, variant, *, step=rprop_step, **settings):
    state = rprop_init(params, 0.125)
    for row, loss in zip(grads, losses, strict=True):
        params, state = step(params, row, state, variant=variant, loss=loss, **settings)
    return params, state


def in_pieces(params, grads, variant, *, where=None, step_sizes, etas):
    """Run pieces of 997 columns on their own and put them together again."""
    size, pieces = 997, []
    for i in range(0, params.shape[1], size):
        part = np.s_[..., i : i + size]
        options = {} if where is None else {"where": where[part]}
        limits = [limit[part] if np.ndim(limit) else limit for limit in step_sizes]
        pieces.append(
            run(params[part], grads[part], LOSSES, variant, step_sizes=limits, etas=etas, **options)
        )
    columns = [
        np.concatenate(fields, axis=-1)
        for fields in zip(*((p, *s[:3]) for p, s in pieces), strict=True)
    ]
    return columns[0], columns[1:]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble])
@pytest.mark.parametrize("variant", ROWS, ids=lambda row: row.name)
def test_blocks_equal_pieces(variant, dtype):
    params, grads, _, _ = problem(dtype, 9001)
    whole, state = run(params, grads, LOSSES, variant, **SETTINGS)
    expected, fields = in_pieces(params, grads, variant, **SETTINGS)
    assert bits(whole, *state[:3]) == bits(expected, *fields)
    np.testing.assert_array_equal(state.prev_loss, LOSSES[-1])


@pytest.mark.parametrize("variant", ROWS, ids=lambda row: row.name)
def test_masks_and_limits_in_blocks(variant):
    params, grads, mask, limits = problem(np.float64, 9001)
    params[:, ::7] = np.nan  # where masked, the bits stay
    settings = {"etas": (0.5, 1.2), "step_sizes": limits}
    whole, state = run(params, grads, LOSSES, variant, where=mask, **settings)
    wide = [np.broadcast_to(limit, params.shape) for limit in limits]
    expected, fields = in_pieces(
        params, grads, variant, where=mask, etas=(0.5, 1.2), step_sizes=wide
    )
    assert bits(whole, *state[:3]) == bits(expected, *fields)
    assert bits(whole[~mask]) == bits(params[~mask])
    np.testing.assert_array_equal(state.prev_loss, [2.0, np.nan, np.nan])  # row 1 is all masked


@pytest.mark.parametrize(
    "form",
    [
        pytest.param(np.asfortranarray, id="Fortran"),
        pytest.param(lambda a: np.repeat(a, 2, axis=-1)[..., ::2], id="strided"),
        pytest.param(lambda a: a.astype(">f8"), id="big-endian"),
        pytest.param(lambda a: a[..., ::-1].copy()[..., ::-1], id="reversed"),
    ],
)
def test_any_layout_in_blocks(form):
    params, grads, _, _ = problem(np.float64, 9001)
    expected = run(params, grads, LOSSES, "irprop+", **SETTINGS)
    found = run(form(params), [form(row) for row in grads], LOSSES, "irprop+", **SETTINGS)
    assert bits(*found) == bits(*expected)


def in_place(params, grads, state, **settings):
    return rprop_step(params, grads, state, out=(params, state), **settings)


def into_fresh(params, grads, state, **settings):
    out = np.full_like(params, 7), RpropState(*(np.full_like(field, 7) for field in state))
    return rprop_step(params, grads, state, out=out, **settings)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("step", [in_place, into_fresh])
@pytest.mark.parametrize("variant", ROWS, ids=lambda row: row.name)
def test_out_in_blocks(variant, step, masked):
    params, grads, mask, _ = problem(np.float64, 9001)
    settings = {"where": mask if masked else True, **SETTINGS}
    expected = run(params, grads, LOSSES, variant, **settings)
    found = run(params.copy(), grads, LOSSES, variant, step=step, **settings)
    assert bits(*found) == bits(*expected)


@pytest.mark.parametrize("number", ["1", "2", "3"])
def test_threads_change_no_bit(monkeypatch, number):
    params, grads, _, _ = problem(np.float32, 270_011)
    expected = in_pieces(params, grads, "irprop+", **SETTINGS)
    monkeypatch.setenv("RPROP_NUM_THREADS", number)
    whole, state = run(params, grads, LOSSES, "irprop+", **SETTINGS)
    assert bits(whole, *state[:3]) == bits(expected[0], *expected[1])


def test_settings_that_vary_pile_nothing_up():
    params = np.zeros(10_000)
    state = rprop_init(params)
    with tracing() as traced:
        for largest in range(1, 40):
            if largest == 10:
                before = traced()
            rprop_step(params, params, state, step_sizes=(0.0, float(largest)))
        assert traced() - before < 1e6  # one array of scratch is half of that


@contextmanager
def tracing():
    """Give a function that says how many bytes are in use."""
    tracemalloc.start()
    try:
        yield lambda: tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("number", ["0", "-1", "two", "1.5"])
def test_a_bad_number_of_threads(monkeypatch, number):
    monkeypatch.setenv("RPROP_NUM_THREADS", number)
    params = np.zeros(10_000)
    with pytest.raises(ValueError, match=f"RPROP_NUM_THREADS must be a .* got '{number}'"):
        rprop_step(params, params, rprop_init(params))


def test_a_large_step_without_a_loss():
    params, grads, _, _ = problem(np.float64, 9001)
    _, state = rprop_step(params, grads[0], rprop_init(params))
    assert state.prev_loss.shape == (3,)
    assert np.isnan(state.prev_loss).all()


def test_large_inputs_are_not_written_nor_shared():
    params, grads, mask, limits = problem(np.float64, 9001)
    state = rprop_init(params)
    inputs = [params, grads[0], mask, *limits, *state]
    for array in inputs:
        array.setflags(write=False)
    after, new = rprop_step(params, grads[0], state, step_sizes=limits, where=mask)
    for result in (after, *new):
        assert not any(np.shares_memory(result, array) for array in inputs)
