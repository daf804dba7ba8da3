"""One fault, one name: what the check says of bugs that it was not made from."""

import numpy as np
import pytest

from rprop import VARIANTS, Variant
from rprop.conformance import check, identify, load
from rprop.conformance.adapters import Core
from rprop.conformance.core import core
from rprop.conformance.models import Model, Tape, path, published
from rprop.rule.reference import RULES, rose
from tests.conformance.more_mutants import MORE
from tests.conformance.mutants import MUTANTS, Plain, hidden


@pytest.mark.parametrize("hides", [False, True])
@pytest.mark.parametrize(("mutant", "variant", "flag", "words"), MORE)
@pytest.mark.filterwarnings("ignore")  # of what the mutants compute
def test_further_bugs_lead_with_their_own_flag(mutant, variant, flag, words, hides):
    few = [case for case in load(variant) if case["repeat"] == 1]  # the others take long
    report = check(hidden(mutant) if hides else mutant, variant, dtypes=["float64"], cases=few)
    assert not report.ok
    assert report.leading == report.failures[0].flag == flag
    assert words in "; ".join(report.causes)


@pytest.mark.parametrize("other", VARIANTS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_another_rule_is_named_and_is_one_fault(variant, other):
    report = check(Core.of(other), variant, dtypes=["float64"])
    failing = [flag for flag, result in report.flags.items() if result == "fail"]
    if other == variant:
        assert report.ok
        return
    assert report.causes[0] == f"it follows {other}, not {variant}"
    loss = {"loss-rose", "loss-fell"} if variant == "irprop+" else {"sign-flip"}
    assert set(failing) <= loss
    assert report.leading in loss


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_model_without_faults_is_the_reference(variant):
    for case in load(variant):
        if case["dtype"] != "float64" or case["repeat"] > 1 or "nan" in case["id"]:
            continue
        tape = Tape(
            [float(step["grads"]["decimal"][0]) for step in case["steps"]],
            [float(step["loss"]["decimal"]) for step in case["steps"]],
            float(case["params"]["decimal"][0]),
            float(case["delta0"]["decimal"]),
            tuple(map(float, case["etas"]["decimal"])),
            tuple(map(float, case["step_sizes"]["decimal"])),
        )
        for step, (w, delta) in zip(case["steps"], path(published(variant), tape), strict=True):
            assert (repr(w), repr(delta)) == (
                step["params"]["decimal"][0].replace("-0.0", repr(w)) if w == 0 else repr(w),
                step["delta"]["decimal"][0],
            )
            assert w == float(step["params"]["decimal"][0])


def test_first_step_and_another_fault_are_both_reported():
    flip = next(m for m, _, f, _ in MORE if m.__name__ == "JumpsBackInFull")

    class Two(flip):
        def __init__(self, params, delta0, etas, step_sizes):
            super().__init__(params, delta0 * etas[1], etas, step_sizes)

    report = check(Two, "rprop-", dtypes=["float64"])
    failing = [flag for flag, result in report.flags.items() if result == "fail"]
    assert failing == ["first-step", "sign-flip"]
    assert report.leading == "first-step"
    later = next(failure for failure in report.failures if failure.flag == "sign-flip")
    assert later.note == "compared as if the first step, eta_plus * delta0, were right"
    assert report.flags["same-sign"] == "pass"


def test_a_changed_gradient_hides_nothing_else():
    class Two(Plain):
        def step(self, grads, loss):
            super().step(grads, loss)
            self.params = self.params - (grads == 0).astype(grads.dtype)
            grads[self.prev == 0] = 0

    report = check(Two, dtypes=["float64"])
    failing = {flag for flag, result in report.flags.items() if result == "fail"}
    assert failing == {"zero-gradient", "gradient-changed"}


def test_what_was_not_covered_is_said_and_is_not_ok():
    first = [case for case in load("irprop-") if "first-step" in case["id"]]
    report = check(Core, cases=first)
    assert not report.failures
    assert not report.ok
    assert {"sign-flip", "after-flip", "delta-min"} <= set(report.uncovered)
    assert "too little was run to say that it conforms to irprop-" in str(report)
    assert "nothing is known about" in str(report)


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_small_file_covers_the_minimum(variant):
    assert check(Core.of(variant), variant, cases=core(variant)).ok


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_identify_in_every_dtype(variant, dtype):
    identity = identify(Core.of(variant), dtype)
    assert identity[:4] == (VARIANTS[variant], "delta0", False, "signs")
    assert identity.faults == ()


def test_identify_wants_a_known_dtype():
    with pytest.raises(ValueError, match=r"dtype must be one of .* got 'float8'"):
        identify(Core, "float8")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("NeverUnfreezesTheBias", "but coordinate 3 of 4: "),
        ("HasADeadZoneOnTheProduct", "products of gradients below about 1e-10"),
        ("GrowsByAnotherConstant", "the step size grows by 1.2001"),
        ("StartsWithATenth", "first step 0.1 * delta0"),
        ("StartsWithTheLeastStep", "first step 1e-06, whatever delta0 is"),
        ("LosesTheFirstGradient", "the first gradient is lost"),
        ("OnlyStoresTheFirstGradient", "the first gradient is only stored"),
        ("RemembersAOneFromBefore", "as if a gradient of 1 had come before"),
        ("RepeatsTheOvershootingMove", "nearest to irprop+: on a sign change where the loss did"),
        ("AddsTheParameterToTheGradient", "the move depends on the parameters"),
    ],
)
def test_identify_says_what_is_wrong(name, words):
    mutant = next(m for m, *_ in MORE if m.__name__ == name)
    assert words in str(identify(mutant))


def test_products_of_a_gradient_with_itself_are_products():
    class Squares(Plain):
        def agreement(self, g, prev):
            with np.errstate(all="ignore"):
                product = g * (g if self.count == 1 else prev)
            return int(np.nan_to_num(np.sign(product)))

    identity = identify(Squares)
    assert (identity.variant, identity.compares) == (VARIANTS["irprop-"], "products")
    assert identity.first_step == "eta_plus * delta0"
    report = check(Squares, dtypes=["float64"])
    assert report.leading == "first-step"
    assert report.flags["product-underflow"] == "fail"


def test_a_row_of_data_is_found_whatever_it_is():
    for fell in ("step", "stay", "undo"):
        for risen in ("step", "stay", "undo"):
            row = Variant("other", fell, risen, True)
            found = identify(type("Other", (Core,), {"variant": row})).variant
            assert (found.on_flip, found.on_flip_risen, found.forgets) == (fell, risen, True)


def test_models_are_told_apart_by_their_moves():
    tape = Tape([1, 1, -1], [3, 2, 4], delta0=0.125, etas=(0.5, 1.5))
    ends = {move: [w for w, _ in path(Model(move, move), tape)][-1] for move in ("undo", "repeat")}
    assert ends == {"undo": -0.125, "repeat": -0.5}
    assert rose(4, 2)
    assert len(RULES) == len({m for _, m, _ in MUTANTS} | {"rprop-"})
