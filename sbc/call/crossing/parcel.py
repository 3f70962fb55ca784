"""What a request that is no call carries across the border: header lines and a body.

Calls' own list of headers that may cross (`outgoing.crossing_names`) holds here, too. Beside it:

| header | crosses with | how |
|---|---|---|
| `Event` | PUBLISH, SUBSCRIBE, NOTIFY | package and parameters; dialogs get other names |
| `Expires`, `Min-Expires` | MESSAGE, PUBLISH, SUBSCRIBE | the number |
| `Subscription-State` | NOTIFY | state, `expires`, `retry-after` and `reason` |
| `SIP-ETag`, `SIP-If-Match` | PUBLISH | under another name (`seal.py`) |
| `Allow-Events` | PUBLISH, SUBSCRIBE, NOTIFY | names of packages |
| `Accept` | all | media types |
| `Retry-After` | failures | the number |
| `Content-*`, `MIME-Version` | what has a body | with the body (`bodies.py`), or not at all |

A value that is not of its header's grammar does not cross.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, TypeAlias

from policies.settings import TrunkSettings
from sbc.call.core import Core
from sbc.call.crossing.bodies import hide_body
from sbc.call.crossing.headers import crossing, text_for
from sbc.call.crossing.reasons import crossing_reason, reason_crosses
from sbc.call.crossing.seal import opened, other_name, seal
from sbc.call.targets.outgoing import crossing_names
from sbc.errors import ParseError, RemoteProtocolError
from sbc.sdp.hosts import holds_address, holds_host
from sbc.sip.grammar import MAX_PARAMS, decimal, is_token, split_list, unquote
from sbc.sip.message import Message, Response
from sbc.sip.status import MESSAGE, NOTIFY, PUBLISH, SUBSCRIBE

__all__ = ["ACCEPTED", "EVENT", "EXPIRES", "contents", "event_of", "lines", "package_of", "seconds"]

Rule: TypeAlias = Callable[[bytes, Core, bytes], bytes]
"""A value, the surroundings, our host on the other side → the value there, b"" for none."""

EVENT: Final = frozenset((b"event",))
EXPIRES: Final = frozenset((b"expires",))
ACCEPTED: Final = b"Accept: application/dtmf, application/dtmf-relay, text/plain\r\n"
"""Of a 415: what crosses whatever is in it."""

_LONGEST_S: Final = 2**32 - 1
_MOST_MEMBERS: Final = 64
_BY_METHOD: Final[Mapping[bytes, frozenset[bytes]]] = {
    MESSAGE: frozenset((b"accept", b"expires", b"date", b"priority")),
    PUBLISH: frozenset(
        b"accept allow-events event expires min-expires sip-etag sip-if-match".split()
    ),
    SUBSCRIBE: frozenset(b"accept allow-events event expires min-expires".split()),
    NOTIFY: frozenset(b"accept allow-events event subscription-state".split()),
}
_ANY_METHOD: Final = frozenset((b"accept",))
_OF_REQUESTS: Final = frozenset((b"sip-if-match",))
_OF_FAILURES: Final = frozenset((b"retry-after",))
_CONTENT: Final = frozenset(
    b"content-disposition content-language content-type info-package mime-version".split()
)
_PLAIN: Final = frozenset((b"", b"identity"))
_SPELLING: Final = {
    b"sip-etag": b"SIP-ETag",
    b"sip-if-match": b"SIP-If-Match",
    b"mime-version": b"MIME-Version",
}
_TYPE: Final = re.compile(rb"[\w!#$&^.+*-]{1,127}/[\w!#$&^.+*-]{1,127}")
_VENDORS: Final = (b"vnd.", b"prs.")  # RFC 6838 §3.2, §3.3: dots in the name of a vocabulary
_DIALOG_PARAMS: Final = frozenset((b"call-id", b"from-tag", b"to-tag"))  # RFC 4235 §3.2
_STATE_PARAMS: Final = frozenset((b"expires", b"retry-after", b"reason"))  # RFC 6665 §8.4


def lines(
    core: Core,
    message: Message,
    method: bytes,
    source: TrunkSettings,
    to: TrunkSettings,
    host: bytes,
    less: frozenset[bytes] = frozenset(),
) -> bytes:
    """The header lines of `message` that cross, ready to be sent; those of a body aside.

    Args:
        method: of the request, or of the one that a response answers.
        source, to: the trunks of its sender and its receiver.
        host: our advertised host on the side that the lines go to, IPv6 in brackets.
        less: names whose lines the caller writes itself.

    Raises:
        RemoteProtocolError: 412 for an entity-tag that was never given out.
    """
    names = crossing_names(source, to)
    ours = _BY_METHOD.get(method, _ANY_METHOD)
    head = b""
    if isinstance(message, Response):
        ours -= _OF_REQUESTS
    if isinstance(message, Response) and message.status >= 300:
        ours |= _OF_FAILURES
        head = crossing_reason(message, to)
    if not reason_crosses(to):
        names -= {b"reason"}
    head += crossing(message, names=names - ours, hide=core.hide, host=host)
    return head + _lines(core, message, ours - less, host)


def contents(core: Core, message: Message, host: bytes) -> tuple[bytes, bytes] | None:
    """The header lines of the body and the body itself, as the other side gets them.

    None: it has a body that cannot cross (415). One that may be ignored stays behind.
    """
    if not message.body:
        return b"", b""
    body = None
    if (message.first(b"content-encoding") or b"").lower() in _PLAIN:  # else it cannot be seen
        mark = partial(other_name, core.mint)
        body = hide_body(message.content_type, message.body, core.hide, host, mark)
    if body is None:
        return (b"", b"") if message.body_is_optional else None
    return _lines(core, message, _CONTENT, host), body


def seconds(value: bytes | None) -> int | None:
    """A number of seconds; None where there is none that can be read."""
    return None if value is None else decimal(value.partition(b";")[0].strip(), _LONGEST_S)


def event_of(value: bytes | None) -> tuple[bytes, bytes] | None:
    """Package and `id` of an Event header: which subscription is meant (RFC 6665 §8.2.1).

    None: there is none, or it is not of the grammar.
    """
    if value is None:
        return None
    try:
        package, *params = split_list(value, b";", "Event")
    except ParseError:
        return None
    if not is_token(package) or len(params) > MAX_PARAMS:
        return None
    named = (param.partition(b"=") for param in params)
    number = next((text.strip() for key, _, text in named if key.strip().lower() == b"id"), b"")
    return package.lower(), number


def package_of(value: bytes, core: Core, host: bytes) -> bytes:
    """The value of an Event header, as the other side gets it; b"" for one that cannot cross."""
    package, *params = split_list(value, b";", "Event")
    if not _is_package(package) or len(params) > MAX_PARAMS:
        return b""
    kept = [package]
    for param in params:
        name, equals, text = param.partition(b"=")
        key = name.strip().lower()
        if key in _DIALOG_PARAMS or (key == b"id" and holds_host(text)):
            kept.append(key + b"=" + other_name(core.mint, unquote(text.strip())))
        elif text_for(param, core.hide, host):
            kept.append(name.strip() + equals + text.strip())
    return b";".join(kept)


def _lines(core: Core, message: Message, names: frozenset[bytes], host: bytes) -> bytes:
    made = []
    for name in sorted(message.names_among(names)):
        rule = _RULES.get(name, _text)
        for value in message.every(name):
            try:
                ready = rule(value, core, host)
            except ParseError:
                continue
            if ready:
                made.append(b"%b: %b\r\n" % (_SPELLING.get(name) or name.title(), ready))
    return b"".join(made)


def _text(value: bytes, core: Core, host: bytes) -> bytes:
    return b"" if len(value) > 1024 else text_for(value, core.hide, host)


def _number(value: bytes, core: Core, host: bytes) -> bytes:
    number = seconds(value.partition(b"(")[0])
    return b"" if number is None else b"%d" % number


def _packages(value: bytes, core: Core, host: bytes) -> bytes:
    return b", ".join([one for one in _members(value) if _is_package(one)])


def _is_package(name: bytes) -> bool:
    """Whether it names events, and no host: the one template that there is has a dot."""
    bare = name.lower()
    while bare.endswith(b".winfo"):  # RFC 3857 §4
        bare = bare[: -len(b".winfo")]
    return is_token(name) and not holds_host(bare)


def _types(value: bytes, core: Core, host: bytes) -> bytes:
    """Media types, each with the parameters that name no host."""
    made = []
    for member in _members(value):
        kind, *params = split_list(member, b";", "media type")
        if not _is_type(kind) or len(params) > MAX_PARAMS:
            continue
        made.append(b";".join([kind, *[one for one in params if _text(one, core, host) == one]]))
    return b", ".join(made)


def _is_type(kind: bytes) -> bool:
    if _TYPE.fullmatch(kind) is None:
        return False
    name = kind.partition(b"/")[2].lower()
    return not (holds_address if name.startswith(_VENDORS) else holds_host)(kind)


def _members(value: bytes) -> list[bytes]:
    members = [member for member in split_list(value, b",", "list") if member]
    return members if len(members) <= _MOST_MEMBERS else []


def _with_params(value: bytes, core: Core, host: bytes) -> bytes:
    first, *params = split_list(value, b";", "header")
    if not is_token(first) or holds_host(first) or len(params) > MAX_PARAMS:
        return b""
    return b";".join([first, *[one for one in params if one and _text(one, core, host) == one]])


def _state(value: bytes, core: Core, host: bytes) -> bytes:
    first, *params = split_list(value, b";", "Subscription-State")
    known = [one for one in params if one.partition(b"=")[0].strip().lower() in _STATE_PARAMS]
    return _with_params(b";".join([first, *known]), core, host)


def _sealed(value: bytes, core: Core, host: bytes) -> bytes:
    return seal(core.mint, value)


def _opened(value: bytes, core: Core, host: bytes) -> bytes:
    text = opened(core.mint, value)
    if text is None:
        raise RemoteProtocolError("an entity-tag that was never given out", status=412)
    return text


_RULES: Final[Mapping[bytes, Rule]] = {
    b"accept": _types,
    b"allow-events": _packages,
    b"content-disposition": _with_params,
    b"content-type": _types,
    b"event": package_of,
    b"expires": _number,
    b"info-package": _with_params,
    b"min-expires": _number,
    b"retry-after": _number,
    b"sip-etag": _sealed,
    b"sip-if-match": _opened,
    b"subscription-state": _state,
}
