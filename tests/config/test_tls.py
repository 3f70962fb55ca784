"""TLS in the configuration: what belongs together, and what it becomes."""

from __future__ import annotations

import pytest

from policies.settings import Identify, TrunkTransport
from sbc.transport.settings import ClientCertificate, Keypair, TlsVersion
from tests.config.files import check, errors, load

TEXT = """\
realms:
  inside:  { listen: "udp:10.0.0.5:5060", media: { address: 10.0.0.5, ports: 12000-21999 } }
  outside:
    listen: ["udp:192.0.2.10", "tls:192.0.2.10", { bind: "tls:192.0.2.10:5062", tls: OWN }]
    media: { address: 192.0.2.10, ports: 22000-31999 }
    tls: REALM
trunks:
  pbx:     { realm: inside,  peers: ["10.0.0.20:5060"] }
  carrier: { realm: outside, peers: 198.51.100.7, transport: tls, TRUNK }
routes:
  - { from: pbx, to: carrier }
"""
REALM = "{ certificate: sip.pem, key: sip.key }"
OWN = "{ certificate: [a.pem, /b.pem], ca: ca.pem, client: required, minimum: 1.3 }"
TRUNK = "tls: { name: sip.example, ca: ca.pem, certificate: c.pem }, keepalive: 30s"


def text(realm: str = REALM, own: str = OWN, trunk: str = TRUNK) -> str:
    return TEXT.replace("REALM", realm).replace("OWN", own).replace("TRUNK", trunk)


def test_what_is_written_is_what_listeners_and_connections_are_told() -> None:
    settings = load(text())
    plain, of_realm, own = settings.transport.listeners[1:]
    assert (plain.transport, plain.tls) == ("udp", None)
    assert (of_realm.transport, of_realm.port) == ("tls", 5061)
    (pair,) = of_realm.tls.keypairs
    assert pair.certificate.endswith("/sip.pem")
    assert pair.key.endswith("/sip.key")
    assert (of_realm.tls.client, of_realm.tls.minimum) == (
        ClientCertificate.NO,
        TlsVersion.TLS_1_2,
    )
    assert own.tls.keypairs[1] == Keypair(certificate="/b.pem", key="/b.pem")
    assert (own.tls.client, own.tls.minimum) == (ClientCertificate.REQUIRED, TlsVersion.TLS_1_3)
    pbx, carrier = settings.transport.peers
    assert (pbx.keepalive_s, pbx.keypair, pbx.verify) == (0.0, None, True)
    assert (carrier.name, carrier.hosts) == ("sip.example", ("198.51.100.7",))
    assert carrier.keypair.key == carrier.keypair.certificate
    assert carrier.keepalive_s == 30.0
    trunk = settings.policies.trunks[1]
    assert (trunk.transport, trunk.peers[0].port) == (TrunkTransport.TLS, 5061)
    assert trunk.identify is Identify.ADDRESS


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"realm": "{}"},
            "realms.outside.tls.certificate: expected a PEM file, or a list of them, got nothing",
        ),
        (
            {"own": "{ certificate: [a.pem, b.pem], key: a.key }"},
            "tls.key: expected a key for each of 2 certificates, got 1",
        ),
        ({"own": "{ certificate: a.pem, minimum: 1.1 }"}, 'tls.minimum: expected "1.2" or "1.3"'),
        (
            {"own": "{ certificate: a.pem, client: maybe }"},
            "tls.client: expected required, optional or no",
        ),
        ({"trunk": "tls: { key: c.key }"}, "expected tls.certificate beside it, got none"),
        ({"trunk": "identify: certificate"}, "expected tls.name, or a peer with a name"),
        (
            {
                "own": "{ certificate: a.pem }",
                "trunk": "identify: certificate, tls: { name: a.example }",
            },
            "expected a tls listener with client: required or optional in outside, got none",
        ),
        ({"trunk": "options_ping: never"}, "trunks.carrier.options_ping: expected a time"),
    ],
)
def test_what_does_not_fit_is_one_line(changed, message) -> None:
    (error,) = errors(text(**changed))
    assert message in error


def test_a_tls_listener_wants_a_certificate_and_another_wants_none() -> None:
    without = text().replace(f"    tls: {REALM}\n", "")
    assert [one for one in errors(without) if "expected tls: { certificate: FILE }" in one]
    on_udp = text().replace('"udp:192.0.2.10"', '{ bind: "udp:192.0.2.10", tls: OWN }')
    on_udp = on_udp.replace("OWN", OWN)
    assert [one for one in errors(on_udp) if "expected a tls listener, got udp" in one]


def test_two_trunks_may_share_an_address_but_not_a_name() -> None:
    second = "  other: { realm: outside, identify: certificate, tls: { name: NAME } }\nroutes:"
    both = text(trunk="identify: certificate, tls: { name: a.example }").replace("routes:", second)
    assert errors(both.replace("NAME", "b.example")) == []
    (error,) = errors(both.replace("NAME", "A.example"))
    assert (
        "expected a name of its own in realm outside, got A.example, which trunk carrier" in error
    )


def test_a_trunk_that_is_not_verified_is_noted() -> None:
    checked = check(text(trunk="tls: { verify: false }"))
    assert [one.text for one in checked.notes if "believed to be this trunk" in one.text]
