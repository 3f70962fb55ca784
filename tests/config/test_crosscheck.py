"""Whether the parts of a configuration fit each other."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sbc.config.source import parse
from sbc.config.written import everything
from tests.config.files import GOOD, HOST, check, errors, load

REALM = """\
realms:
  a:
    listen: "udp:10.0.0.1:5060"
    media: { address: 10.0.0.1, ports: 12000-12999 }
"""


def realms(listen_a, listen_b, media_a="10.0.0.1", ports_a="12000-12999", **b):
    media_b, ports_b = b.get("media", "10.0.0.2"), b.get("ports", "13000-13999")
    return f"""\
realms:
  a:
    listen: {listen_a}
    media: {{ address: {media_a}, ports: {ports_a} }}
  b:
    listen: {listen_b}
    media: {{ address: {media_b}, ports: {ports_b} }}
"""


A, B = '"udp:10.0.0.1:5060"', '"udp:10.0.0.2:5060"'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("log: {}\n", "sbc.yaml:1:1: realms: expected at least one realm, got nothing"),
        ("realms: {}\n", "sbc.yaml:1:9: realms: expected at least one realm, got nothing"),
        (
            realms("[]", B),
            "sbc.yaml:3:13: realms.a.listen: expected at least one entry, got none",
        ),
        (
            realms(A, A),
            "sbc.yaml:6:13: realms.b.listen: expected an address and port of its own, "
            "got udp:10.0.0.1:5060, which realms.a.listen has",
        ),
        (
            realms('{ bind: "udp:0.0.0.0:5060", advertise: 203.0.113.1 }', A),
            "sbc.yaml:6:13: realms.b.listen: expected an address and port of its own, "
            "got udp:10.0.0.1:5060, which realms.a.listen has",
        ),
        (
            realms('"udp:0.0.0.0:5060"', '"udp:10.0.0.2:5070"'),
            "sbc.yaml:3:13: realms.a.listen: expected advertise: ADDRESS beside a listener on all "
            "addresses, got only 0.0.0.0 (what should Via and Contact say?)",
        ),
        (
            realms(
                '{ bind: "udp:0.0.0.0:5060", advertise: 203.0.113.1 }', '"udp:10.0.0.2:5070"'
            ).replace("  a:\n", "  a:\n    local_networks: 10.0.0.0/24\n"),
            "sbc.yaml:3:21: realms.a.local_networks: expected listeners on one address each beside "
            "it, got 0.0.0.0 (what should peers there be told?)",
        ),
        (
            realms('{ bind: "udp:10.0.0.1:5060", advertise: "2001:db8::1" }', B),
            "sbc.yaml:3:53: realms.a.listen.advertise: expected an IPv4 address, as the bound "
            "10.0.0.1 is, got 2001:db8::1",
        ),
        (
            realms('{ bind: "udp:10.0.0.1:5060", advertise: 0.0.0.0 }', B),
            "sbc.yaml:3:53: realms.a.listen.advertise: expected an address that Via and Contact "
            "can name, got 0.0.0.0",
        ),
        (
            realms(A, B, media_a="0.0.0.0"),  # noqa: S104
            "sbc.yaml:4:23: realms.a.media.address: expected one address of this machine, "
            "got 0.0.0.0 (what should SDP say?)",
        ),
        (
            realms(A, B, media="10.0.0.1", ports="12998-13997"),
            "sbc.yaml:7:40: realms.b.media.ports: expected ports of its own on 10.0.0.1, "
            "got 12998-13997, which overlaps realms.a.media (12000-12999)",
        ),
        (  # what was written is shown, though the port without a partner is left unused
            realms(A, B, ports_a="12000-13000", media="10.0.0.1", ports="12998 - 14000"),
            "sbc.yaml:7:40: realms.b.media.ports: expected ports of its own on 10.0.0.1, "
            "got 12998-14000, which overlaps realms.a.media (12000-13000)",
        ),
        (
            realms('"udp:10.0.0.1:5060"', B, ports_a="5000-5100"),
            "sbc.yaml:4:40: realms.a.media.ports: expected ports that no listener has, "
            "got 5000-5100, which holds port 5060 of realms.a.listen",
        ),
        (
            realms(A, B, ports="32000-33000"),
            "sbc.yaml:7:40: realms.b.media.ports: expected ports outside 32768-60999, which the "
            "kernel lends to other programs, got 32000-33000 (or reserve them: "
            "sysctl net.ipv4.ip_local_reserved_ports=32000-33000)",
        ),
        (
            realms('"udp:10.0.0.1:12500"', B),
            "sbc.yaml:4:40: realms.a.media.ports: expected ports that no listener has, "
            "got 12000-12999, which holds port 12500 of realms.a.listen",
        ),
        (
            realms(A, B, ports="32000-33001"),
            "sbc.yaml:7:40: realms.b.media.ports: expected ports outside 32768-60999, which the "
            "kernel lends to other programs, got 32000-33001 (or reserve them: "
            "sysctl net.ipv4.ip_local_reserved_ports=32000-33001)",
        ),
        (
            REALM + "trunks: { t: { realm: c, peers: 1.2.3.4 } }\n",
            'sbc.yaml:5:23: trunks.t.realm: expected a realm (a), got "c"',
        ),
        (
            REALM + "trunks: { t: { realm: a } }\n",
            "sbc.yaml:5:14: trunks.t: expected peers (to call) or sources (that call), got neither",
        ),
        (
            REALM + "trunks: { t: { realm: a, peers: 1.2.3.4, transport: tcp } }\n",
            "sbc.yaml:5:53: trunks.t.transport: expected a tcp listener in realm a, got none there",
        ),
        (
            REALM + "trunks: { t: { realm: a, peers: 1.2.3.4, transport: auto } }\n",
            "sbc.yaml:5:53: trunks.t.transport: expected a tcp listener in realm a for transport "
            "auto, got none there",
        ),
        (
            REALM + 'trunks: { t: { realm: a, peers: "[2001:db8::1]:5060" } }\n',
            "sbc.yaml:5:33: trunks.t.peers: expected a peer that a udp listener of realm a can "
            "reach, got an IPv6 address",
        ),
        (
            REALM + 'trunks: { t: { realm: a, peers: "10.0.0.1:5060" } }\n',
            "sbc.yaml:5:33: trunks.t.peers: expected the address of somebody else, got the "
            "border's own listener",
        ),
        (
            REALM + "trunks:\n  t: { realm: a, peers: 1.2.3.4 }\n"
            '  u: { realm: a, peers: "1.2.3.4:5070" }\n',
            "sbc.yaml:7:25: trunks.u.peers: expected a source of its own in realm a, got 1.2.3.4, "
            "which trunk t has",
        ),
        (
            REALM + "trunks:\n  t: { realm: a, peers: 1.2.3.4, sources: 10.0.0.0/24 }\n"
            "  u: { realm: a, peers: 1.2.3.4, sources: [1.2.3.4, 10.0.0.0/24] }\n",
            "sbc.yaml:7:53: trunks.u.sources[2]: expected a source of its own in realm a, got "
            "10.0.0.0/24, which trunk t has",
        ),
        (
            GOOD.replace("to: carrier }", "to: carier }"),
            'sbc.yaml:9:26: routes[1].to: expected a trunk (carrier, pbx), got "carier"',
        ),
        (
            GOOD.replace("from: pbx, ", "from: pbxx,"),
            'sbc.yaml:9:13: routes[1].from: expected a trunk (carrier, pbx), got "pbxx"',
        ),
        (
            GOOD.replace("to: carrier }", "to: [carrier, carrier] }"),
            'sbc.yaml:9:36: routes[1].to[2]: expected each trunk once, got "carrier" again',
        ),
        (
            GOOD.replace("to: carrier }", "to: [] }"),
            "sbc.yaml:9:26: routes[1].to: expected at least one trunk, got none",
        ),
        (
            GOOD.replace("peers: 198.51.100.7", "sources: 198.51.100.7"),
            'sbc.yaml:9:26: routes[1].to: expected a trunk with peers, got "carrier", which has '
            "none to call",
        ),
        (
            GOOD + '  - { from: pbx, to: carrier, number: "" }\n',
            "sbc.yaml:11:5: routes[3]: expected another number than routes[1], got any number "
            "from pbx again",
        ),
        (
            "routes:\n  - { from: a, to: b }\n" + REALM,
            'sbc.yaml:2:13: routes[1].from: expected a trunk (there is none yet), got "a"',
        ),
        (
            GOOD + f"run_dir: /run/{'x' * 100}\n",
            "sbc.yaml:11:10: run_dir: expected a path of at most 91 bytes (sockets are made in "
            f"it), got /run/{'x' * 100}",
        ),
    ],
)
def test_what_does_not_fit_is_one_line(text, message):
    assert message in errors(text)


def test_a_trunk_with_errors_of_its_own_still_is_a_trunk():
    text = GOOD.replace("198.51.100.7", "no_where!")
    assert [error.split(": ")[1] for error in errors(text)] == ["trunks.carrier.peers"]


def test_a_realm_with_errors_of_its_own_still_is_a_realm():
    text = GOOD.replace("12000-21999", "12001-21999")
    assert [error.split(": ")[1] for error in errors(text)] == ["realms.inside.media.ports"]


def test_an_unknown_key_hides_nothing():
    text = GOOD.replace("realm: outside,", "realm: outsid, colour: red,")
    assert [error.split(": ")[1] for error in errors(text)] == [
        "trunks.carrier.realm",
        "trunks.carrier.colour",
    ]


def test_udp_and_tcp_share_an_address_and_tcp_ports_may_lie_in_a_media_range():
    assert errors(realms('["udp:10.0.0.1:5060", "tcp:10.0.0.1:5060"]', B)) == []
    assert errors(realms('["udp:10.0.0.1:5060", "tcp:10.0.0.1:12500"]', B)) == []


def test_a_port_without_a_partner_at_the_end_of_a_range_is_left_to_the_next_one():
    text = realms(A, B, ports_a="12000-13000", media="10.0.0.1", ports="13000-32768")
    assert errors(text) == []
    assert [(one.port_min, one.port_max) for one in load(text).relay.media] == [
        (12000, 12999),
        (13000, 32767),
    ]
    shown = str(everything(parse(text, "sbc.yaml")))  # as it was written
    assert "'12000-13000'" in shown
    assert "'13000-32768'" in shown


def test_nested_networks_of_two_trunks_are_told_apart_by_length():
    text = REALM + (
        "trunks:\n  t: { realm: a, sources: 10.0.0.0/8 }\n  u: { realm: a, sources: 10.0.0.9 }\n"
    )
    assert errors(text) == []


def test_one_source_in_two_realms_is_fine():
    text = realms(A, B) + (
        "trunks:\n  t: { realm: a, peers: 1.2.3.4 }\n  u: { realm: b, peers: 1.2.3.4 }\n"
    )
    assert errors(text) == []


def test_reserved_ports_may_be_used_and_an_unknown_range_is_not_checked():
    text = realms(A, B, ports="40000-40999")
    assert len(errors(text)) == 1
    assert errors(text, replace(HOST, reserved=frozenset(range(40000, 41000)))) == []
    assert len(errors(text, replace(HOST, reserved=frozenset(range(40000, 40999))))) == 1
    assert errors(text, replace(HOST, ephemeral=None)) == []


@pytest.mark.parametrize(
    ("text", "notes"),
    [
        (REALM, ["sbc.yaml:1:1: note: no trunks yet: nobody may call (sbc trunk add)"]),
        (
            realms(A, B) + "trunks: { t: { realm: a, peers: 1.2.3.4 } }\n",
            [
                "sbc.yaml:5:3: realms.b: note: no trunk is in this realm",
                "sbc.yaml:8:11: trunks.t: note: no route uses this trunk (sbc route add)",
            ],
        ),
        (
            REALM.replace("udp:10.0.0.1:5060", "udp:0.0.0.0:5060").replace(
                "  a:\n", "  a:\n    public_address: stun:stun.example.net\n"
            ),
            ["sbc.yaml:1:1: note: no trunks yet: nobody may call (sbc trunk add)"],
        ),
        (
            realms('"udp:[2001:db8::1]:5060"', B, media_a="2001:db8::1").replace(
                "  a:\n", "  a:\n    public_address: [stun:198.51.100.9, stun:192.0.2.9:3479]\n"
            ),
            [
                "sbc.yaml:1:1: note: no trunks yet: nobody may call (sbc trunk add)",
                "sbc.yaml:3:5: realms.a.public_address: note: nobody is asked: no IPv4 address "
                "here is without advertise",
            ],
        ),
        (
            REALM.replace("  a:\n", "  a:\n    local_networks: 10.0.0.0/24\n"),
            [
                "sbc.yaml:1:1: note: no trunks yet: nobody may call (sbc trunk add)",
                "sbc.yaml:3:5: realms.a.local_networks: note: nothing is advertised here: all "
                "peers are told the same",
            ],
        ),
        (GOOD, []),
    ],
)
def test_notes_do_not_fail_the_check(text, notes):
    checked = check(text)
    assert checked.settings is not None
    assert [str(note) for note in checked.notes] == notes


def test_hundreds_of_trunks_are_checked_quickly_and_not_all_named():
    trunks = "".join(
        f"  t{n}: {{ realm: a, peers: 10.1.{n // 250}.{n % 250} }}\n" for n in range(500)
    )
    text = REALM + "trunks:\n" + trunks + "routes:\n  - { from: t1, to: nobody }\n"
    (error,) = errors(text)
    assert error.endswith(
        'expected a trunk (t0, t1, t10, t100, t101, t102, t103, t104, …), got "nobody"'
    )
    assert len(load(text.replace("nobody", "t2")).policies.trunks) == 500
