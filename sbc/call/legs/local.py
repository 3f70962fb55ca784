"""Our own end: what a listener looks like in the messages that leave by it."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from typing import Final

from sbc.ids import Token
from sbc.transaction.hop import TCP, TLS, UDP, Hop, Sources
from sbc.transport.settings import ListenerSettings

__all__ = ["ALLOW", "LocalEnd", "LocalEnds"]

ALLOW: Final = b"Allow: INVITE, ACK, CANCEL, BYE, OPTIONS\r\n"
"""What this border really does, in requests and in answers to OPTIONS."""

_REMEMBERED: Final = 4096
_TRANSPORTS: Final = {"udp": UDP, "tcp": TCP, "tls": TLS}


class LocalEnd:
    """One listener, ready to be written into Via and Contact.

    Args:
        index: its index in `TransportSettings.listeners`.
        listener: its settings.
        sips: whether its Contact is a SIPS URI, for a peer that called one (RFC 5630 §5.1.1).
        near: whether its own address is shown, to a peer behind the same NAT, and not the
            advertised one.
    """

    __slots__ = (
        "_contact_prefix",
        "_contact_suffix",
        "_via",
        "hops",
        "host",
        "index",
        "near",
        "realm",
        "transport",
    )

    def __init__(
        self, index: int, listener: ListenerSettings, *, sips: bool = False, near: bool = False
    ) -> None:
        self.index = index
        self.near = near
        self.realm = listener.realm
        self.transport = _TRANSPORTS[listener.transport]
        self.hops = Sources(self.realm, index)
        """By UDP, to an address: shared by all calls that go there."""
        host = listener.host if near else listener.advertise_host
        port = listener.port if near else listener.advertise_port
        self.host = (f"[{host}]" if ":" in host else host).encode()
        """As in a URI: an IPv6 address has its brackets."""
        hostport = self.host + b":%d" % port
        self._via = b"Via: SIP/2.0/%b %b;branch=" % (self.transport, hostport)
        self._contact_prefix = b"Contact: <sips:" if sips else b"Contact: <sip:"
        parameter = b";transport=" + self.transport.lower()
        if sips or self.transport is UDP:  # with sips it goes without saying (RFC 3261 §26.2.2)
            parameter = b""
        self._contact_suffix = b"@" + hostport + parameter + b">\r\n"

    def via(self, branch: bytes) -> bytes:
        """Our Via line; rport asks for symmetric responses (RFC 3581)."""
        return b"%b%b;rport\r\n" % (self._via, branch)

    def contact(self, token: Token) -> bytes:
        """Our Contact line for the leg of this token."""
        return self._contact_prefix + token + self._contact_suffix


class LocalEnds:
    """All listeners, by index and by realm, each as the peer in question is to see it."""

    __slots__ = ("_by_index", "_by_realm", "_near", "_networks", "_others")

    def __init__(self, listeners: Sequence[ListenerSettings]) -> None:
        self._near: dict[tuple[int, str], bool] = {}
        self._by_index = [LocalEnd(index, one) for index, one in enumerate(listeners)]
        self._networks = [one.local_networks for one in listeners]
        self._others = {
            (index, sips, near): LocalEnd(index, one, sips=sips, near=near)
            for index, one in enumerate(listeners)
            for sips in ((False, True) if one.transport == "tls" else (False,))
            for near in ((False, True) if one.local_networks else (False,))
            if sips or near
        }
        self._by_realm: dict[tuple[str, bytes, bool], LocalEnd] = {}
        for end, one in zip(self._by_index, listeners, strict=True):
            self._by_realm.setdefault((end.realm, end.transport, ":" in one.host), end)

    def of(self, hop: Hop, *, sips: bool = False) -> LocalEnd:
        """The listener that a hop names; `sips`: as a peer that used a SIPS URI is to see it.

        Deviates from RFC 5630 §4: SIPS is kept towards the peer that used it. What happens behind
        a border is the other network's own business, which its trunk's `transport` says.
        """
        end = self._by_index[hop.listener]
        if not sips and not self._networks[hop.listener]:
            return end
        return self._shown(end, sips and end.transport is TLS, self._is_near(end, hop.host))

    def towards(
        self, realm: str, transport: bytes, host: str, like: LocalEnd | None = None
    ) -> LocalEnd | None:
        """The first listener of `realm` that can reach `host`, None where there is none.

        Args:
            like: the end that the peer of a dialog knows: it goes on seeing the same of our
                addresses, wherever its next target is.
        """
        end = self._by_realm.get((realm, transport, ":" in host))
        if end is None or not self._networks[end.index]:
            return end
        return self._shown(end, False, like.near if like is not None else self._is_near(end, host))

    def _shown(self, end: LocalEnd, sips: bool, near: bool) -> LocalEnd:
        return self._others[end.index, sips, near] if sips or near else end

    def _is_near(self, end: LocalEnd, host: str) -> bool:
        """Whether a host is in the same NAT's network as we are."""
        networks = self._networks[end.index]
        if not networks:
            return False
        near = self._near.get((end.index, host))
        if near is None:
            if len(self._near) >= _REMEMBERED:
                self._near.clear()
            address = ip_address(host)
            near = any(address in network for network in networks)
            self._near[end.index, host] = near
        return near
