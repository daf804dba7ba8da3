"""A run as the table that a teacher writes on the board."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from rprop.rule import checks
from rprop.rule.state import Array, RpropState
from rprop.rule.step import rprop_init, rprop_step
from rprop.rule.variants import Variant

__all__ = ["Trace", "rprop_trace"]


ROW = [
    ("step", int),
    ("x", float),
    ("g", float),
    ("sign", np.int8),
    ("last", np.int8),
    ("agreement", np.int8),
    ("delta", float),
    ("move", float),
    ("rule", "U16"),
]
CHANGES = np.array(["shrink", "keep", "grow"])


@dataclass(frozen=True)
class Trace:
    """What happened to some coordinates in every step; printed, it is a table.

    Attributes
    ----------
    coordinates : list of tuple of int
        The indices into the parameters, one for each of the k coordinates.
    rows : structured ndarray, shape (steps, k)
        For each step and coordinate: `step`, counted from 1; `x` before the step; the gradient
        `g` there; its `sign`; the `last` sign, 0 for none remembered; their product, the
        `agreement`; Δ after the step, `delta`; the `move`; and the `rule` that fired: what Δ did
        ("grow", "shrink", "keep") and what x did ("step", "stay", "undo").
    x : ndarray, shape (k,)
        The coordinates after the last step.
    """

    coordinates: list[tuple[int, ...]]
    rows: Array
    x: Array

    def cells(self) -> list[list[str]]:
        """Return the table as text, its header first."""
        names = [name for name, _ in ROW]
        table = [[names[0], "i", *names[1:]]]
        for line in self.rows:
            for index, row in zip(self.coordinates, line, strict=True):
                texts = [f"{v + 0.0:.6g}" if isinstance(v, float) else str(v) for v in row.tolist()]
                table.append([texts[0], ",".join(map(str, index)), *texts[1:]])
        if self.coordinates == [()]:  # a scalar needs no index
            table = [[row[0], *row[2:]] for row in table]
        return table

    def __str__(self) -> str:
        table = self.cells()
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = (
            "  ".join(text.rjust(width) for text, width in zip(row[:-1], widths, strict=False))
            + f"  {row[-1]}"
            for row in table
        )
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        head, *body = self.cells()
        right, left = (
            f'style="padding: .1em .7em; text-align: {side}"' for side in ("right", "left")
        )
        header = "".join(f'<th scope="col" {right}>{text}</th>' for text in head[:-1])
        header += f'<th scope="col" {left}>{head[-1]}</th>'
        rows = "".join(
            "<tr>"
            + "".join(f"<td {right}>{text}</td>" for text in row[:-1])
            + f"<td {left}>{row[-1]}</td></tr>"
            for row in body
        )
        table = f"<table><thead><tr>{header}</tr></thead><tbody>{rows}</tbody></table>"
        return (  # a wide table scrolls by itself, by keyboard too
            '<div tabindex="0" role="region" aria-label="the run as a table"'
            f' style="overflow-x: auto">{table}</div>'
        )


def rprop_trace(
    grads: Callable[[Array], tuple[Any, ArrayLike]] | ArrayLike,
    params: ArrayLike,
    steps: int | None = None,
    *,
    losses: ArrayLike | None = None,
    coordinates: Sequence[int | tuple[int, ...]] | None = None,
    delta0: ArrayLike = 0.1,
    etas: tuple[float, float] = (0.5, 1.2),
    step_sizes: tuple[ArrayLike, ArrayLike] = (1e-6, 50.0),
    variant: str | Variant = "irprop-",
) -> Trace:
    """Run `rprop_step` and write down what happened in every step.

    Parameters
    ----------
    grads : callable or array_like
        ``grads(params) -> (loss, gradient)``; or a tape, the gradients of all steps, of shape
        ``(steps, *params.shape)``.
    params : array_like
        The real parameters at the start, of any shape.
    steps : int, optional
        How many steps; needed with a callable. By default the length of the tape.
    losses : array_like, shape (steps, ...), optional
        The losses that belong to a tape.
    coordinates : sequence of int or tuple of int, optional
        Indices of the coordinates to write down; by default all.
    delta0, etas, step_sizes, variant
        As in `rprop_init` and `rprop_step`.

    Returns
    -------
    Trace
        A table to print, and its rows as an array.

    Raises
    ------
    ValueError, TypeError
        If an argument is unusable; the message names it.

    Examples
    --------
    >>> print(rprop_trace([1, 1, -1, -1], 0.0))
    step      x   g  sign  last  agreement  delta   move  rule
       1      0   1     1     0          0    0.1   -0.1  keep, step
       2   -0.1   1     1     1          1   0.12  -0.12  grow, step
       3  -0.22  -1    -1     1         -1   0.06      0  shrink, stay
       4  -0.22  -1    -1     0          0   0.06   0.06  keep, step
    """
    params = checks.real("params", params)
    params = checks.floating("params", params)
    variant = checks.row(variant)
    look: Any = None if callable(grads) else tape(grads, losses, params.shape)
    if steps is None:
        if callable(grads):
            raise ValueError("steps must be given where grads is a callable; got None")
        steps = len(np.asarray(grads))
    elif steps < 0 or (not callable(grads) and steps > len(np.asarray(grads))):
        raise ValueError(f"steps must be from 0 to the length of the tape; got {steps!r}")
    chosen = indices(coordinates, params.shape)
    state = rprop_init(params, delta0)
    rows = np.empty((steps, len(chosen)), ROW)
    at = tuple(np.array(chosen, int).reshape(len(chosen), params.ndim).T)
    for k in range(steps):
        new: Array
        loss, grad = grads(params) if callable(grads) else look(k)
        gradient = np.asarray(grad)
        new, after = rprop_step(
            params, gradient, state, etas, step_sizes, variant=variant, loss=loss
        )
        write(rows[k], k + 1, params, gradient, state, after, loss, variant, at)
        params, state = new, after
    return Trace(chosen, rows, np.atleast_1d(params[at]).copy())


def write(
    row: Array,
    step: int,
    params: Array,
    grads: Array,
    before: RpropState,
    after: RpropState,
    loss: Any,
    variant: Variant,
    at: tuple[Array, ...],
) -> None:
    """Write one step down; the rule is told from what the variant says of this case."""
    sign = ((grads > 0).astype(np.int8) - (grads < 0))[at]
    last = before.prev_sign[at]
    agreement = sign * last
    row["step"], row["x"], row["g"] = step, params[at], grads[at]
    row["sign"], row["last"], row["agreement"] = sign, last, agreement
    row["delta"], row["move"] = after.delta[at], after.prev_update[at]
    risen: Any = np.zeros(params.shape, bool)
    if loss is not None:
        now = np.asarray(loss, float)
        risen = (now > before.prev_loss) | np.isnan(now)
        risen = np.broadcast_to(risen[..., None] if params.ndim else risen, params.shape)
    flip = np.where(risen[at], variant.on_flip_risen, variant.on_flip)
    action = np.where(agreement < 0, flip, np.where(sign == 0, "stay", "step"))
    row["rule"] = np.char.add(np.char.add(CHANGES[agreement + 1], ", "), action)


def tape(grads: Any, losses: ArrayLike | None, shape: tuple[int, ...]) -> Callable[[int], Any]:
    """Read gradients and losses off a tape."""
    array = checks.real("grads", grads)
    if array.ndim == 0 or array.shape[1:] != shape:
        raise ValueError(f"grads must have shape (steps, *{shape}); got {array.shape}")
    values = None if losses is None else checks.real("losses", losses)
    if values is not None and len(np.atleast_1d(values)) != len(array):
        raise ValueError(
            f"losses must have one entry for each of the {len(array)} steps; got {values.shape}"
        )
    return lambda k: (None if values is None else values[k], array[k])


def indices(chosen: Sequence[Any] | None, shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Check the coordinates to write down."""
    if chosen is None:
        return list(np.ndindex(shape))
    result = [tuple(np.atleast_1d(index).tolist()) for index in chosen]
    for index in result:
        if len(index) != len(shape) or any(
            not -n <= i < n for i, n in zip(index, shape, strict=True)
        ):
            raise ValueError(f"coordinates must be indices into shape {shape}; got {index}")
    return result
