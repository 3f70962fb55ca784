"""Learn a peer's address from the media that it sends, and when to stop believing (RFC 7362).

PURE. One latch for each direction: RTP and RTCP of an end learn apart.

    OPEN ──first believed packet──▶ LEARNING ──1 s after it──▶ LOCKED
      │                                │ a better belief: its source replaces the one so far
      └──── signalled address itself ──┴──────────────────────▶ LOCKED (nothing can be better)

    LOCKED, LEARNING ──the signalled address, port or key changes──▶ OPEN; nothing else reopens it
    LOCKED ──SRTP of another source, newer than all before──▶ LOCKED on that source, behind NAT

What is believed, best first, behind NAT: the signalled address and port; that address with another
port; the host that the leg's SIP came from; a source whose SRTP is authentic; any source, where the
operator says so. Who has the key and sends what nobody has sent before is the peer: it has moved to
another network or its NAT has forgotten it, and the lock follows, once in a window. Not behind
NAT: the signalled address and port alone, which has earned our packets before it sends any; with
`asymmetric` also another port of that address, as a source only. Among equals the first one wins.

A packet that is not believed changes nothing: a stranger neither opens the window nor closes it.
Media never changes where packets go beyond this, so nobody can have a stream reflected to a third
party, and a locked stream takes packets from one source only (no injection: "RTP Bleed").
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final, TypeAlias

__all__ = ["Address", "Belief", "Latch", "Outcome", "Proof", "Rules", "State"]

Address: TypeAlias = tuple[str, int]


class Belief(IntEnum):
    """Why a source is believed; smaller is better."""

    SIGNALLED = 1
    SIGNALLED_HOST = 2
    SIP_SOURCE = 3
    AUTHENTIC = 4
    ANY = 5
    NONE = 6


class Proof(IntEnum):
    """What a packet's authentication says of its sender."""

    NONE = 0
    """It is not SRTP."""
    AUTHENTIC = 1
    """It was made with the key, at some time."""
    NEWEST = 2
    """And its index is above all that were accepted of its source: it is no replay."""


class State(IntEnum):
    """Of a latch."""

    OPEN = 0
    LEARNING = 1
    LOCKED = 2


class Outcome(IntEnum):
    """What a packet's source is to the latch."""

    REFUSED = 0
    ACCEPTED = 1
    """The source so far, or the locked one."""
    CHANGED = 2
    """Accepted, and a source from now on."""
    LOCKED = 3
    """Accepted, and locked on its source by this packet."""


@dataclass(slots=True)
class Rules:
    """What signalling says about one peer."""

    signalled: Address | None
    nat: bool = False
    latch_any: bool = False
    sip_source: str | None = None
    asymmetric: bool = False

    @property
    def hosts(self) -> list[str]:
        """From where packets may be believed for their source alone."""
        found = [] if self.signalled is None else [self.signalled[0]]
        if self.nat and self.sip_source is not None:
            found.append(self.sip_source)
        return found

    def belief(self, source: Address, proof: Proof = Proof.NONE) -> Belief:
        """How far these rules believe a source."""
        signalled = self.signalled
        if signalled is not None:
            if source == signalled:
                return Belief.SIGNALLED
            if (self.nat or self.asymmetric) and source[0] == signalled[0]:
                return Belief.SIGNALLED_HOST
        if not self.nat:
            return Belief.NONE
        if self.sip_source is not None and source[0] == self.sip_source:
            return Belief.SIP_SOURCE
        if proof != Proof.NONE:
            return Belief.AUTHENTIC
        return Belief.ANY if self.latch_any else Belief.NONE


class Latch:
    """What is believed of one peer's address.

    Args:
        rules: what signalling says.
        window_s: how long after the first believed packet a better one may replace it.
    """

    __slots__ = ("_belief", "_closes", "_window_s", "rules", "source", "state")

    def __init__(self, rules: Rules, window_s: float) -> None:
        self.rules: Rules = rules
        self.source: Address | None = None
        """Where believed packets come from, or came from before the key changed."""
        self.state = State.OPEN
        self._window_s: Final = window_s
        self._belief = Belief.NONE
        self._closes = 0.0

    @property
    def locked(self) -> bool:
        """The source is settled."""
        return self.state == State.LOCKED

    @property
    def destination(self) -> Address | None:
        """Where our packets to this peer go; None while it has not earned any."""
        return self.source if self.rules.nat else self.rules.signalled

    @property
    def expected(self) -> Address | None:
        """Whose packets are to be kept apart from strangers', believed yet or not."""
        if self.source is None and not self.rules.nat:
            return self.rules.signalled
        return self.source

    def worth_opening(self, source: Address) -> bool:
        """Whether an SRTP packet from there could be believed, if it is authentic."""
        return source == self.source or self.rules.belief(source, Proof.NEWEST) != Belief.NONE

    def consider(self, source: Address, now: float, proof: Proof = Proof.NONE) -> Outcome:
        """Judge the source of a well-formed packet."""
        if self.state == State.LOCKED:
            if source == self.source:
                return Outcome.ACCEPTED
            return self._follow(source, now) if proof == Proof.NEWEST else Outcome.REFUSED
        if self.state == State.LEARNING and now >= self._closes:
            self.state = State.LOCKED
            return Outcome.LOCKED if source == self.source else Outcome.REFUSED
        belief = self.rules.belief(source, proof)
        if belief == Belief.NONE:
            return Outcome.REFUSED
        if belief == Belief.SIGNALLED:
            return self._take(source, belief, State.LOCKED)
        if self.state == State.OPEN:
            self._closes = now + self._window_s
            return self._take(source, belief, State.LEARNING)
        if source == self.source:
            return Outcome.ACCEPTED
        return (
            self._take(source, belief, State.LEARNING) if belief < self._belief else Outcome.REFUSED
        )

    def signal(self, rules: Rules, *, rekeyed: bool = False) -> bool:
        """Signalling has spoken again. Returns whether that reopened the latch.

        Args:
            rules: what it says.
            rekeyed: what the peer sends has another key from now on.
        """
        moved = rules.signalled != self.rules.signalled
        reopened = (moved or rekeyed) and self.state != State.OPEN
        self.rules = rules
        if moved:
            self.source = None
        if reopened:
            # With another key alone the source so far still gets our packets: it has earned them,
            # and may have none of its own to send.
            self.state = State.OPEN
            self._belief = Belief.NONE
        return reopened

    def _follow(self, source: Address, now: float) -> Outcome:
        """The peer has proved that it is at another source now."""
        if not self.rules.nat or now < self._closes:
            return Outcome.REFUSED
        self._closes = now + self._window_s
        return self._take(source, self.rules.belief(source, Proof.NEWEST), State.LOCKED)

    def _take(self, source: Address, belief: Belief, state: State) -> Outcome:
        self.source = source
        self._belief = belief
        self.state = state
        return Outcome.LOCKED if state == State.LOCKED else Outcome.CHANGED
