# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The key of a run: it changes with the policy, the options, and the code that compares and applies them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.hpc.ports.plugins.module_utils._model import names

_PLUGINS = Path(names.__file__).parents[2]
# They differ from run to run, and do not matter where nothing changes.
_LEFT_OUT = ("token", "transport")


def wanted_key(arguments: Mapping[str, Any]) -> str:
    """Return the key for these arguments of the module `firewall`."""
    sources = [_PLUGINS / "modules" / "firewall.py", *sorted((_PLUGINS / "module_utils").rglob("*.py"))]
    code = [(str(path), status.st_size, status.st_mtime_ns) for path in sources for status in [path.stat()]]
    return names.digest([{name: value for name, value in arguments.items() if name not in _LEFT_OUT}, code])
