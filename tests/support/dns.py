"""A DNS server that says what a test wants it to: truly, late, cut short, falsely or not at all.

It listens on UDP and TCP of one address in 127/8, on a port of its own, in a thread, so that a
border in another process can ask it while the test does something else.
"""

from __future__ import annotations

import select
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

__all__ = ["Asked", "DnsServer"]

_SOA = "ns.example. admin.example. 1 3600 600 86400 {minimum}"


@dataclass(slots=True)
class Asked:
    """One question that came."""

    name: str
    kind: str
    tcp: bool


class DnsServer:
    """Authoritative for everything: what it does not have is not there. A context manager.

    Args:
        host: its address.
        minimum_s: how long a denial may be kept (the SOA's last field).
    """

    def __init__(self, host: str = "127.0.0.53", minimum_s: int = 60) -> None:
        self.asked: list[Asked] = []
        self.silent = False
        """Answers nothing any more."""
        self.delay_s = 0.0
        self.truncate = False
        """Over UDP: nothing but the TC bit."""
        self.failing = False
        """SERVFAIL."""
        self.lie: Callable[[dns.message.Message], list[bytes]] | None = None
        """What is sent ahead of each answer over UDP."""
        self._minimum_s = minimum_s
        self._records: dict[tuple[str, str], tuple[int, tuple[str, ...]]] = {}
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._udp.bind((host, 0))
        self.host, self.port = host, self._udp.getsockname()[1]
        self._tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._tcp.bind((host, self.port))
        self._tcp.listen(8)
        self._end, self._ending = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def address(self) -> str:
        """As in a configuration."""
        return f"{self.host}:{self.port}"

    def __enter__(self) -> DnsServer:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ending.close()
        self._thread.join()
        for one in (self._udp, self._tcp, self._end):
            one.close()

    def has(self, name: str, kind: str, *values: str, ttl: int = 60) -> None:
        """From now on, these are the records of `name`; no values: none."""
        key = (name.lower().rstrip("."), kind)
        if values:
            self._records[key] = (ttl, values)
        else:
            self._records.pop(key, None)

    def count(self, name: str, kind: str) -> int:
        """How often it was asked for this."""
        return sum((one.name, one.kind) == (name, kind) for one in self.asked)

    def _serve(self) -> None:
        while True:
            ready, _, _ = select.select([self._udp, self._tcp, self._end], [], [])
            if self._end in ready:
                return
            if self._udp in ready:
                data, source = self._udp.recvfrom(65_535)
                for answer in self._answers(data, tcp=False):
                    self._udp.sendto(answer, source)
            if self._tcp in ready:
                connection, _ = self._tcp.accept()
                with connection, suppress(OSError, struct.error):
                    connection.settimeout(2.0)
                    (length,) = struct.unpack("!H", connection.recv(2, socket.MSG_WAITALL))
                    data = connection.recv(length, socket.MSG_WAITALL)
                    for answer in self._answers(data, tcp=True):
                        connection.sendall(struct.pack("!H", len(answer)) + answer)

    def _answers(self, data: bytes, *, tcp: bool) -> list[bytes]:
        query = dns.message.from_wire(data)
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        kind = dns.rdatatype.to_text(question.rdtype)
        self.asked.append(Asked(name, kind, tcp))
        if self.silent:
            return []
        time.sleep(self.delay_s)
        response = dns.message.make_response(query, recursion_available=True)
        if self.failing:
            response.set_rcode(dns.rcode.SERVFAIL)
        elif self.truncate and not tcp:
            response.flags |= dns.flags.TC
        else:
            self._fill(response, name, kind)
        lies = self.lie(query) if self.lie is not None and not tcp else []
        return [*lies, response.to_wire()]

    def _fill(self, response: dns.message.Message, name: str, kind: str) -> None:
        for _ in range(32):  # aliases, in circles too
            found = self._records.get((name, kind))
            alias = self._records.get((name, "CNAME"))
            for rrtype, one in ((kind, found), ("CNAME", alias)):
                if one is not None:
                    response.answer.append(
                        dns.rrset.from_text(f"{name}.", one[0], "IN", rrtype, *one[1])
                    )
                    break
            if found is not None or alias is None:
                break
            name = alias[1][0].rstrip(".").lower()
        else:
            return
        if found is None:
            if not any(known == name for known, _ in self._records):
                response.set_rcode(dns.rcode.NXDOMAIN)
            text = _SOA.format(minimum=self._minimum_s)
            response.authority.append(dns.rrset.from_text("example.", 600, "IN", "SOA", text))
