"""The exception tree of the signalling process.

Exceptions are for broken contracts and for bytes that are not what they claim to be; what a
peer legally does is an event, and what we do about it an action.
"""

from __future__ import annotations

__all__ = [
    "ConnectError",
    "FileError",
    "FlowClosed",
    "LocalProtocolError",
    "ParseError",
    "PortsExhausted",
    "ProtocolError",
    "RelayError",
    "RelayUnavailable",
    "RemoteProtocolError",
    "SbcError",
    "SendError",
    "TransportError",
]


class SbcError(Exception):
    """Anything that this program raises on purpose."""


class ProtocolError(SbcError):
    """A message or a step that the protocol does not allow.

    Args:
        detail: what was expected and what came; reaches the peer's Warning, so never a secret.
        status: the SIP status code that the fault deserves, 400 unless said otherwise.
    """

    def __init__(self, detail: str, *, status: int = 400) -> None:
        super().__init__(detail)
        self.detail = detail
        self.status = status


class ParseError(ProtocolError):
    """Bytes that are not in the grammar.

    Args:
        section: the header, line or production that failed, as the RFC names it ("Via", "CSeq").
        detail: what was expected and what came.
        offset: where in the input, in bytes, or -1 where it is not known.
        status: the SIP status code that the fault deserves.
    """

    def __init__(self, section: str, detail: str, *, offset: int = -1, status: int = 400) -> None:
        super().__init__(f"{section}: {detail}", status=status)
        self.section = section
        self.offset = offset


class LocalProtocolError(ProtocolError):
    """We asked one of our own machines for an illegal step: our bug."""


class RemoteProtocolError(ProtocolError):
    """The peer took an illegal step: answered with `status`, counted."""


class TransportError(SbcError):
    """A message could not be carried."""


class ConnectError(TransportError):
    """No connection to the peer could be made."""


class SendError(TransportError):
    """The kernel refused to send."""


class FlowClosed(TransportError):
    """The connection that the message belongs to is gone."""


class FileError(TransportError):
    """A file that connections need, such as a certificate, cannot be used.

    Args:
        path: the file.
        reason: what was expected in it and what came, or what the system says.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path


class RelayError(SbcError):
    """The media relay refused or cannot be reached."""


class RelayUnavailable(RelayError):
    """No relay worker is running: new calls get 503."""


class PortsExhausted(RelayError):
    """Every media port of the realm is leased or in quarantine: new calls get 503."""
