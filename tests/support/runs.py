# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs of modules on a host, by a server there that has all imported (faults.py)."""

from __future__ import annotations

import atexit
import functools
import json
import socket
import subprocess
import sys
from collections.abc import Mapping
from typing import IO, Any

from ansible_collections.hpc.ports.tests.support import faults
from ansible_collections.hpc.ports.tests.support.faults import Fault, Run, State
from ansible_collections.hpc.ports.tests.support.machine import Machine, environment_with
from ansible_collections.hpc.ports.tests.support.namespaces import COLLECTIONS, Space
from ansible_collections.hpc.ports.tests.support.run import scaled
from ansible_collections.hpc.ports.tests.support.samples import SAMPLE

# ---- the server of a host


class Server:
    """What tests ask, one request at a time."""

    def __init__(self, requests: IO[str], answers: IO[str]) -> None:
        self._requests, self._answers = requests, answers

    def ask(self, **request: Any) -> dict[str, Any]:
        """Return the answer to a request."""
        print(json.dumps(request), file=self._requests, flush=True)
        answer = self._answers.readline()
        assert answer, "The server of the runs has ended."
        return json.loads(answer)

    def close(self) -> None:
        """Let it go, and what it has started."""
        self._requests.close()
        self._answers.close()


class StartedServer(Server):
    """A server with a Python of the host's own."""

    def __init__(self, machine: Machine) -> None:
        self._process = subprocess.Popen(
            [*machine.host.prefix, machine.pair.python, faults.__file__],
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=machine.environment,
        )
        assert self._process.stdin and self._process.stdout
        super().__init__(self._process.stdin, self._process.stdout)

    def close(self) -> None:
        """Let it go, and what it has started."""
        self._requests.close()
        self._process.wait(timeout=60)
        self._answers.close()


class ForkedServer(Server):
    """A server with this Python, forked from a process that has all imported."""

    def __init__(self, host: Space) -> None:
        self._socket, far = socket.socketpair()
        with far:
            socket.send_fds(_origin(), [str(host.pid).encode()], [far.fileno()])
        super().__init__(self._socket.makefile("w"), self._socket.makefile("r"))

    def close(self) -> None:
        """Let it go, and what it has started."""
        self._requests.close()
        self._socket.shutdown(socket.SHUT_WR)
        # Its end.
        assert not self._answers.read()
        self._answers.close()
        self._socket.close()


@functools.cache
def _origin() -> socket.socket:
    """Return the way to the process that forks servers, one for all tests of this process."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    environment = {**dict([faults.ROOM.split("=")]), **environment_with(str(COLLECTIONS))}
    with there:
        process = subprocess.Popen(
            [sys.executable, faults.__file__, str(there.fileno())],
            pass_fds=[there.fileno()],
            stdin=subprocess.DEVNULL,
            env=environment,
        )

    def end() -> None:
        here.close()
        process.wait(timeout=60)

    atexit.register(end)
    return here


# ---- runs of modules


class Runs:
    """The server of a host."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        # Other values for constants of `_apply/lock.py`, such as PATIENCE.
        self.settings: dict[str, float] = {}
        is_ours = machine.pair.python == sys.executable
        self.server = ForkedServer(machine.host) if is_ours else StartedServer(machine)

    def firewall(
        self,
        policy: Mapping[str, Any] | None,
        fault: Fault | None = None,
        kill_after: float | None = None,
        **options: Any,
    ) -> Run:
        """Run the module `firewall`: give the host this policy, or none, without a watch; do not confirm it."""
        wanted = {"policy": policy} if policy else {"state": "absent"}
        return self._run("firewall", fault, kill_after, **wanted, **options)

    def confirm(self, token: str, fault: Fault | None = None, kill_after: float | None = None) -> Run:
        """Run the module `firewall_confirm`."""
        return self._run("firewall_confirm", fault, kill_after, token=token)

    def apply(self, policy: Mapping[str, Any] | None) -> dict[str, Any]:
        """Give the host this policy, or none, and confirm it; return the result of the module `firewall`."""
        patience: dict[str, Any] = {"confirm_within": scaled(60)} if policy else {}
        result = self.firewall(policy, **patience).result
        assert result and not result.get("failed"), result
        if "pending" in result:
            answer = self.confirm(result["pending"]["token"]).result
            assert answer and answer.get("status") == "confirmed" and not answer.get("failed"), answer
            if answer.get("leaves"):
                # As the action plugin does, which removes our rules from the other backend so.
                self.apply(policy)
        return result

    def module(self, name: str, **options: Any) -> dict[str, Any]:
        """Run a module as Ansible calls it; return its result. `ssh`: the value of SSH_CONNECTION."""
        return self._run(name, None, None, **options).result or {}

    def _run(self, module: str, fault: Fault | None, kill_after: float | None, ssh: str = "", **options: Any) -> Run:
        if module == "firewall" and "policy" in options:
            options = {"watch": False, **options}
        answer = self._ask(
            module=module, options=options, fault=fault, kill_after=kill_after, settings=self.settings, ssh=ssh
        )
        return Run(answer["result"], answer["operations"], answer["hit"], answer["seconds"])

    def state(self, folders: Mapping[str, str] | None = None, asks_firewalld: bool = True) -> State:
        """Return what the host has; `folders` are where its files lie, and what each is called, if not as usual.

        Without asking firewalld, it takes half as long.
        """
        answer = self._ask(module="", folders=folders or self.machine.folders, said=asks_firewalld)
        return State(tuple(answer["table"]), tuple(answer["said"]), answer["files"], answer["armed"], answer["left"])

    def call(self, program: str) -> Any:
        """Return what Python leaves in `result`, run on the host."""
        return self._ask(program=program, arguments=[], user=0)["result"]

    def undo_now(self) -> None:
        """Have the host undo the change that is armed, as its clock will."""
        self._ask(module="", folders={}, revert=True)

    def close(self) -> None:
        """Let the server go, and the clocks that it has started."""
        self.server.close()

    def _ask(self, **request: Any) -> dict[str, Any]:
        return self.server.ask(backend=self.machine.backend, **request)


class Served(Machine):
    """A machine whose modules run in a server, several a second, but for those that need processes above them."""

    def __init__(self, plain: Machine) -> None:  # pylint: disable=super-init-not-called
        # The same host, each of whose runs is a Python that is started.
        self.started = plain
        self.pair, self.host, self.programs = plain.pair, plain.host, plain.programs

    @functools.cached_property
    def runs(self) -> Runs:
        """What runs modules in the server."""
        return Runs(self)

    def begin(self, wanted: Mapping[str, Any] | None = None, **options: Any) -> dict[str, Any]:
        """Give the host a policy, or a sample, and return the module's result; the change is not confirmed."""
        if "prefix" in options:
            return super().begin(wanted, **options)
        return self.runs.module("firewall", policy=wanted or SAMPLE, **_of_ansible(**options))

    def confirm(self, token: str, ssh: str = "") -> dict[str, Any]:
        """Run the module that confirms a change."""
        return self.runs.module("firewall_confirm", token=token, ssh=ssh)

    def remove(self, **options: Any) -> dict[str, Any]:
        """Run the module with `state: absent`."""
        return self.runs.module("firewall", state="absent", **_of_ansible(**options))

    def close(self) -> None:
        """Let the server go, if there was one."""
        if "runs" in vars(self):
            self.runs.close()


def _of_ansible(check: bool = False, **options: Any) -> dict[str, Any]:
    return {"_ansible_check_mode": check, "_ansible_diff": True, **options}
