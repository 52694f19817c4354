# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that action plugins write on the controller."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.controller_action import write_file


def test_a_file_is_replaced_as_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "draft.yml"
    path.write_text("long before", encoding="utf-8")
    write_file(str(path), "für\n", "audit_draft")
    assert path.read_bytes() == "für\n".encode()


def test_a_file_that_cannot_be_written_names_the_variable(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "draft.yml"
    with pytest.raises(AnsibleActionFail) as caught:
        write_file(str(path), "", "audit_draft")
    # Ansible would add the text of a cause.
    assert str(caught.value) == f"Cannot write {path}: No such file or directory. Set audit_draft."
