# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors of filters, worded as those of the plan: printable, not too long, and without what is in the vault."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import PortFileError, invalid
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.vaults import plain


def refused(key: str, got: Any, expected: str) -> AnsibleFilterError:
    """Return the error for an argument of another kind; `key` says which, such as `input of hpc.ports.rpc_ports`."""
    try:
        value = plain(got)
    except RecursionError:  # it holds itself
        value = got
    return AnsibleFilterError(str(invalid(key, value, expected)))


def failed(text: str) -> AnsibleFilterError:
    """Return the error with a text that shows values."""
    return AnsibleFilterError(str(PortFileError(text)))
