"""Messages as the compiled parser makes them: the datagram, and where its lines are.

It recognises what is usual and well formed and nothing else; of any other message it says nothing,
and `sbc.sip.parser` decides. What it does say is what that one would have said, in every view: the
differential tests hold both together. It is optional: `sbc.extension` tells whether it is here.
"""

from __future__ import annotations

from sbc.extension import look
from sbc.sip.message import Request, Response

__all__ = ["recognise"]

if look().usable:
    from sbc import _native

    class NativeRequest(_native.Request, Request):
        """A request."""

        __slots__ = ()

    class NativeResponse(_native.Response, Response):
        """A response."""

        __slots__ = ()

    def recognise(data: bytes) -> Request | Response | None:
        """The message if it is a usual one, else None."""
        try:
            return NativeResponse(data) if data[:4] == b"SIP/" else NativeRequest(data)
        except _native.Unusual:
            return None

else:

    def recognise(data: bytes) -> Request | Response | None:
        """None: there is no compiled parser."""
        return None
