# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Show the diff of each object once: other hosts with the same difference only name the host that it was shown for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from hashlib import sha256
from typing import Any, NamedTuple

# How many objects a note names.
_SHOWN = 5
_INDENT = "    "
# A file with the rules of the kernel for the next boot.
_RULES_FILE = (".nft",)


class _Object(NamedTuple):
    """An object as the diff shows it, before and after; empty where it does not exist."""

    name: str
    before: str
    after: str

    @property
    def key(self) -> str:
        """Return a digest of the difference."""
        return sha256(repr(self).encode()).hexdigest()[:32]

    @property
    def repeats_rules(self) -> bool:
        """Return whether this is a new file, whose rules the diff has as objects."""
        return self.name.startswith("file ") and self.name.endswith(_RULES_FILE) and not self.before


# Takes digests, and returns the host that was the first to ask for each of them.
FirstHosts = Callable[[Collection[str]], Mapping[str, str]]


def shown_once(diff: Any, host: str, first_hosts: FirstHosts) -> Any:
    """Return the diff of a host without the objects that were shown for other hosts, and a note about these."""
    if not isinstance(diff, Mapping) or not all(isinstance(diff.get(side), str) for side in ("before", "after")):
        return diff
    objects = _objects(diff["before"], diff["after"])
    is_new = any(one.name.startswith("chain ") and not one.before for one in objects)
    repeated = [one for one in objects if is_new and one.repeats_rules]
    objects = [one for one in objects if one not in repeated]
    hosts = first_hosts([one.key for one in objects])
    known: dict[str, list[str]] = defaultdict(list)
    for one in objects:
        if hosts[one.key] != host:
            known[hosts[one.key]].append(one.name)
    left = [one for one in objects if hosts[one.key] == host]
    notes = [f"{host}: {_listed(names)} as shown for {other}." for other, names in known.items()]
    notes += [f"{host}: the same rules in {_listed([one.name for one in repeated])}."] if repeated else []
    if not notes:
        return diff
    rest = {"before": "".join(one.before for one in left), "after": "".join(one.after for one in left)}
    return [*([rest] if left else []), {"prepared": "".join(f"{note}\n" for note in notes)}]


def _objects(before: str, after: str) -> list[_Object]:
    old, new = _blocks(before), _blocks(after)
    return [_Object(name, old.get(name, ""), new.get(name, "")) for name in sorted({**old, **new})]


def _blocks(text: str) -> dict[str, str]:
    """Return the text of each object by its name: a line `name:`, and indented lines."""
    blocks: dict[str, str] = {}
    name = ""
    for line in text.splitlines(keepends=True):
        if not line.startswith(_INDENT):
            name = line.rstrip("\n").rstrip(":")
        blocks[name] = blocks.get(name, "") + line
    return blocks


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
