"""What a REFER asks for, and which dialog a Replaces names (RFC 3515, 3891, 3892, 4488).

Of the Refer-To only the user part is believed, and the Replaces behind its `?`: where a number is
to be found say the routes, never the peer that names it.
"""

from __future__ import annotations

from dataclasses import dataclass

from sbc.call.core import Core
from sbc.call.legs.leg import Leg
from sbc.errors import ParseError, ProtocolError
from sbc.sip.address import parse_name_addr
from sbc.sip.grammar import split_list
from sbc.sip.message import Request
from sbc.sip.params import parse_params
from sbc.sip.uri import SipUri, TelUri, number_of, parse_uri, unescape

__all__ = ["Referral", "Replaces", "named", "read_refer", "read_replaces"]


@dataclass(slots=True)
class Replaces:
    """One dialog, as its peer names it to us (RFC 3891 §6.1)."""

    call_id: bytes
    to_tag: bytes
    """Ours in that dialog."""
    from_tag: bytes
    early_only: bool = False


@dataclass(slots=True)
class Referral:
    """A REFER that can be acted upon."""

    number: bytes
    """The user part of the Refer-To, unescaped, without parameters."""
    user: bytes
    """The same as it came."""
    replaces: Replaces | None
    notify: bool
    """False: the transferor wants no NOTIFY (RFC 4488)."""


def read_refer(request: Request) -> Referral:
    """What a REFER asks for.

    Raises:
        ProtocolError: 400 for a REFER without one Refer-To that can be read, 416 for one that
            names no number, 501 for one that asks for another method than INVITE.
    """
    values = request.every(b"refer-to")
    if len(values) != 1:
        raise ParseError("Refer-To", f"expected one, got {len(values)}")
    uri = parse_uri(parse_name_addr(values[0], "Refer-To").uri)
    replaces = None
    if isinstance(uri, TelUri):
        user = uri.number
    elif isinstance(uri, SipUri):
        user = uri.user
        if uri.params.get(b"method", b"INVITE").upper() != b"INVITE":
            raise ProtocolError("expected a Refer-To for INVITE", status=501)
        for header in uri.headers.split(b"&"):
            name, _, value = header.partition(b"=")
            if unescape(name).lower() == b"replaces":
                if replaces is not None:
                    raise ParseError("Refer-To", "expected one Replaces, got several")
                replaces = read_replaces(unescape(value))
    else:
        raise ProtocolError("expected a SIP or tel URI in Refer-To", status=416)
    if not user and replaces is None:
        raise ProtocolError("expected a user in Refer-To", status=416)
    wanted = (request.first(b"refer-sub") or b"").partition(b";")[0].strip().lower()
    return Referral(number_of(uri), user, replaces, wanted != b"false")


def read_replaces(value: bytes) -> Replaces:
    """The value of a Replaces header.

    Raises:
        ParseError: no Call-ID, or not one tag of each kind.
    """
    call_id, *rest = split_list(value, b";", "Replaces")
    params = parse_params(b";".join(rest), "Replaces") if rest else {}
    to_tag, from_tag = params.get(b"to-tag"), params.get(b"from-tag")
    if not call_id or to_tag is None or from_tag is None:
        raise ParseError("Replaces", "expected a Call-ID, a to-tag and a from-tag")
    if from_tag == b"0":  # RFC 3891 §6.1: of a peer that has none
        from_tag = b""
    return Replaces(call_id, to_tag, from_tag, b"early-only" in params)


def named(core: Core, replaces: Replaces) -> Leg | None:
    """The leg whose confirmed dialog that is, None where there is none of ours (RFC 3891 §3)."""
    leg = core.dialogs.get(replaces.to_tag)
    if not isinstance(leg, Leg) or leg.dialog is None or leg.over or leg.owner is None:
        return None
    key = replaces.call_id, replaces.to_tag, replaces.from_tag
    return leg if leg.dialog.key == key else None
