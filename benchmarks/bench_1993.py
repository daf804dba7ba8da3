"""Repeat what can be repeated of the RPROP paper of 1993: ``python -m benchmarks.bench_1993``.

The 10-5-10 and 12-2-12 encoders with many Δ0, and the two spirals, trained full-batch with
``rprop_step(..., variant="rprop+")``; an epoch is one gradient over all patterns and one step. An
output is right within .4 of its target, a run ends when all are. It writes
``benchmarks/results/1993.json``; ``PAPER`` holds the numbers of the paper.

The paper does not state the initial weights of the encoders. Here they are uniform in ±.5, and the
standard Δ0 is run with other widths too. All its runs succeed; here most of 12-2-12 do not, unless
a constant of .1 is added to the slope of every sigmoid, as Fahlman's study of 1988 did against
flat spots. So the encoders are run with it, and the standard Δ0 without it too. A run of an encoder
is given up after 5000 epochs, one of the spirals after 3·10⁴.

For the spirals the weights, ±.25, and Δmax, .001, are stated, but we know of no word on the units.
They are run with tanh and targets of ±1, which comes closest, and with sigmoids.
"""

import argparse
import json
import os
from pathlib import Path
from statistics import fmean, median

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
import numpy as np
from scipy.special import expit

from rprop import RpropState, rprop_init, rprop_step

RESULT = Path(__file__).parent / "results" / "1993.json"
DELTAS = [m * 10.0**e for e in range(-5, 2) for m in (1, 2, 5)]  # up to the Δmax of 50
WIDTHS = [0.1, 0.25, 1.0]  # of the initial weights, besides .5
PAPER = {  # mean epochs of ten runs; the range is of Δ0 that cost at most 1.5 times the best
    "10-5-10 encoder": {"standard": 30, "best": 19, "delta0": 2.0, "range": [0.05, 2.0]},
    "12-2-12 encoder": {"standard": 367, "best": 322, "delta0": 1.0, "range": [1e-4, 5.0]},
    "two spirals": {"mean": 4987, "least": 1500, "solved": 19, "runs": 20},
}


UNITS = {  # the function, its slope by its value, and within what an output is right
    "sigmoid": (expit, lambda value: value * (1 - value), 0.4),
    "tanh": (np.tanh, lambda value: 1 - value**2, 0.8),
}


class Network:
    """Layers with biases and half the squared error, for many weight vectors at once."""

    def __init__(self, inputs, targets, hidden, unit="sigmoid", *, short_cuts=False, offset=0.0):
        self.inputs, self.targets, self.offset = inputs, targets, offset
        self.unit, self.slope, self.within = UNITS[unit]
        ends = np.cumsum([inputs.shape[1], *hidden, targets.shape[1]]).tolist()
        self.layers, self.size = [], 0  # first and last unit read, last unit written, weights
        for before, start, stop in zip([0, *ends], ends, ends[1:], strict=False):
            first = 0 if short_cuts else before
            count = (start - first + 1) * (stop - start)
            self.layers.append((first, start, stop, slice(self.size, self.size + count)))
            self.size += count
        self.units = ends[-1]

    def __call__(self, weights):
        """Return the outputs and the gradients of weights of shape (runs, size)."""
        runs = len(weights)
        seen = np.empty((runs, len(self.inputs), self.units))
        seen[..., : self.inputs.shape[1]] = self.inputs
        for first, start, stop, part in self.layers:
            layer = weights[:, part].reshape(runs, -1, stop - start)
            seen[..., start:stop] = self.unit(seen[..., first:start] @ layer[:, 1:] + layer[:, :1])
        outputs = seen[..., -self.targets.shape[1] :]
        slopes, grads = np.zeros_like(seen), np.empty_like(weights)
        slopes[..., -self.targets.shape[1] :] = outputs - self.targets
        for first, start, stop, part in reversed(self.layers):
            layer = weights[:, part].reshape(runs, -1, stop - start)
            slope = self.slope(seen[..., start:stop]) + self.offset
            back = slopes[..., start:stop] * slope
            slopes[..., first:start] += back @ layer[:, 1:].swapaxes(1, 2)
            inner = seen[..., first:start].swapaxes(1, 2) @ back
            grads[:, part] = np.hstack([back.sum(axis=1, keepdims=True), inner]).reshape(runs, -1)
        return outputs, grads


def encoder(units, hidden, offset=0.1):
    """Return the network that squeezes one of n through fewer units."""
    return Network(np.eye(units), np.eye(units), [hidden], offset=offset)


def spirals(unit="tanh"):
    """Return the 2-5-5-5-1 network, with short cuts, on the 194 points of Lang and Witbrock."""
    k = np.arange(97)
    radius, angle = 6.5 * (104 - k) / 104, k * np.pi / 16
    arm = np.column_stack([radius * np.sin(angle), radius * np.cos(angle)])
    low = -1.0 if unit == "tanh" else 0.0
    targets = np.repeat([[1.0], [low]], 97, axis=0)
    return Network(np.vstack([arm, -arm]), targets, [5, 5, 5], unit, short_cuts=True)


def epochs(network, runs, delta0=0.1, *, width=0.5, delta_max=50.0, most=5000, seed=0):
    """Return for each run the steps it took until every output was right, None for never."""
    rng = np.random.default_rng(seed)
    weights = rng.uniform(-width, width, (runs, network.size))
    state, going, taken = rprop_init(weights, delta0), np.arange(runs), [None] * runs
    for epoch in range(most + 1):
        outputs, grads = network(weights)
        wrong = (abs(outputs - network.targets) >= network.within).any(axis=(1, 2))
        for run in going[~wrong]:
            taken[run] = epoch
        if not wrong.any():
            break
        going, weights, grads = going[wrong], weights[wrong], grads[wrong]
        state = RpropState(*(field[wrong] for field in state))
        weights, state = rprop_step(
            weights, grads, state, step_sizes=(1e-6, delta_max), variant="rprop+"
        )
    return taken


def middle(taken):
    """Return the median, infinite where half the runs were given up."""
    return median(np.inf if count is None else count for count in taken)


def good_range(by_delta):
    """Return the least and the largest Δ0 that cost at most 1.5 times the best."""
    costs = {float(delta0): middle(taken) for delta0, taken in by_delta.items()}
    good = [delta0 for delta0, cost in costs.items() if cost <= 1.5 * min(costs.values())]
    return min(good), max(good)


def main():
    """Run everything, print the table, keep the JSON."""
    from tqdm import tqdm

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=100, help="of an encoder and a Δ0")
    parser.add_argument("--spirals", type=int, default=20, help="runs of the two spirals")
    options = parser.parse_args()
    kept = {"paper": PAPER, "deltas": {}, "widths": {}, "no offset": {}}
    for name, sizes in {"10-5-10 encoder": (10, 5), "12-2-12 encoder": (12, 2)}.items():
        network = encoder(*sizes)
        kept["deltas"][name] = {
            f"{delta0:g}": epochs(network, options.runs, delta0)
            for delta0 in tqdm(DELTAS, f"{name}, Δ0")
        }
        kept["widths"][name] = {
            f"{width:g}": epochs(network, options.runs, width=width)
            for width in tqdm(WIDTHS, f"{name}, initial weights")
        }
        kept["no offset"][name] = epochs(encoder(*sizes, offset=0.0), options.runs)
    kept["spirals"] = {
        unit: epochs(spirals(unit), options.spirals, width=0.25, delta_max=1e-3, most=3 * 10**4)
        for unit in tqdm(["tanh", "sigmoid"], "two spirals, some minutes")
    }
    RESULT.write_text(json.dumps(kept) + "\n", encoding="utf-8")
    report(kept)


def report(kept):
    """Print the numbers of the paper beside these."""
    for name, by_delta in kept["deltas"].items():
        paper, costs = PAPER[name], {d: middle(taken) for d, taken in by_delta.items()}
        best = min(costs, key=costs.get)
        print(f"{name}: standard Δ0 = .1: paper {paper['standard']}, median {costs['0.1']:g}")
        print(
            f"  best: paper {paper['best']} at {paper['delta0']}, median {costs[best]:g} at {best}"
        )
        print(f"  at most half more: paper {paper['range']}, here {good_range(by_delta)}")
        for width, taken in kept["widths"][name].items():
            print(f"  weights ±{width}, standard Δ0: median {middle(taken):g}")
        taken = kept["no offset"][name]
        print(
            f"  without the offset, standard Δ0: median {middle(taken):g}, "
            f"{taken.count(None)} of {len(taken)} given up"
        )
    print(f"two spirals: paper {PAPER['two spirals']}")
    for unit, taken in kept["spirals"].items():
        solved = [count for count in taken if count is not None]
        print(f"  {unit}: {len(solved)} of {len(taken)} solved", end="")
        print(f", least {min(solved)}, mean {fmean(solved):.0f}" if solved else "")


if __name__ == "__main__":
    main()
