"""Words on the way out: warnings that point at the caller, and consoles that lack a letter."""

from __future__ import annotations

import inspect
import sys
import warnings

__all__ = ["say", "warn"]


def warn(text: str, category: type[Warning]) -> None:
    """Warn of the line that called this package, directly or through SciPy."""
    level, frame = 1, inspect.currentframe()
    while frame and frame.f_globals.get("__name__", "").startswith(("rprop.", "scipy.")):
        level, frame = level + 1, frame.f_back
    warnings.warn(text, category, level)


def say(text: str) -> None:
    """Print; a letter that the console cannot show becomes a question mark."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    print(text.encode(encoding, "replace").decode(encoding))
