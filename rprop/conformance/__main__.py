"""Tell whether an Rprop is right: ``python -m rprop.conformance NAME``."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from io import TextIOWrapper
from shutil import which
from typing import Any

from rprop.conformance.adapters import ADAPTERS, Adapter
from rprop.conformance.cases import load
from rprop.conformance.checker import check
from rprop.conformance.exact import FORMATS
from rprop.conformance.exhaustive import exhaust
from rprop.conformance.identify import identify
from rprop.conformance.limits import NONE, Limits
from rprop.conformance.process import Process
from rprop.conformance.report import Report
from rprop.rule.variants import VARIANTS

CONFORMS, DIFFERS, MISSING = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Check what was asked for and print the reports; return the exit status."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a console may lack what a program wrote
    parser = arguments_of()
    options = parser.parse_args(arguments)
    if (options.name is None) + (options.command is None) + (not options.all) != 2:
        parser.error("give one of NAME, --command and --all")
    if options.ulps < 0:
        parser.error(f"--ulps must be at least 0; got {options.ulps}")
    try:
        limits = None if options.limits is None else read_limits(options.limits)
    except (TypeError, ValueError) as error:
        parser.error(f"--limits must be JSON with fields of Limits; got {options.limits}: {error}")
    if options.command is not None:
        program = first_word(options.command)
        if which(program) is None:
            print(f"{program!r} cannot be checked: it is no program.", file=sys.stderr)
            return MISSING
        try:
            make = Process.of(options.command, options.timeout, reuse=options.reuse)
        except ValueError as error:
            parser.error(f"--{error}")
        chosen = {options.command: Adapter(lambda _: make, "", "irprop-")}
    else:
        chosen = ADAPTERS if options.all else {options.name: ADAPTERS[options.name]}
    try:
        for variant in {options.variant or adapter.variant for adapter in chosen.values()}:
            load(variant)
    except (OSError, ValueError) as error:
        print(f"Nothing can be checked: {error}", file=sys.stderr)
        return MISSING
    results: dict[str, Any] = {}
    status = CONFORMS
    for name, adapter in chosen.items():
        if adapter.package and find_spec(adapter.package) is None:
            print(f"{name} cannot be checked: {adapter.package} is not installed.", file=sys.stderr)
            status = status if options.all else MISSING
            continue
        report, identity = examined(adapter, options, limits)
        status = status if report.ok else DIFFERS
        version = "" if not adapter.package else release(adapter.distribution or adapter.package)
        results[name] = summary(report, identity, version)
        if options.markdown:
            print(markdown(name, report, identity, version))
        elif not options.json:
            print(f"{f'{name} {version}'.strip()}, expected to be {report.variant}")
            print(f"On short probes: {identity}\n\n{report}\n")
    if options.json:
        print(json.dumps(results, indent=2))
    return status


def arguments_of() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        "python -m rprop.conformance", description="Tell whether an Rprop is right."
    )
    parser.add_argument(
        "name", nargs="?", choices=ADAPTERS, metavar="NAME", help=", ".join(ADAPTERS)
    )
    parser.add_argument("--all", action="store_true", help="check everything that is installed")
    parser.add_argument("--command", help="check a program that speaks JSON lines")
    parser.add_argument("--variant", choices=VARIANTS, help="the rule it should follow")
    parser.add_argument("--ulps", type=int, default=0, help="tolerated units in the last place")
    parser.add_argument("--timeout", type=float, default=10, help="seconds per answer of a command")
    parser.add_argument(
        "--reuse", action="store_true", help="one process of a command runs case after case"
    )
    parser.add_argument(
        "--limits",
        metavar="JSON",
        help="what cannot be set: fields of Limits, such as etas and step_sizes",
    )
    parser.add_argument(
        "--exhaustive", type=int, metavar="STEPS", help="run all tapes of so many steps as well"
    )
    parser.add_argument(
        "--dtypes", nargs="+", choices=FORMATS, help="the dtypes to run, by default all it has"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="write JSON")
    form.add_argument("--markdown", action="store_true", help="write rows of a table")
    return parser


def read_limits(text: str) -> Limits:
    """Read what cannot be set."""
    fields = json.loads(text)
    for name in {"etas", "step_sizes"} & fields.keys():
        fields[name] = tuple(fields[name])
    return Limits(**fields)


def examined(
    adapter: Adapter, options: argparse.Namespace, limits: Limits | None
) -> tuple[Report, str]:
    """Check one implementation and say what it is."""
    variant = options.variant or adapter.variant
    make_stepper = adapter.make(variant)
    declared = getattr(make_stepper, "limits", NONE) if limits is None else limits
    declared = declared if isinstance(declared, Limits) else NONE
    dtypes = options.dtypes or adapter.dtypes
    report = check(make_stepper, variant, ulps=options.ulps, dtypes=dtypes, limits=declared)
    try:
        identity = str(identify(make_stepper, dtypes[0], limits=declared))
        if options.exhaustive and "float64" in dtypes:
            claim = exhaust(make_stepper, variant, options.exhaustive, limits=declared)
            report = replace(report, claim=str(claim))
    except (Exception, SystemExit) as error:  # noqa: BLE001, whatever it raises is a finding
        identity = f"could not be identified: {type(error).__name__}: {error}"
    return report, identity


def first_word(command: str) -> str:
    """Return the program of a command line."""
    try:
        return shlex.split(command)[0]
    except (IndexError, ValueError):  # nothing there, or an open quotation mark
        return command


def markdown(name: str, report: Report, identity: str, release: str) -> str:
    """Return the row of a table."""
    results = (
        ", ".join(f"`{flag}`" for flag, result in report.flags.items() if result == wanted)
        or "none"
        for wanted in ("fail", "acceptable")
    )
    verdict = "yes" if report.ok else "no"
    return (
        f"| `{name}` {release.partition('+')[0]} | {verdict} | {' | '.join(results)} | {identity} |"
    )


def release(package: str) -> str:
    """Return the installed version."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def summary(report: Report, identity: str, release: str) -> dict[str, Any]:
    """Return a report as JSON can hold it."""
    return {
        "version": release,
        "variant": report.variant,
        "ok": report.ok,
        "leading": report.leading,
        "causes": report.causes,
        "uncovered": report.uncovered,
        "declined": report.declined,
        "claim": report.claim,
        "identity": identity,
        "flags": report.flags,
        "failures": [vars(failure) for failure in report.failures],
        "tolerated": [vars(failure) for failure in report.tolerated],
        "cases": report.count,
    }


if __name__ == "__main__":
    sys.exit(main())
