"""What is claimed about completeness holds: every edit, every short tape, every half number."""

from collections import Counter

import numpy as np
import pytest

from rprop import VARIANTS, Variant
from rprop.conformance import exhaust, load
from rprop.conformance.adapters import Core
from rprop.conformance.cases import floats
from rprop.rule.reference import RULES
from tests.conformance.edits import edits
from tests.conformance.mutants import MUTANTS

#: Edits that change nothing. Of two numbers none of which is NaN, the order does not matter to min
#: and max. The last move after one that was taken back is never looked at: no sign is remembered.
SAME = Counter(
    ["min(max(delta, delta_min), delta_max) turned round", "max(delta, delta_min) turned round"]
    + 2 * ["-prev_dw without the minus"]
    + [f"prev_dw becomes {name}" for name in ("g", "w", "delta", "prev_sign", "agreement")] * 2
)


def tapes(variant):
    """Return the cases of a variant as numbers, a coordinate each."""
    for case in load(variant):
        if case["dtype"] != "float64":
            continue
        settings = (floats(case["etas"]), floats(case["step_sizes"]))
        losses = [float.fromhex(step["loss"]["hex"]) for step in case["steps"]]
        delta0 = float.fromhex(case["delta0"]["hex"])
        for i, start in enumerate(floats(case["params"])):
            grads, params, delta = (
                [float.fromhex(step[name]["hex"][i]) for step in case["steps"]]
                for name in ("grads", "params", "delta")
            )
            yield settings, start, delta0, grads, losses, params, delta


TAPES = {variant: list(tapes(variant)) for variant in RULES}


def differs(names, variant):
    """Tell whether an edited program leaves the vectors of a variant, or cannot run."""
    rule, rises = names["RULES"][variant], names["rose"]
    for settings, start, delta0, grads, losses, params, delta in TAPES[variant]:
        state, before = (start, delta0, 0, 0.0), float("nan")
        for g, loss, w, d in zip(grads, losses, params, delta, strict=True):
            try:
                state = rule(state[0], g, *state[1:], *settings, rises(loss, before))
            except (TypeError, ValueError, OverflowError, UnboundLocalError, NameError):
                return True
            if state[:2] != (w, d):
                return True
            before = loss
    return False


def test_every_edit_of_the_reference_is_caught_or_changes_nothing():
    kept, count = Counter(), 0
    for text, tree in edits():
        names = {}
        exec(compile(tree, "edited", "exec"), names)  # noqa: S102
        count += 1
        if not any(differs(names, variant) for variant in RULES):
            kept[text.partition(": ")[2]] += 1
    assert count > 400
    assert kept == SAME


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_rules_agree_with_every_short_tape(variant):
    claim = exhaust(Core.of(variant), variant, depth=4)
    assert claim.holds
    assert claim.tapes == 3**3 * 3**4  # the first loss has none before it
    assert "remembers up to 2 values a coordinate" in str(claim)


@pytest.mark.parametrize("variant", VARIANTS)
def test_short_tapes_tell_every_other_row(variant):
    right = VARIANTS[variant]
    for fell in ("step", "stay", "undo"):
        for risen in ("step", "stay", "undo"):
            for forgets in (True, False):
                row = Variant("other", fell, risen, forgets)
                same = (fell, risen, forgets) == (right.on_flip, right.on_flip_risen, right.forgets)
                make = type("Other", (Core,), {"variant": row})
                assert exhaust(make, variant, depth=3).holds == same


@pytest.mark.parametrize(
    ("mutant", "variant"),
    [(m, v) for m, v, f in MUTANTS if f in ("same-sign", "sign-flip", "after-flip", "after-zero")],
)
def test_short_tapes_catch_wrong_rules(mutant, variant):
    claim = exhaust(mutant, variant, depth=3)
    assert not claim.holds
    assert "should be" in str(claim)


def test_a_gradient_of_half_precision_that_is_not_seen_is_named():
    class Blind(Core):
        def step(self, grads, loss):
            super().step(np.where(grads == 3.0, 0, grads), loss)

    claim = exhaust(Blind, depth=2)
    assert str(claim) == "a gradient of 3.0 is not taken for its sign"
    assert not claim.holds


def test_depth_is_checked():
    with pytest.raises(ValueError, match="depth must be at least 1; got 0"):
        exhaust(Core, depth=0)


def machine(variant):
    """Return a rule as a table: (state, sign, change of the loss) -> (move, factor), state."""
    table = {}
    for state in (-1, 0, 1):
        for sign in (-1, 0, 1):
            for change in (-1, 0, 1):
                # delta 8, the last move that of a step of 8: every answer is a number of its own
                w, d, s, _ = RULES[variant](
                    0.0, sign, 8.0, state, -8.0 * state, (0.5, 1.5), (0.0, 99.0), change > 0
                )
                table[state, sign, change] = ((w, d), s)
    return table


def separation(one, start, other, start_):
    """Return the length of the shortest tape on which two machines differ, None if none does."""
    seen, front, length = {(start, start_)}, [(start, start_)], 0
    inputs = [(g, c) for g in (-1, 0, 1) for c in (-1, 0, 1)]
    while front:
        length += 1
        following = []
        for a, b in front:
            for given in inputs:
                (answer, to), (answer_, to_) = one[(a, *given)], other[(b, *given)]
                if answer != answer_:
                    return length
                if (to, to_) not in seen:
                    seen.add((to, to_))
                    following.append((to, to_))
        front = following
    return None


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("states", [1, 2, 3, 4])
def test_machines_of_few_states_are_told_within_the_bound(variant, states):
    rule, some = machine(variant), np.random.default_rng(states)
    answers = sorted({answer for answer, _ in rule.values()})
    for _ in range(200):
        # the rule itself, its states copied and joined at random, with one transition changed
        copy_of = [0, *some.choice([-1, 0, 1], states - 1)]
        other = {}
        for state, of in enumerate(copy_of):
            for (s, *given), (answer, to) in rule.items():
                if s == of:
                    like = [i for i, c in enumerate(copy_of) if c == to] or range(states)
                    other[(state, *given)] = (answer, int(some.choice(like)))
        key = list(other)[some.integers(len(other))]
        other[key] = (answers[some.integers(len(answers))], int(some.integers(states)))
        length = separation(rule, 0, other, 0)
        assert length is None or length <= 3 + states - 1
