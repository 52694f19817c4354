# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scripts that the controller sends as one line: a login shell such as csh runs each line of a text by itself."""

from __future__ import annotations

import re
import subprocess

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._model.confirm_script import confirm_command
from ansible_collections.hpc.ports.plugins.module_utils._model.one_line import one_line
from ansible_collections.hpc.ports.plugins.module_utils._model.quick_check import check_script
from ansible_collections.hpc.ports.plugins.plugin_utils._services.host_answers import answers_script


def test_the_line_does_what_the_script_does() -> None:
    script = "say() {\n  printf '%s\\n' \"$1\" \"it's\"\n}\nsay 'a  \u00e9'\n"
    # Ansible appends a command.
    command = ["/bin/sh", "-c", one_line(script) + " && sleep 0"]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "a  \u00e9\nit's\n"


@pytest.mark.parametrize(
    "command", [confirm_command("0f3c"), check_script("0f3c"), answers_script(["/etc/hosts"], [["true"]])]
)
def test_no_shell_finds_another_meaning_in_what_the_controller_sends(command: str) -> None:
    assert re.fullmatch(r'[A-Za-z0-9 =+/|$()".-]+', command)
