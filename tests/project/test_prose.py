"""The pages are plain English: what can be counted and listed; reading them aloud decides the rest."""

import re
import sys
from pathlib import Path
from subprocess import run

import pytest

ROOT = Path(__file__).parents[2]
PAGES = {p.name: p.read_text("utf-8") for p in [*(ROOT / "docs").glob("*.md"), ROOT / "README.md"]}
WORDS = 32  # of a sentence

NO_PROSE = re.compile(
    r"\A---\n.*?^---$"  # settings of a page
    r"|^(`{3,}|:{3,})[^\n]*\n.*?^\1$"  # cells, listings, directives
    r"|<svg.*?</svg>|<[^>]+>|^\|[^\n]*$|!\[[^\]]*\]\([^)]*\)",
    re.MULTILINE | re.DOTALL,
)
ENDS = re.compile(
    r"\n\s*\n|\n *(?:[-*>:]|\d+\.|#+) |(?<=[.!?:])[*)\"']*\s+(?=[*(\"'`A-ZΔη])|(?<=[.?!])\s+$"
)
#: what not to write, and what to write instead
INSTEAD = {
    r"RPROP-(?!\w)|iRprop-(?!\w)": "the minus sign: RPROP−, iRprop−",
    r"\b[Rr]prop[+−](?! or iRPROP)|\biRPROP(?!−; these)|\bIR|\bi-Rprop": "RPROP−, RPROP+, iRprop−, iRprop+",
    r"\bFig\.|\bTab\.|\bEq\.": "the figure, the table, the equation",
    r"\blearning rates? Δ": "step size",
    r"\bminimiz(?!e_|er)|\boptimiz(?!e\.)|\bbehavior\b|\bcolor\b": "British spelling",
    r"\b(?:utilize|leverage|facilitate|in order to|state-of-the-art|novel|seamless|robust)\b": "plain words",
    r"\b(?:simply|obviously|clearly|of course|trivially|needless to say)\b": "nothing",
    r"\b(?:blazing|lightning|powerful|cutting-edge|best-in-class|world-class)\b": "a measurement",
    r"\bnext to (?:no|nothing)\b|\bat hand\b|\bto speak of\b": "hardly any, nearly 0, available",
    r"\b(?:is|are) tame\b|\bat home\b|\bby itself knows\b": "what is meant",
    r"\bdoes not know\b|\bleaves? at once\b|\bas only a string\b": "what is meant",
    r"leaving such a case|did not rise, nor|loss above the least|far more than the opposite": "anew",
    r"\bthe latter\b|\bthe former\b|\brespectively\b": "the name again",
    r"\bwe (?:believe|think|feel)\b": "what was seen",
}


def sentences(text):
    """Return the sentences of a page, headings and items of lists among them, without markup."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", NO_PROSE.sub("\n\n", text))
    text = re.sub(r"`[^`\n]+(?:\n[^`\n]+)?`", "`code`", text)
    parts = (" ".join(part.split()).strip("#-*> ") for part in ENDS.split(text) if part)
    return [part for part in parts if part]


def test_sentences_are_found():
    text = "---\na: b\n---\n# Title\n\nOne `x = 1.` two. Three:\n\n- four\n- [five](there)\n\n```py\nsix\n```\n| a |\n"
    assert sentences(text) == ["Title", "One `code` two.", "Three:", "four", "five"]


@pytest.mark.parametrize("page", PAGES)
def test_sentences_are_short(page):
    long = [s for s in sentences(PAGES[page]) if len(s.split()) > WORDS]
    assert long == []


@pytest.mark.parametrize("page", PAGES)
def test_words_are_plain(page):
    found = [
        f"{match[0]!r} in {sentence!r}: write {better}"
        for sentence in sentences(PAGES[page])
        for pattern, better in INSTEAD.items()
        if (match := re.search(pattern, sentence))
    ]
    assert found == []


def test_a_linter_for_prose_is_content(tmp_path):
    """Without its rules of typography and its guesses at what is repeated by mistake."""
    pytest.importorskip("proselint", reason="needs proselint")
    for page, text in PAGES.items():
        (tmp_path / page).write_text("\n\n".join(sentences(text)) + "\n", "utf-8")
    command = [sys.executable, "-m", "proselint", "check", tmp_path]
    done = run(command, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    off = re.compile(
        r": (?:typography|lexical_illusions|archaism|uncomparables|misc\.(?:but|preferred_forms))"
    )
    found = [line for line in done.stdout.splitlines() if line.startswith(f"{tmp_path}")]
    assert [line for line in found if not off.search(line)] == []
