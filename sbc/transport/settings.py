"""What the SIP transports are told at start."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ListenerSettings", "TransportSettings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerSettings:
    """One address on which we speak SIP."""

    realm: str
    transport: str
    """`udp` or `tcp`."""
    host: str
    port: int
    advertise_host: str
    """What goes into Via and Contact: `host`, or the public address of a 1:1 NAT."""
    advertise_port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportSettings:
    """All listeners; a Hop names one by its index here."""

    listeners: tuple[ListenerSettings, ...]
    tcp_connect_timeout_s: float = 1.0
    tcp_idle_timeout_s: float = 600.0
    tcp_max_connections: int = 4096
    tcp_max_per_source: int = 64
