"""Resilient backpropagation (Rprop): the reference implementation."""

from typing import TYPE_CHECKING, Any

from rprop.core import RpropState, rprop_init, rprop_step
from rprop.variants import VARIANTS, Variant

if TYPE_CHECKING:
    from rprop.minimize import minimize_rprop

__all__ = ["VARIANTS", "RpropState", "Variant", "minimize_rprop", "rprop_init", "rprop_step"]


def __getattr__(name: str) -> Any:
    """Import what needs SciPy only when it is asked for."""
    if name == "minimize_rprop":
        from rprop.minimize import minimize_rprop

        return minimize_rprop
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
