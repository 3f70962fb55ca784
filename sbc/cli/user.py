"""`sbc user add | set | remove | list`."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import click

from policies.settings import TrunkSettings
from policies.users import HashName, UserSettings
from sbc.call.digest.challenge import ALGORITHMS
from sbc.cli.edit import dry_run_option
from sbc.cli.options import USAGE, config_option, fail, json_option
from sbc.cli.show import change, table
from sbc.config.load import load
from sbc.config.paths import set_at
from sbc.config.problems import ConfigError
from sbc.config.source import Path, Source
from sbc.sip.digest import ha1

__all__ = ["user"]

F = TypeVar("F", bound=Callable[..., Any])

_MAX_BYTES: Final = 1024


def _user_options(command: F) -> F:
    """The options that `add` and `set` share."""
    options = (
        click.option(
            "--trunk",
            multiple=True,
            metavar="TRUNK",
            help="Whose requests may carry this name; may be repeated. Default: any with `auth`.",
        ),
        click.option("--realm", metavar="REALM", help="The digest realm. Default: the trunks'."),
        click.option(
            "--password-file",
            metavar="FILE",
            help="Take the password from the first line of FILE (- is standard input).",
        ),
        click.option(
            "--reference",
            metavar="file:PATH|env:NAME",
            help="Store no hashes, only where the border finds the password when it starts.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.group()
def user() -> None:
    """Add, change, remove and list users: who may call with a password.

    A password is asked for, and is not stored: the file gets its hashes (`ha1`) for the realm of
    the trunks. They are as good as the password towards this border, so keep the file to yourself.
    """


@user.command("add")
@click.argument("name")
@_user_options
@config_option
@dry_run_option
def add(name: str, config: str, dry_run: bool, **options: Any) -> None:  # noqa: ANN401
    """Add user NAME, with a password that is asked for.

    \b
      sbc config set trunks.phones.auth "{ challenge: required, realm: sip.example.com }"
      sbc user add alice --trunk phones
    """

    def apply(data: dict[str, Any], source: Source) -> None:
        if name in _users(data):
            raise ConfigError([source.problem(("users", name), "is there already (sbc user set)")])
        set_at(data, ("users", name), {}, source)
        _set(data, name, secret, options, source)

    secret = _secret(options)
    change(config, apply, dry_run)


@user.command("set")
@click.argument("name")
@_user_options
@config_option
@dry_run_option
def set_(name: str, config: str, dry_run: bool, **options: Any) -> None:  # noqa: ANN401
    """Give user NAME another password or, with --trunk alone, other trunks.

    \b
      sbc user set alice
      sbc user set alice --password-file /root/alice.txt
    """

    def apply(data: dict[str, Any], source: Source) -> None:
        _known(data, name, source)
        _set(data, name, secret, options, source)

    only_trunks = options["trunk"] and not (options["password_file"] or options["realm"])
    secret = None if only_trunks else _secret(options)
    change(config, apply, dry_run)


@user.command("remove")
@click.argument("name")
@config_option
@dry_run_option
def remove(name: str, config: str, dry_run: bool) -> None:
    """Remove user NAME."""

    def apply(data: dict[str, Any], source: Source) -> None:
        _known(data, name, source)
        del data["users"][name]
        if not data["users"]:
            del data["users"]

    change(config, apply, dry_run)


@user.command("list")
@config_option
@json_option
def list_(config: str, as_json: bool) -> None:
    """List all users: where they may call, and which algorithms they can answer."""
    policies = load(config).policies
    rows = [_as_json(one, policies.trunks) for one in policies.users]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    lines = [
        (str(row["name"]), " ".join(row["trunks"]) or "-", " ".join(row["algorithms"]) or "-")
        for row in rows
    ]
    for line in table(("NAME", "TRUNKS", "ALGORITHMS"), lines):
        click.echo(line)


def _secret(options: dict[str, Any]) -> bytes | None:
    """The password, as bytes; None where only a reference to it is stored."""
    path, reference = options["password_file"], options["reference"]
    if path is not None and reference is not None:
        fail("expected --password-file or --reference, got both", USAGE)
    if reference is not None:
        return None
    if path is None:
        text: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
        secret = text.encode()
    else:
        try:
            with click.open_file(path, "rb") as file:
                secret = file.read(_MAX_BYTES + 2).split(b"\n", 1)[0].removesuffix(b"\r")
        except OSError as error:
            fail(f"{path}: cannot be read: {error.strerror or error}", USAGE)
    if not secret or len(secret) > _MAX_BYTES:
        fail(f"expected a password of 1 to {_MAX_BYTES} bytes, got {len(secret)}", USAGE)
    return secret


def _set(
    data: dict[str, Any], name: str, secret: bytes | None, options: dict[str, Any], source: Source
) -> None:
    path: Path = ("users", name)
    if options["trunk"]:
        set_at(data, (*path, "trunk"), list(options["trunk"]), source)
    one = data["users"][name]
    if not isinstance(one, dict):
        raise ConfigError([source.problem(path, "expected a mapping (key: value), got none")])
    if options["reference"] is not None:
        for key in ("ha1", "realm"):
            one.pop(key, None)
        set_at(data, (*path, "password"), options["reference"], source)
    elif secret is not None:
        realm = options["realm"] or _realm(data, name, one.get("trunk"), source)
        one.pop("password", None)
        set_at(data, (*path, "realm"), realm, source)
        made = {
            kind.value: ha1(algorithm, name.encode(), realm.encode(), secret).decode()
            for kind, algorithm in ALGORITHMS.items()
        }
        set_at(data, (*path, "ha1"), made, source)


def _realm(data: dict[str, Any], name: str, chosen: object, source: Source) -> str:
    """The digest realm of the trunks that a user may call through."""
    mine = chosen if isinstance(chosen, list) else [chosen] if chosen else []
    realms = set()
    trunks = data.get("trunks")
    for trunk, keys in trunks.items() if isinstance(trunks, dict) else ():
        auth = keys.get("auth") if isinstance(keys, dict) else None
        realm = auth.get("realm") if isinstance(auth, dict) else None
        if isinstance(realm, str) and (not mine or trunk in mine):
            realms.add(realm)
    if len(realms) != 1:
        said = ", ".join(sorted(f'"{one}"' for one in realms)) or "none"
        text = f"expected one digest realm of its trunks (--realm, --trunk), got {said}"
        raise ConfigError([source.problem(("users", name), text)])
    return str(realms.pop())


def _users(data: dict[str, Any]) -> dict[str, Any]:
    users = data.get("users")
    return users if isinstance(users, dict) else {}


def _known(data: dict[str, Any], name: str, source: Source) -> None:
    users = _users(data)
    if name not in users:
        known = ", ".join(list(users)[:8]) or "there is none yet"
        text = f'expected a user ({known}), got "{name}"'
        raise ConfigError([source.problem(("users",), text)])


def _as_json(one: UserSettings, trunks: Sequence[TrunkSettings]) -> dict[str, Any]:
    asking = [trunk.name for trunk in trunks if trunk.auth is not None]
    return {
        "name": one.name,
        "trunks": list(one.trunks) or asking,
        "algorithms": [kind.value for kind in HashName if one.knows(kind)],
        "stored": "hashes" if one.ha1 else "reference",
    }
