"""The administration socket: who may ask, what is answered, and what a listing costs the loop."""

from __future__ import annotations

import os
import socket
import stat
import time
from contextlib import asynccontextmanager

import pytest
import trio

from relay.control.codec import Decoder, Request, Response, encode
from sbc.cli.admin_client import AdminClient, BorderAway
from sbc.errors import SbcError, TransportError
from sbc.runtime.admin import Admin
from sbc.runtime.admin_methods import AdminFault


class Border:
    """As little of a border as the socket needs."""

    def __init__(self, calls: int = 2) -> None:
        self.calls = {f"call-{n}": {"id": f"call-{n}", "note": "x" * 150} for n in range(calls)}
        self.ended = []

    def status(self):
        return {"calls": len(self.calls)}

    def list_calls(self):
        for call in list(self.calls.values()):
            yield dict(call)

    async def describe(self, call_id):
        if call_id == "poison":
            raise ValueError("bad luck")
        return self.calls.get(call_id)

    def hangup(self, call_id, now):
        self.ended.append(call_id)
        return self.calls.pop(call_id, None) is not None


@asynccontextmanager
async def serving(run_dir, border, **options):
    async with trio.open_nursery() as nursery:
        await nursery.start(Admin(**options).serve, str(run_dir / "sbc.sock"), border)
        yield
        nursery.cancel_scope.cancel()


async def ask(run_dir, question):
    def _ask():
        with AdminClient(str(run_dir)) as client:
            return question(client)

    return await trio.to_thread.run_sync(_ask)


async def test_status_call_and_hangup(tmp_path):
    border, flushes = Border(), []
    async with serving(tmp_path, border, flush=lambda: flushes.append(1)):
        assert await ask(tmp_path, lambda c: c.status()) == {"calls": 2}
        assert (await ask(tmp_path, lambda c: c.call("call-1")))["id"] == "call-1"
        assert await ask(tmp_path, lambda c: c.call("none")) is None
        assert await ask(tmp_path, lambda c: [c.hangup("call-1"), c.hangup("call-1")]) == [
            True,
            False,
        ]
        assert border.ended == ["call-1", "call-1"]
        assert len(flushes) >= 5


async def test_the_socket_is_ours_alone_and_goes_with_us(tmp_path):
    path = tmp_path / "sbc.sock"
    async with serving(tmp_path, Border()):
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert not path.exists()


async def test_eight_thousand_calls_are_listed_without_a_long_pass(tmp_path):
    border = Border(8_000)
    longest_s = 0.0

    async with serving(tmp_path, border):

        async def watch():
            nonlocal longest_s
            while True:
                before = time.thread_time()
                await trio.lowlevel.checkpoint()
                longest_s = max(longest_s, time.thread_time() - before)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch)
            calls = await ask(tmp_path, lambda c: c.calls())
            nursery.cancel_scope.cancel()
    assert [call["id"] for call in calls] == [f"call-{n}" for n in range(8_000)]
    assert longest_s < 0.020


async def test_calls_may_end_while_they_are_listed(tmp_path):
    border = Border(1_000)
    async with serving(tmp_path, border), trio.open_nursery() as nursery:

        async def end_all():
            for name in list(border.calls):
                border.calls.pop(name)
                await trio.lowlevel.checkpoint()

        nursery.start_soon(end_all)
        assert len(await ask(tmp_path, lambda c: c.calls())) <= 1_000


async def test_a_fault_of_ours_is_an_answer_and_the_next_question_works(tmp_path):
    def question(client):
        with pytest.raises(SbcError, match="ValueError: bad luck"):
            client.call("poison")
        return client.status()

    async with serving(tmp_path, Border()):
        assert await ask(tmp_path, question) == {"calls": 2}


async def raw(tmp_path, data: bytes) -> bytes:
    stream = await trio.open_unix_socket(tmp_path / "sbc.sock")
    async with stream:
        await stream.send_all(data)
        with trio.fail_after(5):
            return await stream.receive_some()


@pytest.mark.parametrize(
    ("request_", "fault"),
    [(Request(1, 99), AdminFault.UNKNOWN_METHOD), (Request(1, 3, 7), AdminFault.BAD_REQUEST)],
)
async def test_what_is_no_request_of_ours_is_refused(tmp_path, request_, fault):
    async with serving(tmp_path, Border()):
        [answer] = Decoder().feed(await raw(tmp_path, encode(request_)))
        assert isinstance(answer, Response)
        assert answer.error[0] == fault


async def test_garbage_ends_its_connection_only(tmp_path):
    async with serving(tmp_path, Border()):
        assert await raw(tmp_path, b"\xff" * 64) == b""
        assert await ask(tmp_path, lambda c: c.status()) == {"calls": 2}


async def test_a_second_border_is_refused_and_a_dead_one_is_replaced(tmp_path):
    path = tmp_path / "sbc.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    async with serving(tmp_path, Border()):
        with pytest.raises(TransportError, match="another border is running here"):
            await Admin().serve(str(path), Border())
        assert await ask(tmp_path, lambda c: c.status()) == {"calls": 2}


def test_where_no_border_runs_one_line_says_so(tmp_path):
    with pytest.raises(BorderAway, match=r"sbc\.sock: no border is running here \(sbc run\)"):
        AdminClient(str(tmp_path))


async def test_a_border_that_cannot_make_its_socket_says_why(tmp_path):
    with pytest.raises(TransportError, match="No such file or directory"):
        await Admin().serve(str(tmp_path / "nowhere" / "sbc.sock"), Border())
