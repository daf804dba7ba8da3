"""Arguments as the user typed them -> what the core computes with, or an error that names them."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Callable, Iterable, Iterator
from difflib import get_close_matches
from inspect import signature
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from rprop.rule.state import Array, RpropState
from rprop.rule.variants import VARIANTS, Variant


def numeric(name: str, value: ArrayLike) -> Array:
    """Return `value` as an array of numbers."""
    try:
        array = np.asarray(value)
    except ValueError as error:  # a ragged list
        raise ValueError(f"{name} must be an array of numbers; got {value!r}") from error
    if array.dtype.kind not in "biufc":
        raise TypeError(
            f"{name} must be an array of numbers; got dtype {array.dtype}{advice(value)}"
        )
    return array


def advice(value: Any) -> str:
    """Say what to do about an argument that holds no numbers."""
    if isinstance(value, Iterator):
        return f" of a {type(value).__name__}: list it first, [*...]"
    if isinstance(value, dict):
        return " of a dict: every other argument is a tree only if params is one"
    return ""


#: What other libraries call our arguments.
ALIASES = {
    **dict.fromkeys(("lr", "learning_rate", "step_size"), "delta0=... of rprop_init"),
    **dict.fromkeys(("eta", "eta_minus", "eta_plus"), "etas=(η-, η+)"),
    **dict.fromkeys(("min_step_size", "max_step_size", "bounds"), "step_sizes=(Δmin, Δmax)"),
    **dict.fromkeys(("mask",), "where=..."),
    **dict.fromkeys(("value",), "loss=..."),
}


def unexpected(function: Callable[..., Any], unknown: Iterable[str]) -> TypeError:
    """Return Python's own error about a keyword, with what was probably meant."""
    name = next(iter(unknown))
    known = get_close_matches(name, signature(function).parameters)
    meant = ALIASES.get(name) or (f"{known[0]}=..." if known else "")
    hint = f"; did you mean {meant}?" if meant else ""
    return TypeError(f"{function.__name__}() got an unexpected keyword argument {name!r}{hint}")


def real(name: str, value: ArrayLike) -> Array:
    """Return `value` as an array of real numbers."""
    array = numeric(name, value)
    if array.dtype.kind == "c":
        raise TypeError(f"{name} must be real; got dtype {array.dtype}")
    return array


def floating(name: str, value: ArrayLike) -> Array:
    """Return `value` as an array of floating-point or complex numbers."""
    array = numeric(name, value)
    if array.dtype.kind in "biu":
        return array.astype(np.float64)
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def broadcast(name: str, value: Array, shape: tuple[int, ...]) -> Array:
    """Return `value` seen in the shape of the parameters."""
    try:
        return np.broadcast_to(value, shape)
    except ValueError:
        raise ValueError(
            f"{name} must broadcast against params of shape {shape}; got shape {value.shape}"
        ) from None


def delta_zero(
    delta0: ArrayLike, shape: tuple[int, ...], dtype: np.dtype[Any], name: str = "delta0"
) -> Array:
    """Check the initial step size, as the dtype of the state has it."""
    with np.errstate(all="ignore"):
        array = real(name, delta0).astype(dtype)
    if not (np.isfinite(array) & (array > 0)).all():
        raise ValueError(f"{name} must be finite and positive; got {delta0!r}")
    return broadcast(name, array, shape)


def row(variant: str | Variant) -> Variant:
    """Look up a variant by name; a row stands for itself."""
    if isinstance(variant, Variant):
        return variant
    try:
        return VARIANTS[variant]
    except (KeyError, TypeError):
        known = ", ".join(map(repr, VARIANTS))
        raise ValueError(f"variant must be one of {known} or a Variant; got {variant!r}") from None


def factors(etas: tuple[float, float]) -> tuple[float, float]:
    """Check (η-, η+)."""
    try:
        eta_minus, eta_plus = map(float, etas)
    except (TypeError, ValueError) as error:
        raise TypeError(f"etas must be a pair of numbers (η-, η+); got {etas!r}") from error
    if not 0 < eta_minus < 1 < eta_plus < math.inf:
        swapped = 0 < eta_plus < 1 < eta_minus < math.inf
        hint = f": the other way round, ({eta_plus}, {eta_minus})?" if swapped else ""
        raise ValueError(f"etas must satisfy 0 < η- < 1 < η+ < inf; got {etas!r}{hint}")
    return eta_minus, eta_plus


def limits(
    step_sizes: tuple[ArrayLike, ArrayLike], shape: tuple[int, ...], dtype: np.dtype[Any]
) -> tuple[Any, Any]:
    """Check (Δmin, Δmax): two floats, or two arrays of `dtype` and `shape`."""
    delta_min: Any
    delta_max: Any
    try:
        delta_min, delta_max = step_sizes
    except (TypeError, ValueError):
        raise TypeError(f"step_sizes must be a pair (Δmin, Δmax); got {step_sizes!r}") from None
    if type(delta_min) is not float or type(delta_max) is not float:
        low, high = real("step_sizes", delta_min), real("step_sizes", delta_max)
        if low.ndim or high.ndim:
            delta_min = broadcast("step_sizes", within(dtype, low), shape)
            delta_max = broadcast("step_sizes", within(dtype, high), shape)
        else:
            delta_min, delta_max = float(low), float(high)
    ordered: Any = (delta_min >= 0) & (delta_min <= delta_max)
    if not (ordered if type(ordered) is bool else ordered.all()):
        raise ValueError(f"step_sizes must satisfy 0 <= Δmin <= Δmax; got {step_sizes!r}")
    return delta_min, delta_max


def within(dtype: np.dtype[Any], limit: Any) -> Array:
    """Convert a limit of Δ, which must stay finite: 0 times infinity would be no move but NaN."""
    with np.errstate(all="ignore"):
        return np.minimum(np.asarray(limit, dtype), np.finfo(dtype).max)


def losses(loss: Any, shape: tuple[int, ...]) -> Any:
    """Check the loss: a number, or one for each of the independent problems in `shape`."""
    if type(loss) is float:
        return loss
    array = real("loss", loss)
    if array.shape not in ((), shape):
        raise ValueError(
            f"loss must be a scalar or have the shape of params without its last axis, {shape}; "
            f"got shape {array.shape}"
        )
    return array.astype(np.float64)


def mask(where: ArrayLike, shape: tuple[int, ...]) -> Array:
    """Check the coordinates to step."""
    array = np.asarray(where)
    if array.dtype != np.bool_:
        raise TypeError(f"where must be an array of bool; got dtype {array.dtype}")
    return broadcast("where", array, shape)


def fields(
    state: Any, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> tuple[Array, Array, Array, Array]:
    """Check a state against the parameters it belongs to."""
    if not isinstance(state, tuple) or len(state) != len(RpropState._fields):
        raise TypeError(
            f"state must be an RpropState; got {short(state)}: rprop_init(params) makes one"
        )
    delta, prev_sign, prev_update, prev_loss = map(np.asarray, state)
    if not (delta.shape == prev_sign.shape == prev_update.shape == shape):
        raise ValueError(
            f"state must belong to params of shape {shape}; got delta of shape {delta.shape}, "
            f"prev_sign of shape {prev_sign.shape}, prev_update of shape {prev_update.shape}"
        )
    if prev_loss.shape != shape[:-1]:
        raise ValueError(
            f"state.prev_loss must have shape {shape[:-1]}; got shape {prev_loss.shape}"
        )
    if delta.dtype != dtype or prev_update.dtype != dtype:
        with np.errstate(all="ignore"):
            delta = real("state.delta", delta).astype(dtype)
            prev_update = real("state.prev_update", prev_update).astype(dtype)
    if prev_sign.dtype != np.int8:
        prev_sign = np.sign(real("state.prev_sign", prev_sign)).astype(np.int8)
    if prev_loss.dtype != np.float64:
        prev_loss = real("state.prev_loss", prev_loss).astype(np.float64)
    return delta, prev_sign, prev_update, prev_loss


def short(value: Any) -> str:
    """Describe a value in a few characters."""
    if isinstance(value, (tuple, list)):
        return f"a {type(value).__name__} of {len(value)}"
    return reprlib.repr(value)


def destination(
    out: tuple[Array, RpropState], like: tuple[Array, tuple[Array, ...]]
) -> tuple[Array, ...]:
    """Check the arrays to write into, params first, against `like`."""
    try:
        params, state = out
        arrays = (params, *state)
        names = ("params", "delta", "prev_sign", "prev_update", "prev_loss")
        pairs = list(zip(names, arrays, (like[0], *like[1]), strict=True))
    except (TypeError, ValueError):
        raise TypeError(f"out must be a pair (params, RpropState) of arrays; got {out!r}") from None
    for name, array, model in pairs:
        if not isinstance(array, np.ndarray):
            raise TypeError(f"out must hold ndarrays; got {name} of type {type(array).__name__}")
        if array.shape != model.shape or array.dtype != model.dtype:
            raise ValueError(
                f"out must hold {name} of shape {model.shape} and dtype {model.dtype}; "
                f"got shape {array.shape} and dtype {array.dtype}"
            )
        if not array.flags.writeable:
            raise ValueError(f"out must be writeable; {name} is read-only")
    return arrays
