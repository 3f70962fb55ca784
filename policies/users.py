"""Who may call with a password, and with whose password we call: digest authentication, as data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum, IntEnum

__all__ = [
    "Asking",
    "AuthSettings",
    "AuthStatus",
    "Binding",
    "CredentialSettings",
    "HashName",
    "Protection",
    "Secret",
    "UserSettings",
    "answerable",
]


class HashName(Enum):
    """A hash of RFC 8760, the strongest first."""

    SHA_512_256 = "sha-512-256"
    SHA_256 = "sha-256"
    MD5 = "md5"


class Asking(Enum):
    """Whether a trunk's requests need a user and password."""

    OFF = "off"
    REQUIRED = "required"


class Binding(Enum):
    """What a nonce is good for, besides its realm, trunk and time."""

    NOTHING = "nothing"
    """Any address of the trunk: phones change theirs behind some NATs."""
    SOURCE = "source"
    """The address that was challenged."""


class Protection(Enum):
    """What an answer covers (RFC 7616 §3.4: qop)."""

    AUTH = "auth"
    """Method and URI."""
    AUTH_INT = "auth-int"
    """The body too, which any box on the way that rewrites SDP makes wrong."""


class AuthStatus(IntEnum):
    """How we ask who somebody is."""

    UNAUTHORIZED = 401
    """As the server of the request (RFC 3261 §22.2)."""
    PROXY_AUTHENTICATION_REQUIRED = 407
    """As a proxy (RFC 3261 §22.3)."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A password, or what is as good as one. It shows itself to nobody who prints it."""

    value: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class UserSettings:
    """Somebody who may authenticate towards us."""

    name: str
    password: Secret | None = None
    """None: the hashes are all that is known."""
    ha1: Mapping[HashName, Secret] = field(default_factory=dict)
    """H(name:realm:password) in hexadecimal, for the one realm of its trunks."""
    trunks: tuple[str, ...] = ()
    """Whose requests may carry this name; none: those of every trunk that asks for one."""

    def knows(self, name: HashName) -> bool:
        """Whether an answer with this hash can be checked."""
        return self.password is not None or name in self.ha1


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthSettings:
    """What a trunk's requests have to prove."""

    realm: str
    """The realm of the challenge: a text that users see and that every `ha1` holds."""
    algorithms: tuple[HashName, ...] = tuple(HashName)
    """What is offered, one challenge each, in this order."""
    qop: tuple[Protection, ...] = (Protection.AUTH,)
    """What an answer may cover; one of RFC 2069's days, which says nothing, is taken once."""
    status: AuthStatus = AuthStatus.UNAUTHORIZED
    nonce_lifetime_s: float = 300.0
    """How long one nonce may be used, again and again with a growing count."""
    nonce_binds: Binding = Binding.NOTHING
    in_dialog: bool = False
    """Whether requests inside a dialog are challenged too."""
    attempts: int = 10
    """Wrong answers for one user from one address, until only `refusal` follows for a while."""
    refusal: int = 403


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialSettings:
    """Who we are to a trunk that challenges us."""

    user: str
    password: Secret | None = None
    ha1: Mapping[HashName, Secret] = field(default_factory=dict)
    """For `realm`."""
    realm: str | None = None
    """The one realm whose challenges are answered; None: any that this trunk names."""


def answerable(
    wanted: Iterable[HashName], known: Iterable[frozenset[HashName]]
) -> tuple[HashName, ...]:
    """What of `wanted` a realm may offer: what every user can answer (RFC 8760 §2.4).

    A client answers the first that it supports; one that we could not check would lock it out.

    Args:
        wanted: in the order of the challenges.
        known: for each user of the realm, the hashes that can be checked.
    """
    everybody = list(known)
    return tuple(name for name in wanted if all(name in one for one in everybody))
