# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""verify is red for exactly what was broken, with the right diagnosis, and green again after the repair."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from ansible_collections.hpc.ports.tests.lab.faults import BRIDGE, DRIFTED, FAULTS, OURS, Fault, is_open_to_others
from ansible_collections.hpc.ports.tests.lab.networks import ISOLATED, ROUTED, SECOND, VARIABLES, in_lab, more_networks
from ansible_collections.hpc.ports.tests.support.hosts import Play, firewall, on, play
from ansible_collections.hpc.ports.tests.support.run import FULL, turn

# The plan knows this host by name, which the controller resolves by a file of its own.
_NAMED = {"pbs-exec": {"firewall_addresses": ["exec.example.org", "fd00:203::42"]}}
_HOSTS_FILE = "127.0.0.1 localhost\n10.203.0.42 exec.example.org\n"

# What runs ansible-playbook of the oldest ansible-core that is supported, and says so; who calls it names his own.
OLD_ANSIBLE = (
    "env",
    "HPC_PORTS_VENV=2.16",
    "dev/lab",
    "run",
    "sh",
    "-c",
    'shift; ansible-playbook --version; exec ansible-playbook "$@"',
    "sh",
)
# Hosts that have no firewall when it comes: nft 0.9.8 and 1.1.3, firewalld 0.9.3 and 2.3.1, by sudo and as root.
REMOVED = ("nfs1", "alpha-controller", "nfs2", "ctl2")
# How many connections verify tries at most. By default a part of the closed ones after the repair: every host has the
# rules then with which molecule tried them all.
ALL = 90_000
AFTER_REPAIR = ALL if FULL else 5_000
# Which connections verify tries while the lab is broken: by default the open ones, the ports that faults open, and of
# the other closed ports those with one last digit. Where nothing is broken, molecule tried them all.
_OPENED = json.dumps([2375, 2376, 7070])
_DIGIT = turn(range(10))[0]
BROKEN = "" if FULL else f"[?expected=='open' || contains(`{_OPENED}`, port) || ends_with(to_string(port), '{_DIGIT}')]"
# Whose rules are other than they should be.
REWRITTEN = {fault.host for fault in OURS if not fault.undo}


class Verified:
    """One run of verify, or of a playbook that ends with it: how the play ended, and its report."""

    def __init__(
        self,
        folder: Path,
        playbook: str = "verify",
        before: Sequence[str] = (),
        most: int = ALL,
        query: str = "",
        more: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        (folder / "hosts").write_text(_HOSTS_FILE, encoding="utf-8")
        inventory = {"all": {**more, "hosts": {**_NAMED, **more.get("hosts", {})}}}
        (folder / "named.json").write_text(json.dumps(inventory), encoding="utf-8")
        report = folder / "report.json"
        names = ("unshare", "--mount", "sh", "-c", f'mount --bind {folder}/hosts /etc/hosts && exec "$@"', "sh")
        self.play: Play = play(
            playbook,
            "-i",
            "extensions/molecule/inventory",
            "-i",
            str(folder / "named.json"),
            "-e" + json.dumps({"verify_most": most, "verify_query": query}),
            f"-everify_report={report}",
            f"-everify_page={folder}/page.html",
            f"-everify_junit={folder}/junit.xml",
            before=(*names, *before),
        )
        assert report.exists(), self.play.output
        self.data: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))

    @property
    def red(self) -> dict[str, dict[str, Any]]:
        """The connections that are not right, by what they are called."""
        return {_name(cell): cell for cell in self.data["cells"] if cell["verdict"] != "right"}


def _name(cell: dict[str, Any]) -> str:
    return f"{cell['source']} -> {cell['target']} {cell['address']} {cell['port']}/{cell['protocol']}"


def _run(host: str, command: str) -> None:
    if host == BRIDGE:
        in_lab(command)
    else:
        on(host, command)


class Broken:
    """The lab with all faults: what verify says of it. Then only what has to be given its firewall again is left."""

    def __init__(self, folder: Path) -> None:
        self.is_repaired = False
        with more_networks(), ExitStack() as repairs:
            for fault in FAULTS:
                _run(fault.host, fault.do)
                if fault.undo:
                    repairs.callback(_run, fault.host, fault.undo)
            self.verified = Verified(folder, query=BROKEN, more=VARIABLES)


@pytest.fixture(name="broken", scope="module")
def _broken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broken]:
    hosts = {*DRIFTED, *REMOVED}
    try:
        broken = Broken(tmp_path_factory.mktemp("red"))
        yield broken
        if broken.is_repaired:
            hosts = set()
    finally:
        assert not hosts or firewall("--limit", ",".join(hosts)).code == 0


@pytest.fixture(name="red")
def _red(broken: Broken) -> Verified:
    return broken.verified


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_each_fault_is_diagnosed(red: Verified, fault: Fault) -> None:
    cells = [cell for cell in red.data["cells"] if fault.cells(cell)]
    assert cells, "No connection shows this fault."
    codes = Counter((cell["verdict"] != "right", (cell["diagnosis"] or {}).get("code")) for cell in cells)
    texts = sorted({(cell["diagnosis"] or {}).get("text", "") for cell in cells})
    assert set(codes) == {(True, fault.code)}, (codes, texts[:3])
    assert all(fault.says in text for text in texts), texts[:3]


def test_nothing_else_is_red(red: Verified) -> None:
    others = [
        name
        for name, cell in red.red.items()
        if not any(fault.cells(cell) for fault in FAULTS) and not is_open_to_others(cell)
    ]
    assert others == []
    assert red.data["summary"]["not_running_policy"] == DRIFTED
    assert red.play.code != 0


def test_an_address_without_a_route_is_left_to_those_with_one(red: Verified) -> None:
    """No more than that is said: other addresses of the same hosts are reached."""
    for host, address in SECOND.items():
        assert {cell["source"] for cell in red.data["cells"] if cell["address"] == address} == set(ROUTED)
        sources = {
            skipped["source"]
            for skipped in red.data["not_tested"]
            if skipped["reason"]
            == f"{skipped['source']} has no route to {address}, but it reaches other addresses of {host}."
        }
        assert {"beta-controller", "laptop1", "outsider"} <= sources


def test_an_isolated_network_is_tried_by_its_own(red: Verified) -> None:
    """What is said of it is that of each host without an address there."""
    network = ISOLATED.removesuffix("0/24")
    assert {cell["source"] for cell in red.data["cells"] if cell["address"].startswith(network)} == {"outsider"}
    sources = {
        skipped["source"]
        for skipped in red.data["not_tested"]
        if skipped["reason"]
        == (f"{network}52 is in the isolated network {ISOLATED}, where {skipped['source']} has no address.")
    }
    assert {"alpha-login", "beta-controller", "laptop1", "monitor1"} <= sources


def test_the_oldest_ansible_repairs_it(broken: Broken, tmp_path: Path) -> None:
    """From hosts without a firewall, too, and all is green again."""
    removed = play("remove", "--limit", ",".join(REMOVED), before=OLD_ANSIBLE)
    assert removed.changed == dict.fromkeys(REMOVED, 1), removed.output
    green = Verified(tmp_path, "site", OLD_ANSIBLE, AFTER_REPAIR)
    assert "[core 2.16." in green.play.output
    assert (green.play.code, list(green.red)) == (0, []), green.play.output
    assert {host for host, changed in green.play.changed.items() if changed} == {*REMOVED, *REWRITTEN}
    connections = len(green.data["cells"])
    assert f"verify: 17 of 17 hosts are done, {connections} of {connections} connections tried" in green.play.output
    assert {cell["compiled"] == cell["intended"] for cell in green.data["cells"]} == {True}
    broken.is_repaired = True
