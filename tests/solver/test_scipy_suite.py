"""SciPy's own tests, run with `minimize_rprop` in the place of SciPy's first-order methods.

What is deselected, and why, stands in `scipy_suite/rprop_plugin.py`.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FILES = ["test_optimize", "test_tnc", "test__basinhopping", "test__dual_annealing"]
FILES += ["test__differential_evolution"]


@pytest.mark.exhaustive
def test_scipys_own_tests_pass():
    pytest.importorskip("scipy.optimize.tests", reason="SciPy was installed without its tests")
    command = [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "-p", "rprop_plugin"]
    command += ["-p", "no:cacheprovider", "--pyargs"]
    run = subprocess.run(
        [*command, *(f"scipy.optimize.tests.{file}" for file in FILES)],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(map(str, (HERE / "scipy_suite", HERE.parents[1]))),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    called = re.search(r"(\d+) tests called minimize_rprop", run.stdout)
    assert called
    assert int(called[1]) >= 120, run.stdout
