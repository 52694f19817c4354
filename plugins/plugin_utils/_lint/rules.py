# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check a valid plan against the rules of lint: the advice of the source documents, flows, endpoints, Ansible's ssh."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date

from ansible_collections.hpc.ports.plugins.plugin_utils._lint import (
    advice,
    broad,
    egress,
    endpoints,
    exposure,
    flows,
    hosts,
    ssh,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._lint.acceptances import with_acceptances
from ansible_collections.hpc.ports.plugins.plugin_utils._lint.findings import Finding
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import LONGEST, printable

# What a finding of each rule says. playbooks/README.md explains the rules to users.
DESCRIPTIONS: Mapping[str, str] = {
    # Advice of the source documents, checked against the flows that are on.
    "ssh-known-sources": "SSH is open to networks wider than /16 (IPv4) or /48 (IPv6).",
    "scheduler-in-cluster": "Slurm, its SQL server or PBS are open to hosts outside their cluster.",
    "monitoring-from-servers": "Prometheus or Fluentd on nodes are open to more than the endpoint `monitoring`.",
    "monitoring-internal": "Prometheus or Fluentd on the monitoring servers are open to wide external networks.",
    "docker-internal": "The Docker API is open to wide external networks.",
    "docker-without-encryption": "2375, the Docker API without encryption, is open.",
    "control-plane-internal": "Databases, queues, Vault or internal services are open to wide external networks.",
    "nfs-internal": "NFS is open to wide external networks.",
    "workbench-known-sources": "Remote desktops, Jupyter or VS Code are open to networks wider than /16 or /48.",
    "access-review": "Remote desktops or VS Code have no review date, or the review date of a flow has passed.",
    "mutual-tls-note": "The note of smart-card login does not say where TLS ends.",
    "least-privilege": "A whole range of ports is open from or to wide networks, or a range is not `broad`.",
    "udp-by-address": "UDP is open to networks, whose addresses can be forged. A note: often there is nothing to do.",
    # Flows and services that do not do what they seem to do.
    "exposure": "A flow opens a service to more hosts than the exposure of the service allows.",
    "duplicate-flow": "Two flows are equal.",
    "shadowed-flow": "Another flow covers this one, so turning it off closes nothing.",
    "unused-service": "The site declares a service that no flow uses.",
    "srun-unpinned": "srun uses ports that its flow does not open on the host.",
    "closed-by-broad": "A broad service of the site does not open what its sources need and get from no other flow.",
    "opens-nothing": "A flow that is on opens no port of a service.",
    # Hosts with restricted egress.
    "restricted-egress": "Hosts with restricted egress may open no connection to name servers, time or a directory.",
    "anywhere-egress": "A flow from anywhere does not open the way out of hosts with restricted egress.",
    # Endpoints.
    "empty-endpoint": "A flow that is on has an endpoint without hosts or networks.",
    "unused-endpoint": "The site fills in an endpoint that no flow names, or only flows that are off.",
    "missing-group": "An endpoint of the site lists a group that is not in the inventory.",
    "hidden-group": "A group of the inventory has the name of an endpoint that does not list the group.",
    "host-in-network": "A network contains a managed host that the endpoint does not name, so the host stays closed.",
    "unused-except": "A network in the except of an endpoint takes nothing out of it.",
    "empty-cluster": "A cluster has networks but no managed host.",
    "host-in-cluster-network": "A network of a cluster contains a managed host of no or another cluster.",
    # Hosts, groups and variables of the inventory.
    "unmanaged-target": "A flow ends at a host of the inventory that has no firewall.",
    "similar-group": "The name of a group is nearly one of ours, and its hosts are not in ours.",
    "unknown-variable": "A variable begins with `firewall_`, but the collection has no such variable.",
    # Ansible's own ssh.
    "ssh-port": "The `ansible_port` of a host is not a port of `management_ssh`.",
    "jump-host-source": "A host does not accept ssh from the jump host that Ansible uses.",
    "jump-host-egress": "A jump host with restricted egress may not open ssh to a host behind it.",
    "jump-host-unknown": "A jump host is not a host of the inventory.",
    "connection-unread": "A variable of Ansible's connection has no value on the controller.",
    # Acceptances (`accept`).
    "unused-acceptance": "A flow or service accepts findings that it does not have, or an unknown rule.",
}
RULES: tuple[Callable[[Plan, date], Iterable[Finding]], ...] = (
    *advice.RULES,
    *exposure.RULES,
    *flows.RULES,
    *broad.RULES,
    *egress.RULES,
    *endpoints.RULES,
    *hosts.RULES,
    *ssh.RULES,
)


def findings(plan: Plan, today: date) -> list[Finding]:
    """Return the findings for a plan, in the order of the rules. Last come acceptances that fit no finding."""
    found = [finding for rule in RULES for finding in rule(plan, today)]
    return list(map(_readable, with_acceptances(plan, found, DESCRIPTIONS, today)))


def _readable(finding: Finding) -> Finding:
    """Return a finding with printable text of limited length: names of jump hosts, for example, are any text."""
    subject = printable(finding.subject, LONGEST // 2)
    return finding._replace(subject=subject, message=printable(finding.message, LONGEST - len(f"{subject}: ")))
