# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decrypt values from Ansible's vault inside variables (`!vault`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import Vaulted

try:  # ansible-core 2.19 and later
    from ansible.parsing.vault import EncryptedString, VaultHelper

    def _is_vaulted(value: Any) -> bool:
        """Return whether a value is from the vault. A template returns it as a string with a tag."""
        return (
            isinstance(value, (str, EncryptedString)) and VaultHelper.get_ciphertext(value, with_tags=False) is not None
        )

except ImportError:
    from ansible.parsing.yaml.objects import AnsibleVaultEncryptedUnicode

    def _is_vaulted(value: Any) -> bool:
        """Return whether a value is from the vault."""
        return isinstance(value, AnsibleVaultEncryptedUnicode)


def plain(value: Any) -> Any:
    """Return a value with all vaulted strings in it decrypted. Raises AnsibleError if the vault password is missing."""
    if _is_vaulted(value):
        return Vaulted(value)
    if isinstance(value, Mapping):
        return {plain(name): plain(member) for name, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(member) for member in value]
    return value
