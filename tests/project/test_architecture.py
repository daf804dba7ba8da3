"""Who may import whom, how long a file may be, and that the map on the site says the same."""

import ast
import re
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "rprop").rglob("*.py"))
PAGE = (ROOT / "docs/built.md").read_text("utf-8")

#: What each wing may import of the others. `rprop/__init__.py` and `__main__.py` are the front door.
WINGS = {
    "rule": set(),
    "solver": {"rule"},
    "conformance": {"rule"},
    "teaching": {"rule", "solver"},
    "torch": {"rule"},
    "optax": {"rule"},
}
#: What each wing may import of other packages, optional ones included.
PACKAGES = {
    "rule": {"numpy", "numba"},
    "solver": {"numpy", "scipy", "tqdm", "distributed"},
    "conformance": {"numpy"},
    "teaching": {"numpy", "scipy", "matplotlib"},
    "torch": {"numpy", "torch"},
    "optax": {"numpy", "jax", "jaxlib", "optax"},
}
#: Where the implementations to be checked are imported: any package.
PEERS = {"rprop.conformance.adapters", "rprop.conformance.peers"}
STANDARD = sys.stdlib_module_names | {"annotationlib"}  # which Python has from 3.14
FILE, FUNCTION = 400, 60  # lines; of a function without its docstring
#: The few that are longer, how long they may be, and why.
LONGER = {
    "rprop/conformance/checker.py run": (69, "one tape, fault by fault, in the order they are told"),
    "rprop/conformance/diagnose.py diagnosis": (66, "asks for typical mistakes one after another"),
    "rprop/conformance/generate.py case": (63, "writes every field of a vector once"),
    "rprop/conformance/models.py path": (87, "a model of all faults, beside the rule line by line"),
    "rprop/rule/arrays.py step": (64, "checks and step in one, as only one library's arrays come in"),
    "rprop/solver/minimize.py minimize_rprop": (62, "a door: checks, loop and what an exception takes"),
    "rprop/solver/batch.py minimize_batch": (77, "a door: checks, loop and what an exception takes"),
}  # fmt: skip


def module(path):
    """Return the name of the module in a file."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module(path): ast.parse(path.read_text("utf-8")) for path in FILES}
#: Where the public names are defined, as the front door says it to type checkers.
PUBLIC = {
    alias.name: node.module
    for node in ast.walk(MODULES["rprop"])
    if isinstance(node, ast.ImportFrom) and node.module.startswith("rprop.")
    for alias in node.names
}


def imported(tree):
    """Yield every module that a file imports, wherever in the file that stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are written out"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                if inner == "rprop.__version__":
                    continue  # of no wing
                public = PUBLIC.get(alias.name) if node.module == "rprop" else None
                yield public or (inner if inner in MODULES else node.module)


def wing(name):
    """Return the wing of a module, "" for the front door."""
    part = name.removeprefix("rprop").lstrip(".").split(".")[0]
    return "" if part == "__main__" else part


IMPORTS = {name: set(imported(tree)) for name, tree in MODULES.items()}
INSIDE = {name: {i for i in found if i.split(".")[0] == "rprop"} for name, found in IMPORTS.items()}


def test_every_file_is_in_a_wing():
    assert {wing(name) for name in MODULES} - {""} == set(WINGS)
    assert not {name for name in MODULES if wing(name) == ""} - {"rprop", "rprop.__main__"}


@pytest.mark.parametrize("name", [name for name in MODULES if wing(name)])
def test_a_module_imports_only_what_its_wing_may(name):
    own = wing(name)
    for other in INSIDE[name]:
        assert other in MODULES, f"{name} imports {other}, which there is not"
        assert wing(other) in WINGS[own] | {own}, f"{own} must not import {other}"


@pytest.mark.parametrize("name", [name for name in MODULES if wing(name) and name not in PEERS])
def test_a_module_needs_only_the_packages_of_its_wing(name):
    outside = {i.split(".")[0] for i in IMPORTS[name]} - {"rprop"} - STANDARD
    assert outside <= PACKAGES[wing(name)]


def test_no_modules_import_each_other_in_a_circle():
    list(TopologicalSorter(INSIDE).static_order())  # raises CycleError, which names the circle


def lengths():
    """Yield what is measured, how long it is and how long it may be."""
    for path in FILES:
        name = path.relative_to(ROOT).as_posix()
        text = path.read_text("utf-8")
        yield name, len(text.splitlines()), FILE
        for node in ast.walk(MODULES[module(path)]):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                first = node.body[0]
                said = first.end_lineno - first.lineno + 1 if ast.get_docstring(node) else 0
                yield f"{name} {node.name}", node.end_lineno - node.lineno + 1 - said, FUNCTION


def test_files_and_functions_stay_short():
    found = {name: size for name, size, limit in lengths() if size > limit}
    for name, size in found.items():
        assert name in LONGER, f"{name} has {size} lines: it is probably two"
        assert size <= LONGER[name][0], f"{name} has grown to {size} lines"
    assert set(LONGER) <= set(found), "some are short again: take them off the list"


def test_the_drawing_shows_the_imports_that_there_are():
    boxes = set(re.findall(r'<g data-wing="(\w+)"', PAGE))
    arrows = set(re.findall(r'data-arrow="(\w+) (\w+)"', PAGE))
    assert boxes == set(WINGS)
    assert arrows == {(own, other) for own, others in WINGS.items() for other in others}
    used = {
        (wing(name), wing(other))
        for name in MODULES
        for other in INSIDE[name]
        if wing(name) not in ("", wing(other))
    }
    assert used == arrows


def test_the_table_of_rooms_is_complete():
    """Every module of the two wings that make up Rprop has a line, and no line is of none."""
    rows = re.findall(r"^\| `(\w+)/` \| (.*?) \|", PAGE, re.MULTILINE)
    named = {f"rprop.{own}.{name}" for own, cell in rows for name in re.findall(r"`(\w+)`", cell)}
    assert named <= set(MODULES)
    rooms = {name for name in MODULES if wing(name) in ("rule", "solver") and name.count(".") == 2}
    assert rooms <= named


def source(name, function):
    """Return the text of a function, or of a class."""
    text = (ROOT / name.replace(".", "/")).with_suffix(".py").read_text("utf-8")
    kinds = ast.FunctionDef | ast.ClassDef
    found = [n for n in ast.walk(MODULES[name]) if isinstance(n, kinds) and n.name == function]
    assert found, f"{name} has no {function}"
    return ast.get_source_segment(text, found[0])


WAYS = re.findall(r"^```text way\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("way", WAYS, ids=["step", "minimisation"])
def test_each_function_on_a_way_is_called_by_the_one_above(way):
    above = []
    for indent, name, function in re.findall(r"^( *)([a-z_.]+)\.(\w+)\(\)", way, re.MULTILINE):
        text = source(f"rprop.{name}", function)
        del above[len(indent) // 2 :]
        if above:
            assert re.search(rf"\b{function}\b", above[-1]), f"{function} is not called there"
        above.append(text)
    assert len(above) > 1


def test_the_ways_are_there():
    assert len(WAYS) == 2
    assert all(re.match(r" *[a-z_.]+\.\w+\(\)", line) for way in WAYS for line in way.splitlines())
