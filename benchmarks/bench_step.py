"""Time one step against torch, optax and the memory: ``python -m benchmarks.bench_step``.

Every round times all candidates once, in random order; reported are medians, and ratios of
medians in one run. The memory limit is the time that ``np.add(b, c, out=a)`` takes in the same
round, by one thread or by two with a half each, scaled from the 3 numbers it moves to what an
iRprop- step must: it reads params, grads, delta and the remembered sign, and writes params, delta,
sign and update, which is 6 numbers and 2 bytes for each coordinate. The tables are printed; JSON
and figure are kept in ``benchmarks/results``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from rprop import rprop_init, rprop_step

RESULT = Path(__file__).parent / "results" / "step.json"
SIZES = (1, 10, 10**3, 10**5, 10**7)
THREADS = "RPROP_NUM_THREADS"
LIMITS = ("memory, 1 thread", "memory, 2 threads")
#: What the figure shows.
SHOWN = {
    "NumPy, out, 2 threads": "C0-o",
    "compiled, out": "C2-s",
    "torch foreach": "C1--v",
    "torch compiled": "C3--^",
    "optax jitted, donated": "C4--d",
}
Candidate = Callable[[], Any]


def memory(size: int, dtype: str) -> dict[str, Candidate]:
    """Return sums of two arrays, by one thread and by two."""
    a, b, c = np.random.default_rng(0).standard_normal((3, size)).astype(dtype)
    middle = max(1, size // 2)
    halves = [(array[:middle], array[middle:]) for array in (a, b, c)]
    pool = ThreadPoolExecutor(2)
    return {
        LIMITS[0]: lambda: np.add(b, c, out=a),
        LIMITS[1]: lambda: list(pool.map(np.add, *halves[1:], halves[0])),
    }


def ours(params: np.ndarray, grads: np.ndarray) -> dict[str, Candidate]:
    """Return our paths; a name that ends in threads is run with as many."""
    state = rprop_init(params)
    mine = params.copy(), rprop_init(params)

    def in_place() -> None:
        rprop_step(mine[0], grads, mine[1], out=mine)

    found: dict[str, Candidate] = {
        "NumPy, out, 1 thread": in_place,
        "NumPy, out, 2 threads": in_place,
        "NumPy, new, 2 threads": lambda: rprop_step(params, grads, state),
    }
    with suppress(ImportError):
        compiled = import_module("rprop.rule.compiled")
        theirs = params.copy(), rprop_init(params)
        found["compiled, out"] = lambda: compiled.rprop_step(
            theirs[0], grads, theirs[1], out=theirs
        )
    return found


def torchs(params: np.ndarray, grads: np.ndarray) -> dict[str, Candidate]:
    """Return torch's optimizer, one tensor at a time, all at once and compiled; and ours."""
    with suppress(ImportError):
        import torch

        torch.set_num_threads(2)
        torch.compiler.reset()  # or it stops to compile after a few sizes
        found: dict[str, Candidate] = {}
        slope = torch.tensor(grads)

        def optimizer(foreach: bool) -> Any:
            tensor = torch.tensor(params, requires_grad=True)
            tensor.grad = slope
            return torch.optim.Rprop([tensor], lr=0.1, foreach=foreach)

        found["torch single"] = optimizer(False).step
        found["torch foreach"] = optimizer(True).step
        found["torch compiled"] = torch.compile(optimizer(False).step)
        step = torch.compile(rprop_step)
        held = [torch.tensor(params), rprop_init(torch.tensor(params))]

        def run() -> None:
            held[:] = step(held[0], slope, held[1])

        found["ours under torch.compile"] = run
        return found
    return {}


def jaxs(params: np.ndarray, grads: np.ndarray) -> dict[str, Candidate]:
    """Return optax's rule and ours, jitted, with their buffers donated."""
    found: dict[str, Candidate] = {}
    with suppress(ImportError):
        import jax
        import optax

        jax.config.update("jax_enable_x64", True)
        rule, slope = optax.rprop(0.1), jax.numpy.asarray(grads)

        def step(params: Any, grads: Any, state: Any) -> Any:
            updates, state = rule.update(grads, state, params)
            return optax.apply_updates(params, updates), state

        def candidate(step: Any, init: Any) -> Candidate:
            jitted = jax.jit(step, donate_argnums=(0, 2))
            held = [jax.numpy.array(params), init(jax.numpy.array(params))]

            def run() -> None:
                held[:] = jitted(held[0], slope, held[1])
                jax.block_until_ready(held)

            return run

        found["optax jitted, donated"] = candidate(step, rule.init)
        found["ours jitted, donated"] = candidate(rprop_step, rprop_init)
    return found


def measure(size: int, dtype: str, seconds: float) -> dict[str, float]:
    """Return the median time of every candidate."""
    rng = np.random.default_rng(0)
    params, grads = (rng.standard_normal(size).astype(dtype) for _ in range(2))
    makers = (ours, torchs, jaxs)
    candidates = memory(size, dtype)
    for maker in makers:
        candidates |= maker(params, grads)
    for name, run in list(candidates.items()):
        try:
            for _ in range(3):
                run()
        except Exception as error:  # noqa: BLE001, a peer that cannot run here is left out
            print(f"left out: {name}: {type(error).__name__}: {error}"[:300])
            del candidates[name]
    times: dict[str, list[float]] = {name: [] for name in candidates}
    repeat = max(1, 2000 // size)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times[LIMITS[0]]) < 5:
        grads *= -1  # so that signs flip now and then
        for name in rng.permutation(list(candidates)):  # one may leave a cold cache to the next
            run = candidates[name]
            os.environ[THREADS] = "1" if name.endswith("1 thread") else "2"
            start = time.perf_counter()
            for _ in range(repeat):
                run()
            times[name].append((time.perf_counter() - start) / repeat)
    medians = {name: median(values) for name, values in times.items()}
    itemsize = np.dtype(dtype).itemsize
    for name in LIMITS:
        medians[name] *= (6 * itemsize + 2) / (3 * itemsize)
    return medians


def extra_memory(size: int, dtype: str) -> dict[str, float]:
    """Return the peak of memory that a step takes beyond its results, in MiB."""
    params = np.ones(size, dtype)
    state = rprop_init(params)
    result = params.copy(), rprop_init(params)
    os.environ[THREADS] = "2"
    peaks = {}
    for name, options in {"NumPy, out": {"out": result}, "NumPy, new": {}}.items():
        tracemalloc.start()
        new = rprop_step(params, params, state, **options)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        if not options:
            peak -= sum(array.nbytes for array in (new[0], *new[1]))
        peaks[name] = peak / 2**20
    return peaks


def table(columns: dict[str, dict[str, float]]) -> str:
    """Return times over the memory limit of one thread as a table in Markdown."""
    names = list(dict.fromkeys(name for times in columns.values() for name in times))
    lines = [
        f"| time over the memory limit | {' | '.join(columns)} |",
        "| --- |" + " --- |" * len(columns),
    ]
    for name in names:
        cells = (
            f"{times[name] / times[LIMITS[0]]:.2f}" if name in times else ""
            for times in columns.values()
        )
        lines.append(f"| {name} | {' | '.join(cells)} |")
    limits = (f"{times[LIMITS[0]] * 1e6:.3g} µs" for times in columns.values())
    lines.append(f"| the limit itself | {' | '.join(limits)} |")
    return "\n".join(lines)


def draw(columns: dict[str, dict[str, float]], path: Path) -> None:
    """Draw times over the memory limit against the size."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(9, 4), sharey=True, layout="constrained")
    for axes, dtype in zip(panels, ("float64", "float32"), strict=True):
        mine = {int(k.split()[1]): v for k, v in columns.items() if k.startswith(dtype)}
        for name, form in SHOWN.items():
            points = [(n, t[name] / t[LIMITS[0]]) for n, t in mine.items() if name in t]
            axes.loglog(*zip(*points, strict=True), form, label=name)
        axes.axhline(1, color="0.5", linewidth=1)
        axes.set(title=dtype, xlabel="coordinates")
    panels[0].set_ylabel("time over the memory limit of one thread")
    figure.legend(*panels[1].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    figure.savefig(path, dpi=120)


def main() -> None:
    """Measure, print the tables, keep JSON and figure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=3.0, help="for each size and dtype")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    options = parser.parse_args()
    kept: dict[str, Any] = {"machine": platform.machine(), "cores": os.cpu_count(), "versions": {}}
    for package in ("numpy", "torch", "optax", "jax", "numba"):
        with suppress(ImportError):
            kept["versions"][package] = version(package)
    columns = kept["seconds per step"] = {}
    for dtype in ("float64", "float32"):
        for size in options.sizes:
            columns[f"{dtype} {size}"] = measure(size, dtype, options.seconds)
            print(f"measured {dtype} {size}", flush=True)
    kept["extra MiB"] = {
        f"{dtype} {size}": extra_memory(size, dtype)
        for dtype in ("float64", "float32")
        for size in options.sizes[-1:]
    }
    print(table(columns))
    print(json.dumps(kept["extra MiB"]))
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    with suppress(ImportError):
        draw(columns, RESULT.with_suffix(".png"))


if __name__ == "__main__":
    main()
