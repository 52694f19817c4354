# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a program of the host without a shell."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Callable

# With cron, sudo and ssh, PATH often lacks the sbin folders.
_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin", "/usr/bin", "/bin"])

_LONGEST_COMMAND = 300  # characters in a message
# A function that runs a program, such as `run`.
Run = Callable[..., str]


class CommandError(RuntimeError):
    """A program failed; `code` is its exit code, `output` its standard error."""

    def __init__(self, arguments: Sequence[str], code: int, output: str) -> None:
        super().__init__(f"{_start_of(arguments)!r} failed with exit code {code}: {output}")
        self.code = code
        self.output = output


def _start_of(arguments: Sequence[str]) -> str:
    """Return the start of a command: it can have thousands of addresses."""
    text = " ".join(arguments)
    return text if len(text) <= _LONGEST_COMMAND else text[:_LONGEST_COMMAND] + " ..."


def find_program(name: str) -> str | None:
    """Return the path of a program, or None."""
    return shutil.which(name, path=_PATH)


def run(arguments: Sequence[str], text: str = "") -> str:
    """Return the standard output of the program; `text` is its standard input. Raises CommandError."""
    # The busctl of systemd 247 writes colour codes into its errors even without a terminal.
    environment = dict(os.environ, LC_ALL="C", PATH=_PATH, SYSTEMD_LOG_COLOR="0")
    try:
        with _memory_file(text) as file:
            done = subprocess.run(
                arguments,
                stdin=file,
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


@contextmanager
def _memory_file(text: str) -> Iterator[IO[bytes]]:
    """Yield a file in memory with the text, at its start.

    If this process is killed while it writes to a pipe, nft loads the part of the script that it got so far.
    """
    with open(os.memfd_create("input"), "w+b") as file:
        file.write(text.encode("utf-8"))
        file.seek(0)
        yield file
