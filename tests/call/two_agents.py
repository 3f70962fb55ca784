"""A border between two agents, with a bad network in between, and an eye on all that it sends."""

from __future__ import annotations

from typing import Any

from policies.settings import Shield
from sbc.call.call import Call
from sbc.sip.message import Message, Request, Response
from sbc.sip.parser import parse
from sbc.transaction.hop import Hop
from tests.call.lab import CARRIER, INSIDE, OUTSIDE, PBX, Lab
from tests.call.lab import settings as border_settings
from tests.support.agent import Abilities, Agent, Phase, Talk, direction_of, port_of
from tests.support.link import Link, Weather

FINE = Weather()
_SHIELDED = {"re-INVITE": Shield.REINVITE, "UPDATE": Shield.UPDATE, "PRACK": Shield.PRACK}


class Watcher:
    """What must hold of the border's messages, as they leave it."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.finals: dict[tuple[bytes, bytes], set[tuple[int, bytes]]] = {}
        """Request that the border got, by branch and method → its final answers."""
        self.methods: dict[str, int] = {}
        self.shields: dict[str, frozenset[Shield]] = {}
        """Host → what must not be sent there."""
        self._seen: set[tuple[str, bytes]] = set()
        self._versions: dict[tuple[str, bytes], tuple[int, bytes]] = {}
        self._cseqs: dict[tuple[str, bytes, bytes], int] = {}

    def received(self, data: bytes) -> None:
        message = parse(data)
        if isinstance(message, Request) and message.method != b"ACK":
            self.finals.setdefault((message.via.branch, message.method), set())

    def sent(self, host: str, data: bytes) -> None:
        if (host, data) in self._seen:
            return  # a retransmission says nothing new
        self._seen.add((host, data))
        message = parse(data)
        if message.content_type == b"application/sdp":
            self._version(host, message)
        if isinstance(message, Response):
            self._final(message)
        else:
            self._sequence(host, message)

    def _final(self, response: Response) -> None:
        if response.status < 200:
            return
        key = response.via.branch, response.cseq_method
        if key not in self.finals:
            self.faults.append(f"an answer to no request: {response.status} {key}")
            return
        self.finals[key].add((response.status, response.to_tag))
        if len(self.finals[key]) > 1:
            self.faults.append(f"two final answers: {self.finals[key]} to {key}")

    def _sequence(self, host: str, request: Request) -> None:
        name = request.method.decode()
        self.methods[name] = self.methods.get(name, 0) + 1
        if name in ("ACK", "CANCEL"):
            return
        shield = _SHIELDED.get("re-INVITE" if name == "INVITE" and request.to_tag else name)
        if shield in self.shields.get(host, ()):
            self.faults.append(f"{name} to a peer that is shielded from it")
        key = host, request.call_id, request.from_tag
        if request.cseq <= self._cseqs.get(key, 0):
            self.faults.append(f"CSeq {request.cseq} after {self._cseqs[key]} in {key}")
        self._cseqs[key] = request.cseq

    def _version(self, host: str, message: Message) -> None:
        lines = message.body.split(b"\r\n")
        _, session, version, *_ = lines[1].split()
        words = b"\r\n".join([lines[0], *lines[2:]])
        before, same = self._versions.get((host, session), (0, b""))
        if int(version) < before:
            self.faults.append(f"SDP version {version!r} after {before}")
        elif int(version) == before and words != same:
            self.faults.append(f"other words under SDP version {before}")
        self._versions[host, session] = int(version), words


class World:
    """The border, its two agents, and time."""

    def __init__(
        self,
        seed: int,
        abilities: tuple[Abilities, Abilities],
        shields: tuple[frozenset[Shield], frozenset[Shield]] = (frozenset(), frozenset()),
        **trunk: Any,
    ) -> None:
        a, b = ({"no_answer_s": 60.0, "shield": one, **trunk} for one in shields)
        self.lab = Lab(border_settings({"pbx": a, "carrier": b}))
        self.up, self.down = Link(seed, Weather()), Link(seed + 1, Weather())
        self.watcher = Watcher()
        self.watcher.shields = {PBX[0]: shields[0], CARRIER[0]: shields[1]}
        self.agents = [
            self._agent(PBX, INSIDE, 0, abilities[0]),
            self._agent(CARRIER, OUTSIDE, 2, abilities[1]),
        ]
        self._by_host = {agent.address[0]: agent for agent in self.agents}

    def _agent(
        self, address: tuple[str, int], border: str, listener: int, abilities: Abilities
    ) -> Agent:
        realm = "inside" if border == INSIDE else "outside"
        hop = Hop(realm, listener, b"UDP", *address)
        return Agent(
            address,
            (border, 5060),
            lambda data: self.up.send(hop, data, self.now),
            abilities,
        )

    @property
    def now(self) -> float:
        return self.lab.now

    def weather(self, weather: Weather) -> None:
        self.up.weather = self.down.weather = weather

    def talks(self, side: int) -> list[Talk]:
        """Of one agent, those that are not over."""
        return [talk for talk in self.agents[side].talks if talk.phase is not Phase.OVER]

    def run(self, seconds: float) -> None:
        """Let that much time pass, event by event."""
        until = self.now + seconds
        self._carry()
        while (due := self._next_due()) is not None and due <= until:
            self.lab.now = max(self.now, due)
            self._step()
        self.lab.now = until
        self._step()

    def _step(self) -> None:
        now, border = self.now, self.lab.border
        for hop, data in self.up.arrived(now):
            assert isinstance(hop, Hop)
            self.watcher.received(data)
            border.receive(data, hop, now)
        for host, data in self.down.arrived(now):
            self._by_host[str(host)].receive(data, now)
        border.tick(now)
        for agent in self.agents:
            agent.tick(now)
        self._carry()

    def _carry(self) -> None:
        """What the border has sent is on its way; what the relay owes is there."""
        lab = self.lab
        lab.border.flush()
        sent, lab.sent = lab.sent, []
        for hop, data in sent:
            self.watcher.sent(hop.host, data)
            if hop.host in self._by_host:
                self.down.send(hop.host, data, self.now)
            else:
                self.watcher.faults.append(f"a message to {hop.host}")
        if lab.removed:
            lab.answer_removals()
        else:
            lab.lease()

    def _next_due(self) -> float | None:
        times = [
            self.up.next_arrival(),
            self.down.next_arrival(),
            self.lab.border.core.layer.next_due(),
            *(agent.next_due() for agent in self.agents),
        ]
        return min((time for time in times if time is not None), default=None)

    # Whole ends

    def settle(self) -> None:
        """The network is fine again, and every question gets its answer."""
        self.weather(FINE)
        for _ in range(4):
            for side in (0, 1):
                for talk in self.talks(side):
                    if talk.pending and not talk.wants_accept:
                        talk.accept(self.now)
            self.run(34.0)

    def check_one_idea(self) -> None:
        """Both agents and the border agree on which calls are up, and how."""
        a, b = self.agents
        up = [[talk for talk in self.talks(side) if talk.phase is Phase.UP] for side in (0, 1)]
        early = [talk for side in (0, 1) for talk in self.talks(side) if talk.phase is Phase.EARLY]
        assert not early, f"{len(early)} calls that nobody ends"
        calls = list(self.lab.border.calls.values())
        assert len(up[0]) == len(up[1]) == len(calls), (len(up[0]), len(up[1]), len(calls))
        said = [sorted(_views(side)) for side in up]
        mirrored = said[0] == sorted((there, here) for here, there in _views(up[1]))
        spared = self.lab.border.core.counters["changes_answered_here"]  # one was not to know
        assert mirrored or spared, said
        assert not [t for side in up for t in side if t.media.open or t.busy], "an open offer"
        faults = a.faults + b.faults + self.watcher.faults
        assert not faults, faults
        for call in calls:
            self._check_media(call)

    def _check_media(self, call: Call) -> None:
        """The relay has been told of each peer what that has said last."""
        plan = [plan for _, plan in self.lab.plans if plan.call == call.exchange.key][-1]
        (stream,) = plan.streams
        for leg, end in ((call.a, stream.a), (call.b, stream.b)):
            assert leg is not None
            assert leg.dialog is not None
            (talk,) = [t for s in (0, 1) for t in self.talks(s) if t.call_id == leg.dialog.call_id]
            port, direction = port_of(talk.media.local), talk.media.direction
            expected = (talk.agent.address[0], port), direction in ("sendrecv", "recvonly")
            assert (end.remote, end.may_receive) == expected, f"side {leg.side}"

    def check_the_end(self) -> None:
        """Everybody hangs up, and nothing stays anywhere."""
        for _ in range(6):
            for side in (0, 1):
                for talk in self.talks(side):
                    talk.hang_up(self.now)
            self.run(40.0)
        lab, border = self.lab, self.lab.border
        self.run(150.0)
        lab.assert_nothing_left()
        assert border.core.counters["crashed"] == 0, crashes(lab)
        for agent in self.agents:
            assert (len(agent.layer), len(agent.layer.timers)) == (0, 0)
            assert agent.faults == []
        assert self.watcher.faults == []
        answers = {status for finals in self.watcher.finals.values() for status, _ in finals}
        assert not answers & {400, 405, 415, 420, 501, 502}, answers
        missing = [key for key, finals in self.watcher.finals.items() if len(finals) != 1]
        assert not missing, missing
        assert set(border.core.leases._calls.values()) <= {0}
        for slot, realms in border.core.leases._stocks.items():
            used = {
                (end.address, end.port)
                for at, plan in lab.plans
                if at == slot
                for stream in plan.streams
                for end in (stream.a, stream.b)
            }
            for stock in realms.values():
                assert len(set(stock.ports)) == len(stock.ports)
                assert not used & set(stock.ports)


def _views(talks: list[Talk]) -> list[tuple[str, str]]:
    """What each believes of its own direction and of the other's."""
    return [(talk.media.direction, direction_of(talk.media.remote)) for talk in talks]


def crashes(lab: Lab) -> list[object]:
    """The tracebacks of faults of the border's own."""
    return [
        fields["detail"]
        for _, event, _, fields in lab.border.core.milestones
        if event == "call.crashed"
    ]
