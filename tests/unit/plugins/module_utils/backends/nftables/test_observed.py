# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the elements of the kernel to records; tests/kernel fills the sets with packets."""

from __future__ import annotations

import socket
import struct

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._backends.nft_listing import parse_listing, without_records
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables.observed import Kernel, Record, observed
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables.records import SECONDS, SINCE_SECONDS
from ansible_collections.hpc.ports.plugins.module_utils._linux.netlink import NetlinkError
from ansible_collections.hpc.ports.plugins.module_utils._linux.nft_elements import Element

V4, V6 = socket.inet_aton("10.0.0.7"), socket.inet_pton(socket.AF_INET6, "fd64::7")


def element(*parts: bytes, packets: int = 1, age: float = 0) -> Element:
    return Element(b"".join(part.ljust(-(-len(part) // 4) * 4, b"\0") for part in parts), packets, SECONDS - age)


def number(form: str, value: int) -> bytes:
    return struct.pack(form, value)


TCP, OSPF, PORT = number("!B", 6), number("!B", 89), number("!H", 8649)
SINCE = Element(bytes(4), 0, SINCE_SECONDS - 500.5)
SETS = {
    "observed_since": [SINCE],
    "observed_in_v4": [element(V4, TCP, PORT, packets=3, age=9.9)],
    "observed_out_v6": [element(V6, number("!B", 17), PORT, age=7)],
    "observed_out_ip_v4": [element(V4, OSPF, age=8)],
    "observed_forward_v6": [element(V6, V6, TCP, PORT, age=-0.1)] * 2,
}
RECORDS = (
    Record("forward", "fd64::7", "fd64::7", "tcp", 8649, 1, 0),
    Record("out", "fd64::7", "", "udp", 8649, 1, 7),
    Record("out", "10.0.0.7", "", "ip", 89, 1, 8),
    Record("in", "10.0.0.7", "", "tcp", 8649, 3, 9),
)


def kernel(table: str, sets: dict[str, list[Element]] | None = None) -> Kernel:
    """Return a kernel that has these sets in this table."""
    found = SETS if sets is None else sets
    return Kernel(
        lambda asked, name: found.get(name, []) if asked == ("inet", table) else [],
        lambda asked: {"unrecorded_in": 5, "denied_in": 9} if asked == ("inet", table) else {},
    )


@pytest.mark.parametrize("table", ["hpc_ports", "hpc_ports_published"])
def test_records_of_either_table(table: str) -> None:
    found = observed(10, kernel(table))
    assert found.records == RECORDS
    assert (found.left_out, found.unrecorded, found.seconds) == (0, {"in": 5, "out": 0, "forward": 0}, 499 + 1)
    data = found.as_data()
    assert data["observes"] and data["records"][3] == {
        "direction": "in",
        "peer": "10.0.0.7",
        "target": "",
        "protocol": "tcp",
        "port": 8649,
        "packets": 3,
        "last_seconds": 9,
    }


def test_the_latest_come_first_and_the_others_are_counted() -> None:
    found = observed(1, kernel("hpc_ports"))
    assert (found.records, found.left_out) == (RECORDS[:1], 3)


def test_a_host_that_does_not_observe() -> None:
    found = observed(10, kernel("hpc_ports", {}))
    assert (found.records, found.seconds, found.as_data()["observes"]) == ((), None, False)


def test_a_key_of_another_form_is_an_error() -> None:
    with pytest.raises(NetlinkError, match="observed_in_v4"):
        observed(10, kernel("hpc_ports", {**SETS, "observed_in_v4": [element(V4, TCP)]}))


# ---- the listing of a table with records

LISTING = """\
table inet hpc_ports {{
\tset observed_in_v4 {{
\t\ttype ipv4_addr . inet_proto . inet_service
\t\tsize 8192
\t\tflags dynamic,timeout
{}\t}}

\tset in_web_v4 {{
\t\ttype ipv4_addr
\t\telements = {{ 10.0.0.1,
\t\t\t     10.0.0.2 }}
\t}}

\tchain arriving {{
\t\tupdate @observed_in_v4 {{ ip saddr . meta l4proto . tcp dport counter }} accept
\t}}
}}
"""
ELEMENTS = """\
\t\telements = { 10.0.0.1 . tcp . 22 counter packets 1 bytes 60 expires 29d,
\t\t\t     10.0.0.2 . tcp . 22 counter packets 1 bytes 60 expires 29d }
"""


def test_a_listing_has_no_records() -> None:
    without = LISTING.format("")
    assert without_records(LISTING.format(ELEMENTS)) == without == without_records(without)
    state = parse_listing(LISTING.format(ELEMENTS))
    assert state == parse_listing(without)
    assert state["set in_web_v4"] == ("type ipv4_addr", "element 10.0.0.1", "element 10.0.0.2")
