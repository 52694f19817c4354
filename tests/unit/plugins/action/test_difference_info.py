# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook difference: an inventory compared with itself at a git ref and in a folder, run by Ansible."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from ansible.parsing.vault import VaultLib, VaultSecret
from ansible_collections.hpc.ports.tests.support.plays import ROOT, Ended, played

pytestmark = pytest.mark.slow

HOSTS = """
monitoring: {hosts: {mon: {ansible_host: 192.0.2.9}}}
slurm_compute: {hosts: {c1: {ansible_host: 192.0.2.11}, c2: {ansible_host: 192.0.2.12}}}
"""
# The users are in a file of the inventory, and those of the flow in a file of the vault.
SITE = """
users: "{{ lookup('ansible.builtin.file', inventory_dir ~ '/users.txt') }}"
firewall_endpoints: {controllers: {cidrs: [192.0.2.1/32]}, users: {cidrs: ["{{ users }}"]}}
firewall_services: {grafana: {ports: [3000/tcp]}, secret: {ports: ["{{ secret_port }}/tcp"]}}
firewall_flows:
  portal: {from: [users], to: [monitoring], services: [grafana, secret], need: recommended}
"""
GRAFANA = "  grafana: {from: [monitoring], to: [slurm_compute], services: [grafana], need: recommended}\n"
PASSWORD = b"only a test"


def git(folder: Path, *arguments: str) -> None:
    name = ("-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *name, *arguments], cwd=folder, check=True, capture_output=True)


def vaulted(text: str) -> str:
    return str(VaultLib([("default", VaultSecret(PASSWORD))]).encrypt(text), "utf-8")


@pytest.fixture(name="site")
def _site(tmp_path: Path) -> Path:
    """Return a repository whose working tree differs from its branch `before`."""
    folder = tmp_path / "repository" / "inventory"
    (folder / "group_vars" / "all").mkdir(parents=True)
    (folder / "hosts.yml").write_text(HOSTS, encoding="utf-8")
    (folder / "users.txt").write_text("198.51.100.0/25", encoding="utf-8")
    (folder / "group_vars" / "all" / "site.yml").write_text(SITE, encoding="utf-8")
    (folder / "group_vars" / "all" / "vault.yml").write_text(vaulted("secret_port: 4000"), encoding="utf-8")
    (folder.parent / "password").write_bytes(PASSWORD)
    git(folder.parent, "init", "-q", "-b", "before")
    git(folder.parent, "add", "inventory")
    git(folder.parent, "commit", "-qm", "before")
    shutil.copytree(folder, tmp_path / "copy")
    (folder / "users.txt").write_text("198.51.100.0/24", encoding="utf-8")
    (folder / "group_vars" / "all" / "site.yml").write_text(SITE + GRAFANA, encoding="utf-8")
    return folder.parent


def run(site: Path, *options: str) -> Ended:
    return played(
        *("-i", str(site / "inventory"), str(ROOT / "playbooks" / "difference.yml"), *options),
        ANSIBLE_VAULT_PASSWORD_FILE=str(site / "password"),
    )


def test_a_ref_and_a_folder_are_compared_with_the_working_tree(site: Path) -> None:
    files = [site / "changes.json", site / "changes.md"]
    done = run(site, "-e", "from=before", "-e", f"difference_files={','.join(map(str, files))}")
    assert done.code == 0, done.line
    expected = [
        "mon: 3000/tcp, 4000/tcp from users (198.51.100.128/25) are opened (flow portal)",
        "c1, c2: 3000/tcp from mon is opened (flow grafana)",
    ]
    assert all(text in done.line for text in [*expected, f"Written: {files[0]}, {files[1]}"]), done.line
    data = json.loads(files[0].read_text(encoding="utf-8"))
    assert data["opened"] == [{"from": ["mon"], "to": ["c1", "c2"], "ports": ["3000/tcp"], "flows": ["grafana"]}]
    assert all(f"- {text}" in files[1].read_text(encoding="utf-8") for text in expected)
    status = subprocess.run(["git", "status", "--short"], cwd=site, check=True, capture_output=True, text=True).stdout
    assert status.split() == [
        "M",
        "inventory/group_vars/all/site.yml",
        "M",
        "inventory/users.txt",
        "??",
        *("changes.json", "??", "changes.md", "??", "password"),
    ]
    # A copy of the folder of the inventory.
    more = site.parent / "more.yml"
    more.write_text("lab: {hosts: {jhub: {ansible_host: 192.0.2.30}}}", encoding="utf-8")
    done = run(site, "-i", str(more), "-e", f"from={site.parent / 'copy'}", "-e", "difference_fail=true")
    assert done.code == 2, done.line
    assert all(text in done.line for text in expected), done.line
    assert "More is open to networks outside the inventory than before" in done.line
    unchanged = f"{site.parent / 'copy'} does not have {more}, which -i names; it is compared as it is now."
    assert "".join(unchanged.split()) in "".join(done.line.split()), done.line  # Ansible breaks a long path


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ("", "Invalid from: got '', expected a git ref, such as main or HEAD~1, or a folder with a copy of the inve"),
        ("after", "Invalid from: got 'after', expected an existing folder, or a ref of the git repository "),
        ("empty", "Invalid from: got 'empty', expected a commit that has inventory, which -i names. Choose"),
        ("broken", "In broken ("),
    ],
)
def test_a_state_that_cannot_be_read_is_refused(site: Path, state: str, message: str) -> None:
    git(site, "checkout", "-q", "--orphan", "broken")
    (site / "inventory" / "group_vars" / "all" / "site.yml").write_text("firewall_flows: []\n", encoding="utf-8")
    git(site, "commit", "-qam", "broken")
    git(site, "checkout", "-q", "--orphan", "empty")
    git(site, "rm", "-rq", "--cached", "inventory")
    git(site, "commit", "-q", "--allow-empty", "-m", "empty")
    (site / "inventory" / "group_vars" / "all" / "site.yml").write_text(SITE, encoding="utf-8")
    done = run(site, "-e", f"from={state}")
    assert (done.code, message in done.line) == (2, True), done.line
