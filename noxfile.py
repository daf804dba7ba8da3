#!/usr/bin/env -S uv run --script
# /// script
# dependencies = ["nox>=2025.2.9"]
# ///
"""Every task of the project: `nox` runs the tests and the linters, `nox -s NAME` one of them."""

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv|virtualenv"


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests; arguments go to pytest."""
    session.install(".[test]")
    session.run("python", "-m", "pytest", *session.posargs)


def rule_and_solver(session: nox.Session, *packages: str) -> None:
    """Run the tests of two wings with some releases of NumPy and SciPy."""
    session.install(".[test]", *packages)
    session.run("python", "-m", "pytest", "tests/rule", "tests/solver", *session.posargs)


@nox.session(default=False, python="3.11")
def oldest(session: nox.Session) -> None:
    """Run the tests of the rule and the solver with the oldest NumPy and SciPy allowed."""
    rule_and_solver(session, "numpy==2.0.0", "scipy==1.16.0")


@nox.session(default=False)
def coming(session: nox.Session) -> None:
    """Run the tests of the rule and the solver with releases of NumPy and SciPy to come."""
    rule_and_solver(session, "--pre", "--upgrade", "numpy", "scipy")


@nox.session(default=False)
def optimised(session: nox.Session) -> None:
    """Run the examples where assertions are left out and any warning is an error."""
    session.install(".[test]")
    session.run("python", "-O", "-W", "error", "tests/promises.py")


@nox.session
def lint(session: nox.Session) -> None:
    """Run the linters, the type checker and the review of the project's layout."""
    session.install(".[lint]")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("mypy")
    session.run("repo-review", ".")


@nox.session(default=False)
def docs(session: nox.Session) -> None:
    """Build the site; a warning is an error."""
    session.install(".[docs]")
    session.run("sphinx-build", "-W", "--keep-going", "docs", "docs/_build/html")


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """Run the benchmark against SciPy's methods; arguments go to it."""
    session.install(".[bench]")
    session.run("python", "-m", "benchmarks.bench_minimize", *session.posargs)


if __name__ == "__main__":
    nox.main()
