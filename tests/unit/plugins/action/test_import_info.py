# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook import says which variable it misses, run by Ansible."""

from __future__ import annotations

import pytest
from ansible_collections.hpc.ports.tests.support.plays import ROOT, played

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "options,message",
    [
        ([], "import_files is not set."),
        (["-e", "import_files=rules.json"], "import_to is not set."),
        (["-e", "import_files=rules.json", "-e", "import_to=slurm_logins"], "Did you mean 'slurm_login'?"),
    ],
)
def test_a_missing_or_misspelt_variable_is_named(options: list[str], message: str) -> None:
    inventory = str(ROOT / "inventories" / "small")
    ended = played("-i", inventory, str(ROOT / "playbooks" / "import.yml"), *options)
    assert ended.code == 2
    assert message in ended.line
