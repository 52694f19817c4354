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

# How much is shown of what is called a jump host.
_LONGEST_NAME = 253


def _ssh_ports(plan: Plan, today: date) -> Iterator[Finding]:
    flow = plan.flows_on[MANAGEMENT_FLOW]
    key, ports = f"firewall_services.{flow.services[0]}", ports_text(named_ports(plan, flow))
    for item, hosts in Gaps(plan).closed_ports().items():
        source = "as a jump host" if item.is_jump else "by ansible_port"
        yield Finding(
            "ssh-port",
            "warning",
            hosts_text(hosts),
            f"Ansible connects to {item.port}/tcp, {source}, but {key} has {ports}. Add {item.port}/tcp to "
            f"{key}.ports, unless something before the host forwards that port to {ports}.",
        )


def _jump_host_sources(plan: Plan, today: date) -> Iterator[Finding]:
    for item, hosts in Gaps(plan).strangers().items():
        yield Finding(
            "jump-host-source",
            "warning",
            hosts_text(hosts),
            f"Is reached through jump host {item.jump} ({listed(item.addresses)}), which it does not let "
            f"in. Add that to firewall_endpoints.{CONTROLLERS}, or set firewall_source_addresses of "
            f"{item.jump} to what the hosts behind it see.",
        )


def _jump_host_egress(plan: Plan, today: date) -> Iterator[Finding]:
    for item, hosts in Gaps(plan).no_ways_out().items():
        why = (
            f"no flow lets that out to {item.port}/tcp of {listed(item.addresses)}. Write such a flow"
            if item.addresses
            else f"no address of {printable(item.name, _LONGEST_NAME)}, where ssh goes from there, is known. Name its "
            "address, or give it firewall_addresses in the inventory"
        )
        yield Finding(
            "jump-host-egress",
            "warning",
            hosts_text(hosts),
            f"Is reached through jump host {item.jump}, whose egress is restricted, and {why}.",
        )


def _unknown_jump_hosts(plan: Plan, today: date) -> Iterator[Finding]:
    for name, hosts in Gaps(plan).unknown_jumps().items():
        yield Finding(
            "jump-host-unknown",
            "warning",
            hosts_text(hosts),
            f"Is reached through jump host {printable(name, _LONGEST_NAME)}, which is no host of the inventory and has no address on "
            "the controller. If it is a managed host with restricted egress, this cuts Ansible off: name it "
            "as the inventory does, or by its address.",
        )


def _unread_connections(plan: Plan, today: date) -> Iterator[Finding]:
    for (variable, reason), hosts in Gaps(plan).unread().items():
        yield Finding(
            "connection-unread",
            "warning",
            hosts_text(hosts),
            f"Nothing can be told from {variable}: {reason.rstrip('.')}. The plan does as if it was not set, "
            "and may keep Ansible's own ssh out.",
        )


RULES = (
    _ssh_ports,
    _jump_host_sources,
    _jump_host_egress,
    _unknown_jump_hosts,
    _unread_connections,
)
