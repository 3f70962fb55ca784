"""Names in certificates, as SIP reads them (RFC 5922 §7), and whose connection that makes it."""

from __future__ import annotations

import pytest

from sbc.errors import TransportError
from sbc.transport.identity import Identity, identity_of
from sbc.transport.settings import PeerSettings
from sbc.transport.tls_faults import Complaints
from sbc.transport.tls_peers import TlsPeers
from sbc.transport.x509 import when


@pytest.mark.parametrize(
    ("alternatives", "names", "addresses"),
    [
        ([("DNS", "SIP.Example.")], ["sip.example"], []),
        ([("URI", "sip:a.example"), ("DNS", "b.example")], ["a.example"], []),
        ([("URI", "sip:bob@a.example"), ("DNS", "b.example")], ["b.example"], []),
        ([("URI", "sips:a.example"), ("DNS", "b.example")], ["b.example"], []),
        ([("URI", "sip:a.example:5061;transport=tls?x=y")], ["a.example"], []),
        ([("URI", "https://a.example/")], [], []),
        ([("URI", "sip:")], [], []),
        ([("IP Address", "192.0.2.1"), ("IP Address", "2001:DB8:0::1\n")], [], 2),
        ([("IP Address", "nonsense"), ("email", "bob@a.example")], [], []),
        ([("DNS", "a.example"), ("DNS", "a.example")], ["a.example"], []),
    ],
)
def test_what_counts_as_a_name(alternatives, names, addresses) -> None:
    found = identity_of({"subjectAltName": tuple(alternatives)})
    assert list(found.names) == names
    wanted = ["192.0.2.1", "2001:db8::1"] if addresses == 2 else addresses
    assert list(found.addresses) == wanted


def test_the_common_name_counts_where_there_is_no_alternative() -> None:
    subject = ((("commonName", "A.example"),), (("organizationName", "b.example"),))
    assert identity_of({"subject": subject}).names == ("a.example",)
    with_other = {"subject": subject, "subjectAltName": (("email", "x@y"),)}
    assert identity_of(with_other).names == ()
    assert identity_of({"subject": ((("commonName", "Alice Smith"),),)}).names == ()
    assert identity_of({}) == Identity()


def test_nothing_is_a_pattern() -> None:
    wild = Identity(("*.example.com",))
    assert not wild.bears("a.example.com")
    assert wild.bears("*.example.com")


def test_an_address_is_matched_by_value_and_a_name_without_case() -> None:
    identity = Identity(("a.example",), ("192.0.2.1", "2001:db8::1"))
    for wanted in ("A.EXAMPLE", "a.example.", "192.0.2.1", "2001:DB8::0:1", "[2001:db8::1]"):
        assert identity.bears(wanted)
    for wanted in ("example", "b.example", "192.0.2.2", ""):
        assert not identity.bears(wanted)


def test_an_identity_reads_well() -> None:
    assert str(Identity()) == "nobody"
    assert str(Identity(("a", "b"), ("1.2.3.4",))) == "a, b, 1.2.3.4"
    assert str(Identity(("a", "b", "c", "d", "e"))) == "a, b, c, d, …"


def peers(**by_name) -> TlsPeers:
    return TlsPeers(
        PeerSettings(**({"trunk": trunk, "realm": "outside"} | options))
        for trunk, options in by_name.items()
    )


def test_what_a_peers_certificate_must_bear() -> None:
    known = peers(
        named={"name": "sip.example", "hosts": ("a.example",)},
        plain={"hosts": ("a.example", "192.0.2.1")},
        blind={"verify": False, "name": "x"},
    )
    assert known.expected("named", "192.0.2.1", "a.example") == ("sip.example",)
    assert known.expected("plain", "192.0.2.9", "a.example") == ("a.example",)
    assert known.expected("plain", "192.0.2.9", "") == ("192.0.2.9", "a.example", "192.0.2.1")
    assert known.expected("blind", "192.0.2.1", "a.example") == ()
    assert known.expected("", "192.0.2.1", "") == ("192.0.2.1",)


def test_whose_a_connection_is() -> None:
    known = peers(
        a={"name": "a.example", "by_certificate": True},
        b={"name": "b.example"},
        c={"hosts": ("192.0.2.3", "c.example")},
        d={"name": "a.example", "by_certificate": True, "realm": "inside"},
    )
    a, b, c = (Identity((f"{one}.example",)) for one in "abc")
    assert known.owner("outside", "", a) == "a"
    assert known.owner("outside", "b", a) == "a", "wherever it comes from"
    assert known.owner("inside", "", a) == "d"
    assert known.owner("outside", "b", b) == ""
    assert known.owner("outside", "", b) == "", "a stranger stays one"
    assert known.owner("outside", "c", c) == ""
    assert known.owner("outside", "c", Identity(("x.example",))) == "", "nobody's name"
    assert known.owner("outside", "b", None) == ""
    with pytest.raises(TransportError, match=r"for c\.example, expected b\.example \(trunk b\)"):
        known.owner("outside", "b", c)
    with pytest.raises(TransportError, match="that of trunk b, not of c"):
        known.owner("outside", "c", b)


@pytest.mark.parametrize(
    ("days", "text"),
    [
        (0, "today"),
        (-1, "yesterday"),
        (1, "tomorrow"),
        (-3, "3 days ago"),
        (40, "in 40 days"),
    ],
)
def test_a_day_is_told_as_people_do(days, text) -> None:
    noon = 20_000 * 86_400.0 + 43_200
    assert when(noon + days * 86_400, noon) == text


def test_few_complaints_are_made_and_the_others_counted() -> None:
    complaints = Complaints(pause_s=60, most=2)
    assert complaints.allow("a", 0)
    assert not complaints.allow("a", 30)
    assert complaints.allow("b", 31)
    assert not complaints.allow("c", 32)
    assert complaints.allow("c", 61)
    assert complaints.left_out() == 2
    assert complaints.left_out() == 0
