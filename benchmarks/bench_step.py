"""Time one step against torch, optax and the memory: ``python -m benchmarks.bench_step``.

Every round times all candidates once, one after the other; reported are medians, and ratios of
medians in one run. The memory limit is the time that ``np.add(b, c, out=a)`` takes in the same
round, scaled from the 3 numbers it moves to what an iRprop- step must: it reads params, grads,
delta and the remembered sign, and writes params, delta, sign and update, which is 6 numbers and 2
bytes for each coordinate. The table is printed, the JSON kept in ``benchmarks/results/step.json``.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import time
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from rprop import rprop_init, rprop_step

RESULT = Path(__file__).parent / "results" / "step.json"
SIZES = (1, 10, 10**3, 10**5, 10**7)
Candidate = Callable[[], Any]


def ours(params: np.ndarray, grads: np.ndarray) -> dict[str, Candidate]:
    """Return our paths."""
    found: dict[str, Candidate] = {}
    state = rprop_init(params)
    mine = params.copy(), rprop_init(params)

    def threads(count: int) -> None:
        os.environ["RPROP_NUM_THREADS"] = str(count)

    def in_place(count: int) -> Candidate:
        def run() -> None:
            threads(count)
            rprop_step(mine[0], grads, mine[1], out=mine)

        return run

    def allocating() -> None:
        threads(2)
        rprop_step(params, grads, state)

    found["NumPy, out, 1 thread"] = in_place(1)
    found["NumPy, out, 2 threads"] = in_place(2)
    found["NumPy, allocating"] = allocating
    with suppress(ImportError):
        compiled = importlib.import_module("rprop.compiled")
        theirs = params.copy(), rprop_init(params)
        found["compiled, out"] = lambda: compiled.rprop_step(
            theirs[0], grads, theirs[1], out=theirs
        )
    return found


def torchs(params: np.ndarray, grads: np.ndarray) -> dict[str, Candidate]:
    """Return torch's optimizer, one tensor at a time, all at once and compiled."""
    with suppress(ImportError):
        import torch

        torch.set_num_threads(2)
        found: dict[str, Candidate] = {}
        for name, foreach in (("torch single", False), ("torch foreach", True)):
            tensor = torch.tensor(params, requires_grad=True)
            tensor.grad = torch.tensor(grads)
            found[name] = torch.optim.Rprop([tensor], lr=0.1, foreach=foreach).step
        tensor = torch.tensor(params, requires_grad=True)
        tensor.grad = torch.tensor(grads)
        optimizer = torch.optim.Rprop([tensor], lr=0.1)
        found["torch compiled"] = torch.compile(optimizer.step)
        return found
    return {}


def optaxs(params: np.ndarray, grads: np.ndarray) -> dict[str, Candidate]:
    """Return optax's rule, jitted, with its buffers donated."""
    with suppress(ImportError):
        import jax
        import optax

        jax.config.update("jax_enable_x64", True)
        rule = optax.rprop(0.1)

        def step(params: Any, state: Any, grads: Any) -> Any:
            updates, state = rule.update(grads, state, params)
            return optax.apply_updates(params, updates), state

        jitted = jax.jit(step, donate_argnums=(0, 1))
        slope = jax.numpy.asarray(grads)
        held = [jax.numpy.asarray(params), rule.init(jax.numpy.asarray(params))]

        def run() -> None:
            held[:] = jitted(*held, slope)
            jax.block_until_ready(held)

        return {"optax jitted, donated": run}
    return {}


def measure(size: int, dtype: str, seconds: float) -> dict[str, float]:
    """Return the median time of every candidate."""
    rng = np.random.default_rng(0)
    params, grads = (rng.standard_normal(size).astype(dtype) for _ in range(2))
    others = rng.standard_normal((3, size)).astype(dtype)
    candidates = {
        "memory": lambda: np.add(others[0], others[1], out=others[2]),
        **ours(params, grads),
        **torchs(params, grads),
        **optaxs(params, grads),
    }
    for name, run in list(candidates.items()):
        try:
            for _ in range(3):
                run()
        except Exception as error:  # noqa: BLE001, a peer that cannot run here is left out
            print(f"left out: {name}: {type(error).__name__}")
            del candidates[name]
    times: dict[str, list[float]] = {name: [] for name in candidates}
    repeat = max(1, 2000 // size)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times["memory"]) < 5:
        grads *= -1  # so that signs flip now and then
        for name, run in candidates.items():
            start = time.perf_counter()
            for _ in range(repeat):
                run()
            times[name].append((time.perf_counter() - start) / repeat)
    medians = {name: median(values) for name, values in times.items()}
    itemsize = np.dtype(dtype).itemsize
    medians["memory limit"] = medians.pop("memory") * (6 * itemsize + 2) / (3 * itemsize)
    return medians


def main() -> None:
    """Measure, print the table, keep the JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=3.0, help="for each size and dtype")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    options = parser.parse_args()
    kept: dict[str, Any] = {"machine": platform.machine(), "cores": os.cpu_count(), "versions": {}}
    for package in ("numpy", "torch", "optax", "jax", "numba"):
        with suppress(ImportError):
            kept["versions"][package] = version(package)
    kept["seconds per step"] = {
        f"{dtype} {size}": measure(size, dtype, options.seconds)
        for dtype in ("float64", "float32")
        for size in options.sizes
    }
    columns = kept["seconds per step"]
    names = list(dict.fromkeys(name for times in columns.values() for name in times))
    print(f"| time over the memory limit | {' | '.join(columns)} |")
    print("| --- |" + " --- |" * len(columns))
    for name in names:
        cells = (
            f"{times[name] / times['memory limit']:.3g}" if name in times else ""
            for times in columns.values()
        )
        print(f"| {name} | {' | '.join(cells)} |")
    limits = (f"{times['memory limit'] * 1e6:.3g} µs" for times in columns.values())
    print(f"| memory limit | {' | '.join(limits)} |")
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
