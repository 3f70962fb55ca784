"""A telephone that does exactly what a test tells it, also what no good telephone does.

Blocking sockets, a message model of its own (so that the border's parser is not its own judge),
and RTP with a tone. `python -m tests.e2e.phone` places one call and prints what it heard.
"""

from __future__ import annotations

import argparse
import json
import re
import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.e2e.tone import Media

__all__ = ["Call", "Message", "Phone", "sdp"]

_COMPACT = {
    "v": "via",
    "f": "from",
    "t": "to",
    "i": "call-id",
    "m": "contact",
    "l": "content-length",
}


_SPOKEN = (
    "Organization: {mark}",
    "Call-Info: <http://{mark}.example/photo>;purpose=icon",
    'Warning: 399 {mark}.example "{mark}"',
    "P-Charging-Vector: icid-value={mark};icid-generated-at={host}",
    "P-Preferred-Identity: <sip:alice@{mark}.example>",
    "Reply-To: <sip:alice@{mark}.example>",
    "In-Reply-To: {mark}@{host}",
    "Supported: timer, {mark}",
    "Accept: application/sdp, application/x-{mark}",
    "Geolocation: <cid:{mark}@{mark}.example>",
    "X-Secret: {mark}",
)
"""Lines of every message: none of them may cross."""


@dataclass(slots=True)
class Message:
    """One SIP message, split but not judged."""

    start: str
    headers: list[tuple[str, str]]
    body: bytes
    source: tuple[str, int]
    raw: bytes

    @classmethod
    def parse(cls, data: bytes, source: tuple[str, int]) -> Message:
        head, _, body = data.partition(b"\r\n\r\n")
        start, *lines = head.decode("utf-8", "replace").split("\r\n")
        headers = []
        for line in lines:
            name, _, value = line.partition(":")
            name = name.strip().lower()
            headers.append((_COMPACT.get(name, name), value.strip()))
        return cls(start, headers, body, source, data)

    @property
    def status(self) -> int:
        """0 for a request."""
        return int(self.start.split()[1]) if self.start.startswith("SIP/2.0 ") else 0

    @property
    def method(self) -> str:
        """Of the request, or of the request that a response answers."""
        return self.cseq.split()[1] if self.status else self.start.split()[0]

    @property
    def uri(self) -> str:
        return self.start.split()[1]

    @property
    def cseq(self) -> str:
        return self.first("cseq")

    def first(self, name: str) -> str:
        return next((value for key, value in self.headers if key == name), "")

    def every(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name]

    def tag(self, name: str) -> str:
        found = re.search(r";\s*tag=([^;>\s]+)", self.first(name))
        return found[1] if found else ""

    @property
    def contact_uri(self) -> str:
        value = self.first("contact")
        found = re.search(r"<([^>]*)>", value)
        return found[1] if found else value.split(";")[0].strip()

    def media(self) -> tuple[str, int]:
        """Address and port of the first stream of the SDP."""
        text = self.body.decode()
        host = re.search(r"^c=IN IP[46] (\S+)", text, re.M)
        port = re.search(r"^m=audio (\d+)", text, re.M)
        assert host is not None, f"no c= line in {text!r}"
        assert port is not None, f"no audio in {text!r}"
        return host[1], int(port[1])


def sdp(
    host: str, port: int, mark: str, version: int = 1, codec: str = "PCMU", more: str = ""
) -> bytes:
    """An offer or answer with one G.711 stream and `mark` in all that must not cross."""
    number = {"PCMU": 0, "PCMA": 8}[codec]
    net = "IP6" if ":" in host else "IP4"
    return (
        f"v=0\r\no={mark} 77 {version} IN {net} {host}\r\ns={mark}\r\ni={mark}\r\n"
        f"c=IN {net} {host}\r\nt=0 0\r\n"
        f"m=audio {port} RTP/AVP {number} 101\r\na=rtpmap:{number} {codec}/8000\r\n"
        f"a=rtpmap:101 telephone-event/8000\r\na=candidate:1 1 UDP 1 {host} {port} typ host\r\n"
        f"a=ssrc:7 cname:{mark}\r\na=x-from:{mark}.example\r\n{more}"
    ).encode()


class Phone:
    """One address that speaks SIP over UDP. A context manager.

    Args:
        address: its own; port 0 takes any.
        mark: what stands in all that must not cross the border.
        border: where requests outside a dialog go.
    """

    def __init__(self, address: tuple[str, int], mark: str, border: tuple[str, int]) -> None:
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.sock = socket.socket(family, socket.SOCK_DGRAM)
        self.sock.bind(address)
        self.address: tuple[str, int] = self.sock.getsockname()[:2]
        self.host = _in_uri(address[0])
        """Ours, as it stands in a URI."""
        self.mark = mark
        self.border = border
        self.inbox: list[Message] = []
        """What came and nobody has asked for."""
        self._serial = time.monotonic_ns() % 1_000_000_000

    def __enter__(self) -> Phone:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def serial(self) -> int:
        self._serial += 1
        return self._serial

    def send(self, data: bytes | str, target: tuple[str, int] | None = None) -> None:
        raw = data.encode() if isinstance(data, str) else data
        self.sock.sendto(raw, target or self.border)

    def expect(
        self,
        wanted: int | str | Callable[[Message], bool],
        timeout_s: float = 5.0,
        *,
        call_id: str | None = None,
    ) -> Message:
        """The next message that is `wanted`: a status, a method, or what a function says yes to.

        Others wait in `inbox`. Raises TimeoutError that tells what came instead.
        """
        deadline = time.monotonic() + timeout_s
        seen = 0
        while True:
            for index in range(seen, len(self.inbox)):
                if _is(self.inbox[index], wanted, call_id):
                    return self.inbox.pop(index)
            seen = len(self.inbox)
            left = deadline - time.monotonic()
            if left <= 0:
                came = [message.start for message in self.inbox]
                raise TimeoutError(f"{self.mark} waited {timeout_s} s for {wanted}, has {came}")
            self.sock.settimeout(left)
            try:
                data, source = self.sock.recvfrom(65_535)
            except TimeoutError:
                continue
            if data.strip():
                self.inbox.append(Message.parse(data, source))

    def silence(self, seconds: float, unwanted: int | str | Callable[[Message], bool]) -> None:
        """Fails if `unwanted` comes within `seconds`."""
        try:
            message = self.expect(unwanted, seconds)
        except TimeoutError:
            return
        raise AssertionError(f"{self.mark} got {message.start!r}")

    def request(self, method: str, uri: str, **parts: Any) -> bytes:
        """One request outside a dialog; parts: see `_request`."""
        return _request(self, method, uri, **parts)

    def options(self, timeout_s: float = 3.0) -> Message:
        """Asks the border whether it lives; its answer."""
        call_id = f"{self.mark}-options-{self.serial()}"
        uri = f"sip:{_in_uri(self.border[0])}:{self.border[1]}"
        self.send(_request(self, "OPTIONS", uri, call_id=call_id))
        return self.expect(lambda one: one.status >= 200, timeout_s, call_id=call_id)

    def invite(self, number: str = "100", body: bytes | None = None, **parts: Any) -> Call:
        """Sends an INVITE through the border; the caller's side of the call."""
        call = Call(self, f"{self.mark}-{self.serial()}@{self.mark}.example")
        call.local_tag = f"{self.mark}-{self.serial()}"
        border = _in_uri(self.border[0])
        call.target = f"sip:{number}@{border}:{self.border[1]}"
        call.to = f"<sip:{number}@{border}>"
        call.from_ = f'"Alice" <sip:alice@{self.mark}.example>;tag={call.local_tag}'
        offer = sdp(self.address[0], 41_000, self.mark) if body is None else body
        call.request("INVITE", offer, **parts)
        return call

    def answering(self, timeout_s: float = 5.0, tag: str | None = None) -> Call:
        """Waits for an INVITE; the called party's side of the call."""
        return Call.incoming(self, self.expect("INVITE", timeout_s), tag)


@dataclass(slots=True)
class Call:
    """One dialog of a telephone, good enough to misbehave in."""

    phone: Phone
    call_id: str
    local_tag: str = ""
    target: str = ""
    from_: str = ""
    to: str = ""
    cseq: int = 0
    branch: str = ""
    """Of the last request."""
    invite: Message | None = None
    """The INVITE that came, for the called party."""
    final: Message | None = None
    """The 2xx, for the caller."""
    last: bytes = field(default=b"", repr=False)

    @classmethod
    def incoming(cls, phone: Phone, invite: Message, tag: str | None = None) -> Call:
        call = cls(phone, invite.first("call-id"))
        call.local_tag = tag or f"{phone.mark}-{phone.serial()}"
        call.invite = invite
        call.target = invite.contact_uri
        call.from_ = f"{invite.first('to')};tag={call.local_tag}"
        call.to = invite.first("from")
        return call

    def request(
        self, method: str, body: bytes = b"", *, cseq: int | None = None, **parts: Any
    ) -> None:
        """Sends a request of this call; CSeq counts by itself."""
        if cseq is None and method not in ("ACK", "CANCEL"):
            self.cseq += 1
        self.branch = (
            parts.pop("branch", None) or f"z9hG4bK-{self.phone.mark}-{self.phone.serial()}"
        )
        self.last = _request(
            self.phone,
            method,
            self.target,
            call_id=self.call_id,
            from_=self.from_,
            to=self.to,
            cseq=self.cseq if cseq is None else cseq,
            branch=self.branch,
            body=body,
            **parts,
        )
        self.phone.send(self.last, _next_hop(self.target, self.phone.border))

    def expect(
        self, wanted: int | str | Callable[[Message], bool], timeout_s: float = 5.0
    ) -> Message:
        return self.phone.expect(wanted, timeout_s, call_id=self.call_id)

    def respond(
        self,
        status: int,
        body: bytes = b"",
        *,
        to: Message | None = None,
        tag: str | None = None,
        headers: str = "",
        contact: str | None = None,
    ) -> None:
        """Answers the INVITE, or the request `to`."""
        request = to or self.invite
        assert request is not None, "there is nothing to answer"
        phone = self.phone
        lines = [f"SIP/2.0 {status} Because of {phone.mark}"]
        lines += [f"Via: {value}" for value in request.every("via")]
        lines += [f"From: {request.first('from')}"]
        own = "" if ";tag=" in request.first("to") else f";tag={tag or self.local_tag}"
        lines += [f"To: {request.first('to')}{own}", f"Call-ID: {self.call_id}"]
        lines += [f"CSeq: {request.cseq}", f"Server: {phone.mark}-agent", *_spoken(phone)]
        if request.method == "INVITE":
            own = f"<sip:{phone.mark}-called@{phone.host}:{phone.address[1]}>"
            lines += [f"Contact: {contact or own}"]
        if body:
            lines += ["Content-Type: application/sdp"]
        lines += [f"{headers}Content-Length: {len(body)}", "", ""]
        phone.send("\r\n".join(lines).encode() + body, request.source)

    def answer(self, body: bytes | None = None, **parts: Any) -> None:
        """180, 200, and the ACK."""
        self.respond(180, **parts)
        own = sdp(self.phone.address[0], 42_000, self.phone.mark) if body is None else body
        self.respond(200, own, **parts)
        self.expect("ACK")

    def establish(self, timeout_s: float = 5.0) -> Message:
        """Waits for the 200 to our INVITE and acknowledges it."""
        final = self.expect(lambda one: one.status >= 200 and one.method == "INVITE", timeout_s)
        assert final.status == 200, f"the call was refused: {final.start}"
        self.take(final)
        self.ack()
        return final

    def take(self, final: Message) -> None:
        """Makes a 2xx's dialog ours."""
        self.final = final
        self.to = final.first("to")
        self.target = final.contact_uri

    def ack(self, branch: str | None = None) -> None:
        self.request("ACK", cseq=self.cseq, branch=branch)

    def cancel(self) -> None:
        """With the branch of the INVITE, which must be the last request (RFC 3261 §9.1)."""
        self.request("CANCEL", cseq=self.cseq, branch=self.branch)

    def hang_up(self, timeout_s: float = 5.0) -> Message:
        self.request("BYE")
        return self.expect(lambda one: one.status >= 200 and one.method == "BYE", timeout_s)

    def hung_up(self, timeout_s: float = 5.0) -> Message:
        """Waits for the other party's BYE and answers it."""
        bye = self.expect("BYE", timeout_s)
        self.respond(200, to=bye)
        return bye


def _request(
    phone: Phone,
    method: str,
    uri: str,
    *,
    call_id: str,
    from_: str | None = None,
    to: str | None = None,
    cseq: int = 1,
    branch: str | None = None,
    body: bytes = b"",
    headers: str = "",
    contact: str | None = None,
    max_forwards: int | None = 70,
    via_host: str | None = None,
    content_type: str = "application/sdp",
) -> bytes:
    host, port = phone.host, phone.address[1]
    mark = phone.mark
    branch = branch or f"z9hG4bK-{mark}-{phone.serial()}"
    lines = [
        f"{method} {uri} SIP/2.0",
        f"Via: SIP/2.0/UDP {via_host or host}:{port};branch={branch};rport",
        f"From: {from_ or f'<sip:alice@{mark}.example>;tag={mark}-{phone.serial()}'}",
        f"To: {to or f'<{uri}>'}",
        f"Call-ID: {call_id}",
        f"CSeq: {cseq} {method}",
        f"User-Agent: {mark}-agent/3.0",
        *_spoken(phone),
    ]
    if max_forwards is not None:
        lines.append(f"Max-Forwards: {max_forwards}")
    if method != "CANCEL":
        lines.append(f"Contact: {contact or f'<sip:{mark}-phone@{host}:{port}>'}")
    if body:
        lines.append(f"Content-Type: {content_type}")
    lines += [f"{headers}Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


def _spoken(phone: Phone) -> list[str]:
    return [line.format(mark=phone.mark, host=phone.host) for line in _SPOKEN]


def _is(
    message: Message, wanted: int | str | Callable[[Message], bool], call_id: str | None
) -> bool:
    if call_id is not None and message.first("call-id") != call_id:
        return False
    if isinstance(wanted, int):
        return message.status == wanted
    if isinstance(wanted, str):
        return message.status == 0 and message.method == wanted
    return wanted(message)


def _next_hop(uri: str, default: tuple[str, int]) -> tuple[str, int]:
    found = re.search(r"(?:@|^sip:)([0-9.]+|\[[0-9a-f:]+\])(?::(\d+))?(?:;|$)", uri)
    return (found[1].strip("[]"), int(found[2] or 5060)) if found else default


def _in_uri(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _main(arguments: Iterable[str] | None = None) -> None:
    """Places one call, talks, hangs up, and prints what it heard as JSON."""
    parser = argparse.ArgumentParser(description=_main.__doc__)
    parser.add_argument("--address", required=True)
    parser.add_argument("--border", required=True)
    parser.add_argument("--mark", default="natmark")
    parser.add_argument("--tone", type=int, default=440)
    parser.add_argument("--listen-for", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=3.0)
    asked = parser.parse_args(list(arguments) if arguments is not None else None)
    with (
        Phone((asked.address, 5060), asked.mark, (asked.border, 5060)) as phone,
        Media(asked.address, asked.tone, cname=f"{asked.mark}@{asked.mark}.example") as media,
    ):
        call = phone.invite(body=sdp(asked.address, media.port, asked.mark))
        final = call.establish(10)
        media.talk_to(final.media())
        time.sleep(asked.seconds)
        media.quiet()
        call.hang_up()
        heard = {"power": media.heard(asked.listen_for), "packets": media.received}
    print(json.dumps(heard))  # noqa: T201


if __name__ == "__main__":
    _main()
