"""Header names: one canonical name, whatever the case or compact form (RFC 3261 §7.3.3)."""

from __future__ import annotations

import re
from typing import Final

from sbc.errors import ParseError
from sbc.sip.grammar import TOKEN_RULE, shown

__all__ = ["CANONICAL", "SINGLE"]

# HCOLON allows white space before the colon.
_NAME: Final = re.compile(rb"(%b)[ \t]*+" % TOKEN_RULE)

_COMPACT: Final = {
    b"a": b"accept-contact",  # RFC 3841
    b"b": b"referred-by",  # RFC 3892
    b"c": b"content-type",
    b"d": b"request-disposition",  # RFC 3841
    b"e": b"content-encoding",
    b"f": b"from",
    b"i": b"call-id",
    b"j": b"reject-contact",  # RFC 3841
    b"k": b"supported",
    b"l": b"content-length",
    b"m": b"contact",
    b"n": b"identity-info",  # RFC 4474
    b"o": b"event",  # RFC 6665
    b"r": b"refer-to",  # RFC 3515
    b"s": b"subject",
    b"t": b"to",
    b"u": b"allow-events",  # RFC 6665
    b"v": b"via",
    b"x": b"session-expires",  # RFC 4028
    b"y": b"identity",  # RFC 8224
}

# As senders write them; a dictionary hit saves lower-casing and checking the name.
_USUAL: Final = (
    b"Accept Accept-Contact Accept-Encoding Accept-Language Alert-Info Allow Allow-Events "
    b"Authorization Call-ID Call-Id Call-Info Contact Content-Disposition Content-Encoding "
    b"Content-ID Content-Length Content-Type CSeq Date Diversion Error-Info Event Expires From "
    b"History-Info Identity In-Reply-To Info-Package Join Max-Forwards MIME-Version Min-Expires "
    b"Min-SE Organization P-Access-Network-Info P-Asserted-Identity P-Called-Party-ID "
    b"P-Charging-Vector P-Early-Media P-Preferred-Identity Path Priority Privacy "
    b"Proxy-Authenticate Proxy-Authorization Proxy-Require RAck Reason Record-Route Recv-Info "
    b"Refer-To Referred-By Remote-Party-ID Replaces Reply-To Request-Disposition Require "
    b"Resource-Priority Retry-After Route RSeq Server Service-Route Session-Expires Session-ID "
    b"SIP-ETag SIP-If-Match Subject Subscription-State Supported Timestamp To Unsupported "
    b"User-Agent User-to-User Via Warning WWW-Authenticate"
).split()

SINGLE: Final = frozenset(
    {b"from", b"to", b"call-id", b"cseq", b"max-forwards", b"content-length", b"content-type"}
)
"""Headers of which a second line makes the message ambiguous: answered 400 (RFC 4475 §3.3.8)."""


class _CanonicalNames(dict[bytes, bytes]):
    """Name as received → canonical name: long form, lower case.

    What is not in the table is worked out and *not* stored: peers choose the names, and a table
    that they could fill would be theirs.
    """

    __slots__ = ()

    def __missing__(self, name: bytes) -> bytes:
        match = _NAME.fullmatch(name)
        if match is None:
            what = shown(name.partition(b"=")[0], 32)  # behind it may be a secret, or of the body
            raise ParseError("header", f"expected a header name, got {what}")
        canonical = match[1].lower()
        return _COMPACT.get(canonical, canonical)


CANONICAL: Final = _CanonicalNames(
    {name: name.lower() for name in _USUAL}
    | {name.lower(): name.lower() for name in _USUAL}
    | _COMPACT
    | {name.upper(): canonical for name, canonical in _COMPACT.items()}
)
"""Look a name up with `CANONICAL[name]`; ParseError for what is no header name."""
