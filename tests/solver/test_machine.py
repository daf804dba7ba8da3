"""Ask, tell, cut, pickle, go on, through either door: always the same run, to the bit."""

import pickle

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from scipy.optimize import rosen, rosen_der

from rprop import VARIANTS, Minimizer, minimize_rprop
from rprop.solver.stopping import OUTCOMES

ENDS = {"maxiter": 120, "maxfev": 300}
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "basis": st.sampled_from([None, "learned"]),
        "variant": st.sampled_from(list(VARIANTS)),
        "safeguard": st.just("armijo"),
        "secant": st.booleans(),
        "delta0": st.sampled_from([0.1, 3.0]),
        "gtol": st.sampled_from([0.0, 1e-3]),
        "xtol": st.sampled_from([0.0, 1e-2]),
        "ftol": st.sampled_from([0.0, 1e-3]),
    },
)


def valley(x):
    return float(rosen(x)), rosen_der(x)


def wavy(x):
    return float((x * x - 3 * np.cos(4 * x)).sum()), 2 * x + 12 * np.sin(4 * x)


def holes(x):
    loss, gradient = valley(x)
    return (np.nan if (x[0] + 10) % 0.5 < 0.1 else loss), gradient


def kinks(x):
    return float(np.abs(x - 0.3).sum()), np.sign(x - 0.3)


FUNCTIONS = [valley, wavy, holes, kinks]


class Stop(Exception):
    """Ends a run from within."""


class Runs(RuleBasedStateMachine):
    """A run in pieces beside the run in one piece."""

    @initialize(
        fun=st.sampled_from(FUNCTIONS),
        x0=st.sampled_from([[-1.2, 1.0], [0.3, 0.0], [2.0, -0.7, 0.1]]),
        dtype=st.sampled_from([np.float64, np.float32]),
        options=OPTIONS,
        boxed=st.booleans(),
    )
    def begin(self, fun, x0, dtype, options, boxed):
        self.fun, self.options = fun, options
        x0 = np.array(x0, dtype)
        self.box = (-1.5, 0.75) if boxed else (-np.inf, np.inf)
        bounds = [self.box] * len(x0) if boxed else None
        self.whole = Minimizer(x0, bounds, **options, **ENDS)
        self.points = []
        while (x := self.whole.ask()) is not None:
            self.points.append(x.tobytes())
            self.whole.tell(*fun(x))
        self.opt = Minimizer(x0, bounds, **options, **ENDS)
        self.count = self.nit = self.nfev = 0  # evaluated; iterations, evaluations of earlier parts
        self.losses = []
        self.again = False  # whether the best point has to be told once more

    def ended(self):
        return self.opt.done

    def told(self, x):
        """Note that a point was evaluated."""
        assert ((self.box[0] <= x) & (x <= self.box[1])).all()
        loss, gradient = self.fun(x)
        if self.again:
            self.again = False
        else:
            assert x.tobytes() == self.points[self.count]
            self.count += 1
        self.losses.append(loss if np.isfinite(loss) else np.inf)
        return loss, gradient

    @precondition(lambda self: not self.ended())
    @rule(count=st.integers(1, 12))
    def ask_and_tell(self, count):
        for _ in range(count):
            x = self.opt.ask()
            if x is None:
                return
            np.testing.assert_array_equal(self.opt.ask(), x)
            loss, gradient = self.told(x)
            x[:] = np.nan
            self.opt.tell(loss, gradient)

    @precondition(lambda self: not self.ended())
    @rule(
        wrong=st.sampled_from([(1.0, np.zeros(9)), ([1.0, 2.0], None), ("low", None), (1j, None)])
    )
    def tell_nonsense(self, wrong):
        x = self.opt.ask()
        if x is None:
            return
        loss, gradient = wrong
        with pytest.raises((TypeError, ValueError), match="got"):
            self.opt.tell(loss, np.zeros_like(x) if gradient is None else gradient)

    @rule()
    def pickled(self):
        self.opt = pickle.loads(pickle.dumps(self.opt))

    def remaining(self):
        return {"maxiter": ENDS["maxiter"] - self.nit, "maxfev": ENDS["maxfev"] - self.nfev + 1}

    def go_on(self, result):
        """Begin the next part of the run."""
        state = pickle.loads(pickle.dumps(result.state))
        self.nit, self.nfev = self.nit + result.nit, self.count
        self.opt = Minimizer(None, state=state, **self.options, **self.remaining())
        self.again = True

    @precondition(lambda self: self.losses and not self.again and not self.ended())
    @rule()
    def cut(self):
        self.go_on(self.opt.result)

    @precondition(lambda self: self.losses and not self.again and not self.ended())
    @rule(
        how=st.sampled_from(["raise", "interrupt", "maxiter", "maxfev", "callback"]),
        after=st.integers(1, 15),
    )
    def through_the_other_door(self, how, after):
        """`minimize_rprop` goes on for a while, and is stopped."""
        self.go_on(self.opt.result)
        options = {**self.options, **self.remaining()}
        evaluations, calls = [], []

        def fun(x):
            if how in ("raise", "interrupt") and len(evaluations) == after:
                raise Stop if how == "raise" else KeyboardInterrupt
            evaluations.append(1)
            return self.told(x)

        def callback(x):
            calls.append(1)
            if len(calls) == after:
                raise StopIteration

        if how in ("maxiter", "maxfev"):
            options[how] = min(options[how], after)
        watch = callback if how == "callback" else None
        try:
            result = minimize_rprop(
                fun, None, jac=True, state=self.opt._old, callback=watch, **options
            )
        except (Stop, KeyboardInterrupt) as error:
            result = error.result
            assert len(evaluations) == after
        assert result.nfev == len(evaluations)
        left = {"maxiter": ENDS["maxiter"] - self.nit, "maxfev": ENDS["maxfev"] - self.count}
        early = {1: left["maxiter"] > result.nit, 2: left["maxfev"] > 0, -1: True, 99: True}
        over = result.status == 99 and self.nit + result.nit == self.whole.result.nit
        if early.get(result.status, False) and not over:
            self.go_on(result)
        else:
            if not over:  # the callback stopped a run that had come to its end
                self.compare(result)
            self.opt = pickle.loads(pickle.dumps(self.whole))

    def compare(self, result):
        """Hold an end against that of the whole run."""
        whole = self.whole.result
        assert (result.status, result.fun) == (whole.status, whole.fun)
        assert result.x.tobytes() == whole.x.tobytes()
        np.testing.assert_array_equal(result.jac, whole.jac)
        assert self.count == whole.nfev
        assert self.nit + result.nit == whole.nit

    @invariant()
    def what_is_known_is_true(self):
        if not getattr(self, "losses", None) or self.again:
            return
        result = self.opt.result
        assert (result.success, result.message) == OUTCOMES[result.status][:2]
        if np.isfinite(self.losses[0]):
            assert result.fun <= self.losses[0]
            assert result.fun == min(self.losses)
        if self.opt.done and self.opt.result.nfev != self.whole.result.nfev:
            self.compare(result)

    def teardown(self):
        if getattr(self, "losses", None) and not self.opt.done:
            while (x := self.opt.ask()) is not None:
                self.opt.tell(*self.told(x))
            self.compare(self.opt.result)


TestRuns = Runs.TestCase
