"""baresip as a telephone: calls, answers, plays one tone and records what it hears."""

from __future__ import annotations

import array
import math
import subprocess
import time
import wave
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

__all__ = ["Baresip", "read_wave", "tone_power"]

_CONFIG = """\
poll_method epoll
sip_listen {host}:{port}
call_local_timeout 60
call_max_calls 4
audio_player aubridge,nowhere
audio_source aufile,{tone}
audio_alert aubridge,nowhere
ausrc_srate 8000
auplay_srate 8000
ausrc_channels 1
auplay_channels 1
audio_level no
rtp_tos 184
rtp_ports {rtp_first}-{rtp_last}
rtcp_mux no
jitter_buffer_delay 5-10
net_interface {interface}
dns_server 127.0.0.1:5399
module_path /usr/lib/baresip/modules
module stdio.so
module g711.so
module g722.so
module opus.so
module srtp.so
module sndfile.so
module aubridge.so
module aufile.so
module_tmp account.so
module_app menu.so
module_app debug_cmd.so
module_app contact.so
module_app presence.so
snd_path {records}
"""


class Baresip:
    """One telephone with one account; answers by itself. A context manager.

    Args:
        folder: its configuration and recordings; made here.
        address: where it speaks SIP and RTP.
        user: the account's user part.
        domain: the account's host, a marker that must not cross the border.
        proxy: where every request goes; None sends to the host that is called.
        codec: `PCMU`, or with its clock and channels `opus/48000/2`.
        encryption: baresip's word for it: `srtp`, `srtp-mand`; "" is none.
        tone_hz: what it plays.
        password: what it answers challenges with.
        tls: its certificate with key, and whom it believes, as files: it speaks TLS, on the port
            above the address's.
        rtp_ports: first and last.
        watches: whose presence it subscribes to, as a SIP URI; it tells its own to all that ask.
    """

    def __init__(
        self,
        folder: Path,
        address: tuple[str, int],
        *,
        user: str,
        domain: str,
        proxy: tuple[str, int] | None,
        codec: str,
        tone_hz: int,
        rtp_ports: tuple[int, int] = (10_000, 10_100),
        encryption: str = "",
        password: str = "",
        tls: tuple[str, str] | None = None,
        watches: str = "",
    ) -> None:
        self._records = folder / "records"
        self._records.mkdir(parents=True)
        tone = folder / "tone.wav"
        subprocess.run(
            [
                "sox",
                "-n",
                "-r",
                "8000",
                "-c",
                "1",
                "-b",
                "16",
                str(tone),
                "synth",
                "60",
                "sine",
                str(tone_hz),
                "gain",
                "-6",
            ],
            check=True,
            capture_output=True,
        )
        host, port = address
        (folder / "config").write_text(
            _CONFIG.format(
                host=host,
                port=port,
                tone=tone,
                records=self._records,
                rtp_first=rtp_ports[0],
                rtp_last=rtp_ports[1],
                interface=host,
            )
            + ("" if tls is None else f"sip_certificate {tls[0]}\nsip_cafile {tls[1]}\n")
        )
        over = "" if tls is None else ";transport=tls"
        outbound = "" if proxy is None else f';outbound="sip:{proxy[0]}:{proxy[1]}{over}"'
        codec = codec if "/" in codec else f"{codec}/8000/1"
        secure = f";mediaenc={encryption}" if encryption else ""
        secure += f";auth_pass={password}" if password else ""
        (folder / "accounts").write_text(
            f"<sip:{user}@{domain}>;regint=0;answermode=auto;audio_codecs={codec}{secure}{outbound}\n"
        )
        watched = f'"Watched" <{watches}>;presence=p2p\n' if watches else ""
        (folder / "contacts").write_text(watched)
        self._log = (folder / "log").open("wb")
        self._process = subprocess.Popen(
            ["baresip", "-4", "-f", str(folder)],
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )

    def __enter__(self) -> Baresip:
        self.await_log("baresip is ready")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._command("/quit")
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._log.close()

    def call(self, uri: str) -> None:
        self._command(f"/dial {uri}")

    def transfer(self, uri: str) -> None:
        """Send the other party to this URI (REFER)."""
        self._command(f"/transfer {uri}")

    def hold(self) -> None:
        self._command("/hold")

    def resume(self) -> None:
        self._command("/resume")

    def appear(self, status: str) -> None:
        """Tell all that watch it: `online` or `offline`."""
        self._command(f"/presence_{status}")

    def press(self, digit: str) -> None:
        """Send a digit, as its key does; the key is let go a quarter of a second later."""
        if self._process.poll() is None and self._process.stdin is not None:
            self._process.stdin.write(digit.encode())
            self._process.stdin.flush()

    def hang_up(self) -> None:
        self._command("/hangup")

    def log(self) -> str:
        """All that it said so far."""
        return Path(self._log.name).read_text(errors="replace")

    def await_log(self, text: str, timeout_s: float = 10) -> None:
        """Returns once it has said `text`. Raises TimeoutError with its last words."""
        deadline = time.monotonic() + timeout_s
        while text not in self.log():
            if time.monotonic() > deadline:
                raise TimeoutError(f"baresip never said {text!r}: {self.log()[-1500:]}")
            time.sleep(0.05)

    def heard(self) -> list[Path]:
        """What it decoded from the other party, one WAV file for each call."""
        return sorted(self._records.glob("*dec.wav"))

    def _command(self, text: str) -> None:
        if self._process.poll() is None and self._process.stdin is not None:
            self._process.stdin.write(text.encode() + b"\n")
            self._process.stdin.flush()


def read_wave(path: Path) -> tuple[Sequence[int], int]:
    """The first channel and the rate of a 16-bit file that may still be open for writing."""
    with wave.open(str(path)) as file:
        samples = array.array("h", file.readframes(file.getnframes()))
        return samples[:: file.getnchannels()], file.getframerate()


def tone_power(samples: Sequence[int], rate_hz: int, tone_hz: int) -> float:
    """What share of the energy of `samples` is at `tone_hz`, 0..1 (Goertzel)."""
    energy = sum(one * one for one in samples)
    if not energy:
        return 0.0
    turn = 2 * math.cos(2 * math.pi * tone_hz / rate_hz)
    before = last = 0.0
    for one in samples:
        before, last = last, one + turn * last - before
    at_tone = before * before + last * last - turn * before * last
    return at_tone / (energy * len(samples) / 2)
