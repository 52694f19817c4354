# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Talk to firewalld over D-Bus (firewalld.dbus(5)).

Changes are made with busctl, which every host with systemd has, as in the scripts that undo them. Before a reload,
firewalld is asked forty questions: over one connection they take a sixth of the CPU time of as many processes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Callable, NamedTuple, Optional

from ansible_collections.hpc.ports.plugins.module_utils._linux.command import CommandError, Run, run
from ansible_collections.hpc.ports.plugins.module_utils._linux.system_bus import PATIENCE, ErrorReply, SystemBus

SERVICE = "org.fedoraproject.FirewallD1"
PATH = "/org/fedoraproject/FirewallD1"
CONFIG_PATH = PATH + "/config"
_PROPERTIES = "org.freedesktop.DBus.Properties"
# Do not start firewalld if somebody stopped it.
_BUSCTL = ("busctl", "--system", "--auto-start=no")

# A function that asks a service, such as `SystemBus.ask`; it returns None if busctl is to ask.
Ask = Callable[..., Optional[list[Any]]]


class Bus(NamedTuple):
    """The D-Bus interface of firewalld; `run` runs busctl."""

    run: Run = run
    ask: Ask = SystemBus().ask

    def call(self, method: str) -> None:
        """Call a method that takes and returns nothing. Raises CommandError with firewalld's message in `output`."""
        self.run(command(method))

    def read(self, method: str, *names: str, path: str = PATH) -> Any:
        """Return what a method such as `ipset.getEntries` returns; None if it returns nothing. Structs are lists.

        The method changes nothing: it may be called twice. Raises CommandError with firewalld's message in `output`.
        """
        interface, dot, name = method.rpartition(".")
        values = self._asked(path, SERVICE + dot + interface, name, *names)
        if values is None:
            arguments = ["s" * len(names), *names] if names else []
            values = (self._printed(command(method, *arguments, path=path)) or [[]])[0]
        return values[0] if values else None

    def settings(self, method: str, *names: str, path: str = PATH) -> dict[str, Any]:
        """Return the settings that a method such as `zone.getZoneSettings2` returns (`a{sv}`). Raises CommandError."""
        variants = self.read(method, *names, path=path)
        return {name: variant["data"] for name, variant in variants.items()}

    def properties(self, *names: str, path: str = PATH, interface: str = "") -> list[Any]:
        """Return properties such as `version`. Raises CommandError, for example if firewalld is not running."""
        values = [self._asked(path, _PROPERTIES, "Get", SERVICE + interface, name) for name in names]
        variants = [value[0] for value in values if value]
        if len(variants) < len(names):
            return self._printed(property_command(*names, path=path, interface=interface))
        return [variant["data"] for variant in variants]

    def rich_rules(self, policy: str) -> list[str]:
        """Return the rich rules of a policy at run time. Raises CommandError if the policy does not exist."""
        return list(self.settings("policy.getPolicySettings", policy).get("rich_rules", []))

    def _asked(self, path: str, interface: str, method: str, *names: str) -> list[Any] | None:
        """Return the values that a method returns, or None if busctl is to ask. Raises CommandError."""
        try:
            return self.ask(SERVICE, path, interface, method, *names)
        except ErrorReply as exc:
            raise CommandError([f"{interface}.{method}", *names], 1, f"Call failed: {exc}") from exc

    def _printed(self, arguments: Sequence[str]) -> list[Any]:
        """Return what busctl prints: for a call, the list of the values that it returns; for each property, its value.

        busctl prints nothing for a call that returns nothing. Raises CommandError.
        """
        program, *rest = arguments
        text = self.run([program, "--json=short", *rest])
        try:
            return [json.loads(line)["data"] for line in text.splitlines()]
        except ValueError as exc:
            raise CommandError(arguments, 0, f"it did not print JSON: {exc}") from exc


def command(method: str, *arguments: str, path: str = PATH) -> list[str]:
    """Return the command that calls a method."""
    interface, dot, name = method.rpartition(".")
    return [*_BUSCTL, f"--timeout={PATIENCE}", "call", SERVICE, path, f"{SERVICE}{dot}{interface}", name, *arguments]


def property_command(*names: str, path: str = PATH, interface: str = "") -> list[str]:
    """Return the command that prints properties, one per line."""
    return [*_BUSCTL, "get-property", SERVICE, path, SERVICE + interface, *names]


def strings(values: Sequence[str]) -> list[str]:
    """Return an array of strings in the form that busctl expects, without the signature."""
    return [str(len(values)), *values]


# ---- commands for firewalld


def rich_rules_command(policy: str, rules: Sequence[str]) -> list[str]:
    """Return the command that sets the rich rules of a policy at run time; firewalld first removes rules, then adds."""
    return command("policy.setPolicySettings", "sa{sv}", policy, "1", "rich_rules", "as", *strings(rules))


def entries_command(ipset: str, entries: Sequence[str]) -> list[str]:
    """Return the command that sets the entries of an ipset at run time; firewalld empties the ipset first."""
    return command("ipset.setEntries", "sas", ipset, *strings(entries))
