# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Observe mode records what enforce mode drops, packet by packet, and the records outlive applies."""

from __future__ import annotations

import random
import socket
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables import records
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables.observed import observed
from ansible_collections.hpc.ports.plugins.module_utils._model.evaluate import Packet
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import Policy
from ansible_collections.hpc.ports.plugins.plugin_utils._audit.recorded import recorded_of
from ansible_collections.hpc.ports.tests.support.machine import RULESET, Machine
from ansible_collections.hpc.ports.tests.support.namespaces import HOST, PEER, Pair, forget_connections
from ansible_collections.hpc.ports.tests.support.packets import Wires
from ansible_collections.hpc.ports.tests.support.platforms import packets_at_edges, policies, special_packets
from ansible_collections.hpc.ports.tests.support.run import examples
from ansible_collections.hpc.ports.tests.support.samples import SSH, WEB, policy
from ansible_collections.hpc.ports.tests.support.verdicts import PHASES, joined, load_nftables, opening_of, passing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

Key = tuple[str, str, str, int]


@pytest.fixture
def wires(pair: Pair) -> Iterator[Wires]:
    with joined(pair) as found:
        yield found


def recorded() -> Counter[Key]:
    """Return how many packets of each kind are recorded in the namespace of this thread."""
    return Counter(
        {
            (record.direction, record.peer, record.protocol, record.port): record.packets
            for record in observed(10**6).records
        }
    )


def keys_of(packets: Iterable[Packet]) -> Counter[Key]:
    return Counter((packet.direction, packet.peer, packet.protocol, packet.port) for packet in packets)


@settings(
    max_examples=examples(20),
    phases=PHASES,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(platform=policies(), seed=st.integers(0, 2**32))
def test_what_observe_records_is_what_enforce_drops(
    pair: Pair, wires: Wires, platform: list[Policy], seed: int
) -> None:
    """Packet by packet, in both families; each change of the mode deletes the records."""
    randomness = random.Random(seed)
    with pair.host.entered():
        for policy in platform:
            packets = {
                direction: [*special_packets(direction), *packets_at_edges(policy, direction, randomness, 100)]
                for direction in ("in", "out")
            }
            load_nftables(policy._replace(mode="enforce"))
            assert recorded() == Counter()
            dropped: list[Packet] = []
            for sent in packets.values():
                forget_connections()
                passed = passing(wires, sent)
                dropped += [packet for packet in sent if packet not in passed]
            load_nftables(policy._replace(mode="observe"))
            for direction, wire in (("in", wires.inward), ("out", wires.outward)):
                forget_connections()
                openings = [opening_of(packet) for packet in packets[direction]]
                assert wire.answered(openings, tries=1) == set(openings)
            assert recorded() == keys_of(dropped), policy
            assert not any(observed(0).unrecorded.values())


# ---- what a record has


def send_udp(machine: Machine, *ports: int) -> None:
    """Send from the peer to these ports of the host."""
    with machine.pair.peer.entered():
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with sock:
        for port in ports:
            try:
                sock.sendto(b"x", (HOST[4], port))
            except ConnectionRefusedError:  # the answer to an earlier one
                sock.sendto(b"x", (HOST[4], port))


OBSERVE = policy(SSH, WEB, mode="observe")
OTHER = policy(SSH, WEB, ("in", "nfs", ["2049/tcp"], ("10.64.0.0/24",)), mode="observe", egress="restricted")


def found(machine: Machine, **options: Any) -> dict[str, Any]:
    """Return what the module says."""
    result = machine.pair.module("observed_info", check=True, **options)
    assert not result["changed"]
    return {key: result[key] for key in ("observes", "seconds", "records", "left_out", "unrecorded")}


def test_a_record_has_a_count_and_the_time_of_its_last_packet(machine: Machine) -> None:
    machine.apply(OBSERVE)
    send_udp(machine, 1000, 1001, 1000)
    time.sleep(2.1)
    send_udp(machine, 1001)
    result = found(machine)
    record = {"direction": "in", "peer": PEER[4], "target": "", "protocol": "udp"}
    ages = [entry.pop("last_seconds") for entry in result["records"]]
    assert result["records"] == [{**record, "port": 1001, "packets": 2}, {**record, "port": 1000, "packets": 2}]
    assert ages[0] + 2 <= ages[1] <= result["seconds"]
    assert result["observes"] and not any(result["unrecorded"].values())
    rest = found(machine, most=1)
    assert (len(rest["records"]), rest["left_out"]) == (1, 1)


def test_records_by_port_say_the_same_and_who_listens(machine: Machine) -> None:
    machine.apply(OBSERVE)
    send_udp(machine, 1000, 1001, 1000)
    with machine.pair.host.entered():
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with sock:
        sock.bind(("0.0.0.0", 1001))
        result = machine.pair.module("observed_info", check=True, compact=True)
    by_port = {(entry["direction"], entry["protocol"], entry["port"]): entry["peers"] for entry in result["ports"]}
    assert [by_port["in", "udp", number].split(" ")[:2] for number in (1000, 1001)] == [[PEER[4], "2"], [PEER[4], "1"]]
    assert [item["port"] for item in result["listeners"] if item["protocol"] == "udp"] == [1001]
    assert "records" not in result and (result["published"], result["problems"]) == ([], [])
    recorded = recorded_of(result)
    assert (recorded.seconds, recorded.served[0][0].first) == (result["seconds"], 1001)


def test_a_host_that_does_not_observe_has_no_records(machine: Machine) -> None:
    nothing: dict[str, Any] = {
        "observes": False,
        "seconds": None,
        "records": [],
        "left_out": 0,
        "unrecorded": {"in": 0, "out": 0, "forward": 0},
    }
    assert found(machine) == nothing
    machine.apply(policy(SSH))
    send_udp(machine, 1000)
    assert found(machine) == nothing


def test_what_finds_the_records_full_is_counted(machine: Machine) -> None:
    machine.apply(OBSERVE)
    ports = range(1, records.MOST + 101)
    send_udp(machine, *ports)
    with machine.host.entered():
        result = observed(10**6)
    sent = machine.counted("denied_in")
    assert sent >= len(ports) and result.unrecorded["in"] > 0
    assert len(result.records) == records.MOST
    assert sum(record.packets for record in result.records) + result.unrecorded["in"] == sent
    assert len(found(machine, most=100)["records"]) == 100
    assert not machine.apply(OBSERVE)["changed"]


# ---- how long the records last


def test_packets_are_no_drift_and_applies_keep_the_records(machine: Machine) -> None:
    machine.apply(OBSERVE)
    send_udp(machine, 1000)
    generation = machine.generation()
    assert not machine.apply(OBSERVE)["changed"]
    assert machine.generation() == generation
    with machine.host.entered():
        before, counted = observed(9).seconds, recorded()
        assert counted == {("in", PEER[4], "udp", 1000): 1}
    time.sleep(1.1)
    assert machine.apply(OTHER)["changed"]
    with machine.host.entered():
        assert recorded() == counted
        assert observed(9).seconds > before
    send_udp(machine, 1000)
    with machine.host.entered():
        assert recorded()["in", PEER[4], "udp", 1000] == 2


def test_packets_do_not_outdate_the_cached_listing_which_has_no_records(machine: Machine) -> None:
    def kept() -> str:
        return machine.host.shell("stat -c '%n %i %Y %Z' /run/hpc-ports/listing-*")

    machine.apply(OBSERVE)
    assert not machine.apply(OBSERVE)["changed"]
    before = kept()
    send_udp(machine, 1000)
    assert not machine.apply(OBSERVE)["changed"]
    assert kept() == before
    machine.host.shell("rm /run/hpc-ports/listing-*")
    assert not machine.apply(OBSERVE)["changed"]
    listed = machine.host.shell("cat /run/hpc-ports/listing-*")
    assert "observed_in_v4" in listed and PEER[4] not in listed


def test_a_change_that_is_undone_keeps_the_records(machine: Machine) -> None:
    machine.apply(OBSERVE)
    send_udp(machine, 1000)
    with machine.host.entered():
        counted = recorded()
    token = machine.begin(OTHER)["pending"]["token"]
    machine.host.shell("sh /run/hpc-ports/armed/revert now")
    assert machine.confirm(token)["status"] == "reverted"
    assert not machine.apply(OBSERVE)["changed"]
    with machine.host.entered():
        assert recorded() == counted != Counter()


def test_another_mode_deletes_the_records_and_a_boot_has_none(machine: Machine) -> None:
    machine.apply(OBSERVE)
    send_udp(machine, 1000)
    machine.apply({**OBSERVE, "mode": "enforce"})
    assert "observed_" not in machine.listing() + machine.path(RULESET).read_text(encoding="utf-8")
    machine.apply(OBSERVE)
    assert found(machine)["records"] == []
    send_udp(machine, 1000)
    machine.reload_from_disk()
    assert found(machine)["records"] == [] and found(machine)["observes"]
    assert not machine.apply(OBSERVE)["changed"]


def test_a_rule_that_records_is_mended_without_loss_of_records(machine: Machine) -> None:
    machine.apply(OBSERVE)
    send_udp(machine, 1000)
    machine.nft("flush chain inet hpc_ports arriving")
    result = machine.apply(OBSERVE)
    assert result["changes"]["objects"] == ["chain arriving"]
    machine.nft(
        "flush chain inet hpc_ports arriving\ndelete map inet hpc_ports in_tcp\n"
        "add map inet hpc_ports in_tcp { type inet_service : verdict; }"
    )
    assert machine.apply(OBSERVE)["changed"]
    with machine.host.entered():
        assert recorded() == {("in", PEER[4], "udp", 1000): 1}
