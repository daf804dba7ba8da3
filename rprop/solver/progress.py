"""A bar on standard error: tqdm's, or a plain line where tqdm is not installed."""

from __future__ import annotations

import math
import sys
import time
from contextlib import suppress

__all__ = ["Bar"]


class Bar:
    """Counts iterations, or whatever comes to an end one by one."""

    def __init__(self, total: float | None = None, unit: str = "it") -> None:
        self.count, self.shown, self.unit, self.tqdm = 0, -math.inf, unit, None
        self.line = ""
        with suppress(ImportError):
            from tqdm import tqdm

            self.tqdm = tqdm(total=None if total is None else int(total), unit=unit, leave=True)

    def update(self, loss: float) -> None:
        """Count one more; redraw ten times a second."""
        self.count += 1
        if self.tqdm is not None:
            self.tqdm.set_postfix(loss=f"{loss:.6g}", refresh=False)
            self.tqdm.update()
            return
        self.line = f"\r{self.count} {self.unit}, loss {loss:.6g}"
        if time.monotonic() - self.shown >= 0.1:
            self.shown = time.monotonic()
            print(self.line, end="", file=sys.stderr)

    def close(self) -> None:
        """End the line."""
        if self.tqdm is not None:
            self.tqdm.close()
        else:
            print(self.line, file=sys.stderr)
