"""Runs of Rprop to test with: parameters, tapes of gradients and losses, settings."""

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from rprop import VARIANTS, Variant, rprop_init, rprop_step

SIGNS = [1.0, 1.0, -1.0, -1.0, 0.0, -0.0]
GRADIENTS = st.sampled_from([*SIGNS, 1e-300, -1e-300, 1e300, np.inf, -np.inf, np.nan])
MOVES = ("step", "stay", "undo")

variants = st.sampled_from(sorted(VARIANTS))
own_rows = st.builds(
    Variant, st.just("own"), st.sampled_from(MOVES), st.sampled_from(MOVES), st.booleans()
)
rows = st.one_of(st.sampled_from(list(VARIANTS.values())), own_rows)
dtypes = st.sampled_from([np.float32, np.float64, np.longdouble])
sizes = st.floats(1e-3, 1e3)
etas = st.tuples(st.floats(0.01, 0.99), st.floats(1.01, 10))
step_sizes = st.sampled_from([(1e-6, 50.0), (0.0, 1e6), (0.05, 0.2), (0.1, 0.1)])
losses = st.sampled_from([0.0, 1.0, 2.0, np.nan, np.inf])


@dataclass
class Tape:
    """What a run is given: params (n,), gradients (t, n), losses (t,)."""

    params: np.ndarray
    delta0: np.ndarray
    grads: np.ndarray
    losses: list
    etas: tuple
    step_sizes: tuple

    def run(self, variant, **options):
        """Return params and state before the first and after every step."""
        params, state = self.params, rprop_init(self.params, self.delta0)
        trace = [(params, state)]
        for grads, loss in zip(self.grads, self.losses, strict=True):
            params, state = rprop_step(
                params,
                grads,
                state,
                self.etas,
                self.step_sizes,
                variant=variant,
                loss=loss,
                **options,
            )
            trace.append((params, state))
        return trace


@st.composite
def tapes(draw, dtype=np.float64, gradients=GRADIENTS, max_size=4, max_steps=12):
    n, t = draw(st.integers(1, max_size)), draw(st.integers(1, max_steps))

    def array(elements, *shape):
        size = int(np.prod(shape))
        values = draw(st.lists(elements, min_size=size, max_size=size))
        return np.array(values).reshape(shape)

    return Tape(
        params=array(st.floats(-1e3, 1e3), n).astype(dtype),
        delta0=array(sizes, n).astype(dtype),
        grads=array(gradients, t, n),
        losses=draw(st.lists(losses, min_size=t, max_size=t)),
        etas=draw(etas),
        step_sizes=draw(step_sizes),
    )


def bits(*arrays):
    """Return what two results share only if they are equal to the bit."""
    flat = []
    for item in arrays:
        if isinstance(item, tuple):
            flat.append(bits(*item))
        else:
            array = np.asarray(item)
            padded = array.dtype == np.longdouble  # with bytes that mean nothing
            content = list(map(str, array.ravel())) if padded else array.tobytes()
            flat.append((array.dtype, array.shape, content))
    return flat
