"""Steps on trees: dicts, lists, tuples, NamedTuples and dataclasses of arrays, nested at will.

A list or tuple is an array, as NumPy reads it, if there are only numbers in it, at whatever depth;
it is a tree if it holds anything else. A dict, a NamedTuple and a dataclass are always trees, None
is one without leaves. What is registered with JAX is taken apart as JAX does it.

All leaves together are one problem: its loss is one number.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import fields, is_dataclass
from functools import reduce
from operator import or_
from typing import Any, NamedTuple

import numpy as np

from rprop.rule import arrays
from rprop.rule.state import Array, RpropState

__all__ = ["flatten", "init", "is_tree", "ravel", "step"]

NUMBERS = (bool, int, float, complex, str, np.generic)  # and text, which NumPy refuses better


class Node(NamedTuple):
    """One level of a tree."""

    keys: list[str]  # as they are typed behind the name of the tree
    children: list[Any]
    remake: Callable[[list[Any]], Any]  # from other children


def is_tree(value: Any) -> bool:
    """Tell whether a step takes `value` for a tree; anything with a shape is an array."""
    return value is not None and not hasattr(value, "shape") and node(value) is not None


def node(value: Any, *, array: bool = True) -> Node | None:
    """Take one level of a tree apart; None for a leaf, such as a list of numbers if `array`."""
    if isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
        if array and only_numbers(value):
            return None
        return Node([f"[{i}]" for i in range(len(value))], list(value), type(value))
    if isinstance(value, tuple):
        names: tuple[str, ...] = value._fields  # type: ignore[attr-defined]
        return Node([f".{name}" for name in names], list(value), lambda new: type(value)(*new))
    if isinstance(value, dict):
        return Node(
            [f"[{key!r}]" for key in value], list(value.values()), lambda new: fill(value, new)
        )
    if value is None:
        return Node([], [], lambda _: None)
    if hasattr(value, "shape"):
        return None
    return registered(value) or attributes(value)


def only_numbers(values: Sequence[Any]) -> bool:
    """Whether NumPy would read a list as one array of numbers."""
    return all(
        isinstance(v, NUMBERS)
        or (isinstance(v, (list, tuple)) and not hasattr(v, "_fields") and only_numbers(v))
        for v in values
    )


def fill(old: dict[Any, Any], children: list[Any]) -> dict[Any, Any]:
    """Return a dict of the same type, with its default or whatever else it has."""
    new = copy(old)
    new.update(zip(old, children, strict=True))
    return new


def registered(value: Any) -> Node | None:
    """Ask JAX, where it is loaded, for one level of a type that is registered there."""
    jax = sys.modules.get("jax")
    if jax is None or hasattr(value, "__next__"):  # JAX warns of generators
        return None
    children, structure = jax.tree_util.tree_flatten(value, is_leaf=lambda x: x is not value)
    if len(children) == 1 and children[0] is value:
        return None
    keys = [f"[{i}]" for i in range(len(children))]
    return Node(keys, children, lambda new: jax.tree_util.tree_unflatten(structure, new))


def attributes(value: Any) -> Node | None:
    """Take a dataclass apart."""
    if not is_dataclass(value) or isinstance(value, type):
        return None
    names = [field.name for field in fields(value)]

    def remake(children: list[Any]) -> Any:
        new = copy(value)
        for name, child in zip(names, children, strict=True):
            object.__setattr__(new, name, child)  # frozen ones, too
        return new

    return Node([f".{name}" for name in names], [getattr(value, name) for name in names], remake)


def flatten(tree: Any) -> tuple[dict[str, Any], Callable[[Sequence[Any]], Any]]:
    """Return the leaves of a tree by their paths, and a function from leaves to such a tree.

    Examples
    --------
    >>> leaves, unflatten = flatten({"w": [np.ones(2), None], "b": 3.0})
    >>> list(leaves)
    ["['w'][0]", "['b']"]
    >>> unflatten([1, 2])
    {'w': [1, None], 'b': 2}
    """
    leaves = dict(walk(tree, ""))
    return leaves, lambda new: build(tree, iter(new))


def walk(tree: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield paths and leaves."""
    level = node(tree)
    if level is None:
        yield path, tree
        return
    for key, child in zip(level.keys, level.children, strict=True):
        yield from walk(child, path + key)


def build(tree: Any, leaves: Iterator[Any]) -> Any:
    """Put other leaves in the places of those of a tree."""
    level = node(tree)
    if level is None:
        return next(leaves)
    return level.remake([build(child, leaves) for child in level.children])


def along(tree: Any, name: str, other: Any, path: str = "", spread: bool = False) -> list[Any]:
    """Return what `other` holds for each leaf of `tree`.

    With `spread`, what has no dimension holds for all leaves.
    """
    level = node(tree)
    if level is None:
        return [other]
    if spread and single(other):
        return [other] * sum(1 for _ in walk(tree, ""))
    given = node(other, array=False)
    if given is None or set(given.keys) != set(level.keys):
        found = f"the keys {', '.join(given.keys)}" if given else f"{type(other).__name__}"
        raise ValueError(
            f"{name} must have the structure of params; params{path} has the keys "
            f"{', '.join(level.keys)}, {name}{path} is or has {found}"
        )
    theirs = dict(zip(given.keys, given.children, strict=True))
    pairs = zip(level.keys, level.children, strict=True)
    return [
        item for key, child in pairs for item in along(child, name, theirs[key], path + key, spread)
    ]


def single(value: Any) -> bool:
    """Whether a value has no dimension, so that it can hold for all leaves."""
    return isinstance(value, NUMBERS) or getattr(value, "shape", None) == ()


def ravel(tree: Any) -> tuple[Array, Callable[[Array], Any]]:
    """Return the leaves of a tree as one vector, and a function from vectors to such trees.

    The leaves of what is returned are views of the vector.

    Examples
    --------
    >>> vector, back = ravel({"w": [[1.0, 2.0], [3.0, 4.0]], "b": 5.0})
    >>> vector
    array([1., 2., 3., 4., 5.])
    >>> back(vector * 2)
    {'w': array([[2., 4.],
           [6., 8.]]), 'b': array(10.)}
    """
    leaves, unflatten = flatten(tree)
    values = [np.asarray(leaf) for leaf in leaves.values()]
    ends = np.cumsum([value.size for value in values], dtype=int)
    shapes = [value.shape for value in values]

    def back(vector: Array) -> Any:
        parts = np.split(vector, ends[:-1])
        return unflatten([part.reshape(s) for part, s in zip(parts, shapes, strict=False)])

    return np.concatenate([np.empty(0), *map(np.ravel, values)]), back


def init(rprop_init: Callable[..., RpropState], params: Any, delta0: Any) -> RpropState:
    """Make the state of a tree: the fields are trees, `prev_loss` is of no dimension."""
    leaves, unflatten = flatten(params)
    sizes = along(params, "delta0", delta0, spread=True)
    states = [
        at(path, rprop_init, leaf, size)
        for (path, leaf), size in zip(leaves.items(), sizes, strict=True)
    ]
    delta, sign, update = ([state[i] for state in states] for i in range(3))
    first = next(iter(leaves.values()), None)
    xp = arrays.namespace(first)
    prev_loss = np.array(np.nan) if xp in (None, np) else arrays.no_loss(xp, first, ())
    return RpropState(unflatten(delta), unflatten(sign), unflatten(update), prev_loss)


def step(
    rprop_step: Callable[..., tuple[Any, RpropState]],
    params: Any,
    grads: Any,
    state: Any,
    etas: Any,
    step_sizes: Any,
    variant: Any,
    loss: Any,
    where: Any,
    out: Any,
) -> tuple[Any, RpropState]:
    """Take a step of every leaf."""
    if out is not None:
        raise TypeError(f"out must be None for a tree; got {out!r}")
    if not isinstance(state, tuple) or len(state) != len(RpropState._fields):
        raise TypeError(f"state must be an RpropState; got {state!r}")
    if not isinstance(step_sizes, (tuple, list)) or len(step_sizes) != 2:
        raise TypeError(f"step_sizes must be a pair (Δmin, Δmax); got {step_sizes!r}")
    leaves, unflatten = flatten(params)
    slopes = along(params, "grads", grads)
    named = list(zip(RpropState._fields, state, strict=True))[:3]
    olds = list(zip(*(along(params, f"state.{name}", old) for name, old in named), strict=True))
    limits = [along(params, "step_sizes", limit, spread=True) for limit in step_sizes]
    masks = along(params, "where", where, spread=True)

    # The loss is remembered once: by a coordinate that stands for the whole problem.
    prev_loss = state[3] if hasattr(state[3], "shape") else np.asarray(state[3])
    if prev_loss.shape != ():
        raise ValueError(f"state.prev_loss must have shape () for a tree; got {prev_loss.shape}")
    xp = arrays.namespace(prev_loss) or np
    moved = where if single(where) else anything(masks)
    zero = xp.zeros_like(prev_loss)
    own = RpropState(zero, zero, zero, prev_loss)
    _, whole = rprop_step(zero, zero, own, etas, variant=variant, loss=loss, where=moved)

    stepped = []
    for (path, leaf), g, old, low, high, mask in zip(
        leaves.items(), slopes, olds, *limits, masks, strict=True
    ):
        of_leaf = xp.broadcast_to(prev_loss, np.shape(leaf)[:-1])
        before = RpropState(old[0], old[1], old[2], of_leaf)
        settings = {"variant": variant, "loss": loss, "where": mask}
        stepped.append(at(path, rprop_step, leaf, g, before, etas, (low, high), **settings))
    delta, sign, update = (unflatten([new[i] for _, new in stepped]) for i in range(3))
    after = RpropState(delta, sign, update, whole.prev_loss)
    return unflatten([new for new, _ in stepped]), after


def anything(masks: Sequence[Any]) -> Any:
    """Whether any coordinate of any leaf is to step."""
    some = [mask if hasattr(mask, "any") else np.asarray(mask) for mask in masks]
    return reduce(or_, [mask.any() for mask in some], False)


def at(path: str, function: Callable[..., Any], *arguments: Any, **settings: Any) -> Any:
    """Call a function for a leaf; an error says for which."""
    try:
        return function(*arguments, **settings)
    except (TypeError, ValueError) as error:
        if type(error) not in (TypeError, ValueError):
            raise  # of a library, which makes it from something other than a text
        raise type(error)(f"at params{path}: {error}") from error
