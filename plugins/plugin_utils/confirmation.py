# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Confirm a change over a new connection to the host, or find out how the host undid it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ansible.errors import AnsibleConnectionFailure, AnsibleError

# After the time in which a change is confirmed: how long a host may take to undo it and to answer again, seconds.
RETURN_WITHIN = 60.0
_PAUSE = 0.5


class Answer(NamedTuple):
    """What the host said last, as the module `confirm` returns it, and what went wrong before, if anything."""

    result: Mapping[str, Any]
    trouble: str


def final_answer(ask: Callable[[], Mapping[str, Any]], seconds: int,
                 now: Callable[[], float] = time.monotonic, pause: Callable[[float], None] = time.sleep) -> Answer:
    """Ask the host over new connections until it has confirmed the change, or undone it, and return what it says.

    `ask` makes a new connection and runs the module `confirm`. Raises AnsibleConnectionFailure for a host that does not
    answer any more, long after it should have undone the change.
    """
    end, trouble = now() + seconds + RETURN_WITHIN, ""
    while True:
        try:
            result = ask()
            if result.get("status") in ("confirmed", "reverted", "unknown"):
                return Answer(result, trouble)
            trouble = str(result.get("msg") or _not_new(result))
        except AnsibleError as exc:
            trouble = str(exc)
        if now() > end:
            raise AnsibleConnectionFailure(
                f"The host has not answered for {seconds + RETURN_WITHIN:.0f} s. It should have undone the change by "
                f"itself after {seconds} s. The last attempt: {trouble}")
        pause(_PAUSE)


def _not_new(result: Mapping[str, Any]) -> str:
    return (f"Ansible could not make a new connection: it came from {result.get('confirmed_from') or 'the same'} again. "
            "See that nothing but Ansible keeps connections to the host open (ControlPath in ~/.ssh/config)")


def undone(answer: Answer, pending: Mapping[str, Any], dropping: list[str]) -> str:
    """Return the message for a change that was not confirmed: what happened, and what was likely missing."""
    if answer.result["status"] == "unknown":
        return ("The host knows nothing of the change that it was just given: it was probably restarted meanwhile, and "
                "has the ruleset that was confirmed last. Run again.")
    text = (f"The host undid the change after {pending['seconds']} s, because no new connection confirmed it. It has the "
            "ruleset from before again.")
    if pending["advice"]:
        return f"{text} Likely missing: {pending['advice']}"
    reason = f" The last attempt: {answer.trouble.rstrip('.')}." if answer.trouble else ""
    others = f" Other rules of the host that may be why: {'; '.join(dropping)}." if dropping else ""
    allows = f" The policy itself lets {pending['client']} in." if pending["client"] else ""
    return text + allows + reason + others
