# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the playbooks promise, on the lab as `site.yml` left it: every test leaves it so again."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hpc.ports.tests.support.hosts import (
    EVERYTHING,
    FIREWALL_ONLY,
    FIREWALLD,
    HANDLES,
    NFTABLES,
    START_FIREWALLD,
    executed_anywhere,
    firewall,
    forget_executions,
    mending,
    on,
    play,
    restart,
    restoring,
    state,
    table,
)
from ansible_collections.hpc.ports.tests.support.run import SEED, turn
from ansible_collections.hpc.ports.tests.support.signs import wait_until

# Debian 11, 12 and 13: a host with nftables, one with firewalld.
PAIRS = tuple(zip(NFTABLES, FIREWALLD))
_IN_FIREWALLD = "inet firewalld filter_IN_policy_hpc_ports_in_allow"


def test_batches_and_limits_change_nothing() -> None:
    hosts = ("nfs1", "nfs2", "ctl1", "alpha-compute2")
    run = play("site", "--check", *FIREWALL_ONLY, "-efirewall_serial=3", "--limit", ",".join(hosts))
    assert run.code == 0, run.output
    assert run.output.count("PLAY [Give every managed host its firewall]") == 2
    assert run.changed == dict.fromkeys(hosts, 0)
    assert "lockd needs 32768, but the kernel may use 32768 as an ephemeral port" in run.text


def test_a_quiet_run_with_nothing_to_change_has_one_line_for_each_host() -> None:
    hosts = ("alpha-compute2", "ctl1")
    run = play("site", *FIREWALL_ONLY, "--limit", ",".join(hosts), ANSIBLE_STDOUT_CALLBACK="hpc.ports.quiet")
    assert (run.code, run.changed) == (0, dict.fromkeys(hosts, 0)), run.output
    assert "TASK [" not in run.output and "ok: [" not in run.output
    # First the summary of the plan, and last that of the firewalls.
    assert " hosts get a firewall" in run.output.partition("PLAY [Prepare")[0]
    recap = [line for line in run.output.partition("PLAY RECAP")[2].splitlines()[1:] if line]
    assert [line.split()[0] for line in recap] == [*hosts, "Firewall:"]
    assert recap[-1] == "Firewall: 2 hosts as before."


def test_the_tag_firewall_gives_a_firewall_and_does_nothing_else() -> None:
    forget_executions()
    run = play("site", "--tags=firewall", "--limit", "alpha-controller,ctl1")
    assert (run.code, run.changed) == (0, {"alpha-controller": 0, "ctl1": 0}), run.output
    assert "TASK [hpc.ports.firewall : Give the host its firewall]" in run.output
    assert {name for names in executed_anywhere().values() for name in names} <= {"firewall"}


# The hosts of the lab reach no package server. This module takes the place of their package manager.
PUT_BACK = """\
import os
from ansible.module_utils.basic import AnsibleModule
module = AnsibleModule({"name": {"type": "list"}, "state": {}, "update_cache": {"type": "bool"}})
os.rename("/usr/sbin/nft.gone", "/usr/sbin/nft")
module.exit_json(changed=True, msg=str(module.params["name"]))
"""


@pytest.mark.parametrize("hosts", turn(PAIRS))
def test_a_missing_package_is_installed(hosts: tuple[str, str], tmp_path: Path) -> None:
    (tmp_path / "put_back.py").write_text(PUT_BACK, encoding="utf-8")
    options = ("--limit", ",".join(hosts), "-eansible_package_use=ansible.legacy.put_back")
    try:
        for host in hosts:
            on(host, "mv /usr/sbin/nft /usr/sbin/nft.gone")
        checked = firewall("--check", *options, ANSIBLE_LIBRARY=str(tmp_path))
        assert checked.changed == dict.fromkeys(hosts, 1), checked.output
        for host in hosts:
            assert f"{host} does not have nftables. A real run installs this" in checked.text
            on(host, "test ! -e /usr/sbin/nft")
        for changed in (1, 0):
            run = firewall(*options, ANSIBLE_LIBRARY=str(tmp_path))
            assert run.changed == dict.fromkeys(hosts, changed), run.output
    finally:
        for host in hosts:
            on(host, "test -e /usr/sbin/nft || mv /usr/sbin/nft.gone /usr/sbin/nft")


def test_ephemeral_ports_are_fixed_in_the_task_of_the_firewall() -> None:
    """Another connection could take the port of lockd: it is reserved, now and for the next boot."""
    hosts = ("nfs1", "nfs2")
    options = ("--limit", ",".join(hosts), *FIREWALL_ONLY, "-enfs_fix_ephemeral_ports=true")
    reserved, file = "/proc/sys/net/ipv4/ip_local_reserved_ports", "/etc/sysctl.d/zz-hpc-ports.conf"
    checked = play("site", "--check", "--diff", *options)
    assert checked.changed == dict.fromkeys(hosts, 1) and "+net.ipv4.ip_local_reserved_ports = " in checked.output
    # Podman lets a container only read its settings.
    refused = play("site", *options)
    assert refused.code and "nfs2 has its firewall, but its ephemeral ports stay: Cannot read or write" in refused.text
    with _writable_settings(*hosts):
        try:
            for changed in (1, 0):
                run = play("site", *options)
                assert (run.changed, "lockd needs" in run.text) == (dict.fromkeys(hosts, changed), False), run.output
                assert ("nfs1, nfs2: ephemeral ports: 32768-60999; reserved: 32768" in run.text) == bool(changed)
            assert all("32768" in on(host, f"cat {reserved}; grep reserved {file}") for host in hosts)
        finally:
            for host in hosts:
                on(host, f"rm -f {file}; echo > {reserved}")


@contextmanager
def _writable_settings(*hosts: str) -> Iterator[None]:
    """Let the hosts write the settings of their own networks in the block."""
    try:
        for host in hosts:
            on(host, "mount -o remount,bind,rw /proc/sys")
        yield
    finally:
        for host in hosts:
            on(host, "mount -o remount,bind,ro /proc/sys")


def test_free_strategy_changes_nothing() -> None:
    hosts = (*NFTABLES, *FIREWALLD)
    run = firewall("--check", "--limit", ",".join(hosts), ANSIBLE_STRATEGY="free")
    assert run.code == 0, run.output
    assert run.changed == dict.fromkeys(hosts, 0)


def test_a_rule_deleted_by_hand_is_shown_exactly_and_put_back() -> None:
    hosts = ("nfs1", "nfs2")
    limit = ("--limit", ",".join(hosts))
    with mending(*hosts):
        gone = [
            _without_last_accept("nfs1", "inet hpc_ports in_nfs-nfs_external"),
            # firewalld before 1.0 judges new connections alone, and says so in each rule.
            _without_last_accept("nfs2", _IN_FIREWALLD).replace(" ct state { new, untracked }", ""),
        ]
        before = [on(host, HANDLES) for host in hosts]

        checked = firewall("--check", "--diff", *limit)
        assert checked.changed == dict.fromkeys(hosts, 1)
        assert sorted(_diff_lines(checked.output)) == sorted(f"+    {rule}" for rule in gone)
        assert [on(host, HANDLES) for host in hosts] == before

        for changed in (1, 0):
            assert firewall(*limit).changed == dict.fromkeys(hosts, changed)


def _without_last_accept(host: str, chain: str) -> str:
    """Delete the last rule of a chain that accepts, and return it."""
    rules = on(host, f"nft -a list chain {chain}").splitlines()
    rule, handle = next(line.strip().split(" # handle ") for line in reversed(rules) if "accept" in line)
    on(host, f"nft delete rule {chain} handle {handle}")
    return rule


def check_units(host: str) -> None:
    """systemd has read our units as they are on disk."""
    units = on(host, "cd /etc/systemd/system; ls -d hpc-ports*.service").split()
    assert "hpc-ports-watch.service" in units
    read = on(host, f"systemctl show --property=LoadState,NeedDaemonReload {' '.join(units)}").split()
    assert sorted(read) == ["LoadState=loaded"] * len(units) + ["NeedDaemonReload=no"] * len(units)


@pytest.mark.parametrize("host", turn((*NFTABLES, *FIREWALLD)))
def test_systemd_reads_the_units_that_a_run_writes(host: str) -> None:
    """A unit that it has loaded and that is changed, and one that it does not know."""
    with mending(host):
        on(host, "cd /etc/systemd/system; echo '# Edited.' >> hpc-ports-watch.service; rm hpc-ports.service || true")
        on(host, "systemctl daemon-reload")
        assert firewall("--limit", host).changed == {host: 1}
        check_units(host)


# Its own turn comes each third day, and another pair each time.
@pytest.mark.takes_turns(2)
@pytest.mark.parametrize("hosts", turn(PAIRS, SEED // 3), ids="-".join)
def test_remove_leaves_the_hosts_as_they_were(hosts: tuple[str, str]) -> None:
    """And the first restricted egress does not hang the session that brings it."""
    limit = ("--limit", ",".join(hosts))
    chains = ("chain output", "chain filter_OUT_policy_hpc_ports_out")
    with restoring(*hosts):
        assert play("remove", *limit).code == 0
        before = _everything(hosts)
        assert "hpc" not in str(before).replace("hpc-ports-", "")
        run = firewall(*limit, "-efirewall_egress=restricted")
        assert run.changed == dict.fromkeys(hosts, 1), run.output
        for chain, new, old in zip(chains, _everything(hosts), before):
            assert chain in str(new) and chain not in str(old)
            assert new[1] != old[1]
        for host in hosts:
            check_units(host)
        assert play("remove", *limit).changed == dict.fromkeys(hosts, 1)
        assert _everything(hosts) == before
        assert play("remove", *limit).changed == dict.fromkeys(hosts, 0)


def _everything(hosts: tuple[str, ...]) -> list[tuple[list[str], str]]:
    more = "firewall-cmd --list-all-policies 2> /dev/null || true"
    return [(table(host), on(host, f"{EVERYTHING}; {more}")) for host in hosts]


def test_the_rules_are_there_after_a_reboot() -> None:
    hosts = (*NFTABLES, *turn(FIREWALLD))
    before = {host: table(host) for host in hosts}
    try:
        for host in NFTABLES:
            # It begins with `flush ruleset`.
            on(host, "systemctl enable --quiet nftables.service")
        restart(*hosts)
        assert not [rules for host, was in before.items() for rules in set(was).difference(table(host))]
        for host in NFTABLES:
            on(host, "systemctl is-active nftables.service; ! journalctl -b -q -u hpc-ports-watch | grep 'is gone'")
    finally:
        for host in NFTABLES:
            # It ends with a flush.
            on(host, "systemctl disable --quiet --now nftables.service")
    wait_until(lambda: {host: table(host) for host in hosts} == before)
    # When firewalld comes is not ours to say.
    units = "hpc-ports.service network-pre.target ssh.service"
    for host in NFTABLES:
        order = on(host, f"systemctl show -P ActiveEnterTimestampMonotonic {units}")
        loaded, network, ssh = map(int, order.split())
        assert 0 < loaded <= network <= ssh


def test_what_is_flushed_comes_back_by_itself() -> None:
    hosts = (*NFTABLES, *turn(FIREWALLD))
    before = {host: table(host) for host in hosts}
    for host in hosts:
        on(host, "nft flush ruleset")
    wait_until(lambda: all(table(host) == before[host] for host in hosts))
    assert not any(firewall("--limit", ":".join(hosts)).changed.values())


def test_a_host_moves_to_firewalld_when_that_runs_and_back() -> None:
    limit = ("--limit", "workspace1")
    tables = "nft list tables"
    before = state("workspace1")
    with mending("workspace1"):
        try:
            on("workspace1", START_FIREWALLD)
            assert on("workspace1", tables) == "table inet hpc_ports\ntable inet firewalld\n"
            run = firewall(*limit)
            assert (run.code, run.changed["workspace1"]) == (0, 1), run.output
            assert on("workspace1", tables) == "table inet firewalld\ntable inet hpc_ports_published\n"
            assert "hpc_ports" in on("workspace1", "firewall-cmd --get-policies; ls /etc/firewalld/policies")
            assert on("workspace1", "find /etc -name 'hpc-ports.service' -o -name ruleset.nft") == ""
            assert firewall(*limit).changed["workspace1"] == 0
        finally:
            on("workspace1", "systemctl stop firewalld.service")
        assert firewall(*limit).changed["workspace1"] == 1
        assert state("workspace1") == before


# Each section of the port file. What else can be wrong, and what is said of it, is for the unit tests.
BAD_INPUT = (
    (
        {
            "firewall_flows": {
                "bad": {"form": ["anywhere"], "to": ["control_plane"], "services": ["ssh"], "need": "optional"}
            }
        },
        "Invalid key in firewall_flows.bad",
    ),
    ({"firewall_endpoints": {"controllers": {"cidrs": []}}}, "Invalid firewall_endpoints.controllers"),
    ({"firewall_services": {"bad": {"ports": ["30-20/tcp"]}}}, "Invalid firewall_services.bad.ports"),
)


@pytest.mark.parametrize(("variables", "message"), turn(BAD_INPUT))
def test_bad_input_ends_before_any_host_is_touched(variables: dict[str, Any], message: str) -> None:
    forget_executions()
    run = play("site", "-e", json.dumps(variables))
    assert run.code != 0
    assert message in run.text
    assert executed_anywhere() == {}


def _diff_lines(output: str) -> list[str]:
    return [line for line in output.splitlines() if re.match(r"[+-](?!\+\+|--)", line)]
