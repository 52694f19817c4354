# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scripts that the controller sends as one line: a login shell such as csh runs each line of a text by itself."""

from __future__ import annotations

import shlex
import subprocess

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._model.confirm_script import confirm_command
from ansible_collections.hpc.ports.plugins.module_utils._model.one_line import one_line
from ansible_collections.hpc.ports.plugins.module_utils._model.quick_check import check_script
from ansible_collections.hpc.ports.plugins.plugin_utils._services.host_answers import answers_script
from hypothesis import given
from hypothesis import strategies as st


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0\r")))
def test_the_line_does_what_the_script_does(text: str) -> None:
    script = f'say() {{\n  printf \'%s|\' "$1" "it\'s"\n}}\nsay {shlex.quote(text)}\n'
    # Ansible appends a command.
    command = ["/bin/sh", "-c", one_line(script) + " && sleep 0"]
    assert subprocess.run(command, check=True, capture_output=True).stdout.decode() == f"{text}|it's|"


@pytest.mark.parametrize(
    "command", [confirm_command("0f3c"), check_script("0f3c"), answers_script(["/etc/hosts"], [["true"]])]
)
def test_csh_finds_no_other_meaning_in_what_the_controller_sends(command: str) -> None:
    assert not set("\n!") & set(command)
    assert command.count("'") in (0, 2)
