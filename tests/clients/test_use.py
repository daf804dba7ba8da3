"""What ``docs/use.md`` shows works with the libraries that are here, and reaches what they reach."""

import pytest

bench_use = pytest.importorskip("benchmarks.bench_use", reason="the page is not installed")
if not bench_use.PAGE.exists():
    pytest.skip("the page is not installed", allow_module_level=True)
SECTIONS = bench_use.sections()


def test_the_page_is_read():
    assert len(SECTIONS) >= 15
    assert {len(blocks) for blocks in SECTIONS.values()} == {3}


@pytest.mark.filterwarnings("ignore")  # the libraries' own
@pytest.mark.parametrize("title", SECTIONS)
def test_section(title):
    try:
        ours, theirs = bench_use.run(title, SECTIONS[title], repeat=1)
    except ImportError as error:
        pytest.skip(f"not installed: {error}")
    assert ours["loss"] <= theirs["loss"] + 1e-3
    assert ours["evaluations"] > 1
