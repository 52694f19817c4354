# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `render` writes, on hosts that boot with it and that Ansible never sees: by firewalld, and by nftables alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.hpc.ports.tests.firewalld.daemons import VERSIONS, Daemon
from ansible_collections.hpc.ports.tests.firewalld.verdicts import check_verdicts, past_guards
from ansible_collections.hpc.ports.tests.support.containers import Container
from ansible_collections.hpc.ports.tests.support.namespaces import Pair, forget_connections
from ansible_collections.hpc.ports.tests.support.rendered import CLASSES, Class, class_of, give, put
from ansible_collections.hpc.ports.tests.support.run import turn
from ansible_collections.hpc.ports.tests.support.samples import SAMPLE
from ansible_collections.hpc.ports.tests.support.verdicts import check_verdicts as check_nftables
from ansible_collections.hpc.ports.tests.support.verdicts import joined

REMOVE = "rm -rf /etc/hpc-ports /etc/systemd/system/hpc-ports* /etc/systemd/system/*/hpc-ports*"
UNITS = ("hpc-ports.service", "network-pre.target", "ssh.service")


# ---- firewalld


def test_firewalld_starts_with_the_files_and_the_module_changes_nothing(daemon: Daemon, tmp_path: Path) -> None:
    for name in turn(CLASSES, int(daemon.release)):
        # As a host that never had the rules of the class before: what loads a file keeps what it does not name.
        daemon.host.shell(
            "systemctl stop firewalld hpc-ports-watch 2> /dev/null || :; rm -f /etc/firewalld/*/hpc_ports_*; "
            "nft delete table inet hpc_ports_published 2> /dev/null || :"
        )
        found = class_of(tmp_path / name, name, firewalld_version=daemon.version)
        put(found.folder / "firewalld", daemon.host)
        daemon.host.shell(
            "systemctl daemon-reload; systemctl start firewalld hpc-ports-watch; systemctl restart hpc-ports-published"
        )
        daemon.wait_for_firewalld()
        daemon.host.shell("firewall-cmd --quiet --check-config")
        for _direction, packets in found.packets():
            check_verdicts(daemon, daemon.wires, found.policy, past_guards(packets))
        _check_unchanged(daemon, found, "firewalld")


def _check_unchanged(pair: Pair, found: Class, backend: str) -> None:
    result = pair.module(policy=found.data, diff=True, watch=True)
    assert not result.get("failed"), result
    assert (result["backend"], result["changed"], result["changes"]["objects"]) == (backend, False, [])


# ---- nftables


class Booted(Pair):
    """A host that has booted, joined to its peer."""

    python, python_path = Daemon.python, Daemon.python_path

    def close(self) -> None:
        """Part the host from its peer. The kernel lets the links of a peer that ended go later than the next test."""
        self.host.arrange("ip link delete eth0; ip link delete fab0")
        self.peer.close()


@pytest.fixture(name="image", scope="module", params=VERSIONS, ids=[f"Debian {release}" for release in VERSIONS])
def _image(request: pytest.FixtureRequest) -> Iterator[Container]:
    """A host without firewalld that never had rules of ours."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
    found = Container(request.param, f"{os.environ['HPC_PORTS_LAB']}-image-{request.param}-{worker}")
    yield found
    found.close()


def _check_booted(image: Container, found: Class) -> None:
    pair = Booted(image)
    try:
        with joined(pair) as wires:
            for _direction, packets in found.packets():
                with image.entered():
                    forget_connections()
                check_nftables(wires, found.policy, packets)
        _check_unchanged(pair, found, "nftables")
    finally:
        pair.close()


@pytest.mark.takes_turns
def test_a_host_boots_with_the_files_and_is_closed_before_it_has_a_network(image: Container, tmp_path: Path) -> None:
    found = class_of(tmp_path, CLASSES[1])
    put(found.folder / "nftables", image)
    image.restart()
    assert image.shell(f"systemctl is-active {UNITS[0]}").strip() == "active"
    times = image.shell(f"systemctl show -P ActiveEnterTimestampMonotonic {' '.join(UNITS)}")
    loaded, network, ssh = map(int, times.split())
    assert 0 < loaded <= network <= ssh
    _check_booted(image, found)


@pytest.mark.takes_turns
def test_user_data_loads_the_rules_as_a_host_boots_first(image: Container, tmp_path: Path) -> None:
    found = class_of(tmp_path, CLASSES[0])
    image.shell(REMOVE)
    image.restart()
    assert image.shell("nft list tables").strip() == ""
    give(found.folder / "cloud-init.yml", image.run)
    assert image.shell(f"systemctl is-active {UNITS[0]}").strip() == "active"
    _check_booted(image, found)
    image.restart()
    _check_booted(image, found)


# ---- a boot that fails


@pytest.mark.takes_turns
def test_a_host_that_cannot_load_its_rules_boots_closed(image: Container) -> None:
    """And without nft it has none: the unit fails, and the next run mends it."""
    _apply(image)
    image.shell("echo nonsense >> /etc/hpc-ports/ruleset.nft")
    image.restart()
    image.shell(f"systemctl is-failed {UNITS[0]}")
    rules = image.shell("nft list table inet hpc_ports")
    assert "policy drop" in rules and "in_management_ssh" in rules and "in_web" not in rules
    image.shell("mv /usr/sbin/nft /root")
    image.restart()
    image.shell(f"systemctl is-failed {UNITS[0]}; mv /root/nft /usr/sbin; ! nft list table inet hpc_ports 2> /dev/null")
    _apply(image)
    assert "in_web" in image.shell("nft list table inet hpc_ports")
    image.restart()
    image.shell(f"systemctl is-active {UNITS[0]} hpc-ports-watch; {REMOVE}")


def _apply(image: Container) -> None:
    pair = Booted(image)
    try:
        result = pair.module(policy=SAMPLE, watch=True, boot_failure="closed")
        assert result["changed"], result
        assert pair.module("firewall_confirm", token=result["pending"]["token"])["status"] == "confirmed"
    finally:
        pair.close()
