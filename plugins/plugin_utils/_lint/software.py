# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recognise software, such as NFS or Slurm, in the services of a flow, whatever name a site gave them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._model.ports import PortRange, common_ports, merged, parse_ports
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.catalogue import Flow, Service


class Software(NamedTuple):
    """Software by the names of its services in the shipped port file, and by its usual ports."""

    names: frozenset[str]
    ports: tuple[PortRange, ...]


def software(names: str, ports: str) -> Software:
    """Return software from names and ports in words: `software("nfs mountd", "2049/tcp 20048/tcp")`."""
    return Software(frozenset(names.split()), tuple(map(parse_ports, ports.split())))


def ports_for(plan: Plan, flow: Flow, wanted: Software) -> list[PortRange]:
    """Return the ports that a flow opens for this software. Broad services are for other programs."""
    services = [plan.catalogue.services[name] for name in flow.services]
    return merged(ports for service in services if service.has_own_ports for ports in _ports_of(service, wanted))


def _ports_of(service: Service, wanted: Software) -> Iterable[PortRange]:
    """Return the ports of a service that are for this software.

    A shipped service is known by its name. A service of a site is known by its ports: at least half of the ports in a
    range as the site wrote it. So 6817-6820/tcp is for Slurm, but 20000-25000/tcp is not for NFS, which uses 20048.
    """
    if service.name in wanted.names:
        return service.ports
    written = service.ports if service.declared_by_site else ()
    shared = [(ports, common_ports([ports], wanted.ports)) for ports in written]
    return [piece for ports, pieces in shared if 2 * count(pieces) >= count([ports]) for piece in pieces]


def count(ranges: Iterable[PortRange]) -> int:
    """Return the number of ports in disjoint ranges."""
    return sum(ports.last - ports.first + 1 for ports in ranges)
