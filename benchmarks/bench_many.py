"""Many problems at once and sums over partitions: time, solve rate, overhead.

Run ``python -m benchmarks.bench_many``. It writes ``benchmarks/results/many.json`` and the figure
``docs/figures/decay_map.png``. Loops over very many problems are timed on the first `LOOPED` of
them, and the time is scaled up; the table says so. Dask is measured where it is installed.
"""

import json
import os
import platform
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # threads slow small problems down, most of all L-BFGS-B
import numpy as np
import scipy
from scipy.optimize import minimize

from rprop import dask_map, minimize_batch, minimize_rprop, sum_over

ROOT = Path(__file__).parents[1]
GTOL = 1e-5
LOOPED = 200
SIZES = (1, 100, 10_000, 100_000)


def huber(X, weights, centres):
    """Return smooth roots of differently weighted distances to a point."""
    away = X - centres
    root = np.sqrt(1 + away * away)
    return (weights * (root - 1)).sum(axis=-1), weights * away / root


def rosenbrock(X, weights, centres):
    """Return Rosenbrock's function with its valley moved and more or less steep."""
    moved, steep = X - centres + 1, 10 * weights[..., 0]
    bend = moved[..., 1] - moved[..., 0] ** 2
    slope = 1 - moved[..., 0]
    gradient = np.stack([-4 * steep * moved[..., 0] * bend - 2 * slope, 2 * steep * bend], axis=-1)
    return steep * bend**2 + slope**2, gradient


def decay(X, signal, times):
    """Return squared residuals of A exp(-R t) and their gradient; X holds A and R."""
    curve = np.exp(-X[..., 1:] * times)
    residual = X[..., :1] * curve - signal
    slope = 2 * residual * curve
    gradient = np.stack([slope.sum(-1), -(slope * times).sum(-1) * X[..., 0]], axis=-1)
    return (residual**2).sum(-1), gradient


def timed(call):
    """Return seconds and the result."""
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def compare(fun, X0, args, in_axes, **options):
    """Solve all problems in a batch, and one by one with both methods."""
    count, few = len(X0), min(len(X0), LOOPED)
    batch_time, batch = timed(
        lambda: minimize_batch(fun, X0, args, in_axes=in_axes, gtol=GTOL, xtol=0, **options)
    )

    def taken(i):
        return tuple(
            arg if axis is None else arg[i] for arg, axis in zip(args, in_axes, strict=True)
        )

    def loop(solve):
        return timed(lambda: [solve(X0[i], taken(i)) for i in range(few)])

    own_time, own = loop(
        lambda x, a: minimize_rprop(fun, x, a, jac=True, gtol=GTOL, xtol=0, **options)
    )
    quasi_time, quasi = loop(
        lambda x, a: minimize(
            fun, x, a, jac=True, method="L-BFGS-B", options={"gtol": GTOL, "ftol": 0}
        )
    )
    scale = count / few
    first = [fun(X0[i], *taken(i))[0] for i in range(few)]
    lowest = np.min([[r.fun for r in own], [r.fun for r in quasi]], axis=0)

    def solved(losses):
        """Tell the part of problems within 1e-7 of the way down to the lowest loss found."""
        return float(np.mean(losses - lowest <= 1e-7 * (first - lowest)))

    return {
        "problems": count,
        "looped": few,
        "seconds": {
            "batch": batch_time,
            "loop over minimize_rprop": own_time * scale,
            "loop over L-BFGS-B": quasi_time * scale,
        },
        "faster than": {
            "loop over minimize_rprop": own_time * scale / batch_time,
            "loop over L-BFGS-B": quasi_time * scale / batch_time,
        },
        "solved": {
            "batch": solved(batch.fun[:few]),
            "loop over minimize_rprop": solved([r.fun for r in own]),
            "loop over L-BFGS-B": solved([r.fun for r in quasi]),
        },
        "median iterations of the batch": float(np.median(batch.nit)),
        "median evaluations of L-BFGS-B": float(np.median([r.nfev for r in quasi])),
    }, batch


def problems():
    """Time two-variable problems."""
    rng = np.random.default_rng(0)
    table = []
    for fun in (huber, rosenbrock):
        for options in ({}, {"variant": "irprop+"}):
            for count in SIZES:
                if count == SIZES[-1] and fun is rosenbrock and options:
                    continue  # a minute
                X0, centres = rng.normal(size=(2, count, 2))
                weights = 10.0 ** rng.uniform(-1, 1, (count, 2))
                row, _ = compare(fun, X0, (weights, centres), (0, 0), **options)
                row = {"function": fun.__name__, "options": options, **row}
                table.append(row)
                show(row)
    return table


def show(row):
    """Print a line of the table."""
    faster, solved = row["faster than"], row["solved"]
    print(
        f"{row['function']:10s} {row['options'] or ''!s:22s} m={row['problems']:6d} "
        f"batch {row['seconds']['batch']:8.3f} s, "
        f"{faster['loop over minimize_rprop']:6.1f}x our loop, "
        f"{faster['loop over L-BFGS-B']:5.1f}x L-BFGS-B, solved "
        f"{solved['batch']:.3f} / {solved['loop over L-BFGS-B']:.3f}",
        flush=True,
    )


def image(side=256, noise=0.02):
    """Fit an exponential decay to every pixel of an image."""
    rng = np.random.default_rng(0)
    times = np.linspace(0.1, 3.0, 12)
    down, across = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    radius = np.hypot(down, 0.8 * across)
    rate = 0.6 + 1.5 * (radius < 0.8) + np.where(np.hypot(down + 0.2, across - 0.3) < 0.25, 1.2, 0)
    rate -= np.where(np.hypot(down - 0.3, across + 0.2) < 0.2, 1.0, 0)
    height = 1 + 0.3 * np.cos(3 * across)
    signal = height[..., None] * np.exp(-rate[..., None] * times)
    signal += noise * rng.normal(size=signal.shape)
    pixels = signal.reshape(-1, len(times))
    X0 = np.ones((len(pixels), 2))
    row, batch = compare(decay, X0, (pixels, times), (0, None))
    fitted = batch.x[:, 1].reshape(side, side)
    row = {"function": "decay", "options": {}, **row}
    row["median error of R"] = float(np.median(abs(fitted - rate)))
    show(row)
    draw(rate, fitted, signal)
    return row


def draw(rate, fitted, signal):
    """Draw the image before and after."""
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(10, 3.5), layout="constrained")
    axes[0].imshow(signal[..., 0], cmap="gray")
    axes[0].set_title("signal at the first of 12 times")
    axes[1].imshow(rate, vmin=0.4, vmax=3.5)
    axes[1].set_title("true decay rate")
    shown = axes[2].imshow(fitted, vmin=0.4, vmax=3.5)
    axes[2].set_title("fitted decay rate")
    for axis in axes:
        axis.set_axis_off()
    figure.colorbar(shown, ax=axes[1:], shrink=0.8, label="decay rate, per unit of time")
    (ROOT / "docs/figures").mkdir(parents=True, exist_ok=True)
    figure.savefig(ROOT / "docs/figures/decay_map.png", dpi=70)


def logistic(x, part):
    """Return the negative log-likelihood of a partition and its gradient."""
    features, labels = part
    margin = labels * (features @ x)
    slope = -labels * np.exp(-np.logaddexp(0, margin))
    return np.logaddexp(0, -margin).sum(), features.T @ slope


def partitions(rounds=60):
    """Time one evaluation of a logistic regression over 8 partitions."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(8, 1000, 20))
    labels = np.where(rng.random((8, 1000)) < 0.5, 1.0, -1.0)
    parts = list(zip(features, labels, strict=True))

    def per_evaluation(map_like):
        fun = sum_over(logistic, parts, map=map_like)
        fun(np.zeros(20))
        return median(timed(lambda: fun(rng.normal(size=20)))[0] for _ in range(rounds))

    costs = {"serial": per_evaluation(map)}
    with ThreadPoolExecutor(2) as pool:
        costs["2 threads"] = per_evaluation(pool.map)
    try:
        from distributed import Client, LocalCluster
    except ImportError:
        print("dask.distributed is not installed")
    else:
        local = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0", "processes": True}
        with (
            LocalCluster(n_workers=2, threads_per_worker=1, **local) as cluster,
            Client(cluster) as client,
        ):
            costs["dask, 2 workers"] = per_evaluation(dask_map(client))
    milliseconds = {name: 1e3 * seconds for name, seconds in costs.items()}
    print("ms an evaluation of 8 partitions:", milliseconds)
    return milliseconds


def reproducibility():
    """Count iterations in which the iterates do not depend on how the data are divided."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(512, 6)) * 10.0 ** np.arange(-2, 4)
    truth = rng.normal(size=6) / 10.0 ** np.arange(-2, 4)
    labels = np.where(rng.random(512) < 1 / (1 + np.exp(-features @ truth)), 1.0, -1.0)

    def paths(run):
        found = []
        for count in (1, 2, 8, 64):
            order = rng.permutation(512) if count > 1 else np.arange(512)
            rows = np.array_split(order, count)
            found.append(run(sum_over(logistic, [(features[r], labels[r]) for r in rows])))
        shortest = min(map(len, found))
        same = [all((path[k] == found[0][k]).all() for path in found) for k in range(shortest)]
        return {"iterates": shortest, "equal from the start": [*same, False].index(False)}

    def own(variant):
        options = {
            "variant": variant,
            "delta0": 0.01,
            "gtol": 0,
            "xtol": 0,
            "ftol": 0,
            "maxiter": 400,
        }
        return lambda fun: minimize_rprop(
            fun, np.zeros(6), jac=True, return_all=True, **options
        ).allvecs[1:]

    def quasi(fun):
        path = []
        options = {"ftol": 0, "gtol": 0, "maxiter": 400}
        keep = lambda x: path.append(x.copy())
        minimize(fun, np.zeros(6), jac=True, method="L-BFGS-B", options=options, callback=keep)
        return path

    table = {"irprop-": paths(own("irprop-")), "irprop+": paths(own("irprop+"))}
    table["L-BFGS-B"] = paths(quasi)
    print("iterates that 1, 2, 8 and 64 shuffled partitions have in common:", table)
    return table


def main():
    """Run everything and write the results."""
    results = {
        "machine": {
            "python": sys.version.split()[0],
            "numpy": np.__version__,
            "scipy": scipy.__version__,
            "processor": platform.machine(),
        },
        "tolerance": f"max |gradient| <= {GTOL}; solved: within 1e-7 of the way to the lowest loss",
        "partitions, ms an evaluation": partitions(),
        "reproducibility": reproducibility(),
        "image": image(),
        "problems": problems(),
    }
    path = ROOT / "benchmarks/results/many.json"
    path.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
