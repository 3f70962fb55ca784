"""A small border to ask policies about."""

from __future__ import annotations

from ipaddress import ip_network

from policies.facts import CallFacts
from policies.settings import (
    AccessSettings,
    LimitSettings,
    Peer,
    PolicySettings,
    RouteSettings,
    TrunkSettings,
)


def trunk(name, realm, *peers, sources=None, **limits):
    """A trunk whose peers are addresses or Peer values."""
    made = tuple(one if isinstance(one, Peer) else Peer(host=one) for one in peers)
    return TrunkSettings(
        name=name,
        realm=realm,
        peers=made,
        sources=tuple(ip_network(one) for one in sources or [peer.host for peer in made]),
        limits=LimitSettings(**limits),
        line=10,
    )


def route(source, *to, number="", line=20):
    return RouteSettings(source=source, to=to, number=number, line=line)


def settings(trunks, routes=(), **access):
    return PolicySettings(
        trunks=tuple(trunks), routes=tuple(routes), access=AccessSettings(**access)
    )


def call(realm, source, number=b"4930", port=5060):
    return CallFacts(realm, source, port, b"UDP", 0, number, b"alice")
