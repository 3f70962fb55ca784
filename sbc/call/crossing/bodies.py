"""What is in the body of one leg's request, as the other leg gets it (RFC 5853 §3.1).

SDP has its own way (`sbc.sdp`). Everything else is judged by its type:

| type | what crosses |
|---|---|
| DTMF and other controls without addresses, `text/*` | all of it: what people write is theirs |
| `message/sipfrag` | the status line alone (RFC 3515 §2.4.5) |
| `message/cpim` | From, To, DateTime, NS and Subject with our hosts, then the text (RFC 3862) |
| `application/dialog-info+xml`, other XML, message summaries | with our hosts in every URI, and \
other names for dialogs; not at all if an address or host name is left |
| anything else | if no address or host name is in it |
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from sbc.call.crossing.headers import Hide, text_for
from sbc.sdp.hosts import holds_host

__all__ = ["hide_body"]

_LARGEST: Final = 32_768
"""Of what is read: the time that it takes grows with it."""
_MOST_COLONS: Final = 2_048
"""As many URIs are no document that a phone or a presence server has made."""
_PRIVATE_USE: Final = frozenset(
    (b"application/dtmf-relay", b"application/dtmf", b"application/media_control+xml")
)
_STATUS_LINE: Final = re.compile(rb"SIP/2\.0 ([1-6][0-9]{2}) ([^\r\n]*)")
_NAMESPACE: Final = re.compile(rb"""\sxmlns(?::[\w.-]+)?\s*=\s*(?:"[^"]*"|'[^']*')""")
_SCHEMA: Final = re.compile(rb"""\s[\w.-]+:schemaLocation\s*=\s*(?:"[^"]*"|'[^']*')""")
_DIALOG_NAME: Final = re.compile(
    rb"""(\s(?:call-id|local-tag|remote-tag)\s*=\s*)(?:"([^"]*)"|'([^']*)')"""
)
_CPIM_HEADER: Final = re.compile(rb"([\w!#$%&'*+^`|~.-]+): ([^\r\n]*)")  # RFC 3862 §3.2
_CPIM_KEPT: Final = frozenset((b"From", b"To", b"cc", b"DateTime", b"NS", b"Subject"))
_BLANK: Final = re.compile(rb"\r?\n\r?\n")


def hide_body(
    content_type: bytes, body: bytes, hide: Hide, host: bytes, mark: Callable[[bytes], bytes]
) -> bytes | None:
    """`body` as the other leg gets it; None for one that cannot cross.

    Args:
        content_type: lower case, without parameters.
        body: as it came.
        hide: the rules that hold.
        host: our advertised host on the leg that it goes to, IPv6 in brackets.
        mark: another name for an identifier, always the same one, from which it cannot be told.
    """
    if not body or content_type in _PRIVATE_USE or content_type.startswith(b"text/"):
        return body
    if len(body) > _LARGEST or body.count(b":") > _MOST_COLONS:
        return None
    if content_type == b"message/sipfrag":
        return _sipfrag(body)
    if content_type == b"message/cpim":
        return _cpim(body, hide, host, mark)
    if content_type.endswith(b"xml"):
        return _xml(body, hide, host, mark)
    return text_for(body, hide, host) or None


def _sipfrag(body: bytes) -> bytes | None:
    """What became of a transfer: the status, nothing of who said so."""
    match = _STATUS_LINE.match(body)
    if match is None:
        return None
    reason = b"" if holds_host(match[2]) else match[2]
    return b"SIP/2.0 %b %b\r\n" % (match[1], reason)


def _xml(body: bytes, hide: Hide, host: bytes, mark: Callable[[bytes], bytes]) -> bytes | None:
    """A document is not read, only its text rewritten: nothing in it is ever followed."""
    if not hide.uri_hosts:
        return body
    kept: list[bytes] = []

    def keep(match: re.Match[bytes]) -> bytes:
        kept.append(match[0])
        return b"\1"

    if b"\0" in body or b"\1" in body or b"<!" in body.replace(b"<!--", b""):
        return None  # neither our marks nor entities of its own
    bare = _SCHEMA.sub(b"", body)
    bare = _NAMESPACE.sub(keep, bare)  # names of vocabularies look like URLs, and are none
    bare = _DIALOG_NAME.sub(lambda match: b'%b"%b"' % (match[1], mark(match[2] or match[3])), bare)
    rewritten = text_for(bare, hide, host)
    if not rewritten or rewritten.count(b"\1") != len(kept):
        return None  # a URI has swallowed one of our marks
    first, *others = rewritten.split(b"\1")
    return first + b"".join([name + text for name, text in zip(kept, others, strict=True)])


def _cpim(body: bytes, hide: Hide, host: bytes, mark: Callable[[bytes], bytes]) -> bytes | None:
    """Its own headers, a blank line, the headers of what it wraps, a blank line, and that."""
    parts = _BLANK.split(body, 2)
    if len(parts) != 3:
        return None
    wrapper, inner, text = parts
    lines = []
    for line in wrapper.splitlines():
        match = _CPIM_HEADER.fullmatch(line)
        if match is None:
            return None
        value = text_for(match[2], hide, host) if match[1] in _CPIM_KEPT else b""
        if value:
            lines.append(b"%b: %b" % (match[1], value))
    kind = b"text/plain"
    kept = []
    for line in inner.splitlines():
        name, colon, value = line.partition(b":")
        if not colon:
            return None
        if name.strip().lower() == b"content-type":
            kind = value.partition(b";")[0].strip().lower()
        if name.strip().lower().startswith(b"content-") and not holds_host(value):
            kept.append(line)
    wrapped = None if kind == b"message/cpim" else hide_body(kind, text, hide, host, mark)
    if wrapped is None:
        return None
    return b"\r\n".join(lines) + b"\r\n\r\n" + b"\r\n".join(kept) + b"\r\n\r\n" + wrapped
