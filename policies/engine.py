"""Everything that the border asks before it lets anything happen: one door to all policies."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from policies.access import Access
from policies.admission import SourceRates, TrunkAdmission
from policies.facts import Accept, CallFacts, Decision, Ignore, Refuse, Target, Why
from policies.routing import Routes
from policies.settings import Peer, PolicySettings, Stranger, TrunkSettings

__all__ = ["Policies"]


class Policies:
    """The operator's decisions, asked with facts. No I/O, no clock of its own."""

    __slots__ = (
        "_access",
        "_admission",
        "_no_route",
        "_rates",
        "_routes",
        "_stranger",
        "identify",
    )

    def __init__(self, settings: PolicySettings) -> None:
        self._access = Access(settings)
        self.identify: Final = self._access.identify
        """The trunk that a source speaks for; asked of every message, so without a step between."""
        self._rates = SourceRates(settings.access.rate_per_source, settings.access.burst_per_source)
        self._admission = TrunkAdmission(settings.trunks)
        self._routes = Routes(settings)
        self._stranger: Refuse | Ignore
        why = Why("access.strangers", 0, "the source belongs to no trunk of this realm")
        if settings.access.strangers is Stranger.IGNORE:
            self._stranger = Ignore(why)
        else:
            self._stranger = Refuse(403, b"", why)
        self._no_route = {
            trunk.name: Refuse(
                404, b"", Why("routes", 0, f"no route from {trunk.name} to this number"), trunk
            )
            for trunk in settings.trunks
        }

    def follow(self, trunk: str, hosts: Iterable[str]) -> None:
        """The addresses that the names of a trunk's peers have now."""
        self._access.follow(trunk, hosts)

    def stranger(self) -> Refuse | Ignore:
        """What any request from a source without a trunk gets."""
        return self._stranger

    def named(self, realm: str, host: str, port: int) -> tuple[TrunkSettings, Peer] | None:
        """Whose peer has this name in the realm, and that peer (`Access.named`)."""
        return self._access.named(realm, host, port)

    def may_speak(self, realm: str, host: str, now: float) -> bool:
        """Whether a request of `host` is within its rate; trunks and exempt sources always are.

        Args:
            realm: whose listener heard it: a trunk is trusted in its own realm only.
            host: source address as text.
            now: monotonic seconds.
        """
        if self.identify(realm, host) is not None or self._access.is_exempt(host):
            return True
        return self._rates.allow(host, now)

    def decide(self, facts: CallFacts, now: float, trunk: TrunkSettings | None = None) -> Decision:
        """What becomes of a new INVITE. `now` is monotonic seconds.

        `trunk` is whose call it is, where that is known: by its message, or, of a party that is
        transferred, otherwise than by the source.

        Asked in this order: whose is it, does the trunk that brings it have room, is there a
        route, which trunk of the route has room. An attempt takes its token of the bringing
        trunk's `limits.cps` even where a later question refuses it.
        """
        if trunk is None:
            trunk = self.identify(facts.realm, facts.source_host, facts.certified)
        if trunk is None:
            return self._stranger
        refusal = self._admission.admit(trunk, now)
        if refusal is not None:
            return refusal
        route = self._routes.find(trunk, facts.request_user)
        if route is None:
            return self._no_route[trunk.name]
        self._admission.begin(trunk)
        for index, target in enumerate(route.trunks):
            refusal = self._admission.admit(target, now)
            if refusal is None:
                self._admission.begin(target)
                return Accept(trunk, route.targets_from[index], route.why)
        self._admission.end(trunk)
        assert refusal is not None  # noqa: S101 (a route has at least one trunk)
        return Refuse(refusal.status, refusal.reason, refusal.why, trunk)

    def find(self, facts: CallFacts, method: str, now: float) -> tuple[Target, ...] | Refuse:
        """Where a request outside of calls goes: routed as a call would be, but nothing is held.

        Only to trunks that let this method pass. 405: there is none, or the bringing trunk does
        not. `now` is monotonic seconds.
        """
        trunk = self.identify(facts.realm, facts.source_host, facts.certified)
        if trunk is None:
            return Refuse(403, b"", self._stranger.why)
        route = self._routes.find(trunk, facts.request_user)
        if route is None:
            return self._no_route[trunk.name]
        if method in trunk.outside_methods:
            able = [one for one in route.targets_from[0] if method in one.trunk.outside_methods]
            if able:
                return self.may_send(trunk, now) or tuple(able)
        text = f"{method} is not passed on from {trunk.name}"
        return Refuse(405, b"", Why(f"trunks.{trunk.name}.methods", trunk.line, text), trunk)

    def may_send(self, trunk: TrunkSettings, now: float) -> Refuse | None:
        """Take a token of the trunk's `limits.cps` for a request outside of calls."""
        return self._admission.pace(trunk, now)

    def join(self, one: TrunkSettings, other: TrunkSettings) -> None:
        """Hold a call of two parties who have been let in already, on both their trunks."""
        self._admission.begin(one)
        self._admission.begin(other)

    def move(self, current: TrunkSettings, to: TrunkSettings, now: float) -> Refuse | None:
        """Carry a call on by another trunk of its targets. None: done, `to` holds the call.

        A refusal leaves the call held on `current`. Another peer of the same trunk costs
        nothing. `now` is monotonic seconds.
        """
        if current is to:
            return None
        refusal = self._admission.admit(to, now)
        if refusal is None:
            self._admission.end(current)
            self._admission.begin(to)
        return refusal

    def ended(self, trunks: Iterable[TrunkSettings]) -> None:
        """Give back what `decide` held: the bringing trunk and the one that carried the call."""
        for trunk in trunks:
            self._admission.end(trunk)

    def calls(self) -> dict[str, int]:
        """Live calls for each trunk, by name."""
        return self._admission.calls()
