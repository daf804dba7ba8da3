"""Resilient backpropagation (Rprop): the reference implementation."""

from rprop.core import RpropState, rprop_init, rprop_step
from rprop.variants import VARIANTS, Variant

__all__ = ["VARIANTS", "RpropState", "Variant", "rprop_init", "rprop_step"]
