# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Talk to firewalld over D-Bus with busctl, which every host with systemd has (firewalld.dbus(5))."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._linux.command import CommandError, Run, run

SERVICE = "org.fedoraproject.FirewallD1"
PATH = "/org/fedoraproject/FirewallD1"
CONFIG_PATH = PATH + "/config"
# Seconds; longer than any call to firewalld takes: 5,000 addresses take 5.
_PATIENCE = 300
# Do not start firewalld if somebody stopped it.
_BUSCTL = ("busctl", "--system", "--auto-start=no")


class Bus(NamedTuple):
    """The D-Bus interface of firewalld, called with busctl."""

    run: Run = run

    def call(self, method: str, *arguments: str, path: str = PATH) -> Any:
        """Return what a method such as `ipset.getEntries` returns; None if it returns nothing. Structs are lists.

        The arguments are a signature and values for busctl. Raises CommandError with firewalld's message in `output`.
        """
        replies = self._replies(command(method, *arguments, path=path))
        return replies[0][0] if replies else None

    def settings(self, method: str, *arguments: str, path: str = PATH) -> dict[str, Any]:
        """Return the settings that a method such as `zone.getZoneSettings2` returns (`a{sv}`). Raises CommandError."""
        variants = self.call(method, *arguments, path=path)
        return {name: variant["data"] for name, variant in variants.items()}

    def properties(self, *names: str, path: str = PATH, interface: str = "") -> list[Any]:
        """Return properties such as `version`. Raises CommandError, for example if firewalld is not running."""
        return self._replies(property_command(*names, path=path, interface=interface))

    def rich_rules(self, policy: str) -> list[str]:
        """Return the rich rules of a policy at run time. Raises CommandError if the policy does not exist."""
        return list(self.settings("policy.getPolicySettings", "s", policy).get("rich_rules", []))

    def _replies(self, arguments: Sequence[str]) -> list[Any]:
        """Return what busctl prints: for a call, the list of the values that it returns; for each property, its value.

        busctl prints nothing for a call that returns nothing.
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
    return [*_BUSCTL, f"--timeout={_PATIENCE}", "call", SERVICE, path, f"{SERVICE}{dot}{interface}", name, *arguments]


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
