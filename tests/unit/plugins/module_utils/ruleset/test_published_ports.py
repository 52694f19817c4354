# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The warning of published ports that no flow opens. Tests with real connections are in tests/kernel."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ansible_collections.hpc.ports.plugins.module_utils._linux.conntrack import ConntrackEntry, ConntrackTuple
from ansible_collections.hpc.ports.plugins.module_utils._linux.netlink import NetlinkError
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import parse_policy
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.other_rules import OtherRules
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.published_ports import ends_of, published_warnings
from ansible_collections.hpc.ports.tests.support.samples import policy

DATA = policy(
    ("in", "web", ["443/tcp", "8000-8100/tcp"], ("10.0.0.0/8",)), ("out", "dns", ["53/udp"], ("10.0.0.1/32",))
)
POLICY = parse_policy(DATA)
NAT = "table ip nat, chain PREROUTING translates 3000/tcp to 172.17.0.2:80"


def connection(port: int, source: str = "10.0.0.7", protocol: int = 6, **more: Any) -> ConntrackEntry:
    """A connection to the host that NAT sends to a container."""
    return ConntrackEntry(
        **{
            "there": ConntrackTuple(protocol, source, 50000, "10.0.0.1", port),
            "back": ConntrackTuple(protocol, "172.17.0.2", 80, source, 50000),
            "picked_up": False,
            "is_over": False,
            "is_related": False,
            "master": None,
            "family": 2,
            "name": b"",
            **more,
        }
    )


def warnings(*ports: str, entries: tuple[ConntrackEntry, ...] = (), mode: str = "enforce") -> list[str]:
    found = OtherRules(published=ports, translating=(NAT,))
    return published_warnings(found, POLICY._replace(mode=mode), lambda: entries)


def test_ports_that_a_flow_opens_to_somebody_are_no_reason() -> None:
    assert warnings() == warnings("443/tcp", "8080/tcp") == []


def test_ports_without_a_flow_are_named_with_the_rules() -> None:
    assert warnings("443/tcp", "3000/tcp", "443/udp", "53/udp") == [
        "Rules of other programs publish ports that no flow opens: 3000/tcp, 53/udp, 443/udp. The policy drops "
        "connections to them, except on trusted interfaces. If they are wanted, add a flow with the port that the "
        "peers use; if not, publish the port on 127.0.0.1 or stop the service that publishes it. Rules: "
        f"{NAT}."
    ]
    assert "The policy would drop connections" in warnings("3000/tcp", mode="observe")[0]


def test_who_uses_them_now_is_named_first() -> None:
    straight = connection(3000, back=ConntrackTuple(6, "10.0.0.1", 3000, "10.0.0.7", 50000))
    others = (straight, connection(3000, is_over=True), connection(3000, "127.0.0.1"), connection(3001, protocol=17))
    assert ": 3000-3001/tcp. " in warnings("3000/tcp", "3001/tcp", entries=others)[0]
    users = tuple(connection(3001, f"10.0.0.{number}") for number in (9, 3, 3, 4, 5, 6, 7, 8))
    assert (
        ": 3001/tcp (in use by 10.0.0.3, 10.0.0.4, 10.0.0.5, 10.0.0.6, 10.0.0.7, and 2 more), 3000/tcp. "
        in warnings("3000/tcp", "3001/tcp", entries=users)[0]
    )


def test_peers_that_the_flow_of_a_port_does_not_allow_are_named() -> None:
    users = (connection(8080, "10.9.9.9"), connection(8080, "192.0.2.9"), connection(3000, "192.0.2.9"))
    assert warnings("8080/tcp", entries=users) == [
        "Peers that no flow allows use published ports of this host: 8080/tcp (in use by 192.0.2.9). They cannot "
        "connect again, except on trusted interfaces. If they are wanted, add them to a flow with the port."
    ]
    both = warnings("3000/tcp", "8080/tcp", entries=users)
    assert [text[:5] for text in both] == ["Rules", "Peers"] and "3000/tcp" not in both[1]
    assert warnings("8080/tcp", entries=users[:1]) == []


def test_connections_that_cannot_be_read_are_left_out() -> None:
    def refused() -> Iterator[ConntrackEntry]:
        raise NetlinkError("Operation not permitted")

    assert len(published_warnings(OtherRules(published=("1/tcp",)), POLICY, refused)) == 1


def test_of_ranges_the_ports_that_no_flow_opens_are_named_and_who_uses_them() -> None:
    """Podman publishes a range by one rule: neither its ends nor the flow of one port stand for the others."""
    assert warnings("8000-8100/tcp") == []
    assert ": 7990-7999/tcp, 8101-8110/tcp. " in warnings("7990-8110/tcp")[0]
    users = (connection(8005), connection(8105), connection(8105, protocol=17))
    assert (
        ": 8105/tcp (in use by 10.0.0.7), 8101-8104/tcp, 8106-8110/tcp. " in warnings("8000-8110/tcp", entries=users)[0]
    )


def test_the_result_has_the_ends_of_ranges() -> None:
    assert ends_of(["80/tcp", "90-95/tcp", "95/tcp"]) == ["80/tcp", "90/tcp", "95/tcp"]
    assert len(ends_of([f"{port}-{port + 1}/udp" for port in range(1, 3000, 2)])) == 1000


def test_many_ports_are_counted() -> None:
    assert ", 39/tcp, and 5 more. The policy" in warnings(*(f"{port}/tcp" for port in range(1, 50, 2)))[0]
