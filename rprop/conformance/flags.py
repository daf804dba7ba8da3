"""What can go wrong in an Rprop: every step of a vector is flagged with one of these."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

__all__ = ["FLAGS", "MINIMUM", "Flag", "minimum"]


class Flag(NamedTuple):
    """One class of bugs."""

    bug_type: str
    description: str
    effect: str
    implementations: str = ""


WRONG, NUMERIC, SILENT = "wrong rule", "numerics", "papers are silent"

FLAGS = {
    "first-step": Flag(
        WRONG,
        "The first move has the length delta0, against the sign of the gradient: there is no "
        "earlier sign to agree with.",
        "A first step of eta_plus * delta0, of another constant or of none shifts the whole run.",
        "FANN and PINTS start with eta_plus * delta0; climin with its smallest step",
    ),
    "stale-update": Flag(
        WRONG,
        "The move belongs to the gradient it was computed from.",
        "Every update arrives one step late, when the gradient is already another.",
        "optax.rprop up to 0.2.8",
    ),
    "parameters": Flag(
        WRONG,
        "The move depends on the gradients, not on where the parameters are.",
        "A pull towards zero, or away from it: another function is minimised.",
        "TorchSharp up to 0.105.0 added 50 times the parameter to the gradient",
    ),
    "same-sign": Flag(
        WRONG,
        "Same sign as last time: the step size grows by eta_plus, then the move uses it.",
        "Without growth, or with the old step size, Rprop crawls.",
        "PyBrain moves first and adapts afterwards",
    ),
    "sign-flip": Flag(
        WRONG,
        "The sign changed: the step size shrinks by eta_minus, and the coordinate steps, stays or "
        "takes its last move back, as the variant says.",
        "This is all the variants differ in; the wrong move is another algorithm.",
        "OpenCV's ANN_MLP steps and forgets; PyBrain jumps back by the unreduced step size",
    ),
    "after-flip": Flag(
        WRONG,
        "Variants that forget the sign of a flip do not adapt in the next step; the others do.",
        "Shrinking twice, or growing at once, after every flip.",
    ),
    "zero-gradient": Flag(
        WRONG,
        "A gradient of zero moves nothing and leaves the step size alone.",
        "Coasting along flat directions, or steps that shrink for no reason.",
        "SNNS re-applies its last move",
    ),
    "after-zero": Flag(
        WRONG,
        "A gradient of zero leaves no sign behind: the next step does not adapt, and its step size "
        "is that from before the zero.",
        "A sign from two steps ago decides about growth.",
    ),
    "signed-zero": Flag(NUMERIC, "Minus zero is zero.", "A move along a flat direction."),
    "magnitude": Flag(
        NUMERIC,
        "Only signs count, whatever the size of the gradient.",
        "Steps that depend on the scale of the loss.",
    ),
    "subnormal-gradient": Flag(
        SILENT,
        "A subnormal gradient has a sign like any other, unless the machine flushes it to zero.",
        "No move where gradients vanish.",
    ),
    "product-underflow": Flag(
        NUMERIC,
        "Signs are compared even where the product of the gradients underflows to zero.",
        "Where gradients vanish, steps neither grow nor shrink, and flips go unseen.",
        "torch.optim.Rprop, paddle.optimizer.Rprop, MindSpore, Optimisers.jl",
    ),
    "product-overflow": Flag(
        NUMERIC,
        "Signs are compared even where the product of the gradients overflows.",
        "Infinity times zero is NaN, and it spreads.",
    ),
    "delta-min": Flag(
        WRONG,
        "The step size never falls below the lower limit.",
        "Steps that die out.",
    ),
    "delta-max": Flag(
        WRONG,
        "The step size never exceeds the upper limit.",
        "Runaway steps on plateaus.",
    ),
    "delta0-range": Flag(
        SILENT,
        "An initial step size outside the limits is clamped at the first step.",
        "The first move is longer or shorter than the limits allow.",
        "optax.rprop clamps only what it adapts",
    ),
    "loss-rose": Flag(
        WRONG,
        "iRprop+: where the sign changed and the loss rose, the last move is taken back.",
        "Without it, iRprop+ is iRprop-.",
    ),
    "loss-fell": Flag(
        WRONG,
        "iRprop+: where the sign changed and the loss fell, the coordinate stays.",
        "With it, iRprop+ is RPROP+.",
        "Shark repeats the overshooting move",
    ),
    "loss-equal": Flag(
        WRONG,
        "iRprop+: a loss that is equal to the last did not rise.",
        "Progress taken back on plateaus.",
        "Shark repeats the last move, as where the loss fell",
    ),
    "loss-memory": Flag(
        WRONG,
        "The loss is compared with that of the step before: not with the best, nor with the last "
        "one at which some sign changed.",
        "Moves are taken back that did no harm, or kept although they did.",
        "neupy compares with an error one step too old; PyBOP does not compare at all",
    ),
    "loss-nan": Flag(
        SILENT,
        "A loss that is NaN has risen; the first number after NaN has not.",
        "A jump into the undefined is not taken back.",
    ),
    "undo-after-undo": Flag(
        WRONG,
        "A move that was taken back is not taken back again: the next step is a plain one.",
        "Jumping between two points.",
    ),
    "undo-length": Flag(
        WRONG,
        "What is taken back is the move that was made, not the present step size.",
        "The coordinate does not return to where it was.",
    ),
    "nan-gradient": Flag(
        SILENT,
        "NaN has no sign: it counts as zero.",
        "One NaN poisons a parameter for good.",
        "paddle.optimizer.Rprop, optax.rprop, Optimisers.jl",
    ),
    "infinite-gradient": Flag(
        NUMERIC,
        "An infinite gradient has a sign like any other.",
        "NaN from infinity times zero, or no move.",
    ),
    "rounding": Flag(
        NUMERIC,
        "Every operation is rounded once, to the type of the parameters. Saving the parameter and "
        "putting it back, where a move is taken back, is acceptable.",
        "Step sizes in another precision drift away bit by bit.",
    ),
    "shape-dtype": Flag(
        NUMERIC,
        "The parameters keep their shape and their dtype.",
        "Broadcasting where none was meant; twice the memory, or half of the digits.",
    ),
    "gradient-changed": Flag(
        WRONG,
        "The gradient is the caller's: a step reads it and leaves it as it was.",
        "Whoever looks at the gradient after the step sees another.",
        "PINTS and PyBOP set some of its entries to zero",
    ),
    "reused-array": Flag(
        SILENT,
        "A caller may write the next gradient into the array of the last one.",
        "Where the last gradient is remembered without a copy, no sign ever changes.",
        "climin",
    ),
    "long-tape": Flag(
        WRONG, "A thousand steps agree as the first do.", "State that is lost or saturates."
    ),
    "many-coordinates": Flag(
        WRONG,
        "Every coordinate has a step size and a memory of its own.",
        "One sign decides for all.",
    ),
    "masked-zeros": Flag(
        WRONG,
        "A coordinate whose gradient is zero does not disturb the others, nor they it.",
        "Unused or frozen weights move.",
    ),
}

#: What an implementation has to show before anything can be said about it.
MINIMUM = (
    "first-step",
    "same-sign",
    "sign-flip",
    "after-flip",
    "zero-gradient",
    "after-zero",
    "delta-min",
    "delta-max",
    "loss-rose",
    "loss-fell",
    "loss-equal",
    "loss-memory",
    "undo-after-undo",
    "undo-length",
)


def minimum(variant: str, limits: Any = None) -> list[str]:
    """Return the flags of the minimum that a variant has, but for limits that are switched off."""
    absent = {"sign-flip"} if variant == "irprop+" else set()
    if variant == "rprop+":
        absent |= {"after-flip"}
    if variant.endswith("-"):
        absent |= {"undo-after-undo", "undo-length"}
    if variant != "irprop+":
        absent |= {flag for flag in MINIMUM if flag.startswith("loss-")}
    if limits is not None:
        low, high = limits.step_sizes
        absent |= {"delta-min"} if low == 0 else set()
        absent |= {"delta-max"} if high == math.inf else set()
    return [flag for flag in MINIMUM if flag not in absent]
