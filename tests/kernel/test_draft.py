# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules of other firewall programs, read for a draft: what is read is what the kernel does with them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

import pytest
from ansible_collections.hpc.ports.plugins.plugin_utils._draft.iptables import read_iptables
from ansible_collections.hpc.ports.plugins.plugin_utils._draft.regions import Region, accepted
from ansible_collections.hpc.ports.tests.support.namespaces import HOST, Pair, forget_connections
from ansible_collections.hpc.ports.tests.support.packets import Opening, Wires
from ansible_collections.hpc.ports.tests.support.run import examples
from ansible_collections.hpc.ports.tests.support.verdicts import PHASES, joined
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

SOURCES = ("10.64.0.1", "10.64.0.2", "10.64.0.5", "10.64.1.1", "10.65.0.1")
PORTS = (1, 21, 22, 23, 79, 80, 81, 442, 443, 8080, 65535)


@pytest.fixture
def wires(pair: Pair) -> Iterator[Wires]:
    """The ends of the link."""
    with joined(pair) as found:
        yield found


def is_accepted(regions: Sequence[Region], source: str, protocol: str, port: int) -> bool:
    return any(source in region.sources and any(p.covers(protocol, port) for p in region.ports) for region in regions)


def check(wires: Wires, regions: Sequence[Region]) -> None:
    """See that exactly what is read as accepted passes."""
    numbered = enumerate(product(SOURCES, ("tcp", "udp"), PORTS), 20000)
    sent = {
        Opening(protocol, source, HOST[4], port, number): is_accepted(regions, source, protocol, port)
        for number, (source, protocol, port) in numbered
    }
    forget_connections()
    answered = wires.inward.answered(list(sent))
    assert {packet for packet in sent if sent[packet] != (packet in answered)} == set()
    event(f"{sum(sent.values())} of {len(sent)} pass")


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
        check(wires, accepted(read.decisions))
        # What the kernel prints is read as what was loaded.
        again = read_iptables(pair.host.run("iptables-save").stdout, 4)
        check(wires, accepted(again.decisions))
