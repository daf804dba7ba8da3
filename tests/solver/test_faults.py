"""Whatever a function does, wherever: no crash without a word, no worse point, no end that never comes."""

import numpy as np
import pytest
from scipy.optimize import rosen, rosen_der

from rprop import VARIANTS, Minimizer, minimize_batch, minimize_rprop
from rprop.solver.stopping import OUTCOMES

MOST = 400  # evaluations that a run here may take at the very most


class Own(Exception):
    """An exception of the user's, with room for nothing."""

    __slots__ = ()


def bowl(x):
    return float(((x - 1.25) ** 2).sum()), 2 * (x - 1.25)


def rosenbrock(x):
    return float(rosen(x)), rosen_der(x)


def kinks(x):
    return float(np.abs(x - 0.3).sum()), np.sign(x - 0.3)


def steps(x):
    return float(np.floor(np.abs(x)).sum()), np.sign(x)


def endless(x):
    return float(-x.sum()), -np.ones_like(x)


def walls(x):
    with np.errstate(all="ignore"):
        return float(x @ x - np.log(x).sum()), 2 * x - 1 / x


FUNCTIONS = [bowl, rosenbrock, kinks, steps, endless, walls]
HUGE = np.finfo(float).max
#: What may be returned instead of (loss, gradient).
VALUES = [
    lambda f, g: (np.nan, g), lambda f, g: (np.inf, g), lambda f, g: (-np.inf, g),
    lambda f, g: (f, np.full_like(g, np.nan)), lambda f, g: (f, np.r_[np.inf, g[1:]]),
    lambda f, g: (f, np.r_[g[:-1], -np.inf]), lambda f, g: (HUGE, g), lambda f, g: (-HUGE, g),
    lambda f, g: (f, np.full_like(g, HUGE)), lambda f, g: (f, -g), lambda f, g: (-f, g),
    lambda f, g: (f, 0 * g), lambda f, g: (f + 1, g), lambda f, g: (f, 1e-320 * g),
    lambda f, g: (np.float32(f), g.tolist()), lambda f, g: (np.array([f]), g[None]),
]  # fmt: skip
#: What is no loss with its gradient; None of these may be taken for one.
WRONG = [
    lambda f, g: f, lambda f, g: None, lambda f, g: (f, g, g), lambda f, g: (f, g[1:]),
    lambda f, g: (f, np.r_[g, 1.0]), lambda f, g: (f, None), lambda f, g: (None, g),
    lambda f, g: ("low", g), lambda f, g: (np.array([f, f]), g), lambda f, g: (1j, g),
    lambda f, g: (f, g + 1j), lambda f, g: (f, ["a"] * len(g)), lambda f, g: (f, [[1.0], [1.0, 2]]),
]  # fmt: skip
RAISED = [KeyboardInterrupt, Own, ValueError, ZeroDivisionError, StopIteration, SystemExit]


class Faulty:
    """A function that does what it should not at some evaluations, and is watched."""

    def __init__(self, fun, faults, box):
        self.fun, self.faults, self.box = fun, faults, box
        self.points, self.losses, self.raised = [], [], None

    def __call__(self, x):
        assert len(self.points) < MOST, "it never ends"
        assert x.ndim == 1
        assert ((self.box[0] <= x) & (x <= self.box[1])).all(), "outside the box"
        fault = self.faults.get(len(self.points))
        value = self.fun(x)
        self.points.append(x.copy())
        x[:] = np.nan  # a copy of ours
        if isinstance(fault, type):
            self.raised = fault("injected")
            raise self.raised
        if fault is not None:
            value = fault(*value)
            if fault in WRONG:
                return value
        loss, gradient = (np.asarray(part, float) for part in value)
        usable = np.isfinite(loss) and np.isfinite(gradient).all()
        self.losses.append(loss.item() if usable else np.inf)
        return value


def sample(seed):
    """Return a function, a start, a box, options, and where what goes wrong."""
    rng = np.random.default_rng(seed)

    def one(*choices):
        return choices[rng.integers(len(choices))]

    n = one(1, 2, 3, 7)
    n = 2 if (fun := one(*FUNCTIONS)) is rosenbrock and n == 1 else n
    dtype = one(float, float, np.float32)
    x0 = rng.choice([0.0, 0.7, -1.0, 3.0, 1e-3, 1e4], n).astype(dtype)
    low = np.where(rng.random(n) < 0.3, -np.inf, rng.choice([-2.0, 0.0, 0.5], n))
    width = rng.choice([0.0, 0.5, 3.0, np.inf], n, p=[0.1, 0.3, 0.3, 0.3])
    high = np.where(low == -np.inf, one(0.5, np.inf), np.maximum(low, -9) + width)
    box = (low, high) if rng.random() < 0.4 else (np.full(n, -np.inf), np.full(n, np.inf))
    options = {"maxfev": one(3, 40, 200), "maxiter": one(np.inf, 25)}
    choices = {
        "basis": (None, "learned", "auto"), "variant": tuple(VARIANTS), "safeguard": ("armijo",),
        "delta0": (0.1, 1e-3, 1e3), "secant": (True, False), "gtol": (0, 1e-3), "xtol": (0, 0.1),
        "ftol": (0, 1e-2), "step_sizes": ((1e-3, 1.0), (0.0, np.inf)), "etas": ((0.5, 1.2),),
    }  # fmt: skip
    for name, values in choices.items():
        if rng.random() < 0.3:
            options[name] = one(*values)
    if "basis" in options and options["basis"] == "auto":
        del options["basis"]
    kind = one(VALUES, VALUES, WRONG, RAISED)
    often = one(0.02, 0.1, 0.5)
    faults = {k: one(*kind) for k in range(one(0, 1, 1, 1), 200) if rng.random() < often}
    return fun, x0, box, options, faults


def judge(result, watched, x0):
    """Hold a result against everything that was seen."""
    lowest = min(watched.losses, default=np.inf)
    success, message, _ = OUTCOMES[result.status]
    assert (result.success, result.message) == (success, message)
    assert result.x.dtype == x0.dtype
    assert result.nfev == result.njev == len(watched.losses)
    assert ((watched.box[0] <= result.x) & (result.x <= watched.box[1])).all()
    if watched.losses[0] < np.inf:
        assert result.fun == lowest <= watched.losses[0]
        at = [x.tobytes() for x, f in zip(watched.points, watched.losses, strict=False) if f == lowest]  # fmt: skip
        assert result.x.tobytes() in at
        assert np.isfinite(result.jac).all()
    else:
        assert (result.status, result.success) == (3, False)


def attempt(watched, x0, box, options):
    """Return the result, and the exception that ended the run, if one did."""
    bounds = list(zip(*box, strict=True))
    try:
        return minimize_rprop(watched, x0, jac=True, bounds=bounds, **options), None
    except BaseException as error:  # noqa: BLE001  # interrupts, too
        return getattr(error, "result", None), error


def run(seed):
    fun, x0, box, options, faults = sample(seed)
    box = tuple(side.astype(x0.dtype) for side in box)
    watched = Faulty(fun, faults, box)
    result, error = attempt(watched, x0, box, options)
    assert error is watched.raised or isinstance(error, (TypeError, ValueError)), error
    if error is not watched.raised:  # an error of ours: something wrong was returned
        assert len(watched.points) == len(watched.losses) + 1
        assert "got" in str(error)
    if watched.losses:
        assert result.nfev <= options["maxfev"]
        judge(result, watched, x0)


@pytest.mark.parametrize("part", range(8))
def test_faults(part):
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # of the functions here
        for seed in range(part, 240, 8):
            run(seed)


@pytest.mark.exhaustive
@pytest.mark.parametrize("part", range(100))
def test_many_faults(part):
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for seed in range(1000 + part, 11_000, 100):
            run(seed)


@pytest.mark.parametrize("part", range(4))
def test_what_is_told_wrongly_changes_nothing(part):
    """A point may be told again, rightly, after a mistake."""
    for seed in range(part, 40, 4):
        fun, x0, box, options, _ = sample(seed)
        box = [tuple(side.astype(x0.dtype)) for side in box]
        with np.errstate(all="ignore"):
            if not np.isfinite(fun(np.clip(x0, *box))[0]):
                continue
        whole, opt = (Minimizer(x0, zip(*box, strict=True), **options) for _ in range(2))
        count = 0
        with np.errstate(all="ignore"):
            while (x := whole.ask()) is not None:
                whole.tell(*fun(x))
                for wrong in WRONG[count % len(WRONG) :][:2]:
                    value = wrong(*fun(x))
                    if isinstance(value, tuple) and len(value) == 2:
                        np.testing.assert_array_equal(opt.ask(), x)
                        with pytest.raises((TypeError, ValueError), match="got"):
                            opt.tell(*value)
                np.testing.assert_array_equal(opt.ask(), x)
                opt.tell(*fun(x))
                count += 1
        assert opt.done
        assert opt.result.x.tobytes() == whole.result.x.tobytes()
        assert opt.result.nfev == whole.result.nfev


def test_a_row_of_a_batch_with_faults_disturbs_no_other():
    for seed in range(len(VALUES)):
        rng = np.random.default_rng(seed)
        X0 = rng.normal(size=(3, 2))
        bad = VALUES[seed]

        def fun(x, index, faulty, bad=bad, counts=None):
            rows = [rosenbrock(row) for row in x]
            for k, i in enumerate(index):
                counts[i] += 1
                if i == 1 and faulty and counts[i] % 4 == 2:
                    loss, jac = bad(*rows[k])
                    rows[k] = np.asarray(loss, float).item(), np.asarray(jac, float).ravel()
            losses, jacs = zip(*rows, strict=True)
            return np.array(losses), np.array(jacs)

        results = []
        for faulty in (False, True):
            args = (np.arange(3),)
            counts = np.zeros(3, int)

            def call(x, index, faulty=faulty, counts=counts, fun=fun):
                return fun(x, index, faulty, counts=counts)

            results.append(minimize_batch(call, X0, args=args, in_axes=0, maxfev=50))
        clean, dirty = results
        for key in ("x", "fun", "jac", "nit", "nfev", "status"):
            np.testing.assert_array_equal(clean[key][[0, 2]], dirty[key][[0, 2]])
        assert np.isfinite(dirty.fun[1])
        assert dirty.nfev[1] <= 50
