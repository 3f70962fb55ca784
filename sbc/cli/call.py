"""`sbc call`: is it possible to talk through this border?"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import click
import trio

from policies.settings import (
    Peer,
    PolicySettings,
    RouteSettings,
    TrunkSettings,
    TrunkTransport,
)
from relay.settings import family_of
from sbc.cli.admin_client import AdminClient
from sbc.cli.agent.trial import Plan, Side, run_trial
from sbc.cli.options import USAGE, config_option, fail, json_option
from sbc.cli.output import print_json
from sbc.config.load import load
from sbc.runtime.public_address import PublicAddresses
from sbc.settings import Settings
from sbc.transport.settings import ListenerSettings

__all__ = ["call"]

_NUMBERS: Final = ("5550100", "100", "0", "9", "")


@click.command()
@click.option("--from", "source", metavar="TRUNK", help="Who calls. Default: the first route's.")
@click.option("--to", "target", metavar="TRUNK", help="Who is called. Default: the route's.")
@click.option("--number", help="What is dialled. Default: one that the route takes.")
@click.option("--tcp", is_flag=True, help="Call over TCP, whatever the trunk says.")
@click.option(
    "--seconds", type=click.FloatRange(0.1, 3600), default=3.0, show_default=True, help="To talk."
)
@config_option
@json_option
def call(
    source: str | None,
    target: str | None,
    number: str | None,
    tcp: bool,
    seconds: float,
    config: str,
    as_json: bool,
) -> None:
    """Place a test call through the running border and say what was heard.

    Two telephones of this command take the places of two trunks' peers: one calls the border,
    the other is called by it. Each plays a tone (440 and 620 Hz, PCMU) and listens for the
    other's. So the peers' addresses must be on this machine and free, as with the demo file.

    The telephones speak plain SIP and RTP. They cannot play a trunk that is called over TLS, one
    with `srtp: required`, one whose callers have to know a password (`auth`) or show a certificate
    (`identify`), or one that may not use PCMU; and no peer that is a name, or that `options_ping`
    has just found away. A trunk with `transport: tls` calls over UDP here.

    Ends with 0 if both were heard and the call ended cleanly, else with 1.
    """
    settings = _located(load(config))
    caller, called, dialled = _choose(settings.policies, source, target, number)
    plan = _plan(settings, caller, called, dialled, tcp, seconds)
    with _progress(quiet=as_json) as say:
        trial = trio.run(run_trial, plan, say)
    if as_json:
        print_json(trial.to_plain())
    else:
        click.echo("\n".join(trial.to_lines()))
    sys.exit(0 if trial.good else 1)


def _located(settings: Settings) -> Settings:
    """With the public addresses that the running border has learned."""
    public = PublicAddresses(settings)
    if settings.stun:
        with AdminClient(settings.run_dir) as border:
            public.adopt(border.status())
    return public.settings


def _choose(
    policies: PolicySettings, source: str | None, target: str | None, number: str | None
) -> tuple[TrunkSettings, TrunkSettings, str]:
    """Who calls whom under which number; ends the command if there is no such route."""
    if not policies.routes:
        fail("there is no route yet: sbc route add --from TRUNK --to TRUNK (sbc trunk list)", USAGE)
    trunks = {trunk.name: trunk for trunk in policies.trunks}
    for name in (source, target):
        if name is not None and name not in trunks:
            fail(f"{name}: no such trunk, expected one of {', '.join(trunks)}", USAGE)
    for route in policies.routes:
        if source not in (None, route.source) or target not in (None, route.to[0]):
            continue
        if number is not None and _route_of(policies, route.source, number) is not route:
            continue
        dialled = number if number is not None else _number_for(policies, route)
        if dialled is not None:
            return trunks[route.source], trunks[route.to[0]], dialled
    wanted = f"from {source or 'any trunk'}"
    wanted += f", to {target} as its first target" if target is not None else ""
    wanted += f", for the number {number}" if number is not None else ""
    fail(f"no such route: {wanted} (sbc route list)", USAGE)


def _route_of(policies: PolicySettings, source: str, number: str) -> RouteSettings | None:
    """The route that the border takes: the longest prefix."""
    matching = [
        route
        for route in policies.routes
        if route.source == source and number.startswith(route.number)
    ]
    return max(matching, key=lambda route: len(route.number), default=None)


def _number_for(policies: PolicySettings, route: RouteSettings) -> str | None:
    """A number that takes this route; None if longer prefixes take them all."""
    numbers = (route.number + rest for rest in _NUMBERS)
    return next(
        (one for one in numbers if one and _route_of(policies, route.source, one) is route), None
    )


def _plan(
    settings: Settings,
    caller: TrunkSettings,
    called: TrunkSettings,
    number: str,
    tcp: bool,
    seconds: float,
) -> Plan:
    transport = "tcp" if tcp or caller.transport is TrunkTransport.TCP else "udp"
    calling = _playable(caller, caller.peers[:1])[0]
    best = min(peer.priority for peer in _playable(called, called.peers))
    listener = _listener(settings, caller.realm, transport, calling)
    return Plan(
        caller=Side(trunk=caller.name, addresses=((calling.host, calling.port),)),
        called=Side(
            trunk=called.name,
            addresses=tuple((one.host, one.port) for one in called.peers if one.priority == best),
        ),
        border=(listener.host, listener.port),
        transport=transport,
        number=number,
        duration_s=seconds,
        reach={
            (one.advertise_host, one.advertise_port): (one.host, one.port)
            for one in settings.transport.listeners
        },
        reach_hosts={one.advertise: one.address for one in settings.relay.media},
    )


def _playable(trunk: TrunkSettings, peers: tuple[Peer, ...]) -> tuple[Peer, ...]:
    """These peers of a trunk, at least one; ends the command if telephones cannot play them."""
    if not peers:
        fail(f"trunk {trunk.name} has no peers: expected one that the test can play", USAGE)
    for peer in peers:
        if peer.is_name:
            fail(f"{peer.text} is a name: sbc call stands in for peers with addresses", USAGE)
    return peers


def _listener(settings: Settings, realm: str, transport: str, peer: Peer) -> ListenerSettings:
    """The first one of the realm that this peer can call; ends the command if there is none."""
    where = f"(realms.{realm}.listen)"
    listeners = settings.transport.listeners
    found = [one for one in listeners if (one.realm, one.transport) == (realm, transport)]
    if not found:
        fail(f"realm {realm} has no {transport} listener {where}")
    family = family_of(peer.host)
    for one in found:
        if family_of(one.host) == family:
            return one
    fail(f"realm {realm} has no {transport} listener for IPv{family}, got peer {peer.text} {where}")


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Callable[[str], None]]:
    """Somewhere to say what happens: a moving line on a terminal, else lines on stderr."""
    if quiet:
        yield lambda text: None
    elif sys.stderr.isatty():
        from rich.console import Console

        with Console(stderr=True, markup=False).status("starting two telephones") as status:
            yield status.update
    else:
        yield lambda text: click.echo(text, err=True)
