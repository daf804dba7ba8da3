"""Check a program in any language: a line of JSON for every step on its standard streams."""

from __future__ import annotations

import atexit
import json
import math
import os
import shlex
import signal
import subprocess
from contextlib import suppress
from tempfile import TemporaryFile
from threading import Timer
from typing import Any, NoReturn

import numpy as np

from rprop.conformance.cases import Declined
from rprop.conformance.snippets import literal
from rprop.rule.state import Array

__all__ = ["Process", "message"]

Pair = tuple[float, float]


class Program:
    """A running program, asked line by line."""

    def __init__(self, line: str, timeout: float) -> None:
        self.timeout = timeout
        self.errors = TemporaryFile()  # noqa: SIM115, closed in `close`
        self.popen = subprocess.Popen(
            shlex.split(line),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            errors="replace",
            start_new_session=True,  # so that its own children end with it
        )

    def ask(self, lines: list[str]) -> str:
        """Write lines and read one."""
        timer = Timer(self.timeout, self.end)
        timer.start()
        try:
            assert self.popen.stdin is not None
            assert self.popen.stdout is not None
            self.popen.stdin.write("\n".join(lines) + "\n")
            self.popen.stdin.flush()
            line = self.popen.stdout.readline()
        except BrokenPipeError:  # it ended before it read
            line = ""
        finally:
            late = not timer.is_alive()
            timer.cancel()
        if not line:
            self.complain(late)
        return line

    def end(self) -> None:
        """End the program and what it has started."""
        if self.popen.returncode is not None:
            return  # the number of the process may belong to another by now
        with suppress(ProcessLookupError):
            if hasattr(os, "killpg"):
                os.killpg(self.popen.pid, signal.SIGKILL)
            else:
                self.popen.kill()

    def complain(self, late: bool) -> NoReturn:
        """Raise an error that says how the program ended, with the last it wrote there."""
        if late:
            raise TimeoutError(f"no answer within {self.timeout:g} s")
        code = self.popen.wait()
        self.errors.seek(0)
        written = self.errors.read().decode(errors="replace").strip()[-500:]
        raise RuntimeError(
            f"the program ended with exit status {code}" + (f": {written}" if written else "")
        )

    def close(self) -> None:
        """End it and let go of its streams."""
        self.end()
        self.popen.wait()
        if self.popen.stdout is not None:
            self.popen.stdout.close()
        with suppress(BrokenPipeError):
            if self.popen.stdin is not None:
                self.popen.stdin.close()
        self.errors.close()


class Process:
    """Another program, which speaks one line of JSON per step on its standard streams.

    It reads ``{"params": [...], "delta0": ..., "etas": [...], "step_sizes": [...], "dtype": ...}``
    and then, for every step, ``{"grads": [...], "loss": ...}``, which it answers by
    ``{"params": [...]}``, with ``"delta": [...]`` if it likes, or by ``{"decline": "why"}`` if it
    cannot run such a case, for want of the dtype. Numbers that JSON lacks are the strings "nan",
    "inf" and "-inf". The end of its input is the end of a case; with `reuse`, a line with
    ``"params"`` begins the next case.
    """

    line = ""  # the command as a person types it
    timeout = 10.0  # seconds for one answer
    reuse = False
    idle: list[Program]  # the one program that waits for the next case

    def __init__(self, params: Array, delta0: float, etas: Pair, step_sizes: Pair) -> None:
        self.params = params
        self.delta: Array | None = None
        self.whole = False  # whether the last answer was right
        self.program = self.idle.pop() if self.idle else Program(self.line, self.timeout)
        head = {"params": params.tolist(), "delta0": delta0, "etas": etas, "step_sizes": step_sizes}
        self.head = json.dumps({**head, "dtype": str(params.dtype)})

    @classmethod
    def of(cls, command: str, timeout: float = 10.0, *, reuse: bool = False) -> type[Process]:
        """Return the adapter of one command line.

        Parameters
        ----------
        command : str
            The command line.
        timeout : float, optional
            Seconds for one answer.
        reuse : bool, optional
            Whether one process answers case after case.
        """
        idle: list[Program] = []
        atexit.register(close_all, idle)
        fields = {"line": command, "timeout": timeout, "reuse": reuse, "idle": idle}
        return type("Process", (cls,), fields)

    def step(self, grads: Array, loss: float) -> None:
        """Send a gradient; wait for the answer."""
        head, self.head, self.whole = self.head, "", False
        line = self.program.ask([*filter(None, [head]), message(grads.tolist(), loss)])
        try:
            answer = json.loads(line)
            if "decline" in answer:
                self.whole = True
                raise Declined(str(answer["decline"]))
            params = np.array([float(value) for value in answer["params"]])
            delta = answer.get("delta")
            self.params = params.astype(grads.dtype)
            self.delta = delta if delta is None else np.array(delta, grads.dtype)
            self.whole = True
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            short = line if len(line) < 100 else line[:100] + "..."
            raise ValueError(f'the answer must be {{"params": [...]}}; got {short!r}') from error

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
        if program is None:
            return
        if self.reuse and self.whole and not self.idle:
            self.idle.append(program)
        else:
            program.close()


def close_all(programs: list[Program]) -> None:
    """End programs that wait for a case that will not come."""
    for program in programs:
        program.close()


def message(grads: list[float], loss: float) -> str:
    """Write what a program is told at a step; JSON has no infinity and no NaN."""
    values = [g if math.isfinite(g) else str(g) for g in grads]
    return json.dumps({"grads": values, "loss": loss if math.isfinite(loss) else str(loss)})
