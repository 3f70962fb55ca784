"""Public addresses that STUN servers tell, do not tell, or tell anew."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest
import trio

from sbc.errors import SbcError
from sbc.runtime.public_address import PublicAddresses
from sbc.settings import Settings
from tests.call.lab import settings

LOCAL = "127.0.51.1"


class StunServer(threading.Thread):
    """Tells everybody the same, or nothing, or that it will not."""

    def __init__(self, told: str) -> None:
        super().__init__(daemon=True)
        self.told = told
        self.asked: list[str] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.51.9", 0))
        self.place = self._socket.getsockname()

    def run(self) -> None:
        while True:
            request, source = self._socket.recvfrom(2048)
            if not request:
                return
            self.asked.append(source[0])
            if self.told == "silent":
                continue
            if self.told == "refuses":
                kind, value = b"\x01\x11", b"\0\x09\0\x08\0\0\x04\0Bad!"
            else:
                kind, value = (
                    b"\x01\x01",
                    b"\0\x01\0\x08\0\x01\0\x09" + ip_address(self.told).packed,
                )
            self._socket.sendto(b"stray", source)
            self._socket.sendto(
                kind + len(value).to_bytes(2, "big") + request[4:20] + value, source
            )

    def end(self) -> None:
        self._socket.sendto(b"", self.place)
        self.join()
        self._socket.close()


@contextmanager
def stun(*told: str) -> Iterator[list[StunServer]]:
    servers = [StunServer(one) for one in told]
    for one in servers:
        one.start()
    try:
        yield servers
    finally:
        for one in servers:
            one.end()


def asking(folder: Path, servers: list[StunServer]) -> Settings:
    """Outside is at LOCAL, and what it is called there is to be learned."""
    config = settings()
    listeners = tuple(
        replace(one, host=LOCAL, advertise_host="") if one.realm == "outside" else one
        for one in config.transport.listeners
    )
    media = tuple(
        replace(one, address=LOCAL, advertise="") if one.realm == "outside" else one
        for one in config.relay.media
    )
    return replace(
        config,
        state_dir=str(folder / "state"),
        transport=replace(config.transport, listeners=listeners),
        relay=replace(config.relay, media=media),
        stun=(("outside", tuple(one.place for one in servers)),),
    )


def shown(config: Settings) -> set[str]:
    """What peers outside are told."""
    told = {one.advertise_host for one in config.transport.listeners if one.realm == "outside"}
    return told | {one.advertise for one in config.relay.media if one.realm == "outside"}


def test_an_address_is_learned_from_there_and_stands_in_the_settings(tmp_path: Path) -> None:
    with stun("203.0.113.7") as servers:
        public = PublicAddresses(asking(tmp_path, servers))
        trio.run(public.learn)
    assert shown(public.settings) == {"203.0.113.7"}
    assert servers[0].asked == [LOCAL]
    inside = {one.advertise_host for one in public.settings.transport.listeners} - {"203.0.113.7"}
    assert inside == {"10.0.0.1"}
    assert public.describe() == [{"realm": "outside", "local": LOCAL, "public": "203.0.113.7"}]


@pytest.mark.parametrize("first", ["silent", "refuses", "0.0.0.0"])  # noqa: S104 (it is said)
def test_the_next_server_is_asked_where_one_does_not_tell(tmp_path: Path, first: str) -> None:
    with stun(first, "203.0.113.8") as servers:
        public = PublicAddresses(asking(tmp_path, servers))
        trio.run(public.learn)
    assert shown(public.settings) == {"203.0.113.8"}
    assert len(servers[0].asked) == (3 if first == "silent" else 1)


def test_what_nobody_tells_is_what_an_earlier_start_has_learned(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with stun("203.0.113.7") as servers:
        config = asking(tmp_path, servers)
        trio.run(PublicAddresses(config).learn)
        servers[0].told = "refuses"
        public = PublicAddresses(config)
        trio.run(public.learn)
    assert shown(public.settings) == {"203.0.113.7"}
    assert "it refuses: 400 Bad!; going on with 203.0.113.7, learned earlier" in caplog.text


def test_what_nobody_has_ever_told_ends_the_start_in_one_line(tmp_path: Path) -> None:
    with stun("refuses", "refuses") as servers:
        public = PublicAddresses(asking(tmp_path, servers))
        with pytest.raises(SbcError) as raised:
            trio.run(public.learn)
    one, other = (f"stun:{host}:{port}: it refuses: 400 Bad!" for host, port in
                  (server.place for server in servers))  # fmt: skip
    assert str(raised.value) == (
        f"realms.outside.public_address: {LOCAL} not learned: {one}; {other}"
    )


def test_a_file_that_says_nothing_sensible_is_no_memory(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "public-addresses.json").write_text('[["outside", 1]]')
    with stun("refuses") as servers, pytest.raises(SbcError):
        trio.run(PublicAddresses(asking(tmp_path, servers)).learn)


def test_an_address_that_changes_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    moved: list[Settings] = []

    async def life() -> None:
        await public.learn()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(public.watch, moved.append)
            await _asked(servers[0], 3)
            servers[0].told = "203.0.113.9"
            await _asked(servers[0], 3)
            servers[0].told = "refuses"
            await _asked(servers[0], 3)
            nursery.cancel_scope.cancel()

    with stun("203.0.113.7") as servers:
        public = PublicAddresses(asking(tmp_path, servers), again_s=0.01)
        trio.run(life)
    assert [shown(one) for one in moved] == [{"203.0.113.9"}]
    assert shown(public.settings) == {"203.0.113.9"}
    assert caplog.text.count("was=203.0.113.7 now=203.0.113.9") == 1
    assert caplog.text.count("it refuses") == 1


async def _asked(server: StunServer, more: int) -> None:
    wanted = len(server.asked) + more
    with trio.fail_after(5):
        while len(server.asked) < wanted:  # noqa: ASYNC110
            await trio.sleep(0.002)


def test_nobody_is_asked_where_all_is_written_down(tmp_path: Path) -> None:
    with stun("203.0.113.7") as servers:
        config = replace(settings(), state_dir=str(tmp_path), stun=())
        public = PublicAddresses(config)
        trio.run(public.learn)
        trio.run(public.watch, lambda _: None)
    assert public.settings == config
    assert servers[0].asked == []
    assert list(tmp_path.iterdir()) == []
