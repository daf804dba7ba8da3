"""Test problems for smooth minimisation, with exact gradients, in float64."""

from __future__ import annotations

from benchmarks.problems import bounded, classics, families, mgh, regression
from benchmarks.problems.problem import Problem

__all__ = ["BOUNDED", "UNCONSTRAINED", "Problem"]

UNCONSTRAINED: list[Problem] = [
    problem for module in (mgh, classics, families, regression) for problem in module.problems()
]
BOUNDED: list[Problem] = bounded.problems()
