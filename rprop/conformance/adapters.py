"""The implementations that the command line knows, each behind the interface of `check`."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

from rprop.conformance import peers
from rprop.conformance.cases import MakeStepper
from rprop.conformance.snippets import fill
from rprop.rule.state import Array
from rprop.rule.step import rprop_init, rprop_step

__all__ = ["ADAPTERS", "Adapter", "Core", "Jitted", "Optax", "Paddle", "Torch"]

Pair = tuple[float, float]


class Core:
    """The NumPy core of this package."""

    variant = "irprop-"

    def __init__(self, params: Array, delta0: float, etas: Pair, step_sizes: Pair) -> None:
        self.params, self.state = params, rprop_init(params, delta0)
        self.settings = etas, step_sizes

    @property
    def delta(self) -> Array:
        """The step sizes."""
        return self.state.delta

    def step(self, grads: Array, loss: float) -> None:
        """Take a step."""
        self.params, self.state = rprop_step(
            self.params, grads, self.state, *self.settings, variant=self.variant, loss=loss
        )

    @classmethod
    def of(cls, variant: str) -> type[Core]:
        """Return the adapter of one variant."""
        return type(cls.__name__, (cls,), {"variant": variant})


class Jitted(Core):
    """The core of this package on arrays of JAX, compiled."""

    def __init__(self, params: Array, delta0: float, etas: Pair, step_sizes: Pair) -> None:
        import jax

        jax.config.update("jax_enable_x64", True)
        theirs: Any = jax.numpy.asarray(params)
        super().__init__(theirs, delta0, etas, step_sizes)

    def step(self, grads: Array, loss: float) -> None:
        """Take a step."""
        import jax

        self.params, self.state = compiled()(
            self.params,
            jax.numpy.asarray(grads),
            self.state,
            *self.settings,
            variant=self.variant,
            loss=loss,
        )


@cache
def compiled() -> Callable[..., Any]:
    """Return the step that JAX compiles anew only for other shapes, dtypes and settings."""
    import jax

    return jax.jit(rprop_step, static_argnames=("etas", "step_sizes", "variant"))


class Framework:
    """What the adapters share: a case written down in the calls of the framework."""

    template = ""

    @classmethod
    def snippet(cls, case: dict[str, Any], step: int) -> str:
        """Return code that reproduces a case up to a step."""
        return fill(cls.template, case, step)


class Torch(peers.Tensor, Framework):
    """`torch.optim.Rprop`, one tensor after the other or all at once."""

    foreach = False
    template = """\
import torch
from math import inf, nan
w = torch.tensor({params}, dtype=torch.{dtype}, requires_grad=True)
optimizer = torch.optim.Rprop([w], lr={delta0}, etas=({etas}),
    step_sizes=({step_sizes}), foreach=False)
for grads in {grads}:
    w.grad = torch.tensor(grads, dtype=w.dtype)
    optimizer.step()
print(w.tolist())  # should be {should}"""

    def __init__(self, params: Array, delta0: float, etas: Pair, step_sizes: Pair) -> None:
        import torch

        self.tensor = torch.tensor(params, requires_grad=True)
        self.optimizer = torch.optim.Rprop(
            [self.tensor],
            lr=delta0,
            etas=etas,
            step_sizes=step_sizes,
            foreach=self.foreach,
        )


class TorchForeach(Torch):
    """`torch.optim.Rprop`, all tensors at once."""

    foreach = True
    template = Torch.template.replace("foreach=False", "foreach=True")


class Optax(Framework):
    """`optax.rprop`."""

    template = """\
import jax, optax
from math import inf, nan
jax.config.update("jax_enable_x64", True)
w = jax.numpy.array({params}, "{dtype}")
(eta_minus, eta_plus), (low, high) = ({etas}), ({step_sizes})
rule = optax.rprop({delta0}, eta_minus, eta_plus, low, high)
state = rule.init(w)
for grads in {grads}:
    updates, state = rule.update(jax.numpy.array(grads, w.dtype), state, w)
    w = optax.apply_updates(w, updates)
print(w.tolist())  # should be {should}"""

    def __init__(self, params: Array, delta0: float, etas: Pair, step_sizes: Pair) -> None:
        import jax
        import optax

        jax.config.update("jax_enable_x64", True)
        self.params = jax.numpy.asarray(params)
        low, high = step_sizes
        self.rule = optax.rprop(
            delta0, eta_minus=etas[0], eta_plus=etas[1], min_step_size=low, max_step_size=high
        )
        self.state = self.rule.init(self.params)

    def step(self, grads: Array, loss: float) -> None:  # noqa: ARG002
        """Take a step."""
        import jax
        import optax

        updates, self.state = self.rule.update(jax.numpy.asarray(grads), self.state, self.params)
        self.params = optax.apply_updates(self.params, updates)


class Paddle(Framework):
    """`paddle.optimizer.Rprop`."""

    template = """\
import numpy, paddle
from math import inf, nan
start = numpy.array({params}, "{dtype}")
w = paddle.create_parameter(start.shape, "{dtype}")
w.set_value(start)
optimizer = paddle.optimizer.Rprop({delta0}, ({step_sizes}), [w], ({etas}))
for grads in {grads}:
    w.clear_gradient()
    (w * paddle.to_tensor(grads, w.dtype)).sum().backward()
    optimizer.step()
print(w.tolist())  # should be {should}"""

    def __init__(self, params: Array, delta0: float, etas: Pair, step_sizes: Pair) -> None:
        import paddle

        self.tensor = paddle.create_parameter(params.shape, str(params.dtype))
        self.tensor.set_value(params)
        self.optimizer = paddle.optimizer.Rprop(
            learning_rate=delta0,
            learning_rate_range=step_sizes,
            parameters=[self.tensor],
            etas=etas,
        )

    @property
    def params(self) -> Array:
        """The parameters."""
        array: Array = self.tensor.numpy()
        return array

    def step(self, grads: Array, loss: float) -> None:  # noqa: ARG002
        """Take a step."""
        import paddle

        self.tensor.clear_gradient()
        (self.tensor * paddle.to_tensor(grads)).sum().backward()
        self.optimizer.step()


class Adapter(NamedTuple):
    """A name on the command line."""

    make: Callable[[str], MakeStepper]  # from the variant
    package: str  # what has to be installed: the name that is imported
    variant: str  # what it says it is
    dtypes: tuple[str, ...] = ("float64", "float32", "float16")
    distribution: str = ""  # the name for pip, where it is another


DOUBLE = ("float64",)
ADAPTERS = {
    "rprop": Adapter(Core.of, "rprop", "irprop-"),
    "rprop under jax.jit": Adapter(Jitted.of, "jax", "irprop-"),
    "torch.optim.Rprop": Adapter(lambda _: Torch, "torch", "irprop-"),
    "torch.optim.Rprop(foreach=True)": Adapter(lambda _: TorchForeach, "torch", "irprop-"),
    "optax.rprop": Adapter(lambda _: Optax, "optax", "irprop-"),
    "paddle.optimizer.Rprop": Adapter(
        lambda _: Paddle, "paddle", "irprop-", ("float64", "float32"), "paddlepaddle"
    ),
    "torchzero.m.Rprop": Adapter(peers.TorchZero.of, "torchzero", "rprop+", ("float64", "float32")),
    "torchzero.m.Rprop(backtrack=False)": Adapter(
        peers.TorchZero.of, "torchzero", "irprop-", ("float64", "float32")
    ),
    "climin.Rprop": Adapter(lambda _: peers.Climin, "climin", "rprop-", DOUBLE),
    "neurolab.train.train_rprop": Adapter(lambda _: peers.Neurolab, "neurolab", "rprop-", DOUBLE),
    "pints.IRPropMin": Adapter(lambda _: peers.Pints, "pints", "irprop-", DOUBLE),
    "mindspore.nn.Rprop": Adapter(lambda _: peers.MindSpore, "mindspore", "irprop-", ("float32",)),
}
