"""Messages with descriptors: order, limits, endings, and any bytes at all."""

from __future__ import annotations

import os
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.control.line import Line, LineError


@pytest.fixture
def ends():
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    lines = Line(left), Line(right)
    yield lines
    for line in lines:
        line.close()


class Borrowed:
    """A loan that counts how often it was fetched."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.fetched: list[int] = []

    def fetch(self) -> list[int]:
        self.fetched.append(os.open(self.path, os.O_RDONLY))
        return self.fetched[-1:]


def test_messages_come_in_order_with_their_descriptors(ends, tmp_path):
    left, right = ends
    (tmp_path / "file").write_text("content")
    with open(tmp_path / "file") as file:
        left.send({"t": "first"}, [file.fileno()])
        left.send({"t": "second"})
    (first, (descriptor,)), (second, none) = right.receive()
    assert (first, second, none) == ({"t": "first"}, {"t": "second"}, [])
    assert os.read(descriptor, 16) == b"content"
    assert not os.get_inheritable(descriptor)
    os.close(descriptor)


def test_what_the_kernel_does_not_take_waits(ends):
    left, right = ends
    for number in range(2000):
        left.send({"t": "n", "n": number, "filler": "x" * 500})
    assert left.waiting
    seen = []
    while len(seen) < 2000:
        seen += [message["n"] for message, _ in right.receive()]
        left.flush()
    assert seen == list(range(2000))
    assert not left.waiting


def test_a_loan_is_fetched_when_its_message_goes_and_closed_at_once(ends, tmp_path):
    left, right = ends
    (tmp_path / "file").write_text("lent")
    loan = Borrowed(str(tmp_path / "file"))
    left.send({"t": "loan"}, loan)
    assert len(loan.fetched) == 1
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(loan.fetched[0])
    ((_, (descriptor,)),) = right.receive()
    assert os.read(descriptor, 16) == b"lent"
    os.close(descriptor)


def test_last_words_are_heard_after_the_end(ends):
    left, right = ends
    left.send({"t": "unread"})
    right.send({"t": "last"})
    right.close()
    left.send({"t": "lost"})
    assert left.receive() == [({"t": "last"}, [])]
    assert left.ended


def test_sending_to_a_closed_end_is_no_error(ends):
    left, right = ends
    right.close()
    left.send({"t": "lost"})
    left.send({"t": "lost"})
    assert not left.waiting
    assert left.receive() == []
    assert left.ended


def test_descriptors_for_which_there_is_no_room_are_said_to_be_lost(ends):
    left, right = ends
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    fds = [left.fileno()] * 8
    left.send({"t": "block"}, fds)
    probe = os.dup(0)
    os.close(probe)
    resource.setrlimit(resource.RLIMIT_NOFILE, (probe + 3, hard))
    try:
        ((message, descriptors),) = right.receive()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert message["truncated"]
    assert len(descriptors) < 8
    for one in descriptors:
        os.close(one)


@given(st.binary(min_size=1, max_size=2000))
def test_any_bytes_are_a_message_or_an_error(data):
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    line = Line(right)
    left.send(data)
    left.close()
    try:
        for message, _ in line.receive():
            assert isinstance(message, dict)
    except LineError:
        pass
    finally:
        line.close()


def test_deep_nesting_is_an_error_not_a_crash():
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    line = Line(right)
    left.send(b"[" * 60_000)
    left.close()
    with pytest.raises(LineError):
        line.receive()
    line.close()
