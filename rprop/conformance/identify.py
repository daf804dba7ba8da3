"""Say which rule an implementation really follows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from rprop.conformance.cases import MakeStepper
from rprop.conformance.faults import differences
from rprop.conformance.generate import TINY
from rprop.conformance.limits import NONE, Limits
from rprop.conformance.models import (
    OTHERS,
    Model,
    Tape,
    factors_of,
    published,
    rows,
)
from rprop.conformance.probes import GRADS, LOSSES, Probe, moved_by_params, moved_by_sizes, probes
from rprop.rule.state import Array
from rprop.rule.variants import VARIANTS, Move, Variant

__all__ = ["Identity", "identify"]

PULLED, SIZED = "the move depends on the parameters", "the size of a gradient matters"


class Identity(NamedTuple):
    """What an implementation is.

    Attributes
    ----------
    variant : Variant or None
        The row of data that it follows, None if it follows none.
    first_step : str
        The length of its first move: "delta0" if it is right.
    stale : bool
        Whether every move arrives one step late.
    compares : str
        "signs"; "products" where the product of two gradients that underflows hides a sign; or
        "sizes" where the size of a gradient matters in another way.
    matched : int
        How many steps of the probe agree with the row, or with the nearest one.
    nearest : str
        The published rule with the fewest faults.
    faults : tuple of str
        What differs from that rule, the leading fault first.
    etas : tuple of float
        The factors as they were found.
    others : tuple of (str, Identity)
        Coordinates that follow another rule than the first, where there are any.
    """

    variant: Variant | None
    first_step: str
    stale: bool
    compares: str
    matched: int
    nearest: str = ""
    faults: tuple[str, ...] = ()
    etas: tuple[float, float] = (math.nan, math.nan)
    others: tuple[Any, ...] = ()
    model: Model | None = None

    def __str__(self) -> str:
        late = ", every move one step late" if self.stale else ""
        if self.model is None:
            text = f"matches no row{late}; leaves the nearest at step {self.matched + 1}"
            text += "".join(f"; {fault}" for fault in self.faults)
        elif self.variant is None:
            text = f"matches no row, nearest to {self.nearest}: {'; '.join(self.faults)}"
        else:
            flip, risen = describe(self.variant.on_flip), describe(self.variant.on_flip_risen)
            where = f", {risen} where the loss rose" if self.variant.needs_loss else ""
            keeps = "forgets" if self.variant.forgets else "remembers the new sign"
            text = (
                f"{self.variant.name}: on a sign change {flip}{where}, and {keeps}; "
                f"first step {self.first_step}{late}; compares {self.compares}"
            )
            said = self.model._replace(
                first="move", factor=1.0, constant=None, stale="", compares="signs"
            )
            row = Model(self.variant.on_flip, self.variant.on_flip_risen, self.model.remembers)
            rest = [fault for _, fault, _ in differences(said, row)]
            text += f"; but {'; '.join(rest)}" if rest else ""
        for which, other in self.others:
            text += f"\nbut {which}: {other}"
        return text


def describe(move: Move) -> str:
    """Say what a coordinate does."""
    return {"step": "steps by the reduced delta", "stay": "stays", "undo": "undoes its last move"}[
        move
    ]


def identify(
    make_stepper: MakeStepper, dtype: str = "float64", *, limits: Limits = NONE
) -> Identity:
    """Find the row of data that an implementation follows on short tapes.

    The rows are `VARIANTS` and whatever else `Variant` can say, such as OpenCV's rule, combined
    with the faults that are known: a first move of another length, other factors, a rule of its
    own for zeros, for losses or for limits.

    Parameters
    ----------
    make_stepper : callable
        As for `check`.
    dtype : str, optional
        The dtype of the parameters.
    limits : Limits, optional
        What the implementation cannot be told.

    Returns
    -------
    Identity
        The row, the length of the first step, staleness, whether small gradients keep their
        sign, and the number of steps that the nearest row agrees with.

    Raises
    ------
    ValueError
        If `dtype` is none that the vectors have.
    Exception
        Whatever the stepper raises.

    Examples
    --------
    >>> from rprop.conformance.adapters import Core
    >>> print(identify(Core.of("irprop-")))
    irprop-: on a sign change stays, and forgets; first step delta0; compares signs
    """
    if dtype not in TINY:
        raise ValueError(f"dtype must be one of {', '.join(TINY)}; got {dtype!r}")
    probe = Probe(make_stepper, dtype, limits)
    tapes = [limits.fit(tape) for tape in probes(limits)]
    seen = [probe.follow(tape) for tape in tapes]
    whole = np.concatenate(seen)
    groups: dict[bytes, list[int]] = {}
    for i in range(whole.shape[1]):
        groups.setdefault(whole[:, i].tobytes(), []).append(i)
    found = []
    for members in groups.values():
        i = members[0]
        which = f"coordinate {i}" if len(members) == 1 else f"coordinates {members}"
        found.append((f"{which} of {whole.shape[1]}", of_one(probe, tapes, seen, i)))
    return found[0][1]._replace(others=tuple(found[1:]))


def of_one(probe: Probe, tapes: list[Tape], seen: list[Array], i: int) -> Identity:
    """Identify one coordinate."""
    paths = [rows[:, i] for rows in seen]
    best = Identity(None, "", False, "", -1)
    attracted = moved_by_params(probe, i)
    sized = probe.limits.sizes and moved_by_sizes(probe, i)
    for model in models(tapes, paths, attracted):
        matched = 0
        for tape, actual in zip(tapes, paths, strict=True):
            steps = probe.agrees(model, tape, actual)
            matched += steps
            if steps < len(actual):
                break
        else:
            return described(with_sizes(model, probe, i), probe, matched)
        if matched > best.matched and model.attracted == 0:
            stale = bool(model.stale) and matched > 1
            best = Identity(None, first_step(model), stale, "", matched)
    faults = (PULLED,) * attracted + (SIZED,) * (sized and not attracted)
    return best._replace(faults=faults)


def models(tapes: list[Tape], paths: list[Array], attracted: bool) -> Iterator[Model]:
    """Yield the models that agree with the first moves, simple ones first."""
    starts, (grows, shrinks) = list(first_moves(tapes, paths)), factors(tapes, paths)
    known = [
        Model(row.on_flip, row.on_flip_risen, 0 if row.forgets else 1) for row in VARIANTS.values()
    ]
    if attracted:
        for pull, row in product((50.0, 10.0, 1.0, 0.1, 0.01), known):
            yield row._replace(attracted=pull)
        return
    everything = list(rows())
    alike = [row for row in everything if row.on_flip == row.on_flip_risen]
    few = [other for other in OTHERS if not other]
    (eta_minus, eta_plus) = tapes[0].etas
    other_factors = [
        change
        for name, values, given in (("grow", grows, eta_plus), ("shrink", shrinks, eta_minus))
        for value in values
        for change in ({name: value}, {f"{name}_times": float(f"{value / given:.10g}")})
    ]
    other_factors += [
        a | b
        for a in other_factors
        for b in other_factors
        if next(iter(a)).startswith("grow") and next(iter(b)).startswith("shrink")
    ]
    for flips, others in (
        (known, few),
        (known, OTHERS),
        (known, other_factors),
        (everything, few),
        (alike, OTHERS),
        (alike, other_factors),
    ):
        for row, other, start in product(flips, others, starts):
            yield row._replace(**{**other, **start})


def first_moves(tapes: list[Tape], paths: list[Array]) -> Iterator[dict[str, Any]]:
    """Yield what the first move may be, given that of positive and of negative gradients."""
    tape, larger = tapes[0], tapes[11]
    delta0, (eta_minus, eta_plus) = tape.delta0, tape.etas
    down, up, other = -paths[0][0], paths[1][0], -paths[11][0]
    if not math.isclose(down, up, rel_tol=1e-3, abs_tol=1e-12):
        yield {}  # a zero that counts as a sign, or a move that is no mirror image
        for before in (1, -1):
            yield {"before": before}
        return
    if abs(down) < 1e-12:
        yield from ({"first": "lose"}, {"first": "store"}, {"stale": "late"}, {"stale": "drops"})
        yield from ({"unsigned": rest} for rest in ("rest", "rest but remember"))
        return
    if math.isclose(down, delta0, rel_tol=5e-3):
        yield {}
    if math.isclose(down, eta_plus * delta0, rel_tol=5e-3):
        yield {"first": "itself"}
    for name, factor in (("eta_plus", eta_plus), ("eta_minus", eta_minus)):
        if math.isclose(down, factor * delta0, rel_tol=5e-3):
            yield from ({"factor": name, "kept": kept} for kept in (True, False))
            yield {}  # what is done without a sign to remember
    exact = math.isclose(down, delta0, rel_tol=1e-6)
    if (
        not exact
        and larger.delta0 != delta0
        and math.isclose(other / down, larger.delta0 / delta0, rel_tol=1e-3)
    ):
        factor = float(f"{down / delta0:.8g}")
        yield from ({"factor": factor, "kept": kept} for kept in (True, False))
    elif not exact:
        constant = float(f"{down:.8g}")
        yield from ({"constant": constant, "kept": kept} for kept in (True, False))


def factors(tapes: list[Tape], paths: list[Array]) -> tuple[list[float], list[float]]:
    """Return what Δ may grow and shrink by, beside the factors that were given."""
    moves = np.abs(np.diff(np.concatenate([[tapes[0].start], paths[0]])))
    eta_minus, eta_plus = tapes[0].etas
    with np.errstate(all="ignore"):
        grows = [moves[2] / moves[1]]
        shrinks = [moves[k] / moves[2] for k in (3, 4, 5)]
        shrinks += [s / g for s in shrinks for g in (moves[2] / moves[1], eta_plus)]
    return plausible([eta_plus, *grows], eta_plus), plausible([eta_minus, *shrinks], eta_minus)


def plausible(values: list[float], given: float) -> list[float]:
    """Return the positive numbers among some, and for those near the one that was given, that."""
    good = [v for v in values if 0 < v < math.inf]
    good = [given if math.isclose(v, given, rel_tol=1e-7) else v for v in good]
    return list(dict.fromkeys(float(f"{v:.10g}") for v in good))


def with_sizes(model: Model, probe: Probe, i: int) -> Model | None:
    """Add what small gradients show; None if no setting explains it."""
    if not probe.limits.sizes:
        return model
    tape = probe.limits.fit(Tape(GRADS, LOSSES))
    tiny = TINY[probe.dtype]
    seen = probe.follow(tape, tiny)[:, i]
    for compares in ("signs", "products"):
        found = model._replace(compares=compares)
        larger = 4 * float(np.finfo(probe.dtype).tiny) ** 0.5  # no product of these underflows
        again = probe.follow(tape, larger)[:, i]
        both = ((seen, tiny), (again, larger))
        if all(probe.agrees(found, tape, rows, scale) == len(rows) for rows, scale in both):
            return found
    like_ones = probe.follow(tape)[:, i]
    low, high = math.log10(tiny), 0.0
    for _ in range(22):
        middle = (low + high) / 2
        same = np.allclose(probe.follow(tape, 10**middle)[:, i], like_ones, rtol=1e-9)
        low, high = (low, middle) if same else (middle, high)
    rests = abs(seen[0] - tape.start) < 1e-12 < abs(like_ones[0] - tape.start)
    size = {"dead_gradient": 10**high} if rests else {"dead_product": 100**high}
    sized: dict[str, Any] = {name: float(f"{value:.4g}") for name, value in size.items()}
    found = model._replace(**sized)
    for scale in (tiny, 10 ** (high - 0.3)):
        seen = probe.follow(tape, scale)[:, i]
        if probe.agrees(found, tape, seen, scale) < len(seen):
            return model._replace(compares="sizes")
    return found


def first_step(model: Model) -> str:
    """Say how long the first move is."""
    if model.first == "itself":
        return "eta_plus * delta0"
    if model.first != "move":
        return f"none, the first gradient is {'lost' if model.first == 'lose' else 'only stored'}"
    if model.before:
        return f"that of a second step, as if a gradient of {model.before} had come before"
    if model.constant is not None:
        return f"{model.constant:.10g}, whatever delta0 is"
    if model.unsigned.startswith("rest") and model.from_start:
        return "none"
    name = "" if model.factor == 1 else f"{model.factor} * "
    if model.unsigned in ("grow", "shrink") and model.from_start:
        name = "eta_plus * " if model.unsigned == "grow" else "eta_minus * "
    return f"{name}delta0" + ("" if model.kept else ", and delta0 itself afterwards")


def described(model: Model | None, probe: Probe, matched: int) -> Identity:
    """Write down a model that explains everything."""
    assert model is not None
    nearest = min(VARIANTS, key=lambda name: len(differences(model, published(name))))
    if variant_of(model) is None and model.on_flip != model.on_flip_risen:
        nearest = "irprop+"  # no other asks for the loss
    elif variant_of(model) is None and model.on_flip.startswith("undo"):
        nearest = "rprop+"
    faults = tuple(text for _, text, _ in differences(model, published(nearest)))
    eta_minus, eta_plus = probe.limits.etas or (0.5, 1.2)
    compares = "sizes" if model.dead_product or model.dead_gradient else model.compares
    return Identity(
        variant_of(model),
        first_step(model),
        bool(model.stale),
        compares,
        matched,
        nearest,
        faults,
        (
            factors_of(model, (eta_minus, eta_plus))["shrink"],
            factors_of(model, (eta_minus, eta_plus))["grow"],
        ),
        (),
        model,
    )


@cache
def variant_of(model: Model) -> Variant | None:
    """Return the row with the flips of a model."""
    flips = (model.on_flip, model.on_flip_risen, model.remembers == 0)
    for row in VARIANTS.values():
        if (row.on_flip, row.on_flip_risen, row.forgets) == flips and model.remembers >= 0:
            return row
    names = {("step", "step", True): "hybrid, as OpenCV"}
    try:
        row = Variant(names.get(flips, "unnamed"), *flips)  # type: ignore[arg-type]
    except ValueError:
        return None
    return row if model.remembers >= 0 else None
