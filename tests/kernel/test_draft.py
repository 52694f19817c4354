# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules of other firewall programs, read for a draft: what is read is what the kernel does with them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from ansible_collections.hpc.ports.plugins.plugin_utils._draft.iptables import read_iptables
from ansible_collections.hpc.ports.plugins.plugin_utils._draft.nftables import read_nftables
from ansible_collections.hpc.ports.tests.support.imported import check
from ansible_collections.hpc.ports.tests.support.namespaces import Pair
from ansible_collections.hpc.ports.tests.support.packets import Wires
from ansible_collections.hpc.ports.tests.support.run import examples
from ansible_collections.hpc.ports.tests.support.verdicts import PHASES, joined
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st


@pytest.fixture
def wires(pair: Pair) -> Iterator[Wires]:
    """The ends of the link."""
    with joined(pair) as found:
        yield found


# ---- iptables

_MATCHES = st.sampled_from(
    [
        "",
        "-s 10.64.0.0/30",
        "-s 10.64.0.0/16",
        "! -s 10.64.0.0/24",
        "-m iprange --src-range 10.64.0.2-10.64.1.5",
        "-i lo",
        "! -i lo",
    ]
)
_PROTOCOLS = st.sampled_from(
    [
        "",
        "-p tcp",
        "-p udp",
        "-p tcp -m tcp --dport 22",
        "-p tcp -m tcp --dport 80:443",
        "-p udp -m udp --dport :79",
        "-p tcp -m multiport --dports 22,80,8080:65535",
        "-p udp -m multiport --dports 22:23,443",
        "-p icmp",
        "-p tcp -m tcp --syn",
        "-p tcp -m tcp ! --syn",
        "-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN",
        "-p tcp -m tcp --tcp-flags ALL NONE",
    ]
)
_MORE = st.sampled_from(
    [
        "",
        "",
        "-m conntrack --ctstate RELATED,ESTABLISHED",
        "-m conntrack --ctstate NEW,ESTABLISHED",
        "-m state --state INVALID",
        "-m conntrack ! --ctstate NEW",
        "-m addrtype --dst-type LOCAL",
        "-m addrtype --dst-type BROADCAST",
        "-m pkttype --pkt-type multicast",
        '-m comment --comment "a b, -j DROP"',
    ]
)
# Without REJECT: its answer looks like that of a closed port.
_TARGETS = {
    "INPUT": ("ACCEPT", "ACCEPT", "DROP", "LOG", "one", "one", "two"),
    "one": ("ACCEPT", "DROP", "RETURN", "two"),
    "two": ("ACCEPT", "DROP", "RETURN", "LOG"),
}


@st.composite
def saved(draw: st.DrawFn) -> str:
    """Return rules as iptables-save prints them."""
    lines = [
        "*filter",
        f":INPUT {draw(st.sampled_from(['DROP', 'DROP', 'ACCEPT']))} [0:0]",
        ":one - [0:0]",
        ":two - [0:0]",
    ]
    lines.append("-A INPUT -p icmp -j ACCEPT")
    for chain, targets in _TARGETS.items():
        for _number in range(draw(st.integers(0, 6))):
            target = draw(st.sampled_from(targets))
            word = "-g" if target == "two" and draw(st.booleans()) else "-j"
            matches = (draw(_MATCHES) if chain != "two" or draw(st.booleans()) else "", draw(_PROTOCOLS), draw(_MORE))
            lines.append(" ".join(filter(None, [f"-A {chain}", *matches, f"{word} {target}"])))
    return "\n".join([*lines, "COMMIT", ""])


@settings(
    max_examples=examples(60, 15),
    phases=PHASES,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(text=saved())
def test_what_is_read_of_iptables_is_what_the_kernel_does(pair: Pair, wires: Wires, text: str) -> None:
    pair.host.run("iptables-restore", text=text)
    read = read_iptables(text, 4)
    assert not [line for line in read.left if "policy ACCEPT" not in line]
    with pair.host.entered():
        check(wires, read.accepted)
        # What the kernel prints is read as what was loaded.
        again = read_iptables(pair.host.run("iptables-save").stdout, 4)
        check(wires, again.accepted)


# ---- nftables

_NFT_MATCHES = (
    "",
    "ip saddr 10.64.0.0/30",
    "ip saddr { 10.64.0.1, 10.64.1.0-10.64.1.9, 10.65.0.0/16 }",
    "ip saddr != 10.64.0.0/24",
    "ip saddr @some",
    "ip saddr != @some",
    "ip6 saddr fd64::/64",
    "meta nfproto ipv4",
    "meta nfproto ipv6",
    'iifname "lo"',
    'iif != "lo"',
    "fib daddr type local",
    "fib daddr type { broadcast, multicast }",
    "meta pkttype broadcast",
)
_NFT_PORTS = (
    "",
    "tcp dport 22",
    "tcp dport { 22, 80-443 }",
    "tcp dport != { 22, 443 }",
    "udp dport 1-79",
    "udp dport != 80",
    "meta l4proto { tcp, udp } th dport { 21-23, 8080 }",
    "meta l4proto udp",
    "meta l4proto != tcp",
    "ip protocol tcp",
    "ip protocol icmp",
    "tcp flags & (fin | syn | rst | ack) == syn",
    "tcp flags & (syn | ack) == ack",
    "tcp dport @ports",
)
_NFT_STATES = ("", "", "ct state established,related", "ct state new", "ct state != new", "ct state { new, untracked }")
_NFT_VERDICTS = ("accept", "accept", "drop", "jump one", "goto one", "counter", 'log prefix "x" accept', "return")
_NFT_MAPS = (
    "tcp dport vmap { 22 : accept, 80-443 : jump one, 8080 : drop }",
    "ip saddr vmap { 10.64.0.0/30 : accept, 10.65.0.0/16 : drop }",
    "tcp dport vmap @known",
    "meta l4proto vmap { tcp : jump one, udp : accept }",
    "ct state vmap { established : accept, related : accept, invalid : drop }",
)
_OBJECTS = """
set some { type ipv4_addr; flags interval; elements = { 10.64.0.2, 10.64.1.0/24 }; }
set ports { type inet_service; flags interval; elements = { 443, 8000-9000 }; }
map known { type inet_service : verdict; elements = { 22 : accept, 443 : drop, 81 : jump one }; }
"""


@st.composite
def tables(draw: st.DrawFn) -> str:
    """Return the text of tables with base chains at the hook input."""

    def rules(verdicts: Sequence[str], maps: Sequence[str]) -> str:
        lines = []
        for _number in range(draw(st.integers(0, 6))):
            if maps and draw(st.integers(0, 3)) == 0:
                lines.append(draw(st.sampled_from(maps)))
                continue
            parts = (_NFT_MATCHES, _NFT_PORTS, _NFT_STATES, verdicts)
            lines.append(" ".join(filter(None, (draw(st.sampled_from(part)) for part in parts))))
        return "\n".join(lines)

    text = ""
    for number in range(draw(st.integers(1, 2))):
        policy = draw(st.sampled_from(["drop", "drop", "accept"]))
        text += (
            f"table inet t{number} {{\n{_OBJECTS}\nchain one {{\n{rules(('accept', 'drop', 'return'), ())}\n}}\n"
            f"chain in {{ type filter hook input priority {number}; policy {policy};\n"
            f"meta l4proto {{ icmp, ipv6-icmp }} accept\n{rules(_NFT_VERDICTS, _NFT_MAPS)}\n}}\n}}\n"
        )
    return text


@settings(
    max_examples=examples(60, 15),
    phases=PHASES,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(text=tables())
def test_what_is_read_of_nftables_is_what_the_kernel_does(pair: Pair, wires: Wires, text: str) -> None:
    done = pair.host.run("nft", "-f", "-", text="flush ruleset\n" + text, check=False)
    assume(not done.returncode)  # some matches exclude each other
    read = read_nftables(pair.host.run("nft", "-j", "list", "ruleset").stdout)
    assert not [line for line in read.left if "policy accept" not in line]
    with pair.host.entered():
        check(wires, read.accepted)
