"""`sbc init`."""

from __future__ import annotations

import os
import sys

import click

from sbc.cli.options import NEW_FILE, USAGE, fail
from sbc.config.edit import make
from sbc.config.render import render

__all__ = ["init"]

_TEXT = """\
# Configuration of a session border controller. `sbc check` reads it without starting anything.
# A trunk is a network that calls us and that we call; routes say whose calls go where.

realms:
  # The private side: PBX, phones.
  inside:
    listen: {inside_listen}
    media: {inside_media}
  # The public side: carriers.
  outside:
    listen: {outside_listen}
    media: {outside_media}

trunks: {{}}  # sbc trunk add NAME --realm inside --peer ADDRESS

routes: []  # sbc route add --from TRUNK --to TRUNK
"""


@click.command()
@click.option("--inside", metavar="ADDRESS[:PORT]", help="Our address in the private network.")
@click.option("--outside", metavar="ADDRESS[:PORT]", help="Our address in the public network.")
@click.option(
    "--inside-ports",
    metavar="FIRST-LAST",
    default="12000-21999",
    show_default=True,
    help="Media ports on the private side.",
)
@click.option(
    "--outside-ports",
    metavar="FIRST-LAST",
    default="22000-31999",
    show_default=True,
    help="Media ports on the public side.",
)
@click.option("--public", metavar="ADDRESS", help="Behind a 1:1 NAT: the address the outside sees.")
@click.option("--config", "-c", metavar="FILE", help=f"The file to write. Default: {NEW_FILE}.")
@click.pass_context
def init(
    context: click.Context,
    inside: str | None,
    outside: str | None,
    inside_ports: str,
    outside_ports: str,
    public: str | None,
    config: str | None,
) -> None:
    """Write a first configuration: two realms, `inside` and `outside`, no trunks yet.

    Asks for the two addresses that are not given. SIP is spoken on port 5060, over UDP and TCP,
    unless an ADDRESS:PORT says otherwise. A file that is there is never overwritten.
    """
    path = config or context.find_root().params.get("config") or os.environ.get("SBC_CONFIG")
    path = path or NEW_FILE
    if os.path.lexists(path):
        fail(f"{path}: is there already; nothing was changed (sbc config changes it)", USAGE)
    inside = inside or _ask("--inside", "Our address in the private network")
    outside = outside or _ask("--outside", "Our address in the public network")
    text = _TEXT.format(
        inside_listen=_listen(inside, None),
        inside_media=_media(inside, inside_ports, None),
        outside_listen=_listen(outside, public),
        outside_media=_media(outside, outside_ports, public),
    )
    notes = make(path, text)
    click.echo(f"{path}: written")
    for note in notes:
        click.echo(str(note))


def _ask(option: str, question: str) -> str:
    """An address from the operator, or the name of the option where there is nobody to ask."""
    if not sys.stdin.isatty():
        fail(f"{option}: expected an address, got nothing", USAGE)
    return str(click.prompt(question)).strip()


def _listen(address: str, public: str | None) -> str:
    """The listeners on an address; what is wrong with it, the check of the whole will say."""
    host, port = _split(address)
    binds = [f"{transport}:{host}:{port}" for transport in ("udp", "tcp")]
    if public is None:
        return render(list(binds))
    return render([{"bind": bind, "advertise": public} for bind in binds])


def _media(address: str, ports: str, public: str | None) -> str:
    host = _split(address)[0].strip("[]")
    advertise = {} if public is None else {"advertise": public}
    return render({"address": host, **advertise, "ports": ports})


def _split(address: str) -> tuple[str, str]:
    """`10.0.0.5:5080` → host and port; an IPv6 host keeps or gets its brackets."""
    if address.count(":") > 1 and not address.startswith("["):
        return f"[{address}]", "5060"
    host, colon, port = address.rpartition(":")
    if not colon or address.endswith("]"):
        return address, "5060"
    return host, port
