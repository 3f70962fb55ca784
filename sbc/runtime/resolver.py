"""Questions of the core to the DNS, and the answers back to it.

One task for each question that is out; the same question asked again meanwhile costs nothing.
Each has a deadline, and each is answered: by what a server said, or by that none did. dnspython
does the asking: a fresh socket and number for each try, answers that do not fit the question are
passed over, TCP where UDP was cut short. It takes more than a second to import, so it is loaded
where names are first needed, at the start or in a thread.
"""

from __future__ import annotations

import importlib
import logging
import os
from collections.abc import Callable, Iterable
from typing import Any, Final

import trio

from sbc.resolve.records import (
    Address,
    Answer,
    Kind,
    Naptr,
    Outcome,
    Question,
    Record,
    Srv,
    name_of,
)
from sbc.settings import DnsSettings

__all__ = ["Resolver"]

_log = logging.getLogger(__name__)

_MOST_ASKED: Final = 1024
_MOST_AT_ONCE: Final = 64
_TRIES: Final = 2
"""How often each server is asked within the deadline: a datagram may be lost."""
_PAYLOAD_BYTES: Final = 1232
"""What EDNS offers: fits every path without fragments (dnsflagday.net/2020)."""
_MOST_RECORDS: Final = 64
_RESOLV_CONF: Final = "/etc/resolv.conf"


class Resolver:
    """Asks, and never keeps anybody waiting for longer than the deadline.

    Args:
        settings: whom, and for how long.
        answered: takes each question with its answer, exactly once; called from a task.
        resolv_conf: where the system's servers are written.
    """

    def __init__(
        self,
        settings: DnsSettings,
        answered: Callable[[Question, Answer], None],
        resolv_conf: str = _RESOLV_CONF,
    ) -> None:
        self.settings = settings
        self._answered = answered
        self._resolv_conf = resolv_conf
        self._out: set[Question] = set()
        self._early: list[Question] = []
        """Asked before `run` was ready."""
        self._wake = trio.Event()
        self._nursery: trio.Nursery | None = None
        self._limit = trio.CapacityLimiter(_MOST_AT_ONCE)
        self._dns: Any = None
        """The modules of dnspython, once they are loaded."""
        self._resolver: Any = None
        self._read_at: float | None = None
        """When the file of the system's servers was written that we have read."""

    def ask(self, questions: Iterable[Question]) -> None:
        """Ask for each of these that is not out already. Does not wait, raises nothing."""
        for question in questions:
            if question in self._out or len(self._out) >= _MOST_ASKED:
                continue  # the core asks again for what is still missing
            self._out.add(question)
            if self._nursery is None:
                self._early.append(question)
                self._wake.set()
            else:
                self._nursery.start_soon(self._ask, question)

    def load(self) -> None:
        """Import what asking takes: more than a second the first time."""
        self._dns = _Dns()

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled."""
        task_status.started()
        if self._dns is None:
            await self._wake.wait()
            await trio.to_thread.run_sync(self.load)
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            for question in self._early:
                nursery.start_soon(self._ask, question)
            self._early.clear()
            await trio.sleep_forever()

    async def _ask(self, question: Question) -> None:
        answer = Answer(Outcome.FAILED, server=f"no answer within {self.settings.timeout_s:g} s")
        async with self._limit:
            with trio.move_on_after(self.settings.timeout_s):
                answer = await self._resolve(question)
        if answer.outcome is Outcome.FAILED:
            _log.debug("dns.failed name=%s kind=%s reason=%s", *question, answer.server)
        self._out.discard(question)
        self._answered(question, answer)

    async def _resolve(self, question: Question) -> Answer:
        """One question, all servers."""
        dns, resolver = self._dns, self._configured()
        if not resolver.nameservers:
            return Answer(Outcome.FAILED, server="no DNS server is known")
        try:
            found = await resolver.resolve(
                question.name + ("" if self._searched(question.name) else "."),
                question.kind.name,
                search=self._searched(question.name),
                raise_on_no_answer=False,
                backend=dns.backend,
            )
        except dns.NXDOMAIN as error:
            return Answer(Outcome.NO_NAME, (), _denied_for(error), "")
        except (dns.DNSException, OSError, ValueError) as error:
            return Answer(Outcome.FAILED, server=_why(error))
        server = f"{found.nameserver}:{found.port}"
        self._prefer(found.nameserver, found.port)
        if found.rrset is None:
            return Answer(Outcome.NO_DATA, (), found.chaining_result.minimum_ttl, server)
        records = tuple(_record(question.kind, one) for one in list(found.rrset)[:_MOST_RECORDS])
        return Answer(Outcome.FOUND, records, found.chaining_result.minimum_ttl, server)

    def _searched(self, name: str) -> bool:
        """Whether search domains may complete a name: one without a dot, below its service."""
        labels = [label for label in name.split(".") if not label.startswith("_")]
        return self.settings.search and len(labels) == 1

    def _configured(self) -> Any:  # noqa: ANN401 (dnspython is imported late)
        """dnspython's resolver; read anew when the system's file has changed."""
        dns, settings = self._dns, self.settings
        written = _written_at(self._resolv_conf)
        if self._resolver is not None and (
            self._read_at == written or (settings.servers and not settings.search)
        ):
            return self._resolver
        self._read_at = written
        resolver = self._resolver = dns.Resolver(configure=False)
        if not settings.servers or settings.search:
            try:
                resolver.read_resolv_conf(self._resolv_conf)
            except (dns.DNSException, OSError, ValueError) as error:
                _log.warning("dns.unconfigured file=%s reason=%s", self._resolv_conf, error)
        if settings.servers:
            resolver.nameservers = [
                dns.Do53Nameserver(host, port) for host, port in settings.servers
            ]
        else:
            resolver.nameservers = [
                dns.Do53Nameserver(host) for host in resolver.nameservers if isinstance(host, str)
            ]
        tries = max(1, len(resolver.nameservers)) * _TRIES
        resolver.timeout = max(0.1, settings.timeout_s / tries)
        resolver.lifetime = settings.timeout_s
        resolver.use_edns(0, 0, _PAYLOAD_BYTES)
        return resolver

    def _prefer(self, host: str, port: int) -> None:
        """Begin with the server that has just answered: those before it were silent."""
        servers = self._resolver.nameservers
        first = servers[0]
        if (first.address, first.port) != (host, port):
            self._resolver.nameservers = sorted(
                servers, key=lambda one: (one.address, one.port) != (host, port)
            )


class _Dns:
    """What we use of dnspython."""

    def __init__(self) -> None:
        asyncbackend = importlib.import_module("dns.asyncbackend")
        asyncresolver = importlib.import_module("dns.asyncresolver")
        nameserver = importlib.import_module("dns.nameserver")
        exception = importlib.import_module("dns.exception")
        resolver = importlib.import_module("dns.resolver")
        for kind in ("IN.A", "IN.AAAA", "IN.SRV", "IN.NAPTR", "ANY.SOA", "ANY.CNAME"):
            importlib.import_module(f"dns.rdtypes.{kind}")
        self.backend = asyncbackend.get_backend("trio")
        self.Resolver = asyncresolver.Resolver
        self.Do53Nameserver = nameserver.Do53Nameserver
        self.DNSException: type[Exception] = exception.DNSException
        self.NXDOMAIN: type[Exception] = resolver.NXDOMAIN


def _record(kind: Kind, rdata: Any) -> Record:  # noqa: ANN401
    """One of dnspython's records as the core has them."""
    match kind:
        case Kind.A | Kind.AAAA:
            return Address(rdata.address)
        case Kind.SRV:
            target = name_of(rdata.target.to_text())
            return Srv(rdata.priority, rdata.weight, rdata.port, target)
        case Kind.NAPTR:
            return Naptr(
                rdata.order,
                rdata.preference,
                _text(rdata.flags),
                _text(rdata.service),
                _text(rdata.regexp),
                name_of(rdata.replacement.to_text()),
            )


def _text(value: bytes) -> str:
    return value.decode("ascii", "replace").upper()


def _denied_for(error: Any) -> float:  # noqa: ANN401
    """Seconds for which the name is not there (RFC 2308 §5)."""
    responses = error.responses().values()
    return float(min((one.resolve_chaining().minimum_ttl for one in responses), default=0))


def _why(error: Exception) -> str:
    """The first line, for an operator."""
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _written_at(path: str) -> float | None:
    try:
        return os.stat(path).st_mtime
    except OSError:
        return None
