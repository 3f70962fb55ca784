"""What each leg is told that we can do, and what its peer has shown that it can (RFC 5853 §3.5).

The two sides of a call never see each other's Allow, Supported and Require: each gets ours, which
say what this border does on that leg, less what the trunk's `shield:` spares its peers. What one
side lacks is made up for by us, not refused to the other.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from policies.settings import Refer, Shield, TrunkSettings, Use
from sbc.sip.message import Message, Request
from sbc.sip.status import INVITE, PRACK, REFER, UPDATE

__all__ = [
    "RELIABLE",
    "TIMER",
    "UNKNOWN",
    "Peer",
    "head_for",
    "may_send",
    "options_head",
    "outside_head",
    "refused_head",
    "unsupported",
]

RELIABLE: Final = b"100rel"
"""RFC 3262."""
TIMER: Final = b"timer"
"""RFC 4028."""

_METHODS: Final = b"INVITE ACK CANCEL BYE OPTIONS PRACK UPDATE INFO REFER NOTIFY".split()
"""What this border takes of every peer that is not shielded from it; and what its trunk passes."""
REPLACES: Final = b"replaces"
"""RFC 3891."""
NO_REFER_SUB: Final = b"norefersub"
"""RFC 4488."""
_OPTIONS: Final = (RELIABLE, TIMER, REPLACES, NO_REFER_SUB)
"""Extensions that this border has."""
_OURS: Final = frozenset(_OPTIONS)
_SHIELDS: Final = {
    PRACK: Shield.PRACK,
    UPDATE: Shield.UPDATE,
    INVITE: Shield.REINVITE,
    REFER: Shield.REFER,
}
_MAX_KEPT: Final = 1024
_HEADS: Final[dict[int, tuple[TrunkSettings, bytes, bytes]]] = {}
"""Our lines by the trunk's identity, for hashing a trunk costs more than making them."""
_MAX_CACHED_BYTES: Final = 512
_NONE: Final[frozenset[bytes]] = frozenset()


class Peer:
    """What one leg's peer has said of itself: a value, for all legs whose peers have said this."""

    __slots__ = ("_allowed", "_required", "_supported")

    def __init__(
        self,
        allowed: frozenset[bytes] | None = None,
        supported: frozenset[bytes] = _NONE,
        required: frozenset[bytes] = _NONE,
    ) -> None:
        self._allowed = allowed
        self._supported = supported
        self._required = required

    def after(self, message: Message) -> Peer:
        """With Allow, Supported and Require of any request or of a 18x or 2xx.

        Later words replace earlier ones. A line that is not there changes nothing; an empty
        Supported takes everything back (RFC 3261 §20.37). What a peer requires of us it has, too.
        """
        allow = _list(message, b"allow")
        supported = _list(message, b"supported")
        require = _list(message, b"require")
        if allow is supported is require is None:
            return self
        if len(allow or b"") + len(supported or b"") + len(require or b"") > _MAX_CACHED_BYTES:
            return self._told(allow, supported, require)
        return _cached(self, allow, supported, require)

    def allows(self, method: bytes) -> bool | None:
        """Whether it takes this method; None while it has not said (RFC 3261 §20.5)."""
        return None if self._allowed is None else method in self._allowed

    def supports(self, option: bytes) -> bool:
        """Whether it has shown this option tag, in lower case."""
        return option in self._supported or option in self._required

    def _told(self, allow: bytes | None, supported: bytes | None, require: bytes | None) -> Peer:
        ours = _tokens(require.lower()) & _OURS if require is not None else _NONE
        return Peer(
            self._allowed if allow is None else _tokens(allow),
            self._supported if supported is None else _tokens(supported.lower()),
            self._required | ours,
        )


_cached: Final = lru_cache(maxsize=1024)(Peer._told)
"""A network's devices say the same few things, over and over."""
UNKNOWN: Final = Peer()
"""A peer that has said nothing yet."""


def head_for(trunk: TrunkSettings, *, initial: bool) -> bytes:
    """Our Allow, Supported and Require lines for one leg, ready to be sent.

    Allow has what may be asked within the call (RFC 3261 §13.2.1): nothing that crosses outside.

    Args:
        initial: an INVITE of ours outside a dialog, where 100rel is offered, or with `reliable:
            always` required. Responses and requests in a dialog: False.
    """
    kept = _HEADS.get(id(trunk))
    if kept is None or kept[0] is not trunk:
        reliable, timers = _have(trunk)
        also = trunk.pass_methods
        first = _lines(trunk.shield, reliable, timers, _refers(trunk), also)
        if reliable and trunk.reliable is Use.ALWAYS:
            first += b"Require: 100rel\r\n"
        if len(_HEADS) >= _MAX_KEPT:
            _HEADS.clear()
        later = _lines(trunk.shield, False, timers, _refers(trunk), also)
        kept = _HEADS[id(trunk)] = trunk, later, first
    return kept[2] if initial else kept[1]


def options_head(trunk: TrunkSettings) -> bytes:
    """Allow, Accept and Supported of our answer to OPTIONS (RFC 3261 §11.2): all that we have.

    The same within a dialog as outside.
    """
    allow, _, supported = _all_lines(trunk, *_have(trunk)).partition(b"\r\n")
    return b"%b\r\nAccept: application/sdp\r\n%b" % (allow, supported)


def outside_head(trunk: TrunkSettings) -> bytes:
    """Our Allow and Supported for what belongs to no call: all that we take of this trunk."""
    return _all_lines(trunk, False, _have(trunk)[1])


def refused_head(trunk: TrunkSettings, method: bytes, *, outside: bool = False) -> bytes:
    """Those of a 405: without the method that is refused just now (RFC 3261 §21.4.6)."""
    head = outside_head(trunk) if outside else head_for(trunk, initial=False)
    allow, *others = head.split(b"\r\n")
    methods = [one for one in allow.removeprefix(b"Allow: ").split(b", ") if one != method]
    return b"\r\n".join((b"Allow: " + b", ".join(methods), *others))


def may_send(trunk: TrunkSettings, peer: Peer, method: bytes) -> bool:
    """Whether a request of ours with this method may go to a trunk's peer inside a dialog.

    UPDATE and REFER only to a peer that has said that it takes them (RFC 3311 §5.1); a re-INVITE
    or anything else unless it has said that it does not.
    """
    shield = _SHIELDS.get(method)
    if shield is not None and shield in trunk.shield:
        return False
    allowed = peer.allows(method)
    if method in (INVITE, PRACK):
        return True  # it has sent or taken an INVITE, or asked for the PRACK, whatever it lists
    if allowed is None:
        return method != UPDATE and method != REFER
    return allowed


def unsupported(request: Request, trunk: TrunkSettings) -> bytes:
    """The Unsupported line of the 420 that a request deserves, b"" if we have all it requires.

    Proxy-Require is not for us (RFC 3261 §20.29). Raises nothing.
    """
    if request.first(b"require") is None:
        return b""
    reliable, timers = _have(trunk)
    have = {RELIABLE: reliable, TIMER: timers, NO_REFER_SUB: _refers(trunk)}
    missing = [
        option
        for line in request.every(b"require")
        for option in map(bytes.strip, line.split(b","))
        if option and not have.get(option.lower(), option.lower() in _OURS)
    ]
    return b"Unsupported: %b\r\n" % b", ".join(missing) if missing else b""


def _have(trunk: TrunkSettings) -> tuple[bool, bool]:
    """100rel, timer: whether they are on for this trunk."""
    reliable = Shield.PRACK not in trunk.shield and trunk.reliable is not Use.NEVER
    return reliable, trunk.session_timer.use is not Use.NEVER


def _refers(trunk: TrunkSettings) -> bool:
    """Whether its peers may ask for transfers."""
    return Shield.REFER not in trunk.shield and trunk.refer is not Refer.REFUSE


def _all_lines(trunk: TrunkSettings, reliable: bool, timers: bool) -> bytes:
    also = trunk.pass_methods + trunk.outside_methods
    return _lines(trunk.shield, reliable, timers, _refers(trunk), also)


@lru_cache(maxsize=256)  # of the combinations that are configured
def _lines(
    shield: frozenset[Shield], reliable: bool, timers: bool, refers: bool, also: tuple[str, ...]
) -> bytes:
    hidden = {method for method, one in _SHIELDS.items() if one in shield} - {INVITE}
    if not refers:
        hidden.add(REFER)
    passed = [name.encode() for name in also]
    methods = [name for name in dict.fromkeys((*_METHODS, *passed)) if name not in hidden]
    have = {RELIABLE: reliable, TIMER: timers, NO_REFER_SUB: refers}
    options = [name for name in _OPTIONS if have.get(name, True)]
    return b"Allow: %b\r\nSupported: %b\r\n" % (b", ".join(methods), b", ".join(options))


def _list(message: Message, name: bytes) -> bytes | None:
    """A list header as one line; None: there is none."""
    lines = message.every(name)
    return b",".join(lines) if lines else None


def _tokens(line: bytes) -> frozenset[bytes]:
    """The members of a list: option tags, which come in lower case, or methods (§7.1)."""
    return frozenset(map(bytes.strip, line.split(b","))) - {b""}
