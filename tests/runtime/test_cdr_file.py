"""Records are appended whole, survive a crash, and wait for a full disk."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from sbc.errors import SbcError
from sbc.runtime.cdr_file import CdrFile


def line(number: int) -> bytes:
    return json.dumps({"call": number}).encode()


def test_records_are_lines_of_json_and_are_there_at_once(tmp_path: Path) -> None:
    file = CdrFile(str(tmp_path / "deep" / "cdr.jsonl"))
    file.append([line(1), line(2)])
    text = Path(file.path).read_text()
    assert [json.loads(one)["call"] for one in text.splitlines()] == [1, 2]
    file.close()


def test_an_older_file_is_continued_and_a_torn_line_closed_off(tmp_path: Path) -> None:
    path = tmp_path / "cdr.jsonl"
    path.write_bytes(line(1) + b'\n{"call": 2, "tr')
    file = CdrFile(str(path))
    file.append([line(3)])
    file.close()
    assert path.read_bytes().splitlines() == [line(1), b'{"call": 2, "tr', line(3)]


def test_a_full_disk_loses_nothing_while_it_lasts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = CdrFile(str(tmp_path / "cdr.jsonl"))
    write = os.write

    def full(fd: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    file.append([line(1)])
    file.append([line(2)])
    assert file.waiting == 2
    assert file.failure is not None
    assert "No space left" in file.failure

    def slow(fd: int, data: bytes) -> int:
        return write(fd, bytes(data)[:5])

    monkeypatch.setattr(os, "write", slow)
    file.append([line(3)])
    monkeypatch.undo()
    assert file.failure is None
    assert file.waiting == 0
    file.close()
    assert Path(file.path).read_bytes().splitlines() == [line(1), line(2), line(3)]


def test_what_does_not_fit_the_buffer_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = CdrFile(str(tmp_path / "cdr.jsonl"))
    monkeypatch.setattr("sbc.runtime.cdr_file._PENDING_MOST_BYTES", 30)

    def full(fd: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(os, "write", full)
        for number in range(10):
            file.append([line(number)])
    assert file.dropped + file.waiting == 10
    assert file.dropped > 0
    file.close()


def test_a_rotated_file_is_reopened(tmp_path: Path) -> None:
    path = tmp_path / "cdr.jsonl"
    file = CdrFile(str(path))
    file.append([line(1)])
    path.rename(tmp_path / "cdr.1")
    file.reopen()
    file.append([line(2)])
    file.close()
    assert path.read_bytes() == line(2) + b"\n"
    assert (tmp_path / "cdr.1").read_bytes() == line(1) + b"\n"


def test_a_path_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(SbcError, match=r"cannot write call records to .*: Is a directory"):
        CdrFile(str(tmp_path))
