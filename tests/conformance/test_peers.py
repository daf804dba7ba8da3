"""Real implementations, and the table that says what they are."""

import json
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import pytest

from rprop import VARIANTS
from rprop.conformance import check, identify
from rprop.conformance.adapters import ADAPTERS
from rprop.conformance.flags import FLAGS

TABLE = Path(__file__).parents[2] / "docs" / "implementations.json"
ROWS = json.loads(TABLE.read_text(encoding="utf-8"))


def test_every_row_of_the_table_is_whole():
    for row in ROWS:
        assert set(row["fails"]) <= set(FLAGS), row["name"]
        assert row["rerun"] is None or row["rerun"] in ADAPTERS
        assert all(row[name] for name in ("version", "date", "how", "command", "claims", "is"))
        assert row["effect"].endswith(".")
    names = [(row["name"], row["version"]) for row in ROWS]
    assert len(names) == len(set(names))
    others = {name for name in ADAPTERS if not name.startswith(("rprop", "mindspore"))}
    assert {row["rerun"] for row in ROWS} - {None} == others


@pytest.mark.parametrize("row", [row for row in ROWS if row["rerun"]], ids=lambda row: row["name"])
@pytest.mark.filterwarnings("ignore")  # of the packages
def test_the_table_says_what_the_check_finds(row):
    adapter = ADAPTERS[row["rerun"]]
    if find_spec(adapter.package) is None:
        pytest.skip(f"{adapter.package} is not installed")
    installed = version(adapter.distribution or adapter.package).partition("+")[0]
    if installed != row["version"]:
        pytest.skip(f"the table is of another release than {installed}")
    report = check(adapter.make(row["claims"]), row["claims"], dtypes=adapter.dtypes[:1])
    assert [flag for flag, result in report.flags.items() if result == "fail"] == row["fails"]
    assert report.ok == (not row["fails"])
    assert report.leading == (row["fails"] or [""])[0]


@pytest.mark.parametrize("name", [name for name in ADAPTERS if name.startswith("torch.")])
def test_torch_is_irprop_minus_but_for_underflow(name):
    pytest.importorskip("torch")
    make = ADAPTERS[name].make("irprop-")
    report = check(make, dtypes=["float32"])
    assert report.leading == "product-underflow"
    assert identify(make, "float32").compares == "products"
    namespace = {}
    exec(report.failures[0].snippet, namespace)  # noqa: S102
    assert str(namespace["w"].tolist()) in report.failures[0].actual


@pytest.mark.parametrize("variant", VARIANTS)
def test_our_step_compiled_by_jax(variant):
    pytest.importorskip("jax")
    make = ADAPTERS["rprop under jax.jit"].make(variant)
    check(make, variant, dtypes=["float32"]).assert_ok()


@pytest.mark.skipif(find_spec("optax") is None, reason="optax is not installed")
@pytest.mark.filterwarnings("ignore")  # of its dependencies
def test_optax_is_a_step_late():
    make = ADAPTERS["optax.rprop"].make("irprop-")
    report = check(make, dtypes=["float32"])
    assert {failure.flag for failure in report.failures} == {"stale-update"}
    assert report.failures[0].step == 1
    assert identify(make).stale
