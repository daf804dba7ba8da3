"""The statuses: what the code says, what the site says, and an example of each."""

import re
from pathlib import Path

import pytest

from rprop import minimize_rprop
from rprop.solver.stopping import OUTCOMES

PAGE = (Path(__file__).parents[2] / "docs/status.md").read_text("utf-8")
CELL = re.compile(r"^```\{code-cell\}\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FINAL = {status: outcome for status, outcome in OUTCOMES.items() if status >= 0}


def sections():
    """Return the text of the page by status; what every example needs is under None."""
    parts = re.split(r"^### Status (\d+)\n", PAGE, flags=re.MULTILINE)
    return {None: parts[0]} | dict(zip(map(int, parts[1::2]), parts[2::2], strict=True))


SECTIONS = sections()


def run(code, names):
    exec(compile(code, "status.md", "exec"), names)  # noqa: S102


def test_the_table_says_what_the_code_says():
    rows = [
        f"| [{status}](#status-{status}) | {'yes' if outcome.success else 'no'} "
        f"| {outcome.message} | {outcome.advice} |"
        for status, outcome in FINAL.items()
    ]
    table = "\n".join(rows)
    assert f"|---|---|---|---|\n{table}\n\n" in PAGE, f"docs/status.md must have\n{table}"


def test_every_status_has_a_section():
    assert [status for status in SECTIONS if status is not None] == list(FINAL)
    for status, outcome in FINAL.items():
        assert SECTIONS[status].startswith(f"\n**What to do now:** {outcome.advice}\n\n"), status


@pytest.mark.parametrize("status", FINAL)
def test_its_example_ends_with_it(status):
    names = {}
    for code in CELL.findall(SECTIONS[None]):
        run(code, names)
    for code in CELL.findall(SECTIONS[status]):
        run(code, names)
    result = names["result"]
    assert result.status == status
    assert result.success is FINAL[status].success
    assert result.message == FINAL[status].message


def test_advice_that_has_code_is_right():
    """What sections 1, 3, 8 and 14 advise leads where they say."""
    names = {}
    for status in (None, 1, 3, 14):
        for code in CELL.findall(SECTIONS[status]):
            run(code, names)
    assert names["rest"].success
    assert names["longer"].status == 14
    assert abs(names["longer"].x[0]) < 0.1
    log = minimize_rprop(names["with_a_hole"], [-1.0], bounds=[(1e-9, None)])
    assert log.success
    assert abs(log.x[0] - 1) < 1e-3
    line = minimize_rprop(lambda x: x[0], [3.0], jac=lambda x: x / x, bounds=[(3, None)])
    assert line.status == 0


def test_the_docstring_lists_every_status():
    rows = re.findall(r"^ *(\d+) +(yes|no) ", minimize_rprop.__doc__, re.MULTILINE)
    assert rows == [(str(s), "yes" if outcome.success else "no") for s, outcome in FINAL.items()]
