"""A call's record as JSON: what is written to the file is all that is known."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from relay.control.messages import CallStats, DirectionStats, StreamStats
from sbc.call.cdr import Cause, Cdr, StreamRecord
from tests.call.lab import CARRIER, Lab

HARD = 'é"\\\n\x00\x7f\U0001f600'
"""What must not end a JSON text early, nor tear a line."""


def record(streams: list[StreamRecord], **more: object) -> Cdr:
    made = Cdr(
        *("s00abc", "pbx", None, "inside", None, "[2001:db8::1]:5060", None, "one@pbx", None),
        *("alice", "+4930", "alice-desk", 1.5, None, 2.25, 3.0, 0.75),
        *(200, Cause.NORMAL, "a", "BYE", 1),
        *(["PCMU"], True, streams),
    )
    for name, value in more.items():
        setattr(made, name, value)
    return made


def test_the_json_is_the_whole_record() -> None:
    heard = StreamRecord("a", "audio", 250, 43_000, -1, 0.25, 3, [0, 101])
    bare = record([heard, heard])
    assert json.loads(bare.to_json()) == asdict(bare)
    assert json.loads(heard.to_json()) == asdict(heard)


def test_nothing_that_a_record_may_hold_is_left_out_or_breaks_it() -> None:
    heard = StreamRecord(
        *("b", "video", 250, 43_000, -1, 0.25, 3, []),
        *(0.0125, 20.5, 0.5, 1000.5, 40.5, 12.5, 93.5, 4.25, 1.75),
        dropped_by={"srtp_auth": 2, HARD: 1},
    )
    full = record(
        [heard],
        **dict.fromkeys(("trunk_b", "realm_b", "target", "call_id_b", "from_user"), HARD),
        **dict.fromkeys(("reason", "transferred_to", "transferred_from"), HARD),
        rang_s=1.625,
        media_complete=False,
        codecs=["PCMU", HARD],
        srtp_a=["AEAD_AES_128_GCM"],
        srtp_b=["none"],
        transferred_by="b",
        transfer_status=200,
    )
    text = full.to_json()
    assert json.loads(text) == asdict(full)
    assert b"\n" not in text


def test_what_was_dropped_is_told_by_its_reason() -> None:
    lab = Lab()
    _, invite = lab.connected()
    lab.give(lab.in_dialog(b"BYE", invite, 1, source=CARRIER), CARRIER)
    lab.take()
    ((_, key),) = lab.removed
    heard = DirectionStats(packets=50, octets=8600, dropped={"policed": 7, "srtp_auth": 2})
    stats = CallStats(key, 1, [StreamStats(0, "audio", heard, DirectionStats())])
    lab.border.relay_removed(key, stats, lab.now)
    from_a, from_b = json.loads(lab.record.to_json())["streams"]
    assert (from_a["dropped"], from_a["dropped_by"]) == (9, {"policed": 7, "srtp_auth": 2})
    assert (from_b["dropped"], from_b["dropped_by"]) == (0, {})


@pytest.mark.parametrize(
    ("heard", "said"),
    [
        (
            DirectionStats(dropped={"wrong_source": 490, "srtp_auth": 3}),
            "wrong_source:490,srtp_auth:3",
        ),
        (DirectionStats(dropped={"wrong_source": 49}), None),
        (DirectionStats(packets=1, dropped={"wrong_source": 490}), None),
    ],
    ids=["unheard", "a few", "heard"],
)
def test_a_side_that_was_not_heard_is_in_the_log(heard: DirectionStats, said: str | None) -> None:
    lab = Lab()
    _, invite = lab.connected()
    lab.give(lab.in_dialog(b"BYE", invite, 1, source=CARRIER), CARRIER)
    ((_, key),) = lab.removed
    stats = CallStats(key, 1, [StreamStats(0, "audio", DirectionStats(packets=500), heard)])
    lab.border.relay_removed(key, stats, lab.now)
    lines = [one for one in lab.border.core.milestones if one[1] == "media.unheard"]
    assert [fields for _, _, _, fields in lines] == (
        [{"side": "b", "kind": "audio", "dropped": said}] if said else []
    )


def test_no_number_says_more_than_can_be_measured() -> None:
    heard = StreamRecord("a", "audio", 3, 516, 1, 1 / 3, 0, [0], 1 / 3, mos=13 / 3, rtt_ms=2 / 3)
    written = json.loads(record([heard], answered_s=5 / 3).to_json())
    stream = written["streams"][0]
    assert written["answered_s"] == 1.667
    assert [stream[name] for name in ("jitter_ms", "loss", "mos", "rtt_ms")] == [
        *(0.33, 0.3333),
        *(4.33, 0.7),
    ]
