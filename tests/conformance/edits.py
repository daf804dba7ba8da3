"""Every program that is one edit away from `rprop/rule/reference.py`."""

import ast
import copy
import inspect
from collections.abc import Iterator

from rprop.rule import reference

COMPARISONS = (ast.Gt, ast.GtE, ast.Lt, ast.LtE, ast.Eq, ast.NotEq)
ARITHMETIC = (ast.Add, ast.Sub, ast.Mult)
#: Names that stand for values of one kind, so that one may be written for another.
KINDS = (
    ("eta_minus", "eta_plus"),
    ("delta_min", "delta_max"),
    ("loss", "prev_loss"),
    ("g", "w", "delta", "prev_sign", "prev_dw", "agreement", "dw"),
)
FUNCTIONS = {"min": "max", "max": "min"}


def edits() -> Iterator[tuple[str, ast.Module]]:
    """Yield (what was edited, the edited program)."""
    tree = ast.parse(inspect.getsource(reference))
    nodes = list(ast.walk(tree))
    parents = {child: node for node in nodes for child in ast.iter_child_nodes(node)}
    for index, node in enumerate(nodes):
        if not inside_a_rule(node, parents):
            continue
        for text, change in changes(node):
            edited = copy.deepcopy(tree)
            change(list(ast.walk(edited))[index])
            ast.fix_missing_locations(edited)
            yield f"line {getattr(node, 'lineno', '?')}: {text}", edited


def inside_a_rule(node: ast.AST, parents: dict[ast.AST, ast.AST]) -> bool:
    """Tell whether a node is code of a function, and neither a docstring nor a signature."""
    while node in parents:
        if isinstance(parents[node], ast.arguments):
            return False
        if isinstance(parents[node], ast.FunctionDef):
            return not isinstance(node, ast.Expr | ast.arguments)
        node = parents[node]
    return False


def changes(node: ast.AST) -> Iterator[tuple[str, object]]:
    """Yield (what, a function that edits the same node of a copy)."""

    def setter(name, value):
        return lambda copied: setattr(copied, name, value)

    if isinstance(node, ast.Compare):
        for kind in COMPARISONS:
            if not isinstance(node.ops[0], kind):
                yield f"{ast.unparse(node)} by {kind.__name__}", setter("ops", [kind()])
    elif isinstance(node, ast.BinOp):
        for kind in ARITHMETIC:
            if not isinstance(node.op, kind):
                yield f"{ast.unparse(node)} by {kind.__name__}", setter("op", kind())
    elif isinstance(node, ast.BoolOp):
        other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield f"{ast.unparse(node)} by {type(other).__name__}", setter("op", other)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield f"{ast.unparse(node)} without the minus", setter("op", ast.UAdd())
    elif isinstance(node, ast.Constant) and isinstance(node.value, int):
        for value in {-1, 0, 1, 2} - {node.value}:
            yield f"{node.value} becomes {value}", setter("value", value)
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
        if node.id in FUNCTIONS:
            yield f"{node.id} becomes {FUNCTIONS[node.id]}", setter("id", FUNCTIONS[node.id])
        for kind in KINDS:
            for other in kind if node.id in kind else ():
                if other != node.id:
                    yield f"{node.id} becomes {other}", setter("id", other)
    elif isinstance(node, ast.If):
        yield f"if {ast.unparse(node.test)} never", setter("test", ast.Constant(False))
        yield f"if {ast.unparse(node.test)} always", setter("test", ast.Constant(True))
    elif isinstance(node, ast.Call):
        if len(node.args) == 2:
            yield f"{ast.unparse(node)} turned round", setter("args", node.args[::-1])
    elif isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple):
        for i in range(4):
            for j in range(i):
                order = list(range(4))
                order[i], order[j] = j, i
                swapped = ast.Tuple([node.value.elts[k] for k in order], ast.Load())
                yield f"{ast.unparse(node)} in the order {order}", setter("value", swapped)
