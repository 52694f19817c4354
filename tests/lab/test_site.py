# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the playbooks promise, on the lab as `site.yml` left it: every test leaves it so again."""

from __future__ import annotations

import re

import pytest

from ansible_collections.hpc.ports.tests.lab.hosts import (
    FIREWALL_ONLY,
    executions,
    managed_hosts,
    on,
    play,
    restart,
    restoring,
    table,
)

_OURS = "nft -a list table inet hpc_ports"


def test_nothing_to_change_costs_one_module_execution_a_host(counting: str) -> None:
    for host in managed_hosts():
        executions(host)
    run = play("site", *FIREWALL_ONLY, counting)
    assert run.code == 0, run.output
    assert {host: executions(host) for host in managed_hosts()} == {host: ["firewall"] for host in managed_hosts()}
    assert {host: run.changed[host] for host in managed_hosts()} == dict.fromkeys(managed_hosts(), 0)


@pytest.mark.parametrize("options", [("-efirewall_serial=3",), ("--limit", "alpha-compute2")])
def test_batches_and_limits_change_nothing(options: tuple[str, ...]) -> None:
    run = play("site", "--check", *FIREWALL_ONLY, *options)
    assert run.code == 0, run.output
    assert set(run.changed.values()) == {0}


def test_free_strategy_changes_nothing() -> None:
    run = play("site", "--check", *FIREWALL_ONLY, ANSIBLE_STRATEGY="free")
    assert run.code == 0, run.output
    assert set(managed_hosts()) <= set(run.changed)
    assert set(run.changed.values()) == {0}


def test_a_rule_deleted_by_hand_is_shown_exactly_and_put_back() -> None:
    rules = on("nfs1", "nft -a list chain inet hpc_ports in_nfs-nfs_external").splitlines()
    last, handle = next(line.strip().split(" # handle ") for line in reversed(rules) if "accept" in line)
    with restoring("nfs1"):
        on("nfs1", f"nft delete rule inet hpc_ports in_nfs-nfs_external handle {handle}")
        before = on("nfs1", _OURS)

        checked = play("site", "--check", "--diff", "--limit", "nfs1", *FIREWALL_ONLY)
        assert checked.changed["nfs1"] == 1
        assert _diff_lines(checked.output) == [f"+    {last}"]
        assert on("nfs1", _OURS) == before

        assert play("site", "--limit", "nfs1", *FIREWALL_ONLY).changed["nfs1"] == 1
        assert play("site", "--limit", "nfs1", *FIREWALL_ONLY).changed["nfs1"] == 0


def test_verify_fails_for_one_port_too_many() -> None:
    with restoring("desk1"):
        on("desk1", "nft insert rule inet hpc_ports input tcp dport 2375 accept")
        run = play("verify", "--limit", "desk1,outsider")
        assert run.code != 0
        wrong = [line for line in run.output.splitlines()
                 if "2375" in line and "desk1" in line and "outsider" in line]
        assert wrong, run.output


def test_first_restricted_egress_does_not_hang_the_session() -> None:
    with restoring("alpha-compute1"):
        assert play("remove", "--limit", "alpha-compute1").code == 0
        assert "hpc_ports" not in on("alpha-compute1", "nft list tables")
        run = play("site", "--limit", "alpha-compute1", *FIREWALL_ONLY)
        assert (run.code, run.changed["alpha-compute1"]) == (0, 1), run.output
        assert "chain output" in on("alpha-compute1", _OURS)


def test_remove_leaves_the_host_as_it_was() -> None:
    everything = "nft list ruleset; find /etc | sort; systemctl list-unit-files --no-legend --type=service,timer,target"
    with restoring("pbs-exec"):
        assert play("remove", "--limit", "pbs-exec").code == 0
        before = on("pbs-exec", everything)
        assert "hpc" not in before.replace("hpc-ports-", "")
        for _repeat in range(2):
            assert play("site", "--limit", "pbs-exec", *FIREWALL_ONLY).changed["pbs-exec"] == 1
            assert on("pbs-exec", everything) != before
            assert play("remove", "--limit", "pbs-exec").changed["pbs-exec"] == 1
        assert on("pbs-exec", everything) == before


@pytest.mark.parametrize("host", ["nfs1", "desk1", "ctl2"])
def test_the_ruleset_is_there_after_a_reboot(host: str) -> None:
    before = table(host)
    restart(host)
    assert table(host) == before
    order = on(host, "systemctl show -P ActiveEnterTimestampMonotonic hpc-ports.service network-pre.target ssh.service")
    loaded, network, ssh = map(int, order.split())
    assert 0 < loaded <= network <= ssh


def test_a_host_with_firewalld_is_refused_and_left_alone() -> None:
    with restoring("workspace1"):
        on("workspace1", "systemctl start firewalld.service")
        before = on("workspace1", "nft -s list ruleset")
        try:
            run = play("site", "--limit", "workspace1", "-efirewall_mode=observe", *FIREWALL_ONLY)
            assert run.code != 0
            assert ("Firewalld runs on this host, and the firewalld backend is still to come. Nothing was changed. To "
                    "use nftables, stop and mask firewalld.") in run.output
            assert on("workspace1", "nft -s list ruleset") == before
        finally:
            on("workspace1", "systemctl stop firewalld.service")


@pytest.mark.parametrize(("variables", "message"), [
    ('{"firewall_flows": {"bad": {"form": ["anywhere"], "to": ["control_plane"], "services": ["ssh"], "need": "optional"}}}',
     "Invalid key in firewall_flows.bad: got 'form', expected one of from, to, "),
    ('{"firewall_endpoints": {"controllers": {"cidrs": []}}}',
     "Invalid firewall_endpoints.controllers: got no address, expected at least one, because the required flow "
     "management_ssh comes from it."),
    ('{"firewall_services": {"bad": {"ports": ["30-20/tcp"]}}}',
     "Invalid firewall_services.bad.ports: got '30-20/tcp', expected the lower port first"),
])
def test_bad_input_ends_before_any_host_is_touched(counting: str, variables: str, message: str) -> None:
    for host in managed_hosts():
        executions(host)
    run = play("site", "-e", variables, counting)
    assert run.code != 0
    # Ansible breaks long lines of an error.
    assert message in re.sub(r"\s+", " ", run.output)
    assert not any(executions(host) for host in managed_hosts())


def _diff_lines(output: str) -> list[str]:
    return [line for line in output.splitlines() if re.match(r"[+-](?!\+\+|--)", line)]
