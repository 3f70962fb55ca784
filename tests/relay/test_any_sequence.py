"""Any sequence of plans, packets, floods and sessions leaves the books right."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from relay.control.messages import ControlError, End, Plan, Stream
from relay.forward.base import Forwarder
from relay.forward.native import NativeForwarder
from relay.forward.python import PythonForwarder
from relay.loop import Loop
from tests.relay.rig import SESSION, Peer, Rig, rtp

CALLS = st.sampled_from(["one", "two", "three"])
SIDES = st.sampled_from(["a", "b"])


class RelayMachine(RuleBasedStateMachine):
    """Real sockets, a real forwarder; the plans are drawn."""

    make: Callable[[Loop], Forwarder] = PythonForwarder

    def __init__(self):
        super().__init__()
        self.rig = Rig(type(self).make, window_s=0.0, pairs=6)
        self.peers = [Peer(f"127.0.6.{1 + number % 3}") for number in range(4)]
        self.rig.peers += self.peers
        self.plans: dict[str, Plan] = {}
        self.session = SESSION
        self.lives = 0
        self.sequence = 0

    def lease(self, realm):
        try:
            return self.rig.service.lease(realm, 1, self.session, time.monotonic())[0]
        except ControlError:
            return None

    def end(self, realm, number):
        key = self.lease(realm)
        if key is None:
            return None
        return End(realm, *key, self.peers[number].address, expects=True)

    def apply(self, plan):
        self.rig.service.apply(plan, self.session, time.monotonic())
        self.plans[plan.call] = plan

    @rule(call=CALLS, numbers=st.tuples(st.integers(0, 3), st.integers(0, 3)))
    def add_stream(self, call, numbers):
        ends = [
            self.end(realm, number)
            for realm, number in zip(("inside", "outside"), numbers, strict=True)
        ]
        if None in ends:
            leased = [(one.address, one.port) for one in ends if one is not None]
            self.rig.desk.give_back(leased, self.session)
            return
        plan = self.plans.get(call) or Plan(call, 0)
        index = max((one.index for one in plan.streams), default=-1) + 1
        stream = Stream(index, "audio", *ends)
        self.apply(replace(plan, revision=plan.revision + 1, streams=[*plan.streams, stream]))

    def change(self, call, side, **changes):
        plan = self.plans.get(call)
        if plan is None or not plan.streams:
            return
        first, *others = plan.streams
        end = replace(getattr(first, side), **changes)
        streams = [replace(first, **{side: end}), *others]
        self.apply(replace(plan, revision=plan.revision + 1, streams=streams))

    @rule(call=CALLS, side=SIDES, number=st.integers(0, 3), nat=st.booleans())
    def change_peer(self, call, side, number, nat):
        self.change(call, side, remote=self.peers[number].address, nat=nat, latch_any=nat)

    @rule(call=CALLS, side=SIDES)
    def forget_peer(self, call, side):
        self.change(call, side, remote=None)

    @rule(call=CALLS, side=SIDES, held=st.booleans())
    def hold(self, call, side, held):
        self.change(call, side, may_receive=not held, expects=not held)

    @rule(call=CALLS, side=SIDES)
    def move(self, call, side):
        plan = self.plans.get(call)
        if plan is None or not plan.streams:
            return
        key = self.lease(getattr(plan.streams[0], side).realm)
        if key is not None:
            self.change(call, side, port=key[1])

    @rule(call=CALLS)
    def drop_stream(self, call):
        plan = self.plans.get(call)
        if plan is not None:
            self.apply(replace(plan, revision=plan.revision + 1, streams=plan.streams[1:]))

    @rule(call=CALLS)
    def remove(self, call):
        if self.plans.pop(call, None) is not None:
            self.rig.service.remove(call, time.monotonic())

    @rule(call=CALLS, side=SIDES, number=st.integers(0, 3), count=st.sampled_from([1, 3, 40]))
    def packets(self, call, side, number, count):
        plan = self.plans.get(call)
        for stream in plan.streams if plan is not None else ():
            end = getattr(stream, side)
            for _ in range(count):
                self.sequence += 1
                self.peers[number].send(rtp(self.sequence), (end.address, end.port))
            self.peers[number].send(b"\x80\xc9\0\1\0\0\0\1", (end.address, end.port + 1))
        self.rig.run()

    @rule()
    def flush(self):
        self.rig.forwarder.flush()

    @rule(later_s=st.sampled_from([0, 2, 100]))
    def sweep(self, later_s):
        for _ in range(2):
            self.rig.service.sweep(time.monotonic() + later_s, 100)

    @rule()
    def new_session(self):
        self.lives += 1
        self.session = f"life {self.lives}"
        self.rig.service.begin_session(self.session, time.monotonic())
        self.rig.service.bury(time.monotonic(), 100)
        self.plans.clear()

    @invariant()
    def the_books_are_right(self):
        streams = sum(len(plan.streams) for plan in self.plans.values())
        counts = self.rig.desk.ports.counts(time.monotonic())
        assert len(self.rig.forwarder) == 4 * streams
        assert sum(one["in_use"] for one in counts.values()) == 2 * streams
        assert set(self.rig.service.calls) == set(self.plans)
        assert self.rig.loop.crashes == 0

    @invariant()
    def every_open_port_that_is_latched_hears_its_peer_alone(self):
        if not isinstance(self.rig.forwarder, PythonForwarder):
            return  # the thread's sockets are not to be seen from here
        for port in self.rig.forwarder._ports.values():
            if port.tx is not None:
                assert port.tx.getpeername() == port._source

    def teardown(self):
        self.rig.close()


class NativeRelayMachine(RelayMachine):
    """The same with the thread in Rust."""

    make = NativeForwarder


TestRelayMachine = RelayMachine.TestCase
TestNativeRelayMachine = pytest.mark.native(NativeRelayMachine.TestCase)
TestRelayMachine.settings = TestNativeRelayMachine.settings = settings(
    max_examples=25,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
