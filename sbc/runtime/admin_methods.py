"""What the administration socket understands: a contract between the border and its commands.

Frames are those of `relay.control.codec`. Numbers are never reused. Bodies are plain values, so
that `--json` prints what the border said and nothing else.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

__all__ = ["SOCKET_NAME", "AdminEvent", "AdminFault", "AdminMethod"]

SOCKET_NAME: Final = "sbc.sock"
"""In the run directory."""


class AdminMethod(IntEnum):
    """Requests."""

    STATUS = 1
    """None → a map: the border as a whole."""
    CALLS = 2
    """None → CALLS notifications, then how many calls they held."""
    CALL = 3
    """Call identifier → a map, or None if there is no such call."""
    HANGUP = 4
    """Call identifier → whether there was such a call; its end may take a moment longer."""
    RELOAD_CERTIFICATES = 5
    """None → a map: `good`, whether every file could be read, and `text`, one line about it."""


class AdminEvent(IntEnum):
    """Notifications; they come only while a request is being answered."""

    CALLS = 1
    """A list of maps, one for each call: the next slice of a listing."""


class AdminFault(IntEnum):
    """Why a request was not carried out."""

    BAD_REQUEST = 1
    UNKNOWN_METHOD = 2
    INTERNAL = 3
    """Our fault; no call is harmed."""
