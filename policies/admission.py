"""How much anybody may ask of us: a rate for each source, calls and calls/s for each trunk."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv6Address
from typing import Final

from policies.facts import Refuse, Why
from policies.settings import TrunkSettings

__all__ = ["SourceRates", "TokenBucket", "TrunkAdmission"]

_GENERATION: Final = 8192
"""Sources in one generation of the rate table; two generations are kept."""


class TokenBucket:
    """`rate` tokens a second, at most `burst` of them saved up; full at first."""

    __slots__ = ("_at", "_burst", "_rate", "_tokens")

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._at: float | None = None

    def take(self, now: float) -> bool:
        """Take one token; False if there is none.

        Args:
            now: monotonic seconds. A step back gives and takes nothing.
        """
        at = self._at
        if at is None:
            self._at = now
        elif now > at:
            self._tokens = min(self._burst, self._tokens + (now - at) * self._rate)
            self._at = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True


class SourceRates:
    """A token bucket for each source address, in a table that cannot grow without bound.

    Two generations: a source that was silent while 8,192 others came is forgotten, which gives
    it a full bucket again. IPv6 sources count by their /64, the least that one subscriber has.
    """

    __slots__ = ("_burst", "_old", "_rate", "_young")

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._young: dict[str, TokenBucket] = {}
        self._old: dict[str, TokenBucket] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def allow(self, host: str, now: float) -> bool:
        """Whether a request of `host` is within its rate. `now` is monotonic seconds."""
        key = _subscriber(host) if ":" in host else host
        bucket = self._young.get(key)
        if bucket is None:
            bucket = self._old.pop(key, None) or TokenBucket(self._rate, self._burst)
            if len(self._young) >= _GENERATION:
                self._old = self._young
                self._young = {}
            self._young[key] = bucket
        return bucket.take(now)


class TrunkAdmission:
    """Live calls and the call rate of every trunk, against its limits.

    A call counts on the trunk that brought it and on the trunk that carries it on: one that
    goes back out where it came in uses two.
    """

    __slots__ = ("_trunks",)

    def __init__(self, trunks: Iterable[TrunkSettings]) -> None:
        self._trunks = {trunk.name: _TrunkUse(trunk) for trunk in trunks}

    def admit(self, trunk: TrunkSettings, now: float) -> Refuse | None:
        """None if one more call fits, and its token of `limits.cps` is then taken.

        Does not count the call: that is `begin`. `now` is monotonic seconds.
        """
        use = self._trunks[trunk.name]
        if use.full is not None and use.calls >= use.most:
            return use.full
        if use.bucket is not None and not use.bucket.take(now):
            return use.too_fast
        return None

    def pace(self, trunk: TrunkSettings, now: float) -> Refuse | None:
        """Take a token of `limits.cps` for what is no call; None: there was one, or no limit."""
        use = self._trunks[trunk.name]
        return use.too_fast if use.bucket is not None and not use.bucket.take(now) else None

    def begin(self, trunk: TrunkSettings) -> None:
        """Count one call on `trunk`."""
        self._trunks[trunk.name].calls += 1

    def end(self, trunk: TrunkSettings) -> None:
        """The reverse of `begin`; never below zero, so that a double end frees no one's call."""
        use = self._trunks[trunk.name]
        if use.calls:
            use.calls -= 1

    def calls(self) -> dict[str, int]:
        """Live calls for each trunk, by name."""
        return {name: use.calls for name, use in self._trunks.items()}


class _TrunkUse:
    """One trunk's counters and its two refusals, made once."""

    __slots__ = ("bucket", "calls", "full", "most", "too_fast")

    def __init__(self, trunk: TrunkSettings) -> None:
        limits = trunk.limits
        rule = f"trunks.{trunk.name}.limits"
        self.calls = 0
        self.most = 0 if limits.calls is None else limits.calls
        self.full: Refuse | None = None
        if limits.calls is not None:
            text = f"all {limits.calls} calls of {trunk.name} are in use"
            self.full = Refuse(limits.status, b"", Why(f"{rule}.calls", trunk.line, text), trunk)
        self.bucket: TokenBucket | None = None
        self.too_fast: Refuse | None = None
        if limits.cps is not None:
            self.bucket = TokenBucket(limits.cps, max(1.0, limits.cps))
            text = f"{trunk.name} has more than {limits.cps:g} new calls a second"
            self.too_fast = Refuse(limits.status, b"", Why(f"{rule}.cps", trunk.line, text), trunk)


def _subscriber(host: str) -> str:
    """The /64 of an IPv6 source, or `host` itself if it is not one."""
    try:
        address = IPv6Address(host)
    except ValueError:
        return host
    return f"{int(address) >> 64:x}/64"
