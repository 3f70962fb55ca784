"""All names of a configuration, looked up once: for commands that run without a border."""

from __future__ import annotations

import os
import time
from typing import Final

import trio

from sbc.call.targets.where import Where
from sbc.resolve.records import Answer, Question
from sbc.runtime.resolver import Resolver
from sbc.settings import Settings

__all__ = ["look_up"]

_STEPS: Final = 4
"""NAPTR, SRV and addresses, one deadline each, and one in hand."""


def look_up(settings: Settings) -> list[dict[str, object]]:
    """Each named peer: where it is, who says so, until when, or what is wrong.

    The maps are those of `Where.describe`; an empty list where no peer is a name. Takes at most
    four times `dns.timeout`.
    """
    where = Where(settings.policies.trunks, settings.transport.listeners, os.urandom)
    if where.has_names:
        trio.run(_settle, where, settings)
    return where.describe(time.monotonic())


async def _settle(where: Where, settings: Settings) -> None:
    def answered(question: Question, answer: Answer) -> None:
        where.answered(question, answer, time.monotonic())
        pass_on()

    def pass_on() -> None:
        resolver.ask(where.questions)
        where.questions.clear()
        if where.is_settled:
            done.set()

    done = trio.Event()
    resolver = Resolver(settings.dns, answered)
    resolver.load()
    with trio.move_on_after(_STEPS * settings.dns.timeout_s):
        async with trio.open_nursery() as nursery:
            await nursery.start(resolver.run)
            where.tick(time.monotonic())
            pass_on()
            await done.wait()
            nursery.cancel_scope.cancel()
