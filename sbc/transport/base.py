"""What stream transports tell the signalling core."""

from __future__ import annotations

from typing import Protocol

from sbc.errors import TransportError
from sbc.sip.stream import FramingError
from sbc.transaction.hop import Hop

__all__ = ["StreamSink"]


class StreamSink(Protocol):
    """Who hears what streams bring. Every method is a plain call and must not raise."""

    def message(self, frame: bytes, hop: Hop, now: float) -> None:
        """One whole message, headers and body as Content-Length says."""

    def garbled(self, error: FramingError, hop: Hop, now: float) -> None:
        """The stream cannot be followed any further. What is sent on `hop` before this returns
        is still written; then the connection is closed."""

    def failed(self, hop: Hop, data: bytes, error: TransportError) -> None:
        """`data` was not sent. `hop` is the one that it was to be sent on."""

    def closed(self, hop: Hop, error: TransportError | None) -> None:
        """A connection has ended; None: the peer closed it. What was written but not answered
        may be lost."""

    def flush(self) -> None:
        """A batch of the above is over."""
