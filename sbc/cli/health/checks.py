"""The checks themselves. Each takes settings, machine and what runs, and yields its findings."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Final

from relay.settings import MediaSettings
from sbc.cli.health.certificates import examine
from sbc.cli.health.finding import Finding, fail, ok, warn
from sbc.cli.health.machine import Machine
from sbc.cli.health.names import names
from sbc.cli.health.public_addresses import public_addresses
from sbc.cli.health.running import Running
from sbc.errors import TransportError
from sbc.settings import Settings
from sbc.transport.opening import BUFFER_BYTES, name_of
from sbc.transport.settings import ListenerSettings
from sbc.transport.tcp_listener import TcpListener
from sbc.transport.udp import UdpListener

__all__ = ["CHECKS", "Check"]

Check = Callable[[Settings, Machine, Running], Iterator[Finding]]

_SOCKETS_OF_A_CALL: Final = 8  # two pairs of ports, each socket with its connected twin
_LITTLE_DISK_BYTES: Final = 100 * 1024 * 1024
_SOME_DISK_BYTES: Final = 1024 * 1024 * 1024
_FEW_PAIRS: Final = 0.1
_LONG_PASS_MS: Final = 100  # the longest since the start: an idle worker's start takes up to 30 ms
_WELL_KNOWN: Final = 1024


def processes(settings: Settings, machine: Machine, running: Running) -> Iterator[Finding]:
    """Whether the border and its workers answer."""
    if running.status is None:
        if running.stats:
            yield warn("border", "the relay runs, signalling does not", "start it: sbc run")
        else:
            yield ok("border", "not running: what follows is about starting it")
        return
    pid, calls = running.status.get("pid", "?"), running.status.get("calls", "?")
    yield ok("border", f"running, pid {pid}, calls: {calls}")
    missing = [slot for slot, one in running.workers.items() if isinstance(one, str)]
    if missing:
        reasons = "; ".join(f"worker {slot}: {running.workers[slot]}" for slot in missing)
        yield fail("workers", reasons, "see the log of the relay pool; sbc relay shows the others")
    longest = max((one.longest_pass_ms for one in running.stats), default=0.0)
    if longest >= _LONG_PASS_MS:
        yield warn(
            "workers",
            f"since its start a worker has once kept packets waiting for {longest:.0f} ms",
            "if that comes again: more processors, or less to do for the border",
        )


def fast_path(settings: Settings, machine: Machine, running: Running) -> Iterator[Finding]:
    """Which fast path carries media, and why that one."""
    wanted = settings.relay.fast_path
    why = "auto takes the best that this machine can run" if wanted == "auto" else "as configured"
    loaded = {one.fast_path for one in running.stats}
    if len(loaded) > 1:
        yield warn(
            "fast path",
            f"the workers differ: {', '.join(sorted(loaded))}",
            "restart the border: sbc run",
        )
    else:
        extension = machine.extension()
        chosen = "native" if wanted != "python" and extension.usable else "python"
        name = loaded.pop() if loaded else f"{chosen} would be loaded"
        text = f"{name} ({why}; {extension})"
        if wanted != "python" and not extension.usable:
            yield warn("fast path", text, "install it where cargo is: a packet costs half as much")
        elif chosen == "native" and extension.profile != "release":
            yield warn("fast path", text, "build it again as a release: pip install -e .")
        else:
            yield ok("fast path", text)


def core(settings: Settings, machine: Machine, running: Running) -> Iterator[Finding]:
    """Whether the signalling core is compiled; both ways are right, one is quicker."""
    found = machine.core()
    serving = running.status.get("core", found) if running.status else found
    if serving == found:
        yield ok("signalling", found)
    else:
        yield warn("signalling", f"{serving}; {found} is installed", "restart the border: sbc run")


def parser(settings: Settings, machine: Machine, running: Running) -> Iterator[Finding]:
    """What reads SIP messages, and why that."""
    extension = machine.parser()
    serving = running.status.get("parser") if running.status else None
    text = f"{serving or f'{extension.parser} would be loaded'} ({extension})"
    if not extension.usable:
        yield warn("parser", text, "install it where cargo is: a call costs less")
    elif extension.profile != "release":
        yield warn("parser", text, "build it again as a release: pip install -e .")
    elif serving not in (None, extension.parser):
        yield warn("parser", text, "restart the border: sbc run")
    else:
        yield ok("parser", text)


def processors(settings: Settings, machine: Machine, running: Running) -> Iterator[Finding]:
    """Workers against processors."""
    have, workers = machine.processors(), settings.relay.workers
    if workers > have:
        yield warn(
            "processors",
            f"{workers} relay workers share {have}",
            f"set relay.workers to {have} or less: each worker wants one for itself",
        )
    else:
        yield ok("processors", f"{have} for signalling and {workers} relay workers")


def sip_ports(settings: Settings, machine: Machine, running: Running) -> Iterator[Finding]:
    """Whether each listener can be bound, or who has it."""
    free: list[str] = []
    for index, listener in enumerate(settings.transport.listeners):
        name = name_of(listener.transport, listener.host, listener.port)
        error = _try(index, listener)
        if not error:
            free.append(name)
            continue
        kind = "udp" if listener.transport == "udp" else "tcp"
        holder = machine.holder(kind, listener.host, listener.port)
        ours = (0, running.status.get("pid")) if running.status is not None else ()
        if holder is not None and holder.pid in ours:
            yield ok("sip port", f"{name} is held by this border")
            continue
        if holder is not None and "in use" in error:
            advice = "stop it, or choose another port (realms.*.listen)"
            yield fail("sip port", f"{name} is held by {holder}", advice)
        else:
            text, _, advice = error.removeprefix(f"{name}: ").partition(": ")
            yield fail("sip port", f"{name}: {text}", advice or "choose another address")
    if free:
        yield ok("sip port", f"free: {', '.join(free)}")
        if running.status is not None:
            yield fail(
                "sip port",
                "a border is running, but not on these",
                "it was started with another file, or the file has changed since: restart it",
            )


def certificates(settings: Settings, machine: Machine, running: Running) -> Iterator[Finding]:
    """What TLS shows and believes."""
    yield from examine(settings.transport)


def _try(index: int, listener: ListenerSettings) -> str:
    """Why the listener cannot be opened now; empty if it can."""
    one = UdpListener(listener) if listener.transport == "udp" else TcpListener(index, listener)
    try:
        one.open()
    except TransportError as error:
        return str(error)
    finally:
        one.close()
    return ""


def media_ports(settings: Settings, machine: Machine, running: Running) -> Iterator[Finding]:
    """Pairs of each range that are free, and whether the kernel gives them to others."""
    ephemeral, reserved = machine.ephemeral_ports(), machine.reserved_ports()
    if running.stats:
        yield from _pairs_of_realms(settings, running)
    for media in settings.relay.media:
        if not running.stats:
            yield _pairs_of_address(media, machine.udp_ports(media.address))
        exposed = set(range(media.port_min, media.port_max + 1)).intersection(ephemeral) - reserved
        if exposed:
            yield warn(
                "media ports",
                f"{_range(media)}: {len(exposed)} of them are also given to outgoing connections",
                f"sysctl -w net.ipv4.ip_local_reserved_ports={min(exposed)}-{max(exposed)}",
            )


def _pairs_of_realms(settings: Settings, running: Running) -> Iterator[Finding]:
    """A line for each realm: its workers count all its addresses together."""
    for realm in dict.fromkeys(media.realm for media in settings.relay.media):
        ranges = [media for media in settings.relay.media if media.realm == realm]
        counts = [worker.ports.get(realm, {}) for worker in running.stats]
        total = sum(_pairs(one) for one in ranges)
        used = sum(one.get("in_use", 0) for one in counts)
        resting = sum(one.get("quarantined", 0) for one in counts)
        # What signalling has leased in stock, and what is not bound yet, is there for calls.
        free = total - used - resting
        name = f"{realm} " + ", ".join(f"{one.address} {_ports(one)}" for one in ranges)
        text = f"{name}: {free} of {total} pairs free, {used} in use, {resting} resting after calls"
        yield _judged(realm, text, free, total)


def _pairs_of_address(media: MediaSettings, held: set[int]) -> Finding:
    pairs = range(media.port_min, media.port_max, 2)
    free = sum(port not in held and port + 1 not in held for port in pairs)
    total = _pairs(media)
    return _judged(media.realm, f"{_range(media)}: {free} of {total} pairs free", free, total)


def _judged(realm: str, text: str, free: int, total: int) -> Finding:
    advice = f"widen realms.{realm}.media.ports"
    if free <= 0:
        return fail("media ports", text, advice)
    if free < total * _FEW_PAIRS:
        return warn("media ports", text, advice)
    return ok("media ports", text)


def _range(media: MediaSettings) -> str:
    return f"{media.realm} {media.address} {_ports(media)}"


def _ports(media: MediaSettings) -> str:
    return f"{media.port_min}-{media.port_max}"


def _pairs(media: MediaSettings) -> int:
    return (media.port_max - media.port_min + 1) // 2


def open_files(settings: Settings, machine: Machine, running: Running) -> Iterator[Finding]:
    """RLIMIT_NOFILE against what the port ranges may need."""
    _, hard = machine.open_files()
    pairs = sum(_pairs(one) for one in settings.relay.media)
    workers = settings.relay.workers
    needed = 256 + 4 * pairs // workers
    text = f"a worker may open {hard}, all media ports at once take {needed}"
    if hard >= needed:
        yield ok("open files", text)
    else:
        calls = (hard - 256) // _SOCKETS_OF_A_CALL * workers
        yield warn(
            "open files",
            f"{text}: {calls} calls with audio are possible, not {pairs // 2}",
            f"LimitNOFILE={needed} in the unit, or ulimit -Hn {needed}, or more workers",
        )


def buffers(settings: Settings, machine: Machine, running: Running) -> Iterator[Finding]:
    """The receive buffers of the SIP sockets."""
    most = machine.number("net.core.rmem_max", 0)
    if "NET_ADMIN" in machine.capabilities():
        yield ok("buffers", f"{BUFFER_BYTES >> 20} MB for each SIP socket, by CAP_NET_ADMIN")
    elif most >= BUFFER_BYTES:
        yield ok("buffers", f"{BUFFER_BYTES >> 20} MB for each SIP socket")
    else:
        yield warn(
            "buffers",
            f"net.core.rmem_max allows {most} bytes for a SIP socket: a burst may be lost",
            f"sysctl -w net.core.rmem_max={BUFFER_BYTES}",
        )


def rights(settings: Settings, machine: Machine, running: Running) -> Iterator[Finding]:
    """User and capabilities."""
    have = machine.capabilities()
    who = "root" if os.geteuid() == 0 else f"user {os.geteuid()}"
    first = machine.number("net.ipv4.ip_unprivileged_port_start", _WELL_KNOWN)
    low = [one.port for one in settings.transport.listeners if one.port < first]
    if low and "NET_BIND_SERVICE" not in have:
        yield fail(
            "rights",
            f"{who} may not bind port {low[0]}",
            f"AmbientCapabilities=CAP_NET_BIND_SERVICE in the unit, or a port from {first} up",
        )
    else:
        names = ", ".join(f"CAP_{name}" for name in sorted(have)) or "no capability"
        yield ok("rights", f"{who}, {names}; nothing more is needed")


def folders(settings: Settings, machine: Machine, running: Running) -> Iterator[Finding]:
    """Whether sockets, state and records have a place."""
    cdr = os.path.dirname(os.path.abspath(settings.cdr.path))
    for topic, path in (("run dir", settings.run_dir), ("state dir", settings.state_dir)):
        yield _usable(topic, path)
    yield _usable("records", cdr)
    try:
        free = machine.free_bytes(_existing(cdr))
    except OSError as error:
        yield fail("disk", f"{cdr}: {error.strerror}", "choose another cdr.path")
        return
    text = f"{free >> 20} MB free for call records in {cdr}"
    if free < _LITTLE_DISK_BYTES:
        yield fail("disk", text, "make room: a full disk loses call records")
    elif free < _SOME_DISK_BYTES:
        yield warn("disk", text, "make room: a full disk loses call records")
    else:
        yield ok("disk", text)


def _usable(topic: str, path: str) -> Finding:
    parent = _existing(path)
    if not os.access(parent, os.W_OK | os.X_OK):
        return fail(topic, f"{path}: no permission in {parent}", "change its owner, or the key")
    return ok(topic, path if parent == path else f"{path} (will be made)")


def _existing(path: str) -> str:
    """The path itself, or the first folder above it that is there."""
    path = os.path.abspath(path)
    while not os.path.exists(path):
        path = os.path.dirname(path)
    return path


CHECKS: Final[tuple[Check, ...]] = (
    processes,
    fast_path,
    core,
    parser,
    sip_ports,
    certificates,
    media_ports,
    open_files,
    buffers,
    rights,
    processors,
    folders,
    names,
    public_addresses,
)
