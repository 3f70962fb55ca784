"""What becomes of a new call, and why."""

from __future__ import annotations

from ipaddress import ip_network

from policies.engine import Policies
from policies.facts import Accept, Ignore, Refuse
from policies.settings import Stranger
from tests.policies.border import call, route, settings, trunk

PBX = trunk("pbx", "inside", "10.0.0.1", calls=2)
ONE = trunk("one", "outside", "192.0.2.1", "192.0.2.2", calls=1, status=486)
TWO = trunk("two", "outside", "192.0.2.3", calls=1)
ROUTES = [route("pbx", "one", "two", number="49"), route("one", "pbx")]


def policies(**access):
    return Policies(settings([PBX, ONE, TWO], ROUTES, **access))


def hosts(decision):
    assert isinstance(decision, Accept)
    return [target.peer.host for target in decision.targets]


def test_a_known_trunks_call_goes_to_its_routes_peers():
    border = policies()
    decision = border.decide(call("inside", "10.0.0.1"), 0.0)
    assert hosts(decision) == ["192.0.2.1", "192.0.2.2", "192.0.2.3"]
    assert decision.trunk is PBX
    assert decision.why.rule == "routes[1]"
    assert border.calls() == {"pbx": 1, "one": 1, "two": 0}


def test_a_stranger_is_refused_or_ignored_as_configured():
    refusal = policies().decide(call("outside", "10.0.0.1"), 0.0)
    assert isinstance(refusal, Refuse)
    assert (refusal.status, refusal.trunk) == (403, None)
    assert refusal.why.rule == "access.strangers"
    silent = policies(strangers=Stranger.IGNORE)
    assert isinstance(silent.decide(call("outside", "10.0.0.1"), 0.0), Ignore)
    assert isinstance(silent.stranger(), Ignore)


def test_without_a_route_404_and_nothing_is_held():
    border = policies()
    refusal = border.decide(call("inside", "10.0.0.1", b"1"), 0.0)
    assert isinstance(refusal, Refuse)
    assert (refusal.status, refusal.trunk) == (404, PBX)
    assert refusal.why == ("routes", 0, "no route from pbx to this number")
    assert set(border.calls().values()) == {0}


def test_a_full_target_is_passed_over_and_all_full_give_the_last_ones_answer():
    border = policies()
    assert hosts(border.decide(call("inside", "10.0.0.1"), 0.0))[0] == "192.0.2.1"
    second = border.decide(call("inside", "10.0.0.1"), 0.0)
    assert hosts(second) == ["192.0.2.3"]
    assert border.calls() == {"pbx": 2, "one": 1, "two": 1}
    border.ended((PBX, ONE))
    assert hosts(border.decide(call("inside", "10.0.0.1"), 0.0))[0] == "192.0.2.1"
    border.ended((PBX,))
    refusal = border.decide(call("inside", "10.0.0.1"), 0.0)
    assert isinstance(refusal, Refuse)
    assert (refusal.status, refusal.why.rule) == (503, "trunks.two.limits.calls")
    assert refusal.trunk is PBX
    assert border.calls() == {"pbx": 1, "one": 1, "two": 1}


def test_the_trunk_that_calls_is_asked_first():
    border = policies()
    for _ in range(2):
        border.decide(call("inside", "10.0.0.1"), 0.0)
    refusal = border.decide(call("inside", "10.0.0.1"), 0.0)
    assert isinstance(refusal, Refuse)
    assert refusal.why.rule == "trunks.pbx.limits.calls"


def test_moving_on_to_the_next_trunk_moves_the_call():
    border = policies()
    border.decide(call("inside", "10.0.0.1"), 0.0)
    assert border.move(ONE, ONE, 0.0) is None
    assert border.move(ONE, TWO, 0.0) is None
    assert border.calls() == {"pbx": 1, "one": 0, "two": 1}
    border.decide(call("inside", "10.0.0.1"), 0.0)
    refusal = border.move(ONE, TWO, 0.0)
    assert refusal is not None
    assert refusal.why.rule == "trunks.two.limits.calls"
    assert border.calls() == {"pbx": 2, "one": 1, "two": 1}


def test_a_call_back_out_where_it_came_in_uses_two():
    pbx = trunk("pbx", "inside", "10.0.0.1", calls=2)
    border = Policies(settings([pbx], [route("pbx", "pbx")]))
    assert isinstance(border.decide(call("inside", "10.0.0.1"), 0.0), Accept)
    assert border.calls() == {"pbx": 2}
    assert isinstance(border.decide(call("inside", "10.0.0.1"), 0.0), Refuse)
    border.ended((pbx, pbx))
    assert border.calls() == {"pbx": 0}


def test_strangers_have_a_rate_and_trunks_and_exempt_sources_have_none():
    border = policies(
        rate_per_source=1.0, burst_per_source=2.0, exempt=(ip_network("198.51.100.0/24"),)
    )
    assert [border.may_speak("outside", "203.0.113.1", 0.0) for _ in range(3)] == [
        True,
        True,
        False,
    ]
    assert border.may_speak("outside", "203.0.113.1", 1.0)
    for host in ("192.0.2.1", "198.51.100.7"):
        assert all(border.may_speak("outside", host, 0.0) for _ in range(100))


def test_a_trunk_is_exempt_in_its_own_realm_only():
    border = policies(rate_per_source=1.0, burst_per_source=1.0)
    assert border.may_speak("outside", "10.0.0.1", 0.0)
    assert not border.may_speak("outside", "10.0.0.1", 0.0)


def test_identify():
    border = policies()
    assert border.identify("inside", "10.0.0.1") is PBX
    assert border.identify("outside", "10.0.0.1") is None
