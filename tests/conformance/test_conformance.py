"""The vectors are what the generator writes, and the checker can tell right from wrong."""

import json
import sys
from fractions import Fraction
from pathlib import Path
from shutil import which
from subprocess import run
from time import monotonic

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rprop import VARIANTS
from rprop.conformance import Report, check, identify, load
from rprop.conformance.__main__ import main
from rprop.conformance.adapters import ADAPTERS, Core
from rprop.conformance.cases import floats
from rprop.conformance.checker import DIAGNOSED
from rprop.conformance.core import core
from rprop.conformance.exact import FORMATS, Number, rounded
from rprop.conformance.flags import FLAGS
from rprop.conformance.generate import FOLDER
from rprop.conformance.process import Process
from rprop.conformance.write import everything
from tests.conformance.mutants import MUTANTS, TOLERATED, Plain, hidden


@given(st.fractions() | st.floats(-60000, 60000).map(Fraction), st.sampled_from(sorted(FORMATS)))
def test_exact_numbers_round_as_numpy_does(value, name):
    if abs(value) < 60000 and float(value) == value:
        assert rounded(value, FORMATS[name]) == Fraction(float(np.dtype(name).type(float(value))))


@given(st.floats(-1e3, 1e3, width=32), st.floats(-1e3, 1e3, width=32))
def test_exact_arithmetic_is_that_of_float32(a, b):
    x, y = (Number(value, FORMATS["float32"]) for value in (a, b))
    a, b = np.float32(a), np.float32(b)
    for exact, machine in ((x + y, a + b), (x - y, a - b), (x * y, a * b), (-x, -a)):
        assert exact.value == Fraction(float(machine))


def test_the_committed_files_are_what_the_generator_writes():
    for name, content in everything().items():
        assert (FOLDER / name).read_text(encoding="utf-8") == content, name


def test_the_files_satisfy_the_schema():
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((FOLDER / "schema.json").read_text(encoding="utf-8"))
    for path in FOLDER.glob("*rprop*.json"):
        jsonschema.validate(json.loads(path.read_text(encoding="utf-8")), schema)


def test_every_flag_is_reached_by_some_case():
    reached = {step["flag"] for v in VARIANTS for case in load(v) for step in case["steps"]}
    assert reached | set(DIAGNOSED) == set(FLAGS)


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_rule_cases_are_exact_in_every_dtype(variant):
    steps = {case["id"]: case["steps"] for case in load(variant) if case["verdict"] == "valid"}
    halves = [name for name in steps if "/float16/" in name and name[-7:] != "float16"]
    assert len(halves) > 30
    for name in halves:
        for dtype in ("float32", "float64"):
            for half, wide in zip(steps[name], steps[name.replace("float16", dtype)], strict=True):
                assert (half["params"], half["delta"]) == (wide["params"], wide["delta"]), name


def test_hexadecimal_and_decimal_say_the_same():
    for case in load("irprop+"):
        for step in case["steps"]:
            for name in ("grads", "params", "delta"):
                decimals = [float(number) for number in step[name]["decimal"]]
                np.testing.assert_array_equal(floats(step[name]), decimals)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("make", [Core.of, lambda v: type("P", (Plain,), {"variant": v})])
def test_correct_implementations_conform(make, variant):
    report = check(make(variant), variant)
    report.assert_ok()
    assert not report.tolerated
    assert set(report.flags.values()) <= {"pass", "not applicable"}
    assert (report.leading, report.causes, report.uncovered) == ("", (), ())
    assert identify(make(variant)).variant == VARIANTS[variant]
    assert "conforms to" in str(report)


def enough(mutant):
    """Return dtypes in which a mutant shows: few, for the sake of time."""
    wide = mutant.__name__ in ("DoublePrecisionState", "WidensParams")
    return ["float32", "float16"] if wide else ["float64"]


@pytest.mark.parametrize(("mutant", "variant", "flag"), MUTANTS)
def test_mutants_fail_on_their_own_flag_alone(mutant, variant, flag):
    report = check(mutant, variant, dtypes=enough(mutant))
    assert not report.ok
    assert [name for name, result in report.flags.items() if result == "fail"] == [flag]
    assert report.leading == report.failures[0].flag == flag
    with pytest.raises(AssertionError, match=f"leading flag: {flag}"):
        report.assert_ok()


@pytest.mark.parametrize(("mutant", "variant", "flag"), TOLERATED)
def test_what_the_papers_leave_open_is_reported_but_no_failure(mutant, variant, flag):
    report = check(mutant, variant)
    report.assert_ok()
    assert {failure.flag for failure in report.tolerated} == {flag}
    assert report.flags[flag] == "acceptable"
    assert next(f for f in report.tolerated if f.flag == flag).case in str(report)


@pytest.mark.parametrize(("mutant", "variant", "flag"), MUTANTS)
def test_mutants_that_hide_their_step_size_are_caught_as_well(mutant, variant, flag):
    report = check(hidden(mutant), variant, dtypes=enough(mutant))
    flags = {failure.flag for failure in report.failures}
    assert flags & {flag, {"zero-gradient": "after-zero"}.get(flag)}  # it shows a step later


def test_the_report_names_the_first_step_that_differs():
    mutant = next(m for m, _, flag in MUTANTS if flag == "after-zero")
    failure = next(f for f in check(mutant).failures if f.case == "irprop-/float64/zero")
    assert (failure.flag, failure.step, failure.what) == ("after-zero", 4, "params")
    namespace = {}
    exec(failure.snippet, namespace)  # noqa: S102
    assert repr(namespace["stepper"].params.tolist()) == failure.actual


@pytest.mark.parametrize(("mutant", "variant", "flag"), MUTANTS)
def test_snippets_reproduce_what_they_report(mutant, variant, flag):
    short = {}
    for failure in check(mutant, variant, dtypes=enough(mutant)).failures:
        if failure.flag == flag and failure.what == "params" and failure.actual[0] == "[":
            short.setdefault(failure.case.split("/")[2], failure)
    for failure in short.values():
        namespace = {}
        exec(failure.snippet, namespace)  # noqa: S102
        params = namespace["stepper"].params
        assert failure.actual.startswith(repr(params.tolist()))


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_variants_are_told_apart(variant):
    for other in VARIANTS:
        assert check(Core.of(other), variant).ok == (other == variant)


class Bad(Core):
    def step(self, grads, loss):
        super().step(grads, loss)
        self.break_()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda self: 1 / 0, "ZeroDivisionError: division by zero"),
        (lambda self: setattr(self, "params", self.params[:, None]), r"shape \(1, 1\)"),
        (lambda self: setattr(self, "params", self.params * np.nan), "nan"),
        (lambda self: setattr(self, "params", np.full_like(self.params, np.inf)), "inf"),
        (lambda self: setattr(self, "params", None), "None"),
        (lambda self: setattr(self, "params", self.params.astype("f4")), "float32"),
    ],
)
def test_a_stepper_that_breaks_never_passes(damage, message):
    report = check(type("Broken", (Bad,), {"break_": damage}), dtypes=["float64"])
    assert len(report.failures) + len(report.tolerated) == report.count
    with pytest.raises(AssertionError, match=message):
        report.assert_ok()
    assert report.failures[0].case.startswith("irprop-/float64/")


@pytest.mark.parametrize("status", [0, 1])
def test_a_stepper_that_ends_the_program_never_passes(status):
    broken = type("Broken", (Bad,), {"break_": lambda self: sys.exit(status)})
    with pytest.raises(AssertionError, match=f"SystemExit: {status}"):
        check(broken).assert_ok()


def test_an_interrupt_is_passed_on():
    def interrupt(self):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check(type("Broken", (Bad,), {"break_": interrupt}))


def test_a_stepper_that_does_not_answer_ends_the_check():
    def wait(self):
        raise TimeoutError("no answer within 2 s")

    broken = type("Broken", (Bad,), {"break_": wait})
    silent = [case for case in load("irprop-") if case["verdict"] == "acceptable"]
    for cases in (None, silent):  # it counts where the papers are silent, too
        report = check(broken, cases=cases)
        assert report.count == len(report.failures) == 1
        assert "the others were not run" in str(report)


def test_params_may_be_a_list():
    class Listed(Core):
        def step(self, grads, loss):
            self.params = np.array(self.params, grads.dtype)
            super().step(grads, loss)
            self.params = self.params.tolist()

    check(Listed).assert_ok()


def test_a_stepper_without_a_single_case_does_not_pass():
    assert not Report("irprop-", {}, [], [], 0).ok
    with pytest.raises(ValueError, match="dtypes must leave one of the"):
        check(Core, cases=[])


def test_a_stepper_that_cannot_be_made_never_passes():
    def make(*_):
        raise OSError("no device")

    with pytest.raises(AssertionError, match="OSError: no device"):
        check(make).assert_ok()


def test_ulps():
    class Fused(Core):
        def step(self, grads, loss):
            super().step(grads, loss)
            self.params = np.nextafter(self.params, np.inf, dtype=self.params.dtype)

    assert not check(Fused, dtypes=["float64"]).ok
    short = [{**c, "steps": c["steps"][:1]} for c in load("irprop-") if "float64/first" in c["id"]]
    assert not check(Fused, ulps=1, cases=short).failures


def test_arguments():
    with pytest.raises(ValueError, match="variant must be one of"):
        check(Core, variant="rprop")
    with pytest.raises(ValueError, match="dtypes must leave one of the"):
        check(Core, dtypes=[])
    with pytest.raises(ValueError, match="ulps must be at least 0; got -1"):
        check(Core, ulps=-1)
    with pytest.raises(ValueError, match="cases must hold test vectors; the first case: KeyError"):
        check(Core, cases=[{"variant": "irprop-"}])
    with pytest.raises(ValueError, match="variant must be one of"):
        load("rprop")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text[:1000], "must be a file of test vectors: JSONDecodeError"),
        (lambda text: "", "must be a file of test vectors: JSONDecodeError"),
        (lambda text: "[]", "must be a file of test vectors: TypeError"),
        (lambda text: text.replace('"count": 1', '"count": 2', 1), "where count says 2"),
        (lambda text: text.replace("0x1.", "0y1.", 1), "case irprop-/float64/first-step-down"),
        (lambda text: text.replace('"id"', '"ID"', 1), "the first case: KeyError..id"),
        (lambda text: text.replace('"repeat": 1', '"repeat": 0', 1), "nothing to run"),
        (lambda text: text.replace('"valid"', '"maybe"', 1), "verdict 'maybe', dtype 'float64'"),
        (lambda text: text.replace('"float32"', '"float8"', 1), "dtype 'float8'"),
        (
            lambda text: text.replace('"flag": "sign-flip"', '"flag": "?"', 1),
            r"64/flip, step 3: .* flag '\?'",
        ),
    ],
)
def test_a_malformed_file_is_named(tmp_path, damage, message):
    path = tmp_path / "vectors.json"
    text = (FOLDER / "irprop_minus.json").read_text(encoding="utf-8")
    path.write_text(damage(text), encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        load(path)


def test_identify_names_what_is_no_published_rule():
    class Hybrid(Plain):
        def coordinate(self, i, g, rose):
            flip = self.agreement(g, self.prev[i]) < 0
            super().coordinate(i, g, rose)
            if flip:
                self.move[i] = -self.sign(g) * self.delta[i]
            return self.move[i]

    assert identify(Hybrid).variant.name == "hybrid, as OpenCV"
    products = next(m for m, _, flag in MUTANTS if flag == "product-underflow")
    assert identify(products).compares == "products"
    late = next(m for m, _, flag in MUTANTS if flag == "stale-update")
    assert identify(late)[:3] == (VARIANTS["irprop-"], "delta0", True)

    class Nothing(Core):
        def step(self, grads, loss):
            pass

    assert identify(Nothing)[:3:2] == (None, False)
    assert "matches no row" in str(identify(Nothing))


SPEAKER = """
import json, sys, time
import numpy as np
from rprop.conformance.adapters import Core
head = json.loads(input())
core = Core(np.array(head["params"], head["dtype"]), head["delta0"], head["etas"], head["step_sizes"])
for line in sys.stdin:
    message = json.loads(line)
    {damage}
    core.step(np.array([float(g) for g in message["grads"]], head["dtype"]), message["loss"])
    print(json.dumps({{"params": core.params.tolist()}}), flush=True)
"""


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("pass", None),
        ("sys.exit('out of memory')", "exit status 1: out of memory"),
    ],
)
def test_a_program_on_its_standard_streams(tmp_path, monkeypatch, damage, message):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    path = tmp_path / "speaker.py"
    path.write_text(SPEAKER.format(damage=damage), encoding="utf-8")
    cases = core("irprop-")[: 2 if message else 4]
    report = check(Process.of(f"{sys.executable} {path}", timeout=60), cases=cases)
    if message is None:
        assert not report.failures
    else:
        with pytest.raises(AssertionError, match=message):
            report.assert_ok()
        assert report.failures[0].case == cases[0]["id"]


@pytest.mark.skipif(which("sh") is None, reason="there is no shell")
def test_a_program_that_hangs_in_a_child_of_its_own_is_ended():
    begin = monotonic()
    report = check(Process.of("sh -c 'sleep 30; echo late'", timeout=0.2))
    assert report.failures[0].what == "no answer"
    assert monotonic() - begin < 20


def test_the_snippet_of_a_program_is_a_line_for_the_shell():
    report = check(Process.of("cat"), dtypes=["float64"])
    done = run(["sh", "-c", report.failures[0].snippet], check=True, capture_output=True)
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        {
            "params": [0.0],
            "delta0": 0.1,
            "etas": [0.5, 1.2],
            "step_sizes": [1e-6, 50.0],
            "dtype": "float64",
        },
        {"grads": [2.5], "loss": 0.0},
    ]


@pytest.mark.skipif(which("node") is None, reason="node is not installed")
def test_another_language(capsys):
    path = Path(__file__).parents[2] / "examples" / "rprop.js"
    command = ["--reuse", "--command", f"node {path}", "--dtypes"]
    assert main([*command, "float64", "float32"]) == 0
    assert "conforms to irprop-" in capsys.readouterr().out
    assert main([*command, "float16"]) == 1
    assert "declined: float16: only float64 and float32" in capsys.readouterr().out


def test_command_line(capsys):
    assert main(["rprop", "--variant", "rprop+"]) == 0
    assert "conforms to rprop+" in capsys.readouterr().out
    assert main(["rprop", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rprop"]["ok"] is True
    for wrong in (["no.such.Rprop"], ["rprop", "--ulps", "-1"], ["rprop", "--command", "cat"]):
        with pytest.raises(SystemExit, match="2"):
            main(wrong)
    with pytest.raises(SystemExit):
        main([])


def test_a_missing_framework_gets_a_sentence(capsys, monkeypatch):
    monkeypatch.setitem(ADAPTERS, "rprop", ADAPTERS["rprop"]._replace(package="no_such_package"))
    assert main(["rprop"]) == 2
    assert capsys.readouterr().err == (
        "rprop cannot be checked: no_such_package is not installed.\n"
    )


def test_a_malformed_file_ends_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("rprop.conformance.cases.FOLDER", tmp_path)
    load.cache_clear()
    assert main(["rprop"]) == 2
    assert "irprop_minus.json" in capsys.readouterr().err
    load.cache_clear()


@pytest.mark.parametrize("command", ["no-such-program --fast", "", "'"])
def test_a_missing_program_gets_a_sentence(command, capsys):
    assert main(["--command", command]) == 2
    assert capsys.readouterr().err.endswith(" cannot be checked: it is no program.\n")
