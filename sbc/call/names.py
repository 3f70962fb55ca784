"""What the DNS says, as the border takes it."""

from __future__ import annotations

from functools import partial

from sbc.call.operations import Operations
from sbc.resolve.records import Answer, Question

__all__ = ["NameEvents"]


class NameEvents(Operations):
    """Answers and the passing of time, for the names of targets (`Core.where`).

    What is to be asked is in `core.where.questions` after each.
    """

    def dns_answered(self, question: Question, answer: Answer, now: float) -> None:
        """An answer, or that there is none: calls that have waited for it go on."""
        self._guarded(None, partial(self._go_on, question, answer, now), now)

    def dns_tick(self, now: float) -> None:
        """Look for answers that end soon; once in a second is often enough."""
        self._guarded(None, partial(self.core.where.tick, now), now)
        self._say_notes()

    def _go_on(self, question: Question, answer: Answer, now: float) -> None:
        for asker, places in self.core.where.answered(question, answer, now):
            self._guarded(asker, partial(asker.located, places, now), now)
        self._say_notes()

    def _say_notes(self) -> None:
        where = self.core.where
        for level, event, fields in where.notes:
            self.core.say(level, event, "", **fields)
        where.notes.clear()
