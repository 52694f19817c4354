# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the hosts of a cluster from slurm.conf (slurm.conf(5))."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

_PAIR = re.compile(r'(\w+)\s*=\s*("[^"]*"|\S+)')
_WITH_ADDRESS = re.compile(r"([^()]+)(?:\(([^()]+)\))?")
# A comma that is not inside brackets, and the parts of a name around brackets.
_COMMA = re.compile(r",(?![^\[]*\])")
_BRACKETS = re.compile(r"\[([^\]]*)\]")
_MOST = 65536


class SlurmHosts(NamedTuple):
    """The hosts of a slurm.conf by name, each with its address, or empty where there is none."""

    cluster: str
    controllers: dict[str, str]
    databases: dict[str, str]
    nodes: dict[str, str]
    includes: list[str]


def read_slurm_conf(text: str) -> SlurmHosts:
    """Return the hosts. Raises ValueError for a text without nodes or controllers."""
    found = SlurmHosts("", {}, {}, {}, [])
    for line in _lines(text):
        pairs = {key.lower(): value.strip('"') for key, value in _PAIR.findall(line)}
        if "clustername" in pairs:
            found = found._replace(cluster=pairs["clustername"].lower())
        for key in ("slurmctldhost", "controlmachine"):
            found.controllers.update(_with_address(pairs[key]) if key in pairs else {})
        if "accountingstoragehost" in pairs:
            found.databases[pairs["accountingstoragehost"]] = ""
        if "nodename" in pairs and pairs["nodename"].upper() != "DEFAULT":
            names = expanded(pairs["nodename"])
            addresses = expanded(pairs.get("nodeaddr", ""))
            found.nodes.update(zip(names, addresses if len(addresses) == len(names) else [""] * len(names)))
        if line.lower().startswith("include "):
            found.includes.append(line.split(None, 1)[1])
    if not found.nodes and not found.controllers:
        raise ValueError("got no NodeName and no SlurmctldHost, expected a slurm.conf")
    return found


def _lines(text: str) -> Iterator[str]:
    """Yield the lines without comments; a line that ends with a backslash goes on."""
    for line in re.sub(r"\\\n", " ", text).splitlines():
        plain = line.partition("#")[0].strip()
        if plain:
            yield plain


def _with_address(value: str) -> dict[str, str]:
    match = _WITH_ADDRESS.fullmatch(value)
    return {match[1]: match[2] or ""} if match else {}


def expanded(hostlist: str) -> list[str]:
    """Return the names of a host list such as `n[01-03,7],login1`. Raises ValueError for one that is too long."""
    names: list[str] = []
    for part in filter(None, _COMMA.split(hostlist)):
        fixed, ranges = _BRACKETS.split(part)[::2], [_numbers(text) for text in _BRACKETS.findall(part)]
        for chosen in product(*ranges):
            names.append("".join(text for pair in zip(fixed, (*chosen, "")) for text in pair))
            if len(names) > _MOST:
                raise ValueError(f"got {hostlist[:60]!r}, expected at most {_MOST} hosts")
    return names


def _numbers(text: str) -> list[str]:
    found: list[str] = []
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if not dash:
            found.append(first)
        elif first.isdigit() and last.isdigit() and int(last) - int(first) < _MOST:
            found += [str(number).zfill(len(first)) for number in range(int(first), int(last) + 1)]
    return found
