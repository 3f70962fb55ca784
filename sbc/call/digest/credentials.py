"""Who we are to a trunk that asks: answers to digest challenges on any request of ours.

A challenged request goes out again with the next CSeq, a new branch and an answer for each realm
that asked (RFC 3261 §22.2, §22.3, §8.1.3.5). Of the challenges of one realm the strongest that we
can answer is taken, and of two that are as strong the one that the peer put first (RFC 8760 §2.4).

A nonce is used again, with a growing count, for the later requests to that trunk, so that a call
through a trunk that challenges costs one more round trip once, not each time. A peer that will not
have that, whose nonces are good once, is asked anew each time.

Nothing goes round for ever: an answer that is refused without `stale` is the end of it, unless it
was given unasked with a nonce of an earlier challenge.
"""

from __future__ import annotations

from binascii import hexlify
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from policies.settings import TrunkSettings
from policies.users import CredentialSettings
from sbc.call.digest.challenge import ALGORITHMS
from sbc.dialog.dialog import Dialog
from sbc.errors import ParseError
from sbc.sip.digest import (
    AUTHENTICATE,
    Algorithm,
    Authorization,
    Challenge,
    Qop,
    ha1,
    parse_authorization,
    parse_challenge,
    response,
)
from sbc.sip.message import Response
from sbc.sip.status import INVITE
from sbc.transaction.machine import ClientTransaction
from sbc.transaction.request import ClientRequest

__all__ = ["Credentials", "Signer"]

Asker: TypeAlias = tuple[int, bytes]
"""401 or 407, and the realm: a proxy and the server behind it may ask in one name."""

_HEADERS: Final = {401: b"Authorization", 407: b"Proxy-Authorization"}
_STATUSES: Final = {name: status for status, name in _HEADERS.items()}
_HASHES: Final = {algorithm: name for name, algorithm in ALGORITHMS.items()}
_MOST_TRIES: Final = 3
"""A request, its answer, and a proxy behind the proxy; or a nonce that was stale."""
_MOST_ASKERS: Final = 4
_MOST_CHALLENGES: Final = 16
_CNONCE_BYTES: Final = 8


@dataclass(slots=True)
class _Known:
    """A challenge that we have answered, and may answer again."""

    challenge: Challenge
    qop: Qop | None
    cnonce: bytes
    """One for each nonce: the key of a `-sess` algorithm is made of both (RFC 7616 §3.4.2)."""
    count: int = 0
    once: bool = False
    """Whether this asker takes no nonce twice."""


@dataclass(slots=True)
class Signer:
    """Who has sent a request, and sends it again when it is challenged (`ClientRequest.sender`)."""

    trunk: TrunkSettings
    dialog: Dialog | None
    """None: the request makes one, or stands alone."""
    tell: Callable[[ClientRequest, ClientTransaction], None]
    """Hears of the request that went out again."""

    def next_cseq(self) -> int:
        """The number that is next in the dialog, 0 where there is none."""
        return 0 if self.dialog is None else self.dialog.local_cseq + 1

    def sent(self, request: ClientRequest, txn: ClientTransaction) -> None:
        """The request is on its way once more, as a new one."""
        if self.dialog is not None:
            self.dialog.local_cseq = request.cseq
            if request.method == INVITE:
                self.dialog.invite_cseq = request.cseq
        self.tell(request, txn)


class Credentials:
    """Answers challenges in the name of each trunk's `credentials`.

    Args:
        random: n → n random bytes.
    """

    __slots__ = ("_known", "_random")

    def __init__(self, random: Callable[[int], bytes]) -> None:
        self._random = random
        self._known: dict[str, OrderedDict[Asker, _Known]] = {}
        """By trunk, the one that asked last at the end."""

    def answer(
        self, request: ClientRequest, refusal: Response, trunk: TrunkSettings, cseq: int = 0
    ) -> ClientRequest | None:
        """The request once more, with what was asked for; None where we cannot or must not.

        Args:
            request: what was sent; neither ACK nor CANCEL, which are never challenged.
            refusal: its 401 or 407.
            cseq: the sequence number to take; 0: the one after the request's own.
        """
        own = trunk.credentials
        if own is None or request.tries >= _MOST_TRIES:
            return None
        asked = _askers(refusal, own)
        if not asked:
            return None
        given = dict(_given(request))
        known = self._known.setdefault(trunk.name, OrderedDict())
        for asker, challenge in asked.items():
            before = given.get(asker)
            if before is not None and not _may_go_on(before, challenge, request):
                known.pop(asker, None)
                return None
            self._remember(known, asker, challenge, unwelcome=before is not None)
        askers = list(dict.fromkeys((*given, *asked)))
        lines = self._lines(askers, known, own, request.method, request.uri, request.body)
        return request.again(lines, cseq or request.cseq + 1)

    def lines(self, method: bytes, uri: bytes, body: bytes, trunk: TrunkSettings) -> bytes:
        """Answers to what this trunk asked last, for a new request to it; b"" for none.

        Args:
            method, uri, body: of the request that is about to be made.
        """
        own, known = trunk.credentials, self._known.get(trunk.name)
        if own is None or known is None:
            return b""
        askers = [asker for asker, one in known.items() if not one.once]
        return self._lines(askers, known, own, method, uri, body)

    def _remember(
        self,
        known: OrderedDict[Asker, _Known],
        asker: Asker,
        challenge: Challenge,
        *,
        unwelcome: bool,
    ) -> None:
        """Keep a new challenge; `unwelcome`: the last one was refused when it was used again."""
        before = known.pop(asker, None)
        once = not challenge.stale and (unwelcome or (before is not None and before.once))
        cnonce = hexlify(self._random(_CNONCE_BYTES))
        known[asker] = _Known(challenge, _qop(challenge), cnonce, once=once)
        while len(known) > _MOST_ASKERS:
            known.popitem(last=False)

    def _lines(
        self,
        askers: list[Asker],
        known: OrderedDict[Asker, _Known],
        own: CredentialSettings,
        method: bytes,
        uri: bytes,
        body: bytes,
    ) -> bytes:
        lines = []
        for asker in askers:
            one = known.get(asker)
            if one is not None:
                one.count += 1
                answer = _answer(one, own, method, uri, body)
                lines.append(b"%b: %b\r\n" % (_HEADERS[asker[0]], bytes(answer)))
        return b"".join(lines)


def _askers(refusal: Response, own: CredentialSettings) -> dict[Asker, Challenge]:
    """Who asks, with the challenge that we answer best; a forking proxy may join many (§22.3)."""
    best: dict[Asker, Challenge] = {}
    for status, name in AUTHENTICATE.items():
        for value in refusal.every(name)[:_MOST_CHALLENGES]:
            try:
                challenge = parse_challenge(value)
            except ParseError:
                continue
            if challenge is None or not _can_answer(challenge, own):
                continue
            asker = status, challenge.realm
            held = best.get(asker)
            if held is None or _strength(challenge) > _strength(held):
                best[asker] = challenge
    return best


def _can_answer(challenge: Challenge, own: CredentialSettings) -> bool:
    if own.realm is not None and challenge.realm != own.realm.encode():
        return False
    if challenge.qop == ():
        return False
    return own.password is not None or _HASHES[challenge.algorithm.base] in own.ha1


def _strength(challenge: Challenge) -> int:
    return 0 if challenge.algorithm.base is Algorithm.MD5 else 1


def _qop(challenge: Challenge) -> Qop | None:
    """What we answer with; the body is hashed only where nothing else will do."""
    if not challenge.qop:
        return None
    return Qop.AUTH if Qop.AUTH in challenge.qop else Qop.AUTH_INT


def _given(request: ClientRequest) -> Iterator[tuple[Asker, Authorization]]:
    """What the request bore already."""
    for line in request.credentials.split(b"\r\n")[:-1]:
        name, _, value = line.partition(b": ")
        answer = parse_authorization(value)
        assert answer is not None  # noqa: S101 (we wrote it)
        yield (_STATUSES[name], answer.realm), answer


def _may_go_on(before: Authorization, challenge: Challenge, request: ClientRequest) -> bool:
    """Whether an answer that was refused is worth another one."""
    if challenge.nonce == before.nonce:
        return False  # it has seen this answer, and does not like it
    return challenge.stale or request.tries == 0


def _answer(
    known: _Known, own: CredentialSettings, method: bytes, uri: bytes, body: bytes
) -> Authorization:
    challenge = known.challenge
    answer = Authorization(
        own.user.encode(),
        challenge.realm,
        challenge.nonce,
        uri,
        b"",
        challenge.algorithm,
        challenge.named,
        known.qop,
        b"%08x" % known.count if known.qop is not None else b"",
        known.cnonce if known.qop is not None or challenge.algorithm.session else b"",
        challenge.opaque,
    )
    stored = own.ha1.get(_HASHES[challenge.algorithm.base])
    if stored is not None:
        key = stored.value
    else:
        password = b"" if own.password is None else own.password.value
        key = ha1(challenge.algorithm, answer.username, challenge.realm, password)
    answer.response = response(key, method, body, answer)
    return answer
