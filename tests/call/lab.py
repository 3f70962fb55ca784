"""A border on a virtual clock, with a caller and a target that a test plays by hand."""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from policies.settings import (
    AccessSettings,
    Peer,
    PolicySettings,
    Refer,
    RouteSettings,
    TrunkSettings,
)
from relay.control.messages import CallStats, DirectionStats, Inject, Plan, StreamStats
from relay.settings import MediaSettings, RelaySettings
from sbc.call.border import Border
from sbc.call.media.pools import parts
from sbc.settings import CdrSettings, Settings
from sbc.sip.message import Request, Response
from sbc.sip.parser import parse
from sbc.transaction.hop import TCP, UDP, Hop
from sbc.transport.settings import ListenerSettings, TransportSettings

PBX = ("10.0.0.2", 5060)
CARRIER = ("10.1.0.2", 5060)
BACKUP = ("10.1.0.3", 5060)
INSIDE = "10.0.0.1"
OUTSIDE = "10.1.0.1"
OUTSIDE_6 = "2001:db8:1::1"
"""Where a test gives the realm outside media addresses of both families."""

SDP = (
    b"v=0\r\no=phone 1 1 IN IP4 %(host)s\r\ns=call\r\nc=IN IP4 %(host)s\r\nt=0 0\r\n"
    b"m=audio 6000 RTP/AVP 8 0 101\r\na=rtpmap:101 telephone-event/8000\r\na=sendrecv\r\n"
)
SDP_A = SDP % {b"host": b"10.0.0.2"}
SDP_B = SDP % {b"host": b"10.1.0.2"}


def settings(
    trunks: dict[str, dict[str, Any]] | None = None, access: AccessSettings | None = None
) -> Settings:
    """Two realms, `pbx` inside, `carrier` and `backup` outside; `trunks` changes keys of them."""
    changes = trunks or {}
    listeners = tuple(
        ListenerSettings(
            realm=realm, transport=transport, host=host, port=5060,
            advertise_host=host, advertise_port=5060,
        )
        for realm, host in (("inside", INSIDE), ("outside", OUTSIDE))
        for transport in ("udp", "tcp")
    )  # fmt: skip
    media = tuple(
        MediaSettings(realm=realm, address=host, advertise=host, port_min=10000, port_max=19999)
        for realm, host in (("inside", INSIDE), ("outside", OUTSIDE))
    )
    three = (("pbx", "inside", PBX), ("carrier", "outside", CARRIER), ("backup", "outside", BACKUP))
    return Settings(
        run_dir="/nowhere",
        state_dir="/nowhere",
        transport=TransportSettings(listeners=listeners),
        policies=PolicySettings(
            trunks=tuple(
                replace(
                    TrunkSettings(
                        name=name,
                        realm=realm,
                        peers=(Peer(host=address[0], port=address[1]),),
                        sources=(ipaddress.ip_network(address[0]),),
                        refer=Refer.EXECUTE,
                    ),
                    **changes.get(name, {}),
                )
                for name, realm, address in three
            ),
            routes=(
                RouteSettings(source="pbx", to=("carrier", "backup")),
                RouteSettings(source="pbx", number="99", to=("carrier",)),
                RouteSettings(source="carrier", to=("pbx",)),
            ),
            access=access or AccessSettings(),
        ),
        relay=RelaySettings(run_dir="/nowhere", workers=1, media=media),
        cdr=CdrSettings(path="/nowhere/cdr"),
    )


class Lab:
    """One border and all that it sends.

    Args:
        workers: relay workers that are up, each with ports.
    """

    def __init__(self, config: Settings | None = None, workers: int = 1) -> None:
        self.now = 1000.0
        self.sent: list[tuple[Hop, bytes]] = []
        self.plans: list[tuple[int, Plan]] = []
        self.removed: list[tuple[int, str]] = []
        self.given_back: list[tuple[str, int]] = []
        self.injected: list[tuple[int, Inject]] = []
        self._random = random.Random(7)  # noqa: S311
        self._ports = 10000
        self._branch = 0
        self.border = Border(
            config or settings(),
            key=b"k" * 32,
            random=self._random.randbytes,
            transmit=lambda hop, data: self.sent.append((hop, data)),
            relay=self,
            wall_offset_s=1e9,
        )
        for slot in range(workers):
            self.border.relay_up(slot)
        self.lease()

    # The relay, as the border sees it

    def apply(self, slot: int, plan: Plan) -> None:
        self.plans.append((slot, Plan.from_body(plan.to_body())))

    def remove(self, slot: int, key: str) -> None:
        self.removed.append((slot, key))

    def inject(self, slot: int, wish: Inject) -> None:
        self.injected.append((slot, Inject.from_body(wish.to_body())))

    def give_back(self, slot: int, ports: list[tuple[str, int]]) -> None:
        self.given_back += ports

    def lease(self) -> None:
        for wish in self.border.core.leases.wanted():
            realm, family = parts(wish.pool)
            host = OUTSIDE_6 if family == 6 else INSIDE if realm == "inside" else OUTSIDE
            first = self._ports
            self._ports += 2 * wish.count
            ports = [(host, first + 2 * index) for index in range(wish.count)]
            self.border.relay_leased(wish.slot, wish.pool, ports)

    def answer_removals(self, packets: int = 50) -> None:
        """The workers tell their last figures."""
        removed, self.removed = self.removed, []
        heard = DirectionStats(packets=packets, octets=packets * 172, payload_types=(8,))
        for _, key in removed:
            stats = CallStats(key, 1, [StreamStats(0, "audio", heard, heard)])
            self.border.relay_removed(key, stats, self.now)
        self.border.flush()
        self.lease()

    # Peers

    def give(self, data: bytes, source: tuple[str, int] = PBX, transport: bytes = UDP) -> None:
        """The border receives `data` from `source`."""
        inside = source[0].startswith("10.0.") or source[0].startswith("192.168.")
        index = (0 if inside else 2) + (transport == TCP)
        hop = Hop("inside" if inside else "outside", index, transport, *source)
        self.border.receive(data, hop, self.now)
        self.border.flush()

    def take(self, host: str | None = None) -> list[Request | Response]:
        """What was sent since the last call of this (to `host` only), read."""
        mine = [one for one in self.sent if host in (None, one[0].host)]
        self.sent = [one for one in self.sent if one not in mine]
        return [parse(data) for _, data in mine]

    def take_one(self, host: str) -> Any:
        """The one message that was sent to `host`."""
        messages = self.take(host)
        assert len(messages) == 1, [_first_line(one) for one in messages]
        return messages[0]

    def wait(self, seconds: float, step_s: float = 0.02) -> None:
        """Virtual time passes."""
        end = self.now + seconds
        while self.now < end:
            self.now += step_s
            self.border.tick(self.now)
            self.border.flush()

    def invite(
        self,
        number: str = "4930123456",
        body: bytes = SDP_A,
        extra: bytes = b"",
        source: tuple[str, int] = PBX,
        hops: bytes | None = b"70",
        call: str = "call-1",
    ) -> bytes:
        """An INVITE as the caller sends it; not yet given to the border."""
        self._branch += 1
        host = source[0].encode()
        ours = INSIDE.encode() if source[0].startswith("10.0.") else OUTSIDE.encode()
        lines = [
            b"INVITE sip:%b@%b SIP/2.0" % (number.encode(), ours),
            b"Via: SIP/2.0/UDP %b:5060;branch=z9hG4bK-a%d" % (host, self._branch),
            b'From: "Alice" <sip:alice@%b>;tag=alice-tag' % host,
            b"To: <sip:%b@%b>" % (number.encode(), ours),
            b"Call-ID: %b@%b" % (call.encode(), host),
            b"CSeq: 1 INVITE",
            b"Contact: <sip:alice@%b:5060>" % host,
        ]
        if hops is not None:
            lines.append(b"Max-Forwards: " + hops)
        head = b"\r\n".join(lines) + b"\r\n" + extra
        if body:
            head += b"Content-Type: application/sdp\r\n"
        return head + b"Content-Length: %d\r\n\r\n" % len(body) + body

    def answer(
        self,
        request: Request,
        status: int,
        tag: str = "bob-tag",
        body: bytes = b"",
        extra: bytes = b"",
        contact: bytes = b"<sip:bob@10.1.0.2:5060>",
        source: tuple[str, int] | None = None,
    ) -> None:
        """A peer answers a request of the border."""
        to = request.first(b"to") or b""
        if tag and b"tag=" not in to:
            to += b";tag=" + tag.encode()
        head = b"SIP/2.0 %d X\r\n" % status
        for name in (b"via", b"from", b"call-id", b"cseq"):
            head += b"%b: %b\r\n" % (name, request.first(name))
        head += b"To: %b\r\nContact: %b\r\n%b" % (to, contact, extra)
        if body:
            head += b"Content-Type: application/sdp\r\n"
        data = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
        to_carrier = b"sip:" in request.uri and b"10.0.0." not in request.uri
        self.give(data, source or (CARRIER if to_carrier else PBX))

    def in_dialog(
        self,
        method: bytes,
        of: Request | Response,
        cseq: int,
        *,
        body: bytes = b"",
        source: tuple[str, int] = PBX,
        branch: bytes | None = None,
        extra: bytes = b"",
        tag: str = "bob-tag",
    ) -> bytes:
        """A request inside the dialog that `of` (our 2xx, or our INVITE) made at the peer."""
        self._branch += 1
        assert of.contact is not None
        local, remote = (b"from", b"to") if isinstance(of, Response) else (b"to", b"from")
        mine = of.first(local) or b""
        if isinstance(of, Request) and b"tag=" not in mine:
            mine += b";tag=" + tag.encode()
        head = b"\r\n".join(
            (
                b"%b %b SIP/2.0" % (method, of.contact.uri),
                b"Via: SIP/2.0/UDP %b:5060;branch=%b"
                % (source[0].encode(), branch or b"z9hG4bK-d%d" % self._branch),
                b"From: " + mine,
                b"To: " + (of.first(remote) or b""),
                b"Call-ID: " + of.call_id,
                b"CSeq: %d %b" % (cseq, method),
                b"Contact: <sip:peer@%b:5060>" % source[0].encode(),
                b"Max-Forwards: 70",
                b"",
            )
        )
        head += extra
        if body and b"Content-Type" not in extra:
            head += b"Content-Type: application/sdp\r\n"
        return head + b"Content-Length: %d\r\n\r\n" % len(body) + body

    # Whole steps

    def called(self, **changes: Any) -> Request:
        """A call arrives; the INVITE that leaves for the carrier."""
        self.give(self.invite(**changes))
        trying = self.take_one(PBX[0])
        assert trying.status == 100
        invite = self.take_one(CARRIER[0])
        assert invite.method == b"INVITE"
        return invite

    def connected(self, **changes: Any) -> tuple[Response, Request]:
        """A call that is up: our 200 to the caller, our INVITE to the target."""
        invite = self.called(**changes)
        self.answer(invite, 200, body=SDP_B)
        assert self.take_one(CARRIER[0]).method == b"ACK"
        success = self.take_one(PBX[0])
        assert success.status == 200
        self.give(self.in_dialog(b"ACK", success, 1))
        assert not self.sent
        return success, invite

    @property
    def record(self) -> Any:
        """The one record written since the last call of this."""
        records, self.border.core.records = self.border.core.records, []
        assert len(records) == 1
        return records[0]

    def assert_nothing_left(self) -> None:
        """After everything has timed out: no call, no dialog, no transaction, no timer."""
        self.answer_removals()
        self.wait(70.0, step_s=0.5)
        self.answer_removals()
        status = self.border.status()
        left = {key: status[key] for key in ("calls", "dialogs", "transactions", "plans")}
        assert left == {"calls": 0, "dialogs": 0, "transactions": 0, "plans": 0}
        assert set(self.border.core.policies.calls().values()) == {0}
        assert (status["errands"], status["subscriptions"]) == (0, {})
        assert len(self.border.core.layer.timers) == 0
        assert len(self.border.core.layer.wheel) == 0


class Side:
    """One peer of a call that is up: what it says, and what it is told.

    Args:
        lab: the border.
        of: the message that made the dialog at this peer: our 200, or our INVITE.
        address: the peer's.
        cseq: of its last request.
    """

    def __init__(
        self, lab: Lab, of: Request | Response, address: tuple[str, int], cseq: int
    ) -> None:
        self.lab = lab
        self.of = of
        self.address = address
        self.cseq = cseq

    def ask(self, method: bytes, body: bytes = b"", extra: bytes = b"", **other: Any) -> bytes:
        """Send a request inside the dialog; its bytes."""
        self.cseq += 1
        data = self.lab.in_dialog(
            method, self.of, self.cseq, body=body, extra=extra, source=self.address, **other
        )
        self.lab.give(data, self.address)
        return data

    def ack(self, body: bytes = b"") -> None:
        """ACK the answer to the last INVITE."""
        data = self.lab.in_dialog(b"ACK", self.of, self.cseq, body=body, source=self.address)
        self.lab.give(data, self.address)

    def answer(self, request: Request, status: int, body: bytes = b"", extra: bytes = b"") -> None:
        """Answer a request of the border."""
        contact = b"<sip:peer@%b:5060>" % self.address[0].encode()
        self.lab.answer(
            request, status, body=body, extra=extra, contact=contact, source=self.address
        )

    def hears(self) -> Any:
        """The one message that was sent to this peer; 100 to a re-INVITE aside."""
        messages = [
            one
            for one in self.lab.take(self.address[0])
            if not (isinstance(one, Response) and one.status == 100)
        ]
        assert len(messages) == 1, [_first_line(one) for one in messages]
        return messages[0]


def sides(lab: Lab, **changes: Any) -> tuple[Side, Side]:
    """A call that is up: its two peers."""
    success, invite = lab.connected(**changes)
    return Side(lab, success, PBX, 1), Side(lab, invite, CARRIER, 0)


def both_ways(lab: Lab, way: str, **changes: Any) -> tuple[Side, Side]:
    """The same, the asking peer first: the caller (`a to b`) or the called one."""
    a, b = sides(lab, **changes)
    return (a, b) if way == "a to b" else (b, a)


def statuses(messages: Sequence[Request | Response]) -> list[int]:
    """Of the responses among them."""
    return [one.status for one in messages if isinstance(one, Response)]


def _first_line(message: Request | Response) -> object:
    return message.status if isinstance(message, Response) else message.method
