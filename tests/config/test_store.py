"""The file is changed whole or not at all."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import threading

import pytest

from sbc.config import store
from sbc.config.edit import edit, make
from sbc.config.problems import ConfigError
from tests.config.files import GOOD


@pytest.fixture
def path(tmp_path):
    """A good file, alone in its folder."""
    path = tmp_path / "sbc.yaml"
    path.write_text(GOOD)
    return path


def calls(number):
    def change(data, source):
        data["trunks"]["carrier"]["limits"]["calls"] = number

    return change


def alone(path):
    """Nothing is left beside the file."""
    return [one.name for one in path.parent.iterdir()] == ["sbc.yaml"]


def test_a_good_change_is_written_and_keeps_the_mode(path):
    path.chmod(0o640)
    edited = edit(str(path), calls(300))
    assert edited.written
    assert path.read_text() == GOOD.replace("calls: 200", "calls: 300")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert [line for line in edited.diff if line[0] in "+-"] == [
        f"--- {path} (before)",
        f"+++ {path} (after)",
        "-  carrier: { realm: outside, peers: 198.51.100.7, limits: { calls: 200, cps: 20 } }",
        "+  carrier: { realm: outside, peers: 198.51.100.7, limits: { calls: 300, cps: 20 } }",
    ]
    assert alone(path)


def test_a_wrong_change_leaves_the_very_same_file(path):
    before = path.stat()
    with pytest.raises(ConfigError, match="expected a whole number above 0, got -1"):
        edit(str(path), calls(-1))
    assert path.read_text() == GOOD
    assert path.stat().st_ino == before.st_ino
    assert alone(path)


def test_a_dry_run_writes_nothing(path):
    edited = edit(str(path), calls(300), dry_run=True)
    assert not edited.written
    assert edited.diff
    assert path.read_text() == GOOD


def test_a_file_with_errors_is_not_made_worse(path):
    path.write_text(GOOD.replace("12000-21999", "12001-21999"))
    with pytest.raises(ConfigError, match="an even port"):
        edit(str(path), calls(300))


def test_errors_can_be_put_right_by_a_change(path):
    path.write_text(GOOD.replace("calls: 200", "calls: many"))
    assert edit(str(path), calls(7)).written


def test_a_link_stays_a_link(path, tmp_path):
    link = tmp_path / "link.yaml"
    link.symlink_to(path)
    edit(str(link), calls(300))
    assert link.is_symlink()
    assert "calls: 300" in path.read_text()


def test_line_ends_of_another_system_stay(path):
    path.write_bytes(GOOD.replace("\n", "\r\n").encode())

    def change(data, source):
        data["log"] = {"level": "debug"}

    edit(str(path), change)
    text = path.read_bytes().decode()
    assert text.endswith("\r\n\r\nlog:\r\n  level: debug\r\n")
    assert text.count("\n") == text.count("\r\n")


def test_a_byte_order_mark_stays(path):
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    edit(str(path), calls(300))
    assert path.read_bytes().startswith(b"\xef\xbb\xbf# two")


@pytest.mark.parametrize("call", ["fsync", "rename", "fchmod"])
def test_a_full_disk_loses_nothing(path, monkeypatch, call):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, call, full)
    with pytest.raises(ConfigError) as caught:
        edit(str(path), calls(300))
    monkeypatch.undo()
    expected = f"{path}: cannot be written: No space left on device; nothing was changed"
    assert str(caught.value) == expected
    assert path.read_text() == GOOD
    assert alone(path)


def test_a_full_disk_at_a_new_file_leaves_none(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigError, match="No space left"):
        make(str(tmp_path / "sbc.yaml"), GOOD)
    assert list(tmp_path.iterdir()) == []


def test_without_permission_one_line_says_so(path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(ConfigError) as caught:
        edit(str(path), calls(300))
    assert str(caught.value) == (
        f"{path}: cannot be written: Permission denied; nothing was changed"
    )


def test_a_folder_that_is_not_there_is_one_line(tmp_path):
    missing = tmp_path / "none" / "sbc.yaml"
    expected = f"{missing}: cannot be written: No such file or directory; nothing was changed"
    with pytest.raises(ConfigError) as caught:
        edit(str(missing), calls(300))
    assert str(caught.value) == expected
    with pytest.raises(ConfigError) as caught:
        make(str(missing), GOOD)
    assert str(caught.value) == expected


def test_a_new_file_never_takes_the_place_of_another(path):
    with pytest.raises(ConfigError, match="is there already; nothing was changed"):
        make(str(path), GOOD.replace("# two", "# other"))
    assert path.read_text() == GOOD
    assert alone(path)


def test_a_new_file_must_be_good(tmp_path):
    with pytest.raises(ConfigError):
        make(str(tmp_path / "sbc.yaml"), "realms: {}\n")
    assert list(tmp_path.iterdir()) == []


def test_what_an_editor_saved_meanwhile_is_not_lost(path):
    def change(data, source):
        path.write_text(GOOD + "# saved meanwhile\n")
        data["trunks"]["carrier"]["limits"]["calls"] = 300

    with pytest.raises(ConfigError, match="was changed meanwhile by another program"):
        edit(str(path), change)
    assert path.read_text().endswith("# saved meanwhile\n")
    assert alone(path)


def test_edits_at_one_time_come_one_after_the_other(path):
    def add(number):
        def change(data, source):
            data["trunks"][f"t{number}"] = {"realm": "inside", "peers": f"10.9.0.{number}"}

        edit(str(path), change)

    threads = [threading.Thread(target=add, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    text = path.read_text()
    assert all(f"  t{number}: " in text for number in range(8))
    assert alone(path)


def test_a_held_lock_is_waited_for_and_then_named(path, monkeypatch):
    monkeypatch.setattr(store, "_WAIT_S", 0.05)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        with pytest.raises(ConfigError, match="another sbc command is changing it"):
            edit(str(path), calls(300))
    finally:
        os.close(folder)
    assert edit(str(path), calls(300)).written
