"""What a worker leaves to the next one in its slot."""

from __future__ import annotations

import os

from relay.flow_table import ROW_BYTES, FlowTable, Row


def test_rows_outlive_the_worker():
    fd = os.memfd_create("test")
    table = FlowTable(fd, 8)
    row = Row(generation=3, in_use=1, packets=7, lost=-2, ssrc=9)
    row.source = ("192.0.2.1", 4000)
    table.write(5, row)
    table.count(5, (8, 1000, -3, 250, 1, 2, 9, 70_000, 4, 6))
    table.close()
    again = FlowTable(fd, 8)
    found = again.read(5)
    assert (found.generation, found.in_use, found.source) == (3, 1, ("192.0.2.1", 4000))
    assert (found.packets, found.octets, found.lost, found.rtcp_packets) == (8, 1000, -3, 6)
    assert again.read(4) == Row()
    assert ROW_BYTES == 128
    assert os.fstat(fd).st_size == 8 * 128
    again.close()
    os.close(fd)


def test_ipv6_and_unlatched_sources():
    row = Row()
    assert row.source is None
    row.source = ("2001:db8::1", 5)
    assert row.source == ("2001:db8::1", 5)
    row.source = None
    assert row == Row()
