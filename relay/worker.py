"""One worker: media, control and the supervisor's line in one loop.

Started by the supervisor as a spare, with its imports done; the start message makes it serve a
slot. Between rounds of packets it works off control requests, a few milliseconds of them at most,
and looks after a few calls.
"""

from __future__ import annotations

import gc
import logging
import os
import resource
import secrets
import signal
import time
from typing import Final

from relay.control.codec import Notification, Request
from relay.control.messages import (
    VERSION,
    ControlError,
    ErrorCode,
    Event,
    Hello,
    Inject,
    Lease,
    ListCalls,
    Method,
    Plan,
    Welcome,
    WorkerStats,
    addresses_body,
    addresses_from_body,
    call_from_body,
)
from relay.control.server import Connection, Server
from relay.control.watch import start_logging
from relay.flow_table import FlowTable
from relay.forward.choice import choose
from relay.forward.native import NativeEnded
from relay.handoff import EXIT_SETTINGS, Block, Drain, Exhausted, Start, WorkerPort
from relay.loop import Loop
from relay.port_desk import PortDesk
from relay.service import Service
from relay.settings import FAST_PATHS

__all__ = ["Worker", "main"]

_log = logging.getLogger(__name__)

_CONTROL_BUDGET_S: Final = 0.002
_SWEEP_EVERY_S: Final = 0.05
_SWEEPS_A_SECOND: Final = 20
_LINE_EVERY_S: Final = 0.5
_START_DEADLINE_S: Final = 10.0
_WARN_EVERY_S: Final = 10.0


class Worker:
    """The worker of one slot.

    Args:
        start: what the supervisor said.
        port: the line to it.

    Raises OSError if the slot cannot be served.
    """

    def __init__(self, start: Start, port: WorkerPort) -> None:
        settings = start.settings
        self._start = start
        self._port = port
        self._began = time.monotonic()
        self._drain_until: float | None = None
        self._next_sweep = 0.0
        self._next_line = 0.0
        self._next_alive = 0.0
        self._next_warning: dict[str, float] = {}
        self._blocks = 0
        self.loop = Loop(self._between)
        self.forwarder = choose(settings.fast_path, self.loop)
        table = FlowTable(start.table, start.rows)
        ours = [(one.realm, one.address) for one in settings.media]
        self.desk = PortDesk(table, settings.quarantine_s, ours, self._notify, port.need)
        self.service = Service(
            self.forwarder,
            self.desk,
            table,
            secrets.token_bytes(32),
            settings.learn_window_s,
            self._notify,
        )
        self._server: Server | None = None
        self._methods = {
            Method.LEASE: self._lease,
            Method.GIVE_BACK: self._give_back,
            Method.APPLY: self._apply,
            Method.REMOVE: self._remove,
            Method.QUERY: self._query,
            Method.LIST: self._list,
            Method.STATS: self._stats,
            Method.PING: self._ping,
            Method.INJECT: self._inject,
        }
        self.loop.watch(port.fileno(), self._line)

    def run(self) -> int:
        """Serve until told to end. Returns the exit code."""
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the foreground group's: the pool decides
        # No cycles are made on the path: what a call leaves is freed by reference count.
        gc.collect()
        gc.freeze()
        gc.disable()
        try:
            self._take_blocks()
            self.serve()
            self.loop.run()
        except NativeEnded as error:
            self._port.failed(str(error))  # a spare takes the slot
            return 1
        finally:
            if self._server is not None:
                self._server.close()
            self._port.close()
        return 0

    def serve(self) -> None:
        """Answer control connections and tell the supervisor so."""
        self._server = Server(self._start.listener, self.loop, self._answer)
        self._port.running()

    @property
    def welcome(self) -> Welcome:
        """Who answers."""
        return Welcome(
            VERSION,
            self._start.slot,
            os.getpid(),
            self.forwarder.name,
            self._start.generation,
            len(self.service.calls),
        )

    def _take_blocks(self) -> None:
        """The ports that the slot has already, then some of each realm that has none.

        Before them no lease could be answered: this worker is not running yet.
        """
        deadline = time.monotonic() + _START_DEADLINE_S
        while self._blocks < self._start.blocks and time.monotonic() < deadline:
            self.loop.run_once()
        self.desk.look_after(time.monotonic())
        while not self.desk.stocked and time.monotonic() < deadline:
            self.loop.run_once()

    def _between(self, now: float) -> float:
        """Between rounds of packets. Returns when to be called again."""
        server = self._server
        if server is not None and server.busy:
            server.work(now, _CONTROL_BUDGET_S)
        self.forwarder.between(now)
        self.service.slowpath.floods.between(now)
        if self.service.burying:
            self.service.bury(now)
        if now >= self._next_sweep:
            self._next_sweep = now + _SWEEP_EVERY_S
            self.service.sweep(now, len(self.service.calls) // _SWEEPS_A_SECOND + 2)
            if self._drain_until is not None:
                self._drain(now)
        if now >= self._next_line:
            self._line(now)
            if server is not None:
                server.between(now)
        digits = self.service.digits
        digits_due = self._next_line if digits.idle else digits.work(now)
        if self.service.burying or (server is not None and server.busy):
            return now
        return min(digits_due, self._next_sweep if self.service.calls else self._next_line)

    # the supervisor

    def _line(self, now: float) -> None:
        self._next_line = now + _LINE_EVERY_S
        if now >= self._next_alive:  # whatever else there is on the line
            self._next_alive = self._next_line
            self._port.alive()
        for message in self._port.receive(now):
            match message:
                case Block():
                    self._blocks += 1
                    self.desk.add_block(
                        message.realm,
                        message.address,
                        message.ports,
                        message.row,
                        message.sockets,
                        now,
                    )
                case Exhausted():
                    self.desk.no_more_ports(message.realm, message.address)
                case Drain():
                    self._begin_drain(now + message.deadline_s)

    def _on_signal(self, number: int, frame: object) -> None:
        self._begin_drain(time.monotonic())

    def _begin_drain(self, deadline: float) -> None:
        if not self.service.draining:
            self.service.draining = True
            self._notify(Event.DRAINING, None)
        if self._drain_until is None or deadline < self._drain_until:
            self._drain_until = deadline
        self._next_sweep = 0.0

    def _drain(self, now: float) -> None:
        if not self.service.calls or now >= (self._drain_until or 0.0):
            self.loop.stop()

    # signalling

    def _notify(self, event: Event, body: object) -> bool:
        server = self._server
        return server is not None and server.notify(Notification(event, body))

    def _answer(self, connection: Connection, request: Request, now: float) -> object:
        if request.method == Method.HELLO:
            return self._hello(connection, request.body, now)
        if not connection.role:
            raise ControlError(ErrorCode.VERSION, "expected a HELLO first")
        method = self._methods.get(request.method)  # type: ignore[call-overload]
        if method is None:
            raise ControlError(ErrorCode.UNKNOWN_METHOD, str(request.method))
        result: object = method(connection, request.body, now)
        return result

    def _hello(self, connection: Connection, body: object, now: float) -> object:
        hello = Hello.from_body(body)
        if hello.version != VERSION:
            raise ControlError(
                ErrorCode.VERSION, f"expected protocol version {VERSION}, got {hello.version}"
            )
        connection.role = "signalling" if hello.role == "signalling" else "query"
        connection.session = hello.session
        if hello.fresh:
            dropped = self.service.begin_session(hello.session, now)
            if dropped:
                _log.warning("session.fresh calls_dropped=%d", dropped)
        if connection.role == "signalling":
            self.service.tell_again()
            if self.service.draining:
                self._notify(Event.DRAINING, None)
        return self.welcome.to_body()

    def _lease(self, connection: Connection, body: object, now: float) -> object:
        wish = Lease.from_body(body)
        try:
            owner = _owner(connection)
            leased = self.service.lease(wish.realm, wish.count, owner, now, wish.family)
        except ControlError as error:
            if error.code == ErrorCode.PORTS_EXHAUSTED:
                self._refused(wish.realm, now)
            raise
        return addresses_body(leased)

    def _refused(self, realm: str, now: float) -> None:
        """Say that calls fail for want of ports; not where signalling merely holds them all."""
        if now < self._next_warning.get(realm, 0.0):
            return
        counts = self.desk.ports.counts(now).get(realm, {})
        if not counts.get("leased"):
            self._next_warning[realm] = now + _WARN_EVERY_S
            figures = " ".join(f"{name}={count}" for name, count in counts.items())
            _log.warning("ports.exhausted slot=%d realm=%s %s", self._start.slot, realm, figures)

    def _give_back(self, connection: Connection, body: object, now: float) -> object:
        self.desk.give_back(addresses_from_body(body), _owner(connection))
        return None

    def _apply(self, connection: Connection, body: object, now: float) -> object:
        return self.service.apply(Plan.from_body(body), _owner(connection), now)

    def _remove(self, connection: Connection, body: object, now: float) -> object:
        _owner(connection)
        return self.service.remove(call_from_body(body), now).to_body()

    def _query(self, connection: Connection, body: object, now: float) -> object:
        return self.service.query(call_from_body(body), now).to_body()

    def _inject(self, connection: Connection, body: object, now: float) -> object:
        _owner(connection)
        self.service.inject(Inject.from_body(body), now)
        return None

    def _list(self, connection: Connection, body: object, now: float) -> object:
        wish = ListCalls.from_body(body)
        return self.service.list_calls(wish.after, wish.limit).to_body()

    def _stats(self, connection: Connection, body: object, now: float) -> object:
        server = self._server
        counters = {
            **self.service.totals,
            "punts": self.service.slowpath.punts,
            "floods": self.service.slowpath.floods.shut,
            "mutes": self.service.slowpath.floods.mutes,
            "unconnected": self.forwarder.unconnected,
            "resent": self.forwarder.resent,
            "crashes": self.loop.crashes + (server.crashes if server else 0),
            "passes": self.loop.passes,
            "requests": server.requests if server else 0,
            "broken_connections": server.broken if server else 0,
        }
        return WorkerStats(
            self._start.slot,
            os.getpid(),
            self.forwarder.name,
            len(self.service.calls),
            now - self._began,
            time.process_time(),
            self.desk.ports.counts(now),
            counters,
            self.loop.longest_pass_s * 1000.0,
            self.loop.longest_pass_cpu_s * 1000.0,
        ).to_body()

    def _ping(self, connection: Connection, body: object, now: float) -> object:
        return None


def _owner(connection: Connection) -> str:
    """The session that may change something. Raises ControlError."""
    if connection.role != "signalling":
        raise ControlError(ErrorCode.BAD_REQUEST, "expected the role of signalling for this")
    return connection.session


def main(handoff_fd: int, lifeline_fd: int) -> int:
    """A worker process, all imports done. Returns the exit code."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    port = WorkerPort(handoff_fd, lifeline_fd)
    start = port.wait_for_start()
    if start is None:
        return 0
    start_logging(start.settings.log_level, start.settings.log_json)
    if start.settings.fast_path not in ("auto", *FAST_PATHS):
        port.failed(f"expected a fast path of this machine, got {start.settings.fast_path}")
        return EXIT_SETTINGS
    try:
        worker = Worker(start, port)
    except OSError as error:
        port.failed(f"slot {start.slot} cannot be served: {error}")
        return 1
    return worker.run()
