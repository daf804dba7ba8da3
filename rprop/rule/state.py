"""What a step leaves to the next one."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Array", "RpropState", "state_dtype"]

Array = NDArray[Any]


class RpropState(NamedTuple):
    """Everything the next step needs to know; a run resumed from it goes on bit for bit.

    Attributes
    ----------
    delta : ndarray
        Δ, the step size of each coordinate; shape of the parameters.
    prev_sign : ndarray of int8
        The remembered sign of each gradient component: -1, 1, or 0 for none.
    prev_update : ndarray
        The last move of each coordinate.
    prev_loss : ndarray of float64
        The loss of the last step, NaN if there was none; shape of the parameters without their
        last axis.

    Notes
    -----
    `delta` and `prev_update` have the dtype of the parameters, but float32 for float16
    parameters. For complex parameters every field describes their real view
    ``params.view(float)``, whose last axis is twice as long.
    """

    delta: Array
    prev_sign: Array
    prev_update: Array
    prev_loss: Array


def state_dtype(params: Array) -> np.dtype[Any]:
    """float16 is too coarse to hold step sizes; every wider float keeps its own state."""
    return np.result_type(params.dtype, np.float32)
