# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Echo requests and ICMP errors."""

from __future__ import annotations

import socket
import struct

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._probe import icmp
from ansible_collections.hpc.ports.plugins.module_utils._probe.icmp import EchoResult, Notice, echo


@pytest.mark.parametrize(
    "version,kind,code,prohibition,port_unreachable",
    [
        (4, 3, 0, False, False),
        (4, 3, 1, False, False),
        (4, 3, 3, False, True),
        (4, 3, 9, True, False),
        (4, 3, 10, True, False),
        (4, 3, 13, True, False),
        (4, 11, 0, False, False),
        (6, 1, 0, False, False),
        (6, 1, 1, True, False),
        (6, 1, 3, False, False),
        (6, 1, 4, False, True),
        (6, 1, 5, True, False),
        (6, 1, 6, True, False),
        (6, 3, 3, False, False),
    ],
)
def test_kinds_of_icmp_errors(version: int, kind: int, code: int, prohibition: bool, port_unreachable: bool) -> None:
    notice = Notice("10.0.0.254", version, kind, code)
    assert (notice.is_prohibition, notice.is_port_unreachable) == (prohibition, port_unreachable)


class QueueSocket:
    """A socket whose error queue has one message."""

    def __init__(self, level: int, kind: int, origin: int, code: int, offender: bytes) -> None:
        data = struct.pack("=IBBBBII", 113, origin, 3, code, 0, 0, 0) + offender
        self.message = (b"", [(level, kind, data)], 0, None)

    def recvmsg(self, *arguments: int) -> object:
        return self.message


OFFENDER4 = struct.pack("=HH4s8x", socket.AF_INET, 0, socket.inet_aton("10.0.0.254"))
OFFENDER6 = struct.pack("=HHI16sI", socket.AF_INET6, 0, 0, socket.inet_pton(socket.AF_INET6, "fd00::fe"), 0)


@pytest.mark.parametrize(
    "level,kind,origin,offender,notice",
    [
        (socket.IPPROTO_IP, 11, 2, OFFENDER4, Notice("10.0.0.254", 4, 3, 13)),
        (socket.IPPROTO_IPV6, 25, 3, OFFENDER6, Notice("fd00::fe", 6, 3, 13)),
        (socket.IPPROTO_IP, 11, 1, OFFENDER4, None),  # a local error: nobody has sent it
        (socket.IPPROTO_IP, 8, 2, OFFENDER4, None),  # something else than an error
    ],
)
def test_the_notice_of_a_socket(level: int, kind: int, origin: int, offender: bytes, notice: Notice | None) -> None:
    sock = QueueSocket(level, kind, origin, 13, offender)
    assert icmp.notice_of(sock) == notice  # type: ignore[arg-type]


def test_a_socket_without_an_error_has_no_notice() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        icmp.ask_for_notices(sock)
        assert icmp.notice_of(sock) is None


def test_the_checksum_of_a_request() -> None:
    """RFC 1071: the sum over all, the checksum included, is 0xFFFF."""
    request = icmp.request(4, 0x1234, 7)
    total = sum(struct.unpack("!4H", request))
    assert (total >> 16) + (total & 0xFFFF) == 0xFFFF
    assert (request[0], icmp.request(6, 0x1234, 7)[0]) == (8, 128)


@pytest.mark.parametrize("kind,identity,is_reply", [(0, 7, True), (0, 8, False), (8, 7, False), (3, 7, False)])
def test_only_our_own_reply_counts(kind: int, identity: int, is_reply: bool) -> None:
    body = struct.pack("!BBHHH", kind, 0, 0, identity, 1)
    header = b"\x46" + bytes(23)  # 24 bytes: with an option
    assert icmp.is_reply(header + body, 4, 7) is is_reply
    assert icmp.is_reply(struct.pack("!BBHHH", kind and kind + 120 or 129, 0, 0, identity, 1), 6, 7) is is_reply


def test_without_addresses_nothing_is_sent() -> None:
    assert echo([], 1.0, 3) == {}


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_without_a_raw_socket_reachability_is_unknown(address: str) -> None:
    def refused(version: int) -> socket.socket:
        raise PermissionError(1, "Operation not permitted")

    assert echo([address], 1.0, 3, refused) == {
        address: EchoResult(None, "Cannot send an echo: Operation not permitted.")
    }
