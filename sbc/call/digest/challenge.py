"""Who sends a request: digest challenges, and the answers to them (RFC 3261 §22, RFC 8760).

A nonce is not remembered, it says everything itself: when it was made, some chance, and a keyed
check over these, the trunk, its realm and, where the trunk wants it, the address that was asked. It
is good until it is too old; an older one gets a new challenge that says `stale`, so that nobody is
asked for a password again.

What has to be remembered is how often a nonce was used, or a copied answer would be as good as the
answer: a window of the last 64 counts for each, and bounded in all. What is forgotten for want of
room, or by a restart, takes every older nonce with it: those are stale then, never fresh again. An
answer without `qop` counts nothing, so it is good once.

Guessing is slow: after some wrong answers for one name from one address, that name gets nothing but
the trunk's refusal from there for a minute. Only answers to a nonce of ours count, so nobody can
have somebody else shut out whose address he merely writes on his packets (where `nonce_binds` is
`source`). A name that does not exist is counted, hashed and compared as one that does.

Deviates from RFC 3261 §22.4: the `uri` of an answer must call the same user as the Request-URI but
need not have its host and port, which phones behind an outbound proxy get wrong.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from hashlib import blake2b
from typing import Final, TypeAlias

from policies.settings import TrunkSettings
from policies.users import AuthSettings, Binding, HashName, Protection, UserSettings
from sbc.call.digest.memory import Guesses, NonceCounts
from sbc.errors import ParseError
from sbc.sip.digest import (
    Algorithm,
    Authorization,
    Challenge,
    Qop,
    equal,
    ha1,
    parse_authorization,
    response,
)
from sbc.sip.message import Request
from sbc.sip.status import ACK, CANCEL
from sbc.sip.uri import number_of, parse_uri

__all__ = [
    "ALGORITHMS",
    "Authenticated",
    "Challenged",
    "Challenges",
    "Fault",
    "Flaw",
    "Shut",
    "Verdict",
]

ALGORITHMS: Final = {
    HashName.SHA_512_256: Algorithm.SHA_512_256,
    HashName.SHA_256: Algorithm.SHA_256,
    HashName.MD5: Algorithm.MD5,
}
_NAMES: Final = {algorithm: name for name, algorithm in ALGORITHMS.items()}

_ANSWERS: Final = {401: b"authorization", 407: b"proxy-authorization"}
_HEADERS: Final = {401: b"WWW-Authenticate: %b\r\n", 407: b"Proxy-Authenticate: %b\r\n"}
_QOPS: Final = {Protection.AUTH: Qop.AUTH, Protection.AUTH_INT: Qop.AUTH_INT}

_STAMP_BYTES: Final = 6
"""Milliseconds since the epoch."""
_CHANCE_BYTES: Final = 4
_MAC_BYTES: Final = 14
_MADE_OF: Final = _STAMP_BYTES + _CHANCE_BYTES
_NONCE_CHARACTERS: Final = (_MADE_OF + _MAC_BYTES) * 4 // 3
_LONGEST_NAME: Final = 64
_AHEAD_S: Final = 5.0
"""How far a nonce may lie in the future, after the wall clock was set back."""


@dataclass(slots=True)
class Authenticated:
    """The request is this user's."""

    user: str


class Flaw(Enum):
    """Why an answer does not prove who sends it: for operators, never for who sent it."""

    UNREADABLE = "credentials cannot be read"
    UNKNOWN = "algorithm or qop is not known"
    REALM = "credentials are for another realm"
    ALGORITHM = "algorithm was not offered"
    QOP = "qop was not offered"
    STALE = "nonce is stale"
    USERHASH = "userhash was not offered"
    USER = "unknown user"
    TRUNK = "user may not use this trunk"
    RESPONSE = "wrong password"
    URI = "uri= calls another user than the Request-URI"
    COUNT = "nonce count was used before"


@dataclass(slots=True)
class Fault:
    """An answer that was not taken."""

    flaw: Flaw
    user: bytes = b""
    """As it was given, b"" where nobody can tell."""
    other_uri: bool = False
    """Whether its `uri` is another one, and be the password as wrong as it may."""


@dataclass(slots=True)
class Challenged:
    """The request is to be answered with a challenge."""

    status: int
    head: bytes
    """One line for each algorithm."""
    wrong: bool = False
    """Whether it bore a wrong answer, not none or a stale one."""
    fault: Fault | None = None
    """What was wrong with its answer, None where there was none."""


@dataclass(slots=True)
class Shut:
    """There were too many wrong answers: the request is to be refused."""

    status: int
    user: str
    """Whose password was tried; "" where nobody is called so."""
    tell: bool
    """Whether an operator is to hear of it: the first time in a minute, one name a second."""


Verdict: TypeAlias = Authenticated | Challenged | Shut


@dataclass(slots=True)
class _Asked:
    """One request, as far as its nonce goes."""

    trunk: str
    auth: AuthSettings
    realm: bytes
    host: str
    wall_s: float


class Challenges:
    """Asks for passwords, and checks them.

    Args:
        key: our secret; the same across restarts, so that clients need not be asked again.
        random: n → n random bytes.
        users: everybody who may authenticate.
    """

    __slots__ = ("_counts", "_guesses", "_key", "_nobodys", "_random", "_users")

    def __init__(
        self,
        key: bytes,
        random: Callable[[int], bytes],
        users: Iterable[UserSettings],
    ) -> None:
        self._key = blake2b(b"digest nonce", key=key[:64], digest_size=32).digest()
        self._nobodys = blake2b(b"nobody's password", key=key[:64], digest_size=32).digest()
        self._random = random
        self._users = {user.name.encode(): user for user in users}
        self._counts = NonceCounts()
        self._guesses = Guesses()

    def check(
        self, request: Request, trunk: TrunkSettings, host: str, now: float, wall_s: float
    ) -> Verdict | None:
        """Who sends this, or what to answer instead; None for what must not be challenged.

        Args:
            request: any request from `trunk`, whose `auth` is set.
            host: the address that it came from.
            now: monotonic seconds.
            wall_s: the same moment since the epoch.

        Source: RFC 3261 §22.1: ACK and CANCEL bear no answer of their own.
        """
        auth = trunk.auth
        assert auth is not None  # noqa: S101 (asked only then)
        if request.method in (ACK, CANCEL) or (request.to_tag and not auth.in_dialog):
            return None
        asked = _Asked(trunk.name, auth, auth.realm.encode(), host, wall_s)
        self._counts.begin(wall_s)
        answer = _answer_in(request, asked)
        if not isinstance(answer, Authorization):
            return self._challenge(asked, answer)
        made_s = self._made_at(answer.nonce, asked)
        if made_s is None or not -_AHEAD_S <= wall_s - made_s <= auth.nonce_lifetime_s:
            fault = Fault(Flaw.STALE, answer.username)
            return self._challenge(asked, fault, stale=True)
        guesser = host, answer.username[:_LONGEST_NAME]
        if self._guesses.shut(guesser, auth.attempts, now):
            name = _text(answer.username) if answer.username in self._users else ""
            return Shut(auth.refusal, name, self._guesses.tell(guesser, now))
        wrong = self._fault_in(answer, request, asked)
        if wrong is not None:
            self._guesses.add(guesser, now)
            return self._challenge(asked, wrong, wrong=True)
        if not self._counts.take(answer.nonce, answer.count, made_s):
            # A copy forgives no guesses. Without `qop` or after a restart it need be none.
            copied = answer.qop is not None and self._counts.knows(answer.nonce)
            fault = Fault(Flaw.COUNT if copied else Flaw.STALE, answer.username)
            return self._challenge(asked, fault, stale=True)
        self._guesses.forgive(guesser)
        return Authenticated(_text(answer.username))

    def _challenge(
        self, asked: _Asked, fault: Fault | None, *, stale: bool = False, wrong: bool = False
    ) -> Challenged:
        status = int(asked.auth.status)
        nonce = self._nonce(asked)
        qop = tuple([_QOPS[one] for one in asked.auth.qop])
        lines = [
            _HEADERS[status]
            % bytes(Challenge(asked.realm, nonce, ALGORITHMS[name], qop=qop, stale=stale))
            for name in asked.auth.algorithms
        ]
        return Challenged(status, b"".join(lines), wrong, fault)

    # Nonces

    def _nonce(self, asked: _Asked) -> bytes:
        stamp = int(asked.wall_s * 1000) % (1 << 8 * _STAMP_BYTES)
        made = stamp.to_bytes(_STAMP_BYTES) + self._random(_CHANCE_BYTES)
        return urlsafe_b64encode(made + self._mac(made, asked))

    def _mac(self, made: bytes, asked: _Asked) -> bytes:
        bound = asked.host if asked.auth.nonce_binds is Binding.SOURCE else ""
        what = b"\x00".join([made, asked.trunk.encode(), asked.realm, bound.encode()])
        return blake2b(what, key=self._key, digest_size=_MAC_BYTES).digest()

    def _made_at(self, nonce: bytes, asked: _Asked) -> float | None:
        """When we made this nonce, wall-clock seconds; None if we did not."""
        if len(nonce) != _NONCE_CHARACTERS:
            return None
        try:
            text = urlsafe_b64decode(nonce)
        except (Base64Error, ValueError):
            return None
        made, mac = text[:_MADE_OF], text[_MADE_OF:]
        if urlsafe_b64encode(text) != nonce:
            return None  # another spelling of the same bytes would be counted as another nonce
        if not hmac.compare_digest(mac, self._mac(made, asked)):
            return None
        return int.from_bytes(made[:_STAMP_BYTES]) / 1000

    # Answers

    def _fault_in(self, answer: Authorization, request: Request, asked: _Asked) -> Fault | None:
        """None if the answer holds the password. Takes as long for a user that does not exist."""
        user = self._users.get(answer.username)
        known = user is not None and (not user.trunks or asked.trunk in user.trunks)
        key = self._ha1(user if known else None, answer)
        right = equal(response(key, request.method, request.body, answer), answer.response)
        same = _calls_the_same(answer.uri, request)
        if answer.userhash:
            flaw = Flaw.USERHASH
        elif not known:
            flaw = Flaw.USER if user is None else Flaw.TRUNK
        elif not right:
            flaw = Flaw.RESPONSE
        elif not same:
            flaw = Flaw.URI
        else:
            return None
        return Fault(flaw, answer.username, not same)

    def _ha1(self, user: UserSettings | None, answer: Authorization) -> bytes:
        stored, password = None, self._nobodys
        if user is not None:
            stored = user.ha1.get(_NAMES[answer.algorithm])
            if user.password is not None:
                password = user.password.value
        # Hashed for everybody, or the time would tell whose hash is stored, and who is nobody.
        made = ha1(answer.algorithm, answer.username, answer.realm, password)
        return made if stored is None else stored.value


def _answer_in(request: Request, asked: _Asked) -> Authorization | Fault | None:
    """The first answer for our realm, in what we offer; or why none of those there is one."""
    fault: Fault | None = None
    for value in request.every(_ANSWERS[asked.auth.status]):
        found = _read(value, asked)
        if isinstance(found, Authorization):
            return found
        if fault is None or fault.flaw is Flaw.REALM:
            fault = found or fault
    return fault


def _read(value: bytes, asked: _Asked) -> Authorization | Fault | None:
    """One answer if it is for our realm and in what we offer; None for what answers nothing."""
    try:
        answer = parse_authorization(value)
    except ParseError:
        # IMS phones say who they are, with nothing to prove it, before they are asked.
        return None if b'response=""' in value else Fault(Flaw.UNREADABLE)
    if answer is None:
        return Fault(Flaw.UNKNOWN) if value[:7].lower() == b"digest " else None
    if answer.realm != asked.realm:
        return Fault(Flaw.REALM, answer.username)
    if _NAMES.get(answer.algorithm) not in asked.auth.algorithms:
        return Fault(Flaw.ALGORITHM, answer.username)
    if answer.qop is not None and answer.qop not in [_QOPS[one] for one in asked.auth.qop]:
        return Fault(Flaw.QOP, answer.username)
    return answer


def _calls_the_same(uri: bytes, request: Request) -> bool:
    try:
        return number_of(parse_uri(uri)) == number_of(request.target)
    except ParseError:
        return False


def _text(user: bytes) -> str:
    return user.decode("utf-8", "replace")
