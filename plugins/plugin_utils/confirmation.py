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
UNSEEN = "The connection ended while the host changed its firewall, so what changed is not known."
_FORGOTTEN = ("The host knows nothing of the change that it was just given: it was probably restarted meanwhile, and "
              "has the ruleset that was confirmed last. Run again.")
_UNDONE = ("The host undid the change after {0} s, because no new connection confirmed it. It has the ruleset from "
           "before again.")
_NOT_FINAL = {
    "not new": "Ansible could not make a new connection: it came from {0} again. See that nothing but Ansible keeps "
               "connections to the host open (ControlPath in ~/.ssh/config)",
    "not made": "The run that began the change has not come to its end",
    "altered": "What runs on the host is not what was applied any more: something else changed the firewall meanwhile",
}
# What ssh says when it never got through.
_NEVER_MADE = ("connect to host", "Could not resolve hostname", "banner exchange", "kex_exchange_identification",
               "Permission denied", "Host key verification failed")
_SAID = ("confirmed_from", "connections_cut", "failed", "msg")


class Answer(NamedTuple):
    """What the host said last, as the module `confirm` returns it, and what went wrong before, if anything."""

    result: Mapping[str, Any]
    trouble: str


def may_have_begun(loss: AnsibleConnectionFailure) -> bool:
    """Tell whether a connection ended, rather than was never made: then the host may have begun to change its rules."""
    return not any(text in str(loss) for text in _NEVER_MADE)


def final_answer(ask: Callable[[], Mapping[str, Any]], seconds: int, trouble: str = "",
                 now: Callable[[], float] = time.monotonic, pause: Callable[[float], None] = time.sleep) -> Answer:
    """Ask the host over new connections until it has confirmed the change, or undone it, and return what it says.

    `ask` makes a new connection and runs the module `confirm`; `trouble` is what went wrong before. Raises
    AnsibleConnectionFailure for a host that does not answer any more, long after it should have undone the change.
    """
    end = now() + seconds + RETURN_WITHIN
    while True:
        try:
            result = ask()
            if result.get("status") in ("confirmed", "reverted", "unknown"):
                return Answer(result, trouble)
            trouble = str(result.get("msg") or _NOT_FINAL[result["status"]].format(result.get("confirmed_from")))
        except AnsibleError as exc:
            trouble = str(exc)
        if now() > end:
            raise AnsibleConnectionFailure(
                f"The host has not answered for {seconds + RETURN_WITHIN:.0f} s. It should have undone the change by "
                f"itself after {seconds} s. The last attempt: {trouble}")
        pause(_PAUSE)


def with_answer(result: Mapping[str, Any], answer: Answer) -> dict[str, Any]:
    """Return the result of the module `firewall` with what became of the change."""
    said = {key: answer.result[key] for key in _SAID if key in answer.result}
    if answer.result["status"] == "confirmed":
        return {"changed": True, **result, **said,
                "warnings": [*result.get("warnings", []), *answer.result.get("warnings", [])]}
    dropping = result.get("other_rules", {}).get("dropping", [])
    return {**result, "changed": False, "failed": True, "msg": _undone(answer, dropping)}


def _undone(answer: Answer, dropping: list[str]) -> str:
    """Return the message for a change that was not confirmed: what happened, and what was likely missing."""
    said = answer.result
    if said["status"] == "unknown":
        return _FORGOTTEN
    text = _UNDONE.format(said["seconds"])
    if said["advice"]:
        return f"{text} Likely missing: {said['advice']}"
    allows = f" The policy itself lets {said['client']} in." if said["client"] else ""
    reason = f" The last attempt: {answer.trouble.rstrip('.')}." if answer.trouble else ""
    others = f" Other rules of the host that may be why: {'; '.join(dropping)}." if dropping else ""
    return text + allows + reason + others
