"""Which of our media addresses a peer is told: behind a 1:1 NAT there are two for each."""

from __future__ import annotations

from collections.abc import Iterable

from relay.settings import MediaSettings
from sbc.call.legs.local import LocalEnd

__all__ = ["MediaAddresses"]


class MediaAddresses:
    """The media addresses of all realms.

    Args:
        media: in the order of the configuration.
    """

    __slots__ = ("_advertised", "_first")

    def __init__(self, media: Iterable[MediaSettings]) -> None:
        self._advertised: dict[str, str] = {}
        self._first: dict[str, str] = {}
        for one in media:
            self._advertised[one.address] = one.advertise
            self._first.setdefault(one.realm, one.address)

    def shown(self, address: str, end: LocalEnd) -> str:
        """What SDP says for one of our local addresses, to the peer that sees this end."""
        return address if end.near else self._advertised[address]

    def of_session(self, end: LocalEnd) -> str:
        """The address in `o=` lines that go to that peer."""
        return self.shown(self._first[end.realm], end)
