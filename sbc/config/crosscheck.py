"""What single keys cannot show: whether the parts of a configuration fit each other.

Each check is one function over the models that could be read; a part with errors of its own
counts as being there, so that nobody is told twice.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Final

from policies.media import Srtp
from policies.settings import Identify, Latch, Nat, Network, Shield, TrunkTransport, Use
from sbc.config.addresschecks import address_faults
from sbc.config.build import Host, folders
from sbc.config.codecchecks import codec_faults
from sbc.config.faults import Fault
from sbc.config.grammar import Grammar
from sbc.config.loginchecks import login_faults
from sbc.config.models import Border, Listener, Media, Trunk
from sbc.config.namechecks import is_name, name_faults
from sbc.config.problems import Problem
from sbc.config.source import Path, Source
from sbc.config.tlschecks import tls_faults

__all__ = ["Findings", "crosscheck"]

_SOCKET_PATH_MAX: Final = 107
"""Bytes in the path of a Unix socket (unix(7))."""


@dataclass(slots=True)
class Findings:
    """What was found."""

    errors: list[Problem] = field(default_factory=list)
    notes: list[Problem] = field(default_factory=list)


@dataclass(slots=True)
class _Context:
    border: Border
    grammar: Grammar
    source: Source
    host: Host
    found: Findings

    def error(self, path: Path, text: str) -> None:
        self.found.errors.append(self.source.problem(path, text))

    def note(self, path: Path, text: str) -> None:
        self.found.notes.append(self.source.problem(path, f"note: {text}", at_key=True))

    def tell(self, faults: Iterable[Fault]) -> None:
        for fault in faults:
            (self.note if fault.note else self.error)(fault.path, fault.text)

    def names(self, section: str) -> set[str]:
        """The names in `realms` or `trunks`, the unreadable ones too."""
        names = set(self.border.realms if section == "realms" else self.border.trunks)
        names.update(
            str(path[1]) for path in self.grammar.broken if path[:1] == (section,) and path[1:]
        )
        return names

    def unread(self, section: str) -> bool:
        """Whether nothing is known about a whole section."""
        return not {(), (section,)}.isdisjoint(self.grammar.broken)


def crosscheck(grammar: Grammar, source: Source, host: Host) -> Findings:
    """Everything that does not fit, and what is worth a note."""
    context = _Context(grammar.border, grammar, source, host, Findings())
    for check in _CHECKS:
        check(context)
    return context.found


def _realms_exist(context: _Context) -> None:
    if not context.names("realms") and not context.unread("realms"):
        context.error(("realms",), "expected at least one realm, got nothing")
    for name, realm in context.border.realms.items():
        for key, entries in (("listen", realm.listen), ("media", realm.media)):
            if not entries:
                context.error(("realms", name, key), "expected at least one entry, got none")


def _listeners(context: _Context) -> Iterator[tuple[str, Path, Listener]]:
    for name, realm in context.border.realms.items():
        for index, one in enumerate(realm.listen):
            yield name, ("realms", name, "listen", index), one


def _media(context: _Context) -> Iterator[tuple[Path, Media]]:
    for name, realm in context.border.realms.items():
        for index, one in enumerate(realm.media):
            yield ("realms", name, "media", index), one


def _listeners_are_apart(context: _Context) -> None:
    """Two listeners on one address: the second could not be bound, or would take the calls."""
    seen: list[tuple[str, str, int, Path]] = []
    for _, path, one in _listeners(context):
        transport, host, port = one.bind
        for other_transport, other_host, other_port, other_path in seen:
            if (transport, port) == (other_transport, other_port) and _overlap(host, other_host):
                context.error(
                    path,
                    f"expected an address and port of its own, got {transport}:"
                    f"{_host_port(host, port)}, which {context.source.spell(other_path)} has",
                )
                break
        seen.append((transport, host, port, path))


def _addresses_can_be_told(context: _Context) -> None:
    context.tell(address_faults(context.border))


def _media_ports(context: _Context) -> None:
    """Media ports: apart from each other, from SIP, and from what the kernel gives away."""
    seen: list[tuple[Media, Path]] = []
    for path, media in _media(context):
        first, last, written = media.ports
        for other, other_path in seen:
            if _overlap(media.address, other.address) and (
                first <= other.ports.last and other.ports.first <= last
            ):
                context.error(
                    (*path, "ports"),
                    f"expected ports of its own on {media.address}, got {written}, which overlaps"
                    f" {context.source.spell(other_path)} ({other.ports.written})",
                )
        seen.append((media, path))
        for _, listener_path, one in _listeners(context):
            transport, host, port = one.bind
            if transport == "udp" and first <= port <= last and _overlap(media.address, host):
                context.error(
                    (*path, "ports"),
                    f"expected ports that no listener has, got {written}, which holds port {port}"
                    f" of {context.source.spell(listener_path)}",
                )
        if context.host.ephemeral is not None:
            low, high = context.host.ephemeral
            lent = (p for p in range(max(first, low), min(last, high) + 1))
            if any(port not in context.host.reserved for port in lent):
                context.error(
                    (*path, "ports"),
                    f"expected ports outside {low}-{high}, which the kernel lends to other"
                    f" programs, got {written} (or reserve them: sysctl"
                    f" net.ipv4.ip_local_reserved_ports={written})",
                )


def _trunks_have_realms(context: _Context) -> None:
    realms = context.names("realms")
    for name, trunk in context.border.trunks.items():
        path = ("trunks", name)
        if trunk.realm not in realms and not context.unread("realms"):
            known = _names(realms)
            context.error((*path, "realm"), f'expected a realm ({known}), got "{trunk.realm}"')
        by_certificate = trunk.identify is Identify.CERTIFICATE
        if not trunk.peers and not trunk.sources and not by_certificate:
            context.error(path, "expected peers (to call) or sources (that call), got neither")
        if trunk.realm in context.border.realms:
            _reachable(context, path, trunk)


def _reachable(context: _Context, path: Path, trunk: Trunk) -> None:
    """A trunk's transport and address family need a listener in its realm."""
    binds = [one.bind for one in context.border.realms[trunk.realm].listen]
    if not binds:
        return
    needed = [trunk.transport.value]
    if trunk.transport is TrunkTransport.AUTO:
        needed = ["udp", "tcp"]
    for transport in needed:
        versions = {ip_address(host).version for kind, host, _ in binds if kind == transport}
        if not versions:
            said = trunk.transport.value
            text = f"a {transport} listener in realm {trunk.realm}"
            text += f" for transport {said}" if said != transport else ""
            context.error((*path, "transport"), f"expected {text}, got none there")
            continue
        for index, peer in enumerate(trunk.peers):
            if is_name(peer.address):
                continue  # which families it has is the DNS's to say
            version = ip_address(peer.address).version
            if version not in versions:
                context.error(
                    (*path, "peers", index),
                    f"expected a peer that a {transport} listener of realm {trunk.realm} can"
                    f" reach, got an IPv{version} address",
                )
    default = 5061 if trunk.transport is TrunkTransport.TLS else 5060
    for index, peer in enumerate(trunk.peers):
        address = (peer.address, peer.port or default)
        if any(address == (host, port) for _, host, port in binds):
            context.error(
                (*path, "peers", index),
                "expected the address of somebody else, got the border's own listener",
            )


def _sources_are_one_trunks(context: _Context) -> None:
    """In one realm a source address must tell the trunk."""
    owners: dict[tuple[str, Network], str] = {}
    for name, trunk in context.border.trunks.items():
        if trunk.identify is Identify.CERTIFICATE:
            continue
        key = "sources" if trunk.sources else "peers"
        networks = dict(enumerate(trunk.sources)) or {
            index: ip_network(peer.address)
            for index, peer in enumerate(trunk.peers)
            if not is_name(peer.address)
        }
        for index, network in networks.items():
            owner = owners.setdefault((trunk.realm, network), name)
            if owner != name:
                text = str(network) if network.num_addresses > 1 else str(network.network_address)
                context.error(
                    ("trunks", name, key, index),
                    f"expected a source of its own in realm {trunk.realm}, got {text}, which"
                    f" trunk {owner} has",
                )


def _names_can_be_looked_up(context: _Context) -> None:
    context.tell(name_faults(context.border))


def _routes_lead_somewhere(context: _Context) -> None:
    trunks = context.names("trunks")
    seen: dict[tuple[str, str], Path] = {}
    for route, index in zip(context.border.routes, context.grammar.route_indexes, strict=True):
        path = ("routes", index)
        if not context.unread("trunks"):
            if route.source not in trunks:
                context.error(
                    (*path, "from"), f'expected a trunk ({_names(trunks)}), got "{route.source}"'
                )
            for at, name in enumerate(route.to):
                _target(context, (*path, "to", at), name, trunks, route.to[:at])
        if not route.to:
            context.error((*path, "to"), "expected at least one trunk, got none")
        first = seen.setdefault((route.source, route.number), path)
        if first != path:
            what = f'number "{route.number}"' if route.number else "any number"
            context.error(
                path,
                f"expected another number than {context.source.spell(first)}, got {what} from"
                f" {route.source} again",
            )


def _target(context: _Context, path: Path, name: str, trunks: set[str], before: list[str]) -> None:
    if name not in trunks:
        context.error(path, f'expected a trunk ({_names(trunks)}), got "{name}"')
    elif name in context.border.trunks and not context.border.trunks[name].peers:
        context.error(path, f'expected a trunk with peers, got "{name}", which has none to call')
    elif name in before:
        context.error(path, f'expected each trunk once, got "{name}" again')


def _logins_fit(context: _Context) -> None:
    folder = os.path.dirname(os.path.abspath(context.source.path))
    context.tell(login_faults(context.border, context.names("trunks"), folder))


def _run_dir_is_short(context: _Context) -> None:
    run_dir, _ = folders(context.border, context.source.path, context.host)
    longest = len(f"{run_dir}/worker-999.sock".encode())
    if longest > _SOCKET_PATH_MAX:
        room = _SOCKET_PATH_MAX - len("/worker-999.sock")
        context.error(
            ("run_dir",),
            f"expected a path of at most {room} bytes (sockets are made in it), got {run_dir}",
        )


def _tls_fits(context: _Context) -> None:
    context.tell(tls_faults(context.border))


def _media_terms_fit(context: _Context) -> None:
    for name, trunk in context.border.trunks.items():
        here = ("trunks", name)
        if trunk.latch is Latch.ASYMMETRIC and trunk.nat is Nat.ALWAYS:
            text = "expected signalled or any behind NAT (`nat: always`), got asymmetric"
            context.error((*here, "latch"), text)
        if trunk.srtp is not Srtp.OFF and not trunk.srtp_suites:
            context.error((*here, "srtp_suites"), "expected at least one suite, got none")
        if trunk.srtp is not Srtp.OFF and trunk.transport is not TrunkTransport.TLS:
            word = trunk.transport.value
            text = f"its keys cross {word} where everybody on the way can read them; tls hides them"
            context.note((*here, "srtp"), text)
        allowed = {codec.upper() for codec in trunk.codecs.allow}
        if allowed and allowed <= {codec.upper() for codec in trunk.codecs.strip}:
            text = "expected a codec that `strip` leaves, got none"
            context.error((*here, "codecs", "allow"), text)


def _codecs_are_named(context: _Context) -> None:
    context.tell(codec_faults(context.border))


def _challenges_are_ones(context: _Context) -> None:
    for name, trunk in context.border.trunks.items():
        if trunk.challenges == "pass" and trunk.credentials is not None:
            text = "expected refuse where we have credentials of our own for it, got pass"
            context.error(("trunks", name, "challenges"), text)


def _mending_fits(context: _Context) -> None:
    """What a trunk insists on and what its peers are shielded from exclude each other."""
    for name, trunk in context.border.trunks.items():
        path, timer = ("trunks", name), trunk.session_timer
        if timer.minimum > timer.expires:
            context.error(
                (*path, "session_timer", "minimum"),
                f"expected at most the {timer.expires} s of session_timer.expires, "
                f"got {timer.minimum} s",
            )
        if trunk.reliable is Use.ALWAYS and Shield.PRACK in trunk.shield:
            context.error(
                (*path, "reliable"), "expected auto or never beside shield: prack, got always"
            )
        if timer.use is Use.ALWAYS and {Shield.UPDATE, Shield.REINVITE} <= set(trunk.shield):
            context.error(
                (*path, "session_timer", "use"),
                "expected auto or never beside shield: [update, reinvite], got always",
            )


def _what_is_unused(context: _Context) -> None:
    """Notes only: it works, and is probably not finished."""
    if context.found.errors or context.grammar.problems:
        return
    border = context.border
    if not border.trunks:
        context.note((), "no trunks yet: nobody may call (sbc trunk add)")
        return
    for name in border.realms:
        if not any(trunk.realm == name for trunk in border.trunks.values()):
            context.note(("realms", name), "no trunk is in this realm")
    sources = {route.source for route in border.routes}
    targets = {name for route in border.routes for name in route.to}
    for name in border.trunks:
        if name not in sources and name not in targets:
            context.note(("trunks", name), "no route uses this trunk (sbc route add)")


def _overlap(one: str, other: str) -> bool:
    """Whether sockets on both addresses would meet."""
    a, b = ip_address(one), ip_address(other)
    return a == b or (a.version == b.version and (a.is_unspecified or b.is_unspecified))


def _host_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _names(names: set[str]) -> str:
    """For `expected a trunk (…)`: the names there are, not all of hundreds."""
    known = sorted(names)
    if not known:
        return "there is none yet"
    return ", ".join(known[:8]) + (", …" if len(known) > 8 else "")


_CHECKS: Final[tuple[Callable[[_Context], None], ...]] = (
    _realms_exist,
    _listeners_are_apart,
    _addresses_can_be_told,
    _media_ports,
    _trunks_have_realms,
    _sources_are_one_trunks,
    _names_can_be_looked_up,
    _routes_lead_somewhere,
    _logins_fit,
    _tls_fits,
    _run_dir_is_short,
    _media_terms_fit,
    _codecs_are_named,
    _challenges_are_ones,
    _mending_fits,
    _what_is_unused,
)
