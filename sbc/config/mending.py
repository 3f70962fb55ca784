"""The keys of what a trunk's peers cannot do, or do in their own way."""

from __future__ import annotations

from typing import Annotated

from policies.settings import Refresher, Use
from sbc.config.scalars import Interval, choice
from sbc.config.section import Section

__all__ = ["SessionTimer"]


class SessionTimer(Section):
    """How a trunk's sessions are kept from outliving their peers (RFC 4028)."""

    expires: Interval = 1800
    """The interval that is asked for, and the longest that is agreed to."""
    minimum: Interval = 90
    """The shortest that is agreed to; a shorter one is refused (422)."""
    refresher: Annotated[Refresher, choice(Refresher, "auto, us or peer")] = Refresher.AUTO
    """Who keeps the session alive, where that is ours to say."""
    use: Annotated[Use, choice(Use, "auto, always or never")] = Use.AUTO
    """auto: with peers that know session timers; always: others are asked by us all the same."""
