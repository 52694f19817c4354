# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who publishes ports by NAT, from listings by nft. See also tests/kernel/test_audit.py."""

from __future__ import annotations

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._linux.nft_outline import BaseChain, TableOutline
from ansible_collections.hpc.ports.plugins.module_utils._model.ports import PortRange
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.other_tables import OtherTables
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.publishers import Publication, published_ports

BASE = "type nat hook prerouting priority dstnat; policy accept;"


def table(head: str, **chains: list[str]) -> str:
    texts = [
        f"\tchain {name.replace('_', '-')} {{\n" + "".join(f"\t\t{rule}\n" for rule in rules) + "\t}\n"
        for name, rules in chains.items()
    ]
    return f"table {head} {{\n{''.join(texts)}}}\n"


def publishers(listing: str) -> list[tuple[str, str]]:
    found = published_ports(lambda: OtherTables(listing, ()), dict)
    assert found.problems == ()
    return [(str(ports), by) for ports, by in found.publications]


@pytest.mark.parametrize(
    "chain,name", [("DOCKER", "Docker"), ("NETAVARK_DN_1", "Podman"), ("CNI_DN_1", "CNI"), ("KUBE_EXT_1", "kube-proxy")]
)
def test_a_chain_of_iptables_tells_who_publishes(chain: str, name: str) -> None:
    rules = {chain: ["tcp dport 8080 dnat to 10.1.0.2:80"], "PREROUTING": [BASE, f"jump {chain.replace('_', '-')}"]}
    assert publishers(table("ip nat", **rules)) == [("8080/tcp", name)]


@pytest.mark.parametrize("own,name", [("inet netavark", "Podman"), ("ip kube-proxy", "kube-proxy")])
def test_a_table_tells_who_publishes(own: str, name: str) -> None:
    assert publishers(table(own, x=[BASE, "udp dport 53 dnat to 10.1.0.2"])) == [("53/udp", name)]


def test_other_rules_are_named_by_table_and_chain_and_the_first_one_counts() -> None:
    rules = [BASE, "tcp dport 8000-8010 redirect to :80", "jump DOCKER"]
    listing = table("ip nat", pre=rules, DOCKER=["tcp dport 8000-8010 dnat to 10.1.0.2"])
    assert publishers(listing) == [("8000-8010/tcp", "table ip nat, chain pre")]


def test_a_port_in_a_map_is_published_by_whom_the_table_is() -> None:
    listing = (
        "table ip kube-proxy {\n\tmap service-nodeports {\n\t\ttype inet_proto . inet_service : verdict\n"
        "\t\telements = { tcp . 30080 : goto service }\n\t}\n"
        f"\tchain pre {{\n\t\t{BASE}\n\t\tmeta l4proto . th dport vmap @service-nodeports\n\t}}\n"
        "\tchain service {\n\t\tdnat to 10.1.0.2:80\n\t}\n}\n"
    )
    assert publishers(listing) == [("30080/tcp", "kube-proxy")]


def unread(kind: str = "nat") -> OtherTables:
    return OtherTables("", (TableOutline("ip", "nat", (BaseChain("c", kind, "prerouting", "accept", 3000),), 3000),))


def test_what_cannot_be_read_is_a_problem() -> None:
    def fails() -> OtherTables:
        raise RuntimeError("Missing program nft.")

    assert published_ports(fails, dict).problems == ("Cannot read who publishes ports by NAT: Missing program nft.",)
    assert published_ports(unread, dict).problems == (
        "Not all ports that NAT publishes are listed: table ip nat has too many rules.",
    )
    assert published_ports(lambda: unread("filter"), dict).problems == ()
    legacy = {"IPv4": ("filter", "nat"), "IPv6": ()}
    assert published_ports(lambda: OtherTables("", ()), lambda: legacy).problems == (
        "Ports that rules of iptables-legacy publish are not listed.",
    )
    assert published_ports(lambda: OtherTables("", ()), lambda: {"IPv4": ("filter",)}).problems == ()


def test_ports_are_ranges() -> None:
    listing = table("ip nat", DOCKER=[BASE, "tcp dport 1-9 dnat to 10.1.0.2"])
    assert published_ports(lambda: OtherTables(listing, ()), dict).publications == (
        Publication(PortRange("tcp", 1, 9), "Docker"),
    )
