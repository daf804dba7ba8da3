"""Find the fault behind the failures: one fault, one name."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from rprop.conformance.cases import MakeStepper, floats
from rprop.conformance.faults import differences
from rprop.conformance.fitted import retold, rule_labels
from rprop.conformance.identify import PULLED, SIZED, Identity, first_step, identify
from rprop.conformance.limits import Limits
from rprop.conformance.models import Model, Tape, path, published
from rprop.conformance.report import Failure, Report
from rprop.rule.state import Array
from rprop.rule.variants import VARIANTS

__all__ = ["diagnosed", "diagnosis"]

Examine = Callable[[list[dict[str, Any]]], tuple[dict[str, str], list[Failure], int]]
#: What a step shows of the rule itself; every other flag belongs to a tape.
RULE = (
    "first-step",
    "same-sign",
    "sign-flip",
    "after-flip",
    "zero-gradient",
    "after-zero",
    "loss-rose",
    "loss-fell",
    "loss-equal",
    "undo-after-undo",
    "undo-length",
    "delta-min",
    "delta-max",
)
LIMITS = ("delta-min", "delta-max")
TAPES = ("many-coordinates", "masked-zeros", "long-tape", "rounding")
#: Flags that are told from what is seen, whatever else is wrong.
SEEN = ("shape-dtype", "gradient-changed", "stale-update", "undo-length")
#: A move that is off by less, relative to its length, may follow the rule in other arithmetic:
#: that of half precision. It has to be exact where the numbers of a case are sums of few powers
#: of two, for there no arithmetic rounds; and where all cases round, it may be single precision.
ROUNDING = {"float64": 6e-4, "float32": 6e-4, "float16": 1e-2}
SINGLE = 1e-6


def diagnosed(case: dict[str, Any], step: int, was: Array, actual: Array, hidden: bool) -> str:
    """Name the bug of one step: the flag it bears, unless the numbers tell more."""
    flags = ["", *(line["flag"] for line in case["steps"])]
    line = case["steps"][step - 1]
    wanted = np.array(floats(line["params"], case["repeat"]))
    with np.errstate(all="ignore"):
        right, wrong = wanted - was.astype(float), actual.astype(float) - was.astype(float)
        rounding = 0 if exact(case) else ROUNDING[case["dtype"]]
        unit = np.spacing(np.abs(wanted).astype(case["dtype"])).astype(float)
        off = np.abs(wrong - right)
        if (off <= rounding * np.abs(right) + 4 * unit * (right != 0)).all():
            return "rounding"
        i = int((wrong != right).argmax())
        length = wrong[i] / right[i] if right[i] else np.inf
    eta_minus, eta_plus = floats(case["etas"])
    delta = floats(line["delta"], case["repeat"])[i]
    undoes = case["variant"].endswith("+") and flags[step] in ("sign-flip", "loss-rose")
    if undoes and length > 0 and abs(wrong[i]) != delta:
        return "undo-length"
    after = hidden and flags[step] in ("after-flip", "undo-after-undo")
    if after and length > 0 and length not in (eta_minus, eta_plus):
        return flags[step - 1]  # the step size was wrong already
    return flags[step]


def rounded(actual: Array, wanted: Array, dtype: str) -> bool:
    """Tell whether step sizes may differ by their arithmetic alone."""
    if actual.shape != wanted.shape:
        return False
    with np.errstate(all="ignore"):
        off = np.abs(actual.astype(float) / wanted.astype(float) - 1)
    return bool((off <= ROUNDING[dtype]).all())


def exact(case: dict[str, Any]) -> bool:
    """Tell whether the steps of a case are exact in any arithmetic."""
    numbers = np.array([*floats(case["etas"]), float.fromhex(case["delta0"]["hex"])])
    return bool((numbers * 2**16 % 1 == 0).all())


def diagnosis(
    report: Report,
    make_stepper: MakeStepper,
    chosen: list[dict[str, Any]],
    limits: Limits,
    examine: Examine,
) -> Report:
    """Give every failure the flag of the fault that explains it, and say which one leads."""
    cases = {case["id"]: case for case in chosen}
    found = [*report.failures, *report.tolerated]
    dtype = cases[(report.failures or found)[0].case]["dtype"]
    try:
        identity: Identity | None = identify(make_stepper, dtype, limits=limits.but(factor=1.0))
    except (Exception, SystemExit):  # noqa: BLE001, what it raises is among the failures
        identity = None
    models, seen = [], []
    if identity is not None:
        everyone = [identity, *(other for _, other in identity.others)]
        models = [one.model for one in everyone if one.model is not None]
        seen = [fault for one in everyone for fault in one.faults if one.model is None]
    expected = published(report.variant)._replace(factor=limits.factor)
    if identity is not None and identity.variant not in (None, VARIANTS[report.variant]):
        assert identity.variant is not None
        if identity.variant.name != "unnamed":
            seen.insert(0, f"it follows {identity.variant.name}, not {report.variant}")
    faults = [fault for model in models for fault in differences(model, expected)]
    notes = seen + [text for _, text, _ in faults]
    general = "parameters" if PULLED in notes else "magnitude" if SIZED in seen else ""
    flags, extra = dict(report.flags), []
    relabelled = relabel(found, cases, models, expected, faults, general)
    if not models:
        relabelled = by_memory(relabelled, report.flags)
    first = next((m for m in models if starts_otherwise(m, limits)), None)
    if first is not None and any(f.flag == "first-step" for f in relabelled):
        anew = [
            retold(case, factor_of(first, floats(case["etas"])), first.constant)
            for case in chosen
            if first.first == "move" or starts_plainly(case)
        ]
        cleared = [m._replace(first="move", factor=1.0, constant=None) for m in models]
        again, more, _ = examine(anew)
        rest = [f for m in cleared for f in differences(m, published(report.variant))]
        told = {case["id"]: case for case in anew}
        named = relabel(more, told, cleared, published(report.variant), rest, general, first)
        note = f"compared as if the first step, {first_step(first)}, were right"
        extra = [replace(f, note=note) for f in named if f.flag not in ("first-step", "rounding")]
        flags = {
            name: again[name] if flags[name] == "not applicable" else flags[name] for name in flags
        }
    relabelled += extra
    failures = [f for f in relabelled if f.verdict == "valid"]
    tolerated = [f for f in relabelled if f.verdict != "valid"]
    for failure in relabelled:
        if failure.shown and flags.get(failure.shown) != "pass":
            flags[failure.shown] = "follows"
    for some, result in ((tolerated, "acceptable"), (failures, "fail")):
        flags |= dict.fromkeys((failure.flag for failure in some), result)
    leading = lead(failures, faults)
    failures.sort(key=lambda failure: failure.flag != leading)
    return replace(
        report,
        flags=flags,
        failures=failures,
        tolerated=tolerated,
        leading=leading,
        causes=tuple(dict.fromkeys(notes)),
    )


def by_memory(failures: list[Failure], flags: dict[str, str]) -> list[Failure]:
    """Blame the memory of the loss where a rise is seen in one case and missed in another."""
    asks = [f for f in failures if f.flag in ("loss-rose", "loss-fell", "loss-equal")]
    sometimes = any(flags[f.flag] == "pass" and "a-little" not in f.case for f in asks)
    if not sometimes:
        return failures
    return [replace(f, flag="loss-memory") if f in asks else f for f in failures]


def lead(failures: list[Failure], faults: list[tuple[str, str, Model]]) -> str:
    """Return the flag to mend first."""
    present = {failure.flag for failure in failures}
    for flag, _, _ in faults:
        if flag in present:
            return flag
    ranked = sorted(
        (failure.flag for failure in failures),
        key=lambda flag: (flag == "rounding", flag not in (*RULE, "parameters")),
    )
    return ranked[0] if ranked else ""


def relabel(
    found: list[Failure],
    cases: dict[str, dict[str, Any]],
    models: list[Model],
    expected: Model,
    faults: list[tuple[str, str, Model]],
    general: str,
    first: Model | None = None,
) -> list[Failure]:
    """Name failures by the fault that explains them, else by the rule where that fails plainly."""
    named: list[Failure] = []
    open_: list[tuple[int, str]] = []
    for failure in found:
        case = cases[failure.case]
        flag = failure.flag
        tape = column(case, failure.index, first)
        if failure.what.startswith(("params", "delta")) and flag not in SEEN and failure.step:
            explained = explain(failure, tape, case["dtype"], models, expected, faults)
            explained = general if general == "parameters" else explained or general
            flag = explained or flag
            if not explained:
                labels = list(rule_labels(case["variant"], tape.grads, tape.losses))
                open_.append((len(named), labels[failure.step - 1]))
        elif flag in ("stale-update", "undo-length"):
            flag = explain(failure, tape, case["dtype"], models, expected, faults) or flag
        named.append(replace(failure, flag=flag))
    everywhere = {f.flag for f in named if f.verdict == "valid"}
    alone = any("loss-of-another" in f.case for f in named if f.flag == "many-coordinates")
    for i, rule in open_:
        flag = named[i].flag
        if flag in TAPES and rule.startswith("loss-"):
            flag = next((f for f in sorted(everywhere) if f.startswith("loss-")), flag)
        if flag == "masked-zeros" and alone:
            flag = "many-coordinates"  # where nothing is masked, too
        if flag == "many-coordinates" and "masked-zeros" in everywhere and not alone:
            flag = "masked-zeros"  # for every step of those has a zero
        named[i] = replace(named[i], flag=flag)
    plain = {
        f.flag
        for f in named
        if f.flag in RULE and f.verdict == "valid" and ordinary(cases[f.case], f, first)
    }
    for i, rule in open_:
        flag = named[i].flag
        if flag in RULE and flag not in plain:
            flag = "magnitude"  # right where all gradients are of one size
        elif (flag not in RULE or flag in LIMITS) and rule in plain:
            flag = rule
        elif flag in TAPES and plain:
            flag = next(f.flag for f in named if f.flag in plain)
        named[i] = replace(named[i], flag=flag)
    return named


def starts_otherwise(model: Model, limits: Limits) -> bool:
    """Tell whether the first move has another length, for the steps after it, too."""
    other = (model.first, model.factor, model.constant) != ("move", limits.factor, None)
    return other and model.first in ("move", "itself") and model.kept


def starts_plainly(case: dict[str, Any]) -> bool:
    """Tell whether the first gradients have a sign and a square."""
    return all(1e-3 < abs(g) < 1e3 for g in floats(case["steps"][0]["grads"]))


def ordinary(case: dict[str, Any], failure: Failure, first: Model | None) -> bool:
    """Tell whether all gradients that led to a failure are of the size of 1, or 0."""
    grads = np.abs(column(case, failure.index, first).grads[: max(failure.step, 1)])
    return bool(((grads == 0) | ((grads > 0.1) & (grads < 10))).all())


def factor_of(model: Model, etas: Sequence[float]) -> float:
    """Return what a model multiplies delta0 by."""
    if model.first == "itself":
        return etas[1]
    return float({"eta_minus": etas[0], "eta_plus": etas[1]}.get(str(model.factor), model.factor))


def column(case: dict[str, Any], index: int, first: Model | None) -> Tape:
    """Return what one coordinate of a case is given."""
    index %= len(case["params"]["hex"])
    delta0 = float.fromhex(case["delta0"]["hex"])
    if first is not None:
        delta0 *= factor_of(first, floats(case["etas"]))
        delta0 = delta0 if first.constant is None else first.constant
    return Tape(
        [float.fromhex(step["grads"]["hex"][index]) for step in case["steps"]],
        [float.fromhex(step["loss"]["hex"]) for step in case["steps"]],
        float.fromhex(case["params"]["hex"][index]),
        delta0,
        tuple(floats(case["etas"])),  # type: ignore[arg-type]
        tuple(floats(case["step_sizes"])),  # type: ignore[arg-type]
    )


def explain(
    failure: Failure,
    tape: Tape,
    dtype: str,
    models: list[Model],
    expected: Model,
    faults: list[tuple[str, str, Model]],
) -> str:
    """Return the flag of the fault that leads to what was seen, "" if none does."""
    k, which = failure.step, int(failure.what.startswith("delta"))
    tape = tape._replace(grads=tape.grads[:k], losses=tape.losses[:k])
    right = list(path(expected, tape, dtype))[-1][which]

    def leads_there(model: Model) -> bool:
        value = list(path(model, tape, dtype))[-1][which]
        unit = 1e-7 if dtype == "float64" else 1e-5 if dtype == "float32" else 5e-3
        near = abs(value - failure.value) <= unit * max(abs(value - tape.start), abs(right - value))
        return near and not math.isclose(value, right, rel_tol=1e-12)

    if not any(map(leads_there, models)):
        return ""
    for flag, _, single in faults:
        if leads_there(single):
            return flag
    for flag, _, single in faults:  # it takes two; name the one that shows first
        steps = zip(path(single, tape, dtype), path(expected, tape, dtype), strict=True)
        if any(a != b for a, b in steps):
            return flag
    return ""
