# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The first files of a site: an inventory and a port file, with comments that say what to fill in."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from ansible_collections.hpc.ports.plugins.plugin_utils._draft.slurm_conf import SlurmHosts

# Names and addresses of the hosts of each group; an empty address is the name's.
Groups = Mapping[str, Mapping[str, str]]

_ROLES = {
    "slurm_controller": "slurmctld",
    "slurm_database": "slurmdbd and its SQL server",
    "slurm_login": "users log in here",
    "slurm_compute": "jobs run here",
    "nfs_server": "exports home directories",
}
_PORTS = """---
# The port file of the site. It is merged over the one of the collection: a list replaces, null deletes.
firewall_endpoints:
  # Where Ansible runs, as the hosts see it: on a host, `echo $SSH_CONNECTION` begins with it. Required.
  controllers: {{cidrs: {controllers}}}
  # Networks of the administrators: ssh to every host.
  admin_networks: {{cidrs: []}}
  # Networks from which users log in to the login nodes.
  cluster_users: {{cidrs: []}}
  # Servers that all hosts use. They matter only with restricted egress.
  dns_servers: {{cidrs: []}}
  ntp_servers: {{cidrs: []}}

firewall_flows:
  # docs/flows.md lists the flows that are there already. Turn off what the site does not have:
  nfs_v3: {{enabled: false}} # NFS version 4 only

# The ports on which srun waits for its nodes. The role slurm writes them into slurm.conf (SrunPortRange).
firewall_srun_ports: "61000-62999"
"""


def groups_of(slurm: SlurmHosts) -> dict[str, dict[str, str]]:
    """Return the groups of the hosts of a slurm.conf. A database on a controller has the address of the controller."""
    databases = {name: address or slurm.controllers.get(name, "") for name, address in slurm.databases.items()}
    found = {"slurm_controller": slurm.controllers, "slurm_database": databases, "slurm_compute": slurm.nodes}
    return {group: dict(hosts) for group, hosts in found.items() if hosts}


def inventory_text(groups: Groups, notes: Sequence[str] = ()) -> str:
    """Return the inventory as YAML, each host with its address where it is named first."""
    lines = ["---", *(f"# {note}" for note in notes)]
    lines += ["# The names of the groups are fixed: docs/port-file.md, section Groups.", "all:", "  children:"]
    seen: set[str] = set()
    for group, hosts in groups.items():
        lines += [f"    {group}:" + (f" # {_ROLES[group]}" if group in _ROLES else ""), "      hosts:"]
        for name, address in hosts.items():
            is_first = name not in seen and address and address != name
            lines.append(f"        {_quoted(name)}:" + (f" {{ansible_host: {_quoted(address)}}}" if is_first else ""))
            seen.add(name)
    return "\n".join([*lines, ""])


def ports_text(controllers: Sequence[str]) -> str:
    """Return the first port file of a site."""
    return _PORTS.format(controllers=json.dumps(list(controllers)))


def _quoted(text: str) -> str:
    """Return a name as YAML: a plain word, or in quotes."""
    return (
        text
        if text.replace("-", "").replace(".", "").replace("_", "").isalnum() and text[0].isalpha()
        else json.dumps(text)
    )
