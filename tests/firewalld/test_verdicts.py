# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real packets, both ways, through random policies carried by firewalld, and by nftables: equal verdicts."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from ipaddress import ip_network
from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._model.evaluate import Packet
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import Network, Policy, Rule, parse_policy
from ansible_collections.hpc.ports.plugins.module_utils._model.ports import EVERYTHING, PortRange
from ansible_collections.hpc.ports.tests.firewalld.daemons import Daemon, call
from ansible_collections.hpc.ports.tests.firewalld.verdicts import (
    ALLOWED,
    OLDEST,
    applied,
    check_verdicts,
    differs,
    past_guards,
)
from ansible_collections.hpc.ports.tests.support.namespaces import Pair, forget_connections
from ansible_collections.hpc.ports.tests.support.packets import Wires
from ansible_collections.hpc.ports.tests.support.platforms import packets_at_edges, policies, special_packets
from ansible_collections.hpc.ports.tests.support.run import examples, turn
from ansible_collections.hpc.ports.tests.support.runs import Runs
from ansible_collections.hpc.ports.tests.support.samples import DHCP_SERVER, SSH, policy
from ansible_collections.hpc.ports.tests.support.verdicts import PHASES, check_loopback, joined, load_nftables, passing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

_STRANGER = ip_network("fd64:ffff::1")


@pytest.fixture(name="pair", scope="module")
def _pair() -> Iterator[Pair]:
    """A host without firewalld, for the nftables backend, and its peer."""
    found = Pair()
    yield found
    found.close()


@pytest.fixture(name="wires_of_nftables", scope="module")
def _wires_of_nftables(pair: Pair) -> Iterator[Wires]:
    with joined(pair) as found:
        yield found


# ---- policies that follow each other


def as_data(wanted: Policy) -> dict[str, Any]:
    """Return the policy as plain data."""
    rules = [
        (rule.direction, rule.flow, list(map(str, rule.ports)), tuple(map(str, rule.peers))) for rule in wanted.rules
    ]
    return policy(*rules, mode=wanted.mode, egress=wanted.egress, interfaces=wanted.trusted_interfaces)


def carried(version: str, wanted: Policy, egress: str, trusts: bool) -> Policy:
    """Return a policy that this firewalld supports. A change of trusted interfaces or of egress costs a reload."""
    named = tuple(name for name in wanted.trusted_interfaces if not name.endswith("*"))
    return wanted._replace(
        mode="enforce",
        egress=egress,
        container_interfaces=(),
        trusted_interfaces=(named or ("eth9",)) if trusts and version != OLDEST else (),
    )


def related(found: Sequence[Policy]) -> list[Policy]:
    """Return the policies, cut to a few rules, with flows of the same names: from one to another it takes no reload."""
    sizes = {way: max(len(_rules(wanted, way)) for wanted in found) for way in ("in", "out")}
    return [
        wanted._replace(
            rules=tuple(
                rule._replace(flow=f"f{number}", peers=_of_both_versions(rule.peers))
                for way, size in sizes.items()
                for number, rule in enumerate((*_rules(wanted, way), *[_nobodys(way)] * size)[:size])
            )
        )
        for wanted in found
    ]


def _rules(wanted: Policy, way: str) -> list[Rule]:
    """Return a few rules of one direction: firewalld takes long for each range of ports."""
    return [
        rule if rule.ports == EVERYTHING else rule._replace(ports=rule.ports[:2])
        for rule in wanted.rules
        if rule.direction == way
    ][:4]


def _of_both_versions(peers: tuple[Network, ...]) -> tuple[Network, ...]:
    """Return the peers with one of IPv6, as the first one of a flow costs a reload."""
    return peers if any(peer.version == 6 for peer in peers) else (*peers, _STRANGER)


def _nobodys(way: str) -> Rule:
    return Rule(way, "f", (PortRange("tcp", 1, 1),), ())


def _say_something(platforms: list[list[Policy]]) -> bool:
    """Return whether there are rules: the first example of hypothesis has none, and an example costs ten seconds."""
    return sum(len(wanted.rules) for platform in platforms for wanted in platform) >= 10


@settings(
    max_examples=examples(3, least=1),
    phases=PHASES,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(
    platforms=st.lists(policies(), min_size=3, max_size=5).filter(_say_something),
    egress=st.sampled_from(["restricted", "open"]),
    trusts=st.booleans(),
    seed=st.integers(0, 2**32),
)
def test_every_verdict_is_that_of_evaluate_and_of_the_other_backend(
    daemon: Daemon,
    runs: Runs,
    wires: Wires,
    pair: Pair,
    wires_of_nftables: Wires,
    platforms: list[list[Policy]],
    egress: str,
    trusts: bool,
    seed: int,
) -> None:
    """Policies follow each other, so every one is a transition from another: most of them without a reload."""
    found = [carried(daemon.version, wanted, egress, trusts) for platform in platforms for wanted in platform][:7]
    randomness = random.Random(seed)
    for number, wanted in enumerate((found[0], *related(found))):
        is_reloaded = applied(runs, as_data(wanted))
        assert number < 2 or not is_reloaded
        with pair.host.entered():
            load_nftables(wanted)
        for direction in ("in", "out"):
            packets = past_guards([*special_packets(direction), *packets_at_edges(wanted, direction, randomness, 150)])
            got = check_verdicts(daemon, wires, wanted, packets)
            with pair.host.entered():
                forget_connections()
            others = passing(wires_of_nftables, packets)
            assert {packet for packet in got ^ others if not differs(daemon.version, wanted, packet)} == set()
        with daemon.host.entered():
            check_loopback()


# ---- what the property does not look at


@pytest.mark.takes_turns
def test_a_host_that_serves_dhcp_may_answer_whom_it_has_never_seen(daemon: Daemon, runs: Runs, wires: Wires) -> None:
    applied(runs, DHCP_SERVER)
    check_verdicts(daemon, wires, parse_policy(DHCP_SERVER), past_guards(special_packets("out")))


@pytest.mark.takes_turns
def test_five_thousand_addresses_load_and_judge(daemon: Daemon, runs: Runs, wires: Wires) -> None:
    """New to firewalld, and again with another one."""
    for last in ("10.19.249.1/32", "10.19.249.2/32"):
        peers = (*(f"10.{number // 250}.{number % 250}.1/32" for number in range(4999)), last)
        wanted = policy(("in", "many", ["2000-2001/tcp"], peers))
        applied(runs, wanted)
        check_verdicts(
            daemon,
            wires,
            parse_policy(wanted),
            [
                Packet("in", "tcp", peer, port, 30000 + 10 * number + port)
                for number, peer in enumerate(
                    (
                        "10.0.0.1",
                        "10.0.0.2",
                        "10.0.1.1",
                        "10.19.248.1",
                        "10.19.249.1",
                        "10.19.249.2",
                        "10.19.250.1",
                        "fd64::1",
                    )
                )
                for port in (1999, 2000, 2001, 2002)
            ],
        )


# ---- beside what is the user's

CHANGED = policy(
    SSH,
    ("in", "web", ["81/tcp", "53/udp"], ("10.64.0.2/31", "fd64::/126")),
    ("out", "web", ["80/tcp", "53/udp"], ("10.64.0.2/31", "fd64::/126")),
    egress="restricted",
)
# All that a user may have of his own: it allows what we deny, and drops what we allow.
USERS = {
    "services/mine": '<service><port protocol="tcp" port="82"/></service>',
    "ipsets/users": '<ipset type="hash:ip"><entry>10.64.0.1</entry></ipset>',
    "zones/ZONE": """<zone TARGET>
  <interface name="eth0"/><interface name="fab0"/><service name="mine"/><port protocol="tcp" port="1-79"/>
  <rule family="ipv4"><source ipset="users"/><drop/></rule>
  <rule family="ipv6"><source address="fd64::5"/><accept/></rule></zone>""",
    "policies/users": """<policy target="CONTINUE">
  <ingress-zone name="ANY"/><egress-zone name="HOST"/><service name="mine"/></policy>""",
}
TARGETS = {"trusted": 'target="ACCEPT"', "drop": 'target="DROP"', "mine": ""}


def listings(daemon: Daemon, zone: str) -> list[list[str]]:
    """Return what belongs to the user: zones, other settings, and the files, in no particular order."""
    asked = [
        call("zone.getActiveZones"),
        call("zone.getZones"),
        call("ipset.getIPSetSettings", "s", "users"),
        call("policy.getPolicySettings", "s", "users"),
        call("zone.getZoneSettings2", "s", zone),
        call("zone.getZoneSettings2", "s", "public"),
    ]
    told = daemon.host.shell(
        "\n".join([*asked, "find /etc/firewalld -type f ! -name '*hpc_ports_*' -exec md5sum {} + | sort"])
    )
    return [sorted(line.split()) for line in told.splitlines()]


# One of the three, on one version, each day.
@pytest.mark.takes_turns
@pytest.mark.parametrize("zone", turn(list(TARGETS)))
def test_what_is_the_users_changes_no_verdict_and_stays(daemon: Daemon, runs: Runs, wires: Wires, zone: str) -> None:
    for path, text in USERS.items():
        daemon.write(f"/etc/firewalld/{path.replace('ZONE', zone)}.xml", text.replace("TARGET", TARGETS[zone]))
    daemon.host.shell(call("reload"))
    before = listings(daemon, zone)
    for wanted in (ALLOWED, CHANGED):
        applied(runs, wanted)
        for direction in ("in", "out"):
            packets = packets_at_edges(parse_policy(wanted), direction, random.Random(0), 150)
            check_verdicts(
                daemon,
                wires,
                parse_policy(wanted),
                past_guards([*special_packets(direction), *packets, Packet(direction, "tcp", "fd64::5", 82, 902)]),
            )
        assert listings(daemon, zone) == before
    result = daemon.module(state="absent")
    assert result.get("changed"), result
    assert listings(daemon, zone) == before
