# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How Ansible connects to a host, according to its connection variables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import Vaulted, shown_value
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.ssh_arguments import (
    SSH_PORT,
    Hop,
    hops_of,
    port_in,
    port_of,
)

# In the order in which Ansible passes them to ssh.
SSH_ARGUMENTS = ("ansible_ssh_args", "ansible_ssh_common_args", "ansible_ssh_extra_args")
# Variables that can set the port. ssh uses the first port on its command line.
_PORTS = ("ansible_ssh_args", "ansible_port", "ansible_ssh_port", "ansible_ssh_common_args", "ansible_ssh_extra_args")
REACH_VARIABLES = ("ansible_connection", "ansible_port", "ansible_ssh_port", *SSH_ARGUMENTS)
_BY_SSH = ("", "smart", "ssh", "paramiko", "paramiko_ssh", "libssh")


class Unread(str):
    """A template that cannot be evaluated on the controller before the play reaches the host."""


class Reach(NamedTuple):
    """How Ansible connects: by ssh or not, to an address or name, on a port, through jump hosts.

    `unread` has the variables that cannot be used, each with the reason. They are treated as unset.
    """

    by_ssh: bool
    address: str
    port: int = SSH_PORT
    hops: tuple[Hop, ...] = ()
    unread: tuple[tuple[str, str], ...] = ()


def reach_of(address: str, variables: Mapping[str, Any]) -> Reach:
    """Return how Ansible connects to a host. `address` is its `ansible_host`, or else its name."""
    values = {name: variables[name] for name in REACH_VARIABLES if variables.get(name) not in (None, "")}
    unread = {
        name: f"got {shown_value(str(value))}, a template that cannot be evaluated on the controller"
        for name, value in values.items()
        if isinstance(value, Unread)
    }
    texts = {
        name: value if isinstance(value, str) else shown_value(value)
        for name, value in values.items()
        if name not in unread
    }
    # An unreadable connection type is treated as ssh: at worst, this causes a needless warning.
    if texts.get("ansible_connection", "").rpartition(".")[2] not in _BY_SSH:
        return Reach(False, address)
    port, hops = _port(texts, unread), _hops(texts, unread)
    return Reach(True, address, port, hops, tuple(unread.items()))


def _port(texts: Mapping[str, str], unread: dict[str, str]) -> int:
    for name in (name for name in _PORTS if name in texts):
        try:
            text = port_in(texts[name]) if name in SSH_ARGUMENTS else texts[name]
        except ValueError:  # `_hops` reports it
            continue
        try:
            if text:
                return port_of(text)
        except ValueError as exc:
            unread[name] = _reason(exc, texts[name])
    return SSH_PORT


def _hops(texts: Mapping[str, str], unread: dict[str, str]) -> tuple[Hop, ...]:
    arguments = {name: texts[name] for name in SSH_ARGUMENTS if name in texts}
    try:
        return hops_of(arguments.values())
    except ValueError as exc:  # The error shows only part of the value, which may contain a password.
        unread[" and ".join(arguments)] = _reason(exc, *arguments.values())
        return ()


def _reason(exc: ValueError, *values: str) -> str:
    is_secret = any(isinstance(value, Vaulted) for value in values)
    return "got a value from the vault that is not valid" if is_secret else str(exc)
