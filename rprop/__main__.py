"""`python -m rprop` tells the method's story."""

import os
import sys

from rprop.teaching.story import main


def run() -> None:
    """Tell the story on consoles that lack a letter, and into pipes that are closed early."""
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
    try:
        main()
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    run()
