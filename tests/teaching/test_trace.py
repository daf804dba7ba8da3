"""The table of a run says what the scalar oracle does."""

import numpy as np
import pytest

from rprop import VARIANTS, rprop_trace
from rprop.rule.reference import RULES, rose, sign

RNG = np.random.default_rng(0)
TAPE = RNG.choice([-2.0, -1.0, 0.0, 1.0, 3.0], (40, 3))
LOSSES = RNG.standard_normal(40)


@pytest.mark.parametrize("variant", VARIANTS)
def test_rows_are_those_of_the_oracle(variant):
    trace = rprop_trace(TAPE, np.zeros(3), losses=LOSSES, variant=variant, delta0=0.5)
    for j in range(3):
        w, delta, last, move, prev_loss = 0.0, 0.5, 0, 0.0, np.nan
        for k, (g, loss) in enumerate(zip(TAPE[:, j], LOSSES, strict=True)):
            row = trace.rows[k, j]
            assert (row["x"], row["last"], row["g"]) == (w, last, g)
            agreement, before = sign(g) * last, delta
            risen = rose(loss, prev_loss)
            back = -move
            w, delta, last, move = RULES[variant](
                w, g, delta, last, move, (0.5, 1.2), (1e-6, 50.0), risen
            )
            assert row["agreement"] == agreement
            assert (row["delta"], row["move"]) == (delta, move)
            change, action = row["rule"].split(", ")
            assert change == {-1: "shrink", 0: "keep", 1: "grow"}[agreement]
            if agreement:
                assert delta / before == {-1: 0.5, 1: pytest.approx(1.2)}[agreement]
            assert move == {"step": -sign(g) * delta, "stay": 0, "undo": back}[action]
            prev_loss = loss
        assert trace.x[j] == w


def test_a_function_gives_what_its_tape_gives():
    def fun(x):
        return (x**2).sum(), 2 * x

    live = rprop_trace(fun, [3.0, -1.0], 12, variant="irprop+")
    losses = (live.rows["x"] ** 2).sum(axis=1)
    tape = rprop_trace(live.rows["g"], [3.0, -1.0], losses=losses, variant="irprop+")
    assert (tape.rows == live.rows).all()


def test_chosen_coordinates_are_those_of_the_whole_table():
    tape = RNG.standard_normal((9, 4, 5))
    whole = rprop_trace(tape, np.zeros((4, 5)))
    some = rprop_trace(tape, np.zeros((4, 5)), coordinates=[(3, 1), (0, -1)])
    assert (some.rows == whole.rows[:, [16, 4]]).all()
    assert (some.x == whole.x[[16, 4]]).all()
    assert some.coordinates == [(3, 1), (0, -1)]


def test_a_number_is_one_coordinate():
    trace = rprop_trace([1, 1], 0.0)
    assert trace.coordinates == [()]
    assert trace.x.tolist() == [-0.1 - 0.1 * 1.2]


def test_the_table_has_a_line_for_each_step_and_coordinate():
    trace = rprop_trace(TAPE[:4], np.zeros(3))
    assert len(str(trace).splitlines()) == 1 + 4 * 3
    assert trace._repr_html_().count("<tr>") == 1 + 4 * 3


@pytest.mark.parametrize(
    ("arguments", "settings", "error", "message"),
    [
        ((lambda x: (0, x), [0.0]), {}, ValueError, "steps must be given"),
        (([[1.0]], [0.0], 2), {}, ValueError, "steps must be from 0 to the length"),
        (([[1.0]], [0.0, 0.0]), {}, ValueError, "grads must have shape"),
        (([[1.0]], [0.0]), {"losses": [1.0, 2.0]}, ValueError, "losses must have one entry"),
        (([[1.0]], [0.0]), {"coordinates": [1]}, ValueError, "coordinates must be indices"),
        (([[1.0]], [0j]), {}, TypeError, "params must be real"),
        (([[1.0]], [0.0]), {"variant": "irprop+"}, ValueError, "needs the loss"),
    ],
)
def test_errors_name_the_argument(arguments, settings, error, message):
    with pytest.raises(error, match=message):
        rprop_trace(*arguments, **settings)


def test_only_arrays_have_a_column_of_indices():
    assert rprop_trace([1.0], 0.0).cells()[0][:2] == ["step", "x"]
    assert rprop_trace([[1.0]], [0.0]).cells()[0][:3] == ["step", "i", "x"]
