"""Which header lines of one leg reach the other, and changed how (RFC 5853 §3.1, RFC 3323 §5.3).

A leg's messages are built, never copied; what the other leg's peer has said crosses only by name
(`names`: the border's list and the trunks' `pass:`), and then by these rules, each of which is a
flag of `Hide`, so that a test can switch one off and see the hiding check fail:

* `uri_hosts`: in every SIP or SIPS URI (a SIPS URI becomes a SIP one) and every `scheme://` URL the
  host becomes our own, port and password go. `anonymous.invalid` says nothing and stays.
* `uri_params`: URI parameters and URI headers that carry a host (`maddr`, `received`, `gr`,
  `trunk-context`, a `phone-context` that is a domain, …) go; the others stay.
* `display_names`: a display name that holds an address or a host name goes.
* `other_text`: an address or a host name anywhere else cannot be replaced safely. The parameter
  that holds it goes, or the member of the list, or where there is no such structure the whole line
  (`Subject`, what `pass:` names).

A user part is a user's name: `john.smith` is not told from a host and crosses; one that holds an
address becomes `anonymous`. What cannot be parsed does not cross.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple

from sbc.errors import ParseError
from sbc.sdp.hosts import holds_address, holds_host
from sbc.sip.address import parse_name_addr
from sbc.sip.grammar import MAX_PARAMS, quote, split_list
from sbc.sip.message import Message
from sbc.sip.uri import SipUri, TelUri, parse_uri, unescape

__all__ = [
    "ANONYMOUS",
    "CREDENTIALS",
    "NOBODYS_HOST",
    "Hide",
    "crossing",
    "party",
    "text_for",
    "user_part",
]

NOBODYS_HOST: Final = b"anonymous.invalid"  # RFC 3323 §4.1.1.3
ANONYMOUS: Final = b'"Anonymous" <sip:anonymous@anonymous.invalid>'


class Hide(NamedTuple):
    """The rules of this module; all of them hold unless a test says otherwise."""

    uri_hosts: bool = True
    uri_params: bool = True
    display_names: bool = True
    other_text: bool = True


_ALL: Final = Hide()

CREDENTIALS: Final = frozenset(
    (b"authorization", b"proxy-authorization", b"www-authenticate", b"proxy-authenticate")
)
"""What crosses untouched where it crosses at all: its digest is over every byte."""

_ADDRESSES: Final = frozenset(
    b"p-asserted-identity p-preferred-identity remote-party-id diversion history-info referred-by"
    b" reply-to p-called-party-id".split()
)
"""Lists of name-addr."""
_LISTS: Final = frozenset(b"reason alert-info user-to-user accept-language call-info".split())
"""Lists of a value with parameters."""
_SPELLING: Final = {
    b"user-to-user": b"User-to-User",
    b"www-authenticate": b"WWW-Authenticate",
    b"p-called-party-id": b"P-Called-Party-ID",
    b"remote-party-id": b"Remote-Party-ID",
}

_HOST_PARAMS: Final = frozenset(
    b"maddr received rport transport gr opaque trunk-context tgrp ob".split()
)
"""URI parameters that name a machine, a flow or a trunk of the other side, whatever they hold."""
_URI_HEADERS: Final = frozenset((b"reason", b"privacy", b"user-to-user"))
"""What a History-Info entry may carry behind `?` (RFC 7044 §5)."""

_URI: Final = re.compile(
    rb"""
    (?<![0-9a-z.+-]) (?:
      sips?+ : (?: (?P<user>[^\s<>"@]{0,256}+) @ )?
        (?P<host>\[[0-9a-f:.]*+\] | [0-9a-z._%\x80-\xff-]*+) (?: : [0-9]*+ )?
        (?P<params>(?: ; [^\s<>",;?]*+ )*) (?: \? (?P<headers>[^\s<>",]*+) )?
    | tel : (?P<number>[0-9a-f+*\#().-]++) (?P<context>(?: ; [^\s<>",;?]*+ )*)
    | (?P<scheme>[a-z][a-z0-9+-]{1,15}+) :// [^\s<>"/?;,]*+ (?P<path>[^\s<>",;]*+)
    )
    """,
    re.VERBOSE | re.IGNORECASE,
)
_SEPARATORS: Final = b"-.()"  # RFC 3966 §5.1.1: visual, mean nothing, and can look like an address
_FILE: Final = re.compile(
    rb"(?<=[0-9a-z_-])\.(?:wav|mp3|au|ogg|opus|gif|jpe?g|png)(?=\?|\Z)", re.IGNORECASE
)
"""What a dot in a path is allowed for: ring tones and pictures."""
_INDEX: Final = re.compile(rb"1(?:\.[0-9]{1,3}+)*")
"""RFC 7044 §10.3: 1.1.1.1 is no address there."""
_MAX_MEMBERS: Final = 32
"""Of one line; a call that was forwarded more often is not explained by its History-Info."""
_MAX_COLONS: Final = 64
"""Of one value: as many URIs are no text, but work for us."""
_MARK: Final = b"\0"  # where a rewritten URI stands while the rest is judged

# What From and To nearly always are: a name, a user of plain characters, a host, a tag.
_PLAIN: Final = re.compile(
    rb"""([0-9A-Za-z !*_+'~]*+|"[^"\\.:@%-]*+" ?+)<sip:([0-9A-Za-z+_*]++)@([^<>;?@:%]++)"""
    rb"(?::[0-9]++)?>(?:;tag=[^;]*+)?"
)


def crossing(
    message: Message, *, names: frozenset[bytes], hide: Hide = _ALL, host: bytes = NOBODYS_HOST
) -> bytes:
    """The header lines of `message` that reach the other leg, ready to be sent.

    Args:
        message: as its sender made it.
        names: canonical names of the headers that may cross.
        hide: the rules that hold.
        host: our advertised host on the leg that the lines go to, IPv6 in brackets.

    Returns:
        Lines with CRLF; b"" in the common case that no header has one of the names.
    """
    present = message.names_among(names)
    if not present:
        return b""
    lines = []
    for name in sorted(present):
        for value in message.every(name):
            ready = _rewrite(name, value, hide, host)
            if ready:
                lines.append(b"%b: %b\r\n" % (_SPELLING.get(name) or name.title(), ready))
    return b"".join(lines)


def party(value: bytes, host: bytes, tag: bytes = b"", hide: Hide = _ALL) -> bytes:
    """A From or To value for a new leg: display name and user stay, all else is ours.

    Of the parameters only `user=phone` stays; a tel URI becomes the SIP URI of its number, a SIPS
    URI a SIP one (the next hop's security is its trunk's affair). Who is anonymous stays it.

    Args:
        value: of the From or To received.
        host: ours for From, the peer's for To; IPv6 in brackets.
        tag: for From; b"" for none.
    """
    match = _PLAIN.fullmatch(value)
    if match is not None and hide == _ALL and match[3].lower() != NOBODYS_HOST:
        made = b"%b<sip:%b@%b>" % (match[1], match[2], host)
    else:
        made = _party(value, host, hide)
    return b"%b;tag=%b" % (made, tag) if tag else made


def _party(value: bytes, host: bytes, hide: Hide) -> bytes:
    try:
        address = parse_name_addr(value)
        uri = parse_uri(address.uri)
    except ParseError:
        return ANONYMOUS
    display = b"" if _hidden_name(address.display, hide) else address.display
    prefix = quote(display) + b" " if display else b""
    if isinstance(uri, TelUri):
        number = uri.number.translate(None, _SEPARATORS)
        return b"%b<sip:%b@%b;user=phone>" % (prefix, number, host)
    if not isinstance(uri, SipUri):
        return b"%b<sip:%b>" % (prefix, host)
    if not hide.uri_hosts:
        return b"%b<%b>" % (prefix, address.uri)
    if uri.host.lower() == NOBODYS_HOST:
        host = NOBODYS_HOST
    phone = b";user=phone" if uri.params.get(b"user", b"").lower() == b"phone" else b""
    user = user_part(uri.user)
    return b"%b<sip:%b%b%b>" % (prefix, user + b"@" if user else b"", host, phone)


def _rewrite(name: bytes, value: bytes, hide: Hide, host: bytes) -> bytes:
    """One line's value as the other leg gets it, b"" if it does not."""
    if name in CREDENTIALS:
        return value
    if name in _ADDRESSES:
        member_of: Callable[[bytes, Hide, bytes], bytes] = _name_addr
    elif name in _LISTS:
        member_of = _with_params
    else:
        return _text(value, hide, host)
    try:
        members = [member for member in split_list(value, b",", "header") if member]
        if len(members) > _MAX_MEMBERS:
            return b""
        kept = [member_of(member, hide, host) for member in members]
    except ParseError:
        return b""
    return b", ".join([member for member in kept if member])


def _name_addr(value: bytes, hide: Hide, host: bytes) -> bytes:
    """One member of a list of name-addr."""
    address = parse_name_addr(value)
    uri = _text(address.uri, hide, host)
    if not uri:
        return b""
    display = b"" if _hidden_name(address.display, hide) else address.display
    prefix = quote(display) + b" " if display else b""
    params = [
        b";%b=%b" % (name, text) if text else b";" + name
        for name, text in address.params.items()
        if (name == b"index" and _INDEX.fullmatch(text))
        or not (_names_host(name, hide) or (hide.other_text and holds_host(name + b"=" + text)))
    ]
    return b"%b<%b>%b" % (prefix, uri, b"".join(params))


def _with_params(value: bytes, hide: Hide, host: bytes) -> bytes:
    """One member of a list of values with parameters; without a value nothing is left."""
    parts = split_list(value, b";", "header")
    if len(parts) > MAX_PARAMS:
        return b""
    first, *params = [_text(part, hide, host) for part in parts]
    kept = [one for one in params if one and not _names_host(one.partition(b"=")[0], hide)]
    return b";".join([first, *kept]) if first else b""


def _names_host(name: bytes, hide: Hide) -> bool:
    """Whether a header parameter is really one of a URI that stood without <> (§20.10)."""
    return hide.uri_params and unescape(name).strip().lower() in _HOST_PARAMS


def _text(value: bytes, hide: Hide, host: bytes) -> bytes:
    """A header's value with its URIs rewritten; b"" if there is a host beside them."""
    return b"" if value.count(b":") > _MAX_COLONS else text_for(value, hide, host)


def text_for(value: bytes, hide: Hide, host: bytes) -> bytes:
    """Any text with our host in its URIs; b"" if there is a host beside them.

    Args:
        value: of bounded size: the time that this takes grows with it.
        hide: the rules that hold.
        host: our advertised host on the leg that the text goes to, IPv6 in brackets.
    """
    if not hide.uri_hosts:
        return value
    if _MARK in value:
        return b""
    if b":" not in value:  # no URI: nothing to rewrite
        return b"" if hide.other_text and holds_host(value) else value
    rewritten: list[bytes] = []

    def take(match: re.Match[bytes]) -> bytes:
        rewritten.append(_uri(match, hide, host))
        return _MARK

    judged = _URI.sub(take, value)
    if not all(rewritten):
        return b""
    if hide.other_text and holds_host(judged):
        return b""
    first, *others = judged.split(_MARK)
    return first + b"".join([uri + text for uri, text in zip(rewritten, others, strict=True)])


def _uri(match: re.Match[bytes], hide: Hide, host: bytes) -> bytes:
    """One URI with our host; b"" for one whose host is not to be found."""
    if match["number"] is not None:
        number = match["number"].translate(None, _SEPARATORS)
        return b"tel:" + number + _uri_params(match["context"], hide)
    if match["scheme"] is not None:
        path = match["path"]
        if hide.other_text and holds_host(unescape(_FILE.sub(b"", path))):
            path = b""
        return b"%b://%b%b" % (match["scheme"], host, path)
    if not match["host"]:
        return b""
    if match["host"].lower() == NOBODYS_HOST:
        host = NOBODYS_HOST
    user = user_part((match["user"] or b"").partition(b":")[0])
    headers = match["headers"] or b""
    if hide.uri_params:
        headers = b"&".join([one for one in headers.split(b"&") if _header_stays(one)])
    return b"sip:%b%b%b%b" % (
        user + b"@" if user else b"",
        host,
        _uri_params(match["params"], hide),
        b"?" + headers if headers else b"",
    )


def _uri_params(params: bytes, hide: Hide) -> bytes:
    """The `;name=value` that may stay, each with its semicolon."""
    if not params or not hide.uri_params:
        return params
    each = params.split(b";")
    if len(each) > MAX_PARAMS:
        return b""
    return b"".join([b";" + one for one in each if one and _param_stays(one)])


def _header_stays(header: bytes) -> bool:
    return header.partition(b"=")[0].lower() in _URI_HEADERS and not holds_host(unescape(header))


def _param_stays(param: bytes) -> bool:
    text = unescape(param)
    name, _, value = text.partition(b"=")
    name = name.strip().lower()
    if name == b"phone-context":  # RFC 3966 §5.1.5: a domain, or a prefix that begins with +
        return value[:1] == b"+" and not holds_host(value)
    return name not in _HOST_PARAMS and not holds_host(text)


def user_part(user: bytes) -> bytes:
    """A user part with what belongs to the user, telephone parameters included."""
    if user.removeprefix(b"+").isalnum():  # a number, as nearly always: nothing to look for
        return user
    name, *params = user.split(b";")
    text = unescape(name)
    if holds_address(text) or b"@" in text or b":" in text:
        name = b"anonymous"
    return b";".join([name, *[param for param in params if _param_stays(param)]])


def _hidden_name(display: bytes, hide: Hide) -> bool:
    """A NUL would end the header for a peer that reads C strings; an escaped one is allowed."""
    return b"\0" in display or (hide.display_names and holds_host(display))
