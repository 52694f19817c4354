# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the first files of a site."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible_collections.hpc.ports.plugins.plugin_utils._draft.site import groups_of, inventory_text, ports_text
from ansible_collections.hpc.ports.plugins.plugin_utils._draft.slurm_conf import SlurmHosts, read_slurm_conf
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.controller_action import ControllerAction
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.canonical_groups import (
    CANONICAL_GROUPS,
    similar_group,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import PortFileError, invalid

_INVENTORY, _PORT_FILE = "hosts.yml", "group_vars/all/ports.yml"


class ActionModule(ControllerAction):
    """`hpc.ports.init_site`; documented in plugins/modules/init_site.py."""

    ARGUMENTS = {
        "folder": {"type": "path", "required": True},
        "slurm_conf": {"type": "path", "default": ""},
        "hosts": {"type": "dict", "default": {}},
        "controllers": {"type": "list", "elements": "str", "default": []},
    }

    def result(self, options: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Write the files unless one of them is there."""
        slurm = _slurm(options["slurm_conf"]) if options["slurm_conf"] else SlurmHosts("", {}, {}, {}, [])
        groups = {**groups_of(slurm), **_named_hosts(options["hosts"])}
        if not groups:
            raise PortFileError("No host is known. Set init_slurm_conf or init_hosts.")
        controllers = options["controllers"] or _own_address(groups)
        notes = [f"Not read: Include {name}" for name in slurm.includes]
        files = {_INVENTORY: inventory_text(groups, notes), _PORT_FILE: ports_text(controllers)}
        _write(Path(options["folder"]), files, self._task.check_mode)
        return {
            "changed": True,
            "files": [str(Path(options["folder"]) / name) for name in files],
            "controllers": controllers,
            "hosts": {group: len(hosts) for group, hosts in groups.items()},
        }


def _slurm(path: str) -> SlurmHosts:
    try:
        return read_slurm_conf(Path(path).read_text(encoding="utf-8"))
    except OSError as exc:
        raise PortFileError(f"Cannot read {path}: {exc.strerror}. Set init_slurm_conf.") from None
    except ValueError as exc:
        raise PortFileError(f"Invalid {path}: {exc}.") from None


def _named_hosts(groups: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Return the hosts of a dictionary of groups: lists of names, or dictionaries of names and addresses."""
    found = {}
    for group, hosts in groups.items():
        if group not in CANONICAL_GROUPS:
            near = similar_group(group)
            advice = f"Did you mean {near}?" if near else "See docs/port-file.md, section Groups."
            raise invalid("init_hosts", group, "a group of hpc.ports", advice)
        found[str(group)] = {
            str(name): str((hosts if isinstance(hosts, Mapping) else {}).get(name) or "") for name in hosts
        }
    return found


def _own_address(groups: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Return the address that this machine would use towards one of the hosts; none if no host has an address."""
    for hosts in groups.values():
        for name, address in hosts.items():
            try:
                with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as sock:
                    sock.connect((address or name, 22))  # sends nothing
                    return [str(sock.getsockname()[0])]
            except OSError:
                continue
    return []


def _write(folder: Path, files: Mapping[str, str], check_mode: bool) -> None:
    present = [str(folder / name) for name in files if (folder / name).exists()]
    if present:
        raise AnsibleActionFail(f"{present[0]} is there already. Nothing was written. Set init_folder to a new folder.")
    if check_mode:
        return
    try:
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as exc:
        raise AnsibleActionFail(f"Cannot write {exc.filename}: {exc.strerror}. Set init_folder.") from exc
