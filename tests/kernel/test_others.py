# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report about rules of other programs, and real packets that confirm it."""

from __future__ import annotations

import itertools
import socket
from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables import ruleset
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import parse_policy
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.other_rules import OtherRules, other_rules, warnings_of
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.published_ports import published_warnings
from ansible_collections.hpc.ports.tests.support.machine import Machine
from ansible_collections.hpc.ports.tests.support.namespaces import HOST
from ansible_collections.hpc.ports.tests.support.packets import Opening
from ansible_collections.hpc.ports.tests.support.published import CONTAINER, with_container
from ansible_collections.hpc.ports.tests.support.samples import SSH, WEB, policy
from ansible_collections.hpc.ports.tests.support.verdicts import joined

CLIENT = "10.64.9.9"
NOTHING = OtherRules((), ())
OWN = {"addresses": [HOST[4]]}
ALLOWED = {**policy(SSH, WEB), **OWN}  # Any address may connect to 443/tcp.


@pytest.fixture(name="host")
def _host(machine: Machine) -> Machine:
    """The host with a ruleset of ours, and nothing else."""
    machine.nft(ruleset.script_of(ruleset.ruleset_of(parse_policy(ALLOWED))))
    assert found_on(machine) == NOTHING
    assert answer(machine, 443) == "refused"
    return machine


def found_on(machine: Machine) -> OtherRules:
    """Return the report about the host, which is not changed."""
    before = machine.listing(), machine.generation()
    with machine.host.entered():
        found = other_rules()
    assert (machine.listing(), machine.generation()) == before
    return found


_source_ports = itertools.count(20_000)


def answer(machine: Machine, port: int, source: str = CLIENT, target: str = HOST[4]) -> str:
    """What becomes of a connection from the peer: refused (nobody listens, but the packet came there) or filtered."""
    with joined(machine.pair) as wires:
        opening = Opening("tcp", source, target, port, next(_source_ports))
        return "refused" if wires.inward.answered([opening]) else "filtered"


# ---- what drops

FAIL2BAN = """
table inet f2b-table {
  set addr-set-sshd { type ipv4_addr; elements = { 10.64.9.8 }; }
  chain f2b-chain {
    type filter hook input priority filter - 1; policy accept
    tcp dport { 22, 443 } ip saddr @addr-set-sshd drop
  }
}
"""


def test_fail2ban_drops_whom_ours_allows(host: Machine) -> None:
    host.nft(FAIL2BAN)
    assert found_on(host) == OtherRules(
        (
            "table inet f2b-table, chain f2b-chain (hook input): drops by 1 rule ('tcp dport { 22, 443 } ip saddr "
            "@addr-set-sshd drop')",
        ),
        (),
    )
    assert [answer(host, 443, source) for source in ("10.64.9.8", CLIENT)] == ["filtered", "refused"]


UFW = """
iptables-nft -N ufw-before-input
iptables-nft -N ufw-user-input
iptables-nft -A INPUT -j ufw-before-input
iptables-nft -A ufw-before-input -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
iptables-nft -A ufw-before-input -p icmp -j ACCEPT
iptables-nft -A ufw-before-input -g ufw-user-input
iptables-nft -A ufw-user-input -p tcp --dport 22 -m comment --comment "'dapp_OpenSSH' { drop }" -j ACCEPT
iptables-nft -A ufw-user-input -p tcp -m multiport --dports 80,8443 -j REJECT --reject-with tcp-reset
iptables-nft -A ufw-user-input -m limit --limit 3/min -j LOG --log-prefix "[UFW BLOCK] drop "
iptables-nft -P INPUT DROP
"""


def test_ufw_drops_what_it_was_not_told_of(host: Machine) -> None:
    host.host.shell(UFW)
    found = found_on(host)
    [text] = found.dropping
    assert found.bypassing == ()
    assert text.startswith("table ip filter, chain INPUT (hook input): drops by policy, and rejects by 1 rule ('")
    assert [answer(host, 443), answer(host, 22)] == ["filtered", "refused"]
    host.host.shell("iptables-nft -I INPUT -p tcp --dport 443 -j ACCEPT")
    assert answer(host, 443) == "refused"


@pytest.mark.parametrize(
    "head, hook, rule",
    [
        ("inet x", "prerouting", "tcp dport 443 drop"),
        ("netdev x", 'ingress device "eth0"', "tcp dport 443 drop"),
        ("inet x", 'ingress device "eth0"', "tcp dport 443 drop"),
        ("inet x", "input", "tcp dport vmap { 443 : drop, 444 : accept }"),
        ("ip x", "output", "tcp sport 443 drop"),
        ("ip x", "postrouting", "tcp sport 443 drop"),
    ],
)
def test_a_drop_at_any_hook_counts(host: Machine, head: str, hook: str, rule: str) -> None:
    host.nft(f"table {head} {{\n chain c {{\n type filter hook {hook} priority 50\n {rule}\n }}\n}}\n")
    assert found_on(host).dropping == (f"table {head}, chain c (hook {hook.split()[0]}): drops by 1 rule ({rule!r})",)
    assert answer(host, 443) == "filtered"


def test_a_dormant_table_drops_nothing(host: Machine) -> None:
    host.nft("table ip x {\n flags dormant\n chain c {\n type filter hook input priority 0; policy drop\n }\n}\n")
    assert found_on(host) == NOTHING
    assert answer(host, 443) == "refused"


def test_nothing_comes_behind_an_accept_of_all(host: Machine) -> None:
    host.nft("table ip x {\n chain c {\n type filter hook input priority 0; policy drop\n accept\n drop\n }\n}\n")
    assert found_on(host) == NOTHING
    assert answer(host, 443) == "refused"


# ---- what is too large

MANY = 100  # chains, each with as many rules
_MANY_DROPS = " tcp dport 443 ip saddr 203.0.113.1 drop;" * MANY
LARGE = f"""
table ip kube {{
  map services {{ type ipv4_addr : verdict; }}
  chain input {{ type filter hook input priority 5; policy accept; jump c0; }}
  chain nat {{ type nat hook prerouting priority dstnat; policy accept; ip daddr vmap @services; }}
  chain forward {{ type filter hook forward priority 5; policy drop; jump c0; }}
{chr(10).join(f"chain c{number} {{{_MANY_DROPS}}}" for number in range(MANY))}
}}
"""
SMALL = """
table ip small {
  chain c { type filter hook input priority 6; tcp dport { 80, 443 } ip saddr @listed drop; tcp dport vmap @ports; }
  set listed { type ipv4_addr; elements = { 198.51.100.1, 198.51.100.2 }; }
  map ports { type inet_service : verdict; elements = { 81 : drop, 82 : accept }; }
}
"""


def test_a_large_table_is_told_of_by_its_base_chains_and_the_others_by_their_rules(host: Machine) -> None:
    forward(host)
    host.nft(LARGE)
    found = found_on(host)
    unread = "rules that were not read, because the other tables of this host have more than 2000 rules and jumps"
    large = OtherRules(
        (f"table ip kube, chain input (hook input): may drop by {unread}",),
        ("forwarded IPv4 (net.ipv4.ip_forward is 1), filtered by table ip kube, chain forward (drops by policy)",),
        translating=(f"table ip kube, chain nat may translate by {unread}",),
    )
    assert found == large
    host.nft(SMALL)
    assert found_on(host) == large._replace(
        dropping=(
            "table ip small, chain c (hook input): drops by 2 rules "
            "(first 'tcp dport { 80, 443 } ip saddr @listed drop')",
            *large.dropping,
        )
    )


SPREAD = {
    "a set within a rule": "chain c { type filter hook input priority 5; ip saddr { ADDRESSES } drop; }",
    "a map of verdicts": "map m { type ipv4_addr : verdict; elements = { DROPS }; }\n"
    "chain c { type filter hook input priority 5; ip saddr vmap @m; }",
    "a dormant table": "flags dormant;\nchain c { type filter hook input priority 5; ip saddr { ADDRESSES } drop; }",
    "a plain set": "set s { type ipv4_addr; elements = { ADDRESSES }; }\n"
    "chain c { type filter hook input priority 5; ip saddr @s drop; }",
}


@pytest.mark.parametrize("kind", SPREAD)
@pytest.mark.parametrize("count", [100, 3_000])
def test_what_counts_as_large(host: Machine, kind: str, count: int) -> None:
    addresses = [f"198.51.{number // 250}.{number % 250}" for number in range(count)]
    body = (
        SPREAD[kind]
        .replace("ADDRESSES", ", ".join(addresses))
        .replace("DROPS", ", ".join(f"{address} : drop" for address in addresses))
    )
    host.nft(f"table ip x {{\n{body}\n}}\n")
    told = found_on(host).dropping
    if kind == "a dormant table":
        assert told == ()
    else:
        assert [("not read" in text) for text in told] == [count > 2_000 and kind != "a plain set"]


# ---- what is published

# 10.200.0.1 is an address of the peer; here it stands for a container.
DOCKER = """
table ip nat {
  chain DOCKER {
    iifname "docker0" counter return
    iifname != "docker0" tcp dport 8080 counter dnat to 10.200.0.1:80
  }
  chain PREROUTING {
    type nat hook prerouting priority dstnat; policy accept
    fib daddr type local counter jump DOCKER
  }
  chain POSTROUTING {
    type nat hook postrouting priority srcnat; policy accept
    counter masquerade
  }
}
table ip filter {
  chain FORWARD {
    type filter hook forward priority filter; policy accept
  }
}
"""
DOCKER_IPTABLES = """
iptables-nft -t nat -N DOCKER
iptables-nft -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
iptables-nft -t nat -A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.200.0.1:80
iptables-nft -t nat -A POSTROUTING -j MASQUERADE
iptables-nft -P FORWARD ACCEPT
"""
FORWARDED = ("forwarded IPv4 (net.ipv4.ip_forward is 1), filtered by table ip filter, chain FORWARD",)


def forward(machine: Machine) -> None:
    machine.host.shell("echo 1 > /proc/sys/net/ipv4/ip_forward")


# Opens the published port to one peer.
PUBLISHED = {**policy(SSH, WEB, ("in", "box", ["8080/tcp"], ("10.64.9.0/28",))), **OWN}
PEER = "10.64.9.8"


def load(machine: Machine, data: dict[str, Any]) -> None:
    """Give the host a ruleset of ours."""
    machine.nft(ruleset.script_of(ruleset.ruleset_of(parse_policy(data))))


def test_a_published_port_is_a_port_of_the_host(host: Machine) -> None:
    forward(host)
    host.nft(DOCKER)
    found = OtherRules(
        (), FORWARDED, ("8080/tcp",), ("table ip nat, chain PREROUTING translates 8080/tcp to 10.200.0.1:80",)
    )
    assert found_on(host) == found
    assert [answer(host, 8080, source) for source in (CLIENT, "10.65.0.1")] == ["filtered", "filtered"]
    assert unopened(host, ALLOWED) != []
    load(host, PUBLISHED)
    assert [answer(host, 8080, source) for source in (PEER, "10.65.0.1")] == ["refused", "filtered"]
    assert found_on(host) == found
    assert unopened(host, PUBLISHED) == []


def test_a_published_port_of_iptables_is_a_port_of_the_host(host: Machine) -> None:
    forward(host)
    host.host.shell(DOCKER_IPTABLES)
    found = found_on(host)
    assert (found.dropping, found.bypassing, found.published) == ((), FORWARDED, ("8080/tcp",))
    assert found.translating[0].startswith("table ip nat, chain PREROUTING translates 8080/tcp")
    assert answer(host, 8080, PEER) == "filtered"
    load(host, PUBLISHED)
    assert [answer(host, 8080, source) for source in (PEER, "10.65.0.1")] == ["refused", "filtered"]


def test_only_without_our_table_a_published_port_is_open_to_all(host: Machine) -> None:
    forward(host)
    host.nft(DOCKER)
    host.nft("delete table inet hpc_ports\n")
    assert answer(host, 8080, "10.65.0.1") == "refused"


def unopened(machine: Machine, data: dict[str, Any]) -> list[str]:
    """Return the warning of published ports that no flow opens."""
    with machine.host.entered():
        return published_warnings(other_rules(), parse_policy(data))


def test_who_uses_a_published_port_is_named_before_the_first_run(machine: Machine) -> None:
    """A host without rules of ours."""
    forward(machine)
    machine.nft(DOCKER)
    with machine.pair.peer.entered(), socket.create_server(("10.200.0.1", 80)), socket.socket() as client:
        client.settimeout(30)
        client.bind((CLIENT, 0))
        client.connect((HOST[4], 8080))
        [text] = unopened(machine, ALLOWED)
    assert f" 8080/tcp (in use by {CLIENT}). The policy drops connections" in text
    assert text.endswith("Rules: table ip nat, chain PREROUTING translates 8080/tcp to 10.200.0.1:80.")


@pytest.mark.parametrize(
    "port, target, text, expected",
    [
        (443, "redirect to :25", "25", "refused"),
        (81, "redirect to :443", "443", "filtered"),
        (81, "redirect to :25", "25", "filtered"),
    ],
)
def test_what_is_redirected_on_the_host_is_judged_at_the_port_that_the_peer_used(
    host: Machine, port: int, target: str, text: str, expected: str
) -> None:
    host.nft(
        "table ip x {\n chain c {\n type nat hook prerouting priority dstnat; policy accept\n"
        f" tcp dport {port} {target}\n }}\n}}\n"
    )
    assert found_on(host) == OtherRules(
        published=(f"{port}/tcp",),
        translating=(f"table ip x, chain c translates {port}/tcp to port {text} of this host",),
    )
    assert answer(host, port) == expected


KUBE_PROXY = """
table ip kube-proxy {
  chain endpoint-A { meta l4proto tcp dnat to 10.200.0.1:6443; }
  chain service-A { ip daddr 10.96.0.1 tcp dport 443 numgen random mod 1 vmap { 0 : goto endpoint-A }; }
  map service-ips {
    type ipv4_addr . inet_proto . inet_service : verdict
    elements = { 10.96.0.1 . tcp . 443 comment "default/kubernetes:https" : goto service-A }
  }
  map no-endpoint-services {
    type ipv4_addr . inet_proto . inet_service : verdict
    elements = { 192.0.2.1 . tcp . 443 comment "a, {b}" : drop }
  }
  chain services { ip daddr . meta l4proto . tcp dport vmap @service-ips; }
  chain nat-prerouting { type nat hook prerouting priority dstnat; jump services; }
  chain nat-postrouting { type nat hook postrouting priority srcnat; masquerade; }
  chain filter-input {
    type filter hook input priority -110
    ct state new ip daddr . meta l4proto . tcp dport vmap @no-endpoint-services
  }
}
"""


def test_kube_proxy_is_followed_through_its_maps(host: Machine) -> None:
    """What is routed to the address of a service, which is not the host's, is not judged, as no other forwarding is."""
    forward(host)
    host.nft(KUBE_PROXY)
    found = found_on(host)
    [dropping] = found.dropping
    assert dropping.startswith(
        "table ip kube-proxy, chain filter-input (hook input): drops by 1 rule ('elements = { 192.0.2.1 . tcp . 443 "
    )
    assert found.translating == ("table ip kube-proxy, chain nat-prerouting translates to 10.200.0.1:6443",)
    [bypassing] = found.bypassing
    assert bypassing.startswith("forwarded IPv4 ")
    assert answer(host, 443) == "filtered"
    host.pair.peer.shell("ip route add 10.96.0.1 via 192.0.2.1")
    assert answer(host, 443, target="10.96.0.1") == "refused"
    assert "The flows do not cover all traffic of this host: forwarded IPv4 " in warnings_of(found_on(host))[1]


def test_what_is_routed_straight_to_a_container_bypasses_the_flows(host: Machine) -> None:
    """It is reported as forwarded traffic."""
    with with_container(host.pair):
        host.pair.peer.shell(f"ip route add {CONTAINER[4]} via {HOST[4]}")
        assert answer(host, 8080, target=CONTAINER[4]) == "refused"
        assert found_on(host).bypassing[0] == (
            "forwarded IPv4 (net.ipv4.ip_forward is 1), filtered by no chain that nft lists"
        )


def test_forwarding_of_ipv6_is_told(host: Machine) -> None:
    host.host.shell("echo 1 > /proc/sys/net/ipv6/conf/all/forwarding")
    found = found_on(host)
    [bypassing] = found.bypassing
    assert not found.dropping and bypassing.startswith("forwarded IPv6 ")


def test_rules_of_iptables_legacy_are_seen_though_nft_does_not_list_them(host: Machine) -> None:
    """Ours judge before theirs translate."""
    host.host.shell(
        "iptables-legacy -A INPUT -p tcp --dport 444 -j DROP\n"
        "iptables-legacy -t nat -A PREROUTING -p tcp --dport 8080 -j REDIRECT --to-port 22\n"
        "iptables-legacy -t nat -A PREROUTING -p tcp --dport 443 -j REDIRECT --to-port 9"
    )
    found = found_on(host)
    [text] = found.dropping
    assert sorted(text.replace(",", " ").replace(")", " ").split()) == sorted(
        ["iptables-legacy", "(tables", "filter", "nat", "which", "nft", "does", "not", "list"]
    )
    assert (found.bypassing, found.published, found.translating) == ((), (), (text,))
    # Port 22 is open to this peer, and the peer asks for 8080; port 443 is open to all, and leads to 9.
    assert [answer(host, 443), answer(host, 8080)] == ["refused", "filtered"]
