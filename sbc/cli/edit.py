"""`sbc config get | set | unset | show | keys`."""

from __future__ import annotations

import dataclasses
import io
import json
from typing import Any

import click
from ruamel.yaml import YAML

from sbc.cli.options import config_option, fail, json_option
from sbc.cli.show import change, colours
from sbc.config.grammar import unknown_key
from sbc.config.keys import keys
from sbc.config.masking import masked
from sbc.config.paths import default_at, find, is_key, parse_path, parse_value, set_at, unset_at
from sbc.config.secrets import shown
from sbc.config.source import Source, read, spell
from sbc.config.written import everything, written

__all__ = ["config"]

dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Check and show the change, write nothing."
)


@click.group()
def config() -> None:
    """Read and change any key of the configuration file.

    A PATH is keys with dots between them; entries of lists count from 1:

    \b
      trunks.carrier.limits.calls
      realms.outside.listen[2].advertise
      routes[1].number

    A change is made in place: comments, order and layout of the rest stay. The whole result is
    checked before anything is written; if it is not in order the file stays as it is, the errors
    are printed, and the exit code is 2.
    """


@config.command("get")
@click.argument("path")
@config_option
@json_option
def get(path: str, config: str, as_json: bool) -> None:
    """Print the value at PATH: what the file says, or else the default. Secrets are not shown.

    Exit code 1 if there is neither.
    """
    source = read(config)
    where = parse_path(path, source)
    there, value = find(source.data, where)
    if not there:
        there, value = default_at(where)
        there = there and value is not None
    if not there:
        text = "is not set" if is_key(where) else unknown_key(where)
        fail(f"{config}: {spell(where)}: {text}")
    _print(shown(value, where), as_json)


@config.command("set")
@click.argument("path")
@click.argument("value")
@config_option
@dry_run_option
def set_(path: str, value: str, config: str, dry_run: bool) -> None:
    """Set the key at PATH to VALUE, and print the change.

    VALUE is written as in the file: 200, udp, "[10.0.0.20, 10.0.0.21:5080]",
    "{ calls: 200, cps: 20 }". One entry past the end of a list adds to it.
    """

    def apply(data: dict[str, Any], source: Source) -> None:
        where = parse_path(path, source)
        set_at(data, where, parse_value(value, where, source), source)

    change(config, apply, dry_run)


@config.command("unset")
@click.argument("path")
@config_option
@dry_run_option
def unset(path: str, config: str, dry_run: bool) -> None:
    """Take the key at PATH out of the file, so that its default holds, and print the change."""

    def apply(data: dict[str, Any], source: Source) -> None:
        unset_at(data, parse_path(path, source), source)

    change(config, apply, dry_run)


@config.command("show")
@click.argument("path", required=False)
@config_option
@click.option("--all", "with_defaults", is_flag=True, help="With every key and its default.")
@json_option
def show(path: str | None, config: str, with_defaults: bool, as_json: bool) -> None:
    """Print the configuration, or the part of it at PATH. Secrets are not shown."""
    source = read(config)
    if path is None and not with_defaults and not as_json:
        click.echo(masked(source), nl=False)
        return
    data = everything(source) if with_defaults else source.data
    where = parse_path(path, source) if path is not None else ()
    there, value = find(data, where)
    if not there:
        fail(f"{config}: {spell(where)}: is not set")
    _print(shown(value, where), as_json)


@config.command("keys")
@click.argument("word", required=False)
@json_option
def keys_(word: str | None, as_json: bool) -> None:
    """List every key that a configuration may have, or those with WORD in them.

    For each: what it takes, its default, and what it means.
    """
    found = [one for one in keys() if word is None or word in one.path]
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(one) for one in found], indent=2))
        return
    for one in found:
        default = "required" if one.default is None else f"default: {one.default}"
        line = click.style(one.path, bold=True) + (f"  ({default})" if default[-2:] != ": " else "")
        click.echo(line, color=colours())
        for text in filter(None, (one.expected, one.text)):
            click.echo(f"    {text}")
    if not found:
        fail(f'no key has "{word}" in it')


def _print(value: object, as_json: bool) -> None:
    value = written(value)
    if as_json:
        click.echo(json.dumps(value, indent=2))
    elif isinstance(value, bool) or value is None:
        click.echo(json.dumps(value))
    elif isinstance(value, (dict, list)):
        yaml = YAML(typ="safe", pure=True)
        yaml.default_flow_style = False
        yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
        yaml.indent(mapping=2, sequence=4, offset=2)
        out = io.StringIO()
        yaml.dump(value, out)
        click.echo(out.getvalue(), nl=False)
    else:
        click.echo(str(value))
