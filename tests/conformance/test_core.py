"""The small file holds what the rules say, and the programs that read it tell right from wrong."""

import json
import struct
from pathlib import Path
from shutil import which
from subprocess import run

import numpy as np
import pytest

from rprop import VARIANTS, rprop_init, rprop_step
from rprop.conformance.core import VERSION
from rprop.conformance.flags import FLAGS, minimum
from rprop.conformance.generate import FOLDER

FILE = FOLDER / "core.json"
TEXT = FILE.read_text(encoding="utf-8")
DOCUMENT = json.loads(TEXT)
PROGRAMS = Path(__file__).parents[2] / "examples" / "conformance" / "core"
COMMANDS = {
    "core.py": ["python3"],
    "core.js": ["node"],
    "core.c": ["cc", "-x", "c", "-Wall", "-Werror", "-o", "{out}", "{program}", "-lm"],
    "core.c as C++": ["c++", "-x", "c++", "-Wall", "-Werror", "-o", "{out}", "{program}"],
    "core.rs": ["rustc", "-o", "{out}", "{program}"],
    "Core.java": ["java"],
    "core.R": ["Rscript"],
    "core.m": ["octave-cli", "-q"],
}


def test_it_is_small_and_covers_the_minimum():
    assert len(TEXT.encode()) < 40_000
    flags = {case["flag"] for case in DOCUMENT["cases"]}
    assert flags <= set(FLAGS)
    assert all(set(minimum(variant)) <= flags for variant in VARIANTS)
    assert f"## {VERSION}\n" in (FOLDER / "CHANGELOG.md").read_text(encoding="utf-8")
    assert DOCUMENT["version"] == VERSION
    assert DOCUMENT["variants"] == list(VARIANTS)


def pairs(value):
    """Yield every pair of decimals and bits."""
    if isinstance(value, dict):
        for item in value.values():
            yield from pairs(item)
    elif isinstance(value, list):
        if value and isinstance(value[0], list) and not isinstance(value[0][0], list):
            yield value
        else:
            for item in value:
                yield from pairs(item)


def test_decimals_and_bits_are_the_same_finite_numbers():
    count = 0
    for decimals, bits in pairs(DOCUMENT["cases"]):
        assert [struct.pack(">d", x).hex() for x in decimals] == bits
        assert np.isfinite(decimals).all()
        count += 1
    assert count > 500


@pytest.mark.parametrize("variant", VARIANTS)
def test_our_step_agrees(variant):
    for case in DOCUMENT["cases"]:
        params, state = case["params"][0], rprop_init(case["params"][0], case["delta0"][0][0])
        tape = zip(case["grads"], case["losses"][0], case["expected"][variant], strict=True)
        for grads, loss, expected in tape:
            params, state = rprop_step(
                params,
                grads[0],
                state,
                case["etas"][0],
                case["step_sizes"][0],
                variant=variant,
                loss=loss,
            )
            assert params.tolist() == expected[0], case["id"]


def wrong():
    """Return the file with the last bit of one expected number turned over."""
    case = TEXT.index('"id":"after-flip"')
    end = TEXT.index('"rprop+"', TEXT.index('"irprop-"', case))
    at = TEXT.rindex('"]', 0, end) - 1
    return TEXT[:at] + "0123456789abcdef"[int(TEXT[at], 16) ^ 1] + TEXT[at + 1 :]


@pytest.mark.parametrize("name", COMMANDS)
def test_programs_tell_right_from_wrong(tmp_path, name):
    command, program = COMMANDS[name], PROGRAMS / name.split()[0]
    if which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    if (
        name == "core.R"
        and run(["Rscript", "-e", "library(jsonlite)"], capture_output=True, check=False).returncode
    ):
        pytest.skip("jsonlite is not installed")
    start = [*command, str(program)]
    if "{out}" in command:
        out = tmp_path / "program"
        run([part.format(out=out, program=program) for part in command], check=True)
        start = [str(out)]
    done = run([*start, str(FILE)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split()) == (
        0,
        ["conforms", "to", "irprop-", "core", "1.0"],
    )
    path = tmp_path / "wrong.json"
    path.write_text(wrong(), encoding="utf-8")
    done = run([*start, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "after-flip" in done.stderr
    assert "step 5" in done.stderr
