"""What `sbc check` and `sbc doctor` say of certificates, in one line each."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from sbc.cli.app import app
from sbc.cli.health.certificates import examine
from sbc.cli.health.finding import Level
from sbc.transport.settings import (
    ClientCertificate,
    Keypair,
    ListenerSettings,
    ListenerTls,
    PeerSettings,
    TransportSettings,
)
from tests.support.certificates import Authority, Issued

DAY = 86_400


def listening(issued: Issued, ca: str = "") -> TransportSettings:
    pair = Keypair(certificate=issued.certificate, key=issued.key)
    client = ClientCertificate.REQUIRED if ca else ClientCertificate.NO
    listener = ListenerSettings(
        realm="outside",
        transport="tls",
        host="192.0.2.1",
        port=5061,
        advertise_host="192.0.2.1",
        advertise_port=5061,
        tls=ListenerTls(keypairs=(pair,), ca=ca, client=client),
    )
    return TransportSettings(listeners=(listener,))


@pytest.mark.parametrize(
    ("options", "level", "text"),
    [
        ({}, Level.OK, "sbc.example, by Test CA, ends in 30 days"),
        ({"begins_days": -9, "ends_days": -1}, Level.FAIL, "sbc.example expired yesterday"),
        ({"ends_days": 3}, Level.WARN, "sbc.example ends in 3 days"),
        ({"begins_days": 2}, Level.FAIL, "sbc.example is not valid before in 2 days"),
        ({"authority_key": False}, Level.WARN, "sbc.example has no authority key identifier"),
    ],
)
def test_a_certificate_is_judged_before_a_peer_does(tmp_path, options, level, text) -> None:
    issued = Authority(tmp_path).issue("border", "sbc.example", **options)
    (finding,) = examine(listening(issued))
    assert finding.level is level
    assert text in finding.text


def test_the_key_of_another_is_told(tmp_path) -> None:
    authority = Authority(tmp_path)
    one, two = authority.issue("one", "one.example"), authority.issue("two", "two.example")
    found = list(examine(listening(Issued(one.certificate, two.key))))
    assert [one.level for one in found] == [Level.FAIL]
    assert "the key does not fit the certificate in" in found[0].text


def test_a_chain_with_the_wrong_order_is_told(tmp_path) -> None:
    root = Authority(tmp_path, "Root CA")
    between = Authority(tmp_path, "Middle CA", root)
    issued = between.issue("border", "sbc.example")
    assert [one.level for one in examine(listening(issued))] == [Level.OK]
    leaf = Path(issued.certificate).read_text().partition("-----END CERTIFICATE-----\n")[0]
    strange = Path(Authority(tmp_path, "Strange CA").path).read_text()
    Path(issued.certificate).write_text(leaf + "-----END CERTIFICATE-----\n" + strange)
    (finding,) = examine(listening(issued))
    assert "signed by Middle CA, then comes Strange CA" in finding.text


def test_authorities_are_looked_at_too(tmp_path) -> None:
    authority = Authority(tmp_path)
    issued = authority.issue("border", "sbc.example")
    found = list(examine(listening(issued, authority.path), time.time() + 31 * DAY))
    assert [one.level for one in found] == [Level.FAIL, Level.WARN]
    assert "the authority Test CA expired" in found[1].text
    found = list(examine(listening(issued, issued.certificate)))
    assert "sbc.example is no authority" in found[1].text
    peer = PeerSettings(trunk="carrier", realm="outside", ca=str(tmp_path / "missing.pem"))
    (finding,) = examine(TransportSettings(listeners=(), peers=(peer,)))
    assert "missing.pem: No such file" in finding.text


def test_check_ends_with_2_for_a_bad_file_and_says_which(tmp_path) -> None:
    issued = Authority(tmp_path).issue("border", "sbc.example")
    config = tmp_path / "sbc.yaml"
    config.write_text(
        """\
realms:
  inside: { listen: "udp:10.0.0.5", media: { address: 10.0.0.5, ports: 12000-21999 } }
  outside:
    listen: "tls:192.0.2.10"
    tls: { certificate: border.pem, key: border.key }
    media: { address: 192.0.2.10, ports: 22000-31999 }
trunks:
  pbx: { realm: inside, peers: 10.0.0.20 }
  carrier: { realm: outside, transport: tls, peers: 198.51.100.7 }
routes: [{ from: pbx, to: carrier }]
"""
    )
    good = CliRunner().invoke(app, ["check", str(config)])
    assert (good.exit_code, good.output) == (
        0,
        f"{config}: good: 2 realms, 2 trunks, 1 route\n",
    )
    Path(issued.key).write_text("nothing")
    bad = CliRunner().invoke(app, ["check", str(config)])
    assert bad.exit_code == 2
    assert "border.key: expected a private key in PEM form, found none" in bad.output
    as_json = CliRunner().invoke(app, ["check", str(config), "--json"])
    assert json.loads(as_json.output)["good"] is False
