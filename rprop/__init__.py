"""Resilient backpropagation (Rprop): the reference implementation."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rprop.core import RpropState, rprop_init, rprop_step
from rprop.variants import VARIANTS, Variant

if TYPE_CHECKING:
    from rprop.batch import minimize_batch
    from rprop.distributed import PartitionError, dask_map, sum_over
    from rprop.minimize import minimize_rprop
    from rprop.starts import multistart
    from rprop.trace import Trace, rprop_trace

__all__ = [
    "VARIANTS",
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
    "PartitionError": "distributed",
    "Trace": "trace",
    "dask_map": "distributed",
    "minimize_batch": "batch",
    "minimize_rprop": "minimize",
    "multistart": "starts",
    "rprop_trace": "trace",
    "sum_over": "distributed",
}


def __getattr__(name: str) -> Any:
    """Import what a step does not need only when it is asked for."""
    if name in LAZY:
        return getattr(import_module(f"rprop.{LAZY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
