"""What a worker does for signalling: plans in force, superseded, changed, ended."""

from __future__ import annotations

import errno
import gc
import socket
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest

import relay.forward.python_port
from relay.call import Call, Lane
from relay.control.messages import ControlError, End, ErrorCode, Event, Plan, Srtp, Stream
from relay.flow_table import Row
from relay.forward.base import Flow
from relay.forward.python import PythonForwarder
from relay.forward.python_port import Port
from relay.latch import Latch
from relay.port_desk import PortDesk
from relay.renumber import Renumbering
from relay.rtp.context import Session
from relay.rtp.srtp import new_session
from relay.stats import Reception
from tests.relay.rig import SESSION, Rig, Talk, bind_pairs, rtp


@pytest.fixture
def rig() -> Iterator[Rig]:
    rig = Rig(PythonForwarder)
    yield rig
    rig.close()


def refused(code: ErrorCode):
    return pytest.raises(ControlError, match=f"^{code.name}")


def two_ends(rig: Rig) -> tuple[End, End]:
    return rig.end("inside", ("127.0.6.1", 9000)), rig.end("outside", ("127.0.6.2", 9000))


def test_the_same_revision_again_is_the_same_answer(rig):
    a, b = two_ends(rig)
    plan = Plan("call", 4, [Stream(0, "audio", a, b)])
    assert rig.apply(plan) == 4
    lanes = list(rig.service.calls["call"].lanes)
    assert rig.apply(plan) == 4
    assert rig.service.calls["call"].lanes == lanes


def test_an_older_plan_is_superseded_and_so_is_another_of_the_same_revision(rig):
    a, b = two_ends(rig)
    rig.apply(Plan("call", 4, [Stream(0, "audio", a, b)]))
    with refused(ErrorCode.SUPERSEDED):
        rig.apply(Plan("call", 3, [Stream(0, "audio", a, b)]))
    with refused(ErrorCode.SUPERSEDED):
        rig.apply(Plan("call", 4, [Stream(0, "audio", replace(a, nat=True), b)]))
    assert rig.service.calls["call"].revision == 4


def test_a_port_that_is_not_leased_changes_nothing(rig):
    a, b = two_ends(rig)
    strange = replace(b, port=b.port + 2)
    with refused(ErrorCode.UNKNOWN_PORT):
        rig.apply(Plan("call", 1, [Stream(0, "audio", a, strange)]))
    assert rig.service.calls == {}
    assert len(rig.forwarder) == 0
    assert rig.desk.ports.counts(0.0)["inside"]["leased"] == 1
    assert rig.apply(Plan("call", 1, [Stream(0, "audio", a, b)])) == 1


def test_a_refused_revision_leaves_the_one_in_force(rig):
    talk = Talk(rig)
    talk.both_speak()
    stream = Stream(0, "audio", talk.end_a, replace(talk.end_b, port=talk.end_b.port + 2))
    with refused(ErrorCode.UNKNOWN_PORT):
        rig.apply(Plan("call", 2, [stream]))
    talk.both_speak(start=4)
    assert len(talk.b.received()) == 6


def test_a_port_of_another_call_and_a_port_that_moves_are_refused(rig):
    a, b = two_ends(rig)
    rig.apply(Plan("call", 1, [Stream(0, "audio", a, b)]))
    c, d = two_ends(rig)
    with refused(ErrorCode.PORT_IN_USE):
        rig.apply(Plan("other", 1, [Stream(0, "audio", c, b)]))
    with refused(ErrorCode.PORT_IN_USE):
        rig.apply(Plan("call", 2, [Stream(0, "audio", b, a)]))
    with refused(ErrorCode.UNKNOWN_PORT):
        rig.service.apply(Plan("other", 1, [Stream(0, "audio", c, d)]), "another session", 0.0)


def test_a_later_plan_may_bring_another_port_and_the_books_go_on(rig):
    talk = Talk(rig)
    talk.both_speak()
    old = talk.end_b
    talk.end_b = replace(old, port=rig.lease("outside")[1])
    talk.apply()
    talk.a.received(), talk.b.received()
    talk.both_speak(start=4)
    assert [source for _, source in talk.b.all()] == [talk.to_b] * 3
    assert len(talk.a.received()) == 3
    assert (rig.stats(side="a").packets, rig.stats(side="b").packets) == (6, 6)
    sweep(rig, time.monotonic())
    assert rig.service.totals["packets"] == 12
    assert rig.desk.ports.counts(time.monotonic())["outside"]["in_use"] == 1
    assert len(rig.service.query("call", 0.0).streams) == 1


def test_streams_come_and_go_and_leave_their_figures(rig):
    talk = Talk(rig)
    talk.both_speak()
    c, d = two_ends(rig)
    audio, video = Stream(0, "audio", talk.end_a, talk.end_b), Stream(1, "video", c, d)
    rig.apply(Plan("call", 2, [audio, video]))
    assert [one.index for one in rig.service.query("call", 0.0).streams] == [0, 1]
    rig.apply(Plan("call", 3, [video]))
    stats = rig.service.query("call", time.monotonic())
    assert [(one.index, one.kind, one.a.packets) for one in stats.streams] == [
        (0, "audio", 3),
        (1, "video", 0),
    ]
    rig.apply(Plan("call", 4, []))
    assert len(rig.forwarder) == 0
    assert [one.index for one in rig.service.remove("call", 0.0).streams] == [0, 1]


def test_unknown_calls(rig):
    for ask in (rig.service.query, rig.service.remove):
        with refused(ErrorCode.UNKNOWN_CALL):
            ask("call", 0.0)


def test_leases(rig):
    with refused(ErrorCode.UNKNOWN_REALM):
        rig.service.lease("nowhere", 1, SESSION, 0.0)
    assert len(rig.service.lease("inside", 100, SESSION, 0.0)) == 8
    assert rig.needs == ["inside", "outside"]
    for _ in range(2):
        with refused(ErrorCode.PORTS_EXHAUSTED):
            rig.service.lease("inside", 1, SESSION, 0.1)
    assert rig.events == [(Event.PORTS, ["inside", True, 0])]


def test_when_ports_are_there_again_signalling_hears_it(rig):
    leased = rig.service.lease("inside", 100, SESSION, 0.0)
    with refused(ErrorCode.PORTS_EXHAUSTED):
        rig.service.lease("inside", 1, SESSION, 0.1)
    rig.desk.give_back(leased, SESSION)
    rig.service.sweep(time.monotonic(), 10)
    assert rig.events[-1] == (Event.PORTS, ["inside", False, 0])


def test_another_block_is_asked_for_once_and_not_of_who_has_none(rig):
    now = time.monotonic()
    rig.needs.clear()
    rig.desk.no_more_ports("outside")
    for _ in range(3):
        rig.service.lease("inside", 1, SESSION, now + 5)
        rig.service.lease("outside", 1, SESSION, now + 5)
    assert rig.needs == ["inside"]
    ports, sockets = bind_pairs("127.0.5.1", 8)
    rig.sockets += sockets
    rig.desk.add_block("inside", "127.0.5.9", ports, 16, sockets, now + 5)
    assert rig.needs == ["inside", "inside"]


def test_a_realm_of_both_families_runs_out_of_one(rig):
    needs, events, now = [], [], time.monotonic()
    desk = PortDesk(
        rig.table,
        5.0,
        [("both", "127.0.5.1"), ("both", "::1"), ("one", "127.0.5.2")],
        lambda event, body: bool(events.append((event, body))),
        lambda realm, address: needs.append((realm, address)),
    )
    for index, address in enumerate(("127.0.5.1", "::1")):
        ports, sockets = bind_pairs(address, 4)
        rig.sockets += sockets
        assert not desk.stocked
        desk.add_block("both", address, ports, 1000 + 8 * index, sockets, now)
    assert needs == [("both", "0.0.0.0"), ("both", "::")]  # noqa: S104
    desk.no_more_ports("one")
    assert desk.stocked
    assert {host for host, _ in desk.lease("both", 3, SESSION, now, 6)} == {"::1"}
    assert {host for host, _ in desk.lease("both", 3, SESSION, now, 4)} == {"127.0.5.1"}
    (last,) = desk.lease("both", 9, SESSION, now, 6)
    with refused(ErrorCode.PORTS_EXHAUSTED):
        desk.lease("both", 1, SESSION, now, 6)
    assert len(desk.lease("both", 9, SESSION, now)) == 1  # of the other, for who does not mind
    desk.give_back([last], SESSION)
    desk.look_after(now)
    assert events == [(Event.PORTS, ["both", True, 6]), (Event.PORTS, ["both", False, 6])]
    desk.no_more_ports("both", "::")
    needs.clear()
    desk.look_after(now + 5)
    assert ("both", "0.0.0.0") in needs  # noqa: S104
    assert ("both", "::") not in needs


def test_a_fresh_session_drops_what_others_left(rig):
    talk = Talk(rig)
    rig.lease("inside")
    assert rig.service.begin_session(SESSION, 0.0) == 0
    assert rig.service.begin_session("new", time.monotonic()) == 1
    assert rig.service.calls == {}
    assert rig.service.burying
    rig.service.bury(time.monotonic())
    assert len(rig.forwarder) == 0
    counts = rig.desk.ports.counts(time.monotonic())
    assert counts["inside"] == {"free": 8, "leased": 0, "in_use": 0, "quarantined": 0}
    assert talk.revision == 1


def test_calls_are_listed_in_slices(rig):
    for number in range(3):
        rig.apply(Plan(f"call-{number}", number))
    first = rig.service.list_calls(0, 2)
    assert (first.calls, first.more) == ([("call-0", 0), ("call-1", 1)], True)
    rig.service.remove("call-1", 0.0)
    rest = rig.service.list_calls(first.last, 2)
    assert (rest.calls, rest.more) == ([("call-2", 2)], False)


def sweep(rig: Rig, now: float) -> list[list[object]]:
    """A whole round of the sweep; the media timeouts that it reported."""
    before = len(rig.events)
    rig.service.sweep(now, 1)
    rig.service.sweep(now, 100)
    return [body for event, body in rig.events[before:] if event == Event.MEDIA_TIMEOUT]


def test_media_that_never_comes_times_out_once(rig):
    Talk(rig, b={"expects": False})
    now = time.monotonic()
    assert sweep(rig, now + 59) == []
    assert sweep(rig, now + 61) == [["call", 0, "a"]]
    assert sweep(rig, now + 200) == []


def test_media_that_stops_times_out_after_its_last_packet(rig):
    talk = Talk(rig, b={"expects": False})
    talk.apply(media_timeout_s=5.0)
    talk.a.send(rtp(1), talk.to_a)
    rig.run()
    last = rig.service.calls["call"].lanes[0].reception.last = time.monotonic() + 50
    assert sweep(rig, last + 4.9) == []
    assert sweep(rig, last + 6.1) == [["call", 0, "a"]]


def test_rtcp_counts_as_life(rig):
    talk = Talk(rig)
    now = time.monotonic()
    lane = rig.service.calls["call"].lanes[2]
    talk.a_rtcp.send(b"\x80\xc9\x00\x01\x00\x00\x00\x01", (talk.to_a[0], talk.to_a[1] + 1))
    rig.run()
    assert lane.heard >= now
    lane.heard = now + 50
    assert sweep(rig, now + 100) == [["call", 0, "b"]]


def test_hold_has_no_media_timeout_and_resuming_starts_it_anew(rig):
    talk = Talk(rig, b={"expects": False})
    talk.end_a = replace(talk.end_a, expects=False)
    talk.apply()
    now = time.monotonic()
    assert sweep(rig, now + 1000) == []
    talk.end_a = replace(talk.end_a, expects=True)
    talk.revision += 1
    stream = Stream(0, "audio", talk.end_a, talk.end_b)
    rig.service.apply(Plan("call", talk.revision, [stream]), SESSION, now + 2000)
    assert sweep(rig, now + 2059) == []
    assert sweep(rig, now + 2061) == [["call", 0, "a"]]


def test_a_plan_may_have_no_media_timeout(rig):
    talk = Talk(rig)
    rig.apply(Plan("call", 2, [Stream(0, "audio", talk.end_a, talk.end_b)], 0.0))
    assert sweep(rig, time.monotonic() + 10_000) == []


def test_what_nobody_heard_is_told_to_the_next(rig):
    Talk(rig)
    heard = rig.service._notify
    rig.service._notify = lambda event, body: False
    assert sweep(rig, time.monotonic() + 100) == []
    rig.service._notify = heard
    rig.events.clear()
    rig.service.tell_again()
    rig.service.tell_again()
    assert [body for _, body in rig.events] == [["call", 0, "a"], ["call", 0, "b"]]


def test_a_draining_worker_keeps_its_calls_and_takes_no_new_one(rig):
    talk = Talk(rig)
    rig.service.draining = True
    with refused(ErrorCode.DRAINING):
        rig.lease("inside")
    with refused(ErrorCode.DRAINING):
        rig.apply(Plan("new", 1))
    talk.apply()
    talk.both_speak()
    assert len(talk.a.received()) == 3


def test_totals_are_those_of_all_calls(rig):
    talk, stranger = Talk(rig), rig.peer("127.0.6.3")
    talk.both_speak()
    stranger.send(rtp(1), talk.to_a)
    rig.run()
    sweep(rig, time.monotonic())
    sweep(rig, time.monotonic() + 2)
    assert rig.service.totals["packets"] == 6
    assert rig.service.totals["dropped_wrong_source"] == 1
    talk.both_speak(start=4)
    rig.service.remove("call", 0.0)
    assert rig.service.totals["packets"] == 12
    assert rig.service.totals["octets"] == 12 * 132
    assert rig.service.totals["latched"] == 2


def test_counters_and_peer_are_in_the_flow_table(rig):
    talk = Talk(rig)
    talk.both_speak()
    sweep(rig, time.monotonic())
    pair = rig.service.calls["call"].lanes[0].pair
    row = rig.table.read(pair.row)
    assert (row.generation, row.in_use, row.packets, row.source) == (1, 1, 3, talk.a.address)
    rig.service.remove("call", 0.0)
    assert rig.table.read(pair.row) == Row(generation=1)


def test_a_port_that_was_in_use_when_a_worker_died_rests(rig):
    rig.table.begin(20, 9, in_use=True)
    ports, sockets = bind_pairs("127.0.5.1", 1)
    rig.sockets += sockets
    rig.desk.ports._quarantine_s = 5.0
    now = time.monotonic()
    before = rig.desk.ports.spare("inside", now)
    rig.desk.add_block("inside", "127.0.5.9", ports, 20, sockets, now)
    assert rig.desk.ports.spare("inside", now) == before
    assert rig.desk.ports.spare("inside", now + 5.1) == before + 1
    assert rig.table.read(20) == Row(generation=9)


def test_out_of_descriptors_at_the_latch_the_call_goes_on(rig, monkeypatch):
    def none_left(rx, peer):
        raise OSError(errno.EMFILE, "too many open files")

    monkeypatch.setattr(relay.forward.python_port, "connect_beside", none_left)
    talk, stranger = Talk(rig), rig.peer("127.0.6.3")
    talk.both_speak(10)
    stranger.send(rtp(1), talk.to_a)
    rig.run()
    assert (len(talk.a.received()), len(talk.b.received())) == (10, 10)
    assert rig.forwarder.unconnected == 2
    assert rig.dropped("a") == {"wrong_source": 1}


def test_a_port_that_cannot_be_polled_changes_nothing(rig, monkeypatch):
    a, b = two_ends(rig)
    watch = rig.loop.watch

    def full(fd, handler, events=1):
        if len(rig.forwarder) == 3:
            raise OSError(errno.ENOSPC, "no space left on device")
        watch(fd, handler, events)

    monkeypatch.setattr(rig.loop, "watch", full)
    with refused(ErrorCode.INTERNAL):
        rig.apply(Plan("call", 1, [Stream(0, "audio", a, b)]))
    assert (rig.service.calls, len(rig.forwarder)) == ({}, 0)
    monkeypatch.undo()
    assert rig.apply(Plan("call", 1, [Stream(0, "audio", a, b)])) == 1


def test_a_closed_port_of_one_peer_costs_the_other_nothing(rig):
    talk = Talk(rig)
    talk.both_speak()
    talk.b.received()
    talk.b.close()
    for number in range(4, 24):
        talk.a.send(rtp(number), talk.to_a)
        rig.run()
    talk.b.socket.__init__(talk.b.socket.family, talk.b.socket.type)
    talk.b.socket.bind(talk.b.address)
    talk.b.socket.setblocking(False)
    talk.both_speak(start=24)
    assert len(talk.b.received()) == 3
    assert len(talk.a.received()) == 6
    assert rig.loop.crashes == 0


def living() -> dict[str, int]:
    """Objects of calls, by type."""
    kinds = (Call, Lane, Latch, Reception, Renumbering, Session, Flow, Port, socket.socket)
    found = Counter(type(one).__name__ for one in gc.get_objects() if isinstance(one, kinds))
    return dict(found)


def speak_srtp(talk):
    """A's peer by its key, where it has one."""
    key = talk.end_a.srtp_in
    if key is not None:
        session = new_session(key.suite, key.key)
        for number in range(3):
            talk.a.send(session.protect(rtp(number)), talk.to_a)
            talk.a.send(session.protect_rtcp(b"\x80\xc9\x00\x01" + bytes(4)), talk.to_a)
            talk.rig.run()
        assert talk.rig.stats(side="a").packets > 0


def test_what_looks_like_rtcp_from_the_peers_address_is_policed(rig):
    """Forged or not: the slow path is not kept busy, and media has its own allowance."""
    talk = Talk(rig)
    talk.both_speak(3)
    before = rig.service.slowpath.punts
    for number in range(4, 54):
        for _ in range(40):
            talk.a.send(b"\x80\xc8\x00\x06" + bytes(24), talk.to_a)
        talk.a.send(rtp(number), talk.to_a)
        rig.run()
    assert rig.service.slowpath.punts - before < 1200
    assert len(talk.b.received()) == 53
    drops = rig.dropped("a")
    assert drops["policed"] + drops["rtcp_on_rtp"] == 2000
    assert drops["policed"] > 800


KEYED = {
    "nat": True,
    "srtp_in": Srtp("AEAD_AES_128_GCM", bytes(28)),
    "srtp_out": Srtp("AES_CM_128_HMAC_SHA1_80", bytes(30)),
    "rtcp_mux": True,
    "payloads": {0: 8},
    "continuity": True,
    "dscp": 46,
}


@pytest.mark.parametrize("changes", [{"nat": True}, KEYED], ids=["plain", "keyed"])
def test_calls_leave_nothing_behind(rig, changes):
    gc.collect()
    gc.disable()
    try:
        before = living()
        for _ in range(20):
            talk = Talk(rig, a=changes)
            talk.both_speak(2)
            speak_srtp(talk)
            rig.forwarder.flush()
            talk.both_speak(2, start=3)
            talk.end_a = replace(talk.end_a, port=rig.lease("inside")[1])
            talk.apply()
            rig.service.remove("call", 0.0)
            for peer in (talk.a, talk.b, talk.a_rtcp, talk.b_rtcp):
                rig.peers.remove(peer)
                peer.close()
        del talk, peer
        assert living() == before
        assert len(rig.loop._handlers) <= 50
    finally:
        gc.enable()
