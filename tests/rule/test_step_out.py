"""Results written into given arrays, masks, and complex numbers: where memory and axes meet."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rprop import VARIANTS, RpropState, rprop_init, rprop_step
from tests.strategies import bits, rows

LIMITS = {"etas": (0.5, 1.2), "step_sizes": (0.03, 0.25)}


def before(n, dtype=np.float64, seed=0):
    """Return params, gradients and a state in the middle of a run, flips among them."""
    rng = np.random.default_rng(seed)
    params, delta, prev_update = rng.uniform(0.01, 0.3, (3, n)).astype(dtype)
    grads = rng.choice([-1.0, 0.0, 1.0], n).astype(dtype)
    prev_sign = rng.choice(np.array([-1, 0, 1], np.int8), n)
    return params, grads, RpropState(delta, prev_sign, prev_update, np.array(1.0))


@pytest.mark.parametrize("n", [5, 9001])
@given(variant=rows, order=st.permutations(range(4)), shift=st.integers(-4, 4))
def test_out_may_overlap_any_input(n, variant, order, shift):
    """Each float array written lies across one or two arrays that are read."""
    params, grads, state = before(n)
    settings = {"variant": variant, "loss": 2.0, **LIMITS}
    expected = rprop_step(params, grads, state, **settings)

    memory = np.zeros((4 + 2) * n)
    inputs = [memory[(i + 1) * n : (i + 2) * n] for i in range(4)]
    for place, values in zip(inputs, (params, grads, state.delta, state.prev_update), strict=True):
        place[:] = values
    outs = [memory[(i + 1) * n + shift : (i + 2) * n + shift] for i in order[:3]]
    signs = np.empty(n + 4, np.int8)
    signs[4:] = state.prev_sign
    loss = np.array(1.0)
    result = rprop_step(
        inputs[0],
        inputs[1],
        RpropState(inputs[2], signs[4:], inputs[3], loss),
        **settings,
        out=(outs[0], RpropState(outs[1], signs[abs(shift) :][:n], outs[2], loss)),
    )
    assert bits(*result) == bits(*expected)


WRONG = {
    "shape": (lambda a: np.empty((*a.shape, 1), a.dtype), "of shape .* got shape"),
    "dtype": (lambda a: np.empty(a.shape, np.float16), "dtype .* got shape .* dtype float16"),
    "read-only": (lambda a: np.broadcast_to(a.copy(), a.shape), "is read-only"),
}


@pytest.mark.parametrize("dtype", [float, complex])
@pytest.mark.parametrize("name", ["params", *RpropState._fields])
@pytest.mark.parametrize("wrong", WRONG)
def test_a_bad_out_is_named_and_nothing_is_written(wrong, name, dtype):
    params = np.ones(3, dtype)
    state = rprop_init(params)
    good = {"params": np.full_like(params, 7), **state._asdict()}
    given = {key: array.copy() for key, array in good.items()}
    make, message = WRONG[wrong]
    given[name] = make(given[name])
    untouched = bits(*(a for key, a in given.items() if key != name))
    out = given["params"], RpropState(*(given[field] for field in RpropState._fields))
    with pytest.raises(
        ValueError, match=rf"^out must .*\b{name} .*{message}|^out must .*; {name} is"
    ):
        rprop_step(params, params, state, loss=1.0, out=out)
    assert untouched == bits(*(a for key, a in given.items() if key != name))


def test_a_mask_keeps_bits_that_numbers_do_not_show():
    payload = np.array([0x7FF8_0000_DEAD_BEEF], np.uint64).view(float)[0]
    params = np.array([-0.0, payload, 0.0, 1.0])
    state = RpropState(
        np.full(4, payload),
        np.ones(4, np.int8),
        np.array([-0.0, payload, 0.0, -0.0]),
        np.array(3.0),
    )
    where = np.array([False, False, False, True])
    for variant in VARIANTS:
        after, new = rprop_step(
            params, -np.ones(4), state, variant=variant, loss=4.0, where=where, **LIMITS
        )
        for old, result in zip((params, *state[:3]), (after, *new[:3]), strict=True):
            assert bits(result[~where]) == bits(old[~where])


def test_a_finished_problem_keeps_its_loss():
    params, state = (
        np.zeros((3, 2)),
        rprop_init(np.zeros((3, 2)))._replace(prev_loss=np.arange(3.0)),
    )
    where = [[True, True], [False, False], [False, True]]
    _, state = rprop_step(params, params, state, loss=[7.0, 8.0, 9.0], where=where)
    assert state.prev_loss.tolist() == [7.0, 1.0, 9.0]


def test_a_loss_that_is_not_given_is_not_known_later():
    state = rprop_init([1.0])
    for loss, known in [(2.0, 2.0), (None, np.nan), (3.0, 3.0)]:
        _, state = rprop_step([1.0], [1.0], state, variant="rprop+", loss=loss)
        np.testing.assert_array_equal(state.prev_loss, known)


@given(variant=rows, order=st.permutations(range(6)))
def test_permutation(variant, order):
    params, grads, state = before(6)
    settings = {"variant": variant, "loss": 2.0, **LIMITS}
    after, new = rprop_step(params, grads, state, **settings)
    permuted = RpropState(*(field[order] for field in state[:3]), state.prev_loss)
    found = rprop_step(params[order], grads[order], permuted, **settings)
    assert bits(found[0], *found[1][:3]) == bits(after[order], *(f[order] for f in new[:3]))


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
@given(variant=rows)
def test_masks_limits_and_out_of_complex_numbers(dtype, variant):
    """Both parts of a number share its mask and its limits."""
    real = np.empty(0, dtype).real.dtype
    params, grads, state = before(6, real)
    where = np.array([True, False, True])
    low, high = np.array([0.01, 0.02, 0.2]), np.array([0.05, 0.1, 0.3])
    settings = {"etas": (0.5, 1.2), "variant": variant, "loss": 2.0}
    expected, fields = rprop_step(
        params,
        grads,
        state,
        step_sizes=(np.repeat(low, 2), np.repeat(high, 2)),
        where=np.repeat(where, 2),
        **settings,
    )
    out = np.zeros(3, dtype), RpropState(*map(np.zeros_like, state))
    for into in (None, out, (params.copy().view(dtype), RpropState(*map(np.copy, state)))):
        found, new = rprop_step(
            params.view(dtype),
            grads.view(dtype),
            state,
            step_sizes=(low, high),
            where=where,
            out=into,
            **settings,
        )
        assert found.dtype == dtype
        assert into is None or all(
            a is b for a, b in zip((found, *new), (into[0], *into[1]), strict=True)
        )
        assert bits(found.view(real), new) == bits(expected, fields)


def test_complex_numbers_with_a_real_gradient_and_a_limit_for_each():
    params, state = np.array([1 + 2j, 3.0]), rprop_init(np.array([1 + 2j, 3.0]))
    one, two = (rprop_step(params, g, state) for g in ([1.0, -2.0], [1 + 0j, -2 + 0j]))
    assert bits(one[0], *one[1]) == bits(two[0], *two[1])
    stepped, _ = rprop_step(params, [1 + 1j, 1 + 1j], state, step_sizes=([0.25, 0.5], 5.0))
    assert stepped.tolist() == [0.75 + 1.75j, 2.5 - 0.5j]


def test_a_complex_number_of_no_dimension():
    state = rprop_init(1 + 2j)
    params, state = rprop_step(1 + 2j, 1 - 1e-300j, state)
    assert params.shape == ()
    assert params == 0.9 + 2.1j
    assert state.prev_sign.tolist() == [1, -1]


def test_the_state_of_complex_numbers_is_checked_before_out():
    params = np.zeros(2, complex)
    with pytest.raises(TypeError, match="state must be an RpropState; got 3"):
        rprop_step(params, params, 3, out=(params, rprop_init(params)))


@pytest.mark.parametrize(
    ("dtype", "result", "of_state"),
    [
        (bool, "f8", "f8"),
        (np.int8, "f8", "f8"),
        (np.uint64, "f8", "f8"),
        (">i4", "f8", "f8"),
        (np.float16, "f2", "f4"),
        (">f2", "f2", "f4"),
        (">f4", "f4", "f4"),
        (np.longdouble, np.longdouble, np.longdouble),
        (">c8", "c8", "f4"),
        (np.clongdouble, np.clongdouble, np.longdouble),
    ],
)
def test_dtype_of_the_results(dtype, result, of_state):
    given = np.array([0, 1], dtype)
    params, state = rprop_step(given, given, rprop_init(given))
    assert params.dtype == result
    assert [f.dtype for f in state] == [of_state, np.int8, of_state, np.float64]
