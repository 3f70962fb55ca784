"""Why a worker refuses a request.

PURE. Numbers are never reused.
"""

from __future__ import annotations

from enum import IntEnum

__all__ = ["ControlError", "ErrorCode"]


class ErrorCode(IntEnum):
    """Why a request was not carried out."""

    BAD_REQUEST = 1
    """The body is not what the method wants; the text says where."""
    UNKNOWN_METHOD = 2
    VERSION = 3
    """The HELLO was of another protocol version, or there was none."""
    SUPERSEDED = 4
    """A plan with a higher revision is in force, or another one with the same."""
    UNKNOWN_CALL = 5
    UNKNOWN_PORT = 6
    """The plan names a port that this worker has not leased to this session."""
    PORT_IN_USE = 7
    """The plan names a port of another call, or one port twice."""
    PORTS_EXHAUSTED = 8
    """Not one port of the realm is to be had."""
    UNKNOWN_REALM = 9
    DRAINING = 10
    INTERNAL = 11
    """Our fault; the call that it was about is unharmed."""


class ControlError(Exception):
    """A request that the relay refused.

    Args:
        code: the machine's reason.
        text: the reader's: what was expected and what came.
    """

    def __init__(self, code: ErrorCode, text: str) -> None:
        super().__init__(f"{code.name}: {text}")
        self.code = code
        self.text = text
