# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A firewalld without a D-Bus, to be handed in, and what real ones of three versions made of one policy."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.hpc.ports.plugins.module_utils._backends.firewalld.config import Config
from ansible_collections.hpc.ports.plugins.module_utils._backends.firewalld.daemon import Firewalld
from ansible_collections.hpc.ports.plugins.module_utils._backends.firewalld.dbus import Bus
from ansible_collections.hpc.ports.plugins.module_utils._backends.firewalld.kept_files import FirewalldPaths
from ansible_collections.hpc.ports.plugins.module_utils._backends.firewalld.published import PublishedTable
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables.persistence import wanted_items
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables.ruleset import script_of
from ansible_collections.hpc.ports.plugins.module_utils._model.state import State
from ansible_collections.hpc.ports.tests.support.samples import policy

VERSIONS = ("0.9.3", "1.3.3", "2.3.1")
RULES: tuple[tuple[str, str, list[str], tuple[str, ...]], ...] = (
    ("in", "web", ["443/tcp", "1-9/udp"], ("10.64.0.0/24", "10.64.2.1/32", "::/0")),
    ("out", "dns", ["53/udp"], ("10.64.0.53/32",)),
)
# As they came from Debian 11, 12 and 13, without what is not ours.
_LISTINGS = Path(__file__).parents[1] / "unit" / "plugins" / "module_utils" / "backends" / "firewalld" / "listings"
_CHANGES = ("reload", "restart", "setEntries", "setPolicySettings")
# What a firewalld replies that has only its defaults.
_REPLIES: dict[str, Any] = {
    "version": "1.3.3",
    "state": "RUNNING",
    "IPSetTypes": ["hash:net"],
    "FirewallBackend": "nftables",
    "queryPanicMode": False,
    "getPolicies": [],
    "getIPSets": [],
    "getZones": [],
    "getAllChains": [],
    "getAllRules": [],
    "getAllPassthroughs": [],
    "getZoneNames": [],
    "getPolicyNames": [],
    "getIPSetNames": [],
    "getSettings": [[], [], []],
    "getEntries": [],
    "getPolicySettings": {},
}


def variants(settings: dict[str, Any]) -> dict[str, Any]:
    """Return settings as busctl prints a dictionary of variants; the types are not read."""
    return {name: {"type": "?", "data": value} for name, value in settings.items()}


def listed_policy(version: str, rules: Sequence[Any] = RULES) -> dict[str, Any]:
    """Return the policy in the listing of a version, or one with other rules; the oldest version has no interfaces."""
    return policy(*rules, egress="restricted", interfaces=() if version == "0.9.3" else ("fab0",))


def listing(version: str) -> str:
    """Return what nft lists of the table of firewalld, where a host has that policy."""
    return (_LISTINGS / f"{version}.nft").read_text(encoding="utf-8")


class FakeFirewalld:
    """What it and the kernel answer.

    replies  the value of a method or property, or the error, by its name, and more exactly by the name and the last
             argument; methods that are not listed return nothing
    table    what nft lists of the table; `next_table` is what it lists once anything has been changed
    published  the table beside firewalld, and `wanted_published` what it is to be
    log      what has changed something, such as `reload` or `setEntries NAME`
    """

    def __init__(self, etc: Path) -> None:
        self.replies: dict[str, Any] = {**_REPLIES}
        self.table = self.next_table = ""
        self.published: State = {}
        self.wanted_published: State = {}
        self.log: list[str] = []
        self.commands: list[list[str]] = []
        self.programs: set[str] = set()
        self.is_active = True
        self.paths = FirewalldPaths(str(etc), str(etc / "shipped"))
        # Called where something is changed.
        self.watch: Callable[[str], None] = lambda change: None
        (etc / "protocols").touch()
        for folder in (self.paths.policies, self.paths.ipsets):
            Path(folder).mkdir(parents=True)

    @property
    def handed_in(self) -> Firewalld:
        """Return what functions take."""
        return Firewalld(
            Bus(self._run, lambda *question: None),
            lambda what: self.table,
            lambda unit: self.is_active,
            lambda name: name if name in self.programs else None,
            self.paths,
            PublishedTable(
                lambda: self.published,
                lambda ruleset, running: self.wanted_published,
                lambda ruleset, paths: wanted_items(script_of(ruleset), True, "/nft", paths=paths.published),
            ),
        )

    def has(self, config: Config) -> None:
        """Have firewalld believe that it runs this."""
        self.replies["getPolicies"] = list(config.policies)
        for name, own_policy in config.policies.items():
            self.replies[f"getPolicySettings {name}"] = variants(
                {"rich_rules": [rule.text() for rule in own_policy.rules]}
            )
        for name, ipset in config.ipsets.items():
            self.replies[f"getEntries {name}"] = list(ipset.entries)

    def _run(self, command: Sequence[str]) -> str:
        self.commands.append(list(command))
        if command[0] == "systemctl":
            self._reply(command[1], command[2])
            return ""
        if "get-property" in command:
            path, interface, *names = command[command.index("get-property") + 2 :]
            assert ("FirewallBackend" in names) == interface.endswith(".config") == path.endswith("/config")
            return "".join(_as_json(self._reply(name, "")) for name in names)
        path, method, *arguments = [
            word for number, word in enumerate(command[command.index("call") + 2 :]) if number != 1
        ]
        value = self._reply(method, arguments[1] if len(arguments) > 1 else path)
        return "" if value is None else _as_json([value])

    def _reply(self, method: str, about: str) -> Any:
        reply = self.replies.get(f"{method} {about}", self.replies.get(method))
        if isinstance(reply, Exception):
            raise reply
        if method in _CHANGES:
            change = f"{method} {about}" if method.startswith("set") else method
            self.log.append(change)
            self.watch(change)
            self.table = self.next_table
        return reply


def _as_json(data: Any) -> str:
    return json.dumps({"type": "?", "data": data}) + "\n"
