"""Runs as figures, in colours that every kind of colour vision tells apart.

Needs matplotlib: ``pip install rprop[plot]``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from scipy.optimize import OptimizeResult

from rprop.rule.state import Array
from rprop.teaching.trace import Trace

__all__ = ["plot_delta", "plot_history", "plot_trajectory"]


# Okabe and Ito's colours; markers and line styles repeat what they say.
COLOURS = ["#D55E00", "#0072B2", "#009E73", "#E69F00", "#CC79A7", "#000000"]
STYLES = ["-", "--", "-.", ":"]
MARKERS = ["o", "s", "^", "v"]
LEVELS = 24


def plot_trajectory(
    res: OptimizeResult | Trace,
    fun: Callable[[Array], Any],
    *,
    ax: Any = None,
    margin: float = 0.25,
) -> Any:
    """Draw the path of a run over the contours of its function.

    Parameters
    ----------
    res : OptimizeResult or Trace
        Of two variables; a result of `minimize_rprop` with ``return_all=True``, or a `Trace`.
    fun : callable
        ``fun(x) -> loss`` or ``-> (loss, gradient)``.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default a new figure.
    margin : float, optional
        Room around the path, as a part of its extent.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If `res` holds no path of two variables.
    """
    path = iterates(res)
    if path.ndim != 2 or path.shape[1] != 2:
        raise ValueError(f"res must be a run of two variables; got a path of shape {path.shape}")
    ax = plt.figure(layout="constrained").add_subplot() if ax is None else ax
    low, high = path.min(axis=0), path.max(axis=0)
    room = margin * max(*(high - low), 1e-12)
    u, v = (np.linspace(a - room, b + room, 160) for a, b in zip(low, high, strict=True))
    heights = np.array([[first(fun(np.array([a, b]))) for a in u] for b in v])
    ranks = np.unique(np.quantile(heights[np.isfinite(heights)], np.linspace(0, 1, LEVELS)))
    if ranks.size > 1:  # by rank, so that valleys and heights show alike
        ax.contourf(u, v, heights, levels=ranks, cmap="cividis", alpha=0.55)
        ax.contour(u, v, heights, levels=ranks, colors="0.45", linewidths=0.4)
    ax.plot(*path.T, "-o", color="black", markersize=3.5, linewidth=1.2, label="path")
    ax.plot(*path[0], "D", color="#E69F00", markeredgecolor="black", label="start")
    ax.plot(*path[-1], "*", color="white", markeredgecolor="black", markersize=12, label="end")
    ax.set(xlabel="$x_1$", ylabel="$x_2$")
    ax.legend(loc="best", fontsize="small")
    return ax


def plot_delta(trace: Trace, *, ax: Any = None) -> Any:
    """Draw the step size Δ of each coordinate of a trace.

    Parameters
    ----------
    trace : Trace
        From `rprop_trace`.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax = plt.figure(layout="constrained").add_subplot() if ax is None else ax
    for j, index in enumerate(trace.coordinates):
        name = ",".join(str(i + 1) for i in index)
        ax.plot(
            trace.rows["step"][:, j],
            trace.rows["delta"][:, j],
            color=COLOURS[j % len(COLOURS)],
            linestyle=STYLES[j % len(STYLES)],
            marker=MARKERS[j % len(MARKERS)],
            markersize=4,
            label=rf"$\Delta_{{{name}}}$",
        )
    ax.set(yscale="log", xlabel="step", ylabel="step size Δ")
    ax.legend(fontsize="small")
    return ax


def plot_history(res: OptimizeResult, *, axes: Any = None) -> Any:
    """Draw the loss and the step sizes of a run over its iterations.

    Parameters
    ----------
    res : OptimizeResult
        Of `minimize_rprop` with ``history=True``.
    axes : pair of matplotlib.axes.Axes, optional
        Where to draw loss and step sizes; by default a new figure.

    Returns
    -------
    ndarray of two matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If the run was not recorded.
    """
    if "history" not in res:
        raise ValueError("res must come from minimize_rprop with history=True; got no history")
    h = res.history
    if axes is None:
        figure = plt.figure(layout="constrained")
        axes = figure.subplots(2, sharex=True)
    above, below = axes
    above.plot(h["nit"], h["fun"], color=COLOURS[1], label="loss")
    above.plot(h["nit"], h["best_fun"], "--", color=COLOURS[0], label="best so far")
    above.set_yscale("log" if (h["fun"] > 0).all() else "linear")
    above.set_ylabel("loss")
    below.fill_between(
        h["nit"],
        h["delta_min"],
        h["delta_max"],
        color="#56B4E9",
        alpha=0.5,
        label="Δ, smallest to largest",
    )
    below.plot(h["nit"], h["delta_median"], color="black", label="Δ, median")
    below.set(yscale="log", xlabel="iteration", ylabel="step size Δ")
    for ax in axes:
        ax.legend(fontsize="small")
    return np.asarray(axes)


def iterates(res: OptimizeResult | Trace) -> Array:
    """Return the points of a run, one a row."""
    if isinstance(res, Trace):
        return np.vstack([res.rows["x"], res.x])
    if "allvecs" not in res:
        raise ValueError("res must come from minimize_rprop with return_all=True; got no allvecs")
    return np.array(res.allvecs)


def first(value: Any) -> Any:
    """Return the loss of (loss, gradient), or the loss."""
    return value[0] if isinstance(value, tuple) else value
