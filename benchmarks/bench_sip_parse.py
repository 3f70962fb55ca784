"""Microseconds to read a SIP message, to read what a call needs of it, and to answer it.

    python benchmarks/bench_sip_parse.py [--json]

"7 fields" are those of an INVITE that a border always asks for: Call-ID, CSeq, both tags, the
branch, Contact and Max-Forwards; "4 fields" those of a response: status, branch, CSeq, To tag.
"mixed" reads the seven messages of one call in turn, as a border at work does, per message.
"""

from __future__ import annotations

import json
import statistics
import sys
import timeit
from collections.abc import Callable
from typing import Any

from sbc.sip.message import Request, Response
from sbc.sip.parser import parse
from sbc.sip.serialise import ReplyBase
from sbc.sip.stream import StreamFramer

ROUNDS, CALLS = 200, 300
SOURCE = ("10.0.0.20", 5060)

SDP = b"""v=0
o=- 20518 0 IN IP4 10.0.0.20
s=call
c=IN IP4 10.0.0.20
t=0 0
m=audio 30000 RTP/AVP 0 8 101
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-16
a=ptime:20
a=sendrecv
""".replace(b"\n", b"\r\n")

INVITE_HEAD = b"""INVITE sip:+4930123456@10.0.0.5:5060 SIP/2.0
Via: SIP/2.0/UDP 10.0.0.20:5060;branch=z9hG4bK-524287-1---5d5b2f1a;rport
Max-Forwards: 70
Contact: <sip:alice@10.0.0.20:5060;transport=udp>
To: <sip:+4930123456@10.0.0.5>
From: "Alice Example" <sip:alice@10.0.0.20>;tag=8a3f2b1c
Call-ID: 84721ab6f3c94d1e@10.0.0.20
CSeq: 1 INVITE
Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, PRACK
Supported: replaces, timer, 100rel
User-Agent: Example PBX 4.2.1.7
P-Asserted-Identity: <sip:alice@10.0.0.20>
X-Custom: 12345
Accept: application/sdp
Content-Type: application/sdp
"""
RESPONSE_HEAD = b"""Via: SIP/2.0/UDP 10.0.0.5:5060;branch=z9hG4bKs00abcdefghijklmnopabcde;rport=5060
From: <sip:alice@10.0.0.5>;tag=s00abcdefghijklmnopabcdef
To: <sip:+4930123456@10.0.0.30>;tag=7f3e2
Call-ID: s00abcdefghijklmnopabcdef@10.0.0.5
CSeq: 1 INVITE
Contact: <sip:10.0.0.30:5060>
User-Agent: Example Phone 1.0
"""
IN_DIALOG_HEAD = b"""Via: SIP/2.0/UDP 10.0.0.20:5060;branch=z9hG4bK-524287-2---77ab;rport
Max-Forwards: 70
From: "Alice Example" <sip:alice@10.0.0.20>;tag=8a3f2b1c
To: <sip:+4930123456@10.0.0.5>;tag=s00abcdefghijklmnopabcdef
Call-ID: 84721ab6f3c94d1e@10.0.0.20
"""


def message(head: bytes, body: bytes = b"") -> bytes:
    """A whole message; the texts above have one LF for each line end."""
    head = head.replace(b"\n", b"\r\n")
    return b"%bContent-Length: %d\r\n\r\n%b" % (head, len(body), body)


def in_dialog(method: bytes, cseq: bytes) -> bytes:
    """An ACK or BYE."""
    start = method + b" sip:s00abc@10.0.0.5:5060 SIP/2.0\n"
    return message(start + IN_DIALOG_HEAD + b"CSeq: %b %b\n" % (cseq, method))


INVITE = message(INVITE_HEAD, SDP)
TRYING = message(b"SIP/2.0 100 Trying\n" + RESPONSE_HEAD)
RINGING = message(b"SIP/2.0 180 Ringing\n" + RESPONSE_HEAD)
ANSWER = message(b"SIP/2.0 200 OK\n" + RESPONSE_HEAD + b"Content-Type: application/sdp\n", SDP)
ACK = in_dialog(b"ACK", b"1")
BYE = in_dialog(b"BYE", b"2")
BYE_ANSWER = message(b"SIP/2.0 200 OK\n" + RESPONSE_HEAD.replace(b"1 INVITE", b"2 BYE"))
CALL = (INVITE, TRYING, RINGING, ANSWER, ACK, BYE, BYE_ANSWER)


def request_fields() -> tuple[Any, ...]:
    """Parse, and what a new call asks for."""
    m = parse(INVITE)
    return m.call_id, m.cseq, m.from_tag, m.to_tag, m.via.branch, m.contact, m.max_forwards


def response_fields(data: bytes) -> tuple[Any, ...]:
    """Parse, and what matching and a leg ask for."""
    m = parse(data)
    assert isinstance(m, Response)
    return m.status, m.via.branch, m.cseq, m.to_tag


def whole_call() -> None:
    """Every message that one call brings."""
    for data in CALL:
        parse(data)


def microseconds(work: Callable[[], object]) -> dict[str, float]:
    """Best and median of many short rounds: the machine's other work is not ours."""
    times = [took / CALLS * 1e6 for took in timeit.repeat(work, number=CALLS, repeat=ROUNDS)]
    return {"best": round(min(times), 2), "median": round(statistics.median(times), 2)}


def measure() -> dict[str, dict[str, float]]:
    """Every figure."""
    invite = parse(INVITE)
    assert isinstance(invite, Request)
    base = ReplyBase(invite, SOURCE)
    framer = StreamFramer()
    contact = b"Contact: <sip:s00abc@10.0.0.5>\r\nContent-Type: application/sdp\r\n"
    mixed = microseconds(whole_call)
    return {
        f"INVITE ({len(INVITE)} B, {INVITE_HEAD.count(b': ') + 1} headers)": microseconds(
            lambda: parse(INVITE)
        ),
        "INVITE with 7 fields": microseconds(request_fields),
        f"180 with 4 fields ({len(RINGING)} B)": microseconds(lambda: response_fields(RINGING)),
        f"200 with 4 fields ({len(ANSWER)} B)": microseconds(lambda: response_fields(ANSWER)),
        f"BYE ({len(BYE)} B)": microseconds(lambda: parse(BYE)),
        "mixed, per message": {name: round(us / len(CALL), 2) for name, us in mixed.items()},
        "ReplyBase": microseconds(lambda: ReplyBase(invite, SOURCE)),
        "ReplyBase.build 180": microseconds(lambda: base.build(180, to_tag=b"s00abc")),
        "ReplyBase.build 200 with SDP": microseconds(
            lambda: base.build(200, b"", b"s00abc", contact, SDP)
        ),
        "StreamFramer, INVITE": microseconds(lambda: framer.feed(INVITE)),
    }


def main() -> None:
    """Print the table, or JSON."""
    figures = measure()
    if "--json" in sys.argv[1:]:
        print(json.dumps({"python": sys.version.split()[0], "us": figures}, indent=2))
        return
    print(f"{'µs':32} {'best':>7} {'median':>7}")
    for name, figure in figures.items():
        print(f"{name:32} {figure['best']:7.2f} {figure['median']:7.2f}")


if __name__ == "__main__":
    main()
