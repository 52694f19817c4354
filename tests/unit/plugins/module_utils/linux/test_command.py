# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs are run without a shell, in one language, and are found where ssh and sudo hide them."""

from __future__ import annotations

import subprocess
import sys

import pytest
from ansible_collections.hpc.ports.plugins.module_utils._linux import command
from ansible_collections.hpc.ports.plugins.module_utils._linux.command import CommandError, find_program, run


def test_run_returns_the_output() -> None:
    assert run(["sh", "-c", "cat; echo seen >&2"], "text") == "text"


def test_run_speaks_one_language(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    assert run(["sh", "-c", "echo $LC_ALL"]) == "C\n"


def test_arguments_are_no_shell() -> None:
    assert run(["echo", "$(id); `id` | cat"]) == "$(id); `id` | cat\n"


def test_a_failure_says_what_how_and_why() -> None:
    with pytest.raises(CommandError) as caught:
        run(["sh", "-c", "echo lost; echo why >&2; exit 3"])
    assert str(caught.value) == "'sh -c echo lost; echo why >&2; exit 3' failed with exit code 3: why"
    assert (caught.value.code, caught.value.output) == (3, "why")


def test_a_program_that_is_not_there_is_a_failure_too() -> None:
    with pytest.raises(CommandError) as caught:
        run(["no-such-program", "-x"])
    assert str(caught.value) == "'no-such-program -x' failed with exit code 127: no-such-program: not found"


def test_output_that_is_no_text_is_no_error() -> None:
    assert run(["printf", "\\377"]) == "\ufffd"


def test_sbin_is_searched_too() -> None:
    program = f"from {command.__name__} import run; print(run(['printenv', 'PATH']), end='')"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PATH": "/nowhere", "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "/nowhere:/usr/sbin:/sbin:/usr/bin:/bin\n"


def test_find_program() -> None:
    assert find_program("sh") in ("/bin/sh", "/usr/bin/sh")
    assert find_program("no-such-program-anywhere") is None
