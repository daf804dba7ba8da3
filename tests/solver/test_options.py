"""The table of options against signatures, docstrings and what the doors do with them."""

import inspect
import itertools
import math
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import OptimizeWarning, rosen, rosen_der

from rprop import VARIANTS, Minimizer, minimize_batch, minimize_rprop, rprop_init, rprop_step
from rprop.solver import options as solver_options
from rprop.solver.first_step import FEW
from rprop.solver.options import ELSEWHERE, OPTIONS, checked, configure, defaults

DOORS = {"one": minimize_rprop, "many": minimize_batch, "ask": Minimizer}
SCIPY_PAGE = (Path(__file__).parents[2] / "docs/scipy.md").read_text("utf-8")
DIFFERENCES = ("finite_diff_method", "finite_diff_rel_step", "eps", "workers")
START = np.array([-1.2, 1.0, 0.3])


def fun(x):
    return rosen(x), rosen_der(x)


def run(**options):
    return minimize_rprop(fun, START, jac=True, **options)


def documented(door):
    """Return {name: (kind, text)} of the parameters in a docstring, text on one line."""
    text = inspect.cleandoc(DOORS[door].__doc__)
    part = re.search(r"^Parameters\n-+\n(.*?)\n\n\S", text, re.MULTILINE | re.DOTALL)[1]
    entries = re.findall(r"^(\S.*?) : (.*)\n((?: .*\n?)+)", part, re.MULTILINE)
    entries += [(name, "", "") for name in re.findall(r"^(\w+(?:, \w+)*)$", part, re.MULTILINE)]
    return {
        name: (kind, " ".join(body.split()))
        for names, kind, body in entries
        for name in names.split(", ")
    }


@pytest.mark.parametrize("door", DOORS)
def test_a_signature_has_the_options_of_its_door(door):
    parameters = inspect.signature(DOORS[door]).parameters
    for name, row in OPTIONS.items():
        assert (name in parameters) == (door in row.doors), name
        if name in parameters:
            assert parameters[name].kind is inspect.Parameter.KEYWORD_ONLY
            assert parameters[name].default == row.default


@pytest.mark.parametrize("door", DOORS)
def test_a_docstring_says_of_each_parameter_what_the_table_says(door):
    said = documented(door)
    assert set(said) == set(inspect.signature(DOORS[door]).parameters) - {"options"}
    for name in defaults(door):
        assert said[name] == (OPTIONS[name].kind, OPTIONS[name].text), name


def test_options_stand_in_a_docstring_whose_indentation_python_took_away():
    def function(x, **options):
        pass

    function.__doc__ = "Do.\n\nParameters\n----------\nx : array\n{options}\n\nReturns\n"
    text = solver_options.documented("one")(function).__doc__
    assert "\nx : array\ntol : float, optional\n    " in text
    assert "{options}" not in text


def test_by_default_runs_are_silent_and_end():
    """The other defaults are in the texts."""
    given = {name: row.default for name, row in OPTIONS.items() if row.default is not None}
    assert {name: default for name, default in given.items() if not isinstance(default, (str, tuple))} == {
        "maxiter": 10_000, "maxfev": math.inf, "maxtime": math.inf, "f_target": -math.inf,
        "history": False, "return_all": False, "progress": False, "disp": False, "verbose": False,
    }  # fmt: skip


def test_functions_without_docstrings_have_the_options_in_their_signature():
    """As all have with `python -OO`."""

    @solver_options.documented("one")
    def minimizer(fun, *, gtol=3, **options):
        pass

    assert minimizer.__doc__ is None
    *names, last = inspect.signature(minimizer).parameters
    assert sorted(names) == sorted(["fun", *defaults("one")])
    assert last == "options"


def settings(x=START, **options):
    return configure(checked(options, "one"), x, False, 1)


def test_defaults_are_those_of_the_text():
    pairs = re.findall(r"\(([\d.]+), ([\d.]+)\)", OPTIONS["etas"].text)
    plain, secant = (tuple(map(float, pair)) for pair in pairs)
    assert settings(basis=None).etas == settings(variant="irprop-").etas == plain
    assert settings().etas == secant
    assert f"{settings().xtol:.0e}".replace("e-0", "e-") in OPTIONS["xtol"].text
    assert f"By default {settings().ftol:.0e};" in OPTIONS["ftol"].text
    assert settings(np.float32(START)).xtol == 2 * np.finfo(np.float32).eps
    assert settings().step_sizes[0] == 0
    assert settings().variant.name in OPTIONS["variant"].text
    assert (settings().learned, settings().secant) == (True, True)
    for variant in VARIANTS:
        named = settings(variant=variant)
        assert (named.variant, named.learned, named.secant) == (VARIANTS[variant], False, False)
    assert settings(etas=(0.3, 1.5)).etas == (0.3, 1.5)
    assert settings(variant="rprop-", basis="learned").learned
    assert not settings(variant="rprop-", basis="learned").secant
    assert not settings(basis=None).learned


def test_tol_stands_for_the_tolerances_that_are_not_given():
    loose = settings(tol=1e-3)
    assert (loose.gtol, loose.xtol, loose.ftol) == (1e-3, 1e-3, 1e-3)
    mixed = settings(tol=1e-3, xtol=1e-5)
    assert (mixed.gtol, mixed.xtol, mixed.ftol) == (1e-3, 1e-5, 1e-3)


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_is_used(name):
    sources = Path(solver_options.__file__).parent.glob("*.py")
    text = "".join(path.read_text("utf-8") for path in sources)
    tolerances = ("gtol", "xtol", "ftol")  # these are read in a loop
    assert f'given["{name}"]' in text or name in tolerances


@pytest.mark.parametrize("name", [name for name in OPTIONS if name != "basis"])
def test_none_means_the_default(name):
    jac = None if name in DIFFERENCES else rosen_der
    usual = minimize_rprop(rosen, START, jac=jac)
    given = minimize_rprop(rosen, START, jac=jac, **{name: None})
    for field in ("x", "fun", "jac", "nit", "nfev", "status"):
        assert np.array_equal(usual[field], given[field]), field


def test_none_of_basis_is_a_value_of_its_own():
    assert OPTIONS["basis"].of(None) is None
    assert run(basis=None, maxiter=50).fun != run(maxiter=50).fun


NUMBERS = ("tol", "gtol", "ftol", "f_target", "maxiter", "maxfev", "maxtime")
FLAGS = ("history", "return_all", "progress", "disp")
#: What is not of the kind of an option.
WRONG = {
    **dict.fromkeys(
        NUMBERS, ("1e-3", b"1", True, math.nan, [1.0, 2.0], np.ones(1), 1j, object(), {})
    ),
    **dict.fromkeys(FLAGS, ("yes", 2, 1.0, [True], object())),
    "verbose": ("yes", -1, 0.5, [True]),
    "xtol": ("1e-3", True, math.nan, -1, 1j, [1e-3, -1, 1], [1e-3, math.nan, 1], [1e-3, 1e-3]),
    "variant": ("rprop", 3, [1.0]),
    "etas": (0.5, "0.5", (0.5,), (1.2, 0.5), (0, 1.2), (0.5, math.inf), (0.5, math.nan)),
    "step_sizes": (1.0, "ab", (1, 0), (-1, 1), (math.nan, 1), ([0, 0], 1)),
    "delta0": ("small", 0, -1, math.nan, math.inf, [1.0, 2.0], 1j),
    "basis": ("axes", True, 0, np.ones(2)),
    "secant": ("yes", 2, [True]),
    "safeguard": ("wolfe", True, 1),
    "finite_diff_method": ("4-point", 2, True),
    "finite_diff_rel_step": ("a", 0, -1, math.nan, [1e-8, 1e-8], 1j),
    "eps": ("a", 0, -1, math.inf, [1e-8, 1e-8], 1j),
    "workers": ("two", 0, -2, True, 2.0, [2]),
}


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, values in WRONG.items() for v in values])
def test_a_wrong_kind_is_an_error_that_names_the_option(name, value):
    with pytest.raises((TypeError, ValueError), match=rf"^{name} must "):
        minimize_rprop(rosen, START, jac=None if name in DIFFERENCES else rosen_der,
                       **{name: value})  # fmt: skip


def test_every_option_has_a_wrong_kind():
    assert set(OPTIONS) == set(WRONG)


@pytest.mark.parametrize("name", ["gtol", "ftol", "maxiter", "maxfev", "maxtime", "tol"])
def test_a_negative_number_is_named_with_what_came(name):
    with pytest.raises(ValueError, match=f"{name} must be a number that is not negative; got -1"):
        run(**{name: -1})


@pytest.mark.parametrize(
    ("name", "meant"),
    [("maxfun", "maxfev"), ("max_iter", "maxiter"), ("maxitr", "maxiter"), ("lr", "delta0"),
     ("Gtol", "gtol"), ("step_size", "delta0"), ("varaint", "variant"), ("retall", "return_all")],
)  # fmt: skip
def test_near_misses_are_told_what_was_meant(name, meant):
    said = re.escape(f"{name} (did you mean {meant}?)")
    with pytest.warns(OptimizeWarning, match=f"^Unknown solver options: {said}$"):
        run(**{name: 1}, maxiter=1)
    with pytest.raises(TypeError, match=f"^minimize_batch got unknown options: {said}$"):
        minimize_batch(lambda X: (X.sum(1), X), [[1.0]], **{name: 1})
    with pytest.raises(TypeError, match=f"^Minimizer got unknown options: {said}$"):
        Minimizer([1.0], **{name: 1})


def test_what_is_like_nothing_is_named_alone():
    with pytest.warns(OptimizeWarning, match=r"^Unknown solver options: zzz, q$"):
        run(zzz=1, q=2, maxiter=1)


def test_names_of_other_optimisers_lead_to_options():
    assert set(ELSEWHERE.values()) <= set(OPTIONS)
    assert not set(ELSEWHERE) & set(OPTIONS)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("limits", [(1e-6, 50.0), (0.0, 1e100)])
def test_with_all_switched_off_it_is_the_published_rule_to_the_bit(variant, limits):
    result = run(variant=variant, delta0=0.07, step_sizes=limits, gtol=0, xtol=0, ftol=0,
                 maxiter=300, return_all=True)  # fmt: skip
    params, state = START, rprop_init(START, delta0=0.07)
    assert len(result.allvecs) == 301
    for x in result.allvecs:
        np.testing.assert_array_equal(x, params)
        loss, grads = fun(params)
        params, state = rprop_step(
            params, grads, state, step_sizes=limits, variant=variant, loss=loss
        )


ADDED = re.findall(r"^\| (.*) \| .* \| `(.*=.*)` \|$", SCIPY_PAGE, re.MULTILINE)
OFF = {
    "delta0=0.1": lambda s: s.delta0 == 0.1,
    "step_sizes=(1e-6, 50)": lambda s: s.step_sizes == (1e-6, 50),
    "basis=None": lambda s: not s.learned,
    "secant=False": lambda s: not s.secant and s.etas == (0.5, 1.2),
    "gtol=0, xtol=0, ftol=0": lambda s: (s.gtol, s.xtol, s.ftol) == (0, 0, 0),
    "xtol=0, ftol=0": lambda s: (s.xtol, s.ftol) == (0, 0),
}


@pytest.mark.parametrize(("added", "code"), ADDED)
def test_the_page_says_what_switches_off_what_the_default_adds(added, code):
    off = settings(**eval(f"dict({code})"))
    assert OFF[code](off), added
    assert not OFF[code](settings()), added


def test_the_table_of_the_page_was_found():
    assert {code for _, code in ADDED} == set(OFF)
    assert f"with more than {FEW} variables" in SCIPY_PAGE


WAYS = (
    {},
    {"variant": "irprop+"},
    {"variant": "rprop-", "secant": True},
    {"basis": "learned", "secant": False},
    {"safeguard": "armijo"},
)


@pytest.mark.parametrize("size", [2, 60])
@pytest.mark.parametrize(("first", "then"), list(itertools.permutations(WAYS, 2)))
def test_a_run_goes_on_with_other_options(first, then, size):
    x0 = np.tile([-1.2, 1.0], size // 2)
    early = minimize_rprop(rosen, x0, jac=rosen_der, maxiter=17, **first)
    late = minimize_rprop(rosen, x0, jac=rosen_der, maxiter=30, state=early.state, **then)
    assert late.nit == 30
    assert late.fun < early.fun
    again = minimize_rprop(rosen, x0, jac=rosen_der, maxiter=30, state=late.state, **first)
    assert again.fun < late.fun


def test_directions_begun_late_are_the_axes_at_first():
    options = {"variant": "irprop+", "delta0": 0.1, "return_all": True}
    x0 = np.tile([-1.2, 1.0], 30)
    early = minimize_rprop(rosen, x0, jac=rosen_der, maxiter=3, **options)
    going_on = {"jac": rosen_der, "state": early.state, "maxiter": 5, **options}
    axes, learned = (minimize_rprop(rosen, x0, basis=b, **going_on) for b in (None, "learned"))
    np.testing.assert_array_equal(learned.allvecs, axes.allvecs)
    assert not np.array_equal(
        minimize_rprop(rosen, x0, basis="learned", **going_on | {"maxiter": 60}).x,
        minimize_rprop(rosen, x0, **going_on | {"maxiter": 60}).x,
    )


def test_a_tolerance_for_each_variable():
    assert checked({"xtol": [0.0, 1e-3]}, "one")["xtol"].tolist() == [0.0, 1e-3]
    assert checked({"xtol": [0, 1]}, "one")["xtol"].dtype == float
    for wrong in ([0.0, -1e-3], [0.1, np.nan]):
        with pytest.raises(ValueError, match="xtol must be numbers that are not negative; got"):
            checked({"xtol": wrong}, "one")


@pytest.mark.parametrize("given", [1, 3, -1, np.int64(2), map])
def test_workers_are_a_number_or_a_map(given):
    assert checked({"workers": given}, "one")["workers"] is given


def test_what_rounding_may_do_and_how_long_steps_may_get():
    x = np.ones(2)
    assert configure(checked({}, "one"), x, False, 1).exact == 2.0**-50
    for low in (0.0, 1e250, [0.0, 1e250], [1e250, 0.0]):
        given = checked({"step_sizes": (low, np.inf)}, "one")
        longest = max(np.max(low), np.finfo(float).max ** 0.75)
        assert np.max(configure(given, x, False, 1).step_sizes[1]) == longest


def test_slopes_for_secants_are_not_kept_where_none_are_taken():
    options = {"jac": rosen_der, "basis": None}
    early = minimize_rprop(rosen, START[:2], secant=True, maxiter=7, **options)
    assert early.state.last_along is not None
    plain = minimize_rprop(rosen, START[:2], state=early.state, maxiter=5, secant=False, **options)
    assert plain.state.last_along is None


def test_a_first_step_grows_at_most_by_four_to_the_fifteenth():
    opt = Minimizer([1.0])
    moves = []
    while len(moves) < 18:
        x = opt.ask()
        moves.append(x[0] - 1)
        opt.tell(-x[0], [-1.0])
    trials = np.divide(moves[1:], moves[1])
    np.testing.assert_allclose(trials[:16], 4.0 ** np.arange(16), rtol=1e-6)
    assert trials[16] < 4 * trials[15]  # a step of the rule


def test_the_first_reason_to_end_counts_before_the_time_limit():
    result = minimize_rprop(rosen, START[:2], jac=rosen_der, maxiter=1, maxtime=1e-12)
    assert result.status == 1


def test_time_spent_before_a_pickle_counts():
    opt = Minimizer(START[:2], maxtime=50)
    opt._began -= 100  # as if it had begun earlier
    opt = pickle.loads(pickle.dumps(opt))
    while (x := opt.ask()) is not None:
        opt.tell(rosen(x), rosen_der(x))
    assert opt.result.status == 13
