#!/usr/bin/python
# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: init_site
short_description: Write the first inventory and port file of a site
version_added: 0.2.0
description:
  - Writes C(hosts.yml) and C(group_vars/all/ports.yml) into a folder on the controller, with comments that say what to
    fill in.
  - The hosts are those of O(slurm_conf) and O(hosts). With O(groups), or without any of these options, they are those
    of the inventory of the play. Then C(hosts.yml) only says what the groups of this inventory are to the collection,
    and later runs name both inventories.
  - If hosts of this inventory have variables of the port file already, such as C(firewall_endpoints), it writes no
    C(ports.yml), because Ansible would take only one of the two.
  - Never overwrites a file. If one of the files is there, the task fails and writes nothing.
  - A host without an address of its own is looked up by its name, as by each plan. The result names the hosts whose
    names lead to no address that other hosts can reach.
  - It touches no host.
author:
  - The hpc.ports authors (@hpc-ports)
extends_documentation_fragment:
  - hpc.ports.attributes
  - hpc.ports.attributes.controller
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
options:
  folder:
    description: The folder on the controller. It is created if it does not exist.
    type: path
    required: true
  slurm_conf:
    description:
      - A C(slurm.conf) on the controller. It names the controllers, the database and the compute nodes, with
        C(ClusterName), C(SrunPortRange) and the ports of the daemons. It does not name login nodes.
      - Files that it includes are read if they are beside it.
      - Nodes with C(State=CLOUD) or C(State=FUTURE), and nodes that share the address of another node, are left out.
    type: path
    default: ""
  hosts:
    description:
      - Hosts by group of the collection, as lists of names, or as dictionaries of names and addresses.
      - Names and addresses may be lists as Slurm writes them, such as V(n[01-16]).
    type: dict
    default: {}
  groups:
    description:
      - Lists of groups of the inventory by group of the collection.
      - Without it, and without O(slurm_conf) and O(hosts), groups of the inventory are chosen by their names.
    type: dict
    default: {}
  controllers:
    description:
      - The addresses from which Ansible connects, as the hosts see them.
      - By default, the addresses from which the routes of the controller lead to the hosts.
    type: list
    elements: str
    default: []
seealso:
  - module: hpc.ports.import_info
"""

EXAMPLES = r"""
- name: Write the files of a Slurm cluster
  hpc.ports.init_site:
    folder: mycluster
    slurm_conf: slurm.conf
    hosts:
      slurm_login: {login1: 10.0.0.2}
      nfs_server: [nfs1]
  delegate_to: localhost
  run_once: true

- name: Say what the groups of this inventory are to the collection
  hpc.ports.init_site:
    folder: mycluster
    groups:
      slurm_compute: [cpu_nodes, gpu_nodes]
      slurm_login: [login]
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
folder:
  description: The folder.
  returned: success
  type: str
  sample: mycluster
files:
  description: The files that were written, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [mycluster/group_vars/all/ports.yml, mycluster/hosts.yml]
hosts:
  description: The number of hosts of each group.
  returned: success
  type: dict
  sample: {slurm_controller: 1, slurm_compute: 64}
groups:
  description: The groups of the inventory by group of the collection.
  returned: success
  type: dict
  sample: {slurm_compute: [cpu_nodes, gpu_nodes]}
controllers:
  description: The addresses in the endpoint C(controllers).
  returned: success
  type: list
  elements: str
  sample: [10.0.0.250]
notes:
  description: What was left out, and what to check or fill in.
  returned: success
  type: list
  elements: str
  sample: ["Check the endpoint controllers: this machine reaches the hosts from 10.0.0.250."]
"""

# Implemented by the action plugin of the same name, on the controller.
