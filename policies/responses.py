"""What one side is told about the other's failures: SIP statuses, and Q.850 causes beside them.

A trunk's `responses:` says what its own failures mean to others, its `refusals:` what its callers
are told in the end; an exact status is found before its class. What neither names is mapped only
where the status speaks of the leg that it came from and would be a riddle on the other.

The causes are those of ITU-T Q.850; which stands for which status is RFC 3398 §7.2.4.1 and
§8.2.6.1. Where these say nothing our choice stands beside the line.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from policies.settings import TrunkSettings

__all__ = ["CAUSE_TEXTS", "cause_text", "map_status", "q850_of", "reason_head", "status_of"]

NORMAL_CLEARING: Final = 16

_DEFAULTS: Final[Mapping[int, int]] = MappingProxyType(
    {
        401: 403,  # a challenge to us: the caller could not answer it
        407: 403,
        420: 500,  # about extensions and intervals of a leg that the caller is not on
        421: 500,
        422: 500,
        494: 500,
        503: 500,  # RFC 3261 §16.7: a 503 would say that it is we who are overloaded
    }
)
_REDIRECTED: Final = 480
"""A 3xx that was not followed: its contacts are the other network's."""


def map_status(
    status: int, trunk_from: TrunkSettings | None, trunk_to: TrunkSettings | None
) -> int:
    """What the caller is told in place of a final failure.

    Args:
        status: 300 to 699.
        trunk_from: whose failure it is; None: ours, which means what it says.
        trunk_to: whose caller is to be told; None: nobody in particular.

    Returns:
        400 to 699.
    """
    if trunk_from is not None:
        mapped = _look_up(trunk_from.responses, status)
        if mapped is None:
            mapped = _REDIRECTED if status < 400 else _DEFAULTS.get(status, status)
            if status in (401, 407) and trunk_from.pass_challenges:
                mapped = status
        status = mapped
    if trunk_to is not None:
        status = _look_up(trunk_to.refusals, status) or status
    return status


def _look_up(table: tuple[tuple[int, int], ...], status: int) -> int | None:
    found = None
    for key, value in table:
        if key == status:
            return value
        if key == status // 100:
            found = value
    return found


def q850_of(status: int) -> int:
    """The Q.850 cause that a SIP status stands for (RFC 3398 §8.2.6.1), 1 to 127."""
    cause = _CAUSES.get(status)
    if cause is not None:
        return cause
    if status < 300:
        return NORMAL_CLEARING
    return _CAUSES.get(status // 100 * 100, 31)  # RFC 3261 §8.1.3.2: unknown x is x00


def status_of(cause: int) -> int:
    """The SIP status that a Q.850 cause stands for (RFC 3398 §7.2.4.1), 403 to 503; 0: the RFC
    names none."""
    return _STATUSES.get(cause, 0)


def cause_text(cause: int) -> str:
    """What Q.850 calls a cause, or its class."""
    return CAUSE_TEXTS.get(cause) or _CLASS_TEXTS.get(cause >> 4, "Interworking, unspecified")


def reason_head(*, status: int = 0, cause: int = 0) -> bytes:
    """A Reason line of our own (RFC 3326): Q.850, or with a status alone, SIP's.

    Args:
        status: 200 to 699, or 0: none.
        cause: 1 to 127, or 0: none. If both are given, the cause stands.
    """
    if cause:
        return b'Reason: Q.850;cause=%d;text="%b"\r\n' % (cause, cause_text(cause).encode())
    return b"Reason: SIP;cause=%d\r\n" % status if status else b""


_CAUSES: Final[Mapping[int, int]] = MappingProxyType(
    {
        300: 31,  # not in the RFC: a redirection that nobody followed
        301: 22,  # as §7.2.4.1 has it the other way
        400: 41,
        401: 21,
        402: 21,
        403: 21,
        404: 1,
        405: 63,
        406: 79,
        407: 21,
        408: 102,
        410: 22,
        413: 127,
        414: 127,
        415: 79,
        416: 127,
        420: 127,
        421: 127,
        422: 127,  # newer than the RFC, of the kind of 423
        423: 127,
        433: 21,  # newer: Anonymity Disallowed, the callee's refusal
        480: 18,
        481: 41,
        482: 25,
        483: 25,
        484: 28,
        485: 1,
        486: 17,
        487: 16,  # "no mapping": the caller has gone, which is normal clearing
        488: 88,  # "by Warning header": incompatible destination
        491: 41,
        500: 41,
        501: 79,
        502: 38,
        503: 41,
        504: 102,
        505: 127,
        513: 127,
        580: 47,  # newer: no resource for what was demanded
        600: 17,
        603: 21,
        604: 1,
        606: 88,  # as 488
        607: 21,  # newer: refusals, as 603
        608: 21,
    }
)

_STATUSES: Final[Mapping[int, int]] = MappingProxyType(
    {
        1: 404,
        2: 404,
        3: 404,
        17: 486,
        18: 408,
        19: 480,
        20: 480,
        21: 403,
        22: 410,
        23: 410,
        26: 404,
        27: 502,
        28: 484,
        29: 501,
        31: 480,
        34: 503,
        38: 503,
        41: 503,
        42: 503,
        47: 503,
        55: 403,
        57: 403,
        58: 503,
        65: 488,
        70: 488,
        79: 501,
        87: 403,
        88: 503,
        102: 504,
        111: 500,
        127: 500,
    }
)

CAUSE_TEXTS: Final[Mapping[int, str]] = MappingProxyType(
    {
        1: "Unallocated (unassigned) number",
        2: "No route to specified transit network",
        3: "No route to destination",
        4: "Send special information tone",
        5: "Misdialled trunk prefix",
        6: "Channel unacceptable",
        7: "Call awarded and being delivered in an established channel",
        8: "Preemption",
        9: "Preemption - circuit reserved for reuse",
        14: "QoR: ported number",
        16: "Normal call clearing",
        17: "User busy",
        18: "No user responding",
        19: "No answer from user (user alerted)",
        20: "Subscriber absent",
        21: "Call rejected",
        22: "Number changed",
        23: "Redirection to new destination",
        24: "Call rejected due to feature at the destination",
        25: "Exchange routing error",
        26: "Non-selected user clearing",
        27: "Destination out of order",
        28: "Invalid number format (address incomplete)",
        29: "Facility rejected",
        30: "Response to STATUS ENQUIRY",
        31: "Normal, unspecified",
        34: "No circuit/channel available",
        38: "Network out of order",
        39: "Permanent frame mode connection out of service",
        40: "Permanent frame mode connection operational",
        41: "Temporary failure",
        42: "Switching equipment congestion",
        43: "Access information discarded",
        44: "Requested circuit/channel not available",
        46: "Precedence call blocked",
        47: "Resource unavailable, unspecified",
        49: "Quality of service not available",
        50: "Requested facility not subscribed",
        53: "Outgoing calls barred within CUG",
        55: "Incoming calls barred within CUG",
        57: "Bearer capability not authorized",
        58: "Bearer capability not presently available",
        62: "Inconsistency in designated outgoing access information and subscriber class",
        63: "Service or option not available, unspecified",
        65: "Bearer capability not implemented",
        66: "Channel type not implemented",
        69: "Requested facility not implemented",
        70: "Only restricted digital information bearer capability is available",
        79: "Service or option not implemented, unspecified",
        81: "Invalid call reference value",
        82: "Identified channel does not exist",
        83: "A suspended call exists, but this call identity does not",
        84: "Call identity in use",
        85: "No call suspended",
        86: "Call having the requested call identity has been cleared",
        87: "User not member of CUG",
        88: "Incompatible destination",
        90: "Non-existent CUG",
        91: "Invalid transit network selection",
        95: "Invalid message, unspecified",
        96: "Mandatory information element is missing",
        97: "Message type non-existent or not implemented",
        98: "Message not compatible with call state or message type non-existent",
        99: "Information element/parameter non-existent or not implemented",
        100: "Invalid information element contents",
        101: "Message not compatible with call state",
        102: "Recovery on timer expiry",
        103: "Parameter non-existent or not implemented, passed on",
        110: "Message with unrecognized parameter, discarded",
        111: "Protocol error, unspecified",
        127: "Interworking, unspecified",
    }
)
"""Cause → its name."""

_CLASS_TEXTS: Final[Mapping[int, str]] = MappingProxyType(
    {
        0: "Normal, unspecified",
        1: "Normal, unspecified",
        2: "Resource unavailable, unspecified",
        3: "Service or option not available, unspecified",
        4: "Service or option not implemented, unspecified",
        5: "Invalid message, unspecified",
        6: "Protocol error, unspecified",
        7: "Interworking, unspecified",
    }
)
