"""Smaller implementations that pip installs, each behind the interface of `check`."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import numpy as np

from rprop.conformance.cases import MakeStepper
from rprop.conformance.limits import Limits
from rprop.rule.state import Array

__all__ = ["Climin", "MindSpore", "Neurolab", "Pints", "Tensor", "TorchZero"]

Pair = tuple[float, float]


class Tensor:
    """A parameter of torch, stepped by an optimiser of torch's kind."""

    tensor: Any
    optimizer: Any

    @property
    def params(self) -> Array:
        """The parameters."""
        array: Array = self.tensor.detach().numpy()
        return array

    def step(self, grads: Array, loss: float) -> None:  # noqa: ARG002
        """Take a step."""
        import torch

        self.tensor.grad = torch.tensor(grads)
        self.optimizer.step()


class TorchZero(Tensor):
    """`torchzero.m.Rprop`: RPROP+, or iRprop- without backtracking."""

    backtrack = True

    def __init__(self, params: Array, delta0: float, etas: Pair, step_sizes: Pair) -> None:
        import torch
        import torchzero

        self.tensor = torch.tensor(params, requires_grad=True)
        (nminus, nplus), (lb, ub) = etas, step_sizes
        rule = torchzero.m.Rprop(nplus, nminus, lb, ub, self.backtrack, alpha=delta0)
        self.optimizer = torchzero.Optimizer([self.tensor], rule, torchzero.m.LR(1))

    @classmethod
    def of(cls, variant: str) -> MakeStepper:
        """Return the adapter of RPROP+ or of iRprop-."""
        return type(cls.__name__, (cls,), {"backtrack": variant == "rprop+"})


class Climin:
    """`climin.Rprop`, which starts with its smallest step and computes in float64."""

    def __init__(self, params: Array, delta0: float, etas: Pair, step_sizes: Pair) -> None:
        import climin

        self.params = params.copy()
        self.grads = params
        low, high = step_sizes
        rule = climin.Rprop(self.params, lambda _: self.grads.copy(), *etas, low, high, delta0)
        self.steps = iter(rule)

    def step(self, grads: Array, loss: float) -> None:  # noqa: ARG002
        """Take a step."""
        self.grads = grads
        next(self.steps)


class Neurolab:
    """`neurolab.train.train_rprop`, driven by the method that it trains a network with."""

    def __init__(self, params: Array, delta0: float, etas: Pair, step_sizes: Pair) -> None:
        with patch.object(np, "Inf", np.inf, create=True):  # its import needs the NumPy of its time
            from neurolab.train.gd import TrainRprop

        rule: Any = TrainRprop.__new__(TrainRprop)
        rule.x, rule.grad_prev = params.copy(), np.zeros_like(params)
        rule.rate = np.zeros_like(params) + delta0
        (rule.rate_dec, rule.rate_inc), (rule.rate_min, rule.rate_max) = etas, step_sizes
        self.rule = rule

    @property
    def params(self) -> Array:
        """The parameters."""
        array: Array = self.rule.x
        return array

    def step(self, grads: Array, loss: float) -> None:  # noqa: ARG002
        """Take a step."""
        self.rule.learn(None, grads)


class Pints:
    """`pints.IRPropMin`, asked and told; its factors are fixed."""

    limits = Limits(etas=(0.5, 1.2))

    def __init__(self, params: Array, delta0: float, etas: Pair, step_sizes: Pair) -> None:  # noqa: ARG002
        import pints

        self.rule: Any = pints.IRPropMin(params, sigma0=delta0)
        low, high = step_sizes
        self.rule.set_min_step_size(low)
        self.rule.set_max_step_size(high if low < high else None)
        (self.params,) = self.rule.ask()

    def step(self, grads: Array, loss: float) -> None:
        """Take a step."""
        self.rule.tell([(loss, grads)])
        (self.params,) = self.rule.ask()


class MindSpore:
    """`mindspore.nn.Rprop`, which computes in float32."""

    def __init__(self, params: Array, delta0: float, etas: Pair, step_sizes: Pair) -> None:
        import mindspore

        self.tensor = mindspore.Parameter(mindspore.Tensor(params), name="w")
        low, high = step_sizes
        self.rule = mindspore.nn.Rprop([self.tensor], delta0, etas, (low, high))

    @property
    def params(self) -> Array:
        """The parameters."""
        array: Array = self.tensor.asnumpy()
        return array

    def step(self, grads: Array, loss: float) -> None:  # noqa: ARG002
        """Take a step."""
        import mindspore

        self.rule((mindspore.Tensor(grads),))
