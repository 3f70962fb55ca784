"""A worker that forwards nothing: it echoes on its media ports and answers questions.

Started by a pool in place of `-m relay worker`. FAKE_WORKER in its environment says what it is
to do wrong. On its control listener each line is a command; the answer is one JSON line.
"""

from __future__ import annotations

import json
import os
import select
import socket
import sys
import time

from relay.handoff import Block, Drain, Exhausted, Start, WorkerPort


class FakeWorker:
    def __init__(self, port: WorkerPort, start: Start) -> None:
        self.port = port
        self.start = start
        self.blocks: list[Block] = []
        self.exhausted: list[tuple[str, str]] = []
        self.running = False
        self.drain_at: float | None = None
        self.media: dict[int, socket.socket] = {}
        self.clients: dict[int, socket.socket] = {}
        self.poll = select.epoll()
        self.poll.register(port.fileno(), select.EPOLLIN)

    def run(self) -> int:
        while self.drain_at is None or time.monotonic() < self.drain_at:
            for descriptor, _ in self.poll.poll(0.1):
                if descriptor in self.media:
                    self.echo(self.media[descriptor])
                elif descriptor in self.clients:
                    self.answer(self.clients[descriptor])
                elif descriptor == self.start.listener.fileno():
                    client, _ = self.start.listener.accept()
                    self.clients[client.fileno()] = client
                    self.poll.register(client.fileno(), select.EPOLLIN)
            for message in self.port.receive(time.monotonic()):
                self.take(message)
            if not self.running and len(self.blocks) == self.start.blocks:
                self.running = True
                self.poll.register(self.start.listener.fileno(), select.EPOLLIN)
                os.ftruncate(self.start.table, self.start.rows * 8)
                self.port.running()
            if self.running:
                self.port.alive()
        return 0

    def take(self, message: Block | Exhausted | Drain) -> None:
        match message:
            case Block():
                self.blocks.append(message)
                for one in message.sockets:
                    self.media[one.fileno()] = one
                    self.poll.register(one.fileno(), select.EPOLLIN)
            case Exhausted(realm, address):
                self.exhausted.append((realm, address))
            case Drain(deadline_s):
                stubborn = os.environ.get("FAKE_WORKER") == "stubborn"
                self.drain_at = time.monotonic() + (60.0 if stubborn else min(deadline_s, 0.05))

    def echo(self, one: socket.socket) -> None:
        data, source = one.recvfrom(2048)
        one.sendto(data, source)

    def answer(self, client: socket.socket) -> None:
        line = client.recv(4096)
        if not line:
            self.poll.unregister(client.fileno())
            del self.clients[client.fileno()]
            client.close()
            return
        match line.split():
            case [b"need", realm]:
                self.port.need(realm.decode())
            case [b"write", value]:
                os.pwrite(self.start.table, value, 0)
            case [b"exit", code]:
                os._exit(int(code))
            case _:
                pass
        client.sendall(json.dumps(self.facts()).encode() + b"\n")

    def facts(self) -> dict[str, object]:
        return {
            "pid": os.getpid(),
            "slot": self.start.slot,
            "generation": self.start.generation,
            "orphaned": self.port.orphaned,
            "table": os.pread(self.start.table, 16, 0).rstrip(b"\0").decode(),
            "exhausted": self.exhausted,
            "blocks": [[b.id, b.realm, b.address, list(b.ports), b.row] for b in self.blocks],
            "names": [one.getsockname()[1] for b in self.blocks for one in b.sockets],
        }


def main() -> int:
    options = dict(zip(sys.argv[1::2], sys.argv[2::2], strict=True))
    fault = os.environ.get("FAKE_WORKER", "")
    port = WorkerPort(int(options["--fd"]), int(options["--lifeline-fd"]))
    start = port.wait_for_start()
    if start is None:
        return 0
    if fault == "settings":
        port.failed("fast path native: not built")
        return 2
    if fault == "dies":
        return 1
    return FakeWorker(port, start).run()


if __name__ == "__main__":
    sys.exit(main())
