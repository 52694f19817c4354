# Copyright (c) 2026, the hpc.ports authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Confirm a change over a new connection to the host, or find out how the host undid it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible_collections.hpc.ports.plugins.module_utils._model.shown import shown

# After the time in which a change is confirmed: how long a host may take to undo it and to answer again, seconds.
RETURN_WITHIN = 60.0
_PAUSE = 0.5
UNSEEN = "The connection ended while the host changed its firewall, so what changed is not known."
_FORGOTTEN = (
    "The host knows nothing of the change that it was just given: it was probably restarted meanwhile, and "
    "has the ruleset that was confirmed last. Run again."
)
_UNDONE = (
    "The host undid the change after {0} s, because no new connection confirmed it. It has the ruleset from "
    "before again."
)
_UNREACHABLE = (
    "The host has not answered for {0:.0f} s. It should have undone the change by itself after {1} s. The "
    "last attempt: {2}."
)
# How many logins have to fit into the time in which a change is confirmed: the one that confirms, with room to spare.
_LOGINS = 3
_SLOW = "A login to {0} took {1} s: give firewall_confirm_within {2} or more."
# How ansible-core says that a module returned nothing that it understands, from 2.19 on and before, and why with sudo.
_NOT_RUN = ("Module result deserialization failed", "MODULE FAILURE")
_NO_TERMINAL = "you must have a tty to run sudo"
_REQUIRES_TTY = (
    "sudo did not run the module: it wants a terminal (requiretty in the sudoers of the host), and with "
    "pipelining Ansible gives it none. Take requiretty out for this user, or set ansible_pipelining: "
    "false."
)
_FINAL = ("confirmed", "reverted", "unknown", "other format")
_NOT_FINAL = {
    "not new": "Ansible could not make a new connection: it came from {0} again. See that nothing but Ansible keeps "
    "connections to the host open (ControlPath in ~/.ssh/config)",
    "not made": "The run that began the change has not come to its end",
    "altered": "What runs on the host is not what was applied any more: something else changed the firewall meanwhile",
}
# What ssh says when it never got through, and Ansible when sudo did not: then it has started no module.
_NEVER_MADE = (
    "connect to host",
    "Could not resolve hostname",
    "banner exchange",
    "kex_exchange_identification",
    "Permission denied",
    "Host key verification failed",
    "waiting for privilege escalation prompt",
)
_SAID = ("confirmed_from", "connections_cut", "failed", "msg")


class PendingChange(NamedTuple):
    """A change that awaits its confirmation for so many `seconds`, and what the module `firewall` returned.

    `login` is how long it took to get to the host, seconds; `loss` how the connection ended meanwhile, if it did.
    """

    host: str
    result: Mapping[str, Any]
    seconds: int
    login: float = 0.0
    loss: AnsibleConnectionFailure | None = None

    @property
    def dropping(self) -> str:
        """Return what else of the host may drop a new connection, as a sentence."""
        found = self.result.get("other_rules", {}).get("dropping", [])
        return f"Other rules of the host that may be why: {'; '.join(found)}." if found else ""


class HostAnswer(NamedTuple):
    """What the host said last, as the module `firewall_confirm` returns it, and what went wrong before, if anything.

    `login` is how long it took to get to the host; 0 where something went wrong before, as that takes time of its own.
    """

    result: Mapping[str, Any]
    trouble: str
    login: float = 0.0


def may_have_begun(loss: AnsibleConnectionFailure) -> bool:
    """Tell whether a connection ended, rather than was never made: then the host may have begun to change its rules."""
    return not any(text in str(loss) for text in _NEVER_MADE)


def named(host: str, result: dict[str, Any]) -> dict[str, Any]:
    """Return the result of a module, each warning with the host that it speaks of.

    Ansible shows a warning without its host, and the same text of other hosts not again.
    """
    warnings = result.get("warnings")
    if not warnings or not isinstance(warnings, list):
        return result
    return {**result, "warnings": [_with_host(host, warning) for warning in warnings]}


def _with_host(host: str, warning: Any) -> Any:
    if isinstance(warning, str):
        return f"{host}: {warning}"
    if not hasattr(warning, "event"):
        return warning
    # As ansible-core 2.19 and later hand it over.
    return replace(warning, event=replace(warning.event, msg=f"{host}: {warning.event.msg}"))


def explained(result: dict[str, Any]) -> dict[str, Any]:
    """Return the result of a module, with the cause where it is one that Ansible does not name."""
    message = str(result.get("msg", ""))
    output = f"{result.get('module_stdout')} {result.get('module_stderr')}"
    if message.startswith(_NOT_RUN) and _NO_TERMINAL in output:
        return {**result, "msg": f"{_REQUIRES_TTY} Ansible says: {message}"}
    return result


def timed(
    execute: Callable[[], dict[str, Any]], now: Callable[[], float] = time.monotonic
) -> tuple[dict[str, Any], float]:
    """Return the result of a module, and how long it took to get to the host: all but the time that the module ran."""
    began = now()
    result = execute()
    return result, now() - began - result.get("pending", result).get("ran_for", 0.0)


def final_answer(
    ask: Callable[[], dict[str, Any]],
    begun: PendingChange,
    now: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> HostAnswer:
    """Ask the host over new connections until it has confirmed the change, or undone it, and return what it says.

    `ask` makes a new connection and runs the module `firewall_confirm`. Raises AnsibleConnectionFailure for a host that does not
    answer any more, long after it should have undone the change.
    """
    patience = begun.seconds + RETURN_WITHIN
    end, trouble = now() + patience, shown(str(begun.loss or "").strip())
    while True:
        try:
            result, login = timed(ask, now)
            if result.get("status") in _FINAL:
                return HostAnswer(result, trouble, 0.0 if trouble else login)
            trouble = str(result.get("msg") or _NOT_FINAL[result["status"]].format(result.get("confirmed_from")))
        except AnsibleError as exc:
            trouble = shown(str(exc).strip())
        if now() > end:
            raise AnsibleConnectionFailure(
                _sentences(
                    _UNREACHABLE.format(patience, begun.seconds, trouble.rstrip(".")), _slowness(begun), begun.dropping
                )
            )
        pause(_PAUSE)


def _slowness(begun: PendingChange, login: float = 0.0) -> str:
    """Return what to do where there is little time for such logins; empty where it is enough."""
    longest = max(begun.login, login)
    took = math.ceil(longest)
    return _SLOW.format(begun.host, took, _LOGINS * took) if begun.seconds < _LOGINS * longest else ""


def with_answer(begun: PendingChange, answer: HostAnswer) -> dict[str, Any]:
    """Return the result of the module `firewall` with what became of the change."""
    said = {key: answer.result[key] for key in _SAID if key in answer.result}
    slow = _slowness(begun, answer.login)
    if answer.result["status"] == "confirmed":
        warnings = [*begun.result.get("warnings", []), *answer.result.get("warnings", []), *filter(None, [slow])]
        return {"changed": True, **begun.result, **said, "warnings": warnings}
    lacking = {"client": answer.result["client"]} if answer.result.get("advice") else {}
    return {**begun.result, "changed": False, "failed": True, "msg": _undone(begun, answer, slow), **lacking}


def _undone(begun: PendingChange, answer: HostAnswer, slow: str) -> str:
    """Return the message for a change that was not confirmed: what happened, and what was likely missing."""
    said = answer.result
    if said["status"] == "unknown":
        return _FORGOTTEN
    if said["status"] == "other format":
        return str(said["msg"])
    text = _UNDONE.format(said["seconds"])
    if said["advice"]:
        return f"{text} Likely missing: {said['advice']}"
    allows = f"The policy itself lets {said['client']} in." if said["client"] else ""
    reason = f"The last attempt: {answer.trouble.rstrip('.')}." if answer.trouble else ""
    return _sentences(text, allows, slow, reason, begun.dropping)


def with_name(result: dict[str, Any], host_at: Callable[[str], str]) -> dict[str, Any]:
    """Return the result; where the policy does not let `client` in, and that is a managed host, its message says so."""
    client = result.get("client")
    host = host_at(client) if client else ""
    if not host:
        return result
    return {**result, "msg": f"{result['msg']} {client} is {host}: your jump host, unless Ansible runs there."}


def _sentences(*texts: str) -> str:
    return " ".join(filter(None, texts))
