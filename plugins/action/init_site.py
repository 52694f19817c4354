# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the first files of a site."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleActionFail
from ansible_collections.hpc.ports.plugins.plugin_utils._draft.hostlists import expanded
from ansible_collections.hpc.ports.plugins.plugin_utils._draft.new_files import write_new
from ansible_collections.hpc.ports.plugins.plugin_utils._draft.own_addresses import Found, looked_up
from ansible_collections.hpc.ports.plugins.plugin_utils._draft.site import (
    Site,
    inventory_text,
    ports_text,
    said_by_slurm,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._draft.site_groups import (
    check_canonical,
    checked,
    own_groups,
    proposed,
    unmapped,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._draft.slurm_conf import read_slurm_conf
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.controller_action import ControllerAction
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import PortFileError, invalid, listed
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.networks import is_address, parse_network
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.play_variables import play_variables

_INVENTORY, _PORT_FILE = "hosts.yml", "group_vars/all/ports.yml"
_NOTHING = """No host is known. Name hosts in one of these ways:
  ansible-playbook hpc.ports.init -e init_slurm_conf=slurm.conf
  ansible-playbook hpc.ports.init -e '{"init_hosts": {"slurm_login": {"l1": "10.0.0.2"}, "slurm_compute": ["n[1-4]"]}}'
  ansible-playbook -i inventory hpc.ports.init -e '{"init_groups": {"slurm_compute": ["nodes"]}}'
The groups are described in docs/port-file.md, section Groups."""


class ActionModule(ControllerAction):
    """`hpc.ports.init_site`; documented in plugins/modules/init_site.py."""

    ARGUMENTS = {
        "folder": {"type": "path", "required": True},
        "slurm_conf": {"type": "path", "default": ""},
        "hosts": {"type": "dict", "default": {}},
        "groups": {"type": "dict", "default": {}},
        "controllers": {"type": "list", "elements": "str", "default": []},
    }
    VARIABLES = play_variables("init")

    def result(self, options: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Write the files unless one of them is there."""
        _check_controllers(options["controllers"])
        unknown = self.unknown_variables(["init"])
        site = _site(options, task_vars["groups"])
        found = looked_up(_addresses(site, task_vars))
        controllers = options["controllers"] or found.own
        notes = _notes(site, task_vars["groups"])
        folder = Path(options["folder"])
        port_file = ports_text(site, controllers)
        twice = _twice(site, port_file, task_vars)
        files = {} if twice else {folder / _PORT_FILE: port_file}
        files[folder / _INVENTORY] = inventory_text(site, options["folder"], notes)
        _write(files, self._task.check_mode)
        return {
            "changed": True,
            "warnings": unknown,
            "folder": options["folder"],
            "files": [str(path) for path in files],
            "diff": [{"before": "", "after": text, "after_header": str(path)} for path, text in files.items()],
            "hosts": {group: len(hosts) for group, hosts in site.hosts.items() if hosts},
            "groups": site.children,
            "controllers": controllers,
            "notes": [*notes, *_to_do(site, found, options), *(twice or _about_controllers(controllers, options))],
        }


def _check_controllers(controllers: list[str]) -> None:
    for text in controllers:
        try:
            parse_network(text)
        except ValueError as exc:
            raise PortFileError(f"Invalid init_controllers: {exc}.") from None


def _site(options: Mapping[str, Any], groups: Mapping[str, Any]) -> Site:
    site = Site()
    # What the user says comes first: an address replaces none that is known.
    site.add({group: _named(group, hosts) for group, hosts in options["hosts"].items()})
    if options["slurm_conf"]:
        _add_slurm(site, options["slurm_conf"])
    if options["groups"]:
        site.children = checked(options["groups"], groups)
    elif not any(site.hosts.values()):
        if not own_groups(groups):
            raise PortFileError(_NOTHING)
        site.children = proposed(groups)
        if not site.children:
            raise PortFileError(
                f"No group of the inventory has the name of a service: {listed(own_groups(groups))}.\n{_NOTHING}"
            )
    return site


def _add_slurm(site: Site, path: str) -> None:
    try:
        site.add_slurm(read_slurm_conf(Path(path)))
    except OSError as exc:
        raise PortFileError(f"Cannot read {exc.filename}: {exc.strerror}. Set init_slurm_conf.") from None
    except ValueError as exc:
        raise PortFileError(f"Invalid {path}: {exc}.") from None


def _named(group: str, hosts: object) -> dict[str, str]:
    """Return names and addresses: of a list of names, or of a dictionary; both may be lists as Slurm writes them."""
    check_canonical("init_hosts", group)
    pairs = dict.fromkeys(map(str, hosts)) if isinstance(hosts, list) else hosts
    found: dict[str, str] = {}
    for name, address in pairs.items() if isinstance(pairs, Mapping) else ():
        try:
            names, addresses = expanded(str(name)), expanded(str(address or ""))
        except ValueError as exc:
            raise PortFileError(f"Invalid init_hosts.{group}: {exc}.") from None
        if len(addresses) not in (0, len(names)):
            raise invalid(f"init_hosts.{group}.{name}", address, f"{len(names)} addresses")
        for text in addresses:
            # No host name ends in a number.
            if text.rpartition(".")[2].isdigit() and not is_address(text):
                raise invalid(f"init_hosts.{group}.{name}", text, "an address, or a name that resolves")
        found.update(zip(names, addresses or [""] * len(names)))
    if not found:
        raise invalid(f"init_hosts.{group}", hosts, "a list of hosts, or a dictionary of hosts and their addresses")
    return found


def _addresses(site: Site, task_vars: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return what each host is reached at; a name without addresses is its own."""
    found = {name: addresses or [name] for name, addresses in site.addresses.items()}
    for names in site.children.values():
        for host in (host for name in names for host in task_vars["groups"][name]):
            found.setdefault(host, [str(task_vars["hostvars"][host].get("ansible_host") or host)])
    return found


def _notes(site: Site, groups: Mapping[str, Any]) -> list[str]:
    """Return what is not in the inventory, and what is a guess."""
    slurm, mapped = site.slurm, site.children
    left = unmapped(mapped, groups) if mapped else []
    notes = {
        "Not read, because it is not beside slurm.conf: Include": slurm.unread,
        "Nodes without an address yet (State CLOUD or FUTURE, docs/nodes.md) are left out:": slurm.later,
        "Nodes with the address of another node are left out:": slurm.doubles,
        "Nodes with a Port of their own, which firewall_services.slurmd has to list:": slurm.own_ports,
        "These groups have hosts that are in no group of hpc.ports and get no firewall:": left,
    }
    return [f"{text} {listed(names)}." for text, names in notes.items() if names]


def _twice(site: Site, port_file: str, task_vars: Mapping[str, Any]) -> list[str]:
    """Return a note if the inventory beside which the files will be has variables of the port file already."""
    hosts = task_vars["groups"]["all"] if site.children else []
    variables = [task_vars["hostvars"].raw_get(host) for host in hosts]
    names = [name for name in yaml.safe_load(port_file) if any(name in known for known in variables)]
    if not names:
        return []
    return [
        f"No port file was written, because the inventory has one, which sets {listed(names)}: of two files with one "
        "dictionary, Ansible takes the last one.",
        *(f"Add to it what slurm.conf says: {listed(texts)}." for texts in [said_by_slurm(site)] if texts),
    ]


def _to_do(site: Site, found: Found, options: Mapping[str, Any]) -> list[str]:
    """Return what the user has to check or fill in."""
    texts = []
    by_name = [f"{group} is {', '.join(names)}" for group, names in site.children.items() if names != [group]]
    if by_name and not options["groups"]:
        texts.append(f"Check the groups, which were chosen by their names: {listed(by_name)}.")
    if found.failed:
        names = listed(found.failed)
        texts.append(
            f"Set ansible_host of these hosts: {names}. Here their names lead to no address that others reach."
        )
    return texts


def _about_controllers(controllers: list[str], options: Mapping[str, Any]) -> list[str]:
    if not controllers:
        return ["Fill in the endpoint controllers: from where Ansible connects, as the hosts see it."]
    if not options["controllers"]:
        return [f"Check the endpoint controllers: this machine reaches the hosts from {listed(controllers)}."]
    return []


def _write(files: Mapping[Path, str], check_mode: bool) -> None:
    try:
        write_new(files, dry=check_mode)
    except FileExistsError as exc:
        raise AnsibleActionFail(f"{exc.filename} is there already. Nothing was written. Set init_folder.") from None
    except OSError as exc:
        raise AnsibleActionFail(f"Cannot write {exc.filename}: {exc.strerror}. Set init_folder.") from None
