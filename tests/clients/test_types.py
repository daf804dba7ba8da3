"""What the README shows passes a type checker, with the stubs of SciPy where they are."""

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = [
    pytest.mark.skipif(not (ROOT / "README.md").exists(), reason="the README is not installed"),
    pytest.mark.skipif(find_spec("mypy") is None, reason="mypy is not installed"),
    pytest.mark.skipif(find_spec("scipy-stubs") is None, reason="scipy-stubs is not installed"),
]

WRONG = """
import numpy as np
from scipy.optimize import minimize, rosen
from rprop import rprop_init, rprop_step

minimize(rosen, [1.0], method=3)
rprop_init([1.0], lr=0.1)
rprop_step([1.0], [1.0], rprop_init([1.0]), variant=3)
"""
RIGHT = """
import numpy as np
from rprop import RpropState, rprop_init, rprop_step

tree = {"w": np.ones(2), "b": np.float32(1)}
state: RpropState = rprop_init(tree, delta0={"w": [0.1, 0.2], "b": 0.1})
tree, state = rprop_step(tree, tree, state, step_sizes=(0, np.ones(2)), variant="irprop+", loss=1)
"""


def check(path, code):
    """Return what mypy says of a program."""
    file = path / "program.py"
    file.write_text(code, encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", str(file)]
    command.append(f"--cache-dir={path / 'cache'}")
    return subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT).stdout


@pytest.mark.xfail(reason="the stubs want a result of SciPy's private type for minimize")
def test_the_readme(tmp_path):
    text = (ROOT / "README.md").read_text("utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) >= 2
    # The stubs know SciPy's own options alone: others need `options: Any`, for any method.
    blocks = [re.sub(r"^options = ", "options: Any = ", b, flags=re.MULTILINE) for b in blocks]
    program = "from typing import Any\n" + "\n".join(
        f"def part{i}() -> None:\n{indent(block)}" for i, block in enumerate(blocks)
    )
    assert check(tmp_path, program).startswith("Success")


def test_steps_of_arrays_and_trees(tmp_path):
    assert check(tmp_path, RIGHT).startswith("Success")


def test_what_is_wrong_is_found(tmp_path):
    said = check(tmp_path, WRONG)
    assert [int(line) for line in re.findall(r"program.py:(\d+): error", said)] == [6, 7, 8], said


def indent(block):
    return "".join(f"    {line}\n" for line in block.splitlines())
