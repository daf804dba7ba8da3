"""The implementations that the command line knows, each behind the interface of `check`."""

from __future__ import annotations

import json
import math
import os
import shlex
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from tempfile import TemporaryFile
from threading import Timer
from typing import Any, NamedTuple, NoReturn

import numpy as np

from rprop.conformance.cases import MakeStepper
from rprop.conformance.snippets import fill, literal
from rprop.rule.state import Array
from rprop.rule.step import rprop_init, rprop_step

__all__ = ["ADAPTERS", "Adapter", "Core", "Jitted", "Optax", "Paddle", "Process", "Torch"]

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


class Torch(Framework):
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


class Process:
    """Another program, which speaks one line of JSON per step on its standard streams.

    It reads ``{"params": [...], "delta0": ..., "etas": [...], "step_sizes": [...], "dtype": ...}``
    and then, for every step, ``{"grads": [...], "loss": ...}``, which it answers by
    ``{"params": [...]}``, with ``"delta": [...]`` if it likes. Numbers that JSON lacks are the
    strings "nan", "inf" and "-inf". The end of its input is the end of a case.
    """

    line = ""  # the command as a person types it
    timeout = 10.0  # seconds for one answer

    def __init__(self, params: Array, delta0: float, etas: Pair, step_sizes: Pair) -> None:
        self.params = params
        self.delta: Array | None = None
        self.errors = TemporaryFile()  # noqa: SIM115, closed in __del__
        self.program = subprocess.Popen(
            shlex.split(self.line),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            errors="replace",
            start_new_session=True,  # so that its own children end with it
        )
        head = {"params": params.tolist(), "delta0": delta0, "etas": etas, "step_sizes": step_sizes}
        self.head = json.dumps({**head, "dtype": str(params.dtype)})

    @classmethod
    def of(cls, command: str, timeout: float = 10.0) -> type[Process]:
        """Return the adapter of one command line."""
        return type("Process", (cls,), {"line": command, "timeout": timeout})

    def step(self, grads: Array, loss: float) -> None:
        """Send a gradient; wait for the answer."""
        timer = Timer(self.timeout, self.end)
        timer.start()
        head, self.head = self.head, ""
        try:
            line = self.ask([*filter(None, [head]), message(grads.tolist(), loss)])
        except BrokenPipeError:  # it ended before it read
            line = ""
        finally:
            late = not timer.is_alive()
            timer.cancel()
        if not line:
            self.complain(late)
        try:
            answer = json.loads(line)
            params = np.array([float(value) for value in answer["params"]])
            delta = answer.get("delta")
            self.params = params.astype(grads.dtype)
            self.delta = delta if delta is None else np.array(delta, grads.dtype)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            short = line if len(line) < 100 else line[:100] + "..."
            raise ValueError(f'the answer must be {{"params": [...]}}; got {short!r}') from error

    def end(self) -> None:
        """End the program and what it has started."""
        if self.program.returncode is not None:
            return  # the number of the process may belong to another by now
        with suppress(ProcessLookupError):
            if hasattr(os, "killpg"):
                os.killpg(self.program.pid, signal.SIGKILL)
            else:
                self.program.kill()

    def ask(self, lines: list[str]) -> str:
        """Write lines and read one."""
        assert self.program.stdin is not None
        assert self.program.stdout is not None
        self.program.stdin.write("\n".join(lines) + "\n")
        self.program.stdin.flush()
        return self.program.stdout.readline()

    def complain(self, late: bool) -> NoReturn:
        """Raise an error that says how the program ended, with the last it wrote there."""
        if late:
            raise TimeoutError(f"no answer within {self.timeout:g} s")
        code = self.program.wait()
        self.errors.seek(0)
        written = self.errors.read().decode(errors="replace").strip()[-500:]
        raise RuntimeError(
            f"the program ended with exit status {code}" + (f": {written}" if written else "")
        )

    def snippet(self, case: dict[str, Any], step: int) -> str:
        """Return the case as a line for the shell."""
        values = {name: case[name]["decimal"] for name in ("etas", "step_sizes")}
        numbers = {name: [*map(float, pair)] for name, pair in values.items()}
        params = [float(w) for w in case["params"]["decimal"]] * case["repeat"]
        lines = [{"params": params, "delta0": float(case["delta0"]["decimal"]), **numbers}]
        lines[0]["dtype"] = case["dtype"]
        texts = [json.dumps(lines[0])]
        for line in case["steps"][: max(step, 1)]:
            grads = [float(g) for g in line["grads"]["decimal"]] * case["repeat"]
            texts.append(message(grads, float(line["loss"]["decimal"])))
        quoted = " \\\n    ".join(f"'{text}'" for text in texts)
        should = literal(case["steps"][max(step, 1) - 1]["params"], case["repeat"])
        return f"printf '%s\\n' {quoted} \\\n    | {self.line}  # should end with {should}"

    def __del__(self) -> None:
        program = getattr(self, "program", None)
        if program is not None:
            self.end()
            program.wait()
            program.stdout.close()
            with suppress(BrokenPipeError):
                program.stdin.close()
            self.errors.close()


def message(grads: list[float], loss: float) -> str:
    """Write what a program is told at a step; JSON has no infinity and no NaN."""
    values = [g if math.isfinite(g) else str(g) for g in grads]
    return json.dumps({"grads": values, "loss": loss if math.isfinite(loss) else str(loss)})


class Adapter(NamedTuple):
    """A name on the command line."""

    make: Callable[[str], MakeStepper]  # from the variant
    package: str  # what has to be installed
    variant: str  # what it says it is
    dtypes: tuple[str, ...] = ("float64", "float32", "float16")


ADAPTERS = {
    "rprop": Adapter(Core.of, "rprop", "irprop-"),
    "rprop under jax.jit": Adapter(Jitted.of, "jax", "irprop-"),
    "torch.optim.Rprop": Adapter(lambda _: Torch, "torch", "irprop-"),
    "torch.optim.Rprop(foreach=True)": Adapter(lambda _: TorchForeach, "torch", "irprop-"),
    "optax.rprop": Adapter(lambda _: Optax, "optax", "irprop-"),
    "paddle.optimizer.Rprop": Adapter(
        lambda _: Paddle, "paddle", "irprop-", ("float64", "float32")
    ),
}
