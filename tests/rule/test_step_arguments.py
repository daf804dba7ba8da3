"""Every bad argument gets its own error, which names it and says what came."""

import re

import numpy as np
import pytest

from rprop import RpropState, rprop_init, rprop_step
from tests.strategies import bits

STATE = rprop_init([1.0, 2.0])
BAD = [
    ({"params": "ab"}, TypeError, "params must be an array of numbers"),
    ({"params": [[1], [1, 2]]}, ValueError, "params must be an array of numbers"),
    ({"grads": [1.0]}, ValueError, r"grads must have the shape of params, \(2,\); got \(1,\)"),
    ({"grads": [1j, 0]}, TypeError, "grads must be real for real params; got dtype complex128"),
    ({"grads": None}, TypeError, "grads must be an array of numbers; got dtype object$"),
    ({"state": 3}, TypeError, "state must be an RpropState; got 3: rprop_init"),
    ({"state": "x" * 99}, TypeError, r"state must be an RpropState; got '.{20,40}': rprop_init"),
    ({"state": []}, TypeError, "state must be an RpropState; got a list of 0: rprop_init"),
    ({"state": rprop_init([1.0])}, ValueError, r"state must belong to params of shape \(2,\)"),
    ({"state": STATE._replace(prev_loss=np.ones(2))}, ValueError, "state.prev_loss must have"),
    ({"etas": 0.5}, TypeError, r"etas must be a pair of numbers \(η-, η\+\); got 0.5"),
    ({"etas": (1.2, 0.5)}, ValueError, r"etas must satisfy .*; got \(1.2, 0.5\)"),
    ({"etas": (0.0, 1.2)}, ValueError, r"etas must satisfy .*; got \(0.0, 1.2\)$"),
    ({"etas": (0.5, 1.0)}, ValueError, "etas must satisfy"),
    ({"etas": (1.0, 1.2)}, ValueError, "etas must satisfy"),
    ({"etas": (0.5, np.inf)}, ValueError, "etas must satisfy"),
    ({"etas": (np.nan, 1.2)}, ValueError, "etas must satisfy"),
    ({"step_sizes": 1.0}, TypeError, r"step_sizes must be a pair \(Δmin, Δmax\); got 1.0"),
    ({"step_sizes": (1.0, 0.1)}, ValueError, "step_sizes must satisfy 0 <= Δmin <= Δmax; got"),
    ({"step_sizes": (-1.0, 0.1)}, ValueError, "step_sizes must satisfy"),
    ({"step_sizes": (np.nan, 0.1)}, ValueError, "step_sizes must satisfy"),
    ({"step_sizes": ([0.1, 2.0], 1)}, ValueError, "step_sizes must satisfy"),
    ({"step_sizes": ([0.1, 0.2, 0.3], 1)}, ValueError, "step_sizes must broadcast against params"),
    ({"variant": "rprop"}, ValueError, "variant must be one of 'rprop-', .* got 'rprop'"),
    ({"variant": ["rprop-"]}, ValueError, "variant must be one of"),
    ({"variant": "irprop+"}, ValueError, "variant 'irprop\\+' needs the loss at params"),
    ({"loss": [1.0]}, ValueError, r"loss must be a scalar or have the shape of params without"),
    (
        {"loss": [1.0, 2.0]},
        ValueError,
        r"loss must be a scalar or have the shape of params without",
    ),
    ({"loss": 1j}, TypeError, "loss must be real"),
    ({"where": [1, 0]}, TypeError, "where must be an array of bool; got dtype int64"),
    ({"where": [True] * 3}, ValueError, "where must broadcast against params"),
    ({"out": np.zeros(2)}, TypeError, r"out must be a pair \(params, RpropState\)"),
    ({"out": (np.zeros(2), STATE[:3])}, TypeError, r"out must be a pair \(params, RpropState\)"),
    ({"out": ([0.0, 0.0], STATE)}, TypeError, "out must hold ndarrays; got params of type list"),
    ({"out": (np.zeros(3), STATE)}, ValueError, "out must hold params of shape"),
    ({"out": (np.zeros(2, "f4"), STATE)}, ValueError, "out must hold params of shape"),
]


@pytest.mark.parametrize(("bad", "error", "message"), BAD)
def test_bad_arguments(bad, error, message):
    good = {"params": [1.0, 2.0], "grads": [1.0, 1.0], "state": STATE}
    with pytest.raises(error, match=message):
        rprop_step(**{**good, **bad})


@pytest.mark.parametrize("where", [True, [True, False]])
def test_a_state_may_hold_lists_and_any_signed_numbers(where):
    state = STATE._replace(prev_sign=np.array([1, -1], np.int8))
    loose = RpropState(*(field.tolist() for field in state))._replace(prev_sign=[0.3, -300.0])
    grads, settings = [1.0, 1.0], {"variant": "rprop+", "where": where}
    expected = rprop_step([1.0, 2.0], grads, state, **settings)
    assert bits(rprop_step([1.0, 2.0], grads, loose, **settings)) == bits(expected)


@pytest.mark.parametrize("kind", [float, np.float32, np.longdouble])
def test_losses_are_compared_as_float64(kind):
    loss, settings = kind(1) / kind(3), {"variant": "irprop+"}
    params, state = rprop_step([0.0], [1.0], rprop_init([0.0]), loss=loss, **settings)
    assert rprop_step(params, [-1.0], state, loss=loss, **settings)[0] == params  # it is equal
    state = state._replace(prev_loss=kind(1))
    assert rprop_step(params, [-1.0], state, loss=1 + 1e-12, **settings)[0] == 0  # it has risen


@pytest.mark.parametrize("delta0", [0.0, -1.0, np.inf, np.nan, [1.0, -2.0]])
def test_bad_delta0(delta0):
    message = f"delta0 must be finite and positive; got {delta0!r}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        rprop_init([1.0, 2.0], delta0)


def test_delta0_of_a_wrong_kind():
    with pytest.raises(ValueError, match=r"delta0 must broadcast .* \(2,\); got shape \(3,\)"):
        rprop_init([1.0, 2.0], [1.0, 2.0, 3.0])
    with pytest.raises(TypeError, match="delta0 must be real; got dtype complex128"):
        rprop_init([1.0, 2.0], 1j)


def test_out_that_cannot_be_written_loses_nothing():
    params, state = np.ones(2), rprop_init(np.ones(2))
    state.prev_update.setflags(write=False)
    before = bits(params, *state)
    with pytest.raises(ValueError, match="out must be writeable; prev_update is read-only"):
        rprop_step(params, np.ones(2), state, out=(params, state))
    assert bits(params, *state) == before


@pytest.mark.parametrize("delta0", [1e-60, 1e60])
def test_delta0_beyond_the_dtype(delta0):
    message = re.escape(f"delta0 must be finite and positive; got {delta0}")
    with pytest.raises(ValueError, match=message):
        rprop_init(np.ones(2, np.float32), delta0)


@pytest.mark.parametrize("field", ["delta", "prev_sign", "prev_update", "prev_loss"])
@pytest.mark.parametrize(
    ("value", "message"), [("a", "be an array of numbers; got dtype"), (1j, "be real; got dtype")]
)
def test_fields_that_are_no_real_numbers(field, value, message):
    state = rprop_init(np.ones(2))
    state = state._replace(**{field: np.full(getattr(state, field).shape, value)})
    with pytest.raises(TypeError, match=f"state.{field} must {message}"):
        rprop_step(np.ones(2), np.ones(2), state)


@pytest.mark.parametrize("size", [2, 20_000])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("spread", [float, lambda limit: np.full(1, limit)])
def test_delta_stays_finite_without_a_limit(size, dtype, spread):
    """0 times infinity would be NaN where the gradient is zero."""
    params, largest = np.zeros(size, dtype), np.finfo(dtype).max
    state = rprop_init(params)._replace(
        delta=np.full(size, largest), prev_sign=np.ones(size, np.int8)
    )
    grads = np.ones(size)
    grads[0] = 0
    with np.errstate(over="ignore"):
        params, state = rprop_step(params, grads, state, step_sizes=(spread(0.0), spread(np.inf)))
    assert (params[0], params[1]) == (0, -largest)
    assert (state.delta == largest).all()


def test_limits_beyond_the_dtype_are_none():
    params = np.ones(2, np.float32)
    for limits in [(0.0, 1e300), (np.zeros(2), np.full(2, 1e300))]:
        assert (rprop_step(params, params, rprop_init(params), step_sizes=limits)[0] < 1).all()
