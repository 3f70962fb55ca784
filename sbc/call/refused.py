"""What is refused before there is a call or a record of it: said, and said seldom.

Who is refused may go on sending for ever, so the log is not theirs to fill: one line a minute for
one fault of one sender, a few for each sender, twenty in all; where that is not enough, one line
says so. What comes beyond costs a look into a table of those twenty.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, TypeAlias

from policies.facts import Ignore, Refuse
from policies.settings import TrunkSettings
from sbc.call.core import Core
from sbc.call.digest.challenge import Fault, Flaw
from sbc.errors import ParseError
from sbc.sip.parser import BadRequest
from sbc.sip.stream import FramingError
from sbc.transaction.hop import Hop

__all__ = ["Refused", "Seldom"]

Sender: TypeAlias = tuple[str, str]
"""A realm or a trunk, and an address."""

_AGAIN_S: Final = 60.0
_INFO: Final = 20
_DEBUG: Final = 10
_MAX_SHOWN: Final = 64
"""Characters of a name that a peer has chosen; of a method a quarter of it."""
_MAX_REASON: Final = 200
_MORE: Final = "there are more than are named in a minute"


class Seldom:
    """Which lines of one kind may be written: within any minute no more than are remembered.

    Args:
        more: called when there are more than that, once a minute.
        most: lines a minute.
        each: of these, lines about one sender.
    """

    __slots__ = ("_each", "_more", "_more_s", "_most", "_said", "_shares")

    def __init__(self, more: Callable[[], None], most: int = 20, each: int = 4) -> None:
        self._more = more
        self._most = most
        self._each = each
        self._said: dict[tuple[Sender, bytes], float] = {}
        """When, the oldest first."""
        self._shares: dict[Sender, int] = {}
        self._more_s = float("-inf")

    def may(self, sender: Sender, what: bytes, now: float) -> bool:
        """Whether a line may be written about this, which is taken to happen then."""
        line = sender, what
        said_s = self._said.get(line)
        if said_s is not None and now - said_s < _AGAIN_S:
            return False
        self._forget(now)
        share = self._shares.get(sender, 0)
        if len(self._said) >= self._most or share >= self._each:
            if now - self._more_s >= _AGAIN_S:
                self._more_s = now
                self._more()
            return False
        self._said[line] = now
        self._shares[sender] = share + 1
        return True

    def _forget(self, now: float) -> None:
        while self._said:
            oldest = next(iter(self._said))
            if now - self._said[oldest] < _AGAIN_S:
                return
            del self._said[oldest]
            sender = oldest[0]
            self._shares[sender] -= 1
            if not self._shares[sender]:
                del self._shares[sender]


class Refused:
    """Writes those lines.

    Args:
        core: whose log it is.
    """

    __slots__ = ("_answers", "_core", "_messages", "_stale", "_strangers")

    def __init__(self, core: Core) -> None:
        self._core = core
        self._strangers = Seldom(partial(core.say, _INFO, "stranger.more", "", reason=_MORE))
        self._answers = Seldom(partial(core.say, _INFO, "auth.more", "", reason=_MORE))
        self._stale = Seldom(partial(core.say, _DEBUG, "auth.more_stale", "", reason=_MORE))
        self._messages = Seldom(partial(core.say, _INFO, "trunk.more_bad", "", reason=_MORE))

    def stranger(self, method: bytes, decision: Refuse | Ignore, hop: Hop, now: float) -> None:
        """A request whose source is no trunk's: most often the first fault of a new one."""
        if not self._strangers.may((hop.realm, hop.host), b"", now):
            return
        event = "stranger.refused" if isinstance(decision, Refuse) else "stranger.ignored"
        self._core.say(
            _INFO,
            event,
            "",
            realm=hop.realm,
            source=_source(hop),
            method=_printable(method[: _MAX_SHOWN // 4]),
            transport=hop.transport.decode().lower(),
            reason=decision.why.text,
        )

    def answer(self, fault: Fault, trunk: TrunkSettings, hop: Hop, now: float) -> None:
        """A digest answer that does not prove who sends the request.

        A name that nobody has costs what one costs that somebody has.
        """
        user = fault.user[:_MAX_SHOWN]
        what = b"%b %b" % (fault.flaw.name.encode(), user)
        normal = fault.flaw is Flaw.STALE or fault.flaw is Flaw.REALM
        seldom = self._stale if normal else self._answers
        if seldom.may((trunk.name, hop.host), what, now):
            self._core.say(
                _DEBUG if normal else _INFO,
                "auth.failed",
                "",
                trunk=trunk.name,
                source=hop.host,
                user=_printable(user) or None,
                reason=fault.flaw.value,
            )

    def message(self, error: ParseError, trunk: TrunkSettings, hop: Hop, now: float) -> None:
        """What a trunk has sent and nobody can read."""
        if self._messages.may((trunk.name, hop.host), error.section.encode()[:_MAX_SHOWN], now):
            asked = isinstance(error, BadRequest | FramingError) and error.reply_to is not None
            self._core.say(
                _INFO,
                "trunk.bad_request" if asked else "trunk.bad_message",
                "",
                trunk=trunk.name,
                source=_source(hop),
                status=error.status if asked else None,
                reason=_printable(error.detail.encode()[:_MAX_REASON]),
            )


def _source(hop: Hop) -> str:
    return f"[{hop.host}]:{hop.port}" if ":" in hop.host else f"{hop.host}:{hop.port}"


def _printable(text: bytes) -> str:
    return "".join([one if one.isprintable() else "?" for one in text.decode("utf-8", "replace")])
