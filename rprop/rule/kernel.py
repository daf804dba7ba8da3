"""The rule as whole-array expressions: the one place where the arithmetic stands."""

from __future__ import annotations

from typing import Any

from rprop.rule.variants import Move, Variant

__all__ = ["kernel"]


def kernel(
    xp: Any,
    variant: Variant,
    params: Any,
    grads: Any,
    delta: Any,
    prev_sign: Any,
    prev_update: Any,
    eta_minus: Any,
    eta_plus: Any,
    delta_min: Any,
    delta_max: Any,
    risen: Any,
    where: Any,
) -> tuple[Any, Any, Any, Any]:
    """Return the next params, delta, prev_sign and prev_update.

    `xp` holds `int8`, `astype`, `clip` and `where` as the array API standard defines them.
    """
    before = params, delta, prev_sign, prev_update

    # Signs are compared, never magnitudes multiplied: a product of gradients underflows.
    sign = xp.astype(grads > 0.0, xp.int8) - xp.astype(grads < 0.0, xp.int8)  # NaN has none
    agreement = sign * prev_sign
    kept = sign * xp.astype(agreement >= 0, xp.int8)

    # Δ grows where the sign is the same, shrinks where it changed, stays where there is none:
    # clipping 1 + η+, 1 - η+ and 1 leaves exactly η+, η- and 1.
    factor = xp.clip(xp.astype(agreement, delta.dtype) * eta_plus + 1.0, eta_minus, eta_plus)
    delta = xp.clip(delta * factor, delta_min, delta_max)

    def move(on_flip: Move) -> Any:
        update = -(xp.astype(sign if on_flip == "step" else kept, delta.dtype) * delta)
        return xp.where(agreement < 0, -prev_update, update) if on_flip == "undo" else update

    if isinstance(risen, bool):
        update = move(variant.on_flip_risen if risen else variant.on_flip)
    else:
        update = xp.where(risen, move(variant.on_flip_risen), move(variant.on_flip))
    new_params = xp.astype(params + update, params.dtype)
    after = new_params, delta, kept if variant.forgets else sign, update
    if where is True:
        return after
    new_params, *state = (xp.where(where, new, old) for new, old in zip(after, before, strict=True))
    return new_params, *state  # type: ignore[return-value]
