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


TEXT = """\
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


@pytest.fixture
def config(tmp_path) -> Path:
    """A good configuration, beside the certificate and the key that it names."""
    Authority(tmp_path).issue("border", "sbc.example")
    path = tmp_path / "sbc.yaml"
    path.write_text(TEXT)
    return path


def checked(config: Path, *changes: tuple[str, str], code: int = 2) -> list[str]:
    """What `sbc check` says of the file with changes, line by line, without its folder."""
    text = config.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    config.write_text(text)
    result = CliRunner().invoke(app, ["check", str(config)])
    assert result.exit_code == code, result.output
    return result.output.replace(f"{config.parent}/", "").splitlines()


def test_check_is_silent_of_files_that_are_good(config) -> None:
    assert checked(config, code=0) == ["sbc.yaml: good: 2 realms, 2 trunks, 1 route"]


def test_check_ends_with_2_for_a_bad_file_and_says_which_key_names_it(config) -> None:
    (config.parent / "border.key").write_text("nothing")
    line = "expected a private key in PEM form, found none in border.key"
    assert checked(config) == [
        f"sbc.yaml:5:42: realms.outside.tls.key: {line} (without it the border does not start)"
    ]
    said = json.loads(CliRunner().invoke(app, ["check", str(config), "--json"]).output)
    assert said["good"] is False
    assert [(one["line"], one["column"], one["key"]) for one in said["errors"]] == [
        (5, 42, "realms.outside.tls.key")
    ]
    assert [one["file"] for one in said["certificates"]] == [str(config.parent / "border.key")]


def test_bad_files_are_told_among_the_other_errors_in_the_order_of_the_file(config) -> None:
    files = "tls: { certificate: none.pem, ca: ca.pem }, limits: { calls: many }"
    (config.parent / "border.key").unlink()
    found = checked(
        config,
        ("10.0.0.5, ports: 12000-21999", "10.0.0.5, ports: 12001-21999"),
        ("peers: 198.51.100.7", "peers: 198.51.100.7, tls: { certificate: none.pem, ca: ca.pem }"),
        (
            "}\nroutes:",
            "}\n  other: { realm: outside, peers: 198.51.100.8, " + files + " }\nroutes:",
        ),
    )
    assert [line.partition(" (")[0] for line in found] == [
        "sbc.yaml:2:72: realms.inside.media.ports: expected a range that starts with an even port,"
        ' got "12001-21999"',
        "sbc.yaml:5:42: realms.outside.tls.key: expected a key that can be used, got border.key:"
        " No such file or directory",
        "sbc.yaml:9:87: trunks.carrier.tls.certificate: expected a certificate that can be used,"
        " got none.pem: No such file or directory",
        "sbc.yaml:9:101: trunks.carrier.tls.ca: expected authorities that can be used,"
        " got ca.pem: No such file or directory",
        # What stands beside a fault in the same trunk is not read.
        'sbc.yaml:10:110: trunks.other.limits.calls: expected a whole number above 0, got "many"',
    ]


def test_a_certificate_and_a_key_that_are_both_missing_are_both_told(config) -> None:
    found = checked(config, ("border.pem, key: border.key", "no.pem, key: no.key"))
    assert [line.partition(" (")[0].rpartition("used, ")[2] for line in found] == [
        "got no.pem: No such file or directory",
        "got no.key: No such file or directory",
    ]


def test_a_key_that_does_not_fit_is_told_where_it_is_named(config) -> None:
    Authority(config.parent).issue("other", "other.example")
    pairs = "[border.pem, other.pem], key: [border.key, border.key]"
    (found,) = checked(config, ("border.pem, key: border.key", pairs))
    assert found.startswith(
        "sbc.yaml:5:68: realms.outside.tls.key[2]: expected a key that can be used, got border.key:"
        " the key does not fit the certificate in other.pem (without it"
    )


def test_keys_of_which_nobody_knows_whose_they_are_are_not_tried(config) -> None:
    (found,) = checked(config, ("border.pem, key", "[border.pem, none.pem], key"))
    assert "expected a key for each of 2 certificates, got 1" in found


def test_a_file_is_told_wherever_it_is_named_but_not_where_nothing_reads_it(config) -> None:
    own = '["tls:192.0.2.10", { bind: "tls:192.0.2.10:5062", tls: { certificate: no.pem } }]'
    found = checked(
        config,
        ('"tls:192.0.2.10"', own),
        ("border.pem, key: border.key", "no.pem, ca: ca.pem"),
        ('"udp:10.0.0.5",', '"udp:10.0.0.5", tls: { certificate: no.pem },'),
    )
    assert [line.partition(": expected")[0] for line in found] == [
        "sbc.yaml:4:83: realms.outside.listen[2].tls.certificate",
        "sbc.yaml:5:25: realms.outside.tls.certificate",
    ]


def test_what_is_wrong_soon_is_a_note_with_its_place(config) -> None:
    Authority(config.parent).issue("border", "sbc.example", ends_days=3)
    note, good = checked(config, code=0)
    assert note.startswith(
        "sbc.yaml:5:25: realms.outside.tls.certificate: note: border.pem: sbc.example ends"
        " in 3 days (replace the file in time"
    )
    assert good.startswith("sbc.yaml: good")
