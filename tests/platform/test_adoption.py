# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A platform that runs is adopted from an empty port file, and nobody writes a flow. Run by `dev/test full`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.hpc.ports.tests.platform.test_uses import ANSWERS, MANAGED, listening
from ansible_collections.hpc.ports.tests.platform.uses import USES, answering, errors_of
from ansible_collections.hpc.ports.tests.support.hosts import ROOT, Play, firewall, play
from ansible_collections.hpc.ports.tests.support.run import FULL

INVENTORY = ROOT / "extensions" / "molecule" / "platform" / "inventory"
# All that the site says before it begins: nothing is shipped but Ansible's ssh.
EMPTY = {
    "firewall_shipped": False,
    "firewall_egress": "restricted",
    "firewall_confirm_within": 120,
    "firewall_backend": "{{ lookup('env', 'HPC_PORTS_BACKEND') | default('nftables', true) }}",
}
# A use may take other ephemeral ports, or other ways, the next time.
_MOST_ROUNDS = 4


class Site:
    """A copy of the inventory with an empty port file, to which drafts are added as they are."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copytree(INVENTORY, folder)
        (folder / "group_vars" / "all" / "firewall.yml").write_text(yaml.safe_dump(EMPTY), encoding="utf-8")
        self._entries: dict[str, dict[str, Any]] = {}

    def add(self, draft: Path) -> None:
        """Add the entries of a draft to the port file."""
        for section, entries in (yaml.safe_load(draft.read_text(encoding="utf-8")) or {}).items():
            self._entries.setdefault(section, {}).update(entries)
        text = yaml.safe_dump(self._entries, sort_keys=False)
        (self.folder / "group_vars" / "all" / "adopted.yml").write_text(text, encoding="utf-8")

    def run(self, name: str, *options: str) -> Play:
        """Run a playbook over the site."""
        return ended(play(name, "-i", str(self.folder), *options))

    def apply(self, *options: str) -> None:
        """Give the hosts the firewall of the site."""
        ended(firewall("-i", str(self.folder), *options))

    @property
    def flows(self) -> Mapping[str, Any]:
        """The flows of its port file."""
        return self._entries.get("firewall_flows", {})


def ended(done: Play) -> Play:
    assert done.code == 0, done.output
    return done


@pytest.fixture(name="site")
def _site(tmp_path: Path) -> Iterator[Site]:
    yield Site(tmp_path / "site")
    ended(firewall())


@pytest.mark.skipif(not FULL, reason="it does all that people do four times")
def test_audit_proposes_observe_fills_the_gaps_and_enforce_holds(site: Site, tmp_path: Path) -> None:
    draft, report = tmp_path / "draft.yml", tmp_path / "observed.json"
    site.run("audit", "-e", f"audit_draft={draft}")
    site.add(draft)
    audited = len(site.flows)
    assert audited > 0
    # What hangs on connections that the firewall of before let in has to connect anew, and is recorded.
    site.apply("-e", "firewall_mode=observe")
    for _round in range(_MOST_ROUNDS):
        assert errors_of(USES.values()) == {}
        site.run("observed", "-e", f"observed_draft={draft}", "-e", f"observed_files={report}")
        found = json.loads(report.read_text(encoding="utf-8"))
        assert found["left_out"] == []
        if not found["seen"]:
            break
        site.add(draft)
        site.apply("-e", "firewall_mode=observe")
    assert found["seen"] == []
    assert len(site.flows) > audited
    site.apply("-e", "firewall_cut_established=true")
    assert errors_of(USES.values()) == {}
    for source, allowed in ANSWERS.items():
        ends = sorted({end for host in MANAGED for end in listening(host)})
        assert answering(source, ends) <= allowed
    compared = site.run("difference", "-e", f"from={INVENTORY}")
    (ROOT / "tests" / "output" / "adoption.txt").write_text(
        f"{compared.output}\n{yaml.safe_dump(dict(site.flows), sort_keys=False)}", encoding="utf-8"
    )
