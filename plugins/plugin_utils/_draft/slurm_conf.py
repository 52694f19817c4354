# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the hosts and ports of a cluster from slurm.conf (slurm.conf(5))."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.hpc.ports.plugins.plugin_utils._draft.hostlists import expanded

_PAIR = re.compile(r'(\w+)\s*=\s*("[^"]*"|\S+)')
_INCLUDE = re.compile(r"include\s+(\S.*)", re.IGNORECASE)
_LOCAL = re.compile(r"localhost(\..*)?|127\..*|::1", re.IGNORECASE)
# The first word of a line whose other words are about a part of the cluster.
_OF_PARTS = ("partitionname", "nodeset", "downnodes", "frontendname")
# Nodes that have no address yet.
_LATER = ("cloud", "future")
# The services of the shipped port file with their usual ports.
_PORTS = {
    "slurmctld": ("slurmctldport", "6817"),
    "slurmd": ("slurmdport", "6818"),
    "slurmdbd": ("accountingstorageport", "6819"),
}
_CLUSTER = re.compile(r"[a-z0-9_.-]{1,40}", re.ASCII)
_RANGE = re.compile(r"[1-9][0-9]{0,4}(-[1-9][0-9]{0,4})?", re.ASCII)


@dataclass
class SlurmConf:
    """What a slurm.conf says. Hosts are names with their addresses, which are empty where the name is the address."""

    settings: dict[str, str] = field(default_factory=dict)
    controllers: dict[str, str] = field(default_factory=dict)
    nodes: dict[str, str] = field(default_factory=dict)
    # Nodes that are left out: without an address yet, or with the address of another node.
    later: list[str] = field(default_factory=list)
    doubles: list[str] = field(default_factory=list)
    # Nodes whose slurmd has a port of its own.
    own_ports: list[str] = field(default_factory=list)
    # Files that it includes and that were not read.
    unread: list[str] = field(default_factory=list)

    @property
    def cluster(self) -> str:
        """Return the name of the cluster as Slurm shows it, empty if it is no name."""
        name = self.settings.get("clustername", "").lower()
        return name if _CLUSTER.fullmatch(name) else ""

    @property
    def databases(self) -> dict[str, str]:
        """Return the hosts of slurmdbd, under the names of controllers and nodes where they are the same host."""
        if self._storage.endswith(("none", "filetxt")):
            return {}
        default = "localhost" if self._storage.endswith("slurmdbd") else ""
        texts = (
            self.settings.get("accountingstoragehost", default),
            self.settings.get("accountingstoragebackuphost", ""),
        )
        return dict(self._known(name) for text in texts for name in expanded(text))

    @property
    def ports(self) -> dict[str, str]:
        """Return the ports of the services that do not have their usual ports."""
        found = {service: self.settings.get(key, usual) for service, (key, usual) in _PORTS.items()}
        if not self._storage.endswith("slurmdbd"):
            del found["slurmdbd"]  # the port of an SQL server, or none
        return {name: text for name, text in found.items() if text != _PORTS[name][1] and _RANGE.fullmatch(text)}

    @property
    def srun_ports(self) -> str:
        """Return SrunPortRange, empty if it is not set."""
        text = self.settings.get("srunportrange", "")
        return text if _RANGE.fullmatch(text) else ""

    @property
    def _storage(self) -> str:
        return self.settings.get("accountingstoragetype", "").lower()

    def _known(self, name: str) -> tuple[str, str]:
        hosts = {**self.nodes, **self.controllers}
        if _LOCAL.fullmatch(name):
            return next(iter(self.controllers.items()))
        same = (host for host, address in hosts.items() if name in (host, address))
        host = next(same, name.partition(".")[0])
        return (host, hosts[host]) if host in hosts else (name, "")


def read_slurm_conf(path: Path) -> SlurmConf:
    """Return what the file says. Raises OSError, or ValueError for a text without nodes or controllers."""
    reader = _Reader(path.parent)
    reader.read(path)
    found = reader.found
    found.controllers = reader.controllers()
    if not found.controllers:
        unread = f" (not read: {', '.join(found.unread)})" if found.unread else ""
        raise ValueError(f"got no SlurmctldHost{unread}, expected a slurm.conf")
    for name in (*found.controllers, *found.nodes):
        if _LOCAL.fullmatch(name):
            raise ValueError(f"got the host {name}, expected the name by which other hosts reach it")
    return found


class _Reader:
    """Reads a file, and the files that it includes from the same folder."""

    def __init__(self, folder: Path) -> None:
        self.found = SlurmConf()
        self._folder = folder
        self._hosts: dict[str, str] = {}
        self._default: dict[str, str] = {}
        self._by_address: dict[str, str] = {}
        self._seen: set[Path] = set()

    def read(self, path: Path) -> None:
        """Read a file once."""
        self._seen.add(path)
        for line in _lines(path.read_text(encoding="utf-8", errors="replace")):  # comments may be Latin-1
            match = _INCLUDE.fullmatch(line)
            if match:
                self._include(match[1].strip('"'))
            else:
                self._pairs({key.lower(): value.strip('"') for key, value in _PAIR.findall(line)})

    def controllers(self) -> dict[str, str]:
        """Return the controllers: SlurmctldHost, or what it was before Slurm 18.08."""
        settings = self.found.settings
        hosts = self._hosts or {
            **_paired(settings, "controlmachine", "controladdr"),
            **_paired(settings, "backupcontroller", "backupaddr"),
        }
        if len(hosts) == 1 and not any(hosts.values()):
            return dict.fromkeys(hosts, settings.get("slurmctldaddr", ""))
        return hosts

    def _include(self, name: str) -> None:
        """Read a file of the folder. An absolute path was on the host: its file may be beside the slurm.conf."""
        name = name.replace("%c", self.found.cluster)
        path = self._folder / (Path(name).name if name.startswith("/") else name)
        if path.is_file() and ".." not in Path(name).parts:
            if path not in self._seen:
                self.read(path)
        else:
            self.found.unread.append(name)

    def _pairs(self, pairs: dict[str, str]) -> None:
        if "nodename" in pairs:
            self._nodes(pairs)
        elif not any(key in pairs for key in _OF_PARTS):
            self.found.settings.update(pairs)
            if "slurmctldhost" in pairs:
                name, _bracket, address = pairs["slurmctldhost"].rstrip(")").partition("(")
                self._hosts.update(_paired({"name": name, "address": address}, "name", "address"))

    def _nodes(self, pairs: dict[str, str]) -> None:
        if pairs["nodename"].upper() == "DEFAULT":
            self._default.update(pairs)
            return
        pairs = {**self._default, **pairs}
        nodes = _paired(pairs, "nodename", "nodeaddr" if "nodeaddr" in pairs else "nodehostname")
        if pairs.get("state", "").lower().startswith(_LATER):
            self.found.later += nodes
            return
        if "port" in pairs:
            self.found.own_ports += nodes
        for name, address in nodes.items():
            if address and self._by_address.setdefault(address, name) != name:
                self.found.doubles.append(name)
            else:
                self.found.nodes[name] = address


def _lines(text: str) -> Iterator[str]:
    """Yield the lines without comments; a line that ends with a backslash goes on."""
    for line in re.sub(r"\\\r?\n", " ", text).splitlines():
        plain = line.partition("#")[0].strip()
        if plain:
            yield plain


def _paired(pairs: Mapping[str, str], names_key: str, addresses_key: str) -> dict[str, str]:
    """Return names with their addresses; one address may be that of several nodes."""
    names, addresses = (expanded(pairs.get(key, "")) for key in (names_key, addresses_key))
    if len(addresses) not in (0, 1, len(names)):
        wanted = f"{len(names)}, as many as in {pairs[names_key][:60]}"
        raise ValueError(f"got {len(addresses)} addresses in {pairs[addresses_key][:60]!r}, expected {wanted}")
    return dict(zip(names, addresses if len(addresses) == len(names) else (addresses or [""]) * len(names)))
