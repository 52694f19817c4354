# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the rulesets of a plan on the controller, for hosts that Ansible never sees."""

from __future__ import annotations

import os
from typing import Any

from ansible import constants as C
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

try:
    from ansible_collections.hpc.ports.plugins.plugin_utils._plan.store import Store
    from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import PortFileError
    from ansible_collections.hpc.ports.plugins.plugin_utils._render.classes import (
        Rendered,
        all_items,
        rendered,
        target_of,
    )
    from ansible_collections.hpc.ports.plugins.plugin_utils._render.folder import Work, work_of

    MISSING: ImportError | None = None
except ImportError as exc:
    MISSING = exc


_TARGET = ("backends", "firewalld_version", "nft", "watch", "boot_failure")


class ActionModule(ActionBase):
    """`hpc.ports.render`; documented in plugins/modules/render.py."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the classes, and what was written."""
        super().run(tmp, task_vars)
        if MISSING:
            raise AnsibleActionFail(str(MISSING))
        found, options = self.validate_argument_spec(
            {
                "plan": {"type": "str", "required": True},
                "folder": {"type": "path", "required": True},
                "backends": {
                    "type": "list",
                    "elements": "str",
                    "choices": ["nftables", "firewalld"],
                    "default": ["nftables", "firewalld"],
                },
                "firewalld_version": {"type": "str", "default": "1.0"},
                "nft": {"type": "str", "default": "/usr/sbin/nft"},
                "watch": {"type": "bool", "default": True},
                "boot_failure": {"type": "str", "choices": ["open", "closed"], "default": "open"},
            }
        )
        try:
            target = target_of(**{name: options[name] for name in _TARGET})
            classes = rendered(Store(C.DEFAULT_LOCAL_TMP, options["plan"]).plan(), target)
            work = work_of(os.path.abspath(options["folder"]), all_items(classes))
            if not self._task.check_mode:
                work.do()
        except PortFileError as exc:
            raise AnsibleActionFail(str(exc)) from exc
        except OSError as exc:
            raise AnsibleActionFail(f"Cannot write {exc.filename}: {exc.strerror}. Set render_folder.") from exc
        return _result(classes, work)


def _result(classes: list[Rendered], work: Work) -> dict[str, Any]:
    lacks = [
        f"Class {item.name} has no files of {backend}: {why}" for item in classes for backend, why in item.lacks.items()
    ]
    return {
        "changed": bool(work.changed),
        "diff": work.diff(),
        "folder": work.folder,
        "warnings": lacks,
        "classes": {item.name: item.as_data() for item in classes},
        "removed": list(work.gone),
    }
