# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The types of the answers of a host, as far as they can be read (see answers.py).

An answer has the keys of its module's result, or only a status if the module failed or did not run. It is empty if
nothing is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypedDict, cast

from ansible_collections.hpc.ports.plugins.module_utils._model.wire import (
    ContainerResult,
    JudgementData,
    ListenResult,
    ProbeResult,
)


class AnswerStatus(TypedDict, total=False):
    """What became of the task; `unreadable` is the reason why the result cannot be read."""

    failed: bool
    unreachable: bool
    skipped: bool
    msg: str
    skip_reason: str
    unreadable: str


class ProbeAnswer(AnswerStatus, total=False):
    """The answer of verify_probe."""

    results: list[ProbeResult]
    containers: list[ContainerResult]


class ListenAnswer(AnswerStatus, ListenResult):
    """The answer of verify_listen when stopped. An older version of the module may omit `own` and `dead_ends`."""


class ChangesData(TypedDict):
    """The objects that a run of the module firewall would change."""

    objects: list[str]


class CompareAnswer(AnswerStatus, total=False):
    """The answer of the module firewall in check mode."""

    changes: ChangesData
    backend: str


class JudgeAnswer(AnswerStatus, total=False):
    """The answer of verify_judge."""

    judgements: list[JudgementData]


class HostAnswers(TypedDict, total=False):
    """The answers of a host by phase, as far as the phases took place."""

    probed: ProbeAnswer
    stopped: ListenAnswer
    compared: CompareAnswer
    judged: JudgeAnswer


# The answers by host.
Registered = Mapping[str, HostAnswers]


def statuses(answers: HostAnswers) -> Iterable[AnswerStatus]:
    """Return the answers of all phases."""
    return cast(Iterable[AnswerStatus], answers.values())
