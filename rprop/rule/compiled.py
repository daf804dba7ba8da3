"""`rprop_step` compiled: the scalar rules of `rprop.rule.reference`, fused into one parallel pass.

Nothing is restated here. Numba compiles the functions of the reference as they stand, and the
checks are those of `rprop.rule.step`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import cache
from types import FunctionType
from typing import Any

import numpy as np

from rprop.rule import reference
from rprop.rule import step as core
from rprop.rule.blocks import uninterrupted
from rprop.rule.state import Array, RpropState
from rprop.rule.variants import VARIANTS, Variant

try:
    from numba import njit, prange
except ImportError as error:
    raise ImportError("rprop.rule.compiled needs numba: pip install 'rprop[numba]'") from error

__all__ = ["rprop_step"]


def rebind(function: Any, names: dict[str, Any]) -> Any:
    """Return a function that looks its globals up in `names`."""
    copy = FunctionType(
        function.__code__, names, function.__name__, function.__defaults__, function.__closure__
    )
    copy.__kwdefaults__, copy.__doc__ = function.__kwdefaults__, function.__doc__
    return copy


@cache
def fused(name: str) -> Callable[..., None]:
    """Compile the loop over one of the rules."""
    names = dict(vars(reference))
    for helper in ("sign", "adapt", "descend"):  # each needs the ones before
        names[helper] = njit(rebind(names[helper], names))
    rule = njit(rebind(reference.RULES[name], names))

    @njit(parallel=True)
    def loop(  # type: ignore[no-untyped-def]
        w, g, delta, sign, dw, etas, step_sizes, risen, new_w, new_delta, new_sign, new_dw
    ):  # pragma: no cover
        for i in prange(w.size):
            new_w[i], new_delta[i], new_sign[i], new_dw[i] = rule(
                w[i], g[i], delta[i], sign[i], dw[i], etas, step_sizes, risen
            )

    return loop


def step(
    params: Array,
    grads: Array,
    state: Sequence[Array],
    etas: tuple[float, float],
    step_sizes: tuple[Any, Any],
    variant: Variant,
    loss: Any = None,
    where: Any = True,
    into: Sequence[Array] | None = None,
) -> tuple[Array, RpropState]:
    """Do what `rprop.rule.step.step` does, in one pass where the case is a plain one.

    Plain are a rule of the reference, float32 or float64, C-contiguous arrays, no mask, limits
    that are numbers and, where the rule asks for it, one loss. Else `rprop.rule.step.step` does it.
    """
    arrays = (params, grads, *state[:-1], *(into or ())[:-1])
    old = (params, *state[:-1])
    plain = (
        VARIANTS.get(variant.name) == variant
        and where is True
        and params.dtype.char in "fd"
        and grads.dtype == params.dtype
        and not any(map(np.ndim, step_sizes))
        and not (variant.needs_loss and params.ndim > 1)
        and all(array.flags.c_contiguous for array in arrays)
        and not any(  # a result may take the place of its old value, and of nothing else
            (a is not b or i != k) and np.may_share_memory(a, b) and not same(a, b, i == k)
            for i, a in enumerate((into or ())[:-1])
            for k, b in enumerate((*old, grads))
        )
    )
    if not plain:
        return core.step(params, grads, state, etas, step_sizes, variant, loss, where, into)
    *before, prev_loss = state
    now = np.nan if loss is None else loss
    risen = variant.needs_loss and bool(reference.rose(now, prev_loss))
    hold = uninterrupted if into else nullcontext
    if into is None:
        into = (*map(np.empty_like, (params, *before)), np.empty(params.shape[:-1]))
    numbers = tuple(number[()] for number in core.scalars(params.dtype, *etas, *step_sizes))
    loop = fused(variant.name)
    with hold():
        loop(
            *(array.reshape(-1) for array in (params, grads, *before)),
            numbers[:2],
            numbers[2:],
            risen,
            *(array.reshape(-1) for array in into[:-1]),
        )
        into[-1][...] = now
    return into[0], RpropState(*into[1:])


def same(a: Array, b: Array, counterpart: bool) -> bool:
    """Whether a result exactly covers its old value."""
    return counterpart and a.ctypes.data == b.ctypes.data


_names = {**vars(core), "step": step}
_names["complex_step"] = rebind(core.complex_step, _names)
_names["rprop_step"] = rprop_step = rebind(core.rprop_step, _names)
