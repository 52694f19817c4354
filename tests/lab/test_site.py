# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the playbooks promise, on the lab as `site.yml` left it: every test leaves it so again."""

from __future__ import annotations

import re

import pytest

from ansible_collections.hpc.ports.tests.support.hosts import (
    EVERYTHING,
    FIREWALL_ONLY,
    FIREWALLD,
    HANDLES,
    NFTABLES,
    executions,
    managed_hosts,
    on,
    play,
    restart,
    restoring,
    state,
    table,
)

_IN_FIREWALLD = "inet firewalld filter_IN_policy_hpc_ports_in_allow"


def test_nothing_to_change_costs_one_module_execution_a_host(counting: str) -> None:
    for host in managed_hosts():
        executions(host)
    run = play("site", *FIREWALL_ONLY, counting)
    assert run.code == 0, run.output
    assert {host: executions(host) for host in managed_hosts()} == {host: ["firewall"] for host in managed_hosts()}
    assert {host: run.changed[host] for host in managed_hosts()} == dict.fromkeys(managed_hosts(), 0)
    assert "lockd needs 32768, but the kernel gives 32768 to any connection" in run.output


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
    limit = ("--limit", "nfs1,nfs2", *FIREWALL_ONLY)
    with restoring("nfs1", "nfs2"):
        gone = [_without_last_accept("nfs1", "inet hpc_ports in_nfs-nfs_external"),
                # firewalld before 1.0 judges new connections alone, and says so in each rule.
                _without_last_accept("nfs2", _IN_FIREWALLD).replace(" ct state { new, untracked }", "")]
        before = [on(host, HANDLES) for host in ("nfs1", "nfs2")]

        checked = play("site", "--check", "--diff", *limit)
        assert (checked.changed["nfs1"], checked.changed["nfs2"]) == (1, 1)
        assert sorted(_diff_lines(checked.output)) == sorted(f"+    {rule}" for rule in gone)
        assert [on(host, HANDLES) for host in ("nfs1", "nfs2")] == before

        for changed in (1, 0):
            run = play("site", *limit)
            assert (run.changed["nfs1"], run.changed["nfs2"]) == (changed, changed)


def _without_last_accept(host: str, chain: str) -> str:
    """Delete the last rule of a chain that accepts, and return it."""
    rules = on(host, f"nft -a list chain {chain}").splitlines()
    rule, handle = next(line.strip().split(" # handle ") for line in reversed(rules) if "accept" in line)
    on(host, f"nft delete rule {chain} handle {handle}")
    return rule


def test_verify_fails_for_one_port_too_many() -> None:
    with restoring("desk1"):
        on("desk1", "nft insert rule inet hpc_ports input tcp dport 2375 accept")
        run = play("verify", "--limit", "desk1,outsider")
        assert run.code != 0
        wrong = [line for line in run.output.splitlines()
                 if "2375" in line and "desk1" in line and "outsider" in line]
        assert wrong, run.output


def test_first_restricted_egress_does_not_hang_the_session() -> None:
    chains = {"alpha-compute1": "chain output", "nfs2": "chain filter_OUT_policy_hpc_ports_out"}
    with restoring(*chains):
        assert play("remove", "--limit", ",".join(chains)).code == 0
        assert not any("hpc_ports" in on(host, HANDLES) for host in chains)
        run = play("site", "--limit", ",".join(chains), *FIREWALL_ONLY)
        assert (run.code, [run.changed[host] for host in chains]) == (0, [1, 1]), run.output
        for host, chain in chains.items():
            assert chain in on(host, HANDLES)


def test_remove_leaves_the_hosts_as_they_were() -> None:
    hosts = ("pbs-exec", "alpha-compute2")
    limit = ("--limit", ",".join(hosts))
    with restoring(*hosts):
        assert play("remove", *limit).code == 0
        before = _everything(hosts)
        assert "hpc" not in str(before).replace("hpc-ports-", "")
        assert play("site", *limit, *FIREWALL_ONLY).changed == dict.fromkeys(hosts, 1)
        for found, old in zip(_everything(hosts), before):
            assert found != old
        assert play("remove", *limit).changed == dict.fromkeys(hosts, 1)
        assert _everything(hosts) == before
        assert play("remove", *limit).changed == dict.fromkeys(hosts, 0)


def _everything(hosts: tuple[str, ...]) -> list[tuple[list[str], str]]:
    more = "firewall-cmd --list-all-policies 2> /dev/null || true"
    return [(table(host), on(host, f"{EVERYTHING}; {more}")) for host in hosts]


@pytest.mark.parametrize("hosts", list(zip(NFTABLES, FIREWALLD)), ids=["Debian 11", "Debian 12", "Debian 13"])
def test_the_rules_are_there_after_a_reboot(hosts: tuple[str, str]) -> None:
    before = list(map(table, hosts))
    restart(*hosts)
    assert list(map(table, hosts)) == before
    # When firewalld comes is not ours to say.
    units = "hpc-ports.service network-pre.target ssh.service"
    order = on(hosts[0], f"systemctl show -P ActiveEnterTimestampMonotonic {units}")
    loaded, network, ssh = map(int, order.split())
    assert 0 < loaded <= network <= ssh


def test_a_host_moves_to_firewalld_when_that_runs_and_back() -> None:
    limit = ("--limit", "workspace1", *FIREWALL_ONLY)
    tables = "nft list tables"
    with restoring("workspace1"):
        before = state("workspace1")
        try:
            on("workspace1", "systemctl start firewalld.service")
            assert on("workspace1", tables) == "table inet hpc_ports\ntable inet firewalld\n"
            run = play("site", *limit)
            assert (run.code, run.changed["workspace1"]) == (0, 1), run.output
            assert on("workspace1", tables) == "table inet firewalld\n"
            assert "hpc_ports" in on("workspace1", "firewall-cmd --get-policies; ls /etc/firewalld/policies")
            assert on("workspace1", "find /etc -name '*hpc-ports*'") == ""
            assert play("site", *limit).changed["workspace1"] == 0
        finally:
            on("workspace1", "systemctl stop firewalld.service")
        assert play("site", *limit).changed["workspace1"] == 1
        assert state("workspace1") == before


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
