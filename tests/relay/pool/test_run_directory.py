"""The run directory and its locks."""

from __future__ import annotations

import os
import stat
import subprocess
import sys

import pytest

from relay.control.run_directory import (
    Lock,
    LockHeld,
    RunDirectoryError,
    holder,
    make_run_directory,
)


def test_it_is_made_closed_to_others(tmp_path):
    make_run_directory(str(tmp_path / "a" / "run"))
    assert stat.S_IMODE(os.stat(tmp_path / "a" / "run").st_mode) == 0o700


def test_an_open_one_is_closed_to_others(tmp_path):
    os.chmod(tmp_path, 0o755)  # noqa: S103
    make_run_directory(str(tmp_path))
    assert stat.S_IMODE(os.stat(tmp_path).st_mode) == 0o700


def test_a_file_in_its_place_is_an_error(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(RunDirectoryError, match="expected a directory, found a file"):
        make_run_directory(str(tmp_path / "run"))
    with pytest.raises(RunDirectoryError, match="expected a directory, found a file"):
        make_run_directory(str(tmp_path / "run" / "below"))


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_one_that_may_not_be_made_is_an_error(tmp_path):
    os.chmod(tmp_path, 0o500)
    with pytest.raises(RunDirectoryError, match="Permission denied"):
        make_run_directory(str(tmp_path / "run"))


def test_a_lock_names_its_holder(tmp_path):
    path = str(tmp_path / "lock")
    assert holder(path) is None
    lock = Lock(path)
    assert holder(path) == os.getpid()
    with pytest.raises(LockHeld, match=rf"already running \(pid {os.getpid()}\)") as held:
        Lock(path)
    assert held.value.pid == os.getpid()
    lock.release()
    assert holder(path) is None
    Lock(path).release()


def test_a_lock_is_not_inherited_by_children(tmp_path):
    path = str(tmp_path / "lock")
    lock = Lock(path)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        lock.release()
        assert holder(path) is None
        child.communicate(b"\n")


def test_a_lock_that_cannot_be_opened_is_an_error(tmp_path):
    with pytest.raises(RunDirectoryError, match="No such file or directory"):
        Lock(str(tmp_path / "none" / "lock"))
    os.symlink(tmp_path / "elsewhere", tmp_path / "link")
    with pytest.raises(RunDirectoryError, match="Too many levels of symbolic links"):
        Lock(str(tmp_path / "link"))
