# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Render the rulesets of a plan as files, as the module `firewall` would write them, for hosts without Ansible.

Each class has a folder, with a folder for each backend, which contains the files of a host. A class here is the set of
hosts with one policy.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible_collections.hpc.ports.plugins.module_utils._backends.firewalld import persistence
from ansible_collections.hpc.ports.plugins.module_utils._backends.firewalld.config import (
    OLDEST,
    abilities_of,
    config_of,
)
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables import persistence as boot
from ansible_collections.hpc.ports.plugins.module_utils._backends.nftables import ruleset
from ansible_collections.hpc.ports.plugins.module_utils._backends.watch import wanted_items
from ansible_collections.hpc.ports.plugins.module_utils._linux.files import FileContent, FileContents
from ansible_collections.hpc.ports.plugins.module_utils._linux.rule_loaders import early_loaders
from ansible_collections.hpc.ports.plugins.module_utils._model.names import digest
from ansible_collections.hpc.ports.plugins.module_utils._model.policy import Policy, management_policy, parse_policy
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import PortFileError, invalid
from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.host_classes import (
    class_name,
    common_clusters,
    common_roles,
)

if TYPE_CHECKING:
    from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan
    from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.inventory import Inventory

# The file that lists the class of each host, and the files that we may remove.
CLASSES = "classes.json"
CLOUD_INIT = "cloud-init.yml"
FORMAT = 1
_LONGEST_NAME = 100
# The usual path.
_PYTHON = "/usr/bin/python3"
_UNSAFE = re.compile(r"[^A-Za-z0-9_.+-]+", re.ASCII)
_VERSION = re.compile(r"\d{1,4}(\.\d{1,4}){0,3}", re.ASCII)
_PROGRAM = re.compile(r"/[A-Za-z0-9_./+-]+", re.ASCII)


class Target(NamedTuple):
    """Properties of the hosts: their backends, the version of firewalld, and the path of nft.

    `watch` and `boot_failure` are those of the module `firewall`.
    """

    backends: tuple[str, ...]
    firewalld_version: tuple[int, ...]
    nft: str
    watch: bool = True
    boot_failure: str = "open"


class Rendered(NamedTuple):
    """A class: hosts with one policy, and their files by path in the folder of the class.

    `lacks` has the reason for each backend that does not support the policy.
    """

    name: str
    hosts: tuple[str, ...]
    digest: str
    roles: tuple[str, ...]
    clusters: tuple[str, ...]
    files: FileContents
    lacks: Mapping[str, str]

    def as_data(self) -> dict[str, Any]:
        """Return plain data, with the paths of the files alone."""
        return {
            "hosts": list(self.hosts),
            "digest": self.digest,
            "roles": list(self.roles),
            "clusters": list(self.clusters),
            "files": sorted(self.files),
            "lacks": dict(self.lacks),
        }


def target_of(
    backends: Sequence[str], firewalld_version: str, nft: str, watch: bool = True, boot_failure: str = "open"
) -> Target:
    """Return the properties of the hosts. Raise PortFileError for an invalid version or path."""
    if not backends:
        raise invalid("render_backends", list(backends), "at least one of nftables, firewalld")
    if not _VERSION.fullmatch(firewalld_version):
        raise invalid("render_firewalld_version", firewalld_version, "a version such as '1.0'")
    version = tuple(map(int, firewalld_version.split(".")))
    version += (0,) * (3 - len(version))
    if version < OLDEST:
        raise invalid("render_firewalld_version", firewalld_version, f"{'.'.join(map(str, OLDEST))} or later")
    if not _PROGRAM.fullmatch(nft):
        raise invalid("render_nft", nft, "a path such as '/usr/sbin/nft'")
    if boot_failure == "closed" and "firewalld" in backends and not watch:
        raise invalid(
            "firewall_watch",
            watch,
            "true with firewall_boot_failure 'closed', as it is the watch that closes hosts with firewalld",
        )
    return Target(tuple(backends), version, nft, watch, boot_failure)


def rendered(plan: Plan, target: Target) -> list[Rendered]:
    """Return the classes, in the order of their first hosts."""
    members: dict[str, list[str]] = defaultdict(list)
    for host, policy in plan.hosts.items():
        members[policy].append(host)
    names = _names(plan.inventory, list(members.values()))
    return [_rendered(plan, policy, hosts, name, target) for name, (policy, hosts) in zip(names, members.items())]


def _rendered(plan: Plan, policy: str, hosts: Sequence[str], name: str, target: Target) -> Rendered:
    contents, lacks = _class_files(parse_policy(plan.policies[policy]), target)
    return Rendered(
        name,
        tuple(hosts),
        policy,
        tuple(common_roles(plan.inventory, hosts)),
        tuple(sorted(common_clusters(plan.inventory, hosts))),
        contents,
        lacks,
    )


def _class_files(policy: Policy, target: Target) -> tuple[FileContents, dict[str, str]]:
    contents: FileContents = {}
    lacks = {}
    closed = ruleset.script_of(ruleset.ruleset_of(management_policy(policy))) if target.boot_failure == "closed" else ""
    if "nftables" in target.backends:
        files = {**_boot_files(ruleset.ruleset_of(policy), target, closed=closed), **_watch_files(target)}
        contents.update(_in_folder("nftables", files))
        contents[CLOUD_INIT] = FileContent(cloud_init(files), mode=0o600)
    if "firewalld" in target.backends:
        try:
            config = config_of(policy, abilities_of(target.firewalld_version))
            files = {
                **persistence.items_of(config),
                **_boot_files(ruleset.ruleset_beside_firewalld(policy), target, paths=persistence.PATHS.published),
                **_watch_files(target, closed if policy.mode == "enforce" else ""),
            }
            contents.update(_in_folder("firewalld", files))
        except RuntimeError as exc:
            lacks["firewalld"] = str(exc)
    return contents, lacks


def _boot_files(rules: ruleset.Ruleset, target: Target, **options: Any) -> FileContents:
    return boot.wanted_items(ruleset.script_of(rules), True, target.nft, early_loaders(()), **options)


def _watch_files(target: Target, closed: str = "") -> FileContents:
    return wanted_items(_PYTHON, closed) if target.watch else {}


def _in_folder(backend: str, files: FileContents) -> FileContents:
    return {backend + path: content for path, content in files.items()}


# ---- names


def _names(inventory: Inventory, members: Sequence[Sequence[str]]) -> list[str]:
    """Return the names of folders. Equal names get the first host of the class, because numbers could change."""
    plain = [_safe(class_name(inventory, hosts)) for hosts in members]
    count = Counter(plain)
    full = [name if count[name] == 1 else f"{name}.{_safe(hosts[0])}" for name, hosts in zip(plain, members)]
    count = Counter(full)
    return [_short(name if count[name] == 1 else f"{name}.{digest(hosts[0])}") for name, hosts in zip(full, members)]


def _safe(text: str) -> str:
    return _UNSAFE.sub("-", text)


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 17]}-{digest(name)}"


# ---- cloud-init

_HEAD = """\
#cloud-config
# Written by the Ansible collection hpc.ports; changes here are undone by its next run.
"""


def cloud_init(contents: FileContents) -> str:
    """Return user-data that writes these files at the first boot of a host, and starts the units that they enable."""
    files = "".join(map(_write_files_entry, contents, contents.values()))
    links = {path: content.target for path, content in contents.items() if content.target}
    commands = [
        ["mkdir", "-p", *sorted({path.rpartition("/")[0] for path in links})],
        *(["ln", "-sfn", target, path] for path, target in links.items()),
        ["systemctl", "daemon-reload"],
        *(["systemctl", "start", target.rpartition("/")[2]] for target in links.values()),
    ]
    # JSON is YAML: a list of words needs no shell.
    return f"{_HEAD}write_files:\n{files}runcmd:\n" + "".join(f"  - {json.dumps(words)}\n" for words in commands)


def _write_files_entry(path: str, content: FileContent) -> str:
    if content.target:
        return ""
    lines = "".join(f"      {line}\n" if line else "\n" for line in content.text.splitlines())
    return f'  - path: {path}\n    permissions: "{content.mode:04o}"\n    content: |\n{lines}'


# ---- the list of classes


def all_files(classes: Iterable[Rendered]) -> FileContents:
    """Return the files of all classes by path in the folder, the list of classes last."""
    classes = list(classes)
    contents = {
        f"{host_class.name}/{path}": content for host_class in classes for path, content in host_class.files.items()
    }
    text = json.dumps(
        {
            "written_by": "hpc.ports",
            "format": FORMAT,
            "classes": {host_class.name: host_class.as_data() for host_class in classes},
        },
        indent=2,
    )
    return {**contents, CLASSES: FileContent(text + "\n")}


def listed_paths(text: str) -> list[str]:
    """Return the paths of our files from a list of classes, as `all_files` writes it.

    Raise PortFileError for any other text.
    """
    try:
        data = json.loads(text)
        paths = [f"{name}/{path}" for name, members in data["classes"].items() for path in members["files"]]
        is_ours = data["written_by"] == "hpc.ports"
    except (ValueError, KeyError, TypeError, AttributeError):
        is_ours = False
    if not is_ours or any(".." in path.split("/") or path.startswith("/") for path in paths):
        raise PortFileError(
            f"Invalid folder: got a {CLASSES} in it that hpc.ports did not write, expected one that it "
            "wrote, or none. Choose another folder, or remove that file."
        )
    return paths
