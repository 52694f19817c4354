# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host without a kernel, for the code that makes or confirms a change: it records every call, in order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ansible_collections.hpc.ports.plugins.module_utils._apply.confirm import ConfirmTools
from ansible_collections.hpc.ports.plugins.module_utils._apply.pending import LastThings, Pending
from ansible_collections.hpc.ports.plugins.module_utils._apply.tools import Tools
from ansible_collections.hpc.ports.plugins.module_utils._backends.change import Change, Undo
from ansible_collections.hpc.ports.plugins.module_utils._linux import files
from ansible_collections.hpc.ports.plugins.module_utils._linux.files import FileContent, FileContents, Places
from ansible_collections.hpc.ports.plugins.module_utils._linux.rule_loaders import RuleLoader
from ansible_collections.hpc.ports.plugins.module_utils._linux.ssh_connection import SshConnection
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import Policy
from ansible_collections.hpc.ports.plugins.module_utils._model.state import State

# What a change of nftables without files leaves to the module that confirms it.
LAST_THINGS: LastThings = {
    "advice": "",
    "cuts": False,
    "backend": "nftables",
    "runs": "",
    "places": {},
    "concerns_unit": False,
    "starts": [],
    "ends": [],
    "leaves": False,
}


class FakeBackend:
    """A backend: what runs is what it was given last, and there is one file of each backend."""

    def __init__(self, name: str, folder: Path, log: list[str]) -> None:
        self.name, self.log = name, log
        self.running: State = {}
        self.path = str(folder / name)
        # Raised by what is named so, such as {"make": RuntimeError("no")}.
        self.failures: dict[str, Exception] = {}

    def did(self, operation: str) -> None:
        """Note it, or fail."""
        self.log.append(f"{self.name} {operation}")
        if operation in self.failures:
            raise self.failures[operation]

    def running_state(self) -> State:
        """Return what runs."""
        return self.running

    def present_change(self, policy: Policy, closed: str = "") -> Change:
        """Return the change to this policy."""
        text = repr(policy)
        return self._change({"rules": (text,)}, {self.path: FileContent(text)}, Places((self.path,)))

    def absent_change(self) -> Change:
        """Return the change to nothing."""
        return self._change({}, {}, Places((), gone=(self.path,)))

    def _change(self, wanted: State, contents: FileContents, places: Places) -> Change:
        way = FakeWay(self, wanted) if wanted != self.running else None
        return Change(
            self.name, self.running, wanted, files.present_state([self.path]), contents, places, ({}, {}), way
        )

    @contextmanager
    def all_or_nothing(self, places: Places) -> Iterator[None]:
        """Note when the files are put in their places."""
        self.did("settle")
        yield

    def recover(self) -> None:
        """Note it."""
        self.did("recover")


class FakeWay:
    """The way there."""

    def __init__(self, backend: FakeBackend, wanted: State) -> None:
        self._backend, self._wanted = backend, wanted

    def check(self) -> None:
        """Note that it is checked."""
        self._backend.did("check")

    def undo(self) -> Undo:
        """Return how it is undone."""
        return Undo(f"undo {self._backend.name}", {})

    def make(self, folder: str) -> None:
        """Change what runs."""
        self._backend.did("make")
        self._backend.running = self._wanted


class FakeTransactions:
    """What the modules `transaction` and `decision` do, without a folder, a lock and a clock."""

    def __init__(self, log: list[str]) -> None:
        self.log = log
        self.pending: Pending | None = None
        self.undone: Pending | None = None
        self.made = False
        # The change that a new change waited for.
        self.waited_for: Pending | None = None

    @contextmanager
    def exclusive_change(self) -> Iterator[Pending | None]:
        """Hold the lock."""
        self.log.append("lock")
        yield self.waited_for
        self.log.append("unlock")

    def arm(
        self,
        token: str,
        undo: Undo,
        places: Places,
        seconds: int,
        client: str,
        client_port: int,
        last_things: LastThings,
    ) -> Pending:
        """Arm a change."""
        self.log.append(f"arm: {undo.command}")
        self.pending = Pending(token, seconds, 0.0, client, client_port, last_things)
        return self.pending

    def folder_of(self, pending: Pending) -> str:
        """Return a name of a folder."""
        return pending.token

    @contextmanager
    def no_longer_than(self, pending: Pending) -> Iterator[None]:
        """Do nothing."""
        yield

    def note_made(self, pending: Pending) -> None:
        """Note it."""
        self.log.append("made")
        self.made = True

    def was_made(self, pending: Pending) -> bool:
        """Tell what was noted."""
        return self.made

    def revert(self, pending: Pending) -> None:
        """Undo a change."""
        self.log.append("revert")
        self.pending, self.undone = None, pending

    def disarm(self, pending: Pending) -> None:
        """Keep a change."""
        self.log.append("disarm")
        self.pending = None

    @contextmanager
    def confirmation(self, token: str) -> Iterator[Pending | None]:
        """Decide on a change."""
        self.log.append("decide")
        yield self.pending if self.pending and self.pending.token == token else None
        self.log.append("decided")

    def reverted(self, token: str) -> Pending | None:
        """Return what was undone."""
        return self.undone if self.undone and self.undone.token == token else None


class FakeHost:
    """The host: `log` is what was done, `connection` who does it.

    `tracked` is after what the kernel was to track the open connections, and `untracked` the warning that it does not.
    """

    def __init__(self, folder: Path) -> None:
        self.log: list[str] = []
        self.backends = {name: FakeBackend(name, folder, self.log) for name in ("nftables", "firewalld")}
        self.transactions = FakeTransactions(self.log)
        self.connection: SshConnection | None = None
        self.loaders: tuple[RuleLoader, ...] = ()
        self.tracked: list[str] = []
        self.untracked = ""

    @property
    def tools(self) -> Tools:
        """What to hand in."""
        return Tools(
            self.transactions,
            self.backends.__getitem__,
            self._leaving,
            lambda: self.connection,
            lambda change, is_wanted, closed: change,
            lambda: self.loaders,
            self._track,
            self.backends.__getitem__,
        )

    @property
    def confirm_tools(self) -> ConfirmTools:
        """What to hand in to confirm."""
        return ConfirmTools(
            self.transactions,
            self.backends.__getitem__,
            lambda: self.connection,
            lambda: self.log.append("note that connections are left to be cut"),
        )

    def files(self) -> list[str]:
        """Return the names of the files that there are, those included that wait for their places."""
        folder = Path(self.backends["nftables"].path).parent
        return sorted(path.name for path in folder.iterdir())

    def _track(self) -> str:
        self.tracked.append(self.log[-1])
        return self.untracked

    def _leaving(self, name: str) -> Change | None:
        change = self.backends["firewalld" if name == "nftables" else "nftables"].absent_change()
        return change if change.is_needed else None
