# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file of variables that the plays of docs/cloud.md read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ansible_collections.hpc.ports.plugins.plugin_utils._cloud.groups import Group

HEAD = "# Written by hpc.ports for {}; the next run of hpc.ports.cloud replaces it. See docs/cloud.md.\n"


def document(cloud: str, groups: Iterable[Group], variables: dict[str, Any]) -> str:
    """Return the variables as YAML, with `cloud_group_of`, the name of the group of each host."""
    of_hosts = {str(host): group.name for group in groups for host in group.hosts}
    return HEAD.format(cloud) + _yaml({**variables, "cloud_group_of": of_hosts})


class _Plain(yaml.SafeDumper):
    """Writes equal lists twice, not as an anchor and an alias."""

    def ignore_aliases(self, data: Any) -> bool:
        """Return true."""
        return True


def _yaml(data: Any) -> str:
    return str(yaml.dump(data, Dumper=_Plain, sort_keys=False, width=120))
