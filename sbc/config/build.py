"""Models to the settings that the programs are given."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from ipaddress import ip_network

from policies.media import PLAIN, TrunkMedia
from policies.settings import (
    AccessSettings,
    Identify,
    LimitSettings,
    Peer,
    PolicySettings,
    RouteSettings,
    SessionTimerSettings,
    TrunkSettings,
    TrunkTransport,
)
from relay.settings import MediaSettings, RelaySettings, family_of
from sbc.config.loginchecks import unread_secrets
from sbc.config.logins import auth_settings, credential_settings, user_settings
from sbc.config.media import codec_settings
from sbc.config.models import Border, Dns, Realm, Trunk, TrunkPeer
from sbc.config.scalars import address_port, stun_server
from sbc.config.source import Source
from sbc.config.tls import listener_tls, peer_settings
from sbc.settings import CdrSettings, DnsSettings, LogSettings, Settings
from sbc.transport.settings import ListenerSettings, TransportSettings

__all__ = ["Host", "build", "folders", "is_asked_for"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """What the defaults and checks need to know of the machine and the user."""

    processors: int
    root: bool
    environment: dict[str, str]
    ephemeral: tuple[int, int] | None
    """First and last port that the kernel gives to outgoing connections; None: not known."""
    reserved: frozenset[int]
    """Those of them that it leaves alone (`net.ipv4.ip_local_reserved_ports`)."""


def build(border: Border, source: Source, host: Host) -> Settings:
    """The settings that `border` describes. Its checks have passed."""
    run_dir, state_dir = folders(border, source.path, host)
    folder = os.path.dirname(os.path.abspath(source.path))
    cdr_path = os.path.join(state_dir, "cdr.jsonl")
    if border.cdr.path is not None:
        cdr_path = os.path.normpath(os.path.join(folder, border.cdr.path))
    return Settings(
        run_dir=run_dir,
        state_dir=state_dir,
        transport=_transport(border, folder),
        policies=PolicySettings(
            trunks=tuple(
                _trunk(name, trunk, border, folder, source.line(("trunks", name)))
                for name, trunk in border.trunks.items()
            ),
            routes=tuple(
                RouteSettings(
                    source=route.source,
                    to=tuple(route.to),
                    number=route.number,
                    line=source.line(("routes", index)),
                )
                for index, route in enumerate(border.routes)
            ),
            access=AccessSettings(
                strangers=border.access.strangers,
                rate_per_source=border.access.rate,
                burst_per_source=border.access.burst,
                exempt=tuple(border.access.exempt),
            ),
            users=tuple(user_settings(name, user, folder) for name, user in border.users.items()),
        ),
        relay=_relay(border, run_dir, host),
        cdr=CdrSettings(path=cdr_path, sync_s=border.cdr.sync),
        dns=_dns(border.dns),
        stun=tuple(
            (name, tuple(stun_server(one) for one in realm.public_address))
            for name, realm in border.realms.items()
            if realm.public_address
        ),
        log=LogSettings(level=border.log.level, json=border.log.as_json, digits=border.log.digits),
        unread_secrets=tuple(unread_secrets(border, folder)),
    )


def folders(border: Border, path: str, host: Host) -> tuple[str, str]:
    """`run_dir` and `state_dir`, absolute. Relative ones start at the file's own folder."""
    folder = os.path.dirname(os.path.abspath(path))
    run_dir, state_dir = border.run_dir, border.state_dir
    environment = host.environment
    if run_dir is None:
        runtime = environment.get("XDG_RUNTIME_DIR")
        run_dir = "/run/sbc" if host.root else f"{runtime}/sbc" if runtime else "run"
    if state_dir is None:
        home = environment.get("HOME")
        state = environment.get("XDG_STATE_HOME") or (f"{home}/.local/state" if home else None)
        state_dir = "/var/lib/sbc" if host.root else f"{state}/sbc" if state else "state"
    return (
        os.path.normpath(os.path.join(folder, run_dir)),
        os.path.normpath(os.path.join(folder, state_dir)),
    )


def _transport(border: Border, folder: str) -> TransportSettings:
    limits = border.connections
    return TransportSettings(
        listeners=_listeners(border, folder),
        peers=tuple(
            peer_settings(
                trunk.tls,
                folder,
                trunk=name,
                realm=trunk.realm,
                hosts=tuple(dict.fromkeys(one.address for one in trunk.peers)),
                keepalive_s=trunk.keepalive or 0.0,
                by_certificate=trunk.identify is Identify.CERTIFICATE,
            )
            for name, trunk in border.trunks.items()
        ),
        tcp_connect_timeout_s=limits.connect_timeout,
        tcp_idle_timeout_s=limits.idle_timeout,
        tcp_max_connections=limits.most,
        tcp_max_per_source=limits.most_per_source,
        handshake_timeout_s=limits.handshake_timeout,
        handshakes=limits.handshakes,
        certificate_check_s=limits.certificate_check,
    )


def _listeners(border: Border, folder: str) -> tuple[ListenerSettings, ...]:
    listeners = []
    for name, realm in border.realms.items():
        for one in realm.listen:
            transport, host, port = one.bind
            advertise_host, advertise_port = one.advertise or (_public(realm, host), 0)
            listeners.append(
                ListenerSettings(
                    realm=name,
                    transport=transport,
                    host=host,
                    port=port,
                    advertise_host=advertise_host,
                    advertise_port=advertise_port or port,
                    local_networks=tuple(realm.local_networks),
                    tls=listener_tls(one.tls or realm.tls, folder) if transport == "tls" else None,
                )
            )
    return tuple(listeners)


def _public(realm: Realm, host: str) -> str:
    """What peers are told where nothing is advertised; "": what a STUN server will say."""
    return "" if is_asked_for(realm, host) else host


def is_asked_for(realm: Realm, host: str) -> bool:
    """Whether STUN servers say what this address of ours is outside, where nothing is advertised.

    Of IPv4 alone: with IPv6 there is no such NAT.
    """
    return bool(realm.public_address) and family_of(host) == 4


def _trunk(name: str, trunk: Trunk, border: Border, folder: str, line: int) -> TrunkSettings:
    peers = tuple(_peer(one, trunk) for one in trunk.peers)
    sources = trunk.sources or [ip_network(peer.host) for peer in peers if not peer.is_name]
    return TrunkSettings(
        name=name,
        realm=trunk.realm,
        peers=peers,
        sources=tuple(dict.fromkeys(sources)),
        sources_follow=not trunk.sources and any(peer.is_name for peer in peers),
        resolve=trunk.resolve,
        invite_timeout_s=trunk.invite_timeout,
        transport=trunk.transport,
        identify=trunk.identify,
        options_ping_s=trunk.options_ping or 0.0,
        limits=LimitSettings(
            calls=trunk.limits.calls,
            cps=trunk.limits.cps,
            subscriptions=trunk.limits.subscriptions,
            status=trunk.limits.status,
        ),
        no_answer_s=trunk.no_answer,
        pass_headers=tuple(trunk.passed),
        trusted=trunk.trusted,
        nat=trunk.nat,
        latch=trunk.latch,
        media_timeout_s=trunk.media_timeout,
        pass_methods=tuple(trunk.methods.passed),
        outside_methods=tuple(trunk.methods.outside),
        ping_s=trunk.ping or 0.0,
        max_duration_s=trunk.max_duration or 0.0,
        early_offer=trunk.offer == "early",
        single_tag=trunk.single_tag,
        redirect=trunk.redirect,
        refer=trunk.refer,
        pass_challenges=trunk.challenges == "pass",
        failover=frozenset(int(one.removesuffix("xx")) for one in trunk.failover),
        session_timer=SessionTimerSettings(
            expires_s=trunk.session_timer.expires,
            minimum_s=trunk.session_timer.minimum,
            refresher=trunk.session_timer.refresher,
            use=trunk.session_timer.use,
        ),
        reliable=trunk.reliable,
        shield=frozenset(trunk.shield),
        responses=_statuses(trunk.responses),
        refusals=_statuses(trunk.refusals),
        reason=trunk.reason,
        reads_causes=trunk.read_causes,
        media=_media_of(trunk),
        auth=auth_settings(name, trunk.auth, border.users),
        credentials=credential_settings(trunk.credentials, folder),
        line=line,
    )


def _peer(one: TrunkPeer, trunk: Trunk) -> Peer:
    """The default port of an address; a name has none, so that SRV may say it (RFC 3263 §4.2)."""
    peer = Peer(host=one.address, port=one.port or 0, priority=one.priority, weight=one.weight)
    if peer.is_name or peer.port:
        return peer
    return replace(peer, port=5061 if trunk.transport is TrunkTransport.TLS else 5060)


def _dns(dns: Dns) -> DnsSettings:
    return DnsSettings(
        servers=tuple(address_port(one, 53, "") for one in dns.servers),
        timeout_s=dns.timeout,
        search=dns.search,
    )


def _statuses(table: dict[str, int]) -> tuple[tuple[int, int], ...]:
    """`4xx` as 4, for the class."""
    return tuple((int(key.removesuffix("xx")), status) for key, status in table.items())


def _media_of(trunk: Trunk) -> TrunkMedia:
    media = TrunkMedia(
        srtp=trunk.srtp,
        suites=tuple(trunk.srtp_suites),
        codecs=codec_settings(trunk.codecs),
        rtcp_mux=trunk.rtcp_mux,
        dtmf=trunk.dtmf,
        continuity=trunk.continuity,
        strict=trunk.strict_payloads,
        rtcp_bye=trunk.rtcp_bye,
        rtcp_app=trunk.rtcp_app,
    )
    return PLAIN if media == PLAIN else media  # by which calls know that there is nothing to do


def _relay(border: Border, run_dir: str, host: Host) -> RelaySettings:
    return RelaySettings(
        run_dir=run_dir,
        workers=border.relay.workers or host.processors,
        media=tuple(
            MediaSettings(
                realm=name,
                address=one.address,
                advertise=one.advertise or _public(realm, one.address),
                port_min=one.ports.first,
                port_max=one.ports.last,
                dscp=realm.dscp,
            )
            for name, realm in border.realms.items()
            for one in realm.media
        ),
        fast_path=border.relay.fast_path,
        grace_s=border.relay.grace,
        quarantine_s=border.relay.quarantine,
        learn_window_s=border.relay.learn_window,
        log_level=border.log.level,
        log_json=border.log.as_json,
    )
