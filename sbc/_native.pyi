"""The compiled extension (`sbc/native/binding`), which may be missing: see `sbc.extension`.

What stands here as an attribute cannot be assigned to, but for the two caches.
"""

from typing import Final, TypeAlias

from sbc.sip.address import NameAddr
from sbc.sip.uri import Uri
from sbc.sip.via import Via

VERSION: Final[str]
PROFILE: Final[str]
INTERFACE: Final[int]

Media: TypeAlias = tuple[int, bytes, tuple[bytes, bytes, bytes]]

def description(data: bytes) -> tuple[bytes, bytes, list[Media]] | None: ...

class Unusual(Exception): ...

class Message:
    body: bytes
    call_id: bytes
    cseq: int
    cseq_method: bytes
    from_tag: bytes
    to_tag: bytes
    via: Via
    _contact: NameAddr | None
    def names(self) -> frozenset[bytes]: ...
    def names_among(self, names: frozenset[bytes]) -> frozenset[bytes]: ...
    def first(self, name: bytes) -> bytes | None: ...
    def every(self, name: bytes) -> list[bytes]: ...
    def raw(self, name: bytes) -> bytes: ...
    def further(self, name: bytes) -> bytes: ...
    def lines(self, names: frozenset[bytes]) -> bytes: ...

class Request(Message):
    method: bytes
    uri: bytes
    _target: Uri | None
    def __init__(self, data: bytes) -> None: ...

class Response(Message):
    status: int
    reason: bytes
    def __init__(self, data: bytes) -> None: ...
