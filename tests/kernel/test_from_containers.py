# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verify tries connections from a container: a whole run, with a namespace as the container. Needs root."""

from __future__ import annotations

import json
import os
import random
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables import kernel
from ansible_collections.hpc.ports.plugins.module_utils._linux.containers import containers
from ansible_collections.hpc.ports.plugins.module_utils._model.evaluate import ForwardedPacket, evaluate_forwarded
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import Policy, parse_policy
from ansible_collections.hpc.ports.plugins.module_utils._probe.from_containers import probe_from_containers
from ansible_collections.hpc.ports.plugins.module_utils._probe.prober import Pace
from ansible_collections.hpc.ports.plugins.module_utils._ruleset.judge import PROTOCOLS, PacketJudge, parse_query
from ansible_collections.hpc.ports.plugins.modules.verify_judge import PACKET
from ansible_collections.hpc.ports.plugins.plugin_utils._expectations.host_tasks import Limits, VerifyOptions, new_run
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.answers import parsed
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.document import Cell
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.host_answers import Registered
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.registered import run_of, suspects
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.suspects import as_options
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.verdicts import UNPROVEN
from ansible_collections.hpc.ports.tests.support.namespaces import COLLECTIONS, HOST, PEER, ROOT, Pair, Space
from ansible_collections.hpc.ports.tests.support.platforms import packets_at_edges, policies
from ansible_collections.hpc.ports.tests.support.published import CONTAINER, with_container
from ansible_collections.hpc.ports.tests.support.run import SLOWNESS, examples
from ansible_collections.hpc.ports.tests.support.sites import make_plan
from ansible_collections.hpc.ports.tests.support.verdicts import PHASES, load_nftables
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

TIMEOUT = 0.5 * SLOWNESS
SOURCE = f"c1 (container {CONTAINER[4]})"
SITE: dict[str, Any] = {
    "services": {
        "web": {"ports": ["443/tcp"]},
        "names": {"ports": ["53/udp"]},
        "docker": {"ports": ["2375/tcp"]},
        "syslog": {"ports": ["514/udp"]},
        "database": {"ports": ["5432/tcp"]},
    },
    "flows": {
        "work": {"from": ["slurm_login"], "to": ["slurm_controller"], "services": ["web", "names"], "need": "required"},
        # c1 is not in the flow, but in its network: the target accepts c1, and the egress of c1 denies it.
        "offices": {"from": ["office"], "to": ["slurm_controller"], "services": ["database"], "need": "required"},
    },
    "endpoints": {"controllers": {"cidrs": ["203.0.113.1/32"]}, "office": {"cidrs": ["192.0.2.0/24", "2001:db8::/64"]}},
}
MASQUERADE = (
    "add table inet nat\nadd chain inet nat post { type nat hook postrouting priority srcnat; }\n"
    'add rule inet nat post oifname "eth0" masquerade\n'
)
DROP = (
    "add table inet other\nadd chain inet other c { type filter hook forward priority 0; }\n"
    "add rule inet other c tcp dport 443 drop\n"
)


def site(filtered: list[str], *without: str) -> Plan:
    flows = {name: flow for name, flow in SITE["flows"].items() if name not in without}
    return make_plan(
        {**SITE, "flows": flows},
        {
            "c1": {
                "groups": ["slurm_login"],
                "addresses": [HOST[4], HOST[6]],
                "egress": "restricted",
                "filtered_containers": filtered,
            },
            "nfs1": {"groups": ["slurm_controller"], "addresses": [PEER[4], PEER[6]]},
        },
    )


class Platform:
    """A host with restricted egress, its container, and a target; `processes` has the container's alone."""

    def __init__(self, pair: Pair, inside: Space, processes: Path) -> None:
        self.pair, self.inside, self.processes = pair, inside, processes
        for name in (str(inside.pid), "thread-self"):
            (processes / name).symlink_to(f"/proc/{name}")
        pair.peer.run("mount", "-t", "tmpfs", "tmpfs", "/run")
        pair.peer.arrange("ip route add 198.51.100.0/24 via 192.0.2.1; ip route add 2001:db8:5::/64 via 2001:db8::1")

    def load(self, plan: Plan, *scripts: str) -> None:
        """Load the rules of a plan on the host, and others."""
        with self.pair.host.entered():
            load_nftables(parse_policy(plan.policies[plan.hosts["c1"]]))
            for script in scripts:
                kernel.load(script)

    def verify(self, plan: Plan) -> list[Cell]:
        """Run verify with the modules of the host and of the target; return the connections of containers."""
        limits = Limits(timeout=TIMEOUT, attempts=2, concurrency=1000, rate=1000.0, forks=5, most=50_000)
        verify_run = new_run(plan, VerifyOptions(("c1", "nfs1"), "[?source=='c1']", False, limits))
        spaces = {"c1": self.pair.host, "nfs1": self.pair.peer}
        started = {}
        for host, space in spaces.items():
            part: Any = verify_run.parts[host]
            keys = ("addresses", "counted", "lifetime", "key", "nonce")
            options = {"ports": part["listen"], **{name: part[name] for name in keys}}
            started[host] = self._module(space, "verify_listen", **options)["id"]
        answers: dict[str, Any] = {}
        for host, space in spaces.items():
            part = verify_run.parts[host]
            probed = self._module(space, "verify_probe", probes=part["probes"], key=part["key"], timeout=TIMEOUT)
            with space.entered():
                pace = Pace(timeout=TIMEOUT, key=part["key"])
                probed["containers"] = probe_from_containers(**part["containers"], pace=pace, proc=str(self.processes))
            answers[host] = {"probed": parsed("probed", probed), "compared": {}}
        for host, space in spaces.items():
            stopped = self._module(space, "verify_listen", state="stopped", id=started[host])
            answers[host]["stopped"] = parsed("stopped", stopped)
        for host, packets in suspects(plan, verify_run, cast(Registered, answers)).items():
            judged = self._module(spaces[host], "verify_judge", packets=as_options(packets))
            answers[host]["judged"] = parsed("judged", judged)
        for phases in answers.values():
            phases.setdefault("judged", {})
        run, verdicts = run_of(plan, verify_run, cast(Registered, answers))
        self.of_hosts = Counter(found.verdict for found in verdicts if not found.container_of)
        self.unproven = [found.why for found in verdicts if found.container_of and found.verdict == UNPROVEN]
        return [run.cell(found) for found in verdicts if found.container_of and found.verdict != UNPROVEN]

    def _module(self, space: Space, name: str, **options: Any) -> dict[str, Any]:
        program = str(ROOT / "plugins" / "modules" / f"{name}.py")
        text = json.dumps({"ANSIBLE_MODULE_ARGS": options})
        done = space.run(sys.executable, program, text=text, check=False, PYTHONPATH=str(COLLECTIONS))
        result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        assert not result.get("failed"), result
        return result


@pytest.fixture(name="platform")
def _platform(pair: Pair, tmp_path: Path) -> Iterator[Platform]:
    with with_container(pair) as inside:
        yield Platform(pair, inside, tmp_path)


def _connections(cells: list[Cell], **wanted: str) -> set[str]:
    """Return the connections of the cells with these values, as text."""
    assert {cell["source"] for cell in cells} <= {SOURCE}
    return {
        f"{cell['protocol']}{6 if ':' in cell['address'] else 4} {cell['port']}"
        for cell in cells
        if all(cast(Any, cell)[key] == value for key, value in wanted.items())
    }


ALLOWED = {"tcp4 443", "tcp6 443", "udp4 53", "udp6 53"}


@pytest.mark.parametrize("is_masqueraded", [True, False], ids=["masqueraded", "not masqueraded"])
def test_a_container_opens_what_its_host_may_open(platform: Platform, is_masqueraded: bool) -> None:
    plan = site(["back*"])
    platform.load(plan, *([MASQUERADE] if is_masqueraded else []))
    cells = platform.verify(plan)
    assert _connections(cells, intended="open") == _connections(cells, outcome="open") == ALLOWED
    denied = _connections(cells, intended="filtered")
    assert {"tcp4 5432", "tcp6 5432"} <= denied  # the target would accept these
    assert len(denied) == 8
    assert _connections(cells, verdict="right") == ALLOWED | denied
    assert not platform.unproven


def test_what_the_rules_do_not_judge_is_wrong(platform: Platform) -> None:
    """Verify asks for the chain forward, and the host runs an older ruleset without it."""
    platform.load(site([]), MASQUERADE)
    cells = platform.verify(site(["back*"]))
    wrong = [cell for cell in cells if cell["verdict"] == "wrong"]
    assert _connections(cells, verdict="right") == ALLOWED
    assert {(cell["intended"], cell["compiled"]) for cell in wrong} == {("filtered", "open")} and len(wrong) == 8
    for cell in wrong:
        assert cell["diagnosis"]
        assert cell["diagnosis"]["code"] == "ruleset_allows"
        assert "c1 forwarded the packet of its container on back0" in cell["diagnosis"]["text"]
        assert "chain forward" in cell["diagnosis"]["advice"]
        assert "firewall_filtered_containers" in cell["diagnosis"]["advice"]
    # The target sees the address of the host, and accepts; the host itself is not blamed.
    assert set(platform.of_hosts) == {"right"}


@pytest.mark.parametrize(
    "whose,code,where",
    [
        ("ours", "ruleset_drops", "table inet hpc_ports, chain leaving"),
        ("another's", "other_table", "table inet other, chain c"),
    ],
)
def test_what_is_dropped_although_a_flow_allows_it_is_wrong(
    platform: Platform, whose: str, code: str, where: str
) -> None:
    plan = site(["back*"])
    platform.load(
        site(["back*"], "work") if whose == "ours" else plan, MASQUERADE, *([DROP] if code == "other_table" else [])
    )
    cells = platform.verify(plan)
    dropped = ALLOWED if whose == "ours" else {"tcp4 443", "tcp6 443"}
    assert _connections(cells, verdict="wrong") == dropped
    for cell in cells:
        if cell["verdict"] == "wrong":
            assert cell["diagnosis"] and cell["diagnosis"]["code"] == code
            assert where in cell["diagnosis"]["text"] and "of its container" in cell["diagnosis"]["text"]


def test_an_address_that_the_target_does_not_know_proves_only_what_is_denied(platform: Platform) -> None:
    plan = site(["back*"])
    platform.load(plan)
    platform.pair.peer.nft(
        "add table inet own\nadd chain inet own c { type filter hook input priority 0; }\n"
        "add rule inet own c ip saddr 198.51.100.0/24 drop\nadd rule inet own c ip6 saddr 2001:db8:5::/64 drop\n"
    )
    cells = platform.verify(plan)
    assert len(cells) == 8 and _connections(cells, verdict="right") == _connections(cells, intended="filtered")
    assert platform.unproven == [
        "c1 forwarded the packet of its container, but nothing answered: the target may not know its address."
    ] * len(ALLOWED)


def test_a_container_without_a_way_out_proves_nothing(platform: Platform) -> None:
    plan = site(["back*"])
    platform.load(plan, MASQUERADE)
    platform.inside.arrange("ip route del default; ip -6 route del default")
    assert platform.verify(plan) == []
    assert set(platform.unproven) == {"The container sent no packet over c1. Network is unreachable."}


def test_without_a_container_nothing_is_tried(platform: Platform) -> None:
    plan = site(["back*"])
    platform.load(plan)
    (platform.processes / str(platform.inside.pid)).unlink()
    assert platform.verify(plan) == [] == platform.unproven


def test_where_containers_are_not_filtered_nothing_is_asked(platform: Platform) -> None:
    plan = site([])
    platform.load(plan)
    assert platform.verify(plan) == [] == platform.unproven


# ---- what the rules say of a packet of a container


@settings(
    max_examples=examples(8), phases=PHASES, deadline=None, print_blob=True, suppress_health_check=list(HealthCheck)
)
@given(policies=policies(), seed=st.integers(0, 2**32))
def test_the_judge_says_what_the_policy_does_with_packets_of_containers(
    platform: Platform, policies: list[Policy], seed: int
) -> None:
    defaults = {name: about.get("default") for name, about in PACKET.items()}
    with platform.pair.host.entered():
        for policy in (policy._replace(filtered_containers=("back*",)) for policy in policies):
            load_nftables(policy)
            judge = PacketJudge()
            packets = packets_at_edges(policy, "out", random.Random(seed), 60)
            for packet in (packet for packet in packets if packet.protocol in PROTOCOLS and packet.port):
                query = {
                    "direction": "through",
                    "protocol": packet.protocol,
                    "source": CONTAINER[6 if ":" in packet.peer else 4],
                    "destination": packet.peer,
                    "port": packet.port,
                }
                found = judge.judge(parse_query({**defaults, **query}))
                forwarded = ForwardedPacket(packet.protocol, packet.peer, packet.port, "back0", "eth0")
                assert (found["verdict"] == "accept") == evaluate_forwarded(policy, forwarded).passes, (packet, found)
                assert found["is_ours"] and found["verdict"] in ("accept", "drop"), found


# ---- which containers


@pytest.fixture(name="other")
def _other() -> Iterator[Space]:
    space = Space()
    yield space
    space.close()


def test_of_the_containers_behind_a_bridge_one_is_enough(platform: Platform, other: Space) -> None:
    platform.pair.host.arrange(
        "ip link add docker0 type bridge; ip link set docker0 up; ip link set back0 master docker0\n"
        f"ip link add back1 master docker0 type veth peer name back0 netns {other.pid}"
    )
    other.arrange("ip link set back0 up; ip address add 198.51.100.3/24 dev back0")
    for number, space in enumerate((other, platform.inside), 1):
        (platform.processes / str(number)).symlink_to(f"/proc/{space.pid}")
    with platform.pair.host.entered():
        before = os.stat("/proc/thread-self/ns/net").st_ino
        found = list(containers(["docker*"], str(platform.processes)))
        assert os.stat("/proc/thread-self/ns/net").st_ino == before
        assert [(one.interface, one.addresses) for one in found] == [("docker0", ("198.51.100.3",))]
        assert not list(containers(["back*"], str(platform.processes)))


def test_each_interface_leads_to_its_own_namespace(platform: Platform) -> None:
    """The numbers of interfaces are the same in several namespaces, so they do not say which one it is."""
    peer, inside = platform.pair.peer, platform.inside
    for name, space in (("1", peer), ("2", inside)):
        (platform.processes / name).symlink_to(f"/proc/{space.pid}")
    (platform.processes / "3").mkdir()  # it has just ended
    with platform.pair.host.entered():
        found = {one.interface: one.addresses for one in containers(["*"], str(platform.processes))}
    assert list(found) == ["eth0", "fab0", "back0"]
    assert found["back0"] == tuple(CONTAINER.values()) and found["eth0"] == (PEER[4], PEER[6])


def test_the_module_finds_it_among_all_processes(platform: Platform) -> None:
    probes = [{"address": address, "ports": ["9/tcp"]} for address in (PEER[4], PEER[6])]
    asked = {"interfaces": ["back*"], "probes": probes}
    [found] = platform.pair.module("verify_probe", probes=[], containers=asked, timeout=TIMEOUT)["containers"]
    assert (found["address"], found["interface"]) == (CONTAINER[4], "back0")
    assert [result["refused"] for result in found["results"]] == [["9/tcp"], ["9/tcp"]]
    platform.inside.arrange("ip -6 address flush dev back0 scope global")
    [found] = platform.pair.module("verify_probe", probes=[], containers=asked, timeout=TIMEOUT)["containers"]
    assert [result["address"] for result in found["results"]] == [PEER[4]]
