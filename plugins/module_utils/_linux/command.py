# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a program of the host, without a shell."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from typing import IO, Callable

# cron, sudo and ssh often leave the sbin folders out of PATH.
_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin", "/usr/bin", "/bin"])

_SHOWN = 300
# What runs a program, as `run` does.
Run = Callable[..., str]


class CommandError(RuntimeError):
    """A program failed; `code` is its exit code, `output` what it wrote to standard error."""

    def __init__(self, arguments: Sequence[str], code: int, output: str) -> None:
        super().__init__(f"{_shown(arguments)!r} failed with exit code {code}: {output}")
        self.code = code
        self.output = output


def _shown(arguments: Sequence[str]) -> str:
    """Return a command, of a long one the beginning: it can have thousands of addresses."""
    text = " ".join(arguments)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + " ..."


def find_program(name: str) -> str | None:
    """Return the path of a program, or None."""
    return shutil.which(name, path=_PATH)


def run(arguments: Sequence[str], text: str = "") -> str:
    """Return what the program wrote to standard output; `text` is its input. Raises CommandError."""
    # The busctl of systemd 247 colours its errors even where nobody looks at them.
    environment = dict(os.environ, LC_ALL="C", PATH=_PATH, SYSTEMD_LOG_COLOR="0")
    try:
        with _whole(text) as given:
            done = subprocess.run(
                arguments,
                stdin=given,
                capture_output=True,
                env=environment,
                encoding="utf-8",
                errors="replace",
                check=False,
            )
    except FileNotFoundError as exc:
        raise CommandError(arguments, 127, f"{arguments[0]}: not found") from exc
    if done.returncode:
        raise CommandError(arguments, done.returncode, done.stderr.strip())
    return done.stdout


def _whole(text: str) -> IO[bytes]:
    """Return a file in memory, to be read from its start.

    Of a pipe, nft would take what has come for the whole script when this process is killed while it writes.
    """
    file = open(os.memfd_create("input"), "w+b")
    file.write(text.encode("utf-8"))
    file.seek(0)
    return file
