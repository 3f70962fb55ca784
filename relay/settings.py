"""What the relay pool is told at start: read once, passed in, never changed.

Standard library only: a worker's cold start must stay short.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass

__all__ = ["ANY_OF", "FAST_PATHS", "MediaSettings", "RelaySettings", "family_of"]

FAST_PATHS = ("native", "python")
"""Fast paths in the order of preference; `auto` takes the first that this machine can run."""

ANY_OF = {4: "0.0.0.0", 6: "::"}  # noqa: S104 (nothing is bound to it)
"""Address family → what stands for any of its addresses."""


def family_of(address: str) -> int:
    """Of an IP address: 4 or 6."""
    return 6 if ":" in address else 4


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaSettings:
    """One address on which a realm's media is anchored."""

    realm: str
    address: str
    """The local address that sockets are bound to, IPv4 or IPv6."""
    advertise: str
    """The address that goes into SDP: `address`, or the public one of a 1:1 NAT."""
    port_min: int
    """First port, even."""
    port_max: int
    """Last port, odd: RTP takes the even port of a pair, RTCP the odd one (RFC 3550 §11)."""
    dscp: int = 46
    """How what leaves here is marked (RFC 2474); 46: EF, for telephony (RFC 4594 §4.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RelaySettings:
    """The whole pool."""

    run_dir: str
    """Sockets and locks, mode 0700."""
    workers: int
    media: tuple[MediaSettings, ...]
    fast_path: str = "auto"
    grace_s: float = 15.0
    """How long workers go on without a supervisor, and the pool without a launcher."""
    quarantine_s: float = 5.0
    """How long a media port rests after a call before another call may have it."""
    learn_window_s: float = 1.0
    """How long after its first packet a stream may still change its mind about its peer."""
    log_level: str = "info"
    """What supervisor and workers write to standard error: debug, info, warning or error."""
    log_json: bool = False

    def to_json(self) -> str:
        """This, as one JSON object."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> RelaySettings:
        """The reverse of `to_json`. Raises ValueError, KeyError or TypeError on anything else."""
        values = json.loads(text)
        media = tuple(MediaSettings(**one) for one in values.pop("media"))
        return cls(media=media, **values)
