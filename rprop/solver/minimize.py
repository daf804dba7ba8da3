"""`minimize_rprop`, a method for `scipy.optimize.minimize`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import OptimizeResult, OptimizeWarning

from rprop.rule import trees
from rprop.solver.messages import say, warn
from rprop.solver.minimizer import Minimizer, place
from rprop.solver.objective import Objective
from rprop.solver.options import checked, defaults, documented, unknown
from rprop.solver.progress import Bar
from rprop.solver.result import announce, style
from rprop.solver.run import Run
from rprop.solver.structure import OnTree, Shape

__all__ = ["minimize_rprop"]


@documented("one")
def minimize_rprop(
    fun: Callable[..., Any],
    x0: ArrayLike,
    args: Any = (),
    jac: Any = None,
    hess: Any = None,
    hessp: Any = None,
    bounds: Any = None,
    constraints: Any = (),
    callback: Callable[..., Any] | None = None,
    *,
    state: Run | None = None,
    **options: Any,
) -> OptimizeResult:
    """Minimise a smooth function of many variables by resilient backpropagation.

    Call it directly, or as ``scipy.optimize.minimize(..., method=minimize_rprop)``, where the
    keyword-only parameters below are the `options`.

    Parameters
    ----------
    fun : callable
        The loss, ``fun(x, *args) -> float``, or ``-> (float, gradient)`` with ``jac=True``.
    x0 : array_like, shape (n,), or tree
        The start. float32 and longdouble are kept; everything else becomes float64. Called
        directly, it may be a tree, such as a dict, list or dataclass of arrays; then `fun` and
        `jac` take trees, gradients are trees of the same structure, and so are `x` and `jac` of
        the result.
    args : tuple, optional
        Further arguments of `fun` and `jac`.
    jac : callable, True or None, optional
        The gradient, ``jac(x, *args) -> array``; True if `fun` returns it as well. Without it
        the gradient is estimated by finite differences.
    hess, hessp, constraints : optional
        Not used: a RuntimeWarning says so.
    bounds : sequence of (low, high) or scipy.optimize.Bounds, optional
        Limits of the variables. `fun` is never evaluated outside, and the start is moved inside.
    callback : callable, optional
        Called after every iteration as ``callback(xk)``, or as
        ``callback(intermediate_result=...)`` if that is the name of its one parameter; the
        best point so far is passed. Raising StopIteration ends the run with status 99, in its last
        iteration, too, as in SciPy's methods.
    state : optional
        ``result.state`` of an earlier run to go on with. The best point is evaluated once more: if
        loss and gradient are the same, the run goes on bit for bit, else with its step sizes alone.
        `x0` and `bounds` are ignored then.
    {options}

    Returns
    -------
    scipy.optimize.OptimizeResult
        With the best point visited in `x`, `fun` and `jac`; `nit`, `nfev`, `njev`, `status`,
        `success`, `message`, and `state`.

    Raises
    ------
    ValueError, TypeError
        If an argument or something that `fun` or `jac` returned is unusable; the message names
        it. Exceptions of `fun`, `jac` and `callback` propagate, and carry the result so far in
        their attribute ``result``.

    Notes
    -----
    ====== ======= ===================================================
    status success reason to stop
    ====== ======= ===================================================
    0      yes     the projected gradient is within `gtol`
    1      no      `maxiter`
    2      no      `maxfev`
    3      no      loss or gradient is not finite at `x0`
    4      yes     every step size is within `xtol`
    5      yes     the loss fell by no more than `ftol`
    6      yes     `f_target`
    7      yes     all variables are fixed by bounds
    8      no      only unusable values around the best point
    9      no      the gradient seems to be wrong
    10     no      nothing lower near the best point, but no proof
    11     no      the loss seems unbounded below
    12     no      steps too short to reach a new point
    13     no      `maxtime`
    14     no      finite differences saw no change of the loss
    99     no      `callback` raised StopIteration
    ====== ======= ===================================================

    Where the loss or its gradient is not finite, the run goes back to the best point and tries
    smaller steps. Where `x` is not moved by a step, or is moved back to where the run has just
    been, nothing is evaluated.

    Rprop alone need not converge. With ``safeguard="armijo"``, without bounds and with the
    stopping rules off, it does in this sense: if the loss is bounded below and its gradient
    Lipschitz continuous, the gradients at the best points from which the safeguard steps tend
    to zero. Each such step lowers the least loss so far by at least a fixed multiple of the
    squared gradient, for Armijo's rule accepts a length bounded below [2]_, and nothing in between
    raises the least loss; so these squares have a finite sum.

    References
    ----------
    .. [1] C. Igel and M. Hüsken, "Empirical evaluation of the improved Rprop learning
           algorithms", Neurocomputing 50, 2003, 105-123.
    .. [2] L. Armijo, "Minimization of functions having Lipschitz continuous first partial
           derivatives", Pacific Journal of Mathematics 16, 1966, 1-3.

    Examples
    --------
    >>> from scipy.optimize import minimize, rosen, rosen_der
    >>> from rprop import minimize_rprop
    >>> result = minimize(rosen, [-1.2, 1.0], jac=rosen_der, method=minimize_rprop)
    >>> result.success
    True
    >>> abs(result.x - 1).max() < 1e-4
    np.True_
    """
    known = defaults("one")
    if names := unknown(options, known):
        warn(f"Unknown solver options: {names}", OptimizeWarning)
    given = checked({name: options[name] for name in options if name in known}, "one")
    warn_unused(hess, hessp, constraints)
    shape = Shape(x0) if trees.is_tree(x0) else None
    if shape is not None:
        if callable(jac):
            jac = OnTree(jac, shape, slopes=True)
        fun, x0 = OnTree(fun, shape, slopes=False), shape.vector
    where = place(x0, bounds, state)
    objective = Objective(
        fun,
        jac,
        args if isinstance(args, tuple) else (args,),
        *where,
        difference={
            "method": given["finite_diff_method"],
            "rel_step": given["finite_diff_rel_step"],
            "abs_step": given["eps"],
            "workers": given["workers"],
        },
    )
    opt = Minimizer._of(objective, where, given, state)
    objective.maxfev = given["maxfev"]
    bar = Bar() if given["progress"] else None
    dress = as_it_is if shape is None else shape.result
    opt._watch = watcher(opt, bar, style(callback), given["verbose"], dress)
    try:
        while (x := opt._next()) is not None:
            before = objective.nfev
            loss, gradient = objective(x)
            opt._take(loss, gradient, objective.nfev - before)
    except BaseException as error:
        if opt._run is not None:
            with suppress(AttributeError):  # some exceptions have no room for it
                error.result = dress(opt.result)  # type: ignore[attr-defined]
        raise
    finally:
        if bar is not None:
            bar.close()
    assert opt._run is not None
    if objective.flat:
        opt._run.end(opt._run.status == 0, 14)
    result = dress(opt.result)
    if given["disp"]:
        announce(result)
    return result


def as_it_is(result: OptimizeResult) -> OptimizeResult:
    """Leave a result of vectors alone."""
    return result


def watcher(
    opt: Minimizer,
    bar: Bar | None,
    call: Callable[[OptimizeResult], Any] | None,
    verbose: int,
    dress: Callable[[OptimizeResult], OptimizeResult],
) -> Callable[[Run], None] | None:
    """Return what is to be done after every iteration, if anything is."""
    if bar is None and call is None and not verbose:
        return None

    def watch(run: Run) -> None:
        if bar is not None:
            bar.update(float(run.best.fun))
        if verbose and run.nit % verbose == 0:
            say(f"iteration {run.nit}, {opt._nfev} evaluations, loss {run.best.fun:.6g}")
        if call is not None:
            try:
                call(dress(opt._describe()))
            except StopIteration:
                run.end(np.True_, 99)

    return watch


def warn_unused(hess: Any, hessp: Any, constraints: Any) -> None:
    """Say what will not be used."""
    for name, given in {"hess": hess, "hessp": hessp}.items():
        if given is not None:
            warn(f"Method rprop does not use Hessian information ({name}).", RuntimeWarning)
    if constraints is not None and np.size(constraints):
        warn("Method rprop cannot handle constraints.", RuntimeWarning)
