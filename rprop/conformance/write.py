"""Write the files of vectors: ``python -m rprop.conformance.write``."""

from __future__ import annotations

from pathlib import Path

from rprop.conformance.core import document
from rprop.conformance.generate import FOLDER, documents

__all__ = ["everything", "write"]


def everything() -> dict[str, str]:
    """Return the text of every file by its name, the small one included."""
    return {**documents(), "core.json": document()}


def write(folder: Path = FOLDER) -> None:
    """Write the files."""
    for name, content in everything().items():
        (folder / name).write_text(content, encoding="utf-8")


if __name__ == "__main__":
    write()
