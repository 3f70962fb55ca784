"""The fast path `native`: a thread in Rust that moves the packets and never takes the GIL.

What becomes of a packet is decided as `relay.forward.python` decides it; the sockets, flows and
counters are the thread's (`relay/native/binding`). Commands are in force when they return: both
threads change one table in turn. What the thread punts waits in a queue, at most 64 packets of one
socket, and is fetched here in the worker's loop; while a queue is full the kernel keeps what
comes, and drops what is too much.

There may be no extension, and it may have no io_uring: `relay.extension` tells.
"""

from __future__ import annotations

import logging
import signal
import socket
from collections.abc import Mapping, Sequence
from typing import Final, cast

from relay.forward.base import Address, DropReason, Flow, Key, Punt, SrtpSession
from relay.loop import Loop
from relay.stats import Reception

try:
    from relay import _native
except ImportError:  # it was not built or does not load; `relay.extension` tells
    _native = None  # type: ignore[assignment]

__all__ = ["NativeEnded", "NativeForwarder"]

_log = logging.getLogger(__name__)

_BATCH: Final = 4
"""Ready sockets from which one call of the kernel for all of them is worth it."""
_FETCHED: Final = 32
"""Punts that are worked off for one event: then it is the turn of others in the loop."""


class NativeEnded(Exception):
    """The thread has died: this worker can carry nothing any more and must end."""


class _Port:
    """An open port, as the slow path knows it."""

    __slots__ = ("handle", "key", "punt", "rx")

    def __init__(self, key: Key, rx: socket.socket, punt: Punt, handle: _native.Port) -> None:
        self.key = key
        self.rx: Final = rx  # holds the descriptor for as long as the thread uses it
        self.punt = punt
        self.handle: Final = handle


class NativeForwarder:
    """Fast path `native`. Raises ImportError without the extension, OSError without descriptors.

    Args:
        loop: where its queue of punts is polled.
        batch: from how many ready sockets on the thread receives from all with one call of the
            kernel and sends with another (io_uring, where there is one); 0: never.
    """

    name = "native"

    def __init__(self, loop: Loop, batch: int = _BATCH) -> None:
        if _native is None:
            raise ImportError("the compiled extension relay._native is not here")
        # Signals are for Python's own thread, which they must wake.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            self._engine = _native.Engine(batch)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        self._loop = loop
        self._ports: dict[Key, _Port] = {}
        self._by_index: list[_Port | None] = []
        loop.watch(self._engine.fileno(), self._fetch)

    def __len__(self) -> int:
        """Open ports."""
        return len(self._ports)

    @property
    def ringless(self) -> str | None:
        """Why each packet has calls of its own; None: io_uring has one for many."""
        return self._engine.ringless

    @property
    def unconnected(self) -> int:
        """Flows that stay on their unconnected socket for want of a descriptor."""
        return self._engine.totals()[0]

    @property
    def resent(self) -> int:
        """Packets that were sent once more after an error: most met a closed port's ICMP."""
        return self._engine.totals()[1]

    def reception(self, clock_rates: Mapping[int, int]) -> Reception:
        """Where the packets of a direction are counted, here and by the slow path."""
        # The same by its methods and properties, not by its ancestry.
        return cast(Reception, _native.Reception(clock_rates))

    def session(self, suite: str, key: bytes, mki: bytes, roc: int) -> SrtpSession:
        """An SRTP session for flows and for the slow path, which use it in turn."""
        return _native.Srtp(suite, key, mki, roc)

    def mark(self, key: Key, tos: int) -> None:
        """Set the byte that packets from this open port bear, until `close`."""
        self._engine.mark(self._ports[key].handle, tos)

    def open(self, key: Key, rx: socket.socket, punt: Punt) -> None:
        """Serve a port: every packet is punted until a flow is installed. Raises OSError."""
        port = _Port(key, rx, punt, self._engine.open(rx.fileno(), ":" in key[0]))
        self._ports[key] = port
        index = port.handle.index
        while index >= len(self._by_index):
            self._by_index.append(None)
        self._by_index[index] = port

    def close(self, keys: Sequence[Key]) -> None:
        """Stop serving these ports."""
        closed = [port for key in keys if (port := self._ports.pop(key, None)) is not None]
        self._engine.close([port.handle for port in closed])
        for port in closed:
            self._by_index[port.handle.index] = None

    def install(self, flows: Sequence[Flow]) -> None:
        """Add or replace flows, as one batch."""
        ports = self._ports
        self._engine.install(
            [(ports[flow.key].handle, ports[flow.out].handle, flow) for flow in flows]
        )

    def remove(self, keys: Sequence[Key]) -> None:
        """Forget these flows; their ports punt again."""
        ports = self._ports
        self._engine.remove([ports[key].handle for key in keys if key in ports])

    def flush(self) -> None:
        """Forget all flows."""
        self._engine.flush()

    def counters(self, key: Key) -> dict[DropReason, int]:
        """What was dropped on this port since it was opened."""
        port = self._ports.get(key)
        drops = port.handle.drops() if port is not None else None
        if drops is None:  # mostly, and it is asked for every second of each call
            return {}
        return {DropReason(reason): count for reason, count in drops}

    def send(self, key: Key, data: memoryview | bytes, destination: Address) -> bool:
        """Send one packet from an open port."""
        try:
            self._ports[key].rx.sendto(data, destination)
        except OSError:
            return False
        return True

    def mute(self, key: Key, *, muted: bool) -> None:
        """Leave a flooded port alone, or listen to it again; an expected peer is on its other
        socket."""
        self._engine.mute(self._ports[key].handle, muted)

    def between(self, now: float) -> None:
        """See that the thread lives; called between rounds. Raises NativeEnded."""
        fault = self._engine.fault
        if fault is not None:
            raise NativeEnded(f"the native fast path has ended: {fault}")

    @property
    def quiet(self) -> bool:
        """Nothing is ready to be received, and nothing waits for the slow path."""
        return self._engine.quiet()

    def stop(self) -> None:
        """End the thread. Nothing is served any more."""
        self._loop.unwatch(self._engine.fileno())
        self._engine.stop()

    def _fetch(self, now: float) -> None:
        """Give some of what the thread has punted to the slow path."""
        for _ in range(_FETCHED):
            punted = self._engine.next_punt()
            if punted is None:
                break
            index, data, source, arrived = punted
            port = self._by_index[index]
            if port is not None:
                self._hand_up(port, data, source, arrived)
        if self._engine.fault is not None:  # `between` says it; the flag stays up
            self._loop.unwatch(self._engine.fileno())

    def _hand_up(self, port: _Port, data: bytearray, source: Address, now: float) -> None:
        try:
            port.punt(memoryview(data), source, now)
        except Exception:
            # The boundary: a bug costs the packet and is counted, as in the loop.
            self._loop.crashes += 1
            _log.exception("punt.crashed port=%d", port.key[1])
