"""The live figures and exercises of the pages in a real browser, held against Python."""

import re
from pathlib import Path

import numpy as np
import pytest

from rprop import VARIANTS, rprop_trace
from tests.browser import browser, needs_axe, needs_browser, open_page, violations  # noqa: F401

pytestmark = needs_browser
STATIC = Path(__file__).parents[2] / "docs" / "_static"
NAMES = {"rprop-": "RPROP−", "irprop-": "iRprop−", "rprop+": "RPROP+", "irprop+": "iRprop+"}


@pytest.fixture
def show(open_page, tmp_path):  # noqa: F811
    """Show a part of a page with the scripts of the site, without its theme."""

    def show(part, **settings):
        page = tmp_path / "part.html"
        page.write_text(
            "<!doctype html><html lang='en'><meta charset='utf-8'><title>A part</title>"
            "<meta name='viewport' content='width=device-width'>"
            f"<link rel='stylesheet' href='{(STATIC / 'live.css').as_uri()}'>"
            f"<main><h1>A part</h1>{part}</main>"
            f"<script src='{(STATIC / 'rprop.js').as_uri()}'></script>"
            f"<script src='{(STATIC / 'live.js').as_uri()}'></script></html>",
            encoding="utf-8",
        )
        return open_page(page, **settings)

    return show


def figure(name):
    return f'<div class="live" data-figure="{name}"></div>'


def set_range(page, nth, value):
    page.locator("input[type=range]").nth(nth).fill(str(value))


def ellipse(x, turn=0.0):
    """The ellipse of the figure, turned, and its gradient."""
    c, s = np.cos(turn), np.sin(turn)
    u, v = c * x[0] + s * x[1], c * x[1] - s * x[0]
    return (u * u + 30 * v * v) / 2, np.array([c * u - 30 * s * v, s * u + 30 * c * v])


def numbers(text):
    return [float(n.replace("−", "-")) for n in re.findall(r"[−\d][\d.e−+]*", text)]


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_ellipse_shows_the_run_of_python(show, variant):
    page = show(figure("breathe"))
    page.select_option("select", variant)
    set_range(page, 0, 20)
    told = page.inner_text("output")
    trace = rprop_trace(
        ellipse, [-3.0, 1.5], 301, delta0=0.5, variant=variant, step_sizes=(0.0, 50.0)
    )
    x, delta = (re.search(rf"{name} = \((.*?)\)", told)[1].split(", ") for name in ("x", "Δ"))
    want = [*trace.rows["x"][20], *trace.rows["delta"][19]]
    for got, number in zip(x + delta, want, strict=True):
        assert numbers(got) == pytest.approx([number], rel=0.05)
    losses = np.array([ellipse(x)[0] for x in trace.rows["x"]])
    assert f"a millionth in {np.argmax(losses <= 1e-6 * losses[0])} steps" in told


def test_the_start_of_the_ellipse_can_be_dragged_and_moved_by_keys(show):
    page = show(figure("breathe"))
    set_range(page, 0, 0)
    plot = page.locator("svg").first.bounding_box()
    page.locator(".start").hover()
    page.mouse.down()
    page.mouse.move(plot["x"] + 0.75 * plot["width"], plot["y"] + 0.25 * plot["height"], steps=4)
    page.mouse.up()
    start = numbers(re.search(r"x = \((.*?)\)", page.inner_text("output"))[1])
    assert start == pytest.approx([2.0, 2.0], abs=0.1)
    page.focus(".start")
    page.keyboard.press("ArrowLeft")
    moved = numbers(re.search(r"x = \((.*?)\)", page.inner_text("output"))[1])
    assert moved == pytest.approx([start[0] - 0.2, start[1]], abs=0.03)
    assert f"x₁ {moved[0]:g}" in page.get_attribute(".start", "aria-label")


def steps_taken(page):
    return int(re.search(r"a millionth in (\d+) steps", page.inner_text("output"))[1])


def test_a_turn_hinders_steps_along_the_axes_only(show):
    page = show(figure("turn"))
    straight = steps_taken(page)
    set_range(page, 1, 30)
    turned = steps_taken(page)
    trace = rprop_trace(
        lambda x: ellipse(x, np.pi / 6), [-3.0, 1.5], 301, delta0=0.5, step_sizes=(0.0, 50.0)
    )
    losses = np.array([ellipse(x, np.pi / 6)[0] for x in trace.rows["x"]])
    assert turned == np.argmax(losses <= 1e-6 * losses[0])
    page.select_option("select >> nth=0", "own")
    assert "turned by 30°" in page.inner_text("output")
    assert steps_taken(page) < turned
    page.select_option("select >> nth=0", "learned")
    set_range(page, 0, 4)
    assert "turned by 0°" in page.inner_text("output")
    set_range(page, 0, 20)  # some moves tell all of a quadratic in two variables
    assert "turned by 30°" in page.inner_text("output")
    assert steps_taken(page) < turned
    assert turned > 1.5 * straight


@pytest.mark.parametrize(("delta0", "loss"), [(0.9, "rose"), (0.55, "fell")])
def test_the_flip_tells_where_each_variant_goes(show, delta0, loss):
    page = show(figure("flip"))
    set_range(page, 0, delta0)
    told = page.inner_text("output")
    assert f"where the loss {loss}" in told
    for variant in VARIANTS:
        trace = rprop_trace(
            lambda x: ((x * x).sum() / 2, x), [1.0], 3, delta0=delta0, variant=variant
        )
        after = trace.x[0]
        rule = trace.rows["rule"][-1, 0]
        said = re.search(rf"{re.escape(NAMES[variant])} ([^;.]*(?:\.\d+)?)", told)[1]
        if rule.endswith("stay"):
            assert said.startswith("stays")
        else:
            verb = "steps to" if rule.endswith("step") else "goes back to"
            assert said.startswith(verb)
            assert numbers(said) == pytest.approx([after], rel=1e-3)


def exercise(variant, signs, risen):
    return (
        f'<div class="predict" data-variant="{variant}" data-signs="{signs}" data-risen="{risen}">'
        "<p>Without JavaScript.</p></div>"
    )


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("risen", ["yes", "no"])
def test_a_prediction_is_checked_against_the_rule(show, variant, risen):
    signs = [1, 1, 1, -1]
    losses = [1, 2, 3, 4 if risen == "yes" else 2]
    row = rprop_trace(signs, 0.0, losses=losses, variant=variant).rows[-1]
    page = show(exercise(variant, " ".join(map(str, signs)), risen))
    assert "JavaScript" not in page.inner_text(".predict")
    delta, move = (page.locator("input").nth(k) for k in (0, 1))
    check = page.get_by_role("button", name="Check")
    answer = page.locator(".answer")
    check.click()
    assert answer.inner_text().startswith("Not yet.")
    delta.fill(f"{row['delta'][0]:.4g}")
    move.fill("77")
    check.click()
    assert answer.inner_text().startswith("Δ is right. The move is not")
    assert [field.get_attribute("aria-invalid") for field in (delta, move)] == ["false", "true"]
    move.fill(f"{row['move'][0]:.4g}".replace("-", "−"))
    move.press("Enter")
    assert answer.inner_text() == "Right."
    page.get_by_role("button", name="Show the answer").click()
    shown = answer.inner_text()
    assert numbers(shown.split(":")[0]) == pytest.approx(
        [row["delta"][0], row["move"][0]], rel=1e-3
    )


def test_other_questions_come_with_their_answers(show):
    page = show(exercise("irprop-", "1 1 -1", "no"))
    page.evaluate("seed = 1; Math.random = () => (seed = seed * 16807 % 2147483647) / 2147483647")
    asked = set()
    for _ in range(12):
        page.get_by_role("button", name="Another").click()
        asked.add(page.inner_text(".predict p"))
        page.get_by_role("button", name="Show the answer").click()
        delta, move = numbers(page.inner_text(".answer").split(":")[0])
        page.locator("input").nth(0).fill(str(delta))
        page.locator("input").nth(1).fill(str(move))
        page.get_by_role("button", name="Check").click()
        assert page.inner_text(".answer") == "Right."
    assert len(asked) > 3


@needs_axe
@pytest.mark.parametrize("width", [390, 1280])
def test_axe_finds_nothing_and_a_phone_has_room(show, width):
    parts = "".join(figure(name) for name in ("breathe", "flip", "turn"))
    page = show(parts + exercise("rprop+", "1 -1", "yes"), width=width)
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for button in page.locator("button").all():
        assert button.bounding_box()["height"] >= 40  # a finger
