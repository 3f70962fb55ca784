"""All settings of one border: what `sbc.config` makes of the file and the processes are given."""

from __future__ import annotations

from dataclasses import dataclass

from policies.settings import PolicySettings
from relay.settings import RelaySettings
from sbc.transport.settings import TransportSettings

__all__ = ["CdrSettings", "DnsSettings", "LogSettings", "Settings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CdrSettings:
    """Call detail records: JSON, one line for each call."""

    path: str
    sync_s: float = 1.0
    """Lines are written at once and forced to the disk this often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DnsSettings:
    """Who is asked for the names of peers."""

    servers: tuple[tuple[str, int], ...] = ()
    """Address and port, in this order; none: those of /etc/resolv.conf."""
    timeout_s: float = 2.0
    """For one question, all servers together."""
    search: bool = False
    """Whether the search domains of /etc/resolv.conf complete a name without a dot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """Where the processes say what they do: standard error."""

    level: str = "info"
    json: bool = False
    digits: bool = False
    """Dialled digits (DTMF) stand in the log as they are; else each is an x."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One border."""

    run_dir: str
    """Sockets, locks and process ids; mode 0700, one border in each."""
    state_dir: str
    """What must outlive a restart: the identifier key, CDRs unless they have their own path."""
    transport: TransportSettings
    policies: PolicySettings
    relay: RelaySettings
    cdr: CdrSettings
    log: LogSettings = LogSettings()
    dns: DnsSettings = DnsSettings()
    stun: tuple[tuple[str, tuple[tuple[str, int], ...]], ...] = ()
    """Realm and STUN servers, host and port each, where advertised addresses are to be learned:
    there they are "" until they are known."""
    unread_secrets: tuple[str, ...] = ()
    """Passwords that could not be read here, a line for each: no border starts without them."""
