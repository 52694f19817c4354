# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answer whether one host can connect to a port of another: by the plan, by the rules of both hosts, and by a probe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.hpc.ports.plugins.plugin_utils._explain.codes import (
    BROKEN,
    EXPOSED,
    NO,
    SHOULD,
    SHOULD_NOT,
    UNKNOWN,
    YES,
    code_of,
)
from ansible_collections.hpc.ports.plugins.plugin_utils._explain.evidence import AddressAnswer, Evidence
from ansible_collections.hpc.ports.plugins.plugin_utils._explain.inquiry import Inquiry
from ansible_collections.hpc.ports.plugins.plugin_utils._reachability.reasons import Reasons
from ansible_collections.hpc.ports.plugins.plugin_utils._verdicts.host_answers import Registered

if TYPE_CHECKING:
    from ansible_collections.hpc.ports.plugins.plugin_utils._plan.compiler import Plan

_WORST_FIRST = (BROKEN, EXPOSED, UNKNOWN, SHOULD, SHOULD_NOT, NO, YES)


class Answer(NamedTuple):
    """The answer. `silent` says why the rules of a host are unknown; `code` is the worst code of all addresses."""

    reasons: Reasons
    why_not: str
    silent: Mapping[str, str]
    ways: tuple[AddressAnswer, ...]
    code: str

    @property
    def advice(self) -> list[str]:
        """Return how to fix what differs from the plan, and how to open a closed connection."""
        fixes = [way.diagnosis.advice for way in self.ways if way.diagnosis]
        is_closed = any(way.code in (NO, EXPOSED, SHOULD_NOT) for way in self.ways) or not self.ways
        return list(dict.fromkeys([*fixes, *(self.reasons.advice if is_closed else ())]))


def answer_of(plan: Plan, inquiry: Inquiry, results: Registered, silent: Mapping[str, str]) -> Answer:
    """Return the answer from the results of both hosts in the phases judged, probed and stopped."""
    reasons = inquiry.reasons
    ways = tuple(Evidence(plan, inquiry, results, silent).ways())
    codes = {way.code for way in ways} or {YES if reasons.source == reasons.target else code_of(reasons.passes, None)}
    return Answer(reasons, inquiry.why_not, silent, ways, next(code for code in _WORST_FIRST if code in codes))
