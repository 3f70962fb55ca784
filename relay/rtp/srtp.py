"""SRTP and SRTCP sessions in Python (RFC 3711, RFC 6188, RFC 7714).

PURE. The ciphers are cryptography's; framing, indices and the replay window are ours, because
what a border must do (read and set roll-over counters, MKI, keys of 192 and 256 bits, packets of
any size) libsrtp's Python binding cannot. Ours costs no more; libsrtp is the tests' oracle.
"""

from __future__ import annotations

from relay.rtp.counter_mode import CounterSession
from relay.rtp.gcm import GcmSession
from relay.rtp.session import SrtpSession
from relay.rtp.suites import SUITES, MasterKey

__all__ = ["new_session"]


def new_session(suite: str, key: bytes, mki: bytes = b"", roc: int = 0) -> SrtpSession:
    """A session as `Forwarder.session` describes it.

    Raises ValueError for a key of the wrong length, KeyError for a suite not in `SUITES`.
    """
    kind = SUITES[suite]
    make = GcmSession if kind.aead else CounterSession
    return make(kind, MasterKey(kind, key), mki, roc)
