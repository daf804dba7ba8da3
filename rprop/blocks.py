"""The kernel on large NumPy arrays, block by block, so that its temporaries stay in the cache.

The kernel runs once on symbols, and the NumPy calls it would make are written down, each with a
place for its result: the array given for it, or a scratch buffer whose value nobody reads again.
Every block then replays the list. The calls are the kernel's own, hence so are the bits.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rprop.kernel import kernel
from rprop.variants import Variant

__all__ = ["BLOCK", "blockwise"]

Array = NDArray[Any]

BLOCK = 1 << 16  # coordinates; far fewer and the calls cost more than the arithmetic


class Symbol:
    """An array that the kernel has not been given yet, or not computed yet."""

    def __init__(self, tape: Tape, dtype: np.dtype[Any]) -> None:
        self.tape, self.dtype = tape, dtype

    def __gt__(self, other: Any) -> Symbol:
        return self.tape.call(np.greater, self, other)

    def __ge__(self, other: Any) -> Symbol:
        return self.tape.call(np.greater_equal, self, other)

    def __lt__(self, other: Any) -> Symbol:
        return self.tape.call(np.less, self, other)

    def __add__(self, other: Any) -> Symbol:
        return self.tape.call(np.add, self, other)

    def __sub__(self, other: Any) -> Symbol:
        return self.tape.call(np.subtract, self, other)

    def __mul__(self, other: Any) -> Symbol:
        return self.tape.call(np.multiply, self, other)

    def __neg__(self) -> Symbol:
        return self.tape.call(np.negative, self)


class Call(NamedTuple):
    """One NumPy call of the kernel."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    result: Any


class Tape:
    """The namespace that writes the calls of the kernel down."""

    int8 = np.int8

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def call(self, function: Callable[..., Any], *arguments: Any) -> Symbol:
        samples = (np.empty(0, a.dtype) if isinstance(a, Symbol) else a for a in arguments)
        result = Symbol(self, function(*samples).dtype)
        self.calls.append(Call(function, arguments, result))
        return result

    def astype(self, array: Symbol, dtype: Any) -> Symbol:
        result = Symbol(self, np.dtype(dtype))
        self.calls.append(Call(assign, (array,), result))
        return result

    def clip(self, array: Symbol, low: Any, high: Any) -> Symbol:
        return self.call(np.clip, array, low, high)

    def where(self, condition: Any, this: Symbol, other: Symbol) -> Symbol:
        return self.call(choose, condition, this, other)


def assign(array: Array, out: Array) -> None:
    """Write an array into another of its own dtype or not."""
    out[...] = array


def choose(condition: Array, this: Array, other: Array, out: Array | None = None) -> Array:
    """Do what `np.where` would do if it took `out`; `np.copyto(where=)` is twice as slow."""
    chosen = np.where(condition, this, other)
    if out is None:
        return chosen
    out[...] = chosen
    return out


class Program(NamedTuple):
    """The calls, with arguments and results as places in [*constants, *operands, *scratch]."""

    calls: tuple[Call, ...]
    constants: tuple[Any, ...]
    scratch: tuple[np.dtype[Any], ...]


@lru_cache(maxsize=64)
def program(
    variant: Variant,
    arguments: tuple[Any, ...],
    dtypes: tuple[np.dtype[Any], ...],
    shared: tuple[tuple[bool, ...], ...],
) -> Program:
    """Trace the kernel.

    Parameters
    ----------
    arguments : tuple
        For every argument of the kernel its dtype if it is an array, else its value.
    dtypes : tuple
        Those of the arrays to write into.
    shared : tuple
        For each of these, whether it may share memory with each of the arrays to read.
    """
    tape = Tape()
    given = [Symbol(tape, a) if isinstance(a, np.dtype) else a for a in arguments]
    inputs = symbols(given)
    results = kernel(tape, variant, *given)

    calls: list[Call] = []
    last_read: dict[Symbol, int] = {}  # counted from the end: 0 is the last call
    for call in reversed(tape.calls):
        if call.result in results or call.result in last_read:
            for symbol in symbols(call.arguments):
                last_read.setdefault(symbol, len(calls))
            calls.append(call)

    constants = [a for call in calls[::-1] for a in call.arguments if not isinstance(a, Symbol)]
    position = iter(range(len(constants)))
    place = {symbol: i for i, symbol in enumerate(inputs, len(constants))}
    target = {symbol: i for i, symbol in enumerate(results, len(constants) + len(inputs))}
    scratch: list[np.dtype[Any]] = []
    free: dict[np.dtype[Any], list[int]] = defaultdict(list)
    placed: list[Call] = []
    for left in reversed(range(len(calls))):
        function, arguments, result = calls[left]
        read = tuple(place[a] if isinstance(a, Symbol) else next(position) for a in arguments)
        for symbol in set(symbols(arguments)) - {*inputs, *results}:
            if last_read[symbol] == left:
                free[symbol.dtype].append(place[symbol])
        # A result may go where it belongs once nobody will read what it overwrites there.
        k = results.index(result) if result in results else None
        if k is not None and result.dtype == dtypes[k] and not any(
            overlaps and last_read.get(symbol, left) < left
            for symbol, overlaps in zip(inputs, shared[k], strict=True)
        ):
            place[result] = target[result]
        elif free[result.dtype]:
            place[result] = free[result.dtype].pop()
        else:
            place[result] = len(constants) + len(inputs) + len(results) + len(scratch)
            scratch.append(result.dtype)
        placed.append(Call(function, read, place[result]))
    placed += [Call(assign, (place[a],), target[a]) for a in results if place[a] != target[a]]
    return Program(tuple(placed), tuple(constants), tuple(scratch))


def symbols(arguments: Sequence[Any]) -> list[Symbol]:
    """Pick the arrays among the arguments of a call."""
    return [a for a in arguments if isinstance(a, Symbol)]


#: Scratch that is not in use, by dtypes. A thread that takes some has it for itself.
_idle: dict[tuple[np.dtype[Any], ...], list[Array]] = {}


def blockwise(variant: Variant, arguments: Sequence[Any], into: Sequence[Array]) -> None:
    """Write what the kernel returns for `arguments` into the arrays `into`, which may be theirs."""
    inputs = [a for a in arguments if isinstance(a, np.ndarray)]
    calls, constants, dtypes = program(
        variant,
        tuple(a.dtype if isinstance(a, np.ndarray) else a for a in arguments),
        tuple(a.dtype for a in into),
        tuple(tuple(np.may_share_memory(a, b) for b in inputs) for a in into),
    )
    scratch = _idle.pop(dtypes, None) or [np.empty(BLOCK, dtype) for dtype in dtypes]
    iterator = np.nditer(
        [*inputs, *into],
        flags=["external_loop", "buffered", "copy_if_overlap"],
        op_flags=[
            [access, "overlap_assume_elementwise"]
            for access in ["readonly"] * len(inputs) + ["writeonly"] * len(into)
        ],
        buffersize=BLOCK,
    )
    # A step that overflows is clipped, and half of it must not be lost to a FloatingPointError.
    with iterator, np.errstate(all="ignore"):
        for operands in iterator:
            size = len(operands[0])
            values = [*constants, *operands, *(buffer[:size] for buffer in scratch)]
            for function, read, result in calls:
                function(*[values[i] for i in read], out=values[result])
    _idle[dtypes] = scratch
