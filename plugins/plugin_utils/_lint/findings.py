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
    """One thing to mend; `subject` is the key or the host, `severity` is error or warning, or note: one to know."""

    rule: str
    severity: str
    subject: str
    message: str


def flow_key(flow: Flow) -> str:
    return f"firewall_flows.{flow.name}"


def ports_text(ports: Iterable[PortRange]) -> str:
    return listed(list(map(str, ports)))


def hosts_text(hosts: list[str]) -> str:
    return f"host {hosts[0]}{and_more(hosts)}"


def and_more(names: list[str]) -> str:
    return f" and {len(names) - 1} more" if len(names) > 1 else ""
