"""The lesson's check by `core.json` names the mistakes that its solutions speak of."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
CELL = re.compile(r"^```\{code-cell\}\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SOLUTION = CELL.findall((DOCS / "lesson-solutions.md").read_text("utf-8"))[0]
#: the mistake: what of the solution is written otherwise, and the flag that names it
MISTAKES = {
    "the first move is 1.2 Δ0": ("agreement > 0", "agreement >= 0", "first-step"),
    "a Δ outside its limits": ("min(max(delta, limits[0]), limits[1])", "delta", "delta-min"),
    "the new sign is remembered": ("return w, delta, 0", "return w, delta, sign(g)", "after-flip"),
    "the old sign is kept": ("return w, delta, 0", "return w, delta, last", "after-flip"),
    "it steps at a flip": ("return w, delta, 0", "pass", "sign-flip"),
    "a gradient of 0 moves": ("int(g > 0) - int(g < 0)", "1 if g >= 0 else -1", "first-step"),
    "Δ does not grow": ("delta * etas[1]", "delta", "same-sign"),
}


@pytest.fixture(scope="module")
def lesson():
    names = {}
    for cell in CELL.findall((DOCS / "lesson.md").read_text("utf-8")):
        exec(compile(cell, "lesson.md", "exec"), names)  # noqa: S102
    return names


def solved(old="", new=""):
    """Return the step of the solution, with one part of it written otherwise."""
    names = {}
    code = SOLUTION.partition("\nw, delta, last, rows")[0]
    exec(code.replace(old, new) if old else code, names)  # noqa: S102
    return names["step"]


def test_the_solution_is_right_and_the_empty_function_is_not(lesson):
    assert lesson["first_difference"](solved()).startswith("no difference")
    assert lesson["first_difference"](lesson["step"]).startswith("first-step: in step 1")
    text = (DOCS / "lesson.md").read_text("utf-8")
    assert f"with {len(lesson['vectors']['cases'])} cases" in text


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_has_a_name(lesson, mistake):
    old, new, flag = MISTAKES[mistake]
    assert old in SOLUTION
    assert lesson["first_difference"](solved(old, new)).startswith(f"{flag}: ")


@pytest.mark.parametrize("mistake", MISTAKES)
def test_two_functions_do_not_show_all_of_them(lesson, mistake):
    old, new, _ = MISTAKES[mistake]
    step, shown = solved(old, new), mistake == "the old sign is kept"
    for gradient in (lesson["exploding"], lesson["vanishing"]):
        w, delta, last = 5.0, 0.1, 0
        for _ in range(200):
            w, delta, last = step(w, gradient(w), delta, last)
        assert (abs(w) < 1e-2) != shown
