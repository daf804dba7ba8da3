"""Check a program in any language: a line of JSON for every step on its standard streams."""

from __future__ import annotations

import json
import math
import os
import shlex
import signal
import subprocess
import weakref
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import TIMEOUT_MAX, Thread
from typing import IO, Any, NoReturn

import numpy as np

from rprop.conformance.cases import Declined
from rprop.conformance.snippets import literal
from rprop.rule.state import Array

__all__ = ["Process", "message"]

Pair = tuple[float, float]
LONGEST = 1 << 24  # bytes of an answer; a line without an end would fill the memory
LAST = 500  # bytes of what a program wrote to its standard error
GRACE = 1.0  # seconds for what takes no time, unless somebody else holds a stream


class Program:
    """A running program, asked line by line.

    Threads write and read, for any stream may block for ever; they know nothing of the program,
    which is ended when nobody needs it any more.
    """

    def __init__(self, line: str, timeout: float) -> None:
        self.timeout = timeout
        try:
            self.popen = popen = subprocess.Popen(
                shlex.split(line),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,  # so that its own children end with it
            )
        except (IndexError, OSError, ValueError) as error:
            raise RuntimeError(f"the program {line!r} cannot be started: {error}") from error
        self.asked: SimpleQueue[bytes | None] = SimpleQueue()
        self.answers: SimpleQueue[bytes | None] = SimpleQueue()
        self.errors = bytearray()
        talking = Thread(target=talk, args=(popen, self.asked, self.answers), daemon=True)
        self.listening = Thread(target=listen, args=(popen.stderr, self.errors), daemon=True)
        threads = talking, self.listening
        self.close = weakref.finalize(self, end, popen, self.asked, threads)
        for thread in threads:
            thread.start()

    def ask(self, lines: list[str]) -> bytes:
        """Write lines and read one."""
        self.asked.put("".join(f"{line}\n" for line in lines).encode())
        try:
            answer = self.answers.get(timeout=self.timeout)
        except Empty:
            self.close()
            raise TimeoutError(f"no answer within {self.timeout:g} s{self.said()}") from None
        return answer or self.complain("input" if answer is None else "output")

    def complain(self, stream: str) -> NoReturn:
        """Raise an error that says how the program ended, if it did."""
        try:
            code = self.popen.wait(GRACE)
        except subprocess.TimeoutExpired:
            self.close()
            how = f"closed its standard {stream} and went on"
        else:
            how = (
                f"ended with exit status {code}"
                if code >= 0
                else f"was ended by {signal_name(-code)}"
            )
        raise RuntimeError(f"the program {how}{self.said()}")

    def said(self) -> str:
        """Return the last that the program wrote to its standard error."""
        self.listening.join(GRACE)
        text = bytes(self.errors).decode(errors="replace").strip()
        return f": {text}" if text else ""


def talk(
    popen: subprocess.Popen[bytes],
    asked: SimpleQueue[bytes | None],
    answers: SimpleQueue[bytes | None],
) -> None:
    """Write what is asked and read a line, again and again; None where nothing can be written."""
    assert popen.stdin is not None
    assert popen.stdout is not None
    with suppress(OSError), popen.stdin, popen.stdout:
        while (question := asked.get()) is not None:
            try:
                popen.stdin.write(question)
                popen.stdin.flush()
            except OSError:
                answers.put(None)
            else:
                answers.put(popen.stdout.readline(LONGEST))


def listen(stream: IO[bytes], errors: bytearray) -> None:
    """Keep the last that comes."""
    with stream:
        while some := os.read(stream.fileno(), 1 << 16):
            errors[:] = (errors + some)[-LAST:]


def end(
    popen: subprocess.Popen[bytes], asked: SimpleQueue[bytes | None], threads: tuple[Thread, ...]
) -> None:
    """End a program and what it has started, and let go of its streams."""
    if popen.returncode is None:  # else the number of the process may belong to another by now
        with suppress(ProcessLookupError):
            if hasattr(os, "killpg"):
                os.killpg(popen.pid, signal.SIGKILL)
            else:
                popen.kill()
        popen.wait()
    asked.put(None)
    for thread in threads:
        thread.join(GRACE)


def signal_name(number: int) -> str:
    """Return the name of a signal."""
    known = {one.value: f" ({one.name})" for one in signal.Signals}
    return f"signal {number}{known.get(number, '')}"


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
        if not 0 < timeout < TIMEOUT_MAX:
            raise ValueError(f"timeout must be a positive number of seconds; got {timeout!r}")
        fields = {"line": command, "timeout": timeout, "reuse": reuse, "idle": []}
        return type("Process", (cls,), fields)

    def step(self, grads: Array, loss: float) -> None:
        """Send a gradient; wait for the answer."""
        head, self.head, self.whole = self.head, "", False
        line = self.program.ask([*filter(None, [head]), message(grads.tolist(), loss)])
        try:
            self.params, self.delta = read(line, grads.dtype)
        except Declined:
            self.whole = True
            raise
        self.whole = True

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


def read(line: bytes, dtype: np.dtype[Any]) -> tuple[Array, Array | None]:
    """Return params and delta of an answer."""
    text = line.decode(errors="replace")
    try:
        answer = json.loads(text)
        if "decline" in answer:
            raise Declined(brief(str(answer["decline"])))
        delta = answer.get("delta")
        return numbers(answer["params"], dtype), None if delta is None else numbers(delta, dtype)
    except (
        AttributeError,
        KeyError,
        OverflowError,
        RecursionError,
        TypeError,
        ValueError,
    ) as error:
        raise ValueError(f'the answer must be {{"params": [...]}}; got {brief(text)!r}') from error


def numbers(values: Any, dtype: np.dtype[Any]) -> Array:
    """Return a list of JSON as an array; what is no list has no order."""
    if not isinstance(values, list) or any(isinstance(value, bool) for value in values):
        raise TypeError(f"there must be a list of numbers; got {values!r}")
    with np.errstate(all="ignore"):
        return np.array([float(value) for value in values]).astype(dtype)


def brief(text: str) -> str:
    """Return the beginning of a text as any console can show it."""
    text = text if len(text) < 100 else text[:100] + "..."
    return text.encode(errors="backslashreplace").decode()


def message(grads: list[float], loss: float) -> str:
    """Write what a program is told at a step; JSON has no infinity and no NaN."""
    values = [g if math.isfinite(g) else str(g) for g in grads]
    return json.dumps({"grads": values, "loss": loss if math.isfinite(loss) else str(loss)})
