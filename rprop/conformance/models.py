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

__all__ = ["OTHERS", "UNDOES", "Model", "Tape", "factors_of", "path", "published", "rows"]


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
        rose = risen(m.rise, loss, memory, older)
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
        if m.rise == "first":
            memory = loss if math.isnan(memory) else memory
        elif m.rise == "best":
            memory = loss if math.isnan(memory) else min(memory, loss)
        elif m.rise == "kept":
            memory = memory if flipped else loss
        elif m.rise == "flips":
            memory = loss if flipped or i == 0 else memory
        else:
            memory = loss


def risen(rule: str, loss: float, memory: float, older: float) -> bool:
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
    return loss > memory or math.isnan(loss)
