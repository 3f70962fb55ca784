"""Answers, kept as long as they may be (RFC 1035 §3.2.1, RFC 2308, RFC 8767).

An answer with records is fresh for its TTL and stale for a day after: a new answer takes its
place, even one that denies the name, but silence does not. So while all servers are dead, what
was last known goes on serving (RFC 8767 §5), and is asked for again every few seconds.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from sbc.resolve.records import Answer, Outcome, Question

__all__ = ["Cache", "Kept"]

_FLOOR_S: Final = 2.0
"""A TTL of 0 would mean a question for each call."""
_CEILING_S: Final = 86_400.0
_NEGATIVE_CEILING_S: Final = 60.0
"""RFC 2308 §5 allows hours: too long for somebody who has just repaired a zone."""
_RETRY_S: Final = 5.0
"""After silence (RFC 2308 §7.1 and §7.2 allow up to 300 s)."""
_SILENCE_S: Final = 60.0
"""So long silence is an answer, too: calls need not wait while the question is asked again."""
_STALE_S: Final = 86_400.0
"""RFC 8767 §5: from 1 to 3 days."""
_AHEAD: Final = 0.8
"""The part of its life after which an answer is asked for again."""


@dataclass(slots=True)
class Kept:
    """One answer in the cache. All times are monotonic seconds."""

    answer: Answer
    until: float
    """Fresh until then."""
    ask_at: float
    """When to ask again."""
    end: float
    """Not to be used any more from then on."""
    failed: bool = False
    """Whether the last time that it was asked for there was only silence."""


class Cache:
    """The latest answer to each question. No clock of its own.

    Args:
        most: questions; the one that was asked for longest ago gives way.
    """

    __slots__ = ("_kept", "_most")

    def __init__(self, most: int = 4096) -> None:
        self._kept: OrderedDict[Question, Kept] = OrderedDict()
        self._most = most

    def __len__(self) -> int:
        return len(self._kept)

    def put(self, question: Question, answer: Answer, now: float) -> Kept:
        """Remember an answer; of silence, only that there was some. Returns what is kept now."""
        kept = self._kept.get(question)
        if answer.outcome is Outcome.FAILED:
            if kept is not None and kept.answer.outcome is not Outcome.FAILED and now < kept.end:
                kept.failed, kept.ask_at = True, now + _RETRY_S
                return kept
            until = ask_at = now + _RETRY_S
            end = now + _SILENCE_S
        else:
            found = answer.outcome is Outcome.FOUND
            life_s = min(max(answer.ttl_s, _FLOOR_S), _CEILING_S if found else _NEGATIVE_CEILING_S)
            until, ask_at = now + life_s, now + life_s * _AHEAD
            end = until + _STALE_S if found else until
        failed = answer.outcome is Outcome.FAILED
        kept = self._kept[question] = Kept(answer, until, ask_at, end, failed)
        self._kept.move_to_end(question)
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return kept

    def look(self, question: Question, now: float) -> Kept | None:
        """The answer at hand, stale ones included; None where it must be asked for."""
        kept = self._kept.get(question)
        if kept is None:
            return None
        if now >= kept.end:
            del self._kept[question]
            return None
        return kept

    def due(self, questions: Iterable[Question], now: float) -> list[Question]:
        """Those of `questions` that should be asked now, so that no call will have to wait."""
        found = []
        for question in questions:
            kept = self.look(question, now)
            if kept is None or now >= kept.ask_at:
                found.append(question)
        return found
