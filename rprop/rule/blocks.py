"""The kernel on large NumPy arrays, block by block, so that its temporaries stay in the cache.

The kernel runs once on symbols, and the NumPy calls it would make are written down, each with the
place of its result. Every block then replays the list: the calls are the kernel's own, hence so
are the bits.

For a sum ``a + b * c`` the list would read: multiply places 1 and 2 into place 3; add places 0 and 3
into place 4. Place 3 is free afterwards, and the next result of its dtype goes there, so that a block
needs few arrays. A step compiled by numba is faster still (``benchmarks/bench_step.py``), but asks
for numba and a compiler's time; this one asks for NumPy alone.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from rprop.rule.kernel import kernel
from rprop.rule.state import Array
from rprop.rule.variants import Variant

__all__ = ["blockwise", "threads", "uninterrupted"]


SCRATCH = 7 << 19  # bytes of temporaries for a thread: with far fewer the calls cost too much
SHARE = 1 << 18  # coordinates that are worth starting a thread for


class Symbol:
    """An array of the block."""

    def __init__(self, tape: Tape, dtype: np.dtype[Any], place: int) -> None:
        self.tape, self.dtype, self.place = tape, dtype, place

    def __gt__(self, other: Any) -> Symbol:
        return self.tape.call(greater, self, other, dtype=Tape.int8)

    def __ge__(self, other: Any) -> Symbol:
        return self.tape.call(greater_equal, self, other, dtype=Tape.int8)

    def __lt__(self, other: Any) -> Symbol:
        return self.tape.call(less, self, other, dtype=Tape.int8)

    def __add__(self, other: Any) -> Symbol:
        return self.tape.call(np.add, self, other)

    def __sub__(self, other: Any) -> Symbol:
        return self.tape.call(np.subtract, self, other)

    def __mul__(self, other: Any) -> Symbol:
        return self.tape.call(np.multiply, self, other)

    def __neg__(self) -> Symbol:
        return self.tape.call(np.negative, self)


class Call(NamedTuple):
    """One NumPy call, in places of the tape."""

    function: Callable[..., Any]
    arguments: tuple[int, ...]
    result: int


class Tape:
    """The namespace that writes the calls of the kernel down."""

    int8 = np.dtype(np.int8)

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.places: list[Any] = []  # a number, or the dtype of an array

    def new(self, value: Any) -> int:
        """Open a place."""
        self.places.append(value)
        return len(self.places) - 1

    def call(self, function: Callable[..., Any], *arguments: Any, dtype: Any = None) -> Symbol:
        """Write a call down and return its result."""
        if dtype is None:
            samples = (np.empty(0, a.dtype) if isinstance(a, Symbol) else a for a in arguments)
            dtype = function(*samples).dtype
        read = tuple(a.place if isinstance(a, Symbol) else self.new(a) for a in arguments)
        result = self.new(dtype)
        self.calls.append(Call(function, read, result))
        return Symbol(self, dtype, result)

    def astype(self, array: Symbol, dtype: np.dtype[Any]) -> Symbol:
        """Convert to a dtype."""
        return array if array.dtype == dtype else self.call(assign, array, dtype=dtype)

    def clip(self, array: Symbol, low: Any, high: Any) -> Symbol:
        """Limit to [low, high]."""
        return self.call(np.clip, array, low, high)

    def where(self, condition: Symbol, this: Symbol, other: Symbol) -> Symbol:
        """Choose bit by bit; `np.where` branches, and is five times slower on random signs."""
        bits = np.dtype(f"i{this.dtype.itemsize}") if this.dtype.itemsize <= 8 else None
        if bits is None:
            return self.call(choose, condition, this, other, dtype=this.dtype)
        mask = -self.astype(condition, bits)
        differing = self.call(xor, this, other, dtype=bits)
        return self.call(xor, self.call(np.bitwise_and, differing, mask), other, dtype=this.dtype)


def truth(compare: Callable[..., Any]) -> Callable[..., Any]:
    """Let a comparison write int8, which is what the kernel makes of its bits."""

    def write(this: Any, other: Any, out: Array) -> None:
        compare(this, other, out.view(bool))

    return write


greater, greater_equal, less = map(truth, (np.greater, np.greater_equal, np.less))


def assign(array: Array, out: Array) -> None:
    """Write an array into another of its own dtype or not."""
    out[...] = array


def choose(condition: Array, this: Array, other: Array, out: Array) -> None:
    """Do what `np.where` would do if it took `out`."""
    out[...] = np.where(condition, this, other)


def xor(this: Array, other: Array, out: Array) -> None:
    """Combine the bits of two arrays."""
    bits = f"i{out.itemsize}"
    np.bitwise_xor(this.view(bits), other.view(bits), out.view(bits))


#: Where the four results of the kernel stand among its arguments.
OLD = (0, 2, 3, 4)


@lru_cache(maxsize=64)
def program(
    variant: Variant, arguments: tuple[Any, ...], dtypes: tuple[np.dtype[Any], ...]
) -> tuple[list[Call], list[Any]]:
    """Trace the kernel on `arguments`, each the dtype of an array or a number.

    The first places are the arrays among the arguments and the arrays of `dtypes` for the
    results, which may be the same memory as the old values. Return the calls and other places.
    """
    tape = Tape()
    given = [Symbol(tape, a, tape.new(a)) if isinstance(a, np.dtype) else a for a in arguments]
    targets = [tape.new(dtype) for dtype in dtypes]
    results = kernel(tape, variant, *given)
    calls, places, own = tape.calls, tape.places, targets[-1] + 1
    written = {call.result: i for i, call in enumerate(calls)}
    last = {place: i for i, call in enumerate(calls) for place in call.arguments}
    home: dict[int, int] = {}  # the place that a value has instead of its own
    for old, result, target in zip(OLD, results, targets, strict=True):
        value = result.place
        if last.get(old, 0) <= written[value]:
            home[value] = target
        else:
            last[value] = len(calls)
            calls.append(Call(assign, (value,), target))

    # A value takes the place of one that is read for the last time: the fewer, the more stay cached.
    free: dict[np.dtype[Any], list[int]] = defaultdict(list)
    for i, (function, read, value) in enumerate(calls):
        for ended in {a for a in read if last[a] == i}:
            if isinstance(places[ended], np.dtype) and home.get(ended, ended) >= own:
                free[places[ended]].append(home.get(ended, ended))
        if value >= own and value not in home and free[places[value]]:
            home[value] = free[places[value]].pop()
        calls[i] = Call(function, tuple(home.get(a, a) for a in read), home.get(value, value))
    return calls, [None if i in home else place for i, place in enumerate(places)][own:]


#: Scratch that is not in use, by size and dtypes. A thread that takes some has it for itself.
_idle: dict[Any, list[Array]] = {}


def blockwise(variant: Variant, arguments: Sequence[Any], into: Sequence[Array]) -> None:
    """Write what the kernel returns for `arguments` into the arrays `into`, which may be theirs."""
    inputs = [a for a in arguments if isinstance(a, np.ndarray)]
    key = tuple(a.dtype if isinstance(a, np.ndarray) else a for a in arguments)
    calls, places = program(variant, key, tuple(a.dtype for a in into))
    dtypes = tuple(place for place in places if isinstance(place, np.dtype))
    size = SCRATCH // sum(dtype.itemsize for dtype in dtypes)
    size = min(size, 1 << into[0].size.bit_length())  # few sizes: scratch of each is kept

    # An array for a result may be the old value, block by block; from any other it must be apart.
    apart = not any(
        np.may_share_memory(array, a)
        for old, array in zip(OLD, into, strict=True)
        for i, a in enumerate(inputs)
        if i != old
    )
    accesses = ["readonly"] * len(inputs) + ["writeonly"] * len(into)
    op_flags: Any = [[access, *["overlap_assume_elementwise"] * apart] for access in accesses]
    iterator = np.nditer(
        [*inputs, *into],
        flags=["external_loop", "buffered", "delay_bufalloc", "copy_if_overlap", "ranged"],
        op_flags=op_flags,
        buffersize=size,
    )

    def replay(part: np.nditer) -> None:
        held = _idle.pop(scratch_key, None) or [np.empty(size, dtype) for dtype in dtypes]
        arrays = iter(held)
        rest = [next(arrays) if isinstance(p, np.dtype) else p for p in places]
        # What overflows is clipped, and half a step must not be lost to a FloatingPointError.
        with part, np.errstate(all="ignore"):
            for operands in part:
                n = len(operands[0])
                values = [*operands, *(r[:n] if isinstance(r, np.ndarray) else r for r in rest)]
                for function, read, result in calls:
                    function(*[values[i] for i in read], values[result])
        _idle[scratch_key] = held

    # Keyed by nothing that a run may vary: settings that change at every step must not pile it up.
    scratch_key = size, dtypes
    workers = min(threads(), iterator.itersize // SHARE)
    if workers <= 1:
        iterator.reset()
        replay(iterator)
        return
    from concurrent.futures import ThreadPoolExecutor

    bounds = [iterator.itersize * i // workers for i in range(workers + 1)]
    parts = []
    for start, stop in pairwise(bounds):
        parts.append(iterator.copy())
        parts[-1].iterrange = start, stop  # type: ignore[misc]  # it can be set
    with iterator, ThreadPoolExecutor(workers) as pool:
        list(pool.map(replay, parts))


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold Ctrl-C back until arrays that are written in place are whole again."""
    old = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(old):
        yield  # no other thread is interrupted, and no other handler raises
        return
    held: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _: held.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, old)
        if held:
            signal.raise_signal(signal.SIGINT)


def threads() -> int:
    """Return how many threads may work on large arrays.

    One, unless asked for more: they help only where a core alone cannot use the memory up.
    """
    value = os.environ.get("RPROP_NUM_THREADS", "") or "1"
    if not value.isdecimal() or int(value) < 1:
        raise ValueError(f"RPROP_NUM_THREADS must be a positive integer; got {value!r}")
    return int(value)
