"""The small file: one case for every event of the rules, finite numbers, the usual settings."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Sequence
from typing import Any

from rprop.conformance.generate import Tape, case
from rprop.rule.reference import RULES

__all__ = ["VERSION", "core", "document"]

#: Of the vectors, core and large: see vectors/CHANGELOG.md for what a change of it means.
VERSION = "1.0"
USUAL: dict[str, Any] = {"delta0": 0.1, "etas": (0.5, 1.2), "dtypes": ("float64",)}


def tapes() -> Iterator[Tape]:
    """Yield the tapes; the last step of each shows its event."""
    for name, (flag, settled, grads, losses, change) in EVENTS.items():
        wanted = flag if settled else None
        yield Tape(name, grads, wanted, settled, losses, **{**USUAL, **change})


def falling(n: int) -> list[int]:
    """Return losses that fall."""
    return list(range(n, 0, -1))


FLIPS = [1, 1, -1, -1, -1]
PAIR = [[1, 1], [1, 1], [-1, 1], [-1, -1], [-1, -1]]
ROWS = [[1, 0, -1], [1, 1, 1], [-1, 1, 0], [-1, -1, 1]]
TINY = [1e-200, 1e-200, -1e-200, -1e-200, -1e-200]
SIZES = [3, 1e-3, 40, -1e3, -0.02, -7]
#: name: flag, the step from which a failure bears it (0: from what the step shows), gradients,
#: losses, other settings
EVENTS: dict[str, tuple[str, int, Sequence[Any], Sequence[float], dict[str, Any]]] = {
    "first-step": ("first-step", 0, [2.5, 0], falling(2), {}),
    "same-sign": ("same-sign", 0, [-1, -1, -1, -1], falling(4), {}),
    "sign-flip": ("sign-flip", 0, [1, 1, -1], falling(3), {}),
    "after-flip": ("after-flip", 0, [-1, -1, 1, 1, 1], falling(5), {}),
    "zero-gradient": ("zero-gradient", 0, [1, 1, 0], falling(3), {"params": (0.5,)}),
    "after-zero": ("after-zero", 0, [1, 1, 0, 1, 1, 0, -1, -1], falling(8), {}),
    "minus-zero": ("signed-zero", 2, [1, 1, -0.0, 1], falling(4), {}),
    "magnitude": ("magnitude", 1, SIZES, falling(6), {}),
    "product-underflow": ("product-underflow", 1, TINY, falling(5), {}),
    "delta-min": ("delta-min", 0, [1, -1, 1, -1, 1, -1], falling(6), {"step_sizes": (0.03, 50.0)}),
    "delta-max": ("delta-max", 0, [1, 1, 1, 1], falling(4), {"step_sizes": (1e-6, 0.13)}),
    "loss-rose": ("loss-rose", 0, FLIPS, [3, 2, 4, 3, 2], {}),
    "loss-fell": ("loss-fell", 0, FLIPS, [3, 2, 1, 0, -1], {}),
    "loss-equal": ("loss-equal", 0, FLIPS, [2, 2, 2, 2, 2], {}),
    "loss-memory": ("loss-memory", 3, [1, 1, 1, -1, -1], [5, 1, 3, 2, 1], {}),
    "loss-of-another": ("loss-memory", 3, PAIR, [5, 4, 6, 5, 4], {"params": (0.0, 1.0)}),
    "undo-after-undo": ("undo-after-undo", 0, [1, -1, 1, -1, -1], [1, 2, 3, 4, 5], {}),
    "undo-length": ("undo-length", 3, [-1, -1, -1, 1], [2, 1, 0, 5], {}),
    "many-coordinates": ("many-coordinates", 0, ROWS, [3, 2, 4, 1], {"params": (0.0, 1.0, -0.5)}),
}


def core(variant: str) -> list[dict[str, Any]]:
    """Return the cases of the small file as `check` takes them.

    Examples
    --------
    >>> from rprop.conformance import check
    >>> from rprop.conformance.adapters import Core
    >>> check(Core.of("rprop+"), "rprop+", cases=core("rprop+")).ok
    True
    """
    return [case(tape, variant, "float64") for tape in tapes()]


def document() -> str:
    """Return the text of the file: what is given once, what is expected for each variant."""
    lines = []
    for tape in tapes():
        told = {variant: case(tape, variant, "float64") for variant in RULES}
        # Putting a saved parameter back must come to the same as taking the move back.
        assert all(one["verdict"] == "valid" for one in told.values()), tape.name
        given = told["rprop-"]
        entry = {
            "id": tape.name,
            "flag": EVENTS[tape.name][0],
            "params": both(given["params"]),
            "delta0": both(given["delta0"]),
            "etas": both(given["etas"]),
            "step_sizes": both(given["step_sizes"]),
            "grads": [both(step["grads"]) for step in given["steps"]],
            "losses": both(flat(given, "loss")),
            "expected": {
                variant: [both(step["params"]) for step in one["steps"]]
                for variant, one in told.items()
            },
        }
        lines.append(json.dumps(entry, separators=(",", ":")))
    head = (
        f'{{"name":"rprop core","version":"{VERSION}","variants":{json.dumps(list(RULES))},\n'
        '"numbers":"[decimals that round-trip, the 64 bits of IEEE 754 double precision in '
        'hexadecimal]",\n"cases":[\n'
    )
    return head + ",\n".join(lines) + "\n]}\n"


def flat(given: dict[str, Any], name: str) -> dict[str, list[str]]:
    """Put the numbers of all steps side by side."""
    return {"decimal": [step[name]["decimal"] for step in given["steps"]]}


def both(numbers: dict[str, Any]) -> list[Sequence[Any]]:
    """Write numbers as decimals and as bits."""
    single = isinstance(numbers["decimal"], str)
    floats = [float(x) for x in ([numbers["decimal"]] if single else numbers["decimal"])]
    return [floats, [struct.pack(">d", x).hex() for x in floats]]
