# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Units of others that load rules at boot: our unit starts after them, as some of them begin with `flush ruleset`.

They are read from files: to ask systemd takes ten times as long, on every run.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

# In the order in which systemd looks for a unit, see systemd.unit(5).
_FOLDERS = (
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
)
# Units of packages. The units of a site are in the first folder, and are recognized by their commands.
_KNOWN = (
    "nftables",
    "netfilter-persistent",
    "iptables",
    "ip6tables",
    "ipset",
    "ebtables",
    "arptables",
    "ferm",
    "ufw",
    "shorewall",
    "shorewall6",
    "firehol",
    "fireqos",
    "awall",
    "foomuuri",
)
_USUALLY_EARLY = (
    "ip6tables.service",
    "iptables.service",
    "netfilter-persistent.service",
    "nftables.service",
    "ufw.service",
)
_LOADS = r"[^#\n]*?\b(?:nft|(?:ip6?|eb|arp)tables(?:-\w+)*|ipset|ferm|ufw|shorewall6?)\b"
_STARTS = re.compile("^ExecStart\\w*=" + _LOADS, re.MULTILINE)
_SCRIPT = re.compile("#!(?:.*^)?" + _LOADS, re.MULTILINE | re.DOTALL)
_START = re.compile(r"^ExecStart\w*=(.*)$", re.MULTILINE)
_PATH = re.compile(r"(?<=[\s=\"'!@:+-])/[^\s\"';]+")
_INCLUDE = re.compile(r"^\s*include\s+[\"']([^\"'\n]+)", re.MULTILINE)
_MOST = 1 << 16  # how many characters of a file are read
_FLUSH = re.compile(r"^[^#\n]*\bflush\s+ruleset\b", re.MULTILINE)
_BEFORE = re.compile(r"^Before=[^\n]*\bnetwork-pre\.target\b", re.MULTILINE)
_AFTER_OURS = re.compile(r"^After=[^\n]*\bhpc-ports(?:-published)?\.service\b", re.MULTILINE)
_FLUSHING = (
    "{0.name} is enabled, and {0.flushes} has 'flush ruleset': each start or reload of this unit deletes all rules of "
    "the host. Remove this line, or disable the unit."
)
# With the name by which D-Bus starts firewalld.
_NOT_OTHERS = re.compile(r"hpc-ports\b.*|(firewalld|dbus-org\.fedoraproject\.FirewallD1)\.service")


class RuleLoader(NamedTuple):
    """A unit that loads rules; `flushes` names the file that first deletes all other rules, or is empty."""

    name: str
    is_early: bool
    is_enabled: bool
    flushes: str


def rule_loaders(root: str = "") -> tuple[RuleLoader, ...]:
    """Return the units of others that load rules, sorted by name; `root` is put before every path that is read."""
    return tuple(_loader(name, text, root) for name, text in _loading_units(root))


def paths_read(root: str = "") -> list[str]:
    """Return the paths of scripts and rule files that units name or include, and the folders of included patterns."""
    files = {
        path: text
        for _name, unit in _loading_units(root)
        for path, text in _commands_and_files(unit, root).items()
        if path.startswith("/")
    }
    patterns = {pattern for text in files.values() for pattern in _INCLUDE.findall(text) if glob.has_magic(pattern)}
    return sorted({*files, *(os.path.dirname(os.path.join("/etc", pattern)) for pattern in patterns)})


def early_loaders(others: Sequence[RuleLoader]) -> tuple[str, ...]:
    """Return the names of the units that start before the network, as ours does: our unit can wait for them.

    Units of distributions are included even if they are not installed yet. To wait for a unit that starts later would
    be a cycle, and systemd breaks a cycle by not starting one of its units.
    """
    late = {loader.name for loader in others if not loader.is_early}
    return tuple(sorted({*_USUALLY_EARLY, *(loader.name for loader in others)} - late))


def flush_warnings(others: Sequence[RuleLoader]) -> tuple[str, ...]:
    """Return a warning for each enabled unit that deletes the rules of all others."""
    return tuple(_FLUSHING.format(loader) for loader in others if loader.is_enabled and loader.flushes)


def _loading_units(root: str) -> Iterator[tuple[str, str]]:
    own = {os.path.basename(path) for path in glob.glob(f"{root}{_FOLDERS[0]}/*.service")}
    for name in sorted(own.union(name + ".service" for name in _KNOWN)):
        text = "" if _NOT_OTHERS.fullmatch(name) else _text(name, root)
        if text and (
            name not in own or _STARTS.search(text) or any(map(_SCRIPT.match, _commands_and_files(text, root).values()))
        ):
            yield name, text


def _text(name: str, root: str) -> str:
    """Return a unit with its drop-ins; empty if there is no such unit, or if it is masked."""
    paths = [f"{root}{folder}/{name}" for folder in _FOLDERS]
    text = _content(next(filter(os.path.exists, paths), ""))
    return text and "\n".join(
        [text, *(_content(path) for start in paths for path in sorted(glob.glob(start + ".d/*.conf")))]
    )


def _content(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read(_MOST)
    except OSError:
        return ""
    return "" if "\0" in text else text


def _commands_and_files(text: str, root: str) -> dict[str, str]:
    """Return the commands of a unit, and by path the scripts and rule files that these name or include."""
    commands = "\n".join(_START.findall(text))
    named = {path: _content(root + path) for path in _PATH.findall(" " + commands)}
    included = [
        path[len(root) :]
        for content in named.values()
        for pattern in _INCLUDE.findall(content)
        for path in sorted(glob.glob(root + os.path.join("/etc", pattern)))
    ]
    return {"its ExecStart": commands, **named, **{path: _content(root + path) for path in included}}


def _loader(name: str, text: str, root: str) -> RuleLoader:
    flushes = [where for where, content in _commands_and_files(text, root).items() if _FLUSH.search(content)]
    return RuleLoader(
        name,
        is_early=bool(_BEFORE.search(text)) and not _AFTER_OURS.search(text),
        is_enabled=any(glob.glob(f"{root}{_FOLDERS[0]}/*.{kind}/{name}") for kind in ("wants", "requires")),
        flushes=flushes[0] if flushes else "",
    )
