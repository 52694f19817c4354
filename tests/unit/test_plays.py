# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests' own server of plays promises: a play is as if ansible-playbook was started, and never left behind."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ansible_collections.hpc.ports.tests.support.plays import ROOT, RunningPlay, playing
from ansible_collections.hpc.ports.tests.support.run import scaled

pytestmark = pytest.mark.slow

PLAYBOOK = """
- hosts: localhost
  gather_facts: false
  connection: local
  vars: {ansible_python_interpreter: "{{ ansible_playbook_python }}"}
  tasks:
    - debug: {msg: "{{ lookup('env', 'HPC_PORTS_WORD') }} {{ ansible_playbook_python }} {{ q('pipe', 'pwd; umask') }}"}
    - debug: {msg: "{{ lookup('config', 'DEFAULT_LOCAL_TMP') | dirname }} {{ lookup('config', 'COLLECTIONS_PATHS') }}"}
    - debug: {msg: "{{ 'A=1' | hpc.ports.config_ports('/etc/a', {'A': {'service': 'a', 'default': '2'}}) }} {{ said }}"}
    - fail: {msg: On purpose.}
      when: how == "fail"
    - {name: Wait, command: "cat {{ playbook_dir }}/gate", when: how == "wait"}
"""
# Starts a play that waits, says which processes there are, and ends as badly as can be.
DIES = """
import os, sys
from ansible_collections.hpc.ports.tests.support.plays import playing
with playing("-i", "localhost,", sys.argv[1], "-ehow=wait") as running:
    while not (tasks := os.popen(f"pgrep -f '^cat {sys.argv[2]}'").read()): pass
    print(running.pid, os.popen(f"ps -o ppid= {running.pid}").read(), tasks, flush=True)
    os.kill(os.getpid(), 9)
"""


@pytest.fixture(name="playbook")
def fixture_playbook(tmp_path: Path) -> Path:
    path = tmp_path / "play.yml"
    path.write_text(PLAYBOOK, encoding="utf-8")
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars" / "all.yml").write_text("said: by group_vars", encoding="utf-8")
    return path


@pytest.fixture(name="waiting")
def fixture_waiting(playbook: Path) -> Iterator[RunningPlay]:
    """A play that waits until the test ends."""
    with closed_gate(playbook), playing("-i", "localhost,", str(playbook), "-ehow=wait", joined=True) as running:
        end = time.monotonic() + scaled(120)
        while "TASK [Wait]" not in running.printed[0] and time.monotonic() < end:
            time.sleep(0.05)
        yield running


@contextmanager
def closed_gate(playbook: Path) -> Iterator[None]:
    os.mkfifo(playbook.with_name("gate"))
    gate = os.open(playbook.with_name("gate"), os.O_RDWR)
    try:
        yield
    finally:
        os.close(gate)


@pytest.mark.parametrize("how,word,code", [("fail", "hello", 2), ("end", "again", 0)])
def test_a_served_play_ends_and_prints_as_a_real_one(playbook: Path, how: str, word: str, code: int) -> None:
    ends = []
    for real in (True, False):
        with playing(
            "-i", "localhost,", str(playbook), f"-ehow={how}", real=real, environment={"HPC_PORTS_WORD": word}
        ) as running:
            ends.append((running.communicate(scaled(120)), running.returncode))
    assert ends[0] == ends[1]
    printed, errors = ends[0][0]
    assert (ends[0][1], errors) == (code, "")
    assert word in printed and "by group_vars" in printed and ("On purpose." in printed) == (how == "fail")


def test_what_was_printed_is_shown_when_time_is_up(waiting: RunningPlay, playbook: Path) -> None:
    with pytest.raises(
        AssertionError, match=r"(?s)still running after 0.1 s; printed so far:.*PLAY \[localhost\].*\[Wait\]"
    ):
        waiting.communicate(timeout=0.1)
    task = f"^cat {playbook.with_name('gate')}"
    end = time.monotonic() + scaled(60)
    while not (
        tasks := subprocess.run(["pgrep", "-f", task], capture_output=True, text=True, check=False).stdout.split()
    ):
        assert time.monotonic() < end, waiting.printed
        time.sleep(0.05)
    waiting.kill()
    assert waiting.wait(scaled(60)) == -signal.SIGKILL
    with pytest.raises(ProcessLookupError):
        os.kill(waiting.pid, 0)
    # Nor does what its workers run go on.
    for pid in map(int, tasks):
        await_end(pid)


def test_the_server_and_its_plays_end_with_who_started_them(playbook: Path) -> None:
    with closed_gate(playbook):
        done = subprocess.run(
            [sys.executable, "-c", DIES, str(playbook), str(playbook.with_name("gate"))],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=scaled(120),
            check=False,
            env={**os.environ, "PYTHONPATH": str(ROOT / ".collections")},
        )
        assert done.returncode == -signal.SIGKILL, done.stderr
        for pid in map(int, done.stdout.split()):
            await_end(pid)


def await_end(pid: int) -> None:
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    with os.fdopen(handle):
        assert select.select([handle], [], [], scaled(60))[0], f"process {pid} is still there"
