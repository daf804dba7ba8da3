"""Test vectors: read from the files, or made to fit what an implementation cannot be told."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from rprop.conformance.exact import FORMATS
from rprop.conformance.flags import FLAGS
from rprop.rule.checks import row
from rprop.rule.state import Array
from rprop.rule.variants import VARIANTS

__all__ = [
    "Declined",
    "MakeStepper",
    "Stepper",
    "array",
    "examined",
    "floats",
    "known",
    "load",
    "made",
]

FOLDER = Path(__file__).parent / "vectors"


class Declined(Exception):
    """Raised by a stepper that cannot run such a case; the case is left out and said to be."""


class Stepper(Protocol):
    """An Rprop, one step at a time; it may have an attribute `delta` as well."""

    @property
    def params(self) -> Any:
        """The parameters after the last step."""

    def step(self, grads: Array, loss: float) -> Any:
        """Take a step, given the gradient and the loss at `params`."""


MakeStepper = Callable[[Array, float, tuple[float, float], tuple[float, float]], Stepper]


@cache
def load(source: str | Path) -> list[dict[str, Any]]:
    """Read test vectors.

    Parameters
    ----------
    source : str or Path
        A name in `VARIANTS`, for the vectors of this package; or the path of a file.

    Returns
    -------
    list of dict
        One for each case, as the schema beside the files describes them.

    Raises
    ------
    ValueError
        If the variant is unknown, or the file is malformed; then the case and the step are named.
    OSError
        If there is no such file.
    """
    if not isinstance(source, Path):
        name = known(source).replace("+", "_plus").replace("-", "_minus")
        source = FOLDER / f"{name}.json"
    try:
        document = json.loads(source.read_text(encoding="utf-8"))
        cases: list[dict[str, Any]] = document["cases"]
        if len(cases) != document["count"]:
            raise ValueError(f"{len(cases)} cases where count says {document['count']}")
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{source.name} must be a file of test vectors: {error!r}") from error
    return examined(cases, source.name)


def known(variant: str) -> str:
    """Return the name of a variant that has vectors."""
    if variant not in VARIANTS:
        row(variant)  # raises
        raise ValueError(f"variant must be one of {', '.join(VARIANTS)}; got {variant!r}")
    return variant


def examined(cases: Iterable[dict[str, Any]], source: str) -> list[dict[str, Any]]:
    """Return the cases, or say which of them cannot be run."""
    result: list[dict[str, Any]] = []
    where = "the first case"
    try:
        for case in cases:
            where = f"case {case['id']}"
            sizes = {len(floats(case["params"]))}
            known(case["variant"])
            if case["verdict"] not in ("valid", "acceptable") or case["dtype"] not in FORMATS:
                raise ValueError(f"verdict {case['verdict']!r}, dtype {case['dtype']!r}")
            if [len(floats(case[pair])) for pair in ("etas", "step_sizes")] != [2, 2]:
                raise ValueError("etas and step_sizes must be pairs")
            float.fromhex(case["delta0"]["hex"])
            if not case["steps"] or case["repeat"] < 1:
                raise ValueError("nothing to run")
            for i, step in enumerate(case["steps"], 1):
                where = f"case {case['id']}, step {i}"
                float.fromhex(step["loss"]["hex"])
                sizes |= {len(floats(step[name])) for name in ("grads", "params", "delta")}
                if len(sizes) != 1 or step["flag"] not in FLAGS:
                    raise ValueError(f"sizes {sizes}, flag {step['flag']!r}")
            where = f"the case after {case['id']}"
            result.append(case)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{source} must hold test vectors; {where}: {error!r}") from error
    return result


def floats(numbers: dict[str, list[str]], repeat: int = 1) -> list[float]:
    """Read numbers from their hexadecimal form."""
    return [float.fromhex(number) for number in numbers["hex"]] * repeat


def array(case: dict[str, Any], numbers: dict[str, list[str]]) -> Array:
    """Read an array of a case."""
    return np.array(floats(numbers, case["repeat"]), case["dtype"])


def made(make_stepper: MakeStepper, case: dict[str, Any]) -> Any:
    """Make the stepper of a case."""
    eta_minus, eta_plus = floats(case["etas"])
    low, high = floats(case["step_sizes"])
    delta0 = float.fromhex(case["delta0"]["hex"])
    return make_stepper(array(case, case["params"]), delta0, (eta_minus, eta_plus), (low, high))
