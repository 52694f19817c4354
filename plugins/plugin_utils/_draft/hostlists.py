# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Expand lists of hosts as Slurm writes them: `n[01-03,7],login1` (slurm.conf(5), NodeName)."""

from __future__ import annotations

import re
from itertools import product

# A comma that is not inside brackets, and the parts of a name around brackets.
_COMMA = re.compile(r",(?![^\[]*\])")
_BRACKETS = re.compile(r"\[([^\]]*)\]")
_RANGE = re.compile(r"([0-9]{1,9})-([0-9]{1,9})|[A-Za-z0-9]+", re.ASCII)
# What is written into YAML: no template, no pattern of Ansible, no white space.
_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,253}", re.ASCII)
# Slurm's own maximum (MaxNodeCount).
_MOST = 65536


def expanded(text: str) -> list[str]:
    """Return the names of a host list. Raises ValueError for a list that is too long or has other characters."""
    names: list[str] = []
    for part in filter(None, _COMMA.split(text)):
        fixed, ranges = _BRACKETS.split(part)[::2], [_numbers(text, inner) for inner in _BRACKETS.findall(part)]
        for chosen in product(*ranges):
            names.append("".join(piece for pair in zip(fixed, (*chosen, "")) for piece in pair))
            if not _NAME.fullmatch(names[-1]):
                raise ValueError(f"got {text[:60]!r}, expected names of hosts such as n[01-16],login1")
            if len(names) > _MOST:
                raise ValueError(f"got {text[:60]!r}, expected at most {_MOST} hosts")
    return names


def _numbers(text: str, inner: str) -> list[str]:
    """Return what stands for the brackets, with the leading zeros of the first number of a range."""
    found: list[str] = []
    for part in inner.split(","):
        match = _RANGE.fullmatch(part.strip())
        first, last = (match[1], match[2]) if match else ("1", "0")
        if match and first is None:
            found.append(match[0])
        elif 0 <= int(last) - int(first) < _MOST:
            found += [str(number).zfill(len(first)) for number in range(int(first), int(last) + 1)]
        else:
            raise ValueError(f"got {text[:60]!r}, expected ranges such as n[01-16]")
    return found
