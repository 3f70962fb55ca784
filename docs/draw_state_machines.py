"""Draws `docs/state-machines.md` from the tables that the machines run on.

`python docs/draw_state_machines.py` writes the page; a test compares it with what this draws.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from types import ModuleType
from typing import Any

from relay import latch
from relay.latch import Belief, Latch, Outcome, Proof, Rules
from sbc.call import states as call
from sbc.call.in_dialog import passage_states as passage
from sbc.call.legs import reliable, session_timer
from sbc.call.outside import pair_states as pair
from sbc.call.transfer import states as transfer
from sbc.sdp import offer_answer
from sbc.transaction import invite_client, invite_server, non_invite_client, non_invite_server
from sbc.transaction.timers import Timer

PAGE = Path(__file__).parent / "state-machines.md"

_INTRODUCTION = """\
# State machines

Drawn by `docs/draw_state_machines.py` from the tables in the code: do not edit this page. A table
is the machine: no state changes anywhere else. A pair of state and input that is not in a table is
absorbed and, but for a stale timer, counted. On an arrow stands what happened, and behind the slash
what is done about it.
"""

_WORDS = {
    "start": "our request",
    "respond provisional": "our 1xx",
    "respond success": "our 2xx",
    "respond failure": "our 3xx to 6xx",
    "provisional": "1xx",
    "success": "2xx",
    "failure": "3xx to 6xx",
    "request": "the request",
}
"""The transactions' inputs as their RFC names them."""
_CALL_WORDS = {
    "provisional": "18x",
    "success": "2xx",
    "cancel": "CANCEL",
    "ack": "ACK",
    "no ack": "no ACK",
    "bye a": "BYE from A",
    "bye b": "BYE from B",
    "bye to a": "BYE to A",
    "bye to b": "BYE to B",
    "bye to both": "BYE to both",
    "end": "the border ends it",
}
"""A call's inputs and effects."""
_PAIR_WORDS = {
    "accepted": "2xx to SUBSCRIBE",
    "left": "2xx to SUBSCRIBE, Expires: 0",
    "notify": "NOTIFY",
    "last": "NOTIFY, terminated",
    "gone": "481 or silence",
    "expired": "the time is over",
    "watch": "wait as long as agreed",
    "linger": "wait 64 T1",
    "close": "forget both dialogs",
    "tell": "NOTIFY terminated to the subscriber",
}
"""A subscription's inputs and effects."""
_MENDING_WORDS = {
    "send": "a response to send",
    "acked": "PRACK, nothing waits",
    "acked more": "PRACK, more waits",
    "retransmit": "timer",
    "give up": "64 T1 without PRACK",
    "stop": "final response",
    "begin": "send it",
    "append": "queue it",
    "rest": "",
    "go on": "send the next",
    "again": "send it again",
    "agreed ours": "2xx, we refresh",
    "agreed theirs": "2xx, the peer refreshes",
    "agreed none": "2xx without a timer",
    "sent": "our refresh leaves",
    "refused": "it is refused",
}
"""Inputs and effects of what mends a leg."""


@dataclass(frozen=True, slots=True)
class Arrow:
    """One row of a table."""

    source: str
    event: str
    effect: str
    target: str


@dataclass(frozen=True, slots=True)
class Machine:
    """What one section shows."""

    title: str
    where: str
    source: ModuleType
    arrows: tuple[Arrow, ...]


def page() -> str:
    """The whole page."""
    parts = [_INTRODUCTION, *(_section(machine) for machine in machines()), _latch()]
    return "\n".join(parts)


def machines() -> Iterator[Machine]:
    """Every table of the code, in the order in which a call meets them."""
    yield Machine("Call", "sbc/call/states.py", call, tuple(_call_arrows(call.TABLE)))
    where = "sbc/call/in_dialog/passage_states.py"
    yield Machine("Request within a call", where, passage, tuple(_call_arrows(passage.TABLE)))
    where = "sbc/call/transfer/states.py"
    yield Machine("Transfer", where, transfer, tuple(_call_arrows(transfer.TABLE)))
    arrows = tuple(_pair_arrows(pair.TABLE))
    yield Machine("Subscription", "sbc/call/outside/pair_states.py", pair, arrows)
    for title, module in (
        ("INVITE server transaction", invite_server),
        ("INVITE client transaction", invite_client),
        ("Non-INVITE server transaction", non_invite_server),
        ("Non-INVITE client transaction", non_invite_client),
    ):
        where = f"sbc/transaction/{module.__name__.rpartition('.')[2]}.py"
        yield Machine(title, where, module, tuple(_transaction_arrows(module._TABLE)))
    arrows = tuple(
        Arrow(state.name, _text(step), "", after.name)
        for (state, step), after in offer_answer._TABLE.items()
    )
    yield Machine("Offer and answer", "sbc/sdp/offer_answer.py", offer_answer, arrows)
    arrows = tuple(
        Arrow(state.name, _MENDING_WORDS.get(_text(event), _text(event)), done, after.name)
        for (state, event), (effect, after) in reliable._TABLE.items()
        for done in [_MENDING_WORDS.get(_called(effect), _called(effect))]
    )
    yield Machine("Reliable provisional responses", "sbc/call/legs/reliable.py", reliable, arrows)
    arrows = tuple(
        Arrow(state.name, _MENDING_WORDS.get(_text(event), _text(event)), "", after.name)
        for (state, event), after in session_timer._TABLE.items()
    )
    yield Machine("Session timer", "sbc/call/legs/session_timer.py", session_timer, arrows)


def _call_arrows(table: Mapping[Any, Any]) -> Iterator[Arrow]:
    for (state, event), (effect, after) in table.items():
        nothing = _text(effect) == "nothing"
        done = "" if nothing else _CALL_WORDS.get(_text(effect), _text(effect))
        yield Arrow(state.name, _CALL_WORDS.get(_text(event), _text(event)), done, after.name)


def _pair_arrows(table: Mapping[Any, Any]) -> Iterator[Arrow]:
    for (state, event), (effect, after) in table.items():
        done = "" if _text(effect) == "nothing" else _PAIR_WORDS[_text(effect)]
        yield Arrow(state.name, _PAIR_WORDS[_text(event)], done, after.name)


def _transaction_arrows(table: Mapping[Any, Any]) -> Iterator[Arrow]:
    for (state, key), (effect, after) in table.items():
        event = f"timer {key.name}" if isinstance(key, Timer) else _text(key)
        event = event.replace("timer CANCELLED", "64 T1 after CANCEL")
        event = {"ack": "ACK", "cancel": "CANCEL wanted"}.get(event, event)
        yield Arrow(
            "[*]" if state.name == "IDLE" else state.name,
            _WORDS.get(event, event),
            _called(effect),
            after.name,
        )


def _called(effect: Callable[..., object]) -> str:
    return effect.__name__.strip("_").replace("_", " ")


def _text(member: IntEnum) -> str:
    return member.name.lower().replace("_", " ")


def _section(machine: Machine) -> str:
    lines = [f"## {machine.title}", "", _theory(machine.source), "", f"Table: `{machine.where}`."]
    lines += ["", "```mermaid", "stateDiagram-v2", *_drawn(machine.arrows), "```", ""]
    lines += ["| in state | on | does | then |", "|---|---|---|---|"]
    lines += [f"| {a.source} | {a.event} | {a.effect} | {a.target} |" for a in machine.arrows]
    return "\n".join([*lines, ""]).replace("| [*] |", "| (start) |")


def _theory(source: ModuleType) -> str:
    """The first line of the machine's module, which says what it is."""
    return (inspect.getdoc(source) or "").partition("\n\n")[0].replace("\n", " ")


def _drawn(arrows: Iterable[Arrow]) -> Iterator[str]:
    """Arrows of one pair of states with one effect are one line."""
    merged: dict[tuple[str, str, str], list[str]] = {}
    for arrow in arrows:
        merged.setdefault((arrow.source, arrow.target, arrow.effect), []).append(arrow.event)
    sources = {arrow.source for arrow in arrows}
    if "[*]" not in sources:
        yield f"    [*] --> {next(iter(arrows)).source}"
    for (source, target, effect), events in merged.items():
        done = f" / {effect}" if effect else ""
        yield f"    {source} --> {target}: {', '.join(events)}{done}"
    for end in sorted({arrow.target for arrow in arrows} - sources | {"TERMINATED"} & sources):
        yield f"    {end} --> [*]"


# The latch has no table: its rules compare beliefs. So it is asked, in each state.

_SIGNALLED = ("192.0.2.1", 4000)
_SOURCES = {
    Belief.SIGNALLED: _SIGNALLED,
    Belief.SIGNALLED_HOST: ("192.0.2.1", 5000),
    Belief.SIP_SOURCE: ("192.0.2.2", 4000),
    Belief.ANY: ("192.0.2.3", 4000),
}
_RULES = Rules(_SIGNALLED, nat=True, latch_any=True, sip_source="192.0.2.2")
_WINDOW_S = 1.0


def _latch() -> str:
    lines = ["## Latch", "", _theory(latch), ""]
    lines += ["Rules: `relay/latch.py`; the rows are its own answers, behind NAT with `latch: any`"]
    lines += ["(without it, the last belief is refused like a stranger's packet).", ""]
    lines += ["```mermaid", "stateDiagram-v2", *_drawn(list(_latch_arrows())), "```", ""]
    lines += ["| a packet from | OPEN | LEARNING, a worse source so far | LEARNING, time over |"]
    lines += ["|---|---|---|---|"]
    for belief, source in _SOURCES.items():
        cells = [
            _answer(Latch(_RULES, _WINDOW_S), source, 0.0),
            _answer(_learning(), source, 0.5) if belief is not Belief.ANY else "accepted: LEARNING",
            _answer(_learning(), source, _WINDOW_S),
        ]
        lines.append(f"| {_text(belief)} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def _latch_arrows() -> Iterator[Arrow]:
    for belief, source in _SOURCES.items():
        one = Latch(_RULES, _WINDOW_S)
        outcome = one.consider(source, 0.0)
        yield Arrow("OPEN", _text(belief), _text(outcome), one.state.name)
        one = _learning()
        outcome = one.consider(source, 0.5)
        if outcome is not Outcome.ACCEPTED:
            yield Arrow("LEARNING", _text(belief), _text(outcome), one.state.name)
    one = _learning()
    one.consider(_SOURCES[Belief.ANY], _WINDOW_S)
    yield Arrow("LEARNING", "window over", "", one.state.name)
    for state in ("LEARNING", "LOCKED"):
        one = _learning()
        if state == "LOCKED":
            one.consider(_SIGNALLED, 0.5)
        one.signal(Rules(("192.0.2.9", 4000), nat=True))
        yield Arrow(state, "another address, port or key is signalled", "", one.state.name)
    one = Latch(_RULES, _WINDOW_S)
    one.consider(_SIGNALLED, 0.0)
    outcome = one.consider(_SOURCES[Belief.ANY], 5.0, Proof.NEWEST)
    yield Arrow("LOCKED", "newer SRTP of another source", _text(outcome), one.state.name)


def _learning() -> Latch:
    """A latch that has believed the worst source of all."""
    one = Latch(_RULES, _WINDOW_S)
    one.consider(_SOURCES[Belief.ANY], 0.0)
    return one


def _answer(one: Latch, source: tuple[str, int], now: float) -> str:
    return f"{_text(one.consider(source, now))}: {one.state.name}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.exit(0)
