"""Microseconds to read, describe and rewrite one session description.

    python benchmarks/bench_sdp.py [--json]

The phone's description has 236 bytes. "together" is all three for a description whose lines have
been seen before, as on a border at work; "new section" the same when its c=, a=rtcp or another line
differs from every call before, "unknown lines" when every single line is seen for the first time.
"""

from __future__ import annotations

import json
import sys
import timeit
from collections.abc import Callable
from pathlib import Path

from sbc.sdp.facts import describe
from sbc.sdp.lines import MEANINGS
from sbc.sdp.offer_answer import Negotiation
from sbc.sdp.parser import parse
from sbc.sdp.rewrite import Anchor, content, whole
from sbc.sdp.sections import SECTIONS

VECTORS = Path(__file__).parents[1] / "tests" / "vectors" / "sdp"
HOST = "192.0.2.1"
ROUNDS, CALLS = 20, 500


def microseconds(work: Callable[[], object]) -> float:
    """The best of many rounds: the machine's other work is not ours."""
    work()
    return min(timeit.repeat(work, number=CALLS, repeat=ROUNDS)) / CALLS * 1e6


def measure(name: str) -> dict[str, float]:
    """All steps for one vector, in microseconds."""
    data = (VECTORS / f"{name}.sdp").read_bytes()
    session = parse(data)
    anchors = [Anchor(HOST, 40_000 + 2 * index) for index in range(len(session.media))]

    def rewrite() -> None:
        whole(content(session, anchors, HOST), 4_611_731_400_430_051_336, 1, HOST)

    def together() -> None:
        parse(data)
        describe(session)
        rewrite()

    def new_section() -> None:
        SECTIONS.clear()
        together()

    def unknown_lines() -> None:
        MEANINGS.clear()
        new_section()

    def exchange() -> None:
        leg = Negotiation(1, HOST)
        leg.receive_offer(session)
        leg.send_answer(session, anchors)

    return {
        "bytes": len(data),
        "parse": microseconds(lambda: parse(data)),
        "describe": microseconds(lambda: describe(session)),
        "rewrite": microseconds(rewrite),
        "together": microseconds(together),
        "exchange": microseconds(exchange),
        "new section": microseconds(new_section),
        "unknown lines": microseconds(unknown_lines),
    }


def main() -> None:
    """Print a table, or JSON."""
    results = {
        name: measure(name) for name in ("g711_phone", "freeswitch", "amr_ims", "video", "browser")
    }
    if "--json" in sys.argv:
        print(json.dumps(results, indent=1))
        return
    columns = list(results["g711_phone"])
    print(f"{'us':12}" + "".join(f"{column:>15}" for column in columns))
    for name, row in results.items():
        print(f"{name:12}" + "".join(f"{row[column]:15.1f}" for column in columns))


if __name__ == "__main__":
    main()
