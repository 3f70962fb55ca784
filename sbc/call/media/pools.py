"""From which ports of a realm the media of a leg are taken: those that its peer can reach.

A realm may have media addresses of IPv4, of IPv6 or of both. Its ports are one pool, or two: one
of each family. All streams of a leg are of one family, and stay of it for the call: the relay
joins the families of the two legs, no description of a peer ever has to.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from relay.settings import MediaSettings
from sbc.sdp.facts import MediaFacts, UnsupportedMedia

__all__ = ["Pools", "name_of", "other_family", "parts"]

_NAMES: Final = {False: "IPv4", True: "IPv6"}
"""By whether it is IPv6."""
_FAMILIES: Final = {"": 0, "IPv4": 4, "IPv6": 6}


class Pools:
    """The pools of all realms.

    A pool's name is that of its realm, behind which `/IPv4` or `/IPv6` stands where the realm has
    both.
    """

    __slots__ = ("_of",)

    def __init__(self, media: Iterable[MediaSettings]) -> None:
        families: dict[str, set[bool]] = {}
        for one in media:
            families.setdefault(one.realm, set()).add(":" in one.address)
        self._of: dict[str, Mapping[bool, str]] = {
            realm: {
                ipv6: f"{realm}/{_NAMES[ipv6]}" if len(found) > 1 else realm
                for ipv6 in sorted(found)
            }
            for realm, found in families.items()
        }

    @property
    def names(self) -> list[str]:
        """Of all pools."""
        return [name for pools in self._of.values() for name in pools.values()]

    def choose(self, realm: str, facts: Sequence[MediaFacts], host: str) -> str:
        """The pool for a leg: of the family of its media, or while it has told no address for any,
        that of its signalling, as far as the realm has that.

        Args:
            facts: what its peer has said.
            host: where its signalling comes from or goes to.

        Raises:
            UnsupportedMedia: 488, the peer cannot be reached from the realm's addresses, or its
                streams are of two families.
        """
        pools = self._of[realm]
        chosen: str | None = None
        for media in facts:
            if media.anchored and media.remote is not None:
                ipv6 = ":" in media.remote[0]
                pool = pools.get(ipv6)
                if pool is None:
                    raise other_family(ipv6)
                if chosen is not None and pool is not chosen:
                    raise UnsupportedMedia("expected all streams on IPv4, or all on IPv6")
                chosen = pool
        return chosen or pools.get(":" in host) or next(iter(pools.values()))


def parts(pool: str) -> tuple[str, int]:
    """Realm and family of a pool: 4 or 6, or 0 where the realm has but one."""
    realm, _, family = pool.partition("/")
    return realm, _FAMILIES[family]


def name_of(realm: str, family: int) -> str:
    """The reverse of `parts`."""
    return realm if family == 0 else f"{realm}/{_NAMES[family == 6]}"


def other_family(ipv6: bool) -> UnsupportedMedia:
    """The refusal of media on IPv6 by what is IPv4, or the reverse."""
    return UnsupportedMedia(f"expected media on {_NAMES[not ipv6]}, got {_NAMES[ipv6]}")
