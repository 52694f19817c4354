# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the rulesets of a plan on the controller, for hosts that Ansible does not reach."""

from __future__ import annotations

import os
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible_collections.hpc.ports.plugins.plugin_utils._plan.controller_action import ControllerAction, plan_arguments
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.play_variables import play_variables
from ansible_collections.hpc.ports.plugins.plugin_utils._render.classes import Rendered, all_files, rendered, target_of
from ansible_collections.hpc.ports.plugins.plugin_utils._render.folder import Work, work_of

_BACKENDS = ["nftables", "firewalld"]
_TARGET = ("backends", "firewalld_version", "nft", "watch", "boot_failure")


class ActionModule(ControllerAction):
    """`hpc.ports.render`; documented in plugins/modules/render.py."""

    ARGUMENTS = {
        **plan_arguments("plan"),
        "folder": {"type": "path", "required": True},
        "backends": {"type": "list", "elements": "str", "choices": _BACKENDS, "default": _BACKENDS},
        "firewalld_version": {"type": "str", "default": "1.0"},
        "nft": {"type": "str", "default": "/usr/sbin/nft"},
        "watch": {"type": "bool", "default": True},
        "boot_failure": {"type": "str", "choices": ["open", "closed"], "default": "open"},
    }
    VARIABLES = {**play_variables("render"), "watch": "firewall_watch", "boot_failure": "firewall_boot_failure"}

    def result(self, options: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Return the classes of hosts, and the files that were written and removed."""
        try:
            target = target_of(**{name: options[name] for name in _TARGET})
            classes = rendered(self.store(options["plan"]).plan(), target)
            work = work_of(os.path.abspath(options["folder"]), all_files(classes))
            if not self._task.check_mode:
                work.do()
        except OSError as exc:
            raise AnsibleActionFail(f"Cannot write {exc.filename}: {exc.strerror}. Set render_folder.") from None
        return _result(classes, work)


def _result(classes: list[Rendered], work: Work) -> dict[str, Any]:
    lacks = [
        f"Class {host_class.name} has no files of {backend}: {why}"
        for host_class in classes
        for backend, why in host_class.lacks.items()
    ]
    return {
        "changed": bool(work.changed),
        "diff": work.diff(),
        "folder": work.folder,
        "warnings": lacks,
        "classes": {host_class.name: host_class.as_data() for host_class in classes},
        "removed": list(work.gone),
    }
