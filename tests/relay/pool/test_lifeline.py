"""A child's view of its parents."""

from __future__ import annotations

import os
import select
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.control import lifeline
from relay.control.lifeline import Child, Event
from relay.control.line import Line


@pytest.fixture
def path() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="life-") as directory:
        yield str(Path(directory) / "child.sock")


class Parent:
    """A lifeline whose other end a Child holds."""

    def __init__(self) -> None:
        self.theirs, self.ours = os.pipe()

    def die(self) -> None:
        os.close(self.ours)


def adopt(child: Child, path: str, hashed: str, now: float = 0.0):
    """What an adopter and the child see of an adoption."""
    found: list[lifeline.Adopted | None] = []
    thread = threading.Thread(target=lambda: found.append(lifeline.adopt(path, hashed)))
    thread.start()
    events: list[Event] = []
    deadline = time.monotonic() + 5.0
    while thread.is_alive() and time.monotonic() < deadline:
        select.select([child.fileno()], [], [], 0.01)
        events += child.handle(now)
    thread.join()
    return found[0], events


def close(found: lifeline.Adopted) -> None:
    if found.line is not None:
        found.line.close()
    found.process.close()


def test_a_child_hears_of_its_parents_death_once(path):
    parent = Parent()
    child = Child(parent.theirs, path, "hash", 10.0)
    assert child.handle(1.0) == []
    parent.die()
    assert child.handle(2.0) == [Event.ORPHANED]
    assert child.orphaned
    assert child.deadline == 12.0
    assert child.handle(11.9) == []
    assert child.handle(12.0) == [Event.GRACE_OVER]
    assert child.handle(13.0) == []
    child.close()
    assert not Path(path).exists()


def test_one_that_was_an_orphan_before_it_was_up_does_not_stay(path):
    parent = Parent()
    parent.die()
    child = Child(parent.theirs, path, "hash", 10.0)
    assert child.handle(1.0) == [Event.ORPHANED, Event.GRACE_OVER]
    child.close()


def test_an_orphan_is_adopted_by_a_parent_with_its_settings(path):
    parent = Parent()
    child = Child(parent.theirs, path, "hash", 10.0)
    child.facts = {"ready": True}
    parent.die()
    child.handle(1.0)
    found, events = adopt(child, path, "hash", 2.0)
    assert events == [Event.ADOPTED]
    assert found is not None
    assert found.same
    assert found.ready
    assert found.process.pid == os.getpid()
    assert not child.orphaned
    assert child.handle(100.0) == []
    close(found)  # the new parent's end of the lifeline
    assert child.handle(200.0) == [Event.ORPHANED]
    assert child.deadline == 210.0
    child.close()


def test_the_line_to_the_adopter_is_the_childs_to_use(path):
    parent = Parent()
    child = Child(parent.theirs, path, "hash", 10.0)
    found, _ = adopt(child, path, "hash")
    line = child.take_adopter()
    assert found is not None
    assert found.line is not None
    assert line is not None
    assert child.take_adopter() is None
    line.send({"t": "kept"})
    assert found.line.receive() == [({"t": "kept"}, [])]
    line.close()
    close(found)
    child.close()
    parent.die()


def test_other_settings_are_no_adoption(path):
    parent = Parent()
    child = Child(parent.theirs, path, "hash", 10.0)
    parent.die()
    child.handle(1.0)
    found, events = adopt(child, path, "another", 2.0)
    assert events == []
    assert found is not None
    assert not found.same
    assert found.answer["settings"] == "hash"
    assert child.deadline == 11.0
    close(found)
    child.close()


def test_one_on_its_way_out_is_not_adopted(path):
    parent = Parent()
    child = Child(parent.theirs, path, "hash", 0.0)
    parent.die()
    assert Event.GRACE_OVER in child.handle(1.0)
    found, events = adopt(child, path, "hash", 2.0)
    assert events == []
    assert found is not None
    assert not found.same
    close(found)
    child.close()


def test_an_independent_process_is_found_and_not_held(path):
    child = Child(-1, path, "hash", 1.0)
    found, events = adopt(child, path, "hash")
    assert events == []
    assert found is not None
    assert found.same
    assert found.independent
    close(found)
    assert child.handle(1000.0) == []
    child.close()


def test_nobody_is_adopted_where_nobody_listens(path):
    assert lifeline.adopt(path, "hash") is None
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as stale:
        stale.bind(path)
    assert lifeline.adopt(path, "hash") is None


def test_a_stale_socket_is_replaced_and_closed_to_others(path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as stale:
        stale.bind(path)
    child = Child(-1, path, "hash", 1.0)
    assert os.stat(path).st_mode & 0o777 == 0o600
    child.close()


def test_a_path_too_long_for_a_socket_is_an_error(tmp_path):
    with pytest.raises(OSError, match="path over 107 bytes"):
        Child(-1, str(tmp_path / ("x" * 108)), "hash", 1.0)


def test_callers_that_say_nothing_are_limited(path):
    child = Child(-1, path, "hash", 1.0)
    silent = []
    for _ in range(12):
        one = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        one.connect(path)
        child.handle(0.0)
        silent.append(one)
    refused = 0
    for one in silent:
        one.setblocking(False)
        with suppress(BlockingIOError):
            refused += one.recv(1) == b""
        one.close()
    assert refused == 4
    child.handle(0.0)
    found, _ = adopt(child, path, "hash")
    assert found is not None
    close(found)
    child.close()


@settings(deadline=None, max_examples=60)
@given(st.binary(min_size=1, max_size=300), st.integers(0, 2))
def test_nothing_that_a_caller_says_raises_or_leaks(data, descriptors):
    with tempfile.TemporaryDirectory(prefix="life-") as directory:
        path = str(Path(directory) / "child.sock")
        child = Child(-1, path, "hash", 1.0)
        before = len(os.listdir("/proc/self/fd"))
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as caller:
            caller.connect(path)
            socket.send_fds(caller, [data], [caller.fileno()] * descriptors)
            child.handle(0.0)
            child.handle(0.0)
        child.handle(0.0)
        assert len(os.listdir("/proc/self/fd")) == before
        child.close()


def test_an_offer_without_a_lifeline_is_refused(path):
    child = Child(-1, path, "hash", 1.0)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as caller:
        caller.connect(path)
        caller.send(b'{"t":"adopt","settings":"hash"}')
        child.handle(0.0)
        assert child.handle(0.0) == []
        caller.settimeout(1.0)
        assert caller.recv(10) == b""
    child.close()


def test_settings_hashes_tell_parts_apart():
    assert lifeline.settings_hash("ab", "c") != lifeline.settings_hash("a", "bc")
    assert lifeline.settings_hash("ab", "c") == lifeline.settings_hash("ab", "c")


def test_a_line_is_what_a_worker_gets(path):
    line, theirs = Line.pair()
    line.send({"t": "start"})
    assert theirs.recv(100) == b'{"t":"start"}'
    line.close()
    theirs.close()
