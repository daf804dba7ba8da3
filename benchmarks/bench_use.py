"""Run the examples of ``docs/use.md`` and keep their numbers: ``python -m benchmarks.bench_use``.

A section of the page has three blocks: a problem, rprop on it, and the library's default. Either
solution leaves its objective in `loss` and its count in `evaluations`.
"""

from __future__ import annotations

import json
import re
import sys
import time
import warnings
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "use.md"
RESULT = ROOT / "benchmarks" / "results" / "use.json"


def sections() -> dict[str, list[str]]:
    """Return the three blocks of every section by its title."""
    found = {}
    for part in PAGE.read_text("utf-8").split("\n## ")[1:]:
        blocks = re.findall(r"^```python\n(.*?)^```$", part, re.MULTILINE | re.DOTALL)
        if blocks:
            found[part.split("\n", 1)[0]] = blocks
    return found


def run(title: str, blocks: list[str], repeat: int = 2) -> list[dict[str, Any]]:
    """Run a section; return what rprop and the default reached, and the time of the last run."""
    problem, *solutions = (compile(block, f"use.md, {title}", "exec") for block in blocks)
    names: dict[str, Any] = {"__name__": "use"}
    exec(problem, names)  # noqa: S102
    runs = []
    for solution in solutions:
        for _ in range(repeat):
            start = time.perf_counter()
            exec(solution, names)  # noqa: S102
            seconds = time.perf_counter() - start
        counts = {"loss": float(names["loss"]), "evaluations": int(names["evaluations"])}
        runs.append({**counts, "seconds": seconds})
    return runs


def main() -> None:
    """Run the page, print the numbers and keep them."""
    kept = {}
    for title, blocks in sections().items():
        try:
            kept[title] = run(title, blocks)
        except ImportError as error:
            print(f"left out: {title}: {error}", file=sys.stderr)
            continue
        print(title, *kept[title], sep="\n    ", flush=True)
    RESULT.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # of the libraries
    main()
