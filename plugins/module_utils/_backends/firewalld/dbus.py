# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Talk to firewalld over D-Bus with busctl, which every host with systemd has (firewalld.dbus(5))."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._linux.command import Run, run

SERVICE = "org.fedoraproject.FirewallD1"
PATH = "/org/fedoraproject/FirewallD1"
CONFIG_PATH = PATH + "/config"
# Seconds; longer than any call to firewalld takes: 5,000 addresses take 5.
_PATIENCE = 300
# Do not start firewalld if somebody stopped it.
_BUSCTL = ("busctl", "--system", "--auto-start=no")
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|\S+')
_ESCAPE = re.compile(r"\\([0-7]{3}|.)")
_CONTROL = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_NUMBERS = "ynqiuxth"


class Bus(NamedTuple):
    """The D-Bus interface of firewalld, called with busctl."""

    run: Run = run

    def call(self, method: str, *arguments: str, path: str = PATH) -> list[Any]:
        """Return the values of a method such as `ipset.getEntries`; arguments are a signature and values for busctl.

        Raises CommandError with firewalld's message in `output`.
        """
        return parsed(self.run(command(method, *arguments, path=path)))

    def properties(self, *names: str, path: str = PATH, interface: str = "") -> list[Any]:
        """Return properties such as `version`. Raises CommandError, for example if firewalld is not running."""
        text = self.run(property_command(*names, path=path, interface=interface))
        return [value for line in text.splitlines() for value in parsed(line)]

    def rich_rules(self, policy: str) -> list[str]:
        """Return the rich rules of a policy at run time. Raises CommandError if the policy does not exist."""
        settings: dict[str, Any] = self.call("policy.getPolicySettings", "s", policy)[0]
        return list(settings.get("rich_rules", []))


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


# ---- the output of busctl


def parsed(text: str) -> list[Any]:
    """Return the values of a message as busctl prints it: `as 2 "one" "two"`. Structs are tuples."""
    words = iter(_TOKEN.findall(text))
    signature = next(words, "")
    result = []
    while signature:
        kind, signature = _first_type(signature)
        result.append(_value(kind, words))
    return result


def _first_type(signature: str) -> tuple[str, str]:
    """Return the first complete type of a D-Bus signature, and the rest."""
    if signature[0] == "a":
        kind, rest = _first_type(signature[1:])
        return "a" + kind, rest
    if signature[0] in "({":
        depth = 0
        for end, character in enumerate(signature):
            depth += (character in "({") - (character in ")}")
            if depth == 0:
                return signature[: end + 1], signature[end + 1 :]
    return signature[0], signature[1:]


def _value(kind: str, words: Iterator[str]) -> Any:
    if kind.startswith("a{"):
        key, value = _members(kind[2:-1])
        return {_value(key, words): _value(value, words) for _unused in range(int(next(words)))}
    if kind.startswith("a"):
        return [_value(kind[1:], words) for _unused in range(int(next(words)))]
    if kind.startswith("("):
        return tuple(_value(member, words) for member in _members(kind[1:-1]))
    if kind == "v":
        return _value(next(words), words)
    word = next(words)
    if kind in _NUMBERS:
        return int(word)
    return word == "true" if kind == "b" else _unquoted(word)


def _members(signature: str) -> list[str]:
    result = []
    while signature:
        kind, signature = _first_type(signature)
        result.append(kind)
    return result


def _unquoted(word: str) -> str:
    """Return a string without busctl's quotes; it writes non-ASCII bytes in octal."""
    plain = _ESCAPE.sub(
        lambda match: chr(int(match[1], 8)) if match[1].isdigit() else _CONTROL.get(match[1], match[1]), word[1:-1]
    )
    return plain.encode("latin-1", "replace").decode("utf-8", "replace")


# ---- commands for firewalld


def rich_rules_command(policy: str, rules: Sequence[str]) -> list[str]:
    """Return the command that sets the rich rules of a policy at run time; firewalld first removes rules, then adds."""
    return command("policy.setPolicySettings", "sa{sv}", policy, "1", "rich_rules", "as", *strings(rules))


def entries_command(ipset: str, entries: Sequence[str]) -> list[str]:
    """Return the command that sets the entries of an ipset at run time; firewalld empties the ipset first."""
    return command("ipset.setEntries", "sas", ipset, *strings(entries))
