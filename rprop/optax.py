"""Rprop as a gradient transformation for optax.

Examples
--------
>>> import jax, optax
>>> from rprop.optax import rprop
>>> optimizer = rprop(learning_rate=0.25)
>>> params = {"w": jax.numpy.ones(2), "b": jax.numpy.zeros(())}
>>> state = optimizer.init(params)
>>> grads = {"w": jax.numpy.array([1e9, -1e-9]), "b": jax.numpy.zeros(())}
>>> updates, state = optimizer.update(grads, state, params)
>>> optax.apply_updates(params, updates)["w"].tolist()
[0.75, 1.25]
"""

from __future__ import annotations

from typing import Any

import jax
import optax

from rprop.rule import checks
from rprop.rule.state import RpropState
from rprop.rule.step import rprop_init, rprop_step
from rprop.rule.variants import Variant

__all__ = ["rprop"]


def rprop(
    learning_rate: Any,
    eta_minus: Any = 0.5,
    eta_plus: Any = 1.2,
    min_step_size: Any = 1e-6,
    max_step_size: Any = 50.0,
    *,
    variant: str | Variant = "irprop-",
) -> optax.GradientTransformationExtraArgs:
    """Make an optimiser of optax, with the arguments of `optax.rprop` and the variants.

    Parameters
    ----------
    learning_rate : float
        Δ0, the length of the first move, clamped to the limits. It is no schedule: Rprop adapts
        the step sizes itself.
    eta_minus, eta_plus : float, optional
        The factors that shrink and grow Δ.
    min_step_size, max_step_size : float, optional
        The limits of Δ.
    variant : str or Variant, optional
        The name of a row of `rprop.VARIANTS`, or a row of your own. A variant that asks whether
        the loss rose ("irprop+") needs ``update(grads, state, params, value=loss)``.

    Returns
    -------
    optax.GradientTransformationExtraArgs
        Its state is an `RpropState` of trees like the parameters.

    Raises
    ------
    ValueError
        If an argument is out of its range, or the variant needs a loss and got no `value`.
    TypeError
        If `learning_rate` is a schedule.

    Notes
    -----
    ``optax.apply_updates`` moves float32 and float64 parameters as `rprop_step` would, to the bit.
    Updates of shorter floats are rounded to their dtype first, as optax wants it.
    """
    if callable(learning_rate):
        raise TypeError(
            f"learning_rate must be a number; got {learning_rate!r}: Rprop adapts the step sizes "
            "itself, a schedule would have nothing to set"
        )
    row = checks.row(variant)
    etas, limits = (eta_minus, eta_plus), (min_step_size, max_step_size)
    traced = any(isinstance(value, jax.Array) for value in (*etas, *limits, learning_rate))
    if not traced:
        checks.factors(etas)
        checks.limits(limits, (), jax.numpy.zeros(()).dtype)
        checks.delta_zero(learning_rate, (), jax.numpy.zeros(()).dtype, "learning_rate")

    def init(params: Any) -> RpropState:
        return rprop_init(as_arrays(params), learning_rate)

    def update(
        updates: Any, state: RpropState, params: Any = None, *, value: Any = None, **_: Any
    ) -> tuple[Any, RpropState]:
        if row.needs_loss and value is None:
            raise ValueError(
                f"variant {row.name!r} needs the loss: update(grads, state, params, value=loss); "
                "got value=None"
            )
        del params  # the move does not depend on where it starts
        grads = as_arrays(updates)
        _, after = rprop_step(grads, grads, state, etas, limits, variant=row, loss=value)
        moves = jax.tree.map(lambda move, g: move.astype(g.dtype), after.prev_update, grads)
        return moves, after

    return optax.GradientTransformationExtraArgs(init, update)


def as_arrays(tree: Any) -> Any:
    """Return the leaves as arrays of JAX."""
    return jax.tree.map(jax.numpy.asarray, tree)
