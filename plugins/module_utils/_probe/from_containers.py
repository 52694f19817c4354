# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Probes from containers of this host: real connections that the host forwards. Nothing changes on the host."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from ansible_collections.hpc.ports.plugins.module_utils._linux.containers import containers
from ansible_collections.hpc.ports.plugins.module_utils._linux.namespaces import entered
from ansible_collections.hpc.ports.plugins.module_utils._model.wire import MOST_CONTAINERS, ContainerResult
from ansible_collections.hpc.ports.plugins.module_utils._probe.icmp import EchoResult
from ansible_collections.hpc.ports.plugins.module_utils._probe.prober import Pace, probe_all


def probe_from_containers(
    interfaces: Iterable[str], probes: Sequence[Mapping[str, Any]], pace: Pace, proc: str = "/proc"
) -> list[ContainerResult]:
    """Run probes from one container behind each interface that matches the patterns, at most `MOST_CONTAINERS`.

    A container tries only addresses of the IP versions that it has. Raises NetlinkError, and ValueError for an invalid
    address or port.
    """
    results: list[ContainerResult] = []
    for container in itertools.islice(containers(interfaces, proc) if probes else (), MOST_CONTAINERS):
        has_ipv6 = {":" in address for address in container.addresses}
        tried = [group for group in probes if (":" in group["address"]) in has_ipv6]
        with suppress(OSError), entered(container.namespace):  # the container may have ended
            found = probe_all(tried, pace, _no_echoes)
            results.append({"address": container.addresses[0], "interface": container.interface, "results": found})
    return results


def _no_echoes(addresses: Sequence[str], timeout: float, attempts: int) -> dict[str, EchoResult]:
    """Return that nothing is known of the path: the host counts the packets of its containers instead."""
    return dict.fromkeys(addresses, EchoResult(None))
