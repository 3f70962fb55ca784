"""Where a call goes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from policies.routing import Routes, targets_of
from policies.settings import Peer
from tests.policies.border import route, settings, trunk

PBX = trunk("pbx", "inside", "10.0.0.1")
ONE = trunk("one", "outside", "192.0.2.1", "192.0.2.2")
TWO = trunk("two", "outside", "192.0.2.3")


def found(routes, number, source=PBX):
    route = Routes(settings([PBX, ONE, TWO], routes)).find(source, number)
    return None if route is None else route.why.rule


def test_the_longest_prefix_wins_wherever_it_stands():
    routes = [
        route("pbx", "one"),
        route("pbx", "two", number="+49"),
        route("pbx", "one", number="+4930"),
    ]
    assert found(routes, b"+4930123") == "routes[3]"
    assert found(routes, b"+4989") == "routes[2]"
    assert found(routes, b"+44") == "routes[1]"
    assert found(routes, b"+4") == "routes[1]"
    assert found(routes, b"") == "routes[1]"


def test_without_a_match_there_is_no_route():
    assert found([route("pbx", "one", number="+49")], b"0049") is None
    assert found([route("pbx", "one")], b"1", source=ONE) is None


def test_only_the_routes_of_the_trunk_that_calls():
    routes = [route("one", "pbx", number="1"), route("pbx", "two", number="1")]
    assert found(routes, b"123") == "routes[2]"
    assert found(routes, b"123", source=ONE) == "routes[1]"


def test_targets_are_all_peers_of_the_routes_trunks_in_order():
    made = Routes(settings([PBX, ONE, TWO], [route("pbx", "two", "one")])).find(PBX, b"1")
    assert made is not None
    hosts = [[target.peer.host for target in targets] for targets in made.targets_from]
    assert hosts == [["192.0.2.3", "192.0.2.1", "192.0.2.2"], ["192.0.2.1", "192.0.2.2"]]
    assert made.why == ("routes[1]", 20, "pbx: any number to two, one")


def test_peers_go_by_priority_then_weight_then_as_written():
    one = trunk(
        "one",
        "r",
        Peer(host="10.0.0.1", priority=1),
        Peer(host="10.0.0.2", weight=1),
        Peer(host="10.0.0.3", weight=5),
        Peer(host="10.0.0.4", weight=5),
    )
    assert [target.peer.host[-1] for target in targets_of(one)] == ["3", "4", "2", "1"]


@given(st.lists(st.text("01+", max_size=4), unique=True), st.text("01+", max_size=6))
def test_the_index_agrees_with_a_search_of_all_prefixes(prefixes, number):
    routes = [route("pbx", "one", number=prefix) for prefix in prefixes]
    matching = [(len(p), i) for i, p in enumerate(prefixes, 1) if number.startswith(p)]
    expected = f"routes[{max(matching)[1]}]" if matching else None
    assert found(routes, number.encode()) == expected
