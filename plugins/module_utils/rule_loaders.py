# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Units of others that load rules when a host boots: ours come after them, as some begin with `flush ruleset`.

Read from files: systemd answers ten times slower, on every run.
"""

from __future__ import annotations

import glob
import os
import re
from typing import Iterator, NamedTuple, Sequence, Tuple

# In the order in which systemd looks for a unit, see systemd.unit(5).
_FOLDERS = ("/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system",
            "/lib/systemd/system")
# Of packages. A site's own units lie in the first folder, and are known by what they start.
_KNOWN = ("nftables", "netfilter-persistent", "iptables", "ip6tables", "ipset", "ebtables", "arptables", "ferm", "ufw",
          "shorewall", "shorewall6", "firehol", "fireqos", "awall", "foomuuri")
_USUALLY_EARLY = ("ip6tables.service", "iptables.service", "netfilter-persistent.service", "nftables.service", "ufw.service")
_STARTS = re.compile(r"^ExecStart\w*=[^\n]*?\b(?:nft|(?:ip6?|eb|arp)tables(?:-\w+)*|ipset|ferm|ufw|shorewall6?)\b",
                     re.MULTILINE)
_SCRIPT = re.compile(r"^ExecStart=[^\n]*\bnft\b[^\n]*?(?:-f|--file)[ =]*(/\S+)", re.MULTILINE)
_FLUSH = re.compile(r"^[^#\n]*\bflush\s+ruleset\b", re.MULTILINE)
_BEFORE = re.compile(r"^Before=[^\n]*\bnetwork-pre\.target\b", re.MULTILINE)
_AFTER_OURS = re.compile(r"^After=[^\n]*\bhpc-ports\.service\b", re.MULTILINE)
_FLUSHING = ("{0.name} is enabled, and {0.flushes} has 'flush ruleset': each start or reload of that unit deletes all rules "
             "of this host. Take that line out, or disable the unit.")
_NOT_OTHERS = re.compile(r"hpc-ports\b.*|firewalld\.service")


class Loader(NamedTuple):
    """A unit that loads rules; `flushes` is the file by which it deletes all others first, or nothing."""

    name: str
    is_early: bool
    is_enabled: bool
    flushes: str


def loaders(root: str = "") -> Tuple[Loader, ...]:
    """Return the units of others that load rules, by name; `root` is put before every path that is read."""
    return tuple(_loader(name, text, root) for name, text in _found(root))


def early(found: Sequence[Loader]) -> Tuple[str, ...]:
    """Return the names of those that start before any network, as ours does: ours can wait for them.

    Those of distributions are among them also where they are not there yet. To wait for one that comes later would be a
    cycle, in which systemd leaves out one of its units.
    """
    late = {loader.name for loader in found if not loader.is_early}
    return tuple(sorted({*_USUALLY_EARLY, *(loader.name for loader in found)} - late))


def flushing(found: Sequence[Loader]) -> Tuple[str, ...]:
    """Return a warning for each that is enabled and deletes the rules of all others."""
    return tuple(_FLUSHING.format(loader) for loader in found if loader.is_enabled and loader.flushes)


def _found(root: str) -> Iterator[Tuple[str, str]]:
    own = {os.path.basename(path) for path in glob.glob("{0}{1}/*.service".format(root, _FOLDERS[0]))}
    for name in sorted(own.union(name + ".service" for name in _KNOWN)):
        text = "" if _NOT_OTHERS.fullmatch(name) else _text(name, root)
        if text and (name not in own or _STARTS.search(text)):
            yield name, text


def _text(name: str, root: str) -> str:
    """Return a unit with its drop-ins; nothing where there is no such unit, or it is masked."""
    paths = ["{0}{1}/{2}".format(root, folder, name) for folder in _FOLDERS]
    text = _content(next(filter(os.path.exists, paths), ""))
    return text and "\n".join([text, *(_content(path) for start in paths for path in sorted(glob.glob(start + ".d/*.conf")))])


def _content(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _loader(name: str, text: str, root: str) -> Loader:
    scripts = [path for path in _SCRIPT.findall(text) if _FLUSH.search(_content(root + path))]
    return Loader(name,
                  is_early=bool(_BEFORE.search(text)) and not _AFTER_OURS.search(text),
                  is_enabled=bool(glob.glob("{0}{1}/*.wants/{2}".format(root, _FOLDERS[0], name))),
                  flushes=scripts[0] if scripts else "")
