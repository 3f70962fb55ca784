"""What is asked of the DNS, what it says, and what comes of it: plain values.

Names are in lower case and without the dot at their end (`name_of`), so that equal names are equal
texts (RFC 4343).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import NamedTuple, TypeAlias

__all__ = [
    "Address",
    "Answer",
    "Kind",
    "Naptr",
    "Outcome",
    "Place",
    "Question",
    "Record",
    "Srv",
    "name_of",
]


class Kind(IntEnum):
    """Record types, by their numbers in the DNS."""

    A = 1
    AAAA = 28
    SRV = 33
    NAPTR = 35


class Outcome(Enum):
    """What became of a question."""

    FOUND = "found"
    NO_DATA = "no such record"
    """The name is there, records of this kind are not."""
    NO_NAME = "no such name"
    FAILED = "no answer"
    """Silence until the deadline, a server's failure, or nothing that could be understood."""


class Question(NamedTuple):
    """One question to the DNS."""

    name: str
    kind: Kind


class Address(NamedTuple):
    """An A or AAAA record."""

    host: str


class Srv(NamedTuple):
    """RFC 2782. A target of "" is the root: the service is decidedly not there."""

    priority: int
    weight: int
    port: int
    target: str


class Naptr(NamedTuple):
    """RFC 3403 §4.1, flags and services in upper case."""

    order: int
    preference: int
    flags: str
    services: str
    regexp: str
    replacement: str


Record: TypeAlias = Address | Srv | Naptr


@dataclass(slots=True)
class Answer:
    """What a server said about a question."""

    outcome: Outcome
    records: tuple[Record, ...] = ()
    ttl_s: float = 0.0
    """As received, aliases on the way included; of a negative answer, as RFC 2308 §5 counts."""
    server: str = ""
    """Who said it, for operators; of a failure, why there is none."""


class Place(NamedTuple):
    """Where a request may be sent."""

    transport: bytes
    """As in Via, upper case."""
    host: str
    """A numeric address, no brackets."""
    port: int
    name: str = ""
    """What a TLS certificate must show (RFC 5922 §4): the name that was configured, never one
    that the DNS led to. Empty where an address was configured."""


def name_of(text: str) -> str:
    """A name as it is compared."""
    return text.rstrip(".").lower()
