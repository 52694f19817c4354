# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Our table beside firewalld: published ports, which firewalld itself opens for everybody."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import pytest
from ansible_collections.hpc.ports.tests.firewalld.daemons import Daemon
from ansible_collections.hpc.ports.tests.firewalld.verdicts import applied
from ansible_collections.hpc.ports.tests.support.namespaces import HOST, forget_connections
from ansible_collections.hpc.ports.tests.support.packets import Opening
from ansible_collections.hpc.ports.tests.support.published import with_container
from ansible_collections.hpc.ports.tests.support.run import scaled
from ansible_collections.hpc.ports.tests.support.samples import ANYWHERE, SSH, policy
from ansible_collections.hpc.ports.tests.support.signs import wait_until

ALLOWED, OTHER = ("10.64.0.1", "fd64::1"), ("10.64.1.1", "fd65::1")
WEB = ("in", "web", ["8080/tcp"], ALLOWED)
POLICY = policy(SSH, WEB)
# The same flows for others, by calls, and other flows, by a reload. 9999 is the port inside.
OTHER_PEERS = policy(SSH, (*WEB[:3], OTHER))
OTHER_FLOWS = policy(SSH, ("in", "inside", ["9999/tcp"], ANYWHERE), (*WEB[:3], OTHER))
PACKETS = {
    (source, port): Opening("tcp", source, HOST[6 if ":" in source else 4], port, 20_000 + number)
    for number, (source, port) in enumerate(product((*ALLOWED, *OTHER), (8080, 9000)))
}
ALL = set(PACKETS)
BY_ALLOWED, BY_OTHER = ({(source, 8080) for source in sources} for sources in (ALLOWED, OTHER))
# By tables with names of their own: firewalld empties the ones of iptables, also where nft made them.
PUBLISH = """
table ip hand {
  chain pre { type nat hook prerouting priority dstnat; tcp dport { 8080, 9000 } dnat to 198.51.100.2:9999; }
}
table ip6 hand {
  chain pre { type nat hook prerouting priority dstnat; tcp dport { 8080, 9000 } dnat to [2001:db8:5::2]:9999; }
}
"""
NAME = "inet hpc_ports_published"
DRIFT = {
    "no table": (f"delete table {NAME}", "published chain prerouting"),
    "an element": (f"add element {NAME} in_web_v4 {{ 10.64.1.1 }}", "published set in_web_v4"),
    "a rule": (f"insert rule {NAME} prerouting accept", "published chain prerouting"),
    "a chain": (f"add chain {NAME} more", "published chain more"),
    "another type": (f"add table {NAME} {{ flags dormant; }}", "published table"),
}
# What starts or ends while the rules stay.
STARTS = ("firewall-cmd --reload", "firewall-cmd --complete-reload", "systemctl restart firewalld")


@pytest.fixture(name="host")
def _host(daemon: Daemon) -> Iterator[Daemon]:
    """A host that publishes two ports of a container."""
    with with_container(daemon):
        daemon.host.nft(PUBLISH)
        yield daemon
        daemon.host.run("sh", "-c", "nft delete table ip hand; nft delete table ip6 hand", check=False)
        daemon.host.arrange("echo 0 > /proc/sys/net/ipv4/ip_forward; echo 0 > /proc/sys/net/ipv6/conf/all/forwarding")


def opened(host: Daemon) -> set[tuple[str, int]]:
    """Return from whom which published port is reached."""
    with host.host.entered():
        forget_connections()
    answered = host.wires.inward.answered(list(PACKETS.values()))
    return {key for key, opening in PACKETS.items() if opening in answered}


def everything(host: Daemon) -> list[str]:
    """Return all rules and the names of the files; the tables may have changed places."""
    return sorted(host.host.shell("nft -s list ruleset; ls -A /etc/systemd/system /etc/firewalld/*").split("\n"))


def generation(host: Daemon) -> str:
    return host.host.shell("nft -a list table inet firewalld | head -n 1")


def is_running(host: Daemon, wanted: Mapping[str, Any]) -> bool:
    result = host.module(policy=wanted, check=True)
    assert not result.get("failed"), result
    return not result["changed"]


# ---- what passes


def test_a_published_port_is_open_for_those_whom_the_policy_allows(host: Daemon) -> None:
    """And firewalld alone opens it for everybody."""
    before = everything(host)
    assert opened(host) == ALL
    applied(host.runs, POLICY)
    assert opened(host) == BY_ALLOWED
    for command in STARTS:
        if "complete" in command and host.version == "0.9.3" and not os.path.exists("/proc/modules"):
            continue  # this version fails on a kernel without modules
        host.host.shell(f"systemctl reset-failed firewalld; {command}")
        host.wait_for_firewalld()
        assert (opened(host), is_running(host, POLICY)) == (BY_ALLOWED, True), command
    assert not applied(host.runs, OTHER_PEERS)
    assert opened(host) == BY_OTHER
    assert applied(host.runs, OTHER_FLOWS)
    assert opened(host) == BY_OTHER
    assert host.module(state="absent")["changed"]
    assert opened(host) == ALL
    assert everything(host) == before
    assert host.host.shell("ls -A /etc | grep hpc || true") == ""
    assert not host.module(state="absent")["changed"]


@pytest.mark.takes_turns
def test_a_forward_port_of_firewalld_is_published_as_well(host: Daemon) -> None:
    ports = " ".join(
        f"--add-forward-port=port={port}:proto=tcp:toport=9999:toaddr=198.51.100.2" for port in (8080, 9000)
    )
    host.host.shell(f"nft delete table ip hand; nft delete table ip6 hand; firewall-cmd --permanent {ports}")
    host.host.shell("firewall-cmd --reload")
    assert opened(host) == {(source, port) for source, port in ALL if ":" not in source}
    applied(host.runs, POLICY)
    assert opened(host) == BY_ALLOWED


def test_a_stopped_firewalld_leaves_the_table(host: Daemon) -> None:
    """And the table goes where our rules are removed."""
    applied(host.runs, POLICY)
    host.host.shell("systemctl stop firewalld")
    assert opened(host) == BY_ALLOWED
    assert host.module(state="absent")["changed"]
    assert opened(host) == ALL


# ---- drift, undo


@pytest.mark.takes_turns
@pytest.mark.parametrize("kind", DRIFT)
def test_drift_of_the_table_is_seen_and_mended(host: Daemon, kind: str) -> None:
    script, name = DRIFT[kind]
    applied(host.runs, POLICY)
    before, handle = host.runs.state(), generation(host)
    host.host.nft(script)
    result = host.module(policy=POLICY, diff=True)
    assert name in result["changes"]["objects"] and not result["changes"]["flows_added"], result
    assert f"{name}:\n" in result["diff"]["before"] + result["diff"]["after"]
    assert host.module("firewall_confirm", token=result["pending"]["token"])["status"] == "confirmed"
    assert (host.runs.state(), generation(host), opened(host)) == (before, handle, BY_ALLOWED)


@pytest.mark.parametrize("wanted", [OTHER_PEERS, OTHER_FLOWS], ids=["by calls", "by a reload"])
def test_what_nobody_confirms_is_undone_with_the_policies(host: Daemon, wanted: Mapping[str, Any]) -> None:
    applied(host.runs, POLICY)
    before = host.runs.state()
    assert host.module(policy=wanted)["pending"]
    assert opened(host) == BY_OTHER
    host.runs.undo_now()
    assert (host.runs.state()._replace(left=[]), opened(host)) == (before._replace(left=[]), BY_ALLOWED)


@pytest.mark.takes_turns
def test_the_first_table_is_undone(host: Daemon) -> None:
    pending = host.module(policy=POLICY, confirm_within=scaled(60))["pending"]
    assert opened(host) == BY_ALLOWED
    host.host.nft(f"insert rule {NAME} prerouting tcp dport 9 drop")
    assert host.module("firewall_confirm", token=pending["token"])["status"] == "altered"
    host.runs.undo_now()
    assert opened(host) == ALL
    assert host.host.shell("ls -A /etc | grep hpc || true") == ""


# ---- the watch, and boots


@pytest.mark.takes_turns
def test_the_watch_loads_the_table_again(host: Daemon) -> None:
    result = host.module(policy=POLICY, watch=True)
    host.module("firewall_confirm", token=result["pending"]["token"])
    before = host.runs.state().table
    for command in (f"nft delete table {NAME}", f"nft flush table {NAME}", "nft flush ruleset"):
        host.host.shell(f"systemctl reset-failed firewalld; {command}")
        wait_until(lambda: host.runs.state(asks_firewalld=False).table == before)
        host.wait_for_firewalld()
    host.host.nft(PUBLISH)
    assert opened(host) == BY_ALLOWED
    host.module(policy=OTHER_PEERS, watch=True)
    assert opened(host) == BY_OTHER
    host.host.shell(f"nft delete table {NAME}")
    wait_until(lambda: opened(host) == BY_OTHER)
    host.runs.undo_now()
    assert (opened(host), host.runs.state().table) == (BY_ALLOWED, before)


@pytest.mark.takes_turns
def test_a_boot_loads_the_table_before_the_network(daemon: Daemon) -> None:
    applied(daemon.runs, POLICY)
    before = daemon.runs.state().table
    daemon.boot()
    daemon.wait_for_firewalld()
    assert daemon.host.shell("systemctl is-active hpc-ports-published").strip() == "active"
    times = daemon.host.shell(
        "systemctl show -P ActiveEnterTimestampMonotonic hpc-ports-published network-pre.target firewalld"
    )
    loaded, network, _firewalld = map(int, times.split())
    assert 0 < loaded <= network
    assert daemon.runs.state().table == before and is_running(daemon, POLICY)


@pytest.mark.takes_turns
def test_a_table_that_did_not_load_at_boot_is_told_and_mended(daemon: Daemon) -> None:
    applied(daemon.runs, POLICY)
    daemon.host.shell(
        f"nft delete table {NAME}; cd /etc/hpc-ports; cp published.nft /root; echo nonsense > published.nft; "
        "systemctl restart hpc-ports-published || true; cp /root/published.nft ."
    )
    result = daemon.module(policy=POLICY)
    assert "could not load its rules for published ports at boot" in str(result["warnings"])
    assert daemon.module("firewall_confirm", token=result["pending"]["token"])["status"] == "confirmed"
    assert daemon.host.shell("systemctl is-active hpc-ports-published").strip() == "active"
    assert is_running(daemon, POLICY)


@pytest.mark.takes_turns
def test_without_nft_the_package_is_asked_for(daemon: Daemon) -> None:
    daemon.host.shell("mv /usr/sbin/nft /root")
    try:
        result = daemon.module(policy=POLICY)
    finally:
        daemon.host.shell("mv /root/nft /usr/sbin")
    assert result["missing_packages"] == ["nftables"]


@pytest.mark.takes_turns
def test_the_table_goes_with_a_firewalld_that_is_gone(daemon: Daemon) -> None:
    """Its package was purged: only our own files are left."""
    applied(daemon.runs, POLICY)
    daemon.host.shell("systemctl mask --quiet --now firewalld; rm -r /etc/firewalld")
    assert applied(daemon.runs, POLICY) is False
    assert "hpc_ports_published" not in daemon.host.shell("nft list tables; ls -AR /etc/hpc-ports")
    assert "table inet hpc_ports\n" in daemon.host.shell("nft list tables")
    assert daemon.host.shell("ls -A /etc/systemd/system | grep published || true") == ""
