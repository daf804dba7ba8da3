"""The name and the flag of every setting of a model that is a fault."""

from __future__ import annotations

from typing import Any

from rprop.conformance.models import UNDOES, Model

__all__ = ["differences"]

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
        "first": "higher than the first",
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
