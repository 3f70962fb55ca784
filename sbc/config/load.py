"""The configuration file to settings: all of it, or all that is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass

from sbc.config.build import Host, build
from sbc.config.crosscheck import crosscheck
from sbc.config.grammar import read_models
from sbc.config.host import this_host
from sbc.config.problems import ConfigError, Problem
from sbc.config.source import Source, parse, read_text
from sbc.config.tlsfiles import NamedFiles, named_files
from sbc.settings import Settings

__all__ = ["Checked", "check", "check_text", "load"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A configuration that was read."""

    settings: Settings | None
    """None if there are errors."""
    errors: tuple[Problem, ...] = ()
    notes: tuple[Problem, ...] = ()
    """What works and is probably not meant: a realm without trunks, a trunk without routes."""
    tls_files: tuple[NamedFiles, ...] = ()
    """What TLS reads, as far as it could be read who names it. Nobody has opened them."""


def load(path: str) -> Settings:
    """The settings in the file at `path`. Raises ConfigError with every error in it.

    Relative paths in the file start at the folder that holds it.
    """
    checked = check(path)
    if checked.settings is None:
        raise ConfigError(checked.errors)
    return checked.settings


def check(path: str, host: Host | None = None) -> Checked:
    """Everything that can be said about the file at `path`. Raises nothing."""
    try:
        text = read_text(path)
    except ConfigError as error:
        return Checked(settings=None, errors=error.problems)
    return check_text(text, path, host)


def check_text(text: str, path: str, host: Host | None = None) -> Checked:
    """Everything that can be said about `text`, as if it were in the file at `path`.

    Args:
        host: the machine to check it for, this one unless said otherwise.
    """
    try:
        source = parse(text, path)
    except ConfigError as error:
        return Checked(settings=None, errors=error.problems)
    return _check(source, host or this_host())


def _check(source: Source, host: Host) -> Checked:
    if source.data is None and not source.problems:
        problem = Problem(path=source.path, text="expected a configuration, got an empty file")
        return Checked(settings=None, errors=(problem,))
    grammar = read_models(source)
    across = crosscheck(grammar, source, host)
    files = named_files(grammar.border, source)
    errors = sorted({*source.problems, *grammar.problems, *across.errors})
    if errors:
        return Checked(settings=None, errors=tuple(errors), tls_files=files)
    settings = build(grammar.border, source, host)
    return Checked(settings=settings, notes=tuple(sorted(across.notes)), tls_files=files)
