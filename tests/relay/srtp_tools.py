"""Keys, packets and libsrtp's sessions for the tests of SRTP."""

from __future__ import annotations

import struct
from random import Random
from typing import Any

from pylibsrtp import Policy
from pylibsrtp import Session as Libsrtp

from relay.control.messages import SUITES
from relay.rtp.session import SrtpSession
from relay.rtp.srtp import new_session

LIBSRTP = {
    "AES_CM_128_HMAC_SHA1_80": Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
    "AES_CM_128_HMAC_SHA1_32": Policy.SRTP_PROFILE_AES128_CM_SHA1_32,
    "AEAD_AES_128_GCM": Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
    "AEAD_AES_256_GCM": Policy.SRTP_PROFILE_AEAD_AES_256_GCM,
}
"""What the oracle can do."""

OVERHEAD = {name: 16 if "GCM" in name else 4 if name.endswith("32") else 10 for name in SUITES}
"""How much longer SRTP is than RTP."""


def key_of(suite: str, number: int = 1) -> bytes:
    """A master key and salt; another one for each number."""
    return bytes((number * 37 + place) % 256 for place in range(SUITES[suite]))


def libsrtp(suite: str, key: bytes, *, sends: bool) -> Any:
    """A session of the oracle's."""
    return Libsrtp(
        Policy(
            key=key,
            ssrc_type=Policy.SSRC_ANY_OUTBOUND if sends else Policy.SSRC_ANY_INBOUND,
            srtp_profile=LIBSRTP[suite],
        )
    )


def pair(suite: str, mki: bytes = b"", number: int = 1, roc: int = 0) -> tuple[SrtpSession, ...]:
    """Two ends of one direction: who protects, who unprotects."""
    key = key_of(suite, number)
    return new_session(suite, key, mki, roc), new_session(suite, key, mki, roc)


def sealed(session: SrtpSession, packet: bytes) -> bytes:
    """SRTP of a packet that can be protected."""
    done = session.protect(packet)
    assert isinstance(done, bytes), done
    return done


def sealed_rtcp(session: SrtpSession, packet: bytes) -> bytes:
    done = session.protect_rtcp(packet)
    assert isinstance(done, bytes), done
    return done


def sender_report(ssrc: int = 0x1234, packets: int = 5, timestamp: int = 800) -> bytes:
    """An SR without report blocks, and an SDES with a CNAME behind it."""
    report = struct.pack("!BBHIIIIII", 0x80, 200, 6, ssrc, 1, 2, timestamp, packets, 160 * packets)
    return report + struct.pack("!BBHIBB", 0x81, 202, 3, ssrc, 1, 4) + b"name" + bytes(2)


def reordered(packets: list[tuple[int, bytes]], chance: Random) -> list[tuple[int, bytes]]:
    """Numbered packets, each up to some 60 numbers late."""
    return sorted(packets, key=lambda one: one[0] + chance.randrange(60))
