"""What a call costs a worker: memory while it is held, CPU to set it up and end it.

`python -m tests.relay.measure_worker [calls] [python | native] [srtp]` (default: as many calls as
descriptors allow, the best fast path, RTP on both sides; `srtp`: on both, of other keys). Slopes,
so that what the process needs in any case is not in them. Not a test: figures belong in a report.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from relay.control.client import Client
from relay.control.messages import End, Method, Plan, Srtp, Stream
from relay.rtp.srtp import new_session
from relay.settings import FAST_PATHS
from tests.relay.rig import Peer, rtp
from tests.relay.srtp_tools import sealed
from tests.relay.supervisor import OneWorker, raise_files

_WITH_MEDIA = 400


def say(what: object) -> None:
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


SUITE = "AES_CM_128_HMAC_SHA1_80"
WORDS = sys.argv[1:]


def key(number: int) -> Srtp:
    return Srtp(SUITE, number.to_bytes(30, "big"))


def plan(client: Client, number: int, a: tuple[str, int], b: tuple[str, int]) -> Plan:
    """A plan as signalling makes it."""
    usual = {"expects": True, "clock_rates": {0: 8000, 8: 8000, 101: 8000}}
    keys: list[dict[str, Srtp]] = [{}, {}]
    if "srtp" in WORDS:
        first = 4 * number
        keys = [{"srtp_in": key(n), "srtp_out": key(n + 1)} for n in (first, first + 2)]
    return Plan(
        f"s01{number:016d}abcdef/a/0",
        1,
        [
            Stream(
                0,
                "audio",
                End("inside", *a, ("127.0.6.1", 20000 + number % 20000), **usual, **keys[0]),
                End("outside", *b, ("127.0.6.2", 20000 + number % 20000), **usual, **keys[1]),
            )
        ],
    )


def lease_all(client: Client, realm: str, count: int) -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []
    while len(found) < count:
        found += client.lease(realm, min(1024, count - len(found)))
    return found


def main() -> None:
    raise_files()
    calls = next((int(word) for word in WORDS if word.isdigit()), 4500)
    fast_path = next((word for word in WORDS if word in FAST_PATHS), "auto")
    blocks = -(-calls // 32)
    with tempfile.TemporaryDirectory() as folder:
        worker = OneWorker(Path(folder), pairs=32, blocks=blocks, fast_path=fast_path)
        with worker.client() as client:
            a, b = lease_all(client, "inside", calls), lease_all(client, "outside", calls)
            _set_up(worker, client, a, b)
            say(client.stats())
        say(worker.close())


def _set_up(
    worker: OneWorker, client: Client, a: list[tuple[str, int]], b: list[tuple[str, int]]
) -> None:
    calls = len(a)
    plans = [plan(client, number, a[number], b[number]) for number in range(calls)]
    rss = [worker.rss_kb()]
    used = worker.cpu_s()
    for number, one in enumerate(plans):
        client.send(Method.APPLY, one.to_body())
        if number % 50 == 49:
            client.ping()
        if number + 1 == calls // 4:
            client.ping()
            rss.append(worker.rss_kb())
    client.ping()
    applied = worker.cpu_s()
    rss.append(worker.rss_kb())
    slope = (rss[2] - rss[1]) / (calls - calls // 4)
    say(f"{calls} calls: {slope:.2f} kB a held call; RSS {rss} kB")
    _media(worker, client, a, b)
    longest = client.stats()
    removed = _remove(worker, client, [one.call for one in plans])
    each = 1e6 / calls
    say(
        f"APPLY {(applied - used) * each:.0f} µs, REMOVE {removed * each:.0f} µs, "
        f"together {(applied - used + removed) * each:.0f} µs CPU; longest pass "
        f"{longest.longest_pass_cpu_ms:.1f} ms CPU, {longest.longest_pass_ms:.1f} ms wall"
    )


def _media(
    worker: OneWorker, client: Client, a: list[tuple[str, int]], b: list[tuple[str, int]]
) -> None:
    """What media adds to a held call: connected sockets, counters, a policer."""
    count = min(_WITH_MEDIA, len(a))
    peers = []
    for number in range(count):
        ends = Peer("127.0.6.1"), Peer("127.0.6.2")
        peers.append(ends)
        one = plan(client, number, a[number], b[number])
        one.revision = 2
        one.streams[0].a.remote, one.streams[0].b.remote = ends[0].address, ends[1].address
        client.apply(one)
    before = worker.rss_kb()
    used = worker.cpu_s()
    speaking = [
        [new_session(SUITE, key(4 * number + 2 * side).key) for side in (0, 1)]
        for number in range(count if "srtp" in WORDS else 0)
    ]
    for sequence in range(20):
        for number, (left, right) in enumerate(peers):
            for side, (one, to) in enumerate(((left, a[number]), (right, b[number]))):
                packet = rtp(sequence)
                one.send(sealed(speaking[number][side], packet) if speaking else packet, to)
        client.ping()
    spent = worker.cpu_s() - used
    packets = client.stats().counters["punts"]
    say(
        f"media adds {(worker.rss_kb() - before) / count:.2f} kB a call; "
        f"{packets} latches and their packets took {spent * 1000:.0f} ms CPU"
    )
    for ends in peers:
        for peer in ends:
            peer.close()


def _remove(worker: OneWorker, client: Client, calls: list[str]) -> float:
    """CPU seconds."""
    used = worker.cpu_s()
    for number, call in enumerate(calls):
        client.send(Method.REMOVE, call)
        if number % 50 == 49:
            client.ping()
    client.ping()
    return worker.cpu_s() - used


if __name__ == "__main__":
    main()
