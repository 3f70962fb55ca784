"""Somebody beside live calls tries to be heard, to hear, and to disturb (RFC 7362 §5, "RTP Bleed").

One border for each fast path carries a call of each kind, all at once. The attacker sends from an
address of its own, and under those of others: all but the exact address and port of a peer, which
plain RTP cannot tell from the peer; that one, too, where the media is SRTP. Outside over IPv4, and
over IPv6 in a network of the test's own.
"""

from __future__ import annotations

import base64
import random
import re
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from relay.rtp.session import SrtpSession
from relay.rtp.srtp import new_session
from tests.e2e.attacker import MARK, Address, Attacker, Forger, ammunition
from tests.e2e.phone import Call, Message, Phone, sdp
from tests.e2e.sides import INSIDE, OUTSIDE
from tests.e2e.tone import rtp, sender_report
from tests.support.border import Border, Shape, until
from tests.support.capture import Capture
from tests.support.netns import OwnNetwork

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

SUITE = "AES_CM_128_HMAC_SHA1_80"
SSRC = 0x5BC0FFEE
_PACKET = struct.Struct("!8sIQ")
"""Who speaks, which packet this is, when it was sent (monotonic ns)."""
_SR, _SDES = 200, 202


@dataclass(frozen=True, slots=True)
class Outside:
    """Where the outside is: an address family. The inside is 127.0.1 with each."""

    network: str
    """What its addresses begin with."""
    hidden: str
    """What a telephone behind NAT says of itself."""

    def host(self, last: int) -> str:
        return f"{self.network}{last}"

    @property
    def border(self) -> str:
        return self.host(1)

    @property
    def third(self) -> str:
        """The attacker's own address; outside every peer's range, inside no trunk."""
        return self.host(66)


IPV4 = Outside("127.0.2.", "192.168.77.5")
IPV6 = Outside("fd5b:c0de::", "fd5b:77::5")
THIRD_INSIDE = "127.0.2.66"
"""The attacker's own address where it attacks over IPv4."""


@dataclass(frozen=True, slots=True)
class Case:
    """The outside leg of a call. All of them have an inside leg that is not behind NAT."""

    trunk: Mapping[str, Any]
    hides: bool = False
    """Its SDP names an address that nobody can reach."""
    speaks_from: int = 0
    """The host that its media comes from; 0: where its SIP does."""
    guessable: bool = False
    """Before its peer has spoken, whoever speaks first is believed: the operator has said so."""

    @property
    def secure(self) -> bool:
        return "srtp" in self.trunk


_BEHIND_NAT = {"nat": "always"}
_SECURE = {"srtp": "required", "srtp_suites": [SUITE]}
CASES = {
    "not behind nat": Case({"nat": "never"}),
    "nat, signalled": Case(_BEHIND_NAT, hides=True),
    "nat, any": Case({**_BEHIND_NAT, "latch": "any"}, True, 24, guessable=True),
    "srtp": Case({"nat": "never", **_SECURE}),
    "srtp, nat": Case({**_BEHIND_NAT, **_SECURE}, True, 26),
}


def _host(outside: Outside, at: int) -> str:
    return outside.host(12 + at)


class Line:
    """One party's media: it says who it is in every packet, and judges every packet that comes."""

    def __init__(self, host: str, name: str, expects: str) -> None:
        self.host = host
        self.rtp, self.rtcp, self.port = _ports(host)
        self._name, self._expects = name.encode().ljust(8), expects.encode().ljust(8)
        self.seals: SrtpSession | None = None
        self.opens: SrtpSession | None = None
        self.target: Address | None = None
        self.sent = 0
        self.last: deque[bytes] = deque(maxlen=100)
        """Packets as they left."""
        self.last_rtcp = b""
        self.numbers: list[int] = []
        """Of the other party's packets, in the order in which they came."""
        self.delays_ms: list[float] = []
        self.foreign: list[bytes] = []
        """What came and is none of the other party's."""
        self.reports = 0

    def say(self) -> None:
        """One packet, and now and then a report."""
        if self.target is None:
            return
        payload = _PACKET.pack(self._name, self.sent, time.monotonic_ns()).ljust(160, b"\xd5")
        packet = _sealed(self.seals, rtp(self.sent, self.sent * 160, SSRC, payload))
        self.rtp.sendto(packet, self.target)
        self.last.append(packet)
        if self.sent % 25 == 5:
            report = sender_report(SSRC, "somebody")
            if self.seals is not None:
                sealed = self.seals.protect_rtcp(report)
                assert isinstance(sealed, bytes)
                report = sealed
            self.last_rtcp = report
            self.rtcp.sendto(report, (self.target[0], self.target[1] + 1))
        self.sent += 1

    def listen(self) -> None:
        """Everything that has come."""
        for data in _all(self.rtp):
            opened = data if self.opens is None else self.opens.unprotect(data)
            if not isinstance(opened, bytes) or len(opened) != 172:
                self.foreign.append(data)
                continue
            name, number, at = _PACKET.unpack_from(opened, 12)
            if name != self._expects or number in self.numbers[-50:]:
                self.foreign.append(opened)
                continue
            self.numbers.append(number)
            self.delays_ms.append((time.monotonic_ns() - at) / 1e6)
        for data in _all(self.rtcp):
            opened = data if self.opens is None else self.opens.unprotect_rtcp(data)
            if isinstance(opened, bytes) and MARK not in opened and _kinds(opened) <= {_SR, _SDES}:
                self.reports += 1
            else:
                self.foreign.append(data)

    def close(self) -> None:
        self.rtp.close()
        self.rtcp.close()


class Exchange:
    """All lines speak every 20 ms, in a thread of its own. A context manager."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self._speaking = False
        self._closing = False
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Exchange:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing = True
        self._thread.join(5)
        for line in self.lines:
            line.close()

    def line(self, host: str, name: str, expects: str) -> Line:
        line = Line(host, name, expects)
        self.lines.append(line)
        return line

    def begin(self) -> None:
        self._speaking = True

    def end(self) -> None:
        """Nobody speaks from now on, and what was said has arrived."""
        self._speaking = False
        time.sleep(0.3)

    def _run(self) -> None:
        due = time.monotonic()
        while not self._closing:
            lines = list(self.lines)
            if self._speaking and time.monotonic() >= due:
                due = max(due + 0.02, time.monotonic() - 0.1)
                for line in lines:
                    line.say()
            for line in lines:
                line.listen()
            time.sleep(0.001)


@dataclass(slots=True)
class Talk:
    """One call."""

    case: Case
    inside: Line
    outside: Line
    a_leg: Call
    b_leg: Call
    to_inside: Address
    """The border's port towards the inside."""
    to_outside: Address


@dataclass(slots=True)
class Battle:
    """What there is to say of it afterwards."""

    talks: dict[str, Talk] = field(default_factory=dict)
    reflected: list[bytes] = field(default_factory=list)
    """What the attacker was sent."""
    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    byes: list[str] = field(default_factory=list)
    """Requests that a party got from the border during the attack."""
    flooded: int = 0
    during_flood_ms: dict[str, list[float]] = field(default_factory=dict)
    """Delays of what both parties of a call heard then."""
    dropped: dict[str, int] = field(default_factory=dict)
    """By the worker, by reason."""


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(("python", IPV4), id="python"),
        pytest.param(("native", IPV4), id="native", marks=pytest.mark.native),
        pytest.param(
            ("native", IPV6), id="native-ipv6", marks=[pytest.mark.native, pytest.mark.netns]
        ),
    ],
)
def battle(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, recording: Capture
) -> Battle:
    """Everything at once: all calls up, all attacked before and after latching, two flooded."""
    fast_path, outside = request.param
    found, folder = Battle(), tmp_path_factory.mktemp("border")
    with ExitStack() as stack:
        if outside is IPV6:
            stack.enter_context(OwnNetwork([outside.host(last) for last in range(1, 90)]))
            recording = stack.enter_context(Capture(folder / "all.pcap"))
        border = stack.enter_context(Border(folder, _shape(fast_path, outside)))
        assert [one.fast_path for one in border.workers()] == [fast_path]
        caller = stack.enter_context(Phone(("127.0.1.10", 5060), INSIDE, ("127.0.1.1", 5060)))
        called = {
            name: stack.enter_context(
                Phone((_host(outside, at), 5060), OUTSIDE, (outside.border, 5060))
            )
            for at, name in enumerate(CASES)
        }
        exchange = stack.enter_context(Exchange())
        attacker = stack.enter_context(Attacker(list({THIRD_INSIDE, outside.third})))
        forger = stack.enter_context(Forger())
        for at, name in enumerate(CASES):
            found.talks[name] = _call(at, CASES[name], outside, exchange, caller, called[name])
        talks = list(found.talks.values())

        chance = random.Random(1)  # noqa: S311 - it is for a test
        for turn in range(20):
            for talk in talks:
                # Who comes from where nobody has named has to be listened to: after a flood of
                # others, a second later. That would be too late for a test of what is heard.
                if turn < 3 or not talk.case.speaks_from:
                    _attack(talk, talks, attacker, forger, chance, latched=False)
        exchange.begin()
        time.sleep(1.3)  # the longest learn window and some
        for _ in range(12):
            for talk in talks:
                _attack(talk, talks, attacker, forger, chance, latched=True)
            time.sleep(0.05)
        marks = {name: _heard_so_far(talk) for name, talk in found.talks.items()}
        found.flooded = _flood(talks, outside)
        for name, talk in found.talks.items():
            before = marks[name]
            found.during_flood_ms[name] = (
                talk.inside.delays_ms[before[0] :] + talk.outside.delays_ms[before[1] :]
            )
        exchange.end()
        found.reflected = attacker.received()
        for name, talk in found.talks.items():
            found.byes += _requests(caller, talk.a_leg) + _requests(called[name], talk.b_leg)
            talk.a_leg.request("BYE")
            talk.b_leg.hung_up()
        until(lambda: len(border.cdrs()) == len(CASES), 5, "all records")
        found.dropped = _dropped(border)
        for record in border.cdrs():
            found.records[list(CASES)[int(record["to_user"][0])]] = record
        found.reflected += [
            packet.payload
            for packet in recording.packets()
            if packet.target[0] in (THIRD_INSIDE, outside.third)
        ]
    return found


def test_nothing_comes_back(battle: Battle) -> None:
    assert battle.reflected == []


@pytest.mark.parametrize("name", CASES)
def test_nobody_hears_anybody_but_the_other_party(battle: Battle, name: str) -> None:
    talk = battle.talks[name]
    assert talk.inside.foreign == []
    assert talk.outside.foreign == []


@pytest.mark.parametrize("name", CASES)
def test_both_hear_all_that_the_other_says(battle: Battle, name: str) -> None:
    """From the first packet that came: behind NAT one side has to speak first."""
    talk = battle.talks[name]
    for hears, says in ((talk.inside, talk.outside), (talk.outside, talk.inside)):
        first = hears.numbers[0]
        assert first < 25
        assert hears.numbers == list(range(first, says.sent))


def test_nobody_is_hung_up_on(battle: Battle) -> None:
    assert battle.byes == []


@pytest.mark.parametrize("name", CASES)
def test_a_flood_delays_nothing(battle: Battle, name: str) -> None:
    assert battle.flooded > 4000
    delays = sorted(battle.during_flood_ms[name])
    assert len(delays) > 150
    assert delays[len(delays) // 2] < 10, delays[-10:]
    assert delays[len(delays) * 95 // 100] < 50, delays[-10:]


@pytest.mark.parametrize("name", CASES)
def test_the_record_says_what_was_dropped_and_nothing_lost(battle: Battle, name: str) -> None:
    record = battle.records[name]
    assert record["cause"] == "normal"
    assert record["hung_up_by"] == "a"
    for stream in record["streams"]:
        assert stream["lost"] == 0, stream
        assert stream["dropped"] > 100, stream


def test_the_worker_says_why_it_has_dropped_packets(battle: Battle) -> None:
    reasons = ("wrong_source", "stun", "dtls", "not_rtp", "rtcp_on_rtp", "rtcp_malformed")
    for reason in (*reasons, "srtp_auth", "srtp_replay"):
        assert battle.dropped.get(reason, 0) > 0, battle.dropped


# The calls


def _shape(fast_path: str, outside: Outside) -> Shape:
    trunks: dict[str, Any] = {
        "pbx": {"realm": "inside", "peers": ["127.0.1.10:5060"], "nat": "never"}
    }
    routes = []
    for at, case in enumerate(CASES.values()):
        peer = {"address": _host(outside, at), "port": 5060}
        trunks[f"carrier{at}"] = {"realm": "outside", "peers": [peer], **case.trunk}
        routes.append({"from": "pbx", "number": str(at), "to": f"carrier{at}"})
    relay = {"workers": 1, "fast_path": fast_path}
    realms: dict[str, Any] = Shape().document(Path())["realms"]
    if outside is IPV6:
        realms["outside"]["listen"].append(f"udp:[{outside.border}]:5060")
        realms["outside"]["media"]["address"] = outside.border
    return Shape(further={"realms": realms, "trunks": trunks, "routes": routes, "relay": relay})


def _call(
    at: int, case: Case, there: Outside, exchange: Exchange, caller: Phone, called: Phone
) -> Talk:
    inside = exchange.line("127.0.1.10", f"in {at}", f"out {at}")
    speaker = there.host(case.speaks_from) if case.speaks_from else called.address[0]
    outside = exchange.line(speaker, f"out {at}", f"in {at}")
    a_leg = caller.invite(f"{at}00", body=sdp(inside.host, inside.port, INSIDE))
    b_leg = called.answering()
    assert b_leg.invite is not None
    answer = sdp(there.hidden if case.hides else outside.host, outside.port, OUTSIDE)
    if case.secure:
        key = bytes(range(at, at + 30))
        outside.seals = new_session(SUITE, key)
        outside.opens = new_session(SUITE, _key(b_leg.invite))
        line = f"a=crypto:1 {SUITE} inline:{base64.b64encode(key).decode()}\r\n"
        answer = answer.replace(b"RTP/AVP", b"RTP/SAVP") + line.encode()
    b_leg.answer(answer)
    to_inside, to_outside = a_leg.establish().media(), b_leg.invite.media()
    inside.target, outside.target = to_inside, to_outside
    return Talk(case, inside, outside, a_leg, b_leg, to_inside, to_outside)


def _key(invite: Message) -> bytes:
    found = re.search(rb"^a=crypto:\d+ (\w+) inline:([^|\s]+)", invite.body, re.M)
    assert found is not None, invite.body
    assert found[1].decode() == SUITE
    return base64.b64decode(found[2])


def _requests(phone: Phone, call: Call) -> list[str]:
    """What the border has asked this party for, unasked."""
    phone.sock.settimeout(0.01)
    try:
        while True:
            data, source = phone.sock.recvfrom(65535)
            phone.inbox.append(Message.parse(data, source))
    except TimeoutError:
        pass
    mine = [one for one in phone.inbox if one.first("call-id") == call.call_id]
    return [one.start for one in mine if not one.status]


# The attack


def _attack(
    talk: Talk,
    talks: list[Talk],
    attacker: Attacker,
    forger: Forger,
    chance: random.Random,
    *,
    latched: bool,
) -> None:
    """One round on the four ports of a call."""
    for line, port in ((talk.inside, talk.to_inside), (talk.outside, talk.to_outside)):
        outside = line is talk.outside
        if outside and talk.case.guessable and not latched:
            continue
        packets = ammunition(chance, SSRC, line.sent + 2)
        sources = _others(talk, line, talks)
        if latched or not outside or not talk.case.hides:
            sources += _neighbours(line)
        for offset in (0, 1):
            target = port[0], port[1] + offset
            attacker.spray(packets, target)
            for source in sources:
                for packet in packets[chance.randrange(2) :: 2]:
                    forger.send(packet, source, target)
            for source in _ours(talk, line, port, talks):
                forger.send(packets[0], source, target)  # the capture takes it for ours, too
        if outside and talk.case.secure and latched:
            _attack_srtp(line, port, attacker, forger, packets)
        if latched:
            forger.refuse((line.host, line.port), port)
            forger.refuse((line.host, line.port + 1), (port[0], port[1] + 1))


def _others(talk: Talk, line: Line, talks: list[Talk]) -> list[Address]:
    """Whose packets none of this line's are: strangers', the other party's, other calls'."""
    other = talk.inside if line is talk.outside else talk.outside
    another = next(one for one in talks if one is not talk)
    strangers = [(there.third, line.port) for there in (IPV4, IPV6)]
    strangers += [(there.host(77), 40_000) for there in (IPV4, IPV6)]
    known = [(one.host, one.port) for one in (other, another.outside)]
    return _alike([*strangers, *known, ("127.0.0.1", line.port), ("::1", line.port)], line)


def _ours(talk: Talk, line: Line, port: Address, talks: list[Talk]) -> list[Address]:
    """The border's own ports: none of them is anybody's peer."""
    beyond = talk.to_inside if line is talk.outside else talk.to_outside
    another = next(one for one in talks if one is not talk)
    return _alike([port, beyond, another.to_outside], line)


def _alike(sources: list[Address], line: Line) -> list[Address]:
    """Those of the line's address family."""
    return [one for one in sources if (":" in one[0]) == (":" in line.host)]


def _neighbours(line: Line) -> list[Address]:
    """The peer's own address, other ports."""
    return [(line.host, line.port + 2), (line.host, line.port + 1000), (line.host, 5060)]


def _attack_srtp(
    line: Line, port: Address, attacker: Attacker, forger: Forger, packets: list[bytes]
) -> None:
    """What only a key tells apart: from the peer's exact address and port."""
    rtcp_port = port[0], port[1] + 1
    stolen = list(line.last)
    wrong_key = new_session(SUITE, bytes(30))
    forged = [_sealed(wrong_key, one) for one in packets[:3]]
    cut = [one[:-4] for one in stolen[-3:]]
    changed = [one[:12] + bytes((one[12] ^ 1,)) + one[13:] for one in stolen[-3:]]
    renamed = [one[:8] + b"\0\0\0\1" + one[12:] for one in stolen[-3:]]
    for packet in (*packets, *stolen[-40:], *stolen[:5], *forged, *cut, *changed, *renamed):
        forger.send(packet, (line.host, line.port), port)
    forged_bye = wrong_key.protect_rtcp(struct.pack("!BBHI", 0x81, 203, 1, SSRC))
    assert isinstance(forged_bye, bytes)
    for packet in (*packets, forged_bye, line.last_rtcp, line.last_rtcp[:-4]):
        forger.send(packet, (line.host, line.port + 1), rtcp_port)
    attacker.spray([*stolen[-40:], *forged], port)
    attacker.spray([line.last_rtcp, forged_bye], rtcp_port)


def _flood(talks: list[Talk], outside: Outside) -> int:
    """Thousands of packets a second into all ports of a plain call and of an encrypted one."""
    ports = [
        f"{host}:{port + offset}"
        for talk in (talks[0], talks[-1])
        for host, port in (talk.to_inside, talk.to_outside)
        for offset in (0, 1)
    ]
    command = [sys.executable, "-m", "tests.e2e.attacker", "--rate", "4000"]
    for source in {THIRD_INSIDE, outside.third}:
        command += ["--source", source]
    done = subprocess.run(
        [*command, *ports],
        capture_output=True,
        text=True,
        timeout=20,
        cwd=Path(__file__).parents[2],
    )
    return int(done.stdout)


def _heard_so_far(talk: Talk) -> tuple[int, int]:
    return len(talk.inside.delays_ms), len(talk.outside.delays_ms)


def _dropped(border: Border) -> dict[str, int]:
    (worker,) = border.query("relay")["workers"]
    counters: dict[str, int] = worker["counters"]
    return {name.removeprefix("dropped_"): count for name, count in counters.items()}


# Small parts


def _ports(host: str) -> tuple[socket.socket, socket.socket, int]:
    for port in range(20_000, 32_000, 2):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        pair = [socket.socket(family, socket.SOCK_DGRAM) for _ in range(2)]
        try:
            for offset, one in enumerate(pair):
                one.bind((host, port + offset))
                one.setblocking(False)
        except OSError:
            for one in pair:
                one.close()
            continue
        return pair[0], pair[1], port
    raise OSError(f"no free port pair on {host}")


def _all(sock: socket.socket) -> Iterator[bytes]:
    try:
        while True:
            yield sock.recv(65536)
    except OSError:
        return


def _sealed(session: SrtpSession | None, packet: bytes) -> bytes:
    sealed = packet if session is None else session.protect(packet)
    assert isinstance(sealed, bytes), sealed
    return sealed


def _kinds(compound: bytes) -> set[int]:
    """The types of the packets in it."""
    kinds, at = set(), 0
    while at + 4 <= len(compound):
        kinds.add(compound[at + 1])
        at += 4 + 4 * int.from_bytes(compound[at + 2 : at + 4], "big")
    return kinds
