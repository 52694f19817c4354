# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Findings about rules of other programs, from listings by nft 0.9.8, 1.0.6 and 1.1.3."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._linux.command import CommandError, Run
from ansible_collections.hpc.ports.plugins.module_utils._linux.nft_listings import ListingCache
from ansible_collections.hpc.ports.plugins.module_utils._linux.nft_outline import BaseChain, TableContents, TableOutline
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.other_rules import (
    KernelRules,
    OtherRules,
    other_rules,
    other_rules_in,
    warnings_of,
)
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.other_tables import TableReaders
from hypothesis import given
from hypothesis import strategies as st

GOLDEN = Path(__file__).parents[3] / "golden"


def table(*chains: str, head: str = "ip x") -> str:
    return f"table {head} {{\n" + "\n".join(chains) + "}\n"


def chain(name: str, *rules: str) -> str:
    return f"\tchain {name} {{\n" + "".join(f"\t\t{rule}\n" for rule in rules) + "\t}\n"


def base(name: str, hook: str, *rules: str, policy: str = "accept", kind: str = "filter") -> str:
    return chain(name, f"type {kind} hook {hook} priority filter; policy {policy};", *rules)


def listed(sample: str) -> str:
    """Return a listing as nft indents it; a ~ stands for a space at the end of a line."""
    return sample.replace("    ", "\t").replace("~\n", " \n")


def dropping(*chains: str, head: str = "ip x") -> tuple[str, ...]:
    return other_rules_in(KernelRules(table(*chains, head=head))).dropping


def by_rule(rule: str, hook: str = "input") -> list[str]:
    """Return the findings about a chain with this rule, without the name of the chain."""
    return [text.removeprefix(f"table ip x, chain c (hook {hook}): ") for text in dropping(base("c", hook, rule))]


def translated(rule: str) -> list[str]:
    found = other_rules_in(KernelRules(table(base("c", "prerouting", rule, kind="nat")))).translating
    return [text.removeprefix("table ip x, chain c ") for text in found]


# ---- whole tables, as the versions of nft list them

# iptables-nft 1.8.9, as ufw, Docker and kube-proxy use it.
UFW = {
    "0.9.8": """\
table ip filter {
    chain INPUT {
        type filter hook input priority filter; policy drop;
        counter jump ufw-before-input
        udp dport 98 counter queue num 3~
    }

    chain ufw-before-input {
        ct state invalid counter drop
        counter goto ufw-user-input
    }

    chain ufw-user-input {
        meta l4proto tcp tcp dport { 80,443}  counter reject
        tcp dport 22 limit rate 3/minute counter log prefix "[UFW BLOCK] drop "
        tcp dport 23  counter accept
        tcp dport 24 counter reject with tcp reset
    }
}
table ip nat {
    chain DOCKER {
        iifname "docker0" counter return
        iifname != "docker0" tcp dport 8080 counter dnat to 172.17.0.2:80
        meta l4proto tcp tcp dport { 1000,2000-2010} counter dnat to 172.17.0.4
        tcp dport 81 counter redirect to :8081
    }

    chain PREROUTING {
        type nat hook prerouting priority dstnat; policy accept;
        fib daddr type local counter jump DOCKER
    }

    chain POSTROUTING {
        type nat hook postrouting priority srcnat; policy accept;
        oifname != "docker0" ip saddr 172.17.0.0/16 counter masquerade~
    }
}
table ip mangle {
    chain PREROUTING {
        type filter hook prerouting priority mangle; policy accept;
        tcp dport 99 counter # TPROXY redirect 127.0.0.1:3129 mark 0x0/0x0
    }
}
""",
    # On a host that lacks the extensions of iptables.
    "0.9.8 without extensions": """\
table ip filter {
    chain INPUT {
        type filter hook input priority filter; policy drop;
        counter jump ufw-before-input
        udp dport 98 counter
    }

    chain ufw-before-input {
        counter drop
        counter goto ufw-user-input
    }

    chain ufw-user-input {
        meta l4proto tcp counter
        tcp dport 23 counter accept
    }
}
table ip nat {
    chain DOCKER {
        iifname "docker0" counter return
        iifname != "docker0" tcp dport 8080 counter
    }

    chain PREROUTING {
        type nat hook prerouting priority dstnat; policy accept;
        counter jump DOCKER
    }
}
""",
    "1.0.6 without extensions": """\
# Warning: table ip filter is managed by iptables-nft, do not touch!
table ip filter {
    chain INPUT {
        type filter hook input priority filter; policy drop;
        counter jump ufw-before-input
        udp dport 98 counter~
    }

    chain ufw-before-input {
         counter drop
        counter goto ufw-user-input
    }

    chain ufw-user-input {
        meta l4proto tcp   counter~
        tcp dport 23  counter accept
    }
}
# Warning: table ip nat is managed by iptables-nft, do not touch!
table ip nat {
    chain DOCKER {
        iifname "docker0" counter return
        iifname != "docker0" tcp dport 8080 counter~
    }

    chain PREROUTING {
        type nat hook prerouting priority dstnat; policy accept;
         counter jump DOCKER
    }
}
""",
    "1.1.3": """\
table ip filter {
    chain INPUT {
        type filter hook input priority filter; policy drop;
        counter jump ufw-before-input
        udp dport 98 counter xt target "NFQUEUE"
    }

    chain ufw-before-input {
        xt match "conntrack" counter drop
        counter goto ufw-user-input
    }

    chain ufw-user-input {
        meta l4proto tcp xt match "multiport" xt match "comment" counter xt target "REJECT"
        tcp dport 22 limit rate 3/minute burst 5 packets counter xt target "LOG"
        tcp dport 23 xt match "comment" counter accept
        tcp dport 24 counter xt target "REJECT"
    }
}
table ip nat {
    chain DOCKER {
        iifname "docker0" counter return
        iifname != "docker0" tcp dport 8080 counter xt target "DNAT"
        meta l4proto tcp xt match "multiport" counter xt target "DNAT"
        tcp dport 81 counter xt target "REDIRECT"
    }

    chain PREROUTING {
        type nat hook prerouting priority dstnat; policy accept;
        xt match "addrtype" counter jump DOCKER
    }

    chain POSTROUTING {
        type nat hook postrouting priority srcnat; policy accept;
        oifname != "docker0" ip saddr 172.17.0.0/16 counter xt target "MASQUERADE"
    }
}
table ip mangle {
    chain PREROUTING {
        type filter hook prerouting priority mangle; policy accept;
        tcp dport 99 counter xt target "TPROXY"
    }
}
""",
}
INPUT = "table ip filter, chain INPUT (hook input): drops by policy, and "
NAT = "table ip nat, chain PREROUTING "
HIDDEN = OtherRules(
    (
        INPUT
        + "drops by 1 rule ('counter drop'), and has 2 rules (first 'udp dport 98 counter') for which nft shows no "
        "verdict",
    ),
    translating=(NAT + "has 1 rule ('iifname != \"docker0\" tcp dport 8080 counter') for which nft shows no verdict",),
)
UFW_FOUND = {
    "0.9.8": OtherRules(
        (INPUT + "drops or queues or rejects by 4 rules (first 'udp dport 98 counter queue num 3')",),
        (),
        ("8080/tcp", "1000/tcp", "2000-2010/tcp", "81/tcp"),
        (
            NAT + "translates 8080/tcp to 172.17.0.2:80, 1000,2000-2010/tcp to 172.17.0.4, 81/tcp to port 8081 of this "
            "host",
        ),
    ),
    "0.9.8 without extensions": HIDDEN,
    "1.0.6 without extensions": HIDDEN,
    "1.1.3": OtherRules(
        (INPUT + "drops or queues or rejects by 4 rules (first 'udp dport 98 counter xt target \"NFQUEUE\"')",),
        (),
        ("8080/tcp", "81/tcp"),
        (
            NAT + 'translates 8080/tcp, \'meta l4proto tcp xt match "multiport" counter xt target "DNAT"\', 81/tcp to '
            "this host",
        ),
    ),
}


@pytest.mark.parametrize("version", UFW)
def test_tables_of_iptables_nft(version: str) -> None:
    assert other_rules_in(KernelRules(listed(UFW[version]))) == UFW_FOUND[version]


KUBE_PROXY = """\
table ip kube-proxy {
    comment "rules for kube-proxy"
    set cluster-ips {
        type ipv4_addr
        comment "Active ClusterIPs"
        elements = { 10.96.0.1, 10.96.0.10 }
    }

    map service-nodeports {
        type inet_proto . inet_service : verdict
        elements = { udp . 30053 : goto service-X,
            tcp . 30080 comment "x/drop, {z}" : goto service-X }
    }

    map no-endpoint-services {
        type ipv4_addr . inet_proto . inet_service : verdict
        comment "vmap to drop or reject packets to services with no endpoints"
        elements = { 10.96.0.9 . tcp . 80 comment "x/y, {z}" : goto reject-chain,
            10.96.0.8 . tcp . 80 : drop,
            10.96.0.7 . tcp . 80 : drop }
    }

    chain reject-chain {
        reject
    }

    chain endpoint-X {
        ip saddr 10.0.0.5 jump mark-for-masquerade
        meta l4proto tcp dnat to 10.0.0.5:6443
    }

    chain endpoint-Y {
        meta l4proto tcp dnat ip to 10.0.0.6:6443
    }

    chain service-X {
        ip daddr 10.96.0.1 tcp dport 443 ip saddr != 10.0.0.0/8 jump mark-for-masquerade
        numgen random mod 2 vmap { 0 : goto endpoint-X, 1 : goto endpoint-Y }
    }

    chain mark-for-masquerade {
        meta mark set meta mark | 0x00004000
    }

    chain services {
        fib daddr type local meta l4proto . th dport vmap @service-nodeports
    }

    chain nat-prerouting {
        type nat hook prerouting priority dstnat; policy accept;
        jump services
    }

    chain filter-input {
        type filter hook input priority -110; policy accept;
        ct state new ip daddr . meta l4proto . th dport vmap @no-endpoint-services
    }

    chain filter-output {
        type filter hook output priority -110; policy accept;
        ct state new jump cluster-ips-check
    }

    chain cluster-ips-check {
        ip daddr @cluster-ips reject comment "Reject traffic to invalid ports of ClusterIPs"
    }
}
"""


def test_verdict_maps_are_followed() -> None:
    assert other_rules_in(KernelRules(listed(KUBE_PROXY))) == OtherRules(
        (
            "table ip kube-proxy, chain filter-input (hook input): drops or rejects by 2 rules (first '10.96.0.8 . tcp "
            ". 80 : drop,')",
            "table ip kube-proxy, chain filter-output (hook output): rejects by 1 rule ('ip daddr @cluster-ips reject "
            'comment "Reject traffic to invalid ports of ClusterIPs"\')',
        ),
        published=("30053/udp", "30080/tcp"),
        translating=("table ip kube-proxy, chain nat-prerouting translates to 10.0.0.5:6443, to 10.0.0.6:6443",),
    )


def test_our_table_alone_has_no_findings() -> None:
    ours = [path.read_text(encoding="utf-8") for path in GOLDEN.glob("restricted-*.txt")]
    assert len(ours) == 3
    for listing in ["", *ours]:
        assert other_rules_in(KernelRules(listing)) == OtherRules((), ())
    assert warnings_of(OtherRules()) == []


def test_other_tables_beside_ours_are_read() -> None:
    ours = (GOLDEN / "restricted-1.0.6.txt").read_text(encoding="utf-8")
    listing = ours + table(base("c", "input", policy="drop")) + "table ip y {\n}\n"
    assert other_rules_in(KernelRules(listing)).dropping == ("table ip x, chain c (hook input): drops by policy",)
    assert dropping(base("c", "input", policy="drop"), head="ip hpc_ports")


# ---- which chains


@pytest.mark.parametrize("hook", ["ingress", "prerouting", "input", "output", "postrouting", "egress"])
def test_every_hook_of_our_packets_is_checked(hook: str) -> None:
    assert dropping(base("c", hook, policy="drop"), head="inet firewalld") == (
        f"table inet firewalld, chain c (hook {hook}): drops by policy",
    )


@pytest.mark.parametrize("head", ["ip x", "ip6 x", "inet x", "bridge x", "netdev x"])
def test_every_family_of_our_packets_is_checked(head: str) -> None:
    assert dropping(base("c", "input", "drop"), head=head) == (
        f"table {head}, chain c (hook input): drops by 1 rule ('drop')",
    )


def test_chains_of_a_device() -> None:
    for device in ('device "eth0"', 'devices = { "eth0", "policy drop;" }', 'device "drop"'):
        head = f"type filter hook ingress {device} priority -500; policy"
        assert dropping(chain("c", f"{head} accept;", "accept")) == ()
        assert dropping(chain("c", f"{head} drop;")) == ("table ip x, chain c (hook ingress): drops by policy",)


def test_a_base_chain_without_a_policy_accepts() -> None:
    assert dropping(chain("c", "type filter hook input priority 0;", "accept")) == ()


def test_forwarding_and_arp_are_ignored() -> None:
    assert dropping(base("c", "forward", "drop", policy="drop")) == ()
    assert dropping(base("c", "input", policy="drop"), head="arp x") == ()


def test_a_table_that_a_program_owns_is_read() -> None:
    found = other_rules_in(
        KernelRules(
            "table inet site { # progname sited\n\tflags owner,persist\n\n\tchain c {\n"
            "\t\ttype filter hook input priority filter; policy drop;\n\t}\n}\n"
        )
    )
    assert found.dropping == ("table inet site, chain c (hook input): drops by policy",)


def test_dormant_tables_are_ignored() -> None:
    assert dropping("\tflags dormant\n", base("c", "input", policy="drop")) == ()
    assert dropping("\tflags owner, dormant\n", base("c", "input", policy="drop")) == ()
    assert dropping("\tflags owner\n", base("c", "input", policy="drop")) != ()


def test_unreachable_chains_are_ignored() -> None:
    assert dropping(chain("dead", "drop"), base("c", "input", "jump nowhere", "vmap @nothing")) == ()


def test_chains_that_jump_to_each_other_are_counted_once() -> None:
    assert dropping(base("c", "input", "jump a", "goto b"), chain("a", "jump b", "drop"), chain("b", "goto a")) == (
        "table ip x, chain c (hook input): drops by 1 rule ('drop')",
    )


def test_an_accept_ends_a_chain() -> None:
    assert dropping(base("c", "input", "accept", "drop", policy="drop")) == ()
    assert dropping(base("c", "input", 'accept comment "all"', policy="drop")) == ()
    assert dropping(base("c", "input", "jump a"), chain("a", "accept", "drop")) == ()
    assert dropping(base("c", "input", "tcp dport 1 accept", policy="drop")) != ()
    # This is how nft 0.9.8 without extensions shows a rule that accepts established connections.
    assert dropping(base("c", "input", "counter accept", policy="drop")) != ()


def test_a_map_of_one_line_is_followed() -> None:
    elements = "\tmap m {\n\t\ttype inet_service : verdict\n\t\telements = { 1 : goto a }\n\t}\n"
    assert dropping(elements, chain("a", "reject"), base("c", "input", "tcp dport vmap @m")) == (
        "table ip x, chain c (hook input): rejects by 1 rule ('reject')",
    )


# ---- which rules


@pytest.mark.parametrize(
    "rule, kind",
    [
        ("drop", "drops"),
        ("counter drop", "drops"),
        ('counter drop comment "x"', "drops"),
        ("reject", "rejects"),
        ("reject with icmpx admin-prohibited", "rejects"),
        ("ct state { established, invalid } drop", "drops"),
        ("ct state vmap { invalid : drop, established : accept }", "drops"),
        ("tcp dport vmap { 22 : accept,23 : drop}", "drops"),
        ("queue num 3", "queues"),
        ("queue flags bypass to 1-3", "queues"),
        ('log prefix "accept" drop', "drops"),
        ('xt target "REJECT"', "rejects"),
        ("xt target REJECT", "rejects"),
        ("counter # xt_REJECT", "rejects"),
        ('xt target "TARPIT"', "drops"),
        ('counter name "x" drop', "drops"),
    ],
)
def test_rules_that_drop(rule: str, kind: str) -> None:
    assert by_rule(rule) == [f"{kind} by 1 rule ({rule!r})"]


@pytest.mark.parametrize(
    "rule",
    [
        "accept",
        "return",
        "counter",
        "continue",
        'tcp dport 22 accept comment "drop"',
        'log prefix "reject me "',
        "jump drop",
        "goto reject",
        'iifname "drop" accept',
        'iifname { "drop", "reject" } accept',
        "ip saddr @drop accept",
        'counter name "drop" accept',
        "ct state vmap { established : accept, new : jump drop }",
        "log group 1 queue-threshold 20",
        'xt target "LOG"',
        'xt target "MARK"',
        "xt target",
        "# drop",
        'comment "odd',
        "icmpv6 type nd-redirect accept",
        "",
        "tcp dport 99 counter # NETMAP drop",
        "vmap @drop",
        "meta mark set 0x1",
        "tcp flags vmap { syn : continue }",
        'log prefix "drop" accept',
        "dnat to 10.0.0.1",
        "notrack",
        "counter jump",
        "vmap",
    ],
)
def test_rules_that_do_not_drop(rule: str) -> None:
    assert by_rule(rule) == []


def test_rules_are_counted_and_the_first_is_shown() -> None:
    assert dropping(base("c", "output", "jump a", "reject"), chain("a", "tcp  dport 1 drop", "udp dport 2 drop")) == (
        "table ip x, chain c (hook output): drops or rejects by 3 rules (first 'reject')",
    )


def test_an_anonymous_chain_is_part_of_its_rule() -> None:
    lines = ("tcp dport 31 jump {", '\tct state new log prefix "drop { " drop', "\taccept", "}", "udp dport 1 reject")
    assert by_rule("\n\t\t".join(lines)) == [
        "drops or rejects by 2 rules (first 'ct state new log prefix \"drop { \" drop')"
    ]


def test_long_rules_are_cut_and_unprintable_characters_are_escaped() -> None:
    (text,) = by_rule("ip saddr { " + "10.0.0.1, " * 10_000 + "10.0.0.2 } drop")
    assert text.endswith("10.0.0.1,...')") and len(text) < 140
    assert by_rule('drop comment "\x1b[31m"') == [r"""drops by 1 rule ('drop comment "\x1b[31m"')"""]
    assert dropping(base("a\x1bb", "input", policy="drop")) == ("table ip x, chain a?b (hook input): drops by policy",)


def test_a_counter_at_the_end_of_a_line_of_nft_0_9_8() -> None:
    counter = "\tcounter drop {\n\t\tpackets 0 bytes 0\t}\n\n"
    assert dropping(counter, chain("dead", "drop"), base("c", "input", "accept")) == ()


def test_counting_rules_are_distinguished_from_hidden_targets() -> None:
    assert by_rule("tcp dport 1 counter") == []
    assert by_rule("tcp dport 1 counter ") == ["has 1 rule ('tcp dport 1 counter') for which nft shows no verdict"]
    assert dropping(base("POSTROUTING", "postrouting", "counter", kind="nat")) == ()
    assert other_rules_in(KernelRules(table(base("PREROUTING", "prerouting", "counter")))).translating == ()


# ---- what is translated


@pytest.mark.parametrize(
    "rule, text",
    [
        ("tcp dport 8080 counter dnat to 172.17.0.2:80", "8080/tcp to 172.17.0.2:80"),
        ('iifname != "docker0" udp dport 53 dnat to 172.17.0.3:53', "53/udp to 172.17.0.3:53"),
        ("tcp dport 8080 counter dnat to [fd00::2]:80", "8080/tcp to [fd00::2]:80"),
        ("tcp dport { 83, 84 } dnat ip6 to fd00::5", "83,84/tcp to fd00::5"),
        ("tcp dport 85 dnat ip to 10.2.2.2-10.2.2.9:1000-1010", "85/tcp to 10.2.2.2-10.2.2.9:1000-1010"),
        ("meta l4proto tcp dnat to 10.0.0.5:6443", "to 10.0.0.5:6443"),
        ("dnat ip prefix to 10.1.0.0/24", "to 10.1.0.0/24"),
        ("dnat ip to tcp dport map @portmap", "'dnat ip to tcp dport map @portmap'"),
        ("tcp dport 1 dnat ip to numgen inc mod 2 map { 0 : 10.0.0.1, 1 : 10.0.0.2 }", "1/tcp"),
        ("tcp dport != 22 dnat to 10.0.0.5", "to 10.0.0.5"),
        (
            "dnat ip addr . port to ip saddr map { 10.0.0.1 : 10.0.0.2 . 80 }",
            "'dnat ip addr . port to ip saddr map { 10.0.0.1 : 10.0.0.2 . 80 }'",
        ),
        ("tcp dport 80 dnat to 127.0.0.1:8080", "80/tcp to 127.0.0.1:8080 of this host"),
        ("tcp dport 80 dnat to [::1]:8080", "80/tcp to [::1]:8080 of this host"),
        ("tcp dport 80 dnat to [::1234]:8080", "80/tcp to [::1234]:8080"),
        ("udp dport 1000-2000 counter redirect to :53", "1000-2000/udp to port 53 of this host"),
        ("tcp dport 86 redirect", "86/tcp to this host"),
        ("redirect", "to this host"),
        ('tcp dport 87 counter xt target "DNAT"', "87/tcp"),
        ('tcp dport 81 counter xt target "REDIRECT"', "81/tcp to this host"),
        ("tcp dport 81 counter # xt_DNAT", "81/tcp"),
        ('tcp dport 81 dnat to 10.0.0.5 comment "udp dport 5 redirect to :9"', "81/tcp to 10.0.0.5"),
    ],
)
def test_translations(rule: str, text: str) -> None:
    assert translated(rule) == ["translates " + text]


@pytest.mark.parametrize(
    "rule",
    [
        "ct status dnat accept",
        "ct status { snat, dnat } accept",
        "icmp type redirect accept",
        "icmp type != redirect accept",
        "icmp type { echo-request, redirect } accept",
        "snat to 10.0.0.1",
        "masquerade ",
        'log prefix "dnat to 10.0.0.1"',
        "tproxy to :50080",
        "jump redirect",
        "ct status & (snat | dnat) != 0 accept",
    ],
)
def test_rules_that_translate_no_incoming_traffic(rule: str) -> None:
    assert translated(rule) == []


@pytest.mark.parametrize(
    "rule,ports",
    [
        ("tcp dport 8080 counter dnat to 172.17.0.2:80", ("8080/tcp",)),
        ("tcp dport { 83, 84 } dnat ip6 to fd00::5", ("83/tcp", "84/tcp")),
        ("udp dport 1000-2000 counter redirect to :53", ("1000-2000/udp",)),
        ("tcp dport { 85, 90-95 } dnat to 10.0.0.5", ("85/tcp", "90-95/tcp")),
        ('tcp dport 87 counter xt target "DNAT"', ("87/tcp",)),
        ("ip daddr 127.0.0.1 tcp dport 8080 dnat to 172.17.0.2:80", ()),
        ("ip6 daddr ::1 tcp dport 8080 dnat to [fd00::2]:80", ()),
        ("ip6 daddr ::12 tcp dport 8080 dnat to [fd00::2]:80", ("8080/tcp",)),
        ("sctp dport 80 dnat to 10.0.0.5", ()),
        ("meta l4proto tcp dnat to 10.0.0.5:6443", ()),
        ("tcp dport 80 accept", ()),
        ('tcp dport 81 dnat to 10.0.0.5 comment "udp dport 5 redirect to :9"', ("81/tcp",)),
    ],
)
def test_published_ports(rule: str, ports: tuple[str, ...]) -> None:
    assert other_rules_in(KernelRules(table(base("c", "prerouting", rule, kind="nat")))).published == ports


def test_the_number_of_published_ports_is_limited() -> None:
    rules = "\n\t\t".join(f"tcp dport {port} dnat to 10.0.0.1:{port}" for port in range(1, 1301))
    listing = table(base("c", "prerouting", "jump d", kind="nat"), chain("d", rules + "\n\t\t" + rules))
    assert other_rules_in(KernelRules(listing)).published == tuple(f"{port}/tcp" for port in range(1, 1001))


def test_ports_of_jumps_to_rules_that_translate_are_published() -> None:
    """As the NodePorts of kube-proxy; what is for another address is not published by this host."""
    nodeports = (
        "tcp dport 30080 counter jump KUBE-EXT-X",
        'udp dport 30053 counter goto KUBE-EXT-X comment "tcp dport 5"',
        "tcp dport 30081 counter jump KUBE-MARK",
        "ip daddr 10.96.0.1 tcp dport 443 counter jump KUBE-EXT-X",
    )
    chains = (
        chain("KUBE-MARK", "meta mark set 1"),
        chain("KUBE-EXT-X", "jump KUBE-MARK", "jump KUBE-SEP-Y"),
        chain("KUBE-SEP-Y", "meta l4proto tcp dnat to 10.0.0.5:80"),
    )
    listing = table(base("c", "prerouting", "fib daddr type local jump n", kind="nat"), chain("n", *nodeports), *chains)
    assert other_rules_in(KernelRules(listing)).published == ("30080/tcp", "30053/udp")
    unreached = table(base("c", "prerouting", "accept", kind="nat"), chain("n", *nodeports), *chains)
    assert other_rules_in(KernelRules(unreached)).published == ()


def test_many_translations_are_counted() -> None:
    rules = [f"tcp dport {port} dnat to 10.0.0.1:{port}" for port in range(1, 8)]
    assert translated("\n\t\t".join(rules)) == [
        "translates " + ", ".join(f"{port}/tcp to 10.0.0.1:{port}" for port in range(1, 6)) + ", and 2 more"
    ]


def test_translations_of_outgoing_traffic_are_ignored() -> None:
    assert other_rules_in(KernelRules(table(base("c", "output", "dnat to 10.0.0.1", kind="nat")))) == OtherRules((), ())


# ---- forwarding, legacy tables, failures


def test_forwarding_lists_the_chains_that_filter_it() -> None:
    listing = table(base("FORWARD", "forward", policy="drop")) + table(base("f", "forward", "drop"), head="inet y")
    assert other_rules_in(KernelRules(listing, forwarding=("IPv4", "IPv6"))).bypassing == (
        "forwarded IPv4 (net.ipv4.ip_forward is 1), filtered by table ip x, chain FORWARD (drops by policy), table "
        "inet y, chain f",
        "forwarded IPv6 (net.ipv6.conf.all.forwarding is 1), filtered by table inet y, chain f",
    )
    assert other_rules_in(KernelRules(forwarding=("IPv6",))).bypassing == (
        "forwarded IPv6 (net.ipv6.conf.all.forwarding is 1), filtered by no chain that nft lists",
    )


def test_findings_of_legacy_tables() -> None:
    found = other_rules_in(KernelRules(legacy={"IPv4": ("nat", "filter"), "IPv6": ("filter",)}))
    ipv4 = "iptables-legacy (tables nat, filter), which nft does not list"
    assert found == OtherRules((ipv4, "ip6tables-legacy (tables filter), which nft does not list"), translating=(ipv4,))
    assert other_rules_in(KernelRules(legacy={"IPv4": ()})) == OtherRules()


def test_cilium_is_reported_since_it_takes_packets_before_all_rules(tmp_path: Path) -> None:
    devices = "Inter-|   Receive\n    lo: 0 0\n{}_host: 0 0\n"
    found = [
        other_rules(proc=proc(tmp_path, dev=devices.format(name)), readers=asked(lambda arguments, text="": ""))
        for name in ("cilium", "other")
    ]
    cilium = "packets that eBPF programs of Cilium forward before all rules (interface cilium_host)"
    assert found == [OtherRules(bypassing=(cilium,)), OtherRules()]


def proc(folder: Path, **files: str) -> str:
    paths = {
        "dev": "net/dev",
        "ip_forward": "sys/net/ipv4/ip_forward",
        "forwarding": "sys/net/ipv6/conf/all/forwarding",
        "ip_tables_names": "net/ip_tables_names",
        "ip6_tables_names": "net/ip6_tables_names",
    }
    for name, text in files.items():
        (folder / paths[name]).parent.mkdir(parents=True, exist_ok=True)
        (folder / paths[name]).write_text(text, encoding="utf-8")
    return str(folder)


INPUT = BaseChain("c", "filter", "input", "accept", 1)
SMALL = TableOutline("ip", "x", (INPUT,), 1)


def asked(run: Run, *tables: TableOutline) -> TableReaders:
    """Return readers for these tables and their listings."""
    return TableReaders(
        lambda: list(tables),
        lambda table, most: TableContents(table.size, ()),
        lambda table, most: 0,
        run,
        ListingCache("/nonexistent"),
    )


def test_the_rules_of_a_host_are_read_once(tmp_path: Path) -> None:
    calls = []

    def run(arguments: Sequence[str], text: str = "") -> str:
        calls.append(arguments)
        return table(base("c", "input", "drop"))

    folder = proc(tmp_path, ip_forward="1\n", forwarding="0\n", ip_tables_names="", ip6_tables_names="filter\n")
    assert other_rules(proc=folder, readers=asked(run, SMALL)) == OtherRules(
        (
            "ip6tables-legacy (tables filter), which nft does not list",
            "table ip x, chain c (hook input): drops by 1 rule ('drop')",
        ),
        ("forwarded IPv4 (net.ipv4.ip_forward is 1), filtered by no chain that nft lists",),
    )
    assert calls == [["nft", "-s", "-t", "list", "ruleset"]]


def test_a_host_without_rules(tmp_path: Path) -> None:
    assert other_rules(proc=str(tmp_path), readers=asked(lambda arguments, text="": "")) == OtherRules()


@pytest.mark.parametrize(
    "error, text",
    [
        (CommandError(["nft"], -11, ""), "'nft' failed with exit code -11: "),
        (OSError(12, "Cannot allocate memory"), "[Errno 12] Cannot allocate memory"),
    ],
)
def test_a_listing_that_fails_is_a_finding(tmp_path: Path, error: Exception, text: str) -> None:
    def run(arguments: Sequence[str], text: str = "") -> str:
        raise error

    finding = f"rules that nft cannot list ({text.strip()!r})"
    assert other_rules(proc=proc(tmp_path, ip_forward="0\n"), readers=asked(run, SMALL)) == OtherRules((finding,))


# ---- tables that are too large to be read

UNREAD = "rules that were not read, because the other tables of this host have more than 2000 rules and jumps"
LARGE = TableOutline(
    "inet",
    "kube",
    (
        BaseChain("in", "filter", "input", "drop", 7),
        BaseChain("out", "filter", "output", "accept", 7),
        BaseChain("fwd", "filter", "forward", "drop", 7),
        BaseChain("empty", "filter", "input", "accept", 0),
        BaseChain("closed", "filter", "input", "drop", 0),
        BaseChain("nat", "nat", "prerouting", "accept", 7),
        BaseChain("nat-empty", "nat", "prerouting", "accept", 0),
        BaseChain("src", "nat", "postrouting", "accept", 7),
    ),
    100_000,
)


def test_tables_that_were_not_read_are_reported_by_their_base_chains() -> None:
    kernel = KernelRules(table(base("c", "input", "drop")), forwarding=("IPv4",), unread=(LARGE,))
    assert other_rules_in(kernel) == OtherRules(
        (
            "table ip x, chain c (hook input): drops by 1 rule ('drop')",
            f"table inet kube, chain in (hook input): drops by policy, and may drop by {UNREAD}",
            f"table inet kube, chain out (hook output): may drop by {UNREAD}",
            "table inet kube, chain closed (hook input): drops by policy",
        ),
        ("forwarded IPv4 (net.ipv4.ip_forward is 1), filtered by table inet kube, chain fwd (drops by policy)",),
        translating=(f"table inet kube, chain nat may translate by {UNREAD}",),
    )


def test_the_rules_of_large_tables_are_not_read(tmp_path: Path) -> None:
    def run(arguments: Sequence[str], text: str = "") -> str:
        if "--version" in arguments:
            return "nftables v1.0.6 (Lester Gooch #5)"
        assert arguments == ["nft", "-s", "-t", "list", "table", "ip", "x"]
        return table(base("c", "input", "drop"))

    found = other_rules(proc=str(tmp_path), readers=asked(run, LARGE, SMALL))
    assert found == other_rules_in(KernelRules(table(base("c", "input", "drop")), unread=(LARGE,)))


def test_maps_that_are_listed_apart_belong_to_their_table() -> None:
    terse = table("\tmap m {\n\t\ttype inet_service : verdict\n\t}\n", base("c", "input", "tcp dport vmap @m"))
    assert other_rules_in(KernelRules(terse)) == OtherRules()
    whole = table("\tmap m {\n\t\ttype inet_service : verdict\n\t\telements = { 22 : drop }\n\t}\n")
    assert other_rules_in(KernelRules(terse + whole)).dropping == (
        "table ip x, chain c (hook input): drops by 1 rule ('elements = { 22 : drop }')",
    )


# ---- the warnings


def test_at_most_two_warnings_of_five_findings() -> None:
    six = tuple("abcdef")
    assert warnings_of(OtherRules(six, six[:5])) == [
        "Other rules on this host may drop traffic that flows allow, because every table must accept a packet: "
        "a; b; c; d; e; and 1 more. hpc.ports does not change these rules.",
        "The flows do not cover all traffic of this host: a; b; c; d; e. They cover ports that containers publish "
        "by NAT, and forwarded packets of interfaces that firewall_filtered_containers lists, but no other forwarded "
        "packets.",
    ]
    assert [text[:9] for text in warnings_of(OtherRules((), ("{0}",)))] == ["The flows"]
    # Rules that only translate are no reason for a warning: our table judges before them.
    assert warnings_of(OtherRules(published=("80/tcp",), translating=("a",))) == []


# ---- any text

# Pieces of listings in any order find more than random characters do.
PIECES = [
    "table ip x {\n",
    "\n}\n",
    "\tchain c {\n",
    "\tmap m {\n",
    "\t}\n",
    "\t\t",
    "type filter hook input priority 0; ",
    "type nat hook prerouting priority 0; ",
    "policy drop;\n",
    "drop",
    "jump c",
    "vmap @m",
    "vmap { 1 : goto c }",
    "elements = { 1 : drop,",
    "}",
    "{",
    '"',
    "#",
    "\n",
    " ",
    "\t",
    "dnat to ",
    "redirect",
    "tcp dport ",
    "10.0.0.1:80",
    'xt target "DNAT"',
    "counter ",
    "flags dormant\n",
    "\r",
    "\x00",
    "\u2028",
]


@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=5)).map("".join) | st.text())
def test_any_text_is_read_without_a_failure(text: str) -> None:
    for forwarding in ((), ("IPv4", "IPv6")):
        for found in other_rules_in(KernelRules(text, forwarding=forwarding)):
            assert all(isinstance(item, str) and item.isprintable() for item in found)


@given(st.lists(st.sampled_from(PIECES)).map("".join))
def test_text_before_a_table_does_not_hide_it(text: str) -> None:
    listing = f"{text}\n}}\n" + table(base("last", "input", policy="drop"), head="ip last")
    assert "table ip last, chain last (hook input): drops by policy" in other_rules_in(KernelRules(listing)).dropping


def seconds(listing: str) -> float:
    start = time.process_time()
    other_rules_in(KernelRules(listing))
    return time.process_time() - start


LONG = {
    "rules": lambda count: table(base("c", "input", *["ip saddr 10.0.0.1 tcp dport 443 counter drop"] * count)),
    "services": lambda count: table(
        "\tmap m {\n\t\ttype ipv4_addr : verdict\n\t\telements = { "
        + ",\n".join(f"10.0.0.1 : goto c{number}" for number in range(count))
        + " }\n\t}\n",
        *[chain(f"c{number}", "tcp dport 80 dnat to 10.0.0.1:80", "jump c0") for number in range(count)],
        base("pre", "prerouting", "ip daddr vmap @m", kind="nat"),
    ),
    "one line": lambda count: table(base("c", "prerouting", 'jump a vmap @m dnat to ip to to to { { " # ' * count)),
    "braces": lambda count: table(base("c", "input", "{" * count * 10)),
    "quotes": lambda count: table(base("c", "input", 'xt target "' * count * 3)),
    "spaces": lambda count: table(base("c", "input", " " * count * 10 + "drop")),
    "targets": lambda count: table(base("c", "prerouting", "dnat to " + "f" * count * 10, kind="nat")),
}


@pytest.mark.parametrize("kind", LONG)
def test_the_time_is_linear(kind: str) -> None:
    """A quadratic one would take a hundred times as long."""
    short, long = (min(seconds(LONG[kind](count)) for attempt in range(3)) for count in (500, 5_000))
    assert long < 40 * max(short, 0.001)
