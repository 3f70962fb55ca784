"""Short answers: to requests that belong to no call, and to INVITEs that become none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from policies.facts import Refuse
from sbc.call.cdr import Cause
from sbc.call.local import ALLOW
from sbc.sip.message import Request
from sbc.sip.status import BYE, METHODS, OPTIONS
from sbc.sip.uri import OtherUri

__all__ = ["Refusal", "by_policy", "outside_dialog", "unsupported"]

_CAPABILITIES: Final = ALLOW + b"Accept: application/sdp\r\nSupported: \r\n"
"""What we can do and take, and the extensions that we have: none (RFC 3261 §11.2)."""


@dataclass(slots=True)
class Refusal:
    """Why an INVITE becomes no call."""

    status: int
    cause: Cause
    reason: str
    head: bytes = b""
    """Further header lines of the answer."""


def by_policy(decision: Refuse) -> Refusal:
    """The policy's refusal, for the record."""
    why = decision.why
    if why.rule == "routes":
        cause = Cause.NO_ROUTE
    elif ".limits." in why.rule:
        cause = Cause.LIMIT
    else:
        cause = Cause.REFUSED_BY_POLICY
    return Refusal(decision.status, cause, f"{why.rule}: {why.text}")


def unsupported(request: Request) -> bytes:
    """The Unsupported line for what a request requires of us, b"" where it requires nothing.

    We have no extension yet, so every option tag is one that we do not support (RFC 3261 §8.2.2.3).
    """
    if request.first(b"require") is None:
        return b""
    return b"Unsupported: %b\r\n" % b", ".join(request.values(b"require"))


def outside_dialog(request: Request, draining: bool) -> tuple[int, bytes]:
    """Status and header lines for a request without a To-tag that is no INVITE, ACK or CANCEL."""
    method = request.method
    if method not in METHODS:
        return 501, ALLOW
    if method == OPTIONS:
        if isinstance(request.target, OtherUri):
            return 416, b""
        missing = unsupported(request)
        if missing:
            return 420, missing
        return (503, b"") if draining else (200, _CAPABILITIES)
    if method == BYE:
        return 481, b""
    return 405, ALLOW
