# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find hosts that Ansible's own ssh, or a jump host before them, cannot reach."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from ansible_collections.hpc.ports.plugins.module_utils._model.policy import MANAGEMENT_FLOW
from ansible_collections.hpc.ports.plugins.plugin_utils._lint.findings import Finding, hosts_text, ports_text
from ansible_collections.hpc.ports.plugins.plugin_utils._lint.networks import named_ports
from ansible_collections.hpc.ports.plugins.plugin_utils._lint.ssh_gaps import Gaps
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.catalogue import CONTROLLERS
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import listed, printable

# Names of jump hosts are any text; messages show this many characters.
_LONGEST_NAME = 253


def _ssh_ports(plan: Plan, today: date) -> Iterator[Finding]:
    flow = plan.flows_on[MANAGEMENT_FLOW]
    key, ports = f"firewall_services.{flow.services[0]}", ports_text(named_ports(plan, flow))
    for closed, hosts in Gaps(plan).closed_ports().items():
        source = "(jump host)" if closed.is_jump else "(ansible_port)"
        yield Finding(
            "ssh-port",
            "warning",
            hosts_text(hosts),
            f"Ansible connects to {closed.port}/tcp {source}, but {key} has {ports}. Add {closed.port}/tcp to "
            f"{key}.ports, unless a device before the host forwards this port to {ports}.",
        )


def _jump_host_sources(plan: Plan, today: date) -> Iterator[Finding]:
    for jump_host, hosts in Gaps(plan).unaccepted_jump_hosts().items():
        yield Finding(
            "jump-host-source",
            "warning",
            hosts_text(hosts),
            f"Does not accept ssh from jump host {jump_host.name} ({listed(jump_host.addresses)}), through which "
            f"Ansible reaches it. Add the address to firewall_endpoints.{CONTROLLERS}, or set "
            f"firewall_source_addresses of {jump_host.name} to the address that hosts behind it see.",
        )


def _jump_host_egress(plan: Plan, today: date) -> Iterator[Finding]:
    for path, hosts in Gaps(plan).closed_egress().items():
        why = (
            f"no flow allows {path.port}/tcp to {listed(path.addresses)} from there. Write such a flow"
            if path.addresses
            else f"the address of its next hop, {printable(path.name, _LONGEST_NAME)}, is unknown. Use the address in "
            "place of the name, or set firewall_addresses of that host in the inventory"
        )
        yield Finding(
            "jump-host-egress",
            "warning",
            hosts_text(hosts),
            f"Is reached through jump host {path.jump}, which has restricted egress, and {why}.",
        )


def _unknown_jump_hosts(plan: Plan, today: date) -> Iterator[Finding]:
    for name, hosts in Gaps(plan).unknown_jumps().items():
        yield Finding(
            "jump-host-unknown",
            "warning",
            hosts_text(hosts),
            f"Is reached through jump host {printable(name, _LONGEST_NAME)}, which is not in the inventory, and whose "
            "name has no address on the controller. If it is a managed host with restricted egress, Ansible loses "
            "the connection. Use its name in the inventory, or its address.",
        )


def _unread_connections(plan: Plan, today: date) -> Iterator[Finding]:
    for (variable, reason), hosts in Gaps(plan).unread().items():
        yield Finding(
            "connection-unread",
            "warning",
            hosts_text(hosts),
            f"Cannot read {variable}: {reason.rstrip('.')}. The plan ignores it, and may block Ansible's own ssh.",
        )


RULES = (_ssh_ports, _jump_host_sources, _jump_host_egress, _unknown_jump_hosts, _unread_connections)
