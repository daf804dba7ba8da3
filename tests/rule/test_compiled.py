"""The compiled step is the reference compiled, and equals the NumPy path to the bit."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rprop import RpropState, rprop_init, rprop_step
from tests.strategies import bits, rows, tapes

pytest.importorskip("numba")

from rprop.rule import compiled


@settings(max_examples=60)
@given(st.data(), rows, st.sampled_from([np.float32, np.float64, np.float16]))
def test_equals_the_numpy_path_to_the_bit(data, variant, dtype):
    tape = data.draw(tapes(dtype))
    tape.step_sizes = (1e-6, 50.0)
    with np.errstate(all="ignore"):
        tape.grads = tape.grads.astype(dtype)
    params, state = tape.params, rprop_init(tape.params, tape.delta0)
    for grads, loss, expected in zip(tape.grads, tape.losses, tape.run(variant)[1:], strict=True):
        params, state = compiled.rprop_step(
            params, grads, state, tape.etas, tape.step_sizes, variant=variant, loss=loss
        )
        assert bits(params, *state) == bits(expected[0], *expected[1])


@pytest.mark.parametrize("variant", ["rprop-", "irprop-", "rprop+", "irprop+"])
@pytest.mark.parametrize("in_place", [False, True])
def test_large_arrays_in_parallel(variant, in_place):
    rng = np.random.default_rng(0)
    params = rng.standard_normal(100_001)
    mine, theirs = (params.copy(), rprop_init(params)), (params.copy(), rprop_init(params))
    for loss in (3.0, 2.0, 4.0, 4.0, np.nan):
        grads = rng.choice([1e-200, -1.0, 0.0, np.nan, np.inf], params.size)
        options = {"variant": variant, "loss": loss}
        theirs = rprop_step(theirs[0], grads, theirs[1], **options)
        mine = compiled.rprop_step(
            mine[0], grads, mine[1], **options, **({"out": mine} if in_place else {})
        )
        assert bits(*mine) == bits(*theirs)


def test_what_is_not_plain_takes_the_other_path():
    params = np.ones((3, 4))
    state = rprop_init(params)
    for options in (
        {"where": np.array([True, False, True, True])},
        {"step_sizes": (np.full(4, 0.01), 1.0)},
        {"variant": "irprop+", "loss": [1.0, 2.0, 3.0]},
    ):
        expected = rprop_step(params, -params, state, **options)
        assert bits(*compiled.rprop_step(params, -params, state, **options)) == bits(*expected)
    whole = np.ones(5) + 1j
    expected = rprop_step(whole, whole, rprop_init(whole))
    assert bits(*compiled.rprop_step(whole, whole, rprop_init(whole))) == bits(*expected)


def test_overlapping_memory():
    memory = np.arange(1001.0)
    params, state = memory[:1000], rprop_init(np.zeros(1000))
    expected = rprop_step(params.copy(), np.ones(1000), state)
    out = (memory[1:], RpropState(*map(np.copy, state)))
    assert bits(*compiled.rprop_step(params, np.ones(1000), state, out=out)) == bits(*expected)


def test_bad_arguments_are_those_of_the_core():
    with pytest.raises(ValueError, match="grads must have the shape of params"):
        compiled.rprop_step([1.0], [1.0, 2.0], rprop_init([1.0]))


def test_without_numba():
    code = "import sys; sys.modules['numba'] = None; import rprop.rule.compiled"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "ImportError: rprop.rule.compiled needs numba: pip install 'rprop[numba]'" in done.stderr
