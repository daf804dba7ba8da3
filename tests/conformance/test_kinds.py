"""Implementations of every kind: with fixed settings, with a loop of their own, in one process."""

import gc
import json
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from rprop import VARIANTS
from rprop.conformance import Declined, Limits, check, driven, identify, replay
from rprop.conformance.__main__ import main
from rprop.conformance.adapters import Core
from rprop.conformance.closed_loop import PROBLEMS, expected_path
from rprop.conformance.core import core
from rprop.conformance.fitted import fitted
from rprop.conformance.flags import minimum
from rprop.conformance.process import Process
from tests.conformance.mutants import MUTANTS
from tests.conformance.test_diagnosis import hidden

ROOT = Path(__file__).parents[2]
USUAL = Limits(etas=(0.5, 1.2), step_sizes=(1e-6, 50.0))


def fixed(stepper, limits):
    """Return a stepper that ignores what it cannot be told."""

    class Fixed(stepper):
        def __init__(self, params, delta0, etas, step_sizes):
            given = limits.fit(Settings(etas, step_sizes, delta0))
            super().__init__(params, given.delta0, given.etas, given.step_sizes)

    return Fixed


class Settings:
    def __init__(self, etas, step_sizes, delta0):
        self.etas, self.step_sizes, self.delta0 = etas, step_sizes, delta0

    def _replace(self, **changes):
        return Settings(**{**vars(self), **changes})


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(
    "limits",
    [
        USUAL,
        Limits(etas=(0.5, 1.2)),
        Limits(step_sizes=(None, 0.5)),
        Limits(etas=(0.5, 1.2), step_sizes=(0.0, np.inf), delta0=0.1),
        Limits(delta0=0.0125, size=3),
    ],
)
def test_cases_are_made_to_fit(variant, limits):
    stepper = fixed(Core.of(variant), limits)
    report = check(stepper, variant, limits=limits, dtypes=["float64"])
    report.assert_ok()
    assert set(minimum(variant, limits)) <= {f for c in fitted(variant, limits) for f in c["flags"]}
    assert identify(stepper, limits=limits).variant == VARIANTS[variant]


@pytest.mark.parametrize(
    ("mutant", "variant", "flag"),
    [m for m in MUTANTS if m[2] in ("first-step", "same-sign", "sign-flip", "after-zero")],
)
def test_bugs_are_found_behind_fixed_settings(mutant, variant, flag):
    report = check(hidden(fixed(mutant, USUAL)), variant, limits=USUAL, dtypes=["float64"])
    assert report.leading == flag


def test_a_first_step_that_is_declared_is_no_fault():
    class Longer(Core):
        limits = Limits(factor=1.5)

        def __init__(self, params, delta0, etas, step_sizes):
            super().__init__(params, delta0 * 1.5, etas, step_sizes)

    check(Longer, dtypes=["float64"]).assert_ok()
    assert check(Longer, limits=Limits(), dtypes=["float64"]).leading == "first-step"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"etas": (1.2, 0.5)}, "etas must be a pair with 0 < eta_minus < 1 < eta_plus"),
        ({"delta0": 0.0}, "delta0 must be positive; got 0.0"),
        ({"size": -1}, "size must be positive; got -1"),
    ],
)
def test_limits_are_checked(fields, message):
    with pytest.raises(ValueError, match=message):
        Limits(**fields)


def test_a_rule_that_needs_the_loss_cannot_go_without():
    with pytest.raises(ValueError, match="variant must be one that needs no loss"):
        check(Core.of("irprop+"), "irprop+", limits=Limits(loss=False))


def minimise_by(variant, steps=10**9):
    def minimise(fun_and_grad, x0, delta0, etas, step_sizes):
        rule = Core.of(variant)(x0, delta0, etas, step_sizes)
        for _ in range(steps):
            loss, grads = fun_and_grad(rule.params)
            rule.step(grads, loss)

    return minimise


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_minimiser_with_a_loop_of_its_own(variant):
    before = threading.active_count()
    make = driven(minimise_by(variant))
    check(make, variant, dtypes=["float64"]).assert_ok()
    assert identify(make).variant == VARIANTS[variant]
    gc.collect()
    for thread in threading.enumerate()[before:]:
        thread.join(timeout=2)
    assert threading.active_count() <= before


@pytest.mark.parametrize(
    ("minimise", "message"),
    [
        (minimise_by("irprop-", 1), "RuntimeError: the minimiser stopped by itself"),
        (lambda *_: 1 / 0, "ZeroDivisionError"),
        (lambda fun, x0, *_: fun(x0 + 1), "ValueError: the first point must be x0"),
        (lambda *_: threading.Event().wait(1), "no call within 0.1 s"),
    ],
)
def test_a_minimiser_that_breaks_never_passes(minimise, message):
    with pytest.raises(AssertionError, match=message):
        check(driven(minimise, timeout=0.1), cases=core("irprop-")).assert_ok()


def test_a_declined_dtype_is_said():
    class Double(Core):
        def __init__(self, params, *settings):
            super().__init__(params, *settings)
            if params.dtype != np.float64:
                raise Declined("only double precision")

    report = check(Double)
    report.assert_ok()
    assert report.declined == ("float32: only double precision", "float16: only double precision")
    assert "declined: float32" in str(report)
    report = check(Double, dtypes=["float16"])
    assert not report.ok
    assert report.count == 0


SPEAKER = """
import json, os, sys
import numpy as np
from rprop.conformance.adapters import Core
print("started", file=open({log!r}, "a"))
for line in sys.stdin:
    message = json.loads(line)
    if "params" in message:
        dtype = message["dtype"]
        core = Core(np.array(message["params"], dtype), message["delta0"], message["etas"],
                    message["step_sizes"])
        continue
    core.step(np.array([float(g) for g in message["grads"]], dtype), float(message["loss"]))
    print(json.dumps({{"params": core.params.tolist()}}), flush=True)
    {damage}
"""


@pytest.mark.parametrize("reuse", [True, False])
def test_one_process_for_many_cases(tmp_path, monkeypatch, reuse):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    log = tmp_path / "log"
    program = tmp_path / "speaker.py"
    program.write_text(SPEAKER.format(log=str(log), damage="pass"), encoding="utf-8")
    make = Process.of(f"{sys.executable} {program}", reuse=reuse)
    cases = core("irprop-") if reuse else [c for c in core("irprop-") if "-flip" in c["id"]]
    report = check(make, cases=cases)
    assert not report.failures
    assert report.ok == reuse
    assert len(log.read_text().splitlines()) == (1 if reuse else len(cases))


def test_a_program_that_ends_is_started_again(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    log, program = tmp_path / "log", tmp_path / "speaker.py"
    damage = "sys.exit('enough') if core.params[0] < -0.3 else None"
    program.write_text(SPEAKER.format(log=str(log), damage=damage), encoding="utf-8")
    make = Process.of(f"{sys.executable} {program}", reuse=True)
    cases = [case for case in core("irprop-") if case["id"].split("/")[2] in ("delta-max", "flip")]
    report = check(make, cases=cases)
    assert all("enough" in failure.actual for failure in report.failures)


def test_limits_on_the_command_line(capsys):
    assert main(["rprop", "--limits", '{"etas": [0.5, 1.2]}', "--exhaustive", "3", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)["rprop"]
    assert said["claim"].startswith("all 9 x 27 tapes of 3 steps")
    for wrong in ("[", "{}}", '{"eta": 1}', '{"etas": [2, 1]}'):
        with pytest.raises(SystemExit, match="2"):
            main(["rprop", "--limits", wrong])
        assert "--limits must be JSON with fields of Limits" in capsys.readouterr().err


def test_a_heading_never_bears_our_own_version_for_another(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    program = tmp_path / "speaker.py"
    program.write_text(SPEAKER.format(log=str(tmp_path / "log"), damage=""), encoding="utf-8")
    command = f"{sys.executable} {program}"
    assert main(["--command", command, "--reuse", "--dtypes", "float64"]) == 0
    assert capsys.readouterr().out.startswith(f"{command}, expected to be irprop-\n")


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", PROBLEMS)
def test_a_path_that_was_trained_tells_its_rule(variant, name):
    problem = PROBLEMS[name]
    points = expected_path(problem, variant, 40)
    told = replay(points, problem.fun_and_grad, delta0=0.125, etas=(0.5, 1.5))
    assert told.complete
    assert told.agreed[variant] == 40
    stepper = Core.of(variant)(np.array(problem.start), 0.125, (0.5, 1.5), (1e-6, 50.0))
    for point in points:
        np.testing.assert_array_equal(stepper.params, point)
        loss, grads = problem.fun_and_grad(stepper.params)
        stepper.step(grads, loss)


def test_a_path_of_no_rule_is_told_where_it_leaves():
    problem = PROBLEMS["two"]
    points = expected_path(problem, "irprop-", 20)
    points[8:] = [point + 0.01 for point in points[8:]]
    told = replay(points, problem.fun_and_grad, delta0=0.125, etas=(0.5, 1.5))
    assert not told.complete
    assert str(told) == "no rule explains it; irprop- agrees until step 7, not at step 8"
    with pytest.raises(ValueError, match="points must be at least two; got 1"):
        replay(points[:1], problem.fun_and_grad, delta0=0.1)
