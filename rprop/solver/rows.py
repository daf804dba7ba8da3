"""The losses and gradients of many problems: which arguments are cut to rows, and how."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from rprop.rule.state import Array

__all__ = ["Rows", "per_problem"]


class Rows:
    """Losses and gradients of some of m problems.

    Where `fixed` is positive, `fun` always gets so many rows: the last ones repeat the first.
    """

    def __init__(
        self,
        fun: Callable[..., Any],
        jac: Any,
        args: tuple[Any, ...],
        in_axes: Any,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        fixed: int,
    ) -> None:
        if not callable(fun):
            raise TypeError(f"fun must be callable; got {fun!r}")
        if jac is not True and not callable(jac):
            raise TypeError(
                "jac must be callable, or True where fun returns (losses, gradients): "
                f"minimize_batch does not estimate gradients; got {jac!r}"
            )
        self.fun, self.jac, self.fixed = fun, jac, fixed
        self.cuts = per_problem(args, in_axes, shape[0])
        self.args = [
            prepared(arg) if cut else arg for arg, cut in zip(args, self.cuts, strict=True)
        ]
        self.dtype = np.result_type(dtype, np.float64)  # float32 would lose tiny gradients

    def __call__(self, index: Array, x: Array) -> tuple[Array, Array]:
        """Evaluate at the points `x` of the problems `index`."""
        count = len(x)
        if count < self.fixed:
            fill = np.arange(self.fixed)
            fill[count:] = 0
            index, x = index[fill], x[fill]
        losses, gradients = self.pair(index, x)
        if losses.shape != x.shape[:1] or gradients.shape != x.shape:
            raise ValueError(
                f"fun must return losses of shape {x.shape[:1]} and gradients of shape {x.shape} "
                f"for {len(x)} rows; got shapes {losses.shape} and {gradients.shape}"
            )
        for name, array in {"losses": losses, "gradients": gradients}.items():
            if array.dtype.kind not in "biuf":
                raise TypeError(f"fun must return real {name}; got dtype {array.dtype}")
        return losses[:count].astype(np.float64), gradients[:count].astype(self.dtype, order="C")

    def pair(self, index: Array, x: Array) -> tuple[Array, Array]:
        """Return what `fun`, or `fun` and `jac`, say."""
        both = self.fun(x.copy(), *self.taken(index))
        if callable(self.jac):
            both = both, self.jac(x.copy(), *self.taken(index))
        try:
            losses, gradients = map(np.asarray, both)
        except (TypeError, ValueError, RuntimeError) as error:
            raise ValueError(f"fun must return (losses, gradients); got {both!r}") from error
        return losses, gradients

    def taken(self, index: Array) -> list[Any]:
        """Return the arguments for some problems; what is cut is a copy."""
        return [
            take(arg, index) if cut else arg for arg, cut in zip(self.args, self.cuts, strict=True)
        ]


def per_problem(args: tuple[Any, ...], in_axes: Any, count: int) -> list[bool]:
    """Tell which arguments hold one entry for each of `count` problems."""
    if isinstance(in_axes, str) and in_axes == "auto":
        for i, arg in enumerate(args):
            if count > 1 and count in lengths(arg):
                raise ValueError(
                    f"args[{i}] has as many entries as there are problems, {count}: say with "
                    "in_axes whether they belong to the problems (0) or all problems share it "
                    "(None), one for all args or a tuple with one for each"
                )
        return [False] * len(args)
    axes = in_axes if isinstance(in_axes, tuple | list) else [in_axes] * len(args)
    if len(axes) != len(args):
        raise ValueError(
            f"in_axes must have one entry for each of {len(args)} args; got {in_axes!r}"
        )
    for i, (arg, axis) in enumerate(zip(args, axes, strict=True)):
        if axis is None:
            continue
        if isinstance(axis, bool) or not isinstance(axis, int | np.integer) or axis != 0:
            raise ValueError(
                "in_axes must be 0, where the first axis counts the problems, or None, or a tuple "
                f"of these; got {in_axes!r}"
            )
        if set(lengths(arg)) != {count}:
            raise ValueError(
                f"args[{i}] must hold one entry for each of {count} problems, as in_axes says; "
                f"got {arg!r}"
            )
    return [axis is not None for axis in axes]


def lengths(arg: Any) -> Iterator[int | None]:
    """Return how many entries an argument has, or each value of a dict; None if it has none."""
    shape = getattr(arg, "shape", None)
    if isinstance(arg, dict):
        for value in arg.values():
            yield from lengths(value)
    elif isinstance(shape, tuple):
        yield int(shape[0]) if shape else None
    else:
        sized = isinstance(arg, Sequence) and not isinstance(arg, str | bytes)
        yield len(arg) if sized else None


def prepared(arg: Any) -> Any:
    """Turn sequences of numbers into arrays; others are cut as they are."""
    if isinstance(arg, dict):
        return {key: prepared(value) for key, value in arg.items()}
    if not hasattr(arg, "shape"):
        try:
            array = np.asarray(arg)
        except ValueError:  # of unequal lengths
            return arg
        return array if array.dtype.kind in "biufc" else arg
    return arg


def take(arg: Any, index: Array) -> Any:
    """Copy the entries of some problems."""
    if isinstance(arg, dict):
        return {key: take(value, index) for key, value in arg.items()}
    if hasattr(arg, "iloc"):  # pandas
        return arg.iloc[index]
    if isinstance(arg, np.ndarray):
        if (index[1:] - index[:-1] == 1).all():  # copied several times faster
            return arg[index[0] : index[-1] + 1].copy()
        return arg.take(index, axis=0)
    return arg[index] if hasattr(arg, "shape") else [arg[i] for i in index]
