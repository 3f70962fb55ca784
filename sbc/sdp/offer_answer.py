"""Offer and answer on one leg (RFC 3264, RFC 6337).

One `Negotiation` belongs to one dialog: an early dialog of its own when a call forks has a
`Negotiation` of its own (`fork`), with its own version of our `o=` line.

States, and who moves them:

    IDLE ──send offer──▶ OFFER_SENT ──receive answer──▶ STABLE
    IDLE ──receive offer──▶ OFFER_RECEIVED ──send answer──▶ STABLE ──either offer──▶ …
    OFFER_SENT, OFFER_RECEIVED ──refused──▶ what was before the offer

In STABLE an answer may come, or be sent, once more: the SDP of a 18x without 100rel and of the
200 behind it are one answer (RFC 3264 §5 by way of RFC 6337 §3.1.1). Peers do change it in between
(early announcement from one machine, the call from another), so a changed one is taken as the
answer that now holds, which deviates from RFC 6337 §3.1.1: the alternative is one-way audio.

Our version: the same words keep their number, others get the next one. A number that a peer has
seen is never used for other words, and never a lower one again: when an offer of ours is refused,
what held before goes on under the number that follows (RFC 3264 §8).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Final, TypeVar

from sbc.errors import LocalProtocolError, RemoteProtocolError
from sbc.sdp.model import Session
from sbc.sdp.parser import parse
from sbc.sdp.rewrite import Anchor, content, whole
from sbc.sdp.serialise import serialise

__all__ = ["Negotiation", "State"]


class State(IntEnum):
    """Whose offer is open."""

    IDLE = 0
    OFFER_SENT = 1
    OFFER_RECEIVED = 2
    STABLE = 3


class _Step(IntEnum):
    SEND_OFFER = 0
    RECEIVE_OFFER = 1
    SEND_ANSWER = 2
    RECEIVE_ANSWER = 3


_TABLE: Final = {
    (State.IDLE, _Step.SEND_OFFER): State.OFFER_SENT,
    (State.IDLE, _Step.RECEIVE_OFFER): State.OFFER_RECEIVED,
    (State.OFFER_SENT, _Step.RECEIVE_ANSWER): State.STABLE,
    (State.OFFER_RECEIVED, _Step.SEND_ANSWER): State.STABLE,
    (State.STABLE, _Step.SEND_OFFER): State.OFFER_SENT,
    (State.STABLE, _Step.RECEIVE_OFFER): State.OFFER_RECEIVED,
    (State.STABLE, _Step.SEND_ANSWER): State.STABLE,  # 18x, then 200: one answer
    (State.STABLE, _Step.RECEIVE_ANSWER): State.STABLE,
}

_Value = TypeVar("_Value", int, str, bytes)

_GLARE: Final = 491  # Request Pending: both sides offer (RFC 3261 §14.2)
_TOO_EARLY: Final = 500  # with Retry-After: their first offer is not answered yet (RFC 3261 §14.2)
_BAD_ANSWER: Final = 502  # Bad Gateway: the other leg is told that this one answers nonsense
_BAD_OFFER: Final = 488


class Negotiation:
    """What both sides of one dialog have said about media.

    Args:
        session_id: of our `o=` line, the same for the life of the dialog (RFC 8866 §5.2).
        address: our advertised address on this leg, the one in `o=`.
    """

    __slots__ = (
        "_before",
        "_content",
        "_we_offered",
        "address",
        "remote",
        "session_id",
        "state",
        "version",
    )

    def __init__(self, session_id: int, address: str) -> None:
        self.session_id = session_id
        self.address = address
        self.state = State.IDLE
        self.version = 0
        """Of what we sent last; 0: nothing yet."""
        self.remote: Session | None = None
        """The peer's last description: an offer until it is refused, or an answer."""
        self._content: bytes = b""
        """Our description but for its first two lines, which are made when it is sent."""
        self._we_offered = False
        self._before: tuple[State, Session | None, bytes, bool] | None = None

    @property
    def local(self) -> bytes:
        """Our description: what a message that repeats it must carry; b"" before the first."""
        if not self._content:
            return b""
        return whole(self._content, self.session_id, self.version, self.address)

    @property
    def we_offered(self) -> bool:
        """Whether the open or the last exchange began with our offer."""
        return self._we_offered

    def send_offer(self, session: Session, anchors: Sequence[Anchor | None]) -> bytes:
        """Our offer on this leg, made of what the other leg's peer has sent.

        Raises:
            LocalProtocolError: an offer is open already, or the m-lines are fewer than before.
        """
        after = self._local_step(_Step.SEND_OFFER)
        if len(session.media) < self._content.count(b"\r\nm="):
            raise LocalProtocolError("an offer with fewer m-lines than before")
        words = content(session, anchors, self.address)
        self._remember()
        self.state, self._we_offered = after, True
        return self._write(words)

    def receive_offer(self, session: Session) -> None:
        """The peer's offer.

        Raises:
            RemoteProtocolError: 491 or 500 while an offer is open, 488 with fewer m-lines than
                before (RFC 3264 §8).
        """
        after = _TABLE.get((self.state, _Step.RECEIVE_OFFER))
        if after is None:
            status = _GLARE if self.state is State.OFFER_SENT else _TOO_EARLY
            raise RemoteProtocolError("an offer while another one is open", status=status)
        if self.remote is not None and len(session.media) < len(self.remote.media):
            raise RemoteProtocolError("an offer with fewer m-lines than before", status=_BAD_OFFER)
        self._remember()
        self.state, self._we_offered, self.remote = after, False, session

    def send_answer(self, session: Session, anchors: Sequence[Anchor | None]) -> bytes:
        """Our answer on this leg, made of the answer of the other leg's peer.

        Raises:
            LocalProtocolError: nothing to answer, or not as many m-lines as the offer.
        """
        after = self._local_step(_Step.SEND_ANSWER)
        offer = self.remote
        if offer is None or self._we_offered:
            raise LocalProtocolError("an answer to our own offer")
        words = content(session, anchors, self.address, offer)
        self.state, self._before = after, None
        return self._write(words)

    def receive_answer(self, session: Session) -> bool:
        """The peer's answer to our offer; whether it says anything new.

        Raises:
            RemoteProtocolError: there is no offer of ours, or the m-lines are not as many as in
                it (RFC 3264 §6).
        """
        after = _TABLE.get((self.state, _Step.RECEIVE_ANSWER))
        if after is None or not self._we_offered:
            raise RemoteProtocolError("an answer without an offer", status=_BAD_ANSWER)
        expected = self._content.count(b"\r\nm=")
        if len(session.media) != expected:
            raise RemoteProtocolError(
                f"an answer with {len(session.media)} m-lines to an offer with {expected}",
                status=_BAD_ANSWER,
            )
        repeated = self.state is State.STABLE and self.unchanged(session)
        self.state, self._before, self.remote = after, None, session
        return not repeated

    def refused(self) -> None:
        """The open offer came to nothing (488, 491, timeout): what held before holds again.

        Raises nothing; without an open offer it does nothing.
        """
        if self._before is None:
            return
        offered = self._content
        self.state, self.remote, self._content, self._we_offered = self._before
        self._before = None
        if self._content and self._content != offered:
            self.version += 1  # the peer has seen a higher one: the old words go on under the next

    def repeat(self) -> bytes:
        """Our last description, for a message that has to say the same again (RFC 3264 §8)."""
        return self.local

    def decline(self) -> bytes:
        """Our answer to an offer that nothing can come of: every stream rejected (RFC 3264 §6).

        For an ACK, which cannot be left without the answer; b"" where no offer is open.
        """
        if self.state is not State.OFFER_RECEIVED or self.remote is None:
            return b""
        return self.send_answer(self.remote, [None] * len(self.remote.media))

    def repeat_offer(self) -> bytes:
        """Our last description as an offer: it asks for nothing new (RFC 3264 §8, RFC 4028 §7.4).

        Raises:
            LocalProtocolError: an offer is open already, or nothing was ever said.
        """
        after = self._local_step(_Step.SEND_OFFER)
        if not self._content:
            raise LocalProtocolError("nothing to repeat")
        self._remember()
        self.state, self._we_offered = after, True
        return self.local

    def offer_as_before(self, local: bytes) -> bytes:
        """An older description of ours as an offer, for a peer that has been told another since.

        Args:
            local: what `local` was then.

        Raises:
            LocalProtocolError: an offer is open already.
        """
        after = self._local_step(_Step.SEND_OFFER)
        words = local.split(b"\r\n", 2)[-1]
        missing = self._content.count(b"\r\nm=") - words.count(b"\r\nm=")
        words += b"m=audio 0 RTP/AVP 0\r\n" * missing  # RFC 3264 §8: never fewer than before
        self._remember()
        self.state, self._we_offered = after, True
        return self._write(words)

    def unchanged(self, offer: Session) -> bool:
        """Whether `offer` says what the peer said last, the version in `o=` aside."""
        remote = self.remote
        if remote is None or len(remote.media) != len(offer.media):
            return False
        if remote.section.text != offer.section.text:
            return False
        for before, after in zip(remote.media, offer.media, strict=True):
            if before.line != after.line or before.section.text != after.section.text:
                return False
        return _unversioned(remote.origin_line) == _unversioned(offer.origin_line)

    def in_use(self) -> list[tuple[int, bytes, int] | None]:
        """The format in use of each m-line, in this side's numbers: the first of the last answer
        (RFC 3264 §6.1). None where there is none.

        Raises:
            ParseError: never, for what we have said ourselves; for the type checker's sake.
        """
        answer = self.remote if self._we_offered else parse(self.local)
        media = [] if answer is None else answer.media
        return [one.form.formats[0] if one.port and one.form.formats else None for one in media]

    def fork(self, session_id: int | None = None) -> Negotiation:
        """The same exchange so far, for another early dialog with a life of its own.

        Args:
            session_id: of the new dialog's `o=` line. Only where we have sent nothing yet, so on
                the leg that brought the call; our offer has gone to all forks under one number.

        Raises:
            LocalProtocolError: another number for a description that is already sent.
        """
        if session_id is None:
            session_id = self.session_id
        elif self._content:
            raise LocalProtocolError("another session id for a description already sent")
        other = Negotiation(session_id, self.address)
        other.state, other.version = self.state, self.version
        other.remote, other._content = self.remote, self._content
        other._we_offered, other._before = self._we_offered, self._before
        return other

    def to_state(self) -> dict[str, object]:
        """All of it as plain values, for the store."""
        return {
            "session_id": self.session_id,
            "address": self.address,
            "state": int(self.state),
            "version": self.version,
            "local": self.local,
            "remote": b"" if self.remote is None else serialise(self.remote),
            "we_offered": self._we_offered,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, object]) -> Negotiation:
        """What `to_state` has saved; an offer that was open then can no longer be rolled back.

        Raises:
            LocalProtocolError: not the state of a Negotiation.
            ParseError: the same, found in the peer's description.
        """
        self = cls(_take(state, "session_id", int), _take(state, "address", str))
        self.state = State(_take(state, "state", int))
        self.version = _take(state, "version", int)
        self._content = _take(state, "local", bytes).split(b"\r\n", 2)[-1]
        remote = _take(state, "remote", bytes)
        self.remote = parse(remote) if remote else None
        self._we_offered = bool(_take(state, "we_offered", int))
        return self

    def _local_step(self, step: _Step) -> State:
        after = _TABLE.get((self.state, step))
        if after is None:
            raise LocalProtocolError(f"{step.name} in {self.state.name}")
        return after

    def _remember(self) -> None:
        self._before = (self.state, self.remote, self._content, self._we_offered)

    def _write(self, words: bytes) -> bytes:
        if words != self._content:
            self._content = words
            self.version += 1
        return self.local


def _take(state: Mapping[str, object], key: str, kind: type[_Value]) -> _Value:
    value = state.get(key)
    if not isinstance(value, kind):
        raise LocalProtocolError(f"not the state of a Negotiation: {key}")
    return value


def _unversioned(origin: bytes) -> list[bytes]:
    words = origin.split()
    del words[-4]
    return words
