"""Resilient backpropagation (Rprop): the reference implementation."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rprop.rule.state import RpropState
from rprop.rule.step import rprop_init, rprop_step
from rprop.rule.variants import VARIANTS, Variant

if TYPE_CHECKING:
    from rprop.solver.batch import minimize_batch
    from rprop.solver.minimize import minimize_rprop
    from rprop.solver.minimizer import Minimizer
    from rprop.solver.multistart import multistart
    from rprop.solver.partitions import PartitionError, dask_map, sum_over
    from rprop.teaching.trace import Trace, rprop_trace

__all__ = [
    "VARIANTS",
    "Minimizer",
    "PartitionError",
    "RpropState",
    "Trace",
    "Variant",
    "dask_map",
    "minimize_batch",
    "minimize_rprop",
    "multistart",
    "rprop_init",
    "rprop_step",
    "rprop_trace",
    "sum_over",
]

LAZY = {
    "Minimizer": "solver.minimizer",
    "PartitionError": "solver.partitions",
    "Trace": "teaching.trace",
    "dask_map": "solver.partitions",
    "minimize_batch": "solver.batch",
    "minimize_rprop": "solver.minimize",
    "multistart": "solver.multistart",
    "rprop_trace": "teaching.trace",
    "sum_over": "solver.partitions",
}


def __getattr__(name: str) -> Any:
    """Import what a step does not need only when it is asked for."""
    if name == "__version__":
        from importlib.metadata import version

        return version("rprop")
    if name in LAZY:
        return getattr(import_module(f"rprop.{LAZY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
