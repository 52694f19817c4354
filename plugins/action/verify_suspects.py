# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell which packets to judge on which hosts, because a connection was not as expected."""

from __future__ import annotations

from typing import Any

from ansible import constants as C
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

try:
    from ansible_collections.hpc.ports.plugins.plugin_utils._plan.store import Store
    from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.registered import registered, suspects
    from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.suspects import as_options

    MISSING: ImportError | None = None
except ImportError as exc:
    MISSING = exc


class ActionModule(ActionBase):
    """`hpc.ports.verify_suspects`; documented in plugins/modules/verify_suspects.py."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the packets by host."""
        super().run(tmp, task_vars)
        if MISSING:
            raise AnsibleActionFail(str(MISSING))
        found, options = self.validate_argument_spec(
            {name: {"type": "str", "required": True} for name in ("plan", "run", "probed", "stopped", "compared")}
        )
        if self._task.check_mode:
            return {"changed": False, "skipped": True, "packets": {}}
        store = Store(C.DEFAULT_LOCAL_TMP, options["plan"])
        begun = store.whole(options["run"])
        names = {name: options[name] for name in ("probed", "stopped", "compared")}
        said = registered(names, begun.order.hosts, (task_vars or {})["hostvars"].raw_get)
        packets = suspects(store.plan(), begun, said)
        return {"changed": False, "packets": {host: as_options(items) for host, items in packets.items()}}
