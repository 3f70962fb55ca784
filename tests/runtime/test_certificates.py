"""Certificate files that change under a running border are read anew, and told of if bad."""

from __future__ import annotations

import logging

import trio

from sbc.errors import TransportError
from sbc.runtime.certificates import Certificates


class Files:
    """What `TlsContexts` is to the watch."""

    def __init__(self) -> None:
        self.needed = True
        self.new = False
        self.bad = ""
        self.read = 0
        self.looked = 0

    def changed(self) -> bool:
        self.looked += 1
        return self.new

    def reload(self) -> bool:
        if self.bad:
            raise TransportError(self.bad)
        self.read += 1
        changed, self.new = self.new, False
        return changed


async def until(condition) -> None:
    with trio.fail_after(5):
        while not condition():  # noqa: ASYNC110
            await trio.sleep(0.005)


async def test_files_that_change_are_read_anew_by_themselves() -> None:
    files = Files()
    watch = Certificates(files, 0.02)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch.run)
        await until(lambda: files.looked > 2)
        assert files.read == 0
        files.new = True
        await until(lambda: files.read == 1)
        nursery.cancel_scope.cancel()


async def test_a_bad_file_is_told_once_and_tried_again(caplog) -> None:
    files = Files()
    watch = Certificates(files, 0.02)
    files.new, files.bad = True, "now.key: expected a private key"
    with caplog.at_level(logging.INFO):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch.run)
            await until(lambda: files.looked > 3)
            assert files.read == 0
            files.bad = ""
            await until(lambda: files.read == 1)
            nursery.cancel_scope.cancel()
    told = [one.getMessage() for one in caplog.records]
    assert [one.partition(" ")[0] for one in told] == ["tls.not_reloaded", "tls.reloaded"]
    assert "now.key: expected a private key; the old certificates go on" in told[0]


async def test_an_operator_is_told_what_came_of_it() -> None:
    files = Files()
    watch = Certificates(files, 60.0)
    assert await watch.reload() == (True, "certificates: read anew, nothing has changed")
    files.new = True
    assert await watch.reload() == (True, "certificates: read anew")
    files.bad = "now.pem: No such file"
    assert await watch.reload() == (
        False,
        "now.pem: No such file (the old certificates go on serving)",
    )
    files.needed = False
    good, text = await watch.reload()
    assert good
    assert "no tls listener" in text
    await watch.run()
