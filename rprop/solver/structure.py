"""Minimising over trees: dicts, lists and dataclasses of arrays instead of one vector."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.optimize import OptimizeResult

from rprop.rule import trees
from rprop.rule.state import Array

__all__ = ["OnTree", "Shape"]


class Shape:
    """The structure of a start: turns vectors into trees, and trees into vectors."""

    def __init__(self, x0: Any) -> None:
        self.tree = x0
        self.vector, self.back = trees.ravel(x0)

    def flat(self, gradient: Any) -> Array:
        """Return a gradient of this structure as a vector."""
        leaves = trees.along(self.tree, "the gradient", gradient)
        shapes = [np.shape(leaf) for leaf in trees.flatten(self.tree)[0].values()]
        for leaf, shape in zip(leaves, shapes, strict=True):
            if np.shape(leaf) != shape:
                raise ValueError(
                    f"the gradient must have the shapes of x0, {shapes}; got {np.shape(leaf)}"
                )
        return np.concatenate([np.ravel(leaf) for leaf in leaves])

    def result(self, result: OptimizeResult) -> OptimizeResult:
        """Put points and gradients of a result back into the structure."""
        result.x, result.jac = self.back(result.x), self.back(result.jac)
        if "allvecs" in result:
            result.allvecs = [self.back(x) for x in result.allvecs]
        return result


class OnTree:
    """What a function of trees is to the solver: a function of vectors."""

    def __init__(self, function: Callable[..., Any], shape: Shape, slopes: bool) -> None:
        self.function, self.shape, self.slopes = function, shape, slopes

    def __call__(self, x: Array, *args: Any) -> Any:
        """Evaluate."""
        value = self.function(self.shape.back(x), *args)
        if self.slopes:
            return self.shape.flat(value)
        if isinstance(value, tuple | list) and len(value) == 2:
            return value[0], self.shape.flat(value[1])
        return value
