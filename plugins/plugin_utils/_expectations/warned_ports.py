# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ports that the documents warn about. Every host is tested from a source that must not reach them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._model.ports import parse_ports
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.catalogue import Service


class Warned(NamedTuple):
    """A service that the documents warn about. With `cluster`, only hosts outside its cluster must not reach it."""

    service: str
    documented: str
    reason: str
    cluster: bool = False


class WarnedPort(NamedTuple):
    """One port of a warned service, with the words for the report."""

    protocol: str
    port: int
    title: str
    reason: str
    cluster: bool


_DOCKER = "anyone who reaches it is root on the host"
_DATABASE = "a database is never public"
_QUEUE = "only the platform uses the message queue"
_SCHEDULER = "only its own cluster uses the scheduler"
WARNED = (
    Warned("ssh", "22/tcp", "SSH is for known sources"),
    Warned("docker_plain", "2375/tcp", _DOCKER),
    Warned("docker_tls", "2376/tcp", _DOCKER),
    Warned("postgresql", "5432/tcp", _DATABASE),
    Warned("mongodb", "27017/tcp", _DATABASE),
    Warned("slurm_sql", "3306/tcp", _DATABASE),
    Warned("rabbitmq_management", "15672/tcp", _QUEUE),
    Warned("amqp", "5672/tcp", _QUEUE),
    Warned("prometheus", "9090/tcp", "only the monitoring hosts read metrics"),
    Warned("slurmctld", "6817/tcp", _SCHEDULER, cluster=True),
    Warned("slurmd", "6818/tcp", _SCHEDULER, cluster=True),
    Warned("slurmdbd", "6819/tcp", _SCHEDULER, cluster=True),
    Warned("pbs_server", "15001/tcp", _SCHEDULER, cluster=True),
    Warned("pbs_mom", "15002-15003/tcp", _SCHEDULER, cluster=True),
    Warned("pbs_comm", "17001/tcp", _SCHEDULER, cluster=True),
)


def warned_ports(services: Mapping[str, Service]) -> list[WarnedPort]:
    """Return the documented ports and the ports that the site's services have, each once."""
    by_port: dict[tuple[str, int], WarnedPort] = {}
    for warned in WARNED:
        service = services.get(warned.service)
        ranges = [parse_ports(warned.documented), *(service.ports if service else ())]
        for ports in ranges:
            for port in (ports.first, ports.last) if ports.protocol != "ip" else ():
                title = service.title if service and service.title else warned.service
                by_port.setdefault(
                    (ports.protocol, port), WarnedPort(ports.protocol, port, title, warned.reason, warned.cluster)
                )
    return list(by_port.values())
