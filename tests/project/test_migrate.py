"""The page on other packages names their options and defaults as they are, and its two loops agree."""

import ast
import inspect
import re
from pathlib import Path

import numpy as np
import pytest

TEXT = (Path(__file__).parents[2] / "docs" / "migrate.md").read_text("utf-8")


def options(heading):
    """Return {name: default as written} of the table below a heading."""
    part = TEXT.split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (`.*?`) \| (.*?) \|", part, re.MULTILINE)
    return {
        name: default
        for names, written in rows
        for name, default in zip(
            re.findall(r"`(\w+)`", names),
            written.split(", ") if names.count("`") > 2 else [written],
            strict=True,
        )
    }


def number(text):
    text = text.replace("10⁻⁶", "1e-6")
    return ast.literal_eval(text)


def test_torch_has_these_options_and_defaults():
    torch = pytest.importorskip("torch", reason="compares with torch")
    has = inspect.signature(torch.optim.Rprop).parameters
    named = options("`torch.optim.Rprop`")
    assert set(named) == {"lr", "etas", "step_sizes", "maximize"}
    assert all(has[name].default == number(default) for name, default in named.items())


def test_optax_has_these_options_and_defaults():
    optax = pytest.importorskip("optax", reason="compares with optax")
    has = inspect.signature(optax.rprop).parameters
    named = options("`optax.rprop`")
    assert set(named) == set(has)
    for name, default in named.items():
        empty = has[name].default is inspect.Parameter.empty
        assert empty if default == "none" else has[name].default == number(default)


def test_both_loops_take_the_same_steps():
    pytest.importorskip("torch", reason="compares with torch")
    names = {}
    exec(re.search(r"```\{code-cell\}\n(.*?)```", TEXT, re.DOTALL)[1], names)  # noqa: S102
    own = names["weights"]
    exec(re.search(r"```python\n(.*?)```", TEXT, re.DOTALL)[1], names)  # noqa: S102
    np.testing.assert_array_equal(own, names["weights"].detach().numpy())
