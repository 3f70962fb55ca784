"""Where targets are: names kept located, failures remembered, sources that follow the DNS."""

from __future__ import annotations

import ipaddress
import random
from collections import Counter
from typing import Any

import pytest

from policies.facts import Target
from policies.settings import Peer, Resolve, TrunkSettings, TrunkTransport
from sbc.call.targets.where import Where
from sbc.resolve.records import Address, Answer, Kind, Outcome, Place, Question, Srv
from sbc.transaction.hop import TCP, TLS, UDP
from sbc.transport.settings import ListenerSettings

CARRIER = Peer(host="sip.carrier.example", port=0)
SRV = Question("_sip._udp.sip.carrier.example", Kind.SRV)
HOUR_S = 3600.0


def listener(transport: str, host: str, realm: str = "outside", port: int = 5060):
    return ListenerSettings(
        realm=realm, transport=transport, host=host, port=port,
        advertise_host=host, advertise_port=port,
    )  # fmt: skip


LISTENERS = (
    listener("udp", "10.1.0.1"),
    listener("tcp", "10.1.0.1"),
    listener("udp", "10.0.0.1", "inside"),
    listener("udp", "2001:db8::1", "inside"),
)


def trunk(*peers: Peer, **changes: Any) -> TrunkSettings:
    sources = tuple(ipaddress.ip_network(one.host) for one in peers if not one.is_name)
    base = {"name": "carrier", "realm": "outside", "peers": peers, "sources": sources}
    follow = {"sources_follow": any(one.is_name for one in peers)}
    return TrunkSettings(**(base | follow | changes))


class Asker:
    """A call that waits."""

    def __init__(self) -> None:
        self.told: list[list[Place]] = []

    def located(self, places: list[Place], now: float) -> None:
        self.told.append(places)


class Dns:
    """Answers what `where` asks from a table; what it does not have is denied."""

    def __init__(self, where: Where, ttl_s: float = 60.0) -> None:
        self.where = where
        self.ttl_s = ttl_s
        self.records: dict[Question, tuple[Any, ...]] = {}
        self.silent = False
        self.asked: list[Question] = []

    def srv(self, *hosts: str) -> None:
        """One server for each host, the first with the best priority."""
        names = [f"s{host.rpartition('.')[2]}.carrier.example" for host in hosts]
        self.records[SRV] = tuple(Srv(index, 0, 5060, name) for index, name in enumerate(names))
        for name, host in zip(names, hosts, strict=True):
            self.records[Question(name, Kind.A)] = (Address(host),)

    def serve(self, now: float) -> None:
        """Answer until nothing is asked any more."""
        self.where.tick(now)
        while self.where.questions:
            questions = dict.fromkeys(self.where.questions)
            self.where.questions.clear()
            for question in questions:
                self.asked.append(question)
                records = self.records.get(question, ())
                outcome = Outcome.FOUND if records else Outcome.NO_NAME
                if self.silent:
                    outcome, records = Outcome.FAILED, ()
                answer = Answer(outcome, records, self.ttl_s, "127.0.0.53:53")
                for asker, places in self.where.answered(question, answer, now):
                    asker.located(places, now)


class Lab:
    def __init__(self, *trunks: TrunkSettings, ttl_s: float = 60.0) -> None:
        self.followed: dict[str, frozenset[str]] = {}
        self.where = Where(trunks, LISTENERS, lambda size: bytes(size), self.followed.__setitem__)
        self.dns = Dns(self.where, ttl_s)
        self.targets = [Target(one, peer) for one in trunks for peer in one.peers]

    def hosts(self, now: float, index: int = 0) -> list[str] | None:
        found = self.where.places(self.targets[index], now, Asker())
        return None if found is None else [one.host for one in found]


@pytest.fixture
def lab() -> Lab:
    lab = Lab(trunk(CARRIER))
    lab.dns.srv("192.0.2.1", "192.0.2.2", "192.0.2.3")
    return lab


def test_an_address_is_a_place_at_once_and_nothing_is_asked() -> None:
    lab = Lab(trunk(Peer(host="192.0.2.7", port=5070)))

    assert lab.where.places(lab.targets[0], 0.0, Asker()) == (Place(UDP, "192.0.2.7", 5070),)
    assert not lab.where.has_names
    assert lab.where.questions == []


@pytest.mark.parametrize(
    ("transport", "place"),
    [
        (TrunkTransport.UDP, Place(UDP, "192.0.2.7", 5060)),
        (TrunkTransport.TCP, Place(TCP, "192.0.2.7", 5060)),
        (TrunkTransport.TLS, Place(TLS, "192.0.2.7", 5060)),
        (TrunkTransport.AUTO, Place(UDP, "192.0.2.7", 5060)),
    ],
)
def test_the_trunks_transport_is_the_places(transport: TrunkTransport, place: Place) -> None:
    lab = Lab(trunk(Peer(host="192.0.2.7"), transport=transport))

    assert lab.where.places(lab.targets[0], 0.0, Asker()) == (place,)


def test_a_name_is_looked_up_ahead_of_the_first_call(lab: Lab) -> None:
    lab.dns.serve(0.0)

    assert lab.hosts(1.0) == ["192.0.2.1", "192.0.2.2", "192.0.2.3"]


def test_a_call_that_comes_before_the_answer_waits_for_all_of_it(lab: Lab) -> None:
    asker = Asker()

    assert lab.where.places(lab.targets[0], 0.0, asker) is None
    lab.dns.serve(0.0)

    assert [[one.host for one in told] for told in asker.told] == [
        ["192.0.2.1", "192.0.2.2", "192.0.2.3"]
    ]


def test_a_dns_that_never_answers_leaves_no_call_waiting(lab: Lab) -> None:
    lab.dns.silent = True
    asker = Asker()

    assert lab.where.places(lab.targets[0], 0.0, asker) is None
    lab.dns.serve(2.0)

    assert asker.told == [[]]
    assert lab.hosts(3.0) == [], "the next one need not wait again"


def test_an_answer_is_renewed_before_it_ends_so_that_no_call_waits(lab: Lab) -> None:
    for second in range(600):
        lab.dns.serve(float(second))
        assert lab.hosts(float(second))

    asked = lab.dns.asked.count(SRV)
    assert 600 / 60 <= asked <= 600 / 48 + 1


def test_a_changed_answer_moves_the_next_call(lab: Lab) -> None:
    lab.dns.serve(0.0)
    lab.dns.srv("192.0.2.9")
    lab.dns.serve(50.0)

    assert lab.hosts(50.0) == ["192.0.2.9"]


def test_while_the_dns_is_dead_what_was_known_serves_for_a_day(lab: Lab) -> None:
    lab.dns.serve(0.0)
    lab.dns.silent = True
    for hour in range(24):
        lab.dns.serve(hour * HOUR_S + 60.0)
        assert lab.hosts(hour * HOUR_S + 60.0) == ["192.0.2.1", "192.0.2.2", "192.0.2.3"]

    lab.dns.serve(25 * HOUR_S)
    assert lab.hosts(25 * HOUR_S) == []


def test_a_name_that_is_denied_has_no_place_and_is_told_of_once(lab: Lab) -> None:
    lab.dns.serve(0.0)
    lab.dns.records.clear()
    for second in range(50, 200):
        lab.dns.serve(float(second))

    assert lab.hosts(200.0) == []
    assert [event for _, event, _ in lab.where.notes] == ["dns.no_place"]
    lab.dns.srv("192.0.2.1")
    lab.dns.serve(300.0)
    assert [event for _, event, _ in lab.where.notes] == ["dns.no_place", "dns.located"]


def test_what_failed_is_tried_last_until_it_works(lab: Lab) -> None:
    lab.dns.serve(0.0)
    first = Place(UDP, "192.0.2.1", 5060, "sip.carrier.example")
    lab.where.failed(first, 1.0)

    assert lab.hosts(2.0) == ["192.0.2.2", "192.0.2.3", "192.0.2.1"]
    lab.where.worked(first)
    assert lab.hosts(2.0) == ["192.0.2.1", "192.0.2.2", "192.0.2.3"]


def test_looking_at_what_is_known_uses_up_no_trial_and_asks_nothing(lab: Lab) -> None:
    carrier = lab.targets[0].trunk
    assert lab.where.known(carrier, CARRIER, 0.0) == []
    lab.dns.serve(0.0)
    lab.where.failed(Place(UDP, "192.0.2.1", 5060, CARRIER.host), 0.0)

    for now in (1.0, 15.0, 16.0):
        known = [one.host for one in lab.where.known(carrier, CARRIER, now)]
        assert known == ["192.0.2.1", "192.0.2.2", "192.0.2.3"]
    assert lab.hosts(16.0) == ["192.0.2.1", "192.0.2.2", "192.0.2.3"], "its trial is this call's"


def test_numeric_peers_that_failed_are_tried_last_within_their_trunk() -> None:
    peers = [Peer(host=f"192.0.2.{number}") for number in (1, 2)]
    backup = trunk(Peer(host="192.0.2.8"), name="backup")
    lab = Lab(trunk(*peers), backup)
    lab.where.failed(Place(UDP, "192.0.2.1", 5060), 0.0)
    lab.where.failed(Place(UDP, "192.0.2.8", 5060), 0.0)

    ordered = lab.where.in_order(lab.targets, 1.0)
    assert [one.peer.host for one in ordered] == ["192.0.2.2", "192.0.2.1", "192.0.2.8"]


def test_an_auto_trunk_uses_every_transport_that_its_realm_has() -> None:
    lab = Lab(trunk(CARRIER, transport=TrunkTransport.AUTO))
    tcp = Question("_sip._tcp.sip.carrier.example", Kind.SRV)
    lab.dns.records[tcp] = (Srv(0, 0, 5062, "s1.carrier.example"),)
    lab.dns.records[Question("s1.carrier.example", Kind.A)] = (Address("192.0.2.1"),)
    lab.dns.serve(0.0)

    found = lab.where.places(lab.targets[0], 1.0, Asker())
    assert found == [Place(TCP, "192.0.2.1", 5062, "sip.carrier.example")]


def test_families_are_those_of_the_realms_listeners_in_their_order() -> None:
    lab = Lab(trunk(CARRIER, realm="inside", resolve=Resolve.A))
    lab.dns.records[Question(CARRIER.host, Kind.AAAA)] = (Address("2001:db8::9"),)
    lab.dns.records[Question(CARRIER.host, Kind.A)] = (Address("192.0.2.1"),)
    lab.dns.serve(0.0)

    assert lab.hosts(1.0) == ["192.0.2.1", "2001:db8::9"]


def test_a_name_that_leads_to_our_own_listener_leads_nowhere(lab: Lab) -> None:
    lab.dns.srv("10.1.0.1", "192.0.2.1")
    lab.dns.serve(0.0)

    assert lab.hosts(1.0) == ["192.0.2.1"]


def test_a_transport_that_the_realm_does_not_have_is_told_of() -> None:
    lab = Lab(trunk(CARRIER, transport=TrunkTransport.TLS))
    lab.dns.serve(0.0)

    assert lab.hosts(0.0) == []
    assert lab.where.describe(0.0)[0]["problem"] == "no transport reaches it"


def test_a_name_outside_the_configuration_is_looked_up_for_the_call_that_needs_it() -> None:
    lab = Lab(trunk(Peer(host="192.0.2.7")))
    asker = Asker()
    stray = Target(lab.targets[0].trunk, CARRIER)

    assert lab.where.places(stray, 0.0, asker) is None
    lab.dns.srv("192.0.2.1")
    lab.dns.serve(0.0)

    assert [one.host for one in asker.told[0]] == ["192.0.2.1"]
    assert lab.followed == {}, "who may speak for the trunk is not a redirection's to say"


def test_an_address_outside_the_configuration_is_a_place_at_once() -> None:
    lab = Lab(trunk(Peer(host="192.0.2.7")))
    stray = Target(lab.targets[0].trunk, Peer(host="192.0.2.8", port=5090))

    assert lab.where.places(stray, 0.0, Asker()) == (Place(UDP, "192.0.2.8", 5090),)


def test_strays_that_nobody_waits_for_make_room() -> None:
    lab = Lab(trunk(Peer(host="192.0.2.7")))
    for number in range(300):
        stray = Target(lab.targets[0].trunk, Peer(host=f"s{number}.example", port=0))
        assert lab.where.places(stray, 0.0, Asker()) is None
        lab.dns.serve(0.0)

    assert lab.where.places(stray, 0.0, Asker()) == []


def test_a_question_of_a_stray_that_got_lost_is_asked_again() -> None:
    lab = Lab(trunk(Peer(host="192.0.2.7")))
    asker = Asker()
    lab.where.places(Target(lab.targets[0].trunk, CARRIER), 0.0, asker)
    lab.where.questions.clear()

    lab.dns.serve(1.0)
    assert asker.told == [[]]


def test_calls_are_shared_by_the_randomness_that_is_passed_in() -> None:
    lab = Lab(trunk(CARRIER, resolve=Resolve.A))
    chance = random.Random(7)  # noqa: S311
    lab.where = Where([lab.targets[0].trunk], LISTENERS, chance.randbytes)
    lab.dns.where = lab.where
    hosts = [f"192.0.2.{number}" for number in range(1, 5)]
    lab.dns.records[Question(CARRIER.host, Kind.A)] = tuple(Address(host) for host in hosts)
    lab.dns.serve(0.0)

    drawn = Counter(found[0] for _ in range(400) if (found := lab.hosts(0.0)))
    assert sorted(drawn) == hosts
    assert min(drawn.values()) > 60


def test_strays_are_bounded_even_while_all_of_them_wait() -> None:
    lab = Lab(trunk(Peer(host="192.0.2.7")))
    answers = [
        lab.where.places(
            Target(lab.targets[0].trunk, Peer(host=f"s{number}.example", port=0)), 0.0, Asker()
        )
        for number in range(300)
    ]

    assert answers.count(None) == 256
    assert answers.count(()) == 44


# Who may speak for the trunk


def test_sources_are_the_addresses_of_the_name(lab: Lab) -> None:
    lab.dns.serve(0.0)

    assert lab.followed == {"carrier": {"192.0.2.1", "192.0.2.2", "192.0.2.3"}}


def test_an_address_that_is_gone_is_accepted_for_an_hour_more(lab: Lab) -> None:
    lab.dns.serve(0.0)
    lab.dns.srv("192.0.2.9")
    lab.dns.serve(100.0)
    assert lab.followed["carrier"] == {"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.9"}

    lab.dns.serve(100.0 + HOUR_S)
    assert lab.followed["carrier"] == {"192.0.2.9"}


def test_an_address_that_comes_back_within_the_hour_stays(lab: Lab) -> None:
    lab.dns.serve(0.0)
    lab.dns.srv("192.0.2.9")
    lab.dns.serve(100.0)
    lab.dns.srv("192.0.2.1", "192.0.2.9")
    lab.dns.serve(200.0)
    lab.dns.serve(300.0 + HOUR_S)

    assert lab.followed["carrier"] == {"192.0.2.1", "192.0.2.9"}


def test_sources_that_are_written_do_not_follow_the_dns() -> None:
    lab = Lab(trunk(CARRIER, sources_follow=False))
    lab.dns.srv("192.0.2.1")
    lab.dns.serve(0.0)

    assert lab.followed == {}


def test_an_operator_sees_where_a_name_is_who_says_so_and_until_when(lab: Lab) -> None:
    lab.dns.serve(0.0)
    lab.where.failed(Place(UDP, "192.0.2.2", 5060, CARRIER.host), 1.0)

    (told,) = lab.where.describe(2.0)
    assert told["trunk"] == "carrier"
    assert told["peer"] == "sip.carrier.example"
    assert told["servers"] == ["127.0.0.53:53"]
    assert told["fresh_for_s"] == 58.0
    assert (told["stale"], told["problem"]) == (False, "")
    assert [(one["address"], one["failed_s_ago"]) for one in told["places"]] == [
        ("192.0.2.1", None),
        ("192.0.2.2", 1.0),
        ("192.0.2.3", None),
    ]
