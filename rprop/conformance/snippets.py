"""Code to paste that reproduces a case."""

from __future__ import annotations

import sys
from typing import Any

__all__ = ["GENERIC", "fill", "literal"]

GENERIC = """\
import numpy as np
from math import inf, nan
{make}
stepper = make_stepper(np.array({params}, "{dtype}"), {delta0},
    ({etas}), ({step_sizes}))
for grads, loss in {tape}:
    stepper.step(np.array(grads, "{dtype}"), loss)
print(stepper.params)  # should be {should}"""
LONG = 12  # steps; longer cases are read from the vectors


def fill(template: str, case: dict[str, Any], step: int, make: Any = None) -> str:
    """Fill in the numbers of a case up to a step.

    The names are params, dtype, delta0, etas, step_sizes, should, make; `grads`, a list of the
    gradients; and `tape`, a list of pairs of gradient and loss.
    """
    step = max(step, 1)
    chosen, copies = case["steps"][:step], case["repeat"]
    losses = [line["loss"]["decimal"] for line in chosen]
    numbers = [literal(line["grads"], copies) for line in chosen]
    head = ""
    if step > LONG:
        head = (
            "from rprop.conformance import load\n"
            f"case = next(c for c in load({case['variant']!r}) if c['id'] == {case['id']!r})\n"
            f"steps = case['steps'][:{step}]\n"
        )
        grads = "[list(map(float, s['grads']['decimal'])) for s in steps]"
        tape = f"zip({grads}, [float(s['loss']['decimal']) for s in steps])"
    else:
        grads = f"[{listed(numbers)}]"
        tape = f"[{listed([f'({g}, {loss})' for g, loss in zip(numbers, losses, strict=True)])}]"
    return head + template.format(
        params=literal(case["params"], copies),
        dtype=case["dtype"],
        delta0=case["delta0"]["decimal"],
        etas=", ".join(case["etas"]["decimal"]),
        step_sizes=", ".join(case["step_sizes"]["decimal"]),
        should=literal(chosen[-1]["params"], copies),
        make=origin(make),
        grads=grads,
        tape=tape,
    )


def literal(numbers: dict[str, list[str]], repeat: int = 1) -> str:
    """Write numbers as Python does."""
    return f"[{', '.join(numbers['decimal'])}]" + (f" * {repeat}" if repeat > 1 else "")


def listed(items: list[str]) -> str:
    """Write items on one line if they fit, else on a line each."""
    line = ", ".join(items)
    return line if len(line) < 70 else "\n    " + ",\n    ".join(items) + ",\n"


def origin(make: Any) -> str:
    """Return the import of `make_stepper`, where there is one."""
    module, name = getattr(make, "__module__", ""), getattr(make, "__qualname__", "")
    if module != "__main__" and getattr(sys.modules.get(module), name, None) is make:
        return f"from {module} import {name} as make_stepper"
    return "# make_stepper is what was given to check"
