"""Which codecs a call uses, and which offers within it leave them as they are."""

from __future__ import annotations

from sbc.call.legs.leg import Fork
from sbc.call.media.terms import Terms
from sbc.errors import ProtocolError
from sbc.sdp.facts import MediaFacts, check_offer, describe
from sbc.sdp.model import Session
from sbc.sdp.offer_answer import Negotiation
from sbc.sdp.parser import parse
from sbc.sip.message import Response

__all__ = ["check_change", "check_in_use", "codecs_of", "formats", "same_codecs"]


def same_codecs(fork: Fork, response: Response) -> bool:
    """Whether a fork uses the codecs of another, or has not said yet which."""
    before = fork.negotiation_b.remote
    if before is None or not response.body:
        return True
    try:
        return codecs_of(describe(before)) == codecs_of(describe(parse(response.body)))
    except ProtocolError:
        return True


def check_change(facts: list[MediaFacts]) -> None:
    """Refuse an offer within a call that we cannot carry; one of nothing at all is none such: all
    streams are removed (RFC 3264 §8.2).

    Raises:
        UnsupportedMedia: 488, with the reason.
    """
    if any(media.port for media in facts):
        check_offer(facts)


def check_in_use(silent: Negotiation, offer: Session, terms: Terms | None) -> None:
    """Refuse an offer that does not go on with the codecs which the silent side uses.

    Raises:
        ProtocolError: 488.
    """
    for index, used in enumerate(silent.in_use()):
        media = offer.media[index]
        if used is None or media.port == 0:
            continue
        number, name, clock_rate = used
        carried = terms.carries(index, number) if terms is not None else None
        if carried is None:
            offered = [(one, word.upper(), rate) for one, word, rate in media.form.formats]
            carried = (number, name.upper(), clock_rate) in offered
        if not carried:
            raise ProtocolError("the other side takes no change of codec", status=488)


def formats(facts: list[MediaFacts]) -> list[list[int]]:
    """The payload types of each m-line."""
    return [[number for number, _, _ in media.form.formats] for media in facts]


def codecs_of(facts: list[MediaFacts]) -> list[str]:
    """The first format of each stream (`Exchange.codecs`)."""
    return [media.form.first for media in facts if media.anchored]
