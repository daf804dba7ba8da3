"""Properties of the vectorised step; the scalar rules of `rprop.rule.reference` are the oracle."""

import pickle
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from rprop import VARIANTS, RpropState, rprop_init, rprop_step
from rprop.rule.reference import RULES, adapt, descend, rose, sign
from tests.strategies import Tape, bits, dtypes, own_rows, rows, tapes, variants


def rule_of(variant):
    """Return the scalar rule of a row: the paper's where there is one."""
    if VARIANTS.get(variant.name) == variant:
        return RULES[variant.name]

    def rule(w, g, delta, prev_sign, prev_dw, etas, step_sizes, risen):
        agreement = sign(g) * prev_sign
        delta = adapt(delta, agreement, etas, step_sizes)
        move = "step"
        if agreement < 0:
            move = variant.on_flip_risen if risen else variant.on_flip
        w, delta, _, dw = {
            "step": lambda: descend(w, g, delta),
            "stay": lambda: descend(w, 0, delta),
            "undo": lambda: (w - prev_dw, delta, 0, -prev_dw),
        }[move]()
        return w, delta, 0 if agreement < 0 and variant.forgets else sign(g), dw

    return rule


def oracle(tape, variant, dtype):
    """Run the scalar rule, one coordinate after the other."""
    rule, limits = rule_of(variant), tuple(map(dtype, tape.step_sizes))
    coordinates = [(w, d, 0, dtype(0)) for w, d in zip(tape.params, tape.delta0, strict=True)]
    prev_loss, trace = np.nan, []
    for grads, loss in zip(tape.grads, tape.losses, strict=True):
        coordinates = [
            rule(w[0], g, *w[1:], tape.etas, limits, rose(loss, prev_loss))
            for w, g in zip(coordinates, grads, strict=True)
        ]
        prev_loss = loss
        params, delta, prev_sign, prev_update = zip(*coordinates, strict=True)
        state = np.array(delta), np.array(prev_sign, np.int8), np.array(prev_update)
        trace.append((np.array(params), (*state, np.array(loss))))
    return trace


@pytest.mark.parametrize("name", [*VARIANTS, "own"])
@given(data=st.data(), dtype=dtypes)
def test_equals_the_reference_to_the_bit(name, data, dtype):
    tape, variant = data.draw(tapes(dtype)), VARIANTS.get(name) or data.draw(own_rows)
    expected = oracle(tape, variant, dtype)
    for (params, state), (p, s) in zip(tape.run(variant)[1:], expected, strict=True):
        assert bits(params, *state) == bits(p, *s)


@given(st.data(), variants)
def test_float16_keeps_its_state_in_float32(data, variant):
    tape = data.draw(tapes(np.float16))
    tape.delta0, tape.step_sizes = tape.delta0.astype(np.float32), (1e-6, 50.0)
    params, (delta, prev_sign, prev_update, _) = tape.run(variant)[-1]
    assert params.dtype == np.float16
    assert delta.dtype == prev_update.dtype == np.float32
    assert prev_sign.dtype == np.int8
    # The state does not see the parameters: it is that of a float32 run.
    single = Tape(**{**vars(tape), "params": tape.params.astype(np.float32)})
    assert bits(*tape.run(variant)[-1][1]) == bits(*single.run(variant)[-1][1])
    before, after = tape.run(variant)[-2][0], tape.params.dtype.type
    assert bits(params) == bits((before.astype(np.float32) + prev_update).astype(after))


@pytest.mark.parametrize(
    ("name", "positions"),
    [
        ("rprop+", [-1000, -2200, -3640, -2200, -1480, -2200, -2200, -2200, -2560]),
        ("irprop+", [-1000, -2200, -3640, -2200, -1480, -1480, -1480, -1480, -1840]),
        ("irprop-", [-1000, -2200, -3640, -3640, -2920, -2920, -2920, -2920, -3280]),
        ("rprop-", [-1000, -2200, -3640, -2920, -2056, -2488, -2488, -2488, -2920]),
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_published_tape(name, positions, dtype):
    """With Δ0 = 1000 every position is a whole number; the loss rises before the first flip."""
    params = np.zeros(1, dtype)
    state, path = rprop_init(params, 1000), []
    for g, loss in zip([1, 1, 1, -1, -1, 1, 0, 0, 1], [0, 0, 0, 1, 0, 0, 0, 0, 0], strict=True):
        params, state = rprop_step(
            params, [g], state, step_sizes=(0.01, 5e5), variant=name, loss=loss
        )
        path.append(params.item())
    assert path == positions


@given(variants, st.lists(st.tuples(st.sampled_from([-1, 0, 1]), st.booleans()), max_size=10))
def test_exact_arithmetic(variant, tape):
    """With factors that are powers of two no rounding happens, and fractions agree exactly."""
    w, delta, prev_sign, dw = Fraction(3), Fraction(1, 8), 0, Fraction(0)
    params, state, loss = np.array([3.0]), rprop_init([3.0], 0.125), 0.0
    halves, limits = (Fraction(1, 2), Fraction(2)), (Fraction(1, 64), Fraction(4))
    for first, (g, rises) in enumerate(tape):
        loss += 1 if rises else -1
        w, delta, prev_sign, dw = RULES[variant](
            w, g, delta, prev_sign, dw, halves, limits, rises and first > 0
        )
        params, state = rprop_step(
            params, [g], state, (0.5, 2.0), (1 / 64, 4.0), variant=variant, loss=loss
        )
        found = [Fraction(a.item()) for a in (params, *state[:3])]
        assert found == [w, delta, prev_sign, dw]


@given(tapes(), rows, st.data())
def test_no_magnitude_of_a_gradient_matters(tape, variant, data):
    exponents = data.draw(
        st.lists(st.integers(-300, 300), min_size=tape.grads.size, max_size=tape.grads.size)
    )
    signs = np.where(np.isnan(tape.grads), np.nan, np.sign(tape.grads))
    scaled = signs * 10.0 ** np.reshape(exponents, signs.shape)
    one, other = (Tape(**{**vars(tape), "grads": grads}) for grads in (signs, scaled))
    assert bits(*one.run(variant)) == bits(*other.run(variant))


@given(tapes(), rows)
def test_every_move_is_a_step_or_none_or_undone(tape, variant):
    trace = tape.run(variant)
    for (params, before), (moved, after) in pairwise(trace):
        size, low, high = np.abs(after.prev_update), *tape.step_sizes
        assert ((low <= after.delta) & (after.delta <= high)).all()
        undone = after.prev_update == -before.prev_update
        assert ((size == after.delta) | (size == 0) | undone).all()
        assert bits(moved) == bits(params + after.prev_update)


@given(tapes(max_steps=1), rows, st.data())
def test_delta_is_within_limits_from_any_state(tape, variant, data):
    n = len(tape.params)
    delta = data.draw(st.lists(st.floats(0, 1e30), min_size=n, max_size=n))
    state = rprop_init(tape.params)._replace(
        delta=np.array(delta),
        prev_sign=np.array(
            data.draw(st.lists(st.sampled_from([-1, 0, 1]), min_size=n, max_size=n))
        ),
    )
    _, after = rprop_step(
        tape.params, tape.grads[0], state, tape.etas, tape.step_sizes, variant=variant, loss=1.0
    )
    assert after.delta.min() >= tape.step_sizes[0]
    assert after.delta.max() <= tape.step_sizes[1]


@given(tapes(), rows)
def test_reflection(tape, variant):
    mirrored = Tape(**{**vars(tape), "params": -tape.params, "grads": -tape.grads})
    params, state = tape.run(variant)[-1]
    reflected, state_of_reflected = mirrored.run(variant)[-1]
    np.testing.assert_array_equal(reflected, -params)
    np.testing.assert_array_equal(state_of_reflected.delta, state.delta)
    np.testing.assert_array_equal(state_of_reflected.prev_sign, -state.prev_sign)


@given(tapes(), rows)
def test_a_coordinate_alone_behaves_as_in_company(tape, variant):
    company = tape.run(variant)
    for i in range(len(tape.params)):
        alone = Tape(
            tape.params[i : i + 1],
            tape.delta0[i : i + 1],
            tape.grads[:, i : i + 1],
            tape.losses,
            tape.etas,
            tape.step_sizes,
        ).run(variant)
        for (params, state), (param, own) in zip(company, alone, strict=True):
            assert bits(params[i : i + 1], *(f[i : i + 1] for f in state[:3])) == bits(
                param, *own[:3]
            )


@given(tapes())
def test_irprop_plus_is_one_rule_where_the_loss_rose_and_another_elsewhere(tape):
    state = rprop_init(tape.params, tape.delta0)
    params, prev_loss = tape.params, np.nan
    for grads, loss in zip(tape.grads, tape.losses, strict=True):
        rule = "rprop+" if loss > prev_loss or np.isnan(loss) else "irprop-"
        settings = (tape.etas, tape.step_sizes)
        expected = rprop_step(params, grads, state, *settings, variant=rule, loss=loss)
        params, state = rprop_step(params, grads, state, *settings, variant="irprop+", loss=loss)
        assert bits(params, *state) == bits(expected[0], *expected[1])
        prev_loss = loss


def test_when_a_loss_has_risen():
    """A rise undoes the move of a flipped coordinate; anything else leaves it where it is."""
    for prev_loss, loss, risen in [
        (1.0, 2.0, True),
        (1.0, np.nan, True),
        (np.nan, np.nan, True),
        (-np.inf, 1.0, True),
        (1.0, 1.0, False),
        (2.0, 1.0, False),
        (np.nan, 1.0, False),
        (np.inf, np.inf, False),
    ]:
        state = RpropState(
            np.array([0.25]), np.array([1], np.int8), np.array([-0.25]), np.array(prev_loss)
        )
        params, after = rprop_step([1.0], [-1.0], state, variant="irprop+", loss=loss)
        assert params == (1.25 if risen else 1.0)
        np.testing.assert_array_equal(after.prev_loss, loss)


@given(tapes(), rows)
def test_inputs_are_neither_written_nor_shared(tape, variant):
    params, state = tape.params, rprop_init(tape.params, tape.delta0)
    for grads, loss in zip(tape.grads, tape.losses, strict=True):
        for array in (params, grads, *state):
            array.setflags(write=False)
        after, new = rprop_step(
            params, grads, state, tape.etas, tape.step_sizes, variant=variant, loss=loss
        )
        for result in (after, *new):
            assert not any(np.shares_memory(result, given) for given in (params, grads, *state))
            assert result.flags.writeable
        params, state = after, new


@given(tapes(), rows, st.data())
def test_where_leaves_the_others_alone(tape, variant, data):
    n = len(tape.params)
    where = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    before = tape.run(variant)[-1]
    params = before[0].copy()
    params[0] = np.nan  # keeps its bits, too
    rest = (tape.grads[0], before[1], tape.etas, tape.step_sizes)
    free, state = rprop_step(params, *rest, variant=variant, loss=7.0)
    masked, kept = rprop_step(params, *rest, variant=variant, loss=7.0, where=where)
    pairs = zip((masked, *kept[:3]), (free, *state[:3]), (params, *before[1][:3]), strict=True)
    for result, stepped, old in pairs:
        assert bits(result[where], result[~where]) == bits(stepped[where], old[~where])
    assert bits(kept.prev_loss) == bits(state.prev_loss if where.any() else before[1].prev_loss)


@given(st.data(), rows)
def test_leading_axes_are_independent_problems(data, variant):
    first = data.draw(tapes())
    batch = [first, Tape(**{**vars(first), "grads": -first.grads[::-1], "losses": [1.0, 2.0] * 6})]
    batch[1].losses = batch[1].losses[: len(first.losses)]
    whole = Tape(
        np.stack([t.params for t in batch]),
        np.stack([t.delta0 for t in batch]),
        np.stack([t.grads for t in batch], axis=1),
        list(np.stack([t.losses for t in batch], axis=1)),
        first.etas,
        first.step_sizes,
    ).run(variant)
    for i, tape in enumerate(batch):
        for (params, state), (p, s) in zip(whole, tape.run(variant), strict=True):
            assert bits(params[i], *(field[i] for field in state)) == bits(p, *s)


@given(tapes(), rows, st.booleans())
def test_out_receives_the_same_bits(tape, variant, in_place):
    params, state = tape.params.copy(), rprop_init(tape.params, tape.delta0)
    expected = tape.run(variant)
    for step, (grads, loss) in enumerate(zip(tape.grads, tape.losses, strict=True), 1):
        out = (params, state)
        if not in_place:
            out = (np.full_like(params, 9), RpropState(*map(np.copy, state)))
        rest = (tape.etas, tape.step_sizes)
        result = rprop_step(params, grads, state, *rest, variant=variant, loss=loss, out=out)
        assert all(a is b for a, b in zip((result[0], *result[1]), (out[0], *out[1]), strict=True))
        params, state = result
        assert bits(params, *state) == bits(expected[step][0], *expected[step][1])


@given(tapes(), rows)
def test_a_pickled_state_goes_on_to_the_bit(tape, variant):
    middle = len(tape.grads) // 2
    first = Tape(**{**vars(tape), "grads": tape.grads[:middle], "losses": tape.losses[:middle]})
    params, state = pickle.loads(pickle.dumps(first.run(variant)[-1]))
    for grads, loss in zip(tape.grads[middle:], tape.losses[middle:], strict=True):
        params, state = rprop_step(
            params, grads, state, tape.etas, tape.step_sizes, variant=variant, loss=loss
        )
    assert bits(params, state) == bits(*tape.run(variant)[-1])


@given(tapes(max_size=4), rows)
def test_complex_numbers_are_pairs_of_reals(tape, variant):
    assume(len(tape.params) % 2 == 0)
    pairs = Tape(
        tape.params.view(complex),
        np.repeat(tape.delta0[::2], 1),
        tape.grads.copy().view(complex),
        tape.losses,
        tape.etas,
        tape.step_sizes,
    ).run(variant)
    tape.delta0 = np.repeat(tape.delta0[::2], 2)
    for (params, state), (p, s) in zip(pairs[1:], tape.run(variant)[1:], strict=True):
        assert params.dtype == complex
        assert bits(params.view(float), *state) == bits(p, *s)


@pytest.mark.parametrize(
    "form",
    [
        pytest.param(lambda a: a.tolist(), id="list"),
        pytest.param(np.asfortranarray, id="Fortran"),
        pytest.param(lambda a: np.repeat(a, 2, axis=-1)[..., ::2], id="strided"),
        pytest.param(lambda a: a[::-1].copy()[::-1], id="reversed"),
        pytest.param(lambda a: a.astype(">f8"), id="big-endian"),
        pytest.param(lambda a: a.astype(int), id="int"),
    ],
)
@pytest.mark.parametrize("variant", VARIANTS)
def test_anything_array_like(form, variant):
    params, grads = np.array([[1.0, -2, 3], [4, 5, -6]]), np.array([[1.0, 0, -1], [2, -2, 1]])
    state = rprop_init(form(params))
    assert bits(*state) == bits(*rprop_init(params))
    for loss in (1.0, [2.0, 0.0]):
        expected = rprop_step(params, grads, state, variant=variant, loss=loss)
        found = rprop_step(form(params), form(grads), state, variant=variant, loss=loss)
        assert bits(found[0], *found[1]) == bits(expected[0], *expected[1])
        state, grads = found[1], -grads


@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 0), (2, 3, 4)])
def test_shapes(shape):
    params, state = rprop_step(np.zeros(shape), np.ones(shape), rprop_init(np.zeros(shape)))
    assert isinstance(params, np.ndarray)
    assert [f.shape for f in (params, *state)] == [shape] * 4 + [shape[:-1]]
    assert (params == -0.1).all()


def test_a_scale_for_every_coordinate():
    state = rprop_init(np.zeros((2, 2)), [1.0, 2.0])
    params, state = rprop_step(
        np.zeros((2, 2)), np.ones((2, 2)), state, step_sizes=([[1.5], [0.0]], [1.5, 1.0e9])
    )
    assert params.tolist() == [[-1.5, -2.0], [-1.0, -2.0]]


def test_the_first_step_is_clamped():
    params, state = rprop_step([0.0, 0.0], [1, 0], rprop_init([0.0, 0.0], 99.0))
    assert params.tolist() == [-50.0, 0.0]
    assert state.delta.tolist() == [50.0, 50.0]


def test_a_coordinate_that_does_not_move_keeps_its_bits():
    params, _ = rprop_step([-0.0, 0.0], [0.0, np.nan], rprop_init([0.0, 0.0]))
    assert np.signbit(params).tolist() == [True, False]
