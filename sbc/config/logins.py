"""The grammar of digest authentication: who has to prove who they are, and who we are to others.

And what the programs are given of it: passwords read, and for each realm the hashes that all its
users can answer.
"""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import Field

from policies.users import (
    Asking,
    AuthSettings,
    AuthStatus,
    Binding,
    CredentialSettings,
    HashName,
    Protection,
    Secret,
    UserSettings,
    answerable,
)
from sbc.config.scalars import (
    COUNT,
    Name,
    OneOrMany,
    Rule,
    Seconds,
    Status,
    Switch,
    choice,
    expected,
)
from sbc.config.secrets import is_reference, read_secret
from sbc.config.section import Section
from sbc.config.source import Odd

__all__ = [
    "Auth",
    "Credentials",
    "Ha1",
    "User",
    "UserName",
    "auth_settings",
    "credential_settings",
    "hashes",
    "user_settings",
    "wanted",
]

_USER: Final = "a user name of printable ASCII without spaces, quotes and colons (at most 64)"
_REFERENCE: Final = '"file:PATH" or "env:NAME" (a password has no place in this file)'
_REALM: Final = "a text of printable ASCII without quotes (at most 128)"
_QOP: Final = "auth or auth-int"
_ALGORITHM: Final = "sha-512-256, sha-256 or md5"

# A colon would end the user in H(user:realm:password); quotes would have to be escaped, and clients
# do not agree about hashing escapes.
_USER_RULE: Final = re.compile(r"[!#-9;-\[\]-~]{1,64}\Z")
_REALM_RULE: Final = re.compile(r"[ !#-\[\]-~]{1,128}\Z")
_HASHES: Final = {one.value: one for one in HashName}


def _user(value: object) -> str:
    if not isinstance(value, str) or not _USER_RULE.match(value):
        raise expected(_USER)
    return value


def _realm(value: object) -> str:
    if not isinstance(value, str) or not _REALM_RULE.match(value) or not value.strip():
        raise expected(_REALM)
    return value


def _secret(value: object) -> str:
    if not isinstance(value, str) or not is_reference(value):
        raise expected(_REFERENCE)
    return value


def _algorithm(value: object) -> HashName:
    if not isinstance(value, str) or value.lower() not in _HASHES:
        raise expected(_ALGORITHM)
    return _HASHES[value.lower()]


def _auth_status(value: object) -> AuthStatus:
    if isinstance(value, bool) or value not in (401, 407):
        raise expected("401 or 407")
    return AuthStatus(value)


def _ha1(digits: int) -> Rule:
    text = f"{digits} hexadecimal digits (sbc user set makes them)"

    def parse(value: object) -> str:
        written = value.written if isinstance(value, Odd) else value
        if not isinstance(written, str) or not re.fullmatch(rf"[0-9A-Fa-f]{{{digits}}}", written):
            raise expected(text)
        return written.lower()

    return Rule(parse, text)


_HA1_32: Final = _ha1(32)
_HA1_64: Final = _ha1(64)
_PASSWORD: Final = Rule(_secret, _REFERENCE)
_REALM_TEXT: Final = Rule(_realm, _REALM)
UserName = Annotated[str, Rule(_user, _USER)]


class Ha1(Section):
    """What stands for a password in one realm: as secret as the password itself."""

    md5: Annotated[str | None, _HA1_32] = None
    """MD5 of name:realm:password."""
    sha_256: Annotated[str | None, _HA1_64, Field(alias="sha-256")] = None
    """The same with SHA-256."""
    sha_512_256: Annotated[str | None, _HA1_64, Field(alias="sha-512-256")] = None
    """The same with SHA-512/256."""

    @property
    def written(self) -> dict[HashName, str]:
        """Those that are there."""
        every = {
            HashName.SHA_512_256: self.sha_512_256,
            HashName.SHA_256: self.sha_256,
            HashName.MD5: self.md5,
        }
        return {name: digits for name, digits in every.items() if digits is not None}


class User(Section):
    """Somebody who may authenticate towards the border."""

    password: Annotated[str | None, _PASSWORD] = None
    """Where the password is: `file:PATH` or `env:NAME`. Not needed where `ha1` is."""
    ha1: Ha1 = Ha1()
    realm: Annotated[str | None, _REALM_TEXT] = None
    """The realm that `ha1` was made for, so that a change of the trunk's is noticed."""
    trunk: Annotated[list[Name], OneOrMany] = []
    """Whose requests may carry this name. Default: those of every trunk with `auth`."""


class Auth(Section):
    """What the requests of a trunk have to prove (digest authentication, RFC 8760)."""

    challenge: Annotated[Asking, choice(Asking, "off or required")] = Asking.OFF
    """Whether a call, and any other request outside a call, needs a user and password."""
    realm: Annotated[str | None, _REALM_TEXT] = None
    """The realm that users are asked for; needed with `challenge: required`."""
    algorithms: Annotated[list[Annotated[HashName, Rule(_algorithm, _ALGORITHM)]], OneOrMany] = []
    """What is offered, in this order. Default: all that every user can answer, strongest first."""
    single: Switch = False
    """Whether only the first of `algorithms` is offered, md5 where none is written: for old phones
    that cannot read several challenges."""
    qop: Annotated[list[Annotated[Protection, choice(Protection, _QOP)]], OneOrMany] = [
        Protection.AUTH
    ]
    """What an answer covers: auth is method and URI; with auth-int a client may add the body, which
    any box on the way that rewrites SDP makes wrong. Some clients prefer it where it is offered."""
    status: Annotated[AuthStatus, Rule(_auth_status, "401 or 407")] = AuthStatus.UNAUTHORIZED
    """401 challenges as a server, 407 as a proxy."""
    nonce_lifetime: Seconds = 300.0
    """How long a client may go on with one challenge."""
    nonce_binds: Annotated[Binding, choice(Binding, "nothing or source")] = Binding.NOTHING
    """Whether a challenge may be answered from the address only that was given it."""
    in_dialog: Switch = False
    """Whether requests inside a call (BYE, re-INVITE) are challenged too."""
    attempts: Annotated[int, COUNT] = 10
    """Wrong passwords for one user from one address in a minute, until `refusal` is the answer."""
    refusal: Status = 403
    """What is answered then, for a minute."""


class Credentials(Section):
    """Who the border is to a trunk that challenges it."""

    user: UserName
    """The user name."""
    password: Annotated[str | None, _PASSWORD] = None
    """Where the password is: `file:PATH` or `env:NAME`."""
    ha1: Ha1 = Ha1()
    realm: Annotated[str | None, _REALM_TEXT] = None
    """The one realm whose challenges are answered. Default: any that the trunk names."""


def hashes(user: User) -> frozenset[HashName]:
    """What a user's answer may be hashed with."""
    return frozenset(HashName if user.password is not None else user.ha1.written)


def wanted(auth: Auth) -> tuple[HashName, ...]:
    """What a trunk would offer if every user could answer it."""
    every = tuple(dict.fromkeys(auth.algorithms)) or tuple(HashName)
    if not auth.single:
        return every
    return every[:1] if auth.algorithms else (HashName.MD5,)


def auth_settings(name: str, auth: Auth, users: dict[str, User]) -> AuthSettings | None:
    """What trunk `name` asks for, None where it asks for nothing."""
    if auth.challenge is Asking.OFF:
        return None
    known = [hashes(user) for user in users.values() if not user.trunk or name in user.trunk]
    return AuthSettings(
        realm=auth.realm or "",
        algorithms=answerable(wanted(auth), known),
        qop=tuple(dict.fromkeys(auth.qop)) or (Protection.AUTH,),
        status=auth.status,
        nonce_lifetime_s=auth.nonce_lifetime,
        nonce_binds=auth.nonce_binds,
        in_dialog=auth.in_dialog,
        attempts=auth.attempts,
        refusal=auth.refusal,
    )


def user_settings(name: str, user: User, folder: str) -> UserSettings:
    """A user with the password that can be read from `folder`; none otherwise."""
    return UserSettings(
        name=name,
        password=_password(user.password, folder),
        ha1=_secrets(user.ha1),
        trunks=tuple(user.trunk),
    )


def credential_settings(credentials: Credentials | None, folder: str) -> CredentialSettings | None:
    """Who we are, with the password that can be read from `folder`; none otherwise."""
    if credentials is None:
        return None
    return CredentialSettings(
        user=credentials.user,
        password=_password(credentials.password, folder),
        ha1=_secrets(credentials.ha1),
        realm=credentials.realm,
    )


def _password(reference: str | None, folder: str) -> Secret | None:
    found = None if reference is None else read_secret(reference, folder)
    return found if isinstance(found, Secret) else None


def _secrets(ha1: Ha1) -> dict[HashName, Secret]:
    return {name: Secret(digits.encode()) for name, digits in ha1.written.items()}
