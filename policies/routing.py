"""Where a call goes: from source trunk and called number to addresses, in the order to try.

The longest `number:` prefix of the source trunk's routes wins; of two equal ones `sbc check`
refuses the second. Within a trunk, peers go by priority, low first, then by weight, high first,
then as written. Deviates from RFC 2782: peers of one priority are not shuffled by weight, the
heaviest is always tried first.
"""

from __future__ import annotations

from collections.abc import Iterable

from policies.facts import Target, Why
from policies.settings import PolicySettings, RouteSettings, TrunkSettings

__all__ = ["Route", "Routes", "targets_of"]


class Route:
    """One route, with its answers made beforehand."""

    __slots__ = ("settings", "targets_from", "trunks", "why")

    def __init__(
        self, index: int, settings: RouteSettings, trunks: tuple[TrunkSettings, ...]
    ) -> None:
        self.settings = settings
        self.trunks = trunks
        """Where to, in order."""
        self.targets_from = tuple(
            tuple(target for trunk in trunks[first:] for target in targets_of(trunk))
            for first in range(len(trunks))
        )
        """At index i: all targets of trunks[i:]."""
        which = f"numbers from {settings.number}" if settings.number else "any number"
        to = ", ".join(trunk.name for trunk in trunks)
        self.why = Why(f"routes[{index + 1}]", settings.line, f"{settings.source}: {which} to {to}")


class Routes:
    """All routes, by source trunk and prefix."""

    __slots__ = ("_sources",)

    def __init__(self, settings: PolicySettings) -> None:
        trunks = {trunk.name: trunk for trunk in settings.trunks}
        sources: dict[str, dict[bytes, Route]] = {name: {} for name in trunks}
        for index, one in enumerate(settings.routes):
            route = Route(index, one, tuple(trunks[name] for name in one.to))
            sources[one.source].setdefault(one.number.encode(), route)
        self._sources = {name: (_lengths(prefixes), prefixes) for name, prefixes in sources.items()}

    def find(self, source: TrunkSettings, number: bytes) -> Route | None:
        """The route for a call of `source` to `number`, None if no prefix matches."""
        lengths, prefixes = self._sources[source.name]
        for length in lengths:
            route = prefixes.get(number[:length])
            if route is not None:
                return route
        return None


def targets_of(trunk: TrunkSettings) -> tuple[Target, ...]:
    """The trunk's peers in the order in which they are tried."""
    peers = sorted(trunk.peers, key=lambda peer: (peer.priority, -peer.weight))
    return tuple(Target(trunk, peer) for peer in peers)


def _lengths(prefixes: Iterable[bytes]) -> tuple[int, ...]:
    """The lengths that occur, the longest first."""
    return tuple(sorted({len(prefix) for prefix in prefixes}, reverse=True))
