"""Ports bound in blocks, parked and copied out again."""

from __future__ import annotations

import dataclasses
import os
import socket

import pytest

from relay.port_blocks import AddressError, PortRange, check_address, park
from tests.relay.pool.harness import bound_udp_ports


def parked(ports: PortRange):
    bound = ports.bind()
    assert bound is not None
    numbers, sockets = bound
    media = ports.media
    return park(sockets, block_id=1, realm=media.realm, address=media.address, ports=numbers, row=0)


def test_a_parked_block_is_bound_without_descriptors_of_ours(media):
    before = len(os.listdir("/proc/self/fd"))
    block = parked(PortRange(media, 1))
    assert len(os.listdir("/proc/self/fd")) == before + 1
    assert bound_udp_ports(media.address) == set(range(21000, 21064))
    block.close()
    assert not bound_udp_ports(media.address)


def test_copies_can_be_taken_again_and_again(media):
    block = parked(PortRange(media, 1))
    for _ in range(3):
        descriptors = block.fetch()
        assert len(descriptors) == 64
        for port, descriptor in enumerate(descriptors, 21000):
            with socket.socket(fileno=descriptor) as one:
                assert one.getsockname() == (media.address, port)
                assert not os.get_blocking(descriptor)
                assert one.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT) == 0
    block.close()


def test_what_comes_to_a_parked_socket_is_read_from_its_copy(media):
    block = parked(PortRange(media, 1))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.sendto(b"early", (media.address, 21000))
    copies = [socket.socket(fileno=descriptor) for descriptor in block.fetch()]
    assert copies[0].recv(16) == b"early"
    for one in copies:
        one.close()
    block.close()


def test_a_block_that_is_held_by_others_is_skipped(media):
    small = dataclasses.replace(media, port_max=21007)
    ports = PortRange(small, 2)
    assert ports.blocks == 2
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind((media.address, 21001))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as another:
            another.bind((media.address, 21002))
            bound = ports.bind()
    assert bound is not None
    assert bound[0] == (21004, 21006)
    assert ports.taken == 2
    assert ports.bind() is None
    for one in bound[1]:
        one.close()


def test_a_half_bound_pair_is_let_go(media):
    pair = dataclasses.replace(media, port_max=21001)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind((media.address, 21001))
        assert PortRange(pair, 1).bind() is None
        assert bound_udp_ports(media.address) == {21001}


def test_adopted_ports_are_not_bound_again(media):
    ports = PortRange(media, 1)
    ports.exclude((21066, 21068))
    first, second = ports.bind(), ports.bind()
    assert first is not None
    assert second is not None
    assert first[0][0] == 21000
    assert second[0][0] == 21128
    assert ports.blocks == 1
    for one in first[1] + second[1]:
        one.close()


@pytest.mark.parametrize(("pairs", "workers", "block"), [(128, 1, 32), (6, 2, 3), (1, 4, 1)])
def test_small_ranges_have_small_blocks(media, pairs, workers, block):
    small = dataclasses.replace(media, port_max=media.port_min + 2 * pairs - 1)
    assert PortRange(small, workers).block_pairs == block


def test_an_address_that_is_not_ours_is_named(media):
    other = dataclasses.replace(media, address="192.0.2.1")
    with pytest.raises(AddressError, match=r"192\.0\.2\.1 of realm outside: not an address of"):
        check_address(other)
    with pytest.raises(AddressError, match="not an address of this machine"):
        PortRange(other, 1).bind()
    assert check_address(media) is None
