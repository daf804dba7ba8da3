"""Tables and profiles of solvers on problems."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.problems import Problem


class Outcome(NamedTuple):
    """How one solver did on one problem."""

    evals: list[int | None]  # evaluations needed at every τ
    success: bool  # what the solver said
    error: str
    seconds: Sequence[float | None] = ()  # needed at every τ, those of the problem among them


Outcomes = dict[str, dict[str, Outcome]]  # by solver, by problem


def table(outcomes: Outcomes, names: Sequence[str], taus: Sequence[float]) -> str:
    """Count solved problems at every τ, with the median of their evaluations in brackets."""
    lines = [f"{'solver':26}" + "".join(f"{tau:>14.0e}" for tau in taus) + "  errors"]
    for solver, runs in outcomes.items():
        cells = ""
        for k in range(len(taus)):
            solved = [e for name in names if (e := runs[name].evals[k]) is not None]
            middle = f"({np.median(solved):.0f})" if solved else "(-)"
            cells += f"{len(solved):>7}{middle:>7}"
        errors = sum(bool(runs[name].error) for name in names)
        lines.append(f"{solver:26}{cells}{errors or '':>8}")
    return "\n".join(lines)


def ratios(outcomes: Outcomes, names: Sequence[str], rival: str, k: int) -> str:
    """Compare evaluations to the `k`-th τ with a rival's, in the geometric mean of what both solve."""
    lines = [f"evaluations relative to {rival}, where both solve"]
    for solver, runs in outcomes.items():
        both = [(runs[n].evals[k], outcomes[rival][n].evals[k]) for n in names]
        known = [ours / theirs for ours, theirs in both if ours and theirs]
        mean = np.exp(np.mean(np.log(known))) if known else np.nan
        lines.append(f"{solver:26}{mean:>8.2f} on {len(known)}")
    return "\n".join(lines)


def claims(outcomes: Outcomes, solvers: Sequence[str], k: int) -> str:
    """Count what solvers call a success, and how much of it is solved at the `k`-th τ."""
    lines = [f"{'solver':26}{'called success':>16}{'of those solved':>17}"]
    for solver in solvers:
        called = [run for run in outcomes[solver].values() if run.success]
        true = sum(run.evals[k] is not None for run in called)
        wrong = [name for name, run in outcomes[solver].items() if run.success and not run.evals[k]]
        lines.append(f"{solver:26}{len(called):>16}{true:>17}  not: {', '.join(wrong) or 'none'}")
    return "\n".join(lines)


def by_family(outcomes: Outcomes, problems: Sequence[Problem], k: int) -> str:
    """Count solved problems at the `k`-th τ by family; solvers are the numbered columns."""
    lines = [f"  [{number}] {solver}" for number, solver in enumerate(outcomes)]
    header = "".join(f"{f'[{number}]':>5}" for number in range(len(outcomes)))
    lines.append(f"{'family':26}{'of':>4}{header}")
    for family in dict.fromkeys(p.family for p in problems):
        names = [p.name for p in problems if p.family == family]
        counts = [sum(runs[n].evals[k] is not None for n in names) for runs in outcomes.values()]
        lines.append(f"{family:26}{len(names):>4}" + "".join(f"{c:>5}" for c in counts))
    return "\n".join(lines)


# Okabe and Ito's colours, told apart with every kind of colour vision; line styles repeat them.
COLOURS = ["#000000", "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7"]
STYLES = ["-", "--", ":"]
#: The solvers of the figures, which have room for a few; the tables hold them all.
DRAWN = [
    "rprop",
    "rprop axes",
    "BFGS tight",
    "L-BFGS-B tight",
    "CG tight",
    "TNC tight",
    "torch Adam .1",
]


def draw_profiles(
    outcomes: Outcomes, sizes: dict[str, int], path: Path, title: str, columns: tuple = (2, 3)
) -> None:
    """Draw performance profiles [1]_ and data profiles [2]_ of some solvers at two τ.

    The best, of which a performance profile speaks, is the best of all solvers.

    References
    ----------
    .. [1] E. D. Dolan, J. J. Moré, "Benchmarking optimization software with performance
           profiles", Mathematical Programming 91, 2002, 201-213.
    .. [2] J. J. Moré, S. M. Wild, "Benchmarking derivative-free optimization algorithms",
           SIAM Journal on Optimization 20, 2009, 172-191.
    """
    from matplotlib.figure import Figure

    names = list(sizes)
    n = np.array([sizes[name] for name in names])
    figure = Figure(figsize=(12, 9), layout="constrained")
    axes = figure.subplots(2, len(columns), sharey=True)
    for column, k in enumerate(columns):
        evals = np.array(
            [[runs[name].evals[k] or np.inf for name in names] for runs in outcomes.values()]
        )
        best = evals.min(axis=0)
        with np.errstate(invalid="ignore"):
            ratios = np.where(np.isfinite(evals), evals / best, np.inf)
        panels = (
            (ratios, f"performance profile, τ = 1e-{2 * k + 1}", "evaluations / those of the best"),
            (evals / (n + 1), f"data profile, τ = 1e-{2 * k + 1}", "evaluations / (n + 1)"),
        )
        for axis, (values, name, label) in zip(axes[:, column], panels, strict=True):
            rows = dict(zip(outcomes, values, strict=True))
            drawn = [solver for solver in DRAWN if solver in rows]
            for number, solver in enumerate(drawn):
                row = rows[solver]
                reached = np.sort(row[np.isfinite(row)])
                share = np.arange(1, len(reached) + 1) / len(names)
                axis.step(
                    [*reached, 1e4],
                    [*share, share[-1] if len(share) else 0],
                    where="post",
                    label=solver,
                    color=COLOURS[number],
                    linestyle=STYLES[number % len(STYLES)],
                )
            axis.set(xscale="log", title=name, xlabel=label, ylim=(0, 1), xlim=(None, 1e4))
            axis.grid(alpha=0.3)
    axes[0, 0].set_ylabel("share of problems solved")
    axes[1, 0].set_ylabel("share of problems solved")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize="small")
    figure.suptitle(f"{title}: {len(names)} problems")
    figure.savefig(path, dpi=120)
