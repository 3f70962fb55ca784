"""How long each message stayed in the border, from a capture of both its sides."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from tests.support.capture import Packet

__all__ = ["added_delay"]

_CALL_ID = re.compile(rb"^(?:Call-ID|i) *: *(\S+)", re.I | re.M)
_SUBJECT = re.compile(rb"^(?:Subject|s) *: *(\S+)", re.I | re.M)


def added_delay(packets: Iterable[Packet], inside: str, outside: str) -> dict[str, Any]:
    """Percentiles in ms of what the border at `inside` and `outside` adds to each message.

    The two legs of a call share nothing but the Subject that the caller wrote, so that is how
    they are found. Retransmissions do not count: the first packet of a kind is taken.
    """
    seen: dict[tuple[bytes, str], float] = {}
    subjects: dict[bytes, bytes] = {}
    for packet in packets:
        kind = _kind(packet, inside, outside)
        if kind is None:
            continue
        call_id = _CALL_ID.search(packet.payload)
        if call_id is None:
            continue
        subject = _SUBJECT.search(packet.payload)
        if subject is not None and kind.startswith("invite"):
            subjects[call_id[1]] = subject[1]
        call = subjects.get(call_id[1])
        if call is not None:
            seen.setdefault((call, kind), packet.at)
    calls = {call for call, _ in seen}
    hops = {
        name: [
            (seen[call, f"{name} out"] - seen[call, f"{name} in"]) * 1000
            for call in calls
            if (call, f"{name} out") in seen and (call, f"{name} in") in seen
        ]
        for name in ("invite", "ringing", "ok")
    }
    both = [
        1000
        * sum(seen[call, f"{name} out"] - seen[call, f"{name} in"] for name in ("invite", "ok"))
        for call in calls
        if all(
            (call, f"{name} {way}") in seen for name in ("invite", "ok") for way in ("in", "out")
        )
    ]
    result: dict[str, Any] = {name: _percentiles(values) for name, values in hops.items()}
    return {"calls": len(both), **result, "set_up": _percentiles(both)}


def _kind(packet: Packet, inside: str, outside: str) -> str | None:
    payload = packet.payload
    if payload.startswith(b"INVITE "):
        if packet.target[0] == inside:
            return "invite in"
        return "invite out" if packet.source[0] == outside else None
    for name, start in (("ringing", b"SIP/2.0 180"), ("ok", b"SIP/2.0 200")):
        if payload.startswith(start):
            if name == "ok" and b" INVITE\r\n" not in payload:
                return None
            if packet.target[0] == outside:
                return f"{name} in"
            return f"{name} out" if packet.source[0] == inside else None
    return None


def _percentiles(values: list[float]) -> dict[str, float | None]:
    if not values:
        return {"p50": None, "p99": None, "max": None}
    ordered = sorted(values)
    last = len(ordered) - 1
    return {
        "p50": ordered[round(last * 0.5)],
        "p99": ordered[round(last * 0.99)],
        "max": ordered[-1],
    }
