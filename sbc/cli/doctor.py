"""`sbc doctor`: what would keep a border from working well here."""

from __future__ import annotations

import dataclasses
import sys
from typing import Final

import click

from sbc.cli.health.checks import CHECKS
from sbc.cli.health.finding import Finding, Level, fail, ok, warn
from sbc.cli.health.machine import Machine
from sbc.cli.health.running import look
from sbc.cli.options import config_option, json_option
from sbc.cli.output import print_json
from sbc.config.load import check

__all__ = ["doctor"]

_COLOURS: Final = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "red"}


@click.command()
@config_option
@json_option
def doctor(config: str, as_json: bool) -> None:
    """Look for what would keep a border from working well on this machine.

    Each line is ok, warn or fail, and says what to do. Nothing is changed, and a running border
    is not disturbed. Ends with 1 if a line says fail.
    """
    findings = _examine(config)
    if as_json:
        print_json([dataclasses.asdict(one) for one in findings])
    else:
        for one in findings:
            mark = click.style(f"{one.level.value:<4}", fg=_COLOURS[one.level])
            click.echo(f"{mark}  {one.topic:<11}  {one.text}")
            if one.advice:
                click.echo(f"{'':<17}  → {one.advice}")
    sys.exit(1 if any(one.level is Level.FAIL for one in findings) else 0)


def _examine(path: str) -> list[Finding]:
    checked = check(path)
    if checked.settings is None:
        return [
            fail("config", str(error), "sbc check says the same of a changed file")
            for error in checked.errors
        ]
    settings = checked.settings
    findings = [warn("config", str(note), "sbc check") for note in checked.notes]
    if not findings:
        findings.append(ok("config", f"{path} is in order"))
    machine, running = Machine(), look(settings)
    for one in CHECKS:
        findings += one(settings, machine, running)
    return findings
