"""What a worker leaves to the next one in its slot."""

from __future__ import annotations

import os

from relay.flow_table import ROW_BYTES, FlowTable, Row
from relay.kept_keys import KeptKeys


def test_rows_outlive_the_worker():
    fd = os.memfd_create("test")
    table = FlowTable(fd, 8)
    kept = KeptKeys(*range(1, 10))
    table.begin(4, 3, in_use=True)
    table.latch(4, ("192.0.2.1", 4000))
    table.keep_keys(4, kept)
    table.count(4, (8, 1000, -3, 250, 1, 2, 9, 70_000, 4, 6))
    table.close()
    again = FlowTable(fd, 8)
    found = again.read(4)
    assert (found.generation, found.in_use, found.source) == (3, 1, ("192.0.2.1", 4000))
    assert (found.packets, found.octets, found.lost, found.rtcp_packets) == (8, 1000, -3, 6)
    assert again.keys(4) == kept
    assert again.read(6) == Row()
    assert ROW_BYTES == 128
    assert os.fstat(fd).st_size == 8 * 128
    again.close()
    os.close(fd)


def test_a_row_begins_empty():
    fd = os.memfd_create("test")
    table = FlowTable(fd, 4)
    assert table.read(1).source is None
    table.latch(1, ("2001:db8::1", 5))
    assert table.read(1).source == ("2001:db8::1", 5)
    table.latch(1, ("fe80::1%lo", 5))
    assert table.read(1).source == ("fe80::1", 5)
    table.keep_keys(1, KeptKeys(9))
    table.begin(1, 4, in_use=False)
    assert table.read(1) == Row(generation=4)
    assert table.keys(1) == KeptKeys()
    table.close()
    os.close(fd)
