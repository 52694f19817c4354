# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read files and the output of commands of a host with one shell script, and find the lines that a file lacks."""

from __future__ import annotations

import base64
import binascii
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import BytesIO
from typing import NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._model.one_line import one_line

_MARK = "hpc.ports answer:"
# A line for each answer: the mark, its number, the exit code, and what was printed, base64. A login may print lines of
# its own.
_ANSWER = re.compile(rf"{_MARK} ([0-9]+) ([0-9]+) ([A-Za-z0-9+/=]*)", re.ASCII)
_SCRIPT = f"""
PATH="$PATH:/usr/sbin:/sbin:/usr/bin:/bin" LC_ALL=C
export PATH LC_ALL
number=0
answer() {{
  text=$("$@" 2>&1 < /dev/null)
  code=$?
  echo "{_MARK} $number $code $(printf '%s\\n' "$text" | base64 | tr -d '\\n')"
  number=$((number + 1))
}}
"""


class Answer(NamedTuple):
    """What a command on a host printed to both its outputs, and its exit code."""

    rc: int
    stdout: str


def answers_script(files: Iterable[str], commands: Iterable[Sequence[str]]) -> str:
    """Return the shell command that prints the contents of the files, and what the commands print."""
    asked = [*(["base64", "--", path] for path in files), *commands]
    return one_line(_SCRIPT + "".join(f"answer {shlex.join(command)}\n" for command in asked))


def parse_answers(output: str, count: int) -> list[Answer]:
    """Return the answers of the script, which asks for so many. Raises ValueError."""
    found = {int(match[1]): match for match in map(_ANSWER.fullmatch, map(str.strip, output.splitlines())) if match}
    if sorted(found) != list(range(count)):
        raise ValueError(f"got {len(found)} answers, expected {count}")
    return [Answer(int(found[number][2]), _decoded(found[number][3]).decode("utf-8", "replace")) for number in found]


def file_content(answer: Answer) -> str | None:
    """Return the content of a file, base64; None if there is no file. Raises ValueError if it cannot be read."""
    if answer.rc == 0:
        return "".join(answer.stdout.split())
    if "No such file" in answer.stdout:
        return None
    raise ValueError(answer.stdout.strip() or f"base64 ended with {answer.rc}")


def unwritten(content: str, pins: Mapping[str, str], pattern: str) -> Iterator[str]:
    """Yield the lines `NAME=VALUE` that `ansible.builtin.lineinfile` would write into this content, which is base64.

    NAME in the pattern stands for the name of the option. Raises ValueError.
    """
    present = BytesIO(_decoded(content)).readlines()
    for name, value in pins.items():
        regexp = re.compile(pattern.replace("NAME", re.escape(name)).encode())
        matches = [line for line in present if regexp.search(line)]
        if not matches or matches[-1] != f"{name}={value}\n".encode():
            yield f"{name}={value}"


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as exc:
        raise ValueError(f"got no base64: {exc}") from None
