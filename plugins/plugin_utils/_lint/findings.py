# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A finding, and how its subject and its lists are written."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._model.ports import PortRange
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.catalogue import Flow
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import listed


class Finding(NamedTuple):
    """One problem to fix: `subject` is the key or the host.

    `severity` is error or warning, note (for information), or accepted, by the flow or service.
    """

    rule: str
    severity: str
    subject: str
    message: str


def flow_key(flow: Flow) -> str:
    """Return the key of a flow in the port file."""
    return f"firewall_flows.{flow.name}"


def ports_text(ports: Iterable[PortRange]) -> str:
    """Return ports as one text, such as `22/tcp, 80/tcp`."""
    return listed(list(map(str, ports)))


def hosts_text(hosts: list[str]) -> str:
    """Return the first host, and how many more there are: `host n1 and 3 more`."""
    return f"host {hosts[0]}{and_more(hosts)}"


def and_more(names: list[str]) -> str:
    """Return how many names follow the first, or nothing."""
    return f" and {len(names) - 1} more" if len(names) > 1 else ""
