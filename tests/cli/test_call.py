"""`sbc call`: the telephones against each other, and what is said when there is no call."""

from __future__ import annotations

import json
import random
import socket
from pathlib import Path

import pytest
from click.testing import CliRunner

from sbc.cli.agent.endpoint import Endpoint
from sbc.cli.agent.g711 import decode, encode, has_tone, tone
from sbc.cli.agent.media import Heard, MediaEnd, judge
from sbc.cli.agent.telephone import Answerer
from sbc.cli.agent.trial import Plan, Side, run_trial
from sbc.cli.app import app
from sbc.errors import TransportError

CALLER, CALLED = "127.0.31.10", "127.0.31.20"
FILE = """
realms:
  inside:
    listen: "udp:127.0.31.1:5060"
    media: {{ address: 127.0.31.1, ports: 12000-12099 }}
  outside:
    listen: ["udp:127.0.31.2:5060", "tcp:127.0.31.2:5060"]
    media: {{ address: 127.0.31.2, ports: 12200-12299 }}
trunks:
  pbx:     {{ realm: inside,  peers: ["127.0.31.10:5060"] }}
  carrier: {{ realm: outside, peers: ["127.0.31.20:5060"] }}
routes:
  - {{ from: pbx, to: carrier, number: "00" }}
  - {{ from: carrier, to: pbx }}
run_dir: {0}/run
state_dir: {0}/state
"""


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "sbc.yaml"
    path.write_text(FILE.format(tmp_path))
    return str(path)


def plan(transport: str, caller: str = CALLER, called: str = CALLED, duration_s=0.2) -> Plan:
    port = 5060
    return Plan(
        caller=Side(trunk="pbx", addresses=((caller, port + (caller == called)),)),
        called=Side(trunk="carrier", addresses=((called, port),)),
        border=(called, port),
        transport=transport,
        number="100",
        duration_s=duration_s,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("transport", "caller", "called"),
    [("udp", CALLER, CALLED), ("tcp", CALLER, CALLED), ("udp", "::1", "::1")],
)
async def test_two_telephones_hear_each_other_without_a_border(transport, caller, called):
    said = []
    trial = await run_trial(plan(transport, caller, called), said.append)
    assert trial.verdict == "two-way audio"
    assert trial.good
    assert trial.arrived_as == "100"
    assert [(one.speaker, one.sent, one.lost, one.with_tone) for one in trial.directions] == [
        ("pbx", 10, 0, 10),
        ("carrier", 10, 0, 10),
    ]
    assert 0 < trial.post_dial_ms < trial.setup_ms
    assert said[0].startswith(f"INVITE sent to {transport}:")


@pytest.mark.slow
async def test_a_lost_answer_is_sent_again(monkeypatch):
    """The network swallows the first datagram of each kind."""
    seen = set()
    real = Endpoint._send_datagram

    async def lossy(self, sock, address, data):
        start = data.split(b"\r\n")[0]
        if data[:1].isalpha() and start not in seen and b"BYE" not in start:
            seen.add(start)
        else:
            await real(self, sock, address, data)

    monkeypatch.setattr(Endpoint, "_send_datagram", lossy)
    trial = await run_trial(plan("udp", duration_s=0.8), lambda _: None)
    assert trial.good, trial
    assert len(seen) >= 4


async def test_a_taken_address_is_one_line_and_nothing_is_sent():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as real_peer:
        real_peer.bind((CALLED, 5060))
        with pytest.raises(TransportError, match=r"^trunk carrier: udp:127\.0\.31\.20:5060 is in"):
            await run_trial(plan("udp"), lambda _: None)


async def test_a_peer_on_another_machine_is_one_line():
    with pytest.raises(TransportError, match=r"192\.0\.2\.9 is not an address of this machine"):
        await run_trial(plan("udp", called="192.0.2.9"), lambda _: None)


def run(*arguments: str):
    return CliRunner().invoke(app, ["call", *arguments])


@pytest.mark.parametrize("tcp", [False, True])
def test_where_nobody_listens_the_verdict_says_so(config, tcp):
    result = run("--config", config, "--json", "--from", "carrier", *(["--tcp"] if tcp else []))
    assert result.exit_code == 1
    answer = json.loads(result.stdout)
    assert answer["verdict"] == "no call"
    name = f"{'tcp' if tcp else 'udp'}:127.0.31.2:5060"
    assert answer["error"] == f"nobody listens at {name}: start the border (sbc run)"


def test_the_number_fits_the_route_that_is_tried(config):
    assert json.loads(run("--config", config, "--json").stdout)["number"] == "005550100"
    other = json.loads(run("--config", config, "--json", "--from", "carrier").stdout)
    assert (other["caller"], other["called"], other["number"]) == ("carrier", "pbx", "5550100")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--to", "nobody"], "nobody: no such trunk, expected one of pbx, carrier"),
        (
            ["--from", "pbx", "--number", "1"],
            "no such route: from pbx, for the number 1 (sbc route list)",
        ),
        (
            ["--to", "carrier", "--number", "5"],
            "no such route: from any trunk, to carrier as its first target, for the number 5 ",
        ),
        (["--tcp"], "realm inside has no tcp listener (realms.inside.listen)"),
    ],
)
def test_what_cannot_be_tried_is_said_in_one_line(config, arguments, said):
    result = run("--config", config, *arguments)
    assert result.exit_code in (1, 2)
    assert result.output.startswith(said)
    assert result.output.count("\n") == 1


@pytest.fixture
def phones(config) -> str:
    """The file, and a trunk that only calls."""
    path = Path(config)
    text = path.read_text().replace("routes:\n", "routes:\n  - { from: phones, to: carrier }\n")
    text = text.replace(
        "trunks:\n", "trunks:\n  phones: { realm: inside, sources: 127.0.31.64/26 }\n"
    )
    path.write_text(text)
    return config


@pytest.mark.parametrize("arguments", [["--from", "phones"], []])
def test_a_trunk_without_peers_cannot_be_played(phones, arguments):
    result = run("--config", phones, *arguments)
    assert (result.exit_code, result.output) == (
        2,
        "trunk phones has no peers: expected one that the test can play\n",
    )


def test_a_peer_calls_the_listener_of_its_address_family(config):
    path = Path(config)
    listen = '["udp:127.0.31.1:5060", "tcp:127.0.31.1:5060", "udp:[::1]:5076"]'
    text = path.read_text().replace('"udp:127.0.31.1:5060"', listen)
    path.write_text(text.replace("127.0.31.10:5060", "[::1]:5077"))
    answer = json.loads(run("--config", config, "--json").stdout)
    assert answer["error"] == "nobody listens at udp:[::1]:5076: start the border (sbc run)"
    result = run("--config", config, "--tcp")
    assert (result.exit_code, result.output) == (
        1,
        "realm inside has no tcp listener for IPv6, got peer [::1]:5077 (realms.inside.listen)\n",
    )


WHERE = "why: in the log of `sbc run` and in the call's record (cdr.path)"


@pytest.mark.parametrize(
    ("status", "hint"),
    [
        (503, WHERE),
        (403, f"{WHERE}; an unknown caller leaves no record (trunks.pbx.sources, identify)"),
        (407, "trunk pbx has to know a password (trunks.pbx.auth): the test knows none"),
    ],
)
async def test_a_refusal_says_where_its_reason_is(monkeypatch, status, hint):
    async def refuse(self, request, base, reply):
        await reply(base.build(status, to_tag=b"t"))

    monkeypatch.setattr(Answerer, "_answer", refuse)
    trial = await run_trial(plan("udp"), lambda _: None)
    *_, error, shown, verdict = trial.to_lines()
    assert error.startswith(f"  the border answered {status} ")
    assert (shown, verdict) == (f"  {hint}", "no call")
    assert trial.to_plain()["hint"] == hint


def test_the_help_says_what_cannot_be_played():
    text = " ".join(run("--help").output.split())
    for word in ("TLS", "`srtp: required`", "`auth`", "`options_ping`"):
        assert word in text


def test_a_file_without_routes_says_how_to_get_one(config):
    path = Path(config)
    path.write_text(path.read_text().partition("routes:")[0] + "routes: []\n")
    result = run("--config", config)
    assert (result.exit_code, result.output) == (
        2,
        "there is no route yet: sbc route add --from TRUNK --to TRUNK (sbc trunk list)\n",
    )


# The tones and what is made of them


def test_pcmu_is_g711():
    # ITU-T G.711, table 2a: the ends of the scale, and silence.
    assert encode([0, 32_635, -32_635]) == b"\xff\x80\x00"
    assert decode(b"\xff\x7f\x80\x00") == [0, 0, 32_124, -32_124]


def test_every_code_survives_a_round_trip():
    codes = bytes(code for code in range(256) if code != 0x7F)  # 0x7f is the second zero
    assert encode(decode(codes)) == codes


@pytest.mark.parametrize("frequency_hz", [440, 620])
def test_a_tone_is_found_in_every_packet_and_the_other_is_not(frequency_hz):
    sound = tone(frequency_hz)
    for start in range(0, 8_000, 160):
        packet = sound[start : start + 160]
        assert has_tone(packet, frequency_hz)
        assert not has_tone(packet, 1_060 - frequency_hz)


def test_silence_and_noise_are_no_tone():
    noise = random.Random(7)  # noqa: S311
    assert not has_tone(b"\xff" * 160, 440)
    assert not has_tone(b"", 440)
    assert not has_tone(bytes(noise.randrange(256) for _ in range(160)), 440)


def heard(number: int, **changes) -> Heard:
    values = {
        "arrived_s": 10 + number * 0.02,
        "source": ("h", 2),
        "payload_type": 0,
        "sequence": (65_530 + number) & 0xFFFF,
        "timestamp": number * 160,
        "ssrc": 7,
        "payload": tone(440)[:160],
    }
    return Heard(**(values | changes))


def ends(packets: list[Heard], sent: int) -> tuple[MediaEnd, MediaEnd]:
    speaking, listening = MediaEnd("h", 440), MediaEnd("h", 620)
    speaking.sent_s = {number * 160: 9.999 + number * 0.02 for number in range(sent)}
    listening.remote = ("h", 2)
    listening.heard = packets
    return speaking, listening


def test_loss_duplicates_disorder_and_strangers_are_counted():
    packets = [heard(number) for number in range(20) if number != 5]
    packets[7] = heard(8, arrived_s=10.1901)  # overtaken by packet 9
    packets += [heard(3, arrived_s=11.0), heard(20, source=("evil", 1))]
    speaking, listening = ends(packets, 21)
    result = judge("a", speaking, "b", listening)
    assert (result.sent, result.received, result.lost) == (21, 20, 1)
    assert (result.duplicates, result.reordered, result.strange_sources) == (1, 1, 1)
    assert result.delay_ms == pytest.approx(1.0)
    assert result.good


def test_the_wrong_tone_or_half_the_packets_are_not_good():
    wrong = [heard(number, payload=tone(620)[:160]) for number in range(20)]
    assert not judge("a", *_around(ends(wrong, 20))).good
    assert not judge("a", *_around(ends([heard(number) for number in range(10)], 20))).good
    assert not judge("a", *_around(ends([], 20))).good


def _around(pair):
    return pair[0], "b", pair[1]
