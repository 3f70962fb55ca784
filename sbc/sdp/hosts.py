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

_ADDRESS: Final = re.compile(
    rb"""
      [0-9]{1,3} (?: \. [0-9]{1,3} ){3}                 # 10.1.2.3, wherever it stands
    | \b [0-9]{1,3} (?: - [0-9]{1,3} ){3} \b            # ip-10-1-2-3, as clouds name machines
    | ::                                                # every shortened IPv6 address has it
    | (?: [0-9a-f]{1,4} : ){7} [0-9a-f]{1,4}            # an IPv6 address in full
    """,
    re.VERBOSE | re.IGNORECASE,
)
_NAME: Final = re.compile(
    rb"""
      [0-9a-z_\x80-\xff-] \. [a-z\x80-\xff]{2}          # a dotted name; 1.0, H.264, J.R. are none
    | :// | @ [^\s]                                     # a URL's host, a URI's or mailbox's host
    | %2e | %3a | %40                                   # any of these, escaped
    | \b localhost \b
    """,
    re.VERBOSE | re.IGNORECASE,
)
_NAME_PORT: Final = re.compile(  # pbx:5060
    rb"(?<![0-9a-z_.-])(?=[0-9-]*[a-z])[0-9a-z-]+:[0-9]{3,5}(?![0-9a-z])", re.IGNORECASE
)


def holds_host(text: bytes, start: int = 0) -> bool:
    """Whether `text` holds an IPv4 or IPv6 address or a host name. Pure; raises nothing.

    Args:
        text: any bytes.
        start: from where `word:number` is a host with its port; before it stands a label of the
            grammar, as in `fmtp:101`.
    """
    return (
        _ADDRESS.search(text) is not None
        or _NAME.search(text) is not None
        or _NAME_PORT.search(text, start) is not None
    )


def holds_address(text: bytes) -> bool:
    """Whether `text` holds an IPv4 or IPv6 address: for texts in which dots are everyday."""
    return _ADDRESS.search(text) is not None
