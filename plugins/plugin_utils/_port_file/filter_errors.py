# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors that filters raise, with the same wording as errors of the plan: printable, short, without vaulted values."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import PortFileError, invalid
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.vaults import plain


def refused(key: str, got: Any, expected: str) -> AnsibleFilterError:
    """Return the error for an argument of the wrong type. `key` names it, such as `input of hpc.ports.rpc_ports`."""
    try:
        value = plain(got)
    except RecursionError:  # the value contains itself
        value = got
    return AnsibleFilterError(str(invalid(key, value, expected)))


def failed(text: str) -> AnsibleFilterError:
    """Return the error with this message, escaped and cut, because the message shows values."""
    return AnsibleFilterError(str(PortFileError(text)))
