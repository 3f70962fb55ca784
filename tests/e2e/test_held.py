"""baresip holds a call and takes it up again, and speaks over TLS: tones in both directions."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.phone import Call, Phone, sdp
from tests.e2e.tone import Media
from tests.e2e.ways import Way, both_ways, final_to
from tests.support.baresip import Baresip, read_wave, tone_power
from tests.support.border import Border, Shape, until
from tests.support.capture import Capture
from tests.support.certificates import Authority

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

ITS_TONE, OUR_TONE = 440, 1000


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def border(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority, recording: Capture
) -> Iterator[Border]:
    """On each side a trunk for telephones by UDP, and one for baresip by TLS.

    baresip sends RTP, and opens connections, from 127.0.0.1, whatever its own address is.
    """
    folder = tmp_path_factory.mktemp("border")
    elsewhere = {"nat": "always", "latch": "any"}
    document = Shape().document(folder)
    shown = authority.issue("border", "sbc.example", addresses=("127.0.1.1", "127.0.2.1"))
    trunks = document["trunks"] = {}
    document["routes"] = routes = []
    for realm, other, net in (("inside", "outside", 1), ("outside", "inside", 2)):
        document["realms"][realm]["listen"].append(f"tls:127.0.{net}.1")
        document["realms"][realm]["tls"] = {"certificate": shown.certificate, "key": shown.key}
        trunks[f"{realm}0"] = {"realm": realm, "peers": f"127.0.{net}.10", **elsewhere}
        trunks[f"{realm}1"] = {
            "realm": realm,
            "peers": f"127.0.{net}.11",
            "sources": [f"127.0.{net}.11", "127.0.0.1"],
            "transport": "tls",
            "tls": {"ca": authority.path},
            **elsewhere,
        }
        for digit in "01":
            routes += [
                {"from": f"{realm}{one}", "to": f"{other}{digit}", "number": digit} for one in "01"
            ]
    config = folder / "sbc.yaml"
    config.write_text(json.dumps(document))
    with Border(folder, Shape(), config=config) as running:
        yield running


class Talk:
    """Our telephone in a call with baresip: what it hears, from one moment to the next."""

    def __init__(self, phone: Phone, media: Media, baresip: Baresip) -> None:
        self.phone, self.media, self.baresip = phone, media, baresip
        self._version = 1

    def answers(self, call: Call, direction: str = "sendrecv") -> None:
        """The INVITE that has come, with our tone unless it is held."""
        invite = call.invite
        assert invite is not None
        body = sdp(
            self.phone.address[0],
            self.media.port,
            self.phone.mark,
            self._version,
            more=f"a={direction}\r\n",
        )
        self._version += 1
        call.respond(200, body)
        call.expect("ACK")
        if direction == "sendrecv":
            self.media.talk_to(invite.media())
        else:
            self.media.quiet()

    def changes(self, call: Call, offered: str, answered: str) -> None:
        """The next re-INVITE, which must say this."""
        change = call.expect("INVITE")
        assert f"a={offered}" in change.body.decode()
        call.invite = change
        self.answers(call, answered)

    def hears(self) -> float:
        """How much of what comes in the next half second is the tone of baresip."""
        time.sleep(0.2)
        self.media.samples.clear()
        time.sleep(0.5)
        return tone_power(self.media.samples, 8000, ITS_TONE)


def soft_phone(folder: Path, way: Way, digit: str, authority: Authority | None = None) -> Baresip:
    host = f"{way.here}.1{digit}"
    files = None
    if authority is not None:
        issued = authority.issue(f"phone-{way.mark}", f"{way.mark}.example", addresses=(host,))
        both = folder / "both.pem"
        both.write_text(Path(issued.certificate).read_text() + Path(issued.key).read_text())
        files = str(both), authority.path
    return Baresip(
        folder / "phone",
        (host, 5060),
        user=f"{digit}00",
        domain=f"{way.mark}.example",
        proxy=(f"{way.here}.1", 5060 if authority is None else 5061),
        codec="PCMU",
        tone_hz=ITS_TONE,
        tls=files,
    )


@contextmanager
def on_stage(folder: Path, way: Way, digit: str, tls: Authority | None) -> Iterator[Talk]:
    """Our telephone on the called side of `way`, and baresip on the other."""
    host = f"{way.there}.10"
    with (
        soft_phone(folder, way, digit, tls) as baresip,
        Phone((host, 5060), way.other, (f"{way.there}.1", 5060)) as phone,
        Media(host, OUR_TONE, f"bob@{way.other}.example") as media,
    ):
        baresip.await_log("baresip is ready")
        yield Talk(phone, media, baresip)


def heard_by(baresip: Baresip) -> float:
    """How much of what it played since it last began to is our tone, less the first 0.25 s."""
    path = baresip.heard()[-1]
    until(lambda: path.stat().st_size > 4096, 2, "what it heard, written")
    time.sleep(0.1)
    samples, rate = read_wave(path)
    assert len(samples) > rate // 2, f"only {len(samples)} samples"
    return tone_power(samples[rate // 4 :], rate, OUR_TONE)


@both_ways
def test_a_call_is_held_and_taken_up_again(border: Border, tmp_path: Path, way: Way) -> None:
    """There is silence in between, and the tones are back after it."""
    with on_stage(tmp_path, way, "0", None) as ours:
        ours.baresip.call(f"sip:000@{way.here}.1")
        call = ours.phone.answering()
        ours.answers(call)
        assert ours.hears() > 0.9
        ours.baresip.hold()
        ours.changes(call, "sendonly", "recvonly")
        ours.hears()
        assert not ours.media.samples, "something came while it was held"
        ours.baresip.resume()
        ours.changes(call, "sendrecv", "sendrecv")
        assert ours.hears() > 0.9
        call.request("BYE")
        assert final_to(call, "BYE") == 200
        assert heard_by(ours.baresip) > 0.9


@both_ways
def test_baresip_speaks_over_tls(
    border: Border, tmp_path: Path, authority: Authority, way: Way
) -> None:
    """It calls, and is called; the other side has never heard of TLS."""
    with on_stage(tmp_path, way, "1", authority) as ours:
        ours.baresip.call(f"sip:000@{way.here}.1")
        call = ours.phone.answering()
        assert call.invite is not None
        assert "/UDP " in call.invite.first("via")
        ours.answers(call)
        assert ours.hears() > 0.9
        ours.baresip.hang_up()
        call.hung_up()
        assert heard_by(ours.baresip) > 0.9
        ours.media.quiet()

        placed = ours.phone.invite("100", sdp(ours.media.host, ours.media.port, ours.phone.mark))
        ours.media.talk_to(placed.establish().media())
        assert ours.hears() > 0.9
        placed.request("BYE")
        assert final_to(placed, "BYE") == 200
        assert heard_by(ours.baresip) > 0.9
