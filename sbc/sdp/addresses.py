"""Where a description wants media to be sent: the values of `c=` lines."""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv6Address
from typing import Final

__all__ = ["address_of"]

_IPV4: Final = re.compile(
    r"(?:(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])(?:\.|$)){4}(?<!\.)", re.ASCII
)


@lru_cache(maxsize=4_096)
def address_of(value: bytes) -> tuple[str, bool]:
    """The address in a `c=` value and whether it is the address of a hold.

    The address is "" where packets cannot or must not be sent to it: a host name (signalling does
    not wait for a resolver), multicast, broadcast, 0.0.0.0 and ::. The address type is not
    believed, the address speaks for itself.

    Source: RFC 8866 §5.7; hold: RFC 3264 §8.4, RFC 6157 §4 for `::`.
    """
    words = value.split()
    if len(words) < 3 or len(words[2]) > 64:
        return "", False
    text = words[2].partition(b"/")[0].decode("ascii", "replace")
    if _IPV4.fullmatch(text):
        first = int(text.partition(".")[0])
        return ("" if first == 0 or first >= 224 else text), text == "0.0.0.0"  # noqa: S104
    if ":" not in text or "%" in text:
        return "", False
    try:
        address = IPv6Address(text)
    except ValueError:
        return "", False
    if address.is_unspecified:
        return "", True
    return ("" if address.is_multicast else str(address)), False
