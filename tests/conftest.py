import os

from hypothesis import Phase, settings

settings.register_profile(
    "ci", deadline=None, derandomize=True, print_blob=False, stateful_step_count=20
)
settings.register_profile("fuzz", deadline=None, max_examples=10_000, print_blob=True)
#: What `tests/mutate.py` asks for: that a test fails is enough, and by which example does not matter.
settings.register_profile(
    "mutants", settings.get_profile("ci"), max_examples=40, phases=[Phase.explicit, Phase.generate]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def pytest_terminal_summary(terminalreporter):
    """Add what was skipped, and why, to the file that RPROP_SKIPS names."""
    path = os.environ.get("RPROP_SKIPS")
    if path:
        reasons = {report.longrepr[2] for report in terminalreporter.stats.get("skipped", [])}
        with open(path, "a", encoding="utf-8") as file:  # noqa: PTH123
            file.writelines(f"{reason}\n" for reason in sorted(reasons))
