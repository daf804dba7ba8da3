import os

from hypothesis import settings

settings.register_profile("default", deadline=None, derandomize=True, print_blob=False)
settings.register_profile("thorough", deadline=None, max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


def pytest_terminal_summary(terminalreporter):
    """Add what was skipped, and why, to the file that RPROP_SKIPS names."""
    path = os.environ.get("RPROP_SKIPS")
    if path:
        reasons = {report.longrepr[2] for report in terminalreporter.stats.get("skipped", [])}
        with open(path, "a", encoding="utf-8") as file:  # noqa: PTH123
            file.writelines(f"{reason}\n" for reason in sorted(reasons))
