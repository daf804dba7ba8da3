"""`python -m rprop`: the method's story, on three problems.

Numbers go to the terminal as tables; ``--plot FILE.png`` draws them too.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from rprop import __version__, minimize_rprop, rprop_init, rprop_step
from rprop.rule.state import Array

STARTS = np.array([-8.0, -5.0, -2.0, 4.0, 7.0, 10.0])
"""Where the searches for the minimum at x = 1 begin."""
RATES = np.geomspace(1e-20, 1e20, 2001)
"""The learning rates that gradient descent may choose from: 50 a decade."""
GAP = "loss − least possible loss"
AXES = "iRprop+ on the axes"
COLOURS = {"Rprop": "#0072b2", AXES: "#009e73"}
"""Told apart by the colour-blind; every other method is orange and dashed."""


class Panel(NamedTuple):
    """One panel of the figure: curves by their label, over steps or evaluations."""

    title: str
    across: str
    up: str
    curves: dict[str, Array]


# 1. Gradients that explode and gradients that vanish


def explode(x: Array) -> Array:
    """Return the gradient of (x - 1)^8, which is 4e7 at x = 10."""
    return 8 * (x - 1) ** 7


def vanish(x: Array) -> Array:
    """Return the gradient of u^2 / (1 + u^2) with u = x - 1, a well in a plain."""
    return 2 * (x - 1) / (1 + (x - 1) ** 2) ** 2


def gradient_descent(slope: Callable[[Array], Array], rates: Array, steps: int) -> Array:
    """Return x after 0, 1, ... steps from every start with every learning rate."""
    path = [np.tile(STARTS, (len(rates), 1))]
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(steps):
            path.append(path[-1] - rates[:, np.newaxis] * slope(path[-1]))
    return np.stack(path)


def resilient(slope: Callable[[Array], Array], steps: int) -> Array:
    """Return x after 0, 1, ... steps of Rprop from every start."""
    path, state = [STARTS], rprop_init(STARTS)
    for _ in range(steps):
        x, state = rprop_step(path[-1], slope(path[-1]), state)
        path.append(x)
    return np.stack(path)


def distance(path: Array) -> Array:
    """Return the largest distance from the minimum over the starts, infinite for NaN."""
    return np.nan_to_num(np.abs(path - 1), nan=np.inf).max(axis=-1)


def two_slopes(steps: int = 100) -> list[Panel]:
    """Compare gradient descent at its best fixed learning rate with Rprop as it comes."""
    print(
        "1. One minimum, at x = 1: gradients that explode and gradients that vanish\n\n"
        f"   The largest |x - 1| over {len(STARTS)} starts from {STARTS[0]:g} to {STARTS[-1]:g}."
        " Gradient descent has\n"
        f"   the best of {len(RATES)} fixed rates from {RATES[0]:g} to {RATES[-1]:g},"
        " Rprop its defaults.\n"
    )
    moments = [0, 10, 20, 50, steps]
    panels: list[Panel] = []
    rows: list[list[Any]] = []
    for title, slope in {"(x-1)^8": explode, "(x-1)^2 / (1 + (x-1)^2)": vanish}.items():
        descents = gradient_descent(slope, RATES, steps)
        best = distance(descents[-1]).argmin()
        label = f"gradient descent, rate {RATES[best]:.2g}"
        curves = {label: descents[:, best], "Rprop": resilient(slope, steps)}
        rows.append([title])
        rows += [[f"  {name}", *distance(path)[moments]] for name, path in curves.items()]
        panels.append(Panel(title, "step", "x", curves))
    table(["after step", *moments], rows)
    print("\n   Rprop sees the signs of a gradient, nothing else: its two lines are equal.")
    return panels


# 2. A linear layer


def layer_data() -> tuple[Array, Array, Array]:
    """Draw 10 inputs of 3 features, 10 targets of 2, and the layer's weights over its biases."""
    rng = np.random.default_rng(0)
    inputs, targets = rng.standard_normal((10, 3)), rng.standard_normal((10, 2))
    return inputs, targets, rng.uniform(-(3**-0.5), 3**-0.5, (4, 2))


def train_layer(steps: int) -> tuple[Array, Array, Array]:
    """Fit ``inputs @ weights + bias`` to the targets; return loss, layer and delta of each step."""
    inputs, targets, layer = layer_data()
    inputs = np.column_stack([inputs, np.ones(len(inputs))])
    state = rprop_init(layer, delta0=0.01)
    losses, layers, deltas = [], [], []
    for _ in range(steps + 1):
        errors = inputs @ layer - targets
        losses.append(np.mean(errors**2))
        layers.append(layer)
        deltas.append(state.delta)
        grads = inputs.T @ errors * (2 / errors.size)
        layer, state = rprop_step(layer, grads, state, (0.5, 1.2), (1e-6, 50))
    return np.array(losses), np.array(layers), np.array(deltas)


def linear_layer(steps: int = 100) -> list[Panel]:
    """Train the layer; compare it with the least-squares solution."""
    print(
        "\n2. A linear layer of 3 inputs and 2 outputs on 10 samples, mean squared error\n\n"
        "   lr=0.01, etas=(0.5, 1.2), step_sizes=(1e-6, 50) as in torch.optim.Rprop, the\n"
        "   gradient by hand: the layer equals torch's at every step, to the bit.\n"
    )
    losses, _, deltas = train_layer(steps)
    inputs, targets, _ = layer_data()
    design = np.column_stack([inputs, np.ones(len(inputs))])
    solution = np.linalg.lstsq(design, targets)[0]
    best = np.mean((design @ solution - targets) ** 2)
    table(
        ["step", "loss", "loss - least", "smallest delta", "largest delta"],
        [
            [i, f"{losses[i]:.10f}", losses[i] - best, deltas[i].min(), deltas[i].max()]
            for i in (0, 1, 2, 5, 10, 20, 50, steps)
        ],
    )
    print(f"\n   Least squares, solved directly: loss {best:.10f}")
    return [Panel("linear layer", "step", GAP, {"Rprop": losses - best})]


# 3. Logistic regression


def cancer_data() -> tuple[Array, Array]:
    """Return the 30 measurements of each sample, and 1 for benign and -1 for malignant."""
    with (resources.files("rprop.teaching") / "data" / "breast_cancer.csv").open() as file:
        data = np.loadtxt(file, delimiter=",", skiprows=1)
    return data[:, :-1], 2 * data[:, -1] - 1


class Logistic:
    """Mean logistic loss with a ridge penalty; keeps the least loss after each evaluation."""

    def __init__(self, features: Array, labels: Array, penalties: Array) -> None:
        self.signed = labels[:, np.newaxis] * np.column_stack([features, np.ones(len(features))])
        self.penalties = np.append(penalties, 0.0)  # none on the intercept
        self.least: list[float] = []

    def __call__(self, weights: Array) -> tuple[float, Array]:
        """Return loss and gradient."""
        margins = self.signed @ weights
        pull = self.penalties * weights
        loss = np.logaddexp(0, -margins).mean() + weights @ pull / 2
        self.least.append(min([loss, *self.least[-1:]]))
        return loss, pull - expit(-margins) @ self.signed / len(margins)

    def accuracy(self, weights: Array) -> float:
        """Return the part of the samples on the right side."""
        return float(np.mean(self.signed @ weights > 0))


METHODS: dict[str, tuple[Any, dict[str, Any]]] = {
    "Rprop": (minimize_rprop, {}),
    AXES: (minimize_rprop, {"variant": "irprop+"}),
    "L-BFGS-B": ("L-BFGS-B", {"ftol": 0.0}),
}
LIMITS = {"L-BFGS-B": "maxfun"}
"""What a method calls its limit of evaluations, where that is not maxfev."""


def logistic_regression(limit: int = 500) -> list[Panel]:
    """Fit the same model in standardised and in raw units with three methods."""
    features, labels = cancer_data()
    test = np.arange(len(labels)) % 3 == 0
    mean, scale = features[~test].mean(axis=0), features[~test].std(axis=0)
    print(
        "\n3. Logistic regression on 569 breast tumours: 30 measurements, benign or not\n\n"
        "   scipy.optimize.minimize(method=...) until no part of the gradient exceeds\n"
        f"   1e-5 or {limit} evaluations are spent. Every third tumour is kept for the test.\n"
    )
    runs = []
    for units, matrix, ridge in (
        ("standardised units", (features - mean) / scale, np.full(scale.shape, 0.01)),
        ("raw units", features, 0.01 * scale**2),  # the same penalty, in other units
    ):
        for name, (method, options) in METHODS.items():
            model = Logistic(matrix[~test], labels[~test], ridge)
            start = np.zeros(features.shape[1] + 1)
            chosen = {"gtol": 1e-5, **options, LIMITS.get(name, "maxfev"): limit}
            result = minimize(model, start, jac=True, method=method, options=chosen)
            held = Logistic(matrix[test], labels[test], ridge).accuracy(result.x)
            runs.append((units, name, model, result, held))
    best = min(result.fun for *_, result, _ in runs)
    rows: list[list[Any]] = []
    panels: dict[str, Panel] = {}
    for units, name, model, result, held in runs:
        if units not in panels:
            rows.append([units])
            panels[units] = Panel(f"logistic regression, {units}", "evaluation", GAP, {})
        panels[units].curves[name] = np.array(model.least) - best
        gap, right = f"{max(result.fun - best, 0):.1e}", f"{model.accuracy(result.x):.1%}"
        rows.append([f"  {name}", result.nfev, f"{result.fun:.6f}", gap, right, f"{held:.1%}"])
    table(["", "evaluations", "loss", "loss - least", "training", "test"], rows)
    print("\n   Standardise where you can, and L-BFGS-B needs the fewest evaluations.")
    return [*panels.values()]


# The terminal, the figure and the command


def table(head: Sequence[Any], rows: Iterable[Sequence[Any]]) -> None:
    """Print rows under a head, numbers to two digits; a row of one cell is a heading."""
    lines = [
        [f"{cell:.2g}" if isinstance(cell, float) else str(cell) for cell in row]
        for row in (head, *rows)
    ]
    widths = [max(len(line[i]) for line in lines if len(line) > 1) for i in range(len(head))]
    for first, *others in lines:
        cells = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=False)]
        print(f"   {'  '.join([first.ljust(widths[0]), *cells])}".rstrip())


def draw(panels: Sequence[Panel], path: Path) -> None:
    """Write the figure: trajectories above, losses below; or the trajectories alone."""
    from matplotlib.figure import Figure

    alone = len(panels) == 2
    figure = Figure(figsize=(9, 3.6) if alone else (11, 7), layout="constrained")
    layout = figure.subplot_mosaic("AB" if alone else "AAABBB;CCDDEE")
    for axes, panel in zip(layout.values(), panels, strict=True):
        for name, values in panel.curves.items():
            lines = axes.plot(values, color=COLOURS.get(name, "#d55e00"))
            lines[0].set_label(name)
            for line in lines:
                line.set_linestyle("-" if name in COLOURS else "--")
        if panel.up == GAP:
            axes.set_yscale("log")
        axes.set(title=panel.title, xlabel=panel.across, ylabel=panel.up)
        axes.legend()
    figure.savefig(path, dpi=150)


def refusal(path: Path) -> str | None:
    """Say why no figure can be written to `path`."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return "--plot needs matplotlib: pip install 'rprop[plot]'"
    known = sorted(Figure().canvas.get_supported_filetypes())
    if path.suffix[1:].lower() not in known:
        return f"--plot must name a file that ends in one of {', '.join(known)}; got {str(path)!r}"
    target = path if path.exists() else path.parent
    if path.is_dir() or not path.parent.is_dir() or not os.access(target, os.W_OK):
        return f"--plot must name a file that can be written; got {str(path)!r}"
    return None


def main(arguments: Sequence[str] | None = None) -> None:
    """Tell the story."""
    parser = argparse.ArgumentParser(
        "python -m rprop", description="Resilient backpropagation (Rprop) on three problems."
    )
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="draw the trajectories too")
    parser.add_argument("--version", action="version", version=f"rprop {__version__}")
    path = parser.parse_args(arguments).plot
    problem = path and refusal(path)
    if problem:
        parser.exit(2, f"{parser.prog}: {problem}\n")
    panels = [*two_slopes(), *linear_layer(), *logistic_regression()]
    if path:
        draw(panels, path)
        print(f"\nFigure: {path}")
