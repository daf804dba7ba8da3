"""Steps on arrays of other libraries: the same kernel in the namespace of the arrays' own library.

Shapes, dtypes and libraries are checked. Values of arrays are not: they may be on another device,
or not yet known, as under `jax.jit` or in dask.

The package array-api-compat is used where a library needs it, and not asked for the namespace of
every argument: NumPy and JAX then need nothing beside them, and the step of NumPy does not pay for
the question.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np

from rprop.rule import checks
from rprop.rule.kernel import kernel

# Arrays of libraries whose own namespace is not the standard's.
COMPAT = {"cupy": "ndarray", "dask.array": "Array", "torch": "Tensor"}
NUMPY = {np.ndarray, np.float64, float, int, bool, list, type(None)}


def common(
    params: Any, other: Any, loss: Any = None, where: Any = None, *pairs_and_state: Sequence[Any]
) -> Any:
    """Return the namespace of the arrays among the arguments; None if NumPy can take them all."""
    given = [params, other, loss, where]
    for several in pairs_and_state:
        if isinstance(several, tuple):
            given += several
    if NUMPY.issuperset(map(type, given)):
        return None
    found = {xp.__name__: xp for xp in map(namespace, given) if xp is not None}
    if len(found) > 1:
        names = " and ".join(map(title, found.values()))
        raise TypeError(f"all arrays must be of one library; got arrays of {names}")
    xp = next(iter(found.values()), np)
    return None if xp is np else xp


def namespace(value: Any) -> Any:
    """Return the namespace of an array; None for numbers, lists and whatever else."""
    if isinstance(value, (np.ndarray, np.generic)):
        return np if np.ndim(value) else None  # numbers suit every library
    for library, kind in COMPAT.items():
        module = sys.modules.get(library)
        if module is not None and isinstance(value, getattr(module, kind)):
            return standard(library)
    return value.__array_namespace__() if hasattr(value, "__array_namespace__") else None


def standard(library: str) -> Any:
    """Return the standard namespace for a library that lacks one."""
    name = f"array_api_compat.{library}"
    if name not in sys.modules:
        try:
            import_module(name)
        except ImportError as error:
            raise ImportError(
                f"arrays of {library} need array-api-compat: pip install 'rprop[array-api]'"
            ) from error
    return sys.modules[name]


def title(xp: Any) -> str:
    """Return what users call a namespace."""
    return xp.__name__.removeprefix("array_api_compat.")


def init(xp: Any, params: Any, delta0: Any) -> tuple[Any, ...]:
    """Return the fields of the state that precedes the first step."""
    params = floating(xp, "params", params)
    shape, dtype = tuple(params.shape), state_dtype(xp, params)
    if namespace(delta0) is None:
        delta0 = float(checks.delta_zero(delta0, (), np.dtype(float)))
    return (
        spread(xp, "delta0", delta0, params, dtype),
        xp.zeros_like(params, dtype=xp.int8),
        xp.zeros_like(params, dtype=dtype),
        no_loss(xp, params, shape[:-1]),
    )


def no_loss(xp: Any, params: Any, shape: tuple[int, ...]) -> Any:
    """Return what is remembered of the loss before the first step."""
    device = getattr(params, "device", None)  # what is traced, or not yet computed, has none
    return xp.full(shape, xp.nan, dtype=widest(xp), device=device)


def step(
    xp: Any,
    params: Any,
    grads: Any,
    state: Any,
    etas: Any,
    step_sizes: Any,
    variant: Any,
    loss: Any,
    where: Any,
    out: Any,
) -> tuple[Any, ...]:
    """Return the params after a step and the fields of the state."""
    if out is not None:
        raise TypeError(f"out must be None for arrays of {title(xp)}; got {out!r}")
    variant = checks.row(variant)
    if getattr(params, "requires_grad", False) and xp.is_grad_enabled():
        raise ValueError(
            "params require grad, and autograd would record the step: call rprop_step under "
            "torch.no_grad(), or with params.detach()"
        )
    params, grads = floating(xp, "params", params), floating(xp, "grads", grads)
    shape, dtype = tuple(params.shape), state_dtype(xp, params)
    largest = float(xp.finfo(dtype).max)
    if isinstance(etas, tuple) and any(map(namespace, etas)):  # of which no value is known
        etas = tuple(xp.astype(xp.asarray(eta), dtype) for eta in etas)
    else:
        low, high = checks.factors(etas)
        etas = low, min(high, largest)  # 0 times infinity would be no factor but NaN
    if tuple(grads.shape) != shape:
        raise ValueError(f"grads must have the shape of params, {shape}; got {tuple(grads.shape)}")
    delta, prev_sign, prev_update, prev_loss = fields(xp, state, shape)
    delta, prev_update = (xp.astype(array, dtype, copy=False) for array in (delta, prev_update))
    if prev_sign.dtype != xp.int8:
        prev_sign = xp.astype(xp.sign(prev_sign), xp.int8)
    if isinstance(step_sizes, tuple) and any(map(namespace, step_sizes)):
        low, high = (spread(xp, "step_sizes", limit, params, dtype) for limit in step_sizes)
        step_sizes = low, high
    else:
        step_sizes = [min(n, largest) for n in checks.limits(step_sizes, (), np.dtype(float))]

    if loss is None:
        if variant.needs_loss:
            raise ValueError(f"variant {variant.name!r} needs the loss at params; got loss=None")
        loss = xp.nan
    elif namespace(loss) is None:
        loss = float(checks.losses(loss, ()))
    elif tuple(loss.shape) in ((), shape[:-1]):
        loss = xp.astype(real(xp, "loss", loss), prev_loss.dtype)
    else:
        raise ValueError(
            f"loss must be a scalar or have the shape of params without its last axis, "
            f"{shape[:-1]}; got shape {tuple(loss.shape)}"
        )
    now = xp.zeros_like(prev_loss) + loss
    risen: Any = False
    if variant.needs_loss:
        risen = (now > prev_loss) | (now != now)  # a NaN loss has risen
        risen = risen[..., None] if shape else risen
    if where is not True:
        where = mask(xp, where, shape)
        now = xp.where(xp.any(where, axis=-1) if shape else where, now, prev_loss)
    before = delta, prev_sign, prev_update
    arguments = (params, grads, *before, *etas, *step_sizes, risen, where)
    return *kernel(xp, variant, *arguments), now


def floating(xp: Any, name: str, value: Any) -> Any:
    """Return an array of the library that holds floating-point numbers."""
    array = real(xp, name, value)
    floats = xp.isdtype(array.dtype, "real floating")
    return array if floats else xp.astype(array, widest(xp))


def real(xp: Any, name: str, value: Any) -> Any:
    """Return an array of the library that holds real numbers."""
    if namespace(value) is not xp:
        raise TypeError(f"{name} must be an array of {title(xp)}; got {type(value).__name__}")
    if not xp.isdtype(value.dtype, ("real floating", "integral")):
        raise TypeError(f"{name} must be real in {title(xp)}; got dtype {value.dtype}")
    return value


def mask(xp: Any, where: Any, shape: tuple[int, ...]) -> Any:
    """Return the coordinates to step in the shape of params."""
    if namespace(where) is not xp or where.dtype != xp.bool:
        raise TypeError(f"where must be an array of bool of {title(xp)}; got {where!r}")
    broadcast("where", where, shape)
    return xp.broadcast_to(where, shape)


def broadcast(name: str, value: Any, shape: tuple[int, ...]) -> None:
    """Check that an array fits the parameters."""
    own = tuple(value.shape)
    ends = zip(own[::-1], shape[::-1], strict=False)
    if len(own) > len(shape) or any(a not in (1, b) for a, b in ends):
        raise ValueError(f"{name} must broadcast against params of shape {shape}; got shape {own}")


def spread(xp: Any, name: str, value: Any, params: Any, dtype: Any) -> Any:
    """Return a number or an array in the shape of params."""
    if namespace(value):
        broadcast(name, real(xp, name, value), tuple(params.shape))
    return xp.astype(xp.zeros_like(params, dtype=dtype) + value, dtype)


def fields(xp: Any, state: Any, shape: tuple[int, ...]) -> list[Any]:
    """Check the fields of a state."""
    names = ("delta", "prev_sign", "prev_update", "prev_loss")
    if not isinstance(state, tuple) or len(state) != len(names):
        raise TypeError(f"state must be an RpropState; got {state!r}")
    values = [real(xp, f"state.{name}", value) for name, value in zip(names, state, strict=True)]
    for name, value in zip(names, values, strict=True):
        expected = shape[:-1] if name == "prev_loss" else shape
        if tuple(value.shape) != expected:
            raise ValueError(
                f"state.{name} must have shape {expected}; got shape {tuple(value.shape)}"
            )
    return values


def state_dtype(xp: Any, params: Any) -> Any:
    """Keep the state in at least float32."""
    return params.dtype if xp.finfo(params.dtype).bits >= 32 else xp.float32


def widest(xp: Any) -> Any:
    """Return float64, or float32 where the library is set up to have no float64."""
    dtypes = xp.__array_namespace_info__().dtypes(kind="real floating")
    return xp.float64 if "float64" in dtypes else xp.float32
