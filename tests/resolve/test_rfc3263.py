"""RFC 3263 §4, step by step, and its examples."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbc.resolve.locate import MAX_PLACES, Way, Wish, locate
from sbc.resolve.records import (
    Address,
    Answer,
    Kind,
    Naptr,
    Outcome,
    Place,
    Question,
    Record,
    Srv,
    name_of,
)
from sbc.transaction.hop import TCP, TLS, UDP

NAME = "example.com"
Zone = dict[tuple[str, Kind], tuple[Record, ...]]

# RFC 3263 §4.1: "a client that wishes to resolve sip:user@example.com"
NAPTRS = (
    Naptr(50, 50, "S", "SIPS+D2T", "", "_sips._tcp.example.com"),
    Naptr(90, 50, "S", "SIP+D2T", "", "_sip._tcp.example.com"),
    Naptr(100, 50, "S", "SIP+D2U", "", "_sip._udp.example.com"),
)
ZONE: Zone = {
    (NAME, Kind.NAPTR): NAPTRS,
    ("_sip._tcp.example.com", Kind.SRV): (
        Srv(0, 1, 5060, "server1.example.com"),
        Srv(0, 2, 5060, "server2.example.com"),
    ),
    ("_sip._udp.example.com", Kind.SRV): (Srv(0, 1, 5060, "server3.example.com"),),
    ("_sips._tcp.example.com", Kind.SRV): (Srv(0, 1, 5061, "server4.example.com"),),
    **{
        (f"server{number}.example.com", Kind.A): (Address(f"192.0.2.{number}"),)
        for number in range(1, 5)
    },
}


def zone(records: Zone) -> Callable[[Question], Answer]:
    """A DNS that is all there; what it does not have is denied."""

    def look(question: Question) -> Answer:
        found = records.get((question.name, question.kind), ())
        return Answer(Outcome.FOUND if found else Outcome.NO_DATA, found)

    return look


def first(most: int) -> int:
    """The least of all chances."""
    return 0


def wish(**changes: object) -> Wish:
    return Wish(**({"host": NAME, "transports": (UDP, TCP), "families": (4,)} | changes))  # type: ignore[arg-type]


def places(records: Zone, **changes: object) -> list[Place]:
    return locate(wish(**changes), zone(records)).places(first)


def asked(records: Zone, **changes: object) -> list[tuple[str, str]]:
    found = locate(wish(**changes), zone(records)).asked
    return [(question.name, question.kind.name) for question in found]


# §4.1: the transport


def test_naptr_says_which_transport_the_domain_prefers() -> None:
    found = places(ZONE)

    assert {one.transport for one in found} == {TCP}
    assert {one.host for one in found} == {"192.0.2.1", "192.0.2.2"}


def test_services_that_we_do_not_have_are_passed_over() -> None:
    zone_ = ZONE | {(NAME, Kind.NAPTR): (NAPTRS[0], NAPTRS[2])}

    assert places(zone_) == [Place(UDP, "192.0.2.3", 5060, NAME)]


def test_naptr_of_a_higher_order_is_never_used_beside_a_lower_one() -> None:
    """RFC 3403 §4.1."""
    assert ("_sip._udp.example.com", "SRV") not in asked(ZONE)


def test_within_an_order_the_preference_counts() -> None:
    same = tuple(one._replace(order=10, preference=100 - one.order) for one in NAPTRS)
    found = places(ZONE | {(NAME, Kind.NAPTR): same})

    assert [one.transport for one in found] == [UDP, TCP, TCP]


@pytest.mark.parametrize(
    "odd",
    [
        Naptr(1, 1, "U", "SIP+D2U", "!.*!sip:x@example.com!", ""),
        Naptr(1, 1, "S", "SIP+D2U", "!.*!x!", "_sip._udp.example.com"),
        Naptr(1, 1, "", "SIP+D2U", "", "_sip._udp.example.com"),
        Naptr(1, 1, "S", "SIP+D2S", "", "_sip._sctp.example.com"),
        Naptr(1, 1, "S", "E2U+SIP", "", "_sip._udp.example.com"),
        Naptr(1, 1, "S", "SIP+D2U", "", ""),
    ],
)
def test_naptr_of_another_use_is_passed_over(odd: Naptr) -> None:
    assert places(ZONE | {(NAME, Kind.NAPTR): (odd, *NAPTRS)}) == places(ZONE)


def test_without_naptr_our_transports_are_asked_for_in_our_order() -> None:
    without = {key: value for key, value in ZONE.items() if key[1] is not Kind.NAPTR}

    assert [one.transport for one in places(without)] == [UDP, TCP, TCP]
    assert [one.transport for one in places(without, transports=(TCP, UDP))] == [TCP, TCP, UDP]


def test_a_resolver_that_does_not_pass_naptr_on_is_forgiven() -> None:
    def look(question: Question) -> Answer:
        if question.kind is Kind.NAPTR:
            return Answer(Outcome.FAILED)
        return zone(ZONE)(question)

    assert locate(wish(), look).places(first)[0].transport == UDP


def test_a_named_transport_needs_no_naptr() -> None:
    assert asked(ZONE, transports=(UDP,)) == [
        ("_sip._udp.example.com", "SRV"),
        ("server3.example.com", "A"),
    ]


def test_sips_is_tls_alone() -> None:
    assert places(ZONE, secure=True) == [Place(TLS, "192.0.2.4", 5061, NAME)]


def test_the_certificate_must_name_the_domain_and_not_what_the_dns_leads_to() -> None:
    """RFC 5922 §4."""
    naptr = (Naptr(1, 1, "S", "SIP+D2U", "", "_sip._udp.elsewhere.example"),)
    found = places(
        {
            (NAME, Kind.NAPTR): naptr,
            ("_sip._udp.elsewhere.example", Kind.SRV): (Srv(0, 0, 5060, "x.elsewhere.example"),),
            ("x.elsewhere.example", Kind.A): (Address("192.0.2.9"),),
        }
    )

    assert found == [Place(UDP, "192.0.2.9", 5060, NAME)]


# §4.2: port and address


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"host": "192.0.2.7"}, Place(UDP, "192.0.2.7", 5060)),
        ({"host": "192.0.2.7", "port": 5080}, Place(UDP, "192.0.2.7", 5080)),
        ({"host": "192.0.2.7", "transports": (TCP,)}, Place(TCP, "192.0.2.7", 5060)),
        ({"host": "192.0.2.7", "transports": (TLS,)}, Place(TLS, "192.0.2.7", 5061)),
        ({"host": "192.0.2.7", "secure": True}, Place(TLS, "192.0.2.7", 5061)),
        ({"host": "2001:DB8::1", "families": (6,)}, Place(UDP, "2001:db8::1", 5060)),
    ],
)
def test_a_numeric_host_is_a_place_and_nothing_is_asked(changes, place) -> None:
    assert places(ZONE, **changes) == [place]
    assert asked(ZONE, **changes) == []


@pytest.mark.parametrize("changes", [{"transports": ()}, {"families": (6,)}])
def test_a_numeric_host_that_nothing_reaches_has_no_place(changes) -> None:
    found = locate(wish(host="192.0.2.7", **changes), zone(ZONE))

    assert found.places(first) == []
    assert found.problem == "no listener reaches it"


def test_a_port_leads_to_the_addresses_of_the_name() -> None:
    own = {(NAME, Kind.A): (Address("192.0.2.8"),)} | ZONE

    assert places(own, port=5070) == [Place(UDP, "192.0.2.8", 5070, NAME)]
    assert asked(own, port=5070) == [(NAME, "A")]


def test_without_any_srv_the_name_itself_is_the_server() -> None:
    own = {(NAME, Kind.A): (Address("192.0.2.8"),)}

    assert places(own) == [Place(UDP, "192.0.2.8", 5060, NAME)]
    assert places(own, secure=True) == [Place(TLS, "192.0.2.8", 5061, NAME)]


def test_where_srv_cannot_be_asked_the_name_itself_is_not_tried() -> None:
    def look(question: Question) -> Answer:
        if question.kind is Kind.SRV:
            return Answer(Outcome.FAILED)
        return Answer(Outcome.FOUND, (Address("192.0.2.8"),))

    found = locate(wish(transports=(UDP,)), look)

    assert found.places(first) == []
    assert found.problem == "SRV: no answer"


def test_a_service_that_is_denied_has_no_place() -> None:
    """RFC 2782: a target of "."."""
    found = locate(
        wish(transports=(UDP,)),
        zone(
            {
                ("_sip._udp.example.com", Kind.SRV): (Srv(0, 0, 0, ""),),
                (NAME, Kind.A): (Address("192.0.2.8"),),
            }
        ),
    )

    assert found.places(first) == []
    assert "no such service" in found.problem


def test_only_srv_and_only_addresses_are_kept_to() -> None:
    own = {(NAME, Kind.A): (Address("192.0.2.8"),)} | ZONE

    assert (NAME, "NAPTR") not in asked(own, way=Way.SRV)
    assert places({(NAME, Kind.A): (Address("192.0.2.8"),)}, way=Way.SRV) == []
    assert asked(own, way=Way.A) == [(NAME, "A")]
    assert places(own, way=Way.A) == [Place(UDP, "192.0.2.8", 5060, NAME)]


# Dual stack (RFC 7984)


def test_both_families_of_a_server_come_before_the_next_server() -> None:
    both: Zone = {
        ("_sip._udp.example.com", Kind.SRV): (
            Srv(1, 0, 5060, "a.example.com"),
            Srv(2, 0, 5060, "b.example.com"),
        ),
        **{
            (f"{server}.example.com", kind): (Address(host),)
            for server, kind, host in (
                ("a", Kind.A, "192.0.2.1"),
                ("a", Kind.AAAA, "2001:db8::1"),
                ("b", Kind.A, "192.0.2.2"),
                ("b", Kind.AAAA, "2001:db8::2"),
            )
        },
    }
    hosts = [one.host for one in places(both, transports=(UDP,), families=(6, 4))]

    assert hosts == ["2001:db8::1", "192.0.2.1", "2001:db8::2", "192.0.2.2"]


def test_a_family_that_the_realm_does_not_have_is_not_even_asked_for() -> None:
    assert all(kind != "AAAA" for _, kind in asked(ZONE, families=(4,)))


# What the DNS may hold


@pytest.mark.parametrize("host", ["0.0.0.0", "255.255.255.255", "224.0.0.1", "::", "fe80::1", "x"])  # noqa: S104
def test_an_address_that_is_nobodys_is_no_place(host: str) -> None:
    kind = Kind.AAAA if ":" in host else Kind.A

    assert places({(NAME, kind): (Address(host),)}, port=5060, families=(4, 6)) == []


def test_what_is_missing_is_named_and_asked_for_side_by_side() -> None:
    at_hand = {Question(NAME, Kind.NAPTR): Answer(Outcome.NO_DATA)}
    found = locate(wish(), at_hand.get)

    assert found.missing == [
        Question("_sip._udp.example.com", Kind.SRV),
        Question("_sip._tcp.example.com", Kind.SRV),
    ]


def test_equal_names_are_equal_texts() -> None:
    assert name_of("SIP.Example.COM.") == "sip.example.com"


# RFC 2782


def _drawn(weights: list[int], times: int = 4000) -> Counter[str]:
    chance = random.Random(7)  # noqa: S311
    records: Zone = {
        ("_sip._udp.example.com", Kind.SRV): tuple(
            Srv(0, weight, 5060, f"s{index}.example.com") for index, weight in enumerate(weights)
        ),
        **{
            (f"s{index}.example.com", Kind.A): (Address(f"192.0.2.{index + 1}"),)
            for index in range(len(weights))
        },
    }
    located = locate(wish(transports=(UDP,)), zone(records))
    return Counter(
        located.places(lambda most: chance.randint(0, most))[0].host for _ in range(times)
    )


def test_calls_are_shared_by_weight() -> None:
    drawn = _drawn([60, 30, 10])

    assert [drawn[f"192.0.2.{number}"] / 4000 for number in (1, 2, 3)] == pytest.approx(
        [0.6, 0.3, 0.1], abs=0.03
    )


def test_a_weight_of_zero_is_hardly_ever_first() -> None:
    drawn = _drawn([0, 100])

    assert 0 < drawn["192.0.2.1"] < 4000 * 0.03


def test_without_any_weight_all_are_as_likely() -> None:
    drawn = _drawn([0, 0, 0, 0])

    assert min(drawn.values()) > 800


def test_a_lower_priority_is_never_before_a_higher_one() -> None:
    chance = random.Random(7)  # noqa: S311
    records: Zone = {
        ("_sip._udp.example.com", Kind.SRV): tuple(
            Srv(priority, weight, 5060 + priority, "a.example.com")
            for priority in (3, 1, 2)
            for weight in (0, 5, 65535)
        ),
        ("a.example.com", Kind.A): (Address("192.0.2.1"),),
    }
    located = locate(wish(transports=(UDP,)), zone(records))
    for _ in range(100):
        found = located.places(lambda most: chance.randint(0, most))
        assert [one.port for one in found] == [5061, 5062, 5063]


def test_several_addresses_of_one_server_share_its_calls() -> None:
    chance = random.Random(7)  # noqa: S311
    own: Zone = {(NAME, Kind.A): tuple(Address(f"192.0.2.{number}") for number in range(1, 5))}
    located = locate(wish(port=5060), zone(own))
    drawn = Counter(
        located.places(lambda most: chance.randint(0, most))[0].host for _ in range(2000)
    )

    assert len(drawn) == 4
    assert min(drawn.values()) > 400


# Any DNS at all

NAMES = st.sampled_from(["example.com", "a.example.com", "b.example.com", "_sip._udp.example.com"])
HOSTS = st.sampled_from(["192.0.2.1", "192.0.2.2", "::1", "0.0.0.0", "junk", "2001:db8::5"])  # noqa: S104
NUMBERS = st.integers(0, 65535)
RECORDS = st.one_of(
    st.builds(Address, HOSTS),
    st.builds(Srv, NUMBERS, NUMBERS, NUMBERS, st.one_of(NAMES, HOSTS, st.just(""))),
    st.builds(
        Naptr,
        NUMBERS,
        NUMBERS,
        st.sampled_from(["S", "A", "U", ""]),
        st.sampled_from(["SIP+D2U", "SIP+D2T", "SIPS+D2T", "X"]),
        st.sampled_from(["", "!x!y!"]),
        st.one_of(NAMES, st.just("")),
    ),
)
ANSWERS = st.one_of(
    st.none(),
    st.builds(
        Answer, st.sampled_from(Outcome), st.lists(RECORDS, max_size=40).map(tuple), st.floats(0)
    ),
)


@given(
    answers=st.dictionaries(st.tuples(NAMES, st.sampled_from(Kind)), ANSWERS, max_size=16),
    rest=ANSWERS,
    transports=st.lists(st.sampled_from([UDP, TCP, TLS]), max_size=3, unique=True).map(tuple),
    families=st.sampled_from([(4,), (6,), (4, 6), (6, 4), ()]),
    port=st.sampled_from([0, 5060]),
    way=st.sampled_from(Way),
    secure=st.booleans(),
    seed=st.integers(0, 99),
)
def test_any_records_make_a_finite_list_without_repeats(
    answers, rest, transports, families, port, way, secure, seed
) -> None:
    chance = random.Random(seed)  # noqa: S311
    found = locate(
        wish(transports=transports, families=families, port=port, way=way, secure=secure),
        lambda question: answers.get(tuple(question), rest),
    )
    ordered = found.places(lambda most: chance.randint(0, most))

    assert len(ordered) <= MAX_PLACES
    assert len(set(ordered)) == len(ordered)
    assert all(one.port and one.host in found.addresses and one.name == NAME for one in ordered)
    assert all(one.transport in ((TLS,) if secure else transports) for one in ordered)
    assert ordered or found.missing or found.problem
    assert set(found.missing) <= set(found.asked)
    assert len(found.asked) < 200
