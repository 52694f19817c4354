# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The last line of a run: on how many hosts the firewall changed, and on which ones it failed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import listed


class Outcomes:
    """What happened to the firewall of each host in a run."""

    def __init__(self) -> None:
        self._tried: set[str] = set()
        self._changed: set[str] = set()
        self._failed: set[str] = set()

    def done(self, host: str, result: Mapping[str, Any]) -> None:
        """Note a result of the module `firewall` that is no failure; in check mode, packages may be missing."""
        self._tried.add(host)
        if result.get("changed") or result.get("missing_packages"):
            self._changed.add(host)

    def failed(self, host: str, at_firewall: bool) -> None:
        """Note a failure. A host that fails before its firewall gets none; later failures do not count."""
        if at_firewall:
            self._tried.add(host)
        if at_firewall or host not in self._tried:
            self._failed.add(host)

    def text(self, is_check: bool) -> str:
        """Return the line; an empty one if the run has tried no firewall."""
        if not self._tried:
            return ""
        changed = self._changed - self._failed
        parts = [
            (len(changed), f"{'would change' if is_check else 'changed'} ({listed(sorted(changed))})"),
            (len(self._tried - changed - self._failed), "as before"),
            (len(self._failed), f"failed ({listed(sorted(self._failed))})"),
        ]
        (number, words), *others = [part for part in parts if part[0]]
        first = f"{number} {'host' if number == 1 else 'hosts'} {words}"
        return f"Firewall: {', '.join([first, *(f'{number} {words}' for number, words in others)])}."
