"""The Reason line that a trunk's peer gets (RFC 3326, RFC 6432), by the trunk's `reason:`.

With `pass` a peer's Reason crosses like other headers (`headers.py`), and what this border itself
has to say is said as it is. With `q850` there is one line with one Q.850 cause, whatever the other
side has said it in, without its text. With `strip` there is none.

The other way, `read_causes` takes a trunk's failures for what their causes say.
"""

from __future__ import annotations

from typing import Final

from policies.responses import q850_of, reason_head, status_of
from policies.settings import ReasonUse, TrunkSettings
from sbc.errors import ParseError
from sbc.sip.digest import AUTHENTICATE
from sbc.sip.grammar import decimal, split_list
from sbc.sip.message import Message, Response

__all__ = [
    "crossing_reason",
    "crossing_retry",
    "meant_status",
    "own_reason",
    "q850_in",
    "reason_crosses",
]

_MAX_CAUSE: Final = 127


def reason_crosses(trunk: TrunkSettings) -> bool:
    """Whether `reason` belongs to the headers that cross to this trunk's peers."""
    return trunk.reason is ReasonUse.PASS


def crossing_reason(message: Message, trunk: TrunkSettings) -> bytes:
    """The line for a message to `trunk` that passes `message` on: a failure, a BYE, a CANCEL.

    b"" where Reason crosses by itself, or is not wanted. Raises nothing.
    """
    if trunk.reason is not ReasonUse.Q850:
        return b""
    said = q850_in(message)
    if said:
        return reason_head(cause=said)
    if isinstance(message, Response):
        return reason_head(cause=q850_of(message.status)) if message.status >= 300 else b""
    status = _cause_of(message, b"sip", 699)
    return reason_head(cause=q850_of(status) if status >= 100 else q850_of(200))


def crossing_retry(response: Response, told: int) -> bytes:
    """The Retry-After of a failure that is passed on as `told`, without its comment.

    None with a 503: that would say that it is this border that cannot (RFC 3261 §16.7 step 6).
    Raises nothing.
    """
    if told == 503 or response.first(b"retry-after") is None:
        return b""
    try:
        pause_s = response.retry_after
    except ParseError:
        return b""
    return b"" if pause_s is None else b"Retry-After: %d\r\n" % pause_s


def own_reason(status: int, text: bytes, trunk: TrunkSettings) -> bytes:
    """The line for what the border itself wants: it ends a call, or gives an INVITE up.

    Args:
        status: what that would be as an answer, 200 to 699.
        text: why, in plain words of ours, for `pass`.
    """
    match trunk.reason:
        case ReasonUse.PASS:
            return b'Reason: SIP;cause=%d;text="%b"\r\n' % (status, text)
        case ReasonUse.Q850:
            return reason_head(cause=q850_of(status))
        case ReasonUse.STRIP:
            return b""


def meant_status(response: Response, trunk: TrunkSettings) -> int:
    """The status of a trunk's failure, or what its Q.850 cause stands for where that is believed.

    A challenge, a redirection and the word of the called party for all (6xx) stay what they are.
    """
    status = response.status
    if not trunk.reads_causes or not 400 <= status < 600 or status in AUTHENTICATE:
        return status
    return status_of(q850_in(response)) or status


def q850_in(message: Message) -> int:
    """The Q.850 cause that a message gives, 1 to 127; 0: none. Raises nothing."""
    return _cause_of(message, b"q.850", _MAX_CAUSE)


def _cause_of(message: Message, protocol: bytes, limit: int) -> int:
    """The cause of the first Reason of that protocol, 0 where there is none."""
    if message.first(b"reason") is None:
        return 0
    try:
        for value in message.values(b"reason"):
            name, *params = split_list(value, b";", "Reason")
            if name.lower() != protocol:
                continue
            for param in params:
                key, _, text = param.partition(b"=")
                if key.strip().lower() == b"cause":
                    return decimal(text.strip(), limit) or 0
    except ParseError:
        pass
    return 0
