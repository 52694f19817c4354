# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The variables of the playbooks that begin with the name of their playbook, such as `matrix_by` of matrix.yml."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ansible_collections.hpc.ports.plugins.plugin_utils._port_file.errors import PortFileError, closest

# By playbook, without its name. A test compares them with the playbooks, and those of verify with the role.
PLAYBOOKS: Mapping[str, tuple[str, ...]] = {
    "audit": ("draft",),
    "cloud": ("file", "hosts", "prefix", "references"),
    "difference": ("fail", "files"),
    "explain": (),
    "import": ("draft", "files", "interfaces", "to"),
    "init": ("controllers", "folder", "groups", "hosts", "slurm_conf"),
    "lint": ("fail_on",),
    "matrix": ("by", "expected", "files"),
    "observed": ("draft", "files"),
    "render": ("backends", "firewalld_version", "folder", "nft"),
    "verify": (
        "attempts",
        "concurrency",
        "junit",
        "mode",
        "most",
        "page",
        "query",
        "rate",
        "report",
        "require_outsider",
        "show_managed",
        "timeout",
    ),
}
# Variables without the name of the playbook.
_PLAIN: Mapping[str, tuple[str, ...]] = {
    "difference": ("from",),
    "explain": ("from", "probe", "to", "to_port"),
    "matrix": ("from", "to", "to_port"),
}
# From this similarity on (0 to 1) a name is a misspelt one.
_SAME_WORD = 0.75


def play_variables(playbook: str) -> dict[str, str]:
    """Return the variables of a playbook by their names without its name. Most of these are options of its module."""
    return {name: f"{playbook}_{name}" for name in PLAYBOOKS[playbook]}


def check_extra_variables(playbook: str, names: Iterable[str]) -> list[str]:
    """Return warnings about variables of -e that begin with the name of a playbook and are none of its variables.

    Raise PortFileError for one that is a misspelt variable of the playbook. Others may belong to another role.
    """
    known = play_variables(playbook)
    words = [name.removeprefix(f"{playbook}_") for name in names if name.startswith(f"{playbook}_")]
    unknown = sorted(word for word in words if word not in known)
    for word in unknown:
        if meant := _meant(playbook, word):
            raise PortFileError(
                f"Unknown variable {playbook}_{word}: {playbook} has no such variable. Did you mean {meant}?"
            )
    has = f"It has {', '.join(known.values())}." if known else "It has none of this kind."
    return [
        f"The variable {playbook}_{word} is set, but {playbook} has no such variable, so it has no effect. {has} If it "
        "belongs to another role, ignore this warning."
        for word in unknown
    ]


def _meant(playbook: str, word: str) -> str:
    """Return the variable that a misspelt one stands for, empty if none is close."""
    known = play_variables(playbook)
    if word in _PLAIN.get(playbook, ()):
        return word
    longer = next((name for name in known if name.startswith(f"{word}_")), "")
    return known.get(longer or closest(word, known, _SAME_WORD), "")
