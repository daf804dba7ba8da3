"""Our own unconstrained problems as instances: as given, rotated about x0, and in other units."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from benchmarks.problems import UNCONSTRAINED
from benchmarks.problems.families import in_units, rotation
from benchmarks.problems.problem import Formula, Problem

LARGEST = 100  # variables
DECADES = 2  # a unit is from 10^-2 to 10^2, evenly in its logarithm


def seed(problem: Problem) -> int:
    """Return a seed of the problem's own."""
    return zlib.crc32(problem.name.encode())


def about(inner: Formula, turn: np.ndarray, x0: np.ndarray) -> Formula:
    """Return `inner` of x0 + `turn` (x - x0)."""

    def formula(x):
        f, g = inner(x0 + turn @ (x - x0))
        return f, g @ turn

    return formula


def changed(p: Problem, change: Callable[[Formula], Formula], x0: np.ndarray) -> Problem:
    """Return a problem whose formula, and truth, is changed."""
    truth = None if p.truth is None else change(p.truth)
    return replace(p, formula=change(p.formula), truth=truth, x0=x0)


def as_given(p: Problem) -> Problem:
    """Return the problem."""
    return p


def rotated(p: Problem) -> Problem:
    """Turn a problem about its start by a random rotation, uniform among all."""
    turn = rotation(p.n, seed(p))
    return changed(p, lambda inner: about(inner, turn, p.x0), p.x0)


def scaled(p: Problem) -> Problem:
    """Give every variable a random unit of its own."""
    units = 10 ** np.random.default_rng(seed(p)).uniform(-DECADES, DECADES, p.n)
    return changed(p, lambda inner: in_units(inner, units), p.x0 * units)


KINDS = {"as given": as_given, "rotated": rotated, "scaled": scaled}


def problems(kind: str) -> list[Problem]:
    """Return the instances of a kind, named ``kind/problem``."""
    chosen = [p for p in UNCONSTRAINED if p.n <= LARGEST]
    return [replace(KINDS[kind](p), name=f"{kind}/{p.name}") for p in chosen]
