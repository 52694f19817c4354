# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Store a plan on the controller during one Ansible run, so that one worker compiles it and all workers read it.

Each Ansible worker is a separate process. A task with run_once runs once per host with `strategy: free`, and once per
batch with `serial`. The folder is private to the run, and Ansible removes it at the end.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from fcntl import LOCK_EX, flock
from hashlib import sha256
from pathlib import Path
from typing import Any

from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import PortFileError

_REPORT_ONLY = (
    "This plan is for a report only, because plan_info compiled it with report_only: true. Its endpoint controllers "
    "may be empty, and then it would lock Ansible out. Compile a plan without report_only."
)


class Store:
    """One plan in its folder. `key` identifies the input of the plan.

    A plan that is for a report only has no policy of a host, and only readers that ask for such a plan get it.
    """

    def __init__(self, run_folder: str, key: str) -> None:
        self.key = key
        self._folder = Path(run_folder) / "hpc_ports" / key

    def made(self, make: Callable[[], Any]) -> Store:
        """Return the store after this or another worker has compiled the plan. Raises the PortFileError of either."""
        with self.lock():
            if not (self._folder / "plan").exists() and not (self._folder / "error").exists():
                self._make(make)
        if (self._folder / "error").exists():
            raise PortFileError((self._folder / "error").read_text(encoding="utf-8"))
        return self

    def _make(self, make: Callable[[], Any]) -> None:
        try:
            plan = make()
        except PortFileError as exc:
            (self._folder / "error").write_text(str(exc), encoding="utf-8")
            return
        if not plan.report_only:
            self._write_policies(plan)
        (self._folder / "plan").write_bytes(pickle.dumps(plan))

    def _write_policies(self, plan: Any) -> None:
        for digest, policy in plan.policies.items():
            (self._folder / digest).write_text(json.dumps(policy), encoding="utf-8")
        for host, digest in plan.hosts.items():
            own = {"policy": digest, "addresses": plan.addresses.texts_of(host)}
            self._host_file(host).write_text(json.dumps(own), encoding="utf-8")

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Lock the store against other workers."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(self._folder / "lock", "w", encoding="utf-8") as file:
            flock(file, LOCK_EX)
            yield

    def kept(self, name: str, make: Callable[[Any], Any], report_only: bool = False) -> Any:
        """Return the result of `make` for the plan, computed once per run. `report_only` is that of `plan`."""
        path = self._folder / name
        with self.lock():
            if not path.exists():
                path.write_bytes(pickle.dumps(make(self.plan(report_only))))
        return pickle.loads(path.read_bytes())

    def part(self, name: str, host: str, make: Callable[[Any], Any]) -> dict[str, Any]:
        """Return the part of a host in the result of `make` for the plan, computed once per run.

        The result has an attribute `parts`, with JSON data by host. Each part is a file, so that reading one is fast
        with any number of hosts. `whole` returns the complete result.
        """
        folder = self._folder / f"{name}-parts"
        with self.lock():
            if not folder.exists():
                whole = make(self.plan())
                (self._folder / name).write_bytes(pickle.dumps(whole))
                folder.mkdir()
                for other, part in whole.parts.items():
                    (folder / _file_name(other)).write_text(json.dumps(part), encoding="utf-8")
        return json.loads((folder / _file_name(host)).read_text(encoding="utf-8"))

    def whole(self, name: str) -> Any:
        """Return the complete result that `part` stored under this name."""
        return pickle.loads((self._folder / name).read_bytes())

    def added(self, name: str, amount: int) -> tuple[int, int]:
        """Append an amount under this name, and return the number of amounts so far and their sum."""
        path = self._folder / f"{name}-amounts"
        with self.lock():
            with open(path, "a", encoding="utf-8") as file:
                file.write(f"{amount}\n")
            amounts = list(map(int, path.read_text(encoding="utf-8").split()))
        return len(amounts), sum(amounts)

    def first(self, name: str, owner: str, keys: Iterable[str]) -> dict[str, str]:
        """Return, for each key, the first owner that asked for it under this name in the run."""
        path = self._folder / f"{name}-first"
        with self.lock():
            owners = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
            found = {key: owners.setdefault(key, owner) for key in keys}
            path.write_text(json.dumps(owners), encoding="utf-8")
        return found

    def plan(self, report_only: bool = False) -> Any:
        """Return the complete plan. `policy` is faster for the policy of one host.

        Raises PortFileError for a plan that is for a report only, unless `report_only`.
        """
        plan = pickle.loads((self._folder / "plan").read_bytes())
        if plan.report_only and not report_only:
            raise PortFileError(_REPORT_ONLY)
        return plan

    def policy(self, host: str) -> dict[str, Any] | None:
        """Return the policy of a host with its addresses as plain data, or None if the host is not managed.

        Raises PortFileError for a plan that is for a report only.
        """
        try:
            own = json.loads(self._host_file(host).read_text(encoding="utf-8"))
        except FileNotFoundError:
            if (self._folder / "plan").exists():
                self.plan()
            return None
        policy = json.loads((self._folder / own["policy"]).read_text(encoding="utf-8"))
        return {**policy, "addresses": own["addresses"]}

    def _host_file(self, host: str) -> Path:
        return self._folder / f"host-{_file_name(host)}"


def _file_name(host: str) -> str:
    return sha256(host.encode()).hexdigest()[:32]


def store_key(task: str, task_vars: Mapping[str, Any]) -> str:
    """Return a digest of the input of a plan: the task, its batch of hosts, and the inventory groups."""
    content = (task, task_vars.get("ansible_play_batch"), sorted(task_vars["groups"].items()))
    return sha256(repr(content).encode()).hexdigest()[:32]
