"""What the supervisor and a worker hand each other, descriptors included.

The supervisor owns what must not die with a worker: bound media sockets, the control listener,
the flow table's memory. A worker is given copies. Both ends of their line are described here;
`WorkerPort` is the whole of the worker's end:

    port = WorkerPort(handoff_fd, lifeline_fd)      # as soon as all imports are done
    start = port.wait_for_start()                   # None: the parent is gone, return 0
    ...                                             # take start.blocks Block messages, then
    port.running()                                  # once connections to start.listener are served
    poll port.fileno() for reading; when readable, and at least once a second:
    for message in port.receive(time.monotonic()):
        Block → new ports; Exhausted → no more ports; Drain → finish, then exit 0

When the supervisor dies the worker hears nothing but goes on: within `grace_s` a new supervisor
may adopt it through `<run_dir>/handoff-<slot>.sock`, which the port listens on, and is given
copies back. Without one, `receive` returns a Drain when the grace time is over.

Standard library only.
"""

from __future__ import annotations

import errno
import os
import select
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from relay.control import lifeline
from relay.control.line import Line, LineError, Message
from relay.settings import ANY_OF, RelaySettings, family_of

__all__ = [
    "BLOCK_PAIRS",
    "EXIT_SETTINGS",
    "Block",
    "Drain",
    "Exhausted",
    "Start",
    "WorkerPort",
    "block_from",
    "block_message",
    "handoff_path",
    "start_message",
]

BLOCK_PAIRS: Final = 32
"""Pairs of ports in a block: 64 sockets, which is what one message carries."""

EXIT_SETTINGS: Final = lifeline.EXIT_SETTINGS
"""A worker's exit code for settings it can never run with: it is not started again."""

_ORPHAN_DRAIN_S: Final = 5.0


@dataclass(slots=True)
class Start:
    """The first message: this worker takes a slot."""

    slot: int
    generation: int
    """Grows each time that a worker takes the slot."""
    settings: RelaySettings
    rows: int
    """Rows that the flow table may ever need: one for each media socket of the slot."""
    blocks: int
    """How many Block messages follow at once; a worker is running only when it has them."""
    listener: socket.socket
    """Control listener, `<run_dir>/worker-<slot>.sock`, non-blocking. It outlives the worker."""
    table: int
    """Descriptor of the flow table's memory (memfd), empty in the slot's first generation. Its
    layout and its size are the worker's (`os.ftruncate`); it outlives the worker."""


@dataclass(slots=True)
class Block:
    """Media ports, bound. The worker never closes, connects or rebinds these sockets."""

    id: int
    """Unique within the slot."""
    realm: str
    address: str
    """As in MediaSettings: the local address, not the advertised one."""
    ports: tuple[int, ...]
    """The RTP ports, even, rising, ≤ 32; the RTCP port of each is the next one. Not necessarily
    without gaps: pairs that another program holds are left out."""
    row: int
    """Flow table row of `sockets[0]`; `sockets[i]` has row + i."""
    sockets: list[socket.socket]
    """`rx` sockets, non-blocking: `sockets[2*i]` is on ports[i], `sockets[2*i + 1]` on
    ports[i] + 1."""


@dataclass(slots=True)
class Exhausted:
    """There are no further ports for this realm on this address."""

    realm: str
    address: str
    """Empty: on none of the realm's addresses."""


@dataclass(slots=True)
class Drain:
    """Take no new call, tell signalling, exit 0 when no call is left or at the deadline."""

    deadline_s: float
    """From now."""


class WorkerPort:
    """A worker's end of the line to its supervisor, whoever that is at the time.

    Args:
        handoff_fd: the inherited SEQPACKET socket.
        lifeline_fd: the inherited read end of the supervisor's lifeline.
    """

    def __init__(self, handoff_fd: int, lifeline_fd: int) -> None:
        os.set_inheritable(handoff_fd, False)
        os.set_inheritable(lifeline_fd, False)
        os.set_blocking(lifeline_fd, False)
        self._line = Line(socket.socket(fileno=handoff_fd))
        self._lifeline_fd = lifeline_fd
        self._child: lifeline.Child | None = None
        self._poll = select.epoll()
        self._registered: tuple[int, int] | None = None
        self._start: Start | None = None
        self._blocks: list[Block] = []
        self._found: list[Block | Exhausted | Drain] = []
        self._needs: list[tuple[str, str]] = []
        self._running = False
        self._draining = False
        self._watch_line()

    def fileno(self) -> int:
        """The one descriptor to poll for reading; the same for the port's whole life."""
        return self._poll.fileno()

    @property
    def orphaned(self) -> bool:
        """The supervisor is gone and no other has come yet."""
        return self._child is not None and self._child.orphaned

    def wait_for_start(self) -> Start | None:
        """Say that the imports are done and wait for a slot, for ever if need be.

        Returns None when the parent is gone: nothing was started, exit 0.
        Raises LineError for a line that makes no sense, OSError if descriptors run out.
        """
        self._line.send({"t": "ready"})
        poll = select.poll()
        poll.register(self._line.fileno(), select.POLLIN)
        poll.register(self._lifeline_fd, select.POLLIN)
        while True:
            poll.poll()
            one = self._line.receive_one()
            if one is not None:
                break
            if self._line.ended or lifeline.at_end(self._lifeline_fd):
                return None
        start = _start(*one)
        path = handoff_path(start.settings.run_dir, start.slot)
        settings = lifeline.settings_hash(start.settings.to_json())
        self._child = lifeline.Child(self._lifeline_fd, path, settings, start.settings.grace_s)
        self._poll.register(self._child.fileno(), select.EPOLLIN)
        self._start = start
        self._tell_facts()
        return start

    def running(self) -> None:
        """Say that control connections are served and all blocks of the start are in use."""
        self._running = True
        self._tell_facts()
        self._send({"t": "running"})

    def alive(self) -> None:
        """Say that the loop goes round. Nobody waits for it: where the line is full, it is left."""
        if not self._line.waiting and not self._line.ended:
            self._send({"t": "alive"})

    def need(self, realm: str, address: str = "") -> None:
        """Ask for another block; a Block or an Exhausted follows, if need be from an adopter.

        Args:
            realm: a realm of the settings.
            address: one of its addresses, 0.0.0.0 or :: for any of that family, or empty for any.
        """
        self._needs.append((realm, address))
        self._send({"t": "need", "realm": realm, "address": address})

    def failed(self, text: str) -> None:
        """Say in one line what went wrong; the supervisor prints it."""
        self._send({"t": "failed", "text": text})

    def receive(self, now: float) -> list[Block | Exhausted | Drain]:
        """What the supervisor says. Never blocks; raises nothing for what a supervisor does.

        Args:
            now: monotonic seconds.
        """
        self._take_messages()
        if self._child is not None:
            for event in self._child.handle(now):
                if event is lifeline.Event.ADOPTED:
                    self._change_supervisor(self._child)
                elif event is lifeline.Event.GRACE_OVER:
                    self._drain(_ORPHAN_DRAIN_S)
        self._flush()
        found, self._found = self._found, []
        return found

    def close(self) -> None:
        """Close everything of the port; media sockets and the listener are the worker's."""
        if self._child is not None:
            self._child.close()
        else:
            os.close(self._lifeline_fd)
        self._line.close()
        self._poll.close()

    def _take_messages(self) -> None:
        while not self._line.ended:
            try:
                one = self._line.receive_one()
            except LineError:
                self._line.ended = True
                break
            if one is None:
                break
            self._take(*one)

    def _take(self, message: Message, descriptors: list[int]) -> None:
        match message.get("t"):
            case "block" if message.get("truncated"):
                # This process has no room for the sockets: the ports are as good as none.
                _close_all(descriptors)
                self.failed("too many open files: a block of media ports was not taken")
                self._answered(message)
                self._found.append(Exhausted(message["realm"], message["address"]))
            case "block":
                self._answered(message)
                block = block_from(message, descriptors)
                self._blocks.append(block)
                self._found.append(block)
            case "exhausted":
                self._answered(message)
                self._found.append(Exhausted(message["realm"], message["address"]))
            case "drain":
                self._drain(message["deadline_s"])
            case _:
                _close_all(descriptors)

    def _answered(self, message: Message) -> None:
        realm, address = message["realm"], message["address"]
        for need in ((realm, address), (realm, ANY_OF[family_of(address)]), (realm, "")):
            if need in self._needs:
                self._needs.remove(need)
                return

    def _drain(self, deadline_s: float) -> None:
        if not self._draining:
            self._draining = True
            if self._child is not None:
                self._child.final = True
            self._found.append(Drain(deadline_s))

    def _change_supervisor(self, child: lifeline.Child) -> None:
        """Give the adopter copies of everything that it must keep for a successor of ours."""
        line = child.take_adopter()
        start = self._start
        if line is None or start is None:
            return
        self._unwatch_line()
        self._line.close()
        self._line = line
        self._watch_line()
        self._send(
            {"t": "kept", "blocks": len(self._blocks)}, [start.listener.fileno(), start.table]
        )
        for block in self._blocks:
            self._send(block_message(block), [one.fileno() for one in block.sockets])
        for realm, address in self._needs:
            self._send({"t": "need", "realm": realm, "address": address})

    def _tell_facts(self) -> None:
        assert self._child is not None  # noqa: S101
        assert self._start is not None  # noqa: S101
        self._child.facts = {
            "slot": self._start.slot,
            "generation": self._start.generation,
            "running": self._running,
        }

    def _send(self, message: Message, descriptors: Sequence[int] = ()) -> None:
        # EMFILE cannot happen (nothing is opened); ETOOMANYREFS ends the line, and the supervisor
        # then finds a worker that it cannot talk to: it replaces it.
        try:
            self._line.send(message, descriptors)
        except OSError:
            self._line.ended = True
        self._watch_line()

    def _flush(self) -> None:
        try:
            self._line.flush()
        except OSError:
            self._line.ended = True
        self._watch_line()

    def _watch_line(self) -> None:
        """Poll the line for what it needs now; a line that has ended would be readable for ever."""
        wanted = None
        if not self._line.ended:
            events = select.EPOLLIN | (select.EPOLLOUT if self._line.waiting else 0)
            wanted = (self._line.fileno(), events)
        if wanted == self._registered:
            return
        if self._registered is None and wanted is not None:
            self._poll.register(*wanted)
        elif wanted is None:
            self._unwatch_line()
        elif wanted is not None:
            self._poll.modify(*wanted)
        self._registered = wanted

    def _unwatch_line(self) -> None:
        if self._registered is not None:
            with suppress(OSError):
                self._poll.unregister(self._registered[0])
            self._registered = None


def handoff_path(run_dir: str, slot: int) -> str:
    """Where the worker in this slot listens for a supervisor that would adopt it."""
    return os.path.join(run_dir, f"handoff-{slot}.sock")


def start_message(
    *, slot: int, generation: int, settings: RelaySettings, rows: int, blocks: int
) -> Message:
    """A Start without its descriptors, which are (listener, table)."""
    return {
        "t": "start",
        "slot": slot,
        "generation": generation,
        "settings": settings.to_json(),
        "rows": rows,
        "blocks": blocks,
    }


def block_message(block: Block) -> Message:
    """A Block without its sockets."""
    return {
        "t": "block",
        "id": block.id,
        "realm": block.realm,
        "address": block.address,
        "ports": block.ports,
        "row": block.row,
    }


def block_from(message: Message, descriptors: list[int]) -> Block:
    """The reverse of `block_message`, with sockets that are now ours."""
    sockets = [socket.socket(fileno=descriptor) for descriptor in descriptors]
    for one in sockets:
        one.setblocking(False)  # they are; the objects do not know it
    return Block(
        id=message["id"],
        realm=message["realm"],
        address=message["address"],
        ports=tuple(message["ports"]),
        row=message["row"],
        sockets=sockets,
    )


def _start(message: Message, descriptors: list[int]) -> Start:
    if message.get("t") != "start" or len(descriptors) != 2:
        _close_all(descriptors)
        raise LineError(errno.EPROTO, "expected a start with two descriptors")
    listener = socket.socket(fileno=descriptors[0])
    listener.setblocking(False)
    return Start(
        slot=message["slot"],
        generation=message["generation"],
        settings=RelaySettings.from_json(message["settings"]),
        rows=message["rows"],
        blocks=message["blocks"],
        listener=listener,
        table=descriptors[1],
    )


def _close_all(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
