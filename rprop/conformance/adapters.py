"""The implementations that the command line knows, each behind the interface of `check`."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Callable
from threading import Timer
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rprop.conformance.checker import MakeStepper, literal
from rprop.core import rprop_init, rprop_step

__all__ = ["ADAPTERS", "Adapter", "Core", "Optax", "Paddle", "Process", "Torch"]

Array = NDArray[Any]
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
        return type("Core", (cls,), {"variant": variant})


class Torch:
    """`torch.optim.Rprop`, one tensor after the other or all at once."""

    options = "foreach=False"

    def __init__(self, params: Array, delta0: float, etas: Pair, step_sizes: Pair) -> None:
        import torch

        self.tensor = torch.tensor(params, requires_grad=True)
        self.optimizer = torch.optim.Rprop(
            [self.tensor],
            lr=delta0,
            etas=etas,
            step_sizes=step_sizes,
            foreach=self.options == "foreach=True",
        )

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

    def snippet(self, case: dict[str, Any], step: int) -> str:
        """Return the case in torch's own calls."""
        etas, limits = (", ".join(case[name]["decimal"]) for name in ("etas", "step_sizes"))
        rows = ",\n    ".join(literal(line["grads"]) for line in case["steps"][:step])
        return (
            "import torch\nfrom math import inf, nan\n"
            f"w = torch.tensor({literal(case['params'])}, dtype=torch.{case['dtype']},"
            " requires_grad=True)\n"
            f"optimizer = torch.optim.Rprop([w], lr={case['delta0']['decimal']}, etas=({etas}),\n"
            f"    step_sizes=({limits}), {self.options})\n"
            f"for grads in [\n    {rows},\n]:\n"
            "    w.grad = torch.tensor(grads, dtype=w.dtype)\n"
            "    optimizer.step()\n"
            f"print(w)  # should be {literal(case['steps'][step - 1]['params'])}"
        )


class TorchForeach(Torch):
    """`torch.optim.Rprop`, all tensors at once."""

    options = "foreach=True"


class Optax:
    """`optax.rprop`."""

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

    def snippet(self, case: dict[str, Any], step: int) -> str:
        """Return the case in optax's own calls."""
        (minus, plus), (low, high) = (case[name]["decimal"] for name in ("etas", "step_sizes"))
        rows = ",\n    ".join(literal(line["grads"]) for line in case["steps"][:step])
        return (
            "import jax, optax\nfrom math import inf, nan\n"
            "jax.config.update('jax_enable_x64', True)\n"
            f"w = jax.numpy.array({literal(case['params'])}, {case['dtype']!r})\n"
            f"rule = optax.rprop({case['delta0']['decimal']}, eta_minus={minus}, eta_plus={plus},\n"
            f"    min_step_size={low}, max_step_size={high})\n"
            "state = rule.init(w)\n"
            f"for grads in [\n    {rows},\n]:\n"
            "    updates, state = rule.update(jax.numpy.array(grads, w.dtype), state, w)\n"
            "    w = optax.apply_updates(w, updates)\n"
            f"print(w)  # should be {literal(case['steps'][step - 1]['params'])}"
        )


class Paddle:
    """`paddle.optimizer.Rprop`."""

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

    def snippet(self, case: dict[str, Any], step: int) -> str:
        """Return the case in paddle's own calls."""
        etas, limits = (", ".join(case[name]["decimal"]) for name in ("etas", "step_sizes"))
        rows = ",\n    ".join(literal(line["grads"]) for line in case["steps"][:step])
        return (
            "import numpy, paddle\nfrom math import inf, nan\n"
            f"w = paddle.create_parameter([{len(case['params']['hex'])}], {case['dtype']!r})\n"
            f"w.set_value(numpy.array({literal(case['params'])}, {case['dtype']!r}))\n"
            f"optimizer = paddle.optimizer.Rprop({case['delta0']['decimal']}, ({limits}),\n"
            f"    [w], ({etas}))\n"
            f"for grads in [\n    {rows},\n]:\n"
            "    w.clear_gradient()\n"
            "    (w * paddle.to_tensor(grads, w.dtype)).sum().backward()\n"
            "    optimizer.step()\n"
            f"print(w)  # should be {literal(case['steps'][step - 1]['params'])}"
        )


class Process:
    """Another program, which speaks one line of JSON per step on its standard streams.

    It reads ``{"params": [...], "delta0": ..., "etas": [...], "step_sizes": [...], "dtype": ...}``
    and then, for every step, ``{"grads": [...], "loss": ...}``, which it answers by
    ``{"params": [...]}``, with ``"delta": [...]`` if it likes. Numbers that JSON lacks are the
    strings "nan", "inf" and "-inf". The end of its input is the end of a case.
    """

    command: tuple[str, ...] = ()
    timeout = 10.0  # seconds for one answer

    def __init__(self, params: Array, delta0: float, etas: Pair, step_sizes: Pair) -> None:
        self.params = params
        self.delta: Array | None = None
        self.program = subprocess.Popen(
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        head = {"params": params.tolist(), "delta0": delta0, "etas": etas, "step_sizes": step_sizes}
        self.send({**head, "dtype": str(params.dtype)})

    @classmethod
    def of(cls, command: str, timeout: float = 10.0) -> type[Process]:
        """Return the adapter of one command line."""
        return type("Process", (cls,), {"command": shlex.split(command), "timeout": timeout})

    def send(self, message: dict[str, Any]) -> None:
        """Write a line."""
        assert self.program.stdin is not None
        self.program.stdin.write(json.dumps(message) + "\n")
        self.program.stdin.flush()

    def step(self, grads: Array, loss: float) -> None:
        """Send a gradient; wait for the answer."""
        assert self.program.stdout is not None
        finite = [g if np.isfinite(g) else str(g) for g in grads.tolist()]
        timer = Timer(self.timeout, self.program.kill)
        timer.start()
        try:
            self.send({"grads": finite, "loss": loss if np.isfinite(loss) else str(loss)})
            line = self.program.stdout.readline()
        finally:
            timer.cancel()
        if not line:
            code = self.program.wait()
            raise RuntimeError(f"no answer within {self.timeout:g} s; exit status {code}")
        try:
            answer = json.loads(line)
            params = np.array([float(value) for value in answer["params"]])
            delta = answer.get("delta")
            self.params = params.astype(grads.dtype)
            self.delta = delta if delta is None else np.array(delta, grads.dtype)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f'the answer must be {{"params": [...]}}; got {line!r}') from error

    def __del__(self) -> None:
        program = getattr(self, "program", None)
        if program is not None:
            program.stdin.close()
            program.stdout.close()
            program.kill()
            program.wait()


class Adapter(NamedTuple):
    """A name on the command line."""

    make: Callable[[str], MakeStepper]  # from the variant
    package: str  # what has to be installed
    variant: str  # what it says it is
    dtypes: tuple[str, ...] = ("float64", "float32", "float16")


ADAPTERS = {
    "rprop": Adapter(Core.of, "rprop", "irprop-"),
    "torch.optim.Rprop": Adapter(lambda _: Torch, "torch", "irprop-"),
    "torch.optim.Rprop(foreach=True)": Adapter(lambda _: TorchForeach, "torch", "irprop-"),
    "optax.rprop": Adapter(lambda _: Optax, "optax", "irprop-"),
    "paddle.optimizer.Rprop": Adapter(
        lambda _: Paddle, "paddle", "irprop-", ("float64", "float32")
    ),
}
