# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The answer of the script that confirms a change, among the lines of a login."""

from __future__ import annotations

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._model.confirm_script import marked_line, parse_confirmation

ANSWER = {"status": "confirmed", "changed": True}
LINE = marked_line(ANSWER)


@pytest.mark.parametrize(
    "before",
    [
        "",
        "Welcome to n1\n",
        '{"changed": false}\r\n',
        "hpc.ports confirmation: hello\n",
        LINE[:40] + "\n",
        marked_line({}) + "\n",
    ],
)
def test_what_a_login_prints_before_the_answer_does_not_matter(before: str) -> None:
    assert parse_confirmation(f"{before}{LINE}\n") == ANSWER


@pytest.mark.parametrize(
    "output", ["", "/bin/sh: 0: cannot open", LINE[:-1], f"# {LINE}", "hpc.ports confirmation: []"]
)
def test_an_answer_that_is_missing_or_cut_is_none(output: str) -> None:
    assert parse_confirmation(output) is None
