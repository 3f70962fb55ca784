"""Does a piece of text hold an address or a host name?

The border's rule for lines that it does not know: they cross unless this says yes. It errs on
the side of yes, but must not trip on what every call carries: `0-16`, `opus/48000/2`, `1.0`,
`42e01f`, `mode-set=0,2,4,7`, `urn:ietf:params:rtp-hdrext:ssrc-audio-level`.

A name of a single label is seen only where syntax gives it away (`//pbx`, `@pbx`, `pbx:5060`,
`localhost`): nothing tells a bare `pbx` from any other word.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["holds_address", "holds_host"]

_LOCALHOST: Final = re.compile(rb"\blocalhost\b", re.IGNORECASE)
_ADDRESS_HINTS: Final = b".:-"
"""One of these is in every address."""
_HINTS: Final = b".:-@%"
"""One of these is in every address, and in every name but `localhost`."""

# One regex for each, beginning with a byte that is rare: one alternation of all of them takes five
# times as long over 30 kB that hold none.
_ADDRESS: Final = (
    re.compile(rb"\.(?<=[0-9]\.)[0-9]{1,3}\.[0-9]{1,3}\.[0-9]"),  # 10.1.2.3, wherever it stands
    re.compile(rb"-(?<=[0-9]-)[0-9]{1,3}-[0-9]{1,3}-[0-9]{1,3}\b"),  # ip-10-1-2-3, in clouds
    re.compile(rb"::"),  # every shortened IPv6 address has it
    re.compile(rb":(?<=[0-9A-Fa-f]:)(?:[0-9A-Fa-f]{1,4}:){6}[0-9A-Fa-f]"),  # and one in full
)
_NAME: Final = (
    # A dotted name; 1.0, H.264 and J.R. are none.
    re.compile(rb"\.(?<=[0-9A-Za-z_\x80-\xff-]\.)[A-Za-z\x80-\xff]{2}"),
    re.compile(rb"://"),  # a URL's host
    re.compile(rb"@[^\s]"),  # a URI's or a mailbox's host
    re.compile(rb"%(?:2[Ee]|3[Aa]|40)"),  # . : @ escaped
    _LOCALHOST,
)
_NAME_PORT: Final = re.compile(  # pbx:5060
    rb"(?<![0-9A-Za-z_.-])(?=[0-9-]*[A-Za-z])[0-9A-Za-z-]+:[0-9]{3,5}(?![0-9A-Za-z])"
)


def holds_host(text: bytes, start: int = 0) -> bool:
    """Whether `text` holds an IPv4 or IPv6 address or a host name. Pure; raises nothing.

    Args:
        text: any bytes.
        start: from where `word:number` is a host with its port; before it stands a label of the
            grammar, as in `fmtp:101`.
    """
    if len(text.translate(None, _HINTS)) == len(text):  # most texts need no closer look
        return _LOCALHOST.search(text) is not None
    return (
        holds_address(text)
        or any(pattern.search(text) for pattern in _NAME)
        or _NAME_PORT.search(text, start) is not None
    )


def holds_address(text: bytes) -> bool:
    """Whether `text` holds an IPv4 or IPv6 address: for texts in which dots are everyday."""
    if len(text.translate(None, _ADDRESS_HINTS)) == len(text):
        return False
    return any(pattern.search(text) for pattern in _ADDRESS)
