"""The pure functional core: `rprop_init` makes a state, `rprop_step` takes a step."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Never

import numpy as np
from numpy.typing import ArrayLike

from rprop.rule import arrays, checks, trees
from rprop.rule.blocks import blockwise, uninterrupted
from rprop.rule.kernel import kernel
from rprop.rule.state import Array, RpropState, state_dtype
from rprop.rule.variants import Variant

__all__ = ["rprop_init", "rprop_step"]

SMALL = 8192  # coordinates up to which whole arrays are faster than blocks


def rprop_init(params: Any, delta0: Any = 0.1, **unknown: Never) -> RpropState:
    """Make the state that precedes the first step.

    Parameters
    ----------
    params : array_like or tree of them
        The initial parameters, of any shape. Only their shape and dtype matter. A tree is a
        dict, list, tuple, NamedTuple or dataclass that holds arrays or further trees, or what is
        registered with JAX; a list of numbers alone is an array.
    delta0 : array_like, optional
        Δ0, the length of the first move in units of the parameters: a positive number, or an
        array of them that broadcasts against `params`; for a tree, a number or a tree of the same
        structure. Riedmiller and Braun use 0.1.
    **unknown
        Anything else is an error that says what was probably meant.

    Returns
    -------
    RpropState
        With `delta` equal to `delta0` and nothing remembered. For a tree, `delta`, `prev_sign`
        and `prev_update` are such trees and `prev_loss` is one number.

    Raises
    ------
    ValueError
        If `delta0` is not finite and positive, or does not broadcast against `params`.
    TypeError
        If `params` or `delta0` is not numeric.

    Examples
    --------
    >>> rprop_init([1.0, 2.0], delta0=0.5)
    RpropState(delta=array([0.5, 0.5]), prev_sign=array([0, 0], dtype=int8), prev_update=array([0., 0.]), prev_loss=array(nan))
    >>> rprop_init({"weights": np.ones((2, 3)), "bias": 0.0}).delta["bias"]
    array(0.1)
    """
    if unknown:
        raise checks.unexpected(rprop_init, unknown)
    if type(params) is not np.ndarray and trees.is_tree(params):
        return trees.init(rprop_init, params, delta0)
    xp = arrays.common(params, delta0)
    if xp is not None:
        return RpropState(*arrays.init(xp, params, delta0))
    params = checks.floating("params", params)
    dtype = state_dtype(params.real)
    delta0 = checks.delta_zero(delta0, params.shape, dtype)
    if params.dtype.kind == "c":
        params, delta0 = real_view(params), twice(delta0)
    return RpropState(
        delta=delta0.copy(),
        prev_sign=np.zeros(params.shape, np.int8),
        prev_update=np.zeros(params.shape, dtype),
        prev_loss=np.full(params.shape[:-1], np.nan),
    )


def rprop_step(
    params: Any,
    grads: Any,
    state: RpropState,
    etas: tuple[float, float] = (0.5, 1.2),
    step_sizes: tuple[Any, Any] = (1e-6, 50.0),
    *,
    variant: str | Variant = "irprop-",
    loss: ArrayLike | None = None,
    where: Any = True,
    out: tuple[Array, RpropState] | None = None,
    **unknown: Never,
) -> tuple[Any, RpropState]:
    """Take one step of resilient backpropagation.

    Where a gradient component has the sign it had last time, its step size Δ grows by η+; where
    the sign changed, Δ shrinks by η-. Then the coordinate moves by Δ against the sign of the
    gradient, and the size of the gradient is never looked at. What happens at a sign change is
    the one thing the variants differ in.

    Parameters
    ----------
    params : array_like or tree of them
        The parameters, of any shape: float16, float32, float64, longdouble or complex; integers
        and booleans become float64. Complex numbers are pairs of real coordinates. Leading axes
        are independent problems. A tree, as `rprop_init` has it, is one problem with all its
        leaves; `grads`, and `where` and `step_sizes` unless they are numbers, then have its
        structure, and `out` must be None.
    grads : array_like
        The gradient of the loss at `params`, in the same shape and any numeric dtype. A NaN has
        no sign: it counts as 0, which moves nothing, keeps Δ and leaves 0 as remembered sign.
    state : RpropState
        From `rprop_init` or the previous step.
    etas : (float, float), optional
        (η-, η+), the factors that shrink and grow Δ; ``0 < η- < 1 < η+ < inf``.
    step_sizes : (array_like, array_like), optional
        (Δmin, Δmax), the limits of Δ in units of the parameters; ``0 <= Δmin <= Δmax``. Arrays
        broadcast against `params`.
    variant : str or Variant, optional
        The name of a row of `VARIANTS`, or a row of your own.
    loss : array_like, optional
        The loss at `params`: a scalar, or one for each independent problem in the shape of
        `params` without its last axis. Needed by variants that ask whether the loss rose
        ("irprop+"). A NaN loss counts as risen.
    where : array_like of bool, optional
        Coordinates to step, broadcast against `params`; the others keep their parameters and
        state to the bit. A problem with none to step keeps its `prev_loss` too.
    out : (ndarray, RpropState), optional
        Arrays to write the results into, apart from each other; they may be `params` and `state`
        themselves. KeyboardInterrupt is raised after all of them are written or before any is.
    **unknown
        Anything else is an error that says what was probably meant.

    Returns
    -------
    params : ndarray
        The parameters after the step, in the dtype of `params`.
    state : RpropState
        The state after the step.

    Notes
    -----
    All arrays may instead be of another library that follows the array API standard, such as
    PyTorch, JAX, CuPy or dask (with the package array-api-compat where the library asks for it).
    The results are then arrays of that library on the same device, and the function can be
    compiled (``jax.jit``, ``torch.compile``) and mapped (``jax.vmap``). Complex parameters and
    `out` are for NumPy, and values of arrays are checked by NumPy alone.

    Raises
    ------
    ValueError
        If shapes do not match, a number is out of its range, or the variant is unknown or needs
        a `loss` and got none.
    TypeError
        If an argument is of the wrong kind, or arrays are of more than one library.

    References
    ----------
    .. [1] M. Riedmiller and H. Braun, "A direct adaptive method for faster backpropagation
           learning: the RPROP algorithm", IEEE International Conference on Neural Networks,
           1993, 586-591.
    .. [2] C. Igel and M. Hüsken, "Empirical evaluation of the improved Rprop learning
           algorithms", Neurocomputing 50, 2003, 105-123.

    Examples
    --------
    Two coordinates of very different gradients take the same first step, then 1.2 times that:

    >>> params, state = np.array([3.0, -3.0]), rprop_init([3.0, -3.0], delta0=0.5)
    >>> params, state = rprop_step(params, [1e9, -1e-9], state)
    >>> params
    array([ 2.5, -2.5])
    >>> params, state = rprop_step(params, [1e9, -1e-9], state)
    >>> params
    array([ 1.9, -1.9])
    """
    if unknown:
        raise checks.unexpected(rprop_step, unknown)
    if type(params) is not np.ndarray and trees.is_tree(params):
        return trees.step(
            rprop_step, params, grads, state, etas, step_sizes, variant, loss, where, out
        )
    xp = arrays.common(params, grads, loss, where, step_sizes, state)
    if xp is not None:
        after = arrays.step(xp, params, grads, state, etas, step_sizes, variant, loss, where, out)
        return after[0], RpropState(*after[1:])
    params, grads = checks.floating("params", params), checks.numeric("grads", grads)
    shape = params.shape
    if grads.shape != shape:
        raise ValueError(f"grads must have the shape of params, {shape}; got {grads.shape}")
    if params.dtype.kind == "c":
        return complex_step(
            params, grads, state, etas, step_sizes, where, out, variant=variant, loss=loss
        )
    if grads.dtype.kind == "c":
        raise TypeError(f"grads must be real for real params; got dtype {grads.dtype}")
    dtype = state_dtype(params)
    variant = checks.row(variant)
    before = checks.fields(state, shape, dtype)
    etas = checks.factors(etas)
    step_sizes = checks.limits(step_sizes, shape, dtype)
    into = None if out is None else checks.destination(out, (params, before))

    if loss is not None:
        loss = checks.losses(loss, shape[:-1])
    elif variant.needs_loss:
        raise ValueError(f"variant {variant.name!r} needs the loss at params; got loss=None")
    if where is not True:
        where = checks.mask(where, shape)
    return step(params, grads, before, etas, step_sizes, variant, loss, where, into)


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
    """Do what `rprop_step` does with real arrays, once it has checked them."""
    shape = params.shape
    *before, prev_loss = state
    risen: Any = False
    now = np.nan if loss is None else loss  # what is not given is not known next time either
    if variant.needs_loss:
        risen = (now > prev_loss) | (now != now)  # a NaN loss has risen
        risen = risen[..., np.newaxis] if len(shape) > 1 else bool(risen)
    if where is not True:
        now = np.where(where.any(axis=-1) if shape else where, now, prev_loss)

    dtype = state[0].dtype
    try:
        numbers = scalars(dtype, *etas, *step_sizes)
    except TypeError:  # limits that are arrays are not hashable, and as they should be
        numbers = (*scalars(dtype, *etas), *step_sizes)
    if params.size > SMALL:
        numbers = tuple(n[()] for n in numbers)
        arguments = (params, grads, *before, *numbers, risen, where)
        if into is None:
            into = (*map(np.empty_like, (params, *before)), np.empty(shape[:-1]))
            blockwise(variant, arguments, into[:-1])
            into[-1][...] = now
        else:
            with uninterrupted():
                blockwise(variant, arguments, into[:-1])
                into[-1][...] = now
        return into[0], RpropState(*into[1:])
    arguments = (params, grads, *before, *numbers, risen, where)
    try:
        after = kernel(NumPy, variant, *arguments)
    except (FloatingPointError, RuntimeWarning):  # as the caller wants them, but not here
        with np.errstate(all="ignore"):
            after = kernel(NumPy, variant, *arguments)
    if into is not None:
        into = write(into, (*after, now))
        return into[0], RpropState(*into[1:])
    prev_loss = np.empty(shape[:-1])
    prev_loss[...] = now
    if not shape:  # NumPy turns results of no dimension into scalars
        after = tuple(map(np.asarray, after))  # type: ignore[assignment]
    return after[0], RpropState(*after[1:], prev_loss)


@lru_cache(maxsize=64)
def scalars(dtype: np.dtype[Any], *numbers: float) -> tuple[Any, ...]:
    """Return numbers as arrays of no dimension, which cost NumPy half as much as Python's."""
    return tuple(checks.within(dtype, number) for number in numbers)


class NumPy:
    """What the kernel needs of a namespace; np.clip and np.astype take twice as long."""

    int8 = np.dtype(np.int8)
    where = np.where

    @staticmethod
    def astype(array: Array, dtype: Any) -> Array:
        """Convert to a dtype."""
        return array if array.dtype is dtype else array.astype(dtype)

    @staticmethod
    def clip(array: Array, low: Any, high: Any) -> Array:
        """Limit to [low, high]."""
        return np.minimum(np.maximum(array, low), high)


def complex_step(
    params: Array,
    grads: Array,
    state: RpropState,
    etas: tuple[float, float],
    step_sizes: tuple[ArrayLike, ArrayLike],
    where: ArrayLike,
    out: tuple[Array, RpropState] | None,
    **settings: Any,
) -> tuple[Array, RpropState]:
    """Take the step on real and imaginary parts, as twice as many real coordinates."""
    shape, dtype = params.shape, params.dtype
    if where is not True:
        where = twice(checks.mask(where, shape))
    if any(map(np.ndim, step_sizes)):
        low, high = checks.limits(step_sizes, shape, params.real.dtype)
        step_sizes = twice(low), twice(high)
    grads = grads.astype(np.result_type(grads, np.complex64), copy=False)
    pairs = real_view(params)
    state = RpropState(*checks.fields(state, pairs.shape, pairs.dtype))
    into = None if out is None else checks.destination(out, (params, state))
    params, state = rprop_step(
        pairs, real_view(grads), state, etas, step_sizes, where=where, **settings
    )
    results: tuple[Array, ...] = (params.view(dtype).reshape(shape), *state)
    if into is not None:
        results = tuple(write(into, results))
    return results[0], RpropState(*results[1:])


def write(into: Sequence[Array], results: Sequence[Any]) -> Sequence[Array]:
    """Copy results that are all complete into the arrays that were given for them."""
    try:
        for array, result in zip(into, results, strict=True):
            array[...] = result
    except KeyboardInterrupt:  # not half a step
        for array, result in zip(into, results, strict=True):
            array[...] = result
        raise
    return into


def real_view(array: Array) -> Array:
    """Return a complex array as (real, imaginary) pairs along its last axis."""
    array = np.ascontiguousarray(array)  # at least one-dimensional
    return array.view(array.real.dtype)


def twice(array: Array) -> Array:
    """Repeat what is said of a complex number for its two parts."""
    return np.repeat(np.atleast_1d(array), 2, axis=-1)
