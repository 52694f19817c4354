# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`ansible-playbook` as if it was started, at a third of its time: most of that goes into importing ansible.

A server (play_server.py) has imported ansible and forks a child for each play. There is one for each environment and
working directory that plays ask for, since ansible reads both when it is imported. They end with this process, however
that ends, and their plays with them.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from ansible_collections.hpc.ports.tests.support import play_server
from ansible_collections.hpc.ports.tests.support.run import scaled

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = str(Path(sys.executable).with_name("ansible-playbook"))
# Variables that each test sets and no play reads.
_IGNORED = "PYTEST_CURRENT_TEST"


# Tests read each task and each host.
_ALL = {"ANSIBLE_NOCOLOR": "1", "ANSIBLE_STDOUT_CALLBACK": "default"}
# What the plays of the unit tests have in common, so that they share a server.
_UNIT = {
    "ANSIBLE_HOST_PATTERN_MISMATCH": "error",
    "ANSIBLE_SHOW_CUSTOM_STATS": "1",
    "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
}


class _Process(Protocol):
    """What subprocess.Popen and a served play have in common."""

    pid: int

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code; raise TimeoutExpired."""


class RunningPlay:
    """A play that runs meanwhile. What it has printed so far is never lost."""

    def __init__(self, process: _Process, outputs: tuple[IO[str], IO[str]]) -> None:
        self._process = process
        self._outputs = outputs
        self.returncode: int | None = None

    @property
    def pid(self) -> int:
        """Its process, which leads a session of its own."""
        return self._process.pid

    @property
    def printed(self) -> tuple[str, str]:
        """Its two outputs so far; the second is empty where both are one."""
        one, other = self._outputs
        return _all_of(one), "" if one is other else _all_of(other)

    def wait(self, timeout: float | None = None) -> int:
        """Return how it ended, within some seconds or with what it printed so far as an error."""
        if self.returncode is None:
            try:
                self.returncode = self._process.wait(timeout)
            except subprocess.TimeoutExpired:
                raise AssertionError(
                    f"still running after {timeout} s; printed so far:\n{''.join(self.printed)}"
                ) from None
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Return both outputs when it has ended."""
        self.wait(timeout)
        return self.printed

    def kill(self) -> None:
        """End it at once, if it has not ended, and what it has started."""
        if self.returncode is None:
            play_server.kill(self.pid)


@dataclass(frozen=True)
class Ended:
    """How a play ended and what it printed."""

    code: int
    printed: str
    errors: str

    @property
    def line(self) -> str:
        """All that it printed, on one line: Ansible breaks long ones."""
        return " ".join(f"{self.printed}{self.errors}".split())


class _Served:
    """A process that is the server's child; the server says its number, and later its exit code."""

    def __init__(self, answers: IO[bytes]) -> None:
        self._answers = answers
        self.pid = self._number()

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code; raise TimeoutExpired."""
        if not select.select([self._answers], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired("ansible-playbook", timeout or 0)
        return self._number()

    def _number(self) -> int:
        line = self._answers.readline()
        assert line, "the server of plays has ended"
        return int(line)


class _Server:
    """The server for one environment and working directory."""

    def __init__(self, folder: str, environment: Mapping[str, str]) -> None:
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 # open as long as the server
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [_interpreter(), play_server.__file__, str(theirs.fileno())],
                cwd=folder,
                env=dict(environment),
                pass_fds=[theirs.fileno()],
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._errors,
            )
        atexit.register(self.end)

    def start(self, arguments: list[str], outputs: tuple[IO[str], IO[str]]) -> _Process:
        """Have a play started."""
        ours, theirs = os.pipe()
        try:
            socket.send_fds(
                self._requests, [json.dumps(arguments).encode()], [*(output.fileno() for output in outputs), theirs]
            )
        finally:
            os.close(theirs)
        try:
            return _Served(open(ours, "rb", buffering=0))
        except AssertionError as error:
            raise AssertionError(f"{error}: {_all_of(self._errors)}") from None

    def end(self) -> None:
        """End the server and its plays."""
        self._requests.close()
        self._process.wait(scaled(60))


def _interpreter() -> str:
    """Return the Python that ansible-playbook names in its first line, under the very name."""
    with open(PROGRAM, encoding="utf-8") as program:
        return program.readline()[2:].strip()


_servers: dict[tuple[str, tuple[tuple[str, str], ...]], _Server] = {}


def _server(folder: str, environment: Mapping[str, str]) -> _Server:
    key = (folder, tuple(sorted(environment.items())))
    if key not in _servers:
        _servers[key] = _Server(folder, environment)
    return _servers[key]


@contextmanager
def playing(
    *arguments: str,
    root: Path = ROOT,
    before: tuple[str, ...] = (),
    real: bool = False,
    joined: bool = False,
    environment: Mapping[str, str] | None = None,
) -> Iterator[RunningPlay]:
    """Have ansible-playbook run meanwhile, over what is in `root`, and end it at the end of the block.

    It starts as the program where `real` is set, or where something such as unshare stands `before` it.
    `joined` makes both its outputs one.
    """
    root = root.resolve()
    wanted = {**os.environ, **_ALL, "ANSIBLE_CONFIG": str(root / "ansible.cfg"), **(environment or {})}
    wanted.pop(_IGNORED, None)
    with tempfile.TemporaryFile("w+", encoding="utf-8") as one, tempfile.TemporaryFile("w+", encoding="utf-8") as other:
        outputs = (one, one if joined else other)
        if before or real:
            process = _started([*before, PROGRAM, *arguments], root, wanted, outputs)
        else:
            process = _server(str(root), wanted).start([PROGRAM, *arguments], outputs)
        running = RunningPlay(process, outputs)
        try:
            yield running
        finally:
            running.kill()
            running.wait(scaled(60))


def played(*arguments: str, real: bool = False, **environment: str) -> Ended:
    """Have a play of a unit test run to its end."""
    with playing(*arguments, real=real, environment={**_UNIT, **environment}) as running:
        return Ended(running.wait(scaled(300)), *running.printed)


def _started(
    command: list[str], root: Path, environment: Mapping[str, str], outputs: tuple[IO[str], IO[str]]
) -> _Process:
    return subprocess.Popen(
        command,
        cwd=root,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=outputs[0],
        stderr=outputs[1],
        start_new_session=True,
    )


def _all_of(output: IO[str]) -> str:
    """Return what is in a file, without moving the place where its writer is: the two share it."""
    return os.pread(output.fileno(), os.fstat(output.fileno()).st_size, 0).decode(errors="replace")
