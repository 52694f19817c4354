# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The first files of a site: an inventory and a port file, with comments that say what to fill in."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from textwrap import wrap

import yaml
from ansible_collections.hpc.ports.plugins.module_utils._model.shown import shown
from ansible_collections.hpc.ports.plugins.plugin_utils._draft.site_groups import Children
from ansible_collections.hpc.ports.plugins.plugin_utils._draft.slurm_conf import SlurmConf
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.canonical_groups import CANONICAL_GROUPS

# Names and addresses of the hosts of each group; an empty address is the name's.
Groups = Mapping[str, Mapping[str, str]]

_WIDTH = 118  # of a comment
_ROLES = {
    "slurm_controller": "slurmctld",
    "slurm_database": "slurmdbd and its SQL server",
    "slurm_login": "users log in here",
    "slurm_compute": "jobs run here",
    "nfs_server": "exports home directories",
}
# What slurm.conf does not say.
_TO_ADD = {
    "slurm_login": "slurm_login: {hosts: {login1: {ansible_host: 10.0.0.2}}} # users log in here",
    "nfs_server": "nfs_server: {hosts: {nfs1: {ansible_host: 10.0.0.3}}} # exports home directories",
}
_INVENTORY = """---
# Which services each host runs. The names of the groups are fixed: docs/port-file.md, section Groups.
# The name of a host without ansible_host is looked up where Ansible runs. If other hosts use other addresses of a host,
# list all of them in its firewall_addresses.
"""
_BESIDE = """---
# What the groups of the inventory are to hpc.ports. Name both: -i inventory -i {folder}
"""
_ENDPOINTS = """---
# The port file of the site, docs/port-file.md. Merged over that of the collection: a list replaces, null deletes.
firewall_endpoints:
  # Where Ansible runs, as the hosts see it: on a host, `echo $SSH_CONNECTION` begins with it. Required.
  controllers: {{cidrs: {controllers}}}
  # Networks of the administrators: ssh to the hosts of clusters and NFS (flow admin_ssh).
  admin_networks: {{cidrs: []}}
  # Networks from which users log in to the login nodes.
  cluster_users: {{cidrs: []}}
  # Servers that all hosts use. They matter if they are hosts of the inventory, or if a host has restricted egress.
  dns_servers: {{cidrs: []}}
  ntp_servers: {{cidrs: []}}

# docs/flows.md lists the flows that are there already. What many sites change:
# firewall_flows:
#   nfs_v3: {{enabled: false}} # only NFS version 4 is used
#   head_node_dhcp: {{enabled: true}} # the nodes get their addresses from the head node
#   head_node_tftp: {{enabled: true}} # and boot from it
"""
_SRUN = """
# The ports on which srun waits for its nodes. The role slurm writes them into slurm.conf as SrunPortRange.
"""


@dataclass
class Site:
    """What is known of a site: hosts, the groups of another inventory, and ports."""

    hosts: dict[str, dict[str, str]] = field(default_factory=dict)
    children: Children = field(default_factory=dict)
    slurm: SlurmConf = field(default_factory=SlurmConf)

    def add(self, groups: Groups) -> None:
        """Add hosts. An address replaces none that is known."""
        for group, hosts in groups.items():
            members = self.hosts.setdefault(group, {})
            members.update((name, members.get(name) or address) for name, address in hosts.items())

    def add_slurm(self, slurm: SlurmConf) -> None:
        """Add the hosts of a slurm.conf."""
        self.slurm = slurm
        self.add(
            {"slurm_controller": slurm.controllers, "slurm_database": slurm.databases, "slurm_compute": slurm.nodes}
        )

    @property
    def addresses(self) -> dict[str, list[str]]:
        """Return the addresses of each host, those of the first group first."""
        found: dict[str, list[str]] = {}
        for group in CANONICAL_GROUPS:
            for name, address in self.hosts.get(group, {}).items():
                known = found.setdefault(name, [])
                if address not in ("", name, *known):
                    known.append(address)
        return found


def inventory_text(site: Site, folder: str, notes: Sequence[str]) -> str:
    """Return the inventory as YAML, each host with its addresses where it is named first."""
    intro = _BESIDE.format(folder=shown(folder)) if site.children else _INVENTORY
    lines = [f"# {line}" for note in notes for line in wrap(shown(note), _WIDTH)] + ["all:"]
    if site.slurm.cluster:
        lines += [
            "  vars:",
            f"    firewall_cluster: {_scalar(site.slurm.cluster)} # ClusterName; another cluster needs another name",
        ]
    lines.append("  children:")
    addresses = site.addresses
    for group in CANONICAL_GROUPS:
        if site.hosts.get(group) or group in site.children:
            lines += _group_lines(site, group, addresses)
    if site.slurm.controllers:
        lines += [f"    # {text}" for group, text in _TO_ADD.items() if group not in site.hosts]
    return "\n".join([intro + lines[0], *lines[1:], ""])


def _group_lines(site: Site, group: str, addresses: dict[str, list[str]]) -> list[str]:
    """Return the lines of a group. Each host loses its addresses here, so that they are written once."""
    lines = [f"    {group}:" + (f" # {_ROLES[group]}" if group in _ROLES else "")]
    children = [name for name in site.children.get(group, ()) if name != group]
    if children:
        lines += ["      children:", *(f"        {_scalar(name)}:" for name in children)]
    if site.hosts.get(group):
        lines.append("      hosts:")
    for name in site.hosts.get(group, {}):
        known = addresses.pop(name, [])
        more = f", firewall_addresses: {_scalar(known)}" if len(known) > 1 else ""
        lines.append(f"        {_scalar(name)}:" + (f" {{ansible_host: {_scalar(known[0])}{more}}}" if known else ""))
    return lines


def ports_text(site: Site, controllers: Sequence[str]) -> str:
    """Return the first port file of a site."""
    text = _ENDPOINTS.format(controllers=json.dumps(list(controllers)))
    if site.slurm.ports:
        text += "\n# As in slurm.conf.\nfirewall_services:\n"
        text += "".join(f'  {name}: {{ports: ["{ports}/tcp"]}}\n' for name, ports in site.slurm.ports.items())
    if site.slurm.srun_ports:
        return text + f'\n# SrunPortRange of slurm.conf.\nfirewall_srun_ports: "{site.slurm.srun_ports}"\n'
    if any(group.startswith("slurm_") for group in (*site.hosts, *site.children)):
        return text + _SRUN + '# firewall_srun_ports: "61000-62999"\n'
    return text


def said_by_slurm(site: Site) -> list[str]:
    """Return what slurm.conf adds to the port file, one variable or key each."""
    texts = [f'firewall_services.{name}.ports ["{ports}/tcp"]' for name, ports in site.slurm.ports.items()]
    return [*texts, *([f'firewall_srun_ports "{site.slurm.srun_ports}"'] if site.slurm.srun_ports else [])]


def _scalar(value: str | list[str]) -> str:
    """Return a name, or a list of names, as YAML on one line."""
    plain = str(value) if isinstance(value, str) else list(map(str, value))  # not the strings of Ansible
    return yaml.safe_dump([plain], default_flow_style=True, width=float("inf")).strip()[1:-1]
