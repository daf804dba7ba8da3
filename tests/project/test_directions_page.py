"""What the page on learned directions says in prose and figures."""

import re
from pathlib import Path

import numpy as np
import pytest

from rprop.solver import directions, moves, renewal
from rprop.solver.options import checked, configure

PAGE = " ".join((Path(__file__).parents[2] / "docs/directions.md").read_text("utf-8").split())
CELL = re.compile(r"^```\{code-cell\}\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_constants_are_those_of_the_code():
    assert f"renewed after every {directions.PERIOD} moves" in PAGE
    assert f"cosine is above {renewal.ALIKE}, the coordinates bend alike" in PAGE
    assert f"let Δ grow by the factor {moves.OPEN}" in PAGE
    assert "at most twice as long as the last" in PAGE
    assert moves.GROWTH == 2
    assert f"There are at most {directions.MOST} directions" in PAGE
    assert f"no fewer than {directions.LEAST}, where" in PAGE
    assert f"more than {directions.MEMORY} numbers" in PAGE
    assert f"O({directions.MOST} n)" in PAGE
    assert f"min(n, {directions.MOST})" in PAGE
    least, most = moves.LEAST, moves.MOST
    assert f"by no less than {least} and no more than {most} of it" in PAGE
    assert f"at most {moves.REACH} times the way to the zero" in PAGE
    assert f"by a factor of {moves.GROWTH} at most" in PAGE
    assert f"with η- = {configure(checked({}, 'one'), np.ones(2), False, 1).etas[0]}." in PAGE


@pytest.fixture(scope="module")
def valley():
    """Return what the first cell of the page defines."""
    text = (Path(__file__).parents[2] / "docs/directions.md").read_text("utf-8")
    names = {}
    exec(compile(CELL.findall(text)[0], "directions.md", "exec"), names)  # noqa: S102
    return names["turned_valley"], names["evaluations"]


@pytest.mark.parametrize("angle", [15, 30, 45])
def test_plain_rprop_degrades_in_a_turned_valley_and_learned_directions_do_not(valley, angle):
    turned, evaluations = valley
    start = (1.0, -0.7)
    straight = evaluations(turned(0), start, basis=None)
    assert evaluations(turned(angle), start, basis=None) > 10 * straight
    assert evaluations(turned(angle), start, secant=False) < 4 * straight
    assert evaluations(turned(angle), start) < 2 * straight
