"""Whose message is this (RFC 3261 §17.1.3, §17.2.3).

Two networks may use the same branch, and nobody answers or cancels across the border: a request
of theirs has its realm in its key. Branches of ours are unlike each other, so that the layer has
only to compare the realm of what it finds. Branch and sent-by are compared without regard to
case, as §7.3.1 says of all parameter values and §19.1.4 of hosts; Call-ID byte by byte (§20.8).
"""

from __future__ import annotations

from typing import Final

from sbc.ids import BRANCH_COOKIE
from sbc.sip.message import Request
from sbc.sip.status import ACK, CANCEL, INVITE
from sbc.transaction.machine import TransactionKey

__all__ = ["client_key", "server_key"]

_COOKIE: Final = BRANCH_COOKIE.lower()
_COOKIE_LENGTH: Final = len(_COOKIE)
_OF_ONE_INVITE: Final = (INVITE, ACK, CANCEL)


def client_key(branch: bytes, method: bytes) -> TransactionKey:
    """What a response must bear: our branch, and whether it is of the CANCEL that shares it.

    That the method in its CSeq is the transaction's is for the caller to check (§17.1.3).
    """
    key = branch.lower()
    return key + b" CANCEL" if method == CANCEL else key


def server_key(request: Request, realm: str, method: bytes) -> TransactionKey:
    """What two copies of a request have in common (§17.2.3).

    Args:
        method: the transaction's: INVITE for its ACK, and to find what a CANCEL means (§9.2).
    """
    via = request.via
    branch = via.branch.lower()
    # One string, for it lives as long as the transaction; none of its parts can hold a space.
    key = b"%b %b %b %b:%a" % (realm.encode(), method, branch, via.host.lower(), via.port)
    if branch.startswith(_COOKIE) and len(branch) > _COOKIE_LENGTH:
        return key
    # RFC 2543, or a cookie with nothing behind it (RFC 4475 §3.2.1). The To tag of an ACK is that
    # of our answer, not the INVITE's; we answer an INVITE under one tag, so it may be left out.
    to_tag = b"" if method in _OF_ONE_INVITE else request.to_tag
    return key, request.uri, to_tag, request.from_tag, request.call_id, request.cseq
