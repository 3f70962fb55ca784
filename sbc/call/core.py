"""What every call shares: the layers below, the policies, and the ways out.

Nothing here waits. What must leave the process goes through the layer's transmit, the relay
outlet, and lists that a flush empties.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from policies.engine import Policies
from policies.settings import TrunkSettings
from relay.control.messages import CallStats, Inject, Plan
from sbc.call.cdr import Cdr
from sbc.call.crossing.headers import Hide
from sbc.call.digest.challenge import Challenges
from sbc.call.digest.credentials import Credentials
from sbc.call.legs.local import LocalEnds
from sbc.call.media.addresses import MediaAddresses
from sbc.call.media.leases import Leases, LocalPort
from sbc.call.media.pools import Pools
from sbc.call.targets.where import Where
from sbc.ids import Mint
from sbc.sip.message import Request
from sbc.sip.serialise import ReplyBase
from sbc.transaction.layer import TransactionLayer
from sbc.transaction.machine import ServerTransaction

__all__ = ["Anchored", "Core", "Milestone", "Party", "RelayOutlet"]

Milestone = tuple[int, str, str, dict[str, object]]
"""Level as in `logging`, event, call, fields."""


class RelayOutlet(Protocol):
    """Requests to relay workers; their answers come back to `Border` as events."""

    def apply(self, slot: int, plan: Plan) -> None:
        """Carry out this plan."""

    def remove(self, slot: int, key: str) -> None:
        """Forget this plan and tell what came of it."""

    def inject(self, slot: int, wish: Inject) -> None:
        """Let a peer hear digits."""

    def give_back(self, slot: int, ports: list[LocalPort]) -> None:
        """Leased ports that no plan has taken; those that one has are the worker's already."""


class Party(Protocol):
    """A leg, as the dialogs' table finds it."""

    trunk: TrunkSettings

    def owns(self, request: Request) -> bool:
        """Whether the request's Call-ID and tags are those of a dialog of this leg."""

    def receive(
        self, request: Request, reply: ReplyBase, txn: ServerTransaction, now: float
    ) -> None:
        """A request inside the dialog, and how it is answered."""

    def acked(self, request: Request, now: float) -> None:
        """An ACK inside the dialog."""


class Anchored(Protocol):
    """A call, as the relay's answers find it."""

    def media_ended(self, stats: CallStats | None, now: float) -> None:
        """The last figures of a plan, or none."""

    def media_lost(self, reason: str, now: float) -> None:
        """The worker is gone or has refused the plan."""

    def media_refused(self, reason: str, now: float) -> None:
        """The worker will not carry the plan out: it has not taken the ports that are new in it."""

    def media_silent(self, side: str, now: float) -> None:
        """One side's media have timed out."""

    def media_digit(self, side: str, digit: str, duration_ms: int, now: float) -> None:
        """One side has sent a digit as a telephone-event, which does not pass."""


class Transferring(Protocol):
    """Who makes transfers."""

    def referred(
        self, leg: Party, request: Request, reply: ReplyBase, txn: ServerTransaction, now: float
    ) -> None:
        """A REFER inside a call that is up: to be answered."""

    def notified(
        self, leg: Party, request: Request, reply: ReplyBase, txn: ServerTransaction, now: float
    ) -> None:
        """A NOTIFY inside a call that is up: to be answered."""


@dataclass(slots=True)
class Core:
    """The surroundings of a call."""

    layer: TransactionLayer
    policies: Policies
    mint: Mint
    pools: Pools
    leases: Leases
    relay: RelayOutlet
    ends: LocalEnds
    hide: Hide
    media_addresses: MediaAddresses
    dscp: Mapping[str, int]
    """Realm → how media towards it is marked (RFC 2474)."""
    random: Callable[[int], bytes]
    """n → n random bytes, for keys."""
    wall_offset_s: float
    """Wall clock minus monotonic clock; kept true, for the wall clock may be set."""
    challenges: Challenges
    """Who has to prove who they are."""
    credentials: Credentials
    """How we prove it to others."""
    transfers: Transferring | None = None
    """Set by the border, which alone can begin calls."""
    where: Where = field(default_factory=Where)
    """Where targets are: the places of their names, and which have just failed."""
    inviting: set[tuple[bytes, bytes, int]] = field(default_factory=set)
    """INVITEs that have no final answer yet (`a_leg.merge_key`)."""
    out: set[tuple[str, bytes, str, int]] = field(default_factory=set)
    """Places that do not answer OPTIONS: trunk, transport, host, port (`targets.health`)."""
    dialogs: dict[bytes, Party] = field(default_factory=dict)
    """Our own tag → the leg that it names, early dialogs included."""
    plans: dict[str, Anchored] = field(default_factory=dict)
    """Plan key → the call, until the relay has told its last figures."""
    ended: list[str] = field(default_factory=list)
    """Calls that are over and recorded: for the border to forget."""
    show_digits: bool = False
    """Whether dialled digits may stand in the log."""
    verbose: bool = True
    """Whether milestones below a warning are wanted at all."""
    milestones: list[Milestone] = field(default_factory=list)
    records: list[Cdr] = field(default_factory=list)
    counters: Counter[str] = field(default_factory=Counter)

    def wall(self, now: float) -> float:
        """Seconds since the epoch at monotonic second `now`."""
        return now + self.wall_offset_s

    def say(self, level: int, event: str, call: str, **fields: object) -> None:
        """Note a milestone of a call."""
        if self.verbose or level > 20:
            self.milestones.append((level, event, call, fields))
