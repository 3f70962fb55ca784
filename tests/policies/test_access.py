"""Who a source speaks for."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.access import Access
from policies.settings import Identify, PolicySettings, TrunkSettings
from tests.policies.border import settings, trunk


def name(found):
    return None if found is None else found.name


def test_a_trunk_is_known_by_its_peers_address_in_its_own_realm_only():
    access = Access(settings([trunk("pbx", "inside", "10.0.0.20")]))
    assert name(access.identify("inside", "10.0.0.20")) == "pbx"
    assert access.identify("inside", "10.0.0.21") is None
    assert access.identify("outside", "10.0.0.20") is None
    assert access.identify("nowhere", "10.0.0.20") is None


def test_one_address_is_two_trunks_in_two_realms():
    access = Access(settings([trunk("a", "one", "10.0.0.1"), trunk("b", "two", "10.0.0.1")]))
    assert name(access.identify("one", "10.0.0.1")) == "a"
    assert name(access.identify("two", "10.0.0.1")) == "b"


def test_the_most_specific_network_wins_whatever_the_order():
    wide = trunk("wide", "r", sources=["10.0.0.0/8"])
    close = trunk("close", "r", sources=["10.1.0.0/16"])
    one = trunk("one", "r", sources=["10.1.2.3"])
    for trunks in ([wide, close, one], [one, close, wide]):
        access = Access(settings(trunks))
        assert name(access.identify("r", "10.1.2.3")) == "one"
        assert name(access.identify("r", "10.1.2.4")) == "close"
        assert name(access.identify("r", "10.2.0.1")) == "wide"
        assert access.identify("r", "11.0.0.1") is None


@pytest.mark.parametrize("host", ["2001:db8::5", "2001:0DB8:0:0::5"])
def test_ipv6_is_compared_as_a_number_not_as_text(host):
    access = Access(settings([trunk("six", "r", sources=["2001:db8::/64"])]))
    assert name(access.identify("r", host)) == "six"


def test_an_ipv4_address_in_ipv6_clothes_is_ipv4():
    access = Access(settings([trunk("pbx", "r", "192.0.2.1")]))
    assert name(access.identify("r", "::ffff:192.0.2.1")) == "pbx"


@pytest.mark.parametrize("host", ["", "carrier.example", "10.0.0", "10.0.0.1:5060", "é"])
def test_what_is_no_address_is_a_stranger(host):
    access = Access(settings([trunk("pbx", "r", sources=["0.0.0.0/0", "::/0"])]))
    assert access.identify("r", host) is None
    assert not access.is_exempt(host)


def test_a_flood_of_strangers_neither_grows_without_bound_nor_forgets_a_trunk():
    access = Access(settings([trunk("pbx", "r", "192.0.2.1")], exempt=(ip_network("9.9.9.9"),)))
    access.identify("r", "192.0.2.1")
    for number in range(20_000):
        host = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
        assert access.identify("r", host) is None
        assert not access.is_exempt(host)
    assert len(access._strangers["r"]) <= 8192
    assert len(access._exempt_known) <= 8192
    assert "192.0.2.1" in access._known["r"]


def test_exempt_networks():
    access = Access(settings([], exempt=(ip_network("10.0.0.0/8"), ip_network("2001:db8::/32"))))
    assert access.is_exempt("10.1.1.1")
    assert access.is_exempt("2001:db8::1")
    assert not access.is_exempt("11.1.1.1")


networks = st.builds(
    lambda address, length: ip_network((address, length), strict=False),
    st.integers(0, 2**32 - 1),
    st.integers(0, 32),
)


@given(st.lists(networks, max_size=8), st.integers(0, 2**32 - 1))
def test_the_index_agrees_with_a_search_of_all_networks(nets, number):
    nets = list(dict.fromkeys(nets))
    access = Access(settings([trunk(str(i), "r", sources=[str(n)]) for i, n in enumerate(nets)]))
    address = ip_address(number)
    holding = [(n.prefixlen, i) for i, n in enumerate(nets) if address in n]
    expected = str(max(holding)[1]) if holding else None
    assert name(access.identify("r", str(address))) == expected
    assert name(access.identify("r", str(address))) == expected  # remembered


def test_networks_of_both_families_live_side_by_side():
    both = trunk("both", "r", sources=["192.0.2.0/24", "2001:db8::/32"])
    access = Access(settings([both]))
    assert name(access.identify("r", "192.0.2.200")) == "both"
    assert name(access.identify("r", "2001:db8:5::1")) == "both"
    assert access.identify("r", "2001:db9::1") is None
    assert access.identify("r", "198.51.100.1") is None


def test_a_trunk_of_a_million_addresses_is_remembered_within_bounds():
    access = Access(settings([trunk("wide", "r", sources=["10.0.0.0/8"])]))
    for number in range(10_000):
        assert name(access.identify("r", f"10.0.{number >> 8}.{number & 255}")) == "wide"
    assert len(access._known["r"]) <= 8192


def test_addresses_that_a_trunks_names_have_are_accepted_from_then_on_and_no_longer():
    access = Access(settings([trunk("one", "r", "192.0.2.5"), trunk("two", "r", "192.0.2.6")]))
    assert access.identify("r", "203.0.113.5") is None

    access.follow("two", ["203.0.113.5", "2001:db8::5", "junk"])
    for host in ("203.0.113.5", "2001:db8::5", "192.0.2.6"):
        assert name(access.identify("r", host)) == "two"

    access.follow("two", [])
    assert access.identify("r", "203.0.113.5") is None
    assert name(access.identify("r", "192.0.2.6")) == "two"


def test_a_name_cannot_take_an_address_that_the_file_gives_to_another_trunk():
    access = Access(settings([trunk("two", "r", "192.0.2.6"), trunk("one", "r", "192.0.2.5")]))
    access.follow("two", ["192.0.2.5"])
    assert name(access.identify("r", "192.0.2.5")) == "one"


def test_a_trunk_by_certificate_is_known_by_that_alone() -> None:
    network = ip_network("192.0.2.0/24")
    trunks = tuple(
        TrunkSettings(name=name, realm="outside", peers=(), sources=(network,), identify=identify)
        for name, identify in (("plain", Identify.ADDRESS), ("partner", Identify.CERTIFICATE))
    )
    access = Access(PolicySettings(trunks=trunks, routes=()))
    plain, partner = trunks
    assert access.identify("outside", "192.0.2.1") is plain
    assert access.identify("outside", "192.0.2.1", "partner") is partner
    assert access.identify("outside", "203.0.113.9", "partner") is partner
    assert access.identify("inside", "192.0.2.1", "partner") is None
    assert access.identify("outside", "192.0.2.1", "plain") is None
