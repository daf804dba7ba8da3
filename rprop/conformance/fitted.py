"""Cases made to measure: for settings that cannot be set, for another first move, for one number."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from rprop.conformance.cases import floats
from rprop.conformance.exact import FORMATS, Number
from rprop.conformance.generate import Tape, case, shown, tapes
from rprop.conformance.limits import Limits
from rprop.rule.reference import rose, sign

__all__ = ["fitted", "retold", "rule_labels"]

#: Upper limits that nothing reaches, where there is to be none.
ENDLESS = {"float64": 1e300, "float32": 1e38, "float16": 6e4}
MOST = 3000  # steps that one case may take to reach a limit


@cache
def fitted(variant: str, limits: Limits) -> list[dict[str, Any]]:
    """Return cases of a variant that ask for nothing which cannot be set."""
    cases = []
    for tape in [*tapes(), *reaching(limits)]:
        fit = limits.fit(tape)
        if not limits.sizes and not plain(tape):
            continue
        low, high = fit.step_sizes
        moved = fit.delta0 != tape.delta0
        fixed_low, fixed_high = (limit is not None for limit in limits.step_sizes)
        about_low, about_high = "delta-min" in tape.name, "delta-max" in tape.name
        others = "delta" in tape.name and not (about_low or about_high)
        if (
            (about_low and (moved or fixed_low))
            or (about_high and (moved or fixed_high))
            or (others and (moved or fixed_low or fixed_high))
        ):
            continue  # it was about the settings that are fixed; see `reaching`
        beyond = not low <= fit.delta0 <= high
        if low > high or (beyond and "delta0-" not in tape.name):
            continue
        sized = widened(fit, limits.size)
        if sized is None:
            continue
        for dtype in tape.dtypes:
            if high == math.inf:
                sized, fit = (t._replace(step_sizes=(low, ENDLESS[dtype])) for t in (sized, fit))
            try:
                made = case(sized, variant, dtype)
                told = case(fit, variant, dtype) if sized is not fit else made
            except OverflowError:
                continue
            if dtype == "float16" and limits != Limits(size=limits.size):
                made["verdict"] = "acceptable"  # its steps are no longer exact
            if len(tape.params) == 1:  # copies show what the one coordinate shows
                for step, one in zip(made["steps"], told["steps"], strict=True):
                    step["flag"] = one["flag"]
                made["flags"] = told["flags"]
            cases.append(made)
    return cases


def reaching(limits: Limits) -> Iterator[Tape]:
    """Yield tapes that reach limits which are fixed."""
    eta_minus, eta_plus = limits.etas or (0.5, 1.5)
    low, high = limits.step_sizes
    delta0 = limits.delta0 or 0.125
    if limits.delta0:  # the tapes of `generate` are made for another
        low = delta0 * 0.375 if low is None else low
        high = delta0 * 2.125 if high is None else high
    sizes = (1e-6 if low is None else low, 50.0 if high is None else high)
    both: dict[str, Any] = {"dtypes": ("float64", "float32"), "step_sizes": sizes}
    if low:
        n = 2 * math.ceil(math.log(delta0 / low) / -math.log(eta_minus)) + 8
        if 0 < n < MOST:
            yield Tape("lower-limit", [1, -1] * (n // 2) + [1, 1, 1], **both)
    if high is not None and high < math.inf:
        n = math.ceil(math.log(high / delta0) / math.log(eta_plus)) + 4
        if 0 < n < MOST:
            yield Tape("upper-limit", [1] * n + [-1, -1, -1], **both)


def plain(tape: Tape) -> bool:
    """Tell whether all gradients are 0 or of the size of 1."""
    rows = ([g] if isinstance(g, int | float) else g for g in tape.grads)
    return all(g == 0 or 1e-2 < abs(g) < 1e2 for row in rows for g in row)


def widened(tape: Tape, size: int | None) -> Tape | None:
    """Repeat the coordinates of a tape so that there are just so many; None if there are more."""
    n = len(tape.params) * tape.repeat
    if size is None:
        return tape
    if n > size:
        return None
    columns = [i % len(tape.params) for i in range(size)]
    rows = [[row] if len(tape.params) == 1 else list(row) for row in tape.grads]
    return tape._replace(
        grads=[[row[i] for i in columns] for row in rows],
        params=[tape.params[i] for i in columns],
        repeat=1,
    )


def retold(
    told: dict[str, Any], factor: float = 1.0, constant: float | None = None
) -> dict[str, Any]:
    """Return a case as if delta0 were another; the implementation is still given the old one."""
    wide = FORMATS["float32" if told["dtype"] == "float16" else told["dtype"]]
    delta0 = Number(float.fromhex(told["delta0"]["hex"]), wide) * factor
    grads = [floats(step["grads"]) for step in told["steps"]]
    single = len(grads[0]) == 1
    tape = Tape(
        told["id"].split("/")[2],
        [row[0] for row in grads] if single else grads,
        [step["flag"] for step in told["steps"]],
        losses=[float.fromhex(step["loss"]["hex"]) for step in told["steps"]],
        params=floats(told["params"]),
        delta0=delta0.value if constant is None else constant,  # type: ignore[arg-type]
        etas=tuple(floats(told["etas"])),  # type: ignore[arg-type]
        step_sizes=tuple(floats(told["step_sizes"])),  # type: ignore[arg-type]
        verdict=told["verdict"],
        repeat=told["repeat"],
    )
    return {**case(tape, told["variant"], told["dtype"]), "delta0": told["delta0"]}


def rule_labels(variant: str, grads: Sequence[float], losses: Sequence[float]) -> Iterator[str]:
    """Yield what each step of a coordinate shows of the rule, whatever the tape is about."""
    remembered, was = 0, {}  # type: ignore[var-annotated]
    for g, loss in zip(grads, losses, strict=True):
        yield shown(variant, g, (0, 0, remembered), was, loss)
        flipped = sign(g) * remembered < 0
        undone = flipped and (
            variant == "rprop+" or (variant == "irprop+" and rose(loss, was["loss"]))
        )
        was = {"g": g, "loss": loss, "flipped": flipped, "undone": undone}
        remembered = 0 if flipped and variant != "rprop-" else sign(g)
