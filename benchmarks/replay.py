"""What protocol work costs, µs for each kind of message: whole calls on a virtual clock.

`python -m benchmarks.replay` feeds the sans-I/O core with the messages of thousands of calls at
one rate, as two peers would send them, and takes the thread's CPU time around each. No two calls
share a number, a user, a Call-ID or a media port, so that caches see what they would see in
service. What goes to a relay worker is encoded and its answers are decoded, records become JSON
and milestones log lines, as in the running border; nothing is read or written, nothing waits: the
ratios hold on any machine.
"""

from __future__ import annotations

import argparse
import gc
import heapq
import io
import random
import re
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from benchmarks import report
from relay.control.codec import Decoder, Request, Response, encode
from relay.control.messages import CallStats, DirectionStats, Inject, Method, Plan, StreamStats
from sbc.call.border import Border
from sbc.call.media.leases import LocalPort
from sbc.config.load import load
from sbc.runtime.journal import Journal
from sbc.transaction.hop import UDP, Hop, Sources

CONFIG: Final = """\
run_dir: {folder}/run
state_dir: {folder}/state
realms:
  inside:
    listen: ["udp:127.0.1.1:5060"]
    media: {{ address: 127.0.1.1, ports: 10000-32767 }}
  outside:
    listen: ["udp:127.0.2.1:5060"]
    media: {{ address: 127.0.2.1, ports: 10000-32767 }}
trunks:
  pbx: {{ realm: inside, peers: ["127.0.1.10:5060"] }}
  carrier: {{ realm: outside, peers: ["127.0.2.10:5060"] }}
routes:
  - {{ from: pbx, to: carrier }}
  - {{ from: carrier, to: pbx }}
"""

KINDS: Final = ("INVITE", "100", "180", "200", "ACK", "BYE", "200 to BYE")
"""What arrives in one call, in this order."""
OTHERS: Final = ("timers", "relay's answers", "flush")
"""What else is done for a call."""
RING_S, NETWORK_S, TICK_S = 0.1, 0.005, 0.02

SDP: Final = (
    b"v=0\r\no=%b %d 2353687637 IN IP4 %b\r\ns=call\r\nc=IN IP4 %b\r\nt=0 0\r\n"
    b"m=audio %d RTP/AVP 0 8 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n"
    b"a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n"
)


def main() -> None:
    options = _options()
    runs = []
    for repeat in range(options.repeats):
        report.progress(f"repeat {repeat + 1} of {options.repeats}: {options.calls} calls")
        runs.append(_run(options))
    parameters = {
        "calls": options.calls,
        "calls/s": options.rate,
        "hold s": options.hold,
        "repeats": options.repeats,
        "seed": options.seed,
    }
    report.save("replay", parameters, {"runs": runs}, _page(runs), options.output)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=4000)
    parser.add_argument("--rate", type=float, default=1000.0, help="calls/s of virtual time")
    parser.add_argument("--hold", type=float, default=5.0, help="seconds from answer to BYE")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, default=report.RESULTS)
    return parser.parse_args()


class _Relay:
    """A worker's connection: what is asked is encoded, as `sbc.runtime.relay_client` does it."""

    def __init__(self) -> None:
        self._asked: dict[int, tuple[Method, str]] = {}
        self._out = bytearray()
        self._decoder = Decoder()
        self._last = 0

    def apply(self, slot: int, plan: Plan) -> None:
        self._ask(Method.APPLY, plan.to_body(), plan.call)

    def remove(self, slot: int, key: str) -> None:
        self._ask(Method.REMOVE, key, key)

    def inject(self, slot: int, wish: Inject) -> None:
        """Nobody dials here."""

    def give_back(self, slot: int, ports: list[LocalPort]) -> None:
        self._ask(Method.GIVE_BACK, list(ports))

    def answers(self) -> bytes:
        """What the worker sends back for all that was asked."""
        self._out.clear()
        frames = []
        for identifier, (method, key) in self._asked.items():
            result: object = 1 if method is Method.APPLY else _stats(key).to_body()
            frames.append(encode(Response(identifier, result)))
        return b"".join(frames)

    def hear(self, data: bytes, border: Border, now: float) -> None:
        """Take its answers."""
        for frame in self._decoder.feed(data):
            assert isinstance(frame, Response)
            method, key = self._asked.pop(frame.id)
            if method is Method.REMOVE:
                border.relay_removed(key, CallStats.from_body(frame.result), now)

    def _ask(self, method: Method, body: object, key: str) -> None:
        self._last += 1
        self._asked[self._last] = (method, key)
        self._out += encode(Request(self._last, method, body))


class _Nowhere(io.StringIO):
    """A log that nobody keeps."""

    def write(self, text: str) -> int:
        return len(text)


class _Replay:
    """Two peers, the network between them and us, and a clock that jumps."""

    def __init__(self, border: Border, relay: _Relay, sent: list[tuple[Hop, bytes]]) -> None:
        self.border = border
        self.relay = relay
        self.sent = sent
        self.spent_ns: defaultdict[str, int] = defaultdict(int)
        self.counted: defaultdict[str, int] = defaultdict(int)
        self.bytes_in = 0
        self.finished = 0
        self.most_transactions = 0
        self._due: list[tuple[float, int, str, bytes, Hop]] = []
        self._serial = 0
        self._inside = Hop("inside", 0, UDP, "127.0.1.10", 5060)
        self._outside = Hop("outside", 1, UDP, "127.0.2.10", 5060)
        self._sources = Sources("inside", 0), Sources("outside", 1)
        self._hold_s = 5.0
        self._next_port = 10_000
        self._called_port = 10_000
        self._journal = Journal("info", False, _Nowhere())

    def run(self, calls: int, rate: float, hold_s: float) -> None:
        """All calls, then until every transaction has ended."""
        self._hold_s = hold_s
        for number in range(calls):
            self._arrive(number / rate, "INVITE", _invite(number), self._inside)
        now, last = 0.0, calls / rate + RING_S + hold_s + 1 + 34
        while now < last or self._due:
            while self._due and self._due[0][0] <= now:
                at, _, kind, data, hop = heapq.heappop(self._due)
                self.bytes_in += len(data)
                self._timed(kind, lambda d=data, h=hop, t=at: self._receive(d, h, t))  # type: ignore[misc]
                self._react(at)
            self._timed("timers", lambda t=now: self.border.tick(t))  # type: ignore[misc]
            self._react(now)
            heard = self.relay.answers()
            self._timed(
                "relay's answers",
                lambda d=heard, t=now: self.relay.hear(d, self.border, t),  # type: ignore[misc]
            )
            self._timed("flush", self._flush)
            self._lease()
            self.most_transactions = max(self.most_transactions, len(self.border.core.layer))
            now += TICK_S

    def _receive(self, data: bytes, source: Hop, now: float) -> None:
        """As the server does it: the address that a socket tells is made a hop."""
        sources = self._sources[source.listener]
        self.border.receive(data, sources[str(source.host), source.port], now)

    def _flush(self) -> None:
        """As the server does it, but for the writing."""
        border, core = self.border, self.border.core
        border.flush()
        b"\n".join([record.to_json() for record in core.records])
        self.finished += len(core.records)
        core.records.clear()
        self._journal.write(core.milestones)
        core.milestones.clear()

    def _lease(self) -> None:
        """Media ports, as a worker grants them; not measured."""
        for want in self.border.core.leases.wanted():
            host = "127.0.1.1" if want.pool == "inside" else "127.0.2.1"
            ports = [(host, self._port()) for _ in range(want.count)]
            self.border.relay_leased(want.slot, want.pool, ports)

    def _port(self) -> int:
        self._next_port = _next_port(self._next_port)
        return self._next_port

    def _timed(self, kind: str, step: Callable[[], None]) -> None:
        clock = time.thread_time_ns
        before = clock()
        step()
        self.spent_ns[kind] += clock() - before
        self.counted[kind] += 1

    def _arrive(self, at: float, kind: str, data: bytes, hop: Hop) -> None:
        self._serial += 1
        heapq.heappush(self._due, (at, self._serial, kind, data, hop))

    def _react(self, now: float) -> None:
        """The peers answer what we sent."""
        batch = self.sent[:]
        self.sent.clear()
        at = now + NETWORK_S
        for hop, data in batch:
            if hop.realm == "outside":
                self._called(data, at)
            else:
                self._caller(data, at)

    def _called(self, data: bytes, at: float) -> None:
        if data.startswith(b"INVITE "):
            self._arrive(at, "100", _reply(data, b"100 Trying", b""), self._outside)
            self._arrive(at, "180", _reply(data, b"180 Ringing", b"", tag=True), self._outside)
            self._called_port = _next_port(self._called_port)
            host = b"127.0.2.10"
            body = SDP % (b"bob", self._called_port, host, host, self._called_port)
            answer = _reply(data, b"200 OK", body, tag=True)
            self._arrive(at + RING_S, "200", answer, self._outside)
        elif data.startswith(b"BYE "):
            self._arrive(at, "200 to BYE", _reply(data, b"200 OK", b""), self._outside)

    def _caller(self, data: bytes, at: float) -> None:
        if not data.startswith(b"SIP/2.0 200") or b" INVITE\r\n" not in data:
            return
        self._arrive(at, "ACK", _in_dialog(b"ACK", 1, data), self._inside)
        self._arrive(at + self._hold_s, "BYE", _in_dialog(b"BYE", 2, data), self._inside)


def _run(options: argparse.Namespace) -> dict[str, Any]:
    chance = random.Random(options.seed)  # noqa: S311 (a replay must repeat itself)
    with tempfile.TemporaryDirectory(prefix="sbc-bench-") as folder:
        config = Path(folder, "sbc.yaml")
        config.write_text(CONFIG.format(folder=folder))
        settings = load(str(config))
    sent: list[tuple[Hop, bytes]] = []
    relay = _Relay()
    border = Border(
        settings,
        key=b"benchmark-key-0000",
        random=chance.randbytes,
        transmit=lambda hop, data: sent.append((hop, data)),
        relay=relay,
        wall_offset_s=1.8e9,
    )
    border.relay_up(0)
    replay = _Replay(border, relay, sent)
    replay._lease()
    overhead_ns = _overhead()
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        replay.run(options.calls, options.rate, options.hold)
    finally:
        gc.enable()
        gc.unfreeze()
    status = border.status()
    if replay.finished != options.calls or status["calls"] or status["transactions"]:
        raise RuntimeError(f"{replay.finished} of {options.calls} calls ended well: {status}")
    each = {
        kind: (spent / replay.counted[kind] - overhead_ns) / 1000
        for kind, spent in replay.spent_ns.items()
    }
    calls = {kind: each[kind] * replay.counted[kind] / options.calls for kind in replay.spent_ns}
    return {
        "us_each": each,
        "us_per_call": calls,
        "counted": dict(replay.counted),
        "messages_us_per_call": sum(calls[kind] for kind in KINDS),
        "total_us_per_call": sum(calls.values()),
        "most_transactions": replay.most_transactions,
        "bytes_in": replay.bytes_in,
    }


def _overhead() -> float:
    """What two readings of the clock and an empty step cost, ns."""
    clock = time.thread_time_ns
    spent = 0
    for _ in range(10_000):
        before = clock()
        (lambda: None)()
        spent += clock() - before
    return spent / 10_000


def _invite(number: int) -> bytes:
    caller = b"%d" % (number * 7 % 90_000 + 10_000)
    host, port = b"127.0.1.10", number * 2 % 22_000 + 10_000
    body = SDP % (caller, number, host, host, port)
    head = (
        f"INVITE sip:{number + 100}@127.0.1.1:5060 SIP/2.0\r\n"
        f"Via: SIP/2.0/UDP 127.0.1.10:5060;branch=z9hG4bK-{number}-invite;rport\r\n"
        f'From: "Alice Example" <sip:{caller.decode()}@127.0.1.10:5060>;tag=from{number}\r\n'
        f"To: <sip:{number + 100}@127.0.1.1:5060>\r\nCall-ID: {number}-replay@127.0.1.10\r\n"
        f"CSeq: 1 INVITE\r\nContact: <sip:{caller.decode()}@127.0.1.10:5060>\r\n"
        "Max-Forwards: 70\r\n"
        "Subject: a call\r\nAllow: INVITE, ACK, CANCEL, BYE, OPTIONS\r\nSupported: replaces\r\n"
        "User-Agent: Example-Phone/1.0\r\nAccept: application/sdp\r\n"
        f"Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


_COPIED: Final = re.compile(rb"^(?:Via|From|Call-ID|CSeq): [^\r]*\r\n", re.M)
_TO: Final = re.compile(rb"^To: ([^\r]*)\r\n", re.M)
_FROM: Final = re.compile(rb"^From: [^\r]*\r\n", re.M)
_CALL_ID: Final = re.compile(rb"^Call-ID: ([^\r]*)\r\n", re.M)
_CONTACT: Final = re.compile(rb"^Contact: <([^>]*)>", re.M)


def _reply(request: bytes, status: bytes, body: bytes, *, tag: bool = False) -> bytes:
    head, _, _ = request.partition(b"\r\n\r\n")
    head += b"\r\n"
    to, call_id = _first(_TO, head), _first(_CALL_ID, head)
    if tag:
        to += b";tag=to-" + call_id[:24]
    lines = [b"SIP/2.0 ", status, b"\r\n", *_COPIED.findall(head), b"To: ", to, b"\r\n"]
    if tag:
        lines.append(b"Contact: <sip:bob@127.0.2.10:5060>\r\nServer: Example-Phone/1.0\r\n")
        lines.append(b"Allow: INVITE, ACK, CANCEL, BYE, OPTIONS\r\n")
    if body:
        lines.append(b"Content-Type: application/sdp\r\n")
    return b"".join(lines) + b"Content-Length: %d\r\n\r\n" % len(body) + body


def _in_dialog(method: bytes, cseq: int, answer: bytes) -> bytes:
    """A request of the caller in the dialog that `answer` made."""
    call_id = _first(_CALL_ID, answer)
    found = _FROM.search(answer)
    assert found is not None
    return (
        b"%b %b SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.1.10:5060;branch=z9hG4bK-%b-%b;rport\r\n"
        b"%bTo: %b\r\nCall-ID: %b\r\nCSeq: %d %b\r\nMax-Forwards: 70\r\n"
        b"User-Agent: Example-Phone/1.0\r\nContent-Length: 0\r\n\r\n"
    ) % (
        method,
        _first(_CONTACT, answer),
        call_id.partition(b"-")[0],
        method,
        found[0],
        _first(_TO, answer),
        call_id,
        cseq,
        method,
    )


def _first(pattern: re.Pattern[bytes], text: bytes) -> bytes:
    found = pattern.search(text)
    if found is None:
        raise RuntimeError(f"no {pattern.pattern!r} in {text!r}")
    return found[1]


def _next_port(port: int) -> int:
    """The even ports of a range, one after the other."""
    return port + 2 if port < 32_000 else 10_000


def _stats(key: str) -> CallStats:
    way = DirectionStats(
        *(250, 43_000, 0, 0.25, 20.5, 2, {}, 5.0, 0.01, 0x1234_5678),
        latched=("127.0.1.10", 40_000),
        payload_types=[0],
    )
    return CallStats(key, 2, [StreamStats(0, "audio", way, way)])


def _page(runs: list[dict[str, Any]]) -> str:
    rows: list[list[object]] = []
    for kind in (*KINDS, *OTHERS):
        each = [run["us_each"].get(kind, 0.0) for run in runs]
        rows.append(
            [
                kind,
                runs[0]["counted"].get(kind, 0),
                report.median(each),
                min(each),
                max(each),
                report.median(run["us_per_call"].get(kind, 0.0) for run in runs),
            ]
        )
    for name, key in (("messages", "messages_us_per_call"), ("all", "total_us_per_call")):
        values = [run[key] for run in runs]
        rows.append([f"sum of {name}", None, None, min(values), max(values), report.median(values)])
    columns = ["kind", "times", "µs each", "min", "max", "µs a call"]
    most = report.median(run["most_transactions"] for run in runs)
    return report.table(columns, rows) + f"\n\nMost transactions live at once: {most:.0f}."


if __name__ == "__main__":
    main()
