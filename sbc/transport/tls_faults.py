"""Why a TLS connection did not come about, in one line for an operator.

What a peer shows or sends is its own choice, so it goes into a log only through `x509`, which
takes out what is not printable, and only as often as `Complaints` allows.
"""

from __future__ import annotations

import ssl
from collections import OrderedDict
from typing import Final

from sbc.transport.x509 import Certificate, read_der, when

__all__ = ["Complaints", "explain"]

# <openssl/x509_vfy.h>: X509_V_ERR_*
_NO_ISSUER: Final = frozenset((2, 20, 21, 27))
_NOT_YET, _EXPIRED, _SELF_SIGNED, _SELF_SIGNED_ROOT, _PURPOSE = 9, 10, 18, 19, 26
_WEAK: Final = frozenset((66, 67, 68))
_NO_AUTHORITY_KEY: Final = 92

_ALERTS: Final = {
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "wants a certificate of ours (tls.certificate)",
    "TLSV1_ALERT_UNKNOWN_CA": "does not know who signed our certificate",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "says that our certificate has expired",
    "SSLV3_ALERT_BAD_CERTIFICATE": "does not accept our certificate",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "does not accept our certificate",
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": "does not accept our kind of certificate",
    "TLSV1_ALERT_ACCESS_DENIED": "does not let us in with our certificate",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "found no cipher or certificate that both sides take",
    "TLSV1_ALERT_PROTOCOL_VERSION": "speaks none of our versions of TLS (1.2 and 1.3)",
    "TLSV1_UNRECOGNIZED_NAME": "does not know the server name that we asked for (tls.name)",
}
_OURS: Final = {
    "WRONG_VERSION_NUMBER": "it does not speak TLS",
    "HTTP_REQUEST": "it speaks HTTP",
    "UNSUPPORTED_PROTOCOL": "it speaks none of our versions of TLS (1.2 and 1.3)",
    "VERSION_TOO_LOW": "its version of TLS is too old",
    "NO_SHARED_CIPHER": "it offers no cipher that we take",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "it shows no certificate, and tls.client says required",
    "NO_SUITABLE_SIGNATURE_ALGORITHM": "it takes no kind of certificate that we have",
}


def explain(error: ssl.SSLError, shown: bytes, now: float) -> str:
    """What went wrong, without a name of the peer: that stands before it.

    Args:
        shown: the peer's certificate, DER; b"" where it showed none.
        now: seconds since the epoch.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        return _distrust(error.verify_code, error.verify_message, _read(shown), now)
    if isinstance(error, ssl.SSLEOFError):
        return "it closed the connection within the handshake"
    reason = error.reason or ""
    if reason in _ALERTS:
        return f"it {_ALERTS[reason]}"
    if reason in _OURS:
        return _OURS[reason]
    return (reason or str(error)).replace("_", " ").lower()


class Complaints:
    """Lets the first complaint about each peer through, and few of all; counts the others. PURE.

    Args:
        pause_s: between two about one peer.
        most: in one pause, about whomever.
    """

    __slots__ = ("_most", "_pause_s", "_said", "suppressed")

    def __init__(self, pause_s: float = 60.0, most: int = 20) -> None:
        self._pause_s = pause_s
        self._most = most
        self._said: OrderedDict[str, float] = OrderedDict()
        self.suppressed = 0
        """Since one was let through."""

    def allow(self, peer: str, now: float) -> bool:
        """Whether to speak of `peer` again. `now` is monotonic seconds."""
        said = self._said
        while said and next(iter(said.values())) <= now - self._pause_s:
            said.popitem(last=False)
        if peer in said or len(said) >= self._most:
            self.suppressed += 1
            return False
        said[peer] = now
        return True

    def left_out(self) -> int:
        """How many were not let through since the last call."""
        count, self.suppressed = self.suppressed, 0
        return count


def _distrust(code: int, message: str, of: Certificate | None, now: float) -> str:
    """Why its certificate is not believed."""
    whose = f"its certificate ({of.subject})" if of is not None else "its certificate"
    if code == _EXPIRED:
        if of is None or of.not_after > now:
            return f"{whose}, or one above it, has expired"
        return f"{whose} expired {when(of.not_after, now)}"
    if code == _NOT_YET:
        if of is None or of.not_before < now:
            return f"{whose}, or one above it, is not valid yet"
        return f"{whose} is not valid before {when(of.not_before, now)}: is our clock right?"
    if code == _SELF_SIGNED:
        return f"{whose} is signed by itself: add it to tls.ca to believe it"
    if code in _NO_ISSUER or code == _SELF_SIGNED_ROOT:
        by = f"by {of.issuer}, " if of is not None else ""
        return f"{whose} is signed {by}which tls.ca does not hold, or the chain has a gap"
    if code == _PURPOSE:
        return f"{whose} is not made for this side of TLS (extended key usage)"
    if code in _WEAK:
        return f"{whose} is too weak: {message}"
    if code == _NO_AUTHORITY_KEY:
        return f"{whose} has no authority key identifier, which a strict check wants"
    return f"{whose} is not believed: {message}"


def _read(shown: bytes) -> Certificate | None:
    if not shown:
        return None
    try:
        return read_der(shown)
    except ValueError:
        return None
