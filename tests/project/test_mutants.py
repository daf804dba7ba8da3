"""The list of edits that no test can notice."""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_edit_that_is_explained_can_still_be_made(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tests"))
    import mutate

    possible = set()
    for path in (*(ROOT / "rprop/rule").glob("*.py"), *(ROOT / "rprop/solver").glob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        possible |= {f"{name}: {what}" for what, _ in mutate.edits(path.read_text("utf-8"))}
    text = mutate.EXPLAINED.read_text("utf-8")
    explained = {line for line in text.splitlines() if " -> " in line}
    assert explained
    assert not explained - possible
    sys.modules.pop("mutate")
