# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The endpoint `controllers` of a site that has no port file yet: from where Ansible connects to its hosts."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from ansible_collections.hpc.ports.plugins.module_utils._model.policy import MANAGEMENT_FLOW
from ansible_collections.hpc.ports.plugins.plugin_utils._audit.answers import Answer
from ansible_collections.hpc.ports.plugins.plugin_utils._draft.port_file import Draft, entries_text
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import recompiled
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.catalogue import CONTROLLERS, with_entries

if TYPE_CHECKING:
    from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan


def lacks_controllers(plan: Plan) -> bool:
    """Return whether nobody may connect with ssh: a plan that could not be applied."""
    return plan.addresses.is_empty(plan.catalogue.flows[MANAGEMENT_FLOW].sources)


def controllers_of(answers: Collection[Answer]) -> dict[str, Any]:
    """Return endpoints with `controllers`: the addresses from which Ansible has connected to the hosts, or nothing."""
    clients = {ip_address(answer.ansible_from) for answer in answers if answer.ansible_from}
    usable = [client for client in clients if not (client.is_loopback or client.is_link_local)]
    cidrs = [f"{client}/{client.max_prefixlen}" for client in sorted(usable, key=lambda item: (item.version, item))]
    return {CONTROLLERS: {"cidrs": cidrs}} if cidrs else {}


def with_endpoints(plan: Plan, endpoints: dict[str, Any]) -> Plan:
    """Return the plan with these endpoints. Raises PortFileError."""
    return recompiled(plan, with_entries(plan.catalogue, {"firewall_endpoints": endpoints}))


def text_of(draft: Draft, endpoints: dict[str, Any]) -> str:
    """Return a draft with these endpoints as YAML; they are needed even if the draft has no flow."""
    alone = entries_text({"firewall_endpoints": endpoints}) if endpoints else ""
    return replace(draft, endpoints={**endpoints, **draft.endpoints}).text() or alone
