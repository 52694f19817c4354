# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventories that the guides describe, and what comments in the guides say about their connections.

A comment `<!-- inventory: small -->` begins an inventory that extends inventories/small; a guide without it has an
inventory of its own. A YAML block whose first line is a comment with a path, such as `# hosts.yml`, is merged into this
file. `<!-- open: A B 22/tcp -->` says that the connection passes, `blocked` that it does not.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from ansible_collections.hpc.ports.tests.support.inventories import Connection
from ansible_collections.hpc.ports.tests.support.plays import ROOT

GUIDES = sorted((ROOT / "docs" / "guides").glob("*.md"))
_BASE = re.compile(r"^<!-- inventory: (\w+) -->$", re.MULTILINE)
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"# ([\w./-]+\.yml)\n")
_CLAIM = re.compile(r"^<!-- (open|blocked): (\S+) (\S+) (\d+)/(\w+) -->$", re.MULTILINE)


class Example(NamedTuple):
    """A part of a guide with an inventory: its base, or none, and its text."""

    name: str
    base: str
    text: str

    @property
    def files(self) -> list[tuple[str, dict[str, Any]]]:
        """Return the content of each block that names a file, with the path."""
        blocks = [text for kind, text in _BLOCK.findall(self.text) if kind == "yaml"]
        return [(match[1], yaml.safe_load(text)) for text in blocks if (match := _FILE.match(text))]

    @property
    def claims(self) -> list[tuple[bool, Connection]]:
        """Return what the comments say: whether each connection passes."""
        return [
            (verb == "open", Connection(source, target, int(port), protocol))
            for verb, source, target, port, protocol in _CLAIM.findall(self.text)
        ]

    @property
    def commands(self) -> list[tuple[str, list[str]]]:
        """Return each ansible-playbook of the part, with the lines of its output that follow."""
        found: list[tuple[str, list[str]]] = []
        for line in (
            line for kind, text in _BLOCK.findall(self.text) if kind == "console" for line in text.splitlines()
        ):
            if line.startswith("$ "):
                found.append((line.removeprefix("$ "), []))
            elif found:
                found[-1][1].append(line)
        return [(command, lines) for command, lines in found if command.startswith("ansible-playbook ")]

    def write(self, folder: Path) -> None:
        """Write the inventory."""
        if self.base:
            shutil.copytree(ROOT / "inventories" / self.base, folder, dirs_exist_ok=True)
        for name, content in self.files:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            before = yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else {}
            path.write_text(yaml.safe_dump(merged(before, content)), encoding="utf-8")


def examples() -> Iterator[Example]:
    """Return the parts of all guides with a file of an inventory."""
    for path in GUIDES:
        own, *parts = _BASE.split(path.read_text(encoding="utf-8"))
        found = [("", own), *zip(parts[::2], parts[1::2])]
        for number, (base, text) in enumerate(found):
            example = Example(f"{path.stem}-{number}", base, text)
            if example.files:
                yield example


def merged(old: Any, new: Any) -> Any:
    """Return dictionaries merged as a reader does it who adds lines to a file."""
    if not isinstance(old, Mapping) or not isinstance(new, Mapping):
        return new
    return {**old, **{key: merged(old.get(key), value) for key, value in new.items()}}
