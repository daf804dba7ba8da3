# ruff: noqa: ARG005 (every move has one signature)
"""One coordinate of an Rprop in which whatever people get wrong is a setting.

`identify` looks for the settings that explain what an implementation does; `check` reads off
which of them are faults. The published rules are settings, too: the rows of `VARIANTS`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from rprop.rule.variants import VARIANTS

__all__ = [
    "OTHERS",
    "SENTENCES",
    "Model",
    "Tape",
    "differences",
    "factors_of",
    "path",
    "published",
    "rows",
]


class Tape(NamedTuple):
    """What one coordinate is given."""

    grads: Sequence[float]
    losses: Sequence[float]
    start: float = 0.0
    delta0: float = 0.1
    etas: tuple[float, float] = (0.5, 1.2)
    step_sizes: tuple[float, float] = (1e-6, 50.0)


class Model(NamedTuple):
    """What a coordinate does. The defaults of all but the first three are right."""

    on_flip: str = "stay"  # a key of MOVES
    on_flip_risen: str = "stay"
    remembers: int = 0  # after a change of sign: the new sign (1), none (0), the old one (-1)
    factor: float | str = 1.0  # of delta0 at the start; or "eta_plus", "eta_minus"
    constant: float | None = None  # the first move, whatever delta0 is
    kept: bool = True  # whether later steps grow from that first move; else from delta0
    first: str = "move"  # or "store" its sign, "lose" it, compare it with "itself"
    before: int = 0  # the gradient that is remembered before the first
    stale: str = ""  # "late", or "drops" where a change of sign loses the pending move as well
    grow: float | None = None  # in place of eta_plus
    shrink: float | None = None  # in place of eta_minus
    grow_times: float = 1.0  # beside eta_plus
    shrink_times: float | str = 1.0  # beside eta_minus; or "eta_minus" once more
    old: bool = False  # moves first and adapts afterwards
    unsigned: str = (
        "keep"  # delta where no sign is remembered: "grow", "shrink"; "rest...": no move
    )
    from_start: bool = True  # and so at the first step
    zero: str = "stay"  # a gradient of zero: a key of ZEROS
    through_zero: bool = False  # remembers the sign from before a zero
    unclamped: tuple[bool, bool] = (False, False)  # no lower limit, no upper limit
    clipped: bool = False  # moves are held below the upper limit, but step sizes are not
    compares: str = "signs"  # or "products"
    dead_product: float = 0.0  # products below count as zero
    dead_gradient: float = 0.0  # gradients below count as zero
    rise: str = "last"  # what a loss is compared with: a key of RISES
    again: bool = False  # a move that was taken back is remembered as a gradient
    attracted: float = 0.0  # this much of the parameter is added to the gradient


#: The move on a change of sign, from the last move, the new sign, the new and the old delta.
MOVES: dict[str, Callable[[float, int, float, float], float]] = {
    "step": lambda dw, s, new, old: -s * new,
    "stay": lambda dw, s, new, old: 0.0,
    "undo": lambda dw, s, new, old: -dw,
    "repeat": lambda dw, s, new, old: dw,
    "step in full": lambda dw, s, new, old: -s * old,
    "undo the reduced": lambda dw, s, new, old: -math.copysign(new, dw) if dw else 0.0,
    "undo the full": lambda dw, s, new, old: -math.copysign(old, dw) if dw else 0.0,
    "undo twice": lambda dw, s, new, old: -2 * dw,
    "undo by half": lambda dw, s, new, old: -dw / 2,
    "undo and step": lambda dw, s, new, old: -dw - s * new,
    "go on": lambda dw, s, new, old: s * new,
    "down": lambda dw, s, new, old: -new,
    "up": lambda dw, s, new, old: new,
    "down by the last": lambda dw, s, new, old: -abs(dw),
    "down in full": lambda dw, s, new, old: -old,
}
UNDOES = ("undo the reduced", "undo the full", "undo twice", "undo by half", "undo and step")

#: What a zero gradient does: the sign it counts as (None: none), and the factor of delta.
ZEROS: dict[str, tuple[int | None, str]] = {
    "stay": (None, "keep"),
    "grow": (None, "grow"),
    "shrink": (None, "shrink"),
    "coast": (None, "keep"),
    "positive": (1, "keep"),
    "negative": (-1, "keep"),
    "positive and grow": (1, "grow"),
    "negative and grow": (-1, "grow"),
    "moves down": (None, "keep"),
    "moves up": (None, "keep"),
}
RISES = ("last", "equal", "best", "older", "kept", "flips", "percent", "large", "fell", "first")


def published(variant: str) -> Model:
    """Return the settings of a rule."""
    row = VARIANTS[variant]
    return Model(row.on_flip, row.on_flip_risen, 0 if row.forgets else 1)


def rows() -> Iterator[Model]:
    """Yield what can happen on a change of sign: the published rules, simple ones, then all."""
    seen = []
    plain = ("step", "stay", "undo")
    for variant in VARIANTS:
        seen.append(published(variant))
    for moves in (plain, MOVES):
        seen += [Model(a, a, keeps) for a in moves for keeps in (0, 1, -1)]
        seen += [Model(a, b, keeps) for a in moves for b in moves for keeps in (0, 1)]
    yield from dict.fromkeys(seen)


#: Settings that are tried one at a time, each a fault.
OTHERS: list[dict[str, Any]] = [
    {},
    {"old": True},
    {"grow": 1.0},
    {"shrink": 1.0},
    *({"zero": zero} for zero in ZEROS if zero != "stay"),
    {"through_zero": True},
    *({"rise": rise} for rise in RISES if rise != "last"),
    {"again": True},
    *(
        {"unsigned": unsigned, "from_start": start}
        for unsigned in ("grow", "shrink", "rest", "rest but remember")
        for start in (True, False)
    ),
    {"unclamped": (True, False)},
    {"unclamped": (False, True)},
    {"unclamped": (True, True)},
    *(
        {"unsigned": unsigned, "zero": zero, "from_start": start}
        for unsigned, zero in (
            ("grow", "grow"),
            ("grow", "positive and grow"),
            ("grow", "negative and grow"),
            ("shrink", "shrink"),
        )
        for start in (True, False)
    ),
    {"old": True, "unclamped": (True, True)},
    {"clipped": True},
    {"shrink_times": "eta_minus"},
]

#: The flag and the sentence of every setting that is not the expected one, in order of rank.
SENTENCES: dict[str, tuple[str, str]] = {
    "attracted": ("parameters", "the move depends on the parameters"),
    "stale": ("stale-update", "{0}"),
    "factor": ("first-step", "the first move is delta0 times {0}"),
    "constant": ("first-step", "the first move is {0:.10g}, whatever delta0 is"),
    "first": ("first-step", "{0}"),
    "before": ("first-step", "before the first step a gradient of {0} is remembered"),
    "unsigned": ("first-step", "{0}"),
    "old": ("same-sign", "it moves by the step size from before it adapts"),
    "grow": ("same-sign", "the step size grows by {0:.10g}, whatever eta_plus is"),
    "grow_times": ("same-sign", "the step size grows by eta_plus times {0}"),
    "shrink": ("sign-flip", "the step size shrinks by {0:.10g}, whatever eta_minus is"),
    "shrink_times": ("sign-flip", "the step size shrinks by eta_minus times {0}"),
    "on_flip": ("sign-flip", "on a sign change{1}: {0}"),
    "on_flip_risen": ("sign-flip", "on a sign change where the loss rose: {0}"),
    "remembers": ("after-flip", "after a sign change {0} is remembered"),
    "again": ("undo-after-undo", "a move that was taken back counts as a gradient"),
    "zero": ("zero-gradient", "a gradient of zero: {0}"),
    "through_zero": ("after-zero", "the sign from before a zero is still remembered"),
    "rise": ("loss-memory", "the loss counts as risen where it is {0}"),
    "unclamped": ("delta-min", "{0}"),
    "clipped": ("delta-max", "moves are held below the upper limit, but step sizes are not"),
    "dead_gradient": ("magnitude", "gradients below about {0:.2g} count as zero"),
    "dead_product": ("magnitude", "products of gradients below about {0:.2g} count as zero"),
    "compares": ("product-underflow", "{0}"),
}
RISE_FLAGS = {
    "fell": "loss-rose",
    "equal": "loss-equal",
    "percent": "loss-rose",
    "large": "loss-rose",
}
FLIP_WORDS: dict[Any, str] = {
    "step": "it steps by the reduced step size",
    "stay": "it stays",
    "undo": "it takes its last move back",
    "repeat": "it repeats its last move",
    "step in full": "it steps by the step size from before",
    "undo the reduced": "it goes back by the reduced step size",
    "undo the full": "it goes back by the step size from before",
    "undo twice": "it goes back twice as far as it came",
    "undo by half": "it goes back half of the way",
    "undo and step": "it takes its last move back and steps",
    "go on": "it goes on in the old direction",
    "down": "it steps down by the reduced step size, whatever the sign",
    "up": "it steps up by the reduced step size, whatever the sign",
    "down by the last": "it steps down by the length of its last move, whatever the sign",
    "down in full": "it steps down by the step size from before, whatever the sign",
}
WORDS: dict[str, dict[Any, str]] = {
    "stale": {
        "late": "every move arrives one step late",
        "drops": "every move arrives one step late, and a sign change loses the one that waits",
    },
    "first": {
        "lose": "the first gradient moves nothing, it is lost",
        "store": "the first gradient moves nothing, it is only stored",
        "itself": "the first gradient is compared with itself, so the first move is eta_plus * delta0",
    },
    "on_flip": FLIP_WORDS,
    "on_flip_risen": FLIP_WORDS,
    "zero": {
        "grow": "the step size grows",
        "shrink": "the step size shrinks",
        "coast": "the last move is made again",
        "positive": "it counts as positive",
        "negative": "it counts as negative",
        "positive and grow": "it counts as positive, and the step size grows",
        "negative and grow": "it counts as negative, and the step size grows",
        "moves down": "the parameter moves down",
        "moves up": "the parameter moves up",
    },
    "remembers": {1: "the new sign", 0: "no sign", -1: "the old sign"},
    "unsigned": {
        "grow": "a product of zero counts as agreement: the step size grows",
        "shrink": "a product of zero counts as a sign change: the step size shrinks",
        "rest": "there is no move where no sign is remembered",
        "rest but remember": "there is no move where no sign is remembered, but one is noted",
    },
    "compares": {
        "products": "products of gradients are compared, not their signs",
        "sizes": "the size of a gradient matters",
    },
    "unclamped": {
        (True, False): "there is no lower limit",
        (False, True): "there is no upper limit",
        (True, True): "there are no limits",
    },
    "rise": {
        "equal": "not lower than the last",
        "best": "higher than the best so far",
        "older": "higher than that of two steps ago",
        "kept": "higher than the last one without a sign change",
        "flips": "higher than that of the last sign change",
        "percent": "higher than the last by more than a percent",
        "large": "higher than the last by more than a constant",
        "fell": "lower than the last",
        "first": "positive",
    },
}


def differences(model: Model, expected: Model) -> list[tuple[str, str, Model]]:
    """Return (flag, sentence, the expected model with this one fault), the leading one first."""
    found: list[tuple[str, str, Model]] = []
    asks = expected.on_flip != expected.on_flip_risen  # the rule asks for the loss
    together = model.unsigned != expected.unsigned and model.zero != expected.zero
    both = not asks and model.on_flip == model.on_flip_risen
    for name, (flag, sentence) in SENTENCES.items():
        value, right = getattr(model, name), getattr(expected, name)
        skipped = (name == "zero" and together) or (name == "on_flip_risen" and both)
        if value == right or skipped:
            continue
        changes = {name: value}
        if name == "unsigned":
            changes |= {"from_start": model.from_start}
            changes |= {"zero": model.zero} if together else {}
            if not model.from_start:
                flag = "zero-gradient" if together else "after-zero"  # noqa: PLW2901
                if not together and not expected.remembers and model.unsigned != "keep":
                    flag = "undo-after-undo" if expected.on_flip == "undo" else "after-flip"  # noqa: PLW2901
        if name == "on_flip":
            flag = "loss-fell" if asks else "sign-flip"  # noqa: PLW2901
            changes |= {"on_flip_risen": model.on_flip_risen} if both else {}
        if name == "on_flip_risen" and asks:
            flag = "loss-rose"  # noqa: PLW2901
        if name.startswith("on_flip") and right == "undo":
            short = value == "step" and model.remembers != 1  # back, but by the reduced step size
            flag = "undo-length" if value in UNDOES or short else flag  # noqa: PLW2901
        if name == "remembers":
            flips = {"on_flip": model.on_flip, "on_flip_risen": model.on_flip_risen}
            changes |= flips if model.on_flip != expected.on_flip else {}
            flag = "undo-after-undo" if expected.on_flip == "undo" else flag  # noqa: PLW2901
        if name == "rise":
            flag = RISE_FLAGS.get(value, flag)  # noqa: PLW2901
        if name == "compares" and value == "sizes":
            flag = "magnitude"  # noqa: PLW2901
        if name == "unclamped" and not value[0]:
            flag = "delta-max"  # noqa: PLW2901
        where = (
            " where the loss did not rise" if asks or model.on_flip != model.on_flip_risen else ""
        )
        text = sentence.format(WORDS.get(name, {}).get(value, value), where)
        found.append((flag, text, expected._replace(**changes)))
    return found


def rounder(dtype: str) -> Callable[[float], float]:
    """Return what rounds to a dtype."""
    if dtype == "float64":
        return float
    kind = np.dtype(dtype).type
    return lambda x: float(kind(x))


def factors_of(model: Model, etas: tuple[float, float]) -> dict[str, float]:
    """Return what the step size is multiplied by."""
    eta_minus, eta_plus = etas
    times = eta_minus if model.shrink_times == "eta_minus" else float(model.shrink_times)
    return {
        "keep": 1.0,
        "grow": (model.grow or eta_plus) * model.grow_times,
        "shrink": (model.shrink or eta_minus) * times,
    }


def path(model: Model, tape: Tape, dtype: str = "float64") -> Iterator[tuple[float, float]]:
    """Yield the parameter and the step size after each step."""
    own, wide = rounder(dtype), rounder("float32" if dtype == "float16" else dtype)
    m, (eta_minus, eta_plus), (low, high) = model, tape.etas, map(wide, tape.step_sizes)
    limit = wide(tape.step_sizes[1])
    low, high = (
        (0.0 if m.unclamped[0] else low),
        (math.inf if m.unclamped[1] or m.clipped else high),
    )
    factors = factors_of(model, tape.etas)
    factor = {"eta_plus": eta_plus, "eta_minus": eta_minus}.get(str(m.factor), m.factor)
    w, delta = tape.start, wide(tape.delta0)
    prev, dw, pending = float(m.before), 0.0, 0.0
    memory, older = math.nan, math.nan
    for i, (grad, loss) in enumerate(zip(tape.grads, tape.losses, strict=True)):
        g = grad + m.attracted * w if m.attracted else grad
        prev = g if i == 0 and m.first == "itself" else prev
        rose = risen(m.rise, loss, memory, older, i)
        if abs(g) < m.dead_gradient:
            g = 0.0
        s = int(g > 0) - int(g < 0)
        instead, change = ZEROS[m.zero] if s == 0 and g == 0 else (None, "keep")
        product = own(g * prev) if m.compares == "products" else s * ((prev > 0) - (prev < 0))
        if m.dead_product and abs(g * prev) < m.dead_product:
            product = 0
        agrees = int(product > 0) - int(product < 0)
        bare = delta
        if i == 0:
            delta = wide(m.constant) if m.constant is not None else wide(delta * float(factor))
        if agrees > 0:
            delta = wide(delta * factors["grow"])
        elif agrees < 0:
            delta = wide(delta * factors["shrink"])
        elif m.zero != "stay" and g == 0 and (i or m.from_start):
            delta = wide(delta * factors[change])
        elif not prev and m.unsigned in ("grow", "shrink") and (i or m.from_start):
            delta = wide(delta * factors[m.unsigned])
        grown = min(max(delta, low), high)
        before, delta = bare if m.old else grown, grown
        if i == 0 and not m.kept and m.constant is None:
            before = min(max(bare, low), high) * float(factor)
        s = instead if instead is not None else s
        flipped, resting = agrees < 0, not prev
        if flipped:
            move = m.on_flip_risen if rose else m.on_flip
            move_ = MOVES[move](dw, s, delta, bare)
            undone = move.startswith("undo")
            prev = g * m.remembers
            if m.again and undone:
                prev = -move_
        else:
            move_ = -(s * before)
            if g == 0 and m.zero == "coast":
                move_ = dw
            if g == 0 and m.zero.startswith("moves"):
                move_ = delta if m.zero == "moves up" else -delta
            if m.unsigned == "rest" and resting and (i or m.from_start):
                move_ = 0.0
            prev = prev if g == 0 and m.through_zero else g
        if i == 0 and m.first in ("store", "lose"):
            move_ = 0.0
            delta = wide(tape.delta0)
            prev = g if m.first == "store" else 0.0
        if i == 0 and not m.kept:
            delta = wide(tape.delta0)
        if m.clipped:
            move_ = min(max(move_, -limit), limit)
        dw = move_
        shown = move_
        if m.unsigned == "rest but remember" and resting and (i or m.from_start):
            shown = 0.0
        if m.stale:
            shown, pending = pending, move_
            if m.stale == "drops" and flipped:
                shown = 0.0
        w = own(w + shown)
        yield w, delta
        older = memory
        if m.rise == "best":
            memory = loss if math.isnan(memory) else min(memory, loss)
        elif m.rise == "kept":
            memory = memory if flipped else loss
        elif m.rise == "flips":
            memory = loss if flipped or i == 0 else memory
        else:
            memory = loss


def risen(rule: str, loss: float, memory: float, older: float, i: int) -> bool:
    """Tell whether the loss counts as risen."""
    if rule == "equal":
        return loss >= memory or math.isnan(loss)
    if rule == "older":
        return loss > older
    if rule == "percent":
        return loss > memory + 0.01 * abs(memory)
    if rule == "large":
        return loss > memory + 1e-2
    if rule == "fell":
        return loss < memory
    if rule == "first":
        return i > 0 and loss > 0
    return loss > memory or math.isnan(loss)
