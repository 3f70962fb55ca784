"""What we say of a bad stream is what Wireshark says of the same packets."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from relay.emodel import burst_ratio, codec_named, delay_ms, mos, rating
from sbc.cli.admin_client import AdminClient
from tests.e2e.phone import Phone, sdp
from tests.e2e.sides import INSIDE, OUTSIDE
from tests.support.border import Border, Shape, until
from tests.support.capture import Capture
from tests.support.laboratory import Laboratory
from tests.support.lossy_link import LOSSES, SSRC

pytestmark = [pytest.mark.e2e, pytest.mark.netns, pytest.mark.slow]

PACKETS = 500
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Seen:
    """What tshark says of the stream."""

    packets: int
    lost: int
    mean_jitter_ms: float
    sequences: list[int]
    times_s: list[float]
    """When each of them came."""

    @property
    def spacing_ms(self) -> float:
        """Between two packets: 20 ms, and more where this machine is in a hurry."""
        return 1000 * (self.times_s[-1] - self.times_s[0]) / (self.expected - 1)

    @property
    def max_gap_ms(self) -> float:
        return 1000 * max(later - one for one, later in pairwise(self.times_s))

    @property
    def expected(self) -> int:
        return self.packets + self.lost

    @property
    def mos(self) -> float:
        """By the E-model, from these figures alone."""
        holes = sum(later - one > 1 for one, later in pairwise(self.sequences))
        ratio = burst_ratio(self.lost, holes, self.expected)
        delay = delay_ms(0.0, self.mean_jitter_ms, 20.0)
        pcmu = codec_named("PCMU")
        return mos(pcmu, rating(pcmu, self.lost / self.expected, ratio, delay))


@pytest.fixture(scope="module", params=["python", pytest.param("native", marks=pytest.mark.native)])
def measured(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, recording: Capture
) -> Iterator[tuple[dict[str, Any], Seen, dict[str, Any]]]:
    """The stream in our record, in tshark's eyes, and in `sbc calls` while it was there."""
    folder = tmp_path_factory.mktemp("quality")
    with ExitStack() as stack:
        lab = stack.enter_context(Laboratory())
        shape = Shape(
            outside=lab.us,
            outside_peer=f"{lab.us}:5070",
            outside_sources=("10.213.9.0/24",),
            outside_trunk={"nat": "always", "latch": "any"},
            further={"relay": {"workers": 1, "fast_path": request.param}},
        )
        border = stack.enter_context(Border(folder / "border", shape))
        caller = stack.enter_context(Phone(("127.0.1.10", 5060), INSIDE, (shape.inside, 5060)))
        called = stack.enter_context(Phone((lab.us, 5070), OUTSIDE, (lab.us, 5060)))
        call = caller.invite()
        other = called.answering()
        assert other.invite is not None
        target = other.invite.media()
        other.respond(200, sdp(lab.link, 40_000, OUTSIDE))
        call.establish()
        other.expect("ACK")
        capture = stack.enter_context(Capture(folder / "stream.pcap"))
        jitters = talk(lab, target, border)
        live = border.query("calls", call_of(border)) | {"jitters": jitters}
        capture.stop()
        call.hang_up()
        until(border.cdrs, 5, "the record")
        (record,) = border.cdrs()
        yield record["streams"][1], seen(folder / "stream.pcap", target[1]), live


def talk(lab: Laboratory, target: tuple[str, int], border: Border) -> list[float]:
    """The sender's packets, over the link; what we said of their jitter meanwhile, in ms."""
    call, jitters = call_of(border), []
    link, port = f"{lab.link_far}:40000", f"{target[0]}:{target[1]}"
    carrier = subprocess.Popen(
        [*inside(lab.middle), "carry", "0.0.0.0:40000", port], cwd=ROOT, stdout=subprocess.PIPE
    )
    try:
        assert carrier.stdout is not None
        assert carrier.stdout.readline() == b"ready\n"
        sender = subprocess.Popen([*inside(lab.far), "send", link, str(PACKETS)], cwd=ROOT)
        while sender.poll() is None:
            time.sleep(0.2)
            with AdminClient(border.run_dir) as client:
                jitters.append(client.call(call)["streams"][1]["jitter_ms"])
        assert sender.returncode == 0
        time.sleep(0.2)
    finally:
        carrier.kill()
        carrier.communicate()
    return [one for one in jitters if one > 0.0]


def inside(namespace: str) -> list[str]:
    return ["ip", "netns", "exec", namespace, sys.executable, "-m", "tests.support.lossy_link"]


def call_of(border: Border) -> str:
    (one,) = border.calls()
    return str(one["call"])


def seen(pcap: Path, port: int) -> Seen:
    """The stream as tshark reads the capture."""
    decode = ["tshark", "-r", str(pcap), "-d", f"udp.port=={port},rtp"]
    table = run([*decode, "-q", "-z", "rtp,streams"])
    (line,) = [
        one for one in table.splitlines() if f" {port} 0x{SSRC:08X}".lower() in squeezed(one)
    ]
    found = re.search(r"(\d+) +(-?\d+) \([-\d.]+%\) +(.*)", line)
    assert found is not None, line
    figures = [float(one) for one in re.findall(r"[\d.]+", found[3])]
    fields = ["-Y", f"udp.dstport=={port} && rtp", "-T", "fields"]
    fields += ["-e", "rtp.seq", "-e", "frame.time_epoch"]
    rows = [row.split() for row in run([*decode, *fields]).splitlines()]
    sequences, times_s = [int(row[0]) for row in rows], [float(row[1]) for row in rows]
    return Seen(int(found[1]), int(found[2]), figures[4], sequences, times_s)


def squeezed(line: str) -> str:
    return " ".join(line.split()).lower()


def run(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_loss_is_as_tshark_counts_it(measured) -> None:
    ours, theirs, _ = measured
    lost = sum(count for _, count in LOSSES)
    assert theirs.lost == lost
    assert ours["lost"] == pytest.approx(theirs.lost, rel=0.1)
    assert ours["loss"] == pytest.approx(theirs.lost / theirs.expected, rel=0.1)
    assert ours["packets"] == theirs.packets


def test_jitter_is_as_tshark_measures_it(measured) -> None:
    """It tells the mean of all values, we the present one: ours were looked at all the time."""
    ours, theirs, live = measured
    assert len(live["jitters"]) > 20
    assert fmean(live["jitters"]) == pytest.approx(theirs.mean_jitter_ms, rel=0.1)
    assert min(live["jitters"]) <= ours["jitter_ms"] <= max(live["jitters"]) * 1.1


def test_the_score_is_that_of_tsharks_figures(measured) -> None:
    ours, theirs, _ = measured
    assert ours["mos"] == pytest.approx(theirs.mos, rel=0.1)
    assert 1.0 < ours["mos_worst"] <= ours["mos"] < 4.3


def test_bursts_are_those_of_the_link(measured) -> None:
    ours, theirs, _ = measured
    spans = (6, 2, 8, 2)  # 60..65, 200, 300..307, 390: by RFC 3611 §4.7.2
    mean_ms = theirs.spacing_ms * sum(spans) / len(spans)
    assert ours["burst_ms"] == pytest.approx(mean_ms, rel=0.1)
    assert ours["burst_loss"] == pytest.approx(14 / sum(spans), rel=0.01)
    assert ours["max_gap_ms"] == pytest.approx(theirs.max_gap_ms, rel=0.1)
    assert theirs.max_gap_ms > 75  # four lost, and 10 ms either way


def test_the_figures_are_shown_while_the_call_is_up(measured) -> None:
    ours, _, live = measured
    (shown,) = [one for one in live["streams"] if one["side"] == "b"]
    assert shown["packets"] == ours["packets"]
    assert shown["mos"] == ours["mos"]
