"""What the operator decided about the media of a trunk's calls, as plain frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

__all__ = ["PLAIN", "SUITES", "CodecSettings", "Dtmf", "RtcpMux", "Srtp", "TrunkMedia"]

SUITES: Final = (
    "AEAD_AES_256_GCM",
    "AES_256_CM_HMAC_SHA1_80",
    "AEAD_AES_128_GCM",
    "AES_CM_128_HMAC_SHA1_80",
    "AES_192_CM_HMAC_SHA1_80",
    "AES_CM_128_HMAC_SHA1_32",
    "AES_256_CM_HMAC_SHA1_32",
    "AES_192_CM_HMAC_SHA1_32",
)
"""All crypto suites that we have, by their names in SDP (RFC 4568, 6188, 7714)."""


class Srtp(Enum):
    """Whether a trunk's media is encrypted, on its own leg (RFC 4568, RFC 8643)."""

    OFF = "off"
    """Never: keys that it offers are not taken, offers of SRTP alone are refused."""
    PREFERRED = "preferred"
    """Offered beside the clear, and taken wherever it is offered (RFC 8643)."""
    REQUIRED = "required"
    """Always: anything else is refused."""


class RtcpMux(Enum):
    """Whether RTCP shares a trunk's RTP ports (RFC 5761)."""

    OFF = "off"
    ACCEPT = "accept"
    """Where its peer offers it."""
    OFFER = "offer"
    """We offer it, too."""


class Dtmf(Enum):
    """How a trunk's peers send and take digits."""

    AUTO = "auto"
    """As both sides negotiate; nothing is converted for it."""
    RFC4733 = "rfc4733"
    """As telephone-events in RTP."""
    INFO = "info"
    """In INFO, as application/dtmf-relay."""
    INFO_DIGIT = "info-digit"
    """In INFO, as application/dtmf: the digit alone."""

    @property
    def by_info(self) -> bool:
        """Whether they go the way of signalling."""
        return self in (Dtmf.INFO, Dtmf.INFO_DIGIT)


@dataclass(frozen=True, slots=True, kw_only=True)
class CodecSettings:
    """Which codecs a trunk's audio may have. Names as in SDP, with `/clock` where that matters."""

    allow: tuple[str, ...] = ()
    """(): all. telephone-event need not be named."""
    strip: tuple[str, ...] = ()
    order: tuple[str, ...] = ()
    """These first, in this order."""
    single: bool = False
    """One codec in each description of ours."""
    ptime_ms: int = 0
    """The packet length that our descriptions ask for; 0: what the other side says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrunkMedia:
    """What one trunk's media is like."""

    srtp: Srtp = Srtp.OFF
    suites: tuple[str, ...] = SUITES[:4]
    """Those that may be used, best first."""
    codecs: CodecSettings = CodecSettings()
    rtcp_mux: RtcpMux = RtcpMux.ACCEPT
    dtmf: Dtmf = Dtmf.AUTO
    continuity: bool = False
    """Its peers get one SSRC, and numbers and timestamps without a step, whatever is behind us."""
    strict: bool = False
    """What its peers send under payload types that were not negotiated is dropped."""
    rtcp_bye: bool = True
    """RTCP BYE of its peers crosses."""
    rtcp_app: bool = False
    """RTCP APP of its peers crosses."""


PLAIN: Final = TrunkMedia()
"""Of a trunk that says nothing about its media."""
