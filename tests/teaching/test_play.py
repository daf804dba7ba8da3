"""The interactive page in a real browser, held against the Python it imitates."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from rprop import VARIANTS, rprop_trace
from rprop.conformance import check
from rprop.rule.reference import RULES, rose

sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
BROWSER = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(BROWSER is None, reason="needs Chromium")
PAGE = Path(__file__).parents[2] / "docs" / "play.html"


def ellipse(x):
    return (x[0] * x[0] + 100 * x[1] * x[1]) / 2, np.array([x[0], 100 * x[1]])


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser):
    """Open the page; in the end nothing may have failed or left the machine."""
    troubles, pages = [], []

    def open_page(width=1200, height=900, fragment=""):
        page = browser.new_page(viewport={"width": width, "height": height})
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("console", lambda m: troubles.append(m.text) if m.type != "log" else None)
        page.on(
            "request",
            lambda r: troubles.append(r.url) if not r.url.startswith(("file:", "data:")) else None,
        )
        page.goto(PAGE.as_uri() + fragment)
        pages.append(page)
        return page

    yield open_page
    for page in pages:
        page.close()
    assert troubles == []


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
    for _ in range(20):
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


def test_a_wrong_setting_is_named(open_page):
    page = open_page()
    page.fill("#etaPlus", "0.9")
    assert "η⁺ must be larger than 1; got 0.9" in page.inner_text("#error")
    page.fill("#etaPlus", "1.2")
    assert page.inner_text("#error") == ""


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
