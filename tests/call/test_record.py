"""A call's record as JSON types: what is written to the file is all that is known."""

from __future__ import annotations

import json
from dataclasses import asdict

from sbc.call.cdr import Cause, Cdr, StreamRecord


def test_the_plain_form_is_the_whole_record() -> None:
    heard = StreamRecord("a", "audio", 250, 43_000, -1, 0.25, 3, [0, 101])
    record = Cdr(
        *("s00abc", "pbx", None, "inside", None, "[2001:db8::1]:5060", None, "one@pbx", None),
        *("alice", "+4930", "alice-desk", 1.5, None, 2.25, 3.0, 0.75),
        *(200, Cause.NORMAL, "a", "BYE", 1),
        *(["PCMU"], True, [heard, heard]),
    )
    assert record.to_plain() == asdict(record)
    assert json.loads(record.to_json()) == asdict(record)
