# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that action plugins write on the controller."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.controller_action import write_file


def test_a_file_is_replaced_as_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "draft.yml"
    path.write_text("long before", encoding="utf-8")
    write_file(str(path), "für\n", "audit_draft")
    assert path.read_bytes() == "für\n".encode()


def test_what_was_there_stays_if_the_disk_is_full(tmp_path: Path) -> None:
    path = tmp_path / "draft.yml"
    path.write_text("before", encoding="utf-8")
    path.chmod(0o640)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))  # as the last bytes of a disk
    try:
        with pytest.raises(AnsibleActionFail, match="Set audit_draft"):
            write_file(str(path), "longer than the space that is left", "audit_draft")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_text(encoding="utf-8") == "before"
    write_file(str(path), "after", "audit_draft")
    assert (path.read_text(encoding="utf-8"), path.stat().st_mode & 0o777) == ("after", 0o640)
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("target")
    write_file(str(tmp_path / "link"), "text", "audit_draft")
    assert (tmp_path / "target").read_text(encoding="utf-8") == "text"


def test_a_file_that_cannot_be_written_names_the_variable(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "draft.yml"
    with pytest.raises(AnsibleActionFail) as caught:
        write_file(str(path), "", "audit_draft")
    # Ansible would add the text of a cause.
    assert str(caught.value) == f"Cannot write {path}: No such file or directory. Set audit_draft."
