"""The vectors, made from the scalar rules; ``python -m rprop.conformance.write`` writes them.

The expected values come from the scalar rules of `rprop.rule.reference`, run on exact numbers that are
rounded once per operation; nothing here uses the vectorised core.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

from rprop.conformance.exact import FORMATS, Number
from rprop.conformance.flags import FLAGS
from rprop.rule.reference import RULES, rose, sign

__all__ = ["FOLDER", "Tape", "case", "documents"]

FOLDER = Path(__file__).parent / "vectors"


class Tape(NamedTuple):
    """What an implementation is given.

    The default numbers are sums of few powers of two, so that a tape is exact in every dtype and
    in any order of operations: where it fails, the rule is wrong and not the rounding.
    """

    name: str
    grads: Sequence[Any]  # a number or a row of numbers for each step
    flag: str | Sequence[str] | None = None  # of steps after `settled`; else what a step shows
    settled: int = 0
    losses: Sequence[float] | None = None  # falling where it is not given
    params: Sequence[float] = (0.0,)
    delta0: float = 0.125
    etas: tuple[float, float] = (0.5, 1.5)
    step_sizes: tuple[float, float] = (1e-6, 50.0)
    dtypes: Sequence[str] = ("float64", "float32", "float16")
    verdict: str = "valid"
    repeat: int = 1  # the coordinates stand for so many copies of themselves


NAN, INF = math.nan, math.inf
TINY = {"float16": 1e-4, "float32": 1e-25, "float64": 1e-200}  # squares underflow
HUGE = {"float32": 1e25, "float64": 1e200}  # squares overflow
LEAST = {name: math.ldexp(1, format_.least) for name, format_ in FORMATS.items()}
INEXACT: dict[str, Any] = {"delta0": 0.1, "etas": (0.5, 1.2), "dtypes": ("float64", "float32")}


def tapes() -> Iterator[Tape]:
    """Yield the tapes, simple ones first."""
    yield Tape("first-step-down", [2.5, 0], **INEXACT)
    yield Tape("first-step-up", [-0.5, 0], delta0=0.375, params=(2.0,))
    yield Tape("growth", [1, 1, 1, 1, 1], **INEXACT)
    yield Tape("growth-of-others", [-1, -1, -1, -1], **{**INEXACT, "etas": (0.3, 1.7)})
    yield Tape("growth-exact", [1, 1, 1, 1])
    yield Tape("flip", [1, 1, -1])
    yield Tape("flip-at-once", [1, -1])
    yield Tape("flip-and-on", [1, 1, 1, -1, -1, -1, -1], etas=(0.25, 1.5))
    yield Tape("flip-and-back", [1, 1, -1, 1, 1])
    yield Tape("flip-twice", [1, 1, -1, -1, 1, 1, 1])
    yield Tape("published", PUBLISHED)
    yield Tape("zero", [1, 1, 0, 1, 1])
    yield Tape("zero-first", [0, 1, 1])
    yield Tape("zero-before-flip", [1, 0, -1, -1])
    yield Tape("zeros", [1, 1, 0, 0, -1, 0, 1])
    yield Tape("minus-zero", [1, 1, -0.0, 1], "signed-zero", 2)
    yield Tape("sizes", [3.0, 1e-3, 40.0, -1e3, -0.02, -7.0], "magnitude", 1)
    yield from size_tapes()
    yield Tape("delta-min", [1, -1, 1, -1, 1, -1, 1, -1, 1, 1], step_sizes=(0.046875, 50.0))
    yield Tape("delta-max", [1, 1, 1, 1, 1, -1, -1, -1], step_sizes=(1e-6, 0.25))
    yield Tape("delta-fixed", [1, 1, -1, -1, -1, 1], step_sizes=(0.125, 0.125))
    for name, delta0 in {"large": 64.0, "small": 2.0**-14}.items():
        limits = (2.0**-10, 32.0)
        grads = [1, 1, -1]
        yield Tape(
            f"delta0-{name}",
            grads,
            "delta0-range",
            delta0=delta0,
            step_sizes=limits,
            verdict="acceptable",
        )
    yield from loss_tapes()
    rows = [[0, g, 0, -g, 0] for g in (1, 1, -1, -1, 1, 1, 1)]
    yield Tape("masked", rows, "masked-zeros", params=(1.0, 0.5, -1.0, 0.25, 0.0))
    rows = [[1, 0, 1], [1, 1, 0], [0, 1, 1], [-1, 0, 1], [-1, -1, 0], [0, -1, -1]]
    yield Tape("masked-in-turn", rows, "masked-zeros", params=(1.0, 2.0, 3.0))
    yield from random_tapes()


PUBLISHED = [1, 1, 1, -1, -1, 1, 0, 0, 1]


def size_tapes() -> Iterator[Tape]:
    """Yield gradients of every size."""
    for dtype, tiny in TINY.items():
        exact: Any = {"etas": (0.5, 2.0), "dtypes": [dtype]}
        flags = ["magnitude"] + ["product-underflow"] * 5
        yield Tape(f"underflow-{dtype}", [tiny, tiny, tiny, -tiny, -tiny, -tiny], flags, **exact)
        mixed = [1.0, tiny, tiny, -tiny, -tiny]
        yield Tape(f"underflow-after-one-{dtype}", mixed, "product-underflow", 2, **exact)
        least = [LEAST[dtype], LEAST[dtype], -LEAST[dtype], -1.0]
        yield Tape(f"least-{dtype}", least, "subnormal-gradient", verdict="acceptable", **exact)
    for dtype, huge in HUGE.items():
        flags = ["magnitude"] + ["product-overflow"] * 6
        grads = [huge, huge, 0, huge, huge, -huge, -huge]
        yield Tape(f"overflow-{dtype}", grads, flags, dtypes=[dtype])
    yield Tape("infinite", [INF, INF, 1.0, 0.0, INF, -INF, -1.0], "infinite-gradient")
    yield Tape("nan", [1, NAN, 1, 1, -1, NAN, -1], "nan-gradient", 1, verdict="acceptable")


def loss_tapes() -> Iterator[Tape]:
    """Yield losses that rise and fall; they matter to iRprop+ alone."""
    grads = [1, 1, -1, -1, -1]
    yield Tape("loss-rises", grads, losses=[3, 2, 4, 3, 2])
    yield Tape("loss-falls", grads, losses=[3, 2, 1, 0, -1])
    yield Tape("loss-stays", grads, losses=[2, 2, 2, 2, 2])
    yield Tape("loss-rises-a-little", grads, losses=[1, 1, 1 + 2.0**-9, 1, 1])
    yield Tape("loss-rises-below-zero", grads, losses=[-2, -4, -3, -4, -5])
    yield Tape("loss-rises-to-infinity", grads, losses=[2, 2, INF, 2, 1])
    yield Tape("loss-rises-at-once", [1, -1, -1], losses=[1, 2, 1])
    yield Tape("published-loss-rises", PUBLISHED, losses=range(9))
    yield Tape("loss-best-was-lower", [1, 1, 1, -1, -1], "loss-memory", 3, [5, 1, 3, 2, 1])
    yield Tape("loss-last-was-lower", [1, 1, 1, -1, -1], "loss-memory", 3, [5, 4, 1, 2, 1])
    flips = [1, 1, -1, -1, -1, 1, 1, -1]
    yield Tape("loss-after-flips", flips, "loss-memory", 3, [5, 4, 3, 1, 0, 2, 5, 4])
    rows = [[1, 1], [1, 1], [-1, 1], [-1, -1], [-1, -1]]  # flips in turn
    for name, values in {"rose": [5, 4, 6, 5, 4], "fell": [5, 4, 2, 3, 2]}.items():
        pair = (0.0, 1.0)
        yield Tape(f"loss-of-another-{name}", rows, "loss-memory", 3, values, params=pair)
    silent: Any = {"verdict": "acceptable"}
    grads = [1, 1, -1, -1, -1, 1, 1]
    yield Tape("loss-nan", grads, "loss-nan", 2, [3, 2, NAN, 2, 1, NAN, 0], **silent)
    yield Tape("loss-from-nan", [1, 1, -1, 1], "loss-nan", 2, [3, NAN, 2, 1], **silent)
    yield Tape("undo-twice", [1, 1, -1, 1, -1, 1, 1], losses=[1, 2, 3, 4, 5, 6, 7])
    yield Tape("undo-long", [1, 1, 1, 1, -1], "undo-length", 4, [1, 0, -1, -2, 5])
    yield Tape("undo-first", [1, -1], "undo-length", 1, [1, 2], delta0=0.75)


def random_tapes() -> Iterator[Tape]:
    """Yield what wants many numbers: rounding, many coordinates, many steps."""
    some = random.Random(1)
    odd: Any = {**INEXACT, "etas": (0.7, 1.3), "delta0": 0.01}
    yield Tape("rounding-growth", [-1] * 8 + [0] + [-1] * 8, "rounding", params=(1 / 3,), **odd)
    yield Tape("rounding-shrink", [1, -1, -1, 1] * 4, "rounding", losses=range(16), **odd)
    signs, values = some.choices([1, -1], [3, 1], k=40), some.choices([1, 2, 3], k=40)
    yield Tape("rounding", signs, "rounding", losses=values, params=(1 / 3,), **odd)
    yield Tape(
        "rounding-half",
        signs[:15],
        "rounding",
        params=(1 / 3,),
        delta0=0.01,
        dtypes=["float16"],
        verdict="acceptable",
    )
    rows = [some.choices([1, -1, 0, 0.5], [4, 3, 1, 2], k=23) for _ in range(12)]
    powers: Any = {"etas": (0.5, 2.0), "step_sizes": (2.0**-6, 2.0)}
    yield Tape(
        "many",
        rows,
        "many-coordinates",
        losses=some.choices([1, 2, 3], k=12),
        params=[i / 8 for i in range(23)],
        repeat=45,  # 1035, odd in any way
        **powers,
    )
    yield Tape(
        "very-many",
        rows[:3],
        "many-coordinates",
        params=[0.0] * 23,
        dtypes=["float64"],
        repeat=450,  # beyond the blocks of vectorised code
        **powers,
    )
    yield Tape("reused-array", [1, 1, -1, -1, 1, 1], "reused-array", verdict="acceptable")
    signs = some.choices([1, -1, 0], [16, 8, 1], k=1000)
    values = some.choices([1, 2, 3], k=1000)
    yield Tape("long", signs, "long-tape", 12, values, dtypes=["float64"], **powers)


def shown(variant: str, g: float, before: Any, was: dict[str, Any], loss: float) -> str:
    """Name what a step of one coordinate shows, from the state before it and the step before."""
    remembered = before[2]
    if not was:
        return "first-step" if g else "zero-gradient"
    if g == 0:
        return "zero-gradient"
    if sign(g) * remembered < 0:
        if variant != "irprop+":
            return "sign-flip"
        if rose(loss, was["loss"]):
            return "loss-rose"
        return "loss-fell" if loss < was["loss"] else "loss-equal"
    if was["undone"]:
        return "undo-after-undo"
    if was["flipped"]:
        return "after-flip"
    return "after-zero" if was["g"] == 0 else "same-sign"


def applies(flag: str, variant: str) -> bool:
    """Tell whether a rule can go wrong in this way."""
    if flag.startswith("loss-"):
        return variant == "irprop+"
    return flag != "undo-length" or variant in ("rprop+", "irprop+")


def case(tape: Tape, variant: str, dtype: str) -> dict[str, Any]:
    """Run a tape through the rule and write down what has to come out."""
    own = FORMATS[dtype]
    wide = FORMATS["float32"] if dtype == "float16" else own
    low, high = (Number(limit, wide) for limit in tape.step_sizes)
    n = len(tape.params)
    state = [(Number(w, own), Number(tape.delta0, wide), 0, Number(0, wide)) for w in tape.params]
    losses = tape.losses or [float(-i) for i in range(len(tape.grads))]
    was: dict[str, Any] = {}
    older = state
    silent = tape.flag != "loss-nan" or applies("loss-nan", variant)
    verdict = tape.verdict if silent else "valid"
    prev_loss, steps = NAN, []
    for i, (row, loss) in enumerate(zip(tape.grads, losses, strict=True)):
        grads = [row] if n == 1 else list(row)
        flag = shown(variant, grads[0], state[0], was, loss)
        after = [
            RULES[variant](*(w, g, d, s, u), tape.etas, (low, high), rose(loss, prev_loss))
            for (w, d, s, u), g in zip(state, grads, strict=True)
        ]
        after = [(w.to(own), d, s, u) for w, d, s, u in after]
        delta = after[0][1].value
        if i and grads[0] and delta in (low.value, high.value):
            flag = "delta-min" if delta == low.value else "delta-max"
        if n > 1:
            flag = "many-coordinates"
        if tape.flag and i >= tape.settled:
            named = tape.flag if isinstance(tape.flag, str) else tape.flag[i]
            flag = named if applies(named, variant) else flag
        undone = [
            variant != "rprop-" and sign(g) * now[2] < 0 and then[3].value == -now[3].value
            for g, now, then in zip(grads, state, after, strict=True)
        ]
        if any(
            undo and then[0].value != before[0].value
            for undo, then, before in zip(undone, after, older, strict=True)
        ):
            verdict = "acceptable"  # one may as well put back the parameter that was saved
        was = {"g": grads[0], "loss": loss, "undone": undone[0]}
        was["flipped"] = sign(grads[0]) * state[0][2] < 0
        older, state, prev_loss = state, after, loss
        steps.append(
            {
                "flag": flag,
                "grads": numbers(grads),
                "loss": number(loss),
                "params": numbers([w.value for w, *_ in state]),
                "delta": numbers([d.value for _, d, *_ in state]),
            }
        )
    assert all(step["flag"] in FLAGS for step in steps)
    return {
        "id": f"{variant}/{dtype}/{tape.name}",
        "variant": variant,
        "dtype": dtype,
        "verdict": verdict,
        "flags": sorted({step["flag"] for step in steps}),
        "params": numbers([Number(w, own).value for w in tape.params]),
        "delta0": number(tape.delta0),
        "etas": numbers(tape.etas),
        "step_sizes": numbers(tape.step_sizes),
        "repeat": tape.repeat,
        "steps": steps,
    }


def number(value: float | Fraction) -> dict[str, str]:
    """Write a number as a hexadecimal and as a decimal float."""
    value = float(value)
    return {"hex": value.hex(), "decimal": repr(value)}


def numbers(values: Sequence[float | Fraction]) -> dict[str, list[str]]:
    """Write numbers side by side."""
    floats = [float(value) for value in values]
    return {"hex": [f.hex() for f in floats], "decimal": [repr(f) for f in floats]}


def documents() -> dict[str, str]:
    """Return the text of every file by its name."""
    files = {"flags.json": text({name: flag._asdict() for name, flag in FLAGS.items()})}
    for variant in RULES:
        cases = [case(tape, variant, dtype) for tape in tapes() for dtype in tape.dtypes]
        ids = [c["id"] for c in cases]
        assert len(ids) == len(set(ids))
        lines = []
        for c in cases:
            steps = ",\n  ".join(map(json.dumps, c.pop("steps")))
            lines.append(f'{json.dumps(c)[:-1]}, "steps": [\n  {steps}]}}')
        name = variant.replace("+", "_plus").replace("-", "_minus")
        head = f'{{"variant": "{variant}", "count": {len(cases)}, "cases": [\n'
        files[f"{name}.json"] = head + ",\n".join(lines) + "\n]}\n"
    return files


def text(value: Any) -> str:
    """Write JSON for people."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
