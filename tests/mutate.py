"""Edit the program in one place, ask the tests whether they notice, and again in the next place.

`python tests/mutate.py rprop/solver/engine.py` tries every edit of a module, `--sample 100` that
many of all modules given. What came out is kept in `build/mutants.json`, so that a run can be
stopped and goes on; `--again` forgets what the tests did not notice. An edit that changes nothing
anybody can see stands, with the reason, in `tests/mutants_explained.txt`.
"""

import argparse
import ast
import copy
import importlib
import importlib.util
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from contextlib import suppress
from functools import partial
from pathlib import Path

ROOT = Path(__file__).parents[1]
EXPLAINED = ROOT / "tests" / "mutants_explained.txt"
RULE = ["step_arguments", "step_out", "variants", "step", "settings", "mistakes", "reference"]
TESTS = {  # the fast ones of a module, or of its wing, the likeliest first
    "solver": ["solver/test_ends.py", "solver/test_engine.py"],
    "solver/batch": [f"solver/test_batch{name}.py" for name in ("_args", "_states", "")],
    "solver/bounds": ["solver/test_bounds.py"],
    "solver/differences": ["solver/test_differences.py"],
    "solver/directions": ["solver/test_directions.py"],
    "solver/history": ["solver/test_reports.py"],
    "solver/minimize": [f"solver/test_{name}.py" for name in ("mistakes", "reports", "minimize")],
    "solver/minimizer": [f"solver/test_{name}.py" for name in ("faults", "going_on")],
    "solver/multistart": ["solver/test_multistart.py"],
    "solver/objective": [
        f"solver/test_{name}.py" for name in ("mistakes", "minimize", "differences")
    ],
    "solver/options": ["solver/test_options.py", "solver/test_mistakes.py"],
    "solver/partitions": ["solver/test_partitions.py"],
    "solver/progress": ["solver/test_progress.py"],
    "solver/result": ["solver/test_reports.py", "solver/test_status.py"],
    "solver/rows": ["solver/test_batch_args.py", "solver/test_batch_calls.py"],
    "solver/structure": ["solver/test_structure.py"],
    "rule": [f"rule/test_{name}.py" for name in RULE],
    "rule/arrays": ["rule/test_arrays.py"],
    "rule/blocks": [f"rule/test_{name}.py" for name in ("step_large", "settings", "blocks")],
    "rule/compiled": ["rule/test_compiled.py"],
    "rule/trees": ["rule/test_trees.py", "solver/test_structure.py"],
}
PRELOADED = (  # what takes long to import, and is not ours
    "numpy", "scipy.optimize", "pytest", "hypothesis.stateful", "torch", "array_api_compat.torch",
)  # fmt: skip

OPERATORS = {
    ast.Lt: (ast.LtE, ast.GtE), ast.LtE: (ast.Lt, ast.Gt), ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt), ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,),
    ast.Add: (ast.Sub,), ast.Sub: (ast.Add,), ast.Mult: (ast.Div,), ast.Div: (ast.Mult,),
    ast.BitAnd: (ast.BitOr,), ast.BitOr: (ast.BitAnd,), ast.And: (ast.Or,), ast.Or: (ast.And,),
    ast.Pow: (ast.Mult,), ast.Mod: (ast.Mult,), ast.FloorDiv: (ast.Mult,),
}  # fmt: skip
NAMES = {
    "minimum": "maximum", "maximum": "minimum", "min": "max", "max": "min", "any": "all",
    "all": "any", "in_any_run": "in_every_run", "in_every_run": "in_any_run",
}  # fmt: skip
PLACES = {"here", "last", "best"}
CHOICES = {"where", "choose_by_run"}  # (condition, one, other)
SKIPPED = ast.Import, ast.ImportFrom, ast.JoinedStr
DROPPED = {"clip", "astype", "copy", "abs", "sqrt", "sign"}  # f(x, ...) or x.f(...) becomes x


def edits(source):
    """Yield (name, what makes the edited program); a name is the same as long as the edited line is."""
    tree, seen = ast.parse(source), Counter()
    for parent, place, line, node in places(tree, "module"):
        if line.startswith(("OUTCOMES", "__all__")):
            continue  # texts
        shown = line if len(line) < 200 else f"{line[:200]}..."
        for new in changes(node):
            old, now = (ast.unparse(part).splitlines()[0] for part in (node, new))
            name = f"{place}: {old} -> {now}" + f"  in  {shown}" * (line != old)
            seen[name] += 1
            name += f" ({seen[name]})" * (seen[name] > 1)
            yield name, partial(edit, tree, *parent, new)


def edit(tree, path, last, new):
    """Return a program with another node at a place."""
    whole = target = copy.deepcopy(tree)
    for field, at in path:
        target = getattr(target, field) if at is None else getattr(target, field)[at]
    field, at = last
    if at is None:
        setattr(target, field, new)
    else:
        getattr(target, field)[at] = new
    return ast.fix_missing_locations(whole)


def places(node, function, line="", path=()):
    """Yield (where it stands, in which function, on which line, node) of all code but text."""
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "decorator_list", "op", "ops", "ctx", "exc", "msg"):
            continue
        for at, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if isinstance(child, ast.AST) and not isinstance(child, SKIPPED):
                inside = child.name if isinstance(child, ast.FunctionDef) else function
                on = ast.unparse(child).splitlines()[0] if isinstance(child, ast.stmt) else line
                yield (path, (field, at)), inside, on, child
                yield from places(child, inside, on, (*path, (field, at)))


def changes(node):
    """Yield what may stand in the place of a node."""
    match node:
        case ast.Compare(ops=[op]):
            for kind in OPERATORS.get(type(op), ()):
                yield ast.Compare(node.left, [kind()], node.comparators)
        case ast.BinOp(op=op) | ast.BoolOp(op=op):
            for kind in OPERATORS.get(type(op), ()):
                edited = copy.copy(node)
                edited.op = kind()
                yield edited
            yield from [node.left, node.right] if isinstance(node, ast.BinOp) else node.values
        case ast.UnaryOp():
            yield node.operand
        case ast.Constant(value=bool()):
            yield ast.Constant(not node.value)
        case ast.Constant(value=int() | float()):
            yield ast.Constant(
                node.value + 1 if isinstance(node.value, int) else 2 * node.value or 1.0
            )
        case ast.If() | ast.While() | ast.IfExp():
            for value in (True, False):
                edited = copy.copy(node)
                edited.test = ast.Constant(value)
                if not (isinstance(node, ast.While) and value):
                    yield edited
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]) | ast.AugAssign():
            yield ast.Pass()
        case ast.Expr(value=ast.Call()):
            yield ast.Pass()
        case ast.Call(func=ast.Name() | ast.Attribute()):
            yield from calls(node)
        case ast.Attribute(attr=name) if name in PLACES:
            for other in PLACES - {name}:
                yield ast.Attribute(node.value, other, node.ctx)


def calls(node):
    """Yield what may stand in the place of a call."""
    method = isinstance(node.func, ast.Attribute)
    name = node.func.attr if method else node.func.id
    if name in NAMES:
        func = copy.copy(node.func)
        setattr(func, "attr" if method else "id", NAMES[name])
        yield ast.Call(func, node.args, node.keywords)
    elif name in CHOICES and len(node.args) == 3:
        condition, one, other = node.args
        yield from (one, other, ast.Call(node.func, [condition, other, one], node.keywords))
    elif name in DROPPED:
        module = method and isinstance(node.func.value, ast.Name) and node.func.value.id == "np"
        if method and not module:
            yield node.func.value
        elif node.args:
            yield node.args[0]


def tests_of(path):
    """Return the tests that are to notice edits of a module."""
    wing = path.parent.name
    return [f"tests/{name}" for name in TESTS.get(f"{wing}/{path.stem}", TESTS[wing])]


class Edited:
    """Loads one module from an edited program."""

    def __init__(self, module, program, path):
        self.module, self.program, self.path = module, program, path

    def find_spec(self, name, path=None, target=None):
        if name == self.module:
            return importlib.util.spec_from_loader(name, self, origin=str(self.path))
        return None

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        exec(compile(self.program, self.path, "exec"), vars(module))  # noqa: S102


def judge(path, program, tests, limit):
    """Return "noticed", "hung" or "SURVIVED"."""
    child = os.fork()
    if child == 0:
        os.setpgrp()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        module = str(path.relative_to(ROOT).with_suffix("")).replace("/", ".")
        sys.meta_path.insert(0, Edited(module, program, path))
        import pytest

        options = [
            "-x",
            "-q",
            "-p",
            "no:cacheprovider",
            "--assert=plain",
            "--tb=no",
            "--hypothesis-seed=0",
        ]
        code = 1
        try:
            code = pytest.main([*options, *tests])
        finally:
            os._exit(int(code))
    end = time.monotonic() + limit
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return "noticed" if os.waitstatus_to_exitcode(status) else "SURVIVED"
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "hung"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("modules", nargs="+", type=Path)
    parser.add_argument("--sample", type=int, help="how many edits; all of them by default")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--tests", nargs="+", help="instead of the fast ones of the wing")
    parser.add_argument("--limit", type=float, default=120, help="seconds for one edit")
    parser.add_argument("--results", type=Path, default=ROOT / "build" / "mutants.json")
    parser.add_argument("--again", action="store_true", help="try again what survived")
    given = parser.parse_args()
    os.chdir(ROOT)
    os.environ.update(PYTHONDONTWRITEBYTECODE="1", OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    os.environ["HYPOTHESIS_PROFILE"] = "mutants"
    sys.path.insert(0, str(ROOT))
    for name in PRELOADED:
        with suppress(ImportError):
            importlib.import_module(name)
    explained = {line for line in EXPLAINED.read_text("utf-8").splitlines() if " -> " in line}
    todo = []
    for path in map(Path.resolve, given.modules):
        name = str(path.relative_to(ROOT))
        todo += [(f"{name}: {what}", path, make) for what, make in edits(path.read_text())]
    if given.sample is not None:
        todo = random.Random(given.seed).sample(todo, min(given.sample, len(todo)))
    known = json.loads(given.results.read_text()) if given.results.exists() else {}
    if given.again:
        known = {name: found for name, found in known.items() if found != "SURVIVED"}
    given.results.parent.mkdir(parents=True, exist_ok=True)
    found = Counter()
    unedited = {path for _, path, _ in todo}
    for path in unedited:
        tests = given.tests or tests_of(path)
        if judge(path, ast.parse(path.read_text()), tests, given.limit) != "SURVIVED":
            sys.exit(f"the tests fail without an edit: {' '.join(tests)}")
    for i, (name, path, make) in enumerate(todo, 1):
        if name in explained:
            found["explained"] += 1
            continue
        if name not in known:
            known[name] = judge(path, make(), given.tests or tests_of(path), given.limit)
            given.results.write_text(json.dumps(known, indent=1, ensure_ascii=False))
        found[known[name]] += 1
        print(f"\r{i}/{len(todo)} {dict(found)}", end="", file=sys.stderr, flush=True)
        if known[name] == "SURVIVED":
            print(f"\r{name}", flush=True)
    print(file=sys.stderr)
    return found["SURVIVED"] > 0


if __name__ == "__main__":
    sys.exit(main())
