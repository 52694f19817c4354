# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts, ports and networks in a sentence: the first few by name, and how many more there are."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from ansible_collections.hpc.ports.plugins.module_utils._model.ports import PortRange
from ansible_collections.hpc.ports.plugins.plugin_utils._report import networks as report_networks

# How many names a sentence has.
_SHOWN = 5


def named_hosts(
    hosts: Sequence[str], groups: Mapping[str, Collection[str]], marks: Mapping[str, str] | None = None
) -> str:
    """Return the names of a few hosts; of many, the group that has just these, or the first names and their number."""
    if len(hosts) > _SHOWN:
        members = set(hosts)
        for group, others in sorted(groups.items()):
            if len(others) == len(members) and set(others) == members:
                return f"{group} ({len(members)} hosts)"
    texts = [f"{host} ({marks[host]})" if marks and host in marks else host for host in hosts[:_SHOWN]]
    more = len(hosts) - _SHOWN
    return ", ".join(texts) + (f" and {more} more" if more > 0 else "")


def ports_text(ports: Sequence[PortRange]) -> str:
    """Return the first few ports, as in the port file, and how many more there are."""
    return shortened(list(map(str, ports)))


def networks_text(endpoints: Sequence[str], networks: Sequence[str]) -> str:
    """Return the names of endpoints with their networks; the networks alone if no endpoint has them."""
    text = report_networks.networks_text(networks, _SHOWN)
    return f"{', '.join(endpoints)} ({text})" if endpoints else text


def shortened(names: Sequence[str]) -> str:
    """Return the first few names, and how many more there are."""
    return report_networks.shortened(names, _SHOWN)
