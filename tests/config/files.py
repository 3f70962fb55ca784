"""A machine that is the same everywhere, and a file that is good."""

from __future__ import annotations

from sbc.config.build import Host
from sbc.config.load import check_text

HOST = Host(
    processors=4,
    root=True,
    environment={},
    ephemeral=(32768, 60999),
    reserved=frozenset(),
)

GOOD = """\
# two networks
realms:
  inside:  { listen: ["udp:10.0.0.5:5060", "tcp:10.0.0.5:5060"], media: { address: 10.0.0.5, ports: 12000-21999 } }
  outside: { listen: "udp:192.0.2.10:5060", media: { address: 192.0.2.10, ports: 22000-31999 } }
trunks:
  pbx:     { realm: inside,  peers: ["10.0.0.20:5060"] }   # the old one
  carrier: { realm: outside, peers: 198.51.100.7, limits: { calls: 200, cps: 20 } }
routes:
  - { from: pbx,     to: carrier }
  - { from: carrier, to: pbx }
"""  # noqa: E501


def check(text, host=HOST):
    """What the check says about a text."""
    return check_text(text, "sbc.yaml", host)


def errors(text, host=HOST):
    """The errors, as printed."""
    return [str(problem) for problem in check(text, host).errors]


def load(text, host=HOST):
    """The settings of a good text."""
    checked = check(text, host)
    assert checked.settings is not None, [str(problem) for problem in checked.errors]
    return checked.settings
