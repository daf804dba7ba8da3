"""Edit the program in one place, ask the tests whether they notice, and again in the next place.

`python tests/mutate.py rprop/solver/engine.py` tries every edit of a module, `--sample 100` that
many of all modules given. What came out is kept in `build/mutants.json`, so that a run can be
stopped and goes on; `--again` forgets what the tests did not notice. An edit that changes nothing
anybody can see stands, with the reason, in `tests/mutants_explained.txt`.
"""

import argparse
import ast
import copy
import gc
import importlib
import importlib.util
import json
import math
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter, defaultdict
from contextlib import suppress
from functools import partial
from itertools import accumulate
from pathlib import Path

import pytest
from _pytest.config import default_plugins

ROOT = Path(__file__).parents[1]
EXPLAINED = ROOT / "tests" / "mutants_explained.txt"
TESTS = {  # the fast ones of a module, or of its wing
    "solver": {
        "": "searches ends engine",
        "batch": "batch_args batch_states batch batch_calls options progress",
        "bounds": "bounds",
        "differences": "differences",
        "directions": "directions renewals joint",
        "engine": "searches ends engine joint_runs",
        "first_step": "searches options ends engine",
        "history": "reports batch_calls batch",
        "messages": "mistakes reports structure",
        "minimize": "mistakes reports minimize structure progress differences",
        "minimizer": "mistakes faults options reports going_on minimize differences ends",
        "moves": "moves joint ends engine",
        "multistart": "multistart progress",
        "objective": "mistakes minimize differences structure",
        "options": "options mistakes differences",
        "partitions": "dask_map partitions",
        "per_run": "per_run",
        "progress": "progress",
        "result": "reports mistakes differences multistart batch_calls",
        "renewal": "directions renewals frame joint",
        "rows": "batch_args batch_calls",
        "run": "ends engine batch_calls batch_states joint_runs",
        "scipy_private": "mistakes minimize",
        "structure": "structure",
    },
    "rule": {
        "": "step_arguments step_out variants step settings mistakes reference trees step_large",
        "arrays": "arrays",
        "blocks": "step_large settings blocks step_out",
        "compiled": "compiled",
        "trees": "trees",
    },
}
PRELOADED = (  # what takes long to import, and is not ours
    "numpy", "scipy.optimize", "scipy.stats", "pytest", "doctest", "hypothesis.stateful",
    "_hypothesis_pytestplugin", "torch", "array_api_compat.torch",
    *(f"_pytest.{name}" for name in default_plugins),
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
            if isinstance(child, ast.keyword) and child.arg == "strict":
                continue  # of `zip`: what it checks are the callers here
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
    wing, modules = path.parent.name, TESTS[path.parent.name]
    names = modules.get(path.stem, modules[""])
    return [f"tests/{wing}/test_{name}.py" for name in names.split()]


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


class Trial:
    """A run of tests, in a process of its own, of a program with one edited module."""

    def __init__(self, path, program, tests, first=(), seconds=None, budget=math.inf):
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self.first, self.seconds, self.budget = first, seconds or Counter(), budget
        self.end = time.monotonic() + 300 + 10 * sum(self.seconds.values())
        self.child = os.fork()
        if self.child == 0:
            code = 1
            try:
                code = self.run(path, program, tests)
            finally:
                os._exit(int(code))

    def run(self, path, program, tests):
        os.setpgrp()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        module = str(path.relative_to(ROOT).with_suffix("")).replace("/", ".")
        sys.meta_path.insert(0, Edited(module, program, path))
        options = ["-x", "-q", "-p", "no:cacheprovider", "--assert=plain", "--tb=no"]
        return pytest.main([*options, "--hypothesis-seed=0", *tests], plugins=[self])

    def pytest_collection_modifyitems(self, items):
        """Put what noticed other edits of the function first, then what is fast, as the budget allows."""
        items.sort(
            key=lambda item: (item.nodeid not in self.first, self.seconds.get(item.nodeid, 0))
        )
        spent = accumulate(self.seconds.get(item.nodeid, 0) for item in items)
        del items[sum(so_far <= self.budget for so_far in spent) + 1 :]

    def pytest_runtest_logstart(self, nodeid):
        """End this process by a signal when a test has computed for much longer than it should."""
        if self.seconds:
            signal.setitimer(signal.ITIMER_PROF, 5 + 5 * self.seconds[nodeid])

    def pytest_runtest_logreport(self, report):
        self.log.write(f"{report.duration} {report.failed:d} {report.nodeid}\n")
        self.log.flush()

    def result(self):
        """Return "noticed", "hung" or "SURVIVED", and "" while it runs."""
        done, status = os.waitpid(self.child, os.WNOHANG)
        if not done and time.monotonic() < self.end:
            return ""
        with suppress(ProcessLookupError):  # this child, or what it has left behind
            os.killpg(self.child, signal.SIGKILL)
        if not done:
            os.waitpid(self.child, 0)
        if not done or (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGPROF):
            return "hung"
        return "noticed" if status else "SURVIVED"

    def reports(self):
        """Yield (name, seconds, whether it failed) of the tests that have run."""
        self.log.seek(0)
        for line in self.log:
            seconds, failed, name = line.rstrip("\n").split(" ", maxsplit=2)
            yield name, float(seconds), failed == "1"


def unedited(path, tests):
    """Return the seconds of each test; all must pass."""
    trial, seconds = Trial(path, ast.parse(path.read_text()), tests), Counter()
    while not (result := trial.result()):
        time.sleep(0.02)
    if result != "SURVIVED":
        sys.exit(f"the tests fail without an edit: {' '.join(tests)}")
    for name, took, _ in trial.reports():
        seconds[name] += took
    return seconds


def judged(todo, jobs, budget, tests_of):
    """Yield (name, result) of edits, as they end; what noticed the last edits of a function is asked first."""
    seconds, noticed, running = {}, defaultdict(set), {}
    todo = list(reversed(todo))
    while todo or running:
        while todo and len(running) < jobs:
            name, path, make = todo.pop()
            tests = tests_of(path)
            usual = seconds.get(tuple(tests)) or unedited(path, tests)
            seconds[tuple(tests)] = usual
            first = noticed[path, name.split(": ")[1]]
            running[name] = first, Trial(path, make(), tests, first, usual, budget)
        time.sleep(0.01)
        for name, (first, trial) in list(running.items()):
            if result := trial.result():
                first |= {test for test, _, failed in trial.reports() if failed}
                del running[name]
                yield name, result


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("modules", nargs="+", type=Path)
    parser.add_argument("--sample", type=int, help="how many edits; all of them by default")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--tests", nargs="+", help="instead of the fast ones of the module")
    parser.add_argument("--jobs", type=int, default=1, help="edits tried at the same time")
    parser.add_argument(
        "--seconds", type=float, default=math.inf, help="that the tests of an edit may take"
    )
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
    gc.freeze()  # pytest collects garbage several times
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
    known |= {name: "explained" for name, *_ in todo if name in explained}
    given.results.parent.mkdir(parents=True, exist_ok=True)
    found = Counter(known[name] for name, *_ in todo if name in known)
    new = [edit for edit in todo if edit[0] not in known]
    for name, result in judged(
        new, given.jobs, given.seconds, lambda path: given.tests or tests_of(path)
    ):
        found[result] += 1
        known[name] = result
        given.results.write_text(json.dumps(known, indent=1, ensure_ascii=False))
        print(f"\r{found.total()}/{len(todo)} {dict(found)}", end="", file=sys.stderr, flush=True)
    survived = [name for name, *_ in todo if known[name] == "SURVIVED"]
    print("", *survived, sep="\n")
    return len(survived) > 0


if __name__ == "__main__":
    sys.exit(main())
