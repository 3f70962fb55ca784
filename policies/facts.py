"""What policies are told about a call, and what they answer.

Facts carry parsed plain values: nothing here reads SIP or SDP. Each answer carries its reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from policies.settings import Peer, TrunkSettings

__all__ = ["Accept", "CallFacts", "Decision", "Ignore", "Refuse", "Target", "Why"]


@dataclass(slots=True)
class CallFacts:
    """One INVITE that wants to become a call. Users are unescaped, without parameters."""

    realm: str
    source_host: str
    """As `recvfrom` gives it: an IPv4 or IPv6 address, no brackets."""
    source_port: int
    transport: bytes
    """As in Via: `UDP`, `TCP` or `TLS`."""
    listener: int
    """Index of the listener that heard it."""
    request_user: bytes
    """User part of the request-URI: the number that is called, "" if there is none."""
    from_user: bytes
    user: str = ""
    """Who has proved to send it (digest); "" where its trunk asks nobody."""
    certified: str = ""
    """The trunk that the verified certificate of its connection names, "" for none."""


class Why(NamedTuple):
    """The reason of a decision: what an operator is shown when asking why a call did that."""

    rule: str
    """The key that decided: `routes[2]` (counted from 1), `trunks.acme.limits.calls`."""
    line: int
    """Its line in the configuration file, 0 if it is a default that the file does not hold."""
    text: str
    """One clause that says what was found."""


@dataclass(slots=True)
class Target:
    """One address that a call may be sent to, and the trunk it belongs to."""

    trunk: TrunkSettings
    peer: Peer
    number: bytes | None = None
    """Called there in place of what the caller has dialled: a redirection says so."""


@dataclass(slots=True)
class Accept:
    """The call may go on: try `targets` in order.

    One call is now held on `trunk` and one on the first target's trunk. Give both back with
    `Policies.ended`; going on to another trunk of the list is `Policies.move`.
    """

    trunk: TrunkSettings
    """Whose call it is."""
    targets: tuple[Target, ...]
    """At least one."""
    why: Why


@dataclass(slots=True)
class Refuse:
    """The call gets this answer. Nothing is held."""

    status: int
    reason: bytes
    """Reason phrase, b"" for the status code's own (RFC 3261 §21)."""
    why: Why
    trunk: TrunkSettings | None = None
    """Whose call it was; None for a stranger's."""


@dataclass(slots=True)
class Ignore:
    """The request gets silence. Nothing is held."""

    why: Why


Decision: TypeAlias = Accept | Refuse | Ignore
