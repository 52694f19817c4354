# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one shell script reads on a host, and which lines a file lacks."""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from ansible_collections.hpc.ports.plugins.plugin_utils._services.host_answers import (
    Answer,
    answers_script,
    file_content,
    parse_answers,
    unwritten,
)

PINS = {"SrunPortRange": "60001-60100"}
PATTERN = r"(?i)^\s*NAME\s*="


def asked(files: Sequence[str], *commands: Sequence[str]) -> list[Answer]:
    script = answers_script(files, commands)
    printed = subprocess.run(["/bin/sh", "-c", script], check=True, capture_output=True, text=True).stdout
    return parse_answers(f"Welcome!\n{printed}bye\n", len(files) + len(commands))


def test_files_and_commands_are_read_as_they_are(tmp_path: Path) -> None:
    text = b"a\xff\n\n b\r\n"
    path = tmp_path / "it's $(false); -x"
    path.write_bytes(text)
    file, empty, printed, failed, missing = asked(
        [str(path), "/dev/null"],
        ["printf", "one\ntwo\n"],
        ["sh", "-c", "echo no; echo why >&2; exit 3"],
        ["no-such-command"],
    )
    assert base64.b64decode(file_content(file) or "") == text
    assert file_content(empty) == ""
    assert printed == (0, "one\ntwo\n")
    assert failed == (3, "no\nwhy\n")
    assert missing.rc == 127


def test_a_file_that_is_missing_has_no_content_and_one_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    missing, folder = asked([str(tmp_path / "missing"), str(tmp_path)])
    assert file_content(missing) is None
    with pytest.raises(ValueError, match="directory"):
        file_content(folder)


def test_a_script_that_was_cut_is_an_error() -> None:
    printed = subprocess.run(
        ["/bin/sh", "-c", answers_script([], [["true"]])], check=True, capture_output=True, text=True
    ).stdout
    for output in ("", printed.replace(" 0 0 ", " 0 "), printed.replace(" 0 0 ", " 1 0 ")):
        with pytest.raises(ValueError, match="expected 1"):
            parse_answers(output, 1)


@pytest.mark.parametrize(
    ("text", "is_written"),
    [
        ("SrunPortRange=60001-60100\n", True),
        ("a=b\nSrunPortRange=1-2\nSrunPortRange=60001-60100\nc=d", True),  # the last one counts
        ("# \xe9\nSrunPortRange=60001-60100\n", True),
        ("", False),
        ("SrunPortRange=60001-60100", False),  # no newline
        ("SrunPortRange=60001-60100\r\n", False),
        ("SrunPortRange=60001-60100\nSrunPortRange=1-2\n", False),
        ("SrunPortRange=60001-60100\n srunportrange = 1-2\n", False),
        ("SrunPortRange=60001-60100 # ours\n", False),
        ("SrunPortRange=60001-601000\n", False),
        ("#SrunPortRange=60001-60100\n", False),
    ],
)
def test_a_line_is_missing_where_lineinfile_would_write_it(text: str, is_written: bool) -> None:
    content = base64.b64encode(text.encode("latin-1")).decode()
    assert list(unwritten(content, PINS, PATTERN)) == ([] if is_written else ["SrunPortRange=60001-60100"])
