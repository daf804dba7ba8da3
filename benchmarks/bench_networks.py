"""Train real networks full-batch, where Rprop is at home: ``python -m benchmarks.bench_networks``.

One hidden layer, sigmoids and squared error, gradients by hand, on scikit-learn's digits and breast
cancer, on the 10-5-10 encoder of 1993, and on data sets that Debian ships in ``libfann-doc``
(``--fann DIR``; left out where they are not there). And the likelihood of a Gaussian process whose
Cholesky decomposition fails for some parameters. Reported are median evaluations to a training
loss over the seeds, and how many seeds reached it. It writes ``benchmarks/results/networks.json``.
"""

import argparse
import gzip
import json
import os
import warnings
from pathlib import Path
from statistics import median

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
import numpy as np
from scipy.optimize import minimize
from sklearn.datasets import load_breast_cancer, load_digits

from benchmarks.problems.networks import Network
from rprop import minimize_rprop

RESULT = Path(__file__).parent / "results" / "networks.json"
FANN = Path("/usr/share/doc/libfann-dev/examples/datasets")
METHODS = {
    "rprop": (minimize_rprop, {}),
    "irprop+": (minimize_rprop, {"variant": "irprop+"}),
    "irprop-": (minimize_rprop, {"variant": "irprop-"}),
    "irprop-, Δ0=.1": (minimize_rprop, {"variant": "irprop-", "delta0": 0.1}),
    "L-BFGS-B": ("L-BFGS-B", {"maxiter": 10**6, "maxfun": 10**6, "ftol": 0, "gtol": 0}),
    "CG": ("CG", {"maxiter": 10**6, "gtol": 0}),
}


class GoalReached(Exception):
    """Ends a run, well or not."""


class GaussianProcess:
    """Negative log likelihood in log amplitude, length scale and noise; infinite if it fails."""

    def __init__(self, goal):
        rng = np.random.default_rng(0)
        x = np.sort(rng.uniform(0, 10, 60))
        self.distance = (x[:, None] - x) ** 2
        self.y, self.goal = np.sin(x) + 0.01 * rng.standard_normal(60), goal

    def start(self, rng):
        """Return random logarithms."""
        return rng.uniform([-1, -1, -6], [1, 2, -1])

    def __call__(self, logs):
        """Return loss and gradient."""
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            amplitude, length, noise = np.exp(2 * logs)
            smooth = amplitude * np.exp(-self.distance / (2 * length))
            covariance = smooth + noise * np.eye(len(self.y))
        try:
            lower = np.linalg.cholesky(covariance)
        except np.linalg.LinAlgError:
            return np.inf, np.full(3, np.nan)
        inverse = np.linalg.inv(covariance)
        alpha = inverse @ self.y
        changes = (2 * smooth, smooth * self.distance / length, 2 * noise * np.eye(len(self.y)))
        inner = inverse - np.outer(alpha, alpha)
        loss = self.y @ alpha / 2 + np.log(np.diag(lower)).sum()
        return float(loss), np.array([(inner * change).sum() / 2 for change in changes])


def fann(folder, name):
    """Read a data set of FANN: a line of sizes, then inputs and targets in turn."""
    for path in (folder / f"{name}.train", folder / f"{name}.train.gz"):
        if path.exists():
            opener = gzip.open if path.suffix == ".gz" else open
            with opener(path, "rt") as file:
                samples, inputs, outputs = map(int, file.readline().split())
                values = np.array(file.read().split(), float).reshape(samples, inputs + outputs)
            return values[:, :inputs], values[:, inputs:]
    return None


def tasks(folder):
    """Yield names and problems."""
    digits = load_digits()
    classes = np.eye(10)[digits.target]
    yield "digits / 16, loss .01", Network(digits.data / 16, classes, 20, 0.01, 0.1)
    yield "digits raw, loss .01", Network(digits.data, classes, 20, 0.01, 0.1)
    cancer = load_breast_cancer()
    scaled = (cancer.data - cancer.data.mean(0)) / cancer.data.std(0)
    yield "breast cancer, loss .005", Network(scaled, cancer.target[:, None], 10, 0.005)
    yield "10-5-10 encoder, loss .005", Network(np.eye(10), np.eye(10), 5, 0.005)
    goals = {"thyroid": (10, 0.01), "diabetes": (10, 0.14), "gene": (10, 0.05)}
    for name, (hidden, goal) in goals.items():
        data = fann(folder, name)
        if data is None:
            print(f"left out: {name}: no {name}.train in {folder} (Debian: libfann-doc)")
        else:
            yield f"{name}, loss {goal:g}", Network(*data, hidden, goal, 0.1)
    yield "Gaussian process, loss -204.29", GaussianProcess(-204.29)


def evaluations(problem, method, options, seed, budget):
    """Return how many evaluations it took to reach the goal, None if it did not."""
    count = 0

    def fun(x):
        nonlocal count
        if count >= budget:
            raise GoalReached
        count += 1
        loss, gradient = problem(x)
        if loss <= problem.goal:
            raise GoalReached
        return loss, gradient

    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            x0 = problem.start(np.random.default_rng(seed))
            minimize(fun, x0, jac=True, method=method, options=options)
    except GoalReached:
        return count if count < budget else None
    return None


def main():
    """Run everything, print the table, keep the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fann", type=Path, default=FANN, help="the data sets of libfann-doc")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--budget", type=int, default=1000, help="evaluations of a run")
    options = parser.parse_args()
    kept = {"seeds": options.seeds, "budget": options.budget, "evaluations": {}}
    print(f"| task | {' | '.join(METHODS)} |\n|{' --- |' * (len(METHODS) + 1)}")
    for name, problem in tasks(options.fann):
        row = {
            label: [
                evaluations(problem, *method, seed, options.budget) for seed in range(options.seeds)
            ]
            for label, method in METHODS.items()
        }
        kept["evaluations"][name] = row
        cells = []
        for counts in row.values():
            reached = [count for count in counts if count is not None]
            part = f" ({len(reached)}/{len(counts)})" if len(reached) < len(counts) else ""
            cells.append(f"{median(reached):g}{part}" if reached else "never")
        print(f"| {name} | {' | '.join(cells)} |", flush=True)
    RESULT.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
