# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts that are down, lose packets or refuse Python end in errors and a failed play, never in green; passive mode."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hpc.ports.tests.support.hosts import LAB, ROOT, Play, on, play, wait_on

DOWN = ("desk1", "nfs2")
LOSSY = "pbs-exec"
NO_PYTHON = "workspace1"
OTHERS = ("ctl1", "laptop1", "pbs-server", "alpha-login")
# Of 1,000 packets 5 arrive, those of Ansible and of its answers aside.
_LOSS = """nft 'table inet site_loss {
chain c {
type filter hook prerouting priority -450
ip saddr != 10.203.0.1 meta l4proto { tcp, udp, icmp } numgen random mod 1000 < 995 drop
ip6 saddr != fd00:203::1 meta l4proto { tcp, udp } numgen random mod 1000 < 995 drop
icmpv6 type { echo-request, echo-reply } numgen random mod 1000 < 995 drop
}
}'"""


def _verified(folder: Path, *options: str) -> tuple[Play, dict[str, Any]]:
    report = folder / "report.json"
    done = play("verify", f"-everify_report={report}", "-everify_page=", *options)
    assert report.exists(), done.output
    return done, json.loads(report.read_text(encoding="utf-8"))


@contextmanager
def _bad_hosts() -> Iterator[None]:
    names = [f"{LAB}-{host}" for host in DOWN]
    try:
        on(NO_PYTHON, "for file in $(readlink -f /usr/bin/python3); do chmod a-x $file; done")
        on(LOSSY, _LOSS)
        subprocess.run(["podman", "pause", *names], check=True, capture_output=True)
        yield
    finally:
        subprocess.run(["podman", "unpause", *names], check=True, capture_output=True)
        on(LOSSY, "nft delete table inet site_loss")
        on(NO_PYTHON, "for file in $(readlink -f /usr/bin/python3); do chmod a+x $file; done")


@pytest.mark.takes_turns(1)
def test_bad_hosts_end_in_errors_and_never_in_green(tmp_path: Path) -> None:
    with _bad_hosts():
        done, data = _verified(tmp_path, "--limit", ",".join((*DOWN, LOSSY, NO_PYTHON, *OTHERS)))
    assert done.code != 0
    assert (data["summary"]["left_out"], _touching(data, *DOWN)) == (sorted(DOWN), [])
    assert (
        f"left out: {', '.join(sorted(DOWN))}: It failed or was not reached before the tests; see above." in done.text
    )
    gone = _touching(data, NO_PYTHON)
    assert {cell["source"] for cell in gone} > {NO_PYTHON}
    assert {(cell["outcome"], cell["verdict"]) for cell in gone} == {("error", "unknown")}
    assert {cell["diagnosis"]["code"] for cell in gone} == {"unreachable"}
    lossy = [cell for cell in _touching(data, LOSSY) if cell not in gone]
    # What came through all the same is proven by what the target counted, not by silence.
    proven = [cell for cell in lossy if cell["verdict"] == "right"]
    assert all(cell["counters"]["arrived"] for cell in proven)
    assert len([cell for cell in proven if cell["target"] == LOSSY]) < len(lossy) / 20
    assert {cell["outcome"] for cell in lossy if cell["verdict"] == "unknown"} == {"error"}
    rest = [cell for cell in data["cells"] if cell not in gone and cell not in lossy]
    assert {cell["verdict"] for cell in rest} == {"right"}


def _touching(data: dict[str, Any], *hosts: str) -> list[dict[str, Any]]:
    return [cell for cell in data["cells"] if {cell["source"], cell["target"]} & set(hosts)]


def test_passive_mode_tells_who_should_listen_and_what_stays_unproven(tmp_path: Path) -> None:
    done, data = _verified(
        tmp_path, "-everify_mode=passive", "--limit", "alpha-controller,alpha-login,beta-controller,laptop1"
    )
    assert data["mode"] == "passive"
    cells = {
        (cell["source"], cell["target"], cell["port"], cell["protocol"]): cell
        for cell in data["cells"]
        if ":" not in cell["address"]
    }
    slurm = cells["alpha-login", "alpha-controller", 6817, "tcp"]
    assert (slurm["outcome"], slurm["verdict"], slurm["diagnosis"]["code"]) == ("refused", "wrong", "no_listener")
    assert slurm["diagnosis"]["text"] == ("Nothing listens on 6817/tcp of alpha-controller; slurmctld.service should.")
    assert cells["laptop1", "alpha-controller", 22, "tcp"]["outcome"] == "open"
    assert cells["laptop1", "alpha-controller", 6817, "tcp"]["verdict"] == "right"
    assert done.code != 0
    wrong = [cell for cell in data["cells"] if cell["verdict"] != "right"]
    assert {(cell["outcome"], cell["diagnosis"]["code"]) for cell in wrong} == {("refused", "no_listener")}


def test_passive_mode_is_green_where_services_are(tmp_path: Path) -> None:
    query = json.dumps({"verify_query": "[?port==`22` || expected=='filtered']"})
    done, data = _verified(
        tmp_path, "-everify_mode=passive", "-e", query, "--limit", "alpha-controller,beta-controller,laptop1"
    )
    assert (done.code, data["summary"]["wrong"], data["summary"]["unknown"]) == (0, 0, 0), done.output
    assert data["summary"]["connections"] > 100


def test_check_mode_plans_and_sends_nothing(tmp_path: Path) -> None:
    done = play("verify", "--check", "-v", f"-everify_report={tmp_path}/report.json", "--limit", "ctl1,laptop1")
    assert done.code == 0, done.output
    assert "connections would be tried; none was tried." in done.text
    assert not (tmp_path / "report.json").exists()


def test_nothing_is_left_when_the_controller_dies() -> None:
    """The listener is a unit of its own, which ends by itself and takes the table that counts with it."""
    # A slow machine looks at the hosts when the shortest has ended there.
    units = next(units for lifetime in (4, 20, 100) for units in [_listeners(lifetime)] if _all_are_seen(units))
    for host, unit in units.items():
        wait_on(host, f"! systemctl is-active --quiet {unit}", 100)
        assert "hpc_ports_verify" not in on(host, "nft list tables")


def _listeners(lifetime: int) -> dict[str, str]:
    """Start a listener on some hosts, and forget it; return its units by host."""
    hosts, options = "alpha-controller,ctl2,nfs1", json.dumps({"ports": ["7001/tcp"], "lifetime": lifetime})
    done = subprocess.run(
        ["ansible", hosts, "--become", "-m", "hpc.ports.verify_listen", "-a", options],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    identities = re.findall(r'^(\S+) \| CHANGED.*?"id": "(\w+)"', done.stdout, re.MULTILINE | re.DOTALL)
    assert ",".join(sorted(host for host, identity in identities)) == hosts, done.stdout
    return {host: f"hpc-ports-verify-{identity}.scope" for host, identity in identities}


def _all_are_seen(units: dict[str, str]) -> bool:
    """Return whether the listeners and the counting tables existed until now."""
    for host, unit in units.items():
        tables, state = on(host, f"nft list tables; echo; systemctl is-active {unit} || true").split("\n\n")
        if state.strip() != "active":
            return False
        assert "hpc_ports_verify" in tables
    return True
