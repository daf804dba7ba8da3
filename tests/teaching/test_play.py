"""The interactive page in a real browser, held against the Python it imitates."""

import json
from pathlib import Path

import numpy as np
import pytest

from rprop import VARIANTS, rprop_trace
from rprop.conformance import check
from rprop.rule.reference import RULES, rose
from tests.browser import browser, needs_axe, needs_browser, violations  # noqa: F401
from tests.browser import open_page as open_any  # noqa: F401

pytestmark = needs_browser
PAGE = Path(__file__).parents[2] / "docs" / "play.html"


@pytest.fixture
def open_page(open_any):  # noqa: F811
    return lambda *args, **kwargs: open_any(PAGE, *args, **kwargs)


def ellipse(x):
    return (x[0] * x[0] + 100 * x[1] * x[1]) / 2, np.array([x[0], 100 * x[1]])


def shown(page):
    """Read the table: {(step, i): {column: text of the number}}."""
    cells = page.eval_on_selector_all(
        "#table tr:not(.next) td",
        "tds => tds.map(d => [d.parentNode.dataset.step, d.parentNode.dataset.i,"
        " d.dataset.name, d.dataset.value])",
    )
    table = {}
    for step, i, name, value in cells:
        table.setdefault((int(step), int(i)), {})[name] = value
    return table


def same_as_python(page, start, steps, variant):
    trace = rprop_trace(ellipse, start, steps, delta0=0.5, variant=variant)
    table = shown(page)
    assert len(table) == 2 * steps
    for k in range(steps):
        for i in range(2):
            row = trace.rows[k, i]
            for name in ("x", "g", "sign", "last", "delta", "move"):
                assert float(table[k + 1, i + 1][name]) == row[name]
            change, action = row["rule"].split(", ")
            assert table[k + 1, i + 1]["rule"] == f"{change}, {action}"


def test_steps_show_the_numbers_of_python(open_page):
    page = open_page()
    assert shown(page) == {}
    for _ in range(12):
        page.click("#step")
    same_as_python(page, [-3.0, 2.0], 12, "irprop-")
    page.click("#back")
    same_as_python(page, [-3.0, 2.0], 11, "irprop-")


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_change_of_variant_shows_its_run(open_page, variant):
    page = open_page()
    page.select_option("#variant", variant)
    for _ in range(20):
        page.click("#step")
    same_as_python(page, [-3.0, 2.0], 20, variant)


def test_the_fired_line_is_highlighted(open_page):
    page = open_page()
    assert page.locator("#code .fired").count() == 0
    page.click("#step")
    assert "else:" in page.inner_text("#code .fired >> nth=0")
    page.click("#step")
    assert "is the remembered sign" in page.inner_text("#code .fired >> nth=0")


def test_the_start_can_be_dragged(open_page):
    page = open_page()
    box = page.locator("#start").bounding_box()
    plot = page.locator("#path").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    target = plot["x"] + 0.75 * plot["width"], plot["y"] + 0.25 * plot["height"]
    page.mouse.move(*target, steps=5)
    page.mouse.up()
    start = [float(page.input_value(f"#x{i}")) for i in (1, 2)]
    assert start == pytest.approx([2.0, 2.0], abs=0.05)  # three quarters of -4 to 4
    page.click("#step")
    same_as_python(page, start, 1, "irprop-")


def test_the_keyboard_suffices(open_page):
    page = open_page()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    same_as_python(page, [-3.0, 2.0], 3, "irprop-")
    page.focus("#start")
    page.keyboard.press("ArrowUp")
    assert float(page.input_value("#x2")) == 2.2
    same_as_python(page, [-3.0, 2.2], 3, "irprop-")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("Home")
    assert shown(page) == {}
    reached = set()
    for _ in range(25):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id"))
    assert {"fun", "variant", "step", "play", "start", "delta0", "etaMinus"} <= reached


def test_a_phone_shows_it_without_scrolling_sideways(open_page):
    page = open_page(width=390, height=844)
    for _ in range(9):
        page.click("#step")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.locator("#step").scroll_into_view_if_needed()
    height = page.locator("#step").bounding_box()["height"]
    assert height >= 40  # a finger
    same_as_python(page, [-3.0, 2.0], 9, "irprop-")


def test_what_happened_comes_before_the_settings_on_a_phone(open_page):
    page = open_page(width=390, height=844)
    picture, status, settings = (
        page.locator(name).bounding_box()["y"] for name in ("#path", "#status", "#settings")
    )
    assert picture < status < settings


def test_every_function_shows_its_formula(open_page):
    page = open_page()
    shown = set()
    for name in page.eval_on_selector_all("#fun option", "options => options.map(o => o.value)"):
        page.select_option("#fun", name)
        shown.add(page.inner_text("#formula"))
        for i in (1, 2):
            assert f"x{'₁₂'[i - 1]}" in page.inner_text("#formula")
    assert len(shown) == page.locator("#fun option").count()


def test_a_clamped_step_size_is_said_to_be_clamped(open_page):
    page = open_page()
    page.fill("#delta0", "70")
    page.click("#step")
    assert "Δ is clamped to 50" in page.inner_text("#status")


def test_a_wrong_setting_is_named_beside_its_field_and_ends_stepping(open_page):
    page = open_page()
    page.fill("#etaPlus", "0.9")
    error = page.locator("#etaPlus-error")
    assert error.inner_text() == "must be finite and larger than 1; got 0.9"
    field, text = page.locator("#etaPlus").bounding_box(), error.bounding_box()
    assert 0 <= text["y"] - field["y"] - field["height"] < 10
    assert abs(text["x"] - field["x"]) < 10
    assert page.get_attribute("#etaPlus", "aria-describedby") == "etaPlus-error"
    assert all(page.is_disabled(f"#{name}") for name in ("step", "back", "reset", "play"))
    assert "Stepping is off" in page.inner_text("#status")  # the settings may be out of sight
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("ArrowRight")
    assert shown(page) == {}
    page.fill("#etaPlus", "1.2")
    assert error.inner_text() == ""
    page.click("#step")
    same_as_python(page, [-3.0, 2.0], 1, "irprop-")


def test_limits_in_the_wrong_order_are_named_at_both(open_page):
    page = open_page()
    page.fill("#deltaMin", "60")
    for name in ("deltaMin", "deltaMax"):
        assert page.get_attribute(f"#{name}", "aria-invalid") == "true"
    page.fill("#deltaMin", "")
    assert page.inner_text("#deltaMin-error").endswith("got nothing")


@pytest.mark.parametrize(
    "wish", ["fun=__proto__", "fun=toString", "variant=constructor", "delta0=abc"]
)
def test_a_link_that_makes_no_sense_is_refused_in_words(open_page, wish):
    page = open_page(fragment=f"#{wish}")
    assert wish in page.inner_text("#note")
    page.click("#step")
    same_as_python(page, [-3.0, 2.0], 1, "irprop-")


def test_a_link_with_a_wrong_number_is_shown_with_its_error(open_page):
    page = open_page(fragment="#etaPlus=0.5&x1=-2")
    assert page.inner_text("#etaPlus-error") != ""
    assert page.is_disabled("#step")
    page.click("#path")  # nothing to move yet
    page.fill("#etaPlus", "1.2")
    page.click("#step")
    same_as_python(page, [-2.0, 2.0], 1, "irprop-")


def test_a_change_of_variant_says_where_the_runs_part(open_page):
    page = open_page()
    page.click("#step")
    page.select_option("#variant", "rprop-")
    runs = [
        rprop_trace(ellipse, [-3.0, 2.0], 30, delta0=0.5, variant=v) for v in ("irprop-", "rprop-")
    ]
    same = [(a == b).all() for a, b in zip(*(run.rows["x"] for run in runs), strict=True)]
    parts = same.index(False)
    note = page.inner_text("#note")
    assert f"parts from it in step {parts}." in note
    assert "RPROP−" in note
    assert "you still look at step 1." in note


def test_a_point_outside_the_plot_is_shown_at_its_edge(open_page):
    page = open_page(fragment="#x1=9&x2=2&delta0=0.5")
    assert page.locator("#path .outside").count() == 1
    assert "outside the plot" in page.inner_text("#status")
    box, plot = (page.locator(name).bounding_box() for name in ("#path .outside", "#path"))
    assert (
        plot["x"] + 0.95 * plot["width"] < box["x"] + box["width"] <= plot["x"] + plot["width"] + 1
    )
    for _ in range(20):
        page.click("#step")
    assert "outside the plot" not in page.inner_text("#status")


def test_it_leads_back_to_the_site(open_page):
    page = open_page()
    links = page.eval_on_selector_all("nav a", "links => links.map(a => a.getAttribute('href'))")
    docs = PAGE.parent
    assert all((docs / link).exists() for link in links), "in the source they lead to the sources"
    assert {"index.md", "how.md"} <= set(links)


def test_it_has_a_dark_mode(open_page):
    light, dark = (
        open_page(theme=theme).evaluate(
            "[document.documentElement.dataset.theme, getComputedStyle(document.body).backgroundColor]"
        )
        for theme in ("light", "dark")
    )
    assert light[0] == "light"
    assert light[1] == "rgb(255, 255, 255)"
    assert dark[0] == "dark"
    assert max(json.loads(dark[1].replace("rgb(", "[").replace(")", "]"))) < 60


@needs_axe
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_axe_finds_nothing(open_page, theme, width):
    page = open_page(width=width, theme=theme)
    for _ in range(3):
        page.click("#step")
    page.fill("#etaPlus", "0.9")
    assert violations(page) == []


@pytest.mark.parametrize("variant", VARIANTS)
def test_its_rprop_is_the_oracle(open_page, variant):
    rng = np.random.default_rng(1)
    tape = (rng.choice([-1, 0, 1], 300) * 10.0 ** rng.integers(-300, 300, 300)).tolist()
    losses = rng.standard_normal(300).tolist()
    got = open_page().evaluate(
        """([tape, losses, variant]) => {
            let x = [0.3], state = Rprop.init(x, 0.1), run = [];
            tape.forEach((g, k) => {
                ({ x, state } = Rprop.step(x, [g], state, variant, [0.5, 1.2], [1e-6, 50], losses[k]));
                run.push([x[0], state.delta[0], state.prevSign[0], state.prevMove[0]]);
            });
            return run;
        }""",
        [tape, losses, variant],
    )
    now, prev_loss = (0.3, 0.1, 0, 0.0), np.nan
    for g, loss, row in zip(tape, losses, got, strict=True):
        w, *rest = now
        now = RULES[variant](w, g, *rest, (0.5, 1.2), (1e-6, 50.0), rose(loss, prev_loss))
        prev_loss = loss
        assert tuple(row) == now


class InBrowser:
    """The page's Rprop as the checker wants it."""

    def __init__(self, page, variant, params, delta0, etas, step_sizes):
        self.page, self.shape = page, np.shape(params)
        self.params = np.array(params)
        page.evaluate(
            """([x, delta0, variant, etas, sizes]) => {
                window.checked = { x, state: Rprop.init(x, delta0), variant, etas, sizes };
            }""",
            [
                *(np.ravel(v).tolist() for v in (params, np.broadcast_to(delta0, self.shape))),
                variant,
                list(etas),
                [np.ravel(s).tolist() if np.ndim(s) else s for s in step_sizes],
            ],
        )

    def step(self, grads, loss):
        x, delta = self.page.evaluate(
            """([g, loss]) => {
                const c = checked;
                Object.assign(c, Rprop.step(c.x, g, c.state, c.variant, c.etas, c.sizes, loss));
                return [c.x, c.state.delta];
            }""",
            [np.ravel(grads).tolist(), float(loss)],
        )
        self.params, self.delta = (np.array(v, float).reshape(self.shape) for v in (x, delta))


@pytest.mark.parametrize("variant", VARIANTS)
def test_its_rprop_conforms(open_page, variant):
    page = open_page()
    report = check(
        lambda *settings: InBrowser(page, variant, *settings), variant, dtypes=["float64"]
    )
    report.assert_ok()
    assert not report.tolerated
