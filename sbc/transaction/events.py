"""What goes into a transaction, and what comes out of it.

Events are messages, timers, an answer of the transaction user and plain `Input` members. Each is
sorted into a `Key`, by which a machine looks its table up.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias, final

from sbc.transaction.timers import Timer, TimerValues

__all__ = ["Action", "Arm", "Arms", "Input", "Key", "Signal", "State"]


class State(IntEnum):
    """The states of all four machines; IDLE is the RFC's arrow into the first one."""

    IDLE = 0
    CALLING = 1
    TRYING = 2
    PROCEEDING = 3
    COMPLETED = 4
    CONFIRMED = 5
    ACCEPTED = 6
    TERMINATED = 7


class Input(IntEnum):
    """What an event is to a table; the numbers are disjoint from those of `Timer`."""

    START = 32  # an event by itself: the user has a request to send
    CANCEL = 33  # an event by itself: the user gives the INVITE up
    TRANSPORT_FAILED = 34  # an event by itself: what was sent has not left, or not arrived
    PROVISIONAL = 40  # a response 1xx
    SUCCESS = 41  # a response 2xx
    FAILURE = 42  # a response 3xx to 6xx
    REQUEST = 50  # a request: the first, and then each retransmission
    ACK = 51
    RESPOND_PROVISIONAL = 60  # the user's answer, 1xx
    RESPOND_SUCCESS = 61
    RESPOND_FAILURE = 62
    RESPOND_UNLAWFUL = 63  # one that RFC 4320 forbids


@final
@dataclass(slots=True)
class Arm:
    """Hand `timer` back after `duration_s`; 0: at once (RFC 3261 §17, reliable transports)."""

    timer: Timer
    duration_s: float


class Signal(IntEnum):
    """Actions without a value. Compare with `is`."""

    ENDED = 1  # unlink the transaction: nothing may be left of it
    IGNORED = 2  # the pair is not in the table: count it
    SEND_CANCEL = 3  # start a CANCEL transaction for this INVITE (RFC 3261 §9.1)
    TIMED_OUT = 4  # tell the user: no answer, or no ACK, in 64*T1
    TRANSPORT_LOST = 5  # tell the user: what it wanted to say could not be carried
    PASS_UP = 6  # the user must see the message


class Arms:
    """The Arm actions of fixed duration, made once for all machines that share `values`."""

    __slots__ = (*"abdefghijklm", "cancelled", "values")

    def __init__(self, values: TimerValues) -> None:
        self.values = values
        self.a = Arm(Timer.A, values.t1_s)
        self.b = Arm(Timer.B, values.give_up_s)
        self.d = Arm(Timer.D, values.give_up_s)
        self.e = Arm(Timer.E, values.t1_s)
        self.f = Arm(Timer.F, values.give_up_s)
        self.g = Arm(Timer.G, values.t1_s)
        self.h = Arm(Timer.H, values.give_up_s)
        self.i = Arm(Timer.I, values.t4_s)
        self.j = Arm(Timer.J, values.give_up_s)
        self.k = Arm(Timer.K, values.t4_s)
        self.l = Arm(Timer.L, values.give_up_s)
        self.m = Arm(Timer.M, values.give_up_s)
        self.cancelled = Arm(Timer.CANCELLED, values.give_up_s)


Key: TypeAlias = Timer | Input
Action: TypeAlias = bytes | Arm | Signal
"""Bytes are to be transmitted on the transaction's hop."""
