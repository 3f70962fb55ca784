"""One test call: both telephones, the border between them, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field

import trio

from sbc.cli.agent.endpoint import Endpoint
from sbc.cli.agent.media import Address, Direction, MediaEnd, judge
from sbc.cli.agent.telephone import RING_S, Answerer, Caller, CallFailed
from sbc.errors import SbcError, TransportError

__all__ = ["Plan", "Side", "Trial", "run_trial"]

CALLER_TONE_HZ = 440
ANSWERER_TONE_HZ = 620
_GOODBYE_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """A trunk whose peers one telephone plays."""

    trunk: str
    addresses: tuple[Address, ...]
    """The caller takes the first; the called side waits at all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What shall be tried."""

    caller: Side
    called: Side
    border: Address
    """The listener that the caller calls."""
    transport: str
    number: str
    duration_s: float = 3.0
    timeout_s: float = 10.0
    reach: Mapping[Address, Address] = field(default_factory=dict)
    """Advertised SIP addresses → those that are bound (1:1 NAT)."""
    reach_hosts: Mapping[str, str] = field(default_factory=dict)
    """The same for media hosts."""


@dataclass(slots=True)
class Trial:
    """What came of it."""

    caller: str
    called: str
    number: str
    transport: str
    error: str = ""
    """Why there was no whole call; empty if there was."""
    hint: str = ""
    """Where the reason of a refusal is to be found."""
    arrived_as: str = ""
    """The number as it reached the called side."""
    setup_ms: float | None = None
    """INVITE to 200, the 100 ms of ringing included."""
    post_dial_ms: float | None = None
    """INVITE to 180."""
    invite_ms: float | None = None
    """INVITE at the caller to INVITE at the called side."""
    released: bool = False
    """The caller's BYE reached the called side."""
    directions: list[Direction] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Two-way audio, and a clean end."""
        return (
            not self.error
            and self.released
            and len(self.directions) == 2
            and all(direction.good for direction in self.directions)
        )

    @property
    def verdict(self) -> str:
        """In a few words."""
        if self.error:
            return "no whole call" if self.directions else "no call"
        heard = [one for one in self.directions if one.good]
        if len(heard) == 2:
            return "two-way audio" if self.released else "two-way audio, but the BYE was lost"
        if heard:
            return f"one-way audio: only {heard[0].listener} hears {heard[0].speaker}"
        return "no audio"

    def to_lines(self) -> list[str]:
        """This for people; the verdict is the last line."""
        lines = [f"{self.caller} calls {self.called}, {self.number} over {self.transport}"]
        for name, figure, meaning in (
            ("INVITE passed on", self.invite_ms, "caller to called"),
            ("post-dial delay", self.post_dial_ms, "INVITE to 180"),
            ("set-up", self.setup_ms, f"INVITE to 200, {RING_S * 1000:.0f} ms of it ringing"),
        ):
            if figure is not None:
                lines.append(f"  {name:<16} {figure:8.1f} ms   {meaning}")
        lines += [f"  {direction}" for direction in self.directions]
        if self.error:
            lines.append(f"  {self.error}")
        if self.hint:
            lines.append(f"  {self.hint}")
        return [*lines, self.verdict]

    def to_plain(self) -> dict[str, object]:
        """This as JSON types."""
        plain = asdict(self)
        for direction, one in zip(plain["directions"], self.directions, strict=True):
            direction["tone_found"] = one.good
        return {"good": self.good, "verdict": self.verdict, **plain}


async def run_trial(plan: Plan, say: Callable[[str], None]) -> Trial:
    """Place the call and measure it. What goes wrong in it is in the result.

    Args:
        say: shown to the operator while the call goes on.

    Raises:
        TransportError: a telephone's address is in use or not here; nothing was sent then.
    """
    trial = Trial(plan.caller.trunk, plan.called.trunk, plan.number, plan.transport)

    def reach(address: Address) -> Address:
        return plan.reach.get(address, address)

    def reach_media(address: Address) -> Address:
        return plan.reach_hosts.get(address[0], address[0]), address[1]

    host, port = plan.caller.addresses[0]
    caller = Caller(
        Endpoint(plan.caller.trunk, host, port, reach),
        MediaEnd(host, CALLER_TONE_HZ),
        say,
        reach_media,
    )
    answerers = [
        Answerer(
            Endpoint(plan.called.trunk, host, port, reach),
            MediaEnd(host, ANSWERER_TONE_HZ),
            say,
            reach_media,
            plan.duration_s,
        )
        for host, port in plan.called.addresses
    ]
    telephones: list[Caller | Answerer] = [caller, *answerers]
    try:
        for telephone in telephones:
            await telephone.endpoint.open()
            await telephone.media.open()
        try:
            await _call(plan, caller, answerers)
        except* (TransportError, CallFailed) as group:
            first = _first(group)
            trial.error = str(first)
            if isinstance(first, CallFailed) and first.status is not None:
                trial.hint = _hint(first.status, plan.caller.trunk)
    finally:
        for telephone in telephones:
            telephone.endpoint.close()
            telephone.media.close()
    _measure(trial, caller, answerers)
    return trial


async def _call(plan: Plan, caller: Caller, answerers: list[Answerer]) -> None:
    async with trio.open_nursery() as nursery:
        for telephone in (caller, *answerers):
            await nursery.start(telephone.endpoint.run)
            nursery.start_soon(telephone.run)
            nursery.start_soon(telephone.media.listen)
        await caller.call(plan.number, plan.border, plan.transport, plan.duration_s, plan.timeout_s)
        with trio.move_on_after(_GOODBYE_S):
            for answerer in _called(answerers):
                await answerer.hung_up.wait()
        nursery.cancel_scope.cancel()


def _measure(trial: Trial, caller: Caller, answerers: list[Answerer]) -> None:
    times = caller.milestones
    trial.setup_ms = _between_ms(times.invited_s, times.answered_s)
    trial.post_dial_ms = _between_ms(times.invited_s, times.rang_s)
    for answerer in _called(answerers):
        trial.arrived_as = answerer.number
        trial.invite_ms = _between_ms(times.invited_s, answerer.milestones.invited_s)
        trial.released = answerer.hung_up.is_set()
        if answerer.failure is not None:
            trial.error = str(answerer.failure)
        if times.answered_s is not None:
            a, b = trial.caller, trial.called
            trial.directions = [
                judge(a, caller.media, b, answerer.media),
                judge(b, answerer.media, a, caller.media),
            ]
        return
    if not trial.error:
        trial.error = f"the call was answered, but not by trunk {trial.called}: another route?"


def _hint(status: int, trunk: str) -> str:
    """Where an operator finds out why the border has answered this to a call of a trunk."""
    if status in (401, 407):
        return f"trunk {trunk} has to know a password (trunks.{trunk}.auth): the test knows none"
    where = "why: in the log of `sbc run` and in the call's record (cdr.path)"
    if status == 403:
        where += f"; an unknown caller leaves no record (trunks.{trunk}.sources, identify)"
    return where


def _called(answerers: list[Answerer]) -> list[Answerer]:
    return [one for one in answerers if one.milestones.invited_s is not None][:1]


def _between_ms(start_s: float | None, end_s: float | None) -> float | None:
    return None if start_s is None or end_s is None else round((end_s - start_s) * 1000, 2)


def _first(group: BaseExceptionGroup[SbcError]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
