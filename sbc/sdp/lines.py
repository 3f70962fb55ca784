"""What one SDP line means to the border, and whether it may cross.

The same few dozen lines make up nearly all SDP that a border sees (`a=rtpmap:0 PCMU/8000`,
`a=sendrecv`, …), so the reading of a line is kept, in a bounded table: pure, only faster.

Who crosses:

| line | crosses | because |
|---|---|---|
| `v o s c m` | no | we write our own |
| `t` | as two numbers | RFC 3264 §6: the answer's equals the offer's |
| `i u e p` | no | names, addresses and numbers of people of the other side |
| `r z` | no | a call has no repeat times |
| `k` | no | a key (RFC 8866 §5.12: obsolete, must not be used) |
| `b` | as `<token>:<number>` | holds nothing else |
| `a=` in `_PRIVATE` | no | transport, keys and identity of the other side |
| `a=rtpmap`, `a=rtcp-xr`, … with their own grammar | yes | may look like a host and is none |
| an `a=` whose name is no token | no | it could be any of the above to somebody else |
| `a=group:BUNDLE` | no | each m-line of ours has a port of its own |
| all others | unless `holds_host` | the peers' business, not ours |

So `a=label`, `a=charset`, `a=lang`, `a=mid`, `a=rtcp-fb`, `a=content` cross; `a=tool` and
`a=cname` do not; `a=extmap` crosses with a `urn:` name, and not with an `http://` one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from sbc.sdp.hosts import holds_host

__all__ = ["MEANINGS", "Direction", "Meaning", "Role", "holds_key"]

_CACHED_LINES: Final = 4_096
_CACHED_LENGTH: Final = 160


class Direction(IntEnum):
    """RFC 8866 §6.7. Bit 0: its sender sends; bit 1: its sender receives."""

    INACTIVE = 0
    SENDONLY = 1
    RECVONLY = 2
    SENDRECV = 3


class Role(IntEnum):
    """What a line tells the border, beyond whether it crosses."""

    OTHER = 0
    DIRECTION = 1
    RTPMAP = 2
    PTIME = 3
    BANDWIDTH = 4
    """b=AS, or the conference total CT."""
    BANDWIDTH_TIAS = 5
    """b=TIAS (RFC 3890), more precise than AS where both are said."""
    RTCP = 6
    RTCP_MUX = 7
    TIMING = 8


@dataclass(slots=True)
class Meaning:
    """One line, understood."""

    crosses: bool
    role: Role = Role.OTHER
    number: int = 0
    """Direction, payload type, milliseconds, bits per second or port, as the role says."""
    name: bytes = b""
    """The encoding of an rtpmap, the address of an `a=rtcp`."""
    clock_rate: int = 0
    channels: int = 1
    """Of an rtpmap of audio."""


_PRIVATE: Final = frozenset(
    # Transport of the other side (RFC 8839, 3605, 5761, 8858, 4145, 8838, 6947, 7006, 4570).
    b"candidate remote-candidates end-of-candidates rtcp rtcp-mux rtcp-mux-only setup connection"
    b" direction alt altc ccap source-filter bundle-only nortpproxy path"
    # Keys and identity (RFC 4568, 8122, 8827, 8842, 4567).
    b" crypto fingerprint identity tls-id key-mgmt"
    # Names of machines, programs and streams (RFC 8866 §6.4, RFC 5576, 8830).
    b" tool cname ssrc ssrc-group msid msid-semantic"
    # Capability negotiation wraps any of the above (RFC 3407, 5939, 6871).
    b" acap tcap pcfg acfg csup creq lcfg mfcap mscap rmcap omcap mcap bcap icap sescap"
    b" sqn cdsc cpar cparmin cparmax".split()
)

_NAME: Final = re.compile(rb"[!#$%&'*+\-.0-9A-Z^_`a-z{|}~]+")  # RFC 8866 §9: token
_RTPMAP: Final = re.compile(
    rb"a=rtpmap:([0-9]{1,3}) +([^ /\t]+) ?/ ?([0-9]{1,9})(?:/([0-9]{1,4}))? *", re.IGNORECASE
)
_RTCP_XR: Final = re.compile(rb"a=rtcp-xr:[a-z0-9=:,/ -]*")  # rcvr-rtt=all:10000 is no host
_BANDWIDTH: Final = re.compile(rb"b=([A-Za-z][A-Za-z-]{0,15}):([0-9]{1,10}) *")
_TIMING: Final = re.compile(rb"t=[0-9]{1,20} [0-9]{1,20}")
_RTCP: Final = re.compile(rb"a=rtcp:([0-9]{1,5})(?: IN IP[46] ([^ ]+))? *")
_DIRECTIONS: Final = {
    b"inactive": Direction.INACTIVE,
    b"sendonly": Direction.SENDONLY,
    b"recvonly": Direction.RECVONLY,
    b"sendrecv": Direction.SENDRECV,
}
_NEVER: Final = Meaning(crosses=False)
_OURS: Final = frozenset(b"vosciuepzrkm")


def holds_key(text: bytes) -> bool:
    """Whether some line of `text` may be a call's own key: such text is never kept in a cache."""
    low = text.lower()
    return b"crypto:" in low or b"inline:" in low or low.startswith(b"k=") or b"\r\nk=" in low


class _Meanings(dict[bytes, Meaning]):
    """Line (no line end) → `Meaning`, read on first sight. Emptied when full: it is only a cache,
    and whoever fills it with lines of their own pays the uncached price, not memory."""

    def __missing__(self, line: bytes) -> Meaning:
        said = _read(line)
        if len(line) <= _CACHED_LENGTH and not holds_key(line):
            if len(self) >= _CACHED_LINES:
                self.clear()
            self[line] = said
        return said


MEANINGS: Final = _Meanings()
"""`MEANINGS[line]` never fails and never changes its answer."""


def _read(line: bytes) -> Meaning:
    if line[:2] == b"a=":
        return _read_attribute(line)
    if not line or line[0] in _OURS:
        return _NEVER
    if line[:2] == b"b=":
        match = _BANDWIDTH.fullmatch(line)
        if match is None:
            return _NEVER
        modifier, number = match[1].upper(), int(match[2])
        if modifier == b"TIAS":
            return Meaning(True, Role.BANDWIDTH_TIAS, number)
        if modifier in (b"AS", b"CT"):
            return Meaning(True, Role.BANDWIDTH, number * 1_000)
        return Meaning(True)
    if line[:2] == b"t=":
        return Meaning(_TIMING.fullmatch(line) is not None, Role.TIMING)
    return Meaning(not holds_host(line))


def _read_attribute(line: bytes) -> Meaning:
    head, _, value = line[2:].partition(b":")
    # A blank before the colon must not make a known name an unknown one ("rtcp :5001").
    if _NAME.fullmatch(head) is None:
        return _NEVER
    name = head.lower()
    if name == b"rtpmap":
        return _read_rtpmap(line)
    if name == b"rtcp":
        match = _RTCP.fullmatch(line)
        if match is None or int(match[1]) > 65_535:
            return _NEVER
        return Meaning(False, Role.RTCP, int(match[1]), match[2] or b"")
    if name == b"rtcp-mux":
        return Meaning(False, Role.RTCP_MUX)
    if name in _PRIVATE or name[:4] == b"ice-":
        return _NEVER
    if name in _DIRECTIONS:
        return Meaning(not value, Role.DIRECTION, _DIRECTIONS[name])
    if name == b"group" and value.strip().upper().startswith(b"BUNDLE"):
        return _NEVER
    if name == b"rtcp-xr" and _RTCP_XR.fullmatch(line):
        return Meaning(True)
    crosses = not holds_host(line, len(head) + 3)
    if name == b"ptime":
        whole = value.strip().partition(b".")[0]  # "20.0" has been seen
        if whole.isdigit() and len(whole) <= 5:
            return Meaning(crosses, Role.PTIME, int(whole))
    return Meaning(crosses)


def _read_rtpmap(line: bytes) -> Meaning:
    """`a=rtpmap:<pt> <encoding>/<clock rate>[/<channels>]` (RFC 8866 §6.6)."""
    match = _RTPMAP.fullmatch(line)
    if match is None or int(match[1]) > 127:
        return Meaning(not holds_host(line, len(b"a=rtpmap:")))
    # Dots are legal in encoding names, but only vendor trees use them ("vnd.onvif.metadata").
    crosses = match[2].lower().startswith(b"vnd.") or not holds_host(match[2])
    channels = int(match[4] or 1)
    return Meaning(crosses, Role.RTPMAP, int(match[1]), match[2], int(match[3]), channels)
