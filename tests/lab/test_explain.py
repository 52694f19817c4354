# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""explain gives the right answer with the right reason, on nftables and firewalld, with and without a probe."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from ansible_collections.hpc.ports.tests.lab.faults import table
from ansible_collections.hpc.ports.tests.support.hosts import Play, on, play

PROBE = "-eprobe=true"


def explain(source: str, target: str, port: str, *options: str) -> Play:
    run = play("explain", f"-efrom={source}", f"-eto={target}", f"-eto_port={port}", *options)
    assert run.code == 0, run.output
    assert set(run.changed.values()) == {0} and len(run.changed) == 2, run.output
    return run


@contextmanager
def _foreign(host: str, rule: str) -> Iterator[None]:
    """Add another program's table with this rule."""
    do, undo = table("site_explain", "input", rule)
    on(host, do)
    try:
        yield
    finally:
        on(host, undo)


@pytest.mark.parametrize(
    "source,target,port,options,says",
    [
        # nftables, by the rules alone
        (
            "alpha-login",
            "alpha-controller",
            "6817/tcp",
            (),
            [
                "Yes: alpha-login can connect to 6817/tcp of alpha-controller by flow slurm_control.",
                "alpha-controller receives it from 10.203.0.22: accept, table inet hpc_ports, chain in_slurm_control",
                "Probe: No probe was requested.",
            ],
        ),
        # firewalld and sudo, with restricted egress at the source
        (
            "workspace1",
            "ctl2",
            "443/tcp",
            (PROBE,),
            [
                "Yes: workspace1 can connect to 443/tcp of ctl2 by flow platform_https.",
                "workspace1 sends it: accept, table inet hpc_ports, chain out_workspace_platform",
                "ctl2 receives it from 10.203.0.61: accept, table inet firewalld, "
                "chain filter_IN_policy_hpc_ports_in_allow",
                "answered by the listener of the probe",
            ],
        ),
        # another cluster
        (
            "beta-compute1",
            "alpha-controller",
            "6817/tcp",
            (PROBE,),
            [
                "No: beta-compute1 cannot connect to 6817/tcp of alpha-controller: "
                "no flow allows it on alpha-controller.",
                "beta-compute1 is in beta, alpha-controller in alpha",
                "alpha-controller receives it from 10.203.0.32: drop, table inet hpc_ports, chain arriving",
                "arrived, 0 passed the rules, 0 answers left",
            ],
        ),
        # an outsider, and a zone of firewalld that drops
        (
            "outsider",
            "beta-controller",
            "22/tcp",
            (PROBE,),
            [
                "No: outsider cannot connect to 22/tcp of beta-controller: no flow allows it on beta-controller.",
                "Something listens on 22/tcp of beta-controller:",
                "10.203.0.31: filtered",
            ],
        ),
        # egress, by nftables and by firewalld
        (
            "workspace1",
            "laptop1",
            "22/tcp",
            (PROBE,),
            [
                "No: workspace1 cannot connect to 22/tcp of laptop1: workspace1 has restricted egress, "
                "and no flow allows it to open this connection",
                "workspace1 sends it: drop, table inet hpc_ports, chain output",
                "Packets: 0 left, 0 arrived",
            ],
        ),
        (
            "nfs2",
            "laptop1",
            "22/tcp",
            ("--check", PROBE),
            [
                "No: nfs2 cannot connect to 22/tcp of laptop1: nfs2 has restricted egress, "
                "and no flow allows it to open this connection.",
                "nfs2 sends it: ",
                "chain filter_OUT_policy_hpc_ports_out",
                "laptop1 receives it from 10.203.0.52: accept, by no",
                "Probe: No probe was sent in check mode.",
            ],
        ),
    ],
)
def test_the_answer_and_the_reason(
    source: str, target: str, port: str, options: tuple[str, ...], says: list[str]
) -> None:
    run = explain(source, target, port, *options)
    assert [text for text in says if text not in run.text] == [], run.output


@pytest.mark.parametrize("source,target", [("alpha-login", "alpha-controller"), ("beta-compute1", "beta-controller")])
def test_a_drop_of_another_table_is_named(source: str, target: str) -> None:
    with _foreign(target, "tcp dport 6817 drop"):
        run = explain(source, target, "6817/tcp", PROBE)
    reason = f"It should, but does not: Rules of another program on {target} drop packets from "
    assert reason in run.text, run.output
    assert "table inet site_explain, chain c, `tcp dport 6817 drop`" in run.text
    assert "arrived, 0 passed the rules, 0 answers left" in run.text
    assert f"What to do: Change that rule on {target}" in run.text


def test_a_group_stands_for_its_first_host_and_no_listener_stays() -> None:
    run = explain("slurm_compute", "slurm_controller", "6817/tcp", PROBE)
    assert "answered by the listener of the probe Packets: " in run.text, run.output
    assert "slurm_controller is a group of 2 hosts. Only its first host, alpha-controller, is examined." in run.text
    for host in ("alpha-compute1", "alpha-controller"):
        assert "hpc_ports_verify" not in on(host, "nft list tables; systemctl list-units 'hpc-ports-verify*'")
