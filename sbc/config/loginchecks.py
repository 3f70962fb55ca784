"""Whether users, realms, hashes and passwords of digest authentication fit each other."""

from __future__ import annotations

from collections.abc import Iterator

from policies.users import Asking, answerable
from sbc.config.faults import Fault
from sbc.config.logins import Auth, User, hashes, wanted
from sbc.config.models import Border
from sbc.config.secrets import Unread, open_to_all, read_secret
from sbc.config.source import Path, spell

__all__ = ["login_faults", "unread_secrets"]


def login_faults(border: Border, trunks: set[str], folder: str) -> Iterator[Fault]:
    """Everything that does not fit.

    Args:
        trunks: the names of all trunks, those that could not be read too.
        folder: where relative paths of secrets begin.
    """
    for name, trunk in border.trunks.items():
        if trunk.auth.challenge is Asking.REQUIRED:
            yield from _auth(name, trunk.auth, border.users)
        if trunk.credentials is not None:
            path: Path = ("trunks", name, "credentials")
            one = trunk.credentials
            yield from _one_way(path, one.password is not None, bool(one.ha1.written))
            if one.ha1.written and one.realm is None:
                yield Fault(path, "expected the realm that ha1 was made for, got none")
    for name, user in border.users.items():
        yield from _user(name, user, border, trunks)
    for path, reference, found in _references(border, folder):
        if isinstance(found, Unread):
            text = f"expected a secret in {reference}, got {found.text}"
            yield Fault(path, text, note=found.elsewhere)
        elif open_to_all(reference, folder):
            yield Fault(path, f"everybody on this machine may read {reference}", note=True)


def unread_secrets(border: Border, folder: str) -> Iterator[str]:
    """A line for each secret that cannot be had here, and without which nobody should start."""
    for path, reference, found in _references(border, folder):
        if isinstance(found, Unread):
            yield f"{spell(path)}: expected a secret in {reference}, got {found.text}"


def _references(border: Border, folder: str) -> Iterator[tuple[Path, str, object]]:
    for name, user in border.users.items():
        if user.password is not None:
            path: Path = ("users", name, "password")
            yield path, user.password, read_secret(user.password, folder)
    for name, trunk in border.trunks.items():
        if trunk.credentials is not None and trunk.credentials.password is not None:
            path = ("trunks", name, "credentials", "password")
            reference = trunk.credentials.password
            yield path, reference, read_secret(reference, folder)


def _one_way(path: Path, password: bool, ha1: bool) -> Iterator[Fault]:
    if not password and not ha1:
        yield Fault(path, "expected a password or ha1, got neither")


def _auth(name: str, auth: Auth, users: dict[str, User]) -> Iterator[Fault]:
    """A realm offers what all its users can answer, and says so where that is not all."""
    path: Path = ("trunks", name, "auth")
    if auth.realm is None:
        yield Fault((*path, "realm"), "expected a realm for its challenges, got none")
    mine = {one: user for one, user in users.items() if not user.trunk or name in user.trunk}
    if not mine:
        yield Fault(path, "no user may call through this trunk (sbc user add)", note=True)
    offered = answerable(wanted(auth), [hashes(user) for user in mine.values()])
    for algorithm in wanted(auth):
        lacking = [one for one, user in mine.items() if algorithm not in hashes(user)]
        if not lacking or not any(hashes(mine[one]) for one in lacking):
            continue  # a user without anything is told so
        who = _names(lacking)
        if auth.algorithms or not offered:
            text = "expected algorithms that every user can answer, got "
            text += f"{algorithm.value}, for which {who} has no ha1 (sbc user set)"
            yield Fault((*path, "algorithms"), text)
        else:
            text = f"{algorithm.value} is not offered: {who} has no ha1 for it (sbc user set)"
            yield Fault(path, text, note=True)
    for one, user in mine.items():
        made_for = user.realm if user.ha1.written else None
        if made_for is not None and auth.realm is not None and made_for != auth.realm:
            text = f'expected the realm of trunk {name} ("{auth.realm}"), got "{made_for}"'
            yield Fault(("users", one, "realm"), f"{text}: set the password again")


def _user(name: str, user: User, border: Border, trunks: set[str]) -> Iterator[Fault]:
    path: Path = ("users", name)
    yield from _one_way(path, user.password is not None, bool(user.ha1.written))
    for index, trunk in enumerate(user.trunk):
        if trunk not in trunks:
            known = _names(sorted(trunks)) if trunks else "there is none yet"
            text = f'expected a trunk ({known}), got "{trunk}"'
            yield Fault((*path, "trunk", index), text)
        elif trunk in border.trunks and border.trunks[trunk].auth.challenge is Asking.OFF:
            text = f"trunk {trunk} asks nobody for a password (auth.challenge)"
            yield Fault((*path, "trunk", index), text, note=True)
    realms = {
        trunk.auth.realm
        for one, trunk in border.trunks.items()
        if trunk.auth.challenge is Asking.REQUIRED and (not user.trunk or one in user.trunk)
    }
    if user.ha1.written and len(realms) > 1:
        said = ", ".join(sorted(f'"{realm}"' for realm in realms))
        text = f"expected trunks of one realm, for which ha1 was made, got {said}"
        yield Fault((*path, "trunk"), text)


def _names(names: list[str]) -> str:
    return ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
