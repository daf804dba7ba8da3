"""Every option of the solver, once: its name, default, check and documentation.

The doors take their signatures, their docstrings and their checks from these rows; an option is
added here and where it is used.
"""

from __future__ import annotations

import difflib
import inspect
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from rprop.rule import checks
from rprop.rule.state import Array
from rprop.rule.variants import VARIANTS
from rprop.solver.run import Settings
from rprop.solver.stopping import largest_step

__all__ = [
    "OPTIONS", "Option", "checked", "configure", "defaults", "documented", "flag", "processes",
    "suggest", "tolerances", "unknown",
]  # fmt: skip

ONE = frozenset({"one"})
SHOWN = frozenset({"one", "many"})
EVERY = frozenset({"one", "many", "ask"})


@dataclass(frozen=True)
class Option:
    """One option: what it is called, what it is by default, what it may be, what it means."""

    name: str
    default: Any
    kind: str  # as numpydoc has it
    check: Callable[[str, Any], Any]
    text: str
    doors: frozenset[str] = EVERY

    def of(self, value: Any) -> Any:
        """Check a value; None means the default, unless it is one of the values."""
        if value is None and " or None" not in self.kind:
            value = self.default
        return None if value is None else self.check(self.name, value)


def as_it_is(_: str, value: Any) -> Any:
    """Take what is checked elsewhere, with the arrays that it belongs to."""
    return value


def number(name: str, value: Any) -> float:
    """Check a real number."""
    if isinstance(value, (bool, np.bool_, str, bytes)) or np.ndim(value):
        raise TypeError(f"{name} must be a number; got {value!r}")
    try:
        result = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a number; got {value!r}") from None
    if math.isnan(result):
        raise ValueError(f"{name} must be a number; got {value!r}")
    return result


def not_negative(name: str, value: Any) -> float:
    """Check a tolerance or a limit."""
    result = number(name, value)
    if result < 0:
        raise ValueError(f"{name} must be a number that is not negative; got {value!r}")
    return result


def tolerances(name: str, value: Any) -> Any:
    """Check a tolerance, or one for each variable."""
    if not np.ndim(value):
        return not_negative(name, value)
    array = checks.real(name, value).astype(float)
    if not (array >= 0).all():
        raise ValueError(f"{name} must be numbers that are not negative; got {value!r}")
    return array


def flag(name: str, value: Any) -> bool:
    """Check what is true or false."""
    if not isinstance(value, (bool, np.bool_, int)) or value not in (0, 1):
        raise TypeError(f"{name} must be True or False; got {value!r}")
    return bool(value)


def every(name: str, value: Any) -> int:
    """Check a flag that may be a number of iterations."""
    if not isinstance(value, (bool, np.bool_, int, np.integer)) or value < 0:
        raise TypeError(f"{name} must be True, False or a number of iterations; got {value!r}")
    return int(value)


def choice(*known: str) -> Callable[[str, Any], str]:
    """Check an option that is a name where it is given."""

    def check(name: str, value: Any) -> str:
        if not isinstance(value, str) or value not in known:
            names = " or ".join(map(repr, known))
            raise ValueError(f"{name} must be None or {names}; got {value!r}")
        return value

    return check


def processes(name: str, value: Any) -> Any:
    """Check a number of processes, or a map."""
    number = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if callable(value) or (number and (value == -1 or value > 0)):
        return value
    raise ValueError(
        f"{name} must be a positive number of processes, -1 for one a CPU, or a map-like callable; "
        f"got {value!r}"
    )


def start_size(name: str, value: Any) -> Any:
    """Check Δ0: "auto", or what `configure` will compare with the start."""
    if isinstance(value, (bool, np.bool_)) or (isinstance(value, str) and value != "auto"):
        raise ValueError(f"{name} must be 'auto' or positive numbers; got {value!r}")
    return None if isinstance(value, str) else value


ROWS = [
    Option("tol", None, "float, optional", not_negative,
           "Stands for `gtol`, `xtol` and `ftol` where they are not given."),
    Option("variant", None, "str or Variant, optional", lambda _, value: checks.row(value),
           "Take the published rule of this name along the axes: what a coordinate does when its "
           "gradient changes sign; see `VARIANTS`. By default learned directions and secant moves "
           'are used on top of "irprop+"; naming a variant turns both off unless they are asked '
           "for."),
    Option("etas", None, "(float, float), optional", lambda _, value: checks.factors(value),
           "(η-, η+), the factors that shrink and grow a step size. By default (0.5, 1.2), with "
           "secant moves (0.4, 1.2)."),
    Option("step_sizes", (0.0, math.inf), "(array_like, array_like), optional", as_it_is,
           "(Δmin, Δmax), the limits of the step sizes. Whatever the directions, no coordinate moves "
           "further than its Δmax at once, but in a step of the safeguard. A positive Δmin limits "
           "the accuracy."),
    Option("delta0", "auto", '"auto" or array_like, optional', start_size,
           'The first step size. "auto" is a tenth of ``|x0|`` (where x0 is 0, of the median of '
           "the other components; 0.1 if all are 0; at most a tenth of the distance between "
           "bounds) times a fixed factor from 0.9 to 1; then four times longer as long as the loss "
           "falls along a line, or four times shorter until it does not rise."),
    Option("basis", "auto", '"learned", "auto" or None, optional', choice("learned", "auto"),
           "Take the steps along learned directions instead of the axes, for narrow valleys that "
           'lie across them. None is the published rule. "auto" is "learned" unless a `variant` '
           "is named."),
    Option("secant", None, "bool, optional", flag,
           "Where a slope changed sign, take back the part of the last move that the secant of the "
           "slopes says; where it became smaller, go at most three times the way to its zero. On by "
           "default, but off with a named variant or `basis` None."),
    Option("safeguard", None, '"armijo" or None, optional', choice("armijo"),
           "Every 50 iterations take a gradient step from the best point, as long as Armijo's rule "
           "accepts; see the notes. Costs a few evaluations."),
    Option("gtol", None, "float, optional", not_negative,
           "Stop when no component of the gradient that could still move is larger. By default "
           "1e-8, times the largest such component at x0 where that is less than 1."),
    Option("xtol", None, "float or array_like, optional", tolerances,
           "Stop when every step size is at most `xtol` times ``|x_i|``, or times the first step "
           "size where that is larger. One number, or one for each variable. By default 1e-8, for "
           "float32 twice its machine epsilon."),
    Option("ftol", None, "float, optional", not_negative,
           "Stop when within 20 iterations the best loss fell by at most ``ftol * max(|loss|, s)``, "
           "where s is 1 or the size of the loss at x0, whichever is smaller. By default 1e-14; 0 "
           "switches the criterion off."),
    Option("f_target", -math.inf, "float, optional", number,
           "Stop when the loss is at most this."),
    Option("maxiter", 10_000, "int, optional", not_negative, "Limit of the number of iterations."),
    Option("maxfev", math.inf, "int, optional", not_negative,
           "Limit of the number of evaluations of `fun`."),
    Option("maxtime", math.inf, "float, optional", not_negative,
           "Limit of the time in seconds, looked at after every iteration."),
    Option("history", False, "bool, optional", flag,
           "Record every iteration in ``result.history``, a structured array."),
    Option("return_all", False, "bool, optional", flag,
           "Keep every iterate in ``result.allvecs``."),
    Option("progress", False, "bool, optional", flag,
           "Show a progress bar on standard error, of tqdm where that is installed.", SHOWN),
    Option("disp", False, "bool, optional", flag,
           "Print the outcome; warn instead if the run failed.", SHOWN),
    Option("verbose", 0, "bool or int, optional", every,
           "Print a line every so many iterations; True is every one.", ONE),
    Option("finite_diff_method", "2-point", '{"2-point", "3-point", "cs"}, optional', as_it_is,
           "How to estimate the gradient. (`scipy.optimize.minimize` withholds such a `jac` string "
           "from a method it does not know.)", ONE),
    Option("finite_diff_rel_step", None, "array_like, optional", as_it_is,
           "Relative step of the finite differences. By default it suits the precision of the "
           "loss, which its dtype tells.", ONE),
    Option("eps", None, "array_like, optional", as_it_is,
           "Absolute step of the finite differences.", ONE),
    Option("workers", None, "int or map-like callable, optional", processes,
           "Evaluates finite differences in parallel.", ONE),
]  # fmt: skip
OPTIONS = {row.name: row for row in ROWS}

#: What other optimisers call some of the options.
ELSEWHERE = {
    "maxfun": "maxfev", "max_nfev": "maxfev", "maxeval": "maxfev", "max_iter": "maxiter",
    "n_iter": "maxiter", "niter": "maxiter", "lr": "delta0", "learning_rate": "delta0",
    "stepsize": "delta0", "step_size": "delta0", "initial_step": "delta0", "fatol": "ftol",
    "xatol": "xtol", "xrtol": "xtol", "fmin": "f_target", "timeout": "maxtime", "iprint": "verbose",
    "pgtol": "gtol", "eta": "etas", "retall": "return_all",
}  # fmt: skip


def defaults(door: str) -> dict[str, Any]:
    """Return the defaults of the options that a door has."""
    return {row.name: row.default for row in ROWS if door in row.doors}


def suggest(name: str, known: Iterable[str]) -> str:
    """Say which option may have been meant."""
    known = list(known)
    meant = ELSEWHERE.get(name) or next(
        iter(difflib.get_close_matches(name.lower(), known, cutoff=0.7)), None
    )
    return f"{name} (did you mean {meant}?)" if meant in known else name


def unknown(given: Iterable[str], known: Iterable[str]) -> str:
    """Name the options that there are none of."""
    known = list(known)
    return ", ".join(suggest(str(name), known) for name in given if name not in known)


def checked(given: dict[str, Any], door: str) -> dict[str, Any]:
    """Check the options of a door; None means the default."""
    values = defaults(door) | given
    return {name: OPTIONS[name].of(value) for name, value in values.items()}


def configure(given: dict[str, Any], x: Array, bounded: bool, cost: int) -> Settings:
    """Make settings of checked options, for points of the shape and dtype of `x`."""
    size, dtype = x.shape[-1], x.dtype
    eps, most = np.finfo(dtype).eps, largest_step(dtype)
    tol, variant = given["tol"], given["variant"]
    learned = given["basis"] == "learned" or (given["basis"] == "auto" and variant is None)
    secant = given["secant"]
    secant = learned and variant is None if secant is None else secant
    etas = ((0.4, 1.2) if secant else (0.5, 1.2)) if given["etas"] is None else given["etas"]
    low, high = checks.limits(given["step_sizes"], (size,), dtype)
    # Steps below half a unit in the last place move nothing: the sign stays, and Δ grows again.
    xtol, gtol, ftol = (given[n] if given[n] is not None else tol for n in ("xtol", "gtol", "ftol"))
    xtol = float(max(1e-8, 2 * eps)) if xtol is None else xtol
    ftol = 1e-14 if ftol is None else ftol
    limited = bool(np.min(high, initial=np.inf) < most)
    # Steps that are never longer than this lead to no infinite x.
    high = np.minimum(high, np.max(low, initial=most))[()]
    settings = Settings(
        variant=VARIANTS["irprop+"] if variant is None else variant,
        etas=etas,
        step_sizes=(low, high),
        extremes=(np.min(low, initial=most), np.max(high, initial=0)),
        limited=limited,
        delta0=given["delta0"],
        learned=learned,
        secant=secant,
        safeguard=given["safeguard"] is not None,
        gtol=gtol,
        xtol=xtol if not np.ndim(xtol) else checks.broadcast("xtol", np.asarray(xtol), (size,)),
        ftol=ftol,
        f_target=given["f_target"],
        maxiter=given["maxiter"],
        maxfev=np.float64(given["maxfev"]),
        exact=4 * float(eps),
        bottom=-most,
        bounded=bounded,
        cost=np.int32(cost),  # counts are NumPy's: with Python's they take twenty times as long
    )
    if settings.maxfev < cost:
        raise ValueError(
            f"maxfev must be at least {cost}, what loss and gradient at x0 take; got {given['maxfev']!r}"
        )
    return settings


def documented(door: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a function the options of a door, in its signature and where its docstring says so."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        rows = [row for row in ROWS if door in row.doors]
        signature = inspect.signature(function)
        kept = list(signature.parameters.values())
        kept += [
            inspect.Parameter(row.name, inspect.Parameter.KEYWORD_ONLY, default=row.default)
            for row in rows
            if row.name not in signature.parameters
        ]
        order = sorted(kept, key=lambda p: p.kind)
        function.__signature__ = signature.replace(parameters=order)  # type: ignore[attr-defined]
        if function.__doc__:  # there is none with -OO
            text = inspect.cleandoc(function.__doc__)  # as Python 3.13 has it already
            function.__doc__ = text.replace("{options}\n", describe(rows))
        return function

    return decorate


def describe(rows: Iterable[Option]) -> str:
    """Write the options down as a docstring has them."""
    import textwrap

    return "".join(
        f"{row.name} : {row.kind}\n{textwrap.indent(textwrap.fill(row.text, 84), ' ' * 4)}\n"
        for row in rows
    )
