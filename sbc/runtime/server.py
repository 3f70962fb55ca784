"""The shell around the border: sockets drained into it, its timers ticked, its words sent out.

One task for each UDP socket, one for the tick, one for each relay worker, one for each TCP or TLS
connection. Whatever woke us, the pass is the same: feed everything that is there, then flush once.
"""

from __future__ import annotations

import gc
import logging
import os
import re
import time
from collections.abc import Callable
from typing import Final

import trio

from sbc.call.border import Border
from sbc.call.crossing.headers import Hide
from sbc.errors import TransportError
from sbc.extension import core, look
from sbc.resolve.records import Answer, Question
from sbc.runtime.cdr_file import CdrFile
from sbc.runtime.certificates import Certificates
from sbc.runtime.identity import identifier_key
from sbc.runtime.journal import Journal
from sbc.runtime.overload import CHECK_S, Overload
from sbc.runtime.public_address import PublicAddresses
from sbc.runtime.relay_client import RelayClient
from sbc.runtime.resolver import Resolver
from sbc.runtime.stopwatch import Stopwatch
from sbc.settings import Settings
from sbc.sip.stream import FramingError
from sbc.transaction.hop import TLS, UDP, Hop, Sources
from sbc.transport.stream import StreamTransport
from sbc.transport.udp import UdpListener, UnreachablePeer

__all__ = ["Server"]

_log = logging.getLogger(__name__)

_DRAIN: Final = 64
"""Datagrams in one pass: some 10 ms of work at most, so that nothing else waits longer."""
_FIRST_PORTS_S: Final = 5.0
_TICK_S: Final = 0.02
_FLUSH_S: Final = 0.005
_BUSY_TICK_S: Final = 0.001
"""While calls are ended by slices: all else gets its turn in between."""
_LAST_WORDS_S: Final = 2.0
"""How long a stop waits for answers to its BYEs, which are repeated after 0.5 and 1.5 s."""
_LOCATE_S: Final = 0.5
_COLLECT_S: Final = 5.0
_QUIET: Final = 50
"""Calls and transactions."""
_RESPONSE: Final = b"SIP/2.0"
_VIA: Final = re.compile(rb"\r\n(?:via|v)[ \t]*:[ \t]*", re.IGNORECASE)
_ALIASED: Final = re.compile(
    rb"SIP/2\.0/TLS[ \t]+(?:\[[^]\r\n]*\]|[^:;,\s]+)(?::([0-9]{1,5}))?[^,\r\n]*;alias(?![^;,\s])",
    re.IGNORECASE,
)
"""A Via with the parameter of RFC 5923, and the port of its sent-by."""
_BRANCH: Final = re.compile(rb"branch=([^;,\s]+)", re.IGNORECASE)


class Server:
    """One signalling process.

    Args:
        settings: the whole configuration.
        clock: monotonic seconds.
        hide: which hiding rules are on.
        public: has learned what stands in `settings` of our public addresses, and goes on.

    Raises:
        SbcError: the identifier key or the CDR file cannot be used.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Callable[[], float] = time.monotonic,
        hide: Hide | None = None,
        public: PublicAddresses | None = None,
    ) -> None:
        self.settings = settings
        self.public = public or PublicAddresses(settings)
        self.clock = clock
        self._started = clock()
        self.relay = RelayClient(settings.relay.run_dir, settings.relay.workers, self.flush)
        self.border = Border(
            settings,
            key=identifier_key(settings.state_dir),
            random=os.urandom,
            transmit=self._transmit,
            relay=self.relay,
            wall_offset_s=time.time() - clock(),
            hide=hide,
        )
        self.border.core.verbose = settings.log.level in ("debug", "info")
        self.resolver = Resolver(settings.dns, self._answered)
        self.cdr = CdrFile(settings.cdr.path)
        self.journal = Journal(settings.log.level, settings.log.json)
        self.stopwatch = Stopwatch()
        self._next_flush = 0.0
        self._udp: dict[int, UdpListener] = {
            index: UdpListener(listener)
            for index, listener in enumerate(settings.transport.listeners)
            if listener.transport == "udp"
        }
        self._streams = StreamTransport(
            settings.transport,
            _Streams(self),
            trunk_of=self._trunk_of,
            may_connect=self._may_connect,
            clock=clock,
            corked=True,
        )
        self.certificates = Certificates(
            self._streams.contexts, settings.transport.certificate_check_s
        )
        self._asked_on: set[int] = set()
        """Connections that have carried requests of ours."""
        self._overload = Overload()

    def lost(self, hop: Hop) -> None:
        """A connection has ended, and with it the requests on it.

        Finding those costs a look at each that is out: not for a stranger who comes and goes.
        """
        if hop.connection in self._asked_on:
            self._asked_on.discard(hop.connection)
            self.border.unreachable(hop, None, self.clock())

    def alias(self, frame: bytes, hop: Hop) -> None:
        """A peer lets us send requests, too, on the connection that it has made (RFC 5923)."""
        top = _VIA.search(frame)
        via = _ALIASED.match(frame, top.end()) if top is not None else None
        if via is not None:
            self._streams.alias(hop.connection, int(via[1] or 5061))

    # Life

    def open(self) -> None:
        """Bind every socket, or none.

        Raises:
            TransportError: of the first that cannot be bound.
        """
        opened: list[UdpListener] = []
        try:
            for listener in self._udp.values():
                listener.open()
                opened.append(listener)
            self._streams.open()
        except TransportError:
            for listener in opened:
                listener.close()
            raise

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled; started once the first media ports are in hand."""
        if self.border.core.where.has_names:
            self.resolver.load()
        gc.collect()
        gc.freeze()
        gc.disable()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.relay.run, self.border)
                nursery.start_soon(self.resolver.run)
                nursery.start_soon(self._keep_located)
                nursery.start_soon(self.public.watch, self.border.move)
                await self._first_ports()
                await nursery.start(self._streams.run)
                nursery.start_soon(self.certificates.run)
                for index, listener in self._udp.items():
                    nursery.start_soon(self._receive, index, listener)
                nursery.start_soon(self._tick)
                nursery.start_soon(self._sync_records)
                task_status.started()
        finally:
            self.border.finish(self.clock())
            self.flush(all_of_it=True)
            for listener in self._udp.values():
                listener.close()
            self.cdr.close()
            gc.enable()

    async def _first_ports(self) -> None:
        """Wait for media ports of each pool: calls that come before them would be refused.

        Of a small range a process that has died may have had all; they rest before they come.
        """
        deadline = trio.current_time() + _FIRST_PORTS_S
        said = False
        while missing := [name for name, n in self.border.core.leases.in_hand().items() if not n]:
            left_s = deadline - trio.current_time()
            if left_s <= 0:
                return
            if not said and left_s < _FIRST_PORTS_S - 1.0:
                said = True
                _log.info("signalling.waits for=media ports=%s", ",".join(missing))
            await trio.sleep(0.01)

    async def drain(self, deadline_s: float) -> None:
        """Take no new calls, end those that are up, and wait until all is said and recorded.

        Args:
            deadline_s: how long that may take.
        """
        self.border.draining = True
        self.border.end_all(self.clock())
        self.flush(all_of_it=True)
        with trio.move_on_after(deadline_s):
            while self.border.calls or self._waiting():  # noqa: ASYNC110 (once, at the end)
                await trio.sleep(_TICK_S)
            with trio.move_on_after(_LAST_WORDS_S):  # a BYE that was lost is sent again
                while self.border.core.layer.unanswered:  # noqa: ASYNC110
                    await trio.sleep(_TICK_S)

    def flush(self, *, all_of_it: bool = False) -> None:
        """What batches of events produced, in one write each.

        Under load several batches share a write: each wakes a relay worker, and its answers us.

        Args:
            all_of_it: write now even if the last time was a moment ago.
        """
        border, core = self.border, self.border.core
        border.flush()
        self._streams.flush()
        if core.where.questions:
            self.resolver.ask(core.where.questions)
            core.where.questions.clear()
        now = self.clock()
        if now < self._next_flush and not all_of_it:
            return  # the tick is never far
        self._next_flush = now + _FLUSH_S
        if core.records:
            self.cdr.append([record.to_json() for record in core.records])
            core.records.clear()
            if self.cdr.failure is not None:
                core.counters["cdr_write_failed"] += 1
        if core.milestones:
            self.journal.write(core.milestones)
            core.milestones.clear()
        self.relay.flush(border)

    def status(self) -> dict[str, object]:
        """Figures of the border and of the process that carries it."""
        listeners = {
            listener.name: {
                "received": listener.received,
                "sent": listener.sent,
                "unreachable": listener.unreachable,
                "dropped_by_kernel": listener.pressure().dropped,
                "receive_buffer_bytes": listener.receive_buffer_bytes,
            }
            for listener in self._udp.values()
        }
        return (
            self.border.status()
            | self.stopwatch.figures()
            | {
                "pid": os.getpid(),
                "uptime_s": round(self.clock() - self._started, 3),
                "core": core(),
                "parser": look().parser,
                "peers": self.border.health.describe(self.clock()),
                "public_addresses": self.public.describe(),
                "names": self.border.core.where.describe(self.clock()),
                "listeners": listeners,
                "streams": {"connections": len(self._streams)} | dict(self._streams.counters),
                "cdr": {
                    "path": self.cdr.path,
                    "failure": self.cdr.failure,
                    "waiting": self.cdr.waiting,
                    "dropped": self.cdr.dropped,
                },
            }
        )

    # Tasks

    async def _receive(self, index: int, listener: UdpListener) -> None:
        """Drain one socket for ever."""
        border, realm = self.border, listener.settings.realm
        sources = Sources(realm, index)
        while True:
            await trio.lowlevel.wait_readable(listener.sock)
            self.stopwatch.start()
            now = self.clock()
            batch = listener.drain(_DRAIN)
            for data, source in batch:
                border.receive(data, sources[source], now)
            left = len(batch) == _DRAIN  # more than that is there, or was
            self._overload.drained(index, listener.waited_s() if left else 0.0)
            self._report_unreachable(index, realm, listener.errors(), now)
            self.flush()
            self.stopwatch.stop()

    async def _tick(self) -> None:
        next_check = next_collection = 0.0
        while True:
            await trio.sleep(_BUSY_TICK_S if self.border.busy else _TICK_S)
            self.stopwatch.start()
            now = self.clock()
            self.border.tick(now)
            if now >= next_check:
                next_check = now + CHECK_S
                self.border.core.wall_offset_s = time.time() - now
                queues = [(index, *one.pressure()) for index, one in self._udp.items()]
                self.border.overloaded = self._overload.judge(queues)
                for index, listener in self._udp.items():
                    errors = listener.errors()
                    self._report_unreachable(index, listener.settings.realm, errors, now)
            self.flush(all_of_it=True)
            if now >= next_collection:
                next_collection = now + _COLLECT_S
                self._collect()
            self.stopwatch.stop()

    async def _keep_located(self) -> None:
        """Have the names of peers looked up before their answers end."""
        where = self.border.core.where
        while where.has_names:
            self.border.dns_tick(self.clock())
            self.flush()
            await trio.sleep(_LOCATE_S)

    async def _sync_records(self) -> None:
        while True:
            await trio.sleep(self.settings.cdr.sync_s)
            if self.cdr.failure is not None:
                _log.error("cdr.failed reason=%s waiting=%d", self.cdr.failure, self.cdr.waiting)
                self.cdr.flush()
            await trio.to_thread.run_sync(self.cdr.sync)

    # Parts

    def _collect(self) -> None:
        """Let the collector look for what libraries leave in cycles, while that is cheap.

        A collection costs what lives and is not frozen: 40 us for each call. Our own graph has no
        cycles, so under load what is new is only set aside, unlooked at.
        """
        border = self.border
        if len(border.core.layer) + len(border.calls) < _QUIET:
            gc.collect()
        gc.freeze()

    def _transmit(self, hop: Hop, data: bytes) -> None:
        listener = self._udp.get(hop.listener)
        if listener is not None:
            listener.send(data, hop.address)
        else:
            hop.connection = self._streams.send(data, hop)
            if not data.startswith(_RESPONSE):
                self._asked_on.add(hop.connection)

    def _report_unreachable(
        self, index: int, realm: str, failures: list[UnreachablePeer], now: float
    ) -> None:
        for failure in failures:
            branch = _BRANCH.search(failure.quoted)
            # A report without a branch of ours proves too little to fail a request.
            if branch is not None and not failure.quoted.startswith(b"SIP/2.0"):
                hop = Hop(realm, index, UDP, failure.host, failure.port)
                self.border.unreachable(hop, branch[1], now)

    def _trunk_of(self, realm: str, host: str) -> str:
        trunk = self.border.core.policies.identify(realm, host)
        return trunk.name if trunk is not None else ""

    def _may_connect(self, realm: str, host: str) -> bool:
        return self.border.core.policies.may_speak(realm, host, self.clock())

    def _answered(self, question: Question, answer: Answer) -> None:
        self.border.dns_answered(question, answer, self.clock())
        self.flush()

    def _waiting(self) -> bool:
        return bool(self.border.core.plans)


class _Streams:
    """What connections bring (sbc.transport.base.StreamSink)."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def message(self, frame: bytes, hop: Hop, now: float) -> None:
        if hop.transport == TLS and b";alias" in frame and not frame.startswith(_RESPONSE):
            self._server.alias(frame, hop)
        self._server.border.receive(frame, hop, now)

    def garbled(self, error: FramingError, hop: Hop, now: float) -> None:
        self._server.border.garbled(error, hop, now)

    def failed(self, hop: Hop, data: bytes, error: TransportError) -> None:
        branch = _BRANCH.search(data)
        if branch is not None and not data.startswith(b"SIP/2.0"):
            self._server.border.unreachable(hop, branch[1], self._server.clock())

    def closed(self, hop: Hop, error: TransportError | None) -> None:
        self._server.lost(hop)

    def flush(self) -> None:
        self._server.flush()
