"""Whose message is this (RFC 3261 §17.1.3, §17.2.3).

Every key begins with the realm: two networks may use the same branch, and nobody answers or
cancels across the border. Branch and sent-by are compared without regard to case, as §7.3.1 says
of all parameter values and §19.1.4 of hosts; Call-ID byte by byte (§20.8).
"""

from __future__ import annotations

from typing import Final

from sbc.ids import BRANCH_COOKIE
from sbc.sip.message import Request
from sbc.sip.status import ACK, CANCEL, INVITE
from sbc.transaction.machine import TransactionKey

__all__ = ["client_key", "invite_key", "server_key"]

_COOKIE: Final = BRANCH_COOKIE.lower()
_COOKIE_LENGTH: Final = len(_COOKIE)
_OF_ONE_INVITE: Final = (INVITE, ACK, CANCEL)


def client_key(realm: str, branch: bytes, method: bytes) -> TransactionKey:
    """What a response must bear: our branch, and whether it is of the CANCEL that shares it.

    That the method in its CSeq is the transaction's is for the caller to check (§17.1.3).
    """
    return realm, branch.lower(), method == CANCEL


def server_key(request: Request, realm: str) -> TransactionKey:
    """What two copies of a request have in common; an ACK has its INVITE's key (§17.2.3).

    The method is the last member: see `invite_key`.
    """
    via = request.via
    branch = via.branch.lower()
    method = request.method
    if method == ACK:
        method = INVITE
    if branch.startswith(_COOKIE) and len(branch) > _COOKIE_LENGTH:
        return realm, branch, via.host.lower(), via.port, method
    # RFC 2543, or a cookie with nothing behind it (RFC 4475 §3.2.1). The To tag of an ACK is that
    # of our answer, not the INVITE's; we answer an INVITE under one tag, so it may be left out.
    to_tag = b"" if method in _OF_ONE_INVITE else request.to_tag
    return (
        realm,
        branch,
        via.host.lower(),
        via.port,
        request.uri,
        to_tag,
        request.from_tag,
        request.call_id,
        request.cseq,
        method,
    )


def invite_key(cancel_key: TransactionKey) -> TransactionKey:
    """The key of the INVITE that a CANCEL with this key means (§9.2)."""
    return (*cancel_key[:-1], INVITE)
