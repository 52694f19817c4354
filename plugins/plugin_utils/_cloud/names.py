# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of groups and descriptions that every cloud accepts.

The strictest rules are those of GCP and Kubernetes: up to 63 small letters, digits and hyphens, first a letter, last no
hyphen. What is written adds up to ten characters, such as `-out-64000`. AWS keeps names that begin with `sg-`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from ansible_collections.hpc.ports.plugins.module_utils._model.names import digest
from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import invalid

LONGEST = 50
_PREFIX = re.compile(r"[a-z](?:[a-z0-9-]{0,14}[a-z0-9])?", re.ASCII)
_UNSAFE = re.compile(r"[^a-z0-9]+", re.ASCII)
_UNSAFE_TEXT = re.compile(r"[^A-Za-z0-9 ._+-]+", re.ASCII)
# The longest description of a rule of Azure. Other clouds take longer ones.
_LONGEST_TEXT = 140


def checked_prefix(prefix: str) -> str:
    """Return the prefix of all names. Raise PortFileError if a cloud would refuse it."""
    if not _PREFIX.fullmatch(prefix) or prefix == "sg" or prefix.startswith("sg-"):
        expected = "up to 16 small letters, digits and hyphens, first a letter, last no hyphen, and no 'sg-' in front"
        raise invalid("cloud_prefix", prefix, expected)
    return prefix


def group_names(prefix: str, titles: Sequence[str], hosts: Sequence[str]) -> list[str]:
    """Return a name for each class. Equal names get the first host of the class, because numbers could change."""
    plain = [f"{prefix}-{_safe(title)}" for title in titles]
    full = [
        name if number == 1 else f"{name}-{_safe(host)}" for name, number, host in zip(plain, _counts(plain), hosts)
    ]
    short = [name if len(name) <= LONGEST else _cut(name, name) for name in full]
    return [
        name if number == 1 else _cut(name, [name, host]) for name, number, host in zip(short, _counts(short), hosts)
    ]


def safe_title(title: str) -> str:
    """Return the name of a class in characters that every cloud accepts, and that no template has."""
    return _UNSAFE_TEXT.sub("-", title)[:_LONGEST_TEXT]


def description(flows: Iterable[str]) -> str:
    """Return the description of a rule: its flows, in characters that every cloud accepts."""
    names = ", ".join(flows)
    return names if len(names) <= _LONGEST_TEXT else f"{names[: _LONGEST_TEXT - 3]}..."


def _counts(names: Sequence[str]) -> list[int]:
    count = Counter(names)
    return [count[name] for name in names]


def _safe(text: str) -> str:
    return _UNSAFE.sub("-", text.lower()).strip("-") or "hosts"


def _cut(name: str, whole: object) -> str:
    """Return the beginning of a name with a digest of the whole."""
    return f"{name[: LONGEST - 9].rstrip('-')}-{digest(whole)[:8]}"
