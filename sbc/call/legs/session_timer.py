"""Session timer of one leg: who keeps the session alive, how often, and when it is over (RFC 4028).

Each leg has a timer of its own; nothing of one side's interval reaches the other. Whatever was
agreed in the last 2xx to an INVITE or UPDATE of that leg holds, whoever sent it:

* OFF: no timer, as long as no 2xx has named one.
* OURS: we refresh, when half of the interval is over.
* REFRESHING: our refresh is out. If its answer never comes the session ends before it expires.
* THEIRS: the peer refreshes. If it does not the session ends before it expires.

Our refresh may fail and leave the session as it is (RFC 4028 §10): then it is tried again, while
there is time. 422 raises what we ask for; 408 and 481 end the session, which is the caller's to do.

A peer that does not know the extension gets no timer, or, with `use: always`, is asked by us all
the same, so that a dead one is found.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from policies.settings import Refresher, SessionTimerSettings, Use
from sbc.sip.grammar import decimal
from sbc.sip.message import Message, Request, Response

__all__ = ["Refuse", "SessionTimer", "State", "Wait"]

_FLOOR_S: Final = 90  # RFC 4028 §4
_MARGIN_S: Final = 32  # §10: 64*T1, in which a BYE may still be answered
_MOST_S: Final = 86_400
"""The longest interval that a 422 can make us ask for: one that is longer guards nothing."""
_MAX_ROUNDS: Final = 4
"""Times that one leg's requests are raised by a 422: several proxies may each have a minimum."""
_AGAIN_S: Final = 10.0
"""Least time between two refreshes of which the first was refused."""
_MAX_DELTA: Final = 2**32 - 1


class State(IntEnum):
    """Who refreshes."""

    OFF = 0
    OURS = 1
    REFRESHING = 2
    THEIRS = 3


class Input(IntEnum):
    """What changes that."""

    AGREED_OURS = 1
    """A 2xx that makes us the refresher."""
    AGREED_THEIRS = 2
    AGREED_NONE = 3
    """A 2xx without Session-Expires: the timer is off (§7.2)."""
    SENT = 4
    """Our refresh is out."""
    REFUSED = 5
    """It was refused, or could not be sent now, and the session goes on."""


class Wait(IntEnum):
    """What is due when the time of `next` is over."""

    REFRESH = 70
    """Send UPDATE or a re-INVITE that repeats what was agreed, with `request_head`."""
    EXPIRE = 71
    """End the session with BYE."""


@dataclass(slots=True)
class Refuse:
    """The answer that a request of the peer's deserves instead of a 2xx."""

    status: int
    head: bytes


@dataclass(slots=True)
class _Proposal:
    """What a request of the peer's says about the timer."""

    expires_s: int
    """0: nothing."""
    minimum_s: int
    refresher: bytes
    """`uac`, `uas`, or nothing."""


class SessionTimer:
    """The timer of one leg.

    Args:
        settings: the trunk's.
        can_refresh: whether we can refresh at all: not towards a peer that is shielded from
            re-INVITE and takes no UPDATE. May be set again when more is known.
    """

    __slots__ = (
        "_asked_s",
        "_minimum_s",
        "_proposal",
        "_rounds",
        "_since",
        "_tried_at",
        "can_refresh",
        "interval_s",
        "settings",
        "state",
    )

    def __init__(self, settings: SessionTimerSettings, can_refresh: bool = True) -> None:
        self.settings = settings
        self.can_refresh = can_refresh
        self.state = State.OFF
        self.interval_s = 0
        """What was agreed, seconds; 0: nothing."""
        self._asked_s = max(settings.expires_s, settings.minimum_s)
        self._minimum_s = settings.minimum_s
        """What we say in Min-SE: ours, or the highest that a 422 has shown (§7.3)."""
        self._rounds = 0
        self._proposal: _Proposal | None = None
        self._since: float | None = None
        """When the interval began; None: with the next look at the clock."""
        self._tried_at: float | None = None

    # Our requests

    def request_head(self) -> bytes:
        """Session-Expires and Min-SE for an INVITE, re-INVITE or UPDATE of ours; b"" if off.

        In a session that has a timer a request without them would end it (§7.4), so every
        re-INVITE and UPDATE takes them.
        """
        if self.settings.use is Use.NEVER:
            return b""
        if self.interval_s:  # §7.4: roles do not change for want of a word
            refresher = b";refresher=uas" if self.state is State.THEIRS else b";refresher=uac"
        else:
            refresher = self._wish()
        head = b"Session-Expires: %d%b\r\n" % (self._to_ask(), refresher)
        if self._minimum_s > _FLOOR_S:  # which is what no Min-SE means, §5
            head += b"Min-SE: %d\r\n" % self._minimum_s
        return head

    def on_answer(self, response: Response) -> None:
        """The 2xx to an INVITE, re-INVITE or UPDATE of ours (§7.2). Raises nothing."""
        if self.settings.use is Use.NEVER:
            return
        expires_s, refresher = _session_expires(response)
        if not expires_s:
            self._agree(self._to_ask() if self.settings.use is Use.ALWAYS else 0, ours=True)
        else:
            # Without the word, which §9 demands, somebody has to; it costs little if both do.
            self._agree(expires_s, ours=refresher != b"uas")

    def too_small(self, response: Response) -> bool:
        """A 422: whether the same request, with a new `request_head`, is worth sending (§7.3)."""
        minimum_s = _seconds(response, b"min-se")
        if not self._to_ask() < minimum_s <= _MOST_S or self._rounds == _MAX_ROUNDS:
            return False
        self._rounds += 1
        self._asked_s = self._minimum_s = minimum_s
        return True

    # Their requests

    def on_request(self, request: Request) -> Refuse | None:
        """An INVITE, re-INVITE or UPDATE of the peer's: what to refuse it with, None to go on.

        Takes note of what it proposes, for `answer_head`; a request that is refused for any reason
        changes nothing. Raises nothing.
        """
        self._proposal = None
        if self.settings.use is Use.NEVER:
            return None
        expires_s, refresher = _session_expires(request)
        if expires_s and expires_s < self.settings.minimum_s:
            if _supports_timer(request):  # §9; who does not support it cannot know what 422 is
                return Refuse(422, b"Min-SE: %d\r\n" % self.settings.minimum_s)
            if expires_s < _FLOOR_S:
                expires_s = 0
        self._proposal = _Proposal(expires_s, _seconds(request, b"min-se"), refresher)
        return None

    def answer_head(self, peer_supports: bool) -> bytes:
        """Session-Expires, and Require, for our 2xx to the request that `on_request` took (§9).

        From here on it holds: send it. b"" where there is no timer.

        Args:
            peer_supports: whether the peer has shown `timer` in Supported or Require.
        """
        proposal, self._proposal = self._proposal, None
        if proposal is None:
            return b""
        ours = self._we_refresh(proposal.refresher, peer_supports)
        interval_s = 0
        if proposal.expires_s or peer_supports or self.settings.use is Use.ALWAYS:
            # §9: no more than was asked for, no less than its Min-SE.
            most_s = max(self.settings.expires_s, proposal.minimum_s)
            interval_s = min(proposal.expires_s or _MOST_S, most_s)
        self._agree(interval_s, ours=ours)
        if self.state is State.OFF:
            return b""
        if ours:
            return b"Session-Expires: %d;refresher=uas\r\n" % self.interval_s
        return b"Require: timer\r\nSession-Expires: %d;refresher=uac\r\n" % self.interval_s

    # Time

    def next(self, now: float) -> tuple[Wait, float] | None:
        """What to wait for, and how many seconds from now; None: for nothing.

        To be asked after each agreement, and after `refreshing` and `refused`; what was armed
        before is then void.
        """
        if self.state is State.OFF:
            return None
        if self._since is None:
            self._since = now
        # §10: before it expires, so that the BYE does not come from a session that is no more.
        expire_at = self._since + self.interval_s - min(_MARGIN_S, self.interval_s / 3)
        if self.state is State.OURS:
            refresh_at = self._since + self.interval_s / 2
            if self._tried_at is not None:  # again and again, closer and closer to the end
                left_s = expire_at - self._tried_at
                refresh_at = self._tried_at + max(left_s / 2, _AGAIN_S)
            if refresh_at < expire_at:
                return Wait.REFRESH, max(refresh_at - now, 0.0)
        return Wait.EXPIRE, max(expire_at - now, 0.0)

    def refreshing(self) -> None:
        """Our refresh is out: until it is answered, the session may expire."""
        self._step(Input.SENT)

    def refused(self, now: float) -> None:
        """Our refresh got a failure that does not end the session (not 408, not 481, §10), or
        could not be sent now, as another exchange is open."""
        self._tried_at = now
        self._step(Input.REFUSED)

    # Small parts

    def _to_ask(self) -> int:
        """The interval of our next request; in a session that has one, that (§7.4)."""
        return max(self.interval_s, self._minimum_s) if self.interval_s else self._asked_s

    def _wish(self) -> bytes:
        wish = self.settings.refresher
        if not self.can_refresh or wish is Refresher.PEER:
            return b";refresher=uas"
        return b";refresher=uac" if wish is Refresher.US else b""

    def _we_refresh(self, asked: bytes, peer_supports: bool) -> bool:
        """Table 2 of §9: who does, when the peer has sent the request."""
        if not peer_supports:
            return True
        if asked:
            return asked == b"uas"
        if not self.can_refresh:
            return False
        if self.settings.refresher is not Refresher.AUTO:
            return self.settings.refresher is Refresher.US
        return self.state in (State.OURS, State.REFRESHING)  # whoever did goes on doing it

    def _agree(self, interval_s: int, *, ours: bool) -> None:
        self._since = self._tried_at = None
        if not interval_s or (ours and not self.can_refresh):
            self.interval_s = 0
            self._step(Input.AGREED_NONE)
        else:
            # Less than §4 allows would have us send without end.
            self.interval_s = max(interval_s, min(_FLOOR_S, self.settings.minimum_s))
            self._step(Input.AGREED_OURS if ours else Input.AGREED_THEIRS)

    def _step(self, event: Input) -> None:
        self.state = _TABLE.get((self.state, event), self.state)


def _session_expires(message: Message) -> tuple[int, bytes]:
    """Seconds, at least 1, and `refresher`; 0 where there is none or none that can be read."""
    value = message.first(b"session-expires")
    if value is None:
        return 0, b""
    number, *params = value.split(b";")
    read = decimal(number.strip(), _MAX_DELTA)
    seconds = 0 if read is None else max(read, 1)
    for param in params:
        name, _, text = param.partition(b"=")
        if name.strip().lower() == b"refresher":
            word = text.strip().lower()
            return seconds, word if word in (b"uac", b"uas") else b""
    return seconds, b""


def _seconds(message: Message, name: bytes) -> int:
    value = message.first(name) or b""
    return decimal(value.partition(b";")[0].strip(), _MAX_DELTA) or 0


def _supports_timer(request: Request) -> bool:
    return any(
        option.strip().lower() == b"timer"
        for name in (b"supported", b"require")
        for line in request.every(name)
        for option in line.split(b",")
    )


_S, _I = State, Input

_TABLE: Final[Mapping[tuple[State, Input], State]] = {
    (_S.OFF, _I.AGREED_OURS): _S.OURS,
    (_S.OFF, _I.AGREED_THEIRS): _S.THEIRS,
    (_S.OFF, _I.AGREED_NONE): _S.OFF,
    (_S.OURS, _I.AGREED_OURS): _S.OURS,
    (_S.OURS, _I.AGREED_THEIRS): _S.THEIRS,
    (_S.OURS, _I.AGREED_NONE): _S.OFF,
    (_S.OURS, _I.SENT): _S.REFRESHING,
    (_S.OURS, _I.REFUSED): _S.OURS,
    (_S.REFRESHING, _I.AGREED_OURS): _S.OURS,
    (_S.REFRESHING, _I.AGREED_THEIRS): _S.THEIRS,
    (_S.REFRESHING, _I.AGREED_NONE): _S.OFF,
    (_S.REFRESHING, _I.REFUSED): _S.OURS,
    (_S.THEIRS, _I.AGREED_OURS): _S.OURS,
    (_S.THEIRS, _I.AGREED_THEIRS): _S.THEIRS,
    (_S.THEIRS, _I.AGREED_NONE): _S.OFF,
}
"""Who refreshes from then on. A pair that is not here changes nothing."""
