"""Functions to minimise, options to do it with, and a watcher of calls."""

import numpy as np
from hypothesis import strategies as st
from scipy.optimize import rosen, rosen_der

OPTIONS = [
    {},
    {"basis": None},
    {"basis": "learned", "variant": "irprop+"},
    {"safeguard": "armijo"},
    {"variant": "rprop-", "ftol": 1e-12},
    {"variant": "irprop-", "delta0": 0.1},
]


class Watched:
    """A function that records every call and hands out one buffer for all gradients."""

    def __init__(self, fun, faults=()):
        self.fun, self.faults = fun, dict(faults)
        self.points, self.losses, self.buffer = [], [], None

    def __call__(self, x):
        loss, grad = self.fun(x)
        fault = self.faults.get(len(self.points))
        self.points.append(x.copy())
        if self.buffer is None:
            self.buffer = np.empty_like(grad)
        self.buffer[:] = grad
        x[:] = np.nan  # a copy of ours
        if isinstance(fault, Exception):
            raise fault
        if fault is not None and fault[0] == "loss":
            loss = fault[1]
        if fault is not None and fault[0] == "grad":
            self.buffer[0] = fault[1]
        self.losses.append(loss if np.isfinite(self.buffer).all() else np.inf)
        return loss, self.buffer


def rosenbrock(x):
    return rosen(x), rosen_der(x)


def plateau(x):
    """Steps with a gradient that flips everywhere."""
    return float(np.floor(np.abs(x)).sum()), np.sign(x)


def bowl(x):
    return float(((x - 1.25) ** 2).sum()), 2 * (x - 1.25)


functions = st.sampled_from([rosenbrock, plateau, bowl])
starts = st.lists(st.floats(-4, 4), min_size=2, max_size=4).map(np.array)
