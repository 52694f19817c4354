# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The quick check on a host: it finds nothing changed only where the module finds the same."""

from __future__ import annotations

import random
import shlex
from typing import Any

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._model.quick_check import RECORD, check_script, parse_answer
from ansible_collections.hpc.ports.tests.support.machine import LINK, RULESET, UNIT, Machine, without_invocation
from ansible_collections.hpc.ports.tests.support.run import SEED, examples
from ansible_collections.hpc.ports.tests.support.samples import SAMPLE, policy

KEY = "0123456789abcdef"
OURS = "inet hpc_ports"
# A unit of a site that loads rules, and what a run reads of it.
LOADER, WANTS = "/etc/systemd/system/rules.service", "/etc/systemd/system/multi-user.target.wants"
SCRIPT, RULES, INCLUDED = "/etc/rules.sh", "/etc/rules.nft", "/etc/rules.d"
# What systemctl has linked into the folders of systemd.
LINKED = "/etc/site"
SITE = f"""
mkdir -p {INCLUDED} {WANTS}
printf '#!/bin/sh\\nexec nft -f {RULES}\\n' > {SCRIPT}
printf 'include "{INCLUDED}/*.nft"\\n' > {RULES}
printf '[Service]\\nExecStart={SCRIPT}\\nExecStart=/usr/sbin/nft -f {RULES}\\n' > {LOADER}
ln -sf {LOADER} {WANTS}
mkdir -p {LINKED}
printf '[Service]\\nExecStart=/bin/true\\n' > {LINKED}/linked.service
ln -sf {LINKED}/linked.service /etc/systemd/system/
ln -sf {LINKED}/linked.service {WANTS}
nft add table ip site
nft 'add chain ip site c {{ type filter hook input priority 5; }}'
nft add rule ip site c tcp dport 9999 counter accept
ip link add name bridge9 type bridge
"""
# What may happen to a host between two runs; each of them by itself is possible after all others.
DRIFT = {
    "nothing": "true",
    "a connection is counted": "bash -c 'echo > /dev/udp/192.0.2.9/9' 2> /dev/null || true",
    "our table is gone": f"nft delete table {OURS} 2> /dev/null || true",
    "a rule of ours is gone": f"nft flush chain {OURS} arriving 2> /dev/null || true",
    "a rule more in our chain": f"nft insert rule {OURS} input tcp dport 7 accept 2> /dev/null || true",
    "another policy of our chain": f"nft 'add chain {OURS} input {{ policy accept; }}' 2> /dev/null || true",
    "a set of ours is empty": f"nft flush set {OURS} in_slurm_control_v4 2> /dev/null || true",
    "an element more in our map": f"nft 'add element {OURS} in_tcp {{ 7 : accept }}' 2> /dev/null || true",
    "a chain more in our table": f"nft add chain {OURS} more 2> /dev/null || true",
    "a table of others": "nft 'add table ip more { chain c { type filter hook input priority 3; policy drop; }; }'",
    "a rule of others drops": "nft add rule ip site c udp dport 1 drop",
    "a rule of others translates": (
        "nft 'add table ip nat; add chain ip nat pre { type nat hook prerouting priority -100; }; "
        "add rule ip nat pre tcp dport 8080 dnat to 10.0.0.1:80'"
    ),
    "a rule of others is another one": "nft flush chain ip site c; nft add rule ip site c tcp dport 9998 accept",
    "the ruleset file is another": f"echo '# more' >> {RULESET}",
    "the ruleset file has the size, time and inode it had": (
        f"touch -r {RULESET} /tmp/before; sed s/accept/acceqt/ {RULESET} > /tmp/other; cat /tmp/other > {RULESET}; "
        f"touch -r /tmp/before {RULESET}"
    ),
    "the ruleset file is readable": f"chmod 644 {RULESET}",
    "the unit is another": f"sed -i s/oneshot/simple/ {UNIT}",
    "the unit is gone": f"rm -f {UNIT}",
    "the link is gone": f"rm -f {LINK}",
    "the link leads elsewhere": f"ln -sfn /dev/null {LINK}",
    "a file of an interrupted run": "echo > /etc/hpc-ports/.ruleset.nft.new",
    "a unit of others flushes": f"echo 'flush ruleset' >> {RULES}",
    "an included file flushes": f"echo 'flush ruleset' > {INCLUDED}/one.nft",
    "a unit of others is no longer enabled": f"rm -f {WANTS}/rules.service",
    "a linked unit of others flushes": f"echo 'ExecStart=/usr/sbin/nft flush ruleset' >> {LINKED}/linked.service",
    "a script flushes": f"echo 'nft flush ruleset' >> {SCRIPT}",
    "a unit of others is gone": f"rm -f {LOADER}",
    "a drop-in of a unit": f"mkdir -p {LOADER}.d; printf '[Unit]\\nBefore=network-pre.target\\n' > {LOADER}.d/x.conf",
    "another range of ephemeral ports": "echo 40000 50000 > /proc/sys/net/ipv4/ip_local_port_range",
    "reserved ports": "echo 6817 > /proc/sys/net/ipv4/ip_local_reserved_ports",
    "forwarding": "echo 1 > /proc/sys/net/ipv4/ip_forward",
    "an address more": "ip address add 198.18.7.7/32 dev fab0 2> /dev/null || true",
    "an interface is down": "ip link set fab0 down",
    "an interface is up": "ip link set fab0 up",
    "a bridge gets a port": "ip link add veth7 type veth peer name veth8; ip link set veth7 master bridge9 up",
}


@pytest.fixture(name="host")
def _host(machine: Machine) -> Machine:
    """A host with a site's own rules, on which a run found nothing to change."""
    machine.host.shell(SITE)
    return machine


def settled(machine: Machine) -> dict[str, Any]:
    """Apply the sample until nothing changes; return the last result, with its warnings as text."""
    machine.apply(SAMPLE, key=KEY)
    return result(machine.apply(SAMPLE, key=KEY))


def checked(machine: Machine, key: str = KEY) -> dict[str, Any] | None:
    """Return what the host answers to the controller; None if it does not know. Ansible appends to each command."""
    script = f"PATH={machine.programs}:$PATH; {check_script(key)} && sleep 0"
    return parse_answer(machine.host.shell(f"sh -c {shlex.quote(script)}"))


def result(found: dict[str, Any]) -> dict[str, Any]:
    texts = [str(text if isinstance(text, str) else text["event"]["msg"]) for text in found.get("warnings", [])]
    return {**without_invocation(found), "warnings": texts}


def test_the_result_of_a_run_without_changes_is_kept(host: Machine) -> None:
    host.apply(SAMPLE, key=KEY)
    assert checked(host) is None
    found = result(host.apply(SAMPLE, key=KEY))
    assert not found["changed"] and checked(host) == checked(host) == found
    assert checked(host, "other") is None
    assert not host.apply(SAMPLE)["changed"] and checked(host) == found


def test_a_record_of_another_key_is_removed_and_the_next_run_keeps_a_new_one(host: Machine) -> None:
    settled(host)
    assert not host.begin(SAMPLE, key="other", check=True)["changed"] and checked(host)
    assert not host.apply(SAMPLE, key="other")["changed"]
    assert checked(host) is checked(host, "other") is None
    found = result(host.apply(SAMPLE, key="other"))
    assert checked(host, "other") == found


@pytest.mark.parametrize("record", ["printf '\\377\\n' > {0}", "mkdir {0}", "ln -s /nowhere {0}", "ln -s {0} {0}"])
def test_a_damaged_record_only_has_the_module_run(host: Machine, record: str) -> None:
    settled(host)
    host.host.shell(f"rm {RECORD}; {record.format(RECORD)}")
    assert checked(host) is None
    assert not host.apply(SAMPLE, key=KEY)["changed"]


def test_the_result_of_a_run_that_leaves_connections_to_be_cut_is_not_kept(host: Machine) -> None:
    settled(host)
    host.host.shell("touch /run/hpc-ports/uncut")
    assert host.apply(SAMPLE, key="other", cut_established=True)["cuts"]
    assert checked(host, "other") is None


@pytest.mark.parametrize("option", [{"check": True}, {"wanted": policy(*SAMPLE["rules"][:0], mode="observe")}])
def test_other_runs_keep_nothing(host: Machine, option: dict[str, Any]) -> None:
    wanted = option.pop("wanted", SAMPLE)
    host.apply(wanted)
    assert not host.begin(wanted, key=KEY, **option)["changed"]
    assert checked(host) is None


def test_a_change_in_a_linked_folder_is_seen(host: Machine) -> None:
    host.apply(SAMPLE)
    host.host.shell("cp -a /etc/hpc-ports /etc/elsewhere; rm -r /etc/hpc-ports; ln -s elsewhere /etc/hpc-ports")
    settled(host)
    assert checked(host)
    host.host.shell("echo '# more' >> /etc/elsewhere/ruleset.nft")
    assert checked(host) is None


@pytest.mark.parametrize("tool", ["find", "flock", "ip", "nft", "sha256sum", "stat", "xargs"])
def test_without_one_of_its_tools_the_check_does_not_know(host: Machine, tool: str) -> None:
    settled(host)
    path = host.host.shell(f"readlink -f $(command -v {tool})").strip()
    host.host.shell(f"mount --bind /dev/null {path}")
    try:
        assert checked(host) is None
        if tool not in ("ip", "nft"):
            assert not host.apply(SAMPLE, key=KEY)["changed"] and checked(host) is None
    finally:
        host.host.shell(f"umount {path}")
    assert checked(host) or tool not in ("ip", "nft")


def test_another_run_that_has_begun_is_waited_for(host: Machine) -> None:
    """It has armed the undo, and not changed a rule yet."""
    settled(host)
    host.host.shell("ln -s token /run/hpc-ports/armed")
    assert checked(host) is None
    host.host.shell("rm /run/hpc-ports/armed")
    assert checked(host)


@pytest.mark.parametrize("name", DRIFT)
def test_what_the_module_sees_is_seen(host: Machine, name: str) -> None:
    settled(host)
    drift_is_seen(host, [name])


def test_random_drift_is_seen(host: Machine) -> None:
    chance = random.Random(SEED)
    for _number in range(examples(30)):
        host.host.shell(
            "nft flush ruleset; ip link delete veth7 2> /dev/null || true; " + SITE.replace("ip link add", ": ")
        )
        settled(host)
        drift_is_seen(host, chance.sample(sorted(DRIFT), chance.randint(1, 4)))


def drift_is_seen(host: Machine, names: list[str]) -> None:
    """Make the changes; where the quick check finds none, the module finds none and has the same result."""
    for name in names:
        host.host.shell(DRIFT[name])
    answer, found = checked(host), result(host.begin(SAMPLE, check=True))
    assert answer in (None, found), names
    if names in (["nothing"], ["a connection is counted"]):
        assert answer
