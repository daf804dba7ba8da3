"""Arrays with something of each run, of one or of many whose rows are the runs: reduce, choose, copy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from operator import and_
from typing import Any

import numpy as np

from rprop.rule.state import Array

FEW = 8  # coordinates that are better combined one by one


def first_coordinate(values: Array) -> Array:
    """Return the first coordinate of each run; of one run as a scalar."""
    result: Array = values.T[0]
    return result


# NumPy reduces few numbers slowly: in one run, argmax and argmin take a third of the time, and in
# many runs of few coordinates it is several times faster to combine whole columns.


def largest_magnitude(values: Array) -> Array:
    """Return the largest magnitude of each run; 0 of none."""
    sizes = np.abs(values)
    if sizes.ndim == 1 and sizes.size:
        result = sizes[sizes.argmax()]
    elif 0 < sizes.shape[-1] <= FEW:
        result = reduce(np.maximum, sizes.T)
    else:
        result = np.maximum.reduce(sizes, axis=-1, initial=0)
    return result  # type: ignore[no-any-return]


def limit(values: Array, low: Any, high: Any) -> Array:
    """Limit to [low, high]; `np.clip` takes three times as long for few numbers."""
    return np.minimum(np.maximum(values, low), high)


def in_all_coordinates(flags: Array) -> Array:
    """Tell for each run whether it is so in all coordinates."""
    if flags.ndim == 1:
        return flags[flags.argmin()]  # type: ignore[no-any-return]
    result: Any = flags.all(axis=-1) if flags.shape[-1] > FEW else reduce(and_, flags.T)
    return result  # type: ignore[no-any-return]


def are_finite(fun: Array, steep: Array) -> Array:
    """Tell where a loss and the largest component of its gradient are finite."""
    usable: Array = (abs(fun) < np.inf) & (steep < np.inf)
    return usable


def in_any_run(runs: Array) -> bool:
    """Tell whether it is so in any run; NumPy's `any` is six times slower for one run."""
    return bool(runs.any() if runs.ndim else runs)


def in_every_run(runs: Array) -> bool:
    """Tell whether it is so in all runs."""
    return bool(runs.all() if runs.ndim else runs)


def negate(flags: Array) -> Array:
    """Tell where it is not so; NumPy's `~` is ten times slower for one run."""
    return flags ^ np.True_


def choose_by_run(rows: Array, a: Any, b: Any) -> Any:
    """Return `a` in the given runs and `b` elsewhere; of tuples, every part."""
    if in_every_run(rows):
        return a
    return merge_by_run(rows, a, b) if in_any_run(rows) else b


def pick(runs: Array, a: Any, b: Any) -> Any:
    """Return number `a` in the given runs and `b` elsewhere; of one run without NumPy's `where`."""
    return np.where(runs, a, b) if runs.ndim else (a if runs else b)


def merge_by_run(rows: Array, a: Any, b: Any) -> Any:
    """Do the same with arrays of equal shapes and dtypes, of which both will be needed."""
    if isinstance(a, tuple):
        return type(a)(*(merge_by_run(rows, *pair) for pair in zip(a, b, strict=True)))
    return np.where(rows, as_items(a), as_items(b)).view(a.dtype).reshape(a.shape)


def as_items(values: Array) -> Array:
    """View what there is of each run as one item; NumPy moves items faster than their parts."""
    flat = np.ascontiguousarray(values).reshape(len(values), -1)
    return flat.view(f"V{flat.itemsize * flat.shape[1]}")[:, 0] if values.ndim > 1 else values


def rebuild_array(make: Callable[..., Array], made: dict[Any, Array], values: Sequence[Any]) -> Any:
    """Make an array, or a tuple of them, unless it has been made."""
    if isinstance(values[0], tuple):
        parts = zip(*values, strict=True)
        return type(values[0])(*(rebuild_array(make, made, part) for part in parts))
    if not isinstance(values[0], np.ndarray):
        return values[0]
    key = tuple(map(id, values))
    if key not in made:
        made[key] = make(*values)
    return made[key]


def share_one_row(*values: Array) -> bool:
    """Tell whether all rows are one row in memory, as bounds of all runs are."""
    if any(array.strides[0] for array in values):
        return False
    return len({array.__array_interface__["data"][0] for array in values}) == 1
